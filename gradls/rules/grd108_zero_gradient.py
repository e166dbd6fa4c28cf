"""GRD108."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import ADDITIVE, MOST_TERMS, SCALING, backwards
from gradls.flow.reach import terms, walk
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.straight_through import argument_of, cancelled, straight_through
from gradls.rules.unknown_criteria import stops
from gradls.rules.words import backward_step, code, owners, place


class ZeroGradient(Rule):
    """A gradient that is zero everywhere, because of rounding or the sign, or because it cancels itself.

    ## What it finds
    `round`, `floor`, `ceil`, `trunc`, `sign` and their kind as the only way from parameters to a loss; and a sum such
    as `x + (x.round() - x)`, in which the rest of the gradient is added and taken away again: a straight-through
    estimator without its `detach()`, or the ratio of a policy to itself, whose older log-probability has a gradient.
    The second derivative, with respect to its input, of a network whose activations are piecewise linear (ReLU), as a
    differential equation asks for it, and what chooses the pixels that `grid_sample(mode="nearest")` takes. As
    information, a term of a loss with no other gradient than such a one, where other terms train the parameters.

    ## Why it matters
    These functions are flat, so autograd multiplies by zero. Nothing raises, every `grad` is there, and all of them
    are zeros: the parameters never move.

    ## What PyTorch does
    The result requires grad, `backward()` runs, and the gradient is a tensor of zeros.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    loss = (model(torch.randn(8, 3)).round() - 1.0).pow(2).mean()
    loss.backward()
    assert not model.weight.grad.any()
    ```

    ```python
    import torch

    weight = torch.randn(3, requires_grad=True)
    quantized = weight + (weight.round() - weight)
    quantized.pow(2).sum().backward()
    assert not weight.grad.any()
    ```

    ```python
    import torch

    policy = torch.nn.Linear(3, 2)
    actions, advantages = torch.randint(0, 2, (8,)), torch.randn(8)
    distribution = torch.distributions.Categorical(logits=policy(torch.randn(8, 3)))
    old = distribution.log_prob(actions)
    ratio = (distribution.log_prob(actions) - old).exp()
    loss = -(ratio * advantages).mean()
    loss.backward()
    assert not policy.weight.grad.any()
    ```

    ```python
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    x = torch.rand(5, 1, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    assert not bend.any()
    ```

    ## Use instead
    A straight-through estimator: rounded values forward, the gradient of the value itself backward.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    value = model(torch.randn(8, 3))
    rounded = value + (value.round() - value).detach()
    loss = (rounded - 0.7).pow(2).mean()
    loss.backward()
    assert model.weight.grad.any()
    ```

    ```python
    import torch

    policy = torch.nn.Linear(3, 2)
    actions, advantages = torch.randint(0, 2, (8,)), torch.randn(8)
    distribution = torch.distributions.Categorical(logits=policy(torch.randn(8, 3)))
    old = distribution.log_prob(actions).detach()
    ratio = (distribution.log_prob(actions) - old).exp()
    loss = -(ratio * advantages).mean()
    loss.backward()
    assert policy.weight.grad.any()
    ```

    ## When it is silent
    Where the parameters have another way to the loss, and where the rounded value is detached.

    ## Fix safety
    Suggested: the straight-through estimator `x + (f(x) - x).detach()` gives the same values, and the gradient as if
    the operation were not there, which changes what is learned. None where the argument is a computation that
    would have to be written twice.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.round.html
    """

    code, name, severity = "GRD108", "zero-gradient", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        stepped = {leaf for event in facts.of("step") for leaf in event.trained}
        alive: set[Tensor] = set()
        blocked: dict[Node, tuple[Event, set[Tensor]]] = {}
        sums: set[Node] = set()
        for event in backwards(facts):
            live, dead = split(event.node, sums)  # type: ignore[arg-type]
            alive |= live
            for node, leaves in dead.items():
                blocked.setdefault(node, (event, set()))[1].update(leaves)
        told: set[Tensor] = set()
        for node, (event, leaves) in sorted(blocked.items(), key=lambda item: item[0] not in sums):
            lost = [leaf for leaf in leaves if leaf not in alive and leaf.requires_grad]
            lost.sort(key=lambda leaf: leaf.fields.born)
            if set(lost) - told and node.at is not None:
                told |= set(lost) if node in sums else set()
                what = code(facts, node.at.node)
                if node in sums:
                    message = (
                        f"in {what} the gradient of {owners(lost)} is added and taken away again, so it is zero "
                        f"everywhere. {_instead(node)}"
                    )
                else:
                    message = f"the gradient of {what} is zero everywhere: it never moves {owners(lost)}"
                severity = Severity.WARNING if stepped.intersection(lost) else Severity.INFORMATION
                fixes = _fixes(facts, node, node in sums)
                yield self.finding(place(node.at), message, [backward_step(facts, event)], fixes, severity)
        if sums:
            yield from self._of_terms(facts, told)
        yield from self._of_slopes(facts)
        for event, flat in facts.each(_of_unknown):
            if flat.at is not None and not (flat in blocked and blocked[flat][1]):
                message = (
                    f"the gradient of {code(facts, flat.at.node)} is zero everywhere: it never moves what computes that"
                )
                story = [backward_step(facts, event)]
                yield self.finding(place(flat.at), message, story, severity=Severity.INFORMATION)

    def _of_slopes(self, facts: Facts) -> Iterator[Finding]:
        """Second derivatives of what is piecewise linear."""
        for event in {event.at.node: event for event in facts.of("flat-slope")}.values():
            first = event.node
            if event.caught or first is None or first.at is None:
                continue
            message = (
                f"{code(facts, event.at.node)} is zero everywhere: what {code(facts, first.at.node)} differentiates is "
                "piecewise linear, as networks of ReLU are, and has a slope that does not change. Take a smooth "
                "activation, such as `tanh` or `SiLU`"
            )
            yield self.finding(place(event.at), message, [Step(place(first.at), "this is the first derivative")])

    def _of_terms(self, facts: Facts, told: set[Tensor]) -> Iterator[Finding]:
        """A term of a loss that has no other gradient than one which cancels itself: the commitment of a second
        quantizer, to what is left of a straight-through estimator. Other terms train the parameters behind it."""
        seen: set[ast.AST] = set()
        for event in backwards(facts):
            for term in _terms_of(event.node) if event.node is not None else ():
                sums: set[Node] = set()
                alive, dead = split(term, sums)
                if (
                    alive
                    or not dead
                    or sums != set(dead)
                    or any(node.kind == "opaque" for node in walk(term, follow="maybe"))
                ):
                    continue
                behind = {leaf for leaves in dead.values() for leaf in leaves if leaf.requires_grad} - told
                node = min(sums, key=lambda one: one.fields.born)
                if behind and node.at is not None and node.at.node not in seen:
                    seen.add(node.at.node)
                    what, who = code(facts, node.at.node), owners(sorted(behind, key=_age))
                    message = (
                        f"in {what} the gradient of {who} is added and taken away again: a term of the loss has no "
                        "other, and trains nothing. If it is to, `detach()` what is subtracted"
                    )
                    story = [Step(place(term.at), "this is the term")] if term.at is not None else []
                    story.append(backward_step(facts, event))
                    yield self.finding(place(node.at), message, story, severity=Severity.INFORMATION)


_FLAT = frozenset(("round", "floor", "ceil", "trunc", "fix", "sign", "sgn", "bernoulli"))
"""Operations whose result is as large as their argument."""


def _fixes(facts: Facts, node: Node, cancels: bool) -> list[Fix]:
    assert node.at is not None
    at = node.at.node
    if cancels:
        fix = cancelled(facts, at)
    elif node.op in _FLAT and isinstance(at, ast.Call) and not _is_of_function(facts, at):
        fix = _taken_away(facts, node) or straight_through(facts, at, argument_of(facts, at))
    else:
        fix = None
    return [fix] if fix is not None else []


def _taken_away(facts: Facts, node: Node) -> Fix | None:
    """A loss that is given the result itself takes what was to be rounded as well."""
    assert node.at is not None
    losses = [part for event in backwards(facts) for part in walk(event.node) if part.label == "loss"]  # type: ignore[arg-type]
    if node.op == "bernoulli" or not any(edge.node is node for loss in losses for edge in loss.edges):
        return None
    at, argument = place(node.at), argument_of(facts, node.at.node)
    if argument is None:
        return None
    build = edits.replace_expression(at, facts.segment(argument))
    return Fix(f"Take `{node.op}` away", Safety.SUGGESTED, build)


def _is_of_function(facts: Facts, node: ast.AST) -> bool:
    """Does it stand in the `forward` of a custom Function, of which `backward` says what the gradient is?"""
    function = facts.function(node)
    cls = facts.parent(function) if function is not None else None
    return isinstance(cls, ast.ClassDef) and any("Function" in facts.segment(base) for base in cls.bases)


def _of_unknown(facts: Facts) -> Iterator[tuple[Event, Node]]:
    """Operations with such a gradient before an unknown network, and a backward that goes to nothing else."""
    told: set[ast.AST] = set()
    for event, stop, _ in stops(facts):
        if stop.cut is None and stop.at is not None and stop.at.node not in told:
            told.add(stop.at.node)
            yield event, stop


def _age(leaf: Tensor) -> int:
    return leaf.fields.born


def _terms_of(root: Node) -> list[Node]:
    """The terms of a loss that is a sum, whatever they are multiplied by; none of one that is no sum."""
    found: list[Node] = []
    todo, seen = [root], {root}
    while todo and len(seen) < MOST_TERMS:
        node = todo.pop()
        live = [edge.node for edge in node.edges if edge.flows is not False]
        if node.op in ADDITIVE or (node.op in SCALING and len(live) == 1):
            new = [one for one in live if one not in seen]
            seen.update(new)
            todo += new
        else:
            found.append(node)
    return found if len(found) > 1 else []


def _instead(node: Node) -> str:
    if any(term.get("formula") is not None for term, count in terms(node).items() if not count):
        return "Both sides are computed from the same values: `detach()` the one that is to be compared with"
    return "For a straight-through estimator detach the difference: `x + (f(x) - x).detach()`"


def split(root: Node, sums: set[Node]) -> tuple[set[Tensor], dict[Node, set[Tensor]]]:
    """The leaves that a gradient other than zero may reach, and those behind each flat operation and each sum in which
    a term cancels itself; these are put into `sums`."""
    alive: set[Tensor] = set()
    flat: list[Node] = []
    seen, todo = {root}, [root]
    while todo:
        node = todo.pop()
        if node.leaf is not None:
            alive.add(node.leaf)
        if node.zero:
            flat.append(node)
            continue
        inputs = [edge.node for edge in node.edges if edge.flows is not False]
        if any(edge.sign for edge in node.edges):
            counts = terms(node)
            inputs = [term for term, count in counts.items() if count]
            if len(inputs) < len(counts):
                sums.add(node)
                flat.append(node)
        for source in inputs:
            if source not in seen:
                seen.add(source)
                todo.append(source)
    return alive, {node: _behind(node) for node in flat}


def _behind(node: Node) -> set[Tensor]:
    from gradls.flow.reach import leaves

    return set(leaves(node))
