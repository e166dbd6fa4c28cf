"""GRD409."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.ranges import Range
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.loss_activations import activation
from gradls.rules.loss_arguments import Argument, called, option, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_OF_SIGNS = frozenset(("cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "soft_margin_loss"))
"""Losses of which the target says 1 or -1."""
_OF_CLASSES = frozenset(("cross_entropy", "nll_loss", "multi_margin_loss"))


class LossValues(Rule):
    """Numbers that a loss does not take: labels that are no class, probabilities outside of 0 to 1, 0 for -1.

    ## What it finds
    A label that is negative, or not below the number of classes, for `cross_entropy`, `nll_loss` and
    `multi_margin_loss`; predictions or targets outside of [0, 1] for `binary_cross_entropy`; and a prediction of
    `binary_cross_entropy` that a sigmoid has rounded to 0 or 1 where the target is not that. As a warning, targets of 0
    and 1 for losses that take 1 and -1: `cosine_embedding_loss`, `hinge_embedding_loss`, `margin_ranking_loss` and
    `soft_margin_loss`.

    ## Why it matters
    On the CPU the call raises; on a GPU the program ends with a failed assertion somewhere later. Behind a saturated
    sigmoid the gradient is zero, so that the worst predictions are never corrected.

    ## What PyTorch does
    It raises one of

        IndexError: Target 5 is out of bounds.

        RuntimeError: all elements of input should be between 0 and 1

    ## Example
    ```python
    import torch

    outputs = torch.nn.Linear(3, 4)(torch.randn(2, 3))
    loss = torch.nn.functional.cross_entropy(outputs, torch.tensor([1, 4]))  # raises IndexError: Target 4 is out of
    ```

    ```python
    import torch

    probabilities = torch.tensor([0.2, 1.5], requires_grad=True)
    torch.nn.BCELoss()(probabilities, torch.ones(2))  # raises RuntimeError: all elements of input should be between
    ```

    ```python
    import torch

    logit = torch.tensor([40.0], requires_grad=True)
    torch.nn.functional.binary_cross_entropy(logit.sigmoid(), torch.zeros(1)).backward()
    assert logit.grad == 0
    ```

    ```python
    import torch

    one, other = torch.ones(2, 3), -torch.ones(2, 3)
    loss = torch.nn.functional.cosine_embedding_loss(one, -other, torch.tensor([0.0, 0.0]))
    assert loss == 0  # two equal vectors that are said to differ
    ```

    ## Use instead
    Labels from 0 to the number of classes less one, -100 (or `ignore_index`) for what does not count; 1 and -1; and
    `binary_cross_entropy_with_logits`, which has a gradient everywhere.

    ```python
    import torch

    outputs = torch.nn.Linear(3, 4)(torch.randn(3, 3))
    loss = torch.nn.functional.cross_entropy(outputs, torch.tensor([1, 3, -100]))
    logit = torch.tensor([40.0], requires_grad=True)
    torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.zeros(1)).backward()
    assert loss > 0 and logit.grad == 1
    ```

    ## When it is silent
    Where the numbers are not known, as for all data that are read from somewhere.

    ```python
    import torch

    outputs = torch.nn.Linear(3, 4)(torch.randn(8, 3))
    labels = torch.randint(0, 4, (8,))
    loss = torch.nn.functional.cross_entropy(outputs, labels)
    loss = loss + torch.nn.functional.binary_cross_entropy(outputs.sigmoid(), torch.rand(8, 4))
    assert loss > 0
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """

    code, name, severity = "GRD409", "loss-values", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("loss"):
            given, wanted = prediction(event), target(event)
            if given is None or wanted is None or event.caught:
                continue
            if event.spec.name in _OF_CLASSES:
                yield from self._of_labels(facts, event, given, wanted)
            elif event.spec.name in _OF_SIGNS:
                yield from self._of_signs(facts, event, wanted)
            elif event.spec.name == "binary_cross_entropy":
                yield from self._of_probabilities(facts, event, given, wanted)

    def _of_labels(self, facts: Facts, event: Event, given: Argument, wanted: Argument) -> Iterator[Finding]:
        labels: Range | None = event.ranges.get(wanted.name)
        shape = given.value.shape if isinstance(given.value, Tensor) else None
        if labels is None or not shape or not isinstance(wanted.value, Tensor) or wanted.value.dtype != "int":
            return
        classes = shape[1] if len(shape) > 1 else shape[0]
        ignored = None if event.spec.name == "multi_margin_loss" else option(event, "ignore_index", -100)
        if classes is None or (ignored is None and event.spec.name != "multi_margin_loss"):
            return
        outside = sorted(label for label in labels.has if label != ignored and not 0 <= label < classes)
        what = code(facts, wanted.node) if wanted.node is not None else "the target"
        if outside:
            message = (
                f"{what} holds the label {outside[-1]:g}, and there are {classes} classes, 0 to {classes - 1}: "
                f"`{called(event)}` raises"
            )
            yield self._report(event, wanted, message)
        elif any(label >= classes and label != ignored for label in labels.comes_to):
            message = (
                f"{what} holds labels up to {max(labels.comes_to):g}, and there are {classes} classes: "
                f"`{called(event)}` raises where one is {classes} or more"
            )
            yield self._report(event, wanted, message, Severity.INFORMATION)

    def _of_signs(self, facts: Facts, event: Event, wanted: Argument) -> Iterator[Finding]:
        known: Range | None = event.ranges.get(wanted.name)
        if known is None or known.low != 0 or not (0 in known.has or 0 in known.comes_to):
            return
        what = code(facts, wanted.node) if wanted.node is not None else "the target"
        message = (
            f"{what} holds 0, and `{called(event)}` takes 1 and -1: of 0 it makes neither the one nor the other. Take "
            "`2 * target - 1`"
        )
        yield self._report(event, wanted, message, Severity.WARNING)

    def _of_probabilities(self, facts: Facts, event: Event, given: Argument, wanted: Argument) -> Iterator[Finding]:
        for side in (given, wanted):
            known: Range | None = event.ranges.get(side.name)
            what = code(facts, side.node) if side.node is not None else "the prediction"
            if known is None:
                continue
            outside = sorted(number for number in known.has if not 0 <= number <= 1)
            if outside or known.low > 1 or known.high < 0:
                holds = f"holds {outside[0]:g}" if outside else "is never between 0 and 1"
                message = f"{what} {holds}, and `{called(event)}` raises for anything outside of 0 to 1"
                yield self._report(event, side, message)
                return
            if any(not 0 <= number <= 1 for number in known.comes_to):
                message = (
                    f"{what} may hold any number, and `{called(event)}` raises for those outside of 0 to 1; apply "
                    "`sigmoid`, or use `binary_cross_entropy_with_logits`"
                )
                yield self._report(event, side, message, Severity.INFORMATION)
                return
        one, other = event.ranges.get(given.name), event.ranges.get(wanted.name)
        if one is None or other is None or activation(given) != "sigmoid":
            return
        rounded = [number for number in one.has if number in (0.0, 1.0) and not other.low <= number <= other.high]
        if rounded:
            message = (
                f"the sigmoid rounds to {rounded[0]:g}, far from the target, and there the gradient of "
                f"`{called(event)}` is zero; use `binary_cross_entropy_with_logits` on its argument"
            )
            yield self._report(event, given, message, Severity.INFORMATION)

    def _report(self, event: Event, side: Argument, message: str, severity: Severity | None = None) -> Finding:
        made = side.value.node.at if isinstance(side.value, Tensor) else None
        story = [Step(place(made), "it is made here")] if made is not None and made.node is not event.at.node else []
        return self.finding(place(event.at), message, story, severity=severity)
