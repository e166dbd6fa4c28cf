"""A rule's page is read from its docstring."""

from __future__ import annotations

from gradls.rules.page import SECTIONS, page
from gradls.rules.rule import Rule


class Demo(Rule):
    """A mistake that
    spans two lines.

    ## What it finds
    Something.

    ## Example
    Words.

    ```python
    ## not a heading
    def f():
        return 1
    ```
    and another

        ```py
        x = 1

        y = 2
        ```

    ## Use instead
    ```
    no language, no program
    ```
    ~~~python
    z = 3
    ~~~

    ## Own heading
    - a list
    """


class Bare(Demo):
    __doc__ = None


def test_title_and_sections() -> None:
    found = page(Demo)
    assert found.title == "A mistake that spans two lines."
    assert list(found.sections) == ["What it finds", "Example", "Use instead", "Own heading"]
    assert found.sections["What it finds"] == "Something."
    assert found.sections["Own heading"] == "- a list"


def test_programs() -> None:
    found = page(Demo)
    assert found.examples == ["## not a heading\ndef f():\n    return 1\n", "x = 1\n\ny = 2\n"]
    assert found.uses == ["z = 3\n"]
    assert found.silent == []


def test_a_rule_without_a_docstring_has_an_empty_page() -> None:
    found = page(Bare)
    assert (found.title, found.sections) == ("", {})


def test_the_sections_are_those_that_rules_are_told_to_have() -> None:
    assert Rule.__doc__
    told = " ".join(Rule.__doc__.split())
    assert ", ".join(SECTIONS) in told
