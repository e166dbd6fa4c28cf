"""From the autograd graph of a subject to pieces of a picture, before anything is folded.

Drawn is what gradient flows through, what it would flow through but for a cut that costs parameters their gradient,
and next to it what else goes in: other cuts, data, frozen parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Edge, Node, Round, flow_of
from gradls.flow.values import Tensor
from gradls.picture.choose import Subject, backwards
from gradls.picture.model import Kind, State
from gradls.picture.owners import Owners


class Piece:
    """A box in the making: the nodes and parameters that it stands for. `rank` says how far it is beside the path: 0,
    on it; 1, next to it; 2, data."""

    __slots__ = ("cut", "folded", "index", "kind", "label", "leaves", "nodes", "owner", "rank", "rounds", "state")

    def __init__(self, kind: Kind, state: State, index: int, nodes: Iterable[Node] = (), rank: int = 0) -> None:
        self.kind = kind
        self.state = state
        self.index: float = index
        """Its place in the order of the run: arrows go from lower ones to higher ones."""
        self.nodes = list(nodes)
        self.leaves: dict[Tensor, State] = {}
        self.owner: tuple[str, ...] = ()
        self.label = ""
        self.rank = rank
        self.cut = ""
        self.rounds = False
        """It stands for the rounds of a loop, or for layers in a row that are alike."""
        self.folded = False


class Sketch:
    """The pieces, and what goes into each: by input, whether gradient comes back along it."""

    def __init__(self) -> None:
        self.inputs: dict[Piece, dict[Piece, bool | None]] = {}

    def add(self, piece: Piece) -> Piece:
        self.inputs.setdefault(piece, {})
        return piece

    def link(self, start: Piece, end: Piece, gradient: bool | None) -> None:
        """Draw an arrow; of two between the same pieces the one that carries gradient is drawn."""
        if start is not end:
            known = self.inputs[end].get(start, False)
            self.inputs[end][start] = (
                True if True in (known, gradient) else None if None in (known, gradient) else False
            )

    def outputs(self) -> dict[Piece, list[Piece]]:
        """What each piece goes into."""
        found: dict[Piece, list[Piece]] = {piece: [] for piece in self.inputs}
        for end, inputs in self.inputs.items():
            for start in inputs:
                found[start].append(end)
        return found

    def remove(self, piece: Piece) -> None:
        del self.inputs[piece]
        for inputs in self.inputs.values():
            inputs.pop(piece, None)

    def merge(self, group: list[Piece]) -> Piece:
        """Make one piece, the first, of several. What would go back to an earlier piece is left out."""
        first = min(group, key=lambda piece: piece.index)
        gone = {piece for piece in group if piece is not first}
        for piece in sorted(gone, key=lambda piece: piece.index):
            first.nodes += piece.nodes
            first.leaves.update(piece.leaves)
            for start, gradient in self.inputs.pop(piece).items():
                if start is first or start in gone:
                    continue
                if not self.inputs[start]:
                    start.index = min(start.index, first.index - 0.5)  # It may stand anywhere before.
                if start.index < first.index:
                    self.link(start, first, gradient)
        for end, inputs in self.inputs.items():
            for piece in gone & inputs.keys():
                gradient = inputs.pop(piece)
                if end is not first and first.index < end.index:
                    self.link(first, end, gradient)
        return first


class Parameters(NamedTuple):
    """All leaves that want a gradient, by what becomes of them."""

    states: dict[Tensor, State]
    several: frozenset[Tensor]
    """Those that stand for an unknown number of parameters."""

    def number(self, leaves: Collection[Tensor]) -> str:
        """How many these are."""
        return f"{len(leaves)}{'' if self.several.isdisjoint(leaves) else '+'}"

    def of(self, state: State) -> list[Tensor]:
        return [leaf for leaf, known in self.states.items() if known == state]


def trace(facts: Facts, subject: Subject) -> tuple[Sketch, Parameters]:
    """The pieces of a subject, and what becomes of the parameters that it depends on."""
    return _Tracer(facts, subject).run()


class _Tracer:
    def __init__(self, facts: Facts, subject: Subject) -> None:
        self.facts = facts
        self.subject = subject
        self.order = _ordered(subject.roots)
        self.place = {node: index for index, node in enumerate(self.order)}
        self.hollow = _hollow(self.order)
        self.yes = self._flown(maybe=False)
        self.maybe = self._flown(maybe=True)
        self.owners = Owners(facts)
        self.sketch = Sketch()
        self.pieces: dict[Node, Piece] = {}
        self.blocks: dict[object, Piece] = {}
        self._count_leaves()

    def run(self) -> tuple[Sketch, Parameters]:
        end = Piece("end", "none", len(self.order))
        drawn = self._drawn()
        for node in self.order:
            if node in drawn and node.kind != "phi":
                self._piece(node)
        self.sketch.add(end)
        for node in self.order:
            piece = self.pieces.get(node)
            if piece is not None:
                self._link_inputs(node, piece)
        for root in self.subject.roots:
            for target, gradient in self._targets(root, flow_of(root)):
                self.sketch.link(target, end, gradient)
        states = {leaf: self._state(leaf) for leaf in self.leaves if leaf.requires_grad or leaf.is_parameter}
        self._unused(end, states)
        self._name_owners()
        return self.sketch, Parameters(states, frozenset(filter(self.owners.stands_for_several, states)))

    def _flown(self, *, maybe: bool) -> set[Node]:
        """What gradient certainly, or maybe, flows to."""
        seen: set[Node] = set()
        todo = [root for root in self.subject.roots if flow_of(root) or (maybe and flow_of(root) is None)]
        while todo:
            node = todo.pop()
            if node not in seen:
                seen.add(node)
                for edge in node.edges:
                    if edge.flows or (maybe and edge.flows is None and not self._is_number(node, edge)):
                        todo.append(edge.node)
        return seen

    def _is_number(self, node: Node, edge: Edge) -> bool:
        """Is an unknown input most likely a number, such as one of a configuration?"""
        return edge.flows is not True and edge.node in self.hollow and any(other.flows for other in node.edges)

    # -- what becomes of the leaves

    def _count_leaves(self) -> None:
        """For each node, as bits, the leaves that want a gradient and that it depends on; and all cuts on the way."""
        self.leaves: dict[Tensor, int] = {}
        self.below: dict[Node, int] = {}
        self.cut_below: dict[Node, bool] = {}
        for node in self.order:
            bits, cut = 0, node.cut is not None and node not in self.maybe
            if node.leaf is not None and (node.leaf.requires_grad or node.leaf.is_parameter):
                bit = self.leaves.setdefault(node.leaf, 1 << len(self.leaves))
                bits = bit if node.leaf.requires_grad is not False or node in self.yes else 0
            for edge in node.edges:
                bits |= self.below.get(edge.node, 0)
                cut = cut or self.cut_below.get(edge.node, False)
            self.below[node], self.cut_below[node] = bits, cut
        self.reached = self._bits(node for node in self.yes)
        self.perhaps = self._bits(node for node in self.maybe) & ~self.reached
        cuts = [node for node in self.order if node.cut is not None and node not in self.maybe]
        self.costly = 0
        for node in cuts:
            self.costly |= self.below[node]
        self.costly &= ~(self.reached | self.perhaps)
        others = {leaf for event in backwards(self.facts) if event is not self.subject.event for leaf in _fills(event)}
        elsewhere = sum(bit for leaf, bit in self.leaves.items() if leaf in others)
        # A backward that has nothing left to reach raises, whatever others reach.
        self.elsewhere = self.costly & elsewhere if self.reached | self.perhaps else 0
        self.costly &= ~self.elsewhere

    def _bits(self, nodes: Iterable[Node]) -> int:
        found = 0
        for node in nodes:
            if node.leaf is not None:
                found |= self.leaves.get(node.leaf, 0)
        return found

    def _state(self, leaf: Tensor) -> State:
        bit = self.leaves[leaf]
        if bit & self.reached:
            return "reached"
        if bit & self.perhaps:
            return "unknown"
        if not leaf.requires_grad:
            return "frozen"
        return "lost" if bit & self.costly else "elsewhere" if bit & self.elsewhere else "frozen"

    # -- what is drawn

    def _drawn(self) -> set[Node]:
        drawn = {node for node in self.maybe if self._is_on_path(node)}
        for node in self.order:
            if node in self.maybe:
                continue
            if node.cut is not None and self.below[node] & self.costly:
                drawn.add(node)
                drawn |= self._cut_off(node)
        # From a cut that costs something to where its value is used.
        for node in self.order:
            if node not in self.maybe and any(edge.node in drawn and self._is_dead(edge.node) for edge in node.edges):
                drawn.add(node)
        drawn.update(root for root in self.subject.roots if root.leaf is None or root in self.maybe)
        return drawn

    def _is_on_path(self, node: Node) -> bool:
        return node.leaf is not None or bool(node.edges) or node.kind == "opaque"

    def _is_dead(self, node: Node) -> bool:
        """Is it a value that has lost gradient of parameters?"""
        return node not in self.maybe and self.cut_below[node] and bool(self.below[node] & self.costly)

    def _cut_off(self, cut: Node) -> set[Node]:
        """What a cut keeps from its gradient: what lies between it and parameters that get none."""
        found, todo = set(), [cut]
        while todo:
            for edge in todo.pop().edges:
                node = edge.node
                if node not in found and self.below[node] & self.costly and node not in self.maybe:
                    found.add(node)
                    todo.append(node)
        return found

    # -- pieces

    def _piece(self, node: Node) -> None:
        index = self.place[node]
        if node.leaf is not None:
            if node.leaf in self.leaves:
                self._parameter(node, self._state(node.leaf))
            elif node in self.maybe:
                self.pieces[node] = self.sketch.add(Piece("input", "unknown", index, [node]))
            return
        if node.cut is not None and node not in self.maybe:
            self.pieces[node] = self._cut(node)
            return
        state: State = "reached" if node in self.yes else "unknown" if node in self.maybe else "none"
        kind: Kind = "input" if node.kind == "opaque" and not node.edges else "operation"
        self.pieces[node] = piece = self.sketch.add(Piece(kind, state, index, [node]))
        owners = [edge.node.leaf.owner for edge in node.edges if edge.node.leaf is not None and edge.node.leaf.owner]
        if owners and node.op[:1].isupper():
            piece.owner = self.owners.path_of(owners[0])

    def _parameter(self, node: Node, state: State, rank: int = 0) -> Piece:
        leaf = node.leaf
        assert leaf is not None
        piece = self.pieces.get(node)
        if piece is None:
            piece = Piece("parameters", state, self.place[node], [node], rank)
            piece.leaves[leaf] = state
            piece.owner = self.owners.path(leaf)
            self.pieces[node] = self.sketch.add(piece)
        return piece

    def _cut(self, node: Node) -> Piece:
        """The box of a cut; one for all operations in a block without gradients."""
        cut = node.cut
        assert cut is not None
        key: object = cut.at.node if cut.kind == "no_grad" else node
        costs = bool(self.below[node] & self.costly)
        piece = self.blocks.get((key, costs))
        if piece is None:
            state: State = "lost" if costs else "none"
            piece = self.blocks[key, costs] = Piece("cut", state, self.place[node], [], 0 if costs else 1)
            piece.cut = cut.kind
            self.sketch.add(piece)
        piece.nodes.append(node)
        return piece

    # -- arrows

    def _link_inputs(self, node: Node, piece: Piece) -> None:
        for edge in node.edges:
            if self._is_number(node, edge):
                continue
            flows = _both(True if node in self.yes else None, edge.flows) if node in self.maybe else False
            for target, gradient in self._targets(edge.node, flows):
                if target.index < piece.index:
                    self.sketch.link(target, piece, gradient)

    def _targets(self, node: Node, flows: bool | None) -> Iterator[tuple[Piece, bool | None]]:
        """The pieces that stand for an input, whatever lies between: branches, and what is not drawn."""
        todo, seen = [(node, flows)], set()
        while todo:
            node, flows = todo.pop()
            if node in seen:
                continue
            seen.add(node)
            piece = self.pieces.get(node)
            if piece is not None:
                yield piece, flows
            elif node.kind == "phi":
                todo += [(edge.node, _both(flows, edge.flows)) for edge in reversed(node.edges)]
            elif node.leaf is not None and node.leaf in self.leaves:
                yield self._parameter(node, self._state(node.leaf), 1), flows
            elif self.cut_below[node] and flows is not True:
                yield self._beside(node), False
            elif (piece := self._data(node)) is not None:
                yield piece, flows

    def _beside(self, node: Node) -> Piece:
        """The box of a value that was cut off at no cost: of the cut itself, or with the name of the value."""
        cuts = _first_cuts(node, self.maybe)
        label = "" if node in cuts else _name_of_data(node)
        key = ("beside", label or frozenset(cut.cut.at.node for cut in cuts if cut.cut))
        piece = self.blocks.get(key)
        if piece is None:
            piece = self.blocks[key] = self.sketch.add(
                Piece("cut", "none", min(self.place[cut] for cut in cuts), cuts, 1)
            )
            piece.label = label
            kinds = {cut.cut.kind for cut in cuts if cut.cut}
            piece.cut = kinds.pop() if len(kinds) == 1 else ""
            self._link_elsewhere(piece)
        return piece

    def _link_elsewhere(self, cut: Piece) -> None:
        """Draw the modules that a cut keeps from this gradient, and that another backward trains."""
        for leaf, bit in self.leaves.items():
            if bit & self.elsewhere and any(bit & self.below[node] for node in cut.nodes):
                top = self.owners.path(leaf)[:1]
                key = ("elsewhere", top or leaf)
                piece = self.blocks.get(key)
                if piece is None:
                    piece = self.blocks[key] = self.sketch.add(Piece("parameters", "elsewhere", -1, [], 1))
                    piece.owner = top
                piece.nodes.append(leaf.node)
                piece.leaves[leaf] = "elsewhere"
                self.sketch.link(piece, cut, False)

    def _data(self, node: Node) -> Piece | None:
        """The box of something without parameters that goes in."""
        label = _name_of_data(node)
        if not label:
            return None
        key = ("data", label)
        piece = self.blocks.get(key)
        if piece is None:
            state: State = "unknown" if node.kind == "opaque" else "none"
            piece = self.blocks[key] = self.sketch.add(Piece("input", state, -1, [node], 2))
            piece.label = label
        return piece

    def _unused(self, end: Piece, states: dict[Tensor, State]) -> None:
        """The parameters that an optimizer holds beside those that this loss depends on."""
        if self.subject.event is None:
            return
        for event in self.facts.of("optimizer-made"):
            held = dict.fromkeys(event.parameters)
            if any(leaf in states for leaf in held):
                for leaf in held:
                    if leaf not in states and leaf.requires_grad is not False:
                        elsewhere = any(leaf in _fills(other) for other in backwards(self.facts))
                        states[leaf] = "elsewhere" if elsewhere else "unused"
                        if not elsewhere:
                            piece = Piece("parameters", "unused", -1, [leaf.node], 1)
                            piece.leaves[leaf] = "unused"
                            piece.owner = self.owners.path(leaf)
                            self.sketch.add(piece)

    def _name_owners(self) -> None:
        """Leave out the name of the one module that everything is in."""
        pieces = [piece for piece in self.sketch.inputs if piece.kind == "parameters"]
        tops = {piece.owner[:1] for piece in pieces if piece.owner}
        if len(tops) == 1 and all(len(piece.owner) > 1 for piece in pieces if piece.owner):
            for piece in self.sketch.inputs:
                piece.owner = piece.owner[1:]


def _fills(event: Event) -> frozenset[Tensor]:
    """The leaves that a backward reaches."""
    found: frozenset[Tensor] = (
        event.info.get("reached", frozenset()) if event.requires_grad is not False else frozenset()
    )
    return found


def _both(one: bool | None, other: bool | None) -> bool | None:
    return False if False in (one, other) else None if None in (one, other) else True


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
    """What is made of nothing but unknown values that are no arguments of the function in hand."""
    found: set[Node] = set()
    for node in order:
        if node.kind == "opaque" and node.op != "argument" and all(edge.node in found for edge in node.edges):
            found.add(node)
    return found


def _first_cuts(node: Node, besides: set[Node]) -> list[Node]:
    """The cuts met first on the way back from `node`."""
    found, todo, seen = [], [node], {node}
    while todo:
        node = todo.pop()
        if node.cut is not None and node not in besides:
            found.append(node)
            continue
        for edge in node.edges:
            if edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
    return found


def _name_of_data(node: Node) -> str:
    """What data is called; empty if nobody gave it a name."""
    for _ in range(8):
        name = node.name if node.name.strip("_") else ""
        if not name and node.kind == "opaque" and node.op == "argument":
            name = node.label
        if name:
            return name
        if not node.edges:
            return ""
        node = node.edges[0].node
    return ""


def rounds_of(node: Node) -> dict[object, object]:
    """The rounds in which a node was made, by their loops."""
    found: dict[object, object] = {}
    path = node.path
    while path is not None:
        if isinstance(path[1], Round):
            found.setdefault(path[1].loop, path[1])
        path = path[0]
    return found
