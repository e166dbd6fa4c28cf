"""The engine's one entry: a source goes in, facts come out."""

from __future__ import annotations

from gradls.flow.facts import Facts
from gradls.flow.names import Names, NoNames
from gradls.syntax.source import Source


def analyze(source: Source, names: Names | None = None) -> Facts:
    """What is known about the gradients in `source`. Raises nothing: what cannot be followed is unknown."""
    del names
    return Facts(source)
