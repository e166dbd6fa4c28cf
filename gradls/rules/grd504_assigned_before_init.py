"""GRD504."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import find_in_class, is_module, linearize
from gradls.flow.values import Bound, Class, Function, Instance, Tensor, Unknown
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import of_call
from gradls.rules.registration import made_in
from gradls.rules.rule import Rule
from gradls.rules.words import code, place
from gradls.syntax.walk import walk


class AssignedBeforeInit(Rule):
    """Layers or parameters that a module gets before `super().__init__()` is called.

    ## What it finds
    In the `__init__` of an `nn.Module`, a module or parameter assigned to an attribute, or registered, before
    `super().__init__()`; also where that call is missing. And the use of a module that has none of these, whose
    `__init__` never calls that of its base.

    ## Why it matters
    `nn.Module.__init__` makes the dictionaries in which modules and parameters are registered.

    ## What PyTorch does
    The assignment raises one of

        AttributeError: cannot assign module before Module.__init__() call
        AttributeError: cannot assign parameters before Module.__init__() call
        AttributeError: cannot assign buffer before Module.__init__() call

    and the use of a module without it

        AttributeError: 'Net' object has no attribute '_backward_hooks'

    ## Example
    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            self.layer = torch.nn.Linear(3, 1)
            super().__init__()


    net = Net()  # raises AttributeError: cannot assign module before Module.__init__() call
    ```

    ```python
    import torch


    class Penalty(torch.nn.Module):
        def __init__(self, weight):
            self.weight = weight

        def forward(self, x):
            return self.weight * x.abs().mean()


    penalty = Penalty(0.1)
    penalty(torch.randn(3))  # raises AttributeError: 'Penalty' object has no attribute '_backward_hooks'
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
    Safe where the call has no arguments: it is written at the start of `__init__`, or moved there.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html
    """

    code, name, severity = "GRD504", "assigned-before-init", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = list(self._found(facts))
        return [] if found and _calls_unknown_init(facts) else found

    def _found(self, facts: Facts) -> Iterator[Finding]:
        ready: set[Instance] = set()
        for event in facts.of("module-init", "attribute-set", "register-parameter", "register-buffer"):
            module = event.value
            if not isinstance(module, Instance) or module in ready:
                continue
            if event.kind == "module-init":
                ready.add(module)
                continue
            kind = _kind(event)
            if kind and _is_being_made(event, module) and not event.caught and not module.open:
                ready.add(module)
                yield self._report(facts, event, module, kind)
        yield from self._never_set_up(facts, ready)

    def _never_set_up(self, facts: Facts, ready: set[Instance]) -> Iterator[Finding]:
        """Modules that are used though their `__init__` never calls that of the base class."""
        seen: set[Class] = set()
        for place_of_use, module in _uses(facts):
            if module in ready or not isinstance(module.cls, Class) or module.cls in seen:
                continue
            init = _init_alone(module, module.cls)
            if init is not None:
                seen.add(module.cls)
                what = code(facts, place_of_use.node)
                message = (
                    f"{what} raises: `{module.cls.name}.__init__` never calls `super().__init__()`, and the module is "
                    "not set up; call it first"
                )
                story = [Step(Place(init.source, init.node), "the call is missing here")]
                yield self.finding(place_of_use, message, story)

    def _report(self, facts: Facts, event: Event, module: Instance, kind: str) -> Finding:
        later = [other for other in facts.of("module-init") if other.value is module and made_in(other, "__init__")]
        what = code(facts, event.at.node)
        end = "before `super().__init__()` has run" if later else "and `super().__init__()` is never called"
        message = f"{what} gets a {kind} {end}: it raises, call `super().__init__()` first"
        story = [Step(place(later[0].at), "the base class is set up only here")] if later else []
        return self.finding(place(event.at), message, story, self.fixes(facts, event, later))

    def fixes(self, facts: Facts, event: Event, later: list[Event]) -> list[Fix]:
        """Call it first: the call that comes too late moves to the start."""
        init = facts.function(event.at.node)
        call = facts.statement(later[0].at.node) if later else None
        if init is None or init.name != "__init__" or (call is not None and call not in init.body):
            return []
        source = facts.source_of(init)
        text = ast.unparse(call) if call is not None else "super().__init__()"
        if not text.startswith("super(") or not text.endswith(".__init__()"):
            return []
        documented = isinstance(init.body[0], ast.Expr) and isinstance(init.body[0].value, ast.Constant)
        if documented and len(init.body) < 2:
            return []
        first = Place(source, init.body[1 if documented else 0])
        build = edits.insert_before(first, text)
        if call is not None:
            build = edits.move_statement(Place(source, call), first, behind=False)
        return [Fix("Call `super().__init__()` first", Safety.SAFE, build)]


_SETTING_UP = frozenset((
    "parameters", "named_parameters", "train", "eval", "to", "zero_grad", "state_dict", "modules", "children",
    "requires_grad_", "apply", "cuda", "cpu", "double", "float", "half", "load_state_dict",
))  # fmt: skip
"""Methods that need what `nn.Module.__init__` makes."""


def _uses(facts: Facts) -> Iterator[tuple[Place, Instance]]:
    """The calls of modules, and of methods of modules that need them to be set up."""
    for event in facts.of("module-call"):
        if isinstance(event.value, Instance) and not event.caught:
            yield place(event.at), event.value
    for node, records in facts.called(*_SETTING_UP):
        for function, _, _ in records:
            receiver, name = of_call(function)
            library = isinstance(function, Bound) and function.function is None
            if isinstance(receiver, Instance) and name in _SETTING_UP and library:
                yield Place(facts.source_of(node), node), receiver


def _init_alone(module: Instance, cls: Class) -> Function | None:
    """The `__init__` of a module that the program made, if it certainly calls no other one."""
    if module.open or module.at is None or not isinstance(module.at.node, ast.Call) or is_module(module) is not True:
        return None
    if any(find_in_class(cls, name)[0] is not None for name in ("__new__", "__call__", "__getattr__")):
        return None
    init = find_in_class(cls, "__init__")[0]
    if not isinstance(init, Function) or init.decorated:
        return None
    # A decorator of the program may have put another function in the place of what is written, which that calls.
    parts = dict.fromkeys((init, init.written))
    for part in (todo := list(parts)):
        names = part.source.once(_names, part.node)
        if names & {"super", "__init__", "__dict__", "__setstate__"}:
            return None
        # Not every method that it calls is looked into: one of them may do it.
        for name in sorted(names):
            method = find_in_class(cls, name)[0]
            if isinstance(method, Function) and method not in parts:
                parts[method] = None
                todo.append(method)
    return init


def _names(function: ast.AST) -> frozenset[str]:
    return frozenset(getattr(node, "attr", getattr(node, "id", "")) for node in walk(function))


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
    if any(sum(isinstance(base, Class) for base in getattr(cls, "bases", ())) > 1 for cls in classes):
        # With several bases, which `__init__` a `super()` reaches depends on an order that is not followed exactly.
        return False
    return any(function.name == "__init__" and function.owner in classes for _, function in event.callers())


def _calls_unknown_init(facts: Facts) -> bool:
    return any(
        isinstance(function, Unknown)
        for node, records in facts.calls.items()
        if isinstance(node.func, ast.Attribute) and node.func.attr == "__init__"
        for function, _, _ in records
    )
