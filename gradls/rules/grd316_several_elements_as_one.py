"""GRD316."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import in_handler
from gradls.flow.shapes import Shape
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_NUMBERS = frozenset(("item", "float", "int", "complex", "__float__", "__int__"))


class SeveralElementsAsOne(Rule):
    """A tensor with several elements where Python needs one truth value or one number.

    ## What it finds
    A tensor that certainly does not have exactly one element as a condition (`if`, `while`, `assert`, `not`, `and`,
    `or`, a chained comparison, `bool()`), or converted to a number with `.item()`, `float()` or `int()`.

    ## Why it matters
    A comparison such as `x > 0` gives one answer for each element. It works as long as there is one element, such as
    in a first try with a batch of one.

    ## What PyTorch does
    It raises one of

        RuntimeError: Boolean value of Tensor with more than one value is ambiguous

        RuntimeError: a Tensor with 8 elements cannot be converted to Scalar

        ValueError: only one element tensors can be converted to Python scalars

    ## Example
    ```python
    import torch

    error = torch.nn.Linear(3, 1)(torch.randn(8, 3)) - torch.zeros(8, 1)
    loss = error**2 if error > 0 else error.abs()  # raises RuntimeError: Boolean value of Tensor
    ```

    ```python
    import torch

    losses = torch.nn.MSELoss(reduction="none")(torch.nn.Linear(3, 1)(torch.randn(8, 3)), torch.zeros(8, 1))
    print(losses.item())  # raises RuntimeError: a Tensor with 8 elements cannot be converted to Scalar
    ```

    ## Use instead
    `torch.where` to choose element by element, `.any()`, `.all()` or a reduction for one answer.

    ```python
    import torch

    error = torch.nn.Linear(3, 1)(torch.randn(8, 3)) - torch.zeros(8, 1)
    loss = torch.where(error > 0, error**2, error.abs())
    if (error > 0).any():
        print(loss.mean().item())
    assert loss.shape == (8, 1)
    ```

    ## When it is silent
    For one element, of whatever shape; where the number of elements is not known; for `==` with something that is
    no tensor or number, which Python compares; and in an `except` block, which may not be run for such a tensor.

    ```python
    import torch

    x = torch.ones(1, 1)
    if x > 0 and x is not None:
        assert x.item() == 1.0
    y = torch.ones(3)
    if y == None:
        raise AssertionError
    ```

    ## Fix safety
    There is no automatic fix: whether one answer or one for each element is meant, only the author knows.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.where.html
    - https://docs.pytorch.org/docs/stable/generated/torch.any.html
    """

    code, name, severity = "GRD316", "several-elements-as-one", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("tensor-truth", "to-number"):
            tensor = event.value
            if not isinstance(tensor, Tensor) or event.caught or not _is_not_one(tensor.shape):
                continue
            if in_handler(event.path, tensor.node.path):
                continue
            if event.kind == "tensor-truth":
                yield self._report(
                    facts, event, tensor, "is a condition", "Use `torch.where`, or `.any()` or `.all()` for one answer"
                )
            elif event.name in _NUMBERS:
                yield self._report(
                    facts, event, tensor, "becomes a number", "Reduce it first, or use `.tolist()` for all numbers"
                )

    def _report(self, facts: Facts, event: Event, tensor: Tensor, use: str, instead: str) -> Finding:
        message = f"{code(facts, event.at.node)} raises: a tensor of shape {_shown(tensor.shape)} {use}. {instead}"
        made = event.node.at if event.node is not None and event.kind == "tensor-truth" else tensor.node.at
        story = []
        if made is not None and made.node is not event.at.node:
            story.append(Step(place(made), "the tensor comes from here"))
        return self.finding(place(event.at), message, story)


def _is_not_one(shape: Shape | None) -> bool:
    """Has a tensor of this shape certainly more than one element, or none?"""
    return shape is not None and any(size not in (None, 1) for size in shape)


def _shown(shape: Shape | None) -> str:
    names = iter("NMKL")
    sizes = [next(names, "?") if size is None else str(size) for size in shape or ()]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
