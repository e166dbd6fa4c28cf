"""GRD620."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Tensor
from gradls.rules import edits
from gradls.rules.accumulate_blocks import accumulate_blocks, plain_backwards
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import brief, replaced
from gradls.rules.training_order import Moment, is_on_the_way, order_of, receiver_of, rounds_of
from gradls.rules.words import code, place

_SCALED_BY_GRADIENT = ("torch.optim.SGD", "torch.optim.ASGD")
"""Optimizers whose step grows with the gradient. Those that divide by its size do not mind."""


class UndividedAccumulation(Rule):
    """Gradients of several batches that are added up where their mean is meant.

    ## What it finds
    A loop that calls `backward()` on a mean in each round, steps SGD and clears the gradients only in some, and divides
    the loss by nothing. A condition that is the wrong way round, `if number % rounds:`, too. As information, a plain
    `loss.backward()` in a block of `accelerator.accumulate`, where `accelerator.backward(loss)` would divide.

    ## Why it matters
    Accumulation stands for one larger batch. The gradient of a mean over four batches is a quarter of the sum that is
    in `grad`: each step is four times as long as with the larger batch, as if the learning rate were four times as
    high.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for number, batch in enumerate(torch.ones(4, 8)):
        loss = (weight * batch).mean()
        loss.backward()
        if (number + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
    assert abs(weight.item() + 0.4) < 1e-6  # one batch of all would give -0.1
    ```

    ```python
    import torch

    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    rounds = 1
    for number, batch in enumerate(torch.ones(4, 8)):
        loss = (weight * batch).mean() / rounds
        loss.backward()
        if (number + 1) % rounds:
            optimizer.step()
            optimizer.zero_grad()
    assert weight.item() == 0
    ```

    ## Use instead
    The loss divided by the number of rounds.

    ```python
    import torch

    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for number, batch in enumerate(torch.ones(4, 8)):
        loss = (weight * batch).mean()
        (loss / 4).backward()
        if (number + 1) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
    assert abs(weight.item() + 0.1) < 1e-6
    ```

    ## When it is silent
    For a sum instead of a mean, for optimizers such as Adam that divide by the size of the gradient, and where the
    gradients themselves are divided.

    ```python
    import torch

    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for number, batch in enumerate(torch.ones(4, 8)):
        (weight * batch).mean().backward()
        if (number + 1) % 4 == 0:
            weight.grad /= 4
            optimizer.step()
            optimizer.zero_grad()
    assert abs(weight.item() + 0.1) < 1e-6
    ```

    ## Fix safety
    Suggested: it divides the loss by the number that the condition of the step is about; a condition that is the wrong
    way round gets its `== 0`.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation
    """

    code, name, severity = "GRD620", "undivided-accumulation", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from self._of_conditions(facts)
        yield from self._of_blocks(facts)
        order = order_of(facts)
        if any(moment.tensors is None for moment in order.moments):
            return
        told: set[ast.AST] = set()
        of_tensors: dict[frozenset[Tensor], list[Moment]] = {}
        for step in order.moments:
            optimizer = step.event.value
            if step.kind != "step" or step.event.at.node in told or step.event.info.get("closure") is not None:
                continue
            if not isinstance(optimizer, Instance) or optimizer.path not in _SCALED_BY_GRADIENT:
                continue
            if not step.tensors or not rounds_of(step.event.path):
                continue
            mine = of_tensors.get(step.tensors)
            if mine is None:
                about = order.about(step.tensors)
                mine = [moment for moment in about if moment.tensors and moment.tensors & step.tensors]
                of_tensors[step.tensors] = mine
            backward = _accumulated(mine, step)
            if backward is not None and _is_mean(facts, backward):
                told.add(step.event.at.node)
                yield self._report(facts, backward, step.event)

    def _of_blocks(self, facts: Facts) -> Iterator[Finding]:
        """`loss.backward()` where that of the Accelerator divides the loss."""
        for block in accumulate_blocks(facts):
            for backward in {event.at.node: event for event in plain_backwards(facts, block)}.values():
                call = backward.at.node
                assert isinstance(call, ast.Call)
                assert isinstance(call.func, ast.Attribute)
                rounds = f"{block.rounds} rounds" if block.rounds else "several rounds, if it is told to,"
                message = (
                    f"`{block.accelerator}` makes one step of {rounds} and divides the loss in its own `backward`: "
                    f"{code(facts, call)} adds up the whole gradients"
                )
                new = f"{block.accelerator}.backward({facts.segment(call.func.value)})"
                fix = Fix(f"Write {new}", Safety.SUGGESTED, edits.replace_expression(place(backward.at), new))
                fixes = [fix] if not call.args and not call.keywords else []
                story = [
                    Step(Place(facts.source_of(block.node), block.node.items[0].context_expr), "the rounds add up here")
                ]
                yield self.finding(place(backward.at), message, story, fixes, Severity.INFORMATION)

    def _of_conditions(self, facts: Facts) -> Iterator[Finding]:
        """`if number % rounds: optimizer.step()`, which leaves out the rounds in which it was to step."""
        told: set[ast.AST] = set()
        for step in facts.of("step", "unknown-step"):
            source = step.at.source
            inner: ast.AST = step.at.node
            branch = source.parent(inner)
            while branch is not None and not isinstance(branch, (ast.If, ast.For, ast.While, ast.FunctionDef)):
                inner, branch = branch, source.parent(branch)
            if not isinstance(branch, ast.If) or inner not in branch.body or branch.orelse or branch in told:
                continue
            test = branch.test
            if not isinstance(test, ast.BinOp) or not isinstance(test.op, ast.Mod) or _is_two(test.right):
                continue
            loop = source.parent(branch)
            within, around = _called(branch), _called(loop) if isinstance(loop, (ast.For, ast.While)) else []
            if "zero_grad" in within and "backward" not in within and "backward" in around:
                told.add(branch)
                message = (
                    f"{code(facts, test)} is 0, and so false, in each round in which the optimizer was to step: it "
                    f"steps in all others, and never if `{source.segment(test.right)}` is 1. Write "
                    f"`{source.segment(test)} == 0`"
                )
                new = f"{source.segment(test)} == 0"
                fix = Fix(f"Write `{new}`", Safety.SUGGESTED, edits.replace_expression(Place(source, test), new))
                yield self.finding(Place(source, test), message, [Step(place(step.at), "the step")], [fix])

    def _report(self, facts: Facts, backward: Event, step: Event) -> Finding:
        message = (
            f"{code(facts, backward.at.node)} adds up the gradients of several rounds before "
            f"{code(facts, step.at.node)}, each of a mean: divide the loss by their "
            "number, unless the longer step is meant"
        )
        story = [Step(place(step.at), "the sum is used here")]
        return self.finding(place(backward.at), message, story, _divided(facts, backward, step))


def _divided(facts: Facts, backward: Event, step: Event) -> list[Fix]:
    """The fix that divides the loss by the number of rounds, which stands in the condition of the step."""
    loss, call = receiver_of(backward.at.node), backward.at.node
    if loss is None or not isinstance(call, ast.Call) or call.args or backward.at.source is not facts.source:
        return []
    for above in facts.parents(step.at.node):
        if isinstance(above, ast.If):
            rounds = [
                part.right
                for part in ast.walk(above.test)
                if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Mod)
            ]
            if len(rounds) == 1 and isinstance(rounds[0], (ast.Constant, ast.Name, ast.Attribute)):
                new = f"({facts.segment(loss)}) / {facts.segment(rounds[0])}"
                if isinstance(loss, (ast.Name, ast.Attribute, ast.Call)):
                    new = f"{facts.segment(loss)} / {facts.segment(rounds[0])}"
                return replaced(facts, loss, new, f"Divide the loss: `{brief(loss)} / {brief(rounds[0])}`")
        if isinstance(above, (ast.For, ast.While, ast.FunctionDef)):
            break
    return []


def _is_two(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 2


def _called(node: ast.AST) -> list[str]:
    """The names of the methods that are called in a statement."""
    calls = (part.func for part in ast.walk(node) if isinstance(part, ast.Call))
    return [function.attr for function in calls if isinstance(function, ast.Attribute)]


def _accumulated(mine: list[Moment], step: Moment) -> Event | None:
    """The only backward of a loop in which an optimizer steps now and then, and clears the gradients only then."""
    rounds = rounds_of(step.event.path)
    backwards = {m.event.at.node: m.event for m in mine if m.kind == "backward"}
    here = [m.event for m in mine if m.kind == "backward" and rounds_of(m.event.path) == rounds]
    if len(backwards) != 1 or len(here) != 1 or not rounds or is_on_the_way(step.event.path, here[0].path):
        return None
    for moment in mine:
        if moment.kind in ("clear", "read"):
            outside = len(rounds_of(moment.event.path)) < len(rounds)
            with_step = is_on_the_way(step.event.path, moment.event.path) or moment.number > step.number
            if moment.event.kind != "zero-grad" or not (outside or with_step):
                return None
            if rounds_of(moment.event.path) == rounds and not is_on_the_way(step.event.path, moment.event.path):
                return None
    return here[0]


def _is_mean(facts: Facts, backward: Event) -> bool:
    """Is the root of a backward a mean over what is in the batch?"""
    if backward.node is None:
        return False
    if backward.node.op == "mean":
        return True
    losses = (event for event in facts.of("loss") if event.node is backward.node)
    return any(event.info.get("reduction") == "mean" for event in losses)
