"""Columns in code points and in the client's units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.server.positions import code_points, to_range, units
from gradls.syntax.source import Span

CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))


@pytest.mark.parametrize("encoding", CODECS)
@given(LINES)
def test_units_are_those_of_the_codec(encoding, line):
    codec, size = CODECS[encoding]
    assert units(line, encoding) == len(line.encode(codec)) // size


@pytest.mark.parametrize("encoding", CODECS)
@given(LINES, st.integers(0, 100), st.sampled_from(["", "\n", "\r\n", "\r"]))
def test_there_and_back(encoding, line, column, end):
    column = min(column, len(line))
    assert code_points(line + end, units(line[:column], encoding), encoding) == column


@pytest.mark.parametrize("encoding", CODECS)
def test_past_the_end_of_a_line_is_its_end(encoding):
    assert code_points("é😀\r\n", 99, encoding) == 2


@pytest.mark.parametrize(("encoding", "characters"), [("utf-8", [0, 0, 0, 0, 1]), ("utf-16", [0, 0, 1, 1, 1])])
def test_inside_a_character_is_its_start(encoding, characters):
    assert [code_points("😀", character, encoding) for character in range(5)] == characters


@pytest.mark.parametrize(("encoding", "start", "end"), [("utf-8", 8, 11), ("utf-16", 5, 7), ("utf-32", 4, 6)])
def test_a_span_after_emoji_and_combining_characters(encoding, start, end):
    lines = ["first\n", "😀e\u0301=éx\n"]
    assert to_range(Span(2, 5, 2, 7), lines, encoding) == {
        "start": {"line": 1, "character": start},
        "end": {"line": 1, "character": end},
    }


def test_the_end_of_a_text_that_ends_with_a_line_end():
    place = to_range(Span(2, 1, 2, 1), ["a\n"], "utf-16")
    assert place["start"] == {"line": 1, "character": 0}
