"""What a backward proves: it raises on anything that does not require grad, so what it is called on does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.flow.chapters import Chapter
from gradls.flow.graph import Node
from gradls.flow.join import KEPT
from gradls.flow.notes import TensorState
from gradls.flow.values import Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

Place = tuple[ast.AST | None, frozenset[tuple[ast.AST, str]]]
"""A function, and the branches in it that lead to an expression."""


def prove(run: Run, chapter: Chapter) -> None:
    """Use the backwards of a chapter for expressions of which it is not known whether they require grad.

    What is proven holds where the expression is evaluated whenever the backward is: in the same function, in all the
    branches around the backward, and with nothing in between that leaves the loop or the function.
    """
    proofs: dict[Place, list[tuple[ast.AST, set[Node | Unknown]]]] = {}
    places: dict[ast.AST, Place] = {}
    for event in chapter.events:
        if event.kind == "backward" and event.info.get("requires_grad") is None and not event.caught:
            root = _node(event.value)
            if root is not None and event.at.source is run.source:
                proof = event.at.node, set(_required(root))
                proofs.setdefault(_place(run, event.at.node, places), []).append(proof)
    for node, seen in chapter.open.items():
        if all(isinstance(value, Unknown) and (value.plain or value.unrecorded) for value in seen):
            # A later use showed that these are integers.
            _state(run, chapter, node, False)
        elif proofs:
            nodes = [value if isinstance(value, Node) else _node(value) for value in seen]
            function, branches = _place(run, node, places)
            if any(
                place[0] is function and place[1] <= branches and _is_proven(run, node, nodes, found)
                for place, found in proofs.items()
            ):
                _state(run, chapter, node, True)


def _is_proven(
    run: Run, node: ast.AST, seen: list[Node | Unknown | None], proofs: list[tuple[ast.AST, set[Node | Unknown]]]
) -> bool:
    """Does each that was seen in an expression require grad by one of these backwards?"""
    needed = set(seen)
    for backward, required in proofs:
        if not needed.isdisjoint(required) and not _may_be_left(run, node, backward):
            needed -= required
    return not needed


def _may_be_left(run: Run, node: ast.AST, backward: ast.AST) -> bool:
    """Does anything leave the loop or the function between an expression and a backward behind it? Where the backward
    stands before the expression, anything may that stands before the backward."""
    outer: ast.AST = backward
    while (around := run.parent(outer)) is not None and not isinstance(around, ast.Module):
        outer = around
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            break
    first, last = run.source.line(node), run.source.line(backward)
    start = first if first <= last else 0
    return any(start < run.source.line(way_out) < last for way_out in run.source.once(_ways_out, outer))


def _ways_out(outer: ast.AST) -> tuple[ast.stmt, ...]:
    """The statements that leave a loop, a round of it or the function: not those of functions within."""
    found: list[ast.stmt] = []
    todo: list[ast.AST] = [outer]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.Break, ast.Continue, ast.Return)):
            found.append(node)
        elif node is outer or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, *_WITH_BODIES))]
    return tuple(found)


_WITH_BODIES = (ast.ExceptHandler, ast.match_case)


def _state(run: Run, chapter: Chapter, node: ast.AST, requires_grad: bool) -> None:
    chapter.unclear.discard(node)
    new = TensorState(run.source, node, requires_grad, None, None)
    state = chapter.states.setdefault(node, new)
    if state.requires_grad is (not requires_grad):
        state.doubt()
    elif not state.torn:
        state.requires_grad = requires_grad


def _node(value: Value | None) -> Node | Unknown | None:
    if isinstance(value, Tensor):
        return value.node
    return value.fields.get(("node",), value) if isinstance(value, Unknown) else None


def _required(root: Node | Unknown) -> Iterator[Node | Unknown]:
    """The node and those without which it could not require grad: the only input, and each alternative of a branch."""
    todo: list[Node | Unknown] = [root]
    done: set[Node | Unknown] = set()
    while todo:
        node = todo.pop()
        if node in done:
            continue
        done.add(node)
        yield node
        if isinstance(node, Unknown):
            continue
        # What there was before the branches may be none of what the others have made of it.
        before = node.get(KEPT, ()) if node.kind == "phi" else ()
        inputs = {edge.node: edge.flows for edge in node.edges if edge.flows is not False and edge.node not in before}
        if node.kind == "phi" or (len(inputs) == 1 and (node.kind == "op" or node.get("pure"))):
            todo += inputs


def _place(run: Run, node: ast.AST, known: dict[ast.AST, Place]) -> Place:
    """Where an expression is; of those that are `known` it need not be found out."""
    inner: list[ast.AST] = []
    outer: ast.AST | None = node
    place: Place | None = None
    while outer is not None and place is None:
        place = known.get(outer)
        if place is None:
            inner.append(outer)
            outer = run.parent(outer)
            if outer is None or isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                place = outer, frozenset()
    assert place is not None
    for part in reversed(inner):
        if isinstance(outer, (ast.If, ast.IfExp, ast.ExceptHandler, ast.match_case)):
            field = next((name for name, value in ast.iter_fields(outer) if _holds(value, part)), "")
            if field not in ("test", "subject"):
                place = place[0], place[1] | {(outer, field)}
        known[part] = place
        outer = part
    return place


def _holds(part: object, node: ast.AST) -> bool:
    return node in part if isinstance(part, list) else part is node
