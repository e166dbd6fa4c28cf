"""What imported names are is found out in the background, when there is nothing else to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gradls.server.documents import Document
from gradls.server.loop import Loop
from gradls.server.snapshots import NameResolver
from gradls.server.worker import Worker

if TYPE_CHECKING:
    from gradls.flow.names import Question

log = logging.getLogger(__name__)


class Names:
    """Asks resolvers on a thread of its own.

    `learned` is called on the loop with each document of which more is known then, and whether that may be something
    else than what was known before.
    """

    def __init__(self, loop: Loop, learned: Callable[[Document, bool], None]) -> None:
        self._loop = loop
        self._learned = learned
        self._worker: Worker | None = None
        self._wanted: dict[str, tuple[Document, NameResolver, frozenset[Question]]] = {}
        self._asked: dict[str, frozenset[Question]] = {}
        self._asking: set[str] = set()

    def want(self, document: Document, resolver: NameResolver, questions: frozenset[Question]) -> None:
        """The analysis of `document` would know more if `questions` were answered. Those that were asked before have no
        answer."""
        if questions - self._asked.get(document.label, frozenset()):
            self._wanted[document.label] = document, resolver, questions

    def begin(self) -> None:
        """Ask what is wanted; nothing else is to be done now."""
        for label in [label for label in self._wanted if label not in self._asking]:
            document, resolver, questions = self._wanted.pop(label)
            self._asked[label] = questions
            self._ask(document, resolver, questions, otherwise=False)

    def ask_again(self, document: Document, resolver: NameResolver, questions: set[Question]) -> None:
        """Files have changed on which the answers to `questions` rest."""
        self._asked.pop(document.label, None)
        self._ask(document, resolver, frozenset(questions), otherwise=True)

    def forget(self, label: str) -> None:
        """A document is closed."""
        self._wanted.pop(label, None)
        self._asked.pop(label, None)

    def restart(self) -> None:
        """Everything may have another answer now."""
        self._wanted.clear()
        self._asked.clear()

    def _ask(self, document: Document, resolver: NameResolver, questions: frozenset[Question], otherwise: bool) -> None:
        if self._worker is None:
            self._worker = Worker("names")
        self._asking.add(document.label)

        def find_out() -> None:
            found = False
            try:
                found = resolver.resolve_now(questions, near=document.label)
            except Exception:
                log.exception("names in %s could not be looked up; please report this", document.uri)
            self._loop.call(partial(self._answered, document, found, otherwise))

        self._worker.submit(find_out)

    def _answered(self, document: Document, found: bool, otherwise: bool) -> None:
        self._asking.discard(document.label)
        if found or otherwise:
            self._learned(document, otherwise)
