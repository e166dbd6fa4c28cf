"""`gradls why` on the tracebacks that PyTorch really prints: those of the examples of all rules that raise."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest

from gradls.errors.table import messages_in
from gradls.rules.page import page
from gradls.rules.registry import all_rules
from gradls.rules.rule import Rule
from gradls.testing import programs
from gradls.workspace.reasons import Reasons, reasons

RAISING = [
    pytest.param(rule, program, id=f"{rule.code}-{number}")
    for rule in all_rules()
    for number, program in enumerate(page(type(rule)).examples, 1)
    if any(claim.kind == "raises" for claim in programs.stated(program))
]
BEHIND = {"GRD306": "GRD608", "GRD710": "GRD310"}
"""Rules behind another one that may be about the same error: the one says what it is, the other how it came about."""
IN_DEFINITIONS = {"GRD801", "GRD804", "GRD809"}
"""Rules about functions that PyTorch calls: the calls of the user's code need not pass their lines."""
_PRINTED = re.compile(r"^ {4}(\w+(?:Error|Warning)): (.+(?:\n {4}(?!\w+(?:Error|Warning):)\S.*)*)", re.MULTILINE)


def explained(program: str, folder: Path) -> Reasons:
    """What `why` says of the traceback that the program prints."""
    path = folder / "program.py"
    path.write_text(program, encoding="utf-8")
    error = programs.run_code(compile(program, str(path), "exec"), {}).error
    assert error is not None
    error.__cause__ = error.__context__ = None  # those of the test
    calls = error.__traceback__
    while calls is not None and calls.tb_frame.f_code.co_filename != str(path):
        calls = calls.tb_next
    return reasons("".join(traceback.format_exception(type(error), error, calls)), str(folder))


@pytest.mark.parametrize(("rule", "program"), RAISING)
def test_the_rule_and_the_line(rule: Rule, program: str, tmp_path: Path) -> None:
    found = explained(program, tmp_path)
    raised = found.place
    assert raised is not None
    assert raised.is_same
    codes = [cause.finding.code for cause in found.causes]
    first = [BEHIND[rule.code], rule.code] if codes[0] == BEHIND.get(rule.code) else [rule.code]
    assert codes[: len(first)] == first, f"{found.raised.said}: {codes}"
    assert found.message is not None, found.raised.said
    places = [found.causes[0].finding.place, *(step.place for step in found.causes[0].finding.story)]
    lines = {line for place in places for line in range(place.span.line, place.span.end_line + 1)}
    passed = {call.line for call in found.calls}
    assert lines & passed or rule.code in IN_DEFINITIONS, f"{lines}, not {passed}"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_the_messages_on_the_page_of_a_rule_lead_to_it(rule: Rule) -> None:
    for found in _PRINTED.finditer(page(type(rule)).sections["What PyTorch does"]):
        messages = messages_in(found[0])
        assert any(rule.code in message.rules for message in messages), found[0]
