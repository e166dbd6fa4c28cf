"""What is analysed, and what of it is published."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from gradls.flow.analyze import Interrupted
from gradls.server.analysis import Analyst
from gradls.server.documents import Document, Documents
from gradls.server.loop import Loop
from gradls.server.scheduling import Scheduler
from gradls.server.settings import Abilities, Client, Settings
from gradls.server.snapshots import Analysis, Outdated, Snapshot

URI, OTHER, THIRD = "file:///t/train.py", "file:///t/other.py", "file:///t/third.py"
SECONDS = 120


class Watched(Analyst):
    """The real one, which can be made to wait, and says what it was given. `imports` are what open documents import."""

    def __init__(self, documents: Documents) -> None:
        super().__init__([], Settings(), Client("utf-16", Abilities(), documents.uri_of), lambda root: None)
        self.analysed: list[tuple[str, int | None]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.imports: dict[str, list[str]] = {}
        self.fails_on: int | None = None
        self.heeds = False
        """While it waits it looks at whether somebody waits for it."""
        self.interrupted: list[tuple[str, int | None]] = []

    def analyse(self, snapshot: Snapshot, is_overtaken: Callable[[], bool] = bool) -> Analysis:
        self.analysed.append((snapshot.uri, snapshot.version))
        self.begun.set()
        for _ in range(SECONDS * 100):
            if self.go.wait(0.01):
                break
            if self.heeds and is_overtaken():
                self.interrupted.append((snapshot.uri, snapshot.version))
                raise Interrupted
        if snapshot.version == self.fails_on:
            raise RecursionError
        analysis = super().analyse(snapshot, is_overtaken if self.heeds else bool)
        if snapshot.uri in self.imports:
            object.__setattr__(analysis, "affected", self.imports[snapshot.uri])
        return analysis


class Editor:
    """Does things on the loop of a scheduler."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.documents = Documents()
        self.analyst = Watched(self.documents)
        self.published: list[tuple[str, int | None]] = []
        self.scheduler = Scheduler(self.loop, self.documents, self._publish)
        self.scheduler.restart(lambda: self.analyst)
        arguments = self.scheduler.proceed, self.scheduler.rest, 0.05, 0.05
        threading.Thread(target=self.loop.run, args=arguments, daemon=True).start()

    def _publish(self, snapshot: Snapshot, analysis: Analysis) -> None:
        self.published.append((snapshot.uri, snapshot.version))

    def do(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop and wait for it."""
        done = threading.Event()
        self.loop.call(lambda: (function(), done.set()))  # type: ignore[arg-type, return-value]
        assert done.wait(SECONDS)

    def open(self, *uris: str) -> None:
        def begin() -> None:
            for uri in uris:
                self.scheduler.touch(self.documents.open(uri, 1, "import torch\n"))

        self.do(begin)

    def edit(self, uri: str, *versions: int) -> None:
        def change() -> None:
            for version in versions:
                document = self.documents.change(uri, version, [{"text": f"import torch\nx = {version}\n"}])
                assert document is not None
                self.scheduler.touch(document)

        self.do(change)

    def ask(self, uri: str, job: Callable[[Analyst], object]) -> Future[object]:
        answer: Future[object] = Future()
        document = self.document(uri)
        self.do(lambda: self.scheduler.ask(document, document.revision, job, answer))
        return answer

    def document(self, uri: str) -> Document:
        document = self.documents.get(uri)
        assert document is not None
        return document

    def hold(self) -> None:
        """Let the analyses from now on wait for `go`."""
        self.analyst.begun.clear()
        self.analyst.go.clear()

    def begun(self) -> None:
        """Wait until an analysis is under way."""
        assert self.analyst.begun.wait(SECONDS)

    def quiet(self) -> None:
        """Wait until the newest version of each open file is published, and a little longer."""
        for _ in range(SECONDS * 100):
            if {(document.uri, document.version) for document in self.documents} <= set(self.published):
                break
            time.sleep(0.01)
        time.sleep(0.05)


@pytest.fixture
def editor() -> Iterator[Editor]:
    editor = Editor()
    yield editor
    editor.loop.stop(0)


def test_a_burst_is_analysed_once(editor: Editor):
    editor.hold()
    editor.open(OTHER)
    editor.begun()
    editor.open(URI)
    editor.edit(URI, *range(2, 100))
    editor.analyst.go.set()
    editor.quiet()
    assert editor.analyst.analysed == [(OTHER, 1), (URI, 99)]
    assert editor.published == [(OTHER, 1), (URI, 99)]


def test_edits_that_come_together_are_analysed_once(editor: Editor):
    editor.open(URI)
    editor.quiet()
    editor.edit(URI, *range(2, 100))
    editor.quiet()
    assert editor.analyst.analysed == [(URI, 1), (URI, 99)]


def test_the_result_of_an_overtaken_analysis_is_dropped(editor: Editor):
    editor.hold()
    editor.open(URI)
    editor.begun()
    for version in range(2, 10):
        editor.edit(URI, version)
    editor.analyst.go.set()
    editor.quiet()
    assert editor.analyst.analysed == [(URI, 1), (URI, 9)]
    assert editor.published == [(URI, 9)]


def test_a_request_is_answered_about_the_text_that_it_was_made_for(editor: Editor):
    editor.hold()
    editor.open(URI)
    editor.begun()
    old = editor.ask(URI, lambda analyst: "old")
    editor.edit(URI, 2)
    new = editor.ask(URI, lambda analyst: editor.analyst.analysed[-1])
    editor.analyst.go.set()
    with pytest.raises(Outdated):
        old.result(SECONDS)
    assert new.result(SECONDS) == (URI, 2)
    editor.quiet()
    assert editor.published == [(URI, 2)]


def test_a_request_does_not_wait_for_other_files_that_were_opened(editor: Editor):
    editor.open(URI)
    editor.quiet()
    editor.hold()
    editor.open(OTHER)
    editor.begun()
    editor.open(THIRD)
    answer = editor.ask(URI, lambda analyst: list(editor.analyst.analysed))
    editor.analyst.go.set()
    assert answer.result(SECONDS) == [(URI, 1), (OTHER, 1)]


def test_the_file_that_was_edited_last_comes_first(editor: Editor):
    editor.hold()
    first = "file:///t/first.py"
    editor.open(first)
    editor.begun()
    editor.open(OTHER, URI)
    editor.edit(OTHER, 2)
    editor.open(THIRD)
    editor.analyst.go.set()
    editor.quiet()
    assert editor.published == [(first, 1), (OTHER, 2), (THIRD, 1), (URI, 1)]


def test_an_edit_comes_before_those_that_import_the_file(editor: Editor):
    """They are analysed once, after the last edit."""
    editor.open(OTHER, THIRD, URI)
    editor.quiet()
    editor.analyst.analysed.clear()
    editor.analyst.imports[URI] = [editor.document(uri).label for uri in (OTHER, THIRD)]
    editor.hold()
    editor.edit(URI, 2)
    editor.begun()
    for version in (3, 4):
        editor.edit(URI, version)
    editor.analyst.go.set()
    editor.quiet()
    assert editor.analyst.analysed == [(URI, 2), (URI, 4), (THIRD, 1), (OTHER, 1)]


def test_an_edit_does_not_wait_for_a_file_that_nobody_types_in(editor: Editor):
    editor.open(URI)
    editor.edit(URI, 2)
    editor.quiet()
    editor.analyst.heeds = True
    editor.hold()
    editor.open(OTHER)
    editor.begun()
    editor.analyst.begun.clear()
    editor.edit(URI, 3)
    editor.begun()
    editor.analyst.go.set()
    editor.quiet()
    assert editor.analyst.interrupted == [(OTHER, 1)]
    assert editor.published[-2:] == [(URI, 3), (OTHER, 1)]


def test_of_a_text_that_is_no_more_the_analysis_is_not_finished(editor: Editor):
    editor.analyst.heeds = True
    editor.hold()
    editor.open(URI)
    editor.begun()
    editor.analyst.begun.clear()
    editor.edit(URI, 2)
    editor.begun()
    document = editor.document(URI)
    editor.do(lambda: (editor.documents.close(URI), editor.scheduler.close(document)))
    editor.do(lambda: None)
    editor.analyst.go.set()
    editor.open(OTHER)
    editor.quiet()
    assert editor.analyst.interrupted[0] == (URI, 1)
    assert editor.published == [(OTHER, 1)]


def test_a_request_does_not_wait_for_another_file(editor: Editor):
    editor.open(URI)
    editor.quiet()
    editor.analyst.heeds = True
    editor.hold()
    editor.open(OTHER)
    editor.begun()
    assert editor.ask(URI, lambda analyst: "at once").result(SECONDS) == "at once"
    editor.analyst.go.set()
    editor.quiet()
    assert editor.published == [(URI, 1), (OTHER, 1)]


def test_what_says_the_same_as_before_is_not_published_again(editor: Editor):
    editor.open(URI)
    editor.quiet()
    label = editor.document(URI).label
    editor.do(lambda: editor.scheduler.refresh([label]))
    for _ in range(SECONDS * 100):
        if len(editor.analyst.analysed) == 2:
            break
        time.sleep(0.01)
    editor.quiet()
    assert editor.published == [(URI, 1)]


def test_nothing_is_published_for_a_file_that_was_closed_meanwhile(editor: Editor):
    editor.hold()
    editor.open(URI)
    editor.begun()
    answer = editor.ask(URI, lambda analyst: "something")
    document = editor.document(URI)
    editor.do(lambda: (editor.documents.close(URI), editor.scheduler.close(document)))
    editor.analyst.go.set()
    with pytest.raises(Outdated):
        answer.result(SECONDS)
    editor.open(URI)
    editor.quiet()
    assert editor.published == [(URI, 1)]


def test_a_file_that_is_opened_twice_has_its_newer_text(editor: Editor):
    editor.open(URI)
    editor.quiet()
    editor.do(lambda: editor.scheduler.touch(editor.documents.open(URI, 2, "import torch\nnew\n")))
    editor.quiet()
    document = editor.document(URI)
    answer = editor.ask(URI, lambda a: a.session_of(document.label, document.revision).source(document.label).text)
    assert answer.result(SECONDS) == "import torch\nnew\n"


def test_a_cancelled_request_that_waits_for_its_turn_does_not_run(editor: Editor):
    ran: list[int] = []
    editor.hold()
    editor.open(URI)
    editor.begun()
    jobs = [editor.ask(URI, lambda analyst, n=n: ran.append(n)) for n in range(5)]
    for job in jobs[:4]:
        job.cancel()
    editor.analyst.go.set()
    jobs[4].result(SECONDS)
    assert ran == [4]


def test_jobs_that_take_turns_let_an_edit_in_between(editor: Editor):
    editor.open(URI)
    editor.quiet()
    order: list[object] = []
    begun, go = threading.Event(), threading.Event()

    def first(analyst: Analyst) -> None:
        begun.set()
        assert go.wait(SECONDS)
        order.append("first")

    def second(analyst: Analyst) -> None:
        order.append(editor.analyst.analysed[-1])

    editor.do(lambda: editor.scheduler.do_in_turns([first, second], lambda result: None))
    assert begun.wait(SECONDS)
    editor.edit(URI, 2)
    go.set()
    for _ in range(SECONDS * 100):
        if len(order) == 2:
            break
        time.sleep(0.01)
    assert order == ["first", (URI, 2)]


def test_a_failing_analysis_does_not_end_the_next(editor: Editor, caplog: pytest.LogCaptureFixture):
    editor.analyst.fails_on = 1
    editor.open(URI)
    for _ in range(SECONDS * 100):
        time.sleep(0.01)
        if "could not be analysed" in caplog.text:
            break
    assert editor.published == []
    editor.edit(URI, 2)
    editor.quiet()
    assert editor.published == [(URI, 2)]
