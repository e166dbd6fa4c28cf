"""Statements that move or get a block of their own: what the helpers write, and what they leave alone."""

from __future__ import annotations

import ast
from functools import partial

import pytest

from gradls.rules import edits
from gradls.rules.finding import Place
from tests.rules.applying import fixed

MOVES = [
    ("a()\nb()\n", "a()", "b()", True, "b()\na()\n"),
    ("a()\nb()\n", "b()", "a()", False, "b()\na()\n"),
    ("a()\nb()", "b()", "a()", False, "b()\na()"),
    ("a()\nb()", "a()", "b()", True, "b()\na()"),
    ("a()\r\n\tb\r\n".replace("\t", ""), "a()", "b", True, "b\r\na()\r\n"),
    (
        "if x:\n\ta()  # so\n\n\tb(\n\t\t1,\n\t)\n",
        "a()",
        "b(\n\t\t1,\n\t)",
        True,
        "if x:\n\n\tb(\n\t\t1,\n\t)\n\ta()  # so\n",
    ),
    ("# of a\n# too\na()\n# of b\nb()\n", "b()", "a()", False, "# of b\nb()\n# of a\n# too\na()\n"),
    ("a()\nc()\nb()\n", "a()", "c()", True, "c()\na()\nb()\n"),
    ("a(); b()\n", "a()", "b()", True, None),
    ("if x: a(); b()\n", "a()", "b()", True, None),
    ("a()\nif x:\n    b()\n", "a()", "b()", True, None),
]


@pytest.mark.parametrize(("text", "one", "other", "behind", "expected"), MOVES)
def test_a_statement_moves_with_its_comments(
    text: str, one: str, other: str, behind: bool, expected: str | None
) -> None:
    def move(at: Place) -> edits.Edits:
        there = next(node for node in ast.walk(at.source.tree) if _is_written(at, node, other))
        return edits.move_statement(at, Place(at.source, there), behind=behind)

    assert fixed(text, one, move) == expected


OUT = [
    ("for x in y:\n    a()\n    return (\n        b\n    )\nc()\n", "for x in y:\n    a()\nreturn (\n    b\n)\nc()\n"),
    ("for x in y:\r\n\ta()\r\n\treturn (\r\n\t\tb)", "for x in y:\r\n\ta()\r\nreturn (\r\n\tb)"),
    ("for x in y:\n    a(); return (\n        b\n    )\n", None),
    ("for x in y:\n    return (\n        b\n    )\n", None),
]


@pytest.mark.parametrize(("text", "expected"), OUT)
def test_a_statement_of_several_lines_moves_out(text: str, expected: str | None) -> None:
    def move(at: Place) -> edits.Edits:
        loop = next(node for node in ast.walk(at.source.tree) if isinstance(node, ast.For))
        return edits.move_out(Place(at.source, loop.body[-1]), Place(at.source, loop))

    assert fixed(text, "b", move) == expected


def _is_written(at: Place, node: ast.AST, text: str) -> bool:
    return isinstance(node, ast.expr) and at.source.segment(node) == text


BLOCKS = [
    (
        "def f():\n    m(False)\n    a()\n    return b\n",
        "def f():\n    with m(False):\n        a()\n        return b\n",
    ),
    ("def f():\n\tm(False)  # off\n\t# then\n\ta()\n", "def f():\n\twith m(False):  # off\n\t\t# then\n\t\ta()\n"),
    (
        "def f():\n    m(False)\n\n    # then\n    a()\n",
        "def f():\n    with m(False):\n\n        # then\n        a()\n",
    ),
    ("def f():\n    m(False)\n    a()", "def f():\n    with m(False):\n        a()"),
    ("def f():\n    m(False); a()\n", None),
    ("def f():\n    m(False)\n", None),
]


@pytest.mark.parametrize(("text", "expected"), BLOCKS)
def test_what_follows_comes_under_a_header(text: str, expected: str | None) -> None:
    assert fixed(text, "m(False)", edits.open_block, "with m(False):") == expected


WRITES = [
    ("w = w - lr * w.grad\n", "w", False, False, "with torch.no_grad():\n    w -= lr * w.grad\n"),
    (
        "if a:\n\tw = w - (\n\t\tlr * w.grad\n\t)  # so\n",
        "w",
        True,
        False,
        "if a:\n\twith torch.no_grad():\n\t\tw -= lr * w.grad\n\t\tw.grad = None  # so\n",
    ),
    ("w = w * 2\r\nb\r\n", "w", True, True, "w *= 2\r\nw.grad = None\r\nb\r\n"),
    ("p = clamp(p, 0, 1)\n", "p", False, True, "p.copy_(clamp(p, 0, 1))\n"),
    ("a = 1; w = w - 1\n", "w", False, False, None),
]


@pytest.mark.parametrize(("text", "name", "cleared", "bare", "expected"), WRITES)
def test_an_update_is_written_in_place(text: str, name: str, cleared: bool, bare: bool, expected: str | None) -> None:
    assert fixed(text, name, partial(edits.assign_in_place, cleared=cleared, bare=bare)) == expected


COPIES = [
    ("import torch\nb = m\n", "import copy\nimport torch\nb = copy.deepcopy(m)\n"),
    ("import copy\nb = m  # best\n", "import copy\nb = copy.deepcopy(m)  # best\n"),
    (
        '"""Best."""\nfrom __future__ import annotations\nimport torch\nb = m\n',
        '"""Best."""\nfrom __future__ import annotations\nimport copy\nimport torch\nb = copy.deepcopy(m)\n',
    ),
    (
        "from copy import deepcopy\r\nb = (m)\r\n",
        "import copy\r\nfrom copy import deepcopy\r\nb = (copy.deepcopy(m))\r\n",
    ),
]


@pytest.mark.parametrize(("text", "expected"), COPIES)
def test_a_copy_comes_with_its_import(text: str, expected: str) -> None:
    assert fixed(text, "m", edits.copy_expression) == expected


def test_a_decorator_comes_under_the_others() -> None:
    text = "class A:\n\t@staticmethod\n\tdef f():\n\t\tpass\n"
    expected = "class A:\n\t@staticmethod\n\t@torch.no_grad()\n\tdef f():\n\t\tpass\n"
    assert fixed(text, "def f():\n\t\tpass", edits.decorate, "torch.no_grad()", "torch") == expected
