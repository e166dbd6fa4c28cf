"""GRD105."""

from collections.abc import Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.rules.finding import Fix, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.numpy_fixes import in_pytorch


class NumpyInGraph(LostGradientRule):
    """A way through NumPy between parameters and the loss.

    ## What it finds
    A tensor that is turned into an array and back (`torch.from_numpy`, `torch.tensor`) on its way to a loss; as
    information, on its way from a part of a module to what its `forward` returns, in a file that does not train it.

    ## Why it matters
    Autograd records operations of PyTorch only. What NumPy computed is a constant for it: the parameters before the
    array get no gradient.

    ## What PyTorch does
    `.numpy()` on a tensor that requires grad raises; after `.detach()` it does not, and the gradient is lost silently.
    If nothing else in the loss has one, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import numpy as np
    import torch

    encoder, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    with torch.no_grad():
        features = np.tanh(encoder(torch.randn(8, 3)).numpy())
    loss = head(torch.from_numpy(features)).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert encoder.weight.grad is None
    ```

    ## Use instead
    The same function of PyTorch.

    ```python
    import torch

    encoder, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    features = torch.tanh(encoder(torch.randn(8, 3)))
    loss = head(features).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert encoder.weight.grad is not None
    ```

    ## When it is silent
    Where the array is plotted, saved or measured, and never comes back into a loss.

    ## Fix safety
    Suggested: the functions of PyTorch in the place of those of NumPy, where all of these are known to have a namesake
    that takes the same arguments. None otherwise.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.numpy.html
    """

    code, name, severity = "GRD105", "numpy-in-graph", Severity.ERROR
    whole_file = True
    kinds = ("numpy",)
    does = "takes the value out of autograd"

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        return in_pytorch(facts, lost, lost.cut.cut.at.node) if lost.cut.cut is not None else ()
