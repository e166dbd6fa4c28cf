"""Configuration: `[tool.gradls]` of a pyproject.toml, or a gradls.toml, in a folder or one above it.

A mistake in it is a `Problem`, which says where it stands, and costs the value in which it is. `options.py` says what
the keys are.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradls.autograd.versions import Version
from gradls.rules.finding import Severity
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines

if TYPE_CHECKING:
    from gradls.workspace.forms import Mistake

PROJECT_FILE, OWN_FILE = "pyproject.toml", "gradls.toml"


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be used of a configuration.

    `message` is a sentence that names the key, `span` its place in the text of `file`; both are None where there is no
    file. `instead` is what was probably meant, in place of what is at `span`. `is_fatal`: all of the file is lost.
    """

    message: str
    file: Path | None = None
    span: Span | None = None
    instead: str | None = None
    is_fatal: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """What a user can set.

    `select` and `ignore` hold codes, beginnings of codes, names or ALL; an empty `select` is the default set.
    `per_file_ignores` maps a pattern as in .gitignore, relative to `root`, to what is ignored in the files that match.
    `target_torch` is the version that the user's code is meant for; None is the newest that gradls knows. `hints` are
    those that an editor shows; None where nobody says. `baseline` is the path, as seen from `root`, of a file with
    findings that are known.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    target_torch: Version | None = None
    hints: str | None = None
    baseline: str | None = None
    root: Path | None = None
    file: Path | None = None
    problems: tuple[Problem, ...] = ()


def load_config(start: Path) -> Config:
    """The configuration for the file or folder `start`: the nearest one at or above it, or the defaults."""
    start = start.absolute()
    for folder in (start, *start.parents):
        for name in (OWN_FILE, PROJECT_FILE):
            file = folder / name
            config = _read(file) if os.path.isfile(file) else None
            if config is not None:
                return config if name == PROJECT_FILE else _with_unused(config, folder / PROJECT_FILE)
    return Config()


def read_config(file: Path) -> Config:
    """The configuration in `file`, a pyproject.toml or any other TOML file in gradls' own form."""
    return _read(file, is_chosen=True) or Config(root=file.absolute().parent, file=file)


def config_from(table: Mapping[str, Any]) -> Config:
    """A configuration from a mapping with the keys of `[tool.gradls]` that is in no file."""
    from gradls.workspace.options import read_options

    values, mistakes = read_options(table)
    return Config(**values, problems=tuple(Problem(mistake.message) for mistake in mistakes))


def config_in(text: str, file: Path, is_chosen: bool = False) -> Config | None:
    """The configuration that `text` is, as the content of `file`; None for a pyproject.toml that says nothing about
    gradls. Unless somebody has chosen it, one beside a gradls.toml does not count, which is a problem."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    root = file.absolute().parent
    try:
        table: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        from gradls.workspace.toml_places import place_of_error

        reason = re.sub(r" \(at .*\)$", "", str(error))
        problem = Problem(f"could not be read: {reason}", file, place_of_error(text, str(error)), is_fatal=True)
        return Config(root=root, file=file, problems=(problem,))
    above: tuple[str, ...] = ()
    if file.name == PROJECT_FILE:
        tools = table.get("tool")
        if not isinstance(tools, dict) or "gradls" not in tools:
            return None
        table, above = tools["gradls"], ("tool", "gradls")
        if not is_chosen and os.path.isfile(root / OWN_FILE):
            return _config({}, text, file, above, f"not used: the {OWN_FILE} beside it counts")
    return _config(table, text, file, above)


def _config(table: object, text: str, file: Path, above: tuple[str, ...], objection: str | None = None) -> Config:
    from gradls.workspace.forms import Mistake
    from gradls.workspace.options import read_options

    values: dict[str, Any] = {}
    mistakes = [Mistake((), objection)] if objection else []
    if isinstance(table, dict):
        values, found = read_options(table)
        mistakes += found
    else:
        mistakes.append(Mistake((), "`tool.gradls` must be a table"))
    problems = tuple(_problem(mistake, text, file, above) for mistake in mistakes)
    return Config(**values, root=file.absolute().parent, file=file, problems=problems)


def _problem(mistake: Mistake, text: str, file: Path, above: Sequence[str]) -> Problem:
    from gradls.workspace.toml_places import place_of

    place = place_of(text, (*above, *mistake.path))
    span = place.key if mistake.at_key and place.key else place.value
    instead = mistake.instead
    if mistake.wants_quotes and span.line == span.end_line:
        instead = f'"{split_lines(text)[span.line - 1][span.column - 1 : span.end_column - 1]}"'
    return Problem(mistake.message, file, span, instead)


def _with_unused(config: Config, beside: Path) -> Config:
    """`config`, with the problem of a configuration beside it that does not count."""
    other = _read(beside) if os.path.isfile(beside) else None
    if other is None or any(problem.is_fatal for problem in other.problems):
        return config
    return dataclasses.replace(config, problems=(*config.problems, *other.problems))


def _read(file: Path, is_chosen: bool = False) -> Config | None:
    """None for a pyproject.toml that says nothing about gradls."""
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        return _unreadable(file, error.strerror or str(error), 1)
    except UnicodeDecodeError as error:
        return _unreadable(file, f"byte {data[error.start]:#04x} is not UTF-8", data.count(b"\n", 0, error.start) + 1)
    return config_in(text.replace("\r\n", "\n"), file, is_chosen)


def _unreadable(file: Path, reason: str, line: int) -> Config:
    problem = Problem(f"could not be read: {reason}", file, Span(line, 1, line, 1), is_fatal=True)
    return Config(root=file.absolute().parent, file=file, problems=(problem,))
