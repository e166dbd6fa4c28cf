"""What becomes of a gradient: which nodes it flows through, which leaves it reaches, and which lose it at cuts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradls.explain.reach import is_gradient
from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Edge, Node
from gradls.flow.reach import flow_of
from gradls.flow.values import Tensor
from gradls.picture.choose import Subject, backwards
from gradls.picture.model import State


class Fates:
    """What becomes of the gradient of a subject. Sets of leaves are bits of a number, one for each in `leaves`."""

    def __init__(self, facts: Facts, subject: Subject) -> None:
        self.subject = subject
        self.order = _ordered(subject.roots)
        """All nodes, inputs first."""
        self._hollow = _hollow(self.order)
        self.asked = _asked(subject)
        """The nodes of which the gradient is asked for, where it is not that of all leaves; else None."""
        self.yes = self._flown(maybe=False)
        """What gradient certainly flows to."""
        self.maybe = self._flown(maybe=True)
        """The same, and what it may flow to."""
        self._keep_asked()
        self.filled_elsewhere = frozenset(
            leaf for event in backwards(facts) if event is not subject.event for leaf in _fills(event)
        )
        """The leaves that other calls of backward reach."""
        self._held = _held(facts)
        self._look_behind()
        self._judge()

    def is_number(self, node: Node, edge: Edge) -> bool:
        """Is an unknown input of a node most likely a number, such as one of a configuration?"""
        return edge.flows is not True and edge.node in self._hollow and any(other.flows for other in node.edges)

    def is_cut(self, node: Node) -> bool:
        """Does gradient end at a node? Not if it may flow there on some way."""
        return node.cut is not None and node not in self.maybe

    def costs(self, node: Node) -> bool:
        """Does a node depend on leaves that lose their gradient?"""
        return bool(self.behind[node] & self.lost)

    def state(self, leaf: Tensor) -> State:
        """What becomes of a leaf in `leaves`."""
        bit = self.leaves[leaf]
        if bit & self.reached:
            return "reached"
        if bit & self.perhaps:
            return "unknown"
        if leaf.requires_grad:
            if bit & self.lost:
                return "lost"
            if bit & self.elsewhere:
                return "elsewhere"
            if bit & self.untrained:
                return "untrained"
        return "frozen"

    def states(self) -> dict[Tensor, State]:
        """What becomes of the leaves that matter: of those that somebody may want to train, and those that gradient
        reaches."""
        found = {leaf: self.state(leaf) for leaf in self.leaves}
        # A value of an earlier round that was a leaf there is nobody's parameter.
        return {
            leaf: state for leaf, state in found.items() if leaf.is_parameter or state not in ("elsewhere", "untrained")
        }

    def leaves_behind(self, node: Node) -> Iterator[Tensor]:
        """The leaves that a node depends on."""
        bits = self.behind[node]
        return (leaf for leaf, bit in self.leaves.items() if bit & bits)

    def _flown(self, *, maybe: bool) -> set[Node]:
        seen: set[Node] = set()
        todo = [root for root in self.subject.roots if flow_of(root) or (maybe and flow_of(root) is None)]
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                if self.asked is not None and node in self.asked:
                    continue
                for edge in node.edges:
                    if not maybe and is_gradient(node):
                        continue
                    if edge.flows or (maybe and edge.flows is None and not self.is_number(node, edge)):
                        todo.append(edge.node)
        return seen

    def _keep_asked(self) -> None:
        """Where the gradient of some nodes is asked for, it flows on the ways to these only."""
        if self.asked is None:
            return
        wanted = set(self.asked)
        for node in self.order:
            if node in self.maybe and any(edge.node in wanted and edge.flows is not False for edge in node.edges):
                wanted.add(node)
        self.yes &= wanted
        self.maybe &= wanted

    def _look_behind(self) -> None:
        self.leaves: dict[Tensor, int] = {}
        self.behind: dict[Node, int] = {}
        """The leaves that want a gradient and that a node depends on."""
        self.cut_behind: dict[Node, bool] = {}
        """Is there a cut on the way to a node, or is it one?"""
        for node in self.order:
            bits, cut = 0, self.is_cut(node)
            leaf = node.leaf
            wanted = leaf is not None and (self.asked is None or node in self.asked)
            # One that gradient reaches may be frozen by the end of the program.
            if leaf is not None and wanted and (leaf.requires_grad or leaf.is_parameter or node in self.yes):
                bit = self.leaves.setdefault(leaf, 1 << len(self.leaves))
                bits = bit if leaf.requires_grad is not False or node in self.yes else 0
            for edge in node.edges:
                bits |= self.behind[edge.node]
                cut = cut or self.cut_behind[edge.node]
            self.behind[node], self.cut_behind[node] = bits, cut

    def _judge(self) -> None:
        self.reached = self._bits(self.yes)
        self.perhaps = self._bits(self.maybe) & ~self.reached
        cut_off = 0
        for node in self.order:
            if self.is_cut(node):
                cut_off |= self.behind[node]
        cut_off &= ~(self.reached | self.perhaps)
        others = sum(bit for leaf, bit in self.leaves.items() if leaf in self.filled_elsewhere)
        # A backward that has nothing left to reach raises, whatever others reach.
        self.elsewhere = cut_off & others if self.yes or self.maybe else 0
        """What loses its gradient here, and gets one of another backward."""
        free = sum(bit for leaf, bit in self.leaves.items() if self._held is not None and leaf not in self._held)
        trains = self._held is not None and any(leaf in self._held for leaf in self._reached_leaves())
        self.untrained = cut_off & free & ~self.elsewhere if trains else 0
        """What loses its gradient here, and is in no optimizer, where the optimizers have what gradient reaches."""
        self.lost = cut_off & ~self.elsewhere & ~self.untrained
        """What loses its gradient and gets no other."""

    def _reached_leaves(self) -> Iterator[Tensor]:
        return (leaf for leaf, bit in self.leaves.items() if bit & self.reached)

    def _bits(self, nodes: Iterable[Node]) -> int:
        found = 0
        for node in nodes:
            if node.leaf is not None:
                found |= self.leaves.get(node.leaf, 0)
        return found


def _asked(subject: Subject) -> frozenset[Node] | None:
    event = subject.event
    if event is None:
        return None
    if event.kind == "grad-call":
        targets = event.targets
    elif event.inputs and event.call is not None:
        targets = tensors_in(event.call.kwargs["inputs"])
    else:
        return None
    return frozenset(target.node for target in targets if isinstance(target, Tensor))


def _fills(event: Event) -> frozenset[Tensor]:
    """The leaves that a backward reaches."""
    if event.kind != "backward" or event.requires_grad is False:
        return frozenset()
    found: frozenset[Tensor] = event.reached
    return found


def _ordered(roots: Iterable[Node]) -> list[Node]:
    """All nodes, inputs first."""
    done: dict[Node, None] = {}
    seen: set[Node] = set()
    for root in roots:
        todo = [(root, False)]
        while todo:
            node, finished = todo.pop()
            if finished:
                done[node] = None
            elif node not in seen:
                seen.add(node)
                todo.append((node, True))
                todo += [(edge.node, False) for edge in reversed(node.edges) if edge.node not in seen]
    return list(done)


def _hollow(order: Iterable[Node]) -> set[Node]:
    """What is made of unknown values that are no arguments of the function in hand, and of data: most likely numbers,
    such as those of a configuration."""
    found: set[Node] = set()
    behind_cuts: set[Node] = set()
    for node in order:
        if node.cut is not None or any(edge.node in behind_cuts for edge in node.edges):
            behind_cuts.add(node)
        elif node.kind == "opaque" and node.op != "argument":
            if all(edge.node in found for edge in node.edges):
                found.add(node)
        elif node.leaf is None:
            flowing = [edge.node for edge in node.edges if edge.flows is not False]
            if flowing and found.issuperset(flowing):
                found.add(node)
    return found


def _held(facts: Facts) -> frozenset[Tensor] | None:
    """What optimizers hold; None if that is not known, or there is none."""
    events = list(facts.of("optimizer-made", "group-added"))
    if not events or any(event.open for event in events):
        return None
    return frozenset(leaf for event in events for leaf in event.parameters)
