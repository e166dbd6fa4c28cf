"""Parameters that a backward fills and no optimizer has: which were forgotten, and which something else looks after."""

from __future__ import annotations

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.registration import PlainContainer, plain_containers
from gradls.flow.values import FALSE, Instance, Tensor
from gradls.rules.registration import leaves_of, made_in
from gradls.rules.training_order import gradient_of, rounds_of
from gradls.rules.unused_gradients import cut_points, fates


def thawed(facts: Facts, made: Event, backward: Event, left: list[Tensor]) -> Event | None:
    """What let all these parameters require grad after an optimizer was made, before a backward filled them."""
    waiting = set(left)
    found: Event | None = None
    for event in facts.of("requires-grad-set", "freeze"):
        if made.clock < event.clock < backward.clock and event.flag is True:
            concerned = event.parameters if event.kind == "freeze" else (event.value,)
            found = found if waiting.isdisjoint(concerned) else event
            waiting.difference_update(concerned)
    return found if not waiting else None


def told_otherwise(facts: Facts) -> set[Tensor]:
    """Parameters that are forgotten because they are not registered, or of layers that each `forward` makes anew, or
    that were never meant to be reached."""
    found: set[Tensor] = set()
    for event in facts.of("module-made"):
        if isinstance(event.value, Instance) and made_in(event, "forward") and not made_in(event, "__init__"):
            found.update(leaves_of(event.value))
    for module, container in _plain(facts):
        if any(member.fields.born > module.fields.born for member in container.members):
            found.update(leaf for member in container.members for leaf in leaves_of(member))
    return found.union(*(leaves for fate in fates(facts) for _, leaves in cut_points(facts, fate)))


def _plain(facts: Facts) -> Iterator[tuple[Instance, PlainContainer]]:
    """The modules with what they hold in lists, dictionaries and other objects, where nothing is registered."""
    made = dict.fromkeys(event.value for event in facts.of("object-made") if isinstance(event.value, Instance))
    return ((module, container) for module in made for container in plain_containers(module))


def holding(facts: Facts, left: list[Tensor]) -> Event | None:
    """Where some of these parameters came from outside into a module that does not register them."""
    for module, container in _plain(facts):
        if any(leaf in left for member in container.members for leaf in leaves_of(member)):
            sets = (event for event in facts.of("attribute-set") if event.value is module)
            return next((event for event in sets if event.assigned is container.value), None)
    return None


_HANDLING = frozenset(("write", "leaf-write", "data-set", "grad-set", "grad-read", "expanded-write"))

_LOADING = ("load-state-dict", "grad-call", "vector-to-parameters", "functional-call", "functional")


def handled_elsewhere(facts: Facts) -> set[object]:
    """The tensors that are written to or whose gradients are read, and the modules that were loaded: something else
    looks after these."""
    found: set[object] = set()
    for event in facts.of(*_HANDLING, *_LOADING):
        if event.kind in _HANDLING and isinstance(event.value, Tensor):
            owner = gradient_of(event.value)
            found.update((event.value, owner) if owner is not None else (event.value,))
            found.update(node.leaf for node in walk(event.value.node) if node.leaf is not None)
        elif event.kind == "load-state-dict" and isinstance(event.value, Instance):
            found.update(leaves_of(event.value))
        elif event.kind == "grad-call":
            found.update(target for target in event.targets if isinstance(target, Tensor))
        elif event.kind in ("vector-to-parameters", "functional-call", "functional"):
            found.add(None)
    return found


def switched(facts: Facts) -> set[Tensor]:
    """The parameters of modules that are frozen or thawed as a whole: by turns, perhaps."""
    modules = (event.value for event in facts.of("freeze"))
    return {leaf for module in modules if isinstance(module, Instance) for leaf in leaves_of(module)}


def is_elsewhere(leaf: Tensor, handled: set[object]) -> bool:
    owner = leaf.owner
    if None in handled or leaf in handled or leaf.fields.get("*escaped"):
        return True
    return owner is not None and (bool(owner.fields.get("*escaped")) or owner.fields.get("training") is FALSE)


_ARITHMETIC = frozenset(("add", "sub", "mul", "div", "truediv", "pow"))


def is_coefficient(backward: Event, leaf: Tensor) -> bool:
    """Is a leaf, which is no parameter, only a factor or a term of what is computed with parameters? Data may require
    grad, too, without any need: they go into layers."""
    if backward.node is None or leaf.requires_grad is not True:
        return False
    made, used = rounds_of(leaf.node.path), rounds_of(backward.path)
    if used and len(made) >= len(used):
        return False  # computed anew in each round: noise, say
    users: dict[Node, list[Node]] = {}
    for node in walk(backward.node, follow="flow"):
        for edge in node.edges:
            users.setdefault(edge.node, []).append(node)
    todo, seen, found = [leaf.node], {leaf.node}, False
    while todo:
        one = todo.pop()
        for user in users.get(one, ()):
            others = [edge.node for edge in user.edges if edge.node is not one]
            if not others and user.kind == "op" and user not in seen:
                seen.add(user)
                todo.append(user)  # its logarithm is kept, say
            elif len(others) != 1 or user.op not in _ARITHMETIC or not _is_computed(others[0]):
                return False
            found = found or bool(others)
    return found


def _is_computed(node: Node) -> bool:
    """Is it computed with parameters?"""
    return node.leaf is None and any(part.leaf is not None and part.leaf.is_parameter for part in walk(node))
