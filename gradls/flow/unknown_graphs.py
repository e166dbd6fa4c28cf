"""Graphs of what unknown models compute: a second backward through one of them raises, for nearly every model saves
something that the first one frees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.graph import Freed, Node
from gradls.flow.paths import meets
from gradls.flow.sources import Sources, sources, whole
from gradls.flow.unknown_modules import asks_to_train, is_frozen
from gradls.flow.values import Value

if TYPE_CHECKING:
    from gradls.flow.run import Run


def free(run: Run, root: Node, freed: Freed) -> None:
    """Note of the calls of an unknown model through whose graphs a backward from `root` goes for certain that they are
    freed: nothing else but data can have given `root` its gradient. The same of models that the program trains, with
    whatever they are combined in a loss."""
    found = sources(root)
    calls, parts = _of_trained(found)
    if not found.others and len({id(node.get("called")) for node in found.calls}) == 1:
        calls, parts = [*calls, *found.calls], [*parts, *found.parts]
    for key, nodes in (("entered", calls), ("freed", parts)):
        for node in dict.fromkeys(nodes):
            run.state.set(node.fields, key, (*node.get(key, ()), freed))


def _of_trained(found: Sources) -> tuple[list[Node], list[Node]]:
    """The calls of models that the program trains among what was found, and what is used of each, behind what other
    unknown functions, such as a criterion, were given of it."""
    calls: list[Node] = []
    parts: list[Node] = []
    todo: list[Sources] = [found]
    seen: set[Node] = set()
    while todo:
        for part in todo.pop().parts:
            call = whole(part)
            called = call.get("called")
            if asks_to_train(called) and not is_frozen(called):
                calls.append(call)
                parts.append(part)
            else:
                given = [edge.node for edge in call.edges if edge.flows is not False and edge.node not in seen]
                seen.update(given)
                todo += map(sources, given)
    return calls, parts


def look(run: Run, value: Value, root: Node, call: Call) -> None:
    """Write down that a backward of a value, from `root` on, goes through the graph of a model's call that an earlier
    one went through: directly, or through later calls of the same model, which were given a part of what it gave."""
    found = sources(root)
    for part in found.parts:
        if _report(run, value, root, call, whole(part), _freed(part)):
            return
    todo = list(dict.fromkeys((*found.calls, *_of_trained(found)[0])))
    seen = set(todo)
    for node in todo:
        for edge in node.edges:
            inner = whole(edge.node)
            if edge.flows is not False and inner not in seen and inner.get("called") is node.get("called"):
                if _report(run, value, root, call, inner, inner.get("entered", ())):
                    return
                seen.add(inner)
                todo.append(inner)


def _freed(part: Node) -> tuple[Freed, ...]:
    """The passes that went through the graph of this part of what a model gave. Other parts, which are not parts of it
    nor it of them, may be what other layers computed: those of two critics in one module."""
    model = whole(part)
    if part is model:
        return model.get("entered", ())
    found = part.get("freed", ())
    while part is not model:
        part = part.edges[0].node
        found += part.get("freed", ())
    return found


def _report(run: Run, value: Value, root: Node, call: Call, node: Node, passes: tuple[Freed, ...]) -> bool:
    freed = next((by for by in passes if meets(run.path, by.path)), None)
    if freed is None or not meets(run.path, node.path) or not _leads_to(root, node):
        return False
    run.event("freed-graph", call.node, value, node, by=freed, overwritten=False, likely=True)
    return True


def _leads_to(root: Node, to: Node) -> bool:
    """Does gradient come there whatever branches are taken? One may leave what the round before has made to those that
    do not look at it."""
    todo, seen = [root], {root}
    for node in todo:
        if node is to:
            return True
        new = [edge.node for edge in node.edges if edge.flows is not False and edge.node not in seen]
        if node.kind != "phi":
            seen.update(new)
            todo += new
    return False
