"""Fixes that keep the argument of an operation away from where its gradient is infinite."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Lib, Tensor
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.straight_through import argument_of
from gradls.syntax.walk import walk

_LOGS = ("log", "log2", "log10")
_SMALL = {"sqrt": "1e-12", "rsqrt": "1e-12", **dict.fromkeys((*_LOGS, "pow"), "1e-8")}
"""What is added to the argument: under a root, the square of a small number."""


def away_from_point(facts: Facts, event: Event) -> Sequence[Fix]:
    """A small number added to the argument, or the function that computes the logarithm of a softmax as a whole."""
    op, node = event.op, event.at.node
    dtype = event.value.dtype if isinstance(event.value, Tensor) else None
    if op not in _SMALL or event.point != 0 or dtype in ("float16", "half"):
        return ()
    argument = _argument(facts, node, op)
    if argument is None or not isinstance(node, ast.expr):
        return ()
    if op == "log":
        as_one = _as_one(facts, node, argument)
        if as_one is not None:
            return [as_one]
    build = edits.replace_expression(_place(facts, argument), f"{_operand(facts, argument)} + {_SMALL[op]}")
    return [Fix(f"Add {_SMALL[op]} to the argument", Safety.SUGGESTED, build)]


def shielded_argument(facts: Facts, event: Event) -> Sequence[Fix]:
    """`where(x > 0, sqrt(x), 0)` becomes `where(x > 0, sqrt(where(x > 0, x, 1)), 0)`."""
    where = event.at.node
    steep = event.node.at.node if event.node is not None and event.node.at is not None else None
    if not isinstance(where, ast.Call) or not isinstance(where.func, ast.Attribute) or len(where.args) != 3:
        return ()
    argument = _argument(facts, steep, event.op) if steep is not None else None
    if argument is None or any(isinstance(part, ast.Call) for part in walk(argument)):
        return ()
    condition, first, second = where.args
    text, one = facts.segment(argument), f"{facts.torch_name}.ones_like({facts.segment(argument)})"
    if any(part is steep for part in walk(first)):
        sides = f"{text}, {one}"
    elif any(part is steep for part in walk(second)):
        sides = f"{one}, {text}"
    else:
        return ()
    new = f"{facts.torch_name}.where({facts.segment(condition)}, {sides})"
    build = edits.replace_expression(_place(facts, argument), new)
    return [Fix(f"Give `{event.op}` a harmless argument there", Safety.SUGGESTED, build)]


def _argument(facts: Facts, node: ast.AST, op: str) -> ast.expr | None:
    if isinstance(node, ast.BinOp):
        return node.left if isinstance(node.op, ast.Pow) and op == "pow" else None
    name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
    return argument_of(facts, node) if name == op else None


def _as_one(facts: Facts, node: ast.expr, inner: ast.expr) -> Fix | None:
    """`x.softmax(dim=1).log()` becomes `x.log_softmax(dim=1)`, and so for the functions, and for `sigmoid`."""
    if not isinstance(inner, ast.Call) or not isinstance(inner.func, ast.Attribute):
        return None
    called = [function for function, _, _ in facts.evaluations(inner)]
    if not all(isinstance(one, Lib) or isinstance(getattr(one, "receiver", None), Tensor) for one in called):
        return None  # a layer that goes by this name
    name, text = inner.func.attr, facts.segment(inner)
    function = facts.segment(inner.func.value)
    if name == "softmax":
        new = f"{function}.log_softmax{text[len(facts.segment(inner.func)) :]}"
        title = "log_softmax"
    elif name == "sigmoid":
        given = argument_of(facts, inner)
        if given is None:
            return None
        new = f"{facts.torch_name}.nn.functional.logsigmoid({facts.segment(given)})"
        title = "logsigmoid"
    else:
        return None
    return Fix(f"Use `{title}`", Safety.SAFE, edits.replace_expression(_place(facts, node), new))


def _operand(facts: Facts, node: ast.expr) -> str:
    text = facts.segment(node)
    loose = (ast.BoolOp, ast.Compare, ast.IfExp, ast.Lambda, ast.NamedExpr, ast.BinOp)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.MatMult, ast.Pow)):
        return text
    return f"({text})" if isinstance(node, loose) else text


def _place(facts: Facts, node: ast.AST) -> Place:
    return Place(facts.source_of(node), node)
