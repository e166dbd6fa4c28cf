"""The order of training: what fills, clears, reads and applies the gradients of which tensors."""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import Path, Round
from gradls.flow.reach import leaves_of
from gradls.flow.values import (
    HELD,
    MORE,
    Bound,
    Choice,
    Class,
    Function,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
)


class Moment(NamedTuple):
    """`kind` is backward, step, clear or read; `tensors` are those whose gradients it concerns, None if that is not
    known; `number` counts events."""

    number: int
    kind: str
    event: Event
    tensors: frozenset[Tensor] | None


class Order:
    """The moments of a run in order. `parameters`: what each optimizer holds in the end; `in_loops` and `in_functions`:
    the moments in each loop, by its identity, and in each function that nobody in the file calls; `steps`: those of
    each optimizer that is known."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []
        self.parameters: dict[Instance, tuple[Tensor, ...]] = {}
        self.made: dict[Instance, Event] = {}
        self.steps: dict[Value | None, list[Moment]] = {}
        self.in_loops: dict[int, list[Moment]] = {}
        self.in_functions: dict[Function, list[Moment]] = {}
        self._by_tensor: dict[Tensor, list[Moment]] = {}
        self._of_any: list[Moment] = []
        """Those that may be about the gradient of any tensor."""
        self._about: dict[frozenset[Tensor], list[Moment]] = {}

    @cached_property
    def has_steps(self) -> bool:
        """Does anything apply gradients?"""
        return any(moment.kind == "step" for moment in self.moments)

    @cached_property
    def trained(self) -> set[Tensor]:
        """What some optimizer holds."""
        return {tensor for parameters in self.parameters.values() for tensor in parameters}

    def add(self, moment: Moment) -> None:
        """Add the next moment."""
        self.moments.append(moment)
        if moment.event.kind == "step":
            self.steps.setdefault(moment.event.value, []).append(moment)
        for loop in loops_of(moment.event.path):
            self.in_loops.setdefault(loop, []).append(moment)
        function = outermost(moment.event)
        if function is not None:
            self.in_functions.setdefault(function, []).append(moment)
        if moment.tensors is None or may_reach_more(moment):
            self._of_any.append(moment)
            return
        for tensor in moment.tensors:
            self._by_tensor.setdefault(tensor, []).append(moment)

    def about(self, tensors: frozenset[Tensor]) -> list[Moment]:
        """The moments that may be about the gradients of some of these, in order."""
        found = self._about.get(tensors)
        if found is None:
            mine = {moment.number: moment for tensor in tensors for moment in self._by_tensor.get(tensor, ())}
            mine.update((moment.number, moment) for moment in self._of_any)
            found = self._about[tensors] = [mine[number] for number in sorted(mine)]
        return found

    def before(self, moment: Moment, tensors: frozenset[Tensor]) -> Iterator[Moment]:
        """Those of `about` before a moment, the last one first."""
        mine = self.about(tensors)
        end = bisect_left(mine, moment.number, key=_number_of)
        return (mine[index] for index in range(end - 1, -1, -1))

    def after(self, moment: Moment, tensors: frozenset[Tensor]) -> Iterator[Moment]:
        """Those of `about` after a moment, in order."""
        return self.behind(moment.number, tensors)

    def behind(self, number: int, tensors: frozenset[Tensor]) -> Iterator[Moment]:
        """Those of `about` after the event with this number, in order."""
        mine = self.about(tensors)
        start = bisect_right(mine, number, key=_number_of)
        return (mine[index] for index in range(start, len(mine)))

    def together(self, event: Event) -> list[Moment]:
        """What happens in the loops that an event is in; if there are none, in the same function that nobody calls."""
        rounds = rounds_of(event.path)
        if rounds:
            return self.in_loops.get(id(rounds[0].loop), [])
        function = outermost(event)
        return self.in_functions.get(function, []) if function is not None else []

    def between(self, first: int, last: int) -> Iterator[Moment]:
        """The moments after the event number `first` and before the event number `last`."""
        start = bisect_right(self.moments, first, key=_number_of)
        return islice(self.moments, start, bisect_left(self.moments, last, lo=start, key=_number_of))


def _number_of(moment: Moment) -> int:
    return moment.number


def order_of(facts: Facts) -> Order:
    """What happens to gradients, in order."""
    found: Order | None = facts.memo.get("order")
    if found is None:
        found = facts.memo["order"] = _order(facts)
    return found


def _order(facts: Facts) -> Order:
    order = Order()
    for number, event in facts.numbered(*_MOMENTS):
        value = event.value
        if event.kind in ("optimizer-made", "group-added") and isinstance(value, Instance):
            order.parameters[value] = (*order.parameters.get(value, ()), *event.parameters)
            order.made.setdefault(value, event)
        found = _moment(event)
        if found is not None:
            order.add(Moment(number, found[0], event, found[1]))
    return order


_MOMENTS = (
    "backward", "step", "zero-grad", "unknown-step", "unknown-zero-grad", "scaler-step", "grad-set", "write",
    "data-set", "grad-read", "optimizer-made", "group-added", "unknown-attribute-set",
)  # fmt: skip


def _moment(event: Event) -> tuple[str, frozenset[Tensor] | None] | None:
    kind, value = event.kind, event.value
    if kind == "backward":
        return "backward", None if event.node is None or event.beyond else event.reached
    if kind == "step":
        return "step", frozenset(event.parameters)
    if kind == "zero-grad":
        return "clear", None if event.open and not event.parameters else frozenset(event.parameters)
    if (kind == "unknown-step" and not may_be_of_optimizer(event)) or _is_told_twice(event):
        return None
    if kind in ("unknown-step", "unknown-zero-grad", "scaler-step"):
        return ("clear" if kind == "unknown-zero-grad" else "step"), None
    if kind == "grad-set" and isinstance(value, Tensor):
        return "clear", _one_of(value)
    if kind == "unknown-attribute-set" and event.name == "grad":
        return "clear", None
    if kind in ("write", "data-set") and isinstance(value, Tensor):
        owner = gradient_of(value)
        return None if owner is None else ("clear", _one_of(owner))
    if kind == "grad-read" and isinstance(value, Tensor):
        return "read", _one_of(value)
    return None


def _is_told_twice(event: Event) -> bool:
    """A step of a gradient scaler is a step of the optimizer that it is given, too, if that is known."""
    if event.kind != "scaler-step":
        return False
    return isinstance(event.optimizer, Instance) and event.optimizer.path.startswith("torch.optim.")


def may_reach_more(moment: Moment) -> bool:
    """Is it a backward that may reach other tensors of the program than those that are known?"""
    return moment.kind == "backward" and (moment.tensors is None or bool(moment.event.hides))


def _one_of(tensor: Tensor) -> frozenset[Tensor]:
    """A tensor, and the leaves one of which it is, by branch."""
    return frozenset((tensor, *leaves_of(tensor.node))) if tensor.node.kind == "phi" else frozenset((tensor,))


def gradient_of(tensor: Tensor) -> Tensor | None:
    """The tensor whose `grad` this is, or is another view of."""
    for _ in range(4):
        owner = tensor.fields.get("of")
        if isinstance(owner, Tensor):
            return owner
        source = tensor.data if isinstance(tensor.data, Tensor) else tensor.base
        if source is None:
            return None
        tensor = source
    return None


# Paths


def rounds_of(path: Path | None) -> list[Round]:
    """The rounds of loops on a path, outermost first."""
    found = []
    while path is not None:
        if isinstance(path[1], Round):
            found.append(path[1])
        path = path[0]
    return found[::-1]


def innermost(path: Path | None) -> ast.AST | None:
    """The statement of the innermost loop that a path is in, if it is a `for`."""
    while path is not None:
        if isinstance(path[1], Round):
            statement: ast.AST | None = getattr(path[1].loop, "statement", None)
            return statement
        path = path[0]
    return None


def may_be_left(loop: ast.AST) -> bool:
    """Does a loop break off somewhere?"""
    return any(isinstance(part, ast.Break) for part in ast.walk(loop))


def is_on_the_way(one: Path | None, other: Path | None, *, whichever: bool = False) -> bool:
    """Was everything that was decided on the path `one` also decided, in the same way, on the path `other`?
    `whichever`: it does not matter which of several objects it is that `one` does something with."""
    taken = set()
    while other is not None:
        taken.add((id(other[1]), other[2]))
        other = other[0]
    while one is not None:
        told = isinstance(one[1], Round) or (whichever and isinstance(one[1], Choice))
        if not told and (id(one[1]), one[2]) not in taken:
            return False
        one = one[0]
    return True


def loops_of(path: Path | None) -> set[int]:
    """The loops that a path is in."""
    return {id(one.loop) for one in rounds_of(path)}


def is_divided(backward: Event) -> bool:
    """Is the root of this backward a loss divided by a number?"""
    node = backward.node
    for _ in range(3):
        if node is None or node.kind != "op":
            return False
        of_one = len(node.edges) == 1 or (len(node.edges) == 2 and node.edges[1].node.kind == "opaque")
        if node.op in ("div", "truediv", "mul") and of_one:
            return node.op != "mul" or isinstance(getattr(node.at, "node", None), ast.BinOp)
        node = node.edges[0].node if len(node.edges) == 1 else None
    return False


def is_every_so_often(facts: Facts, event: Event) -> bool:
    """Does this happen only if the remainder of some number is as it should be, as in every fourth round?"""
    path = event.path
    while path is not None:
        value = path[1]
        while isinstance(value, Unknown) and "derived" in value.fields:
            value = value.fields["derived"][0]
        if isinstance(value, Unknown) and value.name == "mod":
            return True
        path = path[0]
    node: ast.AST | None = event.at.node
    while node is not None and not isinstance(node, (ast.FunctionDef, ast.For, ast.While)):
        above = facts.source.parent(node)
        if isinstance(above, ast.If) and node is not above.test and _has_remainder(above.test):
            return True
        node = above
    return False


def _has_remainder(test: ast.expr) -> bool:
    parts = (part for part in ast.walk(test) if isinstance(part, ast.BinOp))
    return any(isinstance(part.op, ast.Mod) and not isinstance(part.left, ast.Constant) for part in parts)


# Who else may have it


def is_handed_out(facts: Facts, value: object) -> bool:
    """Does unknown code, a caller or an attribute have it? Others may use it too."""
    return id(value) in _handed_out(facts)


def is_given(facts: Facts, value: object) -> bool:
    """Is something an argument of a call of unknown code?"""
    known: set[int] | None = facts.memo.get("given")
    if known is None:
        known = facts.memo["given"] = {id(one) for event in facts.of("unknown-call") for one in event.arguments}
    return id(value) in known


def _handed_out(facts: Facts) -> set[int]:
    """The identities of what others have."""
    known: set[int] | None = facts.memo.get("handed out")
    if known is not None:
        return known
    found: set[int] = set()
    facts.memo["handed out"] = found
    for event in facts.of("unknown-call"):
        for value in event.arguments:
            _note(value, found)
    for event in facts.of("return", "yield"):
        _note(event.value, found)
    for event in facts.of("append"):
        _note(event.appended, found)
    own = []
    for event in facts.of("attribute-set", "item-set", "unknown-attribute-set"):
        if event.kind == "attribute-set" and _is_of_the_program(event):
            own.append(event)
        else:
            _note(event.assigned, found)
    # What an object of the program holds is as well known as the object.
    for _ in range(3):
        for event in own:
            if id(event.value) in found:
                _note(event.assigned, found)
    return found


def _is_of_the_program(event: Event) -> bool:
    """Is an attribute set of an object that the file makes and uses itself, and that no other code has?"""
    holder = event.value
    if event.alone or not isinstance(holder, Instance) or not isinstance(holder.cls, Class):
        return False
    return not holder.open and not holder.fields.get("*escaped")


def _note(value: Value | None, found: set[int]) -> None:
    todo = [value]
    for _ in range(200):
        if not todo:
            return
        value = todo.pop()
        if value is None or id(value) in found:
            continue
        found.add(id(value))
        if isinstance(value, Sequence):
            todo += value.elements
        elif isinstance(value, Mapping):
            todo += [*value.entries.values(), value.rest]
        elif isinstance(value, Choice):
            todo += value.options


def receiver_of(node: ast.AST) -> ast.expr | None:
    """`x` of the call `x.method()`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.value
    return None


def optimizer_in(step: Event) -> ast.expr | None:
    """How the call that steps or clears an optimizer writes that: a gradient scaler is given it."""
    node = step.at.node
    if step.kind in ("step", "scaler-step") and step.info.get("closure") is None and isinstance(node, ast.Call):
        given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "optimizer")]
        if given and getattr(node.func, "attr", "") == "step":
            return given[0]
    return receiver_of(node)


def outermost(event: Event) -> Function | None:
    """The function that nobody in the file calls, in which something happens; None if there is none."""
    functions = [function for _, function in event.callers()] if event.alone else []
    return functions[-1] if functions else None


def is_method_of(event: Event, value: Value | None) -> bool:
    """Is this `unknown-call` the call of a method of `value`?"""
    return isinstance(event.value, Unknown) and event.value.fields.get("of") is value


STEPS = frozenset(("step", "unknown-step"))
CLEARS = frozenset(("zero-grad", "unknown-zero-grad"))


def is_vague_optimizer(event: Event) -> bool:
    """Is it not known what the optimizer holds that is stepped or cleared here? Of some only the name says that they
    are optimizers."""
    value = event.value
    if isinstance(value, Instance):
        return value.fields.get(MORE) is True and not value.fields.get(HELD)
    node = receiver_of(event.at.node)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return isinstance(value, Unknown) and "opt" in name.lower()


def may_be_of_optimizer(step: Event) -> bool:
    """May an `unknown-step` apply gradients? What takes an action, as an environment does, is no optimizer: that takes
    nothing, or a closure; a gradient scaler takes the optimizer."""
    return not step.arguments or is_vague_optimizer(step) or any(_is_closure_or_optimizer(a) for a in step.arguments)


def _is_closure_or_optimizer(value: Value) -> bool:
    if isinstance(value, Unknown):
        return "opt" in value.name.lower() or "closure" in value.name.lower()
    return isinstance(value, (Function, Bound)) or (isinstance(value, Instance) and MORE in value.fields)


def if_it_is_one(event: Event, name: str) -> str:
    """The condition to begin with where only the name says that something is an optimizer."""
    return f"if `{name}` is an optimizer of PyTorch, " if isinstance(event.value, Unknown) else ""
