"""What is dropped is given back."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Callable

import pytest

from gradls.server import garbage
from gradls.server.analysis import Analyst
from gradls.server.documents import Document, uri_of
from gradls.server.garbage import Garbage
from gradls.server.settings import Abilities, Client, Settings
from tests.lsp.programs import DETACHED

FUNCTION = (
    "def f{0}(x):\n    y = x * {0}\n    loss = (model(y) - x).pow(2).sum()\n    loss.backward()\n    return loss\n"
)


def test_an_analyst_that_is_replaced_gives_most_back_at_once():
    """Nobody has to look for it: garbage that is frozen would stay until there is time for that."""
    text = DETACHED + "".join(FUNCTION.format(number) for number in range(200))
    analyst = Analyst([], Settings(), Client("utf-16", Abilities(), uri_of), lambda root: None)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        analyst.analyse(Document("file:///t/train.py", 1, text).snapshot())
        made = len(gc.get_objects()) - before
        analyst.end()
        left = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert left < made / 2


class Collector:
    """Stands in for `gc` and `sys`: so many objects are young, old, or garbage among these; notes the collections."""

    def __init__(self) -> None:
        self.young, self.old, self.young_garbage, self.old_garbage = 0, 300_000, 0, 0
        self.collected: list[str] = []
        self.given_back = 0

    def edit(self, young: int, old: int, new: int) -> None:
        """One that makes so many objects of young ones and old ones garbage, and so many new ones."""
        self.young += new
        self.young_garbage += young
        self.old_garbage += old

    def getallocatedblocks(self) -> int:
        return 2 * (self.young + self.old)

    def get_count(self) -> tuple[int, int, int]:
        return self.young, 0, 0

    def freeze(self) -> None:
        self.young, self.old = 0, self.old + self.young
        self.young_garbage, self.old_garbage = 0, self.old_garbage + self.young_garbage

    def unfreeze(self) -> None:
        pass

    def collect(self, generation: int = 2) -> int:
        found, self.young_garbage = self.young_garbage, 0
        self.young -= found
        self.freeze()
        if generation:
            found, self.old, self.old_garbage = found + self.old_garbage, self.old - self.old_garbage, 0
        self.collected.append("thorough" if generation else "quick")
        return found

    def trim(self, left: int) -> None:
        self.given_back += 1


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Collector:
    found = Collector()
    monkeypatch.setattr(garbage, "gc", found)
    monkeypatch.setattr(garbage, "sys", found)
    monkeypatch.setattr(garbage, "_malloc_trim", lambda: found.trim)
    return found


def _collect(work: Callable[[], None] | None) -> None:
    if work is not None:
        work()


def test_edits_at_one_place_have_only_what_is_young_looked_at(collector: Collector):
    one = Garbage()
    one.keep()
    for _ in range(100):
        collector.edit(young=8_000, old=0, new=8_000)
        _collect(one.due())
    assert len(collector.collected) > 20
    assert set(collector.collected) == {"quick"}


def test_there_is_never_much_garbage_whatever_the_edits_replace(collector: Collector):
    one = Garbage()
    one.keep()
    most = 0
    for _ in range(200):
        collector.edit(young=0, old=12_000, new=12_000)
        most = max(most, collector.young + collector.old)
        _collect(one.due())
    assert most < 420_000
    assert collector.collected.count("thorough") < 60


def test_in_a_pause_is_collected_what_has_grown(collector: Collector):
    one = Garbage()
    one.keep()
    collector.edit(young=0, old=3_000, new=3_000)
    assert one.any(0.5) is None
    _collect(one.any(2.5))
    assert collector.collected == []
    assert collector.given_back == 1
    assert one.any(2.5) is None
    collector.edit(young=0, old=40_000, new=40_000)
    _collect(one.any(2.5))
    assert collector.collected == ["thorough"]
    assert collector.given_back == 2
    assert one.any(15) is None


@pytest.mark.skipif(garbage._malloc_trim() is None, reason="the C library does not give memory back")
def test_what_parsing_took_in_a_thread_is_given_back():
    """In a process of its own: in this one other threads have memory that is free."""
    program = textwrap.dedent("""
        import gc, inspect, re, tarfile, threading, typing, zipfile
        from gradls.server.garbage import Garbage
        from gradls.syntax.source import Source

        def resident():
            with open("/proc/self/status") as status:
                return int(re.search(r"VmRSS:\\s+(\\d+) kB", status.read())[1])

        def work():
            kept = Source.read("".join(map(inspect.getsource, (tarfile, zipfile, typing, inspect))))
            one = Garbage()
            one.keep()
            before = resident()
            one.any(2.5)()
            print(before - resident())
            del kept

        gc.disable()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1_000


def test_what_is_to_stay_is_looked_at_by_thorough_collections_only():
    gc.collect()
    gc.disable()
    try:
        reference = weakref.ref(Cyclic())
        one = Garbage()
        one.keep()
        one._quick()
        assert reference() is not None
        one._thorough()
        assert reference() is None
    finally:
        gc.enable()


class Cyclic:
    def __init__(self) -> None:
        self.me = self
