"""GRD406."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache

from gradls.autograd.losses import find_loss, loss_spellings
from gradls.flow.arguments import Call
from gradls.flow.facts import Facts
from gradls.flow.values import Lib
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, TextEdit
from gradls.rules.rule import Rule
from gradls.rules.words import code

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


class LossOptions(Rule):
    """Options of losses and softmaxes that are left out, or out of date.

    ## What it finds
    `softmax` without `dim`; `kl_div` with the reduction `mean`, which is its default; and the old flags `size_average`
    and `reduce`.

    ## Why it matters
    Without `dim` the dimension depends on the number of dimensions: of a tensor with three it is the first one, over
    the batch. The mean of `kl_div` divides by the number of elements, not of examples, and is not the divergence.

    ## What PyTorch does
    It warns

        UserWarning: Implicit dimension choice for softmax has been deprecated.
        UserWarning: reduction: 'mean' divides the total loss by both the batch size and the support size.
        UserWarning: size_average and reduce args will be deprecated, please use reduction='sum' instead.

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
    Safe for the flags, which become the reduction that they mean. Otherwise there is none.

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

    def _of_call(self, facts: Facts, node: ast.Call, path: str, call: Call) -> Iterator[Finding]:
        empty = not call.args and not call.kwargs and ".functional." in path
        if path in _WITHOUT_DIM and call.get(_WITHOUT_DIM[path], "dim") is None and not empty:
            message = f"{code(facts, node)} chooses a dimension by itself, and the choice is deprecated: give it `dim`"
            yield self.finding(Place(facts.source_of(node), node), message)
        loss = find_loss(path)
        if loss is None:
            return
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


@cache
def _names() -> tuple[str, ...]:
    """The last parts of the names of all that is looked at here."""
    return tuple(sorted({path.rpartition(".")[2] for path in (*loss_spellings(), *_WITHOUT_DIM)}))
