"""What makes gradients visible in the code: hints at assignments, lenses on calls, the path of a gradient.

What is asked here is asked on the worker's thread; only the protocol's data leaves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types

from gradls.explain.harmless import harmless
from gradls.explain.hints import CUTS, hints
from gradls.explain.lenses import lenses
from gradls.explain.paths import path
from gradls.explain.places import expressions_at
from gradls.server.capabilities import PICTURE
from gradls.server.positions import code_points, to_range
from gradls.server.settings import Client
from gradls.syntax.text import visible

if TYPE_CHECKING:
    from gradls.flow.facts import Facts
    from gradls.rules.finding import Finding
    from gradls.server.analysis import Analyst
    from gradls.server.features import Features
    from gradls.syntax.source import Source, Span
    from gradls.workspace.session import Session

T = TypeVar("T")


def register(features: Features, plain: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Have `features` answer these requests; `plain` wraps handlers."""

    async def asked(job: Callable[[Analyst, Session, str], T]) -> T | None:
        subject = features.subject
        if subject is None:
            return None
        label, revision = subject.document.label, subject.revision

        def on_worker(analyst: Analyst) -> T | None:
            session = analyst.session_of(label, revision)
            return None if analyst.excludes(label) else job(analyst, session, label)

        return await features.ask(on_worker)

    async def inlay_hint(params: types.InlayHintParams) -> list[types.InlayHint] | None:
        client = features.client
        lines = params.range.start.line + 1, params.range.end.line + 1

        def job(analyst: Analyst, session: Session, label: str) -> list[types.InlayHint]:
            which = analyst.hints_of(label) or CUTS
            return inlay_hints(session.facts(label), session.findings(label), lines, which, client)

        return await asked(job)

    async def code_lens(params: types.CodeLensParams) -> list[types.CodeLens] | None:
        client = features.client
        runs = client.abilities.shows_documents or PICTURE in features.settings.commands
        uri = params.text_document.uri
        return await asked(lambda _, session, label: code_lenses(session.facts(label), uri, client, runs))

    async def document_highlight(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight] | None:
        client, at = features.client, (params.position.line, params.position.character)
        return await asked(lambda _, session, label: highlights(session.facts(label), at, client))

    features.feature(types.TEXT_DOCUMENT_INLAY_HINT)(plain(inlay_hint))
    features.feature(types.TEXT_DOCUMENT_CODE_LENS)(plain(code_lens))
    features.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)(plain(document_highlight))


def inlay_hints(
    facts: Facts, findings: Sequence[Finding], lines: tuple[int, int], which: str, client: Client
) -> list[types.InlayHint]:
    """The hints of these 1-based lines, both included. A click on one leads to the cut, or to the finding."""
    found = []
    sources = {source.path: source for source in (facts.source, *(finding.place.source for finding in findings))}
    for hint in hints(facts, *lines, which, findings):
        place = to_range(_point(hint.line, hint.column), facts.source.lines, client.encoding)["start"]
        text = in_words(shown(hint.tooltip, client), client)
        label: str | list[types.InlayHintLabelPart] = visible(hint.label)
        if hint.to is not None:
            path, span = hint.to
            location = types.Location(client.uri_of(path), _range(span, sources[path], client))
            label = [types.InlayHintLabelPart(visible(hint.label), location=location)]
        found.append(
            types.InlayHint(
                position=types.Position(**place),
                label=label,
                padding_left=True,
                tooltip=types.MarkupContent(markup(client), text) if client.abilities.markdown else text,
            )
        )
    return found


def code_lenses(facts: Facts, uri: str, client: Client, runs: bool) -> list[types.CodeLens]:
    """The lenses of a file. `runs`: the client can show the picture of a gradient."""
    found = []
    for lens in lenses(facts):
        area = _range(lens.span, facts.source, client)
        details, title = [visible(each) for each in lens.details], visible(lens.title)
        tooltip = "\n".join(details) or None
        command = types.Command(title, "", tooltip)
        if runs and lens.kind == "backward":
            position = {"line": area.start.line, "character": area.start.character}
            command = types.Command(title, PICTURE, tooltip, [uri, position, {"details": details}])
        data = {"kind": lens.kind, "details": details}
        found.append(types.CodeLens(range=area, command=command, data=data))
    return found


def highlights(facts: Facts, at: tuple[int, int], client: Client) -> list[types.DocumentHighlight] | None:
    """The expressions on the gradient path of the tensor at the protocol's line and character `at`; None if no
    gradient flows there."""
    line, column = place_of(facts.source, at, client)
    for node in expressions_at(facts.source, line, column):
        found = list(path(facts, node))
        if found:
            read, write = types.DocumentHighlightKind.Read, types.DocumentHighlightKind.Write
            areas = sorted((facts.source.span(step.node), step.writes) for step in found)
            return [
                types.DocumentHighlight(_range(span, facts.source, client), write if writes else read)
                for span, writes in areas
            ]
    return None


def place_of(source: Source, at: tuple[int, int], client: Client) -> tuple[int, int]:
    """The 1-based line and column of the protocol's line and character."""
    text = source.lines[at[0]] if at[0] < len(source.lines) else ""
    return at[0] + 1, code_points(text, at[1], client.encoding) + 1


def markup(client: Client) -> types.MarkupKind:
    """What the client shows texts as."""
    return types.MarkupKind.Markdown if client.abilities.markdown else types.MarkupKind.PlainText


def shown(messages: Sequence[str], client: Client) -> list[str]:
    """Messages that tell of code, such that nothing in that code does anything to what they are shown in."""
    return [harmless(each) if client.abilities.markdown else visible(each) for each in messages]


def in_words(paragraphs: tuple[str, ...] | list[str], client: Client) -> str:
    """Paragraphs as one text that the client can show."""
    if client.abilities.markdown:
        return "\n\n".join(paragraphs)
    bare = (p[2:-2] if p.startswith("**") and p.endswith("**") and len(p) > 4 else p for p in paragraphs)
    return "\n\n".join(bare)


def _point(line: int, column: int) -> Span:
    from gradls.syntax.source import Span

    return Span(line, column, line, column)


def _range(span: Span, source: Source, client: Client) -> types.Range:
    place = to_range(span, source.lines, client.encoding)
    return types.Range(types.Position(**place["start"]), types.Position(**place["end"]))
