"""Words for messages: names of tensors and modules, and what cut a gradient."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At, Node
from gradls.flow.models.modules import parameters_of
from gradls.flow.values import Class, Instance, Tensor
from gradls.rules.finding import Place, Step


def place(at: At) -> Place:
    """The place of a node of the engine."""
    return Place(at.source, at.node)


def code(facts: Facts, node: ast.AST, most: int = 40) -> str:
    """The text of a node, in backquotes and on one line, shortened. What a trainer does with a loss stands at the
    `return` that gave it to the trainer."""
    if isinstance(node, ast.Return):
        return f"the trainer's `backward()` of {code(facts, node.value, most)}" if node.value else "`return`"
    return quoted(facts, node, most)


def quoted(facts: Facts, node: ast.AST, most: int = 40) -> str:
    """The same for a node that stands for itself only, a `return` statement, too."""
    text = " ".join(facts.segment(node).split())
    return f"`{text if len(text) <= most else text[: most - 1] + '…'}`"


def owners(leaves: Iterable[Tensor], most: int = 3) -> str:
    """What the leaves are: "the parameters of `encoder`", "`w`", or "its inputs"."""
    modules: dict[str, None] = {}
    tensors: dict[str, None] = {}
    leaves = sorted(leaves, key=lambda leaf: leaf.fields.born) if isinstance(leaves, (set, frozenset)) else list(leaves)
    several: dict[Instance, bool] = {}
    for leaf in leaves:
        owner = leaf.owner
        if owner is not None and owner.name and owner.name != "self" and not owner.name.startswith("self."):
            if owner not in several:
                several[owner] = _is_one_of_several(owner, leaves)
            if leaf.name and several[owner]:
                tensors[f"`{owner.name}.{leaf.name}`"] = None
            else:
                modules[f"`{owner.name}`"] = None
        elif leaf.name:
            tensors[f"`{leaf.name}`"] = None
    parts = [_listed(list(tensors), most)] if tensors else []
    if modules:
        parts.append(f"the parameters of {_listed(list(modules), most)}")
    return " and ".join(parts) or "its inputs"


def _is_one_of_several(owner: Instance, leaves: list[Tensor]) -> bool:
    """Are only some of the parameters of a module of the program concerned? Then they are told by name."""
    if not isinstance(owner.cls, Class):
        return False
    concerned = set(leaves)
    return any(tensor not in concerned for _, tensor in parameters_of(owner)[0])


def _listed(names: list[str], most: int) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def origin(node: Node) -> list[Step]:
    """Where the history behind a cut begins: the operation whose result it cut off."""
    for edge in node.edges:
        source = edge.node
        if (
            source.at is not None
            and source.kind != "leaf"
            and source.at.node is not (node.at.node if node.at else None)
        ):
            return [Step(place(source.at), "the value with its gradient comes from here")]
    return []


def backward_step(facts: Facts, event: Event) -> Step:
    """The backward at which a loss of gradient matters."""
    return Step(place(event.at), "the gradient is missing here")
