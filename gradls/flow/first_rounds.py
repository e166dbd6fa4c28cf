"""Tests that tell the first round of a loop from the others: `if step:`, `if epoch == 0:`."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

from gradls.flow.values import Host, Sequence, Value
from gradls.syntax.walk import walk


def of_loop(loop: ast.For | ast.AsyncFor) -> tuple[tuple[ast.expr, bool], ...]:
    """The tests in the body of a loop that are one thing in its first round, and the other in all that follow, with
    what they are in the first. Of a loop over `range(...)` or `enumerate(...)` that counts up from a number that is
    written there, in a variable that the body leaves alone."""
    counter, start = _counter(loop), _start(loop.iter)
    if counter is None or start is None:
        return ()
    nodes = [node for statement in loop.body for node in walk(statement)]
    if any(isinstance(node, ast.Name) and node.id == counter and not _is_read(node) for node in nodes):
        return ()
    found: list[tuple[ast.expr, bool]] = []
    for node in nodes:
        if isinstance(node, ast.Compare):
            first = _of_comparison(node, counter, start)
            if first is not None:
                found.append((node, first))
        elif start == 0:
            found += [(test, False) for test in _tests(node) if isinstance(test, ast.Name) and test.id == counter]
    return tuple(found)


def is_counted(iterated: Value, element: Value) -> bool:
    """Does a loop really count, by Python's own `range` or `enumerate`?"""
    if not isinstance(iterated, Sequence):
        return False
    if isinstance(element, Sequence):
        return iterated.kind == "iterator" and bool(element.items) and isinstance(element.items[0], Host)
    return iterated.kind == "range"


def _counter(loop: ast.For | ast.AsyncFor) -> str | None:
    target: ast.expr = loop.target
    if isinstance(target, ast.Tuple) and len(target.elts) == 2 and _name(loop.iter) == "enumerate":
        target = target.elts[0]
    elif _name(loop.iter) != "range":
        return None
    return target.id if isinstance(target, ast.Name) else None


def _start(call: ast.expr) -> int | None:
    """The number from which it counts up."""
    if not isinstance(call, ast.Call) or any(isinstance(given, ast.Starred) for given in call.args):
        return None
    behind = 1 if _name(call) == "enumerate" else 0
    given: list[ast.expr] = list(call.args[behind:])
    given += [keyword.value for keyword in call.keywords]
    if _name(call) == "range" and len(given) == 1:
        return 0
    if len(given) > (1 if behind else 2) or (not behind and not given):
        return None  # It may count down.
    return _number(given[0]) if given else 0


def _name(call: ast.expr) -> str:
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def _number(node: ast.expr) -> int | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _is_read(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


def _of_comparison(node: ast.Compare, counter: str, start: int) -> bool | None:
    """What `counter > 0` and the like are in the first round, if they are not so in any other."""
    if len(node.ops) != 1 or not isinstance(node.left, ast.Name) or node.left.id != counter:
        return None
    compare, number = _COMPARISONS.get(type(node.ops[0])), _number(node.comparators[0])
    if compare is None or number is None:
        return None
    first, second, late = (compare(start + more, number) for more in (0, 1, abs(number) + abs(start) + 2))
    return first if second is late and first is not second else None


def _tests(node: ast.AST) -> list[ast.expr]:
    """What a node asks whether it is true."""
    if isinstance(node, (ast.If, ast.IfExp)):
        return [node.test]
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand]
    return []
