"""What an analysis of one file found out: the rules read this."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradls.flow.names import Question
from gradls.syntax.source import Source


@dataclass(slots=True)
class Facts:
    source: Source
    questions: set[Question] = field(default_factory=set)
