"""Fixes that make a copy where a second name was given to the same."""

from __future__ import annotations

import ast

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.values import Value
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.scopes import is_run_with, mentions
from gradls.rules.statement_fixes import brief
from gradls.rules.words import place


def copied(at: At, node: ast.AST) -> list[Fix]:
    """`copy.deepcopy(...)` around an expression of the file that `at` is in."""
    build = edits.copy_expression(Place(at.source, node))
    return [Fix("Keep a copy: `copy.deepcopy(...)`", Safety.SUGGESTED, build)]


def copied_where_named(facts: Facts, module: Value | None, *names: str) -> list[Fix]:
    """The same where a module that has a name gets another one, if there is but one such place. `names` are those that
    it goes by: the first of these is to be the copy."""
    found: dict[ast.AST, tuple[Event, ast.expr]] = {}
    for event in facts.of("named", "attribute-set"):
        given = event.assigned if event.kind == "attribute-set" else event.value
        written = _written(event)
        if module is not None and given is module and written is not None and event.at.source is facts.source:
            found.setdefault(event.at.node, (event, written))
    for name in names:
        last = name.rpartition(".")[2]
        mine = [one for one in found.values() if facts.segment(one[0].at.node).rpartition(".")[2] == last]
        if mine:
            return copied(mine[0][0].at, mine[0][1]) if len(mine) == 1 else []
    return []


def copied_where_assigned(facts: Facts, at: Place, *names: str) -> list[Fix]:
    """The same for an assignment of one of these names to another, `target = policy`, in the function around a place or
    among the module's own statements, if there is but one."""
    if at.source is not facts.source:
        return []
    found: dict[ast.AST, ast.expr] = {}
    scopes = [one for one in (facts.function(at.node), facts.source.tree) if one is not None]
    lasts = dict.fromkeys(name.rpartition(".")[2] for name in names)
    for target in (mention for last in lasts for mention in mentions(facts.source, last)):
        part = facts.source.parent(target)
        if not isinstance(part, ast.Assign) or part.targets != [target]:
            continue
        sides = facts.segment(target), facts.segment(part.value)
        meant = sides[0] != sides[1] and all(side in names for side in sides)
        if meant and any(is_run_with(facts.source, part, scope) for scope in scopes):
            found[part] = part.value
    return copied(At(at.source, at.node), next(iter(found.values()))) if len(found) == 1 else []


def _written(event: Event) -> ast.expr | None:
    """The name or attribute on the right of an assignment to one target."""
    above = event.at.source.parent(event.at.node)
    plain = isinstance(above, ast.Assign) and above.targets == [event.at.node]
    return above.value if plain and isinstance(above.value, (ast.Name, ast.Attribute)) else None  # type: ignore[union-attr]


def written_into(facts: Facts, event: Event) -> list[Fix]:
    """`model.state_dict()[name].copy_(tensor)` for an assignment to the entry."""
    statement = facts.statement(event.at.node)
    if not isinstance(statement, ast.Assign) or statement.targets != [event.at.node]:
        return []
    new = f"{facts.segment(event.at.node)}.copy_({facts.segment(statement.value)})"
    return _rewritten(facts, statement, new, "Write into the tensor with `copy_`")


def turned_round(facts: Facts, node: ast.AST, one: str, other: str) -> list[Fix]:
    """`target.load_state_dict(policy.state_dict())` for the same with the names the other way round."""
    statement = facts.statement(node)
    if not isinstance(statement, ast.Expr) or statement.value is not node:
        return []
    if ast.unparse(node) != f"{one}.load_state_dict({other}.state_dict())":
        return []
    new = f"{other}.load_state_dict({one}.state_dict())"
    return _rewritten(facts, statement, new, f"Load it the other way round: `{new}`")


def _rewritten(facts: Facts, statement: ast.stmt, new: str, title: str) -> list[Fix]:
    at = Place(facts.source_of(statement), statement)
    return [Fix(title, Safety.SUGGESTED, edits.replace_statement(at, new))]


def assignment_left_away(facts: Facts, event: Event) -> list[Fix]:
    """The fix that deletes an assignment to one target."""
    statement = facts.statement(event.at.node)
    if not isinstance(statement, ast.Assign) or statement.targets != [event.at.node]:
        return []
    title = f"Delete `{brief(statement)}`"
    return [Fix(title, Safety.SUGGESTED, edits.delete_statement(place(event.at)))]


def cloned_where_kept(facts: Facts, shadow: ast.expr) -> list[Fix]:
    """`.clone()` behind what is put into the entry of a dictionary, of an attribute of an object say, that is written
    to as `shadow`; if there is but one such place."""
    if not isinstance(shadow, ast.Subscript):
        return []
    name = facts.segment(shadow.value)
    found: dict[ast.AST, Event] = {}
    for event in facts.of("item-set"):
        node = event.at.node
        if isinstance(node, ast.Subscript) and facts.segment(node.value) == name:
            found.setdefault(node, event)
    if len(found) != 1:
        return []
    node, event = next(iter(found.items()))
    above = event.at.source.parent(node)
    if not isinstance(above, ast.Assign) or above.targets != [node]:
        return []
    build = edits.add_call(Place(event.at.source, above.value), ".clone()")
    return [Fix("Keep a copy: `.clone()`", Safety.SUGGESTED, build)]
