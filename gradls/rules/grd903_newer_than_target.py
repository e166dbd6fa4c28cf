"""GRD903."""

from collections.abc import Iterator

from gradls.autograd.versions import NEWEST, Version, added, shown
from gradls.flow.facts import Facts
from gradls.flow.values import Lib, Tensor
from gradls.rules.finding import Finding, Place, Severity
from gradls.rules.loss_arguments import of_call
from gradls.rules.rule import Rule
from gradls.rules.words import code


class NewerThanTarget(Rule):
    """Something that the version of PyTorch which is aimed at does not have yet.

    ## What it finds
    With `target-torch` set, calls of functions, methods and arguments that came with a later version: `torch.func`,
    `torch.vmap`, `torch.amp.GradScaler`, `register_post_accumulate_grad_hook`, `materialize_grads` and some others that
    have to do with gradients.

    ## Why it matters
    On the target the call raises, where the code does not look first what there is.

    ## What PyTorch does
    The older version raises an `AttributeError`, or a `TypeError` for an argument, for example

        AttributeError: module 'torch' has no attribute 'vmap'

    ## Example
    ```python
    # with target-torch = "1.13"
    import torch

    square = torch.vmap(lambda x: x * x)
    assert square(torch.ones(3)).sum() == 3
    ```

    ```python
    # with target-torch = "2.0"
    import torch

    x = torch.ones(3, requires_grad=True)
    unused = torch.ones(3, requires_grad=True)
    _, zeros = torch.autograd.grad(x.sum(), [x, unused], allow_unused=True, materialize_grads=True)
    assert zeros.sum() == 0
    ```

    ## Use instead
    What the target has, or a later target.

    ```python
    # with target-torch = "2.0"
    import torch

    square = torch.vmap(lambda x: x * x)
    x = torch.ones(3, requires_grad=True)
    unused = torch.ones(3, requires_grad=True)
    _, grad = torch.autograd.grad(square(x).sum(), [x, unused], allow_unused=True)
    assert grad is None
    ```

    ## When it is silent
    Without a `target-torch`.

    ## Fix safety
    There is none.

    ## References
    - https://docs.pytorch.org/docs/stable/func.migrating.html
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    code, name, severity = "GRD903", "newer-than-target", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterator[Finding]:
        # What gradls knows is there in the newest version.
        for node, records in facts.calls.items() if facts.target < NEWEST else ():
            for function, call, _ in records:
                found = _newest(function, call.kwargs)
                if found is not None and found[1] > facts.target:
                    what, version = found
                    message = (
                        f"{what or code(facts, node.func)} came with PyTorch {shown(version)}, and this is for "
                        f"{shown(facts.target)}: there the call raises"
                    )
                    yield self.finding(Place(facts.source_of(node), node), message)
                    break


def _newest(function: object, kwargs: dict) -> tuple[str, Version] | None:
    """The newest thing about a call: an argument, in backquotes, or nothing for the function; and its version."""
    if isinstance(function, Lib):
        path = function.path
    else:
        receiver, name = of_call(function)  # type: ignore[arg-type]
        path = f"torch.Tensor.{name}" if isinstance(receiver, Tensor) else ""
    found = [("", added(path)), *((f"`{argument}`", added(f"{path}({argument})")) for argument in kwargs)]
    return max(((what, version) for what, version in found if version is not None), key=lambda it: it[1], default=None)
