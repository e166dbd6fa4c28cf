"""The autograd graph of the analysed program: nodes, storages and what reaches what.

Every operation on tensors makes a node, also where autograd would record nothing: the edges that carry no gradient
are the history that a finding tells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from gradls.flow.state import Fields, State
from gradls.syntax.source import Source

if TYPE_CHECKING:
    from gradls.flow.values import Tensor


class At(NamedTuple):
    """A place in a source."""

    source: Source
    node: ast.AST


_new = tuple.__new__

Path = tuple[Any, object, object]
"""Decisions that led here: (those before, what was decided on, how). The first is a `Path` too, or None."""


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
    known: it may write nothing. None: it is not known what it writes to."""

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


def compatible(one: Path | None, other: Path | None) -> bool:
    """Can both paths be taken in one run?"""
    decided = {}
    while one is not None:
        decided[id(one[1])] = one[2]
        one = one[0]
    while other is not None:
        if decided.get(id(other[1]), other[2]) != other[2]:
            return False
        other = other[0]
    return True


class Round:
    """One round of a loop, as a step of a path: never a decision, so it contradicts nothing."""

    __slots__ = ("loop",)

    def __init__(self, loop: object) -> None:
        self.loop = loop


class Evaluations:
    """In place of the loop of a `Round`: an optimizer calls its closure several times in one step."""

    __slots__ = ()


def meets(here: Path | None, earlier: Path | None, *, plainly: bool = False) -> bool:
    """Has what was done on the path `earlier` certainly been done in a run that comes to `here`, given that the program
    takes that earlier branch at all?

    Tests that the analysis cannot decide may depend on each other (`i == last` and `i != last`, in this round and the
    next), so a branch counts only if nothing else was decided on the way to `here`. What is decided anew in each round
    about a remainder (`i % 4 == 3`) comes back, unless the question is `plainly` asked.
    """
    before, now = _decisions(earlier), _decisions(here)
    if not plainly:
        _leave_out_returning(before, now)
    if any(key in now and now[key][1] != decided[1] for key, decided in before.items()):
        return False
    if all(key in now or isinstance(subject, Round) for key, (subject, _) in before.items()):
        return True
    loops = {subject.loop for subject, _ in before.values() if isinstance(subject, Round)}
    new = [subject for key, (subject, _) in now.items() if key not in before]
    return all(isinstance(subject, Round) and subject.loop not in loops for subject in new)


def _leave_out_returning(before: dict[int, tuple[object, object]], now: dict[int, tuple[object, object]]) -> None:
    """Take out what was decided in the same way at the same test about what comes back, in an earlier round and now."""
    for key, (subject, decision) in list(before.items()):
        test = getattr(subject, "test", None)
        if test is None or key in now:
            continue
        for other, decided in list(now.items()):
            if other not in before and decided[1] is decision and getattr(decided[0], "test", None) is test:
                del before[key], now[other]
                break


def from_earlier_round(here: Path | None, earlier: Path | None) -> bool:
    """Was what was done on the path `earlier` done in another round of a loop that `here` is still in?"""
    now = _decisions(here)
    last: dict[object, object] = {}
    for subject, _ in now.values():
        if isinstance(subject, Round):
            last.setdefault(subject.loop, subject)
    rounds: dict[object, object] = {}
    for subject, _ in _decisions(earlier).values():
        if isinstance(subject, Round):
            rounds.setdefault(subject.loop, subject)
    return any(rounds.get(loop, current) is not current for loop, current in last.items())


def before_loop(here: Path | None, earlier: Path | None) -> bool:
    """Was what was done on the path `earlier` done before a loop that `here` is in?"""
    loops = {subject.loop for subject, _ in _decisions(earlier).values() if isinstance(subject, Round)}
    return any(isinstance(subject, Round) and subject.loop not in loops for subject, _ in _decisions(here).values())


def in_handler(here: Path | None, made: Path | None) -> bool:
    """Is `here` in an `except` block of a `try` that stands behind what was made on the path `made`? It may be that the
    block is not run for such a value."""
    before = _decisions(made)
    for key, (subject, decision) in _decisions(here).items():
        if key not in before and isinstance(subject, ast.Try) and decision != 0:
            return True
    return False


def times(here: Path | None, since: Path | None) -> int | None:
    """How often a run that does what was done on the path `since` does what was done on the path `here`, which is in
    loops of known length; None if that depends on something."""
    before, now = _decisions(since), _decisions(here)
    counts: dict[object, int | None] = {}
    for key, (subject, _) in now.items():
        if key in before:
            continue
        if not isinstance(subject, Round):
            return None
        counts[subject.loop] = subject.loop.count  # type: ignore[attr-defined]
    known = [count for count in counts.values() if count is not None]
    return prod(known) if len(known) == len(counts) else None


def times_at_least(here: Path | None, since: Path | None) -> tuple[int, bool] | None:
    """The same for loops of which some may be of unknown length: how often, if these have one round each, and whether
    there are such loops."""
    before, now = _decisions(since), _decisions(here)
    counts: dict[object, int | None] = {}
    for key, (subject, _) in now.items():
        if key not in before:
            if not isinstance(subject, Round):
                return None
            counts[subject.loop] = subject.loop.count  # type: ignore[attr-defined]
    known = [count for count in counts.values() if count is not None]
    return prod(known), len(known) < len(counts)


def loops_of(path: Path | None) -> frozenset[object]:
    """The statements of the loops that a path is in."""
    rounds = [subject for subject, _ in _decisions(path).values() if isinstance(subject, Round)]
    return frozenset(step.loop.statement for step in rounds)  # type: ignore[attr-defined]


def _decisions(path: Path | None) -> dict[int, tuple[object, object]]:
    found: dict[int, tuple[object, object]] = {}
    while path is not None:
        found.setdefault(id(path[1]), (path[1], path[2]))
        path = path[0]
    return found


def flow_of(node: Node) -> bool | None:
    """Does gradient go into a node?"""
    if node.leaf is not None:
        return node.leaf.requires_grad
    if node.kind == "opaque":
        return None
    flags = {edge.flows for edge in node.edges}
    return True if True in flags else None if None in flags else False


HIDING = frozenset(("element", "filled", "recursion", "branches", "decorated", "never", "super", "item", "unknown"))
"""Origins of unknown values in which something that the analysis has seen may hide; others are data from outside."""


def walk(root: Node, *, follow: str = "all") -> Iterator[Node]:
    """The nodes from `root` backwards, each once: along `all` edges, those that carry gradient (`flow`), or those
    that may (`maybe`)."""
    seen = {root}
    todo = [root]
    everything, certain = follow == "all", follow == "flow"
    while todo:
        node = todo.pop()
        yield node
        for inner, flows, _, _ in node.edges[::-1]:
            if inner not in seen and (everything or flows or (flows is None and not certain)):
                seen.add(inner)
                todo.append(inner)


def leaves_of(node: Node) -> Iterator[Tensor]:
    """The leaves one of which a tensor with this node is, by branch."""
    seen = {node}
    todo = [edge.node for edge in reversed(node.edges)]
    while todo:
        inner = todo.pop()
        if inner in seen:
            continue
        seen.add(inner)
        if inner.kind == "phi":
            todo += [edge.node for edge in reversed(inner.edges)]
        elif inner.leaf is not None:
            yield inner.leaf


def frees_on_all_ways(root: Node) -> bool:
    """Does a backward from `root` free something, whichever ways it goes?"""
    seen = {root}
    todo = [root]
    while todo:
        node = todo.pop()
        if node.frees is not False:
            continue
        inner = [edge.node for edge in node.edges if edge.flows is not False]
        if not inner:
            return False
        todo += [other for other in inner if other not in seen]
        seen.update(inner)
    return True


def certainly_reached(root: Node) -> frozenset[Tensor]:
    """The leaves that a backward from `root` comes to whichever branches were taken, if it does not raise."""
    nodes = sorted(walk(root, follow="maybe"), key=_birth)
    leaves = [node.leaf for node in nodes if node.leaf is not None]
    bits = {leaf: 1 << number for number, leaf in enumerate(leaves)}
    needed = _only_way(root)
    reached: dict[Node, int] = {}
    for node in nodes:
        branches = node.kind == "phi"
        edges = [edge for edge in node.edges if edge.flows is not False or (branches and node not in needed)]
        alone = len(edges) == 1 and node in needed
        marks = [reached.get(edge.node, 0) if edge.flows or alone else 0 for edge in edges if not node.get("custom")]
        found = marks.pop() if marks else 0
        for mark in marks:
            found = found & mark if branches else found | mark
        reached[node] = found if node.leaf is None else found | bits[node.leaf]
    return frozenset(leaf for leaf, bit in bits.items() if reached[root] & bit)


def _birth(node: Node) -> int:
    return node.born


def _only_way(root: Node) -> set[Node]:
    """The nodes from `root` on that all gradient goes through: if none flows into one, backward raises."""
    found: set[Node] = set()
    inner = [root]
    while len(inner) == 1 and inner[0] not in found and inner[0].kind in ("op", "phi"):
        found.add(inner[0])
        inner = [edge.node for edge in inner[0].edges if edge.flows is not False]
    return found


def way(root: Node, to: Node) -> list[Node]:
    """The nodes on the shortest way that gradient takes from `root` to another node, both included."""
    before: dict[Node, Node | None] = {root: None}
    todo = [root]
    for node in todo:
        if node is to:
            break
        for edge in node.edges:
            if edge.flows and edge.node not in before:
                before[edge.node] = node
                todo.append(edge.node)
    found: list[Node] = []
    step: Node | None = to
    while step is not None:
        found.append(step)
        step = before.get(step)
    return found[::-1]


MOST_TERMS = 200
"""Sums whose terms are such sums again have exponentially many."""


def terms(root: Node) -> dict[Node, int]:
    """How often each term stands in the sum `root`: 0 where it cancels itself. Only terms that gradient flows to; what
    stands for several tensors does not cancel, and nothing does in a sum of very many. What was computed twice from
    the same values is one term."""
    found: dict[Node, int] = {}
    formulas: list[tuple[tuple[object, ...], Node]] = []
    todo = [(root, 1)]
    for _ in range(MOST_TERMS):
        if not todo:
            return found
        node, count = todo.pop()
        flowing = [edge for edge in node.edges if edge.flows is not False]
        if flowing and all(edge.sign for edge in flowing):
            todo += [(edge.node, count * edge.sign) for edge in flowing]
        else:
            node = _computed_before(node, formulas)
            found[node] = 1 if node.several else found.get(node, 0) + count
    return {edge.node: 1 for edge in root.edges if edge.flows is not False}


def _computed_before(node: Node, formulas: list[tuple[tuple[object, ...], Node]]) -> Node:
    """The term among those seen so far that was computed in the same way, or the node itself, which is seen now."""
    formula = node.get("formula")
    if formula is None:
        return node
    for other, term in formulas:
        if len(other) == len(formula) and all(
            one is two or (isinstance(one, str) and one == two) for one, two in zip(other, formula, strict=True)
        ):
            return term
    formulas.append((formula, node))
    return node


def leaves(root: Node, *, follow: str = "flow") -> list[Tensor]:
    """The leaves that gradient from `root` reaches (or with `follow="all"`: that its value depends on)."""
    return [node.leaf for node in walk(root, follow=follow) if node.leaf is not None]


def frontier(root: Node) -> list[Node]:
    """The cuts met first on the way back from `root`."""
    found = []
    seen = {root}
    todo = [root]
    while todo:
        node = todo.pop()
        if node.cut is not None:
            found.append(node)
            continue
        for inner, _, _, _ in node.edges[::-1]:
            if inner not in seen:
                seen.add(inner)
                todo.append(inner)
    return found


def lost_leaves(cut: Node) -> list[Tensor]:
    """The leaves whose gradient ends at `cut`: those that its inputs would have reached. Behind a draw from a
    distribution that has no gradient by any means, there are none."""
    found: list[Tensor] = []
    seen: set[Node] = set()
    for given in cut.edges:
        todo = [] if given.node in seen else [given.node]
        seen.update(todo)
        while todo:
            node = todo.pop()
            if node.leaf is not None and node.leaf.requires_grad:
                found.append(node.leaf)
                if node.leaf.is_parameter and node.kind == "leaf":
                    continue  # There it ends, whatever the first values were computed from.
            for inner, _, _, _ in () if node.get("drawn") else node.edges[::-1]:
                if inner not in seen:
                    seen.add(inner)
                    todo.append(inner)
    return list(dict.fromkeys(found))
