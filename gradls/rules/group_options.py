"""Options of parameter groups that are set where no optimizer looks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.autograd.optimizers import find_optimizer
from gradls.flow.facts import Facts
from gradls.flow.models.optimizers import DEFAULTS_OF
from gradls.flow.values import Bound, Instance, Mapping
from gradls.rules.finding import Fix, Place, Safety, TextEdit
from gradls.rules.words import code


class Lost(NamedTuple):
    """An option that does not arrive, or not everywhere."""

    place: Place
    message: str
    fixes: list[Fix]
    is_certain: bool


def lost_in_copies(facts: Facts) -> Iterator[Lost]:
    """`optimizer.state_dict()["param_groups"][0]["lr"] = 0.01`: nobody has the copy that this changes."""
    for node, records in facts.called("state_dict"):
        groups = facts.parent(node)
        if not isinstance(groups, ast.Subscript) or _key(groups) != "param_groups":
            continue
        target = _written(facts, facts.parent(groups))
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if target is None or owner is None or not all(_is_of_optimizer(record[0]) for record in records):
            continue
        name = facts.segment(owner)
        message = (
            f"`{name}.state_dict()` makes copies of the groups, and nobody has the one in which {code(facts, target)} "
            f"is set: nothing changes; set it in `{name}.param_groups`"
        )
        at = Place(facts.source_of(groups), groups)
        edit = TextEdit(at.source.path, at.span, f"{name}.param_groups")
        fix = Fix("Set it in the groups", Safety.SUGGESTED, lambda edit=edit: [edit])  # type: ignore[misc]
        yield Lost(at._replace(node=target), message, [fix], True)


def only_defaults(facts: Facts) -> Iterator[Lost]:
    """`optimizer.defaults["lr"] = 0.01`: the groups that there are have options of their own, and none is added."""
    told: set[ast.AST] = set()
    added = {event.value: number for number, event in facts.numbered("group-added")}
    for number, event in facts.numbered("item-set"):
        optimizer = event.value.fields.get(DEFAULTS_OF) if isinstance(event.value, Mapping) else None
        target = event.at.node
        if not isinstance(optimizer, Instance) or not isinstance(target, ast.Subscript) or target in told:
            continue
        kept = target.value
        owner = facts.segment(kept.value) if isinstance(kept, ast.Attribute) else "self"
        if owner == "self" or added.get(optimizer, -1) > number or _reads_defaults(facts):
            continue
        told.add(target)
        message = (
            f"{code(facts, target)} is an option of groups that are added later: those that `{owner}` has keep their "
            f"own, and nothing changes; set it in each of `{owner}.param_groups`"
        )
        yield Lost(Place(event.at.source, target), message, [], True)


def _reads_defaults(facts: Facts) -> bool:
    """Does the file take an option out of the defaults again, or hand all of them on?"""
    for part in facts.reads("defaults"):
        option = facts.parent(part)
        if not isinstance(option, ast.Subscript) or isinstance(option.ctx, ast.Load):
            return True
    return False


def first_groups(facts: Facts) -> Iterator[Lost]:
    """A loop over the groups that sets an option of the first one in every round."""
    for groups in facts.reads("param_groups"):
        number = facts.parent(groups)
        if not isinstance(number, ast.Subscript) or not isinstance(_key(number), int):
            continue
        target = _written(facts, number)
        loop = next(facts.loops(groups), None)
        variable = _group_of(facts, loop, groups)
        if target is None or loop is None or variable is None or _is_read(loop, variable.id):
            continue
        group = facts.segment(variable)
        message = (
            f"the loop goes over all groups, and {code(facts, target)} is the same one in each round: the others keep "
            f"what they have; write `{group}` for `{facts.segment(number)}`"
        )
        at = Place(facts.source_of(number), number)
        edit = TextEdit(at.source.path, at.span, group)
        fix = Fix(f"Write {group}", Safety.SUGGESTED, lambda edit=edit: [edit])  # type: ignore[misc]
        yield Lost(at._replace(node=target), message, [fix], False)


def _group_of(facts: Facts, loop: ast.For | ast.While | None, groups: ast.Attribute) -> ast.Name | None:
    """The variable of a loop that is each of the groups in turn."""
    if not isinstance(loop, ast.For):
        return None
    variable, through = loop.target, loop.iter
    if isinstance(through, ast.Call) and getattr(through.func, "id", "") == "enumerate" and through.args:
        variable = variable.elts[-1] if isinstance(variable, ast.Tuple) else variable
        through = through.args[0]
    is_same = facts.segment(through) == facts.segment(groups)
    return variable if is_same and isinstance(variable, ast.Name) else None


def _written(facts: Facts, group: ast.AST | None) -> ast.Subscript | None:
    """The option of a group that is set."""
    target = facts.parent(group) if isinstance(group, ast.Subscript) else None
    is_set = isinstance(target, ast.Subscript) and target.value is group and not isinstance(target.ctx, ast.Load)
    return target if isinstance(target, ast.Subscript) and is_set and isinstance(_key(target), str) else None


def _key(node: ast.Subscript) -> object:
    return node.slice.value if isinstance(node.slice, ast.Constant) else None


def _is_of_optimizer(function: object) -> bool:
    receiver = function.receiver if isinstance(function, Bound) else None
    return isinstance(receiver, Instance) and find_optimizer(receiver.path) is not None


def _is_read(loop: ast.AST, name: str) -> bool:
    """Does the body of a loop read its variable?"""
    parts = (part for statement in getattr(loop, "body", ()) for part in ast.walk(statement))
    return any(isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Load) for part in parts)
