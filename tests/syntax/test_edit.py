"""A text that is edited in place has the tree of a text that is read, and what was not touched is still there."""

from __future__ import annotations

import ast

import pytest

from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from tests.syntax.editing import body_of, check, names

TEXT = '''import x

@decorated
class A(B):
    """Members."""
    # a comment
    y = 1

    def f(self, a=(1,
                   2)):
        return 1

    def g(self):
        z = """
text
"""
        return z


def h():
    pass
'''


def edited(old: str, new: str) -> tuple[Source, set[str]]:
    """`TEXT` with the first `old` replaced, and the names of what has another body."""
    source = Source.read(TEXT)
    assert old in TEXT
    edit = source.edit(split_lines(TEXT.replace(old, new, 1)))
    assert edit.moved
    check(source)
    return source, {names(node) for node in edit.blocks}


@pytest.mark.parametrize(
    ("old", "new", "blocks"),
    [
        ("return 1", "return 12", {"f"}),
        ("return z", "return z + 1", {"g"}),
        ("text", "texts", {"g"}),
        ("    pass", "    return", {"h"}),
        ("return 1\n", "return 1\n\n    def new(self):\n        return 3\n", {"A"}),
        ("    y = 1\n", "", {"A"}),
        ("y = 1", "y = 2", {"A"}),
        ("2)):", "3)):", {"A"}),
        ("def g", "def k", {"A"}),
        ("class A(B)", "class A(C)", {"module"}),
        ("@decorated", "@decorating", {"module"}),
        ("import x\n", "import x\nimport y\n", {"module"}),
        ("    return z\n", "    return z\n\nclass E: pass\n", {"module"}),
        # Of no meaning.
        ("return 1", "return (1)", set()),
        ("return 1", "return 1  # one", set()),
        ("return 1\n", "return 1\n\n\n\n", set()),
        ("# a comment", "# another\n    # one", set()),
        ("    # a comment\n", "", set()),
        ("import x\n", "# a comment\n\nimport x\n", set()),
        ("(1,\n                   2)", "(1, 2)", set()),
        ("class A(B)", "class A(\n    B\n)", set()),
        ("    return z\n", "    return z;\n", set()),
    ],
)
def test_what_has_another_body(old: str, new: str, blocks: set[str]) -> None:
    assert edited(old, new)[1] == blocks


BROKEN = [
    ("return 1", "return f("),
    ("return 1", "return 'f"),
    ("return 1", 'return """f'),
    ("return 1", "return [1, (2]"),
    ("        return 1", "      return 1\n    x ="),
    ("        return 1\n", "        return 1\n        if a\n"),
    ("def g(self):", "def g(self)"),
    ("    def g(self):", "   def g(self):"),
    ("    def g(self):", "        def g(self):"),
    ("    def f(self, a=(1,", "def f(self, a=(1,"),
    ("    def g(self):", "    def g(self, (a):"),
    ("@decorated\nclass A(B):", "@decorated\nclass A(B:"),
    ("class A(B):\n", ""),
    ("    y = 1\n", "    y = 1\nx\n"),
    ("    y = 1\n", "    y = 1\n    for\n"),
    ("import x\n", "import x\nfrom y import (\n"),
    ("import x\n", "import x\n  y\n"),
    ("import x\n", "import x\nelse:\n"),
]


@pytest.mark.parametrize(("old", "new"), BROKEN)
def test_what_is_broken_costs_only_itself(old: str, new: str) -> None:
    source = Source.read(TEXT)
    before = [(node, body_of(node)) for node in ast.walk(source.tree) if names(node)]
    edit = source.edit(split_lines(TEXT.replace(old, new, 1)))
    assert source.problems
    assert not edit.blocks
    for node, body in before:
        assert body_of(node) is body
        if node is not source.tree:
            assert source.holds(node)
    edit = source.edit(split_lines(TEXT))
    check(source)
    assert not edit.blocks
    for node, body in before:
        assert body_of(node) is body
