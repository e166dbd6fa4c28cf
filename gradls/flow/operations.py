"""Operations on tensors: the node that each makes, what flows through it, what it saves, what it writes."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from collections.abc import Mapping as Mapped
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gradls.autograd.calls import select
from gradls.autograd.ops import Op, Output, find_op
from gradls.flow import dropout, dtypes, nothing, ranges, shapes, steep, truth, unfit_inputs, writes
from gradls.flow.arguments import Call
from gradls.flow.contents import host_history, is_plain, opaque, requires_grad_in, tensors_in
from gradls.flow.graph import At, Cut, Edge, Node, Saved, edge, saved
from gradls.flow.numbers_first import reordered
from gradls.flow.paths import Path
from gradls.flow.reach import DISCRETE
from gradls.flow.second_order import about_edges, is_constant
from gradls.flow.values import NONE, OVERWRITTEN, Choice, Class, Host, Instance, Sequence, Tensor, Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


def apply(run: Run, spelling: str, call: Call, receiver: Value | None = None) -> Value:
    """Apply the operation with this canonical spelling, or an unknown one."""
    op = find_op(spelling)
    args = [receiver, *call.args] if receiver is not None else call.args
    if op is None:
        given = [*args, *call.kwargs.values(), *more_of(run, call)]
        return unknown_operation(run, spelling.rpartition(".")[2], given, call.node)
    if call.kwargs and not call.kwargs.keys().isdisjoint(_NUMPY_NAMES) and "axis" not in op.params:
        named = {_NUMPY_NAMES.get(key, key): value for key, value in call.kwargs.items()}
        call = Call(call.node, call.args, named, call.unsure)
    for index, argument in enumerate(args):
        if type(argument) is Choice:
            return _for_each_option(run, spelling, call, args, index)
    if op.overloads:
        keywords = tuple((key, kind(value)) for key, value in call.kwargs.items()) if call.kwargs else ()
        op = _select(op, tuple(map(kind, args)), keywords)
    bound = bind(run, op, args, call.kwargs)
    if call.unsure:
        for name in op.params:
            if name in op.differentiable and name not in bound:
                bound[name] = run.unknown("unknown")
    nothing.note_arguments(run, call.node, op, bound)
    first = bound.get(op.params[0]) if op.params else None
    drops = dropout.drops(run, op, bound) if "dropout" in op.name else True
    if drops is False and isinstance(first, Tensor):
        return first
    if (op.inplace or _is_true(bound.get("inplace"))) and isinstance(first, Tensor):
        before = first.writes
        kernel = op if op.inplace or op.written is None else op.written
        result = writes.in_place(run, kernel, bound, call.node)
        for write in first.writes[len(before) :] if drops is not True else ():
            write.certain = False
        return result
    result = result_of(run, op, bound, call.node)
    if drops and "dropout" in op.name and isinstance(result, Tensor):
        dropout.note(run, result)
    if call.unsure:
        _forget_shape(result)
    return result


def more_of(run: Run, call: Call) -> list[Value]:
    """What `*unknown` and `**unknown` may add to the arguments of a call: one unknown value, if there are such."""
    return [run.unknown("unknown")] if call.unsure else []


def _forget_shape(value: Value) -> None:
    """An argument that is not known may say along which dimension something is done."""
    for tensor in tensors_in(value):
        if isinstance(tensor, Tensor):
            tensor.shape = tensor.node.scalar = None


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}
"""What NumPy calls a parameter, which PyTorch takes as well, and how PyTorch calls it."""


@lru_cache(1 << 13)
def _select(op: Op, positional: tuple[str, ...], keywords: tuple[tuple[str, str], ...]) -> Op:
    return select(op, positional, dict(keywords))


def _for_each_option(run: Run, spelling: str, call: Call, args: list[Value], index: int) -> Value:
    choice = args[index]
    assert isinstance(choice, Choice)
    results: list[Value] = []
    paths: list[Path | None] = []
    for option in choice.options:
        if isinstance(option, Host) and option.kind == "none":
            continue
        changed = [*args[:index], option, *args[index + 1 :]]
        results.append(apply(run, spelling, Call(call.node, changed, call.kwargs, call.unsure)))
        paths.append(truth.path_to(choice, option))
    return run.join.on_paths(results, paths) if results else run.unknown("call")


_KINDS = {"int": "int", "float": "float", "bool": "bool", "str": "str", "none": "none", "number": "float"}


def kind(value: Value) -> str:
    """What sort of argument a value is, for the choice of an overload."""
    if type(value) is Tensor:
        return "tensor"
    if isinstance(value, Host):
        return _KINDS.get(value.kind, "unknown")
    if isinstance(value, Sequence):
        elements = value.elements
        if elements and all(isinstance(item, Tensor) for item in elements):
            return "tensors"
        if elements and all(isinstance(item, Host) and item.kind == "int" for item in elements):
            return "ints"
        return "unknown"
    return "unknown"


def bind(run: Run, op: Op, args: list[Value], kwargs: dict[str, Value]) -> dict[str, Value]:
    """The arguments of an operation by parameter; those that it takes any number of, as a sequence."""
    if len(args) > 2:
        args, kwargs = reordered(op.name, args, kwargs)
    if not op.variadic:
        bound = dict(zip(op.params, args, strict=False))
    else:
        bound = {}
        values = list(args)
        for index, (name, value) in enumerate(zip(op.params, values, strict=False)):
            if name == op.variadic and (len(values) > index + 1 or not isinstance(value, Sequence)):
                bound[name] = Sequence(run.state, "tuple", tuple(values[index:]))
                break
            bound[name] = value
    for name, value in kwargs.items():
        bound["input" if name == "self" else name] = value
    return bound


def edges_of(
    run: Run,
    bound: Mapped[Any, Value],
    differentiable: frozenset[str] | None,
    at: ast.AST | None = None,
    about: Mapped[Any, tuple[str, int]] | None = None,
) -> tuple[list[Edge], bool | None]:
    """The inputs of a node at `at`, and whether its result requires grad while grad mode is on."""
    edges: list[Edge] = []
    verdict: bool | None = False
    for name, argument in bound.items():
        if type(argument) is Host:
            if argument.node is not None:
                edges.append(edge(argument.node, False))
            continue
        carries = differentiable is None or name in differentiable
        for value in tensors_in(argument):
            if type(value) is Tensor:
                fields = value.fields
                flows = fields["requires_grad"] if carries and value.dtype != "int" and value.dtype != "bool" else False
                word = about.get(name) if about else None
                edges.append(edge(fields["node"], flows) if word is None else edge(fields["node"], flows, word))
                by = fields.get(OVERWRITTEN) if at is not None else None
                certain = flows is True or (carries and value.multi == "no_grad")
                if at is not None and by is not None and certain and run.recording is True:
                    run.event("multi-view-use", at, value, fields["node"], by=by)
            else:
                flows = None if carries and not is_plain(value) else False
                edges.append(edge(opaque(run, value), flows))
            if flows is True or (flows is None and verdict is False):
                verdict = flows
        if type(argument) is not Tensor:
            edges += [edge(node, False) for node in host_history(argument)]
            if carries and verdict is False and type(argument) is Instance and type(argument.cls) is Class:
                # It raises, or the object has a `__torch_function__` or an operator of its own.
                edges.append(edge(opaque(run, argument), None))
                verdict = None
    return edges, verdict


def _check_refused(run: Run, op: Op, bound: dict[str, Value], at: ast.AST) -> None:
    """Write down arguments that must not require grad but do: the call itself raises."""
    for name in op.refuses if run.recording is True and not run.isolated else ():
        if requires_grad_in(bound.get(name)):
            run.event("refused-argument", at, bound[name], name=name, op=op.name)


def result_of(run: Run, op: Op, bound: dict[str, Value], at: ast.AST) -> Value:
    """The tensor or tensors that an operation which writes nothing gives."""
    edges, verdict = edges_of(run, bound, op.differentiable, at, about_edges(op, bound))
    place = run.at(at)
    if op.refuses:
        _check_refused(run, op, bound, at)
    given = bound.get("out")
    if given is not None and isinstance(given, Tensor):
        recorded = run.recording is True and not run.isolated
        if recorded and (verdict is True or given.requires_grad is True):
            run.event("out-argument", at, given, given.node)
    if op.python:
        return python_value(run, op, edges, place)
    if not op.outputs:
        return unknown_operation(run, op.name, list(bound.values()), at, pure=True)
    outputs = op.outputs
    if op.extra:
        outputs = (*outputs, *(output for name, output in op.extra if _is_true(bound.get(name))))
    results = [_output(run, op, output, bound, edges, verdict, place) for output in outputs]
    if op.view in ("view", "multi", "expand", "maybe"):
        base = bound.get(op.params[0]) if op.params else None
        if isinstance(base, Tensor):
            for tensor in results:
                writes.make_view(run, tensor, base, op)
    if op.name in unfit_inputs.PRODUCTS:
        unfit_inputs.check_product(run, bound, results[0], at)
    elif op.name in ("embedding", "embedding_bag"):
        table = bound.get("weight")
        rows = table.shape[0] if isinstance(table, Tensor) and table.shape else None
        unfit_inputs.check_index(run, bound.get("input"), rows, at)
    ranges.remember(results[0], ranges.of_result(op.name, bound))
    steep.check(run, op.name, bound, results[0], at)
    _save(run, op, bound, results)
    unfit_inputs.note_scattered(op, bound, results[0].node)
    if op.name in _NORMALIZED_ALONG:
        dim = bound.get("dim")
        if isinstance(dim, Host) and dim.known and type(dim.value) is int:
            results[0].node.fields["dim"] = dim.value
            results[0].node.fields["shape"] = results[0].shape
    if op.shape == "broadcast" and len(results) == 1:
        _note_growth(run, bound, results[0], at)
    if len(results) == 1:
        several = op.view == "multi" or op.sequence
        return _several(run, op, results[0], bound) if several else results[0]
    return Sequence(run.state, "tuple", tuple(results), None, tuple(output.name for output in outputs))


_NORMALIZED_ALONG = frozenset(("softmax", "log_softmax"))
"""Operations whose node remembers along which dimension (`fields["dim"]`), and its shape (`fields["shape"]`)."""


def _note_growth(run: Run, bound: dict[str, Value], result: Tensor, at: ast.AST) -> None:
    """Write down an element-wise operation of two tensors that broadcasts both of them."""
    tensors = tuple([value for value in bound.values() if type(value) is Tensor])
    if len(tensors) == 2 and shapes.both_grow(tensors[0].shape, tensors[1].shape):
        run.event("outer-broadcast", at, result, result.node, tensors=tensors)


def _is_true(value: Value | None) -> bool:
    return isinstance(value, Host) and value.known and value.value is True


def _several(run: Run, op: Op, tensor: Tensor, bound: dict[str, Value]) -> Value:
    """split, chunk, meshgrid and the like give a tuple: one tensor stands for all, or as many as the call says."""
    tensor.node.several = True
    if op.view == "multi":
        tensor.multi = op.name
    count = bound.get("chunks")
    if isinstance(count, Host) and count.known and isinstance(count.value, int) and 0 < count.value <= 8:
        return Sequence(run.state, "tuple", (tensor,) * count.value)
    return Sequence(run.state, "tuple", (), tensor)


def _output(
    run: Run,
    op: Op,
    output: Output,
    bound: dict[str, Value],
    edges: list[Edge],
    verdict: bool | None,
    place: At,
) -> Tensor:
    dtype = dtypes.of_result(op, output, bound)
    requires_grad, cut, recorded = _gradient_of_output(run, op, output, dtype, edges, verdict, place)
    own = edges if recorded else [edge(given.node, False) for given in edges]
    node = Node(run.state, op.name, place, tuple(own), cut=cut, path=run.path)
    if recorded and op.frees_when and not (op.name == "einsum" and not _multiplies(bound)):
        if requires_grad is True:
            node.frees = any(requires_grad_in(bound.get(name)) for name in op.frees_when)
        elif op.differentiable <= op.frees_when:
            node.frees = None
    if output.gradient == "zero" or _samples_nearest(op, bound):
        node.zero = True
    elif output.gradient == "raises":
        node.label = "raises"
    if cut is None and run.recording is not True and (dtype in ("int", "bool") or output.gradient == "none"):
        node.fields[DISCRETE] = True
    shape = shapes.of_result(op, bound)
    node.scalar = None if shape is None else not shape
    leaf = True if not recorded else (False if requires_grad else None)
    tensor = Tensor(run.state, node, requires_grad=requires_grad, leaf=leaf, dtype=dtype, shape=shape)
    if run.mode["inference"]:
        tensor.inference = True
    if dtype == "float":
        exact = dtypes.exact_of_result(output, bound)
        # Autocast leaves this one alone. A function that nobody calls here may be called under autocast.
        if exact == "float64" or not (run.casting or run.alone):
            tensor.fields["exact"] = exact
    return tensor


def _samples_nearest(op: Op, bound: dict[str, Value]) -> bool:
    """Does `grid_sample` take the nearest pixels of an image that needs no gradient? Where they are taken from makes no
    difference until it is half a pixel."""
    if op.name not in ("grid_sample", "grid_sampler"):
        return False
    mode, image = bound.get("mode"), bound.get("input")
    return isinstance(mode, Host) and mode.value == "nearest" and image is not None and is_constant(image)


def _gradient_of_output(
    run: Run, op: Op, output: Output, dtype: str | None, edges: list[Edge], verdict: bool | None, place: At
) -> tuple[bool | None, Cut | None, bool]:
    """Of one result: does it require grad, what cut it off, and is it recorded (maybe)?"""
    if output.gradient == "none" or dtype in ("int", "bool"):
        kind_of_cut = "integer" if dtype in ("int", "bool") else "no_derivative"
        certain = any(given.flows for given in edges) or any(_carries(given) for given in edges)
        losing = certain or any(given.flows is not False or _may_carry(given.node) for given in edges)
        return False, (Cut(kind_of_cut, place, certain) if losing and not run.isolated else None), False
    wanted = None if output.gradient == "unknown" and verdict else verdict
    flag, cut = under_mode(run, wanted, None, place)
    if flag is False and wanted and op.view in ("view", "multi", "expand", "maybe"):
        # A view made without recording keeps the flag of its base, but has no grad_fn: it is cut off all the same.
        return (None if op.view == "maybe" else True), cut, False
    if flag is False and wanted is None and op.view != "no":
        return None, cut, False
    return flag, cut, flag is not False


def _carries(given: Edge) -> bool:
    """Would gradient flow to the input of this edge if the operation let it?"""
    node = given.node
    return (node.leaf is not None and bool(node.leaf.requires_grad)) or any(inner.flows for inner in node.edges)


def _may_carry(node: Node) -> bool:
    """May what an unknown model gave, or what was computed of that, have a gradient?"""
    if node.kind != "opaque" or node.cut is not None:
        return False
    return node.get("called") is not None or any(inner.flows is None for inner in node.edges)


def check_saved(run: Run, node: Node) -> None:
    """Write down that a node cannot keep a tensor that was made in inference mode."""
    if run.isolated or run.mode["inference"] or node.at is None:
        return
    for entry in node.saved:
        if entry.tensor.inference:
            run.event("inference-tensor", node.at.node, entry.tensor, entry.tensor.node, saved=entry, keeper=node)
            return


def under_mode(run: Run, requires_grad: bool | None, cut: Cut | None, place: At) -> tuple[bool | None, Cut | None]:
    """What grad mode makes of a result that would require grad."""
    if run.isolated:
        return False, None
    leak = run.mode["leak"]
    if leak is not None and requires_grad and run.recording is leak.grad and run.mode["at"] == leak.at:
        leak.uses.append(place)
    if run.recording is True or requires_grad is False:
        return requires_grad, cut
    if run.recording is None:
        return None, cut
    return False, Cut("no_grad", run.mode["at"] or place, requires_grad is True)


def python_value(run: Run, op: Op, edges: list[Edge], place: At) -> Value:
    """The result of an operation that gives no tensor."""
    kinds = {"item": "number", "tolist": "list", "size": "shape", "dim": "int", "numel": "int", "is_leaf": "bool"}
    if op.name in ("item", "tolist", "numpy", "__float__", "__int__", "__bool__"):
        return Host(kinds.get(op.name, "float"), node=cut_node(run, "number", op.name, edges, place))
    if kinds.get(op.name) in ("int", "bool"):
        return Host(kinds[op.name])
    return run.unknown("python", op.name)


def cut_node(run: Run, kind_of_cut: str, op: str, edges: Iterable[Edge], place: At, at: At | None = None) -> Node:
    """A node through which no gradient flows; a cut only if there was gradient to lose."""
    edges = list(edges)
    losing = any(given.flows is not False for given in edges)
    certain = any(given.flows for given in edges)
    cut = Cut(kind_of_cut, at or place, certain) if losing and not run.isolated else None
    return Node(run.state, op, place, tuple(edge(given.node, False) for given in edges), cut=cut, path=run.path)


def cut_tensor(run: Run, kind_of_cut: str, op: str, source: Tensor, at: ast.AST, *, shares: bool) -> Tensor:
    """`source` without its history: detach, .data and the like. `shares`: with the same version counter."""
    place = run.at(at)
    node = cut_node(run, kind_of_cut, op, [Edge(source.node, source.requires_grad)], place)
    node.scalar = source.node.scalar
    tensor = Tensor(
        run.state,
        node,
        requires_grad=False,
        leaf=True,
        dtype=source.dtype,
        shape=source.shape,
        storage=source.storage if shares else None,
    )
    if not shares:
        tensor.storage.shadow = source.storage
    tensor.inference = source.inference
    tensor.data = source
    tensor.fields["exact"] = dtypes.exact(source)
    ranges.remember(tensor, ranges.of(source))
    return tensor


def _save(run: Run, op: Op, bound: dict[str, Value], results: list[Tensor]) -> None:
    """Note what the nodes keep for backward."""
    first = results[0].fields
    if first["requires_grad"] is True and op.saved:
        node = first["node"]
        copies = run.copying and dtypes.is_computed_in_half(op.name)
        # Of copies nobody but the node has, nothing is written.
        node.saved = tuple([kept for kept in saved_by(op, bound, results) if not copies or kept.what == "result"])
        check_saved(run, node)


def saved_by(op: Op, bound: dict[str, Value], results: list[Tensor]) -> Iterable[Saved]:
    """What a node of `op` keeps for backward, for these arguments and results."""
    if op.name == "einsum" and not _multiplies(bound):
        return
    for entry in op.saved:
        if entry.gates and not any(requires_grad_in(bound.get(gate)) for gate in entry.gates):
            continue
        if entry.what.startswith("result"):
            number = int(entry.what.removeprefix("result") or 0)
            if number < len(results):
                kept = results[number]
                yield saved("result", kept)
        elif entry.what in bound:
            for value in tensors_in(bound[entry.what]):
                if isinstance(value, Tensor):
                    yield saved(entry.what, value)


def _multiplies(bound: dict[str, Value]) -> bool:
    """Whether there is something to multiply: of one tensor `einsum` takes diagonals, sums and other orders only."""
    return len(tensors_in(bound.get("operands", NONE))) != 1


NUMBERS_IN = "numbers in"
"""The field of what comes of an unknown operation with the history of the numbers that go into it."""


def unknown_operation(
    run: Run,
    name: str,
    values: list[Value],
    at: ast.AST,
    *,
    pure: bool = False,
    given: list[Value] | None = None,
    gets: bool = False,
) -> Value:
    """An operation without an entry: a tensor of which nothing is certain, if a tensor goes in. `pure`: nothing else
    goes in, such as the parameters of a module. `given` are all arguments, if `values` are only those with a gradient.
    It `gets`: what it gives may be something that was there before.
    """
    edges: list[Edge] = []
    for value in values:
        for tensor in tensors_in(value):
            if type(tensor) is Tensor:
                fields = tensor.fields
                edges.append(edge(fields["node"], None if fields["requires_grad"] is not False else False))
            else:
                edges.append(edge(opaque(run, tensor), False if is_plain(tensor) else None))
    result = run.unknown("call", name)
    if edges:
        node = result.fields["node",] = Node(run.state, name, run.at(at), tuple(edges), kind="opaque", path=run.path)
        if pure:
            node.fields["pure"] = True
            numbers = [inner for value in values for inner in host_history(value)]
            if numbers:
                node.fields[NUMBERS_IN] = tuple(numbers)
        quiet = pure and all(given.flows is False for given in edges)
        result.plain = quiet and not any(isinstance(value, Unknown) and value.unrecorded for value in values)
        result.unrecorded = quiet or (run.recording is False and not run.isolated and not gets)
        if result.plain and all(value.origin == "metadata" for value in values if isinstance(value, Unknown)):
            result.origin = "metadata"
        if result.unrecorded and not quiet:
            node.cut = Cut("no_grad", run.mode["at"] or run.at(at), False)
        if not quiet:
            steep.look_at_unknown(run, name, values if given is None else given, result, at)
    return result


def tensor_method(run: Run, receiver: Tensor, name: str, call: Call) -> Value:
    """A method of a tensor that has no model of its own."""
    given = apply(run, f"torch.Tensor.{name}", call, receiver)
    if type(given) is Tensor and given.node.label == "raises":
        made = receiver.node
        nodes = [edge.node for edge in made.edges] if made.kind == "phi" else [made]
        if any(node.get("custom") for node in nodes):
            given.node.label = ""  # A custom Function may give a subclass of Tensor, whose method it is.
    return given


def derived_tensor(
    run: Run,
    op: str,
    sources: Iterable[Value],
    at: ast.AST,
    *,
    dtype: str | None = "float",
    shape: tuple[int | None, ...] | None = None,
    saves: bool = False,
    about: dict[int, tuple[str, int]] | None = None,
) -> Tensor:
    """A tensor through which gradient flows to everything in `sources`: for operations that are made of many others.
    `about` is what the edges say besides, by the places of the sources."""
    edges, verdict = edges_of(run, dict(enumerate(sources)), None, at, about)
    place = run.at(at)
    flag, cut = under_mode(run, verdict, None, place)
    own = edges if flag is not False else [edge(given.node, False) for given in edges]
    node = Node(run.state, op, place, tuple(own), cut=cut, path=run.path)
    node.frees = saves and flag is True
    node.scalar = None if shape is None else shape == ()
    leaf = True if flag is False else (False if flag else None)
    tensor = Tensor(run.state, node, requires_grad=flag, leaf=leaf, dtype=dtype, shape=shape)
    tensor.inference = bool(run.mode["inference"])
    return tensor
