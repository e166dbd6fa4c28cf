"""Comments that silence findings."""

from __future__ import annotations

import sys

import pytest

from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from gradls.workspace.suppression import Suppressions
from tests.workspace.findings import finding_at


def silenced(text: str, line: int = 1, before: str | None = None) -> bool:
    source = Source.read(text if before is None else before, "a.py")
    source.edit(split_lines(text))
    return not Suppressions(source).apply([finding_at(source, line)])


@pytest.mark.parametrize(
    "comment",
    [
        "# gradls: ignore",
        "#gradls:ignore",
        "# GRADLS: Ignore",
        "# gradls: ignore[GRD101]",
        "# gradls: ignore[detached-loss]",
        "# gradls: ignore[GRD999, detached-loss]",
        "# gradls: ignore [grd101] it is meant so",
        "# noqa: E501  # gradls: ignore[GRD101]",
        "# type: ignore[x] # gradls: ignore[GRD1x] # gradls: ignore[GRD101]",
    ],
)
def test_silences(comment: str):
    assert silenced(f"f(x)  {comment}\n")


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "# gradls: ignore[GRD102]",
        "# gradls: ignored",
        "# gradls ignore",
        "# noqa",
        "# type: ignore",
        "# please gradls: ignore",
    ],
)
def test_does_not_silence(comment: str):
    assert not silenced(f"f(x)  {comment}\n")


def test_text_in_a_string_is_no_comment():
    assert not silenced('f("# gradls: ignore")\n')
    assert not silenced('f("""\n# gradls: ignore\n""")\n')
    assert not silenced('f("# gradls: ignore-file")\n')


def test_a_comment_after_such_a_string():
    assert silenced('f("# gradls: ignore[GRD102]")  # gradls: ignore\n')


def test_first_and_last_line_but_none_between_or_beside():
    lines = ["f(", "    a,", "    b,", ")", "g()"]
    for number, expected in enumerate([True, False, False, True, False]):
        text = "\n".join(line + ("  # gradls: ignore" if i == number else "") for i, line in enumerate(lines))
        assert silenced(text + "\n") is expected, number


def test_inside_functions_and_classes():
    text = "import x\n\n\nclass A:\n    def f(self):\n        '''# gradls: ignore'''\n        g(x)  # gradls: ignore\n"
    assert silenced(text, 7)
    assert not silenced(text.replace("  # gradls: ignore", ""), 7)


def test_several_statements_on_a_line():
    assert silenced("a = 1; f(x)  # gradls: ignore\n")
    assert silenced("if a: f(x)  # gradls: ignore\n")


def test_the_whole_file():
    assert silenced("f(x)\n\n\n# gradls: ignore-file\n")
    assert silenced("# gradls: ignore-file[GRD101]\nf(x)\n", 2)
    assert not silenced("# gradls: ignore-file[GRD2]\nf(x)\n", 2)


def test_line_ends_of_all_kinds():
    assert silenced("a = 1\r\nf(x)  # gradls: ignore\r\n", 2)
    assert silenced("a = 1\rf(x)  # gradls: ignore\rb = 2\r", 2)
    assert not silenced("a = 1\r\nf(x)\r\nb  # gradls: ignore\r\n", 2)
    assert silenced("a = '\x0c\u2028'\nf(x)  # gradls: ignore\n", 2)


@pytest.mark.parametrize("broken", ["y = (", "y = '''", "  y = 1", "def", "y = 'open", "y = $"])
def test_a_broken_line_elsewhere_changes_nothing(broken: str):
    before = "def g():\n    a = 1\n    f(x)  # gradls: ignore\n    b = 2\n"
    text = f"def g():\n    a = 1\n    f(x)  # gradls: ignore\n    {broken}\n"
    assert silenced(text, 3, before)


def test_a_large_file_costs_little():
    body = "\n".join(f"def f{n}(x):\n    y = x * {n}  # gradls: ignore\n    return y\n" for n in range(1500))
    source = Source.read(body, "a.py")
    finding = finding_at(source, 2999)
    Suppressions(source).apply([finding])
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(event))
    Suppressions(source).apply([finding])
    sys.setprofile(None)
    assert len(calls) < 1000
