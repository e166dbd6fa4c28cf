"""What a rule is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from gradls.rules.finding import Finding, Fix, Place, Severity, Step, Tag

if TYPE_CHECKING:
    from gradls.flow.facts import Facts


class Rule:
    """A mistake that gradls knows. The docstring of a subclass is its documentation page.

    Sections of that docstring, in this order, each a `## ` heading: What it finds, Why it matters, What PyTorch does,
    Example, Use instead, When it is silent, Fix safety, References. The programs under Example and Use instead are run
    on PyTorch by the tests.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity]
    tag: ClassVar[Tag | None] = None
    whole_file: ClassVar[bool] = False
    """What it says of one chapter (`gradls.flow.chapters`) depends on the others, so it is asked about the whole file
    after each edit. Other rules look at one chapter at a time."""
    of_absence: ClassVar[bool] = False
    """It reports what does not happen: it says nothing of a file that was not followed to its end."""

    of_value: ClassVar[bool] = False
    """It reports a statement whose value nobody uses: it says nothing where a notebook shows the value."""

    runs_once: ClassVar[bool] = False
    """What it says is wrong if the same lines are run again: it says nothing of what is outside of functions in a
    notebook, whose cells are run again and again."""

    plugin: str = ""
    """The name and version of the package that a rule of others is from; set when it is loaded."""

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The findings of this rule in what is known of one file, or of one chapter of it."""
        raise NotImplementedError

    def finding(
        self,
        place: Place,
        message: str,
        story: Iterable[Step] = (),
        fixes: Sequence[Fix] = (),
        severity: Severity | None = None,
    ) -> Finding:
        """A finding of this rule."""
        return Finding(self.code, self.name, severity or self.severity, place, message, tuple(story), tuple(fixes))
