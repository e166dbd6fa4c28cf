"""`_modules` and `_parameters`: the dictionaries of a module in which it keeps what is registered."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import attributes
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import members
from gradls.flow.values import ITEMS, Host, Instance, Mapping, Sequence, Tensor, Value

if TYPE_CHECKING:
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
