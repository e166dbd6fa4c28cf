"""The parts of a run: what the module's own statements do, and each function that nobody in the file calls."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, KeysView
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from gradls.autograd.ops import find_op
from gradls.flow.graph import At
from gradls.flow.values import Bound, Function, Lib, Unknown, Value
from gradls.syntax.source import Source

if TYPE_CHECKING:
    from gradls.flow.graph import Node
    from gradls.flow.names import Question
    from gradls.flow.notes import Event, TensorState


class Chapter:
    """What one part of the run found out.

    The first chapter is what the module's own statements do (`node` is the module). Then come the functions that
    nobody in the file calls, each as if somebody outside of the file called it (`node` is the function), and before the
    methods of a class the making of the object that they have (`node` is the class).

    Chapters do not change each other: what one writes is undone before the next begins. So a chapter stays true for as
    long as the bodies in `read` stay what they were.
    """

    __slots__ = (
        "_calls_by_name",
        "_events_by_kind",
        "alike",
        "asked",
        "calls",
        "entered",
        "events",
        "executed",
        "hands_on",
        "in_vain",
        "inner",
        "memo",
        "node",
        "open",
        "reached",
        "read",
        "recorded",
        "states",
        "steps",
        "switched_off",
        "tried",
        "unclear",
        "unfinished",
    )

    def __init__(self, node: ast.AST) -> None:
        self.node = node
        self.events: list[Event] = []
        """What happened, in order."""
        self.calls: dict[ast.Call, list[tuple[Value, Any, Value]]] = {}
        """For each call expression of the file, every time it was evaluated: what was called, the arguments, the
        result."""
        self.states: dict[ast.AST, TensorState] = {}
        self.open: dict[ast.AST, list[Node | Unknown | None]] = {}
        """What was seen in expressions of which it is not known whether they require grad; None: both were."""
        self.unclear: set[ast.AST] = set()
        """The expressions that it came to at least once with a value of which nothing is known."""
        self.alike: set[ast.AST] = set()
        """The differences of which both sides were the same memory at least once."""
        self.executed: dict[ast.AST, None] = {}
        """The functions whose body was run, and the classes of which objects were made, in the order in which that was
        done first."""
        self.inner: dict[ast.AST, Function] = {}
        """The functions that were defined inside of functions of the file."""
        self.reached: set[ast.AST] = set()
        """The functions that it called while gradients were on, and itself."""
        self.read: dict[ast.AST, Source] = {}
        """The functions of this or another file of which it saw the body, and where they stand."""
        self.asked: set[Question] = set()
        """What it would have liked to know about imported names."""
        self.entered: dict[ast.AST, list[At]] = {}
        """For each function of another file that was run, the first calls that it was run for."""
        self.tried: dict[ast.AST, bool] = {}
        """The functions of other files that it called, and whether the chapters before it had followed them in vain
        (`flow/abroad.py`)."""
        self.in_vain: set[ast.AST] = set()
        """Those that it followed in vain itself."""
        self.hands_on: tuple[ast.AST, bool] | None = None
        """The function whose result it only hands on, and whether that was followed (`flow/variants.py`)."""
        self.recorded = True
        """Gradients are certain to be on: it calls backward itself, or makes an object, or is what the module does."""
        self.switched_off = False
        """Something unknown is called while gradients are off: it may be anything in the file."""
        self.unfinished = False
        """It was not followed to its end."""
        self.steps = 0
        self.memo: dict[Any, Any] = {}
        """What others worked out from this chapter alone."""
        self._calls_by_name: dict[str, list[tuple[int, ast.Call]]] | None = None
        self._events_by_kind: dict[str, list[tuple[int, Event]]] | None = None

    def of(self, kinds: tuple[str, ...]) -> list[Event]:
        """The events of these kinds, in order. To be asked when the chapter is finished; not to be changed."""
        found: list[Event] | None = self.memo.get(kinds)
        if found is None:
            found = self.memo[kinds] = [event for _, event in self.numbered(kinds)]
        return found

    def numbered(self, kinds: tuple[str, ...]) -> list[tuple[int, Event]]:
        """The same with their places in `events`."""
        by_kind = self._by_kind
        if len(kinds) == 1:
            return by_kind.get(kinds[0], [])
        found = [by_kind[kind] for kind in set(kinds) if kind in by_kind]
        return found[0] if len(found) == 1 else sorted(chain.from_iterable(found), key=itemgetter(0))

    @property
    def kinds(self) -> KeysView[str]:
        """The kinds of its events."""
        return self._by_kind.keys()

    def called(self, names: tuple[str, ...]) -> list[ast.Call]:
        """The calls, in order, of what goes by one of these names: a function of a library, or a method."""
        by_name = self._by_name
        if len(names) == 1:
            return [node for _, node in by_name.get(names[0], ())]
        found = {node: number for name in names for number, node in by_name.get(name, ())}
        return sorted(found, key=found.__getitem__)

    @property
    def names(self) -> KeysView[str]:
        """The names of what it calls."""
        return self._by_name.keys()

    @property
    def _by_name(self) -> dict[str, list[tuple[int, ast.Call]]]:
        found = self._calls_by_name
        if found is None:
            found = self._calls_by_name = {}
            for number, (node, records) in enumerate(self.calls.items()):
                before = ""
                for function, _, _ in records:
                    if isinstance(function, (Bound, Unknown)):
                        name = function.name
                    elif isinstance(function, Lib):
                        name = function.path[function.path.rfind(".") + 1 :]
                    else:
                        continue
                    if name != before:
                        known = found.setdefault(name, [])
                        if not known or known[-1][0] != number:
                            known.append((number, node))
                        before = name
        return found

    @property
    def _by_kind(self) -> dict[str, list[tuple[int, Event]]]:
        found = self._events_by_kind
        if found is None:
            found = self._events_by_kind = {}
            for number, event in enumerate(self.events):
                found.setdefault(event.kind, []).append((number, event))
        return found


def settled(chapters: Iterable[Chapter]) -> Iterator[TensorState]:
    """What the chapters say about the expressions that they come to: what the module's own statements say, and where
    these say nothing, what the others do.

    A function that another chapter calls with gradients on is what it is there: what it would be with unknown arguments
    counts only for expressions that no such call comes to.
    """
    first, *entries = chapters
    yield from first.states.values()
    outer: list[Chapter] = []
    inner: list[Chapter] = []
    callers: dict[ast.AST, list[Chapter]] = {}
    for entry in entries:
        for function in entry.reached:
            callers.setdefault(function, []).append(entry)
    for entry in entries:
        others = [] if isinstance(entry.node, ast.ClassDef) else callers.get(entry.node, [])
        # Of two that call each other neither is only what the other makes of it.
        called = any(other is not entry and other.node not in entry.reached for other in others)
        (inner if called else outer).append(entry)
    switched_off = first.switched_off or any(entry.switched_off for entry in entries)
    done = set(first.states)
    for group in (outer, inner):
        for node, state in _of_group(group, switched_off).items():
            if node not in done:
                done.add(node)
                yield state


def _of_group(group: list[Chapter], switched_off: bool) -> dict[ast.AST, TensorState]:
    found: dict[ast.AST, TensorState] = {}
    unclear: set[ast.AST] = set()
    for entry in group:
        unclear |= entry.unclear
        for node, known in entry.states.items():
            state = known.copied()
            if not entry.recorded and switched_off:
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
    for node in unclear & found.keys():
        found[node].doubt()
    return found


def forget_unclear(chapter: Chapter) -> None:
    """Take back what the module's own statements say of expressions that were something unknown in some call."""
    for node in chapter.unclear & chapter.states.keys():
        chapter.states[node].doubt()


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
