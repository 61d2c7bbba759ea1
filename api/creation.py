"""Making the prediction that a request asks for, whichever door it came through, and answering as `Prefer` has it.

Which version is run is decided by the route; storing it is the business of `lifecycle`.
"""

import re
from typing import Annotated, Any

from fastapi import Header, Response
from sqlalchemy import Row

from api import waiting
from api.bodies import answer
from api.dependencies import Services
from api.versions_cache import Runnable
from shared import contract, files, lifecycle, rendering
from shared.contract import WebhookEvent
from shared.webhooks import check_url

WAIT_SECONDS_MAX = 55.0
"""Below the 60 s after which one official client gives up and asks again."""
_WAIT_MARGIN_SECONDS = 0.2
"""Clients stop listening half a second after the time they named."""
_PREFER_WAIT = re.compile(r"(?:^|,)\s*wait(?:\s*=\s*\"?(\d+(?:\.\d+)?)\"?)?\s*(?:,|;|$)", re.IGNORECASE)

Prefer = Annotated[list[str] | None, Header(description="`wait` or `wait=n`: hold the answer for up to n seconds.")]


async def create(
    wired: Services,
    caller: Row[Any],
    base: str,
    found: Runnable,
    wanted: contract.PredictionRequest,
    prefer: list[str] | None,
) -> Response:
    """Store and queue it; 201 at once or with the result, 202 if the wait is over before that."""
    if file_ids := files.ids_in(wanted.input):
        await files.prolong(wired.database, caller.id, file_ids, wired.settings.upload_seconds)
    request = lifecycle.Request(
        account_id=caller.id,
        model=found.model,
        version_id=found.version_id,
        input=found.inputs.check(wanted.input),
        streams=found.is_iterator,
        **webhook_wishes(wired, wanted),
    )
    async with wired.database.single_statement() as transaction:
        row = await lifecycle.create(transaction, request)
    seconds = wait_seconds(",".join(prefer or ()))
    if seconds is None:
        return answer(rendering.prediction(row, base), 201)
    ended = await waiting.until_finished(wired, row.id, seconds - _WAIT_MARGIN_SECONDS)
    headers = {"Preference-Applied": f"wait={seconds:g}"}
    if ended:
        return answer(rendering.prediction(ended, base), 201, headers)
    # The row as it was stored: clients take every status but `starting` for the final answer.
    return answer(rendering.prediction(row, base), 202, headers)


def webhook_wishes(wired: Services, wanted: contract.PredictionRequest) -> dict[str, Any]:
    """What `lifecycle.Request` is to know of the receiver; raises InvalidWebhook."""
    url = wanted.webhook_completed if wanted.webhook is None else wanted.webhook
    if url is None:
        return {}
    check_url(url, wired.settings.webhook_allow_cidrs)
    if wanted.webhook is None:
        return {"webhook": url, "webhook_events": (WebhookEvent.COMPLETED,)}
    events = WebhookEvent if wanted.webhook_events_filter is None else dict.fromkeys(wanted.webhook_events_filter)
    return {"webhook": url, "webhook_events": tuple(events)}


def wait_seconds(prefer: str) -> float | None:
    """Seconds to hold a create for, or None; what cannot be read is no wish, as RFC 7240 has it."""
    found = _PREFER_WAIT.search(prefer)
    if not found:
        return None
    return min(max(float(found[1] or WAIT_SECONDS_MAX), 1.0), WAIT_SECONDS_MAX)
