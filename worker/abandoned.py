"""What becomes of a prediction that its worker has not ended: run again, or failed in words that say why.

By its model's policy; what it does is written in `sweep`.
"""

from typing import Any

from sqlalchemy import Row

from shared.contract import Rerun

_ATTEMPTS_MAX = 20
"""Workers that a prediction may outlive; a Redis that loses entries counts for nothing."""
_RETRY = "Create it again to retry."
_AFTER_OUTPUT = f"after output had started, so the prediction was not run again. {_RETRY}"
_AT_ALL = f"before the prediction had ended, and this model's predictions are not run again by themselves. {_RETRY}"
_TOO_OFTEN = "The prediction could not be brought to its end: the workers that took it died again and again."


def reason_to_fail(row: Row[Any], *, has_output: bool) -> str | None:
    """Why it is not run again; None if it is.

    `row` is the prediction with its model's `rerun`, and `stopped_at` of its worker.
    """
    # Of a training whose version is known nothing is run again: only the build is waited for.
    if row.rerun == Rerun.NEVER and not row.trained_version_id:
        return f"{_what_happened(row)} {_AT_ALL}"
    if row.rerun == Rerun.BEFORE_OUTPUT and has_output:
        return f"{_what_happened(row)} {_AFTER_OUTPUT}"
    return _TOO_OFTEN if row.attempt >= _ATTEMPTS_MAX else None


def _what_happened(row: Row[Any]) -> str:
    if row.worker_id is None:
        return "The worker could not go on"
    return "The worker was stopped" if row.stopped_at else "The worker was lost"
