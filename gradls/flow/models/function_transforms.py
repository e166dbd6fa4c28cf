"""torch.func: functions made of functions, and what they refuse.

What goes wrong is written down as events of the kind "transform-fault"; `fault` says what.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import EllipsisType
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow.arguments import Call
from gradls.flow.contents import tensors_in
from gradls.flow.graph import Node
from gradls.flow.hierarchy import find_in_class, has_unknown_base
from gradls.flow.models.registry import function, method
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Class, Host, Instance, Mapping, Sequence, Tensor, Value, is_none

if TYPE_CHECKING:
    from gradls.flow.notes import Event
    from gradls.flow.run import Run

TRANSFORMED = "torch.func.transformed"
RANDOM = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "rand", "randn", "rand_like", "randn_like")
"""Operations that `vmap` refuses unless it is told what randomness means."""

NO_FORWARD = frozenset((
    "ctc_loss", "grid_sample", "multi_margin_loss", "multilabel_margin_loss", "cdist", "pdist", "embedding_bag",
    "segment_reduce", "index_reduce", "geqrf", "ormqr",
))  # fmt: skip
"""Operations with a gradient, but without a derivative in forward mode."""


@function("torch.func.grad_and_value", "torch.func.jacrev", "torch.func.jacfwd", "torch.func.hessian")
def transform(run: Run, path: str, call: Call) -> Value:
    """A function that computes derivatives of another one."""
    instance = Instance(run.state, run.lib(TRANSFORMED), run.at(call.node))
    instance.data["kind"] = path.rpartition(".")[2]
    instance.data["call"] = call
    return instance


@method(TRANSFORMED, "__call__")
def call_transformed(run: Run, receiver: Instance, call: Call) -> Value:
    kind: str = receiver.data["kind"]
    look_at(run, kind, receiver.data["call"], call)
    if kind == "grad_and_value":
        from gradls.flow.models.functional import gradient_of_call

        gradient = gradient_of_call(run, kind, receiver.data["call"], call)
        if gradient is not None:
            return Sequence(run.state, "tuple", (gradient, run.unknown("call", kind)))
    return run.unknown("call", kind)


def look_at(run: Run, kind: str, made: Call, call: Call) -> None:
    """Run the function of a transform on tensors of which the transform knows, and write down what goes wrong.

    `made` is the call that made the transform, `call` the one of what it made. Nothing of it stays.
    """
    target = made.get(0, "func")
    if target is None or call.unsure or made.unsure:
        return
    if isinstance(target, Bound) and target.name == "apply" and isinstance(target.receiver, Class):
        _custom(run, kind, target.receiver, call)
    mark = run.state.mark()
    arguments = _arguments(run, kind, made, call)
    if arguments is not None:
        result, events = inside(run, target, arguments, call)
        given = {id(value) for value in call.args}
        fresh = {value.node for value in arguments if isinstance(value, Tensor) and id(value) not in given}
        if fresh:
            _look(run, kind, made, call, fresh, result, events)
    run.state.undo(mark)


def _arguments(run: Run, kind: str, made: Call, call: Call) -> list[Value] | None:
    """The arguments as the function sees them; None if the transform refuses them."""
    if kind == "vmap":
        return _mapped(run, made, call)
    wanted = made.known(1, "argnums", default=0)
    numbers = [wanted] if isinstance(wanted, int) else []
    for number in numbers:
        if number >= len(call.args):
            fault(run, call.node, "argnums", kind)
            return None
        if isinstance(call.args[number], Host):
            fault(run, call.node, "not-tensor", kind)
            return None
    return [seen(run, value, value.shape) if isinstance(value, Tensor) else value for value in call.args]


def _mapped(run: Run, made: Call, call: Call) -> list[Value] | None:
    """The arguments of a function under vmap: tensors without the dimension that it goes along. Others are as they
    are."""
    given = made.get(1, "in_dims")
    dims = [_dimension(given, index) for index in range(len(call.args))]
    if any(dim is ... for dim in dims):
        return None
    pairs = [(value, dim) for value, dim in zip(call.args, dims, strict=True) if isinstance(dim, int)]
    shapes = [(value.shape, dim) for value, dim in pairs if isinstance(value, Tensor) and value.shape]
    sizes = {shape[dim] for shape, dim in shapes if -len(shape) <= dim < len(shape) and shape[dim] is not None}
    if any(isinstance(value, Host) for value, _ in pairs):
        fault(run, call.node, "not-tensor", "vmap")
        return None
    if len(sizes) > 1:
        fault(run, call.node, "sizes", "vmap")
        return None
    return [
        seen(run, value, _without(value.shape, dim)) if isinstance(value, Tensor) and isinstance(dim, int) else value
        for value, dim in zip(call.args, dims, strict=True)
    ]


def _dimension(given: Value | None, index: int) -> int | EllipsisType | None:
    """The dimension of an argument that vmap goes along: none, or not known (`...`)."""
    if isinstance(given, Sequence):
        if given.rest is not None or index >= len(given.items):
            return ...
        given = given.items[index]
    elif given is None:
        return 0
    if is_none(given):
        return None
    known = given.value if isinstance(given, Host) and given.known else ...
    return known if isinstance(known, int) and not isinstance(known, bool) else ...


def _without(shape: tuple[int | None, ...] | None, dim: int) -> tuple[int | None, ...] | None:
    if not shape or not -len(shape) <= dim < len(shape):
        return None
    dim %= len(shape)
    return (*shape[:dim], *shape[dim + 1 :])


def seen(run: Run, value: Tensor, shape: tuple[int | None, ...] | None) -> Tensor:
    """A tensor as the function sees it: it requires grad, and is none of the program's own."""
    tensor = run.leaf(
        "transformed", None, requires_grad=value.dtype in ("float", "complex"), dtype=value.dtype, shape=shape
    )
    tensor.fields["leaf"] = False
    return tensor


def inside(run: Run, target: Value, arguments: list[Value], call: Call) -> tuple[Value, list[Event]]:
    """Run the function; what happens there is not part of the program's own graph."""
    from gradls.flow.calls import call_value

    start, evaluated, states = len(run.events), run.calls, run.states
    run.calls, run.states = {}, {}
    isolated, run.isolated = run.isolated, run.isolated + 1
    try:
        result = call_value(run, target, Call(call.node, list(arguments), call.kwargs))
    finally:
        run.isolated = isolated
        run.calls, run.states = evaluated, states
    events = run.events[start:]
    run.events[start:] = [event for event in events if event.kind == "transform-fault"]
    return result, events


def _look(run: Run, kind: str, made: Call, call: Call, fresh: set[Node], result: Value, events: list[Event]) -> None:
    """Write down what the transform refuses."""
    before_it = len(run.events)
    for event in events:
        value = event.value
        if event.kind == "backward":
            fault(run, event.at.node, "backward", kind)
        elif event.kind == "requires-grad-set" and event.flag is True and event.method:
            fault(run, event.at.node, "requires-grad", kind)
        elif event.kind == "function-apply" and isinstance(value, Class):
            _custom(run, kind, value, call, any(_is_shown(part, fresh) for part in event.call.values))
        elif not isinstance(value, Tensor):
            continue
        elif event.kind == "write" and event.node is not None:
            before = [edge.node for edge in event.node.edges[:1]]
            others = [edge.node for edge in event.node.edges[1:]]
            mixed = not depends(before, fresh) and depends(others, fresh)
            if mixed and (kind == "vmap" or value.fields.born < min(node.fields.born for node in fresh)):
                fault(run, event.at.node, "write", kind)
        elif kind == "vmap" and event.kind in ("to-number", "tensor-truth") and depends([event.node], fresh):
            fault(run, event.at.node, event.kind, kind)
    if len(run.events) > before_it:
        return
    _result(run, kind, made, call, fresh, result)
    if kind == "vmap" and "randomness" not in made.kwargs:
        entered = min(node.born for node in fresh)
        for node in (node for part in tensors_in(result) if isinstance(part, Tensor) for node in walk(part.node)):
            inner = node.born > entered
            if inner and node.op in RANDOM and node.at is not None and not _decided(node.at.node):
                fault(run, node.at.node, "random", kind)


def _decided(node: ast.AST) -> bool:
    """Does a call of dropout say whether it is training?"""
    return isinstance(node, ast.Call) and (len(node.args) > 2 or any(k.arg == "training" for k in node.keywords))


def depends(nodes: Iterable[Node | None], fresh: set[Node]) -> bool:
    """Was any of `nodes` computed from one of `fresh`, with or without a gradient?"""
    return any(inner in fresh for node in nodes if node is not None for inner in walk(node))


def _result(run: Run, kind: str, made: Call, call: Call, fresh: set[Node], result: Value) -> None:
    """What the function returns, against what the transform wants of it."""
    if kind == "vmap":
        if any(isinstance(part, Host) for part in _parts(result)):
            fault(run, call.node, "returns-no-tensor", kind)
    elif kind in ("grad", "grad_and_value"):
        if made.known(-1, "has_aux", default=False) is not False:
            return
        if isinstance(result, (Sequence, Mapping, Host)):
            fault(run, call.node, "returns-no-tensor", kind)
        elif isinstance(result, Tensor) and result.shape:
            fault(run, call.node, "returns-several", kind)
    elif isinstance(result, Host):
        fault(run, call.node, "returns-no-tensor", kind)
    if kind in ("jvp", "jacfwd"):
        for node in (node for part in tensors_in(result) if isinstance(part, Tensor) for node in walk(part.node)):
            if node.op in NO_FORWARD and node.at is not None and depends([node], fresh):
                fault(run, node.at.node, "no-forward", kind)


def _parts(value: Value) -> Iterator[Value]:
    if isinstance(value, Sequence):
        for item in value.elements:
            yield from _parts(item)
    elif isinstance(value, Mapping):
        for item in value.entries.values():
            yield from _parts(item)
    else:
        yield value


def _is_shown(value: Value, fresh: set[Node]) -> bool:
    """Is a value one of the tensors that the transform looks at, or what differentiable operations made of one?"""
    todo = [value.node] if isinstance(value, Tensor) else []
    for _ in range(64):
        if not todo:
            return False
        node = todo.pop()
        if node in fresh:
            return True
        op = find_op(f"torch.Tensor.{node.op}")
        if node.kind == "op" and node.cut is None and op is not None and op.differentiable:
            todo += [edge.node for edge in node.edges]
    return False


def _custom(run: Run, kind: str, cls: Class, call: Call, shown: bool = True) -> None:
    """A custom Function inside a transform has to be made for it. `shown`: it is given what the transform looks at."""

    def has(name: str) -> bool:
        return find_in_class(cls, name)[0] is not None

    if has_unknown_base(cls):
        return
    if not has("setup_context"):
        fault(run, call.node, "no-setup-context", kind)
    elif kind == "vmap" and not has("vmap") and not has("generate_vmap_rule"):
        fault(run, call.node, "no-vmap-rule", kind)
    elif kind in ("jvp", "jacfwd", "hessian") and shown and not has("jvp"):
        fault(run, call.node, "no-jvp", kind)


@function("torch.func.jvp", "torch.func.vjp")
def products(run: Run, path: str, call: Call) -> Value:
    primals = call.get(1, "primals")
    if path.endswith("jvp") and isinstance(primals, (Tensor, Host)):
        fault(run, call.node, "primals", "jvp")
    elif path.endswith("jvp") and isinstance(primals, Sequence) and primals.rest is None and call.args:
        look_at(run, "jvp", Call(call.node, call.args[:1]), Call(call.node, list(primals.items)))
    return run.unknown("call", path)


def fault(run: Run, node: ast.AST, what: str, kind: str) -> None:
    """Write down what a transform refuses."""
    run.event("transform-fault", node, fault=what, transform=kind)
