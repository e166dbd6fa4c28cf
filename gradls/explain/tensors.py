"""The gradient of a tensor in words."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from gradls.explain import cuts
from gradls.explain.names import Names
from gradls.explain.places import text, where
from gradls.explain.reach import reach
from gradls.flow.facts import Facts, TensorState
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Tensor

MOST_NAMES = 6


def states(facts: Facts) -> dict[ast.AST, TensorState]:
    """The states of the file's tensor expressions, by expression."""
    known: dict[ast.AST, TensorState] | None = facts.memo.get("states by expression")
    if known is None:
        known = facts.memo["states by expression"] = {state.node: state for state in facts.states}
    return known


def about_tensor(facts: Facts, state: TensorState) -> list[str]:
    """Paragraphs about the gradient of a tensor expression, in Markdown that reads well as plain text."""
    written = text(facts, state.node)
    kinds = {requires_grad for _, requires_grad, _ in state.seen}
    if state.requires_grad is None and {True, False} <= kinds:
        return [f"**{written} requires grad in some calls and not in others.**", *_each(facts, state)]
    node = state.seen[-1][0] if state.seen else None
    if state.requires_grad is None:
        return [f"**It is not known whether {written} requires grad.**", *_unknown(facts, state, node)]
    if node is None:
        sentence = "requires grad" if state.requires_grad else "does not require grad"
        return [f"**{written} {sentence}.**"]
    if state.requires_grad:
        return [f"**{written} requires grad.**", *_with_gradient(facts, state, node)]
    return [f"**{written} does not require grad.**", *_without_gradient(facts, state, node)]


def _each(facts: Facts, state: TensorState) -> Iterator[str]:
    lines = []
    for node, requires_grad, _ in state.seen:
        why = _why(facts, node) if requires_grad else _why_not(facts, node)
        sentence = {True: "requires grad", False: "no gradient", None: "not known"}[requires_grad]
        line = f"- {sentence}: {why}" if why else f"- {sentence}"
        if line not in lines:
            lines.append(line)
    yield "\n".join(lines)


def _unknown(facts: Facts, state: TensorState, node: Node | None) -> Iterator[str]:
    if node is None:
        return
    if any(requires_grad is True for _, requires_grad, _ in state.seen):
        yield "It does where it is seen here, but the same code may also run in another way, such as without gradients."
        return
    sources = dict.fromkeys(
        inner.label for inner in walk(node, follow="maybe") if inner.kind == "opaque" and inner.label
    )
    if sources:
        yield f"That depends on {_quoted(list(sources))}, of which nothing is known here."


def _quoted(words: list[str], most: int = 3) -> str:
    quoted = [f"`{word}`" for word in words[:most]]
    return ", ".join(quoted) + (f" and {len(words) - most} more" if len(words) > most else "")


def _with_gradient(facts: Facts, state: TensorState, node: Node) -> Iterator[str]:
    names = Names.of(facts)
    yield _sentence(*_all_whys(facts, state, _why), _leaf(state.leaf))
    found = reach(node)
    if node.leaf is None and found.reached:
        parameters = [leaf for leaf in found.reached if leaf.is_parameter]
        what = "parameter" if len(parameters) == len(found.reached) else "leaf"
        plural = what + "s" if what == "parameter" else "leaves"
        count = len(found.reached)
        listed = names.listed(found.reached, MOST_NAMES)
        many = "" if any(map(names.is_vague, found.reached)) else f"{count} "
        yield f"Its gradient reaches {f'the {what}' if count == 1 else f'{many}{plural}'}: {listed}."
    if found.perhaps or found.open:
        others = "others" if found.reached else "leaves"
        known = f" such as {names.listed(found.perhaps, MOST_NAMES)}" if found.perhaps else ""
        yield f"It may reach {others}{known}, in another branch or through values that are not known here."
    yield from _missed(facts, found.missed, names)
    if found.frozen:
        yield f"Frozen: {names.listed(found.frozen)} (`requires_grad=False`)."
    yield from _saved(facts, node)


def _missed(facts: Facts, missed: dict[Tensor, Node], names: Names) -> Iterator[str]:
    by_cut: dict[Node, list[Tensor]] = {}
    for leaf, cut in missed.items():
        by_cut.setdefault(cut, []).append(leaf)
    lines = []
    for cut, leaves in by_cut.items():
        line = f"No gradient reaches {names.listed(leaves)}: {cuts.phrase(facts, cut)}."
        if line not in lines:
            lines.append(line)
    yield from lines[:3]


def _without_gradient(facts: Facts, state: TensorState, node: Node) -> Iterator[str]:
    names = Names.of(facts)
    yield _sentence(*_all_whys(facts, state, _why_not), _leaf(state.leaf))
    lost: dict[Tensor, None] = {}
    for leaf in reach(node).missed:
        lost[leaf] = None
    if lost:
        yield f"Without that its gradient would reach {names.listed(lost, MOST_NAMES)}."


def _all_whys(facts: Facts, state: TensorState, why: Callable[[Facts, Node], str]) -> Iterator[str]:
    """Why it is so, each time that it was something else."""
    whys = list(dict.fromkeys(why(facts, node) for node, _, _ in state.seen))
    if len(whys) > 1 and all(whys):
        yield f"in one case {whys[0]}, in another {whys[-1]}"
    else:
        yield whys[-1]


def _sentence(*parts: str) -> str:
    said = "; ".join(part for part in parts if part)
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def _leaf(leaf: bool | None) -> str:
    return {True: "a leaf", False: "not a leaf", None: ""}[leaf]


def _why(facts: Facts, node: Node) -> str:
    """Why it requires grad."""
    if node.leaf is not None:
        if node.leaf.is_parameter:
            name = Names.of(facts).name(node.leaf)
            return f"the parameter `{name}`" if name else "a parameter"
        made = f" on {where(facts, node.at)}" if node.at is not None else ""
        return f"made{made} to require grad"
    if node.kind == "phi":
        return "one of several values, by branch"
    if node.at is None:
        return ""
    return f"the result of `{node.op}` on {where(facts, node.at)}"


def _why_not(facts: Facts, node: Node) -> str:
    """Why it does not require grad."""
    found = cuts.losses(node)
    if found:
        return ", and ".join(dict.fromkeys(cuts.phrase(facts, cut) for cut in found[:2]))
    if node.leaf is not None or not node.edges:
        if node.leaf is not None and node.leaf.is_parameter:
            name = Names.of(facts).name(node.leaf)
            return f"the parameter `{name}` is frozen" if name else "a frozen parameter"
        if node.at is None:
            return ""
        if node.leaf is not None and node.leaf.dtype in ("int", "bool"):
            return f"made on {where(facts, node.at)}; {node.leaf.dtype} tensors have no gradient".replace(
                "int t", "integer t"
            ).replace("bool t", "boolean t")
        return f"made on {where(facts, node.at)} without `requires_grad=True`"
    if any(edge.flows is None for edge in node.edges):
        return ""
    return "nothing that it is computed from requires grad"


def _saved(facts: Facts, node: Node) -> Iterator[str]:
    """What backward will need of the tensor."""
    own = any(entry.what == "result" and entry.tensor is not None and entry.tensor.node is node for entry in node.saved)
    if own:
        yield f"`{node.op}` keeps it, its result, for backward."
    places: dict[str, None] = {}
    for state in states(facts).values():
        for other, _, _ in state.seen:
            if other is node or other.at is None or not other.saved:
                continue
            if any(entry.tensor is not None and entry.tensor.fields.get("node") is node for entry in other.saved):
                places[f"`{other.op}` on {where(facts, other.at)}"] = None
    if places:
        listed = list(places)
        more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
        kept = ", ".join(listed[:3])
        yield f"Kept for backward by {kept}{more}: a write to it in place before that would make backward raise."
