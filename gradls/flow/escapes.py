"""What unknown code gets into its hands, and what it may do with it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import class_text
from gradls.flow.hierarchy import MODULE, has_unknown_base, library_bases, linearize
from gradls.flow.values import (
    ESCAPED,
    Bound,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
)
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run


def escape(run: Run, value: Value) -> None:
    """Note that unknown code has `value`, and all that it holds."""
    todo, seen = [value], set()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (Instance, Function)) or (isinstance(value, Tensor) and value.requires_grad is not False):
            run.state.set(run.outside, "backward", run.state.clock)
        if isinstance(value, (Instance, Tensor)):
            run.state.set(value.fields, "*escaped", True)
            if isinstance(value, Instance):
                if isinstance(value.cls, Class):
                    forget(run, value, value.cls)
                todo += [held for held in value.fields.values() if isinstance(held, Value)]
        elif isinstance(value, Unknown):
            if value.plain:
                run.state.set(value.fields, ESCAPED, True)
        elif isinstance(value, Bound):
            todo += [value.receiver, *([value.function] if value.function is not None else [])]
        elif isinstance(value, Function):
            todo += _closed_over(value)
            _may_fill(run, value)
        elif isinstance(value, Sequence):
            todo += value.elements
        elif isinstance(value, Mapping):
            todo += value.entries.values()
            if "registry" in value.fields:
                registries.forget(run, value)
        elif isinstance(value, Choice):
            todo += value.options


def method_escapes(run: Run, holder: Instance) -> None:
    """A method of an object is called that its class does not show. A class of which everything is known was given it
    by something like `setattr`, and then it may do anything with the object; an unknown base says less of its own
    methods, which may fill and change what the class itself does. Those of PyTorch's own classes keep to themselves."""
    if not isinstance(holder.cls, Class) or any(
        path.startswith("torch.") and path != MODULE for path in library_bases(holder.cls)
    ):
        return
    if has_unknown_base(holder.cls):
        forget(run, holder, holder.cls)
    else:
        escape(run, holder)


def unsettle(run: Run, function: Function, values: list[Value]) -> None:
    """A function that sets attributes of what it is given is not followed into itself: which tensors the modules among
    `values`, and their parts, hold by then is not known."""
    from gradls.flow.models.modules import modules_of

    if not function.source.once(_sets_attributes, function.node):
        return
    for value in values:
        for module in modules_of(value)[0] if isinstance(value, Instance) else ():
            for name, held in list(module.fields.items()):
                if isinstance(name, str) and isinstance(held, Tensor):
                    run.state.set(module.fields, name, run.join.values([held, run.unknown("attribute", name)]))


def _sets_attributes(function: ast.AST) -> bool:
    """Does it set attributes of which the names are computed?"""
    return any(
        isinstance(node, ast.Call)
        and (getattr(node.func, "id", "") in _SETTERS or getattr(node.func, "attr", "") in _SETTERS)
        for node in walk(function)
    )


_SETTERS = frozenset(("setattr", "delattr", "__setattr__", "__delattr__", "register_parameter", "register_buffer"))


def put_into(run: Run, holder: ast.expr, value: Value) -> None:
    """Note that the program puts `value` into what the expression `holder` stands for. If that belongs to a module of
    another file, whatever runs there finds it."""
    if isinstance(value, Instance) and isinstance(holder, ast.Name) and run.frame.file is not run.file:
        scope = run.frame.scope
        if scope.find(holder.id) is scope.module.fields:
            escape(run, value)


def forget(run: Run, instance: Instance, cls: Class) -> None:
    """Unknown code that has an object may count with its attributes, and call its methods, which change others."""
    bound: set[str] = set()
    filled: set[str] = set()
    for base in linearize(cls):
        if isinstance(base, Class):
            bound.update(class_text.binds(base))
            filled.update(class_text.fills(base))
    for name, value in list(instance.fields.items()):
        if not isinstance(name, str):
            continue
        if isinstance(value, Host):
            run.state.set(instance.fields, name, run.unknown("attribute", name))
        elif name in bound and isinstance(value, Tensor) and not value.is_parameter:
            run.state.set(instance.fields, name, run.join.values([value, run.unknown("attribute", name)]))
        elif isinstance(value, (Sequence, Mapping)):
            rest = value.fields.get("rest")
            if (name in filled and rest is None) or isinstance(rest, Host):
                run.state.set(value.fields, "rest", run.unknown("filled"))
            if isinstance(value, Mapping):
                for key in [key for key, entry in value.entries.items() if isinstance(entry, Host)]:
                    run.state.set(value.entries, key, run.unknown("filled"))


def _closed_over(function: Function) -> list[Value]:
    """What a function that is defined within another one has of that: unknown code that calls it may change it, too."""
    found: list[Value] = []
    names = function.source.once(_names, function.node)
    scope = function.scope
    # What other functions of the module do shows when they are run by themselves.
    whole = isinstance(function.node, ast.Lambda)
    while scope is not None and (whole or scope.kind != "module"):
        for name in names:
            value = scope.fields.get(name)
            if isinstance(value, Value) and not isinstance(value, (Tensor, Host)):
                found.append(value)
        scope = scope.parent
    return found


def _may_fill(run: Run, function: Function) -> None:
    """Whoever has a function may call it: what it puts something into may hold that from now on."""
    for name in function.source.once(_filled, function.node):
        fields = function.scope.find(name) if function.scope is not None else None
        value = fields[name] if fields is not None else None
        if isinstance(value, (Sequence, Mapping)) and value.fields.get("rest") is None:
            run.state.set(value.fields, "rest", run.unknown("filled"))


def _filled(function: ast.AST) -> frozenset[str]:
    """The names, not its own, of what a function puts something into: `x` of `x.append(...)` and `x[i] = ...`."""
    found: set[str] = set()
    own: set[str] = set()
    for node in walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            held = node.func.value if node.func.attr in class_text.FILLING else None
        else:
            held = node.value if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) else None
        if isinstance(held, ast.Name):
            found.add(held.id)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
    return frozenset(found - own)


def _names(function: ast.AST) -> frozenset[str]:
    return frozenset(node.id for node in walk(function) if isinstance(node, ast.Name))


# This needs what escapes: it comes when everything is there.
from gradls.flow import registries  # noqa: E402
