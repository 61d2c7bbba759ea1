"""The exceptions and warnings a model may name.

They are raised elsewhere: canceling is the business of pinion_runtime.
"""

from __future__ import annotations


class CancelationException(BaseException):
    """The running prediction was canceled. Clean up if you must, then raise it again.

    Not an `Exception`, so that a model's `except Exception` does not swallow it.
    """


CancellationException = CancelationException


class ExperimentalFeatureWarning(Warning):
    """Kept because older models filter it; nothing warns with it any more."""
