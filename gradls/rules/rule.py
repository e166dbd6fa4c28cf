"""What a rule is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from gradls.rules.finding import Finding, Fix, Place, Severity, Step

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
    of_absence: ClassVar[bool] = False
    """It reports what does not happen, so it needs facts about the whole file."""

    def check(self, facts: Facts) -> Iterable[Finding]:
        """The findings of this rule in what is known of one file."""
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
