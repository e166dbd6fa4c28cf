"""GRD602."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.reach import walk
from gradls.flow.values import Host, Tensor, Unknown, Value, is_none
from gradls.rules.accumulate_blocks import accumulate_blocks, clears_of_models
from gradls.rules.early_steps import early_steps
from gradls.rules.filled_gradients import since_filled
from gradls.rules.finding import Finding, Fix, Place, Severity, Step
from gradls.rules.late_steps import late_steps
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import cleared_behind, deleted, moved
from gradls.rules.training_order import (
    CLEARS,
    STEPS,
    Moment,
    Order,
    if_it_is_one,
    is_divided,
    is_every_so_often,
    is_method_of,
    is_on_the_way,
    is_vague_optimizer,
    order_of,
    outermost,
    receiver_of,
    rounds_of,
)
from gradls.rules.unknown_networks import networks_differentiated
from gradls.rules.unused_gradients import fates
from gradls.rules.words import code, place


class ClearedBeforeStep(Rule):
    """Gradients that are cleared before the optimizer has used them.

    ## What it finds
    `backward()`, then `zero_grad()`, then `step()`, with nothing in between that fills the gradients again. A loop
    that clears and computes gradients in each of its rounds, with the step behind it. A backward of which another
    function clears everything, and then another one before the step: what computes an attack for itself, say. As
    information: the same within one function, in each round of a loop; a loop that steps in every so many rounds, or
    divides its loss to add up several batches and steps now and then, and clears the gradients in every round; the
    `zero_grad()` of a model in a block of `accelerator.accumulate`; a step behind `zero_grad()` and before the backward
    of a loss that was there.

    ## Why it matters
    The step sees no gradient and changes nothing. In the second case only the last batch before each step counts.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()
    assert torch.equal(model.weight, before)
    ```

    ```python
    import torch

    model, seen = torch.nn.Linear(3, 1), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for sequence in range(2):
        for part in range(4):
            optimizer.zero_grad()
            model(torch.full((8, 3), float(part))).sum().backward()
        before = model.weight[0, 0].item()
        optimizer.step()
        seen.append(round(before - model.weight[0, 0].item(), 3))
    assert seen == [2.4, 2.4]
    ```

    ## Use instead
    Clear before `backward()`, or after `step()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert not torch.equal(model.weight, before)
    ```

    ## When it is silent
    Where the gradients are read before they are cleared, where another `backward()` follows, and where it is not
    certain whose gradients are cleared.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    inputs = torch.randn(8, 3, requires_grad=True)
    model(inputs).sum().backward()
    attacked = inputs.detach() + inputs.grad.sign()
    optimizer.zero_grad()
    model(attacked).pow(2).mean().backward()
    optimizer.step()
    assert attacked.shape == (8, 3)
    ```

    ## Fix safety
    Suggested: a call of `zero_grad()` moves before `backward()`, or a `step()` behind it, where they stand in the same
    block. Where gradients are to add up, they are cleared behind the step only.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#taking-an-optimization-step
    """

    code, name, severity = "GRD602", "cleared-before-step", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        order = order_of(facts)
        for optimizer, parameters in order.parameters.items():
            held = frozenset(parameters)
            own = [step for step in order.steps.get(optimizer, ()) if step.tensors is None or step.tensors & held]
            for step in own:
                yield from self._of_step(facts, held, since_filled(order, step, held), step)
            for step in own:
                yield from self._of_last_backward(facts, held, order, step)
        yield from self._of_parts(facts, order)
        yield from self._of_blocks(facts)
        for late in {late.step.at.node: late for late in late_steps(facts, order)}.values():
            yield self._report_inner(facts, *late)
        yield from self._of_terms(facts, order)
        told = set()
        for finding in self._of_unknown(facts):
            told.add(finding.place.node)
            yield finding
        for early in {early.step.at.node: early for early in early_steps(facts, order)}.values():
            if early.clear.at.node not in told:
                yield self._report_last(facts, *early, severity=Severity.INFORMATION)

    def _of_blocks(self, facts: Facts) -> Iterator[Finding]:
        """Gradients of a model that are cleared in each round of those that accelerate makes one step of."""
        for block in accumulate_blocks(facts):
            for call in clears_of_models(facts, block):
                assert isinstance(call.func, ast.Attribute)
                rounds = f"one of {block.rounds} rounds" if block.rounds else "the last round, if several are one step"
                message = (
                    f"the optimizer that `{block.accelerator}` has prepared steps in {rounds}, and "
                    f"{code(facts, call)} clears what each has added: call `zero_grad()` of that optimizer, which waits"
                )
                source = facts.source_of(call)
                story = [
                    Step(
                        Place(source, block.node.items[0].context_expr), "the gradients of these rounds were to add up"
                    )
                ]
                yield self.finding(Place(source, call), message, story, (), Severity.INFORMATION)

    def _of_step(self, facts: Facts, held: frozenset[Tensor], before: list[Moment], step: Moment) -> Iterator[Finding]:
        """`before` are the backwards and clears before a step, as far as what they fill may still be there."""
        filled: Moment | None = None
        cleared: Moment | None = None
        first: Moment | None = None
        for moment in before:
            if moment.kind == "backward" or _is_given(moment):
                first = first if filled is not None and cleared is None else moment
                filled, cleared = moment, None
            else:
                cleared = moment if filled is not None and _clears_all(moment, filled, held) else None
                filled = filled if cleared is not None else None
        if filled is not None and cleared is not None and _is_certain(cleared, step):
            if _is_given(filled):
                fixes = moved(facts, cleared.event, step.event, behind=True)
            else:
                fixes = _put_right(facts, cleared.event, (first or filled).event, step.event)
            yield self._report(facts, filled.event, cleared.event, step.event, fixes)

    def _of_last_backward(self, facts: Facts, held: frozenset[Tensor], order: Order, step: Moment) -> Iterator[Finding]:
        """A method, say, that clears, steps, and calls backward only then: if it is called again, that is cleared."""
        clear = next(order.before(step, held), None)
        later = order.after(step, held)
        backward, after = next(later, None), next(later, None)
        if clear is None or backward is None or (clear.kind, backward.kind) != ("clear", "backward"):
            return
        function = outermost(clear.event)
        if function is None or (after is not None and outermost(after.event) is function):
            return
        if not all(moment.event.calls == clear.event.calls for moment in (step, backward)):
            return
        if _clears_all(clear, backward, held) and _is_certain(clear, step) and _is_certain(step, backward):
            yield self._report_last(facts, clear.event, step.event, backward.event)

    def _report_last(
        self, facts: Facts, clear: Event, step: Event, backward: Event, severity: Severity | None = None
    ) -> Finding:
        message = (
            f"{code(facts, clear.at.node)} is followed by the step, and {code(facts, backward.at.node)} comes only "
            "then: nothing is learned"
        )
        story = [
            Step(place(step.at), "no gradient is there for this step"),
            Step(place(backward.at), "the gradients are computed only here"),
        ]
        return self.finding(place(clear.at), message, story, moved(facts, step, backward, behind=True), severity)

    def _report(self, facts: Facts, backward: Event, clear: Event, step: Event, fixes: list[Fix]) -> Finding:
        done = "computed" if backward.kind == "backward" else "was given"
        message = (
            f"{code(facts, clear.at.node)} throws away what {code(facts, backward.at.node)} {done}, before "
            f"{code(facts, step.at.node)} uses it: nothing is learned"
        )
        story = [
            Step(place(backward.at), f"the gradients are {'computed' if done == 'computed' else 'assigned'} here"),
            Step(place(step.at), "they are missing here"),
        ]
        return self.finding(place(clear.at), message, story, fixes)

    def _of_unknown(self, facts: Facts) -> Iterator[Finding]:
        """A function that is given the optimizer, or the model: what they are, only their names tell."""
        seen: set[ast.AST] = set()
        networks, several = set(facts.each(networks_differentiated)), _stepping_several(facts)
        for number, clear in facts.numbered(*CLEARS):
            of_network = clear.value in networks and outermost(clear) not in several
            if clear.at.node in seen or not (is_vague_optimizer(clear) or of_network):
                continue
            end, made = _next_step(facts, number, clear)
            step = facts.events[end] if end else None
            if step is None or not is_on_the_way(clear.path, step.path):
                continue
            before, after = _nearest(facts.events[:number][::-1], clear), _nearest(facts.events[end + 1 :], clear)
            name = facts.segment(receiver_of(clear.at.node) or clear.at.node)
            if before is not None and not made:
                message = f"throws away what {code(facts, before.at.node)} computed, before the step uses it"
                story = [Step(place(before.at), "the gradients are computed here")]
                fixes = moved(facts, clear, before, behind=False)
            elif (
                after is not None
                and rounds_of(after.path) == rounds_of(step.path)  # or it is done once, for schedules that want a step
                and all(_goes_into(result, after) for result in made[-1:])
            ):
                message = f"is followed by the step, and {code(facts, after.at.node)} comes only then"
                story = [Step(place(after.at), "the gradients are computed only here")]
                fixes = moved(facts, step, after, behind=True)
            else:
                continue
            seen.add(clear.at.node)
            condition = if_it_is_one(clear, name)
            if of_network:
                condition = f"if {code(facts, step.at.node)} is that of its optimizer, "
            message = f"{condition}{code(facts, clear.at.node)} {message}: nothing is learned"
            story.append(Step(place(step.at), "no gradient is there for this step"))
            yield self.finding(place(clear.at), message, story, fixes, Severity.INFORMATION)

    def _of_parts(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """Accumulation: the step comes now and then, and the clearing in every round."""
        for step in order.moments:
            if step.event.kind != "step" or step.tensors is None or not rounds_of(step.event.path):
                continue
            before = (
                m
                for m in order.before(step, step.tensors)
                if (m.tensors is None or m.tensors & step.tensors)
                and not (m.kind == "read" and is_on_the_way(step.event.path, m.event.path))  # clipping, say
            )
            backward, clear = next(before, None), next(before, None)
            if backward is None or backward.kind != "backward" or clear is None or clear.kind != "clear":
                continue
            now_and_then = is_every_so_often(facts, step.event)
            if now_and_then and _is_in_the_rounds_of(facts, clear.event, backward.event, step.event):
                yield self._report_parts(facts, clear.event, backward.event, step.event)
                continue
            if rounds_of(clear.event.path) != rounds_of(step.event.path) and not (
                now_and_then and _is_of_last_round(clear.event, step.event)
            ):
                continue
            if not is_divided(backward.event) and not now_and_then:
                continue
            plain = is_on_the_way(clear.event.path, backward.event.path) and is_on_the_way(
                backward.event.path, clear.event.path
            )
            if plain and not is_on_the_way(step.event.path, clear.event.path, whichever=True):
                yield self._report_parts(facts, clear.event, backward.event, step.event)

    def _of_terms(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """A backward of which all is cleared in another function, and another one before the step: what computes a
        gradient for an attack clears what the loss left, too."""
        if any(True for name in _WATCHING for _ in facts.called(name)):
            return
        for fate in fates(facts, used=False):
            first, clear = fate.events[0], fate.cleared
            if clear is None or not fate.thrown.issuperset(_wanted(first)) or clear.kind != "zero-grad":
                continue
            if first.hides:
                continue  # It may be the gradient of something else that is wanted.
            if clear.calls == first.calls and not rounds_of(first.path):
                continue  # Who writes both means to throw it away: the first pass warms up, say.
            later = [moment for moment in order.moments if moment.event.clock > clear.clock]
            again = next((m for m in later if m.kind == "backward"), None)
            step = next((m for m in later if m.kind == "step"), None)
            if again is None or step is None or again.number > step.number or step.event.kind != "step":
                continue
            if not step.tensors or not fate.thrown & step.tensors or not again.tensors:
                continue
            if clear.calls == first.calls and _is_same(first, again.event):
                continue
            if all(rounds_of(one.path) == rounds_of(first.path) for one in (clear, again.event, step.event)):
                yield self._report_term(facts, first, clear, again.event, step.event)

    def _report_term(self, facts: Facts, backward: Event, clear: Event, again: Event, step: Event) -> Finding:
        """Within one function somebody may mean it, to measure time in a loop, say: that is information."""
        message = (
            f"{code(facts, clear.at.node)} throws away all that {code(facts, backward.at.node)} computed: what "
            f"{code(facts, step.at.node)} applies is only what {code(facts, again.at.node)} computes afterwards"
        )
        story = [
            Step(place(backward.at), "these gradients are used by nobody"),
            Step(place(again.at), "others are computed here"),
            Step(place(step.at), "only these are applied"),
        ]
        severity = Severity.INFORMATION if clear.calls == backward.calls else self.severity
        before = (event for event in facts.of("zero-grad") if event.value is clear.value and event.calls == clear.calls)
        together = clear.calls == backward.calls == again.calls and any(e.clock < backward.clock for e in before)
        fixes = deleted(facts, clear) if together else []
        return self.finding(place(clear.at), message, story, fixes, severity)

    def _report_inner(self, facts: Facts, clear: Event, backward: Event, step: Event, is_certain: bool) -> Finding:
        name = facts.segment(receiver_of(clear.at.node) or clear.at.node)
        message = (
            f"{'' if is_certain else if_it_is_one(clear, name)}{code(facts, clear.at.node)} runs in every round of "
            f"this loop, and {code(facts, step.at.node)} only behind it: of all that the rounds compute, the step gets "
            "what the last one leaves. Step in each round, or clear before the loop, so that the gradients add up"
        )
        story = [
            Step(place(backward.at), "each round's gradients are computed here"),
            Step(place(step.at), "only the last round's are left here"),
        ]
        return self.finding(place(clear.at), message, story, (), None if is_certain else Severity.INFORMATION)

    def _report_parts(self, facts: Facts, clear: Event, backward: Event, step: Event) -> Finding:
        stepped = code(facts, step.at.node)
        when = f"runs in every round, and {stepped} only in some"
        if not is_on_the_way(clear.path, backward.path):
            when = f"comes before {code(facts, backward.at.node)} in the very rounds that end in {stepped}"
        message = (
            f"{code(facts, clear.at.node)} {when}: what the rounds in between computed is thrown away. If they are to "
            "add up, clear only after a step"
        )
        story = [
            Step(place(backward.at), "each round's gradients are added here"),
            Step(place(step.at), "only the last round's are left here"),
        ]
        return self.finding(place(clear.at), message, story, cleared_behind(facts, clear, step), Severity.INFORMATION)


def _put_right(facts: Facts, clear: Event, backward: Event, step: Event) -> list[Fix]:
    """Clear before a backward of the same round; step behind one of the round before. What an inner loop computes may
    be for another optimizer."""
    if rounds_of(clear.path) == rounds_of(backward.path):
        return moved(facts, clear, backward, behind=False)
    at = facts.source.span
    is_early = backward.at.source is facts.source and at(step.at.node) < at(backward.at.node)
    return moved(facts, step, backward, behind=True) if is_early else []


_WATCHING = ("register_hook", "retain_grad", "register_full_backward_hook", "register_backward_hook")
"""With these a gradient is looked at on its way."""


def _is_same(first: Event, again: Event) -> bool:
    """Are both losses computed by the same code? The first may be there to measure something."""
    one, other = (event.node.at if event.node is not None else None for event in (first, again))
    return one is None or other is None or ast.dump(one.node) == ast.dump(other.node)


def _wanted(backward: Event) -> set[Tensor]:
    """The leaves that a backward gives a gradient."""
    return {leaf for leaf in backward.reached if leaf.requires_grad}


def _is_of_last_round(clear: Event, step: Event) -> bool:
    """Does something happen in the round before, of the very loop in which an optimizer steps?"""
    one, other = rounds_of(clear.path), rounds_of(step.path)
    return bool(one) and other[:-1] == one and one[-1].loop is other[-1].loop


def _is_in_the_rounds_of(facts: Facts, clear: Event, backward: Event, step: Event) -> bool:
    """Do clearing and step happen in the same rounds of a loop, and a backward between them in others, too?"""
    more = is_on_the_way(backward.path, clear.path) and not is_on_the_way(clear.path, backward.path)
    if not more or not rounds_of(clear.path) == rounds_of(backward.path) == rounds_of(step.path):
        return False
    one, other = (_branch(facts, event) for event in (clear, step))
    if one is None or other is None or ast.dump(one.test) != ast.dump(other.test):
        return False
    # What the tests ask about is the same if nothing in the loop changes it, and nothing is called.
    loop = facts.source.parent(one)
    asked = {part.id for part in ast.walk(one.test) if isinstance(part, ast.Name)}
    within = [part for statement in getattr(loop, "body", ()) for part in ast.walk(statement)]
    bound = {part.id for part in within if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    calls = any(isinstance(part, (ast.Call, ast.Await, ast.NamedExpr)) for part in ast.walk(one.test))
    return loop is facts.source.parent(other) and asked.isdisjoint(bound) and not calls


def _branch(facts: Facts, event: Event) -> ast.If | None:
    """The `if` without any other branch that something stands in, right in the body of a loop."""
    statement = facts.statement(event.at.node)
    above = facts.source.parent(statement) if statement is not None and event.at.source is facts.source else None
    plain = isinstance(above, ast.If) and any(part is statement for part in above.body)
    return above if plain and isinstance(facts.source.parent(above), (ast.For, ast.While)) else None  # type: ignore[arg-type, return-value]


def _stepping_several(facts: Facts) -> set[object]:
    """The functions that step several optimizers, one of which may have the parameters of a model, and others not."""
    first: dict[object, Value | None] = {}
    return {
        outermost(event)
        for event in facts.of(*STEPS)
        if first.setdefault(outermost(event), event.value) is not event.value
    }


def _next_step(facts: Facts, number: int, clear: Event) -> tuple[int, list[Value]]:
    """The number of the step of the same optimizer that follows an event, or of any if a model is cleared, 0 if
    gradients may be computed before it, and what unknown code made in between."""
    made: dict[ast.AST, Value] = {}
    of_model = not is_vague_optimizer(clear)
    for later, event in enumerate(facts.events[number + 1 :], number + 1):
        if event.kind in STEPS and (event.value is clear.value or (of_model and is_vague_optimizer(event))):
            near = event.calls == clear.calls and rounds_of(event.path) == rounds_of(clear.path)
            made.pop(event.at.node, None)
            return (later if near else 0), list(made.values())
        if event.kind in ("backward", "grad-call", "grad-set", "unknown-zero-grad", "zero-grad"):
            return 0, []
        if event.kind == "return" and event.calls == clear.calls:
            return 0, []
        if event.kind == "unknown-attribute-set" and event.name == "grad":
            return 0, []
        if event.kind == "unknown-call" and not is_method_of(event, clear.value):
            if clear.value in event.arguments:
                return 0, []
            made[event.at.node] = event.info.get("result") or Host("object")
    return 0, []


def _goes_into(result: Value, backward: Event) -> bool:
    """Is the root of a backward, or is it computed from, what unknown code gave?"""
    if result is backward.value:
        return True
    made = result.fields.get(("node",)) if isinstance(result, Unknown) else None
    return made is not None and backward.node is not None and made in walk(backward.node)


def _nearest(events: Sequence[Event], clear: Event) -> Event | None:
    """The first backward of these events, before anything else is done with the optimizer."""
    for event in events:
        if event.kind == "backward":
            return event if event.calls == clear.calls else None
        if (event.kind in STEPS or event.kind in CLEARS or event.kind == "return") and event.calls == clear.calls:
            return None
    return None


def _clears_all(clear: Moment, backward: Moment, held: frozenset[Tensor]) -> bool:
    """Does it clear every gradient of the optimizer's that the backward filled?"""
    if clear.event.kind != "zero-grad" or clear.tensors is None or backward.tensors is None:
        return False
    return held & backward.tensors <= clear.tensors


def _is_given(moment: Moment) -> bool:
    """Is a gradient assigned, as those are that a transform has computed?"""
    return moment.event.kind == "grad-set" and not is_none(moment.event.assigned)


def _is_certain(clear: Moment, step: Moment) -> bool:
    """Is it cleared whenever it is stepped?"""
    return is_on_the_way(clear.event.path, step.event.path)
