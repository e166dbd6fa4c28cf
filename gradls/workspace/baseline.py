"""Findings that are known: a file lists them, and only others are news.

An entry says in which file and function a finding is and what its code is, but not on which line. Of equal findings it
says how many there are.
"""

from __future__ import annotations

import json
import keyword
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gradls.workspace.identity import Identity

VERSION = 1
_WORD = re.compile(r"(?<![\w.])[^\W\d]\w*(?!\w)")


class Known(NamedTuple):
    """A finding without its place. `file` is the path of its file as seen from the baseline's folder, with slashes."""

    file: str
    code: str
    name: str
    identity: Identity


class BadBaseline(Exception):
    """A baseline that cannot be read; the message says why."""


@dataclass(slots=True)
class Baseline:
    """How often each finding is known. `path` is the file that says so, in absolute terms."""

    path: str
    counts: Counter[Known] = field(default_factory=Counter)

    @classmethod
    def read(cls, path: str) -> Baseline:
        """The baseline in the file `path`. FileNotFoundError if there is none, BadBaseline for what is no baseline."""
        if os.path.exists(path) and not os.path.isfile(path):
            raise BadBaseline("it is no file")
        try:
            with open(path, "rb") as file:
                content = json.loads(file.read().decode("utf-8-sig"))
            version = content["version"]
            if version != VERSION:
                raise BadBaseline(f"it is of version {version!r}, and this gradls knows {VERSION}")
            return cls(os.path.abspath(path), Counter(dict(_entries(content))))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BadBaseline(error.strerror or str(error)) from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadBaseline("it is no baseline that gradls has written") from None

    def write(self) -> None:
        """Write it, sorted, a finding a line, so that changes of it can be read and merged. OSError if that fails."""
        files: dict[str, list[str]] = defaultdict(list)
        for known, count in sorted(self.counts.items()):
            entry = {"code": known.code, "name": known.name, **known.identity._asdict(), "count": count}
            files[known.file].append(f"      {json.dumps(entry)}")
        parts = [f"    {json.dumps(file)}: [\n{_lines(entries)}\n    ]" for file, entries in files.items()]
        content = f"{{\n{_lines(parts)}\n  }}" if parts else "{}"
        text = f'{{\n  "version": {VERSION},\n  "findings": {content}\n}}\n'
        with open(self.path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)

    def file_of(self, path: str) -> str:
        """The path of a file as entries have it."""
        absolute, folder = os.path.abspath(path), os.path.dirname(self.path)
        try:
            return os.path.relpath(absolute, folder).replace(os.sep, "/")
        except ValueError:  # on another drive
            return absolute.replace(os.sep, "/")

    def place_of(self, file: str) -> str:
        """The absolute path of the file of an entry."""
        return os.path.normpath(os.path.join(os.path.dirname(self.path), file.replace("/", os.sep)))

    def match(self, found: Sequence[Known]) -> list[Known | None]:
        """For each of `found` the entry that knows it, None for what is new. Each entry knows as many as it counts.

        What is the same in all counts first. Then what has been moved to another function of its file, or whose
        function was renamed; what has other names of variables; and what is in a file that was renamed.
        """
        left = Counter(self.counts)
        matched: list[Known | None] = [None] * len(found)
        for likeness in (_itself, _code, _shape):
            _take(found, matched, left, likeness, sorted(left))
        files = {known.file for known in found}
        renamed = {file for file in {known.file for known in left} - files if not os.path.exists(self.place_of(file))}
        _take(found, matched, left, _elsewhere, [known for known in sorted(left) if known.file in renamed])
        return matched


def _lines(entries: Iterable[str]) -> str:
    return ",\n".join(entries)


def _entries(content: dict[str, Any]) -> Iterable[tuple[Known, int]]:
    for file, entries in content["findings"].items():
        for entry in entries:
            texts = (file, entry["code"], entry["name"], entry["scope"], entry["snippet"])
            count = entry.get("count", 1)
            if not all(isinstance(text, str) for text in texts) or not isinstance(count, int) or count < 1:
                raise ValueError(entry)
            yield Known(file, entry["code"], entry["name"], Identity(entry["scope"], entry["snippet"])), count


def _take(
    found: Sequence[Known],
    matched: list[Known | None],
    left: Counter[Known],
    likeness: Callable[[Known], Hashable],
    among: Iterable[Known],
) -> None:
    """Match what is not matched yet with what is left of the entries `among`, where `likeness` is equal."""
    entries: dict[Hashable, list[Known]] = defaultdict(list)
    for known in among:
        entries[likeness(known)] += [known] * left[known]
    for index, each in enumerate(found):
        alike = entries.get(likeness(each))
        if matched[index] is None and alike:
            matched[index] = known = alike.pop(0)
            left[known] -= 1


def _itself(known: Known) -> Hashable:
    return known.file, known.code, known.identity


def _code(known: Known) -> Hashable:
    return known.file, known.code, known.identity.snippet


def _shape(known: Known) -> Hashable:
    """Without the names of variables and functions; those of attributes stay."""
    shape = _WORD.sub(lambda word: word[0] if keyword.iskeyword(word[0]) else "_", known.identity.snippet)
    return known.file, known.code, known.identity.scope, shape


def _elsewhere(known: Known) -> Hashable:
    return known.code, known.identity
