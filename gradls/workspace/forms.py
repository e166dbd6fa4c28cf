"""The forms that values of a configuration have: each reads a value, says what is wrong with it, and has a schema."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from gradls.autograd.versions import NEWEST, OLDEST, shown
from gradls.rules.registry import all_rules, rules_by_key
from gradls.workspace.selection import EVERYTHING

END = r"$(?!\n)"
"""For Python `$` is also before a line end at the end, for JSON schema it is not."""
RULE = "rule"
"""What the definition of rules is called in schemas."""
LAST_OF_MAJOR = {1: 13}
"""The last minor versions of what is no longer the newest major version of PyTorch."""

Path = tuple[str | int, ...]
"""Keys of tables and indexes of lists, from the table of gradls on."""
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A value that cannot be used, or a key (`at_key`). `instead` is what was probably meant, in TOML; `wants_quotes`
    says that it is what stands there, in quotes."""

    path: Path
    message: str
    at_key: bool = False
    instead: str | None = None
    wants_quotes: bool = False


class Form(Protocol):
    """What a value must be. `words` end the sentence "`key` must be ..."."""

    @property
    def words(self) -> str: ...

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> Any:
        """What `value` stands for. What of it makes no sense is left out and added to `mistakes`; None if nothing is
        left."""

    def schema(self) -> Schema:
        """A JSON schema of exactly what can be read without a mistake."""


@dataclass(frozen=True, slots=True)
class RuleName:
    """A code, the beginning of some codes, a name, or ALL."""

    words: str = "a rule"

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> str | None:
        if not isinstance(value, str):
            mistakes.append(_wrong(path, "the name or code of a rule", value))
            return None
        if value not in _selectors():
            mistakes.append(_unknown_rule(value, path))
        return value

    def schema(self) -> Schema:
        return {"$ref": f"#/definitions/{RULE}"}

    @staticmethod
    def definition() -> Schema:
        """What `schema` refers to: it is long."""
        return {"enum": list(_selectors())}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that matches `expression`, which JSON schemas understand, too; `words` say what that is."""

    words: str
    expression: str

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> str | None:
        if not isinstance(value, str) or not _matches(self.expression, value):
            mistakes.append(_wrong(path, self.words, value))
            return None
        return value

    def schema(self) -> Schema:
        return {"type": "string", "pattern": self.expression}


IGNORED = Pattern("a pattern as in .gitignore", rf"^(?!!\s*$)([^\\\n]|\\[^\s/])*{END}")
FILE_PATH = Pattern("the path of a file", rf"^[^\x00\n]*[^\x00\s][^\x00\n]*{END}")


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of things of one form."""

    of: Form
    words: str

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> tuple[Any, ...] | None:
        if not isinstance(value, (list, tuple)):
            mistakes.append(_wrong(path, self.words, value, as_list=True))
            return None
        items = [self.of.read(item, (*path, index), mistakes) for index, item in enumerate(value)]
        return tuple(item for item in items if item is not None)

    def schema(self) -> Schema:
        return {"type": "array", "items": self.of.schema()}


@dataclass(frozen=True, slots=True)
class TableOf:
    """A table from things of one form to things of another."""

    keys: Form
    of: Form
    words: str

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> dict[str, Any] | None:
        if not isinstance(value, Mapping):
            mistakes.append(_wrong(path, self.words, value))
            return None
        found = {}
        for key, item in value.items():
            of_key: list[Mistake] = []
            name = self.keys.read(key, (*path, str(key)), of_key)
            mistakes += [dataclasses.replace(each, at_key=True) for each in of_key]
            read = self.of.read(item, (*path, str(key)), mistakes)
            if name is not None and read is not None:
                found[name] = read
        return found

    def schema(self) -> Schema:
        return {"type": "object", "propertyNames": self.keys.schema(), "additionalProperties": self.of.schema()}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    values: Mapping[str, Any]

    @property
    def words(self) -> str:
        return f"one of {', '.join(self.values)}"

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> Any:
        if isinstance(value, str) and value in self.values:
            return self.values[value]
        instead = nearest(value, self.values) if isinstance(value, str) else None
        mistakes.append(_wrong(path, self.words, value, instead))
        return None

    def schema(self) -> Schema:
        return {"enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class TorchVersion:
    """A version of PyTorch that gradls knows, as text: 2.10 as a number would be 2.1."""

    words: str = f'a version of PyTorch in quotes, from "{shown(OLDEST)}" to "{shown(NEWEST)}"'
    expression: str = field(default_factory=lambda: _versions_expression())

    def read(self, value: object, path: Path, mistakes: list[Mistake]) -> tuple[int, int] | None:
        if not isinstance(value, str) or not _matches(self.expression, value):
            # Whether it was 2.1 or 2.10, the text knows.
            is_number = isinstance(value, float) and _matches(self.expression, str(value))
            mistakes.append(dataclasses.replace(_wrong(path, self.words, value), wants_quotes=is_number))
            return None
        major, minor = value.split(".")[:2]
        return int(major), int(minor)

    def schema(self) -> Schema:
        return {"type": "string", "pattern": self.expression}


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was probably meant to be."""
    from difflib import get_close_matches

    by_form = {each.lower().replace("_", "-"): each for each in known}
    close = get_close_matches(word.lower().replace("_", "-"), by_form, n=1)
    return by_form[close[0]] if close else None


def in_words(path: Path) -> str:
    """Where that is: `severity` at `GRD1`."""
    first, *others = path or ("the table",)
    return f"`{first}`" + "".join(
        f" at `{part}`" if isinstance(part, str) else f", number {part + 1}," for part in others
    )


@cache
def _selectors() -> dict[str, None]:
    """Everything that names a rule, in the order in which editors should offer it."""
    codes = [rule.code for rule in all_rules()]
    beginnings = {code[:length]: None for length in range(4, 6) for code in codes}
    shorter = {code[:length]: None for length in range(1, 4) for code in codes}
    names = dict.fromkeys(rule.name for rule in all_rules())
    return {EVERYTHING: None, **beginnings, **names, **dict.fromkeys(codes), **shorter}


def _unknown_rule(value: str, path: Path) -> Mistake:
    folded = value.strip().upper()
    for selector in _selectors():
        if selector.upper() == folded:
            return Mistake(path, f"`{value}` is written `{selector}`", instead=_quoted(selector))
    near = nearest(value, [*rules_by_key(), EVERYTHING])
    return Mistake(path, f"no rule is called `{value}`{meant(near)}", instead=_quoted(near))


def _wrong(path: Path, words: str, value: object, near: str | None = None, as_list: bool = False) -> Mistake:
    given = repr(value)
    given = given if len(given) <= 60 else f"{given[:56]} ..."
    instead = f"[{_quoted(value)}]" if as_list and isinstance(value, str) else _quoted(near)
    return Mistake(path, f"{in_words(path)} must be {words}, not `{given}`{meant(near)}", instead=instead)


def _quoted(text: str | None) -> str | None:
    return json.dumps(text, ensure_ascii=False) if text is not None else None


def meant(instead: str | None) -> str:
    return f"; did you mean `{instead}`?" if instead else ""


def _matches(expression: str, text: str) -> bool:
    return re.search(expression, text) is not None


def _versions_expression() -> str:
    majors: list[str] = []
    for major in range(OLDEST[0], NEWEST[0] + 1):
        last = NEWEST[1] if major == NEWEST[0] else LAST_OF_MAJOR[major]
        first = OLDEST[1] if major == OLDEST[0] else 0
        majors.append(rf"{major}\.({'|'.join(str(minor) for minor in range(first, last + 1))})")
    return rf"^({'|'.join(majors)})(\.[0-9]+)?{END}"
