"""GRD622."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import block_of, run_with
from gradls.rules.training_order import order_of
from gradls.rules.words import code, place


class OneRound(Rule):
    """A training loop that ends in its first round, because the `return` behind it is indented too far.

    ## What it finds
    A loop that trains, and whose body ends with the `return` of what the rounds add up: the losses, or how many of them
    there were. Nothing leads past that `return` to a second round.

    ## Why it matters
    One batch is trained, and the others never: all the optimizer learns of the data is the first gradient of each call.
    The loss that is reported is that of one batch, which looks right.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch


    def train(model, batches, optimizer):
        total = 0.0
        for x in batches:
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            total += loss.item()
            return total


    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters())
    train(model, torch.randn(4, 8, 3), optimizer)
    assert optimizer.state[model.weight]["step"] == 1
    ```

    ## Use instead
    The `return` behind the loop.

    ```python
    import torch


    def train(model, batches, optimizer):
        total = 0.0
        for x in batches:
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total


    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters())
    train(model, torch.randn(4, 8, 3), optimizer)
    assert optimizer.state[model.weight]["step"] == 4
    ```

    ## When it is silent
    Where some rounds go on to the next, by a `continue` or a condition around the `return`, and where what is returned
    was computed in this round alone: a function may be there to train one batch.

    ```python
    import torch


    def train_once(model, batches, optimizer):
        for x in batches:
            if x.isnan().any():
                continue
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            return loss.item()


    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam(model.parameters())
    train_once(model, torch.randn(4, 8, 3), optimizer)
    assert optimizer.state[model.weight]["step"] == 1
    ```

    ## Fix safety
    Suggested: the `return` behind the loop. Where that is in another loop, it is for the author to say where the
    training ends.

    ## References
    - https://docs.pytorch.org/tutorials/beginner/introyt/trainingyt.html#the-training-loop
    """

    code, name, severity = "GRD622", "one-round", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        told: set[ast.AST] = set()
        order = order_of(facts)
        for event in (moment.event for moment in order.moments if moment.kind == "step"):
            if event.kind == "unknown-step" and all(moment.kind != "backward" for moment in order.together(event)):
                continue  # What is stepped may be an environment or a simulation.
            for node in (event.at.node, *(at.node for at, _ in event.callers() if at.source is event.at.source)):
                for loop in facts.loops(node):
                    left = loop.body[-1]
                    if isinstance(left, ast.Return) and left not in told and _sums(loop, left):
                        told.add(left)
                        yield self._report(facts, event, loop, left)

    def _report(self, facts: Facts, event: Event, loop: ast.For | ast.While, left: ast.Return) -> Finding:
        at = Place(event.at.source, left)
        message = (
            f"`{at.source.segment(left)}` ends the loop in its first round: one batch is trained, and the others "
            "never. Return what the rounds add up behind the loop"
        )
        story = [Step(place(event.at), "this step is taken once")]
        return self.finding(at, message, story, _returned_behind(facts, event, loop, left))


def _sums(loop: ast.For | ast.While, left: ast.Return) -> bool:
    """Does the `return` at the end of each round give what the rounds add up?"""
    if left.value is None or any(isinstance(part, ast.Continue) for part in run_with(loop)):
        return False
    returned = {part.id for part in ast.walk(left.value) if isinstance(part, ast.Name)}
    added: set[str] = set()
    computed: set[str] = set()
    for part in run_with(loop):
        if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            added.add(part.target.id)
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "append":
            if isinstance(part.func.value, ast.Name):
                added.add(part.func.value.id)
        elif isinstance(part, ast.Assign):
            read = {one.id for one in ast.walk(part.value) if isinstance(one, ast.Name)}
            stored = {one.id for target in part.targets for one in ast.walk(target) if isinstance(one, ast.Name)}
            added |= stored & read
            computed |= stored - read
    return bool(returned & (added - computed))


def _returned_behind(facts: Facts, event: Event, loop: ast.For | ast.While, left: ast.Return) -> list[Fix]:
    """The fix that moves the `return` behind the loop, if nothing but the end of the function stands there."""
    block = block_of(event.at.source, loop)
    if event.at.source is not facts.source or not block or block[-1] is not loop or len(loop.body) < 2 or loop.orelse:
        return []
    if not isinstance(facts.parent(loop), (ast.FunctionDef, ast.AsyncFunctionDef)):
        return []
    title = f"Move {code(facts, left)} behind the loop"
    return [Fix(title, Safety.SUGGESTED, edits.move_out(Place(facts.source, left), Place(facts.source, loop)))]
