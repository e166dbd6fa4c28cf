"""What is demanded of every rule: each function raises AssertionError where a rule, or its page, does not keep it.

Programs are run in this process, on PyTorch.
"""

from __future__ import annotations

import ast
from collections import defaultdict

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, Fix, Safety, Severity, TextEdit
from gradls.rules.page import SECTIONS, page, target_of
from gradls.rules.plugins import objection_to, require_sound
from gradls.rules.registry import all_rules, own_rules
from gradls.rules.rule import Rule
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from gradls.workspace.edits import apply_edits, compatible

LOUD = (Severity.ERROR, Severity.WARNING)


def check_rule(rule: Rule) -> None:
    """All of it: the rule's code and name, its page, and each program on that: an example fails as it says and is
    reported, its fixes mend it, and what is right runs and is not reported."""
    own = {} if type(rule).__module__.startswith("gradls.rules.") else dict.fromkeys(_keys_of_own_rules(), "gradls")
    objection = objection_to(type(rule), own) if own else None
    assert objection is None, f"{type(rule).__name__} {objection}"
    check_page(rule)
    of = page(type(rule))
    for program in of.examples:
        check_example(rule, program)
        check_fixes(rule, program)
    for program in [*of.uses, *of.silent]:
        check_right(rule, program)


def _keys_of_own_rules() -> list[str]:
    return [key for own in own_rules() for key in (own.code, own.name)]


def found_in(program: str, rule: Rule) -> list[Finding]:
    """What all rules, and `rule`, find in a program, in the order of its text. What `rule` raises is raised."""
    source = Source.read(program, "program.py")
    assert not source.problems, f"does not parse: {source.problems}"
    facts = analyze(source, target=target_of(program))
    require_sound(rule, rule.check(facts))  # elsewhere a rule that raises finds nothing
    return findings(facts, list(dict.fromkeys([*all_rules(), rule])))


def _own(program: str, rule: Rule) -> list[Finding]:
    return [finding for finding in found_in(program, rule) if finding.code == rule.code]


def _shown(found: list[Finding]) -> list[str]:
    return [f"{finding.span.line}: {finding.code} {finding.severity.value}: {finding.message}" for finding in found]


def check_page(rule: Rule) -> None:
    """A title, all sections in order, each with text, and programs where they belong."""
    found = page(type(rule))
    assert found.title.endswith("."), f"the title is not a sentence: {found.title!r}"
    assert tuple(found.sections) == SECTIONS
    empty = [heading for heading, text in found.sections.items() if not text.strip()]
    assert not empty, f"sections without text: {empty}"
    assert found.examples, "no program under Example"
    assert found.uses, "no program under Use instead"
    for program in [*found.examples, *found.uses, *found.silent]:
        ast.parse(program)


def check_example(rule: Rule, program: str) -> None:
    """What the program states happens on PyTorch, and the rule reports it; an error is one that really raises."""
    assert programs.stated(program) or programs.has_assert(program), "the program states nothing"
    outcome = programs.check(program)
    found = found_in(program, rule)
    assert any(finding.code == rule.code for finding in found), f"not reported; found {_shown(found)}"
    if outcome.error is None:
        errors = [finding for finding in found if finding.severity is Severity.ERROR]
        assert not errors, f"runs without an error, and yet: {_shown(errors)}"


def check_right(rule: Rule, program: str) -> None:
    """The program runs, its asserts hold, its rule has nothing to say and no other has an error or a warning."""
    programs.check(program)
    found = found_in(program, rule)
    loud = [finding for finding in found if finding.code == rule.code or finding.severity in LOUD]
    assert not loud, _shown(loud)


def check_fixes(rule: Rule, program: str) -> None:
    """Each fix of an example, applied to all findings that offer it, mends what it says."""
    offers: dict[tuple[str, Safety], list[tuple[Finding, Fix]]] = defaultdict(list)
    for finding in _own(program, rule):
        for fix in finding.fixes:
            offers[fix.title, fix.safety].append((finding, fix))
    for title, offered in offers.items():
        _check_fix(rule, program, title[0], offered)
    safe = [(finding, fix) for (_, safety), some in offers.items() if safety is Safety.SAFE for finding, fix in some]
    first = {id(finding): (finding, fix) for finding, fix in reversed(safe)}
    if first:
        _check_fix(rule, program, "all safe fixes", list(first.values()))


def _check_fix(rule: Rule, program: str, title: str, offered: list[tuple[Finding, Fix]]) -> None:
    edits: list[TextEdit] = []
    for _, fix in offered:
        built = list(fix.build())
        assert built, f"{title}: no edit"
        assert {edit.path for edit in built} == {"program.py"}, f"{title}: edits another file"
        assert compatible(edits, built), f"{title}: two findings change the same place"
        edits += [edit for edit in built if edit not in edits]
    fixed = apply_edits(program, edits)
    said = f"{title}: gives\n{fixed}"
    try:
        ast.parse(fixed)
    except SyntaxError as error:
        raise AssertionError(f"{said}\nwhich does not parse: {error}") from error
    before, after = _own(program, rule), _own(fixed, rule)
    mended = {id(finding) for finding, _ in offered}
    assert len(after) <= len(before) - len(mended), f"{said}\nand still {_shown(after)}"
    if after:
        return  # other findings of the example offer other fixes
    mended_too = _with_further_fixes(fixed, rule)
    if mended_too is None:
        return
    fixed = mended_too
    outcome = programs.run(programs.without_asserts(fixed))
    assert outcome.error is None, f"{said}\nwhich raises {outcome.error!r}"
    loud = any(finding.severity in LOUD for finding, _ in offered)
    if loud and not programs.stated(program):
        # What the example asserts is the mistake: it must not hold any more.
        mistake = programs.run(fixed).error
        assert isinstance(mistake, AssertionError), f"{said}\nin which all that was asserted of the mistake still holds"


def _with_further_fixes(program: str, rule: Rule) -> str | None:
    """The program after the fixes of what it lays bare; None if something is left that is reported without a fix."""
    for _ in range(4):
        loud = [finding for finding in found_in(program, rule) if finding.severity in LOUD]
        if not loud:
            return program
        fixes = [fix for finding in loud for fix in finding.fixes[:1]]
        if not fixes:
            return None
        program = apply_edits(program, list(fixes[0].build()))
    return None
