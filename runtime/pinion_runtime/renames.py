"""Renames that lead from one disk to another.

In Cog's image the temporary folder and the model's lie on one disk, so that models rename what they have made there
into place. Here they may be two, or two views of one, between which the system moves nothing.
"""

from __future__ import annotations

import errno
import functools
import os
import pathlib
import shutil
import tempfile
from typing import Any, Callable

Rename = Callable[..., None]


def install() -> None:
    """For what Python code renames, once, before the model is imported."""
    os.rename, os.replace = _across(os.rename), _across(os.replace)
    # Until 3.10 pathlib keeps what it found when it was imported.
    if accessor := getattr(pathlib, "_NormalAccessor", None):
        accessor.rename, accessor.replace = staticmethod(os.rename), staticmethod(os.replace)


def _across(rename: Rename) -> Rename:
    @functools.wraps(rename)
    def renamed(src: Any, dst: Any, **folders: Any) -> None:  # they may be given by name
        try:
            rename(src, dst, **folders)
        except OSError as error:
            if error.errno != errno.EXDEV or folders:
                raise
            _move(rename, os.fsdecode(src), os.fsdecode(dst))

    return renamed


def _move(rename: Rename, source: str, target: str) -> None:
    """First beside the target, then in its place: as with a rename nobody sees half of it."""
    folder, name = os.path.split(os.path.abspath(target))
    beside = tempfile.mkdtemp(prefix=".pinion-", dir=folder)
    draft = os.path.join(beside, name)
    try:
        is_folder = os.path.isdir(source) and not os.path.islink(source)
        if is_folder:
            shutil.copytree(source, draft, symlinks=True)
        else:
            shutil.copy2(source, draft, follow_symlinks=False)
        rename(draft, target)
        shutil.rmtree(source) if is_folder else os.unlink(source)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
