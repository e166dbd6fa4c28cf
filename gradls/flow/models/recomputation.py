"""Checkpoints compute their function once more in backward: does it do the same then?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gradls.flow.contents import tensors_in
from gradls.flow.graph import Edge, Node, Saved, saved
from gradls.flow.reach import walk
from gradls.flow.shapes import differ
from gradls.flow.values import Sequence, Tensor, Value

if TYPE_CHECKING:
    import ast

    from gradls.flow.arguments import Call
    from gradls.flow.run import Run


def check(run: Run, mark: tuple[int, int], result: Value, again: Callable[[], Value], at: ast.AST) -> None:
    """Write down that a function, of which the first call since `mark` gave `result`, does something else when it is
    called a second time. What the second call writes is undone."""
    if not isinstance(result, Tensor) or result.requires_grad is not True or not _changes_something(run, mark):
        return
    events, before = len(run.events), run.state.mark()
    try:
        second = again()
        difference = _difference(result, mark[1], second, before[1]) if isinstance(second, Tensor) else None
    finally:
        run.state.undo(before)
        del run.events[events:]
    if difference is not None:
        why, node = difference
        run.event("recomputed", at, result, node, why=why)


def note_draws(run: Run, mark: tuple[int, int], result: Tensor, at: ast.AST) -> None:
    """Write down that what was computed since `mark` draws numbers, and that the second computation draws others."""
    if result.requires_grad is not True or run.recording is not True:
        return
    nodes = walk(result.node, follow="flow")
    drawn = next((node for node in nodes if node.born > mark[1] and node.get("draws")), None)
    if drawn is not None:
        run.event("recomputed", at, result, drawn, why="draws")


def forget_saved(since: int, result: Value) -> None:
    """What was computed in a checkpoint keeps nothing for backward: that is computed once more."""
    for tensor in tensors_in(result):
        if isinstance(tensor, Tensor):
            for node in walk(tensor.node, follow="maybe"):
                if node.born > since:
                    node.saved = ()


def record(run: Run, result: Value, call: Call, *, alone: bool = True) -> Value:
    """What a reentrant checkpoint gives, of which the function gave `result`: like a custom Function it computes
    without a graph, and is recorded by what it is given. Its backward goes through the graph that is made then."""
    if isinstance(result, Sequence) and result.kind == "tuple" and result.whole:
        items = tuple([record(run, item, call, alone=False) for item in result.items])
        return Sequence(run.state, "tuple", items, None, result.names)
    if not isinstance(result, Tensor) or result.dtype in ("int", "bool") or run.recording is not True:
        return result
    given = [value for value in call.args[1:] if isinstance(value, Tensor)]
    if result.requires_grad is True:
        edges = [Edge(result.node, True)]
    else:
        edges = [Edge(value.node, None) for value in (result, *given)]
    node = Node(run.state, "checkpoint", run.at(call.node), tuple(edges), path=run.path)
    node.scalar, node.frees = result.node.scalar, True
    node.fields["barren"] = alone and result.requires_grad is False
    node.saved = tuple(saved("input", value) for value in given)
    tensor = Tensor(
        run.state, node, requires_grad=True, leaf=False, dtype=result.dtype, shape=result.shape, storage=result.storage
    )
    tensor.base = result.base
    return tensor


def _changes_something(run: Run, mark: tuple[int, int]) -> bool:
    """Did the call change an attribute or a list that was there before, so that the next may do something else?"""
    return any(
        fields.born <= mark[1] and isinstance(key, str) and (isinstance(value, Value) or key == "items")
        for fields, key, value in run.state.peek(mark).values()
    )


def _difference(first: Tensor, since: int, second: Tensor, later: int) -> tuple[str, Node | None] | None:
    """How what the second call keeps for backward differs from what the first kept."""
    kept, anew = _operations(first, since), _operations(second, later)
    if kept is None or anew is None:
        return None
    one, other = ([entry for node in nodes for entry in node.saved] for nodes in (kept, anew))
    place = next((b for a, b in zip(kept, anew, strict=False) if a.op != b.op), None)
    if len(other) < len(one):
        return "fewer", place or (anew[-1] if anew else None)
    for before, after in zip(one, other, strict=False):
        if _is_other(before, after):
            return "shape", place or next((node for node in anew if after in node.saved), None)
    return None


def _operations(root: Tensor, since: int) -> list[Node] | None:
    """The nodes made since then, in the order in which they were made; None if some are not known."""
    nodes = [node for node in walk(root.node, follow="maybe") if node.fields.born > since]
    if any(node.kind in ("phi", "opaque") for node in nodes):
        return None
    return sorted((node for node in nodes if node.kind == "op"), key=lambda node: node.fields.born)


def _is_other(before: Saved, after: Saved) -> bool:
    one, other = before.tensor, after.tensor
    return one is not None and other is not None and differ(one.shape, other.shape)
