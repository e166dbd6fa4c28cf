"""GRD406."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache

from gradls.autograd.losses import find_loss, loss_spellings
from gradls.autograd.modules import find_module
from gradls.flow.arguments import Call
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.values import Bound, Host, Lib, Tensor, Value
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step, TextEdit
from gradls.rules.loss_arguments import called, target
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_WITHOUT_DIM = {
    "torch.nn.functional.softmax": 1,
    "torch.nn.functional.log_softmax": 1,
    "torch.nn.functional.softmin": 1,
    "torch.nn.Softmax": 0,
    "torch.nn.LogSoftmax": 0,
    "torch.nn.Softmin": 0,
}
"""By full name: where `dim` stands among the arguments."""
_DIVERGENCES = {"torch.nn.KLDivLoss": 2, "torch.nn.functional.kl_div": 4}
"""The same for `reduction`."""
_OF_CLASSES = frozenset(("cross_entropy", "nll_loss", "multi_margin_loss"))
"""Losses that take the weights of their classes as they are, with integers for labels."""


class LossOptions(Rule):
    """Options of losses and softmaxes that are left out, or out of date.

    ## What it finds
    `softmax` without `dim`; `kl_div` with the reduction `mean`, which is its default; the old flags `size_average`
    and `reduce`; weights of classes that are a number, or integers; and weights of examples that multiply a loss which
    is their mean already.

    ## Why it matters
    Without `dim` the dimension depends on the number of dimensions: of a tensor with three it is the first one, over
    the batch. The mean of `kl_div` divides by the number of elements, not of examples, and is not the divergence. The
    first argument of `CrossEntropyLoss` is `weight`, not the label smoothing that many mean.

    ## What PyTorch does
    It warns

        UserWarning: Implicit dimension choice for softmax has been deprecated.
        UserWarning: reduction: 'mean' divides the total loss by both the batch size and the support size.
        UserWarning: size_average and reduce args will be deprecated, please use reduction='sum' instead.

    and raises for weights

        TypeError: cannot assign 'float' object to buffer 'weight' (torch Tensor or None required)
        RuntimeError: expected scalar type Float but found Long

    ## Example
    ```python
    import torch

    scores = torch.randn(2, 5, 7)
    weights = torch.nn.functional.softmax(scores)  # warns UserWarning: Implicit dimension choice for softmax
    assert torch.allclose(weights.sum(0), torch.ones(5, 7))
    ```

    ```python
    import torch
    import torch.nn.functional as F

    first, second = torch.randn(8, 5), torch.randn(8, 5)
    loss = F.kl_div(first.log_softmax(1), second.softmax(1))  # warns UserWarning: divides the total loss by both
    ```

    ```python
    import torch

    criterion = torch.nn.MSELoss(size_average=False)  # warns UserWarning: please use reduction='sum' instead
    ```

    ```python
    import torch

    criterion = torch.nn.CrossEntropyLoss(0.1)  # raises TypeError: cannot assign 'float' object to buffer 'weight'
    loss = criterion(torch.randn(8, 3, requires_grad=True), torch.randint(3, (8,)))
    ```

    ```python
    import torch

    criterion = torch.nn.CrossEntropyLoss(weight=torch.tensor([1, 5, 2]))
    scores, labels = torch.randn(8, 3, requires_grad=True), torch.randint(3, (8,))
    loss = criterion(scores, labels)  # raises RuntimeError: expected scalar type Float but found Long
    ```

    ## Use instead
    `dim`, `reduction="batchmean"`, and `reduction` in the place of the flags.

    ```python
    import torch
    import torch.nn.functional as F

    first, second = torch.randn(8, 5), torch.randn(8, 5)
    loss = F.kl_div(F.log_softmax(first, dim=1), F.softmax(second, dim=1), reduction="batchmean")
    expected = (second.softmax(1) * (second.log_softmax(1) - first.log_softmax(1))).sum(1).mean()
    assert torch.allclose(loss, expected, atol=1e-6)
    ```

    ## When it is silent
    Where the options may come from elsewhere, as with `**options`.

    ```python
    import torch

    options = {"dim": -1}
    weights = torch.nn.functional.softmax(torch.randn(2, 5), **options)
    assert torch.allclose(weights.sum(1), torch.ones(2))
    ```

    ## Fix safety
    Safe for the flags, which become the reduction that they mean. Suggested for a number in the place of the weights:
    it becomes the label smoothing. Otherwise there is none.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    code, name, severity = "GRD406", "loss-options", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        for node, records in facts.called(*_names()):
            function, call, _ = records[0]
            if isinstance(function, Lib) and not call.unsure:
                yield from self._of_call(facts, node, function.path, call)
        for event in {event.at.node: event for event in facts.of("loss")}.values():
            yield from self._of_integers(facts, event)
        yield from self._of_means(facts)

    def _of_means(self, facts: Facts) -> Iterator[Finding]:
        """Weights of examples that multiply a loss which is the mean of them already."""
        for _, records in facts.called("mean", "sum"):
            weighed = [_weighed(function) for function, _, _ in records]
            if not weighed or not all(weighed) or weighed[0] is None:
                continue
            loss, product = weighed[0]
            message = (
                f"what {code(facts, loss.node)} gives is one number already, and {code(facts, product.node)} "
                'multiplies it as a whole: each example weighs the same. Compute the loss with `reduction="none"`'
            )
            yield self.finding(place(product), message, [Step(place(loss), "it is reduced here")])

    def _of_integers(self, facts: Facts, event: Event) -> Iterator[Finding]:
        weight, wanted = event.options.get("weight"), target(event)
        integers = all(
            isinstance(value, Tensor) and value.dtype == "int" for value in (weight, wanted and wanted.value)
        )
        if integers and isinstance(weight, Tensor) and event.spec.name in _OF_CLASSES:
            message = (
                f"`{called(event)}` is given weights of its classes that are integers, and raises: call `.float()` "
                "on them"
            )
            made = weight.node.at
            story = [Step(place(made), "they are made here")] if made is not None else []
            yield self.finding(place(event.at), message, story, severity=Severity.ERROR)

    def _of_number(self, facts: Facts, node: ast.Call, path: str, call: Call) -> Iterator[Finding]:
        """A number in the place of the weights of classes."""
        spec = find_module(path)
        if spec is None or "weight" not in spec.init:
            return
        weight = call.get(spec.init.index("weight"), "weight")
        if not isinstance(weight, Host) or type(weight.value) not in (int, float):
            return
        at = Place(facts.source_of(node), node)
        message = (
            f"{code(facts, node.func)} takes a tensor with a weight for each class as `weight`: {weight.value} raises"
        )
        fixes = []
        if "label_smoothing" in spec.init and 0 < weight.value < 1:
            message += ". Label smoothing is told by name: `label_smoothing=...`"
            if node.args:
                new = f"label_smoothing={facts.segment(node.args[0])}"
                edit = TextEdit(at.source.path, at.source.span(node.args[0]), new)
                fixes.append(Fix("Smooth the labels", Safety.SUGGESTED, lambda: [edit]))
        yield self.finding(at, message, (), fixes if len(node.args) == 1 else (), Severity.ERROR)

    def _of_call(self, facts: Facts, node: ast.Call, path: str, call: Call) -> Iterator[Finding]:
        empty = not call.args and not call.kwargs and ".functional." in path
        if path in _WITHOUT_DIM and call.get(_WITHOUT_DIM[path], "dim") is None and not empty:
            message = f"{code(facts, node)} chooses a dimension by itself, and the choice is deprecated: give it `dim`"
            yield self.finding(Place(facts.source_of(node), node), message)
        loss = find_loss(path)
        if loss is None:
            return
        yield from self._of_number(facts, node, path, call)
        flags: list[str] = [name for name in ("size_average", "reduce") if name in call.kwargs]
        if flags:
            yield self._of_flags(facts, node, call, flags)
        elif path in _DIVERGENCES:
            position = _DIVERGENCES[path]
            if call.known(position, "reduction", default="mean") == "mean":
                message = (
                    f"{code(facts, node.func)} with the reduction `mean` divides by the number of elements: "
                    '`reduction="batchmean"` gives the divergence'
                )
                yield self.finding(Place(facts.source_of(node), node), message)

    def _of_flags(self, facts: Facts, node: ast.Call, call: Call, flags: list[str]) -> Finding:
        given = {name: call.known(99, name, default=True) for name in ("size_average", "reduce")}
        at = Place(facts.source_of(node), node)
        listed = " and ".join(f"`{name}`" for name in flags)
        if any(value not in (True, False) for value in given.values()):
            return self.finding(at, f"{listed} will be removed: use `reduction`")
        wanted = "none" if not given["reduce"] else "mean" if given["size_average"] else "sum"
        message = f'{listed} will be removed: use `reduction="{wanted}"`'
        fixes = []
        if len(flags) == 1:
            keyword = next(keyword for keyword in node.keywords if keyword.arg == flags[0])
            edit = TextEdit(at.source.path, at.source.span(keyword), f'reduction="{wanted}"')
            fixes.append(Fix(f"Use reduction={wanted}", Safety.SAFE, lambda: [edit]))
        return self.finding(at, message, (), fixes)


def _weighed(reduction: Value) -> tuple[At, At] | None:
    """Where a loss that is a mean, and its product with what has no gradient and is no single number, are computed."""
    product = reduction.receiver if isinstance(reduction, Bound) else None
    if not isinstance(product, Tensor) or product.node.op != "mul" or product.node.at is None:
        return None
    if product.shape is not None and all(size == 1 for size in product.shape):
        return None
    edges = product.node.edges
    for edge, other in zip(edges, edges[::-1], strict=True):
        is_mean = edge.node.label == "loss" and edge.node.scalar is True and edge.flows
        if len(edges) == 2 and is_mean and edge.node.at and other.flows is False and other.node.scalar is not True:
            return edge.node.at, product.node.at
    return None


@cache
def _names() -> tuple[str, ...]:
    """The last parts of the names of all that is looked at here."""
    return tuple(sorted({path.rpartition(".")[2] for path in (*loss_spellings(), *_WITHOUT_DIM)}))
