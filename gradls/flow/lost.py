"""Where gradient is lost: cuts between a backward and what it was meant to reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gradls.autograd.distributions import find_distribution
from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At, Node
from gradls.flow.hiding import may_hide, outermost
from gradls.flow.models.modules import parameters_of
from gradls.flow.reach import MOST_TERMS, frontier, lost_leaves, walk
from gradls.flow.residuals import ADDITIVE, lost_derivatives
from gradls.flow.sources import sources
from gradls.flow.values import Instance, Sequence, Tensor, Unknown, Value

SCALING = frozenset(("mul", "div", "truediv", "rmul"))
"""The same if the other operand is a constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """A cut that costs gradient.

    `why`: "raises", nothing that the backward could reach is left; "given", the same if the data have no gradient
    themselves; "quiet", the same if unknown code that computed it did not switch gradients on again; "tensor", the same
    if what is cut off, which is unknown, is a tensor; "parameters", the
    parameters in `leaves`, which an optimizer steps, get no gradient from any backward; "untrained", the same for
    parameters of a program that makes no optimizer; "term", a term of the loss is a constant; "forward", the same as
    "untrained" for what a `forward` that nobody calls returns, and `backward` is that return; "network", the same for
    an unknown network that nothing in a function trains though there is an optimizer more than networks that are
    trained; "criterion", the same as "given" if what computed the loss, which is unknown, has no parameters;
    "constant", the same as "term" if the term had a gradient; "beside" and "before", what `rules/partial_cuts.py` says.
    `others` are further cuts of the same kind that keep the same parameters from their gradient, `same` what is lost by
    these.
    """

    cut: Node
    backward: Event
    leaves: tuple[Tensor, ...]
    why: str
    others: tuple[Node, ...] = ()
    same: tuple[Lost, ...] = ()


def lost_gradients(facts: Facts) -> list[Lost]:
    """Every cut that costs gradient, once for each reason."""
    found: list[Lost] | None = facts.memo.get("lost")
    if found is None:
        found = facts.memo["lost"] = _grouped(list(_all(facts)))
    return found


def backwards(facts: Facts) -> Iterator[Event]:
    """The calls of backward of which the root is known."""
    return (event for event in facts.of("backward") if event.node is not None)


def without_gradient(event: Event) -> bool:
    """Will this backward raise because its root has no graph?"""
    return event.requires_grad is False


def _all(facts: Facts) -> Iterator[Lost]:
    seen: set[tuple[Node, str]] = set()
    leaves_of: dict[Node, tuple[Tensor, ...]] = {}
    never = never_reached(facts)
    optimized = any(facts.each(_optimizing))
    given = {tensor for event in facts.of("optimizer-made") for tensor in event.parameters}
    gone = {event.old for event in facts.of("attribute-deleted")} | replaced_parameters(facts)
    reached = {leaf for event in backwards(facts) for leaf in event.reached}
    for event in facts.of("backward"):
        quiet = event.info.get("quiet")
        stops = frontier(quiet) if quiet else []
        cuts = [cut for cut in stops if cut.cut is not None and cut.cut.kind == "no_grad"]
        if cuts:
            yield replace(_raising(event, cuts, given), why="quiet")
        elif stops:
            yield replace(_raising(event, stops, given), why="tensor")
    reached_nodes = {node for event in backwards(facts) for node in walk(event.node, follow="maybe")}  # type: ignore[arg-type]
    for event in backwards(facts):
        root = event.node
        assert root is not None
        cuts = frontier(root)
        if without_gradient(event):
            if cuts:
                yield _raising(event, cuts, given)
            continue
        if cuts and event.requires_grad is None and _is_of_data(root, cuts):
            yield replace(_raising(event, cuts, given), why="given")
            continue
        dead: dict[bool, set[Node]] = {}
        constant = _behind_constant_losses(root) if cuts else set()
        if any(cut.cut is not None and cut.cut.kind == "grad" for cut in cuts):
            constant |= lost_derivatives(facts, root, event.reached, dead_terms(root))
        if facts.unfinished:
            continue  # A backward that was not seen may reach what this one does not.
        for cut in cuts:
            leaves = leaves_of.get(cut)
            if leaves is None:
                leaves = leaves_of[cut] = tuple(lost_leaves(cut))
            if any(leaf in never for leaf in leaves):
                why, leaves = "parameters", tuple(leaf for leaf in leaves if leaf in never)
            elif not optimized and leaves and not any(leaf in reached for leaf in leaves):
                if _is_copy_of_parameters(cut):
                    continue
                why, leaves = "untrained", tuple(leaf for leaf in leaves if leaf.is_parameter and leaf not in gone)
            elif leaves and _is_loss(event) and _is_certain(cut) and cut in constant:
                why = "term"
            elif leaves and _is_loss(event) and _may_cost_a_term(cut, reached_nodes):
                never_meant = _is_never_meant(cut)
                if never_meant not in dead:
                    dead[never_meant] = _behind_dead_terms(root, never_meant, never)
                detached = cut.cut is not None and cut.cut.kind in _DETACHED
                if cut not in dead[never_meant] and not (detached and cut in _dead_elements(root, event.reached)):
                    continue
                why = "term"
            else:
                continue
            if (cut, why) not in seen and leaves:
                seen.add((cut, why))
                yield Lost(cut, event, leaves, why)


def replaced_parameters(facts: Facts) -> set[Value | None]:
    """The parameters in the place of which a module was given others, which began with the numbers of these."""
    found: set[Value | None] | None = facts.memo.get("replaced parameters")
    if found is None:
        changes = [(event.old, event.assigned) for event in facts.of("attribute-set")]
        both = [(old, new) for old, new in changes if isinstance(old, Tensor) and isinstance(new, Tensor)]
        found = facts.memo["replaced parameters"] = {
            old for old, new in both if old is not new and old.is_parameter and new.is_parameter
        }
    return found


def _is_copy_of_parameters(cut: Node) -> bool:
    """Are parameters copied into others, without gradients? These begin with the same numbers, that is all."""
    return cut.op == "copy_" and all(edge.node.leaf is not None for edge in cut.edges)


def _is_loss(event: Event) -> bool:
    """Is backward called on a loss? What has several elements, or is given a gradient, may be any result."""
    return event.node is not None and (event.node.scalar or (event.node.scalar is None and not event.gradient))


def _is_of_data(root: Node, cuts: list[Node]) -> bool:
    """Is nothing that this depends on left to have a gradient but data, and is there something behind the cuts?"""
    found = sources(root)
    if found.calls or found.arguments or found.others or not found.data:
        return False
    behind = [*cuts, *(edge.node for cut in cuts for edge in cut.edges)]
    return any(lost_leaves(cut) for cut in cuts) or any(sources(node).calls for node in behind)


def _raising(event: Event, cuts: list[Node], optimized: set[Tensor]) -> Lost:
    """All cuts before a backward that has nothing left to reach: to blame is the last one made of those that keep
    gradient from what an optimizer is given, if there are such, and before those one that nobody makes on purpose:
    targets are detached, or computed without gradients."""
    costly = [cut for cut in cuts if any(leaf in optimized for leaf in lost_leaves(cut))]
    cuts = sorted(costly or cuts, key=lambda node: (not _is_never_meant(node), -node.fields.born))
    leaves = dict.fromkeys(leaf for cut in cuts for leaf in lost_leaves(cut))
    return Lost(cuts[0], event, tuple(leaves), "raises", tuple(cuts[1:]))


def _grouped(found: list[Lost]) -> list[Lost]:
    """One for all cuts of a kind that cost the same parameters their gradient."""
    kept: list[Lost] = []
    for lost in found:
        kind = lost.cut.cut.kind if lost.cut.cut else ""
        for index, first in enumerate(kept):
            same = (
                first.why == lost.why in ("parameters", "untrained")
                and first.cut.cut is not None
                and first.cut.cut.kind == kind
            )
            if same and set(first.leaves) & set(lost.leaves):
                places = {node.cut.at for node in (first.cut, *first.others) if node.cut}
                others = (
                    first.others if lost.cut.cut is None or lost.cut.cut.at in places else (*first.others, lost.cut)
                )
                leaves = tuple(dict.fromkeys((*first.leaves, *lost.leaves)))
                if others and not _costs_itself(first) and _costs_itself(lost):
                    first, others = replace(first, cut=lost.cut), (first.cut, *first.others)
                kept[index] = replace(first, leaves=leaves, others=others, same=(*first.same, lost))
                break
        else:
            kept.append(lost)
    return [lost for lost in kept if not _is_beside(lost, kept)]


def _costs_itself(lost: Lost) -> bool:
    """Would gradient pass if there were no such cut? Not if what comes of it are indices, as of a matching."""
    root = lost.backward.node
    return root is not None and lost.cut in frontier(root, behind_discrete=False)


def _is_beside(lost: Lost, every: list[Lost]) -> bool:
    """Is this a draw that has no gradient by any means, of an action for example, and something else to blame?"""
    if lost.cut.cut is None or lost.cut.cut.kind != "sample":
        return False
    spec = find_distribution(lost.cut.label)
    if spec is None or spec.has_rsample == "yes":
        return False
    leaves = set(lost.leaves)
    return any(
        other.cut.cut is not None and other.cut.cut.kind != "sample" and not leaves.isdisjoint(other.leaves)
        for other in every
    )


def _optimizing(facts: Facts) -> Iterator[bool]:
    """Is there an optimizer, or is something that may hold parameters given to unknown code? True if so."""
    for event in facts.of("optimizer-made", "unknown-step", "unknown-call"):
        if event.kind != "unknown-call" or any(isinstance(value, (Instance, Sequence)) for value in event.arguments):
            yield True
            return


def never_reached(facts: Facts) -> set[Tensor]:
    """The parameters that an optimizer steps though no backward reaches them."""
    if facts.unfinished:
        return set()
    trained: set[Tensor] = set()
    for event in facts.of("step"):
        trained |= event.trained
    if not trained or any(event.node is None for event in facts.of("backward")):
        return set()
    for event in backwards(facts):
        assert event.node is not None
        if any(may_hide(node) for node in walk(event.node, follow="maybe")):
            return set()
        trained -= event.reached
    for event in facts.of("grad-set"):
        if isinstance(event.value, Tensor):
            trained.discard(event.value)
    trained -= parts_of_unknown(facts)
    trained -= handed_to_operands(facts)
    if trained and any(_is_of_unknown_code(node) for event in backwards(facts) for node in _maybe_behind(event)):
        trained -= _handed_out(facts)
    for event in facts.of("grad-call"):
        trained -= {target for target in event.targets if isinstance(target, Tensor)}
    return trained if any(True for _ in backwards(facts)) else set()


def parts_of_unknown(facts: Facts) -> set[Tensor]:
    """The parameters of what became part of an object of which nothing is known, which may use them whenever it is
    called: `model = models.resnet18(); model.fc = nn.Linear(512, 2)`."""
    found: set[Tensor] = set()
    for event in facts.of("unknown-attribute-set", "unknown-item-set"):
        if isinstance(event.assigned, Tensor):
            found |= {node.leaf for node in walk(event.assigned.node, follow="maybe") if node.leaf is not None}
        else:
            found |= {parameter for _, parameter in parameters_of(event.assigned)[0]}
    return found


def handed_to_operands(facts: Facts) -> set[Tensor]:
    """The leaves behind what was given to methods of something unknown that a backward goes through another part of:
    `world.set_v(v); world.step(); loss = f(world.p)`."""
    given: dict[Unknown, list[Tensor]] = {}
    for event in facts.of("unknown-call"):
        tensors = [value for value in event.arguments if isinstance(value, Tensor) and value.leaf is not True]
        if tensors and isinstance(event.value, Unknown) and (whole := outermost(event.value)) is not event.value:
            given.setdefault(whole, []).extend(tensors)
    found: set[Tensor] = set()
    for event in backwards(facts) if given else ():
        for node in walk(event.node, follow="maybe"):  # type: ignore[arg-type]
            value = node.get("value") if node.kind == "opaque" else None
            for tensor in given.pop(outermost(value), ()) if isinstance(value, Unknown) else ():
                found |= {part.leaf for part in walk(tensor.node, follow="maybe") if part.leaf is not None}
    return found


def _maybe_behind(event: Event) -> Iterator[Node]:
    """The nodes that a backward may go through."""
    return walk(event.node, follow="maybe") if event.node is not None else iter(())


def _is_of_unknown_code(node: Node) -> bool:
    """Did unknown code give this, of what nobody handed to it there? It may have kept what it was handed before."""
    return (
        node.kind == "opaque" and not node.edges and node.op not in ("argument", "data") and node.get("called") is None
    )


def _handed_out(facts: Facts) -> set[Tensor]:
    """The leaves behind what was computed and then given to unknown code, by itself or in a container."""
    found: set[Tensor] = set()
    seen: set[Node] = set()
    for event in facts.of("unknown-call"):
        for part in (part for value in event.arguments for part in tensors_in(value)):
            if isinstance(part, Tensor) and part.leaf is not True and part.node not in seen:
                seen.add(part.node)
                found |= {node.leaf for node in walk(part.node, follow="maybe") if node.leaf is not None}
    return found


def dead_terms(root: Node, settings: bool = False) -> list[Node]:
    """The terms of the sum `root` that are constants for autograd, on one branch at least. `settings`: attributes of
    which nothing is known are numbers, as those of a configuration. An expression that gives a term with a gradient on
    another branch is none: there it is multiplied by the 0 that a sum over no rounds of a loop is."""
    found: list[Node] = []
    live_at: set[At] = set()
    todo, seen = [root], {root}
    while todo:
        node = todo.pop()
        if node.op in SCALING:
            live = [edge for edge in node.edges if edge.flows is not False]
            todo += [edge.node for edge in live if len(live) == 1 and edge.node not in seen]
        elif node.op in ADDITIVE or node.kind == "phi":
            for edge in node.edges:
                if edge.node in seen:
                    continue
                seen.add(edge.node)
                if edge.flows is not False and not (settings and _is_scaled_constant(edge.node)):
                    todo.append(edge.node)
                    if edge.flows and edge.node.at is not None:
                        live_at.add(edge.node.at)
                elif node.kind != "phi":
                    found.append(edge.node)
    return [term for term in found if term.op not in SCALING or term.at not in live_at]


def _is_scaled_constant(node: Node) -> bool:
    """Is it a constant times an attribute of something unknown?"""
    live = [edge.node for edge in node.edges if edge.flows is not False] if node.op in SCALING else []
    return len(live) == 1 < len(node.edges) and live[0].kind == "opaque" and live[0].op == "attribute"


def _dead_elements(root: Node, reached: Iterable[Tensor]) -> set[Node]:
    """The detached tensors of which terms in a mean or a sum are computed: `(cost - value.detach()).mean()`. What they
    were cut from is computed with parameters that the same backward reaches, and not with the other terms, to which
    they may be a correction: `x + (x.round() - x).detach()`."""
    trained = set(reached)
    found: set[Node] = set()
    todo, live, inside = [root], set[Node](), False
    while todo and len(live) < MOST_TERMS:
        node = todo.pop()
        if node.op in ("mean", "sum") and len(node.edges) == 1 and not inside:
            inside = True
            todo.append(node.edges[0].node)
        elif node.op in ADDITIVE or (node.op in SCALING and len(node.edges) == 1):
            for edge in node.edges:
                if edge.flows is not False:
                    todo.append(edge.node)
                elif inside:
                    cuts = frontier(edge.node)
                    found.update(cut for cut in cuts if cut.cut is not None and cut.cut.kind in _DETACHED)
        else:
            live.add(node)
    return {
        cut
        for cut in found
        if not trained.isdisjoint(lost_leaves(cut)) and live.isdisjoint(walk(cut)) and not _is_phi(live)
    }


def _is_phi(nodes: Iterable[Node]) -> bool:
    """Does a branch say what one of these is?"""
    return any(node.kind != "op" for node in nodes)


_DETACHED = frozenset(("detach", "numpy", "grad"))
"""Cuts that a term of a mean may be computed behind, as a constant. A gradient without a graph is one."""

_NEVER_MEANT = frozenset(("integer", "no_derivative"))
"""Cuts that nobody makes to keep a gradient back: a comparison, a count."""


def _is_never_meant(cut: Node) -> bool:
    return cut.cut is not None and cut.cut.kind in _NEVER_MEANT


def _may_cost_a_term(cut: Node, reached: set[Node]) -> bool:
    """Is this a cut that nobody means to make, or does no backward reach what it cuts off? What is computed without
    gradients of something that has one, with frozen layers, was to pass it on, if it makes up a term by itself."""
    assert cut.cut is not None
    if not cut.cut.certain:
        return False
    if cut.cut.kind == "no_grad" and any(given.node.leaf is not None and given.node.leaf.owner for given in cut.edges):
        return True
    meant = any(given.node in reached and given.node.leaf is None for given in cut.edges)
    return cut.cut.kind in _NEVER_MEANT or not meant


def _is_certain(cut: Node) -> bool:
    return cut.cut is not None and cut.cut.certain


def _behind_constant_losses(root: Node) -> set[Node]:
    """The cuts because of which a whole loss among the terms of `root` is constant: none is computed to train nothing.
    One that is detached itself, for a weight or to be printed, is no such one."""
    found: set[Node] = set()
    for term in dead_terms(root):
        node = term
        while node.cut is None and node.op in SCALING and len(node.edges) == 1:
            node = node.edges[0].node
        if node.cut is None and node.label == "loss":
            found.update(_cuts_before_layers(node))
    return found


def _cuts_before_layers(loss: Node) -> Iterator[Node]:
    """The cuts that a loss is computed of with no layer in between: it may be that which is frozen by mistake."""
    seen = {loss}
    todo = [loss]
    while todo:
        node = todo.pop()
        if node.cut is not None:
            yield node
        elif not any(edge.node.leaf is not None and edge.node.leaf.is_parameter for edge in node.edges):
            todo += [edge.node for edge in node.edges if edge.node not in seen]
            seen.update(todo)


def _behind_dead_terms(root: Node, settings: bool, never: set[Tensor]) -> set[Node]:
    """The cuts because of which whole terms of `root` are constant. A term that was to train what nothing trains is
    one because of the cut from that: the others in it may be weights."""
    found: set[Node] = set()
    for term in dead_terms(root, settings):
        cuts = frontier(term)
        if len(cuts) < 2 or never.isdisjoint(leaf for cut in cuts for leaf in lost_leaves(cut)):
            found.update(cuts)
    return found
