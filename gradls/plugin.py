"""What rules of others are written with: docs/rules.md says how. Names that are not here may change at any time."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.arguments import Call
from gradls.flow.facts import Event, Facts, TensorState
from gradls.flow.graph import At, Node
from gradls.flow.reach import frontier, leaves, walk
from gradls.flow.values import Bound, Host, Instance, Lib, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step, Tag, TextEdit
from gradls.rules.rule import Rule
from gradls.rules.words import code, owners, place
from gradls.syntax.source import Source, Span

__all__ = [
    "At",
    "Bound",
    "Call",
    "Event",
    "Facts",
    "Finding",
    "Fix",
    "Host",
    "Instance",
    "Lib",
    "Node",
    "Place",
    "Rule",
    "Safety",
    "Severity",
    "Source",
    "Span",
    "Step",
    "Tag",
    "Tensor",
    "TensorState",
    "TextEdit",
    "Unknown",
    "Value",
    "calls_of",
    "code",
    "constant",
    "edits",
    "frontier",
    "leaves",
    "owners",
    "place",
    "walk",
]


def constant(value: Value | None, default: object = None) -> object:
    """The number, string or other constant that `value` certainly is; `default` for everything else, and for None,
    an argument that was not given."""
    return value.value if isinstance(value, Host) and value.known else default


def calls_of(facts: Facts, *paths: str) -> Iterator[tuple[Place, Call, Value]]:
    """The calls of functions of libraries, such as `torch.nn.functional.dropout`, by whatever name the program calls
    them: where, with what, and what it gave. A call that runs several times is there as often."""
    for node, records in facts.calls.items():
        for called, arguments, result in records:
            if isinstance(called, Lib) and called.path in paths:
                yield Place(facts.source_of(node), node), arguments, result
