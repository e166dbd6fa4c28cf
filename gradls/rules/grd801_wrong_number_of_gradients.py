"""GRD801."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.shapes import Shape
from gradls.flow.values import Class, Function, Host, Sequence, Tensor, Value, is_none
from gradls.rules import edits
from gradls.rules.custom_functions import Signature, applications, class_of, definitions, signature
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import place, quoted


class WrongNumberOfGradients(Rule):
    """The backward of a custom Function returns the wrong number of gradients.

    ## What it finds
    A `torch.autograd.Function` whose `backward` returns fewer gradients than its forward gets arguments, or more; whose
    `backward` returns nothing, a number, or a gradient of another shape than its argument; or whose `backward` takes
    another number of gradients than `forward` returns tensors.

    ## Why it matters
    Backward is the mirror of forward: it gets one gradient for each result, and gives one for each argument, None for
    those that need none: flags, sizes and other things that are no tensors count too.

    ## What PyTorch does
    It raises, during backward, one of

        RuntimeError: function FnBackward returned an incorrect number of gradients (expected 2, got 1)

        RuntimeError: expected Variable or None (got float)

        RuntimeError: Function FnBackward returned an invalid gradient at index 0 - got [] but expected shape compatible
        with [3]

        TypeError: backward() takes 2 positional arguments but 3 were given

    A `backward` that returns nothing, for a single argument, stops the gradient without a word.

    ## Example
    ```python
    import torch

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.factor

    x = torch.ones(3, requires_grad=True)
    Scale.apply(x, 2.0).sum().backward()  # raises RuntimeError: returned an incorrect number of gradients
    ```

    ```python
    import torch

    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone(), x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    one, other = Both.apply(torch.ones(3, requires_grad=True))
    (one + other).sum().backward()  # raises TypeError: positional argument
    ```

    ```python
    import torch

    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            reversed_gradient = -gradient

    x = torch.ones(3, requires_grad=True)
    Reverse.apply(x).sum().backward()
    assert x.grad is None
    ```

    ```python
    import torch

    class Total(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum()

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    x = torch.ones(3, requires_grad=True)
    Total.apply(x).backward()  # raises RuntimeError: returned an invalid gradient at index 0
    ```

    ## Use instead
    One value for each argument of forward, None where there is no gradient.

    ```python
    import torch

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor, x + factor

        @staticmethod
        def backward(ctx, gradient, other):
            return gradient * ctx.factor + other, None

    x = torch.ones(3, requires_grad=True)
    one, other = Scale.apply(x, 2.0)
    (one + other).sum().backward()
    assert x.grad.tolist() == [3, 3, 3]
    ```

    ## When it is silent
    For additional Nones at the end, which PyTorch ignores, for arguments with a default that are not given, where the
    number is not known, where all results are marked as not differentiable, so that backward is never called, and where
    backward does nothing but raise an error of its own.

    ```python
    import torch

    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor=2.0):
            return x * factor

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 2, None, None

    x = torch.ones(3, requires_grad=True)
    Scale.apply(x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    ```

    ## Fix safety
    Suggested: where the last arguments of forward require no grad, backward returns None for them. Otherwise, which
    gradient is missing is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd
    """

    code, name, severity = "GRD801", "wrong-number-of-gradients", Severity.ERROR
    whole_file = True

    def check(self, facts: Facts) -> Iterator[Finding]:
        applied, defined = applications(facts), definitions(facts)
        if not defined:
            return
        seen: set[ast.AST] = set()
        constant = _without_gradients(facts)
        returning = {event.function for event in facts.of("return")}
        for event in facts.of("return", "end"):
            function = event.function
            cls = class_of(facts, function)
            if cls is None or function.name != "backward" or event.at.node in seen:
                continue
            if event.kind == "end" and function in returning:
                continue  # That it comes to its end, if none of its conditions holds, is hardly meant to happen.
            if defined.get(cls, {}).get("forward") in constant:
                continue
            seen.add(event.at.node)
            yield from self.judge(facts, event, defined.get(cls, {}), applied.get(cls, []))
        for cls, calls in applied.items():
            backward = defined.get(cls, {}).get("backward")
            if backward is not None and not _ends_with_raise(backward.node):
                yield from self.results(cls, backward, calls)

    def judge(self, facts: Facts, event: Event, methods: dict[str, Function], calls: list[Event]) -> Iterator[Finding]:
        """Hold one end of backward against the arguments that forward gets."""
        forward = methods.get("forward")
        given = _gradients(event)
        if given is None or forward is None:
            return
        takes = signature(forward, has_context="setup_context" not in methods)
        given_to = [len(call.call.values) for call in calls if not call.call.unsure]
        counts = given_to or [takes.least, takes.most]
        # One of several ends may belong to some of the calls only.
        ends = {end.at.node for end in facts.of("return", "end") if end.function is event.function}
        least, most = (max(counts) if given_to and len(ends) == 1 else min(counts)), max(counts)
        story = [Step(place(call.at), "it is applied here") for call in calls[:1]]
        what = "this backward" if event.kind == "end" else quoted(facts, event.at.node)
        wrong = next((item for item in given if _is_no_gradient(item)), None)
        if wrong is not None:
            message = f"{what} gives a {wrong.kind} as gradient: backward raises. Return a tensor or None"  # type: ignore[attr-defined]
            yield self.finding(place(event.at), message, story)
        elif len(given) < least or (len(given) > most and any(not is_none(item) for item in given[most:])):
            wanted = least if len(given) < least else most
            message = (
                f"{what} returns {_number(len(given), 'gradient')}, and forward gets {_number(wanted, 'argument')}: "
                f"backward raises. Return one for each argument of forward, None where there is none"
            )
            yield self.finding(place(event.at), message, story, _filled_up(event, len(given), wanted, calls))
        elif calls and len(ends) == 1:
            yield from self.unfit(facts, event, given, calls[0], story)
            yield from self.stopped(facts, event, given, calls, story)

    def unfit(
        self, facts: Facts, event: Event, given: list[Value | None], call: Event, story: list[Step]
    ) -> Iterator[Finding]:
        """A gradient of another shape than its argument, to which it cannot be summed up."""
        if call.call.unsure:
            return
        for gradient, argument, flag in zip(given, call.call.values, call.flags, strict=False):
            if not isinstance(gradient, Tensor) or not isinstance(argument, Tensor) or flag is not True:
                continue
            one, other = gradient.shape, argument.shape
            if one is not None and other is not None and _too_small(one, other):
                name = f"`{argument.name}`" if argument.name else "its argument"
                message = (
                    f"{quoted(facts, event.at.node)} gives a gradient of the shape {list(one)} for {name}, which has "
                    f"the shape {list(other)}: backward raises"
                )
                yield self.finding(place(event.at), message, story)
                return

    def stopped(
        self, facts: Facts, event: Event, given: list[Value | None], calls: list[Event], story: list[Step]
    ) -> Iterator[Finding]:
        """None for an argument that requires grad: no error, and no gradient."""
        known = [call.flags for call in calls if not call.call.unsure]
        wanting = {index for flags in known for index, flag in enumerate(flags) if flag is True}
        stopped = {index for index in wanting if index < len(given) and is_none(given[index])}
        if not stopped or None in (flag for flags in known for flag in flags):
            return
        what = "this backward returns nothing" if event.kind == "end" else f"{quoted(facts, event.at.node)} gives None"
        if stopped == wanting:
            message = f"{what}: no gradient passes `{event.function.owner.name}`, without an error"
            # A `return None` that is written out may be meant.
            severity = Severity.WARNING if event.kind == "end" else Severity.INFORMATION
            yield self.finding(place(event.at), message, story, severity=severity)
        else:
            which = ", ".join(str(index + 1) for index in sorted(stopped))
            message = f"{what} for argument {which} of forward, which requires grad: no gradient arrives there"
            yield self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def results(self, cls: Class, backward: Function, calls: list[Event]) -> Iterator[Finding]:
        """Hold the parameters of backward against the results of forward."""
        takes: Signature = signature(backward)
        for call in calls:
            results = _results(call.info.get("given"))
            if results is not None and not takes.accepts(results):
                message = (
                    f"the backward of `{cls.name}` takes {_number(takes.most, 'gradient')}, and its forward returns "
                    f"{_number(results, 'tensor')}: backward raises"
                )
                story = [Step(place(call.at), "it is applied here")]
                yield self.finding(place(call.at)._replace(node=backward.node, source=backward.source), message, story)
                return


def _ends_with_raise(backward: ast.AST) -> bool:
    return not isinstance(backward, ast.Lambda) and isinstance(backward.body[-1], ast.Raise)  # type: ignore[attr-defined]


def _filled_up(event: Event, given: int, wanted: int, calls: list[Event]) -> list[Fix]:
    """The fix that returns None for the last arguments of forward, where none of these requires grad."""
    returned = event.at.node
    value = returned.value if isinstance(returned, ast.Return) else None
    if value is None or given >= wanted or isinstance(value, ast.Starred) or not calls:
        return []
    flags = [flag for call in calls for flag in call.flags[given:]]
    if any(flag is not False for flag in flags) or any(call.call.unsure for call in calls):
        return []
    source = event.at.source
    text = source.segment(value)
    if isinstance(value, ast.Tuple) and text.startswith("("):
        text = text[1:-1].rstrip().rstrip(",")
    new = ", ".join([text, *["None"] * (wanted - given)])
    build = edits.replace_expression(Place(source, value), new)
    return [Fix("Return None for the other arguments", Safety.SUGGESTED, build)]


def _without_gradients(facts: Facts) -> set[Function]:
    """The forwards whose results are all marked as not differentiable: autograd never calls their backward."""
    calls = [event for event in facts.of("context-call") if event.name == "mark_non_differentiable"]
    marked = {argument for event in calls for argument in event.arguments}
    found: dict[Function, bool] = {}
    for event in facts.of("return") if marked else ():
        value = event.value
        parts = value.elements if isinstance(value, Sequence) and value.kind == "tuple" else (value,)
        found[event.function] = found.get(event.function, True) and marked.issuperset(parts)
    return {function for function, constant in found.items() if constant}


def _too_small(gradient: Shape, tensor: Shape) -> bool:
    """Can a gradient of this shape not be summed up to that of the tensor?"""
    if None in gradient or None in tensor:
        return False
    tail = gradient[len(gradient) - len(tensor) :]
    return len(gradient) < len(tensor) or any(size not in (1, part) for part, size in zip(tail, tensor, strict=True))


def _gradients(event: Event) -> list[Value | None] | None:
    """What backward returns, one by one; None if their number is not known."""
    value = event.value
    if isinstance(value, Sequence):
        if value.kind == "list":
            return [value]
        return list(value.items) if value.kind == "tuple" and value.rest is None else None
    if isinstance(value, (Tensor, Host)):
        return [value]
    node = getattr(event.at.node, "value", None)
    if isinstance(node, ast.Tuple) and not any(isinstance(element, ast.Starred) for element in node.elts):
        return [None] * len(node.elts)
    return None


def _is_no_gradient(item: Value | None) -> bool:
    return isinstance(item, Host) and item.kind in ("int", "float", "bool", "number", "str")


def _results(value: Value | None) -> int | None:
    if isinstance(value, Tensor):
        return 1
    return len(value.items) if isinstance(value, Sequence) and value.kind == "tuple" and value.rest is None else None


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
