"""Fixes against real PyTorch: what they leave runs, has lost its finding, and keeps everything else as it was."""

from __future__ import annotations

import ast
import io
import itertools
import tokenize
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradls.cli.fixing import mend
from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, Fix, Safety, Severity
from gradls.rules.page import page
from gradls.rules.registry import all_rules
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from gradls.workspace.edits import apply_edits, compatible
from gradls.workspace.files import decode
from gradls.workspace.session import Session
from tests.truth import fixable, fixable_habits, fixable_order, rewriting
from tests.truth.test_training import BROKEN, FOLDER

FILE = "program.py"
# These move, or are, whole statements, and leave alone what shares its line with others.
OF_STATEMENTS = (
    *(
        "Write under",
        "Move it out",
        "Move all",
        "Clear the gradients",
        "Delete",
        "Keep the tensor",
        "Update it in place",
    ),
    *("Compute `", "Detach `", "Switch gradients", "Remove `@", "Call `retain_grad", "Call `super", "Make it in"),
    *("Register what", "Write into", "Set it in", "Pass `"),
)
OF_STATEMENTS += fixable_order.OF_STATEMENTS


def _programs() -> dict[str, str]:
    found = fixable.PROGRAMS | fixable_habits.PROGRAMS
    found |= fixable_order.PROGRAMS
    for rule in all_rules():
        found |= {f"{rule.code}-{number}": text for number, text in enumerate(page(type(rule)).examples, 1)}
    for broken in BROKEN:
        right = (FOLDER / f"{broken.program}.py").read_text(encoding="utf-8")
        found[f"{broken.program}-{broken.rule}"] = right.replace(broken.old, broken.new, 1)
    return found


PROGRAMS = _programs()


def _found(text: str) -> list[Finding]:
    return findings(analyze(Source.read(text, FILE)))


class Offer(NamedTuple):
    """A fix of a program, and the text that it leaves; None where it makes no edit."""

    finding: Finding
    fix: Fix
    fixed: str | None


def _offers(text: str) -> list[Offer]:
    offers = []
    for finding in _found(text):
        for fix in finding.fixes:
            edits = list(fix.build())
            assert all(edit.path == FILE for edit in edits)
            offers.append(Offer(finding, fix, apply_edits(text, edits) if edits else None))
    return offers


WITH_FIXES = {name: text for name, text in PROGRAMS.items() if any(finding.fixes for finding in _found(text))}
each_program = pytest.mark.parametrize("name", WITH_FIXES)


def _outcome(text: str) -> programs.Outcome:
    """How a program ends whatever it asserts: the assertions of an example are about the mistake."""

    class Strip(ast.NodeTransformer):
        def visit_Assert(self, node: ast.Assert) -> ast.AST:
            return ast.copy_location(ast.Pass(), node)

    return programs.run_code(compile(Strip().visit(ast.parse(text)), "<program>", "exec"), {})


def _same(finding: Finding, found: list[Finding]) -> int:
    return sum(other.code == finding.code for other in found)


def test_every_kind_of_fix_is_tried() -> None:
    """A rule that begins to offer a fix shows it in an example."""
    offering = {finding.code for text in WITH_FIXES.values() for finding in _found(text) if finding.fixes}
    building = {rule.code for rule in all_rules() if "There is n" not in page(type(rule)).sections["Fix safety"]}
    assert building <= offering


@each_program
def test_a_fix_takes_its_finding_away_and_leaves_what_parses(name: str) -> None:
    text = WITH_FIXES[name]
    before = _found(text)
    for finding, fix, fixed in _offers(text):
        assert fixed is not None, f"{fix.title}: no edit"
        ast.parse(fixed)
        after = _found(fixed)
        # Behind the place that is mended there may be another like it.
        again = [other for other in after if (other.code, other.message) == (finding.code, finding.message)]
        assert not again or _same(finding, after) < _same(finding, before), f"{fix.title}: still found in\n{fixed}"


@each_program
def test_a_safe_fix_keeps_a_program_running(name: str) -> None:
    text = WITH_FIXES[name]
    safe = [offer for offer in _offers(text) if offer.fix.safety is Safety.SAFE]
    if not safe:
        return
    before = _outcome(text)
    for finding, fix, fixed in safe:
        assert fixed is not None
        after = _outcome(fixed)
        if before.error is None:
            assert after.error is None, f"{fix.title}: raises {after.error!r} in\n{fixed}"
        elif after.error is not None:
            # Another mistake, which was there before, may raise still.
            assert _found(fixed), f"{fix.title}: raises {after.error!r} in\n{fixed}"
            assert finding.severity is not Severity.ERROR or str(after.error) != str(before.error) or len(safe) > 1


@pytest.mark.parametrize("name", [name for name in WITH_FIXES if name in fixable_order.PROGRAMS])
def test_a_suggested_fix_of_the_order_breaks_no_program(name: str) -> None:
    before = _outcome(WITH_FIXES[name])
    for _, fix, fixed in _offers(WITH_FIXES[name]):
        assert fixed is not None
        after = _outcome(fixed)
        assert after.error is None or before.error is not None, f"{fix.title}: raises {after.error!r} in\n{fixed}"


@pytest.mark.parametrize("name", fixable_order.PROGRAMS)
def test_each_of_these_programs_can_be_mended(name: str) -> None:
    assert name in WITH_FIXES


@each_program
def test_all_safe_fixes_at_once_leave_none_to_make(name: str) -> None:
    text = WITH_FIXES[name]
    session = Session()
    session.open(FILE, text)
    edits = session.fix_all(FILE)
    for number, edit in enumerate(edits):
        assert compatible(edits[:number], [edit]), "two fixes that touch the same place"
    mended = _mended(session, text)
    again = Session()
    again.open(FILE, mended)
    assert again.fix_all(FILE) == []
    assert _mended(again, mended) == mended
    found = again.findings(FILE)
    assert not [f for f in found for fix in f.fixes if fix.safety is Safety.SAFE]
    outcome = _outcome(mended)
    if outcome.error is not None and mended != text:
        assert [f for f in found if f.severity is Severity.ERROR], f"raises {outcome.error!r}:\n{mended}"


def _mended(session: Session, text: str) -> str:
    return mend(session, FILE, decode(text.encode(), FILE))[0].text


def _comments(text: str) -> Counter[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text.replace("\r\n", "\n")).readline)
    return Counter(token.string for token in tokens if token.type == tokenize.COMMENT)


def _tree(text: str) -> str:
    return ast.dump(ast.parse(text))


layouts = st.lists(st.sampled_from(list(rewriting.LAYOUTS)), unique=True, max_size=4)


@settings(max_examples=120, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(WITH_FIXES)), st.sampled_from(list(rewriting.PLACES)), layouts, st.booleans())
def test_a_fix_does_the_same_however_the_program_is_written(
    name: str, where: str, chosen: list[str], crlf: bool
) -> None:
    """Elsewhere, with other line ends, comments and line breaks: a fix gives the same tree, and keeps them."""
    plain = rewriting.PLACES[where](WITH_FIXES[name])
    text = plain
    for layout in rewriting.LAYOUTS:
        if layout in chosen:
            text = rewriting.LAYOUTS[layout](text)
    assert _tree(text) == _tree(plain), "the rewriting is wrong"
    text = text.replace("\n", "\r\n") if crlf else text
    expected, offers = _offers(plain), _offers(text)
    assert [(offer.finding.code, offer.fix.title) for offer in offers] == [
        (offer.finding.code, offer.fix.title) for offer in expected
    ]
    crowded = {"joined", "one-line suites"} & set(chosen)
    for (_, fix, fixed), (_, _, right) in zip(offers, expected, strict=True):
        if fixed is None:
            assert right is None or (crowded and fix.title.startswith(OF_STATEMENTS)), (
                f"{fix.title}: no edit in\n{text}"
            )
            continue
        assert right is not None
        assert _tree(fixed) == _tree(right), f"{fix.title} gives\n{fixed}"
        lost = _comments(text) - _comments(fixed)
        assert not lost or _statements(fixed) < _statements(text), f"{fix.title} loses {lost}:\n{fixed}"
        if crlf:
            assert fixed.count("\n") == fixed.count("\r\n") == fixed.count("\r")
        if "with tabs" in chosen and "\t" in text:
            assert _odd_indentation(fixed) <= _odd_indentation(text), f"{fix.title} mixes tabs and blanks:\n{fixed}"
        if "without a last newline" in chosen:
            assert not fixed.endswith("\n"), f"{fix.title} adds a line end"


def _statements(text: str) -> int:
    return sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(text)))


def _odd_indentation(text: str) -> int:
    return sum(line.startswith("  ") or "\t " in line[: len(line) - len(line.lstrip())] for line in text.splitlines())


SCHEDULER = """
import torch

w = torch.ones(3, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
"""
OVERLAPPING = {
    "a deletion, and a fix within": """
h = w * 2
h.requires_grad = (scheduler.get_lr(), True)[1]
h.sum().backward()
optimizer.step()
""",
    "a block around a statement, and a fix within": """
w.mul_(
    # by less and less
    scheduler.get_lr()[0],
)
w.sum().backward()
optimizer.step()
""",
}


@pytest.mark.parametrize("title", OVERLAPPING)
def test_fixes_that_overlap_are_not_made_together(title: str) -> None:
    text = SCHEDULER + OVERLAPPING[title]
    session = Session()
    session.open(FILE, text)
    offered = [session.edits(fix) or [] for f in session.findings(FILE) for fix in f.fixes if fix.safety is Safety.SAFE]
    assert any(not compatible(one, other) for one, other in itertools.combinations(offered, 2))
    made = session.fix_all(FILE)
    assert made
    assert all(compatible([one], [other]) for one, other in itertools.combinations(made, 2))
    assert not _found(_mended(session, text))
