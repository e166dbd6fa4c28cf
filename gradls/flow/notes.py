"""What a run writes down: what happens, and what is known of the tensors that expressions give."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from gradls.flow.graph import At, Node
from gradls.flow.paths import Path
from gradls.flow.values import Function, Value
from gradls.syntax.source import Source


class Event:
    """Something that happens in the program, in order.

    `kind` says what (see `gradls.flow.events`), `at` where, `value` to what, `node` is the graph node that it made or
    concerns, `path` the branches taken, `info` what that kind of event has besides: its attributes, too.
    """

    __slots__ = ("alone", "at", "calls", "caught", "clock", "hypothetical", "info", "kind", "node", "path", "value")

    def __init__(
        self,
        kind: str,
        at: At,
        value: Value | None = None,
        node: Node | None = None,
        path: Path | None = None,
        info: dict[str, Any] | None = None,
        alone: bool = False,
        calls: Any = None,
        caught: bool = False,
        clock: int = 0,
    ) -> None:
        self.kind = kind
        self.at = at
        self.value = value
        self.node = node
        self.path = path
        self.info: dict[str, Any] = {} if info is None else info
        self.alone = alone
        """It happens in a function that nobody in the file calls."""
        self.calls = calls
        """The calls that led there (`gradls.flow.run.Calls`)."""
        self.caught = caught
        """An error there would be caught."""
        self.clock = clock
        """When: things that come to be later are born later than this."""
        self.hypothetical = False
        """It is not certain that gradients are on there."""

    def callers(self) -> Iterator[tuple[At, Function]]:
        """The calls that led there, innermost first: where each is, and of which function."""
        calls = self.calls
        while calls is not None:
            at, function, calls = calls
            yield at, function

    def __getattr__(self, name: str) -> Any:
        try:
            return self.info[name]
        except KeyError:
            raise AttributeError(name) from None


Seen = tuple[tuple[Node, "bool | None", "bool | None"], ...]


class TensorState:
    """What is known of the tensor that an expression gives; None means unknown."""

    __slots__ = ("called", "dtype", "leaf", "node", "off", "requires_grad", "seen", "source", "torn")

    def __init__(
        self,
        source: Source,
        node: ast.AST,
        requires_grad: bool | None,
        dtype: str | None,
        leaf: bool | None,
        off: bool = False,
        seen: Seen = (),
    ) -> None:
        self.source = source
        self.node = node
        self.requires_grad = requires_grad
        self.dtype = dtype
        self.leaf = leaf
        self.called = True
        """It was seen in code that runs when the file does, not only in functions that nobody in the file calls."""
        self.off = off
        """It was seen only while gradients were off."""
        self.torn = False
        """It requires grad in one call and not in another, or is unknown in one of them and gradients are off in the
        other."""
        self.seen = seen
        """What it was, each time that it was something else: the node of the graph, whether it required grad and
        whether it was a leaf then. The first and the last of them if there were more than `MOST_SEEN`."""

    def copied(self) -> TensorState:
        copy = TensorState(self.source, self.node, self.requires_grad, self.dtype, self.leaf, self.off, self.seen)
        copy.called, copy.torn = self.called, self.torn
        return copy

    def blur(self, other: TensorState) -> None:
        """Keep what holds in both states."""
        differs = self.requires_grad is not other.requires_grad
        known = self.requires_grad is not None and other.requires_grad is not None
        self.torn = self.torn or other.torn or (differs and (known or self.off is not other.off))
        self.off = self.off and other.off
        if differs:
            self.requires_grad = None
        if self.dtype != other.dtype:
            self.dtype = None
        if self.leaf is not other.leaf:
            self.leaf = None
        self.was_also(other.seen)

    def was_also(self, seen: Seen) -> None:
        """It was `seen` as something else, too."""
        if seen and seen != self.seen:
            self.seen = _joined(self.seen, seen)

    def doubt(self) -> None:
        """Take back what is known: the same code may also run in another way."""
        self.torn = True
        self.requires_grad = self.leaf = None


MOST_SEEN = 4


def _joined(first: Seen, second: Seen) -> Seen:
    found = tuple(dict.fromkeys(first + second))
    return found if len(found) <= MOST_SEEN else (*found[: MOST_SEEN - 1], found[-1])
