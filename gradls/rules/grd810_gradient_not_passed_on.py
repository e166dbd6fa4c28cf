"""GRD810."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.autograd.ops import find_op
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import lost_leaves, walk
from gradls.flow.values import Class, Function, Sequence, Tensor, Value
from gradls.rules.asked_gradients import Asked, asked_of_others
from gradls.rules.custom_functions import applications, definitions
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step, TextEdit
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class GradientNotPassedOn(Rule):
    """The backward of a custom Function does not use the gradient that it is given.

    ## What it finds
    A `torch.autograd.Function` whose `backward` returns gradients, and reads none of those that it gets. As a warning,
    one of several results that a loss depends on, if `backward` does not read the gradient that comes through it; and a
    gradient that is computed only if another input needs one, by `ctx.needs_input_grad`. And a Function that changes
    nothing but gradients, as one that reverses them, of a value that was detached.

    ## Why it matters
    What comes in is the gradient of the loss with respect to the result of the Function. Backward has to multiply it by
    the derivative of the Function; the derivative alone is right only where the result is the loss itself. If the
    result is scaled, averaged, or goes on into another layer, that is lost.

    ## What PyTorch does
    Nothing: the gradient is wrong, and `torch.autograd.gradcheck` would say so for a result that is no single number.

    ## Example
    ```python
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 2 * x

    x = torch.tensor(2.0, requires_grad=True)
    (Square.apply(x) * 3).backward()
    assert x.grad == 4  # and not 12
    ```

    ```python
    import torch

    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, one, other):
            return one * 2

    x = torch.tensor(2.0, requires_grad=True)
    one, other = Both.apply(x)
    (one + other).backward()
    assert x.grad == 2  # and not 5
    ```

    ```python
    import torch

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return x * weight

        @staticmethod
        def backward(ctx, gradient):
            x, weight = ctx.saved_tensors
            of_x = of_weight = None
            if ctx.needs_input_grad[0]:
                of_x = gradient * weight
            if ctx.needs_input_grad[0]:
                of_weight = gradient * x
            return of_x, of_weight

    weight = torch.tensor(2.0, requires_grad=True)
    Scaled.apply(torch.tensor(3.0), weight).backward()
    assert weight.grad is None  # and not 3
    ```

    ## Use instead
    The chain rule.

    ```python
    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return gradient * 2 * x

    x = torch.tensor(2.0, requires_grad=True)
    (Square.apply(x) * 3).backward()
    assert x.grad == 12
    ```

    ## When it is silent
    Where backward returns None or zeros, or hands on what it got in any way.

    ```python
    import torch

    class Blocked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return None

    x = torch.ones(3, requires_grad=True)
    (Blocked.apply(x) + x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    ```

    ## Fix safety
    Suggested where another input is asked about. Otherwise there is none.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-autograd
    """

    code, name, severity = "GRD810", "gradient-not-passed-on", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterator[Finding]:
        yield from facts.each(_idle)
        seen: set[ast.AST] = set()
        applied = applications(facts)
        for cls, methods in definitions(facts).items():
            backward = methods.get("backward")
            if backward is None or backward.owner is not cls or backward.node in seen:
                continue
            seen.add(backward.node)
            yield from self._of_asked(facts, applied.get(cls, []), backward)
            returned = _returned(backward)
            if returned is not None:
                gradient = code(facts, returned.value or returned)
                message = (
                    f"{gradient} does not depend on the gradient that backward is given: it is right only "
                    "where the result of this Function is the loss itself. Multiply by the gradient"
                )
                at = Place(backward.source, returned)
                yield self.finding(at, message, [Step(Place(backward.source, backward.node), "this backward")])
            else:
                yield from self._of_one(facts, cls, backward)

    def _of_asked(self, facts: Facts, calls: list[Event], backward: Function) -> Iterator[Finding]:
        """Gradients of which the backward asks whether another input needs one."""
        for asked in asked_of_others(backward):
            for event in calls:
                flags = event.flags
                if max(asked[1:]) < len(flags) and flags[asked.wanted] is True and flags[asked.asked] is False:
                    message = (
                        f"{code(facts, asked.test)} asks about input {asked.asked + 1}, and decides about the gradient "
                        f"of input {asked.wanted + 1}: that is None here, and input {asked.wanted + 1} learns nothing. "
                        f"Ask `needs_input_grad[{asked.wanted}]`"
                    )
                    at = Place(backward.source, asked.test)
                    story = [Step(place(event.at), "here only the other one needs a gradient")]
                    yield self.finding(at, message, story, _asking(at, asked), Severity.WARNING)
                    break

    def _of_one(self, facts: Facts, cls: Class, backward: Function) -> Iterator[Finding]:
        """The gradient of one of several results, which backward leaves alone."""
        ignored = _ignored(backward)
        calls = applications(facts).get(cls, []) if ignored else []
        if not calls:
            return
        reached: set[Node] = set()
        for event in facts.of("backward"):
            if event.node is not None:
                reached.update(walk(event.node, follow="flow"))
        for number, argument in ignored:
            used = next((event for event in calls if _node_of(event.info.get("outputs"), number) in reached), None)
            if used is not None:
                message = (
                    f"this backward does not use `{argument.arg}`: unless result {number + 1} of `{cls.name}` is a "
                    "constant, what a loss gets of it gives no gradient, without an error"
                )
                story = [Step(place(used.at), "its results go into a loss")]
                at = Place(backward.source, argument)
                yield self.finding(at, message, story, severity=Severity.INFORMATION)


def _asking(at: Place, asked: Asked) -> list[Fix]:
    """Ask about the input that the gradient is returned for."""
    index = asked.test.slice if isinstance(asked.test, ast.Subscript) else None
    if index is None:
        return []
    edit = TextEdit(at.source.path, at.source.span(index), str(asked.wanted))
    return [Fix(f"Ask about input {asked.wanted + 1}", Safety.SUGGESTED, lambda: [edit])]


def _idle(facts: Facts) -> Iterator[Finding]:
    """Functions that hand on their input, and are given one that was cut off: only their backward does anything."""
    told: set[ast.AST] = set()
    for event in facts.of("function-apply"):
        given = next((value for value in event.call.values if isinstance(value, Tensor)), None)
        cut = given.node.cut if given is not None and given.requires_grad is False else None
        if given is None or cut is None or cut.kind not in ("detach", "data") or event.at.node in told:
            continue
        if not any(event.flags) and _is_same(event.info.get("given"), given) and lost_leaves(given.node):
            told.add(event.at.node)
            message = (
                f"{code(facts, event.at.node)} is given what {code(facts, cut.at.node)} has cut off: `backward` of "
                f"`{getattr(event.value, 'name', 'it')}` is never called, and its forward changes nothing"
            )
            yield GradientNotPassedOn().finding(place(event.at), message, [Step(place(cut.at), "it is cut off here")])


def _is_same(result: Value | None, given: Tensor) -> bool:
    """Is it the tensor itself, a view of it, or a copy?"""
    if not isinstance(result, Tensor):
        return False
    copies = result.node.op == "clone" and any(edge.node is given.node for edge in result.node.edges)
    return result.family is given.family or copies


def _ignored(backward: Function) -> list[tuple[int, ast.arg]]:
    """The gradients that a backward does not read, of several that it is given, and which results they belong to."""
    node = backward.node
    if not isinstance(node, ast.FunctionDef) or node.args.vararg is not None or node.args.kwarg is not None:
        return []
    arguments = [*node.args.posonlyargs, *node.args.args][2 if backward.kind == "class" else 1 :]
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    if len(arguments) < 2 or "locals" in names:
        return []
    unread = [(number, one) for number, one in enumerate(arguments) if one.arg not in names]
    return [(number, one) for number, one in unread if not one.arg.startswith("_")]  # These are meant to be.


def _node_of(outputs: Value | None, number: int) -> Node | None:
    """The node of one of several results of a Function."""
    items = outputs.items if isinstance(outputs, Sequence) and outputs.rest is None else ()
    found = items[number] if number < len(items) else None
    return found.node if isinstance(found, Tensor) and found.requires_grad is True else None


def _returned(backward: Function) -> ast.Return | None:
    """The first return that gives a gradient, if nothing in a backward reads what it is given."""
    node = backward.node
    if not isinstance(node, ast.FunctionDef) or node.args.kwarg is not None:
        return None
    arguments = [*node.args.posonlyargs, *node.args.args][1:]
    names = {argument.arg for argument in (*arguments, *([node.args.vararg] if node.args.vararg is not None else []))}
    found: ast.Return | None = None
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in (*names, "locals"):
            return None
        if isinstance(part, (ast.Global, ast.Nonlocal)):
            # Another function may have put the gradient there, as where it comes from another process.
            return None
        if isinstance(part, ast.Call) and _asks_what_is_kept(part, node):
            return None
        if isinstance(part, ast.Return) and found is None and part.value is not None and not _is_nothing(part.value):
            found = part
    return found if names else None


def _asks_what_is_kept(call: ast.Call, backward: ast.FunctionDef) -> bool:
    """`ctx.portal.gradient()`: is this a method of an object, no tensor, that the context keeps? That may have got the
    gradient from somebody else."""
    held = call.func.value if isinstance(call.func, ast.Attribute) else None
    if not isinstance(held, ast.Attribute) or not isinstance(held.value, ast.Name) or not backward.args.args:
        return False
    assert isinstance(call.func, ast.Attribute)
    return held.value.id == backward.args.args[0].arg and find_op(f"torch.Tensor.{call.func.attr}") is None


def _is_nothing(value: ast.expr) -> bool:
    """None and zeros, for all arguments: no gradient."""
    if isinstance(value, ast.Tuple):
        return all(_is_nothing(item) for item in value.elts)
    if isinstance(value, ast.Constant):
        return not value.value
    name = getattr(value.func, "attr", getattr(value.func, "id", "")) if isinstance(value, ast.Call) else ""
    return name in ("zeros", "zeros_like", "new_zeros")
