"""Starts, asks, times and ends the worker process."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import gradls
from gradls.flow.names import Answer, Question

if TYPE_CHECKING:
    import subprocess

log = logging.getLogger(__name__)

CODE = """\
import importlib.util, sys
spec = importlib.util.spec_from_file_location("gradls", sys.argv[1])
sys.modules["gradls"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.path += sys.argv[2:]
from gradls.resolve.worker import main
main()
"""
"""Runs this very gradls, of which an isolated Python may find another or none."""

TOO_MUCH = 3
"""The exit status of a worker for which a question was too much."""

START_SECONDS = 30.0
FIRST_ANSWER = 3
"""A worker that has read nothing yet may take this many times as long for its first answer."""

PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds to wait before the next start, by how many failures came one after the other."""

FileState = tuple[str, int | None, int | None]
"""A path, its modification time in nanoseconds and its size; nothing for a file that is not there."""


class Reply(NamedTuple):
    """What the worker said to one question. `settled` is false if a file changed too recently to be sure."""

    question: Question
    answer: Answer | None
    files: tuple[FileState, ...]
    settled: bool


class WorkerFailed(Exception):
    """The worker is gone, or was ended for taking too long."""

    def __init__(self, message: str, asked: bool, blamed: bool) -> None:
        """`asked`: it was at the first question not yet answered; `blamed`: and that is what was too much for it."""
        super().__init__(message)
        self.asked = asked
        self.blamed = blamed


class WorkerProcess:
    """One worker at a time, started when something is asked. For one thread at a time, but for `stop`."""

    def __init__(self, settings: Callable[[], dict[str, Any]], timeout: float) -> None:
        """`settings` gives, at each start, what goes to the worker; `timeout` is in seconds, for each answer."""
        self.python: str | None = None
        """The interpreter of the workspace that the last worker ran, if it ran one."""
        self._settings = settings
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._fresh = True
        self._request = 0
        self._failures = 0
        self._not_before = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process number of the worker, if one runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def may_start(self) -> bool:
        """Whether asking would be answered: after failures a worker is not started again at once."""
        return not self._closed and (self.pid is not None or time.monotonic() >= self._not_before)

    def ask(self, root: str, folder: str, questions: Sequence[Question]) -> Iterator[Reply]:
        """The replies, in the order of `questions`, each as it comes. Raises WorkerFailed.

        `folder` holds the file that asks, `root` is the project's.
        """
        if self.pid is None:
            self._start()
        self._request += 1
        request = {"request": self._request, "root": root, "folder": folder, "questions": list(map(list, questions))}
        try:
            self._send(request)
        except OSError:
            # It had nothing to do for long and left just now.
            self._start()
            self._send(request)
        for question in questions:
            reply = self._receive(self._request, self._timeout * (FIRST_ANSWER if self._fresh else 1))
            self._fresh, self._failures = False, 0
            if reply["error"]:
                log.debug("jedi failed on %s: %s", question, reply["error"])
            said = reply["answer"]
            answer = Answer(said[0], said[1], tuple(said[2])) if said else None
            files = tuple((path, modified, size) for path, modified, size in reply["files"])
            yield Reply(question, answer, files, reply["settled"])

    def stop(self) -> None:
        """End the worker, now."""
        import subprocess

        process, self._process = self._process, None
        if process is None:
            return
        # The number of one that has ended may be somebody else's by now; its helper has ended with it.
        if process.poll() is None:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        with contextlib.suppress(OSError):
            if process.stdin:
                process.stdin.close()

    def close(self) -> None:
        """End the worker, and start no other."""
        self._closed = True
        self.stop()

    def _start(self) -> None:
        # It is not needed for the first findings, and takes a while to import.
        import subprocess

        if not self.may_start:
            raise WorkerFailed("closed, or waiting before the next start", asked=False, blamed=False)
        self.stop()
        settings = self._settings()
        # What an editor or a .env file sets for the user's Python could make ours load the workspace's modules.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        try:
            self._process = process = subprocess.Popen(
                [sys.executable, "-I", "-c", CODE, *_arguments()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=settings["cwd"],
                env=environment,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise self._failed(f"could not be started: {error}", asked=False) from error
        if self._closed:
            raise self._failed("was closed", asked=False)
        self._lines = queue.Queue()
        assert process.stdout is not None
        threading.Thread(target=_pass_on, args=(process.stdout, self._lines), daemon=True).start()
        self._fresh = True
        try:
            self._send(settings)
        except OSError as error:
            raise self._failed("did not start", asked=False) from error
        self.python = self._receive(0, START_SECONDS)["python"]

    def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise BrokenPipeError
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()

    def _receive(self, request: int, seconds: float) -> dict[str, Any]:
        """The next message that belongs to `request`; an earlier one may have been given up."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise self._failed(f"gave no answer in {seconds:g} s", asked=request > 0, blamed=True) from None
            if not line:
                status = self._process.wait() if self._process else 0
                raise self._failed("ended", asked=request > 0, blamed=status == TOO_MUCH)
            message: dict[str, Any] = json.loads(line)
            if message["request"] == request:
                return message

    def _failed(self, what: str, asked: bool, blamed: bool = False) -> WorkerFailed:
        self.stop()
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        self._not_before = time.monotonic() + pause
        if not self._closed:
            log.info("the process that looks up names %s; the next one starts in %g s at the earliest", what, pause)
        return WorkerFailed(what, asked, blamed)


def _pass_on(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    """Queue each line of `stream`, and an empty one for its end."""
    with stream, contextlib.suppress(OSError, ValueError):
        for line in stream:
            lines.put(line)
    lines.put(b"")


def _arguments() -> list[str]:
    """Where gradls is, and the folders of the libraries that the worker imports."""
    found = (importlib.util.find_spec(name) for name in ("jedi", "parso"))
    folders = (str(Path(spec.origin).parent.parent) for spec in found if spec and spec.origin)
    return [os.path.abspath(gradls.__file__), *dict.fromkeys(folders)]
