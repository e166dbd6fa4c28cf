"""GRD805."""

from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.rules.finding import Finding, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class GradcheckWithoutPrecision(Rule):
    """gradcheck gets inputs that it cannot check.

    ## What it finds
    `torch.autograd.gradcheck` or `gradgradcheck` of inputs of which none requires grad, and, as information, of inputs
    in single precision.

    ## Why it matters
    `gradcheck` compares gradients with the differences that steps of a millionth make. In single precision these are
    mostly rounding errors, and the check fails for right gradients.

    ## What PyTorch does
    Without a gradient it raises

        ValueError: gradcheck expects at least one input tensor to require gradient, but none of them have
        requires_grad=True.

    In single precision it warns: `Input #0 requires gradient and is not a double precision floating point or complex.
    This check will likely fail if all the inputs are not of double precision floating point or complex.`

    ## Example
    ```python
    import torch

    x = torch.randn(3, dtype=torch.float64)
    torch.autograd.gradcheck(torch.sin, (x,))  # raises ValueError: at least one input tensor to require gradient
    ```

    ## Use instead
    `dtype=torch.float64, requires_grad=True`.

    ```python
    import torch

    x = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torch.sin, (x,))
    ```

    ## When it is silent
    Where the inputs are not known.

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
    """

    code, name, severity = "GRD805", "gradcheck-without-precision", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("gradcheck"):
            if event.caught and not any(flag for flag, _ in event.states):
                continue
            call = code(facts, event.at.node)
            if event.complete and event.states and all(flag is False for flag, _ in event.states):
                yield self.finding(place(event.at), f"{call} raises: none of its inputs requires grad")
            elif any(flag and exact in ("float32", "float16", "bfloat16") for flag, exact in event.states):
                message = f"{call} will likely fail for right gradients too: give it inputs with `dtype=torch.float64`"
                yield self.finding(place(event.at), message, severity=Severity.INFORMATION)
