"""The hooks that a module has, as its slots hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradls.flow.state import ABSENT
from gradls.flow.values import Instance, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

HOOKS = "*hooks"
"""The field of a module with its forward hooks, in the order in which they run."""
BACKWARD = "*hooked"
"""The field of a module with its full backward hooks."""
KIND = "*backward-hooks"
"""The field of a module that says of which kind its backward hooks are. Removing them does not change it."""

ABSENT.update({HOOKS: (), BACKWARD: (), KIND: None})


class Hook(NamedTuple):
    """A hook of a module, and the handle that removes it. `before`: it runs before the module. `keywords`: it gets the
    keyword arguments as well. `certain`: no branch went by without registering it, or removed it."""

    function: Value | None
    before: bool
    keywords: bool | None
    handle: Instance
    certain: bool = True


def removed_by_unknown(run: Run) -> None:
    """Something unknown was told to remove itself: it may have been the handle of any hook that there is."""
    run.state.set(run.outside, "unhooked", run.state.tick())


def is_there(run: Run, hook: Hook) -> bool:
    """Whether it is certain that a hook is still registered."""
    fields = hook.handle.fields
    return hook.certain and "*escaped" not in fields and fields.born > run.outside.get("unhooked", 0)


def certain(run: Run, module: Instance, field: str) -> tuple[Hook, ...]:
    """The hooks in one of the fields of a module that are there for certain."""
    return tuple(hook for hook in module.fields.get(field, ()) if is_there(run, hook))


def joined(branches: list[tuple[Hook, ...]]) -> tuple[Hook, ...]:
    """The hooks of a module after branches that left it with these."""
    found: dict[Instance, Hook] = {}
    for hooks in branches:
        for hook in hooks:
            before = found.get(hook.handle, hook)
            everywhere = all(any(hook.handle is other.handle for other in others) for others in branches)
            found[hook.handle] = hook._replace(certain=hook.certain and before.certain and everywhere)
    return tuple(found.values())
