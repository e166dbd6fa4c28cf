"""GRD705."""

import ast
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from gradls.autograd.modules import find_module
from gradls.flow.facts import Event, Facts
from gradls.flow.values import Instance, Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.mode_fixes import training_again
from gradls.rules.mode_switches import first_after, last_before, switches_of, unknown_parts
from gradls.rules.modes_of_rounds import Untrained, evaluated_twice, is_of_one_round
from gradls.rules.registration import leaves_of
from gradls.rules.rule import Rule
from gradls.rules.training_order import Moment, Order, loops_of, order_of
from gradls.rules.words import code, place


class EvalModeLeftOn(Rule):
    """A model that stays in evaluation mode after a validation in the middle of training.

    ## What it finds
    `model.eval()` in a training loop, directly or in a function that the loop calls, with no `model.train()` before the
    next round trains the same model again. As information, a loop that calls `model.eval()` before each training and
    again behind it, where nothing calls `model.train()`: one of the two was meant to be that.

    ## Why it matters
    From the second round on, dropout does nothing and batch normalization uses its running statistics instead of those
    of the batch, and does not update them. The model trains differently from how it began.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


    def validate():
        model.eval()
        with torch.no_grad():
            return model(torch.randn(8, 3)).mean().item()


    modes = []
    model.train()
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        modes.append(model.training)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        validate()
    assert modes == [True, False, False]
    ```

    ## Use instead
    `model.train()` at the beginning of each round, or after the validation.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


    def validate():
        model.eval()
        with torch.no_grad():
            return model(torch.randn(8, 3)).mean().item()


    for _ in range(3):
        model.train()
        loss = model(torch.randn(8, 3)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        validate()
    assert not model.training
    ```

    ## When it is silent
    For models that are put into evaluation mode once, in the beginning, and for models without dropout and batch
    normalization.
    For gradients that no step applies, such as those of an attack on the inputs.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1)).eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert not model.training
    ```

    ## Fix safety
    Suggested: it writes `model.train()` at the beginning of each round of the loop that trains and validates, or of the
    function that trains, under the name that the model has there.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.train
    """

    code, name, severity = "GRD705", "eval-mode-left-on", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        twice = list(evaluated_twice(facts))
        switched = {found.event.value for found in twice}
        for number, event in facts.numbered("train-mode"):
            if event.mode is False and isinstance(event.value, Instance):
                trained = self._trained_after(facts, number, event)
                if trained is not None and any(_depends_on_mode(module) for module in event.modules):
                    yield self._report(facts, event, trained)
                elif trained is not None and _has_unknown_parts(facts, event.modules):
                    yield self._report_unknown(facts, event, trained)
                elif (
                    trained is None
                    and event.value not in switched
                    and any(_depends_on_mode(module) for module in event.modules)
                ):
                    yield from self._from_the_first(facts, number, event)
        yield from self._of_unknown(facts)
        for found in twice:
            modules = found.event.info.get("modules", ())
            known = any(_depends_on_mode(module) for module in modules)
            if known or not modules or found.event.open:
                yield self._report_twice(facts, found, known)

    def _of_unknown(self, facts: Facts) -> Iterable[Finding]:
        """A function that is given the model: whether it depends on the mode is not known."""
        told: set[ast.AST] = set()
        for number, event in facts.numbered("unknown-train-mode"):
            if event.mode is not False or event.at.node in told:
                continue
            trained = _trained_unknown(facts, number, event)
            if trained is not None and not is_of_one_round(facts, event):
                told.add(event.at.node)
                yield self._report_unknown(facts, event, trained)

    def _report_unknown(self, facts: Facts, event: Event, trained: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} is not undone before the next round trains the model: if it has dropout or "
            "batch normalization, they are in evaluation mode from then on; call `train()`"
        )
        story = [Step(place(trained.at), "this trains it in evaluation mode")]
        fixes = training_again(facts, event, trained)
        return self.finding(place(event.at), message, story, fixes, Severity.INFORMATION)

    def _report(self, facts: Facts, event: Event, trained: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} is not undone before the next round trains the model: from then on "
            "dropout and batch normalization are in evaluation mode; call `train()`"
        )
        story = [Step(place(trained.at), "this trains it in evaluation mode")]
        return self.finding(place(event.at), message, story, training_again(facts, event, trained))

    def _from_the_first(self, facts: Facts, number: int, event: Event) -> Iterator[Finding]:
        """What is called in each round before the model is trained, an attack on it perhaps, puts it into evaluation
        mode, and nothing ever calls `train()`."""
        assert isinstance(event.value, Instance)
        leaves: frozenset[Tensor] = frozenset(leaves_of(event.value))
        if any(other.mode is not False for _, other in switches_of(facts).about(event)):
            return
        around = {function.node for _, function in event.callers()}
        for moment in order_of(facts).behind(number, leaves):
            other = moment.event
            if moment.kind != "backward" or other.node is None or not other.reached & leaves:
                continue
            if not loops_of(event.path) & loops_of(other.path):
                return
            if not around - {function.node for _, function in other.callers()}:
                continue  # It is of what is called, as the gradient for an attack is.
            if _is_applied(facts, moment.number, other.reached & leaves):
                yield self._report_first(facts, event, other)
            return

    def _report_first(self, facts: Facts, event: Event, trained: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} is not undone before {code(facts, trained.at.node)}, and nothing calls "
            "`train()`: dropout and batch normalization are in evaluation mode whenever the model is trained"
        )
        story = [Step(place(trained.at), "this trains it in evaluation mode")]
        return self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def _report_twice(self, facts: Facts, found: Untrained, known: bool) -> Finding:
        layers = (
            "its dropout and batch normalization are" if known else "if it has dropout or batch normalization, they are"
        )
        message = (
            f"{code(facts, found.event.at.node)} comes before {code(facts, found.backward.at.node)} as well as behind "
            f"it, and nothing calls `train()`: {layers} in evaluation mode whenever the model is trained"
        )
        story = [
            Step(place(found.backward.at), "this trains it in evaluation mode"),
            Step(place(found.again.at), "this puts it into the mode that it is in already"),
        ]
        return self.finding(place(found.event.at), message, story, severity=Severity.INFORMATION)

    def _trained_after(self, facts: Facts, number: int, event: Event) -> Event | None:
        """A backward that trains the model in evaluation mode, and trained it in training mode in an earlier round."""
        assert isinstance(event.value, Instance)
        if _was_off(facts, number, event.value):
            return None
        leaves: frozenset[Tensor] = frozenset(leaves_of(event.value))
        before: dict[ast.AST, list[Event]] = {}
        switches = switches_of(facts).about(event)
        on = next((one for one, switch in switches if one > number and switch.mode is not False), len(facts.events))
        for moment in order_of(facts).about(leaves):
            other = moment.event
            if moment.kind != "backward" or other.node is None or not other.reached & leaves:
                continue
            if moment.number < number:
                if not _was_off(facts, moment.number, event.value):
                    before.setdefault(other.at.node, []).append(other)
                continue
            if moment.number > on:
                return None
            again = any(loops_of(one.path) & loops_of(other.path) for one in before.get(other.at.node, ()))
            if again and _is_applied(facts, moment.number, other.reached & leaves):
                return other
        return None


def _trained_unknown(facts: Facts, number: int, event: Event) -> Event | None:
    """The backward of a later round, of something that the model computed, with no call of `train()` before it."""
    switches = switches_of(facts)
    calls = switches.computed_with(event.value)
    after = bisect_right(calls, number)
    # It was called before, and is again behind this, before anything puts it back into training mode.
    if not 0 < after < len(calls) or _was_off_unknown(facts, number, event, in_doubt=True):
        return None
    on = first_after(number, switches.of_any_unknown)
    for moment in order_of(facts).between(calls[after], on[0] if on is not None else len(facts.events)):
        if moment.kind == "backward" and _is_applied(facts, moment.number):
            return moment.event if _was_trained(facts, number, event, moment.event) else None
    return None


def _was_trained(facts: Facts, number: int, event: Event, backward: Event) -> bool:
    """Was this backward made in an earlier round, before the event with this number, and not in evaluation mode?"""
    loops = loops_of(backward.path)
    moments = (moment for loop in loops for moment in order_of(facts).in_loops.get(loop, ()))
    return any(
        moment.kind == "backward"
        and moment.number < number
        and moment.event.at.node is backward.at.node
        and moment.event.alone is event.alone
        and not _was_off_unknown(facts, moment.number, event)
        for moment in moments
    )


def _is_applied(facts: Facts, number: int, leaves: frozenset[Tensor] | None = None) -> bool:
    """Does something train with the gradients that the backward with this number fills, of `leaves` if these are known,
    before they are cleared? Those of an attack, or of a map of what the model looks at, are for the input only."""
    order = order_of(facts)
    for moment in order.between(number, len(facts.events)) if leaves is None else order.behind(number, leaves):
        if moment.kind in ("step", "clear", "read") and (leaves is not None or not _is_of_others(order, moment)):
            return moment.kind != "clear"
    return not order.has_steps


def _is_of_others(order: Order, moment: Moment) -> bool:
    """Is it about tensors that are known, and that no unknown model has: an input of which the gradient is read, or
    what an optimizer was given that has nothing else?"""
    if moment.tensors is None or moment.kind == "clear":
        return False
    if moment.kind == "read":
        return not any(tensor.is_parameter for tensor in moment.tensors)
    made = order.made.get(moment.event.value) if isinstance(moment.event.value, Instance) else None
    return bool(moment.tensors) and made is not None and not made.open


def _was_off_unknown(facts: Facts, number: int, event: Event, *, in_doubt: bool = False) -> bool:
    """Was an unknown model in evaluation mode already, by an earlier call? Whatever puts a model of which nothing is
    known into training mode may have done so with this one. `in_doubt`: what if the mode of that call is not known?"""
    switches = switches_of(facts)
    off = last_before(number, [one for one in switches.about(event) if one[1].mode is False])
    on = last_before(number, switches.of_any_unknown)
    if off is not None and (on is None or off[0] > on[0]):
        return True
    return in_doubt and on is not None and on[1].mode is not True


def _was_off(facts: Facts, number: int, model: Instance) -> bool:
    """Was the model in evaluation mode already, by an earlier call?"""
    switch = last_before(number, switches_of(facts).of_part(model))
    return switch is not None and switch[1].mode is not True


def _has_unknown_parts(facts: Facts, modules: list[Instance]) -> bool:
    """Do they call something of theirs of which nothing is known, such as a model of another library?"""
    return not switches_of(facts).called.isdisjoint(unknown_parts(modules))


def _depends_on_mode(module: Instance) -> bool:
    spec = find_module(module.path)
    if spec is None:
        return False
    return spec.kind == "dropout" or (spec.kind == "norm" and any(name.startswith("running") for name in spec.buffers))
