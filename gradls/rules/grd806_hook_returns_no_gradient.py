"""GRD806."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.reach import walk
from gradls.flow.values import Function, Host, Sequence, Tensor, Value, is_none
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import brief, put
from gradls.rules.words import code, place


class HookReturnsNoGradient(Rule):
    """A hook of a tensor returns something that is no gradient for it.

    ## What it finds
    A function given to `register_hook` that returns a number, a tuple or a list, or a tensor of another shape than the
    tensor has, where a backward reaches that tensor. As information, one that returns zeros, and one that writes into
    the gradient that it is given, and one that computes another gradient and then returns nothing.

    ## Why it matters
    What a hook returns takes the place of the gradient. A hook that only looks at the gradient returns None; a lambda
    always returns what it computes. The gradient itself may be the same tensor that another operation receives.

    ## What PyTorch does
    The backward raises one of

        TypeError: expected Variable, but hook returned 'float'

        RuntimeError: hook '<lambda>' has changed the size of value

    ## Example
    ```python
    import torch

    hidden = torch.ones(3, requires_grad=True) * 2
    hidden.register_hook(lambda gradient: gradient.norm().item())
    hidden.sum().backward()  # raises TypeError: expected Variable, but hook returned 'float'
    ```

    ```python
    import torch

    hidden = torch.ones(3, requires_grad=True) * 2
    hidden.register_hook(lambda gradient: gradient[:1])
    hidden.sum().backward()  # raises RuntimeError: has changed the size of value
    ```

    ```python
    import torch

    weight = torch.ones(3, requires_grad=True)
    hidden = weight * 2
    hidden.register_hook(lambda gradient: gradient * 0)
    hidden.sum().backward()
    assert not weight.grad.any()
    ```

    ```python
    import torch

    weight = torch.ones(3, requires_grad=True)
    hidden = weight * 2
    hidden.register_hook(lambda gradient: gradient.clamp_(-0.5, 0.5))
    hidden.pow(2).sum().backward()
    assert weight.grad.eq(1).all()
    ```

    ```python
    import torch


    def halve(gradient):
        gradient = gradient * 0.5


    weight = torch.ones(3, requires_grad=True)
    weight.register_hook(halve)
    weight.sum().backward()
    assert weight.grad.eq(1).all()
    ```

    ## Use instead
    None to leave the gradient alone, a tensor like it to replace it.

    ```python
    import torch

    norms = []
    hidden = torch.ones(3, requires_grad=True) * 2
    hidden.register_hook(lambda gradient: norms.append(gradient.norm().item()))
    hidden.register_hook(lambda gradient: gradient * 0.5)
    hidden.sum().backward()
    assert len(norms) == 1
    ```

    ## When it is silent
    Where it is not known what the hook returns, or whether a backward comes there.

    ## Fix safety
    Suggested: it returns what the hook has computed.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
    """

    code, name, severity = "GRD806", "hook-returns-no-gradient", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        backwards = [event for event in facts.of("backward") if event.node is not None and not event.caught]
        for call, records in facts.called("register_hook"):
            hook = records[0][1].get(0, "hook")
            function = getattr(hook, "function", None) or hook
            lost = _forgotten(function) if isinstance(function, Function) else None
            if lost is not None:
                message = (
                    "this hook computes another gradient and returns nothing, so the gradient stays what it was: "
                    f"return `{function.source.segment(lost)}`"
                )
                at = Place(facts.source_of(call), call)
                story = [Step(Place(function.source, lost), "what is computed here is gone when the hook ends")]
                yield self.finding(at, message, story, _returned(facts, function, lost), Severity.WARNING)
        for event in facts.of("hook"):
            tensor, node = event.value, event.node
            if not event.caught and isinstance(tensor, Tensor):
                yield from self._of_gradient(facts, event, tensor)
            why = _unfit(tensor, event.returned) if isinstance(tensor, Tensor) else ""
            if not why or event.caught:
                continue
            for backward in backwards:
                if backward.node is not None and any(reached is node for reached in walk(backward.node, follow="flow")):
                    message = (
                        f"this hook returns {why}: {code(facts, backward.at.node)} raises. Return a gradient or None"
                    )
                    story = [Step(place(backward.at), "this backward calls the hook")]
                    if isinstance(event.hook, Function) and event.hook.node is not None:
                        story.insert(0, Step(Place(event.hook.source, event.hook.node), "the hook"))
                    yield self.finding(place(event.at), message, story)
                    break

    def _of_gradient(self, facts: Facts, event: Event, tensor: Tensor) -> Iterator[Finding]:
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        if event.written is not None:
            message = (
                f"{code(facts, event.written.node)} changes the gradient of {what} in place, which other operations "
                "may receive as well: return a new tensor from the hook"
            )
            yield self.finding(place(event.written), message, severity=Severity.INFORMATION)
        elif isinstance(event.returned, Tensor) and _is_zero(event.returned):
            message = f"this hook replaces the gradient of {what} by zeros: nothing before it is trained through it"
            yield self.finding(place(event.at), message, severity=Severity.INFORMATION)


def _returned(facts: Facts, function: Function, lost: ast.expr) -> list[Fix]:
    """The fix that returns the other gradient at the end of the hook."""
    last = getattr(function.node, "body", [lost])[-1]
    if function.source is not facts.source:
        return []
    text = facts.segment(lost)
    title = f"Return it: `return {brief(lost)}`"
    if isinstance(last, ast.Expr):
        at = Place(function.source, last)
        return [Fix(title, Safety.SUGGESTED, edits.replace_statement(at, f"return {text}"))]
    return put(facts, last, f"return {text}", behind=True, title=title)


def _forgotten(function: Function) -> ast.expr | None:
    """The name that a hook gives to another gradient, which it does not use and does not return, or the other gradient
    if it has no name."""
    if not isinstance(function.node, ast.FunctionDef) or function.node.decorator_list:
        return None
    arguments = [*function.node.args.posonlyargs, *function.node.args.args]
    name = arguments[-1].arg if arguments and len(arguments) <= 2 else ""
    for node in ast.walk(function.node):
        if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
            return None
        if isinstance(node, (ast.Global, ast.Nonlocal, ast.FunctionDef, ast.Lambda)) and node is not function.node:
            return None
    last = function.node.body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.BinOp) and not _writes(last.value):
        operands = (last.value.left, last.value.right)
        return last.value if any(isinstance(one, ast.Name) and one.id == name for one in operands) else None
    if not isinstance(last, ast.Assign) or len(last.targets) != 1 or _writes(last.value):
        return None
    target = last.targets[0]
    return target if isinstance(target, ast.Name) and target.id == name else None


def _writes(expression: ast.expr) -> bool:
    """Does it call what changes the gradient in place?"""
    return any(isinstance(part, ast.Attribute) and part.attr.endswith("_") for part in ast.walk(expression))


def _is_zero(tensor: Tensor) -> bool:
    return tensor.node.op in ("zeros", "zeros_like") or tensor.node.get("zeros") is True


def _unfit(tensor: Tensor, returned: Value | None) -> str:
    """What a hook returns, if that is no gradient of `tensor`."""
    if isinstance(returned, Host) and not is_none(returned):
        return f"a {returned.kind}"
    if isinstance(returned, Sequence):
        return f"a {returned.kind}"
    if isinstance(returned, Tensor):
        one, other = tensor.shape, returned.shape
        if one is not None and other is not None and None not in (*one, *other) and one != other:
            return "a tensor of another shape"
    return ""
