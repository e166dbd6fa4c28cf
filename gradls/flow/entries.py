"""The functions that nobody in the file calls, and what each of them says about the expressions that it comes to."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.flow.facts import TensorState
from gradls.flow.values import Unknown, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


class Entry:
    """One function that was run as if somebody outside of the file called it. `node` is None for the making of an
    object, which only comes before the methods."""

    __slots__ = ("node", "reached", "recorded", "states", "unclear")

    def __init__(
        self,
        node: ast.AST | None,
        states: dict[ast.AST, TensorState],
        reached: set[ast.AST],
        unclear: set[ast.AST],
        recorded: bool,
    ) -> None:
        self.node = node
        self.states = states
        self.reached = reached
        """The functions that it called while gradients were on, and itself."""
        self.unclear = unclear
        """The expressions that it came to at least once with a value of which nothing is known."""
        self.recorded = recorded
        """Gradients are certain to be on: it calls backward itself, or makes an object."""


def settle(run: Run, entries: list[Entry]) -> None:
    """Put what the entries say into the states of the run, where the module's own statements said nothing.

    A function that another entry calls with gradients on is what it is there: what it would be with unknown arguments
    counts only for expressions that no such call comes to.
    """
    outer: list[Entry] = []
    inner: list[Entry] = []
    callers: dict[ast.AST, list[Entry]] = {}
    for entry in entries:
        for function in entry.reached:
            callers.setdefault(function, []).append(entry)
    for entry in entries:
        others = callers.get(entry.node, []) if entry.node is not None else []
        # Of two that call each other neither is only what the other makes of it.
        called = any(other is not entry and other.node not in entry.reached for other in others)
        (inner if called else outer).append(entry)
    for group in (outer, inner):
        found: dict[ast.AST, TensorState] = {}
        unclear: set[ast.AST] = set()
        for entry in group:
            unclear |= entry.unclear
            for node, state in entry.states.items():
                if not entry.recorded and run.switched_off:
                    _doubt(state)
                seen = found.setdefault(node, state)
                if seen is state:
                    continue
                if state.off and not seen.off and not entry.recorded:
                    # A way to use the trained model, beside those that train it.
                    continue
                if seen.off and not state.off:
                    found[node] = state
                else:
                    seen.blur(state)
        for node, state in found.items():
            if node in unclear:
                state.doubt()
            run.states.setdefault(node, state)


def forget_unclear(run: Run) -> None:
    """Take back what the module's own statements say of expressions that were something unknown in some call."""
    for node in run.unclear & run.states.keys():
        run.states[node].doubt()


def _doubt(state: TensorState) -> None:
    """Take back that a result requires grad: the same code may run with gradients off."""
    if state.requires_grad and state.leaf is not True:
        state.doubt()


def may_be_of_the_file(function: Value) -> bool:
    """May this unknown function be one of the file in hand? Not what is imported, nor a method that tensors have."""
    if not isinstance(function, Unknown):
        return True
    source: Value = function
    while isinstance(source, Unknown) and "of" in source.fields:
        source = source.fields["of"]
    imported = isinstance(source, Unknown) and source.origin in ("import", "builtin")
    return not imported and not ("of" in function.fields and find_op(f"torch.Tensor.{function.name}") is not None)
