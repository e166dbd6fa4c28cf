"""Changes of configuration files that leave alone what is not theirs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gradls.syntax.source import Span
from gradls.syntax.text import split_lines
from gradls.workspace.config import OWN_FILE, PROJECT_FILE, Config
from gradls.workspace.toml_places import place_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class NotPossible(Exception):
    """Why a configuration file cannot be changed, for the user to read."""


class Change(NamedTuple):
    """Replace `span` by `text`, whose lines end with \\n."""

    span: Span
    text: str


def file_for(config: Config, path: Path, root: Path | None) -> Path:
    """The configuration file to write to for what concerns the file `path`: that of `config`, or else the next
    pyproject.toml that is not above `root`, or else a gradls.toml, which need not exist, at the root."""
    if config.file is not None:
        return config.file
    for folder in path.absolute().parents:
        project = folder / PROJECT_FILE
        if os.path.isfile(project):
            return project
        if root is None or folder == root or root not in folder.parents:
            break
    return (root or path.absolute().parent) / OWN_FILE


def ignoring(text: str, file: Path, rule: str) -> Change:
    """What adds `rule` to `ignore` in the configuration that `text`, the content of `file`, holds. NotPossible if it is
    not a configuration that can be changed."""
    text = text.replace("\r\n", "\n")
    above = ("tool", "gradls") if file.name == PROJECT_FILE else ()
    try:
        before: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        raise NotPossible(f"{file.name} cannot be read") from None
    wanted = _with(before, above, rule)
    if wanted is None:
        raise NotPossible(f"`ignore` in {file.name} is not a list of rules")
    for candidate in _candidates(text, before, above, rule):
        try:
            if tomllib.loads(candidate) == wanted:
                return _change(text, candidate)
        except (tomllib.TOMLDecodeError, RecursionError):
            pass
    raise NotPossible(f"{file.name} cannot be changed")


def _with(content: dict[str, Any], above: tuple[str, ...], rule: str) -> dict[str, Any] | None:
    """`content` with the rule ignored; None if there is something else in its place."""
    if above:
        inner = content.get(above[0], {})
        changed = _with(inner, above[1:], rule) if isinstance(inner, dict) else None
        return {**content, above[0]: changed} if changed is not None else None
    ignored = content.get("ignore", [])
    if not isinstance(ignored, list) or any(isinstance(each, (dict, list)) for each in ignored):
        return None
    return {**content, "ignore": [*ignored, rule]}


def _candidates(text: str, content: dict[str, Any], above: tuple[str, ...], rule: str) -> Iterator[str]:
    """Texts that may be what is wanted, the one that reads best first."""
    table: Any = content
    for key in above:
        table = table.get(key)
        if table is None:
            break
    line = f"ignore = [{json.dumps(rule)}]\n"
    if table is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        yield f"{text}{gap}[{'.'.join(above)}]\n{line}"
    elif "ignore" not in table:
        lines = split_lines(text)
        # After the last key of the table, or below its header.
        ends = [place_of(text, (*above, key)).value.end_line for key, value in table.items() if _is_plain(value)]
        below = max(ends) if ends else place_of(text, above).value.end_line if above else 0
        gap = "" if not below or lines[below - 1].endswith("\n") else "\n"
        yield "".join([*lines[:below], gap, line, *lines[below:]])
        if above:
            yield f"{text}\n[{'.'.join(above)}]\n{line}"
    if table is not None:
        yield from _with_tomlkit(text, above, rule)


def _is_plain(value: object) -> bool:
    """Whether a value has no header of its own."""
    return not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(v, dict) for v in value))


def _with_tomlkit(text: str, above: tuple[str, ...], rule: str) -> Iterator[str]:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
        table = document
        for key in above:
            table = table[key]
        if "ignore" in table:
            table["ignore"].append(rule)
        else:
            table["ignore"] = [rule]
        yield tomlkit.dumps(document)
    except (TOMLKitError, ValueError, TypeError, KeyError, AttributeError):
        return


def _change(old: str, new: str) -> Change:
    """What makes `new` of `old`: all that is between what they begin and end with in common."""
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    return Change(_span(old, start, len(old) - end), new[start : len(new) - end])


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def _span(text: str, start: int, end: int) -> Span:
    (line, column), (end_line, end_column) = (
        (text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)) for offset in (start, end)
    )
    return Span(line, column, end_line, end_column)
