"""GRD514."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import find_in_class, is_module
from gradls.flow.values import Bound, Function, Host, Instance, Mapping, Sequence, Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class ParametersExpected(Rule):
    """Gradients to be clipped of something that is no list of parameters.

    ## What it finds
    `clip_grad_norm_` and `clip_grad_value_` of a module, of the method `parameters` without its call, of names, of
    `param_groups`, of a state dictionary, or without the limit; and of a tensor that is a result.

    ## Why it matters
    The call raises. For a result, such as the loss, it does nothing: the gradients of the parameters are as large as
    they were.

    ## What PyTorch does
    It raises one of

        TypeError: 'Linear' object is not iterable
        TypeError: 'method' object is not iterable
        AttributeError: 'tuple' object has no attribute 'grad'
        AttributeError: 'str' object has no attribute 'grad'
        TypeError: clip_grad_norm_() missing 1 required positional argument: 'max_norm'

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    model(torch.randn(8, 3)).sum().backward()
    torch.nn.utils.clip_grad_norm_(model, 1.0)  # raises TypeError: 'Linear' object is not iterable
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = (model(torch.randn(8, 3)) ** 2).sum() * 1000
    loss.backward()
    torch.nn.utils.clip_grad_norm_(loss, 1.0)
    assert model.weight.grad.norm() > 1
    ```

    ## Use instead
    The parameters.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    ((model(torch.randn(8, 3)) ** 2).sum() * 1000).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert model.weight.grad.norm() < 1.001
    ```

    ## When it is silent
    For a single parameter, and for anything that the analysis does not know.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    model(torch.randn(8, 3)).sum().backward()
    torch.nn.utils.clip_grad_value_(model.weight, 0.1)
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], max_norm=0.1)
    assert model.weight.grad.norm() < 0.101
    ```

    ## Fix safety
    Safe for a module and for the method without its call; otherwise there is none.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
    """

    code, name, severity = "GRD514", "parameters-expected", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("clip"):
            if event.caught or event.call.unsure or event.value is None:
                continue
            name = event.path_of.rpartition(".")[2]
            suffix, why = _wrong(event.value)
            limit = event.call.get(1, "max_norm", "clip_value")
            if why:
                yield self._report(facts, event, suffix, f"`{name}` wants parameters, and raises for {why}")
            elif limit is None:
                yield self.finding(place(event.at), f"{code(facts, event.at.node)} raises: it needs the limit")
            elif isinstance(event.value, Tensor) and event.value.leaf is False and event.value.requires_grad is True:
                message = (
                    f"{code(facts, event.at.node)} clips nothing: a result has no `.grad`, and the gradients of the "
                    "parameters stay as they are; give it `parameters()`"
                )
                yield self.finding(place(event.at), message, severity=Severity.WARNING)

    def _report(self, facts: Facts, event: Event, suffix: str, message: str) -> Finding:
        arguments = getattr(event.at.node, "args", ())
        fixes = []
        if suffix and arguments:
            build = edits.add_call(Place(event.at.source, arguments[0]), suffix)
            fixes.append(Fix(f"Add `{suffix}`", Safety.SAFE, build))
        return self.finding(place(event.at), message, (), fixes)


def _wrong(given: Value) -> tuple[str, str]:
    """What to write behind it, and what it is, if it is nothing that can be clipped."""
    if isinstance(given, Instance):
        if given.path.startswith("torch.optim.") and not given.open:
            return "", "an optimizer"
        has_items = "*items" in given.fields or given.open
        module = given.path.startswith("torch.nn.") or _is_plain_module(given)
        return (".parameters()", "a module: give it `parameters()`") if module and not has_items else ("", "")
    if isinstance(given, (Bound, Function)) and given.name in ("parameters", "named_parameters"):
        return "()", "the method itself: call it, with `()`"
    if isinstance(given, Mapping):
        return "", "a dictionary, of which it sees the keys"
    if isinstance(given, Sequence) and given.rest is None:
        wrong = next((item for item in given.items if not isinstance(item, Tensor)), None)
        if isinstance(wrong, Sequence) and len(wrong.items) == 2 and isinstance(wrong.items[0], Host):
            return "", "pairs of names and parameters: give it `parameters()`"
        if isinstance(wrong, Mapping):
            return "", "groups of parameters: give it the parameters in them"
        if isinstance(wrong, Sequence):
            return "", "a list of lists: give it the parameters themselves"
        if isinstance(wrong, Instance) and wrong.path.startswith("torch.nn."):
            return "", "a list of modules: give it their parameters"
    return "", ""


def _is_plain_module(given: Instance) -> bool:
    """Is it an object of a class of the program that certainly cannot be iterated over?"""
    from gradls.flow.values import Class

    if not isinstance(given.cls, Class) or is_module(given) is not True:
        return False
    return all(find_in_class(given.cls, name)[0] is None for name in ("__iter__", "__getitem__"))
