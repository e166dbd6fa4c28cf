"""GRD407."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import called, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.straight_through import argument_of
from gradls.rules.words import code, place

_IN_PLACE = frozenset(
    ("to", "float", "double", "half", "bfloat16", "contiguous", "clone", "cpu", "cuda", "log", "clamp")
)
"""Operations after which the dimensions are what they were."""


class SoftmaxDimension(Rule):
    """A softmax along another dimension than that of the classes.

    ## What it finds
    `log_softmax` or `softmax` with a dimension that is not the one along which the loss after it (`nll_loss`,
    `cross_entropy`) looks for the classes: the second, or the only one of a single example. A softmax along
    a dimension of size 1 before any loss, and `cross_entropy` of a single class, too.

    ## Why it matters
    The probabilities of one example do not add up to 1: the examples of the batch compete with each other instead of
    the classes. The loss falls, and the model learns nothing useful.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch
    import torch.nn.functional as F

    model = torch.nn.Linear(3, 5)
    outputs = F.log_softmax(model(torch.randn(8, 3)), dim=0)
    loss = F.nll_loss(outputs, torch.randint(0, 5, (8,)))
    assert not torch.allclose(outputs.exp().sum(1), torch.ones(8))
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Softmax(dim=1))
    loss = torch.nn.functional.binary_cross_entropy(model(torch.randn(8, 3)), torch.ones(8, 1))
    loss.backward()
    assert loss == 0 and model[0].weight.grad.abs().max() == 0
    ```

    ## Use instead
    The dimension of the classes: 1, which is also -1 where there is no other behind it.

    ```python
    import torch
    import torch.nn.functional as F

    model = torch.nn.Conv2d(3, 5, 1)
    outputs = F.log_softmax(model(torch.randn(8, 3, 4, 4)), dim=1)
    loss = F.nll_loss(outputs, torch.randint(0, 5, (8, 4, 4)))
    assert torch.allclose(outputs.exp().sum(1), torch.ones(8, 4, 4))
    ```

    ## When it is silent
    Where the number of dimensions is not known and the dimension may be right; and where the result is rearranged
    before the loss.

    ```python
    import torch
    import torch.nn.functional as F

    outputs = F.log_softmax(torch.randn(8, 7, 5, requires_grad=True), dim=2)
    loss = F.nll_loss(outputs.transpose(1, 2), torch.randint(0, 5, (8, 7)))
    single = F.nll_loss(F.log_softmax(torch.randn(5, requires_grad=True), dim=0), torch.tensor(2))
    assert loss > 0 and single > 0
    ```

    ## Fix safety
    Suggested: the dimension of the classes in place of the one that is written, a sigmoid for a single output.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    code, name, severity = "GRD407", "softmax-dimension", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("loss"):
            if event.spec.name in ("nll_loss", "cross_entropy"):
                yield from self._of_loss(facts, event)
            yield from self._of_one_class(facts, event)

    def _of_one_class(self, facts: Facts, event: Event) -> Iterable[Finding]:
        """A softmax over a single element: 1 whatever goes in."""
        given, labels = prediction(event), target(event)
        if given is None or not isinstance(given.value, Tensor):
            return
        node = _softmax(given.value.node)
        if node is not None and node.at is not None and _size(node) == 1:
            at = node.layer or node.at
            message = (
                f"{code(facts, at.node)} goes along a dimension of size 1: the result is the same whatever goes in, "
                "and has no gradient; take a sigmoid, or one output for each class"
            )
            yield self.finding(place(at), message, [Step(place(event.at), "the loss")], _sigmoid(facts, node))
        elif event.spec.name == "cross_entropy" and labels is not None and isinstance(labels.value, Tensor):
            again = [other for other in facts.of("loss") if other.at.node is event.at.node]
            if labels.value.dtype == "int" and all(_has_one_class(other) for other in again):
                message = (
                    f"`{called(event)}` is given the logits of a single class: the loss is 0 whatever they are, and "
                    "trains nothing; use `binary_cross_entropy_with_logits`, or one output for each class"
                )
                yield self.finding(place(event.at), message)

    def _of_loss(self, facts: Facts, event: Event) -> Iterable[Finding]:
        given, labels = prediction(event), target(event)
        if given is None or not isinstance(given.value, Tensor):
            return
        node = _softmax(given.value.node)
        if node is None or node.at is None:
            return
        dim: int = node.fields["dim"]
        rank = _rank(given.value, labels.value if labels is not None else None)
        certain = _is_wrong(dim, rank)
        if certain is False:
            return
        at = node.layer or node.at
        what = code(facts, at.node)
        message = f"{what} goes along dimension {dim}, and `{called(event)}` has the classes in dimension 1"
        if certain:
            message += ": the probabilities of one example do not add up to 1"
        else:
            message += ": if this is a batch, the probabilities of one example do not add up to 1"
        story = [Step(place(event.at), "the loss")]
        severity = None if certain else Severity.INFORMATION
        yield self.finding(place(at), message, story, _fixes(place(at), dim), severity)


def _fixes(where: Place, dim: int) -> list[Fix]:
    """The dimension of the classes, where the wrong one is written."""
    call = where.node
    if not isinstance(call, ast.Call) or any(isinstance(part, ast.Starred) for part in call.args):
        return []
    given = [keyword.value for keyword in call.keywords if keyword.arg in ("dim", "axis")] or call.args[-1:]
    try:
        written = ast.literal_eval(given[0]) if given else None
    except ValueError:
        written = None
    if written != dim:
        return []
    return [Fix("Use dimension 1", Safety.SUGGESTED, edits.replace_expression(Place(where.source, given[0]), "1"))]


def _sigmoid(facts: Facts, node: Node) -> list[Fix]:
    """`softmax(x, dim=1)` becomes `sigmoid(x)`."""
    call = node.at.node if node.at is not None else None
    if node.op != "softmax" or not isinstance(call, ast.Call) or not call.args:
        return []
    given = argument_of(facts, call)
    if given is None:
        return []
    build = edits.replace_expression(
        Place(facts.source_of(call), call), f"{facts.torch_name}.sigmoid({facts.segment(given)})"
    )
    return [Fix("Take a sigmoid", Safety.SUGGESTED, build)]


def _has_one_class(event: Event) -> bool:
    """Are the logits of a loss those of a single class? Where they are put together, they may be in the first round
    only."""
    given = prediction(event)
    shape = given.value.shape if given is not None and isinstance(given.value, Tensor) else None
    return shape is not None and len(shape) > 1 and shape[1] == 1


def _size(node: Node) -> int | None:
    """Over how many elements a softmax goes."""
    shape, dim = node.get("shape"), node.fields["dim"]
    return shape[dim] if shape is not None and -len(shape) <= dim < len(shape) else None


def _softmax(node: Node) -> Node | None:
    """The softmax behind a value, if nothing was rearranged since."""
    for _ in range(8):
        if node.kind != "op":
            return None
        if node.op in ("softmax", "log_softmax"):
            return node if "dim" in node.fields else None
        if node.op not in _IN_PLACE or not node.edges:
            return None
        node = node.edges[0].node
    return None


def _rank(given: Tensor, labels: object) -> int | None:
    """How many dimensions the prediction has."""
    if given.shape is not None:
        return len(given.shape)
    if isinstance(labels, Tensor) and labels.dtype == "int" and labels.shape is not None:
        return len(labels.shape) + 1
    return None


def _is_wrong(dim: int, rank: int | None) -> bool | None:
    """Is this not the dimension of the classes? None if it is right only for a single example."""
    if rank is not None:
        return (dim % rank if -rank <= dim < rank else dim) != min(rank - 1, 1)
    if dim == 0:
        return None
    return dim > 1
