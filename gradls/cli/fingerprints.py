"""Names for findings, and paths, that are the same wherever and whenever a repository is checked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from gradls.cli.records import Record
from gradls.workspace.identity import Identity, fingerprint

_ROOTS = ("CI_PROJECT_DIR", "GITHUB_WORKSPACE")
"""Where CI systems say that they have put the repository."""


def identity_of(finding: Record) -> Identity:
    """What identifies a finding in its file, besides its rule."""
    return Identity(finding["scope"], finding["snippet"])


def add_fingerprints(findings: Iterable[Record], base: str) -> None:
    """Give each finding the key `fingerprint`. They are those of all files, each file's in the order of the text; paths
    count as seen from the folder `base`."""
    seen: Counter[tuple[str, str, Identity]] = Counter()
    for finding in findings:
        key = from_folder(finding["path"], base), finding["code"], identity_of(finding)
        finding["fingerprint"] = fingerprint(*key, seen[key])
        seen[key] += 1


def repository(folder: str) -> str:
    """The repository that the absolute path `folder` is in: as the CI system says, or by its .git; else `folder`."""
    for name in _ROOTS:
        root = os.environ.get(name, "")
        if root and os.path.isabs(root) and _is_in(folder, os.path.normpath(root)):
            return os.path.normpath(root)
    above = folder
    while not os.path.exists(os.path.join(above, ".git")):
        above, below = os.path.dirname(above), above
        if above == below:
            return folder
    return above


def from_folder(path: str, base: str) -> str:
    """The path of a file as seen from the absolute path `base`, with slashes; one that lies elsewhere as it is. What
    is no path, as `<stdin>`, is left alone."""
    if path.startswith("<"):
        return path
    absolute = os.path.abspath(path)
    shown = os.path.relpath(absolute, base) if _is_in(absolute, base) else path
    return shown.replace(os.sep, "/")


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
