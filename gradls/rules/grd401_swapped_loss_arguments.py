"""GRD401."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.reach import walk
from gradls.flow.values import Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.loss_activations import activation
from gradls.rules.loss_arguments import (
    Argument,
    called,
    history,
    is_computed,
    is_data,
    keeps,
    named_like,
    option,
    prediction,
    target,
    word_for,
)
from gradls.rules.loss_arguments import argument as argument_of
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_NEEDS_FLOAT = frozenset((
    "cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "multi_margin_loss", "huber_loss", "multilabel_soft_margin_loss", "hinge_embedding_loss",
))  # fmt: skip
"""Losses that raise for integers in the place of the prediction."""


class SwappedLossArguments(Rule):
    """A loss that is given the target in the place of the prediction.

    ## What it finds
    A criterion, or a function such as `F.cross_entropy`, called as `criterion(target, prediction)`. What shows which is
    which: integer labels, data that no model had a part in, and on the other side the output of a model. The criterion
    may come from another file.

    ## Why it matters
    Most losses treat their two arguments differently. Swapped, they raise, or they compute something else: the binary
    cross entropy of hard labels is clamped at 100, and its gradient tells the model nothing useful. Nothing warns of
    it. For the symmetric ones (`MSELoss`, `L1Loss`, `SmoothL1Loss`, `HuberLoss`) value and gradient stay the same, and
    it is only the reader who is misled; gradls gives information there.

    ## What PyTorch does
    With integer labels in the first place, `cross_entropy` raises

        NotImplementedError: "log_softmax_lastdim_kernel_impl" not implemented for 'Long'

    and `binary_cross_entropy`

        RuntimeError: Found dtype Float but expected Long

    With labels of floating point it says nothing. Up to version 0.4.0 the criteria refused a target that requires
    grad: "nn criterions don't compute the gradient w.r.t. targets".

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 5)
    criterion = torch.nn.CrossEntropyLoss()
    inputs, labels = torch.randn(8, 3), torch.randint(0, 5, (8,))
    loss = criterion(labels, model(inputs))  # raises NotImplementedError: not implemented for 'Long'
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Sigmoid())
    inputs, labels = torch.randn(8, 3), torch.ones(8, 1)
    loss = torch.nn.functional.binary_cross_entropy(labels, model(inputs))
    assert loss > 10
    ```

    ## Use instead
    The prediction first, or both by keyword.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Sigmoid())
    inputs, labels = torch.randn(8, 3), torch.ones(8, 1)
    loss = torch.nn.functional.binary_cross_entropy(model(inputs), target=labels)
    assert loss < 2
    ```

    ## When it is silent
    Where both sides come from a model, as in distillation or contrastive learning, or where it is not certain which
    side is the data.

    ```python
    import torch
    import torch.nn.functional as F

    teacher, student = torch.nn.Linear(3, 5), torch.nn.Linear(3, 5)
    inputs = torch.randn(8, 3)
    with torch.no_grad():
        wanted = teacher(inputs).softmax(dim=1)
    loss = F.kl_div(student(inputs).log_softmax(dim=1), wanted, reduction="batchmean")
    loss.backward()
    assert loss >= 0 and teacher.weight.grad is None
    ```

    ## Fix safety
    Safe where the loss is not symmetric and it is certain which argument is the target; otherwise suggested.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html
    """

    code, name, severity = "GRD401", "swapped-loss-arguments", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        by_call: dict[ast.AST, list[tuple[Event, _Swap | None]]] = {}
        for event in facts.of("loss"):
            by_call.setdefault(event.at.node, []).append((event, _judge(facts, event)))
        for judged in by_call.values():
            yield from self._reports(facts, judged)

    def _reports(self, facts: Facts, judged: "list[tuple[Event, _Swap | None]]") -> Iterator[Finding]:
        """One for the call, or one for each caller if it is the caller who mixes them up."""
        swaps = [(event, swap) for event, swap in judged if swap is not None]
        passed_on = [(event, swap, _caller(event, swap)) for event, swap in swaps]
        mixed = len(swaps) < len(judged)
        for event, swap, caller in passed_on:
            blamed = caller is not None and (mixed or caller.is_named_right)
            yield self._report(facts, event, swap, caller if blamed else None)
            if not blamed:
                return

    def _report(self, facts: Facts, event: Event, swap: "_Swap", caller: "_Caller | None") -> Finding:
        loss = called(event)
        at = event.at if caller is None else caller.at
        first, second = (swap.prediction.node, swap.target.node) if caller is None else (caller.first, caller.second)
        if first is None or second is None:
            message = f"`{loss}` is given the target in the place of the prediction: {swap.reason}"
        else:
            one, other = code(facts, first), code(facts, second)
            if swap.severity is Severity.INFORMATION and swap.symmetric:
                message = (
                    f"`{loss}` takes the prediction first: {one} is data, and {other} depends on parameters. The loss "
                    'is symmetric, so value and gradient are the same; PyTorch up to 0.4.0 raised "nn criterions '
                    "don't compute the gradient w.r.t. targets\""
                )
            else:
                place_of_one, place_of_other = swap.places
                message = (
                    f"the arguments of `{loss}` are swapped: {one} is in the place of the {place_of_one}, {other} in "
                    f"that of the {place_of_other}; {swap.reason}"
                )
        story = _sources(swap)
        if caller is not None:
            story.append(Step(place(event.at), f"`{loss}` is called here"))
        fixes = _fix(at, first, second, swap)
        return self.finding(place(at), message, story, fixes, swap.severity)


@dataclass(frozen=True, slots=True)
class _Swap:
    prediction: Argument
    target: Argument
    severity: Severity
    reason: str
    symmetric: bool = False
    places: tuple[str, str] = ("prediction", "target")


def _sources(swap: "_Swap") -> list[Step]:
    """Where the two arguments come from."""
    found = []
    one, other = swap.places
    told = (swap.target, f"the {one} comes from here"), (swap.prediction, f"the {other} comes from here")
    for argument, words in told:
        made = argument.value.node.at if isinstance(argument.value, Tensor) else None
        if made is not None:
            found.append(Step(place(made), words))
    return found


def _judge(facts: Facts, event: Event) -> _Swap | None:
    """Are the arguments of this loss swapped, and what does that do?"""
    first, second = prediction(event), target(event)
    if first is None or second is None or _is_written(first) or _is_written(second):
        return None
    if event.spec.name == "kl_div":
        return _judge_divergence(facts, event, first, second)
    if event.spec.name == "gaussian_nll_loss" and (variance := argument_of(event, "var")) is not None:
        return _judge_variance(facts, first, second, variance)
    if not is_data(first.value, second.value) or not is_computed(facts, second.value):
        return None if event.spec.symmetric else _judge_unknown(facts, event, first, second)
    if event.spec.symmetric and not (event.spec.name == "huber_loss" and _dtype(first) == "int"):
        measured = isinstance(event.value, Tensor) and event.value.requires_grad is False
        return None if measured else _Swap(first, second, Severity.INFORMATION, "", symmetric=True)
    raises = _raises(event, first, second)
    if raises:
        return _Swap(first, second, Severity.ERROR, raises)
    reason = "it runs, but compares the wrong way round: its value and its gradient are wrong"
    return _Swap(first, second, Severity.WARNING, reason)


def _is_written(argument: Argument) -> bool:
    """Was it written in place before the loss was computed? By now it is again what it was made as."""
    return isinstance(argument.value, Tensor) and argument.then is not argument.value.node


def _dtype(argument: Argument) -> str | None:
    return argument.value.dtype if isinstance(argument.value, Tensor) else None


def _raises(event: Event, first: Argument, second: Argument) -> str:
    name = event.spec.name
    if _dtype(first) == "int" and name in _NEEDS_FLOAT:
        return "it raises, as integers cannot be predictions"
    if name in ("nll_loss", "multi_margin_loss") and _dtype(second) == "float":
        return "it raises, as the target must be integers"
    recorded = isinstance(second.value, Tensor) and second.value.requires_grad is True
    if name == "soft_margin_loss" and recorded:
        return "it raises, as there is no gradient with respect to the target"
    return ""


def _judge_variance(facts: Facts, mean: Argument, wanted: Argument, variance: Argument) -> _Swap | None:
    """`gaussian_nll_loss` takes the variance last: both it and the mean are computed, and the target is data."""
    computed = is_computed(facts, mean.value) and is_computed(facts, wanted.value)
    if (
        not computed
        or getattr(wanted.value, "requires_grad", None) is False
        or not is_data(variance.value, wanted.value)
        or _is_constant(variance.value)
    ):
        return None
    reason = "data may be negative, which raises, and otherwise the value and the gradient are wrong"
    return _Swap(wanted, variance, Severity.INFORMATION, reason, places=("target", "variance"))


def _judge_divergence(facts: Facts, event: Event, first: Argument, second: Argument) -> _Swap | None:
    """`kl_div` takes the logarithm of one distribution and the other as it is: that tells them apart."""
    if option(event, "log_target", False) is not False:
        return None
    one, other = activation(first), activation(second)
    if other == "log_softmax" and (one == "softmax" or (one == "" and is_data(first.value, second.value))):
        reason = "the first must be log-probabilities, the second probabilities, and the result is NaN"
        return _Swap(first, second, Severity.WARNING, reason)
    return None


def _judge_unknown(facts: Facts, event: Event, first: Argument, second: Argument) -> _Swap | None:
    """Where it is not known what computed the second."""
    if is_data(first.value, second.value) and _is_result(second.value) and _is_differentiated(facts, event):
        reason = "no parameter had a part in the first, so the loss trains nothing through it"
        return _Swap(first, second, Severity.INFORMATION, reason)
    if _is_constant(first.value) and not is_data(second.value, first.value) and history(second.value) is not None:
        return _Swap(first, second, Severity.INFORMATION, "what is in the place of the prediction is a constant")
    known = any(is_data(a, b) or is_computed(facts, a) for a, b in permutations((first.value, second.value)))
    return None if known else _judge_names(event, first, second)


_OF_A_NUMBER = frozenset(("ones", "zeros", "full", "ones_like", "zeros_like", "full_like"))


def _is_constant(value: Value) -> bool:
    """Is it made of tensors of a number, such as `torch.ones_like(x)`?"""
    if not isinstance(value, Tensor) or value.requires_grad is not False:
        return False
    return all(
        part.cut is None and (bool(part.edges) if part.leaf is None else part.op in _OF_A_NUMBER)
        for part in walk(value.node)
    )


def _is_result(value: Value) -> bool:
    """Did something unknown that was called with data give it?"""
    node = history(value)
    return node is not None and any(
        part.kind == "opaque" and part.at is not None and isinstance(part.at.node, ast.Call) and not keeps(part)
        for part in walk(node)
    )


def _is_differentiated(facts: Facts, event: Event) -> bool:
    """Is backward called on this loss?"""
    node = None if event.value is None else history(event.value)
    roots = [backward.node for backward in facts.of("backward") if backward.node is not None]
    return node is not None and any(node in walk(root) for root in roots)


def _judge_names(event: Event, first: Argument, second: Argument) -> _Swap | None:
    """Where only the names tell."""
    if named_like(first.node) == "target" and named_like(second.node) == "prediction":
        reason = "if the names are right, it raises or computes the wrong value"
        return _Swap(first, second, Severity.INFORMATION, reason)
    return None


@dataclass(frozen=True, slots=True)
class _Caller:
    """The call of a function that hands two of its arguments on to a loss."""

    at: At
    first: ast.expr
    second: ast.expr
    is_named_right: bool


def _caller(event: Event, swap: _Swap) -> _Caller | None:
    calls = event.calls
    one, other = swap.prediction.node, swap.target.node
    if calls is None or not isinstance(one, ast.Name) or not isinstance(other, ast.Name):
        return None
    at, function, _ = calls
    if not isinstance(at.node, ast.Call) or any(isinstance(argument, ast.Starred) for argument in at.node.args):
        return None
    parameters = [argument.arg for argument in (*function.node.args.posonlyargs, *function.node.args.args)]
    if function.owner is not None and function.kind != "static":
        parameters = parameters[1:]
    given = dict(zip(parameters, at.node.args, strict=False)) | {k.arg: k.value for k in at.node.keywords if k.arg}
    if one.id not in given or other.id not in given:
        return None
    right = word_for(one.id) == "prediction" or word_for(other.id) == "target"
    return _Caller(at, given[one.id], given[other.id], right)


def _fix(at: At, first: ast.expr | None, second: ast.expr | None, swap: _Swap) -> list[Fix]:
    if not isinstance(at.node, ast.Call) or first is None or second is None:
        return []
    keys: list[int | str] = []
    for wanted in (first, second):
        for index, argument in enumerate(at.node.args):
            if argument is wanted:
                keys.append(index)
        keys += [keyword.arg for keyword in at.node.keywords if keyword.value is wanted and keyword.arg]
    if len(keys) != 2:
        return []
    certain = swap.severity in (Severity.ERROR, Severity.WARNING)
    safety = Safety.SAFE if certain else Safety.SUGGESTED
    return [Fix("Swap the arguments", safety, edits.swap_arguments(place(at), keys[0], keys[1]))]
