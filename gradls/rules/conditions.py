"""Conditions under which a finding holds."""

from __future__ import annotations

from gradls.flow.facts import Event
from gradls.rules.finding import Severity

UNLESS = " (unless its caller has switched gradients off)"


def if_recorded(event: Event, message: str, severity: Severity) -> tuple[str, Severity]:
    """The message and severity of something that happens only while gradients are recorded.

    A function that nobody in the file calls may be called under `no_grad`: then it is no more than information.
    """
    if event.hypothetical and severity in (Severity.ERROR, Severity.WARNING):
        return message + UNLESS, Severity.INFORMATION
    return message, severity
