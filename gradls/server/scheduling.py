"""When what is analysed: as soon as possible, the newest edit first, an overtaken one never.

Everything here runs on the event loop; the analysis itself runs on the worker's thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TypeVar

from gradls.flow.names import Question
from gradls.server.analysis import Analysis, Analyst, NameResolver, Outdated, Snapshot, Worker
from gradls.server.documents import Document, Documents

log = logging.getLogger(__name__)

T = TypeVar("T")


class Scheduler:
    """Keeps the diagnostics of the open documents up to date.

    `publish` is called with each analysis that still is the newest of its document.
    """

    def __init__(self, documents: Documents, analyst: Analyst, publish: Callable[[Analysis], None]) -> None:
        self._documents = documents
        self._analyst = analyst
        self._publish = publish
        self._worker = Worker()
        self._waiting: dict[str, Document] = {}
        self._newest: dict[str, Analysis] = {}
        self._running: asyncio.Task[None] | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self, job: Callable[[Analyst], T]) -> T:
        """The result of `job` on the worker's thread. Cancelled before its turn, it does not run at all."""
        return await asyncio.wrap_future(self._submit(job))

    def touch(self, document: Document) -> None:
        """`document` is new or has changed: analyse it when the worker is free."""
        self._waiting.pop(document.label, None)
        self._waiting[document.label] = document
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._analyse_waiting())

    async def current(self, document: Document) -> Analysis:
        """The analysis of the text that `document` has now; Outdated if it is closed meanwhile."""
        while True:
            newest = self._newest.get(document.label)
            if newest is not None and newest.snapshot.revision == document.revision:
                return newest
            await self._analyse(document)

    def close(self, document: Document) -> None:
        label = document.label
        self._waiting.pop(label, None)
        self._newest.pop(label, None)
        asking = self._asking.pop(label, None)
        if asking is not None:
            asking.cancel()
        closing = asyncio.create_task(self._follow_closing(self._submit(lambda analyst: analyst.close(label))))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _follow_closing(self, closed: Future[Iterable[str]]) -> None:
        self.touch_again(await asyncio.wrap_future(closed))

    def restart(self, analyst: Analyst) -> None:
        """Analyse everything anew, with `analyst`."""
        self._analyst = analyst
        self._newest.clear()
        for document in self._documents:
            self.touch(document)

    def _submit(self, job: Callable[[Analyst], T]) -> Future[T]:
        analyst = self._analyst
        return self._worker.submit(lambda: job(analyst))

    async def _analyse_waiting(self) -> None:
        while self._waiting:
            _, document = self._waiting.popitem()
            try:
                await self._analyse(document)
            except Outdated:
                pass
            except Exception:
                log.exception("%s could not be analysed; please report this", document.uri)

    async def _analyse(self, document: Document) -> None:
        analyst = self._analyst
        label = document.label
        if self._documents.by_label(label) is not document:
            raise Outdated(document.uri)
        snapshot = Snapshot(label, document.uri, document.version, document.revision, document.text)

        def analyse(analyst: Analyst) -> Analysis | None:
            # It may have waited for its turn.
            return analyst.analyse(snapshot) if document.revision == snapshot.revision else None

        analysis = await self.run(analyse)
        if analysis is not None:
            self.touch_again(analysis.affected)
        overtaken = document.revision != snapshot.revision or self._analyst is not analyst
        if analysis is None or overtaken or self._documents.by_label(label) is not document:
            return
        newest = self._newest.get(label)
        self._newest[label] = analysis
        if newest is None or newest.snapshot.revision != snapshot.revision or newest.findings is not analysis.findings:
            self._publish(analysis)
        if analysis.questions and analysis.resolver is not None and label not in self._asking:
            self._asking[label] = asyncio.create_task(self._ask(document))

    async def _ask(self, document: Document) -> None:
        """Have the names looked up that `document` needs, and analyse it again if more is known then."""
        label = document.label
        asked: frozenset[Question] = frozenset()
        try:
            while (newest := self._newest.get(label)) is not None and newest.resolver is not None:
                if not newest.questions or newest.questions == asked:
                    return
                asked = newest.questions
                if await newest.resolver.resolve(asked, near=label):
                    await self._again(document)
        except Exception:
            log.exception("names in %s could not be looked up; please report this", document.uri)
        finally:
            if self._asking.get(label) is asyncio.current_task():
                del self._asking[label]

    def touch_again(self, labels: Iterable[str]) -> None:
        """Analyse the documents again that import what has changed."""
        for label in labels:
            self._newest.pop(label, None)
            document = self._documents.by_label(label)
            if document is not None:
                self.touch(document)

    async def ask_again(self, document: Document, resolver: NameResolver, questions: set[Question]) -> None:
        """Analyse `document` again once what it has asked, and what has been forgotten since, is known again."""
        await resolver.resolve(questions, near=document.label)
        await self._again(document)

    async def _again(self, document: Document) -> None:
        """Analyse `document` again: names have become known, or others."""
        label = document.label
        self._newest.pop(label, None)
        await self.run(lambda analyst: analyst.forget(label))
        if self._documents.by_label(label) is document:
            self.touch(document)
