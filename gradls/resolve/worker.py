"""The process in which jedi runs: questions come in, answers go out, one JSON object a line.

The first line in is the configuration, the first line out says that the worker is ready. It ends when its input does,
when it has nothing to do for long, and when it needs too much memory.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from gradls.flow.names import Question
from gradls.resolve.process import TOO_MUCH
from gradls.resolve.trees import FRESH_NS

if TYPE_CHECKING:
    from gradls.resolve.inference import Reply


def main() -> None:
    """Serve until the input ends. Nothing else may write to standard output."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    source = sys.stdin.buffer
    settings = json.loads(source.readline())
    limit_memory(settings["memory"])
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=listen, args=(source, requests), daemon=True).start()
    worker = Worker(settings, replies)
    while True:
        try:
            request = requests.get(timeout=settings["idle"])
        except queue.Empty:
            leave(0)
        worker.serve(request)
        if resident_memory() > settings["large"]:
            leave(0)


def listen(source: IO[bytes], requests: queue.Queue[dict[str, Any]]) -> None:
    """Pass requests on; when there will be no more, the one who asked is gone, whatever jedi is doing."""
    for line in source:
        requests.put(json.loads(line))
    abandon()


def leave(status: int) -> NoReturn:
    """End at once. jedi's helper ends when its input does."""
    os._exit(status)


def abandon() -> NoReturn:
    """End with jedi's helper, whatever that is doing."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def limit_memory(size: int) -> None:
    """Let no allocation go beyond `size` bytes, where the system can do that."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):
        pass


def resident_memory() -> int:
    """Bytes in use, 0 where that is not told."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class Worker:
    """Answers questions with the environment that `settings` describe."""

    def __init__(self, settings: dict[str, Any], replies: IO[bytes]) -> None:
        import jedi  # type: ignore[import-untyped]
        from parso.file_io import FileIO

        from gradls.resolve import reader
        from gradls.resolve.inference import Place
        from gradls.resolve.trees import Trees

        Trees(Path(settings["cache"])).install()
        FileIO.read = content_of  # type: ignore[method-assign]
        jedi.settings.cache_directory = Path(settings["cache"])
        # Who calls a function elsewhere in the project says nothing about the call in question, and takes long to find.
        jedi.settings.dynamic_params = False
        jedi.settings.auto_import_modules = []
        self.replies = replies
        trusted = settings["python"]
        try:
            self.environment = reader.create(trusted)
        except jedi.InvalidPythonEnvironment:
            trusted = None
            self.environment = reader.create(None)
        packages = settings["packages"]
        if trusted or not packages:
            packages = [*reader.installed_packages(self.environment)]
        standard = reader.standard_library(self.environment)
        self.place = Place(standard, tuple(packages), settings["stubs"], settings["stubs_first"])
        self.send({"request": 0, "python": trusted})

    def serve(self, request: dict[str, Any]) -> None:
        """Answer the questions of one request, each as soon as its answer is known."""
        for question in request["questions"]:
            started = time.time_ns()
            reply = self.answer(question, Path(request["root"]), Path(request["folder"]))
            files = [(path, *state_of(path)) for path in dict.fromkeys(reply.files)]
            settled = all(modified is None or modified < started - FRESH_NS for _, modified, _ in files)
            said = {"answer": reply.answer, "files": files, "settled": settled, "error": reply.error}
            self.send({"request": request["request"], **said})

    def answer(self, question: list[Any], root: Path, folder: Path) -> Reply:
        from gradls.resolve.inference import answer

        try:
            return answer(Question(*question), root, folder, self.place, self.environment)
        except MemoryError:
            leave(TOO_MUCH)
        except Exception:
            # jedi's helper has died, say.
            leave(1)

    def send(self, reply: dict[str, Any]) -> None:
        try:
            self.replies.write(json.dumps(reply).encode() + b"\n")
            self.replies.flush()
        except OSError:
            leave(0)


def content_of(file: Any) -> bytes:
    """What is in `file`, a parso FileIO. OSError if it is none: reading a pipe or a device may never end."""
    if not os.path.isfile(file.path):
        raise FileNotFoundError(file.path)
    with open(file.path, "rb") as stream:
        return stream.read()


def state_of(path: str) -> tuple[int | None, int | None]:
    """When `path` was modified, in nanoseconds, and its size; nothing for what is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None, None
    return status.st_mtime_ns, status.st_size


if __name__ == "__main__":
    main()
