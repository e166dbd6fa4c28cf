"""GRD609."""

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.lost import backwards
from gradls.flow.paths import Round
from gradls.flow.reach import walk
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.training_order import is_on_the_way, outermost, rounds_of
from gradls.rules.words import code, place


class FreezeUndone(Rule):
    """Parameters that are frozen and thawed again before anything was trained.

    ## What it finds
    `requires_grad = False` on some parameters, and later `requires_grad = True` on all of these, with no `backward()`
    in between. As information, the other way round: parameters that are asked to require grad, and are frozen with
    others before anything is trained.

    ## Why it matters
    The freeze has no effect: everything is trained. In the other case, less is trained than was asked for.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    for parameter in model.parameters():
        parameter.requires_grad = True
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert model[0].weight.requires_grad
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
    model[1].requires_grad_(True)
    for parameter in model[:2].parameters():
        parameter.requires_grad = False
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = model[1].weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert torch.equal(before, model[1].weight)
    ```

    ## Use instead
    Freeze last.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 2
    ```

    ## When it is silent
    Where only some are thawed again, as after freezing everything, where it happens under a condition, and where
    something is trained in between.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in model[1].parameters():
        parameter.requires_grad = True
    assert not model[0].weight.requires_grad and model[1].weight.requires_grad
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
    """

    code, name, severity = "GRD609", "freeze-undone", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        frozen: dict[ast.AST, list[_Freeze]] = {}
        open_: dict[Tensor, _Freeze] = {}
        used = 0
        if not any(facts.of(*_FREEZING)):
            return
        for event in facts.of(*_USING, *_FREEZING):
            if event.kind in _USING:
                used += 1
            for tensor in _changed(event):
                if event.flag is False:
                    freeze = _Freeze(event, used, [])
                    open_[tensor] = freeze
                    frozen.setdefault(event.at.node, []).append(freeze)
                elif tensor in open_:
                    freeze = open_.pop(tensor)
                    is_free = event.flag is True and freeze.used == used and event.at.node is not freeze.event.at.node
                    # Of two methods that nobody calls here, others call the one, and then train, and then the other.
                    together = outermost(event) is outermost(freeze.event)
                    if is_free and together and is_on_the_way(event.path, freeze.event.path):
                        freeze.thawed.append(event)
        # A loop over parameters of which not all are known freezes the others, too: these may stay frozen.
        open_loops = {event.at.node for event in facts.of("loop") if getattr(event.value, "rest", None) is not None}
        for freezes in frozen.values():
            if any(_statement(one) in open_loops for one in rounds_of(freezes[0].event.path)):
                continue
            if all(freeze.thawed for freeze in freezes) and not any(_is_used(facts, freeze) for freeze in freezes):
                yield self._report(facts, freezes[0])
        yield from self._of_thawed(facts)

    def _of_thawed(self, facts: Facts) -> Iterator[Finding]:
        """Parameters that were asked for, and are frozen with others before anything is done with them, for good."""
        if not any(facts.of("step")):
            return
        thawed: dict[ast.AST, list[tuple[Event, Tensor, Event | None]]] = {}
        for thaw, tensor, freeze in _thawed(facts):
            thawed.setdefault(thaw.at.node, []).append((thaw, tensor, freeze))
        together = [all(freeze is not None for _, _, freeze in found) for found in thawed.values()]
        if not any(together):
            return
        trained = {node.leaf for event in backwards(facts) for node in walk(event.node)}  # type: ignore[arg-type]
        for found, is_undone in zip(thawed.values(), together, strict=True):
            thaw, _, freeze = found[0]
            mine = {tensor for _, tensor, _ in found}
            if not is_undone or freeze is None or not mine <= trained or _is_in_init(facts, thaw):
                continue
            whole = {part for event in facts.of(*_FREEZING) if event.at == freeze.at for part in _changed(event)}
            if mine < whole and all(one is not None and one.at == freeze.at for _, _, one in found):
                yield self._report_thawed(facts, thaw, freeze)

    def _report_thawed(self, facts: Facts, thaw: Event, freeze: Event) -> Finding:
        message = (
            f"{code(facts, thaw.at.node)} has no effect: all that it asks for is frozen with others before anything "
            "is trained"
        )
        story = [Step(place(freeze.at), "it is undone here")]
        return self.finding(place(thaw.at), message, story, severity=Severity.INFORMATION)

    def _report(self, facts: Facts, freeze: "_Freeze") -> Finding:
        thawed = freeze.thawed[0]
        message = (
            f"{code(facts, freeze.event.at.node)} has no effect: all that it freezes requires grad again before "
            "anything is trained"
        )
        return self.finding(place(freeze.event.at), message, [Step(place(thawed.at), "it is undone here")])


def _thawed(facts: Facts) -> Iterator[tuple[Event, Tensor, Event | None]]:
    """Where a parameter was asked to require grad, each with what froze it again before anything was done with it, if
    that is so and nothing undoes it."""
    open_: dict[Tensor, tuple[Event, int]] = {}
    undone: dict[Tensor, tuple[Event, Event]] = {}
    used = 0
    for event in facts.of(*_USING, *_FREEZING):
        used += event.kind in _USING
        for tensor in _changed(event):
            before = undone.pop(tensor, None)
            if before is not None:
                yield before[0], tensor, None
            if event.flag is True:
                open_[tensor] = event, used
            elif tensor in open_:
                thaw, then = open_.pop(tensor)
                certain = event.flag is False and then == used and is_on_the_way(event.path, thaw.path)
                if certain and outermost(event) is outermost(thaw) and event.at.node is not thaw.at.node:
                    undone[tensor] = thaw, event
                else:
                    yield thaw, tensor, None
    for tensor, (thaw, _) in open_.items():
        yield thaw, tensor, None
    for tensor, (thaw, freeze) in undone.items():
        yield thaw, tensor, freeze


def _is_in_init(facts: Facts, event: Event) -> bool:
    """Does a class ask for it of its own parameters? Who makes an object may freeze all of it."""
    function = facts.function(event.at.node) if event.at.source is facts.source else None
    return event.at.source is not facts.source or getattr(function, "name", "") == "__init__"


_USING = ("backward", "step", "loss", "unknown-step", "module-call", "grad-call", "yield")
"""Between the two halves of a generator, whoever goes on with it does something."""
_FREEZING = ("freeze", "requires-grad-set")


class _Freeze(NamedTuple):
    event: Event
    used: int
    thawed: list[Event]


def _statement(one: Round) -> ast.AST | None:
    """The loop that this is a round of."""
    statement: ast.AST | None = getattr(one.loop, "statement", None)
    return statement


def _is_used(facts: Facts, freeze: _Freeze) -> bool:
    """Was anything computed with what was frozen, or written into it, before it was thawed?"""
    frozen = set(_changed(freeze.event))
    start, end = freeze.event.clock, freeze.thawed[0].clock
    for write in facts.of("write"):
        if start <= write.clock <= end and (write.value in frozen or getattr(write.value, "base", None) in frozen):
            return True
    for event in facts.of("unknown-call"):
        if start < event.clock < end and any(tensor.fields.get("*escaped") for tensor in frozen):
            return True
    if _is_asked_for(facts, freeze):
        return True
    made = (value for records in facts.calls.values() for _, _, value in records if isinstance(value, Tensor))
    between = (value.node for value in made if start < value.node.fields.born < end)
    return any(part.leaf in frozen for node in between for part in walk(node))


def _is_asked_for(facts: Facts, freeze: _Freeze) -> bool:
    """Does the program look at flags between the two, as a test of them does?"""
    source, first, last = freeze.event.at.source, freeze.event.at.node, freeze.thawed[0].at.node
    if source is not facts.source or freeze.thawed[0].at.source is not source:
        return False
    start, end = source.line(first) or 0, source.line(last) or 0
    return any(start < (source.line(read) or 0) < end for read in facts.reads("requires_grad"))


def _changed(event: Event) -> list[Tensor]:
    """The parameters whose flag an event sets."""
    if event.kind == "freeze":
        return list(event.parameters)
    if event.kind == "requires-grad-set" and isinstance(event.value, Tensor) and event.value.is_parameter:
        return [event.value]
    return []
