"""Losses: the criterion classes and the functions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.losses import LossSpec, find_loss
from gradls.autograd.ops import find_op
from gradls.flow import nothing, ranges
from gradls.flow.arguments import Call
from gradls.flow.contents import requires_grad_in
from gradls.flow.models.registry import FUNCTIONS, Model
from gradls.flow.operations import apply, derived_tensor, more_of
from gradls.flow.values import Host, Instance, Tensor, Value

if TYPE_CHECKING:
    from gradls.autograd.ops import Op
    from gradls.flow.run import Run


def apply_loss(run: Run, spec: LossSpec, criterion: Instance | None, call: Call) -> Value:
    """Compute a loss, and write down with which arguments."""
    names = spec.module_inputs if criterion is not None else spec.inputs
    bound = dict(zip(names, call.args, strict=False)) | {k: v for k, v in call.kwargs.items() if k in names}
    for name in names:
        nothing.note_use(run, call.node, bound.get(name), "the loss is computed of it")
    call = nothing.as_if_given(run, call)
    bound = dict(zip(names, call.args, strict=False)) | {k: v for k, v in call.kwargs.items() if k in names}
    options = dict(criterion.data.get("options", {})) if criterion is not None else {}
    op = find_op(spec.function) if spec.function else None
    positional = dict(zip(op.params if op is not None else (), call.args, strict=False)) if criterion is None else {}
    _check_refused(run, spec, options | positional | bound | call.kwargs, op, call)
    if op is not None:
        known = {name: value for name, value in options.items() if name in op.params and name not in call.kwargs}
        if criterion is not None:
            others = {name: value for name, value in call.kwargs.items() if name not in bound}
            arguments = known | others | _of_function(spec, bound)
        else:
            arguments = dict(positional or bound) | call.kwargs
        result = apply(run, spec.function, Call(call.node, [], arguments, call.unsure))
    else:
        result = derived_tensor(
            run, spec.name, [*bound.values(), *more_of(run, call)], call.node, shape=None, saves=True
        )
    open_options = call.unsure if criterion is None else criterion.open
    reduction = arguments_reduction(call, options, open_options)
    if isinstance(result, Tensor):
        result.shape = (
            () if reduction in ("mean", "sum", "batchmean") else result.shape if reduction == "none" else None
        )
        result.node.scalar = (
            True
            if reduction in ("mean", "sum", "batchmean")
            else False
            if reduction == "none" and _has_rank(bound)
            else None
        )
        result.node.label = "loss"
    run.event(
        "loss",
        call.node,
        result,
        result.node if isinstance(result, Tensor) else None,
        spec=spec,
        criterion=criterion,
        bound=bound,
        nodes=argument_nodes(call.node, names),
        options=options | {key: value for key, value in call.kwargs.items() if key not in names},
        reduction=reduction,
        ranges={name: ranges.of(value) for name, value in bound.items()},
        # What they are now: what is written into them is taken back before others look.
        then={name: value.node for name, value in bound.items() if isinstance(value, Tensor)},
    )
    return result


def _of_function(spec: LossSpec, bound: dict[str, Value]) -> dict[str, Value]:
    """What a criterion is called with, by the names of its function: `PoissonNLLLoss` calls `log_input` what is `input`
    there, where `log_input` is an option."""
    if len(spec.inputs) != len(spec.module_inputs):
        return bound
    names = dict(zip(spec.module_inputs, spec.inputs, strict=True))
    return {names[name]: value for name, value in bound.items()}


def _check_refused(run: Run, spec: LossSpec, given: dict[str, Value], op: Op | None, call: Call) -> None:
    """Write down what must not require grad but does, unless the table of operations knows it too."""
    for name, condition in spec.refuses:
        target = given.get(spec.target)
        fits = not condition or (isinstance(target, Tensor) and target.dtype == condition)
        known = op is not None and name in op.refuses
        if fits and not known and run.recording is True and not run.isolated and requires_grad_in(given.get(name)):
            run.event("refused-argument", call.node, given[name], name=name, op=spec.name)


def _has_rank(bound: dict[str, Value]) -> bool:
    """An element-wise loss of something that is more than a scalar."""
    first = next(iter(bound.values()), None)
    return isinstance(first, Tensor) and (first.shape is None or len(first.shape) > 0)


def arguments_reduction(call: Call, options: dict[str, Value], open_criterion: bool) -> str | None:
    """How a loss is reduced: mean by default; None if it is not known, as of a criterion that another file made."""
    given = call.kwargs.get("reduction") or options.get("reduction")
    if given is None:
        return None if open_criterion else "mean"
    return given.value if isinstance(given, Host) and isinstance(given.value, str) else None


def argument_nodes(node: ast.AST, names: tuple[str, ...]) -> dict[str, ast.expr]:
    """The argument expressions of a call, by parameter."""
    if not isinstance(node, ast.Call) or any(isinstance(argument, ast.Starred) for argument in node.args):
        return {}
    found: dict[str, ast.expr] = dict(zip(names, node.args, strict=False))
    found |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    return found


def _model(run: Run, path: str, call: Call) -> Value:
    spec = find_loss(path)
    assert spec is not None
    return apply_loss(run, spec, None, call)


def register() -> None:
    from gradls.autograd.data import table

    for spelling in table("losses")["spellings"]:
        if spelling.startswith("torch.nn.functional."):
            model: Model = _model
            FUNCTIONS[spelling] = model


register()
