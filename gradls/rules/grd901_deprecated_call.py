"""GRD901."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.versions import DEVICE_AMP_DEPRECATED, WEIGHT_NORM_DEPRECATED, since
from gradls.flow.facts import Facts
from gradls.flow.values import Instance, Lib
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Tag
from gradls.rules.loss_arguments import of_call
from gradls.rules.rule import Rule
from gradls.rules.words import code

_RENAMED = {
    "torch.nn.utils.clip_grad_norm": "clip_grad_norm_",
    "torch.nn.functional.upsample": "interpolate",
    "torch.nn.NLLLoss2d": "NLLLoss",
} | {
    f"torch.nn.init.{name}": f"{name}_"
    for name in (
        "uniform", "normal", "constant", "eye", "dirac", "xavier_uniform", "xavier_normal", "kaiming_uniform",
        "kaiming_normal", "orthogonal", "sparse",
    )
}  # fmt: skip
_MOVED = {
    "torch.cuda.amp.GradScaler": "torch.amp.GradScaler('cuda')",
    "torch.cuda.amp.autocast": "torch.amp.autocast('cuda')",
    "torch.cpu.amp.autocast": "torch.amp.autocast('cpu')",
    "torch.nn.utils.weight_norm": "torch.nn.utils.parametrizations.weight_norm",
}
_NAMES = sorted({"get_lr", "step", *(path.rpartition(".")[2] for path in (*_RENAMED, *_MOVED))})
"""Of all that is looked at here."""
_MOVED_SINCE = {"torch.nn.utils.weight_norm": WEIGHT_NORM_DEPRECATED}


class DeprecatedCall(Rule):
    """A function or class that PyTorch has renamed or moved.

    ## What it finds
    Old names such as `clip_grad_norm`, `init.xavier_uniform`, `torch.cuda.amp.GradScaler` and `nn.utils.weight_norm`;
    `scheduler.get_lr()`, and `scheduler.step(epoch)`. With an older `target-torch`, only what was deprecated then.

    ## Why it matters
    They still work, with a warning, and will not for ever. `get_lr()` is internal to schedulers: called from outside,
    it gives wrong values for some of them.

    ## What PyTorch does
    It warns, for example

        FutureWarning: `torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.
        UserWarning: To get the last learning rate computed by the scheduler, please use `get_last_lr()`.
        UserWarning: The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible.

    ## Example
    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    weight.sum().backward()
    torch.nn.utils.clip_grad_norm([weight], 0.1)  # warns FutureWarning: is now deprecated in favor of
    ```

    ```python
    import torch

    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    print(scheduler.get_lr())  # warns UserWarning: please use `get_last_lr()`
    ```

    ## Use instead
    The new name.

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    weight.sum().backward()
    torch.nn.utils.clip_grad_norm_([weight], 0.1)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    assert scheduler.get_last_lr() == [0.1]
    ```

    ## When it is silent
    For names that are only discouraged, such as `torch.nn.functional.sigmoid`, and for a scheduler that takes a metric.

    ```python
    import torch

    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    scheduler.step(0.5)
    assert torch.nn.functional.sigmoid(torch.zeros(1)) == 0.5
    ```

    ## Fix safety
    Safe for a new name of the same function.

    ## References
    - https://docs.pytorch.org/docs/stable/amp.html
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LRScheduler.html
    """

    code, name, severity = "GRD901", "deprecated-call", Severity.INFORMATION
    tag = Tag.DEPRECATED

    def check(self, facts: Facts) -> Iterable[Finding]:
        for node, records in facts.called(*_NAMES):
            for function, call, _ in records:
                if isinstance(function, Lib):
                    yield from self._of_name(facts, node, function.path)
                    break
                receiver, name = of_call(function)
                if isinstance(receiver, Instance) and receiver.path.startswith("torch.optim.lr_scheduler."):
                    plateau = receiver.path.endswith("ReduceLROnPlateau")
                    if name == "get_lr" or (name == "step" and call.values and not plateau):
                        yield self._of_scheduler(facts, node, name)
                        break

    def _of_name(self, facts: Facts, node: ast.Call, path: str) -> Iterator[Finding]:
        at = Place(facts.source_of(node.func), node.func)
        if path in _RENAMED:
            new = _RENAMED[path]
            fixes = []
            # A bare name would need an import of its own.
            if isinstance(node.func, ast.Attribute):
                edit = edits.rename_attribute(at, new)
                fixes.append(Fix(f"Rename to {new}", Safety.SAFE, edit))
            yield self.finding(at, f"{code(facts, node.func)} is deprecated: use `{new}`", (), fixes)
        elif path in _MOVED and since(facts.target, _MOVED_SINCE.get(path, DEVICE_AMP_DEPRECATED)):
            yield self.finding(at, f"{code(facts, node.func)} is deprecated: use `{_MOVED[path]}`")

    def _of_scheduler(self, facts: Facts, node: ast.Call, name: str) -> Finding:
        at = Place(facts.source_of(node), node)
        if name == "get_lr":
            fix = Fix("Rename to get_last_lr", Safety.SAFE, edits.rename_attribute(at, "get_last_lr"))
            message = f"{code(facts, node)} is for the scheduler itself: use `get_last_lr()`"
            return self.finding(Place(at.source, node.func), message, (), [fix])
        message = (
            f"{code(facts, node)}: the epoch is deprecated, the scheduler counts itself; call `step()` once an epoch"
        )
        return self.finding(at, message)
