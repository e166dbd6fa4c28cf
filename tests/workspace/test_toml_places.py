"""Where the values of TOML documents stand: the part of the text that is found has the value in it."""

from __future__ import annotations

import string
import sys
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from gradls.syntax.source import Span
from gradls.workspace.toml_places import place_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCUMENT = '''\
# a comment with [brackets] and "quotes
title = "TOML # no comment"
"quoted key".'b' = 1  # a
when = 1979-05-27 07:32:00 # local
empty = ""
[tool.gradls]
ignore = [ # [ ]
  "GRD1", 'a"b',  # x ]
  """many
lines \\""" "quotes\\"""",
  {a = 1, b.c = [[], {}]},
]
[tool.gradls.severity]  # the end
GRD1 = "hint"
[[fruits]]
name = "apple"
[[fruits.kinds]]
k = '''
DOCUMENT += "'''a\nb''c'''\n[[fruits]]\nname = 'pear'\n[[fruits.kinds]]\nk = 2\n[[fruits.kinds]]\nk = +3e2\n"


def part(text: str, span: Span) -> str:
    lines = text.split("\n")
    chosen = lines[span.line - 1 : span.end_line]
    chosen[-1] = chosen[-1][: span.end_column - 1]
    chosen[0] = chosen[0][span.column - 1 :]
    return "\n".join(chosen)


def paths(value: Any, path: tuple = ()) -> list[tuple[tuple, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value)] + [found for key, item in items for found in paths(item, (*path, key))]


def check(text: str) -> None:
    for path, value in paths(tomllib.loads(text))[1:]:
        place = place_of(text, path)
        if place.key is not None:
            name = next(part for part in reversed(path) if isinstance(part, str))
            assert tomllib.loads(f"{part(text, place.key)} = 1") == {name: 1}
        else:
            assert isinstance(path[-1], int)
        # A table may have a header, or no place of its own.
        if not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(v, dict) for v in value)):
            assert tomllib.loads(f"x = {part(text, place.value)}")["x"] == value


def test_a_document_with_everything():
    check(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("tool", "gradls", "severity"), "[tool.gradls.severity]"),
        (("tool", "gradls", "severity", "GRD1"), '"hint"'),
        (("tool", "gradls", "ignore", 1), "'a\"b'"),
        (("tool", "gradls", "nothing"), "[tool.gradls]"),
        (("fruits", 1, "kinds", 1, "k"), "+3e2"),
        (("when",), "1979-05-27 07:32:00"),
        (("nothing",), ""),
    ],
)
def test_some_places(path: tuple, found: str):
    assert part(DOCUMENT, place_of(DOCUMENT, path).value) == found


@pytest.mark.parametrize("text", ["[", "a = ", "a = [", '"', "a.", "[[x]", "=", "a = {b"])
def test_what_is_no_toml_is_no_trouble(text: str):
    assert place_of(text, ("a",)).value.line == 1


TEXTS = st.text(string.printable + "äß😀", max_size=8)
SCALARS = st.one_of(TEXTS, st.integers(-9, 99), st.booleans(), st.floats(-9, 9))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3), st.lists(st.dictionaries(TEXTS, inner))
    ),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_any_document(content: dict[str, Any]):
    check(tomlkit.dumps(content))
