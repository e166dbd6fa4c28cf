"""GRD803."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.values import Bound, Class, Function, Instance
from gradls.rules import edits
from gradls.rules.custom_functions import class_of, definitions, is_custom_function, signature
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class FunctionCalledDirectly(Rule):
    """A custom Function is not called through apply, or not with the arguments that its forward takes.

    ## What it finds
    An object of a `torch.autograd.Function` that is called, its `forward` called without a context, and `apply` with
    arguments that `forward` does not take, its `ctx` counted.

    ## Why it matters
    Only `apply` makes the context, runs `forward` without recording, and puts `backward` into the graph.

    ## What PyTorch does
    It raises one of

        RuntimeError: Legacy autograd function with non-static forward method is deprecated.

        TypeError: forward() missing 1 required positional argument: 'x'

        TypeError: forward() takes 1 positional argument but 2 were given

    ## Example
    ```python
    import torch

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    y = Double()(torch.ones(3, requires_grad=True))  # raises RuntimeError: Legacy autograd function
    ```

    ```python
    import torch

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    y = Double.forward(torch.ones(3, requires_grad=True))  # raises TypeError: missing 1 required positional argument
    ```

    ```python
    import torch

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    y = Double.apply(torch.ones(3, requires_grad=True))  # raises TypeError: takes 1 positional argument
    ```

    ## Use instead
    `apply`, and a `forward` whose first parameter is the context.

    ```python
    import torch

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    y = Double.apply(torch.ones(3, requires_grad=True))
    assert y.requires_grad
    ```

    ## When it is silent
    For a forward that is called with a context, as another Function does, and with `setup_context`, where forward takes
    no context.

    ```python
    import torch

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    assert Double.apply(torch.ones(3)).sum() == Double.forward(torch.ones(3)).sum()
    ```

    ## Fix safety
    Suggested.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd
    """

    code, name, severity = "GRD803", "function-called-directly", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("module-call"):
            if isinstance(event.value, Instance) and is_custom_function(event.value.cls) and not event.caught:
                yield self.instance(facts, place(event.at), event.value.cls)  # type: ignore[arg-type]
        defined = definitions(facts)
        if not defined:
            return
        for node, evaluated in facts.calls.items():
            for function, call, _ in evaluated:
                target = function.function if isinstance(function, Bound) else function
                cls = class_of(facts, target)
                if cls is None or not isinstance(target, Function) or target.name != "forward" or call.unsure:
                    continue
                takes = signature(target, has_context=False)
                if len(call.values) < takes.least and "setup_context" not in defined.get(cls, {}):
                    yield self.forward(facts, Place(facts.source_of(node), node), cls)
        for event in facts.of("function-apply"):
            if isinstance(event.forward, Function) and not event.caught and not event.call.unsure:
                takes = signature(event.forward, has_context=not event.split)
                count = len(event.call.values)
                if not takes.accepts(count) and not event.forward.node.args.kwonlyargs:
                    yield self.arguments(facts, place(event.at), event.forward, count, takes.most < 0)

    def instance(self, facts: Facts, at: Place, cls: Class) -> Finding:
        message = (
            f"{code(facts, at.node)} raises: an object of `{cls.name}` cannot be called. Use `{cls.name}.apply(…)`"
        )
        fixes = []
        made = at.node.func if isinstance(at.node, ast.Call) else None
        # What an object was made with, `apply` does not know.
        if isinstance(made, ast.Call) and not made.args and not made.keywords:
            new = f"{facts.segment(made.func)}.apply"
            function = at._replace(node=made)
            fixes = [Fix("Call `apply`", Safety.SUGGESTED, edits.replace_expression(function, new))]
        return self.finding(at, message, [], fixes)

    def forward(self, facts: Facts, at: Place, cls: Class) -> Finding:
        message = f"{code(facts, at.node)} raises: `forward` needs a context first. Use `{cls.name}.apply(…)`"
        fixes = []
        if isinstance(at.node, ast.Call) and isinstance(at.node.func, ast.Attribute):
            fixes = [Fix("Call `apply`", Safety.SUGGESTED, edits.rename_attribute(at, "apply"))]
        return self.finding(at, message, [], fixes)

    def arguments(self, facts: Facts, at: Place, forward: Function, count: int, bare: bool) -> Finding:
        named = [parameter.arg for parameter in (*forward.node.args.posonlyargs, *forward.node.args.args)]
        what = f"`forward` is called with a context and {count} argument{'' if count == 1 else 's'}"
        message = f"{code(facts, at.node)} raises: {what}, and takes `({', '.join(named)})`"
        if bare or named[:1] not in (["ctx"], ["context"], ["self"]):
            message += ". Its first parameter is the context"
        return self.finding(at, message, [Step(Place(forward.source, forward.node), "forward is defined here")])
