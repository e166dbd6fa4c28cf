"""What looks up names is killed, stopped, starved or led astray: findings go on, and it comes back."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gradls.flow.names import Answer, Question
from tests.lsp.raw import Raw, started
from tests.lsp.test_names import CODE, COMMON, TRAIN
from tests.resolve.conftest import MODULE, Project, alive, children, projects, shared_cache, wait_until  # noqa: F401

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no signals and no pipes with names")

GOOD = "from torch import nn\nclass Net(nn.Module): ...\n"
NET, BETTER = Question("good", "Net", False), Question("better", "Net", False)
ANSWER, OTHER_ANSWER = Answer("class", "good.Net", (MODULE,)), Answer("class", "better.Net", (MODULE,))
SECONDS = 120.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with an environment in which a package has what two others hand on."""
    packages = tmp_path / "project/.venv/lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "project/.venv/pyvenv.cfg").write_text("include-system-site-packages = false\n")
    for name in ("common", "other"):
        (packages / f"{name}.py").write_text(COMMON)
    return tmp_path / "project"


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[tuple[Raw, int, str]]:
    """A server that has looked up a name of a file which it has open: the client, its process, and the file's URI."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "LOCALAPPDATA": str(tmp_path / "cache")}
    uri = (folder / "train.py").as_uri()
    with started(env=environment) as (raw, process):
        raw.begin(rootUri=folder.as_uri())
        raw.open(uri, TRAIN)
        found(raw, 1)
        yield raw, process.pid, uri


def found(raw: Raw, version: int, count: int = 1) -> None:
    """Wait until so many findings of the kind that needs a name are there."""
    raw.wait_for(
        lambda message: (
            message.get("method") == "textDocument/publishDiagnostics"
            and message["params"].get("version") == version
            and [each["code"] for each in message["params"]["diagnostics"]] == [CODE] * count
        )
    )


def write(raw: Raw, uri: str, version: int, text: str) -> None:
    document = {"uri": uri, "version": version}
    raw.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]})


MORE = TRAIN + TRAIN.replace("common", "other")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_findings_go_on_when_the_worker_is_killed(server: tuple[Raw, int, str], how: signal.Signals) -> None:
    raw, process, uri = server
    assert wait_until(lambda: bool(children(process)), SECONDS)
    for worker in children(process):
        os.kill(worker, how)
    for version in range(2, 6):
        write(raw, uri, version, f"{TRAIN}# {version}\n")
        found(raw, version)
    write(raw, uri, 6, MORE)
    found(raw, 6, 2)


def test_findings_go_on_while_the_worker_hangs(server: tuple[Raw, int, str]) -> None:
    raw, process, uri = server
    workers = children(process)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        for version in range(2, 6):
            write(raw, uri, version, f"{MORE}# {version}\n")
            assert CODE in [each["code"] for each in raw.published(version)["diagnostics"]]
    finally:
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def ask(project: Project, *questions: Question) -> bool:
    return project.resolver.resolve_now(questions, str(project.root / "train.py"))


def test_a_worker_that_is_stopped_is_replaced(
    projects: Callable[..., Project],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = projects()
    project.write("good.py", GOOD)
    project.write("better.py", GOOD)
    assert wait_until(lambda: ask(project, NET), SECONDS)
    first = project.resolver.worker_pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr(project.resolver._worker, "_timeout", 1.0)
    # What it was at counts as too much for it.
    assert not ask(project, Question("good", "Other", False))
    assert not alive(first)
    monkeypatch.undo()
    assert wait_until(lambda: ask(project, BETTER), SECONDS)
    assert project.resolver.ask(NET, str(project.root / "train.py")) == ANSWER


def test_a_worker_without_memory_is_tried_again(
    projects: Callable[..., Project],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux keeps the limit")
    project = projects()
    project.write("good.py", GOOD)
    monkeypatch.setattr("gradls.resolve.resolver.MEMORY_BYTES", 24 << 20)
    assert not ask(project, NET)
    monkeypatch.undo()
    assert wait_until(lambda: ask(project, NET), SECONDS)


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _nothing(path: Path) -> None:
    pass


ENVIRONMENTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a folder for a file": (".venv/pyvenv.cfg", _folder),
    "a link to itself": (".venv", _loop),
    "a link to itself inside": (".venv/lib", _loop),
    "a file for a folder": (".venv/lib", lambda path: path.write_text("x") and None),
    "no settings": (".venv/pyvenv.cfg", lambda path: path.write_bytes(b"\xff\0\n=\nhome = \0") and None),
    "nothing": (".venv", _nothing),
}


@pytest.mark.parametrize(("path", "plant"), ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
def test_an_environment_that_cannot_be_read(
    path: str,
    plant: Callable[[Path], None],
    projects: Callable[..., Project],  # noqa: F811
) -> None:
    project = projects(bare=False, trusted=True)
    (project.root / path).parent.mkdir(exist_ok=True)
    plant(project.root / path)
    project.write("good.py", GOOD)
    assert wait_until(lambda: project.ask(*NET) == ANSWER, SECONDS)


PYTHONS = {
    "says nothing": "#!/bin/sh\nexit 0\n",
    "hangs": "#!/bin/sh\nexec sleep 1000\n",
    "fails": "#!/bin/sh\nexit 3\n",
    "says something else": "#!/bin/sh\necho hello; cat\n",
    "is no program": "\x00\x01 no program",
}


@pytest.mark.parametrize("text", PYTHONS.values(), ids=PYTHONS.keys())
def test_a_python_that_is_none(text: str, projects: Callable[..., Project]) -> None:  # noqa: F811
    project = projects(trusted=True)
    python = project.write(".venv/bin/python", "")
    python.write_text(text)
    python.chmod(0o755)
    project.write("good.py", GOOD)
    assert wait_until(lambda: project.ask(*NET) == ANSWER, SECONDS)
