"""The boxes of a picture in the making, and the arrows between them."""

from __future__ import annotations

from collections.abc import Iterable

from gradls.flow.graph import Node
from gradls.flow.values import Tensor
from gradls.picture.model import Kind, State


class Piece:
    """A box in the making: the nodes and parameters that it stands for. `rank` says how far it is beside the path: 0,
    on it; 1, next to it; 2, data."""

    __slots__ = (
        "asked",
        "cut",
        "folded",
        "index",
        "kind",
        "label",
        "leaves",
        "nodes",
        "owner",
        "rank",
        "rounds",
        "state",
    )

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
        self.asked = False
        """Its gradient is what is asked for."""


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
