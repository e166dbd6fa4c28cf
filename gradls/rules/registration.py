"""What the rules about modules and parameters have in common: who else trains a parameter, and how modules are told."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module, library_bases, linearize
from gradls.flow.join import options
from gradls.flow.models.modules import contents, members, modules_of, parameters_of
from gradls.flow.values import Choice, Class, Instance, Tensor, Value
from gradls.rules.loss_arguments import of_call

_OWN_WAYS = frozenset(
    (
        "parameters",
        "named_parameters",
        "children",
        "named_children",
        "modules",
        "named_modules",
        "_apply",
        "__setattr__",
    )
)
"""Methods by which a class may register or list parameters in a way of its own."""


def optimized(facts: Facts) -> set[Tensor]:
    """The tensors that are given to any optimizer of the file."""
    found: set[Tensor] | None = facts.memo.get("optimized")
    if found is None:
        events = facts.of("optimizer-made", "group-added")
        found = facts.memo["optimized"] = {tensor for event in events for tensor in event.parameters}
    return found


def leaves_of(member: Instance | Tensor) -> list[Tensor]:
    """The parameters of a module, or the tensor itself."""
    return [member] if isinstance(member, Tensor) else [tensor for _, tensor in parameters_of(member)[0]]


def asked_for_parameters(facts: Facts) -> set[Instance]:
    """The modules on which `parameters()` and the like are called."""
    return set(facts.each(_asked_for_parameters))


def _asked_for_parameters(facts: Facts) -> Iterator[Instance]:
    for _, records in facts.called("parameters", "named_parameters", "state_dict"):
        for function, _, _ in records:
            receiver, name = of_call(function)
            if isinstance(receiver, Instance) and name in ("parameters", "named_parameters", "state_dict"):
                yield receiver


def lists_of_parameters(facts: Facts) -> list[set[Tensor]]:
    """What each call of `parameters()` or `named_parameters()` of a module gave."""
    return list(facts.each(_lists_of_parameters))


def _lists_of_parameters(facts: Facts) -> Iterator[set[Tensor]]:
    for _, records in facts.called("parameters", "named_parameters"):
        for function, _, result in records:
            receiver, name = of_call(function)
            if isinstance(receiver, Instance) and name in ("parameters", "named_parameters"):
                yield {part for part in tensors_in(result) if isinstance(part, Tensor)}


def parts_of(module: Instance) -> set[Instance]:
    """A module and everything registered in it, by whatever branch."""
    found: set[Instance] = set()
    todo: list[Value] = [module]
    while todo:
        value = todo.pop()
        if isinstance(value, Choice):
            todo += value.options
        elif isinstance(value, Instance) and value not in found:
            found.add(value)
            todo += [member for _, member in members(value)]
    return found


def registered_elsewhere(facts: Facts) -> set[Instance | Tensor]:
    """The modules and parameters that some module of the file registers, at any time."""
    return set(facts.each(_registered))


def _registered(facts: Facts) -> Iterator[Instance | Tensor]:
    for event in facts.of("attribute-set"):
        if isinstance(event.value, Instance) and is_module(event.value) is False:
            continue
        for value in options(event.assigned):
            if isinstance(value, (Instance, Tensor)):
                yield value
            if isinstance(value, Instance) and is_module(value) is not False:
                yield from modules_of(value)[0]
    for event in facts.of("module-made"):
        assert isinstance(event.value, Instance)
        yield from (member for _, member in contents(event.value) if isinstance(member, (Instance, Tensor)))


def has_own_ways(module: Instance) -> bool:
    """Does the class of a module list or register its parameters in a way of its own, or may a base do so?"""
    if module.open or not isinstance(module.cls, Class):
        return True
    if any(name in base.fields for base in linearize(module.cls) if isinstance(base, Class) for name in _OWN_WAYS):
        return True
    return not any(path.startswith(("torch.", "pytorch_lightning", "lightning")) for path in library_bases(module.cls))


def made_in(event: Event, *names: str) -> bool:
    """Does an event happen in a function of one of these names, or in what such a function calls?"""
    return any(function.name in names for _, function in event.callers())


def nn_prefix(facts: Facts, module: Instance) -> str:
    """What the file writes before the name of a module class: `nn.` or `torch.nn.`; empty if that cannot be seen."""
    if isinstance(module.cls, Class):
        for base in module.cls.node.bases:
            if isinstance(base, ast.Attribute) and base.attr == "Module":
                return facts.segment(base).removesuffix("Module")
    return ""
