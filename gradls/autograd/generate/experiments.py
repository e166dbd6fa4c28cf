"""What a call does to gradients, found out by running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gradls.autograd.generate.measure import ERRORS, backward_outcome, tensors_in, write
from gradls.autograd.generate.samples import Sample
from gradls.autograd.generate.signatures import Signature


class Unusable(Exception):
    """The sample cannot be used for this experiment."""


@dataclass(slots=True)
class Observation:
    """What one sample shows. Parameters are those of the signature; outputs are "result" or "result0", ..."""

    parameters: tuple[str, ...] = ()
    """The parameters that got tensors."""
    gradients: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """For each floating parameter, when only that requires grad: of each output "flows", "none", "zero", "raises" or
    "error"; only "refused" if the call raises because it must not require grad."""
    saved: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Whether (what, gate): `what` is kept when only `gate` requires grad."""
    frees: dict[str, bool] = field(default_factory=dict)
    """Whether a second backward raises when only this parameter requires grad."""
    dtypes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    sequence: bool = False
    again: dict[str, str] = field(default_factory=dict)
    """What the gradient for each parameter is for a second derivative, as in `Op.second`."""
    negative: tuple[str, ...] = ()
    """The numbers with which, if they are negative, only backward raises."""
    shape: str = "unknown"
    """As in `Op`; "same?" and "scalar?" if the sample is too special to tell, empty if it
    tells nothing."""
    view: str = "no"
    """As in `Op`, but "self" if the first output is the very tensor that went in."""
    floating: bool = True
    """Whether a tensor that went in could require grad."""
    tensors: bool = True
    """Whether tensors came out."""


def bind(signature: Signature, sample: Sample) -> dict[str, tuple[str, Any]] | None:
    """From parameters to where in the sample their values stand: ("args", index), ("kwargs", name), or ("rest", index)
    for a variadic parameter that starts there. None if the call has not this signature."""
    places: dict[str, tuple[str, Any]] = {}
    names = signature.params[: signature.positional]
    for index in range(len(sample.args)):
        if index < len(names) and names[index] == signature.variadic and len(sample.args) > index:
            several = len(sample.args) > index + 1 or not isinstance(sample.args[index], (list, tuple))
            places[names[index]] = ("rest" if several else "args", index)
            break
        if index >= len(names):
            return None
        places[names[index]] = ("args", index)
    for name in sample.kwargs:
        if name not in signature.params:
            return None
        places[name] = ("kwargs", name)
    required = {
        name for name, word in zip(signature.params, signature.types, strict=True) if not word.endswith("=")
    } - {signature.variadic}
    return places if required <= places.keys() else None


@dataclass(slots=True)
class Run:
    """One run: the values that went in by parameter, and the result."""

    values: dict[str, Any]
    leaves: dict[str, list[Tensor]]
    result: Any
    outputs: list[Tensor]


class Experiment:
    """One call with one sample, repeated with different tensors requiring grad."""

    def __init__(self, call: Callable[..., Any], places: dict[str, tuple[str, Any]], sample: Sample) -> None:
        self.call = call
        self.places = places
        self.sample = sample

    def run(self, requiring: Sequence[str] = (), change: Callable[[str, Any], Any] | None = None) -> Run:
        args, kwargs = self.sample.fresh()
        values: dict[str, Any] = {}
        leaves: dict[str, list[Tensor]] = {}
        for name, (where, key) in self.places.items():
            given = args[key] if where == "args" else kwargs[key] if where == "kwargs" else list(args[key:])
            made: list[Tensor] = []

            def prepare(
                value: Any, name: str = name, made: list[Tensor] = made, wanted: bool = name in requiring
            ) -> Any:
                if isinstance(value, (list, tuple)):
                    return type(value)([prepare(item) for item in value]) if type(value) in (list, tuple) else value
                if change is not None and isinstance(value, (Tensor, float)):
                    value = change(name, value)
                if not isinstance(value, Tensor):
                    return value
                if wanted and (value.is_floating_point() or value.is_complex()):
                    leaf = value.requires_grad_()
                    made.append(leaf)
                    # Not a leaf itself, so that it can be written to.
                    return leaf.clone()
                return value

            value = prepare(given)
            values[name] = value
            leaves[name] = made
            if where == "args":
                args[key] = value
            elif where == "kwargs":
                kwargs[key] = value
            else:
                args[key:] = value
        torch.default_generator.manual_seed(0)
        result = self.call(*args, **kwargs)
        return Run(values, leaves, result, tensors_in(result))


def observe(
    call: Callable[..., Any], signature: Signature, sample: Sample, inplace: bool, gradients: bool = True
) -> Observation:
    """Run every experiment on one sample, those about gradients only if wanted. Raises Unusable if it does not fit."""
    places = bind(signature, sample)
    if places is None:
        raise Unusable("another signature")
    experiment = Experiment(call, places, sample)
    try:
        plain = experiment.run()
    except ERRORS as error:
        raise Unusable(str(error)) from error
    seen = Observation(tensors=bool(plain.outputs))
    tensors = {name: tensors_in(value) for name, value in plain.values.items()}
    seen.parameters = tuple(name for name, found in tensors.items() if found)
    seen.sequence = isinstance(plain.result, (list, tuple)) and not _is_named(plain.result)
    seen.fields = _fields(plain.result, len(plain.outputs))
    seen.dtypes = tuple(_dtype_word(output) for output in plain.outputs)
    seen.shape = _shape(plain, tensors)
    seen.view = "no" if inplace else _view(experiment, plain)
    seen.floating = any(tensor.is_floating_point() or tensor.is_complex() for f in tensors.values() for tensor in f)
    if plain.outputs:
        _second_derivatives(experiment, seen, [name for name, found in tensors.items() if _floating(found)])
        if inplace:
            names = [name for name in SLOPES if name in signature.params]
            seen.negative = tuple(name for name in names if _only_backward_raises(call, signature, sample, name))
    if not plain.outputs or not gradients:
        return seen
    for name, found in tensors.items():
        if _floating(found):
            seen.gradients[name] = _gradients(experiment, name)
            dense = all(output.layout == torch.strided for output in plain.outputs)
            if dense and any(word in ("flows", "zero") for word in seen.gradients[name]):
                freed = _frees(experiment, name)
                if freed is not None:
                    seen.frees[name] = freed
                _saves(experiment, seen, name, inplace)
    return seen


def _floating(tensors: Sequence[Tensor]) -> bool:
    return any(tensor.is_floating_point() or tensor.is_complex() for tensor in tensors)


SLOPES = ("negative_slope", "alpha", "lower")
"""Numbers that may not be negative where the operation works in place."""


def _only_backward_raises(call: Callable[..., Any], signature: Signature, sample: Sample, name: str) -> bool:
    """Whether backward raises if the number `name` is negative."""
    place = signature.params.index(name)
    given = Sample(list(sample.args), dict(sample.kwargs))
    if place < len(given.args):
        given.args[place] = -0.5
    else:
        given.kwargs[name] = -0.5
    places = bind(signature, given)
    try:
        return (
            places is not None and backward_outcome(Experiment(call, places, given).run(["input"]).outputs) == "error"
        )
    except ERRORS:
        return False


def _second_derivatives(experiment: Experiment, seen: Observation, names: Sequence[str]) -> None:
    """Note what each gradient is for a second derivative."""
    for name in names:
        alone = _second(experiment, name, [name])
        if alone == "linear" and len(names) > 1:
            alone = "additive" if _second(experiment, name, names) == "linear" else "linear"
        elif alone == "linear":
            alone = "additive"
        if alone:
            seen.again[name] = alone


def _second(experiment: Experiment, name: str, requiring: Sequence[str]) -> str:
    """Of the gradient for `name`: "linear", it does not require grad; "curved", it does; "raises", and its own backward
    is not implemented; empty if the experiment says nothing."""
    gradients: list[Tensor] | None = None
    try:
        run = experiment.run(requiring)
        wanted = [output for output in run.outputs if output.requires_grad and output.layout == torch.strided]
        given = [torch.rand_like(output) + 0.5 for output in wanted]
        found = torch.autograd.grad(wanted, run.leaves[name], given, create_graph=True, allow_unused=True)
        gradients = [each for each in found if each is not None and each.requires_grad]
        if not wanted or all(each is None for each in found):
            return ""
        if not gradients:
            return "linear"
        torch.autograd.backward(gradients, [torch.rand_like(each) for each in gradients])
    except ERRORS as error:
        return "raises" if gradients and "is not implemented" in str(error) else ""
    return "curved"


def _is_named(result: Any) -> bool:
    return hasattr(result, "_fields") or type(result).__module__ == "torch.return_types"


def _fields(result: Any, count: int) -> tuple[str, ...]:
    """The field names of a named tuple, else empty names."""
    if hasattr(result, "_fields"):
        return tuple(result._fields)
    if _is_named(result):
        words = {id(getattr(result, word)): word for word in dir(result) if isinstance(getattr(result, word), Tensor)}
        return tuple(words.get(id(item), "") for item in result)
    return ("",) * count


def _dtype_word(tensor: Tensor) -> str:
    if tensor.dtype == torch.bool:
        return "bool"
    if tensor.is_complex():
        return "complex"
    return "float" if tensor.is_floating_point() else "int"


def _shape(plain: Run, tensors: dict[str, list[Tensor]]) -> str:
    given = [tensor for found in tensors.values() for tensor in found]
    if not plain.outputs or not given:
        return "unknown"
    shape, first = plain.outputs[0].shape, given[0].shape
    if not first and not shape and len(given) == 1:
        return ""
    if shape == first:
        # A square says little: it may have been transposed.
        return "same?" if len(first) > 1 and first[-1] == first[-2] else "same"
    try:
        together = torch.broadcast_shapes(*(tensor.shape for tensor in given))
    except RuntimeError:
        together = None
    if len(given) > 1 and together == shape:
        return "broadcast"
    if not shape:
        return "scalar" if len(first) > 1 else "scalar?"
    return "unknown"


def _view(experiment: Experiment, plain: Run) -> str:
    if not plain.outputs:
        return "no"
    first = plain.outputs[0]
    given = [tensor for value in plain.values.values() for tensor in tensors_in(value)]
    if any(tensor is first for tensor in given):
        return "self"
    if not first.numel() or first.layout != torch.strided:
        return "no"
    address = first.untyped_storage().data_ptr()
    if not any(t.layout == torch.strided and t.untyped_storage().data_ptr() == address for t in given):
        return "no"
    try:
        experiment.run(list(experiment.places)).outputs[0].add_(0)
    except RuntimeError as error:
        if "multiple views" in str(error):
            return "multi"
        if "single memory location" in str(error):
            return "expand"
    return "view"


def _gradients(experiment: Experiment, name: str) -> tuple[str, ...]:
    try:
        run = experiment.run([name])
    except ERRORS as error:
        return ("refused" if "cannot have requires_grad True" in str(error) else "error",)
    words = []
    for output in run.outputs:
        if not output.requires_grad:
            words.append("none")
            continue
        for leaf in run.leaves[name]:
            leaf.grad = None
        # Only a dense tensor can be weighted; what the conversion itself saves does not matter here.
        outcome = backward_outcome([output if output.layout == torch.strided else output.to_dense()], keep=True)
        if outcome != "ok":
            # A composite may overwrite what it has saved itself: that raises too, whatever the user does.
            words.append("error" if outcome == "error" else "raises")
            continue
        moved = any(leaf.grad is not None and bool((leaf.grad.to_dense() != 0).any()) for leaf in run.leaves[name])
        words.append("flows" if moved else "zero")
    return tuple(words)


def _frees(experiment: Experiment, name: str) -> bool | None:
    """Whether a second backward raises; None if the first does."""
    run = experiment.run([name])
    return backward_outcome(run.outputs) == "freed" if backward_outcome(run.outputs) == "ok" else None


def _saves(experiment: Experiment, seen: Observation, gate: str, inplace: bool) -> None:
    """Note of every argument and result whether it is kept when only `gate` requires grad."""
    labels: list[tuple[str, int | str]] = [
        (name, name) for name in seen.parameters if not (inplace and name == "input")
    ]
    count = len(seen.dtypes)
    labels += [(f"result{index}" if count > 1 else "result", index) for index in range(min(count, 6))]
    for label, key in labels:
        run = experiment.run([gate])
        tensor = run.outputs[key] if isinstance(key, int) else tensors_in(run.values[key])[0]
        given = [item for value in run.values.values() for item in tensors_in(value)]
        if isinstance(key, int) and not inplace and any(tensor is item for item in given):
            continue
        if not write(tensor):
            continue
        outcome = backward_outcome(run.outputs)
        if outcome in ("ok", "overwritten"):
            seen.saved[label, gate] = outcome == "overwritten"


def result_dtype(experiment: Experiment, whole: str) -> list[str] | None:
    """The dtypes of the outputs if the floating tensors and numbers that go in become integers, "tensors" alone or
    "all"; with "none", if the tensors behind the first become doubles. None if that raises."""
    first = next(iter(experiment.places), "")

    def change(name: str, value: Any) -> Any:
        if isinstance(value, float):
            return int(value * 3) + 1 if whole == "all" else value
        if not value.is_floating_point():
            return value
        if whole != "none":
            return (value * 3).to(torch.int64) + 1
        return value if name == first else value.double()

    try:
        outputs = experiment.run((), change).outputs
    except ERRORS:
        return None
    return [str(output.dtype).removeprefix("torch.") for output in outputs]
