"""Parameters of modules that reach the result of `forward` only through a cut, where nothing calls these modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import frontier, lost_leaves, walk
from gradls.flow.hierarchy import is_module_class
from gradls.flow.lost import Lost
from gradls.flow.values import Class, Function, Tensor


def behind_cuts(facts: Facts) -> list[Lost]:
    """The cuts behind which the only use of an `nn.Parameter` is, in the `forward` of a class of this file that nothing
    in the file calls: whoever trains the module, the parameter gets no gradient."""
    found: list[Lost] | None = facts.memo.get("behind-cuts")
    if found is None:
        candidates = [] if facts.unfinished else list(facts.each(_in_chapter))
        found = [lost for lost, cls, function in candidates if _is_only_use(facts, lost.leaves[0].name, cls, function)]
        facts.memo["behind-cuts"] = found
    return found


def _in_chapter(facts: Facts) -> Iterator[tuple[Lost, Class, Function]]:
    results: dict[Function, list[Event]] = {}
    for event in facts.of("return"):
        function = event.function
        if event.alone and isinstance(function, Function) and function.name == "forward":
            results.setdefault(function, []).append(event)
    for function, events in results.items():
        cls = function.owner
        if isinstance(cls, Class) and is_module_class(cls) is True and cls.source is facts.source:
            for lost in _of_forward(cls, events):
                yield lost, cls, function


def _of_forward(cls: Class, events: list[Event]) -> Iterator[Lost]:
    roots = [(part.node, event) for event in events for part in _tensors(event)]
    live = {node.leaf for root, _ in roots for node in walk(root, follow="maybe")}
    told: set[Tensor] = set()
    for root, event in roots:
        for cut in frontier(root):
            for leaf in lost_leaves(cut):
                if leaf not in live and leaf not in told and _is_own(leaf, cls):
                    told.add(leaf)
                    yield Lost(cut, event, (leaf,), "forward")


def _is_own(leaf: Tensor, cls: Class) -> bool:
    """Does the text of the class make it a parameter that is to be trained?"""
    made = leaf.node.at.node if leaf.node.at is not None else None
    if not leaf.is_parameter or leaf.requires_grad is not True or not isinstance(made, ast.Call):
        return False
    if getattr(made.func, "attr", getattr(made.func, "id", "")) != "Parameter":
        return False
    return any(part is made for part in ast.walk(cls.node))


def _tensors(event: Event) -> list[Tensor]:
    return [part for part in tensors_in(event.value) if isinstance(part, Tensor)] if event.value is not None else []


def _is_only_use(facts: Facts, name: str, cls: Class, function: Function) -> bool:
    """Is an attribute of the objects of a class read once, in a method? What other classes have under the same name is
    another thing, unless they derive from this one."""
    own = 0
    for read in facts.reads(name):
        around = list(facts.parents(read))
        if cls.node in around:
            own += 1
            if function.node not in around:
                return False
            continue
        bases = (base for part in around for base in getattr(part, "bases", ()))
        of_another = isinstance(read.value, ast.Name) and read.value.id == "self"
        if not of_another or any(cls.name == getattr(base, "id", "") for base in bases):
            return False
    return own == 1
