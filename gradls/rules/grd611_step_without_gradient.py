"""GRD611."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.lost import Lost, lost_gradients, never_reached
from gradls.flow.reach import leaves
from gradls.flow.values import Function, Instance, Tensor, Value
from gradls.rules import edits
from gradls.rules.backward_fixes import differentiated
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.forgotten_backward import Empty, empty_steps, may_differentiate
from gradls.rules.frozen_unknown import are_changed
from gradls.rules.lost_gradient import is_meant
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import moved
from gradls.rules.training_order import Moment, Order, is_handed_out, loops_of, order_of
from gradls.rules.words import code, owners, place


class StepWithoutGradient(Rule):
    """An optimizer that steps while its parameters have no gradient.

    ## What it finds
    `step()` where the gradients were computed with `torch.autograd.grad`, which returns them and fills no `grad`; and
    `step()` that comes before the only `backward()`, or whose parameters no `backward()` reaches at all: the parameters
    of a model of which only a deep copy was trained. `step()` beside a model that is called, without any `backward()`,
    and of an optimizer that holds nothing but frozen parameters, or copies that were detached from them. And an
    optimizer that calls its closure several times in a step, LBFGS, with one that calls no `backward()`: every time it
    takes the same gradients for new ones. As an error, an `optimizer_step` of a LightningModule that leaves out the
    closure, which would compute them.

    ## Why it matters
    An optimizer passes over parameters whose `grad` is None. Nothing is learned.

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
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        optimizer.step()
    assert torch.equal(model.weight, before)
    ```

    ```python
    import copy
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learner = copy.deepcopy(model)
    learner(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert model.weight.grad is None
    ```

    ```python
    import torch

    model, data = torch.nn.Linear(3, 1), torch.randn(8, 3)
    optimizer = torch.optim.LBFGS(model.parameters())
    before = model.weight.clone()
    optimizer.step(lambda: model(data).pow(2).mean())
    assert torch.equal(model.weight, before)
    ```

    ```python
    import torch

    trunk, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([parameter.detach() for parameter in trunk.parameters()], lr=0.1)
    before = trunk.weight.clone()
    head(trunk(torch.randn(8, 3))).pow(2).mean().backward()
    optimizer.step()
    assert torch.equal(trunk.weight, before)
    ```

    ## Use instead
    `backward()`, or put the gradients where the optimizer looks for them.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients):
            parameter.grad = gradient
        optimizer.step()
    assert not torch.equal(model.weight, before)
    ```

    ```python
    import torch

    model, data = torch.nn.Linear(3, 1), torch.randn(8, 3)
    optimizer = torch.optim.LBFGS(model.parameters())
    before = model.weight.clone()

    def closure():
        optimizer.zero_grad()
        loss = model(data).pow(2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert not torch.equal(model.weight, before)
    ```

    ## When it is silent
    Where the gradients may come from elsewhere, and for a first step without gradients before a training loop, which
    some do for a scheduler's sake. For functions that only look at what a scheduler makes of the rate.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    optimizer.step()
    for _ in range(2):
        scheduler.step()
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: `step()` moves behind the `backward()` that comes too late. Where nothing differentiates the loss, a
    `backward()` of the last number before the step that depends on the parameters is written.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    code, name, severity = "GRD611", "step-without-gradient", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        order = order_of(facts)
        told: set[ast.AST] = set()
        for finding in self._of_known(facts, order):
            told.add(finding.place.node)
            yield finding
        yield from facts.each(self._of_closures)
        for empty in empty_steps(facts, order):
            if empty.step.at.node not in told:
                yield self._report_empty(facts, empty)

    def _of_closures(self, facts: Facts) -> Iterator[Finding]:
        """The step of a LightningModule, without what the trainer gives it to compute the gradients with."""
        for event in {event.at.node: event for event in facts.of("closure-left-out")}.values():
            closure = facts.segment(event.closure).partition(":")[0].rstrip()
            message = (
                f"{code(facts, event.at.node)} leaves out `{closure}`, which calls `training_step` and backward: "
                "nothing is computed, the step finds no gradients, and Lightning raises"
            )
            fix = Fix(f"Give it `{closure}`", Safety.SUGGESTED, edits.set_keyword(place(event.at), "closure", closure))
            yield self.finding(place(event.at), message, (), [fix], Severity.ERROR)

    def _of_known(self, facts: Facts, order: Order) -> Iterator[Finding]:
        for optimizer, made in order.made.items():
            held = frozenset(order.parameters.get(optimizer, ()))
            if held and not made.open:
                yield from self._of_frozen(facts, order, optimizer, made)
            yield from self._of_still(facts, order, optimizer, made)
            if not held or made.open or is_handed_out(facts, optimizer) or optimizer.fields.get("*escaped"):
                continue
            mine = [moment for moment in order.about(held) if moment.tensors is None or moment.tensors & held]
            if any(moment.tensors is None for moment in mine):
                continue
            yield from self._of_optimizer(facts, order, optimizer, held, mine)

    def _of_frozen(self, facts: Facts, order: Order, optimizer: Instance, made: Event) -> Iterator[Finding]:
        """All that it holds is frozen, or copies that were detached, whenever it steps."""
        steps = [moment.event for moment in order.steps.get(optimizer, ())]
        if not steps or not all(step.frozen and not step.filled for step in steps) or optimizer.fields.get("*escaped"):
            return
        before = [m.event for m in order.moments if m.kind == "backward"]
        if not before or any(event.requires_grad is False for event in before):
            return  # The loss itself raises, which other rules say.
        step = steps[0]
        if any(not event.reached.isdisjoint(step.parameters) for event in before):
            return  # They were trained before they were frozen.
        if all(isinstance(t, Tensor) and t.node.cut is not None for t in step.parameters):
            why = "all that it holds are copies that were detached from the parameters, not these themselves"
        else:
            why = "nothing that it holds requires grad"
        story = [Step(place(made.at), "the optimizer is made here")]
        freeze = next(
            (e for e in facts.of("requires-grad-set") if e.flag is False and e.value in step.parameters), None
        )
        if freeze is not None:
            story.append(Step(place(freeze.at), "the parameters are frozen here"))
        others = is_handed_out(facts, optimizer)
        message = f"{code(facts, step.at.node)} changes nothing: {why}" + (
            ", unless other code changes that" if others else ""
        )
        yield self.finding(place(step.at), message, story, severity=Severity.INFORMATION if others else None)

    def _of_still(self, facts: Facts, order: Order, optimizer: Instance, made: Event) -> Iterator[Finding]:
        """All that it was given is frozen, and not all is known of it."""
        steps = [moment.event for moment in order.steps.get(optimizer, ())]
        still = bool(steps) and all(step.still for step in steps)
        if facts.unfinished or not (still or (made.still and _thaws_nothing(facts))):
            return
        modules = optimizer.data.get("modules") or ()
        freezes = [e for e in facts.of("unknown-freeze", "freeze") if e.flag is False and _is_among(e, modules)]
        told = {event.at.node for event in freezes}
        if not freezes or any(call not in told for call in facts.each(_freezing)):
            return
        first = steps[0] if steps else made
        if freezes[0].clock < made.clock and are_changed(facts, modules, freezes[0].clock, made.clock):
            return  # It may have got other parameters since.
        what = f"{code(facts, first.at.node)} changes nothing" if steps else "no step changes anything"
        message = (
            f"{what}: all that the optimizer {'holds' if steps else 'is given'} is frozen before, unless other code "
            "has it require grad again"
        )
        story = [
            Step(place(made.at), "the optimizer is made here"),
            Step(place(freezes[0].at), "the parameters are frozen here"),
        ]
        yield self.finding(place(first.at), message, story, severity=Severity.INFORMATION)

    def _of_optimizer(
        self, facts: Facts, order: Order, optimizer: Instance, held: frozenset[Tensor], mine: list[Moment]
    ) -> Iterator[Finding]:
        steps = [moment for moment in mine if moment.kind == "step" and moment.event.value is optimizer]
        filling = [m for m in mine if m.kind == "backward" or (m.kind == "clear" and m.event.kind != "zero-grad")]
        if not steps or any(step.event.closure is not None and not step.event.quiet for step in steps):
            return
        closing = next((step.event for step in steps if step.event.closure is not None), None)
        if closing is not None and optimizer.data.get("searches"):
            yield self._report_closure(facts, closing)
            return
        if not filling:
            computed = next((event for event in facts.of("grad-call") if held & set(_targets(event))), None)
            loss = _forgotten(facts, held, steps[0].event) if computed is None else None
            if computed is not None:
                yield self._report_computed(facts, computed, steps[0].event)
            elif not steps[0].event.alone and held <= never_reached(facts) and not _is_told(facts, held):
                if not _is_for_the_schedule(facts, optimizer, held, steps[0].event):
                    yield self._report_unreached(facts, steps[0].event)
            elif loss is not None:
                yield self._report_forgotten(facts, loss, steps[0].event)
        elif steps[-1].number < filling[0].number and filling[0].kind == "backward":
            yield self._report_early(facts, steps[0].event, filling[0].event)

    def _report_empty(self, facts: Facts, empty: Empty) -> Finding:
        message = (
            f"{code(facts, empty.step.at.node)} finds no gradients, unless something that is called before it computes "
            f"them: nothing that is seen calls `backward()` between {code(facts, empty.clear.at.node)} and this"
        )
        story = [Step(place(empty.called.at), "this is computed, and not differentiated")]
        return self.finding(place(empty.step.at), message, story, severity=Severity.INFORMATION)

    def _report_computed(self, facts: Facts, computed: Event, step: Event) -> Finding:
        who = owners(tensor for tensor in step.parameters if tensor in _targets(computed))
        message = (
            f"{code(facts, step.at.node)} finds no gradients: `torch.autograd.grad` returns them, and does not fill "
            f"`grad` of {who}; use `backward()`, or assign them"
        )
        return self.finding(place(step.at), message, [Step(place(computed.at), "they are computed here")])

    def _report_closure(self, facts: Facts, step: Event) -> Finding:
        message = (
            f"{code(facts, step.at.node)} calls the closure again and again to get new gradients, and nothing in it "
            "calls `backward()`: clear the gradients, compute the loss and call `backward()` there"
        )
        closure = step.closure
        story = [Step(Place(closure.source, closure.node), "the closure")] if isinstance(closure, Function) else []
        return self.finding(place(step.at), message, story)

    def _report_unreached(self, facts: Facts, step: Event) -> Finding:
        who = owners(tensor for tensor in step.parameters if isinstance(tensor, Tensor))
        who = who if "`" in who else "what it holds"
        message = f"{code(facts, step.at.node)} finds no gradients: no backward ever reaches {who}"
        before = [event for event in facts.of("backward") if event.clock < step.clock]
        story = [Step(place(before[-1].at), "the backward before it is of something else")] if before else []
        return self.finding(place(step.at), message, story, differentiated(facts, step))

    def _report_forgotten(self, facts: Facts, loss: Event, step: Event) -> Finding:
        message = (
            f"{code(facts, step.at.node)} finds no gradients: nothing calls `backward()` on what comes of "
            f"{code(facts, loss.at.node)}"
        )
        story = [Step(place(loss.at), "this is computed, and not differentiated")]
        return self.finding(place(step.at), message, story, differentiated(facts, step))

    def _report_early(self, facts: Facts, step: Event, backward: Event) -> Finding:
        message = (
            f"{code(facts, step.at.node)} comes before {code(facts, backward.at.node)}, when there are no "
            "gradients yet: nothing is learned"
        )
        story = [Step(place(backward.at), "they are computed only here")]
        return self.finding(place(step.at), message, story, moved(facts, step, backward, behind=True))


def _is_among(freeze: Event, modules: tuple[Value, ...]) -> bool:
    """Is what is frozen, or a part of it, among the modules of which an optimizer has all parameters?"""
    return freeze.value in modules or any(part in modules for part in freeze.info.get("parts", ()))


def _thaws_nothing(facts: Facts) -> bool:
    """Does the file let nothing require grad that may be a parameter?"""
    found: bool | None = facts.memo.get("thaws nothing")
    if found is None:
        events = facts.of("unknown-freeze", "freeze", "requires-grad-set", "unknown-flag-set")
        found = facts.memo["thaws nothing"] = all(event.flag is False for event in events)
    return found


def _freezing(facts: Facts) -> Iterator[ast.Call]:
    for call in facts.calls:
        name = getattr(call.func, "attr", getattr(call.func, "id", "")).lower()
        if name.startswith("freeze") and not call.args and not call.keywords:
            continue  # It thaws nothing.
        if "freeze" in name or "requires_grad" in name:
            yield call


def _is_told(facts: Facts, held: frozenset[Tensor]) -> bool:
    """Does another rule say what keeps the gradient from these tensors? That another function computes without
    gradients may be right there, for an agent that acts, and wrong to be all that the loss depends on."""
    return any(
        held & set(lost.leaves) and not _is_elsewhere(facts, lost) and is_meant(facts, lost)
        for first in lost_gradients(facts)
        for lost in (first, *first.same)
    )


def _is_elsewhere(facts: Facts, lost: Lost) -> bool:
    cut = lost.cut.cut
    if cut is None or cut.kind != "no_grad" or lost.why == "raises":
        return False
    return facts.function(cut.at.node) is not facts.function(lost.backward.at.node)


def _forgotten(facts: Facts, held: frozenset[Tensor], step: Event) -> Event | None:
    """The call of a module with the optimizer's parameters, in the loop or function of its step, where nothing
    differentiates anything."""
    if any(facts.of("backward", "grad-call", "functional", "unknown-step")):
        return None
    if any(may_differentiate(value) for event in facts.of("unknown-call") for value in event.arguments):
        return None
    kept = facts.of("unknown-attribute-set", "unknown-item-set")
    if any(isinstance(event.assigned, Value) and may_differentiate(event.assigned) for event in kept):
        return None
    for event in facts.of("forward"):
        near = loops_of(event.path) & loops_of(step.path) or event.calls is step.calls
        roots = [part.node for part in tensors_in(event.result) if isinstance(part, Tensor)]
        if near and event.outermost and any(leaf in held for root in roots for leaf in leaves(root)):
            return event
    return None


def _is_for_the_schedule(facts: Facts, optimizer: Instance, held: frozenset[Tensor], step: Event) -> bool:
    """Is the optimizer there for what a scheduler makes of its rate? It steps beside one, and where it does nothing is
    computed with its parameters and nothing is differentiated."""
    schedulers = {event.value for event in facts.of("scheduler-made") if event.optimizer is optimizer}
    if not any(event.value in schedulers for event in facts.of("scheduler-step")):
        return False
    where = step.calls[1] if step.calls is not None else None
    for event in facts.of("backward", "grad-call"):
        if where is None or any(function is where for _, function in event.callers()):
            return False
    roots = [part.node for event in facts.of("forward") for part in tensors_in(event.result) if type(part) is Tensor]
    return not any(leaf in held for root in roots for leaf in leaves(root))


def _targets(event: Event) -> list[Tensor]:
    return [target for target in event.targets if isinstance(target, Tensor)]
