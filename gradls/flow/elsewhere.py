"""Names and attributes that code may set which is not seen, or not seen to be run here."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import class_text, hierarchy, truth
from gradls.flow.values import Class, Function, Host, Instance, Lib, Mapping, Sequence, Unknown, Value
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run


def is_global(run: Run, node: ast.expr) -> bool:
    """Is this a name of the module that a function gives another value?"""
    return isinstance(node, ast.Name) and node.id in run.frame.file.source.index(_global_names)


def _global_names(node: ast.AST) -> list[tuple[str, None]]:
    return [(name, None) for name in node.names] if isinstance(node, ast.Global) else []


def set_elsewhere(run: Run, node: ast.expr) -> Unknown | None:
    """An attribute that `__init__` made None, and that a method uses as something else: who set it is not known."""
    found = truth.slot(run, node) if isinstance(node, ast.Attribute) else None
    if found is None:
        return None
    unknown = run.unknown("attribute", found[1])
    run.state.set(*found, unknown)
    return unknown


def may_be_set(run: Run, receiver: Instance | Class | Function, cls: Value, name: str, assigned: Value) -> None:
    """An attribute is set for the first time, of something that may have it all the same: from its class, from code
    that is not seen, or, where nobody in the file calls the method, from whoever made the object.

    Of tensors and objects it is taken that they are what is used later."""
    fields = receiver.fields
    if name in fields or isinstance(cls, Lib):
        return
    value = hierarchy.find_in_class(cls, name)[0] if isinstance(cls, Class) else None
    if value is None and isinstance(assigned, Host):
        made_elsewhere = run.alone and fields.born <= run.since
        is_open = (isinstance(receiver, Instance) and receiver.open) or (
            isinstance(cls, Class) and hierarchy.has_unknown_base(cls)
        )
        value = run.unknown("attribute", name) if made_elsewhere or is_open else None
    if value is not None:
        fields.may_be(name, value)


def filled_by_functions(run: Run) -> frozenset[str]:
    """The lists and dictionaries of the module, or of objects that it has, which a function fills or empties."""
    names = run.source.index(_filled_names)
    return frozenset(name for name in names if isinstance(_held(run, name), (Sequence, Mapping)))


def forget_what_functions_fill(run: Run) -> None:
    """Where a function begins that nobody in the file calls, the others may have been called before, or not."""
    for name in run.filled:
        held = _held(run, name)
        if isinstance(held, Sequence):
            run.state.set(held.fields, "items", ())
        if isinstance(held, (Sequence, Mapping)):
            run.state.set(held.fields, "rest", run.unknown("filled"))


def _held(run: Run, name: str) -> Value | None:
    first, _, second = name.partition(".")
    value: Value | None = run.module.fields.get(first)
    if not second:
        return value
    return value.fields.get(second) if isinstance(value, Instance) else None


def _filled_names(node: ast.AST) -> list[tuple[str, None]]:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return []
    found: list[tuple[str, None]] = []
    for part in walk(node):
        if isinstance(part, ast.Attribute):
            changes = part.attr in class_text.FILLING or part.attr in _FILLING
        else:
            changes = isinstance(part, ast.Subscript) and not isinstance(part.ctx, ast.Load)
        held = part.value if changes else None  # type: ignore[attr-defined]
        if isinstance(held, ast.Name):
            found.append((held.id, None))
        elif isinstance(held, ast.Attribute) and isinstance(held.value, ast.Name):
            found.append((f"{held.value.id}.{held.attr}", None))
    return found


_FILLING = ("update", "setdefault", "pop", "popitem", "clear")


def note_namespace(run: Run, receiver: Instance, node: ast.expr) -> None:
    """The attributes of an object are asked for as a dictionary, at `node`: is something put into it there?"""
    around = run.frame.file.source.parent(node)
    if isinstance(around, ast.Subscript):
        written = not isinstance(around.ctx, ast.Load)
    else:
        written = isinstance(around, ast.Attribute) and around.attr in _FILLING
    if written:
        any_attribute(run, receiver)


def any_attribute(run: Run, receiver: Instance) -> None:
    """It is not known which attribute of an object is set. Of tensors and objects it is taken that they stay."""
    slots = dict(receiver.fields)
    for cls in reversed(hierarchy.linearize(receiver.cls)) if isinstance(receiver.cls, Class) else ():
        if isinstance(cls, Class):
            slots |= {name: value for name, value in cls.fields.items() if name not in receiver.fields}
    for name, value in slots.items():
        if isinstance(value, Host) and isinstance(name, str) and not name.startswith("__"):
            run.state.set(receiver.fields, name, run.unknown("attribute", name))
