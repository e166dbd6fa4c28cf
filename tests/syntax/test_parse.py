"""Broken texts: what is left out, and that everything else stays where it is."""

from __future__ import annotations

import ast
import gc
import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from tests.syntax import typing_simulation as simulation


def kept(*texts: str) -> tuple[str, list[int]]:
    """What the tree says, and the lines of the problems."""
    source = read(*texts)
    return ast.unparse(source.tree), [problem.line for problem in source.problems]


def names(source: Source) -> set[str]:
    """Every name with where it stands, as the text at its span; they must agree."""
    found = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name):
            assert source.segment(node) == node.id
            found.add(node.id)
    return found


WITHOUT_HISTORY = [
    ("x = (\ny = 2\n", "pass\ny = 2", [1]),
    ("x = = 1\ny = 2\nz = = 3\n", "pass\ny = 2\npass", [1, 3]),
    (
        "def f():\n    x = '''abc\n    y\ndef g():\n    '''doc'''\n",
        'def f():\n    pass\n    y\n\ndef g():\n    """doc"""',
        [2],
    ),
    ("class A(B\n    def f(self): pass\n", "class A(B):\n\n    def f(self):\n        pass", [1]),
    ("def f(a, b\n    return a\n", "def f(a, b):\n    return a", [1]),
    ("def f(a, b=:\n    return a\n", "def f(*args, **kwargs):\n    return a", [1]),
    ("for x in y\n    x\nz\n", "for x in y:\n    x\nz", [1]),
    ("if x:\n    y = = 1\nelse:\n    z\n", "if x:\n    pass\nelse:\n    z", [2]),
    (
        "try:\n    a b\nexcept E:\n    c\nfinally:\n    d e\n",
        "try:\n    pass\nexcept E:\n    c\nfinally:\n    pass",
        [2, 6],
    ),
    ("if x:\ny\n", "pass\ny", [1]),
    ("@a\n@b(\n  1)\ndef f():\n    x y\n    z\n", "@a\n@b(1)\ndef f():\n    pass\n    z", [5]),
    ("print 1\nx\nexec 'a' in b\n", "pass\nx\npass", [1, 3]),
    ("x = '''\n(\ntext\n'''\ny z\nw\n", "x = '\\n(\\ntext\\n'\npass\nw", [5]),
    ("x = [\n1,\n2,\n]\ny z\n", "x = [1, 2]\npass", [5]),
    ("<<<<<<< a\nx = 1\n=======\nx = 2\n>>>>>>> b\n", "pass\nx = 1\npass\nx = 2\npass", [1, 3, 5]),
    ("\tx\ny\n", "pass\ny", [1]),
    ("if a:\n\tx y\n\tz\n", "if a:\n    pass\n    z", [2]),
    ("x = 1\\", "pass", [1]),
    ("class A:\n    a\n   \tb\n    c\n", "class A:\n    pass\n    c", [3]),
    ("class A:\n    a\n  def f():\n      b\n    c\nd\n", "class A:\n    a\n    pass\n    c\nd", [3]),
    ("f(\r\ny\r\n", "pass\ny", [1]),
    ("a\0b\nc\n", "pass\nc", [1]),
]


@pytest.mark.parametrize(("text", "expected", "lines"), WITHOUT_HISTORY)
def test_without_history(text: str, expected: str, lines: list[int]) -> None:
    assert kept(text) == (expected, lines)


def test_what_python_says_is_said() -> None:
    (problem,) = Source.read("a\nx = (\nb\n").problems
    assert (problem.line, problem.message) == (2, "'(' was never closed")
    (first, second) = Source.read("a b\nx = '''\n").problems
    assert first.message == "invalid syntax"
    assert second.message == "unterminated triple-quoted string literal"


def test_a_byte_order_mark_moves_nothing() -> None:
    source = Source.read("\ufeffé = ü.detach()\nx y\n")
    assert names(source) == {"é", "ü"}
    assert [problem.line for problem in source.problems] == [2]


def test_what_utf8_cannot_hold() -> None:
    source = Source.read("s = '\ud800'; é = t\n")
    assert names(source) == {"s", "é", "t"}
    assert not source.problems


@pytest.mark.parametrize(
    "text", ["(" * 500, "-" * 200_000 + "1", "x" + ".y" * 100_000, "[" * 100 + "]" * 100, "f(" * 150]
)
def test_what_is_nested_too_deeply_costs_itself(text: str) -> None:
    source = Source.read(f"a\nx = {text}\nb\n")
    assert {"a", "b"} <= {node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)}


def test_python_does_not_warn_of_user_code() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not Source.read("x = '\\d'\nx is 1\n").problems


def test_an_empty_text_and_one_of_nothing_but_mistakes() -> None:
    assert kept("") == ("", [])
    assert kept(")") == ("pass", [1])


WITH_HISTORY = [
    # While a line is broken, its older form stands in for it.
    ("a\nf(x)\nb\n", "a\nf(x\nb\n", "a\nf(x)\nb", [2]),
    ("with g:\n    a\nb\n", "with g.:\n    a\nb\n", "with g:\n    a\nb", [1]),
    (
        "class A(B):\n    def f(self): pass\n",
        "class A(:\n    def f(self): pass\n",
        "class A(B):\n\n    def f(self):\n        pass",
        [1],
    ),
    (
        "def f():\n    '''doc'''\n    a\nb\n",
        "def f():\n    '''doc''\n    a\nb\n",
        'def f():\n    """doc"""\n    a\nb',
        [2],
    ),
    # What is new is left out.
    ("a\nb\n", "a\nfor x in y\nb\n", "a\nb", [2]),
    ("def f():\n    a\n\nb\n", "def f():\n    a\n    x = '''\nb\n", "def f():\n    a\nb", [3]),
    ("f(\n    a,\n    b,\n)\nc\n", "f(\n    a,\n    d e\n    b,\n)\nc\n", "f(a, b)\nc", [3]),
    # Where lines have gone the statement that they were part of goes.
    ("a\nf(\n    b,\n)\nc\n", "a\nf(\n    b,\nc\n", "a\npass\nc", [2]),
    ("def f():\n    a\n\nb\n", "def f():\n\nb\n", "def f():\n    pass\nb", [1]),
    ("if x:\n    a\nb\n", "if x:\nb\n", "if x:\n    pass\nb", [1]),
    ("a\nfor x in y:\n    b\n    c\nd\n", "a\n    b\n    c\nd\n", "a\npass\nd", [2]),
]


@pytest.mark.parametrize(("old", "new", "expected", "lines"), WITH_HISTORY)
def test_with_history(old: str, new: str, expected: str, lines: list[int]) -> None:
    found, at = kept(old, new)
    assert found == expected
    assert len(at) == len(lines)


def read(*texts: str) -> Source:
    """A text that is edited to become one after the other."""
    source = Source.read(texts[0])
    for text in texts[1:]:
        source.edit(split_lines(text))
    return source


def test_a_mistake_stays_left_out_while_something_else_is_typed() -> None:
    source = read("a\nb\nc\n", "a\nb(\nc\n", "a\nb(\nc.d\n", "new\na\nb(\nc.d\n")
    assert ast.unparse(source.tree) == "new\na\nb\nc.d"
    assert [problem.line for problem in source.problems] == [3]


def test_two_mistakes_and_one_mended() -> None:
    texts = ["a\nb\nc\n", "a(\nb\nc\n", "a(\nb\nc(\n"]
    source = read(*texts)
    assert ast.unparse(source.tree) == "a\nb\nc"
    assert [problem.line for problem in source.problems] == [1, 3]
    source = read(*texts, "a()\nb\nc(\n")
    assert ast.unparse(source.tree) == "a()\nb\nc"
    assert [problem.line for problem in source.problems] == [3]
    assert not read(*texts, "a()\nb\nc(\n", "a()\nb\nc()\n").problems


def test_lines_typed_after_an_open_bracket() -> None:
    source = read("a\nb\n", "a\nf(\nb\n", "a\nf(\n  \nb\n", "a\nf(\n  x\nb\n", "a\nf(\n  x,\nb\n")
    assert ast.unparse(source.tree) == "a\nb"
    assert ast.unparse(read("a\nb\n", "a\nf(\nb\n", "a\nf(\n)\nb\n").tree) == "a\nf()\nb"


def test_a_text_opened_broken_gets_its_statements_back_one_by_one() -> None:
    source = read("a b\nc d\ne\n", "a\nc d\ne\n")
    assert ast.unparse(source.tree) == "a\npass\ne"
    assert [problem.line for problem in source.problems] == [2]


def test_a_large_change_is_looked_at_statement_by_statement() -> None:
    many = "".join(f"x{i}\n" for i in range(200))
    source = read("a\n", many.replace("x100\n", "x100 y\n"))
    assert len(source.tree.body) == 200
    assert [problem.line for problem in source.problems] == [101]
    wild = "def f():\n" + "".join(f"    x{i}\n" for i in range(30)) + "    x y\n" + "    z\n" * 20
    assert ast.unparse(read("a\n", wild).tree).count("z") == 20


def test_columns_of_an_older_form_stay_on_the_line() -> None:
    source = read("with some_long_name.of_a_manager():\n    a\n", "with s(\n    a\n")
    for node in ast.walk(source.tree):
        if hasattr(node, "lineno"):
            line, column, end_line, end_column = source.span(node)
            assert column <= len(source.lines[line - 1]) + 1
            assert end_column <= len(source.lines[end_line - 1]) + 1


def test_nothing_is_left_to_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        source = read("a\nf(x)\nb\n", "a\nf(x\nb\n", "a\nx = (\n")
        assert source.problems
        del source
        assert gc.collect() == 0
    finally:
        gc.enable()


@settings(max_examples=300)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_any_text_has_a_tree(texts: list[str]) -> None:
    source = read(*texts)
    assert isinstance(source.tree, ast.Module)
    for node in ast.walk(source.tree):
        if hasattr(node, "lineno"):
            span = source.span(node)
            assert 1 <= span.line <= span.end_line <= len(source.lines)


def test_typing_into_real_code_costs_nothing_elsewhere() -> None:
    path = simulation.TORCH / "nn/modules/pixelshuffle.py"
    text = path.read_text(encoding="utf-8")
    chosen = random.Random(0).sample(simulation.TYPED, 4)
    for number, (line, indent) in enumerate(simulation.places(text, 4, path.name)):
        for keystroke in simulation.type_in(text, line, indent, chosen[number], history=True):
            assert keystroke.kept == 1


@pytest.mark.parametrize("history", [True, False])
def test_breaking_real_code_costs_nothing_elsewhere(history: bool) -> None:
    text = simulation.FILES[1].read_text(encoding="utf-8")
    results = [simulation.mutate(text, str(number), history).kept for number in range(15)]
    assert sum(results) / len(results) > (0.999 if history else 0.97)
