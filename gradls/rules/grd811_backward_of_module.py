"""GRD811."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.classes import find_in_class
from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import has_unknown_base, is_module
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Class, Function, Instance, Tensor, Unknown, Value
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import place


class BackwardOfModule(Rule):
    """A module with a `backward` that nobody calls.

    ## What it finds
    A `nn.Module` with a method `backward` that takes a gradient, and whose result goes into a loss that is
    differentiated, where no code calls that method.

    ## Why it matters
    Autograd differentiates what `forward` does, operation by operation. It calls the `backward` of a
    `torch.autograd.Function`, and not that of a module: a gradient reversal layer that is written as a module passes
    the gradient on as it is.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch


    class Reversal(torch.nn.Module):
        def forward(self, x):
            return x.view_as(x)

        def backward(self, gradient):
            return -gradient


    x = torch.ones(3, requires_grad=True)
    Reversal()(x).sum().backward()
    assert (x.grad == 1).all()
    ```

    ## Use instead
    A Function, which the module applies.

    ```python
    import torch


    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, gradient):
            return -gradient


    class Reversal(torch.nn.Module):
        def forward(self, x):
            return Reverse.apply(x)


    x = torch.ones(3, requires_grad=True)
    Reversal()(x).sum().backward()
    assert (x.grad == -1).all()
    ```

    ## When it is silent
    Where the program calls the method, or the `backward` of something that is not known, and where the class derives
    from something that is not known, as Lightning's modules do, which have a `backward` for their trainer.

    ```python
    import torch


    class Objective(torch.nn.Module):
        def forward(self, x):
            return x.pow(2).mean()

        def backward(self, loss):
            loss.backward()


    x, objective = torch.ones(3, requires_grad=True), Objective()
    objective.backward(objective(x))
    assert x.grad is not None
    ```

    ## Fix safety
    There is no automatic fix: the forward has to move into a Function.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/extending.html
    """

    code, name, severity = "GRD811", "backward-of-module", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        methods = dict(facts.each(_methods))
        told: set[ast.AST] = set()
        for module, method in methods.items():
            if method.node in told or module.fields.get("*escaped") or _is_called(facts, method):
                continue
            through = _differentiated(facts, module)
            if through is None:
                continue
            told.add(method.node)
            message = (
                f"autograd never calls `backward` of `{method.owner.name if method.owner else module.name}`: it "
                "differentiates what `forward` does. For a gradient of your own, derive a class from "
                "`torch.autograd.Function`, and apply it in `forward`"
            )
            story = [Step(place(through.at), "this goes through the module")]
            yield self.finding(Place(method.source, method.node), message, story)


def _methods(facts: Facts) -> Iterator[tuple[Instance, Function]]:
    """The modules that are called and have such a method."""
    for event in facts.of("module-call"):
        method = _backward_of(event.value)
        if method is not None and isinstance(event.value, Instance):
            yield event.value, method


def _backward_of(module: Value | None) -> Function | None:
    """The method `backward` of a module of the program, if it takes a gradient."""
    if not isinstance(module, Instance) or not isinstance(module.cls, Class) or is_module(module) is not True:
        return None
    if has_unknown_base(module.cls):
        return None
    method, _ = find_in_class(module.cls, "backward")
    if not isinstance(method, Function) or isinstance(method.node, ast.Lambda) or method.node.decorator_list:
        return None
    return method if len(method.node.args.args) > 1 else None


def _is_called(facts: Facts, method: Function) -> bool:
    """Does some code call the method, or may it?"""
    for _, records in facts.called("backward"):
        for function, _, _ in records:
            if isinstance(function, Unknown) or (isinstance(function, Bound) and function.function is method):
                return True
    # In another file, too.
    return any(method.node in chapter.executed for chapter in facts.chapters if chapter.node is not method.node)


def _differentiated(facts: Facts, module: Instance) -> Event | None:
    """A backward through what a module gave."""
    made = {
        part.node
        for records in facts.calls.values()
        for function, _, result in records
        if function is module
        for part in tensors_in(result)
        if isinstance(part, Tensor)
    }
    if not made:
        # A container calls it: what went in goes on to the loss.
        given = (value for event in facts.of("module-call") if event.value is module for value in event.arguments)
        made = {part.node for value in given for part in tensors_in(value) if isinstance(part, Tensor)}
    for event in facts.of("backward"):
        if event.node is not None and any(part in made for part in walk(event.node, follow="flow")):
            return event
    return None
