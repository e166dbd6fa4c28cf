"""What the rules about cuts have in common: which cut, what it costs, how it is told."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Cut
from gradls.flow.lost import Lost, backwards, dead_terms, lost_gradients, without_gradient
from gradls.flow.reach import frontier, lost_leaves, walk
from gradls.flow.values import Tensor
from gradls.rules.averages import averages
from gradls.rules.chosen_cuts import is_chosen
from gradls.rules.constant_terms import constant_terms
from gradls.rules.cuts_in_forward import cuts_in_forward
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.lost_words import costs
from gradls.rules.partial_cuts import partial_cuts
from gradls.rules.registration import lists_of_parameters, optimized
from gradls.rules.rule import Rule
from gradls.rules.training_order import order_of
from gradls.rules.unknown_criteria import before_criteria
from gradls.rules.unknown_networks import behind_inputs
from gradls.rules.words import backward_step, code, origin, place

_VAGUE = frozenset(("forward", "given", "quiet", "tensor", "network", "criterion", "constant", "beside", "before"))
"""What a cut costs if something unknown is as it seems to be."""
DELIBERATE = frozenset(("detach", "data", "no_grad"))
"""Cuts that are written to cut: a part of a model behind one may be frozen on purpose."""


class LostGradientRule(Rule):
    """A rule about one kind of cut. A subclass says of which kinds, and how to mend one."""

    kinds: ClassVar[tuple[str, ...]] = ()
    does: ClassVar[str] = "has no gradient"
    """What the expression does, after its text: "cuts the value off from its gradient"."""
    untrained: ClassVar[Severity] = Severity.INFORMATION
    """How bad it is in a program that makes no optimizer, so that nothing says what is meant to be trained."""

    def check(self, facts: Facts) -> Iterable[Finding]:
        for lost in self.losses(facts):
            yield self.report(facts, lost)

    def losses(self, facts: Facts) -> Iterator[Lost]:
        """The cuts that this rule tells."""
        told: set[ast.AST] = set()
        vague = (*behind_inputs(facts), *before_criteria(facts), *constant_terms(facts), *partial_cuts(facts))
        for lost in (*lost_gradients(facts), *cuts_in_forward(facts), *vague):
            cut = lost.cut.cut
            if cut is None or cut.kind not in self.kinds or (lost.why == "forward" and cut.at.node in told):
                continue
            told.add(cut.at.node)
            if lost.why == "raises" and lost.backward.caught:
                continue  # The program reckons with it.
            if lost.why == "parameters" and cut.kind in DELIBERATE and not is_meant(facts, lost):
                # What has no gradient there is a target. The own loss of the parameters may be cut off elsewhere; if it
                # is not, GRD611 tells the step that finds no gradients.
                own = next((other for other in lost.same if other.cut.cut and is_meant(facts, other)), None)
                if own is None or own.cut.cut is None:
                    continue
                lost, cut = own, own.cut.cut
            if lost.why in ("untrained", "forward") and is_chosen(facts, cut):
                continue  # Nobody but the program says what is to be trained, and it says so.
            if lost.why == "parameters" and averages(facts).issuperset(lost.leaves):
                continue  # The program moves them itself; the optimizer got them with the rest of a model.
            if lost.why != "raises" or (
                frozen_since(facts, lost.backward) is None and without_flag(facts, lost.backward) is None
            ):
                yield lost  # What was frozen since, or never marked, GRD110 tells: without it there would be a graph.

    def report(self, facts: Facts, lost: Lost) -> Finding:
        cut = lost.cut.cut
        assert cut is not None
        what = f"{self.phrase(facts, lost)} {self.does}"
        of_rest = _is_of_rest(facts, lost, cut)
        message = costs(facts, lost, what, of_rest=of_rest)
        # One block may cut off several values.
        too = dict.fromkeys(place(other.cut.at) for other in lost.others if other.cut)
        too.pop(place(cut.at), None)
        story = [*origin(lost.cut), *(Step(at, "cut here too") for at in too)]
        if lost.why in ("term", "constant"):
            story += _term(lost)
        in_forward = Step(place(lost.backward.at), "this is what it returns")
        story.append(in_forward if lost.why == "forward" else backward_step(facts, lost.backward))
        severities = {"raises": Severity.ERROR, "untrained": self.untrained}
        severities |= dict.fromkeys(_VAGUE, Severity.INFORMATION)
        severity = severities.get(lost.why, Severity.WARNING)
        if of_rest:
            severity = Severity.INFORMATION
        fixes = self.fixes(facts, lost)
        if lost.why == "untrained" or (lost.why in _VAGUE and lost.why != "quiet"):
            # It may be meant: a weight that a gradient gives, say.
            fixes = [dataclasses.replace(fix, safety=Safety.SUGGESTED) for fix in fixes]
        return self.finding(place(cut.at), message, story, fixes, severity)

    def phrase(self, facts: Facts, lost: Lost) -> str:
        """The expression to blame, in backquotes."""
        cut = lost.cut.cut
        assert cut is not None
        return code(facts, cut.at.node)

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        return ()


def _is_of_rest(facts: Facts, lost: Lost, cut: Cut) -> bool:
    """Is a part of a model cut off on purpose, perhaps, that the optimizer was given with the rest of it?"""
    return lost.why == "parameters" and cut.kind in DELIBERATE and _part_of_trained(facts, lost)


def _term(lost: Lost) -> list[Step]:
    """Where the term is computed that is a constant."""
    for term in dead_terms(lost.backward.node) if lost.backward.node is not None else ():
        if term is not lost.cut and term.at is not None and lost.cut in frontier(term):
            return [Step(place(term.at), "this is the term")]
    return []


def frozen_since(facts: Facts, backward: Event) -> Event | None:
    """What froze a parameter behind a backward that has no graph left, which an optimizer trained before. None if what
    another optimizer is to train lies behind a cut, and there was no graph in an earlier round either: then the cut is
    to blame."""
    if backward.node is None or not without_gradient(backward):
        return None
    given = optimized(facts)
    earlier = (event for event in backwards(facts) if event.at.node is backward.at.node)
    if all(without_gradient(event) for event in earlier) and any(
        leaf in given for cut in frontier(backward.node) for leaf in lost_leaves(cut)
    ):
        return None
    leaves = {node.leaf for node in walk(backward.node) if node.leaf is not None}
    trained: set[Tensor] = set()
    found: Event | None = None
    for event in facts.of("step", "requires-grad-set", "freeze"):
        if event.clock > backward.clock:
            break
        if event.kind == "step":
            trained |= leaves & event.trained
            continue
        concerned = event.parameters if event.kind == "freeze" else (event.value,)
        if not trained.isdisjoint(concerned):
            found = event if event.flag is False else None
    return found


def without_flag(facts: Facts, backward: Event) -> Tensor | None:
    """A tensor from which the loss of a backward without a graph is computed, that an optimizer is to change, and that
    does not require grad: an image, say. Of parameters `frozen_since` tells."""
    if backward.node is None or not without_gradient(backward):
        return None
    given = {tensor.node: tensor for tensor in optimized(facts) if not tensor.is_parameter}
    found = (given[node] for node in walk(backward.node) if node in given) if given else iter(())
    return next((tensor for tensor in found if tensor.requires_grad is False), None)


def is_meant(facts: Facts, lost: Lost) -> bool:
    """Is the loss that a gradient is lost for one of those between a step of the parameters behind the cut and what
    cleared them before? If others are, or none, their optimizer steps for another loss."""
    leaves, own, stepped = set(lost.leaves), False, False
    for moment in order_of(facts).moments:
        concerned = moment.tensors is None or not leaves.isdisjoint(moment.tensors)
        if moment.kind == "backward":
            own = own or moment.event.at.node is lost.backward.at.node
        elif moment.kind == "clear" and concerned and moment.tensors is not None:
            own = False
        elif moment.kind == "step" and concerned:
            if own or moment.tensors is None:
                return True
            stepped = True
    return not stepped


def _part_of_trained(facts: Facts, lost: Lost) -> bool:
    """Did the optimizer get the parameters that lose their gradient only as a part of a model that trains otherwise?

    A term of the loss that is cut off is no part of the model.
    """
    if lost.backward.node is None or any(lost.cut in frontier(term) for term in dead_terms(lost.backward.node)):
        return False
    reached = {leaf for event in backwards(facts) for leaf in event.reached}
    asked = lists_of_parameters(facts)
    for leaf in lost.leaves:
        models = [held for held in asked if leaf in held]
        if not models or any(reached.isdisjoint(held) for held in models):
            return False
    return True


def is_call_of(node: ast.AST, *names: str) -> bool:
    """Is `node` a call of a method or function with one of these names?"""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in names
