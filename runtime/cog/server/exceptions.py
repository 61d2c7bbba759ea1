"""The older place of CancelationException.

It is defined in cog.exceptions.
"""

from __future__ import annotations

from cog.exceptions import CancelationException, CancellationException

__all__ = ["CancelationException", "CancellationException"]
