"""What puts models into training or evaluation mode, and what computes with them, in order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property

from gradls.flow.facts import Event, Facts
from gradls.flow.unknown_modules import VIEWED
from gradls.flow.values import Instance, Unknown, Value

Numbered = list[tuple[int, Event]]
_CALLS = ("unknown-call", "module-call", "forward")


class Switches:
    """The calls of `train()` and `eval()` in a file. Numbers are those of `Facts.numbered`."""

    def __init__(self, facts: Facts) -> None:
        self.all: Numbered = facts.numbered("train-mode", "unknown-train-mode")
        self._facts = facts
        self._about: dict[Event, Numbered] = {}
        self._by_part: dict[Value, Numbered] = {}
        self._by_root: dict[Value, Numbered] = {}
        for number, event in self.all:
            for module in event.modules if event.kind == "train-mode" else ():
                self._by_part.setdefault(module, []).append((number, event))
                for part in unknown_parts([module]):
                    self._by_root.setdefault(_root(part), []).append((number, event))
            if event.kind == "unknown-train-mode" and event.value is not None:
                self._by_root.setdefault(_root(event.value), []).append((number, event))

    def about(self, event: Event) -> Numbered:
        """Those of parts of the same model, or of what may hold it, in order."""
        found = self._about.get(event)
        if found is None:
            if event.kind == "train-mode":
                rows = [self._by_part.get(module, []) for module in event.modules]
            else:
                rows = [self._by_root.get(_root(event.value), [])] if event.value is not None else []
            mine = {number: other for row in rows for number, other in row}
            found = self._about[event] = [(number, mine[number]) for number in sorted(mine)]
        return found

    def of_part(self, module: Instance) -> Numbered:
        """Those of models that a module is in, or of the module itself, in order."""
        return self._by_part.get(module, [])

    @cached_property
    def of_any_unknown(self) -> Numbered:
        """Those that may put into training mode a model of which nothing is known, under another name perhaps."""
        return [
            (number, event)
            for number, event in self.all
            if event.mode is not False and (event.kind == "unknown-train-mode" or unknown_parts(event.modules))
        ]

    @cached_property
    def called(self) -> set[Value]:
        """All of which nothing is known that is called."""
        return {event.value for event in self._facts.of("unknown-call") if event.value is not None}

    def computed_with(self, model: Value | None) -> list[int]:
        """When something of which nothing is known computes with a model, itself or what it is given to."""
        return self._computed.get(model, []) if model is not None else []

    @cached_property
    def _computed(self) -> dict[Value, list[int]]:
        found: dict[Value, list[int]] = {}
        for number, event in self._facts.numbered("unknown-call"):
            for model in models_in(event):
                found.setdefault(model, []).append(number)
        return found


def switches_of(facts: Facts) -> Switches:
    """What sets modes in a file, kept with its facts."""
    found: Switches | None = facts.memo.get("switches")
    if found is None:
        found = facts.memo["switches"] = Switches(facts)
    return found


def last_before(number: int, events: Numbered) -> tuple[int, Event] | None:
    """The last of some events before a number."""
    index = bisect_left(events, number, key=_number_of)
    return events[index - 1] if index else None


def first_after(number: int, events: Numbered) -> tuple[int, Event] | None:
    """The first of some events behind a number."""
    index = bisect_right(events, number, key=_number_of)
    return events[index] if index < len(events) else None


def between(first: int, last: int, events: Numbered) -> Iterator[tuple[int, Event]]:
    """Those of some events behind the number `first` and before the number `last`."""
    start = bisect_right(events, first, key=_number_of)
    return (events[index] for index in range(start, bisect_left(events, last, lo=start, key=_number_of)))


def _number_of(one: tuple[int, Event]) -> int:
    return one[0]


def uses_of_models(facts: Facts) -> Numbered:
    """The calls that may compute with models, and what differentiates the results."""
    return facts.numbered("backward", *_CALLS)


def models_in(event: Event) -> Iterator[Value]:
    """The models with which a call may compute something that is recorded: what is called, or what that is given
    beside others."""
    function = event.value
    if event.kind != "unknown-call":
        if function is not None and event.kind != "backward":
            yield function
        return
    if event.grad is False:
        return
    if function is not None:
        yield function
    owner = function.fields.get("of") if isinstance(function, Unknown) else None
    if isinstance(owner, Value) and event.arguments:
        yield owner
    if len(event.arguments) > 1:
        yield from event.arguments


def computes_with(event: Event, model: Value | None) -> bool:
    """Is a model called here to compute something that is recorded, itself or by what it is given to?"""
    return any(one is model for one in models_in(event))


def unknown_parts(modules: list[Instance]) -> set[Unknown]:
    """What modules hold of which nothing is known, such as a model of another library."""
    return {member for module in modules for member in module.fields.values() if isinstance(member, Unknown)}


def _root(value: Value) -> Value:
    """The module that `module.cuda()` and the like give themselves."""
    while isinstance(value, Unknown) and isinstance(value.fields.get(VIEWED), Value):
        value = value.fields[VIEWED]
    return value
