"""Tensors that a loop keeps together with their graphs: in lists, sums, attributes and buffers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.hierarchy import is_module
from gradls.flow.paths import from_earlier_round
from gradls.flow.values import Sequence, Tensor, Unknown, Value
from gradls.rules.loss_arguments import history
from gradls.rules.training_order import gradient_of, loops_of

_SUMS = frozenset(("add", "sub", "rsub", "mul", "div", "truediv", "phi", "neg"))
_JOINS = frozenset(("cat", "concat", "concatenate", "hstack", "vstack"))
_WRITES = frozenset(("add", "add_", "sub", "sub_", "iadd", "copy_slices", "copy_"))


class Keeping(NamedTuple):
    """A tensor `part` with the node `node` that an event keeps in `holder`; `whole` are the nodes of which none may
    be used, `terms` what is added or appended, `again` says that it surely holds what an earlier round kept."""

    event: Event
    part: Value
    node: Node
    whole: tuple[Node, ...]
    written: ast.expr
    holder: Value
    terms: tuple[Node, ...]
    again: bool = False
    guessed: bool = False
    """Only a backward proves that it is a tensor with a graph."""


def kept_graphs(facts: Facts) -> Iterator[Keeping]:
    """What is kept in a loop, or from call to call, in a list, a sum, an attribute or a buffer."""
    sums = set()
    for event in facts.of("accumulate", "append", "rebound", "write", "attribute-set"):
        own = event.kind in ("accumulate", "attribute-set") and _is_carried(event)
        if not own and not loops_of(event.path):
            continue
        if event.kind == "append" and isinstance(event.value, Sequence):
            yield from _appended(event)
        elif event.kind in ("rebound", "accumulate"):
            sums.add(event.at.node)
            known = isinstance(event.value, Tensor)
            yield from _added(facts, event, event.value, event.old) if known else _added_unknown(facts, event)
        elif event.kind == "attribute-set" and event.value is not None and is_module(event.value) is False:
            # What a module carries from call to call is what GRD710 is about.
            yield from _added(facts, event, event.assigned, event.old)
        elif event.kind == "write" and isinstance(event.value, Tensor) and event.op in _WRITES:
            yield from _written(event, event.at.node in sums)


def _is_carried(event: Event) -> bool:
    """Does the value live from call to call, as that of `self.mean = 0.9 * self.mean + 0.1 * loss` does?"""
    if _target(event) is not None:
        return True
    source, node = event.at.source, event.at.node
    above = source.parent(node) if isinstance(node, ast.Attribute) else None
    return isinstance(above, ast.Assign) and above.targets == [node] and source.once(_is_made_of_itself, above)


def _is_made_of_itself(statement: ast.Assign) -> bool:
    """Does the attribute that a statement assigns to also stand in what it is given?"""
    target = statement.targets[0]
    attributes = [part for part in ast.walk(statement.value) if isinstance(part, ast.Attribute)]
    named = [part for part in attributes if part.attr == getattr(target, "attr", None)]
    return any(ast.unparse(part) == ast.unparse(target) for part in named)


def _target(event: Event) -> ast.Attribute | None:
    """`self.total` of `self.total += loss`: it lives from call to call."""
    node = event.at.node
    return node.target if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute) else None


def _appended(event: Event) -> Iterator[Keeping]:
    node = event.at.node
    assert isinstance(event.value, Sequence)
    for part in tensors_in(event.appended):
        kept = history(part) if _has_graph(part) or isinstance(part, Unknown) else None
        if kept is not None and isinstance(node, ast.Call) and node.args:
            guessed = not isinstance(part, Tensor)
            yield Keeping(event, part, kept, (kept,), node.args[-1], event.value, (kept,), guessed=guessed)
            return


def _added(facts: Facts, event: Event, value: Value | None, old: Value | None) -> Iterator[Keeping]:
    """`total = total + loss`: the new value is a sum with the old one in it."""
    if not isinstance(value, Tensor) or value.requires_grad is False or value.leaf is True:
        return
    statement = facts.statement(event.at.node)
    added = [part for part in _terms(value.node) if part is not getattr(old, "node", None)]
    if isinstance(old, Tensor) and old.node not in _terms(value.node):
        return
    if any(part.leaf is not None and gradient_of(part.leaf) is not None for part in added):
        return  # an update by hand, of which other rules speak
    if isinstance(statement, (ast.Assign, ast.AugAssign)) and added:
        written = _addend(statement, value.node)
        again = isinstance(old, Tensor) and from_earlier_round(event.path, old.node.path)
        carried = not loops_of(event.path) and _is_carried(event)
        guessed = value.requires_grad is None or (carried and event.kind == "attribute-set")
        if written is not None:
            terms = tuple(added)
            yield Keeping(event, value, value.node, (value.node,), written, value, terms, again or carried, guessed)


def _added_unknown(facts: Facts, event: Event) -> Iterator[Keeping]:
    """`total += loss` where all that is known of the loss is that `backward()` is called on it."""
    value, new = event.value, event.info.get("new")
    term = history(new) if isinstance(new, Unknown) else None
    statement = facts.statement(event.at.node)
    if term is None or not isinstance(value, Unknown) or not isinstance(statement, ast.AugAssign):
        return
    terms = [term, *(edge.node for edge in term.edges if term.op in _SUMS)]
    again = _target(event) is not None
    yield Keeping(event, value, history(value) or term, (), statement.value, value, tuple(terms), again, guessed=True)


def _written(event: Event, is_sum: bool) -> Iterator[Keeping]:
    """`buffer.add_(loss)`: a tensor without a graph joins that of what is written into it. `is_sum`: it began as a
    number, to which the same statement added a tensor."""
    target, node = event.value, event.at.node
    assert isinstance(target, Tensor)
    if event.node is None or target.node.leaf is not None:
        return
    parts = [edge.node for edge in event.node.edges if edge.flows is True]
    if not parts or (target.base is not None) or not (is_sum or _was_plain(event.node)):
        return
    written = node.value if isinstance(node, ast.AugAssign) else None
    if isinstance(node, ast.Call) and node.args:
        written = node.args[0]
    if written is not None:
        yield Keeping(event, target, target.node, (event.node, target.node), written, target, tuple(parts))


def _was_plain(node: Node) -> bool:
    """Was what is written to without a graph at first, so that all that it has was written into it?"""
    for _ in range(64):
        if not node.edges:
            return False
        if node.edges[0].flows is False:
            return True
        node = node.edges[0].node
    return False


def _has_graph(value: Value) -> bool:
    return isinstance(value, Tensor) and value.requires_grad is True and value.leaf is not True


def _terms(node: Node) -> list[Node]:
    """The terms of a sum, through scaling."""
    found: list[Node] = []
    todo = [node]
    while todo and len(found) < 64:
        part = todo.pop()
        found.append(part)
        if part.kind in ("op", "phi") and (part.op in _SUMS or part.op in _JOINS):
            todo += [edge.node for edge in part.edges]
    return found[1:]


def _addend(statement: ast.Assign | ast.AugAssign, node: Node) -> ast.expr | None:
    if isinstance(statement, ast.AugAssign):
        return statement.value
    made = statement.value if node.at is None or not isinstance(node.at.node, ast.BinOp) else node.at.node
    if isinstance(made, ast.Call):
        parts = made.args[0] if made.args else None
        return parts.elts[-1] if isinstance(parts, (ast.List, ast.Tuple)) and len(parts.elts) == 2 else None
    return made.right if isinstance(made, ast.BinOp) else None
