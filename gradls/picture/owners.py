"""Which module a parameter belongs to, by the names that the program gives."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.models.modules import contents
from gradls.flow.values import Choice, Instance, Sequence, Tensor, Value

MOST_DEEP = 12


class Owners:
    """The paths of modules: what holds them, and under which name."""

    def __init__(self, facts: Facts) -> None:
        self._holders: dict[Value, tuple[Instance, str]] = {}
        for event in facts.of("attribute-set"):
            if isinstance(event.value, Instance):
                for suffix, value in _within(event.assigned):
                    self._holders.setdefault(value, (event.value, event.name + suffix))
        for event in facts.of("module-made"):
            if isinstance(event.value, Instance):
                for name, value in contents(event.value):
                    for suffix, part in _within(value):
                        self._holders.setdefault(part, (event.value, name + suffix))

    def path(self, leaf: Tensor) -> tuple[str, ...]:
        """The names on the way from a module that nobody holds down to the one that has this parameter; empty if no
        module has it."""
        owner: Value | None = leaf.owner or (self._holders.get(leaf, (None,))[0] if leaf in self._holders else None)
        return self.path_of(owner)

    def path_of(self, owner: Value | None) -> tuple[str, ...]:
        """The same for a module."""
        found: list[str] = []
        while isinstance(owner, Instance) and len(found) < MOST_DEEP:
            holder = self._holders.get(owner)
            if holder is None or holder[0] is owner:
                found.append(_top(owner))
                break
            found.append(holder[1])
            owner = holder[0]
        return tuple(reversed(found))


def _top(module: Instance) -> str:
    name = "" if module.name == "self" else module.name.removeprefix("self.")
    return name or (module.path.rpartition(".")[2] if module.path else module.cls.name)  # type: ignore[union-attr]


def _within(value: Value) -> Iterator[tuple[str, Value]]:
    """A value, or the elements of a list, with what follows the name."""
    if isinstance(value, Sequence):
        yield from ((f"[{number}]", item) for number, item in enumerate(value.items))
        if value.rest is not None:
            yield "[*]", value.rest
    elif isinstance(value, Choice):
        yield from (("", option) for option in value.options)
    else:
        yield "", value
