"""How findings look."""

from __future__ import annotations

import sys

from rich.cells import cell_len

from gradls.cli.records import Record
from gradls.cli.text import print_concise, render

PLACE = {"path": "a.py", "line": 9, "column": 3, "end_line": 9, "end_column": 6}


def finding(**changes: object) -> Record:
    return {
        **PLACE,
        "code": "GRD101",
        "name": "detached-loss",
        "severity": "error",
        "message": "a message",
        "related": [],
        "fixes": [],
        **changes,
    }


def lines(record: Record, excerpts: dict[tuple[str, int], str]) -> list[str]:
    return render(record, excerpts).plain.splitlines()


def test_a_finding():
    text = lines(
        finding(
            related=[{**PLACE, "line": 10, "end_line": 12, "column": 1, "end_column": 2, "message": "then this"}],
            fixes=[{"title": "Write b", "safety": "safe"}, {"title": "Write c", "safety": "suggested"}],
        ),
        {("a.py", 9): "x aaa", ("a.py", 10): "y = f("},
    )
    assert text == [
        "a.py:9:3: error GRD101 detached-loss",
        "  a message",
        "   9 | x aaa",
        "     |   ^^^",
        "  1. then this",
        "  10 | y = f(",
        "     | ------",
        "  fix: Write b",
        "  fix: Write c (suggested)",
    ]


def test_the_mark_stands_below_tabs_and_wide_characters():
    source = "\t宽 = aaa"
    column = source.index("aaa") + 1
    text = lines(finding(column=column, end_column=column + 3), {("a.py", 9): source})
    shown, mark = text[2], text[3]
    assert cell_len(shown[: shown.index("aaa")]) == cell_len(mark[: mark.index("^")])
    assert mark.count("^") == 3


def test_a_story_through_another_file_names_it():
    text = lines(finding(related=[{**PLACE, "path": "b.py", "message": "from here"}]), {})
    assert "  1. from here (b.py)" in text


def test_text_of_others_neither_steers_the_terminal_nor_is_read_as_markup():
    text = lines(finding(message="[red]\x1b[31m `x`"), {("a.py", 9): "\x1b]0;title\x07 aaa"})
    assert text[1] == "  [red]\N{REPLACEMENT CHARACTER}[31m `x`"
    assert "\x1b" not in "".join(text)
    assert "\x07" not in "".join(text)


def test_concise_is_one_line_whatever_the_message(capsys):
    print_concise([finding(message="one\ntwo\x1b")], sys.stdout)
    assert capsys.readouterr().out == "a.py:9:3: error: GRD101 detached-loss: one two\N{REPLACEMENT CHARACTER}\n"
