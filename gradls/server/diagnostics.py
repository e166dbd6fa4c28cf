"""Findings as the protocol's diagnostics.

Plain dictionaries: they are written with every keystroke, and going through the classes of lsprotocol takes longer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gradls.rules.finding import Finding, Severity
from gradls.server.positions import Encoding, to_range
from gradls.server.settings import Abilities
from gradls.workspace.addresses import rule_address

SOURCE = "gradls"
SEVERITIES = {Severity.ERROR: 1, Severity.WARNING: 2, Severity.INFORMATION: 3, Severity.HINT: 4}


def diagnostic(
    finding: Finding, encoding: Encoding, abilities: Abilities, uri_of: Callable[[str], str]
) -> dict[str, Any]:
    """`finding` as a diagnostic, with what the client can make use of. `uri_of` gives a path's URI."""
    result: dict[str, Any] = {
        "range": to_range(finding.span, finding.place.source.lines, encoding),
        "severity": SEVERITIES[finding.severity],
        "code": finding.code,
        "source": SOURCE,
        "message": finding.message,
    }
    address = rule_address(finding.name) if abilities.code_description else None
    if address is not None:
        result["codeDescription"] = {"href": address}
    if abilities.diagnostic_data:
        result["data"] = {"name": finding.name, "fixes": [fix.title for fix in finding.fixes]}
    if abilities.related_information and finding.story:
        result["relatedInformation"] = [
            {
                "location": {
                    "uri": uri_of(step.place.source.path),
                    "range": to_range(step.place.span, step.place.source.lines, encoding),
                },
                "message": step.message,
            }
            for step in finding.story
        ]
    return result
