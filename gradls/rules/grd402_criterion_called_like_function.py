"""GRD402."""

import ast
from collections.abc import Iterable

from gradls.autograd.losses import find_loss
from gradls.autograd.modules import find_module
from gradls.flow.arguments import Call
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.values import Instance, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import of_call
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_TENSORS = frozenset(("weight", "pos_weight", "distance_function"))
"""Constructor parameters that may be tensors, or callable."""


class CriterionCalledLikeFunction(Rule):
    """A criterion that is given the prediction and the target where it is made.

    ## What it finds
    `nn.MSELoss(prediction, target)`: tensors given to the constructor of a loss module, where options belong; and
    `backward()` or `item()` called on the module itself.

    ## Why it matters
    The expression makes a module with odd options, and computes no loss.

    ## What PyTorch does
    The constructor takes the tensors for the old flags `size_average` and `reduce`, and raises

        RuntimeError: Boolean value of Tensor with more than one value is ambiguous

    Where it does not, `backward()` does

        AttributeError: 'MSELoss' object has no attribute 'backward'

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs, targets = torch.randn(8, 3), torch.randn(8, 1)
    loss = torch.nn.MSELoss(model(inputs), targets)  # raises RuntimeError: Boolean value of Tensor
    loss.backward()
    ```

    ## Use instead
    Make the criterion, then call it; or the function of the same name.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs, targets = torch.randn(8, 3), torch.randn(8, 1)
    criterion = torch.nn.MSELoss()
    criterion(model(inputs), targets).backward()
    torch.nn.functional.mse_loss(model(inputs), targets).backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    For tensors that are options: the weights of the classes.

    ```python
    import torch

    criterion = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0]))
    loss = criterion(torch.randn(8, 2, requires_grad=True), torch.randint(0, 2, (8,)))
    loss.backward()
    assert loss > 0
    ```

    ## Fix safety
    Suggested: it puts in the empty call.

    ## References
    - https://docs.pytorch.org/docs/stable/nn.html#loss-functions
    """

    code, name, severity = "GRD402", "criterion-called-like-function", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        made = [event for event in facts.of("module-made") if _is_criterion(event.value)]
        used = _used_as_tensors(facts) if made else {}
        for event in made:
            criterion = event.value
            if isinstance(criterion, Instance) and not event.caught:
                use = used.get(criterion)
                wrong = _tensor_options(criterion, event.call)
                if wrong or (use is not None and _has_inputs(event.call)):
                    yield self._report(facts, event, use)

    def _report(self, facts: Facts, event: Event, use: "tuple[Event, str] | None") -> Finding:
        name = event.value.path.rpartition(".")[2]  # type: ignore[union-attr]
        message = (
            f"{code(facts, event.at.node)} only makes the criterion, with the tensors as its options, and raises: "
            f"call what it makes, `{name}()(prediction, target)`"
        )
        story = []
        if use is not None:
            how = f"`{use[1]}` is called on the criterion" if use[1] else "the criterion is an operand"
            story.append(Step(place(use[0].at), how))
        fixes = []
        if isinstance(event.at.node, ast.Call):
            made = Place(event.at.source, event.at.node.func)
            fixes.append(Fix("Call the criterion", Safety.SUGGESTED, edits.add_call(made, "()")))
        return self.finding(place(event.at), message, story, fixes)


def _is_criterion(value: Value | None) -> bool:
    return isinstance(value, Instance) and find_loss(value.path) is not None


def _tensor_options(criterion: Instance, call: Call) -> bool:
    """Is a tensor given for an option that is none?"""
    spec = find_module(criterion.path)
    names = spec.init if spec is not None else ()
    given: dict[str, Value] = dict(zip(names, call.args, strict=False)) | call.kwargs
    if any(isinstance(value, Tensor) and name not in _TENSORS for name, value in given.items()):
        return True
    weight = given.get("weight")
    return (
        isinstance(weight, Tensor) and weight.requires_grad is True and not weight.is_parameter and len(call.args) > 1
    )


def _has_inputs(call: Call) -> bool:
    return any(isinstance(value, (Tensor, Unknown)) for value in call.args)


_OF_TENSORS = ("backward", "item", "mean", "sum", "detach", "view", "numel", "dim", "clone")
"""Methods that tensors have, and criteria do not."""


def _used_as_tensors(facts: Facts) -> dict[Instance, tuple[Event, str]]:
    """The criteria on which a method of tensors is called, whose name comes with it, or that are computed with."""
    found: dict[Instance, tuple[Event, str]] = {}
    for node, records in facts.called(*_OF_TENSORS):
        for function, _, _ in records:
            receiver, name = of_call(function)
            if isinstance(receiver, Instance) and name in _OF_TENSORS and _is_criterion(receiver):
                found.setdefault(receiver, (Event("call", At(facts.source_of(node), node)), name))
    for event in facts.of("object-operand"):
        if isinstance(event.value, Instance) and _is_criterion(event.value):
            found.setdefault(event.value, (event, ""))
    return found
