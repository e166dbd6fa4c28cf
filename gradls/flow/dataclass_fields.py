"""Objects of dataclasses, which get their attributes from declared fields."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.hierarchy import find_in_class, linearize
from gradls.flow.values import FALSE, Class, Function, Instance, Value
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run

FIELD = "dataclasses.Field"
"""The path of what `field(...)` gives; `data` has its arguments."""


def is_dataclass(cls: Class) -> bool:
    """Does a decorator that makes a dataclass stand on this class?"""
    names = (node for decorator in cls.node.decorator_list for node in walk(decorator))
    return any("dataclass" in str(getattr(node, "id", getattr(node, "attr", ""))) for node in names)


def constructing(cls: Class) -> Class | None:
    """The dataclass whose `__init__` makes the objects of a class, which may derive from it; None if that is another
    function."""
    for base in linearize(cls):
        if isinstance(base, Class) and ("__init__" in base.fields or is_dataclass(base)):
            return None if "__init__" in base.fields else base
    return None


def replaced(run: Run, value: Instance, changes: dict[str, Value], node: ast.expr) -> Instance | None:
    """What `dataclasses.replace` gives: an object that is made of the fields of another one and of changes."""
    cls = constructing(value.cls) if isinstance(value.cls, Class) else None
    if cls is None or not isinstance(value.cls, Class):
        return None
    given: dict[str, Value] = {}
    for name, default in _declared(cls).items():
        if isinstance(default, Instance) and default.path == FIELD and default.data.get("init") is FALSE:
            continue
        kept = changes[name] if name in changes else value.fields.get(name)
        given[name] = run.unknown("attribute", name) if kept is None else kept
    instance = Instance(run.state, value.cls, run.at(node))
    instance.open = value.open
    fill_fields(run, cls, instance, Call(node, [], given))
    return instance


def fill_fields(run: Run, cls: Class, instance: Instance, call: Call) -> None:
    """Do what the `__init__` of a dataclass does: its fields, those of base classes first, get the arguments or their
    defaults; then comes `__post_init__`."""
    from gradls.flow.calls import call_function, call_value

    position = 0
    for name, default in _declared(cls).items():
        options = default.data if isinstance(default, Instance) and default.path == FIELD else {"default": default}
        value = None
        if options.get("init") is not FALSE:
            value = call.get(position, name)
            position += 1
        factory = options.get("default_factory")
        if value is None and factory is not None:
            value = call_value(run, factory, Call(call.node, []))
        if value is None:
            value = options.get("default") or run.unknown("argument", name)
        instance.fields[name] = value
    after, _ = find_in_class(instance.cls if isinstance(instance.cls, Class) else cls, "__post_init__")
    if isinstance(after, Function):
        call_function(run, after, Call(call.node, []), instance)


def _declared(cls: Class) -> dict[str, Value | None]:
    """The fields of a dataclass in order, with what is assigned to them in the class."""
    found: dict[str, Value | None] = {}
    for base in reversed(linearize(cls)):
        if isinstance(base, Class):
            found.update({name: base.fields.get(name) for name in base.source.once(_annotated, base.node)})
    return found


def _annotated(node: ast.ClassDef) -> list[str]:
    """The names that the body of a class annotates, but for variables of the class."""
    return [
        statement.target.id
        for statement in node.body
        if isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and "ClassVar" not in ast.dump(statement.annotation)
    ]
