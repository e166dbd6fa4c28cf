"""Words about tensors that an operation keeps for backward, and about what writes to them."""

from __future__ import annotations

import ast

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At, Node, Saved, Write
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety, Step
from gradls.rules.in_place_names import has_other_form
from gradls.rules.words import code, place


def statement_of(facts: Facts, at: At) -> ast.AST:
    """The node to name for something that happens at `at`: of an assignment the whole statement."""
    outer = facts.parent(at.node)
    is_target = isinstance(outer, ast.Assign) and any(target is at.node for target in outer.targets)
    return outer if outer is not None and is_target else at.node


def new_tensor_instead(facts: Facts, where: Place, safety: Safety) -> list[Fix]:
    """The fix that makes an in-place operation one that binds its name to a new tensor, where it can be written."""
    node = where.node
    if isinstance(node, ast.AugAssign):
        bound: ast.AST = node.target
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and has_other_form(node.func.attr)
        and isinstance(facts.parent(node), (ast.Expr, ast.Return))
    ):
        bound = node.func.value
    else:
        return []
    if not isinstance(bound, (ast.Name, ast.Attribute)) or _is_of_loop(facts, bound):
        return []
    return [Fix("Make a new tensor instead", safety, edits.out_of_place(where, facts.torch_name))]


def _is_of_loop(facts: Facts, bound: ast.expr) -> bool:
    """Does a loop bind the name to one element after the other? What is written is meant for these."""
    if not isinstance(bound, ast.Name):
        return False
    targets = (outer.target for outer in facts.parents(bound) if isinstance(outer, (ast.For, ast.AsyncFor)))
    return any(isinstance(part, ast.Name) and part.id == bound.id for target in targets for part in ast.walk(target))


def written(facts: Facts, write: Write) -> str:
    """What writes, in backquotes: the statement or call, or the layer that does it."""
    return shown(facts, write.layer) if write.layer is not None else shown(facts, write.at)


def shown(facts: Facts, at: At) -> str:
    """The text of what happens at `at`, in backquotes."""
    return code(facts, statement_of(facts, at))


def maker(facts: Facts, node: Node) -> str:
    """The operation or layer that made a node, in backquotes."""
    at = node.layer if node.layer is not None else node.at
    return shown(facts, at) if at is not None else "an operation"


def keeper_step(facts: Facts, event: Event) -> Step | None:
    """The operation that keeps a tensor for backward."""
    node = event.node
    if node is None or node.at is None:
        return None
    if node.layer is not None:
        return Step(place(node.layer), f"this layer keeps {kept(event.saved)} for backward")
    return Step(place(node.at), f"this keeps {kept(event.saved)} for backward")


def kept(saved: Saved) -> str:
    """What is kept: "its result", "`x`", "`weight`" or "one of its inputs"."""
    if saved.what.startswith("result"):
        return "its result"
    tensor = saved.tensor
    name = "" if tensor is None else tensor.name or (tensor.base.name if tensor.base is not None else "")
    return f"`{name}`" if name else "one of its inputs"
