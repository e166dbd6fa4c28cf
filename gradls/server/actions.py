"""Code actions: what is offered for findings, and the edits of what is chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lsprotocol import types

from gradls.rules.finding import Finding, Safety, TextEdit
from gradls.server.analysis import Analyst
from gradls.server.capabilities import FIX_ALL, QUICK_FIX
from gradls.server.diagnostics import diagnostic
from gradls.server.documents import label_of
from gradls.server.ignoring import ignore_edit
from gradls.server.positions import Encoding, Position, Range, to_range
from gradls.server.settings import SOURCE
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines
from gradls.workspace.files import Unreadable, read
from gradls.workspace.session import Session

KINDS = (QUICK_FIX, FIX_ALL)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a code action does, told apart within one revision of a document.

    With a fix it is that of the finding with this code and span; without one it silences the finding; without a
    finding it makes all safe fixes.
    """

    uri: str
    revision: int
    code: str | None = None
    span: Span | None = None
    fix: int | None = None

    def to_json(self) -> dict[str, Any]:
        """For the `data` of an action or the argument of a command. Without nulls: Neovim does not send them back."""
        given = {"uri": self.uri, "revision": self.revision, "code": self.code, "span": self.span, "fix": self.fix}
        return {key: value for key, value in given.items() if value is not None}

    @classmethod
    def from_json(cls, data: Any) -> Choice:
        """ValueError if `data` did not come from `to_json`."""
        try:
            span, fix = data.get("span"), data.get("fix")
            return cls(
                str(data["uri"]),
                int(data["revision"]),
                data.get("code"),
                Span(*map(int, span)) if span is not None else None,
                int(fix) if fix is not None else None,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not an action of gradls: {data!r}") from error


@dataclass(frozen=True, slots=True)
class Offer:
    """An action to choose from. `diagnostic` is the client's own, if it sent one, else the protocol's object."""

    title: str
    kind: str
    choice: Choice
    diagnostic: types.Diagnostic | dict[str, Any] | None = None
    preferred: bool = False


def is_wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a client that asks for the kinds `only` wants `kind`: a kind includes those below it (`source` includes
    `source.fixAll`)."""
    if not only:
        return True
    return any(asked in ("", kind) or kind.startswith(f"{asked}.") for asked in only)


def offers(analyst: Analyst, label: str, uri: str, revision: int, params: types.CodeActionParams) -> list[Offer]:
    """What can be done about the findings that `params` asks for. Runs on the worker's thread.

    Outdated if the text has moved on.
    """
    findings = analyst.session_of(label, revision).findings(label)
    only = params.context.only
    found: list[Offer] = []
    if is_wanted(QUICK_FIX, only):
        for finding, sent in asked_for(findings, params, analyst.client.encoding):
            found += _quick_fixes(finding, sent or diagnostic(finding, analyst.client), uri, revision)
    automatic = params.context.trigger_kind is types.CodeActionTriggerKind.Automatic and not only
    if is_wanted(FIX_ALL, only) and not automatic and _has_safe_fix(findings):
        found.append(Offer("gradls: make all safe fixes", FIX_ALL, Choice(uri, revision)))
    return found


def _quick_fixes(
    finding: Finding, about: types.Diagnostic | dict[str, Any], uri: str, revision: int
) -> Iterator[Offer]:
    for index, fix in enumerate(finding.fixes):
        choice = Choice(uri, revision, finding.code, finding.span, index)
        yield Offer(fix.title, QUICK_FIX, choice, about, preferred=fix.safety is Safety.SAFE)
    if ignore_edit(finding) is not None:
        choice = Choice(uri, revision, finding.code, finding.span)
        yield Offer(f"Ignore {finding.name} on this line", QUICK_FIX, choice, about)


def _has_safe_fix(findings: Sequence[Finding]) -> bool:
    return any(fix.safety is Safety.SAFE for finding in findings for fix in finding.fixes)


def asked_for(
    findings: Sequence[Finding], params: types.CodeActionParams, encoding: Encoding
) -> list[tuple[Finding, types.Diagnostic | None]]:
    """The findings whose diagnostics the client sent back, however little is left of these; else those in its range."""
    ranges = [to_range(finding.span, finding.place.source.lines, encoding) for finding in findings]
    matched: dict[int, types.Diagnostic] = {}
    for sent in params.context.diagnostics:
        if sent.source in (None, SOURCE):
            index = _closest(sent, findings, ranges)
            if index is not None:
                matched.setdefault(index, sent)
    if matched:
        return [(findings[index], matched[index]) for index in sorted(matched)]
    area = _plain(params.range)
    return [(finding, None) for finding, place in zip(findings, ranges, strict=True) if _touch(place, area)]


def _closest(sent: types.Diagnostic, findings: Sequence[Finding], ranges: Sequence[Range]) -> int | None:
    """The index of the finding that `sent` tells of, the nearest if the text has moved since; None if there is
    none."""
    area = _plain(sent.range)
    best: tuple[int, int] | None = None
    for index, (finding, place) in enumerate(zip(findings, ranges, strict=True)):
        same_code = sent.code is None or str(sent.code) == finding.code
        same_message = sent.message == finding.message
        if same_code and (same_message or place == area):
            distance = 0 if place == area else 1 + abs(place["start"]["line"] - area["start"]["line"])
            best = min(best or (distance, index), (distance, index))
    return best[1] if best else None


def _plain(area: types.Range) -> Range:
    return {
        "start": {"line": area.start.line, "character": area.start.character},
        "end": {"line": area.end.line, "character": area.end.character},
    }


def _touch(one: Range, other: Range) -> bool:
    return _order(one["start"]) <= _order(other["end"]) and _order(other["start"]) <= _order(one["end"])


def _order(position: Position) -> tuple[int, int]:
    return position["line"], position["character"]


class Edits(NamedTuple):
    """The edits of one file, and the client's version of the text that they are for, if it is open."""

    path: str
    version: int | None
    edits: list[types.TextEdit]


def build(analyst: Analyst, choice: Choice) -> list[Edits]:
    """The edits of `choice`; none if they cannot be made. Runs on the worker's thread.

    Outdated if the text has moved on.
    """
    label = label_of(choice.uri)
    session = analyst.session_of(label, choice.revision)
    edits = _edits(session, label, choice) or []
    if not session.are_within_cells(edits):
        return []
    result = []
    for path in dict.fromkeys(edit.path for edit in edits):
        lines = _lines(session, path)
        typed = [_text_edit(edit, lines, analyst.client.encoding) for edit in edits if edit.path == path]
        result.append(Edits(path, analyst.version_of(path), typed))
    return result


def _edits(session: Session, label: str, choice: Choice) -> Sequence[TextEdit] | None:
    if choice.code is None:
        return session.fix_all(label)
    for finding in session.findings(label):
        if finding.code == choice.code and finding.span == choice.span:
            if choice.fix is None:
                edit = ignore_edit(finding)
                return [edit] if edit else None
            return session.edits(finding.fixes[choice.fix]) if choice.fix < len(finding.fixes) else None
    return None


def _lines(session: Session, path: str) -> list[str]:
    try:
        return session.source(path).lines
    except KeyError:
        pass
    try:
        return split_lines(read(path).text)
    except Unreadable:
        return []


def _text_edit(edit: TextEdit, lines: Sequence[str], encoding: Encoding) -> types.TextEdit:
    place = to_range(edit.span, lines, encoding)
    return types.TextEdit(types.Range(types.Position(**place["start"]), types.Position(**place["end"])), edit.text)
