"""What the rules about Lightning have in common: who calls backward, and what it is called on."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import library_bases, linearize
from gradls.flow.values import Class, Function, Mapping, Value
from gradls.rules.training_order import outermost


def is_of_training_step(facts: Facts, event: Event) -> bool:
    """Does it happen in the `training_step` of a LightningModule that leaves backward and step to the trainer?"""
    around = list(event.at.source.parents(event.at.node))
    if not any(isinstance(node, ast.FunctionDef) and node.name == "training_step" for node in around):
        return False
    classes = [made.value for made in facts.of("class") if made.at.node in around and isinstance(made.value, Class)]
    return any(_leaves_backward(cls) for cls in classes)


def returned_losses(facts: Facts) -> Iterator[tuple[Event, Value]]:
    """What a `training_step` returns for the trainer to call backward on, itself or as `loss` of a dictionary."""
    for event in facts.of("return"):
        function, value = event.function, event.value
        if not isinstance(function, Function) or function.name != "training_step" or function.owner is None:
            continue
        if outermost(event) is function and _leaves_backward(function.owner):
            loss = value.entries.get("loss") if isinstance(value, Mapping) else value
            if loss is not None:
                yield event, loss


def _leaves_backward(cls: Class) -> bool:
    """Is it a LightningModule that says nothing of backward itself?"""
    if not any(path.endswith(".LightningModule") for path in library_bases(cls)):
        return False
    parts = [part for base in linearize(cls) if isinstance(base, Class) for part in ast.walk(base.node)]
    own = {getattr(part, "attr", getattr(part, "id", getattr(part, "name", ""))) for part in parts}
    return own.isdisjoint(("automatic_optimization", "manual_backward", "backward"))
