"""torch.autograd: grad, backward, custom Functions, functional, checkpoint."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from gradls.flow import contexts, gaps, truth
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.graph import saved
from gradls.flow.hierarchy import FUNCTION, find_in_class, has_unknown_base
from gradls.flow.models import recomputation
from gradls.flow.models.registry import attribute, function, method
from gradls.flow.operations import cut_tensor, derived_tensor, more_of, unknown_operation
from gradls.flow.reach import walk
from gradls.flow.values import NONE, Class, Function, Host, Instance, Mapping, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.run import Run


CONTEXT = "torch.autograd.function.FunctionCtx"


@function("torch.autograd.backward")
def backward(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.backward import run_backward

    roots = call.get(0, "tensors")
    run_backward(
        run, tensors_in(roots) if roots is not None else [], call, gradient=call.get(1, "grad_tensors"), method=False
    )
    return NONE


@function("torch.autograd.grad")
def grad(run: Run, path: str, call: Call) -> Value:
    """Gradients as new tensors: with history only if `create_graph=True`."""
    from gradls.flow.backward import run_grad

    return run_grad(run, call)


@method(FUNCTION, "apply")
def apply(run: Run, receiver: Value, call: Call) -> Value:
    """A custom Function: its forward is not recorded; gradient goes to every tensor argument."""
    if isinstance(receiver, Instance) and isinstance(receiver.cls, Class):
        receiver = receiver.cls
    if not isinstance(receiver, Class):
        return unknown_operation(run, "apply", call.values, call.node)
    forward, _ = find_in_class(receiver, "forward")
    if call.gap is not None and isinstance(forward, Function):
        call = gaps.placed(
            run, forward, call, int(not isinstance(find_in_class(receiver, "setup_context")[0], Function))
        )
    reverse = [find_in_class(receiver, name)[0] is not None for name in ("backward", "vjp")]
    event = run.event(
        "function-apply",
        call.node,
        receiver,
        call=call,
        forward=forward,
        has_backward=any(reverse),
        has_both=all(reverse),
        unsure=has_unknown_base(receiver),
        nodes=frozenset(),
    )
    event.info["flags"] = [value.requires_grad if isinstance(value, Tensor) else False for value in call.values]
    before = {value: value.writes for value in call.values if isinstance(value, Tensor) and value.requires_grad is True}
    leaves = {value for value in call.values if isinstance(value, Tensor) and value.leaf and value.requires_grad}
    graphs = [(part, *map(part.fields.get, _GRAPH)) for tensor in before for part in tensor.family["views"]]
    context = Instance(run.state, run.lib(CONTEXT), run.at(call.node))
    context.open = True
    context.data["recorded"] = run.mode["grad"] is not False and any(
        not isinstance(part, Tensor) or part.requires_grad is not False
        for value in call.values
        for part in tensors_in(value)
    )
    shape_of_result: Value | None = None
    if isinstance(forward, Function):
        setup, _ = find_in_class(receiver, "setup_context")
        event.info["split"] = isinstance(setup, Function)
        shape_of_result = _run_forward_of(run, receiver, forward, setup, call, context)
    _put_back(run, graphs, context.data.get("dirty", ()))
    event.info["given"] = shape_of_result
    if run.outside["dual"] is True:
        from gradls.flow.models.forward_ad import check_custom

        check_custom(run, receiver, call)
    _run_backward_of(run, receiver, call, shape_of_result, context)
    _check_dirty(run, context, shape_of_result, call, leaves)
    for tensor, writes in before.items():
        if tensor.writes != writes and tensor not in context.data.get("dirty", ()):
            run.event("dirty-unmarked", call.node, tensor, tensor.node, write=tensor.writes[-1])
    for name, value in context.fields.items():
        if isinstance(value, Tensor) and shape_of_result is not None and value in tensors_in(shape_of_result):
            run.event("output-on-context", call.node, value, value.node, name=name)
    outputs = _outputs(run, receiver, shape_of_result, call, context)
    event.info["nodes"] = frozenset(part.node for part in tensors_in(outputs) if isinstance(part, Tensor))
    event.info["outputs"] = outputs
    return outputs


_GRAPH = ("node", "requires_grad", "leaf")


def _run_forward_of(
    run: Run, receiver: Value, forward: Function, setup: Value | None, call: Call, context: Instance
) -> Value:
    """Call forward, and `setup_context` behind it if there is one: then only that gets the context."""
    args = call.args if isinstance(setup, Function) else [context, *call.args]
    isolated, run.isolated = run.isolated, run.isolated + 1
    try:
        result = _call_of_class(run, receiver, forward, Call(call.node, args, call.kwargs, call.unsure))
        if isinstance(setup, Function) and not call.unsure:
            inputs = Sequence(run.state, "tuple", tuple(call.args))
            _call_of_class(run, receiver, setup, Call(call.node, [context, inputs, result]))
        return result
    finally:
        run.isolated = isolated


def _put_back(run: Run, graphs: list[tuple[Any, ...]], dirty: tuple[Value, ...]) -> None:
    """Autograd does not see what forward writes: inputs have the graphs that they had, unless they are marked."""
    for tensor, *before in graphs:
        if not any(isinstance(marked, Tensor) and marked.family is tensor.family for marked in dirty):
            for key, value in zip(_GRAPH, before, strict=True):
                run.state.set(tensor.fields, key, value)


def _call_of_class(run: Run, cls: Value, method: Function, call: Call) -> Value:
    """Call forward or backward as autograd does: on the class."""
    from gradls.flow.calls import call_function

    if method.kind == "class":
        return call_function(run, method, call, cls)
    kind, method.kind = method.kind, "static"
    try:
        return call_function(run, method, call)
    finally:
        method.kind = kind


def context_arguments(
    run: Run, method: Function, call: Call, outputs: list[Value] | None = None, kept: tuple[Value, ...] | None = None
) -> Call:
    """The arguments `call` of a method of a custom Function that nobody is seen to call: a context first; backward
    gets tensors, of the shapes of the `outputs` of forward where these are known, and the context has what forward has
    `kept`."""
    names = [parameter.arg for parameter in (*method.node.args.posonlyargs, *method.node.args.args)]
    if method.kind == "class":
        del names[:1]
    del call.args[len(names) :]
    if names and (method.name != "forward" or names[0] in ("ctx", "context", "self")):
        context = Instance(run.state, run.lib(CONTEXT))
        context.open = True
        if kept is not None:
            context.data["saved"] = kept
        call.args[:1] = [context]
    if method.name in ("backward", "vjp"):
        for name, output in itertools.zip_longest(names[1:], (outputs or [])[: len(names) - 1]):
            shape = output.shape if isinstance(output, Tensor) else None
            gradient = run.leaf("argument", method.node, requires_grad=None, dtype=None, shape=shape)
            gradient.fields["leaf"] = None
            gradient.name = name
            call.args[names.index(name) : names.index(name) + 1] = [gradient]
        # How many gradients `*gradients` are, and of what, is not known.
        call.unsure = call.unsure or method.node.args.vararg is not None
    return call


def _run_backward_of(run: Run, cls: Class, call: Call, result: Value | None, used: Instance) -> None:
    """Look at the backward of a custom Function, which autograd will call; it changes nothing that is known."""
    found, _ = find_in_class(cls, "backward")
    if not isinstance(found, Function) or found.node in run.executed:
        return
    mark = run.state.mark()
    outputs = list(result.items) if isinstance(result, Sequence) and result.kind == "tuple" else [result]
    given = [output for output in outputs if output is not None]
    reached: set[Tensor] = set()
    try:
        arguments = context_arguments(run, found, Call(call.node, []), given, used.data.get("saved"))
        contexts.set_mode(run, False, False, run.at(found.node))
        reached = run_apart(run, partial(_call_of_class, run, cls, found, arguments))
    finally:
        run.state.undo(mark)
    for leaf in reached:
        run.state.set(leaf.fields, "*escaped", True)


def run_apart(run: Run, body: Callable[[], object]) -> set[Tensor]:
    """Run a method that autograd calls. Gives the leaves that it may fill gradients of: it may record a graph of its
    own, with `enable_grad`, and go back through that; when this happens, and to what it leads, is not followed."""
    start = len(run.events)
    isolated, run.isolated = run.isolated, run.isolated + 1
    try:
        body()
    finally:
        run.isolated = isolated
    passes = [event for event in run.events[start:] if event.kind in _PASSES]
    run.events[start:] = [event for event in run.events[start:] if event.kind not in _PASSES]
    nodes = [node for event in passes if event.node is not None for node in walk(event.node)]
    if any(event.node is None for event in passes):
        run.state.set(run.outside, "backward", run.state.clock)
    return {node.leaf for node in nodes if node.leaf is not None}


_PASSES = frozenset(("backward",))


def _check_dirty(run: Run, context: Instance, result: Value | None, call: Call, leaves: set[Tensor]) -> None:
    """Write down what `mark_dirty` does not allow: inputs that are not returned, and leaves."""
    returned = [] if result is None else tensors_in(result)
    # By branch, it may be an input that was changed there.
    parts = {part for value in returned if isinstance(value, Tensor) for part in value.fields.get("parts", (value,))}
    for tensor in context.data.get("dirty", ()):
        if returned and tensor not in parts and all(isinstance(value, Tensor) for value in returned):
            run.event("dirty-not-returned", call.node, tensor, tensor.node)
        elif run.recording is True and tensor in leaves:
            run.event("leaf-write", call.node, tensor, tensor.node, op="mark_dirty", view=False, constant=False)


def _outputs(run: Run, cls: Class, result: Value | None, call: Call, context: Instance) -> Value:
    if isinstance(result, Sequence) and result.kind == "tuple" and result.rest is None:
        return Sequence(run.state, "tuple", tuple(_outputs(run, cls, item, call, context) for item in result.items))
    if result is not None and not isinstance(result, Tensor) and not tensors_in(result):
        return result
    if result in context.data.get("constant", ()) or (isinstance(result, Tensor) and result.dtype in ("int", "bool")):
        shape, dtype = (result.shape, result.dtype) if isinstance(result, Tensor) else (None, None)
        constant = run.leaf(cls.name, call.node, requires_grad=False, dtype=dtype, shape=shape)
        if isinstance(result, Tensor) and result.base is not None and result not in call.values:
            # A view of what was given keeps what it is.
            constant.fields["requires_grad"] = constant.fields["leaf"] = None
        return constant
    tensor = derived_tensor(run, cls.name, [*call.values, *more_of(run, call)], call.node, dtype=None, saves=True)
    reverse, _ = find_in_class(cls, "backward")
    if isinstance(reverse, Function) and reverse.fields.get("once"):
        tensor.node.edges = tuple(edge._replace(second="once") for edge in tensor.node.edges)
    # Its backward may give no gradient.
    tensor.node.fields["custom"] = True
    kept = context.data.get("kept", ()) if _reads_saved(reverse) else ()
    tensor.node.frees = bool(kept) and tensor.requires_grad is True
    if tensor.requires_grad is True:
        tensor.node.saved = tuple(saved("saved", part) for part in kept)
    if isinstance(result, Tensor):
        if tensor.requires_grad is True and result not in context.data.get("dirty", ()):
            _view_of_input(run, tensor, result, call)
        tensor.storage = result.storage
        tensor.shape, tensor.dtype = result.shape, result.dtype
        tensor.node.scalar = result.node.scalar
        if result in context.data.get("dirty", ()) and tensor.requires_grad is not False:
            for key in ("node", "requires_grad", "leaf"):
                run.state.set(result.fields, key, tensor.fields[key])
    return tensor


def _reads_saved(backward: Value | None) -> bool:
    """May this method ask for what was saved? If not, nobody finds out that it was written or freed."""
    if not isinstance(backward, Function) or isinstance(backward.node, ast.Lambda) or backward.decorated:
        return True
    arguments = backward.node.args
    names = [parameter.arg for parameter in (*arguments.posonlyargs, *arguments.args)]
    context = names[0] if names else None
    read = [part for part in backward.source.once(_context_reads, backward.node) if part[0] == context]
    return any(attribute in _SAVED for _, attribute in read)


_SAVED = ("saved_tensors", "saved_variables", "")


def _context_reads(function: ast.AST) -> tuple[tuple[str, str], ...]:
    """The attributes of names that a function reads; empty for names that are used in another way."""
    nodes = list(ast.walk(function))
    attributes = [part for part in nodes if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)]
    held = {id(part.value) for part in attributes}
    found = [(part.value.id, part.attr) for part in attributes if isinstance(part.value, ast.Name)]
    return tuple(found + [(part.id, "") for part in nodes if isinstance(part, ast.Name) and id(part) not in held])


def _view_of_input(run: Run, tensor: Tensor, result: Tensor, call: Call) -> None:
    """Mark an output which is an input, or a view of one: it must not be written in place."""
    for value in call.values:
        if isinstance(value, Tensor) and result.family is value.family:
            tensor.multi, tensor.base, tensor.family = "custom", value.base or value, value.family
            run.state.set(value.family, "views", (*value.family["views"], tensor))
            return


@method(
    CONTEXT,
    "save_for_backward",
    "mark_dirty",
    "mark_non_differentiable",
    "set_materialize_grads",
)
def context_method(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "")
    run.event(
        "context-call",
        call.node,
        receiver,
        name=name,
        arguments=call.values,
    )
    tensors = tuple(value for value in call.values if isinstance(value, Tensor))
    if name == "save_for_backward":
        receiver.data["kept"] = tensors
        receiver.data["saved"] = None if call.unsure else tuple(call.values)
    elif name == "mark_dirty":
        receiver.data["dirty"] = tensors
    elif name == "mark_non_differentiable":
        receiver.data["constant"] = (*receiver.data.get("constant", ()), *call.values)
    return NONE


@attribute(CONTEXT, "saved_tensors")
def saved_tensors(run: Run, value: Instance, node: ast.expr) -> Value:
    """What forward kept, if that is known."""
    saved = value.data.get("saved")
    return run.unknown("attribute", "saved_tensors") if saved is None else Sequence(run.state, "tuple", saved)


@attribute(CONTEXT, "saved_variables")
def saved_variables(run: Run, value: Instance, node: ast.expr) -> Value:
    run.event("saved-variables", node, value)
    return run.unknown("attribute", "saved_tensors")


@function("torch.autograd.gradcheck", "torch.autograd.gradgradcheck")
def gradcheck(run: Run, path: str, call: Call) -> Value:
    given = call.get(1, "inputs")
    inputs = tensors_in(given) if given is not None else []
    states = [(part.requires_grad, part.fields.get("exact")) for part in inputs if isinstance(part, Tensor)]
    run.event("gradcheck", call.node, call.get(0, "func"), states=states, complete=len(states) == len(inputs))
    return Host("bool")


@function("torch.utils.checkpoint.checkpoint")
def checkpoint(run: Run, path: str, call: Call) -> Value:
    """Computes its first argument on the others; gradients as without it, unless reentrant."""
    from gradls.flow.calls import call_value

    given = call.kwargs.get("use_reentrant")
    # It is reentrant if nothing is said.
    reentrant = True if given is None or is_none(given) else truth.truth(run, given)
    event = run.event(
        "checkpoint",
        call.node,
        call.get(0, "function"),
        reentrant=reentrant,
        given=given,
        arguments=call.args[1:],
        call=call,
        result=None,
        loses=False,
    )
    if not call.args:
        return run.unknown("call", "checkpoint")
    options = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")
    kwargs = {name: value for name, value in call.kwargs.items() if name not in options}

    compute = partial(call_value, run, call.args[0], Call(call.node, call.args[1:], kwargs, call.unsure))
    mark = run.state.mark()
    result = compute()
    if reentrant is False and "determinism_check" not in call.kwargs and not call.unsure:
        recomputation.check(run, mark, result, compute, call.node)
    draws = call.kwargs.get("preserve_rng_state")
    if draws is not None and truth.truth(run, draws) is False and isinstance(result, Tensor):
        recomputation.note_draws(run, mark, result, call.node)
    event.info["result"] = result.node if isinstance(result, Tensor) else None
    if reentrant is not None:
        recomputation.forget_saved(mark[1], result)
    if reentrant is True and isinstance(result, Tensor) and not call.unsure and _plain(call.args[1:]):
        # The reentrant variant records its call like a custom Function: through the inputs that require grad only.
        event.info["loses"] = run.recording is True and result.requires_grad is True
        return cut_tensor(run, "checkpoint", "checkpoint", result, call.node, shares=True)
    if reentrant is True and not call.unsure and _has_graph(call.args[1:]):
        result = recomputation.record(run, result, call)
        event.info["result"] = result.node if isinstance(result, Tensor) else None
    elif reentrant is True and isinstance(result, Tensor) and run.recording is not False:
        # Something of which it is not known whether it requires grad decides.
        result = unknown_operation(run, "checkpoint", [result, *call.args[1:]], call.node)
    return result


def _has_graph(values: Iterable[Value]) -> bool:
    """Is one of them a tensor that certainly requires grad? Autograd does not look into lists."""
    return any(isinstance(value, Tensor) and value.requires_grad is True for value in values)


@function("torch.utils.checkpoint.checkpoint_sequential")
def checkpoint_sequential(run: Run, path: str, call: Call) -> Value:
    """A chain of modules or functions, computed on a tensor."""
    from gradls.flow.calls import call_value
    from gradls.flow.models.modules import contents

    functions, value = call.get(0, "functions"), call.get(2, "input")
    if value is None or truth.truth(run, call.kwargs.get("use_reentrant", NONE)) is not False:
        return run.unknown("call", "checkpoint_sequential")
    if isinstance(functions, Sequence) and functions.rest is None:
        for part in functions.items:
            value = call_value(run, part, Call(call.node, [value]))
        return value
    if isinstance(functions, Instance) and functions.path in ("torch.nn.Sequential", "torch.nn.ModuleList"):
        held = list(contents(functions))  # It goes through these itself: a list of modules will do.
        if all(name != "*" for name, _ in held):
            for _, part in held:
                value = call_value(run, part, Call(call.node, [value]))
            return value
    return run.unknown("call", "checkpoint_sequential")


def _plain(values: list[Value]) -> bool:
    """Is it known that no argument is a tensor that requires grad? Autograd does not look into lists."""
    plain = (Host, Sequence, Mapping)
    return all(value.requires_grad is False if type(value) is Tensor else isinstance(value, plain) for value in values)


@function("torch.compile", "torch.jit.script", "torch.jit.trace", "torch.jit.script_if_tracing")
def compiled(run: Run, path: str, call: Call) -> Value:
    return call.args[0] if call.args else run.unknown("call", path)
