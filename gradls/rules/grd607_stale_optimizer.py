"""GRD607."""

import ast
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import islice

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import leaves
from gradls.flow.values import Instance, Tensor, is_none
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.forgotten_parameters import (
    handled_elsewhere,
    holding,
    is_coefficient,
    is_elsewhere,
    switched,
    thawed,
    told_otherwise,
)
from gradls.rules.optimizer_fixes import given_too, made_behind, made_behind_place
from gradls.rules.registration import leaves_of, optimized
from gradls.rules.replaced_models import Replaced, replaced_models, replaced_on_branches
from gradls.rules.rule import Rule
from gradls.rules.training_order import Moment, Order, is_on_the_way, order_of
from gradls.rules.twin_optimizers import told, twins
from gradls.rules.words import code, owners, place


class StaleOptimizer(Rule):
    """An optimizer that holds other parameters than the ones that are trained.

    ## What it finds
    A layer that takes the place of another, or is added to a model, after the optimizer was made from its parameters,
    or that `weight_norm` or `load_state_dict(…, assign=True)` gives new ones then; and an optimizer that steps while
    `backward()` only reaches the parameters of another model, which no optimizer has. An optimizer of an image or
    another leaf in a loop that goes on with a new leaf: `x = x.detach().requires_grad_()`. As information, an
    optimizer that has some of the parameters that `backward()` reaches, while none has the others (a tensor that
    requires grad and is multiplied with the output of a model counts as one), and two optimizers of the same model that
    are stepped side by side, while none has another model that is trained.

    ## Why it matters
    An optimizer keeps the tensors that it was given. The new ones get gradients that nobody applies, and stay as they
    were initialized.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[1] = torch.nn.Linear(4, 2)
    before = model[1].weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert torch.equal(model[1].weight, before)
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model = torch.nn.Linear(3, 1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert torch.equal(model.weight, before)
    ```

    ```python
    import torch

    model, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = head.weight.clone()
    head(model(torch.randn(8, 3))).pow(2).mean().backward()
    optimizer.step()
    assert head.weight.grad is not None
    assert torch.equal(head.weight, before)
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1).requires_grad_(False)
    image = torch.full((1, 3), 0.5, requires_grad=True)
    optimizer, seen = torch.optim.Adam([image], lr=0.1), []
    for _ in range(3):
        optimizer.zero_grad()
        model(image).sum().backward()
        optimizer.step()
        image = image.detach().clamp(0, 1).requires_grad_()
        seen.append(image.tolist())
    assert seen[0] == seen[1] == seen[2]
    ```

    ```python
    import torch

    model, weight = torch.nn.Linear(3, 1), torch.tensor(0.5, requires_grad=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = (weight * model(torch.randn(8, 3))).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert weight == 0.5
    ```

    ## Use instead
    Make the optimizer last, or add the new parameters to it.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
    model[1] = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[1].weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert not torch.equal(model[1].weight, before)
    ```

    ## When it is silent
    Where an optimizer has the new parameters too, and for layers whose old parameters no optimizer had. For parameters
    that are frozen, loaded, written by hand, or in evaluation mode, such as those of a pretrained model that computes a
    loss.

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[1] = torch.nn.Linear(4, 2)
    optimizer.add_param_group({"params": model[1].parameters()})
    model(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    assert len(optimizer.param_groups) == 2
    ```

    ## Fix safety
    Suggested: what makes the optimizer moves behind what makes the new parameters, where both stand in one block and
    nothing in between needs it, or is written there once more; or the optimizer is given those that it lacks, if they
    have a name before it is made.

    ## References
    - https://docs.pytorch.org/docs/stable/optim.html#constructing-it
    """

    code, name, severity = "GRD607", "stale-optimizer", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        if not any(facts.of("optimizer-made")):
            return
        known = optimized(facts)
        order = order_of(facts)
        new: set[Tensor] = set()
        yield from self._of_replaced(facts, order, known, new)
        yield from self._of_unknown(facts, known)
        doubled = twins(facts)
        if doubled is not None:
            message, story = told(facts, doubled)
            yield self.finding(place(doubled.second.at), message, story, severity=Severity.INFORMATION)
        # Another optimizer of which not all parameters are known may have the ones that are trained.
        strange = any(event.strange for event in facts.of("optimizer-made", "group-added"))
        known = known.union(*(event.perhaps for event in facts.of("optimizer-made", "group-added")))
        others = [] if strange else list(self._of_other_models(facts, order, known))
        rebound = [] if strange else list(replaced_on_branches(facts, known | new))
        places = {one.event.at.node for one in rebound}
        for one in replaced_models(facts):
            if one.event.at.node not in places and not (others and isinstance(one.new, Instance)):
                rebound.append(one)
        yield from map(partial(self._report_rebound, facts), rebound)
        yield from others
        if not (others or rebound or strange or doubled):
            yield from self._of_forgotten(facts, order, known | new)

    def _of_replaced(self, facts: Facts, order: Order, known: set[Tensor], told: set[Tensor]) -> Iterator[Finding]:
        made: dict[Tensor, Event] = {}
        if not any(facts.of("optimizer-made", "group-added")):
            return
        for number, event in facts.numbered("optimizer-made", "group-added", *_REPLACING):
            if event.kind in ("optimizer-made", "group-added"):
                made.update(dict.fromkeys(event.parameters, event))
            elif made:
                around = event.old if isinstance(event.old, (Instance, Tensor)) else event.value
                if not isinstance(around, (Instance, Tensor)):
                    continue
                new = _new_leaves(event, known)
                optimizer = next((made[leaf] for leaf in leaves_of(around) if leaf in made), None) if new else None
                if optimizer is not None and (around is event.old or _has_all(optimizer, around)):
                    told.update(new)
                    yield from self._report_replaced(facts, order, number, optimizer, new)

    def _of_unknown(self, facts: Facts, known: set[Tensor]) -> Iterator[Finding]:
        """A layer that is put into an unknown module after the parameters of that were given to an optimizer."""
        events = [event for _, event in facts.numbered(*_MAKING, *_PUTTING, "step")]
        for number, new in enumerate(events):
            module = new.assigned if new.kind in _PUTTING and isinstance(new.assigned, Instance) else None
            leaves = leaves_of(module) if module is not None else []
            target = new.at.node
            if not leaves or not known.isdisjoint(leaves) or not isinstance(target, (ast.Attribute, ast.Subscript)):
                continue
            into = new.at.source.segment(target.value)
            before = [made for made in events[:number] if made.kind in _MAKING and _is_given(made, into)]
            after = [made for made in events[number:] if made.kind in _MAKING and made.open]
            steps = [step for step in events[number:] if before and step.value is before[-1].value]
            if steps and not any(made.at.source is not new.at.source or _may_be_given(made, into) for made in after):
                yield self._report_put(facts, new, before[-1], steps[0])

    def _report_rebound(self, facts: Facts, replaced: Replaced) -> Finding:
        statement = facts.statement(replaced.event.at.node) or replaced.event.at.node
        name = _name_of(replaced.made)
        message = (
            f"{code(facts, statement)} puts another model in the place of the one that {name} was made from: "
            f"{code(facts, replaced.step.at.node)} changes parameters that nothing uses any more, and these stay as "
            "they are. Make the optimizer after this, or load the state into the model: `load_state_dict()`"
        )
        story = [
            Step(place(replaced.made.at), "the optimizer is made here, with the old parameters"),
            Step(place(replaced.backward.at), "the gradients of the new ones are computed here"),
        ]
        severity = Severity.WARNING if replaced.loaded else Severity.INFORMATION
        fixes = made_behind(facts, replaced.made, replaced.event)
        return self.finding(place(replaced.event.at), message, story, fixes, severity)

    def _report_put(self, facts: Facts, new: Event, optimizer: Event, step: Event) -> Finding:
        message = (
            f"{code(facts, new.at.node)} is replaced after {_name_of(optimizer)} was made from the parameters "
            "that were there before: the new ones are never trained"
        )
        story = [
            Step(place(optimizer.at), "the optimizer is made here, with the old parameters"),
            Step(place(step.at), "it does not know the new ones"),
        ]
        return self.finding(place(new.at), message, story, made_behind(facts, optimizer, new))

    def _report_replaced(
        self, facts: Facts, order: Order, number: int, made: Event, new: list[Tensor]
    ) -> Iterator[Finding]:
        event = facts.events[number]
        later = [moment for moment in order.moments if moment.number > number]
        backward = next((m for m in later if m.kind == "backward" and m.tensors and m.tensors & set(new)), None)
        step = next((m for m in later if m.kind == "step" and backward and m.number > backward.number), None)
        name = _name_of(made)
        story = [Step(place(made.at), "the optimizer is made here, with the old parameters")]
        if backward is not None and step is not None:
            story.append(Step(place(backward.event.at), "the new ones get gradients here, which nobody applies"))
            severity, then = Severity.WARNING, "the new ones are never trained"
        elif isinstance(event.old, (Instance, Tensor)):
            severity, then = Severity.INFORMATION, "if the new ones are to be trained, make the optimizer after this"
        else:
            return
        if event.kind == "reparametrized":
            done = f"makes new parameters, after {name} was made from the old ones"
        elif isinstance(event.old, (Instance, Tensor)):
            done = f"is replaced after {name} was made from its old parameters"
        else:
            done = f"comes after {name} was made from the parameters that were there before"
        message = f"{code(facts, event.at.node)} {done}: {then}"
        yield self.finding(place(event.at), message, story, made_behind(facts, made, event), severity)

    def _of_other_models(self, facts: Facts, order: Order, known: set[Tensor]) -> Iterator[Finding]:
        """Steps after a backward that reached only parameters which no optimizer has."""
        last: dict[object, int] = {}
        told: set[ast.AST] = set()
        filled = {event.value for event in facts.of("grad-set") if not is_none(event.assigned)}
        for moment in order.moments:
            optimizer = moment.event.value
            if moment.kind != "step" or moment.event.kind != "step" or not isinstance(optimizer, Instance):
                continue
            start, last[optimizer] = last.get(optimizer, -1), moment.number
            made = order.made.get(optimizer)
            if made is None or moment.event.escaped or moment.event.closure is not None:
                continue
            if not moment.tensors or not all(tensor.requires_grad is True for tensor in moment.tensors):
                continue
            if not moment.tensors.isdisjoint(filled):
                continue  # They are given the gradients of the others.
            backward = _only_others(facts, order, start, moment, known)
            if backward is None or (made.open and not _came_later(facts, optimizer, made, backward)):
                continue
            copy = next((leaf for leaf in backward.reached if _stands_for(leaf, moment.tensors)), None)
            if copy is None:
                yield self._report_other(facts, made, backward, moment.event)
            elif copy.node.at is not None and copy.node.at.node not in told:
                told.add(copy.node.at.node)
                yield self._report_copy(facts, made, copy.node.at, backward, moment.event)

    def _report_other(self, facts: Facts, made: Event, backward: Event, step: Event) -> Finding:
        others = [leaf for leaf in backward.reached if leaf.is_parameter and leaf.requires_grad is True]
        name = _name_of(made)
        given = next(iter(getattr(made.at.node, "args", ())), None)
        source = code(facts, given) if given is not None else owners(made.parameters)
        message = (
            f"{name} is made from {source}, and {code(facts, backward.at.node)} reaches only other parameters, "
            "which no optimizer has: nothing is trained"
        )
        first = min(others, key=lambda leaf: leaf.fields.born)
        story = [Step(place(backward.at), "the gradients are computed here"), Step(place(step.at), "and not used here")]
        if first.owner is not None and first.owner.at is not None:
            story.insert(0, Step(place(first.owner.at), "the other parameters are made here"))
        story += [Step(place(call), "in this call") for call, _ in islice(step.callers(), 1)]
        fixes = made_behind_place(facts, made, first.owner.at) if first.owner is not None and first.owner.at else []
        return self.finding(place(made.at), message, story, fixes)

    def _report_copy(self, facts: Facts, made: Event, at: At, backward: Event, step: Event) -> Finding:
        held = owners(made.parameters)
        message = (
            f"{code(facts, at.node)} makes a new leaf of {held}, and {code(facts, backward.at.node)} goes to that from "
            f"now on; the optimizer has the old one, and {code(facts, step.at.node)} changes nothing any more. Write "
            "to it in place, under `torch.no_grad()`"
        )
        story = [
            Step(place(made.at), "the optimizer is made here, with the old leaf"),
            Step(place(backward.at), "the gradient of the new one is computed here"),
            Step(place(step.at), "and not used here"),
        ]
        return self.finding(place(at), message, story)

    def _of_forgotten(self, facts: Facts, order: Order, known: set[Tensor]) -> Iterator[Finding]:
        """Parameters that a backward fills beside those of the optimizer which then steps, and that nothing has."""
        if any(made.strange for made in order.made.values()) or any(m.tensors is None for m in order.moments):
            return
        handled, by_turns = handled_elsewhere(facts), switched(facts)
        seen = told_otherwise(facts)
        last: Moment | None = None
        for moment in order.moments:
            last = moment if moment.kind == "backward" else last
            if moment.kind != "step" or last is None or moment.event.escaped or moment.event.closure is not None:
                continue
            made = order.made.get(moment.event.value)  # type: ignore[call-overload]
            left = [leaf for leaf in last.tensors or () if leaf not in {*known, *seen}]
            left = [leaf for leaf in left if leaf.is_parameter or _is_forgotten(leaf, made, last.event)]
            left = [leaf for leaf in left if leaf.requires_grad is not False and not is_elsewhere(leaf, handled)]
            if made is None or not left or not last.tensors & moment.tensors:  # type: ignore[operator]
                continue
            thaw = thawed(facts, made, last.event, left)
            if thaw is not None:
                seen.update(left)
                yield self._report_thawed(facts, thaw, made, last.event, moment.event)
                continue
            left = [leaf for leaf in left if leaf.requires_grad is True and leaf not in by_turns]
            seen.update(left)
            if left:
                yield self._report_forgotten(facts, made, last.event, left)

    def _report_thawed(self, facts: Facts, thaw: Event, made: Event, backward: Event, step: Event) -> Finding:
        name = _name_of(made)
        message = (
            f"{code(facts, thaw.at.node)} lets parameters require grad that {name} was not given when it was made: "
            "they get gradients and are never trained. Give them to it with `add_param_group`"
        )
        story = [
            Step(place(made.at), "the optimizer is made here, with what required grad then"),
            *(Step(place(call), "in this call") for call, _ in islice(thaw.callers(), 1)),
            Step(place(backward.at), "their gradients are computed here"),
            Step(place(step.at), "and not used here"),
        ]
        return self.finding(place(thaw.at), message, story)

    def _report_forgotten(self, facts: Facts, made: Event, backward: Event, left: list[Tensor]) -> Finding:
        left.sort(key=lambda leaf: leaf.fields.born)
        name = _name_of(made)
        message = (
            f"{code(facts, backward.at.node)} also fills the gradients of {owners(left)}, which neither {name} nor "
            "any other optimizer has: they stay as they are. Add them, or freeze them with `requires_grad_(False)`"
        )
        story = [Step(place(backward.at), "their gradients are computed here")]
        at = left[0].owner.at if left[0].owner is not None else left[0].node.at
        if at is not None:
            story.insert(0, Step(place(at), "these parameters are made here"))
        held = holding(facts, left)
        if held is not None:
            story.insert(1, Step(place(held.at), "what is kept in a plain list or dictionary is not registered"))
        return self.finding(place(made.at), message, story, given_too(facts, made, left), Severity.INFORMATION)


_REPLACING = ("attribute-set", "reparametrized")


def _name_of(made: Event) -> str:
    """What the program calls the optimizer that was made."""
    return f"`{made.value.name}`" if isinstance(made.value, Instance) and made.value.name else "the optimizer"


def _is_forgotten(leaf: Tensor, made: Event | None, backward: Event) -> bool:
    """Is a leaf that is no parameter one that the optimizer could have been given? What `forward` makes anew, as the
    noise of an attack, is none."""
    return made is not None and leaf.fields.born < made.clock and is_coefficient(backward, leaf)


_MAKING = ("optimizer-made", "group-added")
_PUTTING = ("unknown-attribute-set", "unknown-item-set")


def _is_given(made: Event, into: str) -> bool:
    """Is an optimizer made of `model.parameters()`, and `into` the text of the model or of a part of it?"""
    given = next(iter(getattr(made.at.node, "args", ())), None)
    if not isinstance(given, ast.Call) or not isinstance(given.func, ast.Attribute) or given.func.attr != "parameters":
        return False
    return f"{into}.".startswith(f"{made.at.source.segment(given.func.value)}.")


def _may_be_given(made: Event, into: str) -> bool:
    """Is it not certain that an optimizer is made of other parameters than those of the model that `into` is in?"""
    given = ast.walk(next(iter(getattr(made.at.node, "args", ())), made.at.node))
    names = {node.id for node in given if isinstance(node, ast.Name)}
    return into.partition(".")[0] in names or not names


def _new_leaves(event: Event, known: set[Tensor]) -> list[Tensor]:
    """The parameters that come in the place of others, if no optimizer has any of them."""
    if not isinstance(event.assigned, (Instance, Tensor)) or event.assigned is event.old:
        return []
    leaves = [leaf for leaf in leaves_of(event.assigned) if leaf.is_parameter and leaf.requires_grad is True]
    old = {id(leaf) for leaf in leaves_of(event.old)} if isinstance(event.old, (Instance, Tensor)) else set()
    one_of = [part for leaf in leaves for part in (leaf, *leaf.fields.get("parts", ()))]
    return [] if any(part in known or id(part) in old for part in one_of) else leaves


def _has_all(made: Event, around: Instance | Tensor) -> bool:
    """Was the optimizer given all parameters of a module that were there then? One that is given those of a part is
    not meant for what comes into others."""
    then = [leaf for leaf in leaves_of(around) if leaf.is_parameter and leaf.fields.born < made.clock]
    return isinstance(around, Instance) and is_module(around) is True and set(made.parameters).issuperset(then)


def _stands_for(leaf: Tensor, held: Collection[Tensor]) -> bool:
    """Was a leaf, which is no parameter, computed from what an optimizer has, and cut off from it?"""
    if leaf.is_parameter or leaf.requires_grad is not True or any(one is leaf or one.owner for one in held):
        return False
    return any(part in held for part in leaves(leaf.node, follow="all"))


def _came_later(facts: Facts, optimizer: Instance, made: Event, backward: Event) -> bool:
    """Are all parameters that a backward reaches younger than an optimizer of which not all is known? Then it holds
    none of them, whatever it was given."""
    if any(event.value is optimizer for event in facts.of("group-added")):
        return False
    return all(leaf.fields.born > made.clock for leaf in backward.reached if leaf.is_parameter)


def _is_in_training(facts: Facts, leaves: list[Tensor], backward: Event) -> bool:
    """Were the modules that own these parameters last put into training mode, before a backward reached them? Later
    they may be evaluated."""
    owners_of = {leaf.owner for leaf in leaves}
    if any(owner is None or owner.fields.get("*escaped") for owner in owners_of):
        return False
    mode: bool | None = None
    for event in facts.of("train-mode"):
        if event.clock < backward.clock and owners_of.issubset(event.modules):
            mode = event.mode
    return mode is True


def _only_others(facts: Facts, order: Order, start: int, step: Moment, known: set[Tensor]) -> Event | None:
    """The backward since the last step, if all of them reached only parameters that no optimizer has."""
    held = frozenset(step.event.parameters)
    last: Event | None = None
    for moment in order.between(start, step.number):
        if moment.kind != "backward":
            continue
        if moment.tensors is None:
            return None
        last = moment.event
        trained = [leaf for leaf in moment.tensors if leaf.is_parameter or _stands_for(leaf, held)]
        if moment.tensors & held or not trained:
            return None
        apart = [leaf for leaf in trained if not leaf.is_parameter] or trained
        if any(leaf in known or leaf.requires_grad is not True or leaf.fields.get("*escaped") for leaf in apart):
            return None
        frozen = [leaf for leaf in apart if is_elsewhere(leaf, set())]
        if frozen and not _is_in_training(facts, frozen, moment.event):
            return None
        if not is_on_the_way(moment.event.path, step.event.path):
            return None
    # What an earlier backward left may still be there: only if nothing was cleared since, of course.
    mine = [m for m in order.about(held) if m.number < step.number and m.kind in ("backward", "clear")]
    left = [m for m in mine if m.number < start and m.tensors and m.tensors & held]
    cleared = any(m.kind == "clear" and (m.tensors is None or m.tensors & held) for m in mine if m.number > start)
    return None if left and left[-1].kind == "backward" and not cleared else last
