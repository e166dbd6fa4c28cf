"""Folding: a picture of a real program has to fit into a reader's head."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from itertools import pairwise

from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.paths import compatible
from gradls.picture.sketch import Piece, Sketch
from gradls.picture.trace import rounds_of

_NUMBER = re.compile(r"\[(\d+|\*)\]$|^(\d+|\*)$")
MOST_BOXES = 60
ROOMY = 24
"""In a picture of so few boxes every layer has a box for its parameters, and data is drawn."""
MOST_PARAMETERS = 14
"""So many boxes for parameters are drawn, by module; more are put together by what holds these modules."""


def fold(facts: Facts, sketch: Sketch, most: int = MOST_BOXES) -> None:
    """Make `sketch` fit into `most` boxes: first goes what is beside the path."""
    _fold_rounds(sketch)
    _fold_branches(sketch)
    _by_users(sketch)
    _by_owner(sketch, lambda piece: piece.owner)
    if len(sketch.inputs) > ROOMY:
        _drop_data(sketch)
        _take_in(sketch)
    if len(sketch.inputs) > most:
        _fold_layers(sketch)
    _by_holder(sketch, lambda: sum(piece.kind == "parameters" for piece in sketch.inputs) > MOST_PARAMETERS)
    _fold_operations(facts, sketch, most)
    _by_holder(sketch, lambda: len(sketch.inputs) > most)
    _cap(sketch, most)


def _groups(pieces: Iterable[Piece], key: Callable[[Piece], Hashable]) -> list[list[Piece]]:
    """The pieces with the same key, where there are several; None is no key."""
    found: dict[Hashable, list[Piece]] = defaultdict(list)
    for piece in pieces:
        known = key(piece)
        if known is not None:
            found[known].append(piece)
    return [group for group in found.values() if len(group) > 1]


def _fold_rounds(sketch: Sketch) -> None:
    """One box for the same expression in all rounds of a loop."""

    def key(piece: Piece) -> Hashable:
        node = piece.nodes[0] if piece.kind in ("operation", "cut") and len(piece.nodes) == 1 else None
        if node is None or node.at is None:
            return None
        return node.at.node, node.layer and node.layer.node, node.op, piece.kind, piece.state, piece.rank

    for group in _groups(sketch.inputs, key):
        by_loop: dict[Hashable, list[Piece]] = defaultdict(list)
        for piece in group:
            by_loop[tuple(rounds_of(piece.nodes[0]))].append(piece)
        for alike in by_loop.values():
            if len({_round(piece.nodes[0]) for piece in alike}) > 1:
                _merge_rounds(sketch, alike)


def _merge_rounds(sketch: Sketch, alike: list[Piece]) -> None:
    owners = [piece.owner for piece in alike]
    merged = sketch.merge(alike)
    merged.rounds = True
    merged.owner = _without_numbers(owners[0], len(_common(owners)) + 1)


def _fold_layers(sketch: Sketch) -> None:
    """One box for layers in a row that one expression made, each for another place."""

    def key(piece: Piece) -> Hashable:
        node = piece.nodes[0] if piece.kind == "operation" else None
        return None if node is None or node.layer is None else (node.layer.node, node.op, piece.state)

    for group in _groups(sketch.inputs, key):
        if _in_a_row(sketch, group):
            _merge_rounds(sketch, group)


def _in_a_row(sketch: Sketch, pieces: list[Piece]) -> bool:
    """Does each of these pieces depend on the one before?"""
    ordered = sorted(pieces, key=lambda piece: piece.index)
    return all(_depends(sketch, later, earlier) for earlier, later in pairwise(ordered))


def _depends(sketch: Sketch, later: Piece, earlier: Piece) -> bool:
    todo, seen = [later], {later}
    while todo:
        for start in sketch.inputs[todo.pop()]:
            if start is earlier:
                return True
            if start not in seen and start.index > earlier.index:
                seen.add(start)
                todo.append(start)
    return False


def _fold_branches(sketch: Sketch) -> None:
    """One box for a layer that is called in each of several branches."""

    def key(piece: Piece) -> Hashable:
        node = piece.nodes[0] if piece.kind == "operation" else None
        return None if node is None or node.layer is None else (node.layer.node, node.op, piece.state)

    for group in _groups(sketch.inputs, key):
        paths = [piece.nodes[0].path for piece in group]
        if not any(compatible(one, other) for number, one in enumerate(paths) for other in paths[:number]):
            sketch.merge(group)


def _round(node: Node) -> Hashable:
    return tuple(map(id, rounds_of(node).values()))


def _by_owner(sketch: Sketch, owner: Callable[[Piece], tuple[str, ...]]) -> None:
    def key(piece: Piece) -> Hashable:
        return (owner(piece), piece.state) if piece.kind == "parameters" and piece.owner else None

    for group in _groups(sketch.inputs, key):
        sketch.merge(group).owner = owner(group[0])


def _by_holder(sketch: Sketch, too_many: Callable[[], bool]) -> None:
    """Put the parameters of modules together by what holds these, the deepest first."""
    for depth in range(8, 0, -1):
        if too_many():
            _by_owner(sketch, lambda piece, depth=depth: piece.owner[:depth])  # type: ignore[misc]


def _by_users(sketch: Sketch) -> None:
    """Put the parameters of the elements of a list together that all go into the same boxes."""
    users = {piece: frozenset(found) for piece, found in sketch.outputs().items()}

    def key(piece: Piece) -> Hashable:
        rounds = users[piece] and all(user.rounds for user in users[piece])
        return (users[piece], piece.state) if piece.kind == "parameters" and piece.owner and rounds else None

    for group in _groups(sketch.inputs, key):
        owners = [piece.owner for piece in group]
        merged = sketch.merge(group)
        merged.owner = _without_numbers(owners[0], len(_common(owners)) + 1)


def _without_numbers(owner: tuple[str, ...], most: int) -> tuple[str, ...]:
    """The first names of a path, up to the list that it goes into an element of."""
    names = list(owner[:most])
    while names and (name := _NUMBER.sub("", names[-1])) != names[-1]:
        names[-1:] = [name] if name else []
    return tuple(names)


def _common(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    """What all paths begin with."""
    found = []
    for names in zip(*paths, strict=False):
        if len(set(names)) > 1:
            break
        found.append(names[0])
    return tuple(found)


def _drop_data(sketch: Sketch) -> None:
    for piece in [piece for piece in sketch.inputs if piece.rank == 2]:
        sketch.remove(piece)


def _take_in(sketch: Sketch) -> None:
    """Parameters that gradient reaches, and that one operation alone uses, are told in its box."""
    for piece, users in sketch.outputs().items():
        if piece.kind == "parameters" and piece.state == "reached" and len(users) == 1:
            (user,) = users
            if user.kind == "operation" and user.state == "reached":
                user.leaves.update(piece.leaves)
                sketch.remove(piece)


def _fold_operations(facts: Facts, sketch: Sketch, most: int) -> None:
    """Put neighbouring operations together: in a chain, then in a function, then any."""
    functions: dict[Node, Hashable] = {}

    def function(piece: Piece) -> Hashable:
        node = piece.nodes[0]
        if node not in functions:
            functions[node] = _function_around(facts, node)
        return functions[node]

    stages: list[Callable[[Piece, Piece, Piece | None], bool]] = [
        lambda one, other, only: only is other and function(one) == function(other),
        lambda one, other, _: function(one) == function(other),
        lambda one, other, only: only is other,
        lambda one, other, _: True,
    ]
    for fits in stages:
        if len(sketch.inputs) <= most:
            return
        _contract(sketch, fits, most)


def _function_around(facts: Facts, node: Node) -> Hashable:
    if node.at is None:
        return None
    return facts.function(node.at.node)


def _contract(sketch: Sketch, fits: Callable[[Piece, Piece, Piece | None], bool], most: int) -> None:
    """Merge operations into those that use them, where `fits` says so and no other way leads from one to the other."""
    outputs = sketch.outputs()
    for piece in sorted(sketch.inputs, key=lambda piece: piece.index):
        while len(sketch.inputs) > most and piece in sketch.inputs and piece.kind == "operation":
            users = [user for user in outputs[piece] if user in sketch.inputs]
            partner = next(
                (
                    user
                    for user in sorted(users, key=lambda user: user.index)
                    if user.kind == "operation"
                    and user.state == piece.state
                    and fits(piece, user, _only(sketch, outputs, piece, user))
                    and not _another_way(outputs, piece, user)
                ),
                None,
            )
            if partner is None:
                break
            merged = sketch.merge([piece, partner])
            merged.folded = True
            merged.index = partner.index
            outputs = sketch.outputs()


def _only(sketch: Sketch, outputs: dict[Piece, list[Piece]], piece: Piece, user: Piece) -> Piece | None:
    """`user`, if nothing else uses `piece`, and it uses no other operation."""
    others = [start for start in sketch.inputs[user] if start is not piece and start.kind in ("operation", "cut")]
    return user if not others and len(outputs[piece]) == 1 else None


def _another_way(outputs: dict[Piece, list[Piece]], start: Piece, end: Piece) -> bool:
    """Does a way lead from `start` to `end` besides the arrow between them?"""
    todo, seen = [piece for piece in outputs[start] if piece is not end], set()
    while todo:
        piece = todo.pop()
        if piece is end:
            return True
        if piece not in seen and piece.index < end.index:
            seen.add(piece)
            todo += outputs[piece]
    return False


def _cap(sketch: Sketch, most: int) -> None:
    """What is still too much: boxes of one kind and state together, the largest groups first."""
    while len(sketch.inputs) > most:
        groups = _groups(
            sketch.inputs, lambda piece: None if piece.kind == "end" else (piece.kind, piece.state, piece.cut)
        )
        if not groups:
            return
        largest = max(groups, key=len)
        group = sorted(largest, key=lambda piece: piece.index)
        merged = sketch.merge(group[: len(sketch.inputs) - most + 1])
        merged.folded = True
        merged.owner = ()
