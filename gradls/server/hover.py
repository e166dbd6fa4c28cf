"""What is shown when the pointer rests on something: a finding, a comment that silences one, a tensor, a module, an
optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types

from gradls.explain.hover import about
from gradls.explain.leads import Lead, leads
from gradls.rules.finding import Finding
from gradls.rules.page import page
from gradls.rules.registry import rules_by_key
from gradls.rules.rule import Rule
from gradls.server.positions import Position, Range, to_range
from gradls.server.seeing import in_words, markup, place_of, shown
from gradls.server.settings import Client
from gradls.syntax.separators import is_notebook, line_in_words
from gradls.syntax.source import Source, Span
from gradls.workspace.session import Session
from gradls.workspace.suppression import rules_at

MOST_LEADS = 3


def hover(session: Session, label: str, at: tuple[int, int], client: Client) -> types.Hover | None:
    """What there is to say at the protocol's line and character `at`: the findings, each with its story and its rule in
    short, then what is known of the gradient. None if that is nothing. Runs on the worker's thread."""
    facts = session.facts(label)
    lines = facts.source.lines
    place: Range | None = None
    parts: list[str] = []
    for finding, area in _findings_at(session.findings(label), at, client):
        place = place or area
        parts.append(in_words(list(_about_finding(finding, client)), client))
    line, column = place_of(facts.source, at, client)
    for lead in _leads_at(session.findings(label), facts.source, (line, column)):
        place = place or to_range(lead.span, lines, client.encoding)
        parts.append(in_words([_about_lead(lead, client)], client))
    ignored = rules_at(facts.source, line, column)
    if ignored is not None:
        (first, last), names = ignored
        place = place or to_range(Span(line, first, line, last), lines, client.encoding)
        known = rules_by_key()
        parts += [in_words(list(_about_rule(known[name], client)), client) for name in names if name in known]
    else:
        found = about(facts, line, column)
        if found is not None:
            place = place or to_range(found.span, lines, client.encoding)
            parts.append(in_words(shown(found.paragraphs, client), client))
    if place is None or not parts:
        return None
    return types.Hover(
        types.MarkupContent(markup(client), "\n\n---\n\n".join(parts)),
        types.Range(types.Position(**place["start"]), types.Position(**place["end"])),
    )


def _findings_at(findings: Sequence[Finding], at: tuple[int, int], client: Client) -> Iterator[tuple[Finding, Range]]:
    for finding in findings:
        place = to_range(finding.span, finding.place.source.lines, client.encoding)
        if _order(place["start"]) <= at <= _order(place["end"]):
            yield finding, place


def _leads_at(findings: Sequence[Finding], source: Source, at: tuple[int, int]) -> Iterator[Lead]:
    """What the stories of findings elsewhere tell of the 1-based place, the innermost first."""
    found = [lead for lead in leads(findings, source) if lead.span[:2] <= at <= lead.span[2:]]
    yield from sorted(found, key=lambda lead: (lead.span.end_line - lead.span.line, lead.finding.span))[:MOST_LEADS]


def _about_lead(lead: Lead, client: Client) -> str:
    finding = lead.finding
    where = _linked(finding.place.source, finding.span, client)
    step, message = shown([lead.step.message, finding.message], client)
    return f"{step[:1].upper()}{step[1:]}: {finding.name} on {where}. {message}"


def _linked(source: Source, span: Span, client: Client) -> str:
    """ "line 12", which leads there where the client can show links. Cells have no addresses that links could have."""
    words = line_in_words(source, span.line)
    if not client.abilities.markdown or is_notebook(source):
        return words
    return f"[{words}]({client.uri_of(source.path)}#L{span.line})"


def _order(position: Position) -> tuple[int, int]:
    return position["line"], position["character"]


def _about_finding(finding: Finding, client: Client) -> Iterator[str]:
    if not client.shows_findings:
        yield from shown([finding.message], client)
    if finding.story and not client.shows_findings:
        messages = shown([step.message for step in finding.story], client)
        yield "\n".join(
            f"{number}. {_linked(step.place.source, step.place.span, client)}: {message}"
            for number, (step, message) in enumerate(zip(finding.story, messages, strict=True), 1)
        )
    rule = rules_by_key().get(finding.code)
    if rule is not None:
        yield from _about_rule(rule, client)


def _about_rule(rule: Rule, client: Client) -> Iterator[str]:
    of = page(type(rule))
    yield f"**{of.title}**"
    yield of.sections.get("What it finds", "")
    yield f"[{rule.code} {rule.name}]({client.address_of(rule.code, rule.name)})"
