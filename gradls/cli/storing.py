"""How a file is written that has something to lose."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile


def write_bytes(path: str, data: bytes) -> None:
    """Put `data` into the file `path`, or what that is a link to. It has its old content or the new one, whatever
    happens meanwhile, where that can be had without giving it another owner or taking it from its other names. OSError
    if it cannot be written."""
    target = os.path.realpath(path)
    beside = None if _has_to_stay(target) else _write_beside(target, data)
    if beside is None:
        with open(target, "wb") as file:
            file.write(data)
        return
    try:
        os.replace(beside, target)
    except OSError:
        os.unlink(beside)
        raise


def _has_to_stay(target: str) -> bool:
    status = os.stat(target)
    is_ours = not hasattr(os, "geteuid") or (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    return status.st_nlink > 1 or not is_ours or not os.access(target, os.W_OK)


def _write_beside(target: str, data: bytes) -> str | None:
    """A file in the same folder with this content, and who may do what with it as with the target; None where none can
    be made."""
    try:
        handle, beside = tempfile.mkstemp(prefix=".gradls-", dir=os.path.dirname(target))
    except PermissionError:
        return None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(target, beside)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    return beside
