"""Methods of values that are not known to be tensors, modules or optimizers, but that only these have."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow import fillings, truth, unknown_modules
from gradls.flow.arguments import Call
from gradls.flow.contents import is_plain, opaque
from gradls.flow.graph import Cut, Edge, Node
from gradls.flow.hooks import removed_by_unknown
from gradls.flow.models.modules import parameters_of
from gradls.flow.models.registry import method, setter
from gradls.flow.operations import bind, cut_node, unknown_operation
from gradls.flow.values import FILLED, Host, Instance, Tensor, Unknown, Value, host
from gradls.flow.wholes import DATA_OF, VIEWED

if TYPE_CHECKING:
    from gradls.flow.run import Run

UNKNOWN = "unknown"


@method(UNKNOWN, "detach")
def detach(run: Run, receiver: Unknown, call: Call) -> Value:
    """Whatever it was, now it has no history."""
    edges = [Edge(opaque(run, receiver), None)]
    node = cut_node(run, "detach", "detach", edges, run.at(call.node))
    return Tensor(run.state, node, requires_grad=False, leaf=True)


@method(UNKNOWN, "item")
def item(run: Run, receiver: Unknown, call: Call) -> Value:
    node = cut_node(run, "number", "item", [Edge(opaque(run, receiver), None)], run.at(call.node))
    return Host("number", node=node) if not call.args else run.unknown("call", "item")


_MOST_ARGUMENTS_OF_BACKWARD = 4
"""A method of this name that takes more is no tensor's: gradient, retain_graph, create_graph and inputs are all."""


@method(UNKNOWN, "backward")
def backward(run: Run, receiver: Unknown, call: Call) -> Value:
    from gradls.flow.backward import unknown_backward

    if len(call.args) > _MOST_ARGUMENTS_OF_BACKWARD:
        return unknown_operation(run, "backward", [receiver, *call.values], call.node, pure=receiver.plain)
    if len(call.args) == 1 and isinstance(call.args[0], Host) and call.args[0].node is not None:
        run.event("backward-of-no-tensor", call.node, call.args[0], given=True, by=receiver)
    unknown_backward(run, receiver, call)
    run.state.set(run.outside, "backward", run.state.clock)
    # Of a tensor it would be None; but other things have a method of this name.
    return run.unknown("call", "backward")


@method(UNKNOWN, "step", "zero_grad")
def step(run: Run, receiver: Unknown, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "step")
    run.event("unknown-" + name.replace("_", "-"), call.node, receiver, arguments=call.values)
    if name == "zero_grad":
        run.state.set(run.outside, "cleared", run.state.tick())
    return run.unknown("call", name)


@method(UNKNOWN, "train", "eval")
def train(run: Run, receiver: Unknown, call: Call) -> Value:
    """The mode of something that may be a module; it gives itself back, as a module does."""
    name = getattr(getattr(call.node, "func", None), "attr", "train")
    given = call.get(0, "mode")
    mode = False if name == "eval" else True if given is None else truth.truth(run, given)
    if len(call.values) <= (name == "train"):
        run.event("unknown-train-mode", call.node, receiver, mode=mode, frozen=unknown_modules.is_frozen(receiver))
        told = Host("bool") if mode is None else host(mode)
        run.state.set(receiver.fields, "training", told)
    return receiver if name == "eval" and not call.values else run.unknown("call", name)


@method(UNKNOWN, "remove")
def remove(run: Run, receiver: Unknown, call: Call) -> Value:
    """Without arguments it is how the handle of a hook removes it; a list is told what to remove."""
    if not call.values and not call.unsure:
        removed_by_unknown(run)
    return unknown_operation(run, "remove", [receiver, *call.values], call.node, pure=receiver.plain)


@method(UNKNOWN, "requires_grad_")
def requires_grad_(run: Run, receiver: Unknown, call: Call) -> Value:
    doubt_flags(run, receiver)
    given = call.get(0, "requires_grad")
    flag = True if given is None else truth.truth(run, given)
    run.state.set(receiver.fields, unknown_modules.FROZEN, flag is False)
    run.event("unknown-freeze", call.node, receiver, flag=flag)
    if flag is None:
        run.state.set(receiver.fields, FILLED, True)
    wanted = flag is True and not call.unsure
    function = call.node.func if isinstance(call.node, ast.Call) else None
    # A module has this method, too.
    if wanted and isinstance(function, ast.Attribute) and (receiver.plain or _is_result(receiver)):
        return _made_to_require_grad(run, receiver, function.value, call.node)
    found = unknown_method(run, "requires_grad_", receiver, call)
    return found if found is not None else run.unknown("call", "requires_grad_")


@setter(UNKNOWN, "requires_grad")
def set_requires_grad(run: Run, receiver: Unknown, value: Value, target: ast.expr) -> None:
    doubt_flags(run, receiver)
    flag = truth.truth(run, value)
    if isinstance(receiver.fields.get(DATA_OF), Unknown):
        run.event("unknown-flag-set", target, receiver, flag=flag, owner=receiver.fields[DATA_OF])
    if isinstance(target, ast.Attribute) and flag is True:
        _made_to_require_grad(run, receiver, target.value, target)
    elif flag is None:
        run.state.set(receiver.fields, FILLED, True)
    for module in unknown_modules.modules_behind(receiver) or ():
        run.state.set(module.fields, unknown_modules.FROZEN, flag is False)
        run.event("unknown-freeze", target, module, flag=flag)


def _is_result(value: Unknown, *, fresh: bool = False) -> bool:
    """Is it what a method or function of tensors gave? `fresh`: one that nobody had before."""
    node = value.fields.get(("node",))
    op = find_op(f"torch.Tensor.{node.op}") if isinstance(node, Node) and node.at is not None else None
    return op is not None and not (fresh and (op.inplace or op.view != "no" or op.name in MAY_BE_THE_SAME))


def _made_to_require_grad(run: Run, value: Unknown, written: ast.expr, at: ast.expr) -> Tensor:
    """The tensor that something unknown is found out to be: one that requires grad. A leaf if it had no history;
    otherwise that is not known, and the name that stands there is one for this tensor from here on."""
    if value.plain or value.unrecorded:
        tensor = run.leaf("flagged", at, requires_grad=True, dtype=None)
    else:
        node = Node(run.state, "flagged", run.at(at), (Edge(opaque(run, value), None),), path=run.path)
        node.leaf = tensor = Tensor(run.state, node, requires_grad=True, leaf=None)
        tensor.fields["fresh"] = _is_result(value, fresh=True)
    found = truth.slot(run, written)
    if found is not None and found[0].get(found[1]) is value:
        tensor.name = written.id if isinstance(written, ast.Name) else found[1]
        run.state.set(found[0], found[1], tensor)
    return tensor


def doubt_flags(run: Run, value: Unknown) -> None:
    """Something unknown is frozen or thawed: what it may be may not require grad as it did."""
    for one in _may_be(value):
        for tensor in [tensor for _, tensor in parameters_of(one)[0]] if isinstance(one, Instance) else [one]:
            if isinstance(tensor, Tensor) and tensor.leaf is not False:
                run.state.set(tensor.fields, "requires_grad", None)


def _may_be(value: Unknown) -> list[Value]:
    """What something unknown may be, as far as that is known."""
    found = list(value.among)
    owner = value.fields.get("of")
    if isinstance(owner, Unknown):
        held = [one.fields.get(value.name) for one in _may_be(owner) if isinstance(one, Instance)]
        found += [one for one in held if isinstance(one, Value)]
    return found


MAY_BE_THE_SAME = frozenset(
    ("to", "type", "type_as", "cuda", "cpu", "xpu", "float", "double", "half", "bfloat16", "contiguous", "pin_memory")
)
"""Methods that may give the tensor itself."""


def unknown_method(run: Run, name: str, receiver: Unknown, call: Call) -> Value | None:
    """Call a method that tensors have on something that may be one; None if they do not."""
    op = find_op(f"torch.Tensor.{name}")
    if op is None:
        return None
    if op.python:
        found = run.unknown("metadata", name)
        found.plain = True
        return found
    bound = bind(run, op, [receiver, *call.args], call.kwargs)
    if op.inplace and run.recording is not False:
        fillings.fill(run, receiver, [*call.args, *call.kwargs.values()])
    flowing = [value for key, value in bound.items() if key in op.differentiable or key == op.params[0]]
    result = unknown_operation(run, name, flowing, call.node, pure=True, given=[receiver, *call.values])
    assert isinstance(result, Unknown)
    node = result.fields.get(("node",))
    if node is not None and op.outputs and op.outputs[0].gradient == "zero":
        node.zero = True
    if all(output.gradient == "none" or output.dtype in ("int", "bool") for output in op.outputs):
        if node is not None and not is_plain(result) and all(output.dtype in ("int", "bool") for output in op.outputs):
            node.cut = Cut("integer", run.at(call.node), False)
        result.unrecorded = True
    elif op.view or op.inplace or name in MAY_BE_THE_SAME:
        result.plain, result.unrecorded = receiver.plain, receiver.plain or receiver.unrecorded
        result.fields[VIEWED] = receiver
    return result
