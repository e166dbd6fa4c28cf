"""From the autograd graph of a subject to pieces of a picture, before anything is folded.

Drawn is what gradient flows through, what it would flow through but for a cut that costs parameters their gradient,
and next to it what else goes in: other cuts, data, frozen parameters.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import NamedTuple

from gradls.explain.names import Names
from gradls.explain.reach import scores
from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.paths import Round
from gradls.flow.reach import flow_of
from gradls.flow.values import Tensor
from gradls.picture.choose import Subject
from gradls.picture.fates import Fates
from gradls.picture.model import Kind, State
from gradls.picture.owners import Owners
from gradls.picture.sketch import Piece, Sketch


class Parameters(NamedTuple):
    """All leaves that want a gradient, by what becomes of them."""

    states: dict[Tensor, State]
    several: frozenset[Tensor]
    """Those that stand for an unknown number of parameters."""
    owners: dict[Tensor, tuple[str, ...]]
    """The modules that they are in, from the outermost."""

    def number(self, leaves: Collection[Tensor]) -> str:
        """How many these are."""
        return f"{len(leaves)}{'' if self.several.isdisjoint(leaves) else '+'}"

    def of(self, state: State) -> list[Tensor]:
        """Those in this state."""
        return [leaf for leaf, known in self.states.items() if known == state]


def trace(facts: Facts, subject: Subject) -> tuple[Sketch, Parameters]:
    """The pieces of a subject, and what becomes of the parameters that it depends on."""
    return _Tracer(facts, subject).run()


class _Tracer:
    def __init__(self, facts: Facts, subject: Subject) -> None:
        self.facts = facts
        self.subject = subject
        self.fates = Fates(facts, subject)
        self.place = {node: index for index, node in enumerate(self.fates.order)}
        self.alike = _alike(self.fates)
        self.owners = Owners(facts)
        self.sketch = Sketch()
        self.states = self.fates.states()
        self.pieces: dict[Node, Piece] = {}
        self.blocks: dict[object, Piece] = {}

    def run(self) -> tuple[Sketch, Parameters]:
        order = self.fates.order
        end = Piece("end", "none", len(order))
        drawn = {self.alike[node] for node in self._drawn()}
        for node in order:
            if node in drawn and node.kind != "phi":
                self._piece(node)
        self.sketch.add(end)
        for node in order:
            piece = self.pieces.get(node)
            if piece is not None:
                self._link_inputs(node, piece)
        for root in self.subject.roots:
            for target, gradient in self._targets(root, flow_of(root)):
                self.sketch.link(target, end, gradient)
        self._unused()
        shared = self._name_owners()
        names = Names.of(self.facts)
        several = frozenset(
            leaf for leaf in self.states if names.is_vague(leaf) or any("*" in name for name in self.owners.path(leaf))
        )
        owners = {leaf: self.owners.path(leaf)[shared:] for leaf in self.states}
        return self.sketch, Parameters(self.states, several, owners)

    # -- what is drawn

    def _drawn(self) -> set[Node]:
        drawn = {node for node in self.fates.maybe if self._is_on_path(node)}
        for node in self.fates.order:
            if node in self.fates.maybe:
                continue
            if node.cut is not None and self.fates.costs(node):
                drawn.add(node)
                drawn |= self._cut_off(node)
        # From a cut that costs something to where its value is used.
        for node in self.fates.order:
            if node not in self.fates.maybe and any(
                edge.node in drawn and self._is_dead(edge.node) for edge in node.edges
            ):
                drawn.add(node)
        drawn.update(root for root in self.subject.roots if root.leaf is None or root in self.fates.maybe)
        return drawn

    def _is_on_path(self, node: Node) -> bool:
        return node.leaf is not None or bool(node.edges) or node.kind == "opaque"

    def _is_dead(self, node: Node) -> bool:
        """Is it a value that has lost gradient of parameters?"""
        return node not in self.fates.maybe and self.fates.cut_behind[node] and self.fates.costs(node)

    def _cut_off(self, cut: Node) -> set[Node]:
        """What a cut keeps from its gradient: what lies between it and parameters that get none."""
        found, todo = set(), [cut]
        while todo:
            for edge in todo.pop().edges:
                node = edge.node
                if node not in found and self.fates.costs(node) and node not in self.fates.maybe:
                    found.add(node)
                    todo.append(node)
        return found

    # -- pieces

    def _piece(self, node: Node) -> None:
        index = self.place[node]
        if node.leaf is not None:
            if node.leaf in self.fates.leaves:
                self._parameter(node, self.fates.state(node.leaf))
            elif node in self.fates.maybe:
                self.pieces[node] = self.sketch.add(Piece("input", "unknown", index, [node]))
            return
        if self.fates.is_cut(node):
            self.pieces[node] = self._cut(node)
            return
        state: State = "reached" if node in self.fates.yes else "unknown" if node in self.fates.maybe else "none"
        kind: Kind = "input" if node.kind == "opaque" and not node.edges else "operation"
        self.pieces[node] = piece = self.sketch.add(Piece(kind, state, index, [node]))
        piece.asked = self.fates.asked is not None and node in self.fates.asked
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
        costs = self.fates.costs(node)
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
            if self.fates.is_number(node, edge):
                continue
            flows = _both(True if node in self.fates.yes else None, edge.flows) if node in self.fates.maybe else False
            for target, gradient in self._targets(edge.node, flows):
                if target.index < piece.index:
                    self.sketch.link(target, piece, gradient)

    def _targets(self, node: Node, flows: bool | None) -> Iterator[tuple[Piece, bool | None]]:
        """The pieces that stand for an input, whatever lies between: branches, and what is not drawn."""
        todo, seen = [(node, flows)], set()
        while todo:
            node, flows = todo.pop()
            node = self.alike[node]
            if node in seen:
                continue
            seen.add(node)
            piece = self.pieces.get(node)
            if piece is not None:
                yield piece, flows
            elif node.kind == "phi":
                todo += [(edge.node, _both(flows, edge.flows)) for edge in reversed(node.edges)]
            elif node.leaf is not None and node.leaf in self.fates.leaves:
                yield self._parameter(node, self.fates.state(node.leaf), 1), flows
            elif self.fates.cut_behind[node] and flows is not True:
                yield self._beside(node), False
            elif (piece := self._data(node)) is not None:
                yield piece, flows

    def _beside(self, node: Node) -> Piece:
        """The box of a value that was cut off at no cost: of the cut itself, or with the name of the value."""
        cuts = _first_cuts(node, self.fates.maybe)
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
        for leaf, bit in self.fates.leaves.items():
            behind = any(bit & self.fates.behind[node] for node in cut.nodes)
            state = self.states.get(leaf)
            if behind and state in ("elsewhere", "untrained"):
                top = self.owners.path(leaf)[:1]
                key = (state, top or leaf)
                piece = self.blocks.get(key)
                if piece is None:
                    piece = self.blocks[key] = self.sketch.add(Piece("parameters", state, -1, [], 1))
                    piece.owner = top
                piece.nodes.append(leaf.node)
                piece.leaves[leaf] = state
                self.sketch.link(piece, cut, False)

    def _data(self, node: Node) -> Piece | None:
        """The box of something that goes in and takes no part in this gradient."""
        label = _name_of_data(node)
        makers = dict.fromkeys(self.owners.path(leaf)[:1] for leaf in self.fates.leaves_behind(node))
        if not label:
            return None
        key = ("data", label)
        piece = self.blocks.get(key)
        if piece is None:
            state: State = "unknown" if node.kind == "opaque" else "none"
            piece = self.blocks[key] = self.sketch.add(Piece("input", state, -1, [node], 2))
            piece.label = label
            piece.owner = tuple(name for top in makers for name in top)
        return piece

    def _unused(self) -> None:
        """The parameters of the same models and optimizers that this loss does not depend on."""
        if self.subject.event is None or self.fates.asked is not None:
            return
        score = next((score for score in scores(self.facts) if score.event is self.subject.event), None)
        for leaf in score.missed if score is not None else ():
            if leaf in self.states:
                continue
            if leaf.requires_grad is False:
                self.states[leaf] = "frozen"
            elif leaf in self.fates.filled_elsewhere:
                self.states[leaf] = "elsewhere"
            else:
                self.states[leaf] = "unused"
                piece = self.sketch.add(Piece("parameters", "unused", -1, [leaf.node], 1))
                piece.leaves[leaf] = "unused"
                piece.owner = self.owners.path(leaf)

    def _name_owners(self) -> int:
        """Leave out the name of the one module that everything is in; how many names are left out."""
        pieces = [piece for piece in self.sketch.inputs if piece.kind == "parameters" and piece.owner]
        if len({piece.owner[0] for piece in pieces}) != 1 or not all(piece.owner[1:2] for piece in pieces):
            return 0
        if any(piece.owner[1][0] in "*0123456789[" for piece in pieces):
            return 0  # The number of a layer says nothing by itself.
        for piece in self.sketch.inputs:
            if piece.kind in ("parameters", "operation"):
                piece.owner = piece.owner[1:]
        return 1


def _alike(fates: Fates) -> dict[Node, Node]:
    """For each node one that stands for it: what the same expression makes of the same inputs is one and the same, also
    where several branches or rounds of a loop compute it."""
    known: dict[Hashable, Node] = {}
    alike: dict[Node, Node] = {}
    for node in fates.order:
        inputs = tuple(dict.fromkeys(alike[edge.node] for edge in node.edges))
        if node.kind == "phi" and len(inputs) == 1:
            alike[node] = inputs[0]
            continue
        wanted = node.leaf is not None and (node.leaf in fates.leaves or node in fates.maybe)
        if wanted or (node.at is None and node.kind != "phi"):
            alike[node] = node
            continue
        key = (
            (node.kind, node.op, node.label, inputs),
            (node.at and node.at.node, node.layer and node.layer.node, node.cut and node.cut.kind),
            (node in fates.yes, node in fates.maybe, fates.asked is not None and node in fates.asked),
        )
        alike[node] = known.setdefault(key, node)
    return alike


def _both(one: bool | None, other: bool | None) -> bool | None:
    return False if False in (one, other) else None if None in (one, other) else True


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
