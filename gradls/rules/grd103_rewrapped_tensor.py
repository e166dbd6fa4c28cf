"""GRD103."""

from collections.abc import Iterable, Sequence

from gradls.flow.facts import Facts
from gradls.flow.graph import At
from gradls.flow.lost import Lost, lost_gradients
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import code, origin, place


class RewrappedTensor(LostGradientRule):
    """A tensor wrapped in a new one, which has no history.

    ## What it finds
    `torch.tensor(t)` and `Variable(t)` of a tensor that has a gradient, also with `requires_grad=True`.

    ## Why it matters
    The result is a new leaf. `backward()` stops there, and whatever computed `t` gets no gradient. `Variable` looks
    like a remnant that does nothing, but around the result of a computation it detaches.

    ## What PyTorch does
    `torch.tensor(t)` warns

        UserWarning: To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone()

    `Variable(t)` says nothing. If nothing else in the loss has a gradient, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch
    from torch.autograd import Variable

    model = torch.nn.Linear(3, 1)
    hidden = Variable(model(torch.randn(8, 3)))
    loss = hidden.pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = torch.tensor(model(torch.randn(8, 3)).pow(2).mean(), requires_grad=True)
    loss.backward()
    assert model.weight.grad is None
    ```

    ## Use instead
    The tensor itself.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    hidden = model(torch.randn(8, 3))
    loss = hidden.pow(2).mean()
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    For tensors without a gradient (`Variable(batch)` is only superfluous), and for `torch.as_tensor(t)`, which gives
    `t` itself.

    ```python
    import torch
    from torch.autograd import Variable

    model = torch.nn.Linear(3, 1)
    batch = Variable(torch.randn(8, 3))
    loss = torch.as_tensor(model(batch)).pow(2).mean()
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: the gradient reaches more than before.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.tensor.html
    """

    code, name, severity = "GRD103", "rewrapped-tensor", Severity.ERROR
    whole_file = True
    kinds = ("rewrap",)
    untrained = Severity.WARNING
    does = "makes a new leaf without the history of the value"

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from super().check(facts)
        costly = {node for lost in lost_gradients(facts) for node in (lost.cut, *lost.others)}
        for event in facts.of("copied", "variable"):
            node = event.node
            cut = node.cut if node is not None else None
            if node is None or cut is None or event.kind != "copied":
                continue
            if cut.kind == "rewrap" and cut.certain and node not in costly:
                what = code(facts, event.at.node)
                message = f"{what} {self.does}: a loss that is computed from it trains nothing behind it"
                yield self.finding(place(event.at), message, origin(node), self._unwrap(event.at), Severity.INFORMATION)

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        return self._unwrap(lost.cut.cut.at)

    def _unwrap(self, at: At) -> Sequence[Fix]:
        return [Fix("Use the value itself", Safety.SUGGESTED, edits.unwrap_call(place(at)))]
