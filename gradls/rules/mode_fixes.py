"""Fixes of modes: of gradients that are switched off or on, and of training and evaluation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.values import Bound, Value
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.statement_fixes import all_of, block_of, brief, put
from gradls.rules.training_order import rounds_of

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_MANY_LINES = 12
_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def as_context(facts: Facts, call: ast.AST) -> list[Fix]:
    """`with torch.set_grad_enabled(False):` around what follows the call in the body of its function."""
    source, statement = facts.source, facts.statement(call)
    if not isinstance(statement, ast.Expr) or statement.value is not call or not source.holds(call):
        return []
    block, function = block_of(source, statement), source.parent(statement)
    if not block or block[-1] is statement or not isinstance(function, _FUNCTIONS):
        return []
    text = source.segment(call)
    if source.span(block[-1]).end_line - source.span(statement).end_line > _MANY_LINES and _only_evaluates(function):
        mode = f"{facts.torch_name}.no_grad()"
        title = f"Decorate `{function.name}`: `@{mode}`"
        gone = Fix(title, Safety.SUGGESTED, edits.delete_statement(Place(source, statement)))
        at = Place(source, function)
        return all_of(title, [Fix(title, Safety.SUGGESTED, edits.decorate(at, mode, facts.torch_name))], [gone])
    build = edits.open_block(Place(source, statement), f"with {text}:")
    return [Fix(f"Use it as a context manager: `with {brief(call)}:`", Safety.SUGGESTED, build)]


def decorated(facts: Facts, at: At | None) -> list[Fix]:
    """The mode of the `with` block that is all of the body of a generator, as its decorator."""
    block = at.source.parent(at.node) if at is not None and at.source is facts.source else None
    while isinstance(block, (ast.expr, ast.withitem)):
        block = facts.source.parent(block)
    if not isinstance(block, ast.With) or len(block.items) != 1 or block.items[0].optional_vars is not None:
        return []
    mode, function = block.items[0].context_expr, facts.source.parent(block)
    if not isinstance(mode, ast.Call) or mode.args or mode.keywords or not isinstance(function, ast.FunctionDef):
        return []
    body = [item for item in function.body if not _is_docstring(item)]
    if body != [block]:
        return []
    text = facts.segment(mode)
    title = f"Decorate the generator: `@{text}`"
    one = Fix(title, Safety.SUGGESTED, edits.decorate(Place(facts.source, function), text))
    place = Place(facts.source, block)
    return all_of(title, [one], [Fix(title, Safety.SUGGESTED, edits.move_statement_out_of_with(place, place))])


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def without_graph(facts: Facts, event: Event, called: Event) -> list[Fix]:
    """`torch.no_grad()` around a call in an evaluation: for the function that begins with `event` if it does nothing
    else, or for the statement, if nothing is trained in the loop that this is in."""
    if called.at.source is not facts.source:
        return []
    mode = f"{facts.torch_name}.no_grad"
    function = facts.function(event.at.node) if event.at.source is facts.source else None
    if function is not None and facts.function(called.at.node) is function and _only_evaluates(function):
        build = edits.decorate(Place(facts.source, function), f"{mode}()", facts.torch_name)
        return [Fix(f"Decorate `{function.name}`: `@{mode}()`", Safety.SUGGESTED, build)]
    statement = facts.statement(called.at.node)
    loop = next((part for part in facts.parents(called.at.node) if isinstance(part, (*_LOOPS, *_FUNCTIONS))), None)
    if not isinstance(statement, (ast.Expr, ast.Assign, ast.AugAssign)) or not isinstance(loop, _LOOPS):
        return []
    if event.at.node in set(ast.walk(loop)) or _trains(loop):
        return []
    build = edits.wrap_in_no_grad(Place(facts.source, statement), facts.torch_name)
    return [Fix(f"Put it under `{mode}()`", Safety.SUGGESTED, build)]


_TRAINING = frozenset(("backward", "step", "zero_grad", "requires_grad", "requires_grad_", "grad", "enable_grad"))


def _only_evaluates(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Does a function mention nothing that is about gradients, and give back what it computes at once? A decorator
    would see but the beginning of others."""
    if isinstance(function, ast.AsyncFunctionDef) or function.name in ("forward", "__call__"):
        return False
    waits = (ast.Yield, ast.YieldFrom)
    inner = (part for part in ast.walk(function) if part is not function)
    return not _trains(function) and not any(isinstance(part, (*waits, *_FUNCTIONS)) for part in inner)


def _trains(tree: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in _TRAINING for part in ast.walk(tree))


def training_again(facts: Facts, event: Event, trained: Event) -> list[Fix]:
    """`model.train()` at the beginning of each round of the loop that both are in, or of the function that trains."""
    source, common = facts.source, {id(one.loop) for one in rounds_of(event.path)}
    loops = [one.loop for one in rounds_of(trained.path) if id(one.loop) in common]
    statement = getattr(loops[-1], "statement", None) if loops else None
    function = facts.function(trained.at.node) if trained.at.source is source else None
    for where in (statement, function):
        if not isinstance(where, (*_LOOPS, *_FUNCTIONS)) or not source.holds(where):
            continue
        first = next((item for item in where.body if not _is_docstring(item)), None)
        around = where if isinstance(where, _FUNCTIONS) else facts.function(where)
        name = next(_names(facts, event.value, around), "") if first is not None else ""
        if name and first is not None and not _is_bound_in(facts, where, name):
            what = "round" if isinstance(where, _LOOPS) else "call"
            title = f"Write `{name}.train()` at the beginning of each {what}"
            return put(facts, first, f"{name}.train()", behind=False, title=title)
    return []


def _names(facts: Facts, module: Value | None, function: ast.AST | None) -> Iterator[str]:
    """What a function calls a module, in the calls that it makes of it or gives it to."""
    found: dict[Value, list[tuple[ast.AST, ast.expr]]] | None = facts.memo.get("written in calls")
    if found is None:
        found = facts.memo["written in calls"] = {}
        for call, records in facts.calls.items():
            for value, written in _written(call, records):
                found.setdefault(value, []).append((call, written))
    for node, written in found.get(module, ()) if module is not None else ():
        if facts.source.holds(node) and facts.function(node) is function:
            yield facts.segment(written)


def _written(node: ast.Call, records: list[tuple[Value, Any, Value]]) -> Iterator[tuple[Value, ast.expr]]:
    """What a call calls or is given, or whose method it calls, where that is a name or an attribute."""
    for called, call, _ in records:
        pairs = [(called, node.func), *zip(getattr(call, "args", ()), node.args, strict=False)]
        if isinstance(called, Bound) and isinstance(node.func, ast.Attribute):
            pairs.append((called.receiver, node.func.value))
        yield from ((value, part) for value, part in pairs if isinstance(part, (ast.Name, ast.Attribute)))


def _is_bound_in(facts: Facts, where: ast.AST, name: str) -> bool:
    """Does a loop or function give another meaning to the name that an expression begins with?"""
    return name.partition(".")[0] in facts.source.once(_names_bound, where)


def _names_bound(where: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(where) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
