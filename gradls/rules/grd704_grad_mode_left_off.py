"""GRD704."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.hierarchy import is_lightning
from gradls.flow.lost import lost_gradients
from gradls.flow.reach import frontier
from gradls.flow.values import Bound, Class, Instance, Value
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.mode_fixes import as_context, decorated
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.training_order import is_on_the_way
from gradls.rules.words import code, place


class GradModeLeftOff(Rule):
    """Gradients that a function switches off and leaves off for its callers.

    ## What it finds
    `torch.set_grad_enabled(False)` as a statement in a function that does not set it back. A generator that yields
    inside `with torch.no_grad():`, where the loop over it computes something that would have a gradient. A
    LightningModule that calls `self.freeze()` for its validation: its trainer takes back the mode, and not the flags.

    ## Why it matters
    Other than the context manager, the call changes the mode of the whole thread, and it stays so after the function
    has returned. What is computed next has no graph. A generator stops at its `yield` with the block still open: the
    body of the loop runs inside of it. With the decorator `@torch.no_grad()` it does not.

    ## What PyTorch does
    Nothing at the call. The next `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch


    def evaluate(model, inputs):
        torch.set_grad_enabled(False)
        return model(inputs).mean().item()


    model = torch.nn.Linear(3, 1)
    evaluate(model, torch.randn(8, 3))
    model(torch.randn(8, 3)).sum().backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch


    def batches():
        with torch.no_grad():
            for _ in range(3):
                yield torch.randn(8, 3)


    model = torch.nn.Linear(3, 1)
    for inputs in batches():
        model(inputs).sum().backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ## Use instead
    A context manager, which restores the mode that was before.

    ```python
    import torch


    def evaluate(model, inputs):
        with torch.set_grad_enabled(False):
            return model(inputs).mean().item()


    model = torch.nn.Linear(3, 1)
    evaluate(model, torch.randn(8, 3))
    model(torch.randn(8, 3)).sum().backward()
    assert model.weight.grad is not None
    ```

    ```python
    import torch


    @torch.no_grad()
    def batches():
        for _ in range(3):
            yield torch.randn(8, 3)


    model = torch.nn.Linear(3, 1)
    for inputs in batches():
        model(inputs).sum().backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    Where the function sets the mode again afterwards, in the methods of a context manager, and for scripts that only
    evaluate.

    ```python
    import torch


    def evaluate(model, inputs):
        torch.set_grad_enabled(False)
        score = model(inputs).mean().item()
        torch.set_grad_enabled(True)
        return score


    model = torch.nn.Linear(3, 1)
    evaluate(model, torch.randn(8, 3))
    model(torch.randn(8, 3)).sum().backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: the call becomes a `with` statement around what follows in its block. A generator whose body is one block
    is decorated with its mode instead.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.set_grad_enabled.html
    """

    code, name, severity = "GRD704", "grad-mode-left-off", Severity.INFORMATION
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        modes = list(facts.of("grad-mode-set"))
        for number, event in enumerate(modes):
            if event.grad is not False or event.calls is None or not _is_statement(facts, event):
                continue
            function = event.calls[1]
            if function.name in ("__enter__", "__exit__"):
                continue  # a context manager of the program's own
            if _is_called_last(facts, event):
                continue  # The program ends with it.
            later = [other for other in modes[number + 1 :] if other.calls is not None and other.calls[1] is function]
            if any(other.at.node is not event.at.node and other.grad is not False for other in later):
                continue
            yield self._report(facts, event, _spoiled(facts, event))

        yield from self._generators(facts)
        yield from facts.each(self._frozen)

    def _frozen(self, facts: Facts) -> Iterable[Finding]:
        """`self.freeze()` in a method that a trainer of Lightning calls for validation, between rounds of training."""
        for node, records in facts.called("freeze"):
            function, modules = facts.function(node), [_lightning(record[0]) for record in records]
            classes = [module.cls for module in modules if module is not None]
            if function is None or not function.name.startswith(_VALIDATING) or not classes:
                continue
            if not _is_of_itself(facts, node, function):
                continue
            texts = [facts.segment(cls.node) for cls in classes if isinstance(cls, Class)]
            if len(texts) < len(records) or any("unfreeze" in text or "requires_grad" in text for text in texts):
                continue
            message = (
                f"{code(facts, node)} sets `requires_grad` of all parameters to False, and nothing sets it back: no "
                "gradient is computed after the first validation. Lightning validates without gradients anyway"
            )
            yield self.finding(Place(facts.source_of(node), node), message, severity=Severity.WARNING)

    def _generators(self, facts: Facts) -> Iterable[Finding]:
        """Generators that leave a mode open for their consumer."""
        told: set[At] = set()
        for event in facts.of("generator-leak"):
            leak = event.leak
            if not leak.uses or leak.node in told or event.caught:
                continue
            told.add(leak.node)
            lost = next((lost for lost in lost_gradients(facts) if lost.cut.cut and lost.cut.cut.at == leak.at), None)
            mode = shown(facts, leak.at)
            message = f"{mode} is still open at this `yield`: the loop over it works without gradients"
            story = [Step(place(leak.at), "it is opened here"), Step(place(leak.uses[0]), "this has no graph then")]
            severity = Severity.INFORMATION
            if lost is not None and lost.why != "quiet":
                severity = Severity.ERROR if lost.why == "raises" else Severity.WARNING
                message += f", and {shown(facts, lost.backward.at)} " + (
                    "raises" if lost.why == "raises" else "misses them"
                )
                story.append(Step(place(lost.backward.at), "the gradient is missing here"))
            message += ". Close it before the `yield`, or decorate the generator with it"
            yield self.finding(place(leak.node), message, story, decorated(facts, leak.at), severity)

    def _report(self, facts: Facts, event: Event, backward: Event | None) -> Finding:
        message = (
            f"{code(facts, event.at.node)} stays in force after the function has returned: nothing has a gradient "
            "until it is set back; use it as a context manager, `with ...:`"
        )
        story = [] if backward is None else [Step(place(backward.at), "this has no graph then")]
        severity = None if backward is None else Severity.WARNING
        return self.finding(place(event.at), message, story, as_context(facts, event.at.node), severity)


def _is_of_itself(facts: Facts, call: ast.Call, method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Does a method always do this with the object that it is a method of?"""
    own = method.args.args[0].arg if method.args.args and isinstance(facts.parent(method), ast.ClassDef) else ""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == own and facts.parent(facts.statement(call) or call) is method


def _is_statement(facts: Facts, event: Event) -> bool:
    return isinstance(facts.parent(event.at.node), ast.Expr)


def _is_called_last(facts: Facts, event: Event) -> bool:
    """Is the function called by the last statement of the module, as `main()` is?"""
    if event.calls is None or event.calls[2] is not None or event.calls[0].source is not facts.source:
        return False
    last = facts.source.tree.body[-1]
    if isinstance(last, ast.If) and not last.orelse:
        last = last.body[-1]
    return facts.statement(event.calls[0].node) is last


def _spoiled(facts: Facts, event: Event) -> Event | None:
    """A backward that raises because of this."""
    for backward in facts.of("backward"):
        if backward.node is None or backward.requires_grad is not False:
            continue
        for node in frontier(backward.node):
            if node.cut is not None and node.cut.at.node is event.at.node and is_on_the_way(event.path, backward.path):
                return backward
    return None


_VALIDATING = ("validation_", "on_validation_")
"""How the methods begin that Lightning calls for each validation."""


def _lightning(function: Value) -> Instance | None:
    """The LightningModule whose `freeze` is called, if it has none of its own."""
    if not isinstance(function, Bound) or not isinstance(function.receiver, Instance) or function.function is not None:
        return None
    cls = function.receiver.cls
    return function.receiver if isinstance(cls, Class) and is_lightning(cls) else None
