"""GRD601."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Function, Instance, Tensor, Unknown
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.gradient_sums import Left, left_by_another_loss, summed_in_closure
from gradls.rules.other_clears import is_cleared_anywhere, is_cleared_in_round
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import cleared_in_closure, gradient_taken_away, put
from gradls.rules.training_order import (
    STEPS,
    Moment,
    Order,
    if_it_is_one,
    is_divided,
    is_given,
    is_handed_out,
    is_on_the_way,
    is_vague_optimizer,
    loops_of,
    optimizer_in,
    order_of,
    outermost,
    rounds_of,
)
from gradls.rules.unknown_networks import leftovers
from gradls.rules.words import code, owners, place


class MissingZeroGrad(Rule):
    """A training loop in which the gradients are never cleared.

    ## What it finds
    `step()` of an optimizer in round after round of a loop, with a `backward()` before each, and nothing in between
    that clears the gradients of its parameters: no `zero_grad()` of the optimizer or of the model, and no write to
    `grad`. A closure that does not clear them, of an optimizer that calls it several times in a step, LBFGS. The same
    for an update written by hand; and as information, gradients that are read after several rounds have added to them.
    Of two optimizers, a step that also applies what another loss left, for which the other optimizer had stepped, and
    one that also applies what was left by a loss from which the gradient of an input was wanted, as attacks do. And as
    information a loop that is given the model or the optimizer, and a function that nobody in the file calls and
    that makes one step in each call, with an optimizer that lives longer than that.

    ## Why it matters
    `backward()` adds to the gradients that are there. Each step follows the sum over all batches so far, most of them
    seen by older weights: the steps grow, and the loss soon does too.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    gradients = []
    for _ in range(3):
        loss = model(torch.ones(1, 1)).sum()
        loss.backward()
        optimizer.step()
        gradients.append(model.weight.grad.item())
    assert gradients == [1, 2, 3]
    ```

    ```python
    import torch

    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], lr=0.0)
    gradients = []

    def closure():
        loss = weight.sum()
        loss.backward()
        gradients.append(weight.grad.item())
        return loss

    optimizer.step(closure)
    assert gradients[:2] == [1, 2]
    ```

    ```python
    import torch

    generator, critic = torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)
    theirs = torch.optim.SGD(generator.parameters(), lr=0.1)
    own = torch.optim.SGD(critic.parameters(), lr=0.1)
    critic(generator(torch.randn(8, 3))).mean().backward()
    theirs.step()
    theirs.zero_grad()
    left = critic.bias.grad.item()
    (0 * critic(torch.randn(8, 3))).mean().backward()
    own.step()
    assert left == critic.bias.grad.item() == 1
    ```

    ## Use instead
    Clear them once in each round, before `backward()` or after `step()`.

    ```python
    import torch

    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    gradients = []
    for _ in range(3):
        loss = model(torch.ones(1, 1)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gradients.append(model.weight.grad.item())
    assert gradients == [1, 1, 1]
    ```

    ## When it is silent
    Where the gradients of several batches are added up on purpose and cleared after the step; where anything else
    clears them, `p.grad = None` or `p.grad.zero_()` included; where unknown code has the optimizer; and in tests, which
    make new objects for each.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in range(4):
        (model(torch.randn(8, 3)).pow(2).mean() / 2).backward()
        if batch % 2 == 1:
            optimizer.step()
            for parameter in model.parameters():
                parameter.grad = None
    assert model.weight.grad is None
    ```

    ## Fix safety
    Suggested: it clears the gradients after the step, in the closure, or before the `backward()` that adds to them.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.Optimizer.zero_grad.html
    """

    code, name, severity = "GRD601", "missing-zero-grad", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        order = order_of(facts)
        if not any(moment.kind == "backward" for moment in order.moments):
            return
        if not any(moment.kind == "clear" and moment.tensors is None for moment in order.moments):
            yield from self._of_known(facts, order)
            yield from self._of_hand(facts, order)
        yield from self._of_unknown(facts, order)
        yield from self._of_calls(facts, order)
        for found in {found.step.at.node: found for found in leftovers(facts)}.values():
            who = "the networks that both losses go through"
            yield self._report_other(facts, found.step, found.first, found.taken, found.own, who)

    def _of_known(self, facts: Facts, order: Order) -> Iterator[Finding]:
        steps: dict[Instance, list[Moment]] = {}
        told: set[ast.AST] = set()
        others: dict[ast.AST, tuple[Moment, Left]] = {}
        for moment in order.moments:
            optimizer = moment.event.value
            if moment.kind != "step" or moment.event.kind != "step" or not isinstance(optimizer, Instance):
                continue
            before = _step_before(steps.setdefault(optimizer, []), moment)
            steps[optimizer].append(moment)
            summed = summed_in_closure(order, before, moment)
            if summed is not None:
                yield self._report_closure(facts, moment.event, summed)
                continue
            again = before is not None and _are_rounds(before.event, moment.event)
            kept = _uncleared(order, before, moment) if before is not None and again else None
            if kept is not None:
                told.add(moment.event.at.node)
                yield self._report(facts, order, moment, *kept)
            elif (left := left_by_another_loss(order, before, moment)) is not None:
                others.setdefault(moment.event.at.node, (moment, left))
        for node, (moment, left) in others.items():
            if node not in told:
                who = owners(tensor for tensor in moment.event.parameters if tensor in left.tensors)
                yield self._report_other(facts, moment.event, left.first, left.taken, left.own, who)

    def _report(self, facts: Facts, order: Order, step: Moment, backward: Event, tensors: frozenset[Tensor]) -> Finding:
        event = step.event
        written = optimizer_in(event)
        name = facts.segment(written) if written is not None else "optimizer"
        who = owners(tensor for tensor in event.parameters if tensor in tensors)
        alone = not event.escaped and bool(tensors & event.trained)
        message = (
            f"{'' if alone else 'unless other code does, nothing clears '}the gradients of {who}"
            f"{' are never cleared' if alone else ''} from one {code(facts, event.at.node)} to the next, and "
            f"`backward()` adds to them; call `{name}.zero_grad()` in each round"
        )
        story = [Step(place(backward.at), "this adds to the gradients of the last round")]
        made = order.made.get(event.value) if isinstance(event.value, Instance) else None
        if made is not None:
            story.append(Step(place(made.at), "the optimizer is made here"))
        return self.finding(place(event.at), message, story, _cleared(facts, order, step, backward, name))

    def _report_closure(self, facts: Facts, step: Event, backward: Event) -> Finding:
        message = (
            f"{code(facts, step.at.node)} calls the closure several times, and each {code(facts, backward.at.node)} in "
            "it adds to the gradients of the call before: clear them in the closure"
        )
        fixes = cleared_in_closure(facts, step, backward)
        return self.finding(place(backward.at), message, [Step(place(step.at), "it is called from here")], fixes)

    def _report_other(self, facts: Facts, step: Event, left: Event, taken: Event, own: Event, who: str) -> Finding:
        written = optimizer_in(step)
        name = facts.segment(written) if written is not None else "optimizer"
        read = taken.kind == "grad-read"
        what = code(facts, taken.at.node)
        purpose = f"on the way to {what}" if read else "for the step of another optimizer"
        message = (
            f"{code(facts, step.at.node)} also applies what {code(facts, left.at.node)} left in the gradients of "
            f"{who}, {purpose}. If that loss is not meant to train them, too, call "
            f"`{name}.zero_grad()` before {code(facts, own.at.node)}"
        )
        story = [
            Step(place(left.at), "this fills them, too"),
            Step(place(taken.at), "this is what it was for" if read else "that loss is applied here"),
            Step(place(own.at), "this adds to them"),
        ]
        together = facts.function(own.at.node) is facts.function(step.at.node)
        fixes = put(facts, own.at.node, f"{name}.zero_grad()", behind=False) if together else []
        return self.finding(place(step.at), message, story, fixes, Severity.INFORMATION)

    def _of_hand(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """Tensors that no optimizer has, and whose gradients are read after several rounds."""
        held = {tensor for parameters in order.parameters.values() for tensor in parameters}
        found: dict[tuple[ast.AST, ast.AST], list[Tensor]] = {}
        for tensor in dict.fromkeys(m.event.value for m in order.moments if m.kind == "read"):
            if not isinstance(tensor, Tensor) or tensor in held or is_handed_out(facts, tensor):
                continue
            if tensor.fields.get("*escaped") or tensor.leaf is not True:
                continue
            mine = [m for m in order.about(frozenset((tensor,))) if m.tensors is None or tensor in m.tensors]
            pair = _summed(mine)
            if pair is not None and not _is_cleared_behind(mine, *pair):
                found.setdefault((pair[0].event.at.node, pair[1].event.at.node), []).append(tensor)
                first = found[(pair[0].event.at.node, pair[1].event.at.node)]
                if len(first) == 1:
                    yield self._report_sum(facts, *pair, tensor)

    def _report_sum(self, facts: Facts, backward: Moment, read: Moment, tensor: Tensor) -> Finding:
        name = owners([tensor])
        inside = bool(loops_of(read.event.path) & loops_of(backward.event.path))
        updated = inside and any(
            event.kind in ("write", "data-set") and event.value is tensor and loops_of(event.path)
            for event in facts.events[read.number :]
        )
        what = code(facts, backward.event.at.node)
        if inside:
            end = "and nothing clears it: set `grad` to None in each round"
        else:
            end = "and what is read in the end is their sum: clear it in each round, or divide if a mean is meant"
        message = f"{what} adds to the gradient of {name} from the rounds before, {end}"
        story = [Step(place(read.event.at), "the sum is read here")]
        fixes = gradient_taken_away(facts, backward.event, read.event) if inside else []
        return self.finding(place(backward.event.at), message, story, fixes, None if updated else Severity.INFORMATION)

    def _of_unknown(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """A function that is given the optimizer, or the model: what they are, only their names tell."""
        for moment in order.moments:
            event = moment.event
            if event.kind not in STEPS or not is_vague_optimizer(event) or _has_arguments(event):
                continue
            backward = next((m for m in order.together(event) if m.kind == "backward"), None)
            if not rounds_of(event.path):
                continue
            if backward is None or _knows_others(facts, event) or _is_of_this_round(facts, event):
                continue
            if isinstance(event.value, Instance) and not backward.event.at.source is event.at.source is facts.source:
                continue  # What lies between may clear them, which its own file says.
            if is_cleared_in_round(facts, order, moment, backward):
                continue
            written = optimizer_in(event)
            name = facts.segment(written) if written is not None else "optimizer"
            message = (
                f"{if_it_is_one(event, name)}nothing clears the gradients that `{name}` applies from one round to the "
                f"next, and `backward()` adds to them; call `{name}.zero_grad()` in each round"
            )
            story = [Step(place(backward.event.at), "this adds to the gradients of the last round")]
            fixes = put(facts, event.at.node, f"{name}.zero_grad()", behind=True)
            yield self.finding(place(event.at), message, story, fixes, Severity.INFORMATION)

    def _of_calls(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """A function that nobody in the file calls, and that makes one step with an optimizer that stays."""
        seen: set[ast.AST] = set()
        for moment in order.moments:
            event = moment.event
            function = outermost(event)
            if event.kind not in STEPS or function is None or function.node in seen or loops_of(event.path):
                continue
            if function.name.startswith("test"):
                continue  # What calls tests makes new objects for each.
            if _has_arguments(event) or _knows_others(facts, event) or not _stays(order, event, function):
                continue
            backward = next((m.event for m in order.in_functions[function] if m.kind == "backward"), None)
            if backward is None or not is_on_the_way(backward.path, event.path):
                continue
            if is_cleared_anywhere(facts, order, moment):
                continue
            seen.add(function.node)
            written = optimizer_in(event)
            name = facts.segment(written) if written is not None else "optimizer"
            message = (
                f"{if_it_is_one(event, name)}each call of `{function.name}` adds its gradients to those of the last, "
                f"unless the caller clears them: nothing here does. Call `{name}.zero_grad()` before `backward()`"
            )
            story = [Step(place(backward.at), "this adds to the gradients of the last call")]
            together = facts.function(backward.at.node) is facts.function(event.at.node)
            fixes = put(facts, backward.at.node, f"{name}.zero_grad()", behind=False) if together else []
            yield self.finding(place(event.at), message, story, fixes, Severity.INFORMATION)


def _cleared(facts: Facts, order: Order, step: Moment, backward: Event, name: str) -> list[Fix]:
    """The fix that clears the gradients after the step; where something looks at them then, before the backward."""
    clear, held = f"{name}.zero_grad()", frozenset(step.event.parameters)
    if not any(moment.kind == "read" for moment in order.after(step, held)):
        build = edits.insert_after(place(step.event.at), clear)
        return [Fix("Clear the gradients after the step", Safety.SUGGESTED, build)]
    if rounds_of(backward.path) != rounds_of(step.event.path):
        return []
    return put(facts, backward.at.node, clear, behind=False)


def _is_of_this_round(facts: Facts, step: Event) -> bool:
    """Does unknown code give the optimizer in the round that steps it, so that each round may have another?"""
    value = step.value
    while isinstance(value, Unknown) and "derived" in value.fields:
        value = value.fields["derived"][0]
    calls = (event for event in facts.of("unknown-call") if event.info.get("result") is value)
    return isinstance(value, Unknown) and any(loops_of(call.path) & loops_of(step.path) for call in calls)


def _stays(order: Order, step: Event, function: Function) -> bool:
    """Does an optimizer live longer than a call of the function that steps it?"""
    optimizer = step.value
    if isinstance(optimizer, Instance):
        made = order.made.get(optimizer)
        return made is not None and outermost(made) is not function
    return is_vague_optimizer(step) and isinstance(optimizer, Unknown) and optimizer.origin in ("argument", "attribute")


def _is_cleared_behind(mine: list[Moment], backward: Moment, read: Moment) -> bool:
    """Is a gradient that is read in the rounds in which it is added up cleared behind that? Then several rounds are
    meant to add up."""
    inside = bool(loops_of(read.event.path) & loops_of(backward.event.path))
    return inside and any(moment.kind == "clear" and moment.number > read.number for moment in mine)


def _summed(mine: list[Moment]) -> tuple[Moment, Moment] | None:
    """The backward that adds to the gradient of an earlier round, and where what came of it is read; `mine` is what
    happens to one tensor."""
    first: Moment | None = None
    again: Moment | None = None
    for moment in mine:
        if moment.kind == "backward" and moment.tensors is not None:
            if first is not None and first.event.at.node is moment.event.at.node:
                again = moment if _are_rounds(first.event, moment.event) else again
            elif not is_divided(moment.event):
                first, again = moment, None
        elif moment.kind == "read":
            if again is not None and is_on_the_way(again.event.path, moment.event.path):
                return again, moment
        else:
            first = again = None
    return None


def _step_before(steps: list[Moment], now: Moment) -> Moment | None:
    """The last one of an optimizer's earlier steps. Where a loop chooses it, as in `for k in ks: optimizers[k].step()`,
    each of its rounds may step another one: the last one in an earlier round of the loops around that."""
    receiver = optimizer_in(now.event)
    names = {node.id for node in ast.walk(receiver) if isinstance(node, ast.Name)} if receiver is not None else set()
    choosing = [one.loop for one in rounds_of(now.event.path) if names & _targets(getattr(one.loop, "statement", None))]
    if not choosing:
        return steps[-1] if steps else None
    rounds = _rounds_but(now.event, choosing)
    return next((step for step in reversed(steps) if _rounds_but(step.event, choosing) != rounds), None)


def _targets(loop: object) -> set[str]:
    """The names that a loop gives a value in each round."""
    target = loop.target if isinstance(loop, (ast.For, ast.AsyncFor)) else None
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)} if target is not None else set()


def _rounds_but(event: Event, loops: list[object]) -> list[object]:
    """The rounds in which something happens, but for those of certain loops, whenever these were begun."""
    statements = [getattr(loop, "statement", None) for loop in loops]
    return [one for one in rounds_of(event.path) if getattr(one.loop, "statement", None) not in statements]


def _are_rounds(one: Event, other: Event) -> bool:
    """Are these the same statement in two rounds of a loop?"""
    if one.at.node is not other.at.node or one.info.get("closure") is not None:
        return False
    return bool(loops_of(one.path) & loops_of(other.path)) and rounds_of(one.path) != rounds_of(other.path)


def _uncleared(order: Order, before: Moment, step: Moment) -> tuple[Event, frozenset[Tensor]] | None:
    """The backward whose gradients are still there when the next one adds to them, and of which parameters."""
    held = frozenset(step.event.parameters)
    mine = [m for m in order.about(held) if m.number < step.number]
    old = [m for m in mine if m.kind == "backward" and m.number < before.number]
    new = [m for m in mine if m.kind == "backward" and m.number > before.number]
    if not held or any(m.tensors is None for m in (*old, *new)):
        return None
    both = _filled(old, held) & _filled(new, held)
    start = next((m.number for m in old if m.tensors is not None and m.tensors & both), None)
    if not both or start is None:
        return None
    if any(m.kind == "clear" and (m.tensors is None or m.tensors & held) for m in mine if m.number > start):
        return None
    backward = next(m.event for m in new if m.tensors is not None and m.tensors & both)
    return backward, both


def _filled(backwards: list[Moment], held: frozenset[Tensor]) -> frozenset[Tensor]:
    return frozenset(tensor for m in backwards if m.tensors is not None for tensor in m.tensors if tensor in held)


def _has_arguments(event: Event) -> bool:
    return isinstance(event.at.node, ast.Call) and bool(event.at.node.args or event.at.node.keywords)


def _knows_others(facts: Facts, event: Event) -> bool:
    """Does unknown code get the optimizer, or is it called itself, as no optimizer is?"""
    called: set[int] | None = facts.memo.get("called")
    if called is None:
        # Nor has an optimizer of PyTorch a method `backward`.
        called = facts.memo["called"] = {id(other.value) for other in facts.of("unknown-call", "backward")}
    return id(event.value) in called or is_given(facts, event.value)
