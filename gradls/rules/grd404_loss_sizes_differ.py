"""GRD404."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.lost import backwards
from gradls.flow.reach import walk
from gradls.flow.shapes import Shape, both_grow, differ
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import called, is_data, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_STRICT = frozenset(("binary_cross_entropy", "binary_cross_entropy_with_logits"))
_BROADCASTING = frozenset(
    ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "kl_div", "hinge_embedding_loss")
)
_OF_CLASSES = frozenset(("cross_entropy", "nll_loss"))
_LAYERS = frozenset(("Linear", "linear", "Conv1d", "Conv2d", "Conv3d"))
_SHAPE_KEPT = frozenset(("sigmoid", "tanh", "relu", "softplus", "exp", "leaky_relu", "elu", "gelu"))


class LossSizesDiffer(Rule):
    """A prediction of shape (N, 1) that is compared with a target of shape (N,).

    ## What it finds
    A loss, or a difference that a loss is made of, whose two sides broadcast against each other: each of N predictions
    is compared with each of N targets. And losses that raise because the shapes of their two sides do not fit: binary
    cross entropies, and those of classes if the numbers of examples differ.

    ## Why it matters
    The mean over N × N pairs is smallest where every prediction is the mean of the targets: the model learns to answer
    the same for everything.

    ## What PyTorch does
    `mse_loss` and its like warn, once:

        UserWarning: Using a target size (torch.Size([8])) that is different to the input size (torch.Size([8, 1])).
        This will likely lead to incorrect results due to broadcasting.

    A difference written by hand says nothing, and `BCEWithLogitsLoss` raises

        ValueError: Target size (torch.Size([8])) must be the same as input size (torch.Size([8, 1]))

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs, targets = torch.randn(8, 3), torch.randn(8)
    loss = torch.nn.functional.mse_loss(model(inputs), targets)  # warns UserWarning: different to the input size
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs, targets = torch.randn(8, 3), torch.randn(8)
    errors = model(inputs) - targets
    errors.pow(2).mean().backward()
    assert errors.shape == (8, 8)
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs, targets = torch.randn(8, 3), torch.ones(8)
    torch.nn.BCEWithLogitsLoss()(model(inputs), targets)  # raises ValueError: must be the same as input size
    ```

    ## Use instead
    The same shape on both sides.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs, targets = torch.randn(8, 3), torch.randn(8)
    prediction = model(inputs).squeeze(-1)
    assert prediction.shape == targets.shape
    torch.nn.functional.mse_loss(prediction, targets).backward()
    torch.nn.functional.mse_loss(model(inputs), targets.unsqueeze(-1)).backward()
    ```

    ## When it is silent
    Where a shape is not known, and where only one side is broadcast, such as a single target for all; also for
    differences between all pairs that are written on purpose, with `[:, None]`.

    ```python
    import torch

    points = torch.randn(8, requires_grad=True)
    distances = (points[:, None] - points[None, :]).abs()
    distances.mean().backward()
    assert distances.shape == (8, 8)
    ```

    ## Fix safety
    Suggested: `squeeze(-1)` on a prediction or target of shape (N, 1) where the other side has the shape (N,). None
    for other shapes: which of the two is meant, only the author knows.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/broadcasting.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html
    """

    code, name, severity = "GRD404", "loss-sizes-differ", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("loss"):
            if not event.caught:
                yield from self._of_loss(facts, event)
        reached = None
        for event in facts.of("outer-broadcast"):
            if reached is None:
                reached = {node for backward in backwards(facts) for node in walk(backward.node)}  # type: ignore[arg-type]
            if event.node is not None and event.node.op in ("sub", "__rsub__"):
                yield from self._of_difference(facts, event, event.node in reached)

    def _of_loss(self, facts: Facts, event: Event) -> Iterable[Finding]:
        given, wanted = prediction(event), target(event)
        if given is None or wanted is None:
            return
        one, other = given.value, wanted.value
        if not isinstance(one, Tensor) or not isinstance(other, Tensor):
            return
        sides = f"the prediction has shape {_shown(one.shape)}, the target {_shown(other.shape)}"
        if event.spec.name in _STRICT and differ(one.shape, other.shape):
            message = f"{sides}: `{called(event)}` raises, as they must be the same"
            fixes = _squeezed(event, one, other)
            yield self.finding(place(event.at), message, (), fixes, Severity.ERROR)
        elif event.spec.name in _OF_CLASSES and _batches_differ(one.shape, other.shape):
            message = f"{sides}: `{called(event)}` raises, as the numbers of examples differ"
            yield self.finding(place(event.at), message, severity=Severity.ERROR)
        elif event.spec.name in _BROADCASTING and both_grow(one.shape, other.shape):
            message = (
                f"{sides}: `{called(event)}` broadcasts them and compares every prediction with every target; "
                "bring both to one shape, with `squeeze` or `unsqueeze`"
            )
            yield self.finding(place(event.at), message, (), _squeezed(event, one, other))

    def _of_difference(self, facts: Facts, event: Event, trains: bool) -> Iterable[Finding]:
        """`prediction - target`: only of what a layer gives as (N, 1), with data of as many elements."""
        for one, other in (event.tensors, event.tensors[::-1]):
            if not one.shape or not other.shape or len(one.shape) != 2 or len(other.shape) != 1:
                continue
            if one.shape[1] != 1 or not _is_output(one) or not is_data(other, one):
                continue
            known = one.shape[0] is not None and one.shape[0] == other.shape[0]
            if not known and (not trains or (one.shape[0] is not None and other.shape[0] is not None)):
                continue
            size = "N" if one.shape[0] is None else str(one.shape[0])
            message = (
                f"{code(facts, event.at.node)} has shape ({size}, {size}), not ({size}, 1): the prediction "
                f"{_shown(one.shape)} is broadcast against the target {_shown(other.shape)}, so that every "
                "prediction is compared with every target; use `squeeze(-1)` on the prediction"
            )
            story = [Step(place(one.node.at), "the prediction comes from here")] if one.node.at else []
            node, first = event.at.node, one is event.tensors[0]
            side = (node.left if first else node.right) if isinstance(node, ast.BinOp) else None
            fixes = [_squeeze(Place(event.at.source, side), "prediction")] if side is not None else []
            severity = None if known and trains else Severity.INFORMATION
            yield self.finding(place(event.at), message, story, fixes, severity)


def _squeezed(event: Event, one: Tensor, other: Tensor) -> list[Fix]:
    """Take away the last dimension of the side that has one more than the other, of size 1."""
    given, wanted = prediction(event), target(event)
    for word, side, longer, shorter in (("prediction", given, one, other), ("target", wanted, other, one)):
        shape, rest = longer.shape, shorter.shape
        if shape is None or rest is None or len(shape) != 2 or len(rest) != 1 or shape[1] != 1:
            continue
        if (
            side is not None
            and isinstance(side.node, ast.expr)
            and (shape[0] == rest[0] or None in (shape[0], rest[0]))
        ):
            return [_squeeze(Place(event.at.source, side.node), word)]
    return []


def _squeeze(where: Place, word: str) -> Fix:
    return Fix(f"Squeeze the {word}", Safety.SUGGESTED, edits.add_call(where, ".squeeze(-1)"))


def _batches_differ(one: Shape | None, other: Shape | None) -> bool:
    """Are there more predictions than labels, or fewer?"""
    if not one or not other or len(one) < 2 or one[0] is None or other[0] is None:
        return False
    return len(other) in (len(one) - 1, len(one)) and one[0] != other[0]


def _is_output(tensor: Tensor) -> bool:
    """Does its shape come from a layer, and not from an `unsqueeze`?"""
    node = tensor.node
    for _ in range(8):
        if node.op in _LAYERS:
            return True
        if node.op not in _SHAPE_KEPT or not node.edges:
            return False
        node = node.edges[0].node
    return False


def _shown(shape: Shape | None) -> str:
    if shape is None:
        return "(...)"
    names = iter("NMKL")
    sizes = [next(names, "?") if size is None else str(size) for size in shape]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
