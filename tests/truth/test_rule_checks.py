"""The demands on rules, held against a rule that keeps them and against such that do not."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest

from gradls.flow.facts import Facts
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.page import page
from gradls.rules.rule import Rule
from gradls.testing import programs
from gradls.testing import rules as rule_checks


class ItemThenBackward(Rule):
    """A number on which `backward()` is called.

    ## What it finds
    `x.item().backward()`.

    ## Why it matters
    A number has no gradient.

    ## What PyTorch does
    Python raises.

        AttributeError: 'float' object has no attribute 'backward'

    ## Example
    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    x.sum().item().backward()  # raises AttributeError: 'float' object has no attribute 'backward'
    ```

    ## Use instead
    ```python
    import torch

    x = torch.ones(3, requires_grad=True)
    x.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]
    ```

    ## When it is silent
    Elsewhere.

    ```python
    import torch

    assert torch.ones(3).sum().item() == 3
    ```

    ## Fix safety
    Safe.

    ## References
    - none
    """

    code, name, severity = "XXX101", "item-then-backward", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for node in ast.walk(facts.source.tree):
            match node:
                case ast.Call(ast.Attribute(ast.Call(ast.Attribute(_, "item")) as call, "backward")):
                    at = Place(facts.source, call)
                    yield self.finding(at, "no gradient", (), [Fix("remove `.item()`", self.safety, self.edit(at))])

    safety = Safety.SAFE

    def edit(self, at: Place) -> edits.Edits:
        return edits.remove_call(at)


RULE = ItemThenBackward()
PAGE = page(ItemThenBackward)


def test_a_rule_that_keeps_its_word() -> None:
    rule_checks.check_page(RULE)
    rule_checks.check_example(RULE, PAGE.examples[0])
    rule_checks.check_right(RULE, PAGE.uses[0])
    rule_checks.check_right(RULE, PAGE.silent[0])
    rule_checks.check_fixes(RULE, PAGE.examples[0])


def changed(old: str, new: str) -> Rule:
    """The rule with another page."""
    assert ItemThenBackward.__doc__
    assert old in ItemThenBackward.__doc__
    return type("Changed", (ItemThenBackward,), {"__doc__": ItemThenBackward.__doc__.replace(old, new)})()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## Why it matters", "## Why it is so"),
        ("A number has no gradient.", ""),
        ("backward()` is called.", "backward()` is called"),
        ("import torch\n\n    x = torch.ones(3, requires_grad=True)\n    x.sum().backward()", "no python"),
    ],
)
def test_a_page_that_is_not_one(old: str, new: str) -> None:
    with pytest.raises((AssertionError, SyntaxError)):
        rule_checks.check_page(changed(old, new))


def test_an_example_that_is_wrong() -> None:
    example = PAGE.examples[0]
    for old, new, words in [
        ("'float' object", "'int' object", "raised AttributeError"),
        ("AttributeError", "TypeError", "raised AttributeError"),
        ("item().backward()  #", "backward()  #", "did not raise"),
        ("import torch\n", "import torch  # raises AttributeError\n", "not on line 1"),
        ("# raises", "# so", "states nothing"),
    ]:
        with pytest.raises(AssertionError, match=words):
            rule_checks.check_example(RULE, example.replace(old, new))


def test_an_example_that_is_not_reported() -> None:
    with pytest.raises(AssertionError, match="not reported"):
        rule_checks.check_example(RULE, "import torch\nassert torch.ones(1).item() == 1\n")


def test_an_error_that_is_none() -> None:
    program = "import torch\nif torch.ones(1).item() > 1:\n    torch.ones(1).item().backward()\nassert True\n"
    with pytest.raises(AssertionError, match="runs without an error"):
        rule_checks.check_example(RULE, program)


def test_advice_that_is_wrong() -> None:
    for program, words in [
        ("assert 1 == 2\n", "AssertionError"),
        ("import torch\nif not torch:\n    torch.ones(1).item().backward()\n", "XXX101"),
    ]:
        with pytest.raises(AssertionError, match=words):
            rule_checks.check_right(RULE, program)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda at: list, "no edit"),
        (lambda at: edits.replace_expression(at, "x.sum()"), None),
        (lambda at: edits.replace_expression(at, "x.sum().item()"), "and still|no edit"),
        (lambda at: edits.replace_expression(at, "y"), "which raises"),
        (lambda at: lambda: [e._replace(text=" (") for e in edits.remove_call(at)()], "does not parse"),
    ],
)
def test_fixes_that_mend_nothing(build: Callable[[Place], edits.Edits], words: str | None) -> None:
    rule = type("Changed", (ItemThenBackward,), {"edit": staticmethod(build)})()
    if words is None:
        rule_checks.check_fixes(rule, PAGE.examples[0])
        return
    with pytest.raises(AssertionError, match=words):
        rule_checks.check_fixes(rule, PAGE.examples[0])


def test_a_fix_after_which_the_mistake_is_still_there() -> None:
    program = (
        "import torch\n\nx = torch.ones(3, requires_grad=True)\ntry:\n    x.sum().item().backward()\n"
        "except AttributeError:\n    pass\nassert x.grad is None\n"
    )
    rule_checks.check_fixes(RULE, program)
    with pytest.raises(AssertionError, match="still holds"):
        rule_checks.check_fixes(RULE, program.replace("assert x.grad is None", "assert x.is_leaf"))


def test_what_a_program_turns_is_turned_back() -> None:
    import torch

    programs.run("import torch\ntorch.set_grad_enabled(False)\ntorch.set_default_dtype(torch.float64)\n")
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32


def test_a_warning_is_held_against_what_is_stated() -> None:
    program = "import warnings\nwarnings.warn('so it is')  # warns UserWarning: so it\n"
    programs.check(program)
    with pytest.raises(AssertionError):
        programs.check(program.replace("so it\n", "not so\n"))
