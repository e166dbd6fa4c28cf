"""`gradls cache`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gradls.cli.main import FAILED, FOUND_NOTHING
from gradls.cli.output import warn
from gradls.resolve.disk import TREES, chosen_folder, own_folder


def cache(clear: bool, place: str | None) -> int:
    """Say what is kept where, or remove it; the exit status."""
    folders = dict.fromkeys([Path(place) if place else chosen_folder() or own_folder(), own_folder()])
    status = FOUND_NOTHING
    for folder in folders:
        kept = [path for pattern in ("*.sqlite", "*.sqlite-journal", TREES) for path in sorted(folder.glob(pattern))]
        if not clear:
            print(f"{folder}: {sum(map(_size, kept)) / 1e6:.1f} MB")
            continue
        for path in kept:
            try:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            except OSError as error:
                warn(f"{path} could not be removed: {error.strerror}")
                status = FAILED
    return status


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)
