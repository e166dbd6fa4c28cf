"""Fixes of optimizers that hold other parameters than those that are trained."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from itertools import takewhile

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.hierarchy import is_module
from gradls.flow.values import Instance, Tensor, Value
from gradls.rules.finding import Fix
from gradls.rules.registration import leaves_of
from gradls.rules.statement_fixes import all_of, brief, moved_statement, put, replaced
from gradls.rules.training_order import rounds_of


def made_behind(facts: Facts, made: Event, event: Event) -> list[Fix]:
    """The fix that makes an optimizer behind an event which gives a model other parameters, or does so with what makes
    the optimizer."""
    places = [event.at, *(at for at, _ in event.callers())]
    moved = _made_behind(facts, made, places) if rounds_of(made.path) == rounds_of(event.path) else []
    return moved or _made_again(facts, made, places)


def _made_again(facts: Facts, made: Event, places: Sequence[At]) -> list[Fix]:
    """The statement that makes the optimizer once more, behind what gives the model other parameters, if that is in the
    same function. A schedule would stay with the old optimizer."""
    statement, function = facts.statement(made.at.node), facts.function(made.at.node)
    if not isinstance(statement, ast.Assign) or statement.value is not made.at.node:
        return []
    if any(event.optimizer is made.value for event in facts.of("scheduler-made")):
        return []
    for at in places:
        if at.source is facts.source and made.at.source is facts.source and facts.function(at.node) is function:
            cause = facts.statement(at.node)
            # What is a call for its result, of the model say, does so each time.
            is_done_once = isinstance(cause, ast.Expr) or at is places[0]
            if list(facts.loops(at.node)) != list(facts.loops(statement)) and not _is_now_and_then(facts, at.node):
                return []  # What the optimizer remembers of the gradients would be lost in each round.
            if not is_done_once or facts.source.span(at.node) <= facts.source.span(statement):
                return []
            title = f"Make the optimizer anew behind `{brief(at.node)}`"
            return put(facts, at.node, facts.segment(statement), behind=True, title=title)
    return []


def _is_now_and_then(facts: Facts, node: ast.AST) -> bool:
    """Does something happen only in some rounds of the innermost loop that it stands in?"""
    loop = next(iter(facts.loops(node)), None)
    within = takewhile(lambda outer: outer is not loop, facts.parents(node))
    return loop is not None and any(isinstance(outer, ast.If) for outer in within)


def _made_behind(facts: Facts, made: Event, places: Sequence[At]) -> list[Fix]:
    for at in (made.at, *(at for at, _ in made.callers())):
        for other in places:
            if at.source is not facts.source or other.source is not facts.source:
                continue
            one, two = facts.statement(at.node), facts.statement(other.node)
            if one is None or two is None or one is two or facts.function(one) is not facts.function(two):
                continue
            return (
                moved_statement(facts, one, two, behind=True, anew=_named(made, two))
                if _before(facts, one, two)
                else []
            )
    return []


def made_behind_place(facts: Facts, made: Event, at: At) -> list[Fix]:
    """The same for the place where the parameters are made that a backward reaches."""
    return _made_behind(facts, made, [at])


def _before(facts: Facts, one: ast.AST, two: ast.AST) -> bool:
    return facts.source.span(one) < facts.source.span(two)


def _named(made: Event, statement: ast.AST) -> str:
    """The name of the model that an optimizer is made from, if a statement gives it another one."""
    given = next(iter(getattr(made.at.node, "args", ())), None)
    root: ast.AST | None = given.func if isinstance(given, ast.Call) else given
    while isinstance(root, ast.Attribute):
        root = root.value
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    named = [target.id for target in targets if isinstance(target, ast.Name)]
    return root.id if isinstance(root, ast.Name) and root.id in named else ""


def given_too(facts: Facts, made: Event, left: Sequence[Tensor]) -> list[Fix]:
    """The fix that gives an optimizer the parameters that it lacks, where these, or the module that has them, had a
    name before it was made."""
    call = made.at.node
    given = call.args[0] if isinstance(call, ast.Call) and call.args else None
    if given is None or made.at.source is not facts.source:
        return []
    if isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute) and given.func.attr == "parameters":
        first = f"*{facts.segment(given)}"
    elif isinstance(given, ast.List) and given.elts and not any(isinstance(one, ast.Dict) for one in given.elts):
        first = ", ".join(facts.segment(one) for one in given.elts)
    else:
        return []
    lacking = set(left)
    parts: list[str] = []
    for text, leaves in sorted(_named_before(facts, made, lacking), key=lambda item: -len(item[1])):
        if leaves & lacking:
            lacking -= leaves
            parts.append(text)
    if lacking or not parts:
        return []
    names = ", ".join(part.removeprefix("*") for part in parts)
    title = f"Give the optimizer `{names}`, too"
    return all_of(title, replaced(facts, given, f"[{', '.join([first, *parts])}]", title))


def _named_before(facts: Facts, made: Event, wanted: set[Tensor]) -> Iterator[tuple[str, set[Tensor]]]:
    """What to write for tensors, and modules of which all that can be trained is among these, that were given a name in
    the function of an optimizer before it was made."""
    function, at = facts.function(made.at.node), facts.source.span(made.at.node)
    named = _calls_with_names(facts)
    before = {node for tensor in wanted for node in named.get(tensor, ()) if facts.source.span(node) < at}
    for node in sorted(before, key=facts.source.span):
        value = facts.calls[node][-1][2]
        if facts.function(node) is not function:
            continue
        name, leaves = _name(facts, node), _leaves(value)
        if leaves <= wanted:
            yield (f"*{name}.parameters()" if isinstance(value, Instance) else name), leaves


def _calls_with_names(facts: Facts) -> dict[Tensor, list[ast.Call]]:
    """For each tensor that may be trained, the calls that give it, or a module that has it, with a name."""
    found: dict[Tensor, list[ast.Call]] | None = facts.memo.get("named")
    if found is None:
        found = facts.memo["named"] = {}
        for node, records in facts.calls.items():
            if records and facts.source.holds(node) and _name(facts, node):
                for leaf in _leaves(records[-1][2]):
                    found.setdefault(leaf, []).append(node)
    return found


def _leaves(value: Value) -> set[Tensor]:
    if isinstance(value, Instance) and is_module(value) is True:
        return {leaf for leaf in leaves_of(value) if leaf.requires_grad is not False}
    return {value} if isinstance(value, Tensor) and value.leaf is True else set()


def _name(facts: Facts, node: ast.expr) -> str:
    """The name or attribute that the value of an expression gets in an assignment, if not in that of a class body."""
    above = facts.parent(node)
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
    if isinstance(next((outer for outer in facts.parents(node) if isinstance(outer, scopes)), None), ast.ClassDef):
        return ""
    if isinstance(above, ast.Assign) and above.value is node and len(above.targets) == 1:
        target: ast.expr = above.targets[0]
    elif isinstance(above, ast.Tuple) and isinstance(whole := facts.parent(above), ast.Assign) and whole.value is above:
        targets = whole.targets[0]
        if not isinstance(targets, ast.Tuple) or len(targets.elts) != len(above.elts):
            return ""
        target = targets.elts[next(i for i, item in enumerate(above.elts) if item is node)]
    else:
        return ""
    return facts.segment(target) if isinstance(target, (ast.Name, ast.Attribute)) else ""
