"""What the calls of `backward()` and `step()` do, in a line each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from gradls.explain import cuts
from gradls.explain.names import Names
from gradls.explain.objects import flags_of
from gradls.explain.reach import Score, scores
from gradls.flow.facts import Event, Facts
from gradls.flow.lost import never_reached
from gradls.flow.values import Tensor
from gradls.syntax.source import Span


@dataclass(frozen=True, slots=True)
class Lens:
    """`title` belongs above `span`; `details` tell more in sentences. `kind` is backward or step."""

    span: Span
    kind: str
    title: str
    details: tuple[str, ...]


def lenses(facts: Facts) -> Iterator[Lens]:
    """What there is to say about the calls of the file, in the order of the text."""
    found = [*_backwards(facts), *_steps(facts)]
    yield from sorted(found, key=lambda lens: lens.span)


def _backwards(facts: Facts) -> Iterator[Lens]:
    by_call: dict[ast.AST, list[Score]] = {}
    for score in scores(facts):
        by_call.setdefault(score.event.at.node, []).append(score)
    for node, found in by_call.items():
        titles = list(dict.fromkeys(backward_title(facts, score) for score in found))
        if len(titles) > 2 or not all(titles):
            continue
        details = dict.fromkeys(line for score in found for line in _details(facts, score))
        yield Lens(facts.source.span(node), "backward", ", or ".join(titles), tuple(details))


def _frozen(facts: Facts, score: Score) -> list[Tensor]:
    flags = flags_of(facts, score.missed)
    return [leaf for leaf in score.missed if leaf in score.found.frozen or flags[leaf] is False]


def backward_title(facts: Facts, score: Score) -> str:
    """ "gradient reaches 12 of 14 parameters", as far as it is known; empty if it is not."""
    if score.event.requires_grad is False:
        return "no gradient: this raises"
    parameters = [leaf for leaf in score.reached if leaf.is_parameter]
    if score.event.requires_grad is None or not score.reached:
        return ""
    if not score.exact:
        names = Names.of(facts)
        least = sum(not names.is_vague(leaf) for leaf in parameters)
        return f"gradient reaches at least {least} parameter{'s' if least > 1 else ''}" if least else ""
    others = len(score.reached) - len(parameters)
    total = len(parameters) + len(score.missed)
    leaves = f"{others} leaf tensor" + ("s" if others > 1 else "")
    if not parameters and others:
        return f"gradient reaches {leaves}"
    counted = f"{len(parameters)} of {total}" if total > 1 or score.missed else "1"
    frozen = len(_frozen(facts, score))
    ending = (f" ({frozen} frozen)" if frozen else "") + (f" and {leaves}" if others else "")
    return f"gradient reaches {counted} parameter{'s' if total > 1 else ''}{ending}"


def _details(facts: Facts, score: Score) -> Iterator[str]:
    names = Names.of(facts)
    frozen = _frozen(facts, score)
    cut: dict[str, list[Tensor]] = {}
    unused = []
    for leaf in score.missed:
        node = score.found.missed.get(leaf)
        if node is not None:
            cut.setdefault(cuts.phrase(facts, node), []).append(leaf)
        elif leaf not in frozen and score.exact:
            unused.append(leaf)
    for why, leaves in cut.items():
        yield f"Not {names.listed(leaves, 8)}: {why}."
    if frozen:
        yield f"Not {names.listed(frozen, 8)}: frozen."
    if unused:
        yield f"Not {names.listed(unused, 8)}: not used on the way to it."


def _steps(facts: Facts) -> Iterator[Lens]:
    by_call: dict[ast.AST, list[Event]] = {}
    for event in facts.of("step"):
        if event.at.source is facts.source and isinstance(event.at.node, ast.Call):
            by_call.setdefault(event.at.node, []).append(event)
    never = never_reached(facts) if by_call and not facts.unfinished else set()
    for node, events in by_call.items():
        titles: dict[str, None] = {}
        details: dict[str, None] = {}
        for event in events:
            title, lines = _step(facts, event, never)
            titles[title] = None
            details.update(dict.fromkeys(lines))
        if len(titles) <= 2 and all(titles):
            yield Lens(facts.source.span(node), "step", ", or ".join(titles), tuple(details))


_EMPTY = "their `grad` is None here"


def _step(facts: Facts, event: Event, never: set[Tensor]) -> tuple[str, list[str]]:
    names = Names.of(facts)
    parameters = list(dict.fromkeys(event.parameters))
    made = [other for other in facts.of("optimizer-made", "group-added") if other.value is event.value]
    unsure = not made or any(other.open for other in made) or any(map(names.is_vague, parameters))
    if unsure or event.escaped or not parameters:
        return "", []
    rest = [leaf for leaf in parameters if leaf not in event.filled]
    if event.closure is not None or not event.empty.issuperset(rest):
        # Code that is not seen here may have filled gradients.
        return "", []
    frozen = [leaf for leaf in rest if leaf not in event.trained]
    missed = [leaf for leaf in rest if leaf in event.trained]
    stepped = len(parameters) - len(rest)
    lines = []
    if frozen:
        lines.append(f"Not {names.listed(frozen, 8)}: frozen.")
    if missed:
        never_at_all = never.issuperset(missed)
        lines.append(f"Not {names.listed(missed, 8)}: {'no gradient ever reaches these' if never_at_all else _EMPTY}.")
    counted = f"{stepped} of {len(parameters)}" if frozen or missed else str(stepped)
    return f"steps {counted} parameter{'s' if len(parameters) != 1 else ''}", lines
