"""Sizes as people read them.

Nothing is measured here.
"""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size_in_words(count: float) -> str:
    """Bytes in the largest unit that leaves a number above one."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if count >= 10 or unit == 0 else f"{count:.1f} {_UNITS[unit]}"
