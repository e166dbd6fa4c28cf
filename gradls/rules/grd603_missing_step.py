"""GRD603."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import linearize
from gradls.flow.values import Bound, Class, Host, Instance, Lib, Tensor, Value
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.scopes import mentions
from gradls.rules.statement_fixes import name_of, stepped_behind
from gradls.rules.trained_methods import computing
from gradls.rules.training_order import (
    CLEARS,
    Moment,
    Order,
    if_it_is_one,
    is_given,
    is_handed_out,
    is_vague_optimizer,
    loops_of,
    may_reach_more,
    order_of,
    outermost,
    receiver_of,
    rounds_of,
)
from gradls.rules.words import code, owners, place
from gradls.syntax.walk import walk


class MissingStep(Rule):
    """An optimizer that never takes a step.

    ## What it finds
    An optimizer whose parameters get gradients from a `backward()`, and on which `step()` is called nowhere: neither
    directly nor by a gradient scaler or other code that has it. As information, one that is cleared in each round of a
    loop, or each call of a function that nobody in the file calls, and that is given, or kept where others may step it;
    and one that is cleared in each round, and whose `step()` stands where the program never gets to.
    And a LightningModule with `automatic_optimization = False` whose `training_step` calls no backward at all.

    ## Why it matters
    Gradients alone change nothing: the parameters stay as they were.

    ## What PyTorch does
    Nothing. If a scheduler is stepped instead, it warns

        UserWarning: Detected call of `lr_scheduler.step()` before `optimizer.step()`.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
    assert torch.equal(model.weight, before)
    ```

    ## Use instead
    `step()` after `backward()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert not torch.equal(model.weight, before)
    ```

    ## When it is silent
    Where the gradients are read, as for an update by hand, and where the optimizer is returned, stored or given to
    other code.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    norm = sum(parameter.grad.pow(2).sum() for parameter in model.parameters()) ** 0.5
    assert norm > 0
    ```

    ## Fix safety
    Suggested: it writes `optimizer.step()` behind the `backward()`, and behind what clips the gradients, under the name
    that the optimizer has there.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#taking-an-optimization-step
    """

    code, name, severity = "GRD603", "missing-step", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        order = order_of(facts)
        is_told = False
        for finding in self._of_unknown(facts, order):
            is_told = True
            yield finding
        for event in {event.at.node: event for event in facts.of("no-backward")}.values():
            yield from self._of_manual(facts, event)
        if any(moment.kind == "step" and moment.tensors is None for moment in order.moments):
            return
        if any(facts.of("unknown-grad-read")):
            return  # What is read may be the gradient of any parameter.
        stepped = {moment.event.value for moment in order.moments if moment.kind == "step"}
        # One that another round makes, or another call, may be what is stepped.
        places: dict[ast.AST, list[Event]] = {}
        for one in stepped:
            if one in order.made:
                places.setdefault(order.made[one].at.node, []).append(order.made[one])
        for optimizer, made in order.made.items():
            others = places.get(made.at.node, ())
            if (
                not all(_is_element_beside(facts, made, other) for other in others)
                or is_handed_out(facts, optimizer)
                or optimizer.fields.get("*escaped")
            ):
                continue
            if made.at.source is not facts.source and _is_stepped_by_its_owner(facts, optimizer):
                continue
            first = facts.events.index(made)
            backward = _backward(order, optimizer, first)
            if backward is not None:
                yield self._report(facts, made, optimizer, backward)
                continue
            cleared = _only_cleared(facts, order, optimizer, first)
            if cleared is not None and not made.open and not made.strange and made.at.source is facts.source:
                yield self._report_cleared(facts, optimizer, cleared)
            backward = _backward_of_more(order, optimizer, first)
            if backward is None or backward.at.source is not facts.source or is_told:
                continue
            if not _are_apart(made, backward):
                yield self._report_idle(facts, made, optimizer, backward)

    def _report(self, facts: Facts, made: Event, optimizer: Instance, backward: Event) -> Finding:
        name = optimizer.name or "the optimizer"
        who = owners(tensor for tensor in made.parameters if tensor in backward.reached)
        message = f"`{name}.step()` is never called: gradients are computed for {who}, and never applied"
        if _is_element(facts, made):
            # Its name is that of the last one of a loop over all of them.
            message = f"nothing calls the `step()` of the optimizer of {who}: the gradients are never applied"
            return self.finding(place(backward.at), message, [Step(place(made.at), "these optimizers are made here")])
        story = [Step(place(made.at), "the optimizer is made here")]
        scheduler = next((event for event in facts.of("scheduler-step") if _scheduled(event.value) is optimizer), None)
        if scheduler is not None:
            story.append(Step(place(scheduler.at), "this steps the learning rate, not the parameters"))
        called = name_of(facts, optimizer, place(backward.at))
        fixes = stepped_behind(facts, backward, called) if called else []
        return self.finding(place(backward.at), message, story, fixes)

    def _report_idle(self, facts: Facts, made: Event, optimizer: Instance, backward: Event) -> Finding:
        """What the backward reaches is not all known, and the optimizer is there for nothing else."""
        name = optimizer.name or "the optimizer"
        message = f"`{name}.step()` is never called: whatever gradients this computes for it are never applied"
        story = [Step(place(made.at), "the optimizer is made here")]
        return self.finding(place(backward.at), message, story, severity=Severity.INFORMATION)

    def _report_cleared(self, facts: Facts, optimizer: Instance, cleared: Event) -> Finding:
        """An optimizer whose step no branch that is taken gets to."""
        name = facts.segment(receiver_of(cleared.at.node) or cleared.at.node)
        steps = (facts.parent(part) for part in facts.reads("step") if facts.segment(part.value) == name)
        never = [Place(facts.source, step) for step in steps if isinstance(step, ast.Call) and step not in facts.calls]
        what = "the program never gets to" if never else "nothing calls"
        message = (
            f"{code(facts, cleared.at.node)} clears gradients in each round, and {what} `{name}.step()`: nothing is "
            "trained"
        )
        story = [Step(one, "nothing gets here: no test that leads to it is ever true") for one in never[:1]]
        return self.finding(place(cleared.at), message, story, severity=Severity.INFORMATION)

    def _of_manual(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """A method that is to do what its trainer leaves to it, and only computes."""
        method = computing(facts, event)
        if method is not None:
            message = (
                f"`{method.name}` calls no `self.manual_backward(loss)` and steps no optimizer, and its trainer leaves "
                "both to it, for `automatic_optimization` is False: nothing is trained"
            )
            yield self.finding(method.last, message)

    def _of_unknown(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """An optimizer that is given, or that others may have, too: its gradients are cleared and filled again in each
        round of a loop, or each call of a function that nobody here calls."""
        seen: set[ast.AST] = set()
        stepped = {id(moment.event.value) for moment in order.moments if moment.kind == "step"}
        for moment in order.moments:
            clear = moment.event
            if clear.kind not in CLEARS or clear.at.node in seen or not _is_of_others(facts, order, clear):
                continue
            inside = order.together(clear)
            backwards = [m for m in inside if m.kind == "backward"]
            backward = next((m.event for m in backwards if m.number > moment.number), None)
            if backward is None or any(_may_be_used(order, m, clear) for m in inside) or _has_others(facts, clear):
                continue
            if id(clear.value) in stepped:
                continue
            if clear.at.source is not facts.source:
                continue
            if not loops_of(clear.path) and (_may_be_closure(facts, clear) or _is_looked_at(facts, backwards[-1])):
                continue
            seen.add(clear.at.node)
            name = facts.segment(receiver_of(clear.at.node) or clear.at.node)
            again = "in the next round" if loops_of(clear.path) else "in the next call, unless the caller does"
            message = (
                f"{if_it_is_one(clear, name)}nothing applies the gradients of this `backward()` before "
                f"`{name}.zero_grad()` clears them {again}; call `{name}.step()` after it"
            )
            story = [Step(place(clear.at), "they are cleared here")]
            together = facts.function(backward.at.node) is facts.function(clear.at.node)
            fixes = stepped_behind(facts, backward, name) if together else []
            yield self.finding(place(backward.at), message, story, fixes, Severity.INFORMATION)


def _are_apart(made: Event, backward: Event) -> bool:
    """Do they stand in two functions that nobody here calls, and that have no object in common?"""
    one, other = outermost(made), outermost(backward)
    if one is None or other is None or one is other:
        return False
    return one.owner is None and other.owner is None


def _is_looked_at(facts: Facts, backward: Moment) -> bool:
    """Are gradients read after a backward in a function, or does unknown code get what may have some?"""
    function = outermost(backward.event)
    return any(
        index > backward.number
        and outermost(event) is function
        and (
            event.kind == "unknown-grad-read" or any(not isinstance(given, (Host, Tensor)) for given in event.arguments)
        )
        for index, event in facts.numbered("unknown-call", "unknown-grad-read")
    )


def _may_be_closure(facts: Facts, clear: Event) -> bool:
    """May the function that nobody calls be what an optimizer calls in its step?"""
    function = outermost(clear)
    if function is None:
        return False
    if facts.function(function.written.node) is not None:
        return True
    callers = ((part, facts.source.parent(part)) for part in mentions(facts.source, function.name))
    return any(not isinstance(caller, ast.Call) or caller.func is not part for part, caller in callers)


def _may_be_used(order: Order, moment: Moment, clear: Event) -> bool:
    """May the gradients that are cleared be applied, or read by hand?"""
    if moment.kind == "read" or moment.event.value is clear.value:
        return moment.kind in ("read", "step")
    held = frozenset(order.parameters.get(clear.value, ())) if isinstance(clear.value, Instance) else frozenset()
    return moment.kind == "step" and (moment.tensors is None or not moment.tensors.isdisjoint(held))


def _has_others(facts: Facts, clear: Event) -> bool:
    """May unknown code step the optimizer, or something near that sounds as if it did, or that does without?"""
    if is_given(facts, clear.value):
        return True
    function = outermost(clear)
    if function is not None and any(_hooks(part) for part in walk(function.written.node)):
        return True  # The gradients are for what hangs on the model.
    near = (ast.For, ast.While, ast.FunctionDef, ast.AsyncFunctionDef)
    around = next((outer for outer in facts.parents(clear.at.node) if isinstance(outer, near)), None)
    for part in walk(around) if around is not None else ():
        if isinstance(part, ast.Attribute) and part.attr == "grad" and not _is_called(facts, part):
            return True
        if isinstance(part, ast.Call) and _sounds_like_it(part) and not _is_of_library(facts, part):
            return True
    return False


def _hooks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and "hook" in getattr(node.func, "attr", getattr(node.func, "id", ""))


_HARMLESS = frozenset((
    "zero_grad", "no_grad", "enable_grad", "set_grad_enabled", "requires_grad_", "clip_grad_norm_", "clip_grad_value_",
))  # fmt: skip


def _sounds_like_it(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return "step" in name or ("grad" in name and name not in _HARMLESS)


def _is_called(facts: Facts, function: ast.Attribute) -> bool:
    caller = facts.parent(function)
    return isinstance(caller, ast.Call) and caller.func is function


def _is_of_library(facts: Facts, call: ast.Call) -> bool:
    """Is this certainly a function of the library, or a method of an object of it, such as another optimizer, or of a
    scheduler?"""
    records = facts.evaluations(call)
    return bool(records) and all(_of_library(function) for function, _, _ in records)


def _of_library(function: Value) -> bool:
    if not isinstance(function, Bound):
        return isinstance(function, Lib)
    receiver = function.receiver
    if not isinstance(receiver, Instance):
        return False
    return isinstance(receiver.cls, Lib) or any(
        isinstance(base, Lib) and base.path.startswith("torch.optim.lr_scheduler.") for base in linearize(receiver.cls)
    )


def _is_of_others(facts: Facts, order: Order, clear: Event) -> bool:
    """Is an optimizer cleared of which not all is known, or that others have?"""
    if is_vague_optimizer(clear):
        return True
    return isinstance(clear.value, Instance) and clear.value in order.made and is_handed_out(facts, clear.value)


def _scheduled(scheduler: object) -> object:
    return scheduler.fields.get("optimizer") if isinstance(scheduler, Instance) else None


def _is_stepped_by_its_owner(facts: Facts, optimizer: Instance) -> bool:
    """Has the object that keeps an optimizer a method that steps it? That it is not called here is no mistake."""
    holders = [event for event in facts.of("attribute-set") if event.assigned is optimizer]
    return any(
        isinstance(event.value, Instance)
        and isinstance(event.value.cls, Class)
        and any(
            isinstance(base, Class) and event.name in base.source.once(_stepped_in, base.node)
            for base in linearize(event.value.cls)
        )
        for event in holders
    )


def _stepped_in(cls: ast.AST) -> frozenset[str]:
    """The names of attributes, of whatever object, of which the methods of a class call `step`."""
    return frozenset(
        node.func.value.attr
        for node in walk(cls)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "step"
        and isinstance(node.func.value, ast.Attribute)
    )


def _is_element_beside(facts: Facts, made: Event, other: Event) -> bool:
    """Are both elements of what one comprehension makes? Then they are not the same."""
    if made is other or rounds_of(made.path) != rounds_of(other.path) or made.calls != other.calls:
        return False
    return _is_element(facts, made)


def _is_element(facts: Facts, made: Event) -> bool:
    return any(isinstance(part, (ast.ListComp, ast.DictComp, ast.GeneratorExp)) for part in facts.parents(made.at.node))


def _backward(order: Order, optimizer: Instance, made: int) -> Event | None:
    """The first backward after the event number `made` that fills gradients of an optimizer, if nobody reads them or
    writes to them by hand."""
    held = frozenset(order.parameters.get(optimizer, ()))
    found = None
    for moment in order.moments:
        if moment.kind == "backward" and moment.tensors is None:
            return None
        if moment.tensors is None or not moment.tensors & held or moment.number < made:
            continue
        if moment.kind == "backward":
            found = found or moment.event
        elif moment.event.kind != "zero-grad":
            return None
    return found


def _only_cleared(facts: Facts, order: Order, optimizer: Instance, made: int) -> Event | None:
    """What clears an optimizer in each round of a loop, if nothing computes, reads or applies a gradient of it."""
    moments = list(order.behind(made, frozenset(order.parameters.get(optimizer, ()))))
    cleared = [moment.event for moment in moments if moment.event.kind == "zero-grad"]
    if facts.unfinished or len(cleared) < len(moments):
        return None
    found = (one for one in cleared if one.value is optimizer and loops_of(one.path) and one.at.source is facts.source)
    return next(found, None)


def _backward_of_more(order: Order, optimizer: Instance, made: int) -> Event | None:
    """The first backward after the event number `made` of which not all is known that it fills, if nobody reads
    gradients or writes to them by hand."""
    after = [moment for moment in order.moments if moment.number > made]
    if any(m.kind == "read" or (m.kind == "clear" and m.event.kind not in CLEARS) for m in after):
        return None
    steps = any(m.kind == "step" and m.tensors != frozenset() for m in after)
    backwards = [m.event for m in after if may_reach_more(m)]
    return backwards[0] if backwards and not steps else None
