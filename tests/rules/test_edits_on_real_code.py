"""The fix toolkit on calls of real code: the tree becomes what it should, and nothing else changes.

The code is what is installed beside the tests: torch and parts of the standard library.
"""

from __future__ import annotations

import ast
import copy
import io
import random
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gradls.rules import edits
from gradls.rules.finding import Place
from gradls.syntax.source import Source
from tests.rules.applying import apply

FILES = [
    Path(torch.__file__).parent / name
    for name in (
        "nn/modules/rnn.py",
        "nn/modules/module.py",
        "nn/functional.py",
        "optim/adamw.py",
        "optim/lbfgs.py",
        "functional.py",
        "utils/checkpoint.py",
        "distributions/lowrank_multivariate_normal.py",
    )
] + [Path(ast.__file__).parent / name for name in ("dataclasses.py", "argparse.py", "test/test_fstring.py")]
FILES = [path for path in FILES if path.exists()]
SAMPLES = 12
LONGEST = 150  # lines of a piece of code that is taken


def comments(text: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def with_replaced(source: Source, old: ast.AST, new: ast.AST) -> str:
    """The tree, as text, with one node replaced; the tree itself stays."""
    memo: dict[int, object] = {}
    tree = copy.deepcopy(source.tree, memo)
    old_copy = memo[id(old)]
    new_copy = memo.get(id(new), new)
    return ast.dump(_Replace(old_copy, new_copy).visit(tree))  # type: ignore[arg-type]


def in_f_string(source: Source) -> set[int]:
    return {id(inner) for node in ast.walk(source.tree) if isinstance(node, ast.JoinedStr) for inner in ast.walk(node)}


def samples(path: Path, wanted: Callable[[ast.AST], bool], crlf: bool = False) -> Iterator[tuple[Source, ast.AST]]:
    """Nodes that are wanted, each with a piece of the file around it that can be read alone."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    nodes = []
    for piece in ast.parse(text).body:
        code = "".join(lines[piece.lineno - 1 : piece.end_lineno])
        if code.count("\n") < LONGEST:
            source = Source.read(code.replace("\n", "\r\n") if crlf else code, path.name)
            outside = in_f_string(source)
            nodes += [(source, node) for node in ast.walk(source.tree) if wanted(node) and id(node) not in outside]
    yield from random.Random(path.name).sample(nodes, min(SAMPLES, len(nodes)))


def check(source: Source, node: ast.AST, helper: edits.Edits, tree: str) -> None:
    made = helper()
    shown = source.segment(node)
    assert made, f"no edit for {shown} at {source.path}:{node.lineno}"  # type: ignore[attr-defined]
    new = apply(source.text, made, source.lines)
    assert ast.dump(ast.parse(new)) == tree, f"{shown} at {source.path}:{node.lineno}"  # type: ignore[attr-defined]
    assert not comments(source.text) - comments(new)
    assert ("\r\n" in source.text) == ("\r\n" in new)
    assert new.count("\n") == new.count("\r\n") or "\r" not in source.text
    changed_lines = sum(edit.span.end_line - edit.span.line + 1 for edit in made)
    assert changed_lines <= shown.count("\n") + 2 + sum(edit.text.count("\n") for edit in made)


def is_method_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


@pytest.mark.parametrize("crlf", [False, True], ids=["lf", "crlf"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_remove_call(path: Path, crlf: bool) -> None:
    for source, node in samples(path, is_method_call, crlf):
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Attribute)
        statements = [s for s in ast.walk(source.tree) if isinstance(s, ast.Expr) and s.value is node]
        if statements and isinstance(node.func.value, (ast.Name, ast.Attribute)):
            continue  # deleted
        check(source, node, edits.remove_call(Place(source, node)), with_replaced(source, node, node.func.value))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_unwrap_call(path: Path) -> None:
    def one_positional(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and bool(node.args) and not isinstance(node.args[0], ast.Starred)

    for source, node in samples(path, one_positional, crlf=path.name == "functional.py"):
        assert isinstance(node, ast.Call)
        check(source, node, edits.unwrap_call(Place(source, node)), with_replaced(source, node, node.args[0]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_add_call(path: Path) -> None:
    def operand(node: ast.AST) -> bool:
        return isinstance(node, (ast.BinOp, ast.Call, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Lambda, ast.IfExp))

    for source, node in samples(path, operand):
        new = ast.Call(ast.Attribute(node, "clone", ast.Load()), [], [])  # type: ignore[arg-type]
        memo: dict[int, object] = {}
        copied = copy.deepcopy(new, memo)
        check(source, node, edits.add_call(Place(source, node), ".clone()"), with_replaced(source, node, copied))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_set_keyword(path: Path) -> None:
    def plain(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and all(keyword.arg for keyword in node.keywords)

    for source, node in samples(path, plain):
        assert isinstance(node, ast.Call)
        new = copy.deepcopy(node)
        new.keywords.append(ast.keyword("zz", ast.Constant(1)))
        check(source, node, edits.set_keyword(Place(source, node), "zz", "1"), with_replaced(source, node, new))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_take_a_keyword_away(path: Path) -> None:
    def with_keyword(node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and any(keyword.arg for keyword in node.keywords)

    for source, node in samples(path, with_keyword):
        assert isinstance(node, ast.Call)
        new = copy.deepcopy(node)
        gone = next(keyword for keyword in new.keywords if keyword.arg)
        new.keywords.remove(gone)
        assert gone.arg
        check(source, node, edits.set_keyword(Place(source, node), gone.arg, None), with_replaced(source, node, new))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_swap_arguments(path: Path) -> None:
    def two(node: ast.AST) -> bool:
        return (
            isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args)
        )

    for source, node in samples(path, two):
        assert isinstance(node, ast.Call)
        if ast.dump(node.args[0]) == ast.dump(node.args[1]):
            continue
        new = copy.deepcopy(node)
        new.args[:2] = reversed(new.args[:2])
        check(source, node, edits.swap_arguments(Place(source, node), 0, 1), with_replaced(source, node, new))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_wrap_in_no_grad(path: Path) -> None:
    def statement(node: ast.AST) -> bool:
        return isinstance(node, (ast.For, ast.With, ast.Assign, ast.Return, ast.Raise, ast.While))

    for source, node in samples(path, statement, crlf=path.name == "module.py"):
        made = edits.wrap_in_no_grad(Place(source, node))()
        if not made:
            line = source.lines[source.span(node).line - 1]
            assert ";" in line or ": " in line
            continue
        header = ast.parse("with torch.no_grad(): pass").body[0]
        assert isinstance(header, ast.With)
        header.body = [copy.deepcopy(node)]  # type: ignore[list-item]
        new = apply(source.text, made, source.lines)
        assert ast.dump(ast.parse(new)) == with_replaced(source, node, header)
        assert comments(source.text) == comments(new)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_delete_and_insert_statements(path: Path) -> None:
    def statement(node: ast.AST) -> bool:
        return isinstance(node, (ast.Expr, ast.Assign, ast.Return, ast.For, ast.FunctionDef))

    extra = ast.parse("zz()").body[0]
    for source, node in samples(path, statement):
        for helper, order in ((edits.insert_before, [extra, node]), (edits.insert_after, [node, extra])):
            made = helper(Place(source, node), "zz()")()
            expected = _spliced(source, node, order)
            assert made
            assert ast.dump(ast.parse(apply(source.text, made, source.lines))) == expected
        gone = edits.delete_statement(Place(source, node))()
        assert gone
        found = ast.dump(ast.parse(apply(source.text, gone, source.lines)))
        assert found in (_spliced(source, node, []), _spliced(source, node, [ast.Pass()]))


def _spliced(source: Source, node: ast.AST, new: list[ast.AST]) -> str:
    memo: dict[int, object] = {}
    tree = copy.deepcopy(source.tree, memo)
    old = memo[id(node)]
    for parent in ast.walk(tree):
        for _, value in ast.iter_fields(parent):
            if isinstance(value, list) and any(item is old for item in value):
                at = next(i for i, item in enumerate(value) if item is old)
                value[at : at + 1] = [copy.deepcopy(item) for item in new]
    return ast.dump(tree)
