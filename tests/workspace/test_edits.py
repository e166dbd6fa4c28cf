"""Edits, applied and compared."""

from __future__ import annotations

from gradls.rules.finding import TextEdit
from gradls.syntax.source import Source, Span
from gradls.workspace.edits import apply_edits, breaks_syntax, compatible


def edit(line: int, column: int, end_line: int, end_column: int, text: str) -> TextEdit:
    return TextEdit("a.py", Span(line, column, end_line, end_column), text)


def test_several_at_once_with_all_line_ends_and_wide_characters():
    text = "ä = 'ü'\r\nb𝒳 = 1\rc = 2\n"
    edits = [edit(1, 5, 1, 8, "3"), edit(2, 6, 2, 7, "44"), edit(3, 1, 3, 1, "# c\n"), edit(4, 1, 4, 1, "d = 5\n")]
    assert apply_edits(text, edits) == "ä = 3\r\nb𝒳 = 44\r# c\nc = 2\nd = 5\n"
    assert apply_edits(text, edits) == apply_edits(text, edits[::-1])


def test_an_edit_over_lines_and_one_at_the_end_of_a_text_without_a_line_end():
    assert apply_edits("a\nb\nc", [edit(1, 1, 3, 1, "")]) == "c"
    assert apply_edits("a", [edit(1, 2, 1, 2, "b")]) == "ab"
    assert apply_edits("", [edit(1, 1, 1, 1, "b")]) == "b"


def test_compatible():
    one = [edit(1, 3, 1, 6, "x")]
    assert compatible(one, [edit(1, 6, 1, 8, "y")])
    assert compatible(one, one)
    assert compatible(one, [TextEdit("b.py", Span(1, 3, 1, 6), "y")])
    assert not compatible(one, [edit(1, 5, 1, 8, "y")])
    assert not compatible(one, [edit(1, 3, 1, 3, "y")])
    assert not compatible(one, [edit(1, 1, 2, 1, "y")])
    assert not compatible([edit(1, 1, 1, 1, "x")], [edit(1, 1, 1, 1, "y")])


def test_breaks_syntax():
    whole, broken = Source.read("a = b()\n"), Source.read("a = b(\n")
    assert breaks_syntax(whole, [edit(1, 7, 1, 8, "")])
    assert not breaks_syntax(whole, [edit(1, 5, 1, 8, "2")])
    assert not breaks_syntax(broken, [edit(1, 5, 1, 6, "")])
