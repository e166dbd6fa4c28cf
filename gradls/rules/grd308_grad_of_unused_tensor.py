"""GRD308."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Cut, Node
from gradls.flow.reach import frontier, walk
from gradls.flow.values import REFUSED, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place


class GradOfUnusedTensor(Rule):
    """torch.autograd.grad is asked for the gradient of a tensor that the output does not depend on.

    ## What it finds
    `torch.autograd.grad(outputs, inputs)` where an input does not require grad, or is no part of the graph of the
    outputs: a slice or view made after the forward, a tensor bound anew (detached, cloned) after it was used, or one
    that was never used. And a second derivative, where the first was taken without `create_graph=True`.

    And what has no graph, for it was computed with gradients switched off: autograd calls the `backward` of a custom
    Function so, and Lightning the `validation_step`, `test_step` and `predict_step` of a module.

    ## Why it matters
    The gradient is for the tensor object that the forward used, not for its name or its values. `x[0]` makes a new
    tensor each time; the forward has not seen it.

    ## What PyTorch does
    It raises one of

        RuntimeError: One of the differentiated Tensors does not require grad

        RuntimeError: The differentiated Tensor at index 0 appears to not have been used in the graph. Set
        allow_unused=True if this is the desired behavior.

    ## Example
    ```python
    import torch

    x = torch.randn(3, requires_grad=True)
    loss = x.pow(2).sum()
    torch.autograd.grad(loss, x[0])  # raises RuntimeError: appears to not have been used in the graph
    ```

    ```python
    import torch

    noise = torch.randn(3, requires_grad=True)
    moved = torch.ones(3) + noise
    noise = noise.detach().requires_grad_()
    torch.autograd.grad(moved.pow(2).sum(), noise)  # raises RuntimeError: appears to not have been used in the graph
    ```

    ```python
    import torch

    x, w = torch.randn(3), torch.randn(3, requires_grad=True)
    torch.autograd.grad((w * x).sum(), x)  # raises RuntimeError: One of the differentiated Tensors
    ```

    ```python
    import torch


    class Recomputed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.tanh()

        @staticmethod
        def backward(ctx, gradient):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            return torch.autograd.grad(x.tanh(), x, gradient)[0]


    Recomputed.apply(torch.ones(3, requires_grad=True)).sum().backward()  # raises RuntimeError: does not require grad
    ```

    ## Use instead
    The tensor that the forward used, with `requires_grad` on before it; a part of its gradient afterwards.

    ```python
    import torch

    x = torch.randn(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(x.pow(2).sum(), x)
    first = gradient[0]
    noise = torch.randn(3).requires_grad_()
    moved = torch.ones(3) + noise
    torch.autograd.grad(moved.pow(2).sum(), noise)
    assert first == 2 * x[0]
    ```

    ```python
    import torch


    class Recomputed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.tanh()

        @staticmethod
        def backward(ctx, gradient):
            x = ctx.saved_tensors[0].detach().requires_grad_()
            with torch.enable_grad():
                y = x.tanh()
            return torch.autograd.grad(y, x, gradient)[0]


    x = torch.ones(3, requires_grad=True)
    Recomputed.apply(x).sum().backward()
    assert x.grad is not None
    ```

    ## When it is silent
    With `allow_unused=True` or `materialize_grads=True` for unused tensors, and where anything unknown lies between.

    ```python
    import torch

    x, y = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    _, none = torch.autograd.grad(x.sum(), (x, y), allow_unused=True)
    assert none is None
    ```

    ## Fix safety
    Safe where a first gradient is to keep its graph. Suggested: `requires_grad_()` where the tensor is made, and
    `enable_grad` on the function that computes what it differentiates. None for a tensor apart from the graph:
    which was meant is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    code, name, severity = "GRD308", "grad-of-unused-tensor", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("grad-call"):
            if not event.caught and not event.call.unsure:
                yield from self.judge(facts, event)
        for event in facts.of("grad-apart"):
            if not event.caught:
                message = (
                    f"{code(facts, event.at.node)} raises: autograd calls the `backward` of a custom Function with "
                    "gradients switched off, so what was computed here has no graph. Compute it under "
                    f"`with {facts.torch_name}.enable_grad():`"
                )
                yield self.finding(place(event.at), message, (), _with_gradients(facts, event))

    def judge(self, facts: Facts, event: Event) -> Iterator[Finding]:
        roots = event.roots
        if not roots or not all(isinstance(root, Tensor) for root in roots):
            return
        if any(REFUSED in node.fields for root in event.nodes for node in walk(root)):
            return  # It is not reached: integers were to require grad.
        reached = {node for root in event.nodes for node in walk(root, follow="maybe")}
        leaves = {node.leaf for node in reached}
        lenient = any(name in event.call.kwargs for name in ("allow_unused", "materialize_grads"))
        opaque = [node.fields.born for node in reached if node.kind == "opaque"]
        if event.constant and all(flag is not False for _, _, flag in event.wanted):
            first = _taken_without_graph(roots)
            yield self.report_without_graph(facts, event) if first is None else self.report_first(facts, event, first)
            return
        if event.stray and not event.constant and len(roots) > 1:
            message = (
                f"{code(facts, event.at.node)} raises: one of the outputs does not require grad. Leave out what has "
                "no graph"
            )
            yield self.finding(place(event.at), message)
            return
        for target, node, flag in event.wanted:
            if flag is False:
                yield self.report(facts, event, target, "does not require grad")
            elif flag is True and not lenient and target not in leaves and _is_apart(node, reached, opaque):
                yield self.report(facts, event, target, "is no part of the graph of the output")

    def report_without_graph(self, facts: Facts, event: Event) -> Finding:
        """No tensor is used, for there is no graph."""
        message = (
            f"{code(facts, event.at.node)} raises: what it is to differentiate has no graph, and does not require grad"
        )
        cuts = [node.cut for root in event.roots for node in frontier(root.node) if node.cut is not None]
        story = [Step(place(cut.at), "no gradient comes from behind this") for cut in cuts[:1]]
        off = all(cut.kind == "no_grad" for cut in cuts) and cuts
        return self.finding(place(event.at), message, story, _with_gradients(facts, event) if off else ())

    def report_first(self, facts: Facts, event: Event, first: Cut) -> Finding:
        """What is to be differentiated is a gradient itself."""
        message = (
            f"{code(facts, event.at.node)} raises: {code(facts, first.at.node)} gives its result without a graph. Call "
            "that with `create_graph=True`"
        )
        build = edits.set_keyword(place(first.at), "create_graph", "True")
        fixes = [Fix("Keep the graph of the first gradient", Safety.SAFE, build)]
        return self.finding(place(event.at), message, [Step(place(first.at), "this gradient has no graph")], fixes)

    def report(self, facts: Facts, event: Event, target: Tensor, why: str) -> Finding:
        made = target.node.at
        what = f"`{target.name}`" if target.name else shown(facts, made) if made is not None else "an input"
        message = f"{code(facts, event.at.node)} raises: {what} {why}"
        if why.startswith("does not"):
            message += ". Turn `requires_grad` on before the forward"
        elif target.base is not None:
            message += ": it is a view made apart from the forward. Ask for the gradient of the whole, then index that"
        else:
            message += ". Give it the very tensor that the forward used"
        story = [Step(place(made), "this is the tensor")] if made is not None else []
        fixes = _marked(facts) if why.startswith("does not") else ()
        return self.finding(place(event.at), message, story, fixes)


def _with_gradients(facts: Facts, event: Event) -> Sequence[Fix]:
    """Switch gradients on in the function that computes what it differentiates, if that is one function."""
    function = facts.function(event.at.node)
    made = [root.node.at for root in event.info.get("roots", ()) if isinstance(root, Tensor)]
    if function is None or any(at is None or facts.function(at.node) is not function for at in made):
        return ()
    name = f"{facts.torch_name}.enable_grad()"
    build = edits.add_decorator(Place(facts.source_of(function), function), name)
    return [Fix(f"Switch gradients on in `{function.name}`", Safety.SUGGESTED, build)]


def _marked(facts: Facts) -> Sequence[Fix]:
    """Have all tensors of which a gradient is asked for require grad from where they are made, if they are made of
    nothing."""
    builders: dict[ast.AST, edits.Edits] = {}
    for event in facts.of("grad-call"):
        for target, _, flag in event.wanted:
            made = target.node.at
            if flag is not False:
                continue
            statement = facts.statement(made.node) if made is not None else None
            if made is None or not isinstance(statement, ast.Assign):
                return ()
            if made.node not in (statement.value, *getattr(statement.value, "elts", ())):
                return ()
            if target.dtype in ("int", "bool") or not isinstance(made.node, (ast.Call, ast.BinOp)):
                return ()
            builders.setdefault(made.node, edits.add_call(place(made), ".requires_grad_()"))
    title = "Turn `requires_grad` on where " + ("it is made" if len(builders) == 1 else "they are made")
    return [Fix(title, Safety.SUGGESTED, edits.together(*builders.values()))]


def _taken_without_graph(roots: Iterable[Tensor]) -> Cut | None:
    """Where the gradient was taken that all of these were computed from, if none of them has a graph."""
    if any(root.requires_grad is not False for root in roots):
        return None
    cuts = [node.cut for root in roots for node in frontier(root.node)]
    return next((cut for cut in cuts if cut is not None and cut.kind == "grad"), None)


def _is_apart(node: Node, reached: set[Node], opaque: list[int]) -> bool:
    """Is a tensor certainly no part of the graph that was reached? Of one of several, by branch, none may be."""
    if node in reached or any(born >= node.fields.born for born in opaque):
        return False
    return node.kind != "phi" or all(_is_apart(edge.node, reached, opaque) for edge in node.edges)
