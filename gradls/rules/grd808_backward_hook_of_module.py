"""GRD808."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Mapping
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class BackwardHookOfModule(Rule):
    """A backward hook of a module that raises, is never called, or is given other gradients than it expects.

    ## What it finds
    `register_backward_hook()`, the old kind; both kinds of backward hooks on one module; and a full backward hook on
    a module whose output is a list or a dictionary.

    ## Why it matters
    The old kind hangs on the last operation of the module: `grad_input` are the gradients of what goes into that
    operation, not of what goes into the module. A full hook is set up around tensors and tuples of tensors only:
    with another output it is not called, and what it should record or change is not there.

    ## What PyTorch does
    For both kinds on one module, also if the first was removed, it raises

        RuntimeError: Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only
        one of them.

    For the others it warns at the first call:

        FutureWarning: Using a non-full backward hook when the forward contains multiple autograd Nodes is deprecated
        and will be removed in future versions. This hook will be missing some grad_input.

        UserWarning: For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but
        received <class 'dict'>

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    shapes = []
    model.register_backward_hook(lambda module, grads_in, grads_out: shapes.append([grad.shape for grad in grads_in]))
    model(torch.randn(8, 3, requires_grad=True)).sum().backward()
    assert torch.Size([8, 3]) not in shapes[0]
    ```

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    layer.register_full_backward_hook(print)
    layer.register_backward_hook(print)  # raises RuntimeError: Cannot use both regular backward hooks and full
    ```

    ```python
    import torch


    class Heads(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)

        def forward(self, x):
            return {"one": self.one(x), "two": self.two(x)}


    heads, calls = Heads(), []
    heads.register_full_backward_hook(lambda module, grads_in, grads_out: calls.append(grads_out))
    out = heads(torch.randn(8, 3))
    (out["one"] + out["two"]).sum().backward()
    assert not calls
    ```

    ## Use instead
    `register_full_backward_hook()`, on a module that returns a tensor or a tuple.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    shapes = []

    def record(module, grads_in, grads_out):
        shapes.append([grad.shape for grad in grads_in])

    model.register_full_backward_hook(record)
    model(torch.randn(8, 3, requires_grad=True)).sum().backward()
    assert shapes[0] == [torch.Size([8, 3])]
    ```

    ## When it is silent
    For forward hooks, hooks of tensors, and where what the module returns is not known.

    ## Fix safety
    Suggested: a full hook gets other gradients than one of the old kind, and its tensors may not be written in place.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_full_backward_hook
    """

    code, name, severity = "GRD808", "backward-hook-of-module", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterator[Finding]:
        seen = set()
        for event in facts.of("module-hook", "hooked-no-tensor"):
            if event.at.node in seen or event.caught:
                continue
            seen.add(event.at.node)
            if event.kind == "hooked-no-tensor":
                yield self._never_called(facts, event)
            elif event.mixed is not None:
                message = f"{code(facts, event.at.node)} raises: the module has a hook of the other kind already"
                story = [Step(place(event.mixed), "it is registered here")]
                yield self.finding(place(event.at), message, story, severity=Severity.ERROR)
            elif event.info["name"] == "register_backward_hook":
                yield self._old(facts, event)

    def _never_called(self, facts: Facts, event: Event) -> Finding:
        what = "a dictionary" if isinstance(event.value, Mapping) else "a list"
        message = (
            f"{code(facts, event.at.node)} returns {what}, so the backward hook of the module is not called: it needs "
            "a tensor or a tuple of tensors"
        )
        steps = [Step(place(at), "the hook is registered here") for at in event.hooks]
        return self.finding(place(event.at), message, steps, severity=Severity.WARNING)

    def _old(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} hangs on the last operation of the module: `grad_input` are the gradients "
            "of what goes into that, not into the module. Use `register_full_backward_hook`"
        )
        edit = edits.rename_attribute(Place(event.at.source, event.at.node), "register_full_backward_hook")
        return self.finding(place(event.at), message, fixes=[Fix("Use the full hook", Safety.SUGGESTED, edit)])
