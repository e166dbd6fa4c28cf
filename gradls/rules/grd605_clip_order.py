"""GRD605."""

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor, is_none
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.option_values import Given, given_number
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import all_of, deleted, moved, put, with_comment
from gradls.rules.training_order import (
    Moment,
    Order,
    gradient_of,
    is_every_so_often,
    is_on_the_way,
    is_vague_optimizer,
    order_of,
    outermost,
    rounds_of,
)
from gradls.rules.words import code, place

_RIGHT = "clip between `backward()` and `step()`"


class ClipOrder(Rule):
    """Gradients that are clipped where it has no effect.

    ## What it finds
    `clip_grad_norm_` or `clip_grad_value_` before `backward()` has computed the gradients, after `step()` has used
    them, or in the `training_step` of a LightningModule; and over `parameters()` that something else has gone through
    before, such as the optimizer. As information, clipping behind each `backward()` of several that add up for one
    step. And gradients that are changed in place, by a mask for example, between a `step()` and the `zero_grad()` that
    throws them away; and a limit of 0, which leaves nothing of them.

    ## Why it matters
    The step is taken with the gradients as they are, however large.

    ## What PyTorch does
    Nothing; of an iterator that is used up, it warns

        UserWarning: `parameters` is an empty generator, no gradient clipping will occur.

    ## Example
    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    loss = (100 * weight).sum()
    optimizer.zero_grad()
    torch.nn.utils.clip_grad_norm_([weight], 0.1)
    loss.backward()
    optimizer.step()
    assert weight.item() == -99
    ```

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for _ in range(2):
        loss = (100 * weight).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_([weight], 0.1)
    assert weight.item() == -199
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    parameters = model.parameters()
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    model(torch.randn(8, 3)).sum().backward()
    torch.nn.utils.clip_grad_norm_(parameters, 0.1)  # warns UserWarning: no gradient clipping will occur
    optimizer.step()
    ```

    ```python
    import torch

    weight, mask = torch.ones(2, requires_grad=True), torch.tensor([1.0, 0.0])
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        weight.sum().backward()
        optimizer.step()
        weight.grad.mul_(mask)
    assert weight[1] < 1
    ```

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    (100 * weight).sum().backward()
    torch.nn.utils.clip_grad_norm_([weight], max_norm=0.0)
    optimizer.step()
    assert weight.item() == 1
    ```

    ## Use instead
    Between the two.

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    loss = (100 * weight).sum()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([weight], 0.1)
    optimizer.step()
    assert weight.item() > 0.8
    ```

    ```python
    import torch

    weight, mask = torch.ones(2, requires_grad=True), torch.tensor([1.0, 0.0])
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        weight.sum().backward()
        weight.grad.mul_(mask)
        optimizer.step()
    assert weight[1] == 1
    ```

    ## When it is silent
    Where a `step()` that uses the clipped gradients follows, in any round of a loop, and where it is not certain which
    step that is. Calls that only measure the norm, and use the result, are left alone.

    ```python
    import torch

    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    for number in range(4):
        (100 * weight).sum().backward()
        if number % 2 == 1:
            norm = torch.nn.utils.clip_grad_norm_([weight], 0.1)
            optimizer.step()
            optimizer.zero_grad()
    assert norm > 100
    ```

    ## Fix safety
    Suggested: the statement moves right before the step, where both stand in the same block.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
    """

    code, name, severity = "GRD605", "clip-order", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        if any(facts.each(_gradient_writes)):
            yield from self._of_writes(facts, order_of(facts))
        if not any(facts.of("clip")):
            return
        order = order_of(facts)
        clips: dict[ast.AST, list[_Clip]] = {}
        for number, event in facts.numbered("clip"):
            clips.setdefault(event.at.node, []).append(_clip(facts, order, number, event))
        for found in clips.values():
            limits = {_limit(clip.event) for clip in found}
            used = all(clip.step is not None and clip.after is not None and clip.after.kind == "step" for clip in found)
            chosen = any(isinstance(one, (ast.BoolOp, ast.IfExp)) for one in facts.parents(found[0].event.at.node))
            if used and (limits == {Given(0, False)} or (limits == {Given(0, True)} and not chosen)):
                yield self._to_zero(facts, found[0], limits.pop())
                continue
            trained = _trainers_backward(order, found[0])
            if trained is not None:
                yield self._of_trainer(facts, found[0].event, trained)
                continue
            used_up = next((clip for clip in found if clip.event.exhausted is not None), None)
            if used_up is not None:
                yield self._of_nothing(facts, used_up.event)
            elif all(clip.is_useless for clip in found):
                if _is_of_evaluation(found[-1], clips.values()):
                    continue
                # What stands before it tells most in the last round, when the loop has come around.
                yield from self._report(facts, found[-1])
            else:
                yield from self._of_parts(facts, order, found)

    def _of_parts(self, facts: Facts, order: Order, found: list["_Clip"]) -> Iterator[Finding]:
        """Accumulation: the gradients are clipped behind each backward, and applied in every so many rounds."""
        first = found[0]
        before, after = first.before, first.after
        if before is None or before.kind != "backward" or first.is_guessed or _is_used(facts, first.event):
            return
        if after is None or after.kind != "step" or not is_every_so_often(facts, after.event):
            return
        inner = rounds_of(first.event.path)
        if not inner or inner != rounds_of(before.event.path) or inner != rounds_of(after.event.path):
            return
        if is_on_the_way(after.event.path, first.event.path):
            return
        held = set(first.event.parameters)
        for moment in order.moments:
            mine = moment.kind == "clear" and (moment.tensors is None or not held.isdisjoint(moment.tensors))
            if mine and rounds_of(moment.event.path) == inner and is_on_the_way(moment.event.path, first.event.path):
                return  # Nothing adds up.
        message = (
            f"{code(facts, first.event.at.node)} clips after each `backward()`, and {code(facts, after.event.at.node)} "
            "comes in some of the rounds only: what the rounds before have left is clipped again together with what "
            "this one adds, and each counts less than the next. Clip right before the step"
        )
        story = [Step(place(after.event.at), "the sum is applied here")]
        what, where = with_comment(facts, first.event.at.node), after.event.at.node
        together = facts.function(first.event.at.node) is facts.function(where)
        fixes = [deleted(facts, first.event), put(facts, where, what, behind=False)] if together else [[]]
        yield self.finding(
            place(first.event.at), message, story, all_of("Clip right before the step", *fixes), Severity.INFORMATION
        )

    def _of_writes(self, facts: Facts, order: Order) -> Iterator[Finding]:
        """Gradients that are written in place, by a mask say, after the step has used them."""
        writes: dict[ast.AST, list[tuple[Moment | None, Moment | None]]] = {}
        for moment in order.moments:
            if moment.kind == "clear" and _writes_gradient(moment.event):
                before, after = _neighbours(order, moment)
                late = before is not None and before.event.kind == "step"
                if late and (after is None or _clears(after, moment)):
                    writes.setdefault(moment.event.at.node, []).append((before, after))
                else:
                    writes.setdefault(moment.event.at.node, []).append((None, None))
        for node, found in writes.items():
            step, clear = next((pair for pair in found if pair[1] is not None), (None, None))
            if step is None or clear is None or any(before is None for before, _ in found):
                continue
            event = next(m.event for m in order.moments if m.event.at.node is node)
            message = (
                f"{code(facts, node)} comes after the step that used the gradients, and these are cleared before the "
                "next: change them between `backward()` and `step()`"
            )
            story = [
                Step(place(step.event.at), "the gradients are used here"),
                Step(place(clear.event.at), "they are cleared here"),
            ]
            yield self.finding(place(event.at), message, story, moved(facts, event, step.event, behind=False))

    def _of_trainer(self, facts: Facts, event: Event, backward: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} comes before {code(facts, backward.at.node)}: clip in "
            "`configure_gradient_clipping`, or give the trainer `gradient_clip_val`"
        )
        return self.finding(
            place(event.at), message, [Step(place(backward.at), "the gradients are computed after this")]
        )

    def _to_zero(self, facts: Facts, clip: "_Clip", limit: Given) -> Finding:
        what = "if the option is not given, the limit is 0: this" if limit.is_default else "a limit of 0"
        message = (
            f"{code(facts, clip.event.at.node)}: {what} makes every gradient 0, and the step learns nothing. To clip "
            "nothing, leave it out"
        )
        story = [Step(place(clip.step.event.at), "the step that comes to nothing")] if clip.step is not None else []
        severity = Severity.INFORMATION if limit.is_default else Severity.WARNING
        return self.finding(place(clip.event.at), message, story, severity=severity)

    def _of_nothing(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} is given an iterator that was gone through before, and clips nothing; "
            "keep a list of the parameters"
        )
        return self.finding(place(event.at), message, [Step(place(event.exhausted), "it is gone through here")])

    def _report(self, facts: Facts, clip: "_Clip") -> Iterator[Finding]:
        before, after = clip.before, clip.after
        what = code(facts, clip.event.at.node)
        if before is not None and before.kind == "step":
            late = after is None or after.kind == "clear" or after.event.at.node is not before.event.at.node
            story = [Step(place(before.event.at), "the gradients are used here")]
            if after is not None and after.kind == "backward":
                story.append(Step(place(after.event.at), "and new ones are computed here"))
            if late and _stands_after(clip.event, before.event):
                message = f"{what} comes after the step that used the gradients: {_RIGHT}"
            else:
                message = f"{what} comes before `backward()`: it clips what is left of the last round; {_RIGHT}"
        elif before is not None and _fills(before):
            story = [] if after is None else [Step(place(after.event.at), "they are cleared here")]
            message = f"nothing uses the gradients that {what} clips before they are cleared: {_RIGHT}"
        else:
            story = [] if after is None else [Step(place(after.event.at), "what follows is this")]
            message = f"{what} comes before `backward()`, when there are no gradients yet: {_RIGHT}"
        severity = Severity.INFORMATION if clip.is_guessed else Severity.WARNING
        if clip.is_guessed:
            message = f"if one model is trained here: {message}"
        step = next((m for m in (after, clip.step, before) if m is not None and m.kind == "step"), None)
        fixes = moved(facts, clip.event, step.event, behind=False) if step is not None else []
        yield self.finding(place(clip.event.at), message, story, fixes, severity)


class _Clip(NamedTuple):
    event: Event
    before: Moment | None
    after: Moment | None
    is_useless: bool
    is_guessed: bool
    step: Moment | None
    """The next step."""


def _limit(event: Event) -> Given:
    """To what a call clips."""
    if event.call.unsure:
        return Given(None, False)
    return given_number(event.call.get(1, "max_norm", "clip_value"), event.path)


def _clip(facts: Facts, order: Order, number: int, event: Event) -> _Clip:
    """What happens to the gradients right before and right after they are clipped."""
    tensors: frozenset[Tensor] = frozenset(event.parameters)
    guessed = not tensors
    around = order.about(tensors) if tensors else _by_function(facts, order).get(_function(event), ())
    near = [m for m in around if m.kind != "read" and _concerns(m, tensors, event)]
    before = next((m for m in reversed(near) if m.number < number), None)
    filled = before.tensors if before is not None and _fills(before) and before.tensors else tensors
    after = _next(near, number, tensors & filled)
    useless = _is_useless(before, after)
    if guessed or (before is not None and before.tensors is None) or (after is not None and after.tensors is None):
        guessed = True
        useless = useless and _is_alone(near)
    if event.exhausted is not None or _is_used(facts, event) or _goes_elsewhere(facts, number, after):
        useless = False
    elif useless and before is not None and _fills(before):
        end = len(facts.events) if after is None else after.number
        useless = not any(m.kind == "read" for m in order.between(number, end))
    step = next((m for m in near if m.number > number and m.kind == "step"), None)
    return _Clip(event, before, after, useless, guessed, step)


def _next(near: list[Moment], number: int, tensors: frozenset[Tensor]) -> Moment | None:
    """What comes next for all of these gradients: where some are cleared, the others are left."""
    left = tensors
    for moment in near:
        if moment.number <= number:
            continue
        if moment.kind == "clear" and moment.tensors is not None and not _changes(moment.event):
            left -= moment.tensors
            if left:
                continue
        return moment
    return None


def _is_of_evaluation(clip: _Clip, every: Iterable[list[_Clip]]) -> bool:
    """Does it stand in another loop than the step, and what is stepped is clipped as it should be, elsewhere? It came
    there with a copy of the loop that trains, and does no harm."""
    before, held = clip.before, set(clip.event.parameters)
    if before is None or before.kind != "step" or rounds_of(before.event.path) == rounds_of(clip.event.path):
        return False
    others = (other for found in every for other in found if not other.is_useless)
    return any(not held.isdisjoint(other.event.parameters) for other in others)


def _trainers_backward(order: Order, clip: _Clip) -> Event | None:
    """The backward that a trainer calls when the function has returned in which this clips."""
    function = outermost(clip.event)
    if function is None:
        return None
    for moment in order.moments:
        at = moment.event.at
        if moment.kind == "backward" and isinstance(at.node, ast.Return) and moment.event.clock > clip.event.clock:
            return moment.event if function.written.node in at.source.parents(at.node) else None
    return None


def _gradient_writes(facts: Facts) -> list[Event]:
    return [event for event in facts.of("write") if _writes_gradient(event)]


def _writes_gradient(event: Event) -> bool:
    """Is a gradient changed in place, and not just cleared?"""
    written = event.value
    changes = event.kind == "write" and event.info.get("op") not in _CLEARING
    return changes and isinstance(written, Tensor) and gradient_of(written) is not None


def _neighbours(order: Order, moment: Moment) -> tuple[Moment | None, Moment | None]:
    """The moments before and after another one that concern the same leaves; before it, one that does not only read."""
    tensors = moment.tensors or frozenset()
    before = (m for m in order.before(moment, tensors) if m.tensors is None or m.tensors & tensors)
    after = (m for m in order.after(moment, tensors) if m.tensors is None or m.tensors & tensors)
    return next((m for m in before if m.kind != "read"), None), next(after, None)


def _clears(moment: Moment, write: Moment) -> bool:
    """Is it a `zero_grad` that comes whenever the write has come?"""
    plain = moment.event.kind == "zero-grad" and moment.tensors is not None
    return plain and is_on_the_way(moment.event.path, write.event.path)


def _function(event: Event) -> object:
    """The function in which something happens."""
    return (event.calls or (None, None))[1]


def _by_function(facts: Facts, order: Order) -> dict[object, list[Moment]]:
    """The moments in each function."""
    found: dict[object, list[Moment]] | None = facts.memo.get("moments by function")
    if found is None:
        found = facts.memo["moments by function"] = {}
        for moment in order.moments:
            found.setdefault(_function(moment.event), []).append(moment)
    return found


def _concerns(moment: Moment, tensors: frozenset[Tensor], clip: Event) -> bool:
    if moment.event.kind == "unknown-step" and not is_vague_optimizer(moment.event):
        return False
    if not tensors:
        # Whose gradients, is not known: then only what stands in the same function counts.
        return _function(moment.event) is _function(clip)
    return moment.tensors is None or bool(moment.tensors & tensors)


def _is_useless(before: Moment | None, after: Moment | None) -> bool:
    if after is not None and (after.kind == "step" or _changes(after.event)):
        return False
    if before is not None and _fills(before):
        return after is not None and after.kind == "clear"
    return after is not None or (before is not None and before.kind == "step")


def _fills(moment: Moment) -> bool:
    """Does it leave gradients to clip: a backward, or an assignment of one?"""
    if moment.event.kind in ("grad-set", "unknown-attribute-set"):
        return not is_none(moment.event.assigned)
    return moment.kind == "backward"


_CLEARING = frozenset(("zero", "zero_", "fill", "fill_"))
"""Writes that may only clear a gradient."""


def _changes(event: Event) -> bool:
    """Is a gradient written, and not just cleared? Then somebody goes on to use it."""
    if event.kind in ("grad-set", "unknown-attribute-set"):
        return not is_none(event.assigned)
    return event.kind in ("write", "data-set") and event.info.get("op") not in _CLEARING


def _is_alone(near: list[Moment]) -> bool:
    """Is there but one backward and one step, so that they must belong together?"""
    backwards = {m.event.at.node for m in near if m.kind == "backward"}
    steps = {m.event.at.node for m in near if m.kind == "step"}
    return len(backwards) == 1 and len(steps) == 1


def _is_used(facts: Facts, event: Event) -> bool:
    """Is the norm, which the call returns, what is wanted?"""
    return not isinstance(facts.parent(event.at.node), ast.Expr)


def _goes_elsewhere(facts: Facts, number: int, after: Moment | None) -> bool:
    """Is unknown code called with an object before the next thing happens? It may take the step."""
    end = len(facts.events) if after is None else after.number
    return any(
        event.kind == "unknown-call"
        and any(getattr(value, "path", "").startswith("torch.optim.") for value in event.arguments)
        for event in facts.events[number:end]
    )


def _stands_after(one: Event, other: Event) -> bool:
    """Does it stand behind the other in the text, in the same function?"""
    same = (one.calls or (None, None))[1] is (other.calls or (None, None))[1]
    return same and one.at.source.line(one.at.node) > other.at.source.line(other.at.node)
