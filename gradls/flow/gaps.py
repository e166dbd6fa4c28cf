"""Calls with `*unknown` before other arguments: where these end up."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.operations import unknown_operation
from gradls.flow.values import Function

if TYPE_CHECKING:
    from gradls.flow.run import Run


def placed(run: Run, function: Function, call: Call, others: int = 0) -> Call:
    """A call with a gap, of a function that gets so many `others` before: with as many arguments in it as there are
    parameters that have none, if that is certain."""
    arguments, node = function.node.args, call.node
    names = [parameter.arg for parameter in (*arguments.posonlyargs, *arguments.args)]
    missing = [name for name in names if name not in call.kwargs][others + len(call.args) :]
    stars = sum(type(part) is ast.Starred for part in node.args) if isinstance(node, ast.Call) else 0
    named = isinstance(node, ast.Call) and all(keyword.arg is not None for keyword in node.keywords)
    if stars != 1 or not named or arguments.vararg is not None or arguments.defaults or function.decorated:
        return unplaced(run, call)
    filling = [run.unknown("argument", name) for name in missing]
    return Call(node, [*call.args[: call.gap], *filling, *call.args[call.gap :]], call.kwargs, call.unsure)


def unplaced(run: Run, call: Call) -> Call:
    """A call with a gap in which each argument after that may be any of these: what is called may change them all."""
    from gradls.flow import calls

    loose = call.args[call.gap :]
    for value in loose:
        calls.escape(run, value)
    anything = [unknown_operation(run, "argument", loose, call.node) for _ in loose]
    return Call(call.node, [*call.args[: call.gap], *anything], call.kwargs, True)
