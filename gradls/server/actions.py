"""Code actions: what is offered for findings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types

from gradls.rules.finding import Finding, Fix, Safety
from gradls.server.analysis import Analyst
from gradls.server.capabilities import FIX_ALL, FIX_NOTEBOOK, QUICK_FIX
from gradls.server.diagnostics import diagnostic
from gradls.server.ignoring import ignore_edit
from gradls.server.positions import Encoding, Position, Range, to_range
from gradls.server.settings import SOURCE
from gradls.syntax.source import Span
from gradls.workspace.config_edits import file_for
from gradls.workspace.session import Session

MEND, MEND_RULE, MEND_ALL, IGNORE, DISABLE, REPLACE = "mend", "mend-rule", "mend-all", "ignore", "disable", "replace"
"""What an action does: make a fix, all fixes of a rule, all safe fixes; silence a finding with a comment, a rule in the
configuration; put what was meant into a configuration file."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An action, told apart within one revision of a document: `does` is one of the words above.

    The finding is the one with this `code` and `span`; `fix` is the number of one of its fixes. `text` is what is put
    at `span` of a configuration file.
    """

    does: str
    uri: str
    revision: int
    code: str | None = None
    span: Span | None = None
    fix: int | None = None
    text: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For the `data` of an action or the argument of a command. Without nulls: Neovim does not send them back."""
        given = {name: getattr(self, name) for name in self.__slots__}
        return {key: value for key, value in given.items() if value is not None}

    @classmethod
    def from_json(cls, data: Any) -> Choice:
        """ValueError if `data` did not come from `to_json`."""
        try:
            span, fix = data.get("span"), data.get("fix")
            return cls(
                str(data["does"]),
                str(data["uri"]),
                int(data["revision"]),
                data.get("code"),
                Span(*map(int, span)) if span is not None else None,
                int(fix) if fix is not None else None,
                data.get("text"),
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"not an action of gradls: {data!r}") from error


@dataclass(frozen=True, slots=True)
class Offer:
    """An action to choose from: a `choice`, or the name of a rule whose `page` is shown.

    `diagnostic` is the client's own, if it sent one, else the protocol's object. `obstacle` says why it cannot be
    chosen now.
    """

    title: str
    kind: str
    choice: Choice | None = None
    diagnostic: types.Diagnostic | dict[str, Any] | None = None
    preferred: bool = False
    page: str | None = None
    obstacle: str | None = None


def is_wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a client that asks for the kinds `only` wants `kind`: a kind includes those below it (`source` includes
    `source.fixAll`)."""
    if not only:
        return True
    return any(asked in ("", kind) or kind.startswith(f"{asked}.") for asked in only)


class Menu:
    """What can be done about the findings that `params` asks for in a document. For the worker's thread.

    Outdated if the text has moved on. `creates_files` says that the client can make a configuration file, `shows_pages`
    that somebody can show the page of a rule.
    """

    def __init__(
        self,
        analyst: Analyst,
        label: str,
        uri: str,
        revision: int,
        params: types.CodeActionParams,
        creates_files: bool,
        shows_pages: bool,
    ) -> None:
        self._analyst = analyst
        self._session: Session = analyst.session_of(label, revision)
        self._label, self._uri, self._revision = label, uri, revision
        self._params = params
        self._creates_files = creates_files
        self._shows_pages = shows_pages
        self._findings = [] if analyst.excludes(label) else self._session.findings(label)

    def offers(self) -> list[Offer]:
        """The actions, what mends first."""
        only = self._params.context.only
        found: list[Offer] = []
        if is_wanted(QUICK_FIX, only):
            asked = asked_for(self._findings, self._params, self._analyst.client.encoding)
            about = [(finding, sent or diagnostic(finding, self._analyst.client)) for finding, sent in asked]
            firsts = list({finding.code: (finding, its) for finding, its in reversed(about)}.values())
            for offers, of in (
                (self._fixes, about),
                (self._all_of_rule, firsts),
                (self._comments, about),
                (self._about_rule, firsts),
            ):
                for finding, its in of:
                    found += offers(finding, its)
        automatic = self._params.context.trigger_kind is types.CodeActionTriggerKind.Automatic and not only
        if is_wanted(FIX_ALL, only) and not automatic and self._has_safe_fix():
            found.append(Offer("gradls: make all safe fixes", FIX_ALL, self._choice(MEND_ALL)))
        if only and is_wanted(FIX_NOTEBOOK, only) and self._is_notebook and self._has_safe_fix():
            found.append(Offer("gradls: make all safe fixes", FIX_NOTEBOOK, self._choice(MEND_ALL)))
        return found

    def _choice(self, does: str, finding: Finding | None = None, fix: int | None = None) -> Choice:
        code, span = (finding.code, finding.span) if finding is not None else (None, None)
        return Choice(does, self._uri, self._revision, code, span, fix)

    def _fixes(self, finding: Finding, about: Any) -> Iterator[Offer]:
        preferred = next((fix for fix in finding.fixes if fix.safety is Safety.SAFE), None)
        for index, fix in enumerate(finding.fixes):
            obstacle = self._obstacle(fix)
            choice = self._choice(MEND, finding, index)
            is_preferred = fix is preferred and obstacle is None
            yield Offer(fix.title, QUICK_FIX, choice, about, is_preferred, obstacle=obstacle)

    def _all_of_rule(self, finding: Finding, about: Any) -> Iterator[Offer]:
        fixable = [other for other in self._findings if other.code == finding.code and other.fixes]
        if finding.fixes and len(fixable) > 1:
            title = f"Fix all {finding.name} in this file"
            yield Offer(title, QUICK_FIX, self._choice(MEND_RULE, finding), about)

    def _obstacle(self, fix: Fix) -> str | None:
        """Why a fix cannot be made. To find that out is to make it, which is done for who has opened the menu; clients
        that want the edit at once find out themselves."""
        is_invoked = self._params.context.trigger_kind is types.CodeActionTriggerKind.Invoked
        if not is_invoked or self._session.edits(fix):
            return None
        return "the code around it cannot be changed safely"

    def _comments(self, finding: Finding, about: Any) -> Iterator[Offer]:
        obstacle = "a comment cannot stand on this line" if ignore_edit(finding) is None else None
        title = f"Ignore {finding.name} on this line"
        yield Offer(title, QUICK_FIX, self._choice(IGNORE, finding), about, obstacle=obstacle)

    def _about_rule(self, finding: Finding, about: Any) -> Iterator[Offer]:
        file = self._configuration()
        if file is not None:
            obstacle = None
            if self._analyst.settings_of(self._label).config.get("ignore"):
                obstacle = "the settings of the editor say which rules are ignored"
            title = f"Disable {finding.name} in this project ({file.name})"
            yield Offer(title, QUICK_FIX, self._choice(DISABLE, finding), about, obstacle=obstacle)
        if self._shows_pages:
            yield Offer(f"Open the documentation of {finding.name}", QUICK_FIX, None, about, page=finding.code)

    def _configuration(self) -> Path | None:
        """The file in which a rule is disabled, if there can be one."""
        path = Path(self._label)
        if not path.is_absolute() and self._session.root is None:
            return None
        file = file_for(self._session.config, path, self._session.root)
        return file if self._creates_files or os.path.isfile(file) else None

    @property
    def _is_notebook(self) -> bool:
        return self._label.endswith(".ipynb")

    def _has_safe_fix(self) -> bool:
        return any(fix.safety is Safety.SAFE for finding in self._findings for fix in finding.fixes)


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
    area = plain(params.range)
    return [(finding, None) for finding, place in zip(findings, ranges, strict=True) if touch(place, area)]


def _closest(sent: types.Diagnostic, findings: Sequence[Finding], ranges: Sequence[Range]) -> int | None:
    """The index of the finding that `sent` tells of, the nearest if the text has moved since; None if there is
    none."""
    area = plain(sent.range)
    best: tuple[int, int] | None = None
    for index, (finding, place) in enumerate(zip(findings, ranges, strict=True)):
        same_code = sent.code is None or str(sent.code) == finding.code
        same_message = sent.message == finding.message
        if same_code and (same_message or place == area):
            distance = 0 if place == area else 1 + abs(place["start"]["line"] - area["start"]["line"])
            best = min(best or (distance, index), (distance, index))
    return best[1] if best else None


def plain(area: types.Range) -> Range:
    """The range as JSON has it."""
    return {
        "start": {"line": area.start.line, "character": area.start.character},
        "end": {"line": area.end.line, "character": area.end.character},
    }


def touch(one: Range, other: Range) -> bool:
    """Whether two ranges have a place in common, be it their ends."""
    return _order(one["start"]) <= _order(other["end"]) and _order(other["start"]) <= _order(one["end"])


def _order(position: Position) -> tuple[int, int]:
    return position["line"], position["character"]
