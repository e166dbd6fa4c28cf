"""A text that is edited in place has the tree of a text that is read, and what was not touched is still there."""

from __future__ import annotations

import ast
import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradls.syntax.edit import Edit
from gradls.syntax.gaps import may_go_on, statements
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from tests.syntax import random_edits
from tests.syntax.editing import body_of, check, names
from tests.syntax.typing_simulation import TORCH

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


@pytest.mark.parametrize("seed", range(20))
def test_random_edits_give_the_tree_of_the_text(seed: int) -> None:
    assert random_edits.session(random_edits.texts(seed), seed, 60)


LINE = st.builds(str.__add__, st.sampled_from(random_edits.LINES) | st.text(max_size=20), st.sampled_from(["", "\n"]))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 6), st.lists(LINE, max_size=3)), max_size=8))
def test_any_edits_give_the_tree_of_the_text(edits: list[tuple[int, int, list[str]]]) -> None:
    source = Source.read(random_edits.MIXED)
    for at, count, new in edits:
        source.edit(split_lines("".join([*source.lines[:at], *new, *source.lines[at + count :]])))
        check(source)


def test_nothing_changes_where_nothing_does() -> None:
    source = Source.read(TEXT)
    assert source.edit(split_lines(TEXT)) == Edit((), False)
    assert source.revision == 0
    source.edit(split_lines(TEXT + "x = 1\n"))
    assert source.revision == 1
    assert source.text == TEXT + "x = 1\n"


def test_the_old_tree_is_free_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        source = Source.read(TEXT)
        for old, new in [("return 1", "return 2"), ("def g", "def k"), ("class A", "class C"), *BROKEN]:
            old_names = [weakref.ref(node) for node in ast.walk(source.tree) if isinstance(node, ast.Return)]
            source.edit(split_lines(TEXT.replace(old, new, 1)))
            alive = set(ast.walk(source.tree))
            assert all(ref() is None or ref() in alive for ref in old_names)
            source.edit(split_lines(TEXT))
        del source, alive
        assert gc.collect() == 0
    finally:
        gc.enable()


def find(source: Source, name: str) -> ast.AST:
    return next(node for node in ast.walk(source.tree) if getattr(node, "name", "") == name)


def test_what_is_known_of_a_node_goes_with_an_edit_of_it() -> None:
    source = Source.read(TEXT)
    asked: list[ast.AST] = []
    for name in ("f", "g", "A", "h"):
        source.once(asked.append, find(source, name))
    source.once(asked.append, source.tree)
    source.edit(split_lines(TEXT.replace("return 1", "return 2")))
    for name in ("f", "g", "A", "h"):
        source.once(asked.append, find(source, name))
    source.once(asked.append, source.tree)
    assert [names(node) for node in asked] == ["f", "g", "A", "h", "module", "f", "A", "module"]


def test_parents() -> None:
    source = Source.read(TEXT)
    other = Source.read(TEXT)
    for text in (TEXT, TEXT.replace("return 1", "return (2, [3])"), TEXT.replace("import x", "import x, y\nz")):
        source.edit(split_lines(text))
        for node in ast.walk(source.tree):
            for child in ast.iter_child_nodes(node):
                if child._fields:
                    assert source.parent(child) is node
                    assert source.holds(child)
                    assert not other.holds(child)
        assert source.parent(source.tree) is None
        assert source.holds(source.tree)


def returned(node: ast.AST) -> list[tuple[str, ast.AST]]:
    return [("return", node)] if isinstance(node, ast.Return) else []


def test_an_index_is_that_of_the_text() -> None:
    source = Source.read(TEXT)
    index = source.index(returned)
    assert "return" in index
    assert "yield" not in index
    for old, new in [
        ("return 1", "return 2"),
        ("    pass", "    return"),
        *BROKEN,
        ("def g", "def k"),
        ("return z", "z"),
    ]:
        source.edit(split_lines(TEXT.replace(old, new, 1)))
        wanted = [node for node in ast.walk(source.tree) if isinstance(node, ast.Return)]
        assert index.get("return") == sorted(wanted, key=source.span)
    source.edit(["x\n"])
    assert "return" not in index
    assert index.get("return") == []


def test_line_numbers_do_not_grow_for_ever() -> None:
    source = Source.read(TEXT)
    for count in range(300):
        source.edit(split_lines(TEXT.replace("        return 1\n", "        return 1\n" * (count % 150 + 1))))
        source.edit(split_lines(TEXT.replace("    pass\n", "    pass\n" * (count % 120 + 1))))
    check(source)
    assert max(getattr(node, "lineno", 0) for node in ast.walk(source.tree)) < 5000


@pytest.mark.parametrize("name", ["_meta_registrations.py", "nn/modules/transformer.py"])
def test_more_lines_may_mend_what_only_is_not_finished(name: str) -> None:
    lines = split_lines((TORCH / name).read_text(encoding="utf-8"))
    tree = ast.parse("".join(lines))
    for statement in [node for node in tree.body if (node.end_lineno or 0) - node.lineno < 80][:150]:
        start = min(node.lineno for node in [statement, *getattr(statement, "decorator_list", [])]) - 1
        for end in range(start + 1, statement.end_lineno or 0):
            found = statements(lines[start:end], False, 2, partial=True)
            assert isinstance(found, list) or may_go_on(found)


@pytest.mark.parametrize("text", ["x = 'a\n", "f(x\ny\n", "x y\n", "x\n  y\n", "else:\n  x\n", "[)\n", "def f():\nx\n"])
def test_nothing_mends_what_is_wrong(text: str) -> None:
    found = statements(split_lines(text), False, 2, partial=True)
    assert isinstance(found, SyntaxError)
    assert not may_go_on(found)
