"""Answers outlive the process that found them, as long as they hold."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gradls.flow.names import Answer, Question
from gradls.resolve import process
from gradls.resolve.cache import TABLES, Cache
from gradls.resolve.known import Key, Known
from tests.resolve.conftest import MODULE, Project

NET = Question("models", "Net", False)
TEXT = "from torch import nn\nclass Net(nn.Module): ...\n"
ANSWER = Answer("class", "models.Net", (MODULE,))


def settle(*files: Path) -> None:
    """Make files look as if they had been written long ago."""
    for file in files:
        os.utime(file, ns=(time.time_ns() - 10**10, time.time_ns() - 10**10))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every start of a worker."""
    starts: list[int] = []
    start = process.WorkerProcess._start

    def count(worker: process.WorkerProcess) -> None:
        starts.append(1)
        start(worker)

    monkeypatch.setattr(process.WorkerProcess, "_start", count)
    return starts


@pytest.fixture
def again(projects: Callable[..., Project], tmp_path: Path) -> Callable[[], Project]:
    """Starts anew with what is on disk."""
    return lambda: projects(cache=tmp_path / "cache")


def files(project: Project) -> None:
    settle(
        project.write("models.py", "from blocks import Block\nclass Net(Block): ...\n"),
        project.write("blocks.py", "from torch import nn\nclass Block(nn.Module): ...\n"),
    )


def test_a_second_start_asks_nobody(again: Callable[[], Project], started: list[int]) -> None:
    project = again()
    files(project)
    expected = Answer("class", "models.Net", ("blocks.Block", MODULE))
    unknown = Question("nowhere", "x", True)
    assert project.ask(*NET) == expected
    assert project.ask(*unknown) is None
    assert project.ask("torch.nn", "ReLU", True)
    assert len(started) == 1
    project.resolver.close()
    project = again()
    assert project.ask(*NET) == expected
    assert project.ask(*unknown) is None
    assert project.ask("torch.nn", "ReLU", True)
    assert len(started) == 1
    # Another folder asks for itself.
    assert project.ask(*NET, near="scripts/train.py") == expected
    assert len(started) == 2


@pytest.mark.parametrize(
    ("path", "text", "name", "base"),
    [
        ("models.py", TEXT, "models.Net", MODULE),
        ("blocks.py", "class Block: ...\n", "models.Net", "blocks.Block"),
        ("models/__init__.py", TEXT, "models.Net", MODULE),
        ("blocks.pyi", "class Block: ...\n", "models.Net", "blocks.Block"),
    ],
)
def test_an_answer_falls_with_what_it_rests_on(
    again: Callable[[], Project], path: str, text: str, name: str, base: str
) -> None:
    """Also with a file that appears in front of it; on disk, and in memory once that is told."""
    project = again()
    files(project)
    before = project.ask(*NET)
    project.resolver.close()
    project = again()
    assert project.ask(*NET) == before
    changed = project.write(path, text)
    forgotten = project.resolver.changed(str(changed))
    assert forgotten == {str(project.root): {NET}}
    assert project.resolver.ask(NET) is None
    after = project.ask(*NET)
    assert after is not None
    assert (after.name, after.bases[-1]) == (name, base)
    assert after != before
    project.resolver.close()
    assert again().ask(*NET) == after


def test_what_was_missing_appears(again: Callable[[], Project]) -> None:
    project = again()
    assert project.ask(*NET) is None
    project.resolver.close()
    project = again()
    assert project.ask(*NET) is None
    made = project.write("models.py", TEXT)
    assert project.ask(*NET) is None, "nobody has said that something changed"
    assert project.resolver.changed("models.py") == {str(project.root): {NET}}
    assert project.ask(*NET) == ANSWER
    made.unlink()
    project.resolver.changed(str(made))
    assert project.ask(*NET) is None


def test_an_older_file_takes_the_place_of_a_newer_one(again: Callable[[], Project]) -> None:
    project = again()
    older = project.write("backup.py", "class Net: ...\n")
    settle(older)
    file = project.write("models.py", TEXT)
    assert project.ask(*NET) == ANSWER
    older.replace(file)
    project.resolver.changed(str(file))
    assert project.ask(*NET) == Answer("class", "models.Net")
    project.resolver.close()
    assert again().ask(*NET) == Answer("class", "models.Net")


def test_changes_of_others_and_of_folders(again: Callable[[], Project]) -> None:
    project = again()
    project.write("pkg/__init__.py")
    project.write("pkg/models.py", TEXT)
    question = Question("pkg.models", "Net", False)
    assert project.ask(*question)
    assert project.resolver.changed(str(project.root / "train.py")) == {}
    assert project.resolver.ask(question)
    assert project.resolver.changed(str(project.root / "pkg")) == {str(project.root): {question}}


def test_a_change_while_it_is_asked_outdates_the_answer() -> None:
    known = Known()
    key = Key("/p", NET)
    since = known.now()
    known.changed("/p/models.py")
    assert not known.add(key, ANSWER, ["/p/models.py"], since)
    assert key not in known.answers
    assert known.add(key, ANSWER, ["/p/models.py"], known.now())
    since = known.now()
    known.changed("/q")
    assert not known.add(Key("/q", NET), ANSWER, ["/q/models.py"], since)


def test_a_file_just_written_is_not_trusted_for_ever(again: Callable[[], Project], started: list[int]) -> None:
    """It may have been written once more after it was read, within the same tick of the clock."""
    project = again()
    file = project.write("models.py", TEXT)
    ahead = time.time_ns() + 3600 * 10**9
    os.utime(file, ns=(ahead, ahead))
    assert project.ask(*NET) == ANSWER
    project.resolver.close()
    assert again().ask(*NET) == ANSWER
    assert len(started) == 2


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_broken_file_is_no_cache(
    again: Callable[[], Project], tmp_path: Path, started: list[int], damage: bytes
) -> None:
    project = again()
    settle(project.write("models.py", TEXT))
    assert project.ask(*NET) == ANSWER
    project.resolver.close()
    (file,) = (tmp_path / "cache").glob("*.sqlite")
    file.write_bytes(damage)
    project = again()
    assert project.ask(*NET) == ANSWER
    project.resolver.close()
    assert again().ask(*NET) == ANSWER
    assert len(started) == 2, "and then it is one again"


def test_rows_that_make_no_sense(tmp_path: Path) -> None:
    cache = Cache(tmp_path, tmp_path, "", "1")
    key = Key(str(tmp_path), NET)
    cache.store([(key, ANSWER, ())])
    assert cache.load([key]) == {key: (ANSWER, [])}
    for nonsense in ("", "[", "3", '["class"]', '{"a": 1}'):
        cache._database._open().execute("update answers set answer=?", (nonsense,))
        assert cache.load([key]) == {}
    cache.store([(key, ANSWER, ())])
    for nonsense in ("", "7", '[["a"]]', "[3]"):
        cache._database._open().execute("update answers set files=?", (nonsense,))
        assert cache.load([key]) == {}
    cache.close()


def test_another_version_starts_empty(tmp_path: Path) -> None:
    key = Key(str(tmp_path), NET)
    for version in ("1", "2"):
        cache = Cache(tmp_path, tmp_path, "", version)
        assert cache.load([key]) == {}
        cache.store([(key, ANSWER, ())])
        assert cache.load([key])
        cache.close()


def test_installing_something_is_another_version(again: Callable[[], Project], started: list[int]) -> None:
    project = again()
    assert project.ask("zoo", "Net") is None
    project.resolver.close()
    packages = next((project.root / ".venv/lib").glob("python*/site-packages"))
    (packages / "zoo.py").write_text("class Net: ...\n")
    assert again().ask("zoo", "Net") == Answer("class", "zoo.Net")


def test_two_servers_share_one(tmp_path: Path) -> None:
    caches = [Cache(tmp_path, tmp_path, "", "1") for _ in range(2)]
    keys = [Key(str(tmp_path), Question("m", f"n{number}", False)) for number in range(200)]

    def fill(cache: Cache, mine: list[Key]) -> None:
        for key in mine:
            cache.store([(key, ANSWER, ())])

    threads = [threading.Thread(target=fill, args=(cache, keys[index::2])) for index, cache in enumerate(caches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Who has to wait for the other one for longer than a second keeps nothing, so on a busy machine one may be missing.
    one, other = (cache.load(keys) for cache in caches)
    assert one == other
    assert len(one) > 190
    for cache in caches:
        cache.close()


def test_what_comes_between_two_that_begin_is_kept(tmp_path: Path) -> None:
    """Both find the file empty; the one that is second to prepare it must not drop what the first has stored since."""
    first, second = (Cache(tmp_path, tmp_path, "", "1") for _ in range(2))
    key = Key(str(tmp_path), Question("m", "n", False))
    connection = sqlite3.connect(second._database.file)
    connection.executescript(TABLES)

    def meanwhile(statement: str) -> None:
        if statement.lower().startswith("begin"):
            first.store([(key, ANSWER, ())])

    connection.set_trace_callback(meanwhile)
    second._drop_others(connection)
    connection.close()
    assert second.load([key]) == {key: (ANSWER, [])}
    first.close()
    second.close()


def test_no_path_of_this_machine_is_stored(again: Callable[[], Project], tmp_path: Path) -> None:
    project = again()
    files(project)
    assert project.ask(*NET)
    project.resolver.close()
    (file,) = (tmp_path / "cache").glob("*.sqlite")
    text = file.read_bytes()
    assert b"models.py" in text
    assert os.fsencode(project.root) + b"/models" not in text


def test_what_nobody_uses_goes(tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    Cache(tmp_path, tmp_path, "", "1").close()
    assert not old.exists()
