"""GRD115."""

import ast
from collections.abc import Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.rules import edits
from gradls.rules.finding import Fix, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import place


class GradWithoutCreateGraph(LostGradientRule):
    """A gradient used in a loss, taken without `create_graph=True`.

    ## What it finds
    The result of `torch.autograd.grad` (or of `torch.autograd.functional.jacobian` and its kind) in a loss on which
    `backward()` is called, where `create_graph=True` is missing: a gradient penalty, a physics loss, a meta-gradient.

    ## Why it matters
    Without `create_graph=True` the gradient is a plain number for autograd. A penalty of it adds a constant to the
    loss and trains nothing.

    ## What PyTorch does
    If nothing else in the loss has a gradient, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    In a sum with other terms it says nothing.

    ## Example
    ```python
    import torch

    critic = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(8, 2, requires_grad=True)
    gradient = torch.autograd.grad(critic(x).sum(), x)[0]
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    penalty.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    critic = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(8, 2, requires_grad=True)
    gradient = torch.autograd.grad(critic(x).sum(), x)[0]
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    assert not penalty.requires_grad
    loss = critic(torch.randn(8, 2)).mean() + 10 * penalty
    loss.backward()
    ```

    ## Use instead
    ```python
    import torch

    critic = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(8, 2, requires_grad=True)
    gradient = torch.autograd.grad(critic(x).sum(), x, create_graph=True)[0]
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    assert penalty.requires_grad
    loss = critic(torch.randn(8, 2)).mean() + 10 * penalty
    loss.backward()
    ```

    ## When it is silent
    Where the gradient moves an input or a parameter and enters no loss, as in an attack or a hand-written step.

    ## Fix safety
    Safe: what is computed stays the same, and gains the gradient that the loss needs. Suggested where nothing says what
    is to be trained: a gradient may be meant as a mere weight.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    code, name, severity = "GRD115", "grad-without-create-graph", Severity.ERROR
    whole_file = True
    kinds = ("grad",)
    does = "is taken without `create_graph=True`, so it has no gradient itself"

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        at = lost.cut.cut.at
        if not isinstance(at.node, ast.Call):
            return []
        return [Fix("Add `create_graph=True`", Safety.SAFE, edits.set_keyword(place(at), "create_graph", "True"))]
