"""What an analysis of one file found out: the rules read this."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

from gradls.autograd.versions import NEWEST, Version
from gradls.flow.graph import At, Node, Path
from gradls.flow.names import Question
from gradls.flow.values import Value
from gradls.syntax.source import Source


@dataclass(slots=True, eq=False)
class Event:
    """Something that happens in the program, in order.

    `kind` says what (see `gradls.flow.events`), `at` where, `value` to what, `node` is the graph node that it made or
    concerns, `path` the branches taken, `info` what that kind of event has besides.
    """

    kind: str
    at: At
    value: Value | None = None
    node: Node | None = None
    path: Path | None = None
    info: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.info[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(slots=True, eq=False)
class TensorState:
    """What is known of the tensor that an expression gives; None means unknown."""

    source: Source
    node: ast.AST
    requires_grad: bool | None
    dtype: str | None
    leaf: bool | None
    called: bool = True
    """It was seen in code that runs when the file does, not only in functions that nobody in the file calls."""
    off: bool = False
    """It was seen only while gradients were off."""
    torn: bool = False
    """It requires grad in one call and not in another, or is unknown in one of them and gradients are off in the
    other."""

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

    def doubt(self) -> None:
        """Take back what is known: the same code may also run in another way."""
        self.torn = True
        self.requires_grad = self.leaf = None


@dataclass(slots=True)
class Facts:
    """Events in the order of the (abstract) run, and the state of every tensor expression."""

    source: Source
    events: list[Event] = field(default_factory=list)
    states: list[TensorState] = field(default_factory=list)
    states_elsewhere: list[TensorState] = field(default_factory=list)
    """The same for expressions of other files, in the calls that this file makes."""
    entered: dict[ast.AST, At] = field(default_factory=dict)
    """For each function of another file that was run, the call that it was run for first."""
    questions: set[Question] = field(default_factory=set)
    calls: dict[ast.Call, list[tuple[Value, Any, Value]]] = field(default_factory=dict)
    """For each call expression, every time it was evaluated: what was called, the arguments, the result."""
    others: list[Source] = field(default_factory=list)
    """The other files of the program that the analysis went into."""
    lost: list[Any] | None = None
    """See `gradls.flow.lost`."""
    _reads: dict[str, list[ast.Attribute]] | None = None
    _by_kind: dict[tuple[str, ...], list[tuple[int, Event]]] = field(default_factory=dict)
    _indexed: int = 0
    """How many events that is about."""
    memo: dict[str, Any] = field(default_factory=dict)
    """What rules worked out from these facts, for other rules."""
    unfinished: bool = False
    """Part of the file was not followed to its end: what did not happen there is not known."""
    torch_name: str = "torch"
    """The name under which the file knows torch."""
    target: Version = NEWEST
    """The version of PyTorch that the file is meant for."""

    def of(self, *kinds: str) -> Iterator[Event]:
        """The events of these kinds, in order. To be asked once the analysis is over."""
        return map(itemgetter(1), self.numbered(*kinds))

    def numbered(self, *kinds: str) -> list[tuple[int, Event]]:
        """The same with their places in `events`. Not to be changed."""
        if self._indexed != len(self.events):
            self._by_kind = {}
            for number, event in enumerate(self.events):
                self._by_kind.setdefault((event.kind,), []).append((number, event))
            self._indexed = len(self.events)
        found = self._by_kind.get(kinds)
        if found is None:
            parts = [self._by_kind.get((kind,), []) for kind in dict.fromkeys(kinds)]
            found = self._by_kind[kinds] = sorted(chain.from_iterable(parts), key=itemgetter(0))
        return found

    def source_of(self, node: ast.AST) -> Source:
        """The file whose tree holds `node`."""
        if not self.others or node in self.source.parents:
            return self.source
        return next((source for source in self.others if node in source.parents), self.source)

    def segment(self, node: ast.AST) -> str:
        """The text of a node of any file."""
        return self.source_of(node).segment(node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around `node`, of any file."""
        if isinstance(node, ast.Module):
            return None
        outer = self.source.parents.get(node)
        return outer if outer is not None or not self.others else self.source_of(node).parents.get(node)

    def reads(self, name: str) -> list[ast.Attribute]:
        """The places in the file where an attribute of this name is read."""
        if self._reads is None:
            self._reads = {}
            for node in self.source.parents:
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    self._reads.setdefault(node.attr, []).append(node)
        return self._reads.get(name, [])

    def statement(self, node: ast.AST | None) -> ast.stmt | None:
        """The smallest statement that holds `node`."""
        while node is not None and not isinstance(node, ast.stmt):
            node = self.parent(node)
        return node
