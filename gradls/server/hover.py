"""What is shown when the pointer rests on a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsprotocol import types

from gradls.rules.finding import Finding
from gradls.rules.page import page
from gradls.rules.registry import rules_by_key
from gradls.server.positions import Position, to_range
from gradls.server.settings import Client
from gradls.workspace.addresses import rule_address


def hover(findings: Sequence[Finding], at: tuple[int, int], client: Client) -> types.Hover | None:
    """The findings at the protocol's line and character `at`, each with its story and its rule in short; None if there
    are none. Runs on the worker's thread."""
    ranges = [to_range(finding.span, finding.place.source.lines, client.encoding) for finding in findings]
    here = [
        (finding, place)
        for finding, place in zip(findings, ranges, strict=True)
        if _order(place["start"]) <= at <= _order(place["end"])
    ]
    if not here:
        return None
    place = here[0][1]
    text = "\n\n---\n\n".join("\n\n".join(_paragraphs(finding)) for finding, _ in here)
    return types.Hover(
        types.MarkupContent(
            types.MarkupKind.Markdown if client.abilities.markdown else types.MarkupKind.PlainText, text
        ),
        types.Range(types.Position(**place["start"]), types.Position(**place["end"])),
    )


def _order(position: Position) -> tuple[int, int]:
    return position["line"], position["character"]


def _paragraphs(finding: Finding) -> Iterator[str]:
    yield finding.message
    if finding.story:
        yield "\n".join(
            f"{number}. line {step.place.span.line}: {step.message}" for number, step in enumerate(finding.story, 1)
        )
    rule = rules_by_key().get(finding.code)
    if rule is not None:
        about = page(type(rule))
        yield f"**{about.title}**"
        yield about.sections.get("What it finds", "")
    yield f"[{finding.code} {finding.name}]({rule_address(finding.name)})"
