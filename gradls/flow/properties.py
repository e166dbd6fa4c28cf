"""Properties: what reads an attribute, and what an assignment to it runs."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import calls, hierarchy
from gradls.flow.arguments import Call
from gradls.flow.values import Class, Function, Instance, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_SETTER = "setter"


def made_of(run: Run, read: Function, write: Value | None = None) -> Function:
    """`property(read, write)`. The functions themselves stay what they are."""
    made = Function(run.state, read.node, read.scope, read.source)
    made.owner, made.defaults, made.mode = read.owner, read.defaults, read.mode
    made.decorated, made.casts, made.wrapped = read.decorated, read.casts, read.wrapped
    made.kind = "property"
    if isinstance(write, Function):
        made.fields[_SETTER] = write
    return made


def decorate(run: Run, function: Function, node: ast.Attribute, of: Value) -> Function:
    """`@name.setter` and the like on `function`, where `of` is what stands before the dot: the property."""
    function.kind = "setter"
    names = run.frame.scope.fields
    read = names.get(function.name)
    if not isinstance(read, Function) or read.kind != "property":
        if not isinstance(of, Function) or of.kind != "property":
            return function
        # That of a base class is another one.
        read = made_of(run, of)
    if node.attr == "getter":
        function.kind = "property"
        return function
    # The name is still that of what reads the property; the function is kept where no attribute is found.
    run.state.set(names, f"{function.name}.{node.attr}", function)
    return read


def assign(run: Run, receiver: Instance, name: str, value: Value, target: ast.expr) -> bool:
    """Run the setter of a property on `receiver.name = value`; False if there is none."""
    if not isinstance(receiver.cls, Class) or name in receiver.fields:
        return False
    found, owner = hierarchy.find_in_class(receiver.cls, name)
    if not isinstance(found, Function) or found.kind != "property":
        return False
    if hierarchy.is_module(receiver) and (
        hierarchy.is_module(value) or (isinstance(value, Tensor) and value.is_parameter)
    ):
        # `nn.Module` registers these itself.
        return False
    write = found.fields.get(_SETTER)
    if write is None and isinstance(owner, Class):
        write = owner.fields.get(f"{name}.{_SETTER}")
    if not isinstance(write, Function):
        return False
    calls.call_function(run, write, Call(target, [value]), receiver)
    return True
