"""GRD615."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.nothing import CLOSURE
from gradls.flow.values import Mapping, Nothing, Tensor
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step, TextEdit
from gradls.rules.forgotten_return import dropped_results
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import replaced
from gradls.rules.trained_methods import computing
from gradls.rules.words import code, place


class NothingReturned(Rule):
    """The None that a call returns, used as if it were something.

    ## What it finds
    The result of a call that always returns None, and that is used afterwards: of `list.append`, `backward()`,
    `zero_grad()`, `optimizer.step()`, `register_buffer()`, or of a function or `forward` without a `return`. And the
    result of `load_state_dict()`, which is no model, used as one. A `forward` without a `return` whose last statement
    computes a tensor for nobody. A `training_step` of a LightningModule, or a `compute_loss` of a Transformers trainer,
    that computes something with a gradient and returns nothing, or a dictionary without the entry `loss`, and a
    `configure_optimizers` that makes an optimizer and does not return it.

    ## Why it matters
    These calls change an object in place. Assigning their result loses the object, and its next use raises.

    ## What PyTorch does
    It raises one of

        AttributeError: 'NoneType' object has no attribute 'append'
        TypeError: 'NoneType' object is not iterable
        TypeError: unsupported operand type(s) for +: 'NoneType' and 'Tensor'
        TypeError: '_IncompatibleKeys' object is not callable

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = model(torch.randn(8, 3)).sum().backward()
    print(loss.item())  # raises AttributeError: 'NoneType' object has no attribute 'item'
    ```

    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x):
            x = self.layer(x)


    loss = Net()(torch.randn(8, 3)).sum()  # raises AttributeError: 'NoneType' object has no attribute 'sum'
    ```

    ## Use instead
    The call as a statement of its own, and a `return`.

    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x)


    loss = Net()(torch.randn(8, 3)).sum()
    loss.backward()
    assert loss.item() == float(loss)
    ```

    ## When it is silent
    Where the result is only kept, tested or passed on; for functions that may return something; and for methods that a
    class leaves to those that derive from it.

    ```python
    import torch

    layers = torch.nn.ModuleList()
    layers = layers.append(torch.nn.Linear(3, 1))
    weight = torch.zeros(3).requires_grad_()
    result = weight.sum().backward()
    assert result is None and len(layers) == 1
    ```

    ## Fix safety
    Suggested: it takes the assignment away and leaves the call, or gives the only entry of a dictionary that has a
    gradient the name that the trainer asks for.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
    """

    code, name, severity = "GRD615", "nothing-returned", Severity.ERROR
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen: set[ast.AST] = set()
        told: set[ast.AST] = set()
        for event in facts.of("nothing-used"):
            value = event.value
            if getattr(event.at.node, "attr", "") == "backward":
                continue  # another rule says what has no backward
            if isinstance(value, Nothing) and value.made.node not in seen and not event.caught:
                seen.add(value.made.node)
                if value.function is not None:
                    told.add(value.function.node)
                yield self._report(facts, event, value)
        for event in facts.of("keys-used"):
            if event.made.node not in seen and not event.caught:
                seen.add(event.made.node)
                message = (
                    f"{code(facts, event.made.node)} returns the names that did not fit, and not the module: "
                    f"{code(facts, event.at.node)} raises"
                )
                story = [Step(place(event.at), "it is used as the module here")]
                yield self.finding(place(event.made), message, story, _fixes(facts, event.made.node, place(event.made)))

        for dropped in dropped_results(facts):
            if dropped.forward not in told:
                at = Place(facts.source, dropped.statement)
                message = (
                    f"`forward` returns nothing: {code(facts, dropped.statement)} is the last that it does, and its "
                    "value is lost; who calls the module gets None. Return it"
                )
                yield self.finding(at, message, severity=Severity.WARNING)
        for event in facts.of("no-loss"):
            if event.at.node not in seen:
                seen.add(event.at.node)
                yield from self._of_trainer(facts, event)
        for event in {event.at.node: event for event in facts.of("no-loss-key")}.values():
            if not event.caught:
                message = (
                    "the trainer takes the loss from the entry `loss` of what `training_step` returns, which has none: "
                    "it raises MisconfigurationException. Give the entry of the loss that name"
                )
                yield self.finding(place(event.at), message, (), _renamed(facts, event))
        for event in {event.at.node: event for event in facts.of("no-optimizer")}.values():
            yield from self._of_configuring(facts, event)

    def _of_trainer(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """A method of which a trainer wants the loss, that computes one and does not return it."""
        method = computing(facts, event)
        certain = method is not None
        if method is None and event.info.get("optimizes"):
            method = computing(facts, event, maybe=True)
        if method is not None:
            message = (
                f"`{method.name}` ends here and returns nothing: its trainer has no loss to call `backward()` on, and "
                "trains nothing. Return the loss"
            )
            yield self.finding(method.last, message, severity=Severity.WARNING if certain else Severity.INFORMATION)

    def _of_configuring(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """A method that makes optimizers for a trainer, and does not return them."""
        node = event.at.node
        if not isinstance(node, ast.FunctionDef) or event.at.source is not facts.source or not event.made:
            return
        message = (
            f"`{node.name}` makes an optimizer and returns nothing: the trainer has none, and trains nothing. Return it"
        )
        story = [Step(place(made.at), "the optimizer is made here") for made in event.made[:1]]
        yield self.finding(Place(event.at.source, node.body[-1]), message, story, severity=Severity.WARNING)

    def _report(self, facts: Facts, event: Event, value: Nothing) -> Finding:
        at = value.made
        what = code(facts, at.node)
        same = event.at.node is at.node or any(part is at.node for part in ast.walk(event.at.node))
        where = "" if same else f", and {code(facts, event.at.node)} raises"
        story = [] if same else [Step(place(event.at), f"{event.how} here")]
        if event.how == CLOSURE:
            message = f"{what} raises: it takes the loss from its closure, which returns nothing. Return the loss there"
            closure = value.function
            story = [Step(Place(closure.source, closure.node), "the closure")] if closure is not None else []
            return self.finding(place(at), message, story)
        if value.function is not None:
            name = value.function.name
            message = f"{what} is None, as `{name}` has no `return`{where}" + (": it is used here" if same else "")
            story.insert(0, Step(Place(value.function.source, value.function.node), "this returns nothing"))
            return self.finding(place(at), message, story)
        message = f"{what} returns None{where}" + (", which is used here" if same else "")
        return self.finding(place(at), message, story, _fixes(facts, at.node, place(at)))


def _renamed(facts: Facts, event: Event) -> list[Fix]:
    """Give the only entry that has a gradient the name of the loss."""
    returned = getattr(event.at.node, "value", None)
    if not isinstance(returned, ast.Dict) or not isinstance(event.value, Mapping):
        return []
    live = [name for name, value in event.value.entries.items() if isinstance(value, Tensor) and value.requires_grad]
    keys = [key for key in returned.keys if isinstance(key, ast.Constant) and key.value in live]
    if len(live) != 1 or len(keys) != 1:
        return []
    quote = facts.segment(keys[0])[-1]
    return replaced(facts, keys[0], f"{quote}loss{quote}", f"Call the entry {quote}loss{quote}")


def _fixes(facts: Facts, node: ast.AST, at: Place) -> list[Fix]:
    """Keep the call alone where its result is assigned back to what it is called on."""
    statement = facts.statement(node)
    if not isinstance(statement, ast.Assign) or statement.value is not node or len(statement.targets) != 1:
        return []
    target, function = statement.targets[0], getattr(node, "func", None)
    if not isinstance(function, ast.Attribute) or ast.dump(function.value) != _read(target):
        return []
    edit = TextEdit(at.source.path, Place(at.source, statement).span, at.source.segment(node))
    return [Fix("Keep the call alone", Safety.SUGGESTED, lambda: [edit])]


def _read(target: ast.expr) -> str:
    return ast.dump(target).replace("ctx=Store()", "ctx=Load()")
