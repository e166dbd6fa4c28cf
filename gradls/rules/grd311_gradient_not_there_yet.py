"""GRD311."""

import ast
from collections.abc import Iterator, Sequence
from itertools import islice

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.sources import sources
from gradls.flow.values import Tensor, Unknown
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.words import code, place


class GradientNotThereYet(Rule):
    """A gradient is used before a backward has made it.

    ## What it finds
    A use of `.grad` (an attribute, a method, arithmetic) of a leaf where no backward has reached the leaf: none came
    before, the ones before did not depend on it, or `zero_grad()` has just set it to None. As information: `.grad` of a
    tensor that `backward(inputs=...)` has left out, read elsewhere than in a test; of an argument that a function
    tells to require grad only after it has computed with it; and of data that a loop takes from a loader, which nobody
    told to require grad.

    ## Why it matters
    `.grad` is None until a backward fills it. Since PyTorch 2.0 `zero_grad()` sets it to None again, no longer to
    zeros: what reads gradients has to come between the backward and `zero_grad()`. With a `target-torch` before
    2.0, gradients stay there.

    ## What PyTorch does
    Nothing: Python raises, for example

        AttributeError: 'NoneType' object has no attribute 'zero_'

    ## Example
    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    for _ in range(3):
        w.grad.zero_()  # raises AttributeError: 'NoneType' object has no attribute 'zero_'
        (w - 1).pow(2).sum().backward()
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 3)).mean().backward()
    optimizer.zero_grad()
    norm = model.weight.grad.norm()  # raises AttributeError: 'NoneType' object has no attribute 'norm'
    ```

    ```python
    import torch

    weight, bias = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    (weight * 2 + bias).sum().backward(inputs=[weight])
    gradients = weight.grad, bias.grad
    assert gradients[0] is not None and gradients[1] is None
    ```

    ## Use instead
    The backward first; `zero_grad()` or `w.grad = None` to clear.

    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    for _ in range(3):
        w.grad = None
        (w - 1).pow(2).sum().backward()
        norm = w.grad.norm()
    assert norm > 0
    ```

    ## When it is silent
    Where code that gradls does not see might have called backward, behind a test for None, and where the gradient is
    assigned by hand.

    ```python
    import torch

    w = torch.zeros(3, requires_grad=True)
    if w.grad is not None:
        w.grad.zero_()
    w.grad = torch.ones(3)
    assert w.grad.sum() == 3
    ```

    ## Fix safety
    Suggested: `requires_grad_()` where a tensor is made that does not require grad. None otherwise: the order is for a
    person to mend.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.grad.html
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
    """

    code, name, severity = "GRD311", "gradient-not-there-yet", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        failed = False
        used: set[ast.AST] = set()
        for event in facts.of("missing-grad-used", "backward"):
            if event.kind == "backward":
                # It raises itself, which is another rule's finding.
                failed = failed or event.info.get("requires_grad") is False
            elif event.leaf is not False and not event.caught and not failed and isinstance(event.value, Tensor):
                used.add(event.at.node)
                yield self.report(facts, event, event.value)
        for event in facts.of("grad-read"):
            if event.missing and event.passed is not None and event.at.node not in used and not event.caught:
                used.add(event.at.node)
                if not _is_in_test(facts, event.at.node):
                    yield self.passed_over(facts, event)

        for event in facts.of("unknown-grad-read", "grad-read"):
            if isinstance(event.value, Tensor) and event.value.node.op != "flagged":
                continue
            flag = _told_late(event) if event.at.node not in used and not event.caught else None
            if flag is not None and not _is_in_test(facts, event.at.node):
                used.add(event.at.node)
                message = (
                    f"{code(facts, event.at.node)} is None, unless the caller gave a tensor that requires grad: "
                    f"{code(facts, flag)} comes after the forward, which recorded nothing for it"
                )
                story = [Step(Place(event.at.source, flag), "the flag is set only here")]
                yield self.finding(place(event.at), message, story, severity=Severity.INFORMATION)
            elif event.at.node not in used and not event.caught and _is_of_data(facts, event):
                used.add(event.at.node)
                yield self.of_data(facts, event)

    def of_data(self, facts: Facts, event: Event) -> Finding:
        """The gradient of what a loop takes from a loader, which nobody told to require grad."""
        read = event.at.node
        what = code(facts, read.value) if isinstance(read, ast.Attribute) else "the tensor"
        message = (
            f"{code(facts, read)} is None, unless {what} was told to require grad where gradls does not see it: it is "
            "data. Call `requires_grad_()` on it before the forward"
        )
        story = [Step(place(call), "it is given to this function here") for call, _ in islice(event.callers(), 1)]
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def passed_over(self, facts: Facts, event: Event) -> Finding:
        """The gradient of a tensor that `inputs=` leaves out."""
        call = shown(facts, event.passed)
        message = f"{code(facts, event.at.node)} is None: {call} fills the gradients of its `inputs` only"
        story = [Step(place(event.passed), "this backward leaves it out")]
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def report(self, facts: Facts, event: Event, leaf: Tensor) -> Finding:
        outer = facts.parent(event.at.node)
        whole = outer if isinstance(outer, ast.Call) and outer.func is event.at.node else event.at.node
        cleared = event.cleared
        what = f"`{leaf.name}`" if leaf.name else "the tensor"
        if event.requires_grad is False:
            why = "it does not require grad"
        elif cleared is not None:
            why = f"{code(facts, cleared.node)} has set it to None"
        else:
            why = "no backward has reached it yet"
        message = f"{code(facts, whole)} raises: the gradient of {what} is None, for {why}"
        story = [Step(place(cleared), "gradients are set to None here")] if cleared is not None else []
        fixes = _marked(facts, leaf) if event.requires_grad is False else ()
        return self.finding(place(event.at)._replace(node=whole), message, story, fixes)


def _marked(facts: Facts, leaf: Tensor) -> Sequence[Fix]:
    """Have a tensor that a backward goes to require grad from where it is made, if only numbers go into it."""
    made = leaf.node.at
    roots = [event.node for event in facts.of("backward") if event.node is not None]
    if not any(node is leaf.node for root in roots for node in walk(root)):
        return ()
    if made is None or leaf.node.edges or leaf.dtype in ("int", "bool") or not isinstance(made.node, ast.Call):
        return ()
    build = edits.add_call(place(made), ".requires_grad_()")
    return [Fix("Turn `requires_grad` on where it is made", Safety.SUGGESTED, build)]


def _is_of_data(facts: Facts, event: Event) -> bool:
    """Is this the gradient of data that a loop takes from somewhere, used as if a backward had filled it?"""
    value, read = event.value, event.at.node
    node = value.fields.get(("node",)) if isinstance(value, Unknown) else None
    if not isinstance(value, Unknown) or not isinstance(node, Node):
        return False
    if not isinstance(facts.parent(read), (ast.Attribute, ast.BinOp, ast.UnaryOp)) or _is_in_test(facts, read):
        return False
    found = sources(node)
    if not value.plain and (found.calls or found.arguments or found.others or not found.data):
        return False
    for given in facts.of("unknown-call"):
        # What is called for nothing but what it does may set the flag.
        if value in given.arguments and isinstance(facts.parent(given.at.node), ast.Expr):
            return False
        method = given.value
        if isinstance(method, Unknown) and method.name == "requires_grad_" and method.fields.get("of") is value:
            return False
    earlier = [one for one in facts.of("backward") if one.node is not None and one.clock < event.clock]
    return any(part is node for one in earlier for part in walk(one.node))  # type: ignore[arg-type]


def _told_late(event: Event) -> ast.stmt | None:
    """Where an argument of a function is told to require grad, if nothing is computed with it from then on until a
    backward, and something was before. In a loop the next round may do that."""
    source, read = event.at.source, event.at.node
    name = getattr(getattr(read, "value", None), "id", "")
    function = source.parent(read)
    while function is not None and not isinstance(function, ast.FunctionDef):
        if isinstance(function, (ast.For, ast.While, ast.Lambda, ast.ClassDef)):
            return None
        function = source.parent(function)
    if function is None or name not in {argument.arg for argument in function.args.args}:
        return None
    flags: list[ast.stmt] = []
    used: list[ast.stmt] = []
    backwards: list[ast.stmt] = []
    for statement in function.body:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and part.id == name:
                if isinstance(part.ctx, ast.Store):
                    return None
                (flags if _is_flag(statement, name) else used).append(statement)
            elif isinstance(part, ast.Attribute) and part.attr == "backward":
                backwards.append(statement)
    if len(flags) != 1 or not backwards or not isinstance(event.at.source.parent(flags[0]), ast.FunctionDef):
        return None
    where = {statement: number for number, statement in enumerate(function.body)}
    at, until = where[flags[0]], where[backwards[0]]
    early = any(where[statement] < at for statement in used)
    between = any(at < where[statement] <= until for statement in used)
    return flags[0] if early and at < until and not between else None


def _is_flag(statement: ast.stmt, name: str) -> bool:
    """`x.requires_grad_()`, or `x.requires_grad = True`."""
    target: ast.expr | None = None
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        target = statement.value.func
    elif isinstance(statement, ast.Assign) and getattr(statement.value, "value", None) is True:
        target = statement.targets[0]
    if not isinstance(target, ast.Attribute) or target.attr not in ("requires_grad", "requires_grad_"):
        return False
    return isinstance(target.value, ast.Name) and target.value.id == name


def _is_in_test(facts: Facts, node: ast.AST) -> bool:
    """Does the program ask here whether there is a gradient?"""
    inner, outer = node, facts.parent(node)
    while outer is not None and not isinstance(outer, (ast.stmt, ast.IfExp, ast.comprehension)):
        inner, outer = outer, facts.parent(outer)
    if isinstance(outer, ast.comprehension):
        return inner in outer.ifs
    return isinstance(outer, (ast.If, ast.While, ast.IfExp, ast.Assert)) and inner is outer.test
