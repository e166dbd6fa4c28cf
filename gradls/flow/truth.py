"""Truth values: what tests are known to give, and what taking a branch tells about the values tested."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.flow.elements import is_doubted
from gradls.flow.hierarchy import find_in_class, has_unknown_base, is_instance, library_bases
from gradls.flow.state import Fields
from gradls.flow.values import (
    ESCAPED,
    NONE,
    Bound,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
    is_none,
)

if TYPE_CHECKING:
    from gradls.flow.paths import Path
    from gradls.flow.run import Run


def truth(run: Run, value: Value) -> bool | None:
    """Is `value` true, where that is known?"""
    if isinstance(value, Host):
        if value.known:
            return bool(value.value)
        return None
    if isinstance(value, Unknown):
        assumed = run.assumed.get(value)
        if assumed is not None:
            return assumed
        origin = value.fields.get("derived")
        if origin is None:
            return None
        if origin[1] == "not":
            inner = truth(run, origin[0])
            return None if inner is None else not inner
        if isinstance(origin[1], tuple) and origin[1][0] in ("eq", "ne") and _is_another(run, origin[0], origin[1][1]):
            return origin[1][0] == "ne"
        return None
    if isinstance(value, Sequence):
        return bool(value.items) if value.whole else (True if value.items and not is_doubted(value) else None)
    if isinstance(value, Mapping):
        if len(value.entries) > len(value.unsure):
            return True
        return None if value.entries or value.rest is not None else False
    if isinstance(value, Lib):
        # Of the standard library a name may stand for any value; torch has functions, classes and modules there.
        return True if value.path.startswith("torch.") else None
    if isinstance(value, (Function, Class, Bound)):
        return True
    if isinstance(value, Instance):
        return None if _may_be_empty(value) else True
    if isinstance(value, Choice):
        verdicts = {truth(run, option) for option in value.options}
        return verdicts.pop() if len(verdicts) == 1 else None
    return None


_SIZED = ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")


def _may_be_empty(value: Instance) -> bool:
    """May an object be false?"""
    cls = value.cls
    if value.open or isinstance(cls, Lib):
        return value.open or value.path.startswith("numpy.") or value.path.endswith(_SIZED)
    if not isinstance(cls, Class):
        return True
    own = any(find_in_class(cls, name)[0] is not None for name in ("__bool__", "__len__"))
    return own or has_unknown_base(cls) or any(base.endswith(_SIZED) for base in library_bases(cls))


def _is_another(run: Run, value: Unknown, constant: object) -> bool:
    """Has a branch found that `value` equals another text or number than the one that it is compared with here?"""
    for key, answer in value.fields.items() if isinstance(constant, (str, int)) else ():
        if isinstance(key, tuple) and key[0] == "derived" and isinstance(key[1], tuple):
            sort, other = key[1][:2]
            differs = sort in ("eq", "ne") and isinstance(other, (str, int)) and other != constant
            if differs and run.assumed.get(answer) is (sort == "eq"):
                return True
    return False


def asked(run: Run, value: Value, node: ast.expr) -> bool | None:
    """The same for a value that the program asks, at `node`, whether it is true; written down if it is a tensor."""
    if run.told and node in run.told:
        return run.told[node]
    if isinstance(value, Tensor):
        run.event("tensor-truth", node, value, value.node)
    return truth(run, value)


def derived(run: Run, value: Unknown, key: object) -> Unknown:
    """What a question about an unknown value gives: the same each time."""
    found = value.fields.get(("derived", key))
    if found is None:
        found = run.unknown("derived", value.name)
        found.fields["derived"] = (value, key)
        found.plain = value.plain and not (ESCAPED in value.fields and _is_named(key))
        found.unrecorded = value.unrecorded and isinstance(key, int)
        if value.origin == "metadata":
            found.origin = "metadata"
        # A memo, not a write of the program: it is not undone.
        value.fields["derived", key] = found
    return found


def combined(run: Run, operands: list[Value], either: bool) -> Unknown | None:
    """What `or` (`either`) or `and` of unknown values gives: the same each time. None if one is not unknown."""
    first = operands[0]
    if not isinstance(first, Unknown) or not all(isinstance(value, Unknown) for value in operands):
        return None
    key = ("or" if either else "and", *operands[1:])
    found = first.fields.get(("derived", key))
    if found is None:
        if all(is_condition(value) for value in operands):
            found = derived(run, first, key)
        else:
            found = run.join.values(operands)
            if type(found) is not Unknown or found in operands:
                return None
            first.fields["derived", key] = found
        found.fields["operands"] = either, tuple(operands)
    assert isinstance(found, Unknown)
    return found


def decisions(subject: object, decision: object) -> Iterator[tuple[object, object]]:
    """What is decided when something is: that `not x` is true, is that `x` is false. The first is about what was asked
    in the end; others follow from that: if `x and y` is true, both are."""
    while isinstance(subject, Unknown) and isinstance(decision, bool):
        whole, question = subject.fields.get("derived", (None, None))
        if question != "not":
            break
        subject, decision = whole, not decision
    yield subject, decision
    if isinstance(subject, Unknown) and "operands" in subject.fields:
        either, operands = subject.fields["operands"]
        if decision is not either:
            for operand in operands:
                yield from decisions(operand, decision)


def item(run: Run, value: Unknown, key: int | str) -> Value:
    """An element of something unknown: what the program has put there, if it has, or the same unknown each time."""
    found: Value | None = value.fields.get(("derived", ("item", key)))
    return found if found is not None else derived(run, value, ("item", key))


def _is_named(key: object) -> bool:
    """Is it the question for an element with a name?"""
    return isinstance(key, tuple) and key[0] == "item" and isinstance(key[1], str)


def chosen(run: Run, value: Choice) -> Value:
    """What is left of a choice where what it was made by is decided: `if a: x = 1`, and again `if a:` later on."""
    kept = [option for subject, decision, option in value.by if truth(run, subject) in (None, decision)]
    return kept[0] if len(kept) == 1 else value


def path_to(value: Value, option: Value, before: Path | None = None) -> Path | None:
    """What is decided where a value is one of its options, and `before`."""
    found = [(how[0], how[1]) for how in value.by if how[2] is option] if isinstance(value, Choice) else []
    return (before, *found[0]) if len(found) == 1 else before


def is_condition(value: Value) -> bool:
    """Was `value` made by a question about an unknown value, and is true or false?"""
    key = value.fields["derived"][1] if isinstance(value, Unknown) and "derived" in value.fields else None
    return isinstance(key, str) or (isinstance(key, tuple) and key[0] in _QUESTIONS)


_QUESTIONS = ("eq", "ne", "lt", "le", "gt", "ge", "in", "isinstance", "hasattr", "and", "or")


def narrow(run: Run, test: ast.expr, taken: bool) -> None:
    """Use what taking a branch tells: `x is None`, `x`, `not x`, `isinstance(x, C)` and `and` of these."""
    if type(test) is ast.Compare:
        if len(test.ops) == 1 and _is_none(test.comparators[0]):
            if isinstance(test.ops[0], (ast.Is, ast.Eq)):
                _narrow_none(run, test.left, taken)
            elif isinstance(test.ops[0], (ast.IsNot, ast.NotEq)):
                _narrow_none(run, test.left, not taken)
    elif type(test) is ast.Name or type(test) is ast.Attribute:
        if taken:
            _narrow_none(run, test, False)
    elif type(test) is ast.UnaryOp:
        if type(test.op) is ast.Not:
            narrow(run, test.operand, not taken)
    elif type(test) is ast.BoolOp:
        if taken is (type(test.op) is ast.And):
            for operand in test.values:
                narrow(run, operand, taken)
    elif (
        type(test) is ast.Call and type(test.func) is ast.Name and test.func.id == "isinstance" and len(test.args) == 2
    ):
        _narrow_isinstance(run, test, taken)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def slot(run: Run, node: ast.expr) -> tuple[Fields, str] | None:
    """Where the value of a name, or of an attribute of an object that a name leads to, is kept."""
    if isinstance(node, ast.NamedExpr):
        node = node.target
    if isinstance(node, ast.Name):
        fields = run.frame.scope.find(node.id)
        return None if fields is None else (fields, node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
        found = slot(run, node.value)
        owner = found[0][found[1]] if found is not None else None
        if isinstance(owner, (Instance, Unknown)) and node.attr in owner.fields:
            return owner.fields, node.attr
    return None


def _narrow_none(run: Run, node: ast.expr, none: bool) -> None:
    from gradls.flow.imports import looked_at

    found = slot(run, node)
    if found is None:
        return
    fields, key = found
    value = looked_at(run, fields[key])
    if isinstance(value, Choice):
        kept = tuple(option for option in value.options if is_none(option) == none)
        if kept:
            run.state.set(fields, key, kept[0] if len(kept) == 1 else Choice(kept))
    elif none and isinstance(value, Unknown):
        run.state.set(fields, key, NONE)


def _narrow_isinstance(run: Run, test: ast.Call, taken: bool) -> None:
    from gradls.flow.expressions import eval_expr
    from gradls.flow.imports import looked_at

    found = slot(run, test.args[0])
    if found is None:
        return
    fields, key = found
    value = looked_at(run, fields[key])
    if isinstance(value, Choice):
        classes = eval_expr(run, test.args[1])
        kept = tuple(option for option in value.options if is_instance(option, classes) is not (not taken))
        if kept:
            run.state.set(fields, key, kept[0] if len(kept) == 1 else Choice(kept))
