"""Where Python would look for a module, of which only the import statement and the file that holds it are known."""

from __future__ import annotations

import os
from collections.abc import Callable

MOST_FOLDERS = 12
"""So many folders above a file are places where its imports may lead, besides the root."""

ENDINGS = (f"{os.sep}__init__.py", ".py", f"{os.sep}__init__.pyi", ".pyi")
"""What may hold a module, best first: code says more than a stub beside it."""

IsFile = Callable[[str, str], bool]
"""Whether a path is a file, spelled so below a folder."""


def find(module: str, near: str, root: str | None, is_file: IsFile, is_run: Callable[[], bool]) -> str | None:
    """The path of the file that `module`, as an import statement in the file `near` writes it, stands for. `is_run`
    tells whether that file is one that is run, and not only imported.

    `near` and `root` are absolute. Without a root only the folder of `near`, or the one above its package, is searched.
    """
    folder = os.path.dirname(near)
    itself = near.removesuffix(".py").removesuffix(".pyi")
    parts = [part for part in module.lstrip(".").split(".") if part]
    level = len(module) - len(module.lstrip("."))
    bases = _package(folder, level, root) if level else _bases(folder, root, is_file)
    found = _below(bases, parts, itself, is_file)
    if found is None and not level and folder not in bases:
        # What is run finds what lies beside it, in a package, too.
        beside = _below([folder], parts, itself, is_file)
        found = beside if beside is not None and is_run() else None
    return found


def _below(bases: list[str], parts: list[str], itself: str, is_file: IsFile) -> str | None:
    """The file of a module in one of these folders."""
    for base in bases:
        path = os.path.join(base, *parts)
        for ending in ENDINGS if parts else (ENDINGS[0], ENDINGS[2]):
            found = path + ending
            if os.path.splitext(found)[0] != itself and is_file(found, base):
                return found
    return None


def _package(folder: str, level: int, root: str | None) -> list[str]:
    """The folder that so many dots mean; none if that is not below the root any more."""
    inside = root is not None and _is_in(folder, root)
    for _ in range(level - 1):
        folder = os.path.dirname(folder)
    return [] if inside and root is not None and not _is_in(folder, root) else [folder]


def _bases(folder: str, root: str | None, is_file: IsFile) -> list[str]:
    """Where Python may look for a module that a file in `folder` imports, nearest first.

    A folder that is a package is not such a place: in it, modules are found through their package.
    """
    inside = root is not None and _is_in(folder, root)
    bases: list[str] = []
    for _ in range(MOST_FOLDERS):
        if not is_file(os.path.join(folder, "__init__.py"), folder):
            bases.append(folder)
            if not inside:
                break
        above = os.path.dirname(folder)
        if folder == root or above == folder:
            break
        folder = above
    if root is not None and (inside or not bases):
        bases += [base for base in (root, os.path.join(root, "src")) if base not in bases]
    return bases


def _is_in(folder: str, root: str) -> bool:
    return (folder + os.sep).startswith(root.rstrip(os.sep) + os.sep)
