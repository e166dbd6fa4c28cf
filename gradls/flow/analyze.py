"""The engine's one entry: a source goes in, facts come out. After an edit only what that changed is run again."""

from __future__ import annotations

import ast
import gc
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gradls.autograd.versions import NEWEST, Version
from gradls.flow import abroad, class_text, declared, elsewhere, hierarchy, roots, variants
from gradls.flow.chapter_index import ChapterIndex
from gradls.flow.chapters import Chapter
from gradls.flow.differences import differences, mentions
from gradls.flow.facts import Facts
from gradls.flow.mistakes import tell
from gradls.flow.names import Names, NoNames, Question
from gradls.flow.program import Seen
from gradls.flow.run import MOST_STEPS_A_FILE, Run
from gradls.flow.state import Changes
from gradls.flow.values import Class, Function, Value
from gradls.syntax.source import Source

log = logging.getLogger(__name__)


def analyze(source: Source, names: Names | None = None, target: Version = NEWEST) -> Facts:
    """What is known about the gradients in `source` when it runs on version `target` of PyTorch.

    Raises nothing: what cannot be followed is unknown.
    """
    return Analysis(source, names, target).facts


class Interrupted(BaseException):
    """Somebody asked for facts and does not wait for them any more. It is for them to catch, and for nobody between."""


class _Made(NamedTuple):
    """The object on which the methods of a class are run that nobody in the file calls."""

    receiver: Value
    changes: Changes
    """What making it wrote."""


class _Round:
    """The chapters of the text as it is now, as far as they have been gone through."""

    def __init__(self, run: Run, module: Chapter) -> None:
        self.run = run
        self.chapters = [module]
        self.known: dict[Any, Chapter] = {}
        self.spent = module.steps
        self.executed = set(module.executed)

    def add(self, key: Any, chapter: Chapter) -> None:
        """The chapter of what is known by `key`, found out now or earlier."""
        self.chapters.append(chapter)
        self.known[key] = chapter
        self.executed.update(chapter.executed)
        self.run.in_vain |= chapter.in_vain
        variants.note(self.run, chapter)
        self.spent += chapter.steps


class Analysis:
    """What is known about one source, kept up to date while that is edited.

    The module's statements are run first, as Python would; then every function and method that they did not call, with
    arguments of which nothing is known. Each of these is a chapter.

    The state that the module's statements leave is kept, so that after an edit of a function the chapters that saw its
    body can be run again by themselves. Other edits have the module's statements run anew; of the chapters those are
    kept that mention nothing which means something else by then.
    """

    def __init__(
        self,
        source: Source,
        names: Names | None = None,
        target: Version = NEWEST,
        pause: Callable[[], None] | None = None,
    ) -> None:
        """`names` says what the imports of the source stand for, from now on. `pause` is called now and
        then while the module's statements are run, and after each other chapter: when it raises Interrupted, that comes
        out of `facts`, and the chapters that were run so far are kept for the next time."""
        self._source = source
        self._names = names or NoNames()
        self._target = target
        self._pause = pause
        self._run: Run | None = None
        self._module = Chapter(source.tree)
        self._known: dict[Any, Chapter] = {}
        """The chapters that are still true, by what was run."""
        self._made: dict[ast.AST, _Made] = {}
        """In the run that `_run` is."""
        self._edited: set[ast.AST] = set()
        self._different: frozenset[str] = frozenset()
        """Names that mean something else than they did for the chapters that are known."""
        self._run_of_known: Run | None = None
        """The last run, once it has been followed to its end."""
        self._mentions: dict[ast.AST, frozenset[str]] = {}
        self._most_mentions = 0
        self._seen_before: dict[Source, Seen] = {}
        """What was seen of the other files in the runs before the last one of which chapters are left."""
        self._asked_before: set[Question] = set()
        """And what these asked."""
        self._answered: set[Question] = set()
        """Those that have an answer by now, which they had not for the chapters that are known."""
        self._of_all: tuple[bool, frozenset[str]] = False, frozenset()
        """What functions do that may be called before any other: `Run.sets_dtype` and `Run.filled`."""
        self._facts: Facts | None = None
        self._index: ChapterIndex | None = None

    def edited(self, blocks: Iterable[ast.AST], reworded: Collection[ast.AST] = ()) -> None:
        """The bodies of these nodes of the tree are other ones now. What is `reworded` means the same: only what was
        said of it in its own words is to be said again."""
        self._edited.update(blocks)
        if self._edited:
            self._facts = None
        for node in reworded:
            self._facts = None
            self._mentions.pop(node, None)
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.decorator_list:
                self._module.memo.clear()
            for chapter in (self._module, *self._known.values()):
                if node in chapter.read or chapter.node is node:
                    chapter.memo.clear()

    def edited_elsewhere(self, source: Source, blocks: Collection[ast.AST]) -> bool:
        """The same for `source`, another file. Returns whether anything that is known may be otherwise for it."""
        if any(seen.may_differ(other, blocks) for other, seen in self._seen()):
            self._run, self._facts = None, None
            return True
        chapters = (self._module, *self._known.values())
        seen = {block for block in blocks if any(block in chapter.read for chapter in chapters)}
        self.edited(seen)
        return bool(seen)

    def learned(self) -> bool:
        """Names may be known now that were not. Returns whether any is that the source would like to know."""
        answered = {question for question in self._questions() if self._names.ask(question) is not None}
        answered -= self._answered
        if answered:
            self._asked_before -= answered
            self._answered |= answered
            self._facts = None
        return bool(answered)

    def end(self) -> None:
        """Let go of all that is known. Nothing is to be asked any more."""
        if self._run is not None:
            self._run.end_for_good()
        self._run, self._run_of_known, self._facts = None, None, None
        self._known, self._made, self._seen_before = {}, {}, {}

    @property
    def facts(self) -> Facts:
        """What is known of the source as it is now."""
        if self._facts is None:
            with _undisturbed():
                self._facts = self._bring_up_to_date()
            self._edited.clear()
            self._answered.clear()
        return self._facts

    def _bring_up_to_date(self) -> Facts:
        run = self._run
        for node in self._edited:
            self._mentions.pop(node, None)
        if run is None or self._concerns_module(run):
            run = self._run_module_again()
        elif self._edited:
            declared.forget(run, self._edited)
        run.sets_dtype, run.filled = roots.sets_default_dtype(self._source), elsewhere.filled_by_functions(run)
        if (run.sets_dtype, run.filled) != self._of_all:
            self._of_all = run.sets_dtype, run.filled
            self._known, self._made = {}, {}
        run.in_vain, run.handed_on = set(self._module.in_vain), {}
        done = _Round(run, self._module)
        try:
            for value in (*roots.inner_definitions(run, self._module), *roots.definitions(run)):
                if done.spent > MOST_STEPS_A_FILE:
                    log.info("%s: too long to follow to its end", self._source.path)
                    done.chapters.append(_unfinished(self._source))
                    break
                self._go_through(done, value)
        except Interrupted:
            self._known.update(done.known)
            raise
        if run is not self._run_of_known:
            if not any(chapter is self._known.get(key) for key, chapter in done.known.items()):
                # Nothing is left that rests on an earlier run.
                self._seen_before, self._asked_before = {}, set()
            self._made = {node: made for node, made in self._made.items() if node in done.known}
        self._known, self._run_of_known, self._different = done.known, run, frozenset()
        self._forget_mentions_of_what_is_gone()
        self._index = ChapterIndex(done.chapters, self._index)
        return Facts(
            self._source,
            done.chapters,
            self._index,
            others=list({source: None for source, _ in self._seen()}),
            questions=self._questions(),
            torch_name=run.torch_name,
            target=run.target,
        )

    def _go_through(self, done: _Round, value: Function | Class) -> None:
        """The chapters of one definition."""
        run = done.run
        if isinstance(value, Function):
            node = value.written.node
            if node in done.executed:
                return
            known = self._still_true(run, node)
            if known is not None:
                done.add(node, known)
                return
        mark = run.state.mark()
        try:
            for key, chapter in self._chapters_of(run, value, done.executed):
                done.add(key, chapter)
                if self._pause is not None and chapter is not self._known.get(key):
                    self._pause()
        except Exception as error:
            tell(log, "the analysis", self._source.path, error)
            done.chapters.append(_unfinished(self._source))
        finally:
            run.state.undo(mark)

    def _forget_mentions_of_what_is_gone(self) -> None:
        """Nothing of earlier texts is kept for long: it would hold all that was known of them."""
        if len(self._mentions) > self._most_mentions:
            read = {node for chapter in self._known.values() for node in chapter.read}
            self._mentions = {node: words for node, words in self._mentions.items() if node in read}
            self._most_mentions = 2 * len(self._mentions) + 100

    def _seen(self) -> Iterator[tuple[Source, Seen]]:
        """What was seen of the other files."""
        yield from self._seen_before.items()
        if self._run is not None:
            yield from ((file.source, file.seen) for file in self._run.files.values() if file.imported)

    def _questions(self) -> set[Question]:
        """What was asked about names and not answered."""
        return self._asked_before | self._run.questions if self._run is not None else set(self._asked_before)

    def _run_module_again(self) -> Run:
        old = self._run
        for source, seen in list(self._seen()):
            self._seen_before.setdefault(source, Seen()).add(seen)
        self._asked_before = self._questions() - self._answered
        run = Run(self._source, self._names, self._target)
        for node in self._module.inner:
            # It sees what the call had that defined it.
            self._known.pop(node, None)
        run.pause = self._pause
        module = roots.run_module(run)
        run.pause = None
        # Nothing is left of a run that was interrupted.
        self._run, self._module = run, module
        different = _differences(old, run) if old is not None else None
        if different is None:
            self._known, self._mentions, self._seen_before, self._asked_before = {}, {}, {}, set()
        else:
            # There are some from before if that was interrupted.
            self._different |= different
        self._made = {}
        if old is not None:
            old.end_for_good()
        return run

    def _concerns_module(self, run: Run) -> bool:
        """Could what happened since have changed what the module's own statements do, or what a class is?"""
        return (
            # It has what was loaded of modules that are imported.
            bool(self._answered)
            or not self._edited.isdisjoint(self._module.read)
            or any(not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in self._edited)
            or any(class_text.reads_otherwise(cls) for cls in run.classes if not self._edited.isdisjoint(cls.node.body))
        )

    def _chapters_of(self, run: Run, value: Function | Class, executed: set[ast.AST]) -> Iterator[tuple[Any, Chapter]]:
        """The chapters of a definition, each with what it is known by. `executed` grows with each that is taken."""
        if isinstance(value, Function):
            yield value.written.node, roots.run_function(run, value)
        elif hierarchy.FUNCTION in hierarchy.library_bases(value):
            mark = run.state.mark()
            for method in roots.methods(value):
                node = method.written.node
                if node not in executed:
                    yield node, self._still_true(run, node) or roots.run_method_of_function(run, method)
                    run.state.undo(mark)
        else:
            yield from self._chapters_of_class(run, value, executed)

    def _chapters_of_class(self, run: Run, cls: Class, executed: set[ast.AST]) -> Iterator[tuple[Any, Chapter]]:
        """The methods of a class that nobody called, each on a new object."""
        methods = roots.methods(cls)
        if all(method.written.node in executed for method in methods):
            return
        mark = run.state.mark()
        other = any(base.name in self._different for base in hierarchy.linearize(cls) if isinstance(base, Class))
        chapter = None if other else self._still_true(run, cls.node)
        todo: list[tuple[Any, Function, bool]]
        todo = [((cls.node, method.node), method, True) for method in hierarchy.templates(cls)]
        todo += [(method.written.node, method, False) for method in methods]
        if chapter is None:
            # It is another object, also for those that an interruption leaves for later.
            for key, _, _ in todo:
                self._known.pop(key, None)
            chapter = self._make(run, cls)
        yield cls.node, chapter
        applied = False
        for key, method, template in todo:
            if not template and key in executed:
                continue
            known = self._still_true(run, key)
            if known is None:
                if cls.node not in self._made:
                    self._make(run, cls)
                made = self._made[cls.node]
                if not applied:
                    run.state.apply(made.changes)
                    applied, mark = True, run.state.mark()
                if template:
                    known = roots.run_template(run, method, made.receiver)
                else:
                    known = roots.run_method(run, cls, method, made.receiver)
                run.state.undo(mark)
            yield key, known

    def _make(self, run: Run, cls: Class) -> Chapter:
        mark = run.state.mark()
        chapter, receiver = roots.make(run, cls)
        self._made[cls.node] = _Made(receiver, run.state.capture(mark))
        return chapter

    def _still_true(self, run: Run, key: Any) -> Chapter | None:
        """The chapter of something, if nothing that it rests on has changed."""
        chapter = self._known.get(key)
        if chapter is None or not self._edited.isdisjoint(chapter.read):
            return None
        if not self._answered.isdisjoint(chapter.asked):
            return None
        if not (abroad.would_try_the_same(run, chapter) and variants.would_do_the_same(run, chapter)):
            return None
        if self._different and not self._different.isdisjoint(self._mentioned(chapter)):
            return None
        return chapter

    def _mentioned(self, chapter: Chapter) -> Iterator[str]:
        for node, source in chapter.read.items():
            words = self._mentions.get(node)
            if words is None:
                words = self._mentions[node] = mentions(source, node)
            yield from words


def _differences(old: Run, new: Run) -> frozenset[str] | None:
    try:
        return differences(old, new)
    except Exception as error:
        tell(log, "the comparison", new.source.path, error)
        return None


def _unfinished(source: Source) -> Chapter:
    """Stands for what is not looked at any more."""
    chapter = Chapter(source.tree)
    chapter.unfinished = True
    return chapter


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No collections of garbage, which would walk all that is made; and room for deep expressions."""
    collects = gc.isenabled()
    gc.disable()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 6000))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
        if collects:
            gc.enable()
