"""The abstract run of one file: its state, its scopes, its budgets, and what it writes down."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from gradls.autograd.versions import NEWEST, Version
from gradls.flow import truth, unbound
from gradls.flow.chapters import Chapter
from gradls.flow.graph import At, Node
from gradls.flow.join import Join
from gradls.flow.loop import Loop
from gradls.flow.names import Names, Question
from gradls.flow.notes import Event, TensorState
from gradls.flow.paths import Path
from gradls.flow.program import File
from gradls.flow.state import Assumed, Changes, Fields, State, Way
from gradls.flow.values import Class, Function, Instance, Lib, Storage, Tensor, Unknown, Value
from gradls.flow.variants import Seen
from gradls.syntax.source import Source

MOST_STEPS = 120_000
"""Statements and expressions that the analysis of one file may evaluate; past that the rest is unknown."""
MOST_STEPS_A_ROOT = 30_000
"""The same for one function that nobody calls."""
MOST_STEPS_A_FILE = 500_000
"""The same for all of them in one file."""
MOST_STEPS_ABROAD = 8_000
"""The same for one call into another file."""
MOST_STEPS_BESIDES = 500
"""The same where neither that file nor what it is given has to do with tensors."""
MOST_STEPS_ALL_ABROAD = 60_000
"""The same for all calls into other files that the module makes."""
MOST_STEPS_ABROAD_ALONE = 4_000
"""The same for all that one function makes that nobody calls."""
MOST_STEPS_A_DEFINITION = 1_000
"""For each function, class or import of a module whose statements take too many."""
COPIES_A_STEP = 50
MOST_CALLS_DEEP = 14
STEPS_AT_A_STRETCH = 500
"""After so many somebody may interrupt."""


_at = tuple.__new__
"""Makes an `At` or the like three times as fast as calling it."""


class Scope:
    """A namespace and the one around it."""

    __slots__ = ("fields", "held", "kind", "parent", "pending", "redirect")

    def __init__(self, fields: Fields, parent: Scope | None, kind: str) -> None:
        self.fields = fields
        self.parent = parent
        self.kind = kind
        """module, function, class or comprehension."""
        self.redirect: dict[str, Scope] = {}
        """Names that `global` and `nonlocal` send elsewhere."""
        self.pending: Callable[[str], bool] | None = None
        """Of an imported file: finds a name out that was not looked at before; whether there is such a name."""
        self.held = False
        """Of a function: it may be looked at when the call has come to its end, by what was defined in it."""

    def find(self, name: str) -> Fields | None:
        """The fields that hold `name`, as Python looks names up."""
        target = self.redirect.get(name)
        if target is not None:
            return target.fields if name in target.fields else None
        scope: Scope | None = self
        while scope is not None:
            if name in scope.fields and (scope is self or scope.kind != "class"):
                return scope.fields
            if scope.pending is not None and scope.pending(name):
                return scope.fields
            scope = scope.parent
        return None

    @property
    def module(self) -> Scope:
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope


Calls = tuple[At, Function, Any]
"""The calls that led to where the analysis is, innermost first: where, of what, and those around it (`Calls` or
None)."""


class Frame:
    """A function under analysis: where it began, and the states and values with which it was left."""

    __slots__ = (
        "calls",
        "ends",
        "exits",
        "file",
        "forks",
        "function",
        "leaving",
        "left",
        "loops",
        "mark",
        "modes",
        "owner",
        "receiver",
        "scope",
        "unbound",
        "ways",
        "yields",
    )

    def __init__(self, scope: Scope, mark: tuple[int, int], file: File, function: Function | None = None) -> None:
        self.scope = scope
        self.mark = mark
        self.file = file
        self.function = function
        self.exits: list[tuple[Changes | None, Value]] = []
        self.ways: list[Way] = []
        """Those that led to `exits`."""
        self.ends: list[Path | None] = []
        """What was decided on the way to each of them."""
        self.forks = 0
        """How many undecided branches or loops are open here."""
        self.loops: list[Loop] = []
        self.modes: list[dict[Any, Any]] = []
        """The grad modes around the open `with` blocks that change it, outermost first."""
        self.leaving: list[Callable[[], None]] = []
        """What leaves the context managers that are entered, outermost first."""
        self.yields: list[Value] = []
        self.left: list[Any] = []
        """For each `yield` the grad mode that its open `with` blocks leave to the consumer (`contexts.Leak`)."""
        self.owner: Value | None = None
        self.receiver: Value | None = None
        self.calls: Calls | None = None
        self.unbound: unbound.Unbound = {}


Arm = tuple[object, object, Callable[[], bool]]
"""What is decided on, how, and what to do then; what it does returns whether it comes to its end."""


class OutOfBudget(Exception):
    """The analysis has taken as many steps as it may."""


class Run:
    """One analysis of one file."""

    def __init__(self, source: Source, names: Names, target: Version = NEWEST) -> None:
        self.state = State()
        self.join = Join(self.state)
        self.source = source
        self.target = target
        self.torch_name = "torch"
        self.questions: set[Question] = set()
        """What was asked about imported names and is not known."""
        self.module = Scope(Fields(self.state), None, "module")
        self.file = File(source, names, self.module)
        self.files = {source: self.file}
        """The files that were looked into, by their sources."""
        self.frame = Frame(self.module, self.state.mark(), self.file)
        self.mode = Fields(self.state, {"grad": True, "inference": False, "at": None, "leak": None})
        self.outside = Fields(self.state, {"backward": 0, "dtype": "float32", "dual": False, "graphs": False})
        """When code that is not seen could last have called backward; the default dtype; is a level of
        forward-mode differentiation open; may gradients have graphs of their own? None if that depends. `cleared` says
        when gradients of tensors that are not known were last cleared."""
        self.since = 0
        """When the analysis of a function that nobody calls began."""
        self.assumed = Assumed(self.state)
        """Truth values of unknown values, as branches took them."""
        self.path: Path | None = None
        self.stack: list[Function] = []
        self.steps = 0
        self.abroad = MOST_STEPS_ALL_ABROAD
        """How many more it may take in other files."""
        self.in_vain: set[ast.AST] = set()
        """The functions of other files that the chapters before this one have followed in vain."""
        self.hands_on: ast.Call | None = None
        """The call whose result the function under analysis only hands on."""
        self.handed_on: dict[ast.AST, Seen] = {}
        """How often the chapters before this one have followed the functions whose results they hand on."""
        self.limit = MOST_STEPS
        self.home = MOST_STEPS
        """The limit for what is called back from other files."""
        self.rough = 0
        """How many loops of unknown length are open."""
        self.unrolled = 1
        """In how many rounds the open loops over known constants run what is in all of them."""
        self.later = False
        """In a later round of a loop of unknown length."""
        self.of_others: frozenset[Storage] = frozenset()
        """The memory that is another one in this round of a loop than in the rounds before it."""
        self.told: dict[ast.expr, bool] = {}
        """What tests are that tell the first round of a loop from the others, in the round that is run."""
        self.declared: dict[Class, tuple[Instance | None, Chapter]] = {}
        """For a class, the object that stands for all that are only declared to be of it, and what was found out when
        it was made."""
        self.classes: list[Class] = []
        """The classes that the file and the files that it imports define."""
        self.libs: dict[str, Lib] = {}
        self.members: dict[tuple[str, str], Lib] = {}
        """What a name of a module or class of a library stands for, as far as somebody asked."""
        self.isolated = 0
        """Inside the forward of a custom Function: what happens there cuts nothing."""
        self.forwards = 0
        """Inside how many calls of modules."""
        self.expected = 0
        """Inside how many blocks that expect an error (`pytest.raises`)."""
        self.caught = 0
        """Inside how many `try` blocks of this very function whose handler goes on after any error."""
        self.lazy = False
        """Some module with lazy parameters was made."""
        self.autocast = 0
        """Inside how many blocks that are autocast for certain."""
        self.casting = 0
        """Inside how many blocks or functions under autocast, or under something unknown that may be autocast."""
        self.copying = 0
        """The same, without decorators and context managers that are known to be something else: there layers and
        matrix products compute with copies in half precision, and keep these."""
        self.pause: Callable[[], None] | None = None
        """Called now and then. Who raises something in it does not go on with this run."""
        self.paused = 0
        """When that was, in steps."""
        self.alone = False
        """The function under analysis is called by nobody in the file."""
        self.filled: frozenset[str] = frozenset()
        """The lists and dictionaries of the module that functions of the file fill or empty."""
        self.sets_dtype = False
        """A function of the file sets the default dtype."""
        self.begin(source.tree)

    # Chapters

    def begin(self, node: ast.AST) -> None:
        """Begin a chapter: what is written down from now on belongs to it. The attributes are those of `Chapter`."""
        chapter = Chapter(node)
        chapter.steps = self.steps
        self.resume(chapter)

    def resume(self, chapter: Chapter) -> None:
        """Go on with a chapter that was begun and not ended."""
        self.chapter = chapter
        self.events = chapter.events
        self.calls = chapter.calls
        self.states = chapter.states
        self.open = chapter.open
        self.unclear = chapter.unclear
        self.executed = chapter.executed
        self.reached = chapter.reached
        self.read = chapter.read
        self.entered = chapter.entered

    def end(self) -> Chapter:
        """End the chapter, which is not written to any more."""
        chapter = self.chapter
        chapter.steps = self.steps - chapter.steps
        return chapter

    def forget_executed(self, count: int) -> None:
        """Take back that anything was executed but the first `count`."""
        for node in list(self.executed)[count:]:
            del self.executed[node]

    def end_for_good(self) -> None:
        """Forget what the names of files stand for: nothing is to be run any more.

        Chapters that are kept hold functions of these files, which would hold all that their files define."""
        self.state.trail.clear()
        for file in self.files.values():
            file.scope.pending = None
            file.scope.fields.clear()

    # What is written down

    def event(
        self, kind: str, node: ast.AST, value: Value | None = None, graph: Node | None = None, **info: Any
    ) -> Event:
        """Write an event down."""
        if type(value) is Tensor:
            # What it is now: a later statement may change it.
            fields = value.fields
            info.setdefault("requires_grad", fields["requires_grad"])
            info.setdefault("leaf", fields["leaf"])
        frame = self.frame
        event = Event(
            kind,
            _at(At, (frame.file.source, node)),
            value,
            graph,
            self.path,
            info,
            self.alone,
            frame.calls,
            self.caught + self.expected > 0,
            self.state.clock,
        )
        self.events.append(event)
        return event

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around `node`, which is one of the file under analysis."""
        return self.source.parent(node)

    def at(self, node: ast.AST) -> At:
        return _at(At, (self.frame.file.source, node))

    def ask(self, question: Question) -> Any:
        """The answer to a question about a name, if it is known; otherwise the question is left with the facts."""
        file = self.frame.file
        answer = file.names.ask(question)
        if answer is None and file is self.file:
            self.miss(question)
        return answer

    def miss(self, question: Question) -> None:
        """Leave a question that has no answer with the facts."""
        self.questions.add(question)
        self.chapter.asked.add(question)

    def copied(self, count: int) -> None:
        """So many things were copied: where that is done again and again, it costs steps."""
        self.steps += count // COPIES_A_STEP

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.limit:
            raise OutOfBudget

    def breathe(self) -> None:
        """Let somebody interrupt, if it has gone on for some time."""
        if self.pause is not None and self.steps - self.paused > STEPS_AT_A_STRETCH:
            self.paused = self.steps
            self.pause()

    def observe(self, node: ast.AST, tensor: Tensor) -> None:
        """Note what the expression `node` was; an expression seen in two states has an unknown one."""
        fields = tensor.fields
        flag, leaf, off = fields["requires_grad"], fields["leaf"], self.mode["grad"] is False
        file = self.frame.file
        if flag is None and file is self.file:
            self.open.setdefault(node, []).append(fields["node"])
        state = self.states.get(node)
        was = ((fields["node"], flag, leaf),)
        if state is None:
            self.states[node] = TensorState(file.source, node, flag, tensor.dtype, leaf, off, was)
        elif (
            state.requires_grad is not flag
            or state.leaf is not leaf
            or state.off is not off
            or state.dtype != tensor.dtype
        ):
            self._blur(state, TensorState(file.source, node, flag, tensor.dtype, leaf, off, was))
        elif state.seen[-1:] != was:
            state.was_also(was)

    def _blur(self, seen: TensorState, state: TensorState) -> None:
        if seen.requires_grad is not None and state.requires_grad is (not seen.requires_grad):
            self.open.setdefault(state.node, []).append(None)
        seen.blur(state)

    def observe_unknown(self, node: ast.AST, value: Unknown) -> None:
        """Note that the expression `node` was something that no tensor with a gradient can be, or anything at all."""
        if not (value.plain or value.unrecorded):
            self.unclear.add(node)
            if self.frame.file is self.file:
                self.open.setdefault(node, []).append(value)
        elif value.origin != "metadata":
            state = TensorState(self.frame.file.source, node, False, None, True, self.recording is False)
            seen = self.states.setdefault(node, state)
            if seen is not state:
                self._blur(seen, state)

    # Values

    def unknown(self, origin: str = "", name: str = "", question: Question | None = None) -> Unknown:
        return Unknown(self.state, origin, name, question)

    def setting(self, name: str) -> Unknown:
        """A number, a text or a list of such of which nothing else is known."""
        found = self.unknown("metadata", name)
        found.plain = True
        return found

    def lib(self, path: str) -> Lib:
        lib = self.libs.get(path)
        if lib is None:
            lib = self.libs[path] = Lib(self.state, path)
        return lib

    def leaf(
        self,
        op: str,
        node: ast.AST | None,
        *,
        requires_grad: bool | None = False,
        dtype: str | None = "float",
        shape: tuple[int | None, ...] | None = None,
        is_parameter: bool = False,
    ) -> Tensor:
        """A tensor without history."""
        graph = Node(self.state, op, self.at(node) if node is not None else None, kind="leaf", path=self.path)
        tensor = Tensor(
            self.state,
            graph,
            requires_grad=requires_grad,
            leaf=True,
            dtype=dtype,
            shape=shape,
            is_parameter=is_parameter,
        )
        graph.leaf = tensor
        graph.scalar = None if shape is None else shape == ()
        tensor.inference = bool(self.mode["inference"])
        return tensor

    @property
    def recording(self) -> bool | None:
        """Is grad mode on?"""
        return self.mode["grad"]

    # Branches

    def fork(self, arms: list[Arm]) -> bool:
        """Run every arm from the state of now, and continue from all that come to their end."""
        mark = self.state.mark()
        path = self.path
        apart = len(self.state.apart)
        left: list[tuple[int, int]] = []
        others: list[tuple[int, int]] = []
        outcomes: list[Changes] = []
        ends: list[Path | None] = []
        known: list[tuple[int, Any]] = []
        decided: list[tuple[Value, object]] = []
        self.frame.forks += 1
        try:
            for asked, answer, arm in arms:
                follows = list(truth.decisions(asked, answer))
                subject, decision = follows[0]
                self.path = (path, subject, decision)
                for part, so in follows:
                    if isinstance(part, Unknown):
                        self.state.set(self.assumed, part, so)
                        known.append((id(self.assumed), part))
                begun = self.state.clock
                self.state.apart[apart:] = others
                try:
                    completes = arm()
                except OutOfBudget:
                    self.state.undo(mark)
                    raise
                end = self.path
                changes = self.state.capture(mark)
                within = self.state.apart[apart + len(others) :]
                others.append((begun, self.state.clock))
                # What was born on a branch that comes to its end is there behind it.
                left += within if completes else others[-1:]
                if completes:
                    outcomes.append(changes)
                    ends.append(end)
                    if isinstance(subject, Value):
                        decided.append((subject, decision))
        finally:
            self.frame.forks -= 1
            self.path = path
            self.state.apart[apart:] = left
        if not outcomes:
            return False
        if len(outcomes) > 1:
            # Behind the branches neither is known to have been taken, nor what only one of them has found out.
            mine = id(self.assumed)
            found = {slot for changes in outcomes for slot in changes if slot[0] == mine}
            for slot in found.union(known):
                told = [changes[slot][2] if slot in changes else None for changes in outcomes]
                if slot in known or any(answer is not told[0] for answer in told):
                    for changes in outcomes:
                        changes.pop(slot, None)
        if self.frame.unbound and len(outcomes) > 1:
            unbound.leave_out(self.frame, outcomes, ends)
        self.join.decided = decided if len(decided) == len(outcomes) else []
        self.join.paths = ends
        gaps = self.state.merge(mark, outcomes, self.join.slot)
        self.join.decided, self.join.paths = [], []
        if self.frame.loops and (gaps or self.frame.unbound):
            unbound.remember(self.frame, gaps, outcomes, ends)
            names = self.frame.scope.fields
            if any(fields is names and isinstance(key, str) for fields, key in gaps):
                self.frame.loops[-1].partly = True
        if len(outcomes) == 1:
            self.path = ends[0]
        return True

    def may_not_have_been(self, mark: tuple[int, int]) -> None:
        """What was written since `mark` holds only if that was run: `verbose and log(...)`."""
        if len(self.state.trail) > mark[0]:
            self.state.merge(mark, [self.state.capture(mark), {}], self.join.slot)
