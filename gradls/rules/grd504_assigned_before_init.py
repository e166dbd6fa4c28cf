"""GRD504."""

import ast
from collections.abc import Iterable

from gradls.flow.classes import is_module, linearize
from gradls.flow.facts import Event, Facts
from gradls.flow.values import Class, Instance, Tensor, Unknown
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.registration import made_in
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class AssignedBeforeInit(Rule):
    """Layers or parameters that a module gets before `super().__init__()` is called.

    ## What it finds
    In the `__init__` of an `nn.Module`, a module or parameter assigned to an attribute, or registered, before
    `super().__init__()`; also where that call is missing.

    ## Why it matters
    `nn.Module.__init__` makes the dictionaries in which modules and parameters are registered.

    ## What PyTorch does
    The assignment raises one of

        AttributeError: cannot assign module before Module.__init__() call
        AttributeError: cannot assign parameters before Module.__init__() call
        AttributeError: cannot assign buffer before Module.__init__() call

    ## Example
    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            self.layer = torch.nn.Linear(3, 1)
            super().__init__()


    net = Net()  # raises AttributeError: cannot assign module before Module.__init__() call
    ```

    ## Use instead
    The call of the base class first.

    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)


    assert len(list(Net().parameters())) == 2
    ```

    ## When it is silent
    For attributes that are neither modules nor parameters nor buffers, which may be set before, and where a base class
    is not known.

    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self, size):
            self.size = size
            super().__init__()
            self.layer = torch.nn.Linear(size, 1)


    assert len(list(Net(3).parameters())) == 2
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html
    """

    code, name, severity = "GRD504", "assigned-before-init", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        if _calls_unknown_init(facts):
            return
        ready: set[Instance] = set()
        for event in facts.of("module-init", "attribute-set", "register-parameter", "register-buffer"):
            module = event.value
            if not isinstance(module, Instance) or module in ready:
                continue
            if event.kind == "module-init":
                ready.add(module)
                continue
            kind = _kind(event)
            if kind and _is_being_made(event, module) and not event.caught:
                ready.add(module)
                yield self._report(facts, event, module, kind)

    def _report(self, facts: Facts, event: Event, module: Instance, kind: str) -> Finding:
        later = [other for other in facts.of("module-init") if other.value is module and made_in(other, "__init__")]
        what = code(facts, event.at.node)
        end = "before `super().__init__()` has run" if later else "and `super().__init__()` is never called"
        message = f"{what} gets a {kind} {end}: it raises, call `super().__init__()` first"
        story = [Step(place(later[0].at), "the base class is set up only here")] if later else []
        return self.finding(place(event.at), message, story)


def _kind(event: Event) -> str:
    if event.kind == "register-buffer":
        return "buffer"
    assigned = event.assigned
    if isinstance(assigned, Tensor) and assigned.is_parameter:
        return "parameter"
    return "module" if isinstance(assigned, Instance) and is_module(assigned) is True else ""


def _is_being_made(event: Event, module: Instance) -> bool:
    """Does this happen in the `__init__` of a class that is certainly a module, and of which all bases are known?"""
    if module.open or not isinstance(module.cls, Class) or is_module(module) is not True:
        return False
    classes = linearize(module.cls)
    calls = event.calls
    while calls is not None:
        if calls[1].name == "__init__" and calls[1].owner in classes:
            return True
        calls = calls[2]
    return False


def _calls_unknown_init(facts: Facts) -> bool:
    return any(
        isinstance(function, Unknown)
        for node, records in facts.calls.items()
        if isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
        for function, _, _ in records
    )
