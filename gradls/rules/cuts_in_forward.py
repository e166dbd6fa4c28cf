"""Cuts in the `forward` of models, in files that do not train them: parameters that get no gradient, whoever does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from gradls.flow.contents import is_plain, tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Cut, Node
from gradls.flow.hiding import may_hide
from gradls.flow.hierarchy import is_module_class
from gradls.flow.lost import Lost, replaced_parameters
from gradls.flow.reach import frontier, lost_leaves, walk
from gradls.flow.values import Class, Function, Tensor, Unknown, Value
from gradls.rules.training_order import outermost
from gradls.syntax.walk import walk as walk_text

_KINDS = frozenset(("detach", "data", "no_grad", "integer", "no_derivative", "number", "numpy"))
"""The cuts that may be made by mistake in a forward. What an action or a new leaf costs is told elsewhere."""
_LEAKS = ("return", "attribute-set", "unknown-call", "backward", "grad-call")


def cuts_in_forward(facts: Facts) -> list[Lost]:
    """The cuts in a `forward` that nobody in the file calls, behind which there are parameters that get no gradient.

    Either of all that the methods of the class give away nothing has a gradient to the parameters, while others get
    one, or all of them are of layers that the class makes itself, and nothing in it says that they are not to be
    trained; or the parameters are made by the class itself, and this is the only place where it uses them.
    """
    found: list[Lost] | None = facts.memo.get("cuts-in-forward")
    if found is None:
        found = facts.memo["cuts-in-forward"] = [*_of_what_is_given_away(facts), *_of_only_uses(facts)]
    return found


# Nothing that leaves the class has a gradient to them


def _of_what_is_given_away(facts: Facts) -> Iterator[Lost]:
    found = list(facts.each(_costly_cuts))
    reached = {*facts.each(_reached), *replaced_parameters(facts)} if found else set()
    for lost in found:
        leaves = tuple(leaf for leaf in lost.leaves if leaf not in reached)
        if leaves:
            yield replace(lost, leaves=leaves)


def _costly_cuts(facts: Facts) -> Iterator[Lost]:
    returned = [event for event in facts.of("return") if _is_of_forward(event) and outermost(event) is event.function]
    if (
        not returned
        or facts.unfinished
        or not all(_is_known(part) for value in _given_away(facts) for part in tensors_in(value))
    ):
        return
    if any(_may_come_through_unknown(root) for event in returned for root in _returned_roots(event)):
        return
    reached = set(_reached(facts))
    found: dict[ast.AST, Lost] = {}
    for event in returned if reached else filter(_is_of_what_trains, returned):
        for root in _returned_roots(event):
            for node in frontier(root):
                cut = node.cut
                if cut is None or not _may_be_a_mistake(facts, node) or not (reached or _goes_on(facts, cut)):
                    continue
                known = found.get(cut.at.node)
                lost = [leaf for leaf in lost_leaves(node) if leaf.is_parameter and leaf not in reached]
                leaves = tuple(dict.fromkeys((*(known.leaves if known else ()), *lost)))
                if leaves:
                    found[cut.at.node] = Lost(known.cut if known else node, event, leaves, "forward")
    yield from found.values()


def _is_of_what_trains(event: Event) -> bool:
    """Is it the `forward` of a class of modules of which nothing says that it is not to be trained?"""
    cls = event.function.owner
    return isinstance(cls, Class) and cls.source is event.at.source and event.at.source.once(_says_nothing, cls.node)


_NOT_TRAINED = frozenset(("eval", "requires_grad_", "requires_grad", "load_state_dict", "no_grad", "inference_mode"))


def _goes_on(facts: Facts, cut: Cut) -> bool:
    """Is the value, which nobody means to be without a gradient, computed with after it was cut off? What is returned
    as labels, as numbers, or in a detached form, is what a model for predictions gives."""
    return cut.kind in _OF_VALUES and not isinstance(facts.statement(cut.at.node), ast.Return)


_OF_VALUES = frozenset(("detach", "data", "number", "numpy"))


def _says_nothing(cls: ast.ClassDef) -> bool:
    """Is nothing in the text of a class about frozen or loaded parameters, or about methods without gradients?"""
    for part in walk_text(cls):
        if isinstance(part, ast.FunctionDef) and part.name == "forward" and part.decorator_list:
            return False
        if isinstance(part, ast.Attribute) and part.attr in _NOT_TRAINED:
            return False
        if isinstance(part, ast.keyword) and part.arg in ("pretrained", "weights"):
            return False
    return True


def _reached(facts: Facts) -> Iterator[Tensor]:
    """The parameters to which something that leaves a function has a gradient."""
    roots = {root for value in _given_away(facts) for root in _roots(value)}
    for root in roots.union(node for event in facts.of("return") for node in event.nodes):
        for node in walk(root, follow="maybe"):
            if node.leaf is not None and node.leaf.is_parameter:
                yield node.leaf


def _given_away(facts: Facts) -> Iterator[Value]:
    """What leaves the methods of the class: what they return, keep, and hand to unknown code."""
    for event in facts.of(*_LEAKS):
        if event.kind == "unknown-call":
            yield from event.arguments
        elif event.kind == "attribute-set":
            yield event.assigned
        elif event.kind == "return":
            yield from event.parts
        elif event.value is not None:
            yield event.value


def _is_known(value: Value) -> bool:
    """Is it known what this depends on?"""
    return isinstance(value, Tensor) or is_plain(value) or (isinstance(value, Unknown) and ("node",) in value.fields)


def _may_be_a_mistake(facts: Facts, node: Node) -> bool:
    """Is this certainly a cut, in this file, of what is computed? Of a parameter itself only the value is wanted."""
    cut = node.cut
    if cut is None or cut.kind not in _KINDS or not cut.certain or cut.at.source is not facts.source:
        return False
    return cut.kind == "no_grad" or not any(_is_leaf(edge.node) for edge in node.edges)


def _is_leaf(node: Node) -> bool:
    """Is this a leaf, or one of several by branch?"""
    return node.leaf is not None or (node.kind == "phi" and all(edge.node.leaf is not None for edge in node.edges))


# The class uses them nowhere else


def _of_only_uses(facts: Facts) -> Iterator[Lost]:
    for lost, cls, function in () if facts.unfinished else facts.each(_cuts_of_own):
        if _is_only_use(facts, lost.leaves[0].name, cls, function):
            yield lost


def _cuts_of_own(facts: Facts) -> Iterator[tuple[Lost, Class, Function]]:
    returned: dict[Function, list[Event]] = {}
    for event in facts.of("return"):
        if event.alone and _is_of_forward(event):
            returned.setdefault(event.function, []).append(event)
    for function, events in returned.items():
        cls = function.owner
        if not isinstance(cls, Class) or is_module_class(cls) is not True or cls.source is not facts.source:
            continue
        roots = [(root, event) for event in events for root in _returned_roots(event)]
        if any(_may_come_through_unknown(root) for root, _ in roots):
            continue
        done = {node.leaf for root, _ in roots for node in walk(root, follow="maybe")}
        for root, event in roots:
            for cut in frontier(root):
                if cut.cut is not None and cut.cut.kind == "no_grad" and outermost(event) is not function:
                    continue  # whoever calls it may be the one who has switched gradients off
                for leaf in lost_leaves(cut):
                    if leaf not in done and _is_own(leaf, cls):
                        done.add(leaf)
                        yield Lost(cut, event, (leaf,), "forward"), cls, function


def _is_own(leaf: Tensor, cls: Class) -> bool:
    """Does the text of the class make it a parameter that is to be trained?"""
    made = leaf.node.at.node if leaf.node.at is not None else None
    if not leaf.is_parameter or leaf.requires_grad is not True or not isinstance(made, ast.Call):
        return False
    if getattr(made.func, "attr", getattr(made.func, "id", "")) != "Parameter":
        return False
    return any(part is made for part in ast.walk(cls.node))


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


# Both


def _may_come_through_unknown(root: Node) -> bool:
    """Is a part of it one of several by branch, and one of these unknown? What the others are made of is not known."""
    return any(may_hide(node) for node in walk(root, follow="maybe"))


def _is_of_forward(event: Event) -> bool:
    return isinstance(event.function, Function) and event.function.name == "forward"


def _returned_roots(event: Event) -> Iterator[Node]:
    """What a function returned, as it was then: writes to it are taken back when the function comes to its end."""
    yield from event.nodes
    for part in event.parts:
        if not isinstance(part, Tensor):
            yield from _roots(part)


def _roots(value: Value | None) -> Iterator[Node]:
    for part in tensors_in(value) if value is not None else ():
        if isinstance(part, Tensor):
            yield part.node
        elif isinstance(part, Unknown) and ("node",) in part.fields:
            yield part.fields["node",]
