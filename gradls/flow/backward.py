"""What backward does: what it reaches, what it frees, and what makes it raise."""

from __future__ import annotations

import ast
from collections.abc import Sequence as Items
from typing import TYPE_CHECKING

from gradls.flow import flat_slopes, truth, unknown_graphs, ways
from gradls.flow.arguments import Call
from gradls.flow.contents import call_as_now, tensors_in
from gradls.flow.graph import HIDING, Edge, Freed, Node, Write
from gradls.flow.hiding import is_not_followed, may_hide
from gradls.flow.operations import cut_node, derived_tensor
from gradls.flow.paths import Path, compatible, meets
from gradls.flow.reach import certainly_reached, frees_on_all_ways, walk
from gradls.flow.second_order import Gradient, gradients, is_constant
from gradls.flow.state import PRESUMED
from gradls.flow.values import Host, Sequence, Tensor, Unknown, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.notes import Event
    from gradls.flow.run import Run

PRESUMED.add("grad")


def run_backward(run: Run, roots: Items[Value], call: Call, *, gradient: Value | None, method: bool) -> None:
    """`loss.backward()` or `torch.autograd.backward(losses)`."""
    # The function has one argument more than the method: the tensors.
    retain_index = 1 if method else 2
    create = _flag(run, call, "create_graph", retain_index + 1)
    # Who uses the name of before 0.4 is told so, and means the same.
    given = call.get(retain_index, "retain_graph") or call.get(9, "retain_variables")
    retain = create if given is None or is_none(given) else truth.truth(run, given)
    inputs = call.kwargs.get("inputs")
    note_graphs(run, create)
    targets = None if inputs is None else [value for value in tensors_in(inputs) if isinstance(value, Tensor)]
    ran: list[Node] = []
    through: list[Node] = []
    unknown: list[Tensor] = []
    for root in roots:
        if not isinstance(root, Tensor):
            unknown_backward(run, root, call)
            continue
        seen = list(walk(root.node, follow="maybe"))
        if any(node.kind == "opaque" and node.op in HIDING for node in seen):
            # Whose gradients are filled besides, is not known.
            run.state.set(run.outside, "backward", run.state.clock)
        reached = frozenset(node.leaf for node in seen if node.leaf is not None)
        with_gradient = gradient is not None and not is_none(gradient)
        nodes = executed(root.node, targets, fills=True)
        _note(
            run,
            call,
            root,
            reached,
            gradient=with_gradient,
            retain=retain,
            create=create,
            all_roots=roots,
            method=method,
            beyond=any(is_not_followed(node) for node in seen),
            hides=any(may_hide(node) for node in seen),
            ran=None if targets is None else nodes,
        )
        if not check_graph(run, root, call, nodes, targets is None) and targets is None:
            unknown_graphs.look(run, root, root.node, call)
        if targets is None:
            unknown.append(root)
        ran += nodes
        if targets is None and not root.node.frees and root.node.kind == "op" and frees_on_all_ways(root.node):
            through.append(root.node)
        if inputs is None:
            _fill_grads(run, root, reached, call, create)
            if root.requires_grad is None:
                # Otherwise this would have raised.
                run.state.set(root.fields, "requires_grad", True)
            continue
        _fill_grads(run, root, frozenset(targets or ()), call, create)
        if targets is not None and root.requires_grad is True and not call.unsure:
            _pass_over(run, root, targets, call)
    # One pass goes through all graphs, so nothing is freed before its end.
    free(run, call, retain, [node for node in ran if node.frees])
    free(run, call, retain, through, behind=True)
    if retain is False:
        for root in unknown:
            unknown_graphs.free(run, root.node, Freed(run.at(call.node), run.path))


def _note(run: Run, call: Call, root: Tensor, reached: frozenset[Tensor], **how: object) -> None:
    """Write down that backward begins at a root, from which it reaches these leaves."""
    run.event(
        "backward",
        call.node,
        root,
        root.node,
        requires_grad=root.requires_grad,
        inputs="inputs" in call.kwargs,
        call=call_as_now(run, call),
        reached=reached,
        grad_mode=run.mode["grad"],
        autocast=run.autocast > 0,
        **how,
    )


def unknown_backward(run: Run, root: Value, call: Call) -> None:
    """A backward of which the root is not known: the event has no node, and says nothing of what is reached. `quiet` is
    the node of one that has no graph if it is a tensor."""
    create = _flag(run, call, "create_graph", 2)
    note_graphs(run, create)
    given = call.get(1, "retain_graph")
    retain = create if given is None or is_none(given) else truth.truth(run, given)
    node = root.fields.get(("node",)) if isinstance(root, Unknown) and not root.unrecorded else None
    if node is not None:
        unknown_graphs.look(run, root, node, call)
        if retain is False:
            unknown_graphs.free(run, node, Freed(run.at(call.node), run.path))
    run.event(
        "backward",
        call.node,
        root,
        None,
        requires_grad=None,
        gradient=None,
        retain=retain,
        create=create,
        inputs="inputs" in call.kwargs,
        call=call_as_now(run, call),
        all_roots=[root],
        method=True,
        reached=frozenset(),
        grad_mode=run.mode["grad"],
        autocast=run.autocast > 0,
        quiet=root.fields.get(("node",)) if isinstance(root, Unknown) and root.unrecorded else None,
    )


def _flag(run: Run, call: Call, name: str, index: int) -> bool | None:
    """A boolean option of backward: False if it is not given, None if it is not known, or not what this option is."""
    given = call.get(index, name)
    if given is None or is_none(given):
        return False
    if isinstance(given, Host) and given.kind == "str":
        return None
    return truth.truth(run, given)


def check_graph(run: Run, root: Tensor, call: Call, nodes: list[Node], whole: bool) -> bool:
    """Write down what makes this backward raise, which runs these nodes, the `whole` graph or a part: a freed graph, or
    a saved tensor that was written since. Is it the first?"""
    first: Event | None = None
    others: set[Node] | None = None
    for node in nodes:
        if not meets(run.path, node.path):
            continue
        passes = [by for by in node.get("freed", ()) if whole or not by.behind]
        freed = next((by for by in passes if meets(run.path, by.path) and _comes(run, root, node, by.path)), None)
        if freed is not None and others is None:
            others = of_other_elements(root.node)
        if freed is not None and first is None and node not in (others or ()):
            first = run.event("freed-graph", call.node, root, node, by=freed, overwritten=False)
        if node.label == "raises":
            blamed, word = node.get("stuck", (node, ""))
            if whole or word != "scattered":
                # The gradient of one of its inputs raises, which only some ways ask for.
                run.event("not-implemented", call.node, root, blamed, second=word)
        if node.get("barren"):
            run.event("barren-checkpoint", call.node, root, node)
        for saved in node.saved:
            detached = saved.tensor.fields.get("detached")
            later = detached is not None and detached[1] > node.fields.born and _comes(run, root, node, detached[2])
            if later and freed is None and saved.what != "result":
                run.event("detached-saved", call.node, root, node, saved=saved, by=detached[0])
            late = [w for w in saved.tensor.writes if w not in saved.writes and _between(run, node, w)]
            late.sort(key=_is_of_unknown)
            write = next((w for w in late if _comes(run, root, node, w.path)), None)
            if write is not None and freed is None:
                run.event("stale-saved", call.node, root, node, saved=saved, write=write)
            behind = [w for w in saved.tensor.hidden if _after(run, node, w)]
            hidden = next((w for w in behind if _comes(run, root, node, w.path)), None)
            if hidden is not None and freed is None and write is None:
                run.event("hidden-write", call.node, root, node, saved=saved, write=hidden)
            elif write is not None and first is not None:
                # Keeping the graph would not have helped.
                first.info["overwritten"] = True
    return first is not None


def of_other_elements(root: Node) -> set[Node]:
    """The nodes that may be part of the graph of another element than the one that `root` is, of a list of unknown
    length: all but what its elements share."""
    found: set[Node] = set()
    for node in walk(root, follow="flow"):
        if node.kind == "phi" and node.several:
            graphs = [set(walk(edge.node, follow="flow")) for edge in node.edges if edge.flows is not False]
            for graph in graphs:
                found.update(other for other in graph if not all(other in each for each in graphs))
    return found


def _is_of_unknown(write: Write) -> bool:
    return write.certain is None


def _comes(run: Run, root: Tensor, node: Node, path: Path | None) -> bool:
    """Does a backward from `root`, here, come to a node in runs that took a path?"""
    return path is None or bool(ways.way_on(root.node, node, path, run.path))


def _after(run: Run, node: Node, write: Write) -> bool:
    return write.clock >= node.fields.born and _between(run, node, write)


def check_result(run: Run, value: Value, at: ast.AST) -> None:
    """Write down that a backward of what a function returns would find a saved tensor overwritten."""
    for tensor in tensors_in(value)[:8]:
        if isinstance(tensor, Tensor) and tensor.requires_grad is True:
            for node in walk(tensor.node, follow="flow"):
                if node.get("freed"):
                    continue  # A backward that is seen went through it, and nobody goes there again.
                for saved in node.saved:
                    late = [w for w in saved.tensor.writes if w not in saved.writes and _between(run, node, w)]
                    if late and meets(run.path, node.path):
                        run.event("stale-return", at, tensor, node, saved=saved, write=late[0])


def _between(run: Run, node: Node, write: Write) -> bool:
    return compatible(write.path, node.path) and meets(run.path, write.path)


def free(run: Run, call: Call, retain: bool | None, nodes: list[Node], *, behind: bool = False) -> None:
    """Note of these nodes that a backward has freed what they, or those behind them, saved, unless it is retained."""
    if retain is not False:
        return
    freed = Freed(run.at(call.node), run.path, behind)
    for node in dict.fromkeys(nodes):
        run.state.set(node.fields, "freed", (*node.get("freed", ()), freed))


def executed(root: Node, targets: list[Tensor] | None, *, fills: bool = False) -> list[Node]:
    """The nodes that a backward from `root` runs: all, or those on the way to `targets`. One that `fills` their `.grad`
    runs the nodes that made them, too."""
    nodes = list(walk(root, follow="flow"))
    if targets is None:
        return nodes
    # A leaf of which the values were changed since, behind the back of autograd, has another node now.
    wanted = {target.node for target in targets}
    wanted.update(node for node in nodes if node.leaf is not None and node.leaf in targets)
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for edge in node.edges:
            users.setdefault(edge.node, []).append(node)
    needed: dict[Node, None] = dict.fromkeys(wanted) if fills else {}
    todo = [user for node in wanted for user in users.get(node, ())]
    while todo:
        node = todo.pop()
        if node not in needed:
            needed[node] = None
            todo += users.get(node, ())
    return [node for node in nodes if node in needed]


def _pass_over(run: Run, root: Tensor, targets: list[Tensor], call: Call) -> None:
    """Note of each leaf that `inputs=` leaves out though the root depends on it."""
    for node in walk(root.node, follow="flow"):
        if node.leaf is not None and node.leaf not in targets:
            run.state.set(node.leaf.fields, "passed_over", run.at(call.node))


def _fill_grads(run: Run, root: Tensor, reached: frozenset[Tensor], call: Call, create: bool | None) -> None:
    """Give the leaves that a backward from `root` reaches a gradient, which is presumed where it may not come there."""
    certain = {leaf for leaf in certainly_reached(root.node) if leaf.requires_grad} if reached else set()
    for leaf in reached:
        if leaf.requires_grad is False:
            continue
        known = leaf.fields.get("grad")
        if known is None or is_none(known):
            gradient = gradient_of(run, leaf, None, create)
            if leaf not in certain:
                gradient.fields["presumed"] = True
            run.state.set(leaf.fields, "grad", gradient)
        elif leaf in certain and isinstance(known, (Tensor, Unknown)):
            run.state.set(known.fields, "filled", run.state.tick())
            if known.fields.get("presumed"):
                run.state.set(known.fields, "presumed", False)


def may_be_gone(run: Run, gradient: Tensor) -> bool:
    """Is it a gradient that is not certain to be there: left on some ways only, or one that code which is not seen may
    have cleared?"""
    of = gradient.fields.get("of")
    if gradient.fields.get("presumed") or not isinstance(of, Tensor):
        return bool(gradient.fields.get("presumed"))
    return bool(of.fields.get("*escaped")) or gradient.fields.get("filled", 0) < run.outside.get("cleared", 0)


def gradient_of(run: Run, tensor: Tensor, at: ast.AST | None, create: bool | None) -> Tensor:
    """The gradient of `tensor` that a backward with `create_graph=create` left: with True it may have a graph."""
    gradient = run.leaf(
        "grad", at, requires_grad=False if create is False else None, dtype=tensor.dtype, shape=tensor.shape
    )
    if create is not False:
        # What it depends on, through the graph that was kept, is not followed.
        gradient.node.kind = "opaque"
        gradient.fields["leaf"] = None
    gradient.fields["of"], gradient.fields["filled"] = tensor, gradient.fields.born
    return gradient


def note_graphs(run: Run, create: bool | None) -> None:
    """Remember whether gradients may have graphs of their own, for those of tensors of which nothing is known: they
    have none behind a backward without `create_graph`, unless an earlier one had it."""
    if create is not False or run.outside["graphs"] is None:
        run.state.set(run.outside, "graphs", create is not False)


def run_grad(run: Run, call: Call) -> Value:
    """`torch.autograd.grad(outputs, inputs)`: a tuple of gradients, one for each input."""
    outputs, inputs = call.get(0, "outputs"), call.get(1, "inputs")
    if outputs is None or inputs is None or run.isolated:
        # Of what is apart from the program's own graph, nothing says what depends on what.
        if outputs is not None and run.recording is False:
            _note_apart(run, outputs, call)
        return run.unknown("call", "grad")
    create = _flag(run, call, "create_graph", 4)
    retain = _flag(run, call, "retain_graph", 3)
    retain = create if "retain_graph" not in call.kwargs and len(call.args) < 4 else retain
    roots = tensors_in(outputs)
    targets = tensors_in(inputs)
    event = run.event(
        "grad-call",
        call.node,
        outputs,
        None,
        roots=roots,
        targets=targets,
        nodes=[root.node for root in roots if isinstance(root, Tensor)],
        stray=any(isinstance(root, Tensor) and root.requires_grad is False for root in roots),
        constant=bool(roots) and all(isinstance(root, Tensor) and root.requires_grad is False for root in roots),
        wanted=[(value, value.node, value.requires_grad) for value in targets if isinstance(value, Tensor)],
        create=create,
        call=call_as_now(run, call),
        ran=None,
    )
    ran: list[Node] = []
    through: list[Node] = []
    for root in roots:
        if isinstance(root, Tensor):
            nodes = executed(root.node, [target for target in targets if isinstance(target, Tensor)])
            check_graph(run, root, call, nodes, False)
            through += nodes
            ran += [node for node in nodes if node.frees]
    event.info["ran"] = through
    free(run, call, retain, ran)
    given = call.get(2, "grad_outputs")
    starts = tensors_in(given) if given is not None else []
    again = _second(roots, starts, targets) if create is True else {}
    results = [_gradient(run, roots, target, starts, call, create, again) for target in targets]
    if all(is_constant(start) for start in starts):
        for target, result in zip(targets, results, strict=True):
            flat = flat_slopes.is_zero_again(roots, target)
            if flat is not None:
                run.event("flat-slope", call.node, target, flat)
            if create is True:
                flat_slopes.note_slope(result, roots, target)
    if any(name in call.kwargs for name in ("allow_unused", "materialize_grads")):
        _may_be_unused(roots, targets, results)
    if isinstance(inputs, Sequence):
        return _for_each(run, inputs, results)
    if not isinstance(inputs, Tensor):
        # One gradient, or any number of them.
        return Sequence(run.state, "tuple", (), results[0]) if results else run.unknown("call", "grad")
    return Sequence(run.state, "tuple", tuple(results))


def _note_apart(run: Run, outputs: Value, call: Call) -> None:
    """Write down that what the backward of a custom Function wants to differentiate was computed in it, where gradients
    are off."""
    roots = tensors_in(outputs)
    if roots and all(isinstance(r, Tensor) and r.requires_grad is False and r.node.kind == "op" for r in roots):
        run.event("grad-apart", call.node, outputs)


def _may_be_unused(roots: Items[Value], targets: Items[Value], results: Items[Value]) -> None:
    """Note of gradients that they may be None: those of tensors on which the roots may not depend."""
    certain: set[Node] = set()
    todo = [root.node for root in roots if isinstance(root, Tensor)]
    while todo:
        node = todo.pop()
        if node not in certain:
            certain.add(node)
            todo += [] if node.kind == "phi" else [edge.node for edge in node.edges if edge.flows]
    for target, result in zip(targets, results, strict=True):
        used = isinstance(target, Tensor) and (target.node in certain or any(n.leaf is target for n in certain))
        if isinstance(target, Tensor) and isinstance(result, Tensor) and not used:
            result.fields["of"], result.fields["presumed"] = target, True


def _for_each(run: Run, inputs: Sequence, results: list[Value]) -> Sequence:
    """One gradient for each of `inputs`, from those for all that may be a tensor there."""
    found: list[Value] = []
    start = 0
    for item in inputs.elements:
        end = start + len(tensors_in(item))
        found.append(run.join.values(results[start:end]) if end > start else run.unknown("gradient"))
        start = end
    rest = found.pop() if inputs.rest is not None else None
    return Sequence(run.state, "tuple", tuple(found), rest)


def _second(roots: Items[Value], starts: Items[Value], targets: Items[Value]) -> dict[Node, Gradient]:
    """What the gradients are for a second derivative, by the node that they are gradients of."""
    flag = False if all(is_constant(part) for part in starts) else None
    nodes = [root.node for root in roots if isinstance(root, Tensor)]
    wanted = [target for target in targets if isinstance(target, Tensor)]
    if len(nodes) < len(roots):
        return {}
    ran = [node for root in nodes for node in executed(root, wanted)]
    return gradients(nodes, flag, ran)


def _gradient(
    run: Run,
    roots: Items[Value],
    target: Value,
    starts: Items[Value],
    call: Call,
    create: bool | None,
    again: dict[Node, Gradient],
) -> Value:
    """The gradient of `roots`, which begins with `starts`, for one target."""
    if not isinstance(target, Tensor):
        if create is not False or not any(isinstance(root, Tensor) and root.requires_grad for root in roots):
            return run.unknown("gradient")
        return _without_graph(run, roots, call)
    known = again.get(target.node) or next((found for node, found in again.items() if node.leaf is target), None)
    if known is not None and known.flag is False:
        edges = [Edge(root.node, root.requires_grad) for root in roots if isinstance(root, Tensor)]
        node = cut_node(run, "constant", "grad", edges, run.at(call.node))
        return Tensor(run.state, node, requires_grad=False, leaf=True, dtype=target.dtype, shape=target.shape)
    if starts and any(isinstance(root, Tensor) and root.node is target.node for root in roots):
        # It is what is given for the root itself, besides what comes from others.
        return starts[0] if len(roots) == len(starts) == 1 else run.join.values([*starts, run.unknown("gradient")])
    if create is not False:
        gradient = derived_tensor(run, "grad", [*roots, target, *starts], call.node, shape=target.shape, saves=True)
        if create is None or known is None or (known.flag is None and not known.weighed):
            # Whether it has a graph, or is None or zero, is not known.
            gradient.fields["requires_grad"] = gradient.fields["leaf"] = None
        if known is not None and known.stuck is not None:
            gradient.node.label = "raises"
            gradient.node.fields["stuck"] = known.stuck[0], known.stuck[1].second
        return gradient
    gradient = _without_graph(run, roots, call)
    gradient.dtype, gradient.shape = target.dtype, target.shape
    return gradient


def _without_graph(run: Run, roots: Items[Value], call: Call) -> Tensor:
    """A gradient that is taken without `create_graph=True`."""
    edges = [Edge(root.node, root.requires_grad) for root in roots if isinstance(root, Tensor)]
    node = cut_node(run, "grad", "grad", edges, run.at(call.node))
    node.label = "grad"
    return Tensor(run.state, node, requires_grad=False, leaf=True)
