"""Configuration: `[tool.gradls]` of a pyproject.toml, or a gradls.toml, in a folder or one above it.

A mistake in it is reported with its file and key, and costs that key only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradls.autograd.versions import NEWEST, OLDEST, Version, shown
from gradls.rules.finding import Severity


@dataclass(frozen=True, slots=True)
class Config:
    """What a user can set.

    `select` and `ignore` hold codes, beginnings of codes, names or ALL; an empty `select` is the default set.
    `per_file_ignores` maps a pattern as in .gitignore, relative to `root`, to what is ignored in the files that match.
    `target_torch` is the version that the user's code is meant for; None is the newest that gradls knows.
    `problems` are sentences, each naming the file and key, about what could not be used.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    target_torch: Version | None = None
    root: Path | None = None
    file: Path | None = None
    problems: tuple[str, ...] = ()


def load_config(start: Path) -> Config:
    """The configuration for the file or folder `start`: the nearest one at or above it, or the defaults."""
    start = start.absolute()
    for folder in (start, *start.parents):
        config = _in_folder(folder)
        if config is not None:
            return config
    return Config()


def read_config(file: Path) -> Config:
    """The configuration in `file`, a pyproject.toml or any other TOML file in gradls' own form."""
    return _read(file) or Config(root=file.absolute().parent, file=file)


def config_from(table: Mapping[str, Any], origin: str, root: Path | None = None, file: Path | None = None) -> Config:
    """A configuration from a mapping with the keys of `[tool.gradls]`; `origin` names it in messages."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in table.items():
        entry = _KEYS.get(key)
        if entry is None:
            problems.append(f"{origin}: unknown key `{key}`{_suggestion(key)}")
            continue
        attribute, read = entry
        try:
            values[attribute] = read(value)
        except _WrongValue as wrong:
            problems.append(f"{origin}: `{key}`{wrong.where} must be {wrong.expected}, not {wrong.given}")
    return Config(**values, root=root, file=file, problems=tuple(problems))


def _in_folder(folder: Path) -> Config | None:
    own = folder / "gradls.toml"
    if own.is_file():
        return _read(own)
    project = folder / "pyproject.toml"
    return _read(project) if project.is_file() else None


def _read(file: Path) -> Config | None:
    """None for a pyproject.toml that says nothing about gradls."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    root = file.absolute().parent
    is_project = file.name == "pyproject.toml"
    try:
        table: Any = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return Config(root=root, file=file, problems=(f"{file}: could not be read: {error}",))
    origin = str(file)
    if is_project:
        tools = table.get("tool")
        if not isinstance(tools, dict) or "gradls" not in tools:
            return None
        table, origin = tools["gradls"], f"{file} [tool.gradls]"
        if not isinstance(table, dict):
            return Config(root=root, file=file, problems=(f"{origin}: must be a table",))
    return config_from(table, origin, root, file)


class _WrongValue(Exception):
    def __init__(self, expected: str, given: object, where: str = "") -> None:
        self.expected, self.given, self.where = expected, f"`{given!r}`", where


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise _WrongValue("a list of strings", value)
    return tuple(value)


def _table_of(read: Callable[[object], Any]) -> Callable[[object], dict[str, Any]]:
    def table(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _WrongValue("a table", value)
        result = {}
        for key, item in value.items():
            try:
                result[str(key)] = read(item)
            except _WrongValue as wrong:
                raise _WrongValue(wrong.expected, item, f" at `{key}`") from None
        return result

    return table


def _severity(value: object) -> Severity:
    try:
        return Severity(value)
    except ValueError:
        raise _WrongValue("one of " + ", ".join(severity.value for severity in Severity), value) from None


def _version(value: object) -> Version:
    match = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)?", value) if isinstance(value, str) else None
    if match is None:
        raise _WrongValue('a version in quotes such as "2.1"', value)
    version = int(match[1]), int(match[2])
    if not OLDEST <= version <= NEWEST:
        raise _WrongValue(f"a version of PyTorch from {shown(OLDEST)} to {shown(NEWEST)}", value)
    return version


_KEYS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "select": ("select", _strings),
    "ignore": ("ignore", _strings),
    "per-file-ignores": ("per_file_ignores", _table_of(_strings)),
    "exclude": ("exclude", _strings),
    "severity": ("severity", _table_of(_severity)),
    "target-torch": ("target_torch", _version),
}


def _suggestion(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key.replace("_", "-").lower(), _KEYS, n=1)
    return f"; did you mean `{close[0]}`?" if close else f" (known: {', '.join(sorted(_KEYS))})"
