"""Moments that are the same for all who ask, so that what they have to do is done together.

They come by this host's clock; who waits for one sleeps by itself.
"""

from time import monotonic


def until_tick(seconds: float) -> float:
    """Until the clock is at a multiple of them; no time if there is none between two."""
    return seconds - monotonic() % seconds if seconds else 0.0
