"""What the worker does next: the newest edit first, an overtaken one never.

Everything here runs on the loop's thread; only the jobs that are handed to the worker run on its own.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from gradls.server.documents import Document, Documents
from gradls.server.garbage import Garbage
from gradls.server.loop import Loop
from gradls.server.names import Names
from gradls.server.snapshots import Analysis, NameResolver, Outdated, Snapshot
from gradls.server.worker import Worker

if TYPE_CHECKING:
    from gradls.flow.names import Question
    from gradls.server.analysis import Analyst

log = logging.getLogger(__name__)

Job = Callable[["Analyst"], Any]


class Urgency(IntEnum):
    """Why a document is to be analysed."""

    STALE = 0
    """Less is known of it than before: what it imports has changed, say."""
    OPENED = 1
    TYPED = 2


class Task(NamedTuple):
    """One thing for the worker to do. `then` gets the result, or what was raised, on the loop's thread."""

    job: Job
    then: Callable[[Any, BaseException | None], None]


class _Running:
    """The analysis that is under way."""

    def __init__(self, label: str, urgency: Urgency) -> None:
        self.label = label
        self.urgency = urgency
        self.is_overtaken = False
        """There is something more urgent to do. The worker looks at this now and then."""


class _Request(NamedTuple):
    """A question about a document as it was when it was asked."""

    document: Document
    revision: int
    job: Job
    answer: Future[Any]


class Scheduler:
    """Keeps the diagnostics of the open documents up to date.

    `publish` is called with each snapshot that still is the newest of its document, and what came of it, if the client
    does not have that yet. `look_again` is called when something else is known of a text than before; `settled` after
    each analysis of the text that a document has now, with that.
    """

    def __init__(
        self,
        loop: Loop,
        documents: Documents,
        publish: Callable[[Snapshot, Analysis], None],
        look_again: Callable[[], None] = lambda: None,
        settled: Callable[[Document], None] = lambda document: None,
    ) -> None:
        self._loop = loop
        self._documents = documents
        self._publish = publish
        self._look_again = look_again
        self._settled = settled
        self._names = Names(loop, self._learned)
        self._garbage = Garbage()
        self._worker = Worker("analysis")
        self._analyst: Analyst | None = None
        """For the worker's thread only."""
        self._busy = False
        self._running: _Running | None = None
        self._chores: deque[Task] = deque()
        self._waiting: dict[str, Urgency] = {}
        """The labels of the documents to analyse; the last of the most urgent ones is the next."""
        self._requests: deque[_Request] = deque()
        self._series: deque[Iterator[Task]] = deque()
        self._published: dict[str, tuple[int, str]] = {}
        """The revisions of which the client has the diagnostics, and these."""

    # -- what there is to do

    def touch(self, document: Document) -> None:
        """`document` is new or has changed: analyse it when the worker is free."""
        urgency = Urgency.TYPED if document.is_typed_in else Urgency.OPENED
        self._waiting.pop(document.label, None)
        self._waiting[document.label] = urgency
        self._overtake(document.label, urgency is Urgency.TYPED)

    def refresh(self, labels: Iterable[str]) -> None:
        """Analyse documents again, of which less is known now."""
        for label in labels:
            if self._documents.by_label(label) is not None:
                self._waiting.setdefault(label, Urgency.STALE)

    def ask(self, document: Document, revision: int, job: Job, answer: Future[Any]) -> None:
        """Answer a request with what `job` returns, which is run when the document has been analysed.

        The answer is Outdated if the document has another revision by then. Cancelled before its turn, it is not run.
        """
        self._requests.append(_Request(document, revision, job, answer))
        running = self._running
        self._overtake(None, running is not None and running.label != document.label)

    def known(self, document: Document) -> str | None:
        """The diagnostics of the text that `document` has now, as JSON; None if they are not known, or if another
        analysis may say otherwise soon."""
        found = self._published.get(document.label)
        return found[1] if found and found[0] == document.revision and not self.awaits(document) else None

    def awaits(self, document: Document) -> bool:
        """Whether `document` is to be analysed, or is being analysed."""
        label = document.label
        return label in self._waiting or (self._running is not None and self._running.label == label)

    @property
    def awaits_any(self) -> bool:
        """Whether any document is to be analysed, or is being analysed."""
        return bool(self._waiting) or self._running is not None

    def hurry(self, document: Document) -> None:
        """Somebody waits for the analysis of `document`."""
        if self._waiting.get(document.label) is Urgency.STALE:
            self._waiting[document.label] = Urgency.OPENED

    def do(self, job: Job, then: Callable[[Any], None] | None = None) -> None:
        """Run something short before everything else; `then` gets its result."""
        self._chores.append(Task(job, partial(_unless_failed, then or _nothing)))

    def do_in_turns(self, jobs: Iterable[Job], then: Callable[[Any], None]) -> None:
        """Run jobs one by one, with what is urgent in between; `then` gets each result."""
        self._series.append(Task(job, partial(_unless_failed, then)) for job in jobs)

    def close(self, document: Document) -> None:
        """`document` is closed."""
        label = document.label
        self._waiting.pop(label, None)
        self._published.pop(label, None)
        self._overtake(label, False)
        self._names.forget(label)
        self.do(lambda analyst: analyst.close(label), self.refresh)

    def restart(self, make: Callable[[], Analyst]) -> None:
        """Analyse everything anew, with an analyst that `make` makes on the worker's thread."""

        def replace(analyst: Analyst) -> None:
            old, self._analyst = self._analyst, make()
            if old is not None:
                old.end()

        self._names.restart()
        self._published.clear()
        self.do(replace)
        for document in self._documents:
            self.touch(document)

    def look_up_again(self, document: Document, resolver: NameResolver, questions: set[Question]) -> None:
        """What `document` has asked, and what has been forgotten since, is to be found out again."""
        self._names.ask_again(document, resolver, questions)

    # -- doing it

    def prepare(self, function: Callable[[], None]) -> None:
        """Run `function` on the worker's thread, before there is anything to analyse."""
        self.do(lambda analyst: function())
        self.proceed()

    def proceed(self) -> None:
        """Give the worker something to do, if it has nothing."""
        if self._busy:
            return
        task = self._next()
        if task is not None:
            self._start(task)
        elif not self._collect(self._garbage.due()):
            self._names.begin()

    def rest(self, seconds: float) -> None:
        """Nothing has happened for so long: time to clean up."""
        if not self._busy:
            self._collect(self._garbage.any(seconds))

    def _collect(self, collect: Callable[[], None] | None) -> bool:
        if collect is not None:
            # On the worker's thread, so that it does not begin anything else.
            self._start(Task(lambda analyst: collect(), partial(_unless_failed, _nothing)))
        return collect is not None

    def _start(self, task: Task) -> None:
        self._busy = True
        self._worker.submit(partial(self._run, task))

    def _run(self, task: Task) -> None:
        """On the worker's thread."""
        result, error = None, None
        try:
            result = task.job(self._analyst)  # type: ignore[arg-type]
        except BaseException as raised:
            error = raised
        self._loop.call(partial(self._done, task, result, error))

    def _done(self, task: Task, result: Any, error: BaseException | None) -> None:
        self._busy = False
        task.then(result, error)

    def _next(self) -> Task | None:
        if self._chores:
            return self._chores.popleft()
        return (
            self._next_analysis(Urgency.TYPED)
            or self._next_answer()
            or self._next_analysis(Urgency.OPENED)
            or (self._next_of_series() or self._next_analysis(Urgency.STALE))
        )

    def _next_analysis(self, urgency: Urgency) -> Task | None:
        label = next((label for label in reversed(self._waiting) if self._waiting[label] is urgency), None)
        return self._analysis(label) if label is not None else None

    def _next_answer(self) -> Task | None:
        while self._requests:
            document, revision, job, answer = request = self._requests.popleft()
            if self._documents.by_label(document.label) is not document or document.revision != revision:
                if answer.set_running_or_notify_cancel():
                    answer.set_exception(Outdated(document.uri))
            elif document.label in self._waiting and not answer.cancelled():
                self._requests.appendleft(request)
                return self._analysis(document.label)
            elif answer.set_running_or_notify_cancel():
                return Task(job, partial(_answer, answer))
        return None

    def _next_of_series(self) -> Task | None:
        while self._series:
            for task in self._series[0]:
                return task
            self._series.popleft()
        return None

    # -- analyses

    def _analysis(self, label: str) -> Task:
        urgency = self._waiting.pop(label)
        document = self._documents.by_label(label)
        assert document is not None
        snapshot = document.snapshot()
        running = self._running = _Running(label, urgency)
        return Task(
            lambda analyst: analyst.analyse(snapshot, lambda: running.is_overtaken),
            partial(self._analysed, document, snapshot),
        )

    def _overtake(self, label: str | None, urgent: bool) -> None:
        """Let the analysis that is under way come to no end if it is of `label`, or if something is `urgent` and nobody
        types in its file."""
        running = self._running
        if running is not None and (running.label == label or (urgent and running.urgency is not Urgency.TYPED)):
            running.is_overtaken = True

    def _analysed(
        self, document: Document, snapshot: Snapshot, analysis: Analysis | None, error: BaseException | None
    ) -> None:
        label = snapshot.label
        running, self._running = self._running, None
        if running is not None and running.is_overtaken and analysis is None:
            # It goes on where it was when there is time.
            if self._documents.by_label(label) is document:
                self._waiting.setdefault(label, running.urgency)
            return
        if analysis is None:
            log.error("%s could not be analysed; please report this", snapshot.uri, exc_info=error)
            self._published.pop(label, None)
            self._settled(document)
            return
        self.refresh(analysis.affected)
        if self._documents.by_label(label) is not document or label in self._waiting:
            return
        found = snapshot.revision, analysis.diagnostics
        known = self._published.get(label)
        if known is not None and known[0] == snapshot.revision:
            self._look_again()
        if known != found:
            if label not in self._published:
                self._garbage.keep()
            self._published[label] = found
            self._publish(snapshot, analysis)
        self._settled(document)
        if analysis.questions and analysis.resolver is not None:
            self._names.want(document, analysis.resolver, analysis.questions)

    def _learned(self, document: Document, otherwise: bool) -> None:
        """More names are known, or something `otherwise` than before."""
        label = document.label
        if self._documents.by_label(label) is document:
            self.do(lambda analyst: analyst.forget(label) if otherwise else analyst.learned(label))
            self.refresh([label])


def _answer(answer: Future[Any], result: Any, error: BaseException | None) -> None:
    if error is None:
        answer.set_result(result)
    else:
        answer.set_exception(error)


def _unless_failed(then: Callable[[Any], None], result: Any, error: BaseException | None) -> None:
    if error is not None:
        log.error("something failed that should not; please report this", exc_info=error)
    else:
        then(result)


def _nothing(result: Any) -> None:
    pass
