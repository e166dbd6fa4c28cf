"""What a module holds without having registered it: in plain lists, tuples, dictionaries and objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradls.flow.hierarchy import is_module, library_bases
from gradls.flow.values import ITEMS, Choice, Class, Instance, Mapping, Sequence, Tensor, Value


@dataclass(frozen=True, slots=True, eq=False)
class PlainContainer:
    """A list, tuple, dictionary or object in the attribute `name` of a module, and the modules and leaves that need
    a gradient in it, at any depth. `nested`: some lie in containers within it; `cls` is the class of the program, and
    of no modules, of the object that has the first of them as an attribute."""

    name: str
    value: Value
    members: tuple[Instance | Tensor, ...]
    nested: bool
    cls: Class | None = None


def plain_containers(module: Instance) -> list[PlainContainer]:
    """The attributes of a module in which parameters are hidden from `parameters()`."""

    registered: set[int] | None = None
    found = []
    for name, value in module.fields.items():
        if not isinstance(name, str) or name == ITEMS:
            continue
        if not isinstance(value, (Sequence, Mapping)) and _class_of_object(value) is None:
            continue
        objects: list[Class] = []
        members = list(dict.fromkeys(_members(value, set(), 0, objects)))
        kept = tuple(member for member, _ in members)
        if not kept:
            continue
        if registered is None:
            registered = _registered(module)
        if not any(_is_registered(member, registered) or member.fields.get("*escaped") for member in kept):
            nested = any(depth > 1 for _, depth in members)
            found.append(PlainContainer(name, value, kept, nested, objects[0] if objects else None))
    return found


def _class_of_object(value: object) -> Class | None:
    """The class of an object of the program that is certainly no module."""
    if not isinstance(value, Instance) or not isinstance(value.cls, Class) or value.open:
        return None
    return value.cls if is_module(value) is False and not library_bases(value.cls) else None


def _registered(module: Instance) -> set[int]:
    """The identities of all modules and tensors that a module registers, by whatever branch."""
    from gradls.flow.models.modules import members

    found: set[int] = set()
    todo: list[Value] = [module]
    while todo:
        value = todo.pop()
        if isinstance(value, Choice):
            todo += value.options
        elif isinstance(value, (Instance, Tensor)) and id(value) not in found:
            found.add(id(value))
            if isinstance(value, Tensor):
                # A tensor that differs by branch stands for any of these.
                found |= {id(edge.node.leaf) for edge in value.node.edges if value.node.kind == "phi"}
            elif value is module or is_module(value) is not False:
                todo += [member for _, member in members(value)]
    return found


def _is_registered(member: Instance | Tensor, registered: set[int]) -> bool:
    """Is it among these, or are all its parameters, as those of a container whose layers are registered one by one?"""
    from gradls.flow.models.modules import parameters_of

    if id(member) in registered or isinstance(member, Tensor):
        return id(member) in registered
    return all(id(tensor) in registered for _, tensor in parameters_of(member)[0])


def _members(
    value: object, seen: set[int], depth: int, objects: list[Class]
) -> Iterator[tuple[Instance | Tensor, int]]:
    if id(value) in seen or depth > 4:
        return
    seen.add(id(value))
    if isinstance(value, Sequence):
        for item in value.elements:
            yield from _members(item, seen, depth + 1, objects)
    elif isinstance(value, Mapping):
        for item in [*value.entries.values(), *([value.rest] if value.rest is not None else [])]:
            yield from _members(item, seen, depth + 1, objects)
    elif isinstance(value, Choice):
        for option in value.options:
            yield from _members(option, seen, depth, objects)
    elif isinstance(value, Instance):
        cls = _class_of_object(value)
        if cls is not None:
            for name, field in value.fields.items():
                for member in _members(field, seen, depth + 1, objects) if isinstance(name, str) else ():
                    objects.append(cls)
                    yield member
        elif is_module(value) is True and _is_trained(value):
            yield value, depth
    elif isinstance(value, Tensor) and value.leaf is True and value.requires_grad is True:
        yield value, depth


def _is_trained(module: Instance) -> bool:
    """Has it parameters that want a gradient?"""
    from gradls.flow.models.modules import parameters_of

    return any(tensor.requires_grad is True for _, tensor in parameters_of(module)[0])
