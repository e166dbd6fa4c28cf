"""The fix of a loss that nobody differentiates: the backward before the step."""

from __future__ import annotations

import ast

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import leaves
from gradls.rules.finding import Fix
from gradls.rules.statement_fixes import block_of, put


def differentiated(facts: Facts, step: Event) -> list[Fix]:
    """`loss.backward()` before a step, for the last number computed in its block that depends on what is stepped."""
    statement = facts.statement(step.at.node)
    if statement is None or step.at.source is not facts.source:
        return []
    block = block_of(facts.source, statement)
    before = block[: next((i for i, item in enumerate(block) if item is statement), 0)]
    held = set(step.parameters)
    for item in reversed(before):
        target = item.targets[0] if isinstance(item, ast.Assign) and len(item.targets) == 1 else None
        if not isinstance(target, (ast.Name, ast.Attribute)):
            continue
        node = _given(facts, target)
        if node is not None and node.scalar is True and not held.isdisjoint(leaves(node)):
            return put(facts, statement, f"{facts.segment(target)}.backward()", behind=False)
    return []


def _given(facts: Facts, target: ast.Name | ast.Attribute) -> Node | None:
    """The node of the graph that an assignment gives a name or an attribute, with a gradient of its own."""
    known: dict[ast.AST, Node | None] | None = facts.memo.get("given with a gradient")
    if known is None:
        known = facts.memo["given with a gradient"] = {}
        for event in facts.of("attribute-set"):
            known.setdefault(event.at.node, getattr(event.assigned, "node", None))
        for state in facts.states:
            if state.seen and state.requires_grad is True and state.leaf is not True:
                known.setdefault(state.node, state.seen[-1][0])
    return known.get(target)
