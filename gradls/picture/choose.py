"""What is drawn for a line: a `backward()`, an `autograd.grad`, or what a function returns."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At, Node
from gradls.flow.reach import leaves
from gradls.flow.values import Function, Tensor, Value
from gradls.picture.model import listed
from gradls.picture.places import Places
from gradls.syntax.separators import is_notebook


class NothingToDraw(Exception):
    """There is no gradient to draw; the message says why."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is drawn: the gradient of `roots`, which `at` asks for. `event` is the backward, if it is one; `function`
    the name of the function, if it is what one returns."""

    at: At
    roots: tuple[Node, ...]
    event: Event | None = None
    function: str = ""
    calls: int = 1
    """In how many ways the analysis came here; one of them is drawn."""


def choose(facts: Facts, line: int, places: Places | None = None) -> Subject:
    """What there is to draw for the 1-based `line` of the file that `facts` are about. `places` words refusals."""
    if not 1 <= line <= max(len(facts.source.lines), 1):
        raise NothingToDraw(f"there is no line {line}: the file has {len(facts.source.lines)}")
    found = [event for event in facts.of("backward", "grad-call") if _is_on(facts, event.at, line)]
    if found:
        known = [(event, roots) for event in found if (roots := _roots(event))]
        if not known:
            raise NothingToDraw(
                f"what `{_short(facts, found[0].at.node)}` is called on is not known here: it comes from code that "
                "cannot be followed"
            )
        event, roots = max(enumerate(known), key=lambda item: (_losses(item[1][1]), item[0]))[1]
        return Subject(event.at, roots, event, calls=len(known))
    return _function(facts, line, places or Places())


def backwards(facts: Facts) -> Iterator[Event]:
    """The calls of `backward()` and `autograd.grad` of which is known what they are called on."""
    return (event for event in facts.of("backward", "grad-call") if _roots(event))


def _roots(event: Event) -> tuple[Node, ...]:
    if event.kind == "backward":
        return (event.node,) if event.node is not None else ()
    return tuple(dict.fromkeys(event.nodes))


def _losses(roots: Iterable[Node]) -> int:
    """How many leaves that want a gradient do not get it: the round of a loop is drawn in which something is lost."""
    wanting = {leaf for root in roots for leaf in leaves(root, follow="all") if leaf.requires_grad}
    return len(wanting - {leaf for root in roots for leaf in leaves(root, follow="maybe")})


def _is_on(facts: Facts, at: At, line: int) -> bool:
    if at.source is not facts.source:
        return False
    span = facts.source.span(at.node)
    return span.line <= line <= span.end_line


def _short(facts: Facts, node: ast.AST, most: int = 40) -> str:
    text = " ".join(facts.segment(node).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _function(facts: Facts, line: int, places: Places) -> Subject:
    """What the innermost function around a line returns that depends on tensors."""
    around = _functions_around(facts, line)
    for node in around:
        name = getattr(node, "name", "<lambda>")
        results: dict[ast.AST, tuple[At, dict[Node, None], int]] = {}
        for event in facts.of("return"):
            if not isinstance(event.function, Function) or event.function.written.node is not node:
                continue
            roots = _nodes(event.value)
            if roots:
                at, known, count = results.get(event.at.node, (event.at, {}, 0))
                results[event.at.node] = at, (known if count else roots), count + 1
        if results:
            best = max(results.values(), key=lambda item: (_is_on(facts, item[0], line), _wealth(item[1]), item[2]))
            return Subject(best[0], tuple(best[1]), function=name, calls=best[2])
    lines = [facts.source.line(at.node) for at in _calls(facts)]
    inside = [number for number in lines if around and _is_on(facts, At(facts.source, around[0]), number)]
    if inside:
        return choose(facts, min(inside, key=lambda number: (number < line, abs(number - line))))
    here = places.lines(facts.source, [line])
    if around:
        name = getattr(around[0], "name", "the function")
        why = f"there is no backward() on {here}, and `{name}` around it returns no tensor that is known"
    else:
        why = f"there is no backward() on {here}, and no function around it"
    if is_notebook(facts.source):
        called, word = [places.lines(facts.source, [number]) for number in sorted(set(lines))], ""
    else:
        called, word = [str(number) for number in sorted(set(lines))], f"line{'s' * (len(set(lines)) > 1)} "
    where = f"; backward() is called on {word}{listed(called, 6)}" if called else ""
    raise NothingToDraw(why + where)


def _calls(facts: Facts) -> list[At]:
    """Where the file calls `backward()` or `autograd.grad`; where it is known on what, if that is known anywhere."""
    known = [event.at for event in backwards(facts)] or [event.at for event in facts.of("backward", "grad-call")]
    return [at for at in known if at.source is facts.source]


def _functions_around(facts: Facts, line: int) -> list[ast.AST]:
    """The functions around a line, innermost first."""
    found = []
    for node in ast.walk(facts.source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            span = facts.source.span(node)
            first = min([span.line, *(facts.source.line(part) for part in node.decorator_list)])
            if first <= line <= span.end_line:
                found.append((first, node))
    return [node for _, node in sorted(found, key=lambda item: -item[0])]


def _nodes(value: Value | None) -> dict[Node, None]:
    found: dict[Node, None] = {}
    for part in tensors_in(value) if value is not None else ():
        if isinstance(part, Tensor):
            found[part.node] = None
        else:
            node = part.fields.get(("node",))  # type: ignore[attr-defined]
            if node is not None:
                found[node] = None
    return found


def _wealth(roots: Iterable[Node]) -> int:
    return sum(len(leaves(root, follow="all")) for root in roots)
