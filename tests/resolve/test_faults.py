"""A worker that hangs, dies or eats memory costs what it was asked, and nobody is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gradls.flow.names import Answer, Question
from gradls.resolve import process
from gradls.resolve.process import WorkerFailed
from gradls.resolve.resolver import Resolver
from tests.resolve.conftest import MODULE, Project, alive, bare_environment, children, wait_until, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="looks at processes and kills them")

GOOD = "from torch import nn\nclass Net(nn.Module): ...\n"
NET = Question("good", "Net", False)
HANGS = Question("hangs", "Net", False)
# What is read from a file that says so does not come.
HANGING = """\
import time
from gradls.resolve import worker
content_of = worker.content_of
def hanging(file):
    data = content_of(file)
    while data == b"# hangs":
        time.sleep(1)
    return data
worker.content_of = hanging
main()
"""
HUNG = process.CODE.replace("main()\n", HANGING)
ANSWER = Answer("class", "good.Net", (MODULE,))


@pytest.fixture(autouse=True)
def hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "CODE", HUNG)


@pytest.fixture
def project(projects: Callable[..., Project]) -> Project:
    """A project where jedi waits for ever for the stub of `hangs`, warm, with a short time limit."""
    project = projects(timeout=600.0)
    project.write("good.py", GOOD)
    project.write("better.py", GOOD)
    project.write("hangs.py", GOOD)
    project.write("hangs.pyi", "# hangs")
    assert project.ask(*NET) == ANSWER
    project.resolver._worker._timeout = 1.0
    return project


def patient_after_failure(project: Project) -> None:
    """Wait longer once a question was too much: what is asked after that has to be answered on a busy machine, too."""
    worker = project.resolver._worker
    failed = worker._failed

    def patient(what: str, asked: bool, blamed: bool = False) -> WorkerFailed:
        worker._timeout = 60.0 if blamed else worker._timeout
        return failed(what, asked, blamed)

    worker._failed = patient  # type: ignore[method-assign]


def ask(project: Project, *questions: Question) -> bool:
    return project.resolver.resolve_now(questions, str(project.root / "train.py"))


def known(project: Project, question: Question) -> Answer | None:
    return project.resolver.ask(question, str(project.root / "train.py"))


def test_a_question_that_hangs_costs_itself(project: Project) -> None:
    first = project.resolver.worker_pid
    assert first is not None
    better = [Question("better", "Net", False), Question("zzz", "Net", False)]
    patient_after_failure(project)
    assert ask(project, HANGS, *better)
    assert known(project, NET) == ANSWER
    assert known(project, HANGS) is None
    assert known(project, better[0]) == Answer("class", "better.Net", (MODULE,))
    assert not alive(first)
    second = project.resolver.worker_pid
    assert second not in (None, first)
    # It is not tried again with every keystroke, which would be the end of the process, but when something has changed.
    assert not ask(project, HANGS)
    assert project.resolver.worker_pid == second
    (project.root / "hangs.pyi").unlink()
    assert project.resolver.changed(str(project.root / "hangs.pyi")) == {str(project.root): {HANGS}}
    assert ask(project, HANGS)
    assert known(project, HANGS) == Answer("class", "hangs.Net", (MODULE,))


def test_after_several_failures_it_waits(projects: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [0.0]
    monkeypatch.setattr("gradls.resolve.process.time", SimpleNamespace(monotonic=lambda: time.monotonic() + passed[0]))
    monkeypatch.setattr("gradls.resolve.process.PAUSES", (0.0, 1000.0))
    project = projects(timeout=0.2)
    for number in range(4):
        project.write(f"hangs{number}.py")
        project.write(f"hangs{number}.pyi", "# hangs")
    assert not ask(project, *(Question(f"hangs{number}", "Net", False) for number in range(4)))
    assert project.resolver.worker_pid is None
    project.resolver._worker._timeout = 60.0
    project.write("good.py", GOOD)
    assert not ask(project, NET), "no start before the pause is over"
    passed[0] = 1000.0
    assert ask(project, NET)


def test_killed_while_it_works(project: Project) -> None:
    patient_after_failure(project)
    asking = threading.Thread(target=ask, args=(project, HANGS, Question("better", "Net", False)))
    first = project.resolver.worker_pid
    assert first is not None
    asking.start()
    time.sleep(0.3)
    os.kill(first, signal.SIGKILL)
    asking.join(120)
    assert not asking.is_alive()
    assert known(project, NET) == ANSWER
    assert known(project, Question("better", "Net", False)) is not None
    assert known(project, HANGS) is None


def test_killed_between_questions(project: Project) -> None:
    first = project.resolver.worker_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: not alive(first))
    assert ask(project, Question("better", "Net", False))
    assert project.resolver.worker_pid != first


def test_a_killed_helper_of_jedi_is_replaced(project: Project) -> None:
    worker = project.resolver.worker_pid
    assert worker is not None
    (helper,) = children(worker)
    os.kill(helper, signal.SIGKILL)
    assert ask(project, Question("better", "Net", False))


def test_memory_is_limited(projects: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux keeps the limit")
    monkeypatch.setattr("gradls.resolve.resolver.MEMORY_BYTES", 300 << 20)
    project = projects(timeout=600.0)
    project.write("good.py", GOOD)
    project.write("endless.py")
    (project.root / "endless.pyi").symlink_to("/dev/zero")
    assert ask(project, Question("endless", "x", False), NET)
    assert known(project, Question("endless", "x", False)) is None
    assert known(project, NET) == ANSWER


def test_a_large_worker_is_replaced(projects: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells")
    monkeypatch.setattr("gradls.resolve.resolver.LARGE_BYTES", 1)
    project = projects()
    project.write("good.py", GOOD)
    project.write("better.py", GOOD)
    assert ask(project, NET, Question("better", "Net", False))
    assert known(project, Question("better", "Net", False))
    assert wait_until(lambda: project.resolver.worker_pid is None)
    assert ask(project, Question("good", "Net", True))


def test_an_idle_worker_leaves_and_comes_back(
    projects: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradls.resolve.resolver.IDLE_SECONDS", 0.2)
    project = projects()
    project.write("good.py", GOOD)
    project.write("better.py", GOOD)
    assert ask(project, NET)
    assert wait_until(lambda: project.resolver.worker_pid is None)
    assert ask(project, Question("better", "Net", False))


def test_the_cache_of_jedi_may_be_broken(projects: Callable[..., Project], tmp_path: Path) -> None:
    project = projects(cache=tmp_path / "cache")
    project.write("good.py", GOOD)
    project.write("other/better.py", GOOD)
    assert ask(project, NET)
    project.resolver.close()
    pickles = list((tmp_path / "cache/jedi").rglob("*.pkl"))
    assert pickles
    for file in pickles:
        file.write_bytes(file.read_bytes()[:100])
    project = projects(cache=tmp_path / "cache")
    assert ask(project, Question("other.better", "Net", False))


async def test_close_while_it_works(project: Project) -> None:
    worker = project.resolver.worker_pid
    assert worker is not None
    helpers = children(worker)
    assert helpers
    project.resolver._worker._timeout = 600.0
    waiting = asyncio.create_task(project.resolver.resolve({HANGS}, str(project.root / "train.py")))
    await asyncio.sleep(0.3)
    project.resolver.close()
    assert await asyncio.wait_for(waiting, 120) is False
    assert wait_until(lambda: not any(map(alive, [worker, *helpers])))
    assert known(project, NET) == ANSWER
    assert not ask(project, Question("better", "Net", False))
    assert project.resolver.worker_pid is None


@pytest.mark.parametrize("busy", [False, True])
def test_nobody_is_left_when_the_parent_is_killed(tmp_path: Path, shared_cache: Path, busy: bool) -> None:
    root = tmp_path / "project"
    bare_environment(root)
    write(root, "good.py", GOOD)
    write(root, "hangs.py", GOOD)
    write(root, "hangs.pyi", "# hangs")
    program = f"""
        import threading, time
        from pathlib import Path
        from gradls.resolve import process
        from gradls.flow.names import Question
        from gradls.resolve.resolver import Resolver
        resolver = Resolver(Path({str(root)!r}), timeout=600, cache=Path({str(shared_cache)!r}))
        process.CODE = {HUNG!r}
        near = {str(root / "train.py")!r}
        assert resolver.resolve_now([Question("good", "Net", False)], near)
        if {busy}:
            threading.Thread(target=resolver.resolve_now, args=([Question("hangs", "Net", False)], near)).start()
            time.sleep(0.3)
        print(resolver.worker_pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        left = [worker, *children(worker)]
        assert len(left) == 2
        assert all(map(alive, left))
    finally:
        parent.kill()
        parent.communicate()
    assert wait_until(lambda: not any(map(alive, left)))


def test_a_resolver_that_is_never_closed_lets_python_end(tmp_path: Path, shared_cache: Path) -> None:
    bare_environment(tmp_path)
    write(tmp_path, "good.py", GOOD)
    program = f"""
        import asyncio
        from pathlib import Path
        from gradls.flow.names import Question
        from gradls.resolve.resolver import Resolver
        resolver = Resolver(Path({str(tmp_path)!r}), timeout=600, cache=Path({str(shared_cache)!r}))
        assert asyncio.run(resolver.resolve([Question("good", "Net", False)], {str(tmp_path / "train.py")!r}))
        print(resolver.worker_pid)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stderr
    assert wait_until(lambda: not alive(int(ran.stdout)))


def test_a_python_that_cannot_start(projects: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    project = projects()
    project.write("good.py", GOOD)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert not ask(project, NET)
    monkeypatch.undo()
    assert wait_until(lambda: ask(project, NET))


def test_asking_from_another_thread_while_answers_come(project: Project) -> None:
    for number in range(100):
        project.write(f"m{number}.py", GOOD)
    questions = [Question(f"m{number}", "Net", False) for number in range(100)]
    names = project.resolver.names_for(str(project.root / "train.py"))
    finding = threading.Thread(target=ask, args=(project, *questions))
    finding.start()
    seen = 0
    while finding.is_alive():
        now = sum(names.ask(question) is not None for question in questions)
        assert now >= seen
        seen = now
        project.resolver.changed(str(project.root / "unrelated.py"))
    assert all(names.ask(question) for question in questions)


def test_closing_twice_and_without_use() -> None:
    resolver = Resolver(None)
    resolver.close()
    resolver.close()
    assert not resolver.resolve_now([NET], "x.py")
