"""GRD107."""

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.rules.finding import Finding, Severity
from gradls.rules.lost_gradient import LostGradientRule

SURROGATES = {
    "argmax": "`softmax`, or `gumbel_softmax(hard=True)`, is differentiable",
    "argmin": "`softmax` of the negative is differentiable",
    "one_hot": "`softmax` instead of the hard choice is differentiable",
    "topk": "the values have a gradient, the indices have none",
    "sort": "the values have a gradient, the indices have none",
    "argsort": "a soft ranking would be differentiable",
}
COMPARISONS = ("gt", "lt", "ge", "le", "eq", "ne")
CASTS = ("long", "int", "short", "byte", "char", "bool", "to", "type")


class NoDerivative(LostGradientRule):
    """An operation without a derivative on the only way to the loss.

    ## What it finds
    `argmax`, comparisons, casts to integers, the indices of `topk`, `sort` and `max`, `one_hot`, `nonzero`, `bincount`
    and other operations whose result never has a gradient, between parameters and a loss.

    ## Why it matters
    The result is a constant for autograd. A loss that is made of hard decisions only, such as an accuracy, cannot
    train a model.

    ## What PyTorch does
    If nothing else in the loss has a gradient, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    Otherwise the parameters behind the operation silently get none.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    labels = torch.randint(0, 4, (8,))
    predicted = model(torch.randn(8, 3)).argmax(dim=1)
    loss = (predicted != labels).float().mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ## Use instead
    A loss of the scores.

    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    labels = torch.randint(0, 4, (8,))
    scores = model(torch.randn(8, 3))
    loss = torch.nn.functional.cross_entropy(scores, labels)
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    Where the result is a mask, an index or a metric beside a way that has a gradient.

    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    scores = model(torch.randn(8, 3))
    loss = (scores * (scores > 0).float()).sum()
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    There is no automatic fix: which differentiable surrogate is right depends on what is meant.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions
    """

    code, name, severity = "GRD107", "no-derivative", Severity.ERROR
    kinds = ("integer", "no_derivative")
    does = "has no gradient"

    def report(self, facts: Facts, lost: Lost) -> Finding:
        finding = super().report(facts, lost)
        return self.finding(
            finding.place, f"{finding.message}. {surrogate(lost.cut.op)}", finding.story, (), finding.severity
        )


def surrogate(op: str) -> str:
    """What to use instead of an operation without a derivative."""
    name = op.strip("_")
    if name in SURROGATES:
        return f"Here {SURROGATES[name]}"
    if name in COMPARISONS:
        return "A steep `sigmoid` of the difference is differentiable"
    if name in CASTS:
        return "Without the cast to integers the gradient passes"
    return "Compute the loss from values that are differentiable"
