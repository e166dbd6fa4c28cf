"""What one rule says about a snippet."""

from __future__ import annotations

import textwrap

from gradls.flow.analyze import analyze
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source

IMPORTS = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def reported(code: str, snippet: str) -> list[tuple[str, str]]:
    """The severity and the blamed text of each finding of the rule `code`, in the order of the text."""
    text = IMPORTS + textwrap.dedent(snippet)
    source = Source.read(text, "snippet.py")
    assert not source.problems
    found = findings(analyze(source), [rules_by_key()[code]])
    return [(finding.severity.value, source.segment(finding.place.node)) for finding in found]
