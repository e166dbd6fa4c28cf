"""The autograd graph of the analysed program: its nodes, edges and storages.

Every operation on tensors makes a node, also where autograd would record nothing: the edges that carry no gradient
are the history that a finding tells.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NamedTuple

from gradls.flow.paths import Path
from gradls.flow.state import Fields, State
from gradls.syntax.source import Source

if TYPE_CHECKING:
    from gradls.flow.values import Tensor


class At(NamedTuple):
    """A place in a source."""

    source: Source
    node: ast.AST


_new = tuple.__new__


class Cut(NamedTuple):
    """Why gradient ends at a node.

    `kind` is one of detach, data, number, numpy, copy, rewrap, no_grad, integer, no_derivative, sample, state_dict,
    parameter, grad, constant, checkpoint. `at` is the expression or block to blame. `certain`: there surely was
    gradient to lose.
    """

    kind: str
    at: At
    certain: bool = True


class Freed(NamedTuple):
    """A backward that freed what a node had saved, or only what those `behind` it had, on whichever way it goes."""

    at: At
    path: Path | None
    behind: bool = False


class Write:
    """An in-place write to a storage. `stepper` is the optimizer whose step it was, `layer` the place where a layer
    that did it with `inplace=True` was made. It is not `certain` of a dropout of which the rate or the mode is not
    known: it may write nothing. None: it is not known what it writes to, or whether a step has a gradient to go by."""

    __slots__ = ("at", "certain", "clock", "layer", "op", "path", "stepper")

    def __init__(self, at: At, op: str, path: Path | None, stepper: object = None) -> None:
        self.at = at
        self.op = op
        self.path = path
        self.stepper = stepper
        self.layer: At | None = None
        self.certain: bool | None = True
        self.clock = 0
        """When: nodes made later are born later than this."""


class Saved(NamedTuple):
    """A tensor (a `gradls.flow.values.Tensor`) kept for backward, and which writes its storage had seen by then."""

    what: str
    tensor: Any
    writes: tuple[Write, ...]


def saved(what: str, tensor: Tensor) -> Saved:
    """What is kept of a tensor as it is now."""
    return _new(Saved, (what, tensor, tensor.writes))


class Storage:
    """The memory of a tensor, shared by its views. `fields["writes"]` are its in-place writes, its version counter;
    `fields["hidden"]` those through `.data` or NumPy, which it does not count."""

    __slots__ = ("behind", "fields", "shadow")

    def __init__(self, born: int, shadow: Storage | None = None) -> None:
        """`born` is when the memory came to be."""
        self.fields = Fields.of(born, {"writes": ()})
        self.behind: Storage | None = None
        """The storage with the same memory, to which this one writes without being counted (`.data`)."""
        self.shadow = shadow
        """The storage with the same memory but another version counter (`.data`, NumPy)."""

    @property
    def writes(self) -> tuple[Write, ...]:
        return self.fields["writes"]


class Node:
    """One result of one operation. `fields["freed"]` are the backwards (`Freed`) that freed what the node had saved."""

    __slots__ = (
        "_fields",
        "at",
        "born",
        "cut",
        "edges",
        "frees",
        "kind",
        "label",
        "layer",
        "leaf",
        "name",
        "op",
        "path",
        "saved",
        "scalar",
        "several",
        "zero",
    )

    def __init__(
        self,
        state: State,
        op: str,
        at: At | None,
        edges: tuple[Edge, ...] = (),
        *,
        kind: str = "op",
        cut: Cut | None = None,
        path: Path | None = None,
    ) -> None:
        self.op = op
        self.at = at
        self.edges = edges
        self.kind = kind
        """op, leaf (no inputs), phi (one of its edges, by branch) or opaque (unknown inputs)."""
        self.cut = cut
        self.path = path
        self.leaf: Tensor | None = None
        self.saved: tuple[Saved, ...] = ()
        self.frees: bool | None = False
        """Does a backward through it free something? None: if it goes through it at all, which is not known."""
        self.zero = False
        self.several = False
        """It stands for several results, such as the elements of a list of unknown length."""
        self.scalar: bool | None = None
        self.label = ""
        self.name = ""
        """The first name that the program gave the result."""
        self.layer: At | None = None
        """Where the layer of a Sequential that computed this was made."""
        state.clock = self.born = state.clock + 1
        self._fields: Fields | None = None

    @property
    def fields(self) -> Fields:
        if self._fields is None:
            self._fields = Fields.of(self.born)
        return self._fields

    def get(self, key: object, default: Any = None) -> Any:
        """What `fields` hold."""
        return default if self._fields is None else self._fields.get(key, default)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.op} {self.label}>"


def edge(node: Node, flows: bool | None, about: tuple[str, int] = ("", 0)) -> Edge:
    """An `Edge`, made three times as fast as by its class."""
    return _new(Edge, (node, flows, *about))


class Edge(NamedTuple):
    """An input of a node. `flows`: does gradient go to it? None means unknown. `second` says what that gradient is for
    a second derivative: "constant", "curved" (it has a graph), "raises" (that graph has no derivative), "once" (it has
    none where it should) or, not known, empty. `sign`: 1 or -1 if the result is a sum of which the input is a term, or
    minus a term; otherwise 0."""

    node: Node
    flows: bool | None
    second: str = ""
    sign: int = 0


HIDING = frozenset(("element", "filled", "recursion", "branches", "decorated", "never", "super", "item", "unknown"))
"""Origins of unknown values in which something that the analysis has seen may hide; others are data from outside."""
