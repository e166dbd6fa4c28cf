"""`_modules` and `_parameters`: the dictionaries of a module in which it keeps what is registered."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import attributes
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import members
from gradls.flow.values import ITEMS, Choice, Host, Instance, Mapping, Sequence, Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.arguments import Call
    from gradls.flow.run import Run

NAMES = frozenset(("_modules", "_parameters"))


def read(run: Run, owner: Instance, name: str) -> Mapping:
    """What the dictionary holds now; what is written into it, is written into its owner, too."""
    entries: dict[str, Value] = {}
    sure = not owner.open and not owner.fields.get("*escaped")
    for key, member in members(owner):
        if key.startswith("*"):
            sure = False
        elif isinstance(member, Tensor):
            if name == "_parameters" and member.is_parameter:
                entries[key] = member
        elif isinstance(member, Instance):
            if name == "_modules" and is_module(member) is not False:
                entries[key] = member
        elif not isinstance(member, (Host, Sequence, Mapping)):
            sure = False
    found = Mapping(run.state, entries, None if sure else run.unknown("element"))
    found.fields["registry"] = (owner, name)
    return found


def put(run: Run, registry: Mapping, index: Value, value: Value, target: ast.expr) -> None:
    """Write an entry: it becomes a member of the module, whatever it is."""
    owner, name = registry.fields["registry"]
    key = index.value if isinstance(index, Host) and index.known else None
    items = owner.fields.get(ITEMS)
    if not isinstance(key, str):
        forget(run, registry)
    elif isinstance(items, Mapping):
        run.state.set(items.entries, key, value)
    elif isinstance(items, Sequence) and key.isdecimal() and int(key) < len(items.items):
        number = int(key)
        run.state.set(items.fields, "items", (*items.items[:number], value, *items.items[number + 1 :]))
    elif name == "_modules" or (isinstance(value, Tensor) and value.is_parameter):
        attributes.set_attribute(run, owner, key, value, target)
    else:
        run.state.set(owner.fields, key, value)


def replace(run: Run, owner: Instance, name: str) -> bool:
    """Another dictionary takes the place of the one that a module has: any entry may be anything from now on. False
    if it is no such dictionary."""
    if name not in NAMES or not is_module(owner):
        return False
    forget(run, read(run, owner, name))
    _hold_more(run, owner)
    return True


def note_method(run: Run, receiver: Value, call: Call) -> None:
    """A method without a model is called. PyTorch's own methods of modules that take a module have models, so the
    program has given their class another one, which may register what it is given."""
    if isinstance(receiver, Instance) and is_module(receiver) and any(map(_may_be_module, call.values)):
        _hold_more(run, receiver)


def _may_be_module(value: Value) -> bool:
    return isinstance(value, (Unknown, Choice)) or (isinstance(value, Instance) and bool(is_module(value)))


def _hold_more(run: Run, owner: Instance) -> None:
    """Something that is not known is registered in a module: what else it holds is not known from now on."""
    items = owner.fields.get(ITEMS)
    if isinstance(items, (Sequence, Mapping)) and items.rest is None:
        run.state.set(items.fields, "rest", run.unknown("element"))
    run.state.set(owner.fields, "*escaped", True)


def drop(run: Run, registry: Mapping, index: Value, target: ast.AST) -> None:
    """Delete an entry."""
    owner, _ = registry.fields["registry"]
    key = index.value if isinstance(index, Host) and index.known else None
    if isinstance(key, str) and key in owner.fields:
        attributes.delete_attribute(run, owner, key, target)
    else:
        forget(run, registry)


def forget(run: Run, registry: Mapping) -> None:
    """Something unknown was done to the dictionary: any of its entries may be anything from now on."""
    owner, _ = registry.fields["registry"]
    items = owner.fields.get(ITEMS)
    for key in registry.entries:
        if key in owner.fields:
            run.state.set(owner.fields, key, run.unknown("attribute", key))
    if isinstance(items, (Sequence, Mapping)) and items.rest is None:
        run.state.set(items.fields, "rest", run.unknown("element"))
