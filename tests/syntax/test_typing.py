"""Somebody works on real code for a while: at each keystroke all that is apart from it is as it was."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

import pytest

from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from tests.syntax import typing_simulation as simulation
from tests.syntax.editing import check

FILES = ["nn/modules/rnn.py", "optim/lbfgs.py", "nn/modules/transformer.py"]
Lines = list[str]
Keystrokes = Iterator[Lines]


def replaced(lines: Lines, at: int, line: str) -> Lines:
    return [*lines[:at], line, *lines[at + 1 :]]


def typed_again(lines: Lines, at: int, start: int, end: int, new: str) -> Keystrokes:
    """Backspace over the columns from `start` to `end` of a line, then type something there."""
    line = lines[at]
    for column in range(end - 1, start - 1, -1):
        yield replaced(lines, at, line[:column] + line[end:])
    for length in range(1, len(new) + 1):
        yield replaced(lines, at, line[:start] + new[:length] + line[end:])


def lines_with(lines: Lines, pattern: str) -> list[int]:
    return [index for index, line in enumerate(lines) if re.search(pattern, line)]


def colon(lines: Lines, chance: random.Random) -> Keystrokes:
    """The colon of a header goes and comes back."""
    at = chance.choice(lines_with(lines, r"^\s+(def|if|for|else|with|class)\b.*:$"))
    end = len(lines[at].rstrip())
    yield from typed_again(lines, at, end - 1, end, ":")


def whole_line(lines: Lines, chance: random.Random) -> Keystrokes:
    """A statement is deleted letter by letter and typed again."""
    at = chance.choice(lines_with(lines, r"^\s+\w[\w.]* = .*[\w)]$"))
    text = lines[at].strip()
    start = lines[at].index(text)
    yield from typed_again(lines, at, start, start + len(text), text)


def bracket(lines: Lines, chance: random.Random) -> Keystrokes:
    """A call is begun around the end of a statement, and closed."""
    at = chance.choice(lines_with(lines, r"^\s+\w[\w.]* = \w[\w.]*$"))
    end = len(lines[at].rstrip())
    yield from typed_again(lines, at, end, end, ".detach(a, [b, {c: (d)}])")


def text(lines: Lines, chance: random.Random) -> Keystrokes:
    """Strings are opened and closed."""
    at = chance.choice(lines_with(lines, r"^\s+(return|\w+ =)\b.*\w$"))
    end = len(lines[at].rstrip())
    quote = chance.choice(["'a'", '"it\'s"', "'''a'''", '"""a"""', 'f"{a!r} {b}"'])
    yield from typed_again(lines, at, end, end, f", {quote}")


def indentation(lines: Lines, chance: random.Random) -> Keystrokes:
    """A line moves to the left and to the right."""
    at = chance.choice(lines_with(lines, r"^\s+(def|return|if|for|raise|\w+ =)\b.*"))
    for width in (1, 2, 3, 4):
        yield replaced(lines, at, lines[at][width:])
    for width in (1, 2, 3, 4):
        yield replaced(lines, at, " " * width + lines[at])


def definition(lines: Lines, chance: random.Random) -> Keystrokes:
    """The first line of a function goes, and is typed again."""
    at = chance.choice(lines_with(lines, r"^\s+def \w+\(.*\).*:$"))
    yield [*lines[:at], *lines[at + 1 :]]
    for length in range(len(lines[at])):
        yield replaced(lines, at, lines[at][:length] + "\n")


def class_header(lines: Lines, chance: random.Random) -> Keystrokes:
    """The first line of a class goes, and is typed again."""
    at = chance.choice(lines_with(lines, r"^class \w+.*:$"))
    yield [*lines[:at], *lines[at + 1 :]]
    for length in range(len(lines[at])):
        yield replaced(lines, at, lines[at][:length] + "\n")


def parameters(lines: Lines, chance: random.Random) -> Keystrokes:
    """A parameter more."""
    at = chance.choice(lines_with(lines, r"^\s+def \w+\(self.*\).*:$"))
    end = lines[at].index("self") + 4
    yield from typed_again(lines, at, end, end, ", more: dict[str, int] = {}")


def docstring(lines: Lines, chance: random.Random) -> Keystrokes:
    """A docstring is opened before there is an end of it."""
    at = chance.choice(lines_with(lines, r"^\s+def \w+\(self.*\).*:$")) + 1
    for length in range(1, 20):
        yield [*lines[:at], '        """Says what.\n        """'[:length] + "\n", *lines[at:]]


def column_zero(lines: Lines, chance: random.Random) -> Keystrokes:
    """Typed at the left margin, in the middle of a class."""
    at = chance.choice(lines_with(lines, r"^    def \w+\(self.*\).*:$"))
    for length in range(1, 18):
        yield [*lines[:at], "helper = compute("[:length] + "\n", *lines[at:]]


def snippet(lines: Lines, chance: random.Random) -> Keystrokes:
    """A statement or two."""
    ((at, indent),) = simulation.places("".join(lines), 1, str(chance.random()))
    new = "\n".join(indent + each for each in chance.choice(simulation.TYPED).split("\n"))
    for length in range(len(indent) + 1, len(new) + 1):
        yield [*lines[: at - 1], *split_lines(new[:length] + "\n"), *lines[at - 1 :]]


KINDS: list[Callable[[Lines, random.Random], Keystrokes]] = [
    *(colon, whole_line, bracket, text, indentation, definition, class_header),
    *(parameters, docstring, column_zero, snippet),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FILES)
def test_nothing_else_is_touched(kind: Callable[[Lines, random.Random], Keystrokes], name: str) -> None:
    lines = split_lines((simulation.TORCH / name).read_text(encoding="utf-8"))
    chance = random.Random(f"{name} {kind.__name__}")
    for _ in range(3):
        texts = [*kind(lines, chance), lines]
        for keystroke in simulation.go_through(lines, texts, history=True):
            assert keystroke.kept == 1


def test_a_session_of_edits_ends_as_it_began() -> None:
    lines = split_lines((simulation.TORCH / FILES[1]).read_text(encoding="utf-8"))
    chance = random.Random(0)
    source = Source.read("".join(lines))
    for kind in KINDS:
        for new in kind(lines, chance):
            source.edit(new)
        check(source)
        source.edit(lines)
        assert check(source)
