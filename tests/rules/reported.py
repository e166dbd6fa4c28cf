"""What rules say about snippets and programs."""

from __future__ import annotations

import textwrap

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs

IMPORTS = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def reported(code: str, snippet: str) -> list[tuple[str, str]]:
    """The severity and the blamed text of each finding of the rule `code`, in the order of the text."""
    text = IMPORTS + textwrap.dedent(snippet)
    source = Source.read(text, "snippet.py")
    assert not source.problems
    found = findings(analyze(source), [rules_by_key()[code]])
    return [(finding.severity.value, source.segment(finding.place.node)) for finding in found]


def check_error(code: str, program: str) -> None:
    """PyTorch raises as the program states, and the rule `code` says so."""
    assert programs.check(program).error is not None
    found = findings(analyze(Source.read(program)))
    errors = {finding.code for finding in found if finding.severity is Severity.ERROR}
    assert code in errors, f"the errors found are {errors}"


def check_right(program: str) -> None:
    """PyTorch runs the program, and no rule has an error or a warning."""
    assert programs.check(program).error is None
    found = findings(analyze(Source.read(program)))
    loud = [finding.message for finding in found if finding.severity in (Severity.ERROR, Severity.WARNING)]
    assert not loud, loud
