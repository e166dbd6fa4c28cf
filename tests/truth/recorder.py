"""Run a program and note, for each of its expressions, what the tensors that it gave really were."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from gradls.flow.analyze import analyze
from gradls.syntax.source import Source, Span
from gradls.testing import programs

_SEEN = "__seen__"
# These look at the frame that calls them, or at the class around it.
_UNTOUCHED = {"super", "locals", "globals", "vars", "dir", "eval", "exec", "__import__"}

AnyNode = TypeVar("AnyNode", bound=ast.AST)


@dataclass
class Seen:
    """What the tensors that an expression gave were, over all its evaluations, and how often it gave something else."""

    requires_grad: set[bool] = field(default_factory=set)
    dtype: set[str] = field(default_factory=set)
    leaf: set[bool] = field(default_factory=set)
    others: int = 0


class _Wrap(ast.NodeTransformer):
    """Wraps expressions whose value is read in calls of the recorder, which gives the value back."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.spans: list[Span] = []

    def wrapped(self, node: ast.expr) -> ast.expr:
        self.spans.append(self.source.span(node))
        number = ast.copy_location(ast.Constant(len(self.spans) - 1), node)
        name = ast.copy_location(ast.Name(_SEEN, ast.Load()), node)
        return ast.copy_location(ast.Call(name, [number, node], []), node)

    def _inside_and_around(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        return self.wrapped(node)

    visit_BinOp = visit_UnaryOp = visit_Compare = visit_BoolOp = visit_IfExp = visit_Await = _inside_and_around

    def _if_read(self, node: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
        self.generic_visit(node)
        return self.wrapped(node) if isinstance(node.ctx, ast.Load) else node

    visit_Attribute = visit_Subscript = _if_read

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return node if node.id.startswith("__") else self._if_read(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id in _UNTOUCHED:
            return node
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)  # the method itself is no tensor
        elif not isinstance(node.func, ast.Name):
            node.func = self.visit(node.func)
        node.args = [self.visit(argument) for argument in node.args]
        node.keywords = [self.visit(keyword) for keyword in node.keywords]
        return self.wrapped(node)

    def _function(self, node: Any) -> Any:
        """Not the decorators and annotations."""
        node.body = [self.visit(statement) for statement in node.body]
        node.args.defaults = [self.visit(default) for default in node.args.defaults]
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.value = self.visit(node.value) if node.value else None
        return node

    def _as_it_is(self, node: AnyNode) -> AnyNode:
        return node

    # What stands in an f-string has no position of its own before Python 3.12; patterns are no expressions.
    visit_JoinedStr = visit_MatchValue = visit_MatchClass = visit_MatchMapping = visit_Delete = _as_it_is


def record(program: str, watch: Callable[[Span, Any], None] | None = None) -> dict[Span, Seen]:
    """Run a program to its end, or to where it raises; what its expressions gave. `watch` is shown each value."""
    wrap = _Wrap(Source.read(program))
    tree = ast.fix_missing_locations(wrap.visit(ast.parse(program)))
    seen: dict[Span, Seen] = defaultdict(Seen)

    def note(number: int, value: Any) -> Any:
        if watch is not None:
            watch(wrap.spans[number], value)
        if isinstance(value, torch.Tensor):
            _note(seen[wrap.spans[number]], value)
        elif wrap.spans[number] in seen:
            seen[wrap.spans[number]].others += 1
        return value

    programs.run_code(compile(tree, "<program>", "exec"), {_SEEN: note})
    return dict(seen)


def _note(seen: Seen, value: torch.Tensor) -> None:
    try:
        leaf, requires_grad = bool(value.is_leaf), bool(value.requires_grad)
    except RuntimeError:
        # A view whose base was written to without it: it raises at every look.
        seen.others += 1
        return
    seen.leaf.add(leaf)
    seen.requires_grad.add(requires_grad)
    dtype = value.dtype
    kinds = {"bool": dtype == torch.bool, "float": dtype.is_floating_point, "complex": dtype.is_complex}
    seen.dtype.add(next((kind for kind, holds in kinds.items() if holds), "int"))


@dataclass
class Score:
    """How many expressions that gave tensors there were, how many required grad only at times, for how many gradls
    states something, and what is wrong."""

    expressions: int = 0
    varied: int = 0
    stated: int = 0
    wrong: list[str] = field(default_factory=list)


def compare(program: str) -> Score:
    """What gradls says of the expressions of a program, against what they were when it ran."""
    source = Source.read(program, "program.py")
    states = {source.span(state.node): state for state in analyze(source).states}
    score = Score()
    for span, seen in record(program).items():
        if not seen.leaf:
            continue
        score.expressions += 1
        score.varied += len(seen.requires_grad) > 1
        state = states.get(span)
        if state is None:
            continue
        score.stated += state.requires_grad is not None
        for what, said, was in (
            ("requires_grad", state.requires_grad, seen.requires_grad),
            ("dtype", state.dtype, seen.dtype),
            ("leaf", state.leaf, seen.leaf),
        ):
            if said is not None and was != {said}:
                code = source.lines[span.line - 1].strip()
                score.wrong.append(
                    f"line {span.line}:{span.column}-{span.end_column} {what}: said {said}, was {was}: {code}"
                )
    return score
