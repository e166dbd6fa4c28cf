"""In which folders of a project an import is looked for. Nothing here is jedi's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class ProjectFolders(NamedTuple):
    """Folders that come `before` and `after` the installed packages, in the order in which Python would look."""

    before: tuple[str, ...]
    after: tuple[str, ...]


def project_folders(root: Path, folder: Path, relative: bool) -> ProjectFolders:
    """Where the imports of a file in `folder` lead; `relative` ones start with a dot.

    A script finds its siblings first. A file in a package is imported from above that package, unless somebody runs it
    as a script all the same, so its siblings come last.
    """
    top = package_top(folder)
    roots = [path for path in (root / "src", root) if os.path.isdir(path)]
    if relative:
        # The name of the package decides what the dots mean: no folder inside it may be a place to import from.
        base = [top] if top != folder else [] if root in (folder, *folder.parents) else [folder.parent]
        return ProjectFolders(_texts(base + [path for path in roots if not _inside(path, base)]), ())
    between = [path for path in folder.parents if root in path.parents and not is_package(path)]
    siblings = [] if top != folder else [folder]
    above = [top] if top != folder else []
    return ProjectFolders(_texts(siblings + roots[::-1] + above), _texts([*between, folder]))


def package_top(folder: Path) -> Path:
    """The folder from which the package that holds `folder` is imported; `folder` itself if it is none."""
    while is_package(folder) and folder.parent != folder:
        folder = folder.parent
    return folder


def is_package(folder: Path) -> bool:
    return os.path.isfile(folder / "__init__.py")


def module_files(folder: str, names: tuple[str, ...]) -> list[str]:
    """The files that may hold the module `names` if it is in `folder`; one that appears changes an answer."""
    path = Path(folder, *names)
    return [str(path) + ".py", str(path) + ".pyi", str(path / "__init__.py"), str(path / "__init__.pyi")]


def _inside(path: Path, tops: list[Path]) -> bool:
    return any(top in path.parents for top in tops)


def _texts(paths: list[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(str, paths)))
