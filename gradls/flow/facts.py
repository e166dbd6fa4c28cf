"""What an analysis of one file found out: the rules read this."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

from gradls.autograd.versions import NEWEST, Version
from gradls.flow.chapter_index import ChapterIndex
from gradls.flow.chapters import Chapter, settled
from gradls.flow.graph import At
from gradls.flow.names import Question
from gradls.flow.notes import Event, TensorState
from gradls.flow.values import Value
from gradls.syntax.source import Source

T = TypeVar("T")


class Facts:
    """What is known of a file, in the order of the (abstract) run: of the whole of it, or of some of its chapters."""

    def __init__(
        self,
        source: Source,
        chapters: Sequence[Chapter] = (),
        index: ChapterIndex | None = None,
        *,
        others: Sequence[Source] = (),
        questions: Set[Question] = frozenset(),
        torch_name: str = "torch",
        target: Version = NEWEST,
    ) -> None:
        """`index` is that of the chapters, if there is one already."""
        self.source = source
        self.chapters = chapters
        self._index = index
        self.others = others
        """The other files of the program that the analysis went into."""
        self.questions = questions
        """What the analysis would like to know about imported names."""
        self.torch_name = torch_name
        """The name under which the file knows torch."""
        self.target = target
        """The version of PyTorch that the file is meant for."""
        self.memo: dict[Any, Any] = {}
        """What rules worked out from these facts, for other rules."""
        self._of_chapters: dict[Chapter, Facts] = {}

    def of_chapter(self, chapter: Chapter) -> Facts:
        """The facts of one chapter of these."""
        found = self._of_chapters.get(chapter)
        if found is None:
            found = self._of_chapters[chapter] = Facts(
                self.source,
                (chapter,),
                others=self.others,
                questions=self.questions,
                torch_name=self.torch_name,
                target=self.target,
            )
        return found

    def of(self, *kinds: str) -> Iterator[Event]:
        """The events of these kinds, in order."""
        for chapter in self._with(kinds):
            yield from chapter.of(kinds)

    def numbered(self, *kinds: str) -> list[tuple[int, Event]]:
        """The same with their places in `events`."""
        found: list[tuple[int, Event]] = []
        for chapter in self._with(kinds):
            start = self._starts[chapter]
            found += [(start + number, event) for number, event in chapter.numbered(kinds)]
        return found

    def _with(self, kinds: Collection[str] = (), names: Collection[str] = ()) -> Sequence[Chapter]:
        """The chapters, in order, in which something of these kinds happens or something of these names is called."""
        if len(self.chapters) == 1:
            chapter = self.chapters[0]
            has_any = not chapter.kinds.isdisjoint(kinds) or (names and not chapter.names.isdisjoint(names))
            return self.chapters if has_any else ()
        found = self._having.get((kinds, names))
        if found is None:
            if self._index is None:
                self._index = ChapterIndex(self.chapters)
            found = self._having[kinds, names] = self._index.having(kinds, names)
        return found

    @cached_property
    def _having(self) -> dict[tuple[Collection[str], Collection[str]], Sequence[Chapter]]:
        return {}

    @cached_property
    def _starts(self) -> Mapping[Chapter, int]:
        """Where the events of each chapter begin in `events`."""
        lengths = (len(chapter.events) for chapter in self.chapters)
        return dict(zip(self.chapters, accumulate(lengths, initial=0), strict=False))

    @cached_property
    def events(self) -> Sequence[Event]:
        """All events, in order."""
        if len(self.chapters) == 1:
            return self.chapters[0].events
        return [event for chapter in self.chapters for event in chapter.events]

    @cached_property
    def calls(self) -> Mapping[ast.Call, list[tuple[Value, Any, Value]]]:
        """For each call expression, every time it was evaluated: what was called, the arguments, the result."""
        if len(self.chapters) == 1:
            return self.chapters[0].calls
        found: dict[ast.Call, list[tuple[Value, Any, Value]]] = {}
        for chapter in self.chapters:
            for node, records in chapter.calls.items():
                known = found.get(node)
                found[node] = records if known is None else [*known, *records]
        return found

    def called(self, *names: str) -> Iterator[tuple[ast.Call, list[tuple[Value, Any, Value]]]]:
        """Those of `calls` in which something is called that goes by one of these names: a function of a library, or a
        method."""
        for chapter in self._with(names=names):
            for node in chapter.called(names):
                yield node, chapter.calls[node]

    def evaluations(self, node: ast.AST) -> list[tuple[Value, Any, Value]]:
        """The same for one expression, which need not be a call."""
        return [record for chapter in self.chapters for record in chapter.calls.get(node, ())]  # type: ignore[call-overload]

    def each(self, work: Callable[[Facts], Iterable[T]]) -> Iterator[T]:
        """What `work` gives for the facts of each chapter by itself. That is kept for as long as the chapter is true:
        it may depend on nothing else."""
        asked = asked_by(work)
        for chapter in self.chapters if asked is None else self._with(asked.kinds, asked.names):
            found = chapter.memo.get(work)
            if found is None:
                found = chapter.memo[work] = list(work(self.of_chapter(chapter)))
            if found:
                yield from found

    @cached_property
    def entered(self) -> dict[ast.AST, list[At]]:
        """For each function of another file that was run, the first calls that it was run for."""
        found: dict[ast.AST, list[At]] = {}
        for chapter in self.chapters:
            for node, calls in chapter.entered.items():
                found.setdefault(node, []).extend(calls)
        return found

    @cached_property
    def unfinished(self) -> bool:
        """Part of the file was not followed to its end: what did not happen there is not known."""
        return any(chapter.unfinished for chapter in self.chapters)

    @property
    def states(self) -> list[TensorState]:
        """The state of every tensor expression of the file."""
        return [state for state in self._settled if state.source is self.source]

    @property
    def states_elsewhere(self) -> list[TensorState]:
        """The same for expressions of other files, in the calls that this file makes."""
        return [state for state in self._settled if state.source is not self.source]

    @cached_property
    def _settled(self) -> list[TensorState]:
        return list(settled(self.chapters)) if self.chapters else []

    def is_tensor(self, node: ast.AST) -> bool:
        """Is an expression of the file ever a tensor?"""
        return any(node in chapter.states for chapter in self.chapters)

    def source_of(self, node: ast.AST) -> Source:
        """The file whose tree holds `node`."""
        if not self.others or self.source.holds(node):
            return self.source
        return next((source for source in self.others if source.holds(node)), self.source)

    def segment(self, node: ast.AST) -> str:
        """The text of a node of any file."""
        return self.source_of(node).segment(node)

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around `node`, of any file."""
        if isinstance(node, ast.Module):
            return None
        outer = self.source.parent(node)
        return outer if outer is not None or not self.others else self.source_of(node).parent(node)

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """What is around `node`, of any file, from inside out; the module comes last."""
        return self.source_of(node).parents(node) if self.others else self.source.parents(node)

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function, other than a lambda, that `node` stands in; None for the module's own statements."""
        around = (outer for outer in self.parents(node) if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)))
        return next(around, None)

    def loops(self, node: ast.AST) -> Iterator[ast.For | ast.While]:
        """The loops that `node` stands in, innermost first, within the function around it."""
        for outer in self.parents(node):
            if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
                return
            if isinstance(outer, (ast.For, ast.While)):
                yield outer

    def reads(self, name: str) -> list[ast.Attribute]:
        """The places in the file where an attribute of this name is read."""
        return attributes_read(self.source, name)

    def statement(self, node: ast.AST | None) -> ast.stmt | None:
        """The smallest statement that holds `node`."""
        while node is not None and not isinstance(node, ast.stmt):
            node = self.parent(node)
        return node


class Asked(NamedTuple):
    """What somebody asks a chapter for first: one that has none of it is to them as one in which nothing happens."""

    kinds: frozenset[str]
    """Of events."""
    names: frozenset[str]
    """Of what is called."""


@lru_cache(1024)
def asked_by(work: Callable[[Facts], Iterable[Any]]) -> Asked | None:
    """What `work` asks first of the facts of one chapter. None if it looks at anything else, too."""
    view = _Nothing()
    try:
        for _ in work(view):
            return None
    except (Exception, SystemExit):
        return None
    kinds, names = view.asked
    return Asked(frozenset(kinds), frozenset(names)) if (kinds or names) and not view.asked_for_more else None


class _Nothing(Facts):
    """Facts of a chapter in which nothing happens: they write down what they are asked for."""

    ANYWAY = frozenset(("of", "numbered", "called", "asked", "asked_for_more", "memo", "torch_name", "unfinished"))
    """What says nothing by itself."""

    def __init__(self) -> None:
        super().__init__(Source.read(""))
        self.asked: tuple[set[str], set[str]] = set(), set()
        self.asked_for_more = False

    def of(self, *kinds: str) -> Iterator[Event]:
        self.asked[0].update(kinds)
        return iter(())

    def numbered(self, *kinds: str) -> list[tuple[int, Event]]:
        self.asked[0].update(kinds)
        return []

    def called(self, *names: str) -> Iterator[tuple[ast.Call, list[tuple[Value, Any, Value]]]]:
        self.asked[1].update(names)
        return iter(())

    def __getattribute__(self, name: str) -> object:
        if not name.startswith("_") and name not in _Nothing.ANYWAY:
            object.__setattr__(self, "asked_for_more", True)
        return object.__getattribute__(self, name)


def attributes_read(source: Source, name: str) -> list[ast.Attribute]:
    """The places in a file where an attribute of this name is read."""
    return source.index(_attribute_read).get(name)


def _attribute_read(node: ast.AST) -> Iterator[tuple[str, ast.Attribute]]:
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        yield node.attr, node
