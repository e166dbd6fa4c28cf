"""Findings as the protocol's diagnostics, in JSON.

They are sent with every keystroke, most of them as before but for their lines: each is encoded once, with gaps for the
lines. Everything here runs on the worker's thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gradls.rules.finding import Finding, Severity, Tag
from gradls.rules.registry import rules_by_key
from gradls.server.positions import to_range
from gradls.server.settings import SOURCE, Client
from gradls.syntax.source import Span

SEVERITIES = {Severity.ERROR: 1, Severity.WARNING: 2, Severity.INFORMATION: 3, Severity.HINT: 4}
TAGS = {Tag.UNNECESSARY: 1, Tag.DEPRECATED: 2}
_GAP = "@line"


class Diagnostics:
    """Encodes the findings of one file, again and again."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[int, tuple[Finding, str]] = {}
        """By their ids the findings that were encoded last, and templates that want their lines."""

    def encode(self, findings: Sequence[Finding]) -> str:
        """A JSON list."""
        known: dict[int, tuple[Finding, str]] = {}
        parts = []
        for finding in findings:
            entry = self._known.get(id(finding))
            if entry is None:
                entry = finding, self._template(finding)
            known[id(finding)] = entry
            parts.append(entry[1] % tuple(self._lines(finding)))
        self._known = known
        return f"[{','.join(parts)}]"

    def _template(self, finding: Finding) -> str:
        plain = diagnostic(finding, self._client)
        for area in (plain["range"], *(each["location"]["range"] for each in plain.get("relatedInformation", ()))):
            area["start"]["line"] = area["end"]["line"] = _GAP
        # In a message the quotes around it would be escaped.
        return json.dumps(plain, separators=(",", ":")).replace("%", "%%").replace(f'"{_GAP}"', "%d")

    def _lines(self, finding: Finding) -> Iterator[int]:
        spans: list[Span] = [finding.span]
        if self._client.abilities.related_information:
            spans += [step.place.span for step in finding.story]
        for span in spans:
            yield span.line - 1
            yield span.end_line - 1


def diagnostic(finding: Finding, client: Client) -> dict[str, Any]:
    """`finding` as a diagnostic, with what the client can make use of."""
    encoding, abilities = client.encoding, client.abilities
    result: dict[str, Any] = {
        "range": to_range(finding.span, finding.place.source.lines, encoding),
        "severity": SEVERITIES[finding.severity],
        "code": finding.code,
        "source": SOURCE,
        "message": finding.message,
    }
    address = client.address_of(finding.code, finding.name) if abilities.code_description else None
    if address is not None:
        result["codeDescription"] = {"href": address}
    rule = rules_by_key().get(finding.code) if abilities.tags else None
    if rule is not None and rule.tag is not None and TAGS[rule.tag] in abilities.tags:
        result["tags"] = [TAGS[rule.tag]]
    if abilities.diagnostic_data:
        result["data"] = {"name": finding.name, "fixes": [fix.title for fix in finding.fixes]}
    if abilities.related_information and finding.story:
        result["relatedInformation"] = [
            {
                "location": {
                    "uri": client.uri_of(step.place.source.path),
                    "range": to_range(step.place.span, step.place.source.lines, encoding),
                },
                "message": step.message,
            }
            for step in finding.story
        ]
    return result
