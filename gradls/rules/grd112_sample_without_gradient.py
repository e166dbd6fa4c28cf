"""GRD112."""

from collections.abc import Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.rules import edits
from gradls.rules.finding import Fix, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import place


class SampleWithoutGradient(LostGradientRule):
    """A sample through which no gradient goes back to the distribution.

    ## What it finds
    `distribution.sample()` between the parameters of the distribution and a loss, as the only way.

    ## Why it matters
    `sample()` draws under `no_grad`. The parameters that made the mean or the scale get no gradient from the sample;
    `rsample()` draws the same values by a formula that autograd records.

    ## What PyTorch does
    If nothing else in the loss has a gradient, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    Otherwise the parameters silently get none.

    ## Example
    ```python
    import torch

    encoder = torch.nn.Linear(3, 2)
    distribution = torch.distributions.Normal(encoder(torch.randn(8, 3)), 1.0)
    loss = distribution.sample().pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ## Use instead
    ```python
    import torch

    encoder = torch.nn.Linear(3, 2)
    distribution = torch.distributions.Normal(encoder(torch.randn(8, 3)), 1.0)
    loss = distribution.rsample().pow(2).mean()
    loss.backward()
    assert encoder.weight.grad is not None
    ```

    ## When it is silent
    For policy gradients: there the gradient goes through `log_prob`.

    ```python
    import torch

    policy = torch.nn.Linear(3, 4)
    distribution = torch.distributions.Categorical(logits=policy(torch.randn(8, 3)))
    action = distribution.sample()
    loss = -(distribution.log_prob(action) * torch.randn(8)).mean()
    loss.backward()
    assert policy.weight.grad is not None
    ```

    ## Fix safety
    Suggested: discrete distributions have no `rsample()`.

    ## References
    - https://docs.pytorch.org/docs/stable/distributions.html#pathwise-derivative
    """

    code, name, severity = "GRD112", "sample-without-gradient", Severity.ERROR
    kinds = ("sample",)
    does = "draws without a gradient"

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        build = edits.rename_attribute(place(lost.cut.cut.at), "rsample")
        return [Fix("Use `rsample()`", Safety.SUGGESTED, build)]
