"""GRD804."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import find_in_class
from gradls.flow.paths import compatible
from gradls.flow.values import Class, Function, Host, Instance, Mapping, Sequence, is_none
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place
from gradls.syntax.walk import walk


class SavedForBackward(Rule):
    """A custom Function tells its context something that the context does not take.

    ## What it finds
    `ctx.save_for_backward` with something that is no tensor; an input marked with `ctx.mark_dirty` that forward does
    not return; and an input with a gradient that forward changes in place without marking it. What forward keeps as an
    attribute of the class for backward, where the Function is applied twice before that. As information, a result
    that is kept as an attribute of the context, and `ctx.saved_variables`, the old name of `saved_tensors`.

    ## Why it matters
    `save_for_backward` is for the tensors among inputs and outputs, which autograd watches for changes. Everything else
    is kept as an attribute of the context. What forward has changed in place has to come out of it, or nobody knows the
    history of the changed tensor.

    ## What PyTorch does
    It raises one of

        TypeError: save_for_backward can only save variables, but argument 0 is of type float

        RuntimeError: Some elements marked as dirty during the forward method were not returned as output.

    ## Example
    ```python
    import torch

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(factor)
            return x * factor

        @staticmethod
        def backward(ctx, gradient):
            (factor,) = ctx.saved_tensors
            return gradient * factor, None

    y = Scale.apply(torch.ones(3, requires_grad=True), 2.0)  # raises TypeError: save_for_backward can only save
    ```

    ```python
    import torch

    class Increase(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.add_(1)
            ctx.mark_dirty(x)
            return x * 1

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    y = Increase.apply(torch.ones(3, requires_grad=True) * 1)  # raises RuntimeError: Some elements marked as dirty
    ```

    ```python
    import torch

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2

    x = torch.ones(3, requires_grad=True)
    h = x * 1
    Double.apply(h)
    h.sum().backward()
    assert h[0] == 2 and x.grad[0] == 1  # it should be 2
    ```

    ```python
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_variables  # warns DeprecationWarning: 'saved_variables' is deprecated
            return gradient * 2 * x

    Square.apply(torch.ones(3, requires_grad=True)).sum().backward()
    ```

    ## Use instead
    An attribute for what is no tensor; the changed tensor itself as the result.

    ```python
    import torch

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            ctx.mark_dirty(x)
            return x.mul_(factor)

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.factor, None

    x = torch.ones(3, requires_grad=True)
    Scale.apply(x * 1, 2.0).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    ```

    ## When it is silent
    For None, which `save_for_backward` takes, and where it is not known what is saved.

    ## Fix safety
    Safe for the old name `saved_variables`, which becomes `saved_tensors`. For the others there is none.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.function.FunctionCtx.save_for_backward.html
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.function.FunctionCtx.mark_dirty.html
    """

    code, name, severity = "GRD804", "saved-for-backward", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        yield from self._of_classes(facts)
        kinds = ("context-call", "dirty-not-returned", "dirty-unmarked", "output-on-context", "saved-variables")
        for event in facts.of(*kinds):
            if event.caught:
                continue
            if event.kind == "context-call" and event.name == "save_for_backward":
                if isinstance(event.value, Instance) and event.value.data.get("recorded") is False:
                    continue  # What is saved is looked at only where a graph is recorded.
                yield from self.saved(facts, event)
            elif event.kind == "dirty-not-returned":
                made = event.node.at if event.node is not None else None
                message = (
                    f"{code(facts, event.at.node)} raises: forward marks an input as changed and does not return it"
                )
                story = [Step(place(made), "this is the input")] if made is not None and made != event.at else []
                yield self.finding(place(event.at), message, story)
            elif event.kind == "dirty-unmarked":
                message = (
                    f"{shown(facts, event.write.at)} changes an input that requires grad, and forward does not say so: "
                    "gradients may be wrong. Call `ctx.mark_dirty` and return it, or make a new tensor"
                )
                where = Place(event.write.at.source, event.write.at.node)
                step = Step(place(event.at), "it is applied here")
                yield self.finding(where, message, [step], severity=Severity.WARNING)
            elif event.kind == "output-on-context":
                message = (
                    f"forward keeps its result as `ctx.{event.name}`, and the result keeps the context: the memory is "
                    "freed late, or never. Use `ctx.save_for_backward`"
                )
                yield self.finding(place(event.at), message, severity=Severity.INFORMATION)
            elif event.kind == "saved-variables":
                message = f"{code(facts, event.at.node)} is an old name and warns; write `saved_tensors`"
                fix = Fix(
                    "Write `saved_tensors`", Safety.SAFE, edits.rename_attribute(place(event.at), "saved_tensors")
                )
                yield self.finding(place(event.at), message, (), [fix], Severity.INFORMATION)

    def _of_classes(self, facts: Facts) -> Iterator[Finding]:
        for cls in dict.fromkeys(event.value for event in facts.of("function-apply")):
            if not isinstance(cls, Class) or cls.source is not facts.source:
                continue
            forward, backward = (find_in_class(cls, name)[0] for name in ("forward", "backward"))
            if not isinstance(forward, Function) or not isinstance(backward, Function):
                continue
            read = {part.attr for part in _on_class(cls, backward, ast.Load)}
            kept = [part for part in _on_class(cls, forward, ast.Store) if part.attr in read]
            both = _applied_twice(facts, cls) if kept else None
            for part in kept if both is not None else ():
                message = (
                    f"`{facts.segment(part)}` is one for all: the next application overwrites it before backward reads "
                    "it, so the gradients of the first are computed with the value of the other. Keep it in the "
                    "context: `ctx.save_for_backward(...)`"
                )
                story = [Step(place(one.at), "it is applied here") for one in both or ()]
                yield self.finding(Place(facts.source, part), message, story, severity=Severity.WARNING)

    def saved(self, facts: Facts, event: Event) -> Iterator[Finding]:
        for value in event.arguments:
            if is_none(value) or not isinstance(value, (Host, Sequence, Mapping)):
                continue
            kind = "dict" if isinstance(value, Mapping) else value.kind
            message = (
                f"{code(facts, event.at.node)} raises: it saves tensors, and is given a {kind}. Keep that as an "
                "attribute: `ctx.name = value`"
            )
            yield self.finding(place(event.at), message)
            return


def _on_class(cls: Class, method: Function, context: type[ast.expr_context]) -> Iterator[ast.Attribute]:
    """The attributes of the class itself that a method reads or sets."""
    for part in walk(method.node):
        owner = part.value if isinstance(part, ast.Attribute) and isinstance(part.ctx, context) else None
        if isinstance(part, ast.Attribute) and isinstance(owner, ast.Name) and owner.id == cls.name:
            yield part


def _applied_twice(facts: Facts, cls: Class) -> tuple[Event, Event] | None:
    """Two applications of a custom Function that no backward is between, if they happen in the same run."""
    before: Event | None = None
    for event in facts.of("function-apply", "backward"):
        if event.kind == "backward":
            before = None
        elif event.value is cls:
            if before is not None and before.at.node is not event.at.node and compatible(before.path, event.path):
                return before, event
            before = event
    return None
