"""In-place writes, and the views that they reach."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.ops import Op, find_op
from gradls.flow import dtypes, ranges, shapes, unfit_inputs
from gradls.flow.contents import requires_grad_in
from gradls.flow.graph import Cut, Edge, Node, Storage, Write
from gradls.flow.state import ABSENT
from gradls.flow.values import FALSE, OVERWRITTEN, Host, Sequence, Tensor, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

ABSENT[OVERWRITTEN] = None


SINGLE = ("", "expand", "no_grad", "inference_mode", "backward_hook")
"""What `Tensor.multi` is for views that do not come from an operation with several."""

MOST_COPIES = 16
_RESHAPING = frozenset((
    "squeeze", "unsqueeze", "t", "transpose", "swapaxes", "swapdims", "resize", "resize_as", "set_", "as_strided",
))  # fmt: skip


def make_view(run: Run, tensor: Tensor, base: Tensor, op: Op) -> None:
    """Make `tensor`, the result of a view operation, share what a view shares with its base.

    Of an operation that gives a view or a copy (`reshape`, `to`) it is not certain that anything is shared.
    """
    if op.view == "maybe":
        if base.leaf is not False:
            tensor.fields["leaf"] = None if tensor.requires_grad is not False else True
        elif tensor.leaf is True:
            tensor.fields["leaf"] = None
        tensor.storage.shadow = base.storage
        tensor.fields["copy of"] = base
        if base.leaf is not False:
            run.state.set(base.fields, "copies", (*base.fields.get("copies", ())[-MOST_COPIES:], tensor))
        return
    tensor.storage = base.storage
    tensor.inference = base.inference
    tensor.base = base.base or base
    tensor.family = base.family
    if base.multi:
        # A part of an expanded tensor need not overlap itself.
        tensor.multi = "" if base.multi == "expand" else base.multi
    if not tensor.multi and run.recording is False:
        tensor.multi = "inference_mode" if run.mode["inference"] else "no_grad"
    views = tensor.family["views"]
    run.copied(len(views))
    run.state.set(tensor.family, "views", (*views, tensor))


def as_hooked(run: Run, value: Value) -> Value:
    """What goes into or comes out of a module with a full backward hook: a view that may not be written in place."""
    if isinstance(value, Sequence) and value.kind == "tuple":
        items = tuple(as_hooked(run, item) for item in value.items)
        return Sequence(run.state, "tuple", items, value.rest, value.names)
    if not isinstance(value, Tensor) or value.requires_grad is not True or run.recording is not True:
        return value
    node = Node(run.state, "view", value.node.at, (Edge(value.node, True),), path=run.path)
    node.scalar, node.label, node.name = value.node.scalar, value.node.label, value.node.name
    view = Tensor(
        run.state, node, requires_grad=True, leaf=False, dtype=value.dtype, shape=value.shape, storage=value.storage
    )
    view.name, view.multi, view.base = value.name, "backward_hook", value.base or value
    return view


def in_place(run: Run, op: Op, bound: dict[str, Value], at: ast.AST) -> Value:
    """An operation that writes to its first tensor and returns it."""
    from gradls.flow.operations import edges_of, saved_by
    from gradls.flow.second_order import about_edges

    target = bound[op.params[0]]
    assert isinstance(target, Tensor)
    edges, verdict = edges_of(run, bound, op.differentiable, None, about_edges(op, bound))
    if verdict is False:
        # What is written is no input of all operations, as `copy_`, but a tensor with a graph has one behind it, too.
        verdict = target.requires_grad
    place = run.at(at)
    refused = _check_target(run, target, verdict, bound, op, at)
    _check_fit(run, target, bound, op, at)
    node = Node(run.state, op.name, place, tuple(edges), path=run.path)
    node.scalar = target.node.scalar
    node.frees = verdict is True and any(requires_grad_in(bound.get(name)) for name in op.frees_when)
    node.zero = bool(op.outputs) and op.outputs[0].gradient == "zero"
    node.label = "raises" if op.outputs and op.outputs[0].gradient == "raises" else target.name
    if any(_is_negative(bound.get(name)) for name in op.negative) and bound.get("training", FALSE) is FALSE:
        node.label, node.fields["stuck"] = "raises", (node, "negative")
    unfit_inputs.note_scattered(op, bound, node)
    before = target.writes
    written = ranges.of_result(op.name, bound)
    bump(run, target, op.name, at)
    if op.name in _RESHAPING:
        target.shape, node.scalar = None, None
    if refused:
        pass  # Whoever mends it writes under no_grad, which changes the values and leaves a leaf what it is.
    elif run.isolated or run.recording is not False:
        if verdict is not False:
            # The saved input of an in-place operation is a clone, so only other inputs and the result count.
            saved = [entry for entry in saved_by(op, bound, [target]) if entry.what != op.params[0]]
            node.saved = tuple(saved)
        flag = verdict if run.recording or run.isolated else (None if verdict is not False else False)
        rebase(run, target, node, flag)
    else:
        _hide_in_mode(run, target, node, edges, verdict, at)
    run.state.set(target.fields, "*range", ranges.entry(target, written))
    run.event("write", at, target, node, op=op.name, before=before)
    return target


def _hide_in_mode(run: Run, target: Tensor, node: Node, edges: list[Edge], verdict: bool | None, at: ast.AST) -> None:
    """A write with gradients off: the graph does not see it."""
    place = run.at(at)
    outdate(run, target, at)
    if target.leaf is True and target.requires_grad and verdict is True:
        from gradls.flow.models.attributes import remember

        others = tuple(Edge(edge.node, False) for edge in edges if edge.node is not target.node)
        if others:
            node.edges, node.cut = others, Cut("no_grad", run.mode["at"] or place, any(e.flows for e in edges))
            remember(run, target, node)
    elif target.requires_grad is False:
        if verdict is not False:
            node.cut = Cut("no_grad", run.mode["at"] or place, verdict is True)
        node.edges = tuple(Edge(edge.node, False) for edge in edges)
        rebase(run, target, node, False)


def outdate(run: Run, written: Tensor, at: ast.AST) -> None:
    """Note of the views of a tensor that was written with gradients off that they cannot be used with gradients on: one
    of several, and one that was made with gradients off itself."""
    for view in written.family["views"]:
        base = view.base
        several = view.multi not in SINGLE and view.requires_grad is True
        if several or (view.multi == "no_grad" and base is not None and base.requires_grad is True):
            run.state.set(view.fields, OVERWRITTEN, run.at(at))


def _is_negative(value: Value | None) -> bool:
    return isinstance(value, Host) and isinstance(value.value, (int, float)) and value.value < 0


def bump(run: Run, target: Tensor, op: str, at: ast.AST, by: object = None, certain: bool | None = True) -> None:
    """Count a write in the version counter of a tensor's storage."""
    fields = target.storage.fields
    write = Write(run.at(at), op, run.path, by)
    write.clock, write.certain = run.state.clock, None if target.storage in run.of_others else certain
    run.copied(len(fields["writes"]))
    run.state.set(fields, "writes", (*fields["writes"], write))
    if target.storage.behind is not None:
        hide(run, target.storage.behind, write)


def hide(run: Run, storage: Storage | None, write: Write) -> None:
    """Note a write that the version counter of a storage does not count."""
    while storage is not None:
        run.state.set(storage.fields, "hidden", (*storage.fields.get("hidden", ()), write))
        storage = storage.behind


def rebase(run: Run, target: Tensor, node: Node, flag: bool | None) -> None:
    """Give a tensor the node of the operation that wrote to it; its views and its base have the write in their
    history too."""
    views = target.family["views"]
    run.steps += len(views) // 2
    for part in target.fields.get("parts", ()) if flag is not False else ():
        if part.requires_grad is False:
            # It is written if it is this one of several, by branch.
            run.state.set(part.fields, "requires_grad", None)
            run.state.set(part.fields, "leaf", None)
    if flag is not False:
        _doubt_copies(run, target)
    for view in views:
        if view is target:
            _set(run, view, node, flag)
            continue
        if view.leaf and view.requires_grad and run.recording is None:
            continue  # It stays what it is, where this does not raise.
        if view.multi not in SINGLE:
            run.state.set(view.fields, OVERWRITTEN, node.at)
        if flag is not False or view.requires_grad is False:
            joined = Node(run.state, "copy_slices", node.at, (Edge(view.node, view.requires_grad), Edge(node, flag)))
            joined.path = run.path
            _set(run, view, joined, True if view.requires_grad or flag else None if flag is None else False)


def _doubt_copies(run: Run, written: Tensor) -> None:
    """What `reshape` or `to` made of a tensor may be a view of it: what is written into one may be in the other."""
    base = written.fields.get("copy of")
    others = [copy for view in written.family["views"] for copy in view.fields.get("copies", ())]
    for other in [*others, base] if isinstance(base, Tensor) else others:
        if other is not written and other.requires_grad is False:
            run.state.set(other.fields, "requires_grad", None)
            run.state.set(other.fields, "leaf", None)


def _set(run: Run, tensor: Tensor, node: Node, flag: bool | None) -> None:
    run.state.set(tensor.fields, "node", node)
    run.state.set(tensor.fields, "requires_grad", flag)
    if flag is not False:
        run.state.set(tensor.fields, "leaf", False if flag else None)


def _check_fit(run: Run, target: Tensor, bound: dict[str, Value], op: Op, at: ast.AST) -> None:
    """Write down a result that cannot be stored in the tensor that is written: of another kind, or larger."""
    plain = find_op(f"torch.Tensor.{op.name}")
    if plain is None or not plain.outputs or "rounding_mode" in bound:
        return
    if plain.overloads:
        plain = plain.overloads[0]
    if target.dtype in ("int", "bool"):
        rule = plain.outputs[0].dtype
        found = "float" if rule == "float" else dtypes.promote(list(bound.values())) if rule == "promote" else None
        if found == "float" or (found == "int" and target.dtype == "bool"):
            run.event("unfit-write", at, target, target.node, op=op.name, dtype=found, target=target.dtype)
    elif plain.shape == "broadcast" and target.shape is not None:
        size = shapes.broadcast([value for name, value in bound.items() if name in ("input", "other")])
        if size is not None and None not in size and None not in target.shape and size != target.shape:
            run.event("unfit-write", at, target, target.node, op=op.name, shape=size, target=target.shape)


_MODES = ("no_grad", "inference_mode")


def _is_of_inference(run: Run, target: Tensor) -> bool:
    """Was it made in inference mode, so that it may not be written outside? What `detach()` gives may be."""
    return target.inference and not run.mode["inference"] and not isinstance(target.data, Tensor)


def _check_target(run: Run, target: Tensor, verdict: bool | None, bound: dict[str, Value], op: Op, at: ast.AST) -> bool:
    """Write down what autograd refuses. Is it an update of a leaf, with numbers?"""
    if target.multi == "expand" and op.name not in _RESHAPING:
        if op.name == "copy_" and bound.get("src") is target:
            return False  # Nothing is written.
        run.event("expanded-write", at, target, target.node, op=op.name)
        return False
    if run.isolated or run.recording is not True:
        if _is_of_inference(run, target):
            run.event("inference-write", at, target, target.node, op=op.name)
        return False
    base = target.base
    others = [value for name, value in bound.items() if name != op.params[0]]
    constant = all(not isinstance(value, Tensor) or value.requires_grad is False for value in others)
    if target.multi in _MODES and base is not None and base.requires_grad is True:
        # Though it is a leaf itself, PyTorch says what is wrong with such views.
        run.event("multi-view-write", at, target, target.node, op=op.name, view=target.multi)
    elif target.leaf is True and target.requires_grad is True:
        run.event("leaf-write", at, target, target.node, op=op.name, view=False, constant=constant)
        return constant
    elif base is not None and base.leaf is True and base.requires_grad is True:
        run.event("leaf-write", at, base, base.node, op=op.name, view=True, constant=constant)
        return constant
    elif target.multi and True in (target.requires_grad, verdict, base.requires_grad if base is not None else False):
        run.event("multi-view-write", at, target, target.node, op=op.name, view=target.multi)
    elif _is_of_inference(run, target):
        run.event("inference-write", at, target, target.node, op=op.name)
    return False
