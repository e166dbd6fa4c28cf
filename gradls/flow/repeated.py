"""An element that stands for several: what a later round does is done to another one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.values import Choice, Instance, Sequence, Storage, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

Storages = frozenset[Storage]
NONE: Storages = frozenset()


def shared(values: list[Value]) -> list[Storages]:
    """For each of the elements with which a loop of unknown length is run, the storages that one before it has, too."""
    found: list[Storages] = []
    seen = NONE
    for number, value in enumerate(values):
        own = NONE if number == 0 and len(values) == 1 else storages(value)
        found.append(own & seen)
        seen |= own
    return found


def storages(value: Value) -> Storages:
    """The memory of a tensor, of the parameters and buffers of a module, or of what a tuple has of these."""
    from gradls.flow.models.modules import buffers_of, parameters_of

    if isinstance(value, Tensor):
        return frozenset((value.storage,))
    if isinstance(value, Sequence):
        return frozenset(storage for item in value.items for storage in storages(item))
    if isinstance(value, Choice):
        return frozenset(storage for option in value.options for storage in storages(option))
    if isinstance(value, Instance):
        tensors = parameters_of(value)[0] + buffers_of(value)[0]
        return frozenset(tensor.storage for _, tensor in tensors)
    return NONE


class as_another:
    """A round in which these storages belong to another element than in the rounds before."""

    def __init__(self, run: Run, of_others: Storages) -> None:
        self.run = run
        self.before = run.of_others
        run.of_others |= of_others

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.run.of_others = self.before
