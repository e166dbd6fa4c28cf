"""What is analysed, and what of it is published."""

import asyncio
import threading

import pytest

from gradls.server.analysis import Analysis, Analyst, Outdated, Snapshot
from gradls.server.documents import Document, Documents
from gradls.server.scheduling import Scheduler
from gradls.server.settings import Settings

URI, OTHER = "file:///t/train.py", "file:///t/other.py"
SECONDS = 20


class Watched(Analyst):
    """The real one, which can be made to wait, and says what it was given."""

    def __init__(self) -> None:
        super().__init__([], Settings(), lambda root: None)
        self.analysed: list[tuple[str, int | None]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()

    def analyse(self, snapshot: Snapshot) -> Analysis:
        self.analysed.append((snapshot.uri, snapshot.version))
        self.begun.set()
        assert self.go.wait(SECONDS)
        return super().analyse(snapshot)


class Editor:
    def __init__(self) -> None:
        self.documents = Documents()
        self.analyst = Watched()
        self.published: list[tuple[str, int | None]] = []
        self.scheduler = Scheduler(self.documents, self.analyst, self._publish)

    def _publish(self, analysis: Analysis) -> None:
        self.published.append((analysis.snapshot.uri, analysis.snapshot.version))

    def open(self, uri: str) -> Document:
        document = self.documents.open(uri, 1, "import torch\n")
        self.scheduler.touch(document)
        return document

    def edit(self, uri: str, version: int) -> None:
        document = self.documents.change(uri, version, [{"text": f"import torch\nx = {version}\n"}])
        assert document is not None
        self.scheduler.touch(document)

    async def begun(self) -> None:
        """Wait until an analysis is under way, which then waits for `go`."""
        assert await asyncio.to_thread(self.analyst.begun.wait, SECONDS)

    async def quiet(self) -> None:
        """Wait until the newest version of each open file is published, and a little longer."""
        for _ in range(SECONDS * 100):
            if {(document.uri, document.version) for document in self.documents} <= set(self.published):
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


@pytest.fixture
def editor() -> Editor:
    return Editor()


async def test_a_burst_is_analysed_once(editor: Editor):
    editor.open(URI)
    for version in range(2, 100):
        editor.edit(URI, version)
    await editor.quiet()
    assert editor.analyst.analysed == [(URI, 99)]
    assert editor.published == [(URI, 99)]


async def test_the_result_of_an_overtaken_analysis_is_dropped(editor: Editor):
    editor.analyst.go.clear()
    editor.open(URI)
    await editor.begun()
    for version in range(2, 10):
        editor.edit(URI, version)
    editor.analyst.go.set()
    await editor.quiet()
    assert editor.analyst.analysed == [(URI, 1), (URI, 9)]
    assert editor.published == [(URI, 9)]


async def test_a_request_that_waits_for_its_turn_does_not_analyse_an_old_text(editor: Editor):
    document = editor.open(URI)
    editor.analyst.go.clear()
    await editor.begun()
    request = asyncio.create_task(editor.scheduler.current(document))
    await asyncio.sleep(0)
    editor.edit(URI, 2)
    editor.analyst.go.set()
    assert (await asyncio.wait_for(request, SECONDS)).snapshot.version == 2
    await editor.quiet()
    assert editor.analyst.analysed.count((URI, 1)) == 1
    assert editor.published == [(URI, 2)]


async def test_the_file_that_was_edited_last_comes_first(editor: Editor):
    editor.analyst.go.clear()
    first = "file:///t/first.py"
    editor.open(first)
    await editor.begun()
    editor.open(OTHER)
    editor.open(URI)
    editor.edit(OTHER, 2)
    editor.analyst.go.set()
    await editor.quiet()
    assert editor.published == [(first, 1), (OTHER, 2), (URI, 1)]


async def test_nothing_is_published_for_a_file_that_was_closed_meanwhile(editor: Editor):
    editor.analyst.go.clear()
    document = editor.open(URI)
    await editor.begun()
    editor.documents.close(URI)
    editor.scheduler.close(document)
    editor.analyst.go.set()
    with pytest.raises(Outdated):
        await asyncio.wait_for(editor.scheduler.current(document), SECONDS)
    again = editor.open(URI)
    assert (await asyncio.wait_for(editor.scheduler.current(again), SECONDS)).source.text == again.text
    await editor.quiet()
    assert editor.published == [(URI, 1)]


async def test_a_cancelled_request_that_waits_for_its_turn_does_not_run(editor: Editor):
    ran: list[int] = []
    editor.analyst.go.clear()
    editor.open(URI)
    await editor.begun()
    jobs = [asyncio.create_task(editor.scheduler.run(lambda analyst, n=n: ran.append(n))) for n in range(5)]
    await asyncio.sleep(0)
    for job in jobs[:4]:
        job.cancel()
    await asyncio.sleep(0.01)
    editor.analyst.go.set()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert ran == [4]


async def test_a_failing_analysis_does_not_end_the_next(editor: Editor, caplog: pytest.LogCaptureFixture):
    class Failing(Watched):
        def analyse(self, snapshot: Snapshot) -> Analysis:
            if snapshot.version == 1:
                raise RecursionError
            return super().analyse(snapshot)

    editor.scheduler.restart(Failing())
    editor.open(URI)
    for _ in range(100):
        await asyncio.sleep(0.01)
        if "could not be analysed" in caplog.text:
            break
    assert editor.published == []
    editor.edit(URI, 2)
    await editor.quiet()
    assert editor.published == [(URI, 2)]
