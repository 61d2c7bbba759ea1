"""What went wrong, said to a person: the cause and the fix, without a traceback.

Nothing is printed here; `__main__` does that, once.
"""

import errno

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER = (errno.EEXIST, errno.ENOTDIR)


class Failure(Exception):
    """A sentence for the person at the terminal; ends the command with exit code 1."""


def explain(error: OSError) -> str:
    """The sentence for an error of the operating system that nobody foresaw closer to its cause."""
    where = error.filename or "a file"
    if error.errno in _DISK_FULL:
        place = f"The disk that holds {error.filename}" if error.filename else "The disk"
        return f"{place} is full: free some space, or choose a data folder on another disk with PINION_HOME=/path."
    if error.errno in _NO_ACCESS:
        return f"{where} may not be written: correct its owner, or choose a data folder with PINION_HOME=/path."
    if error.errno in _NO_FOLDER:
        return f"{where} is not a folder: move it away, or choose a data folder with PINION_HOME=/path."
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
