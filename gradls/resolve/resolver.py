"""Who is this name: answers that are known, and the worker process that finds out others."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradls.flow.names import Answer, Question
from gradls.resolve.environment import Environment, find_environment
from gradls.resolve.known import Key, Known
from gradls.resolve.process import FileState, WorkerFailed, WorkerProcess

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    # It is not needed for what is known, and takes a while to import.
    from gradls.resolve.cache import Cache
    from gradls.resolve.disk import Folder

log = logging.getLogger(__name__)

STUBS = Path(__file__).parent / "stubs"
MEMORY_BYTES = 2 << 30
LARGE_BYTES = 320 << 20
"""A worker that has grown to this leaves when it has answered; the next one starts small."""

IDLE_SECONDS = 60.0


class NamesFor:
    """What a resolver knows, for the imports of one file."""

    def __init__(self, known: Known, folder: str) -> None:
        self._answers = known.answers
        self._folder = folder

    def ask(self, question: Question) -> Answer | None:
        return self._answers.get(Key(self._folder, question))


class Resolver:
    """Answers what names mean in the project at `root`.

    `names_for` and `ask` give what is known, at once and from any thread. `resolve` finds out more, in a process of its
    own: one that takes too long over a question, dies, or needs too much memory costs what it had not answered yet.
    Answers outlive the process, and are kept on disk for the next start.
    """

    def __init__(
        self,
        root: Path | None,
        python: str | None = None,
        trusted: bool = False,
        timeout: float = 10.0,
        *,
        cache: Path | None = None,
        answers: Path | None = None,
        stubs_first: bool = True,
    ) -> None:
        """Nothing is started or read here.

        `python` is the project's interpreter or virtual environment; without it the one in `root` or the active one is
        taken. It is run only if `trusted`, otherwise its folders are read. `timeout` is in seconds for each answer.
        `cache` is a private folder to use instead of the user's. `answers` is a folder for answers alone, which others
        may write, too; it defaults to what the environment names, then to `cache`. `stubs_first`: prefer our stubs to a
        torch that is installed, which is quicker.
        """
        self.root = Path(os.path.abspath(root)) if root else None
        self._python = python
        self._trusted = trusted
        self._stubs_first = stubs_first
        self._cache_place = cache
        self._answers_place = answers
        self._known = Known()
        self._worker = WorkerProcess(self._settings, timeout)
        self._folders: dict[tuple[Path | None, bool], Folder] = {}
        self._cache: Cache | None = None
        # The one is held for moments, the other by whoever talks to the disk and the worker.
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False

    def names_for(self, path: str) -> NamesFor:
        """What is known now for the imports of the file `path`, which need not exist."""
        return NamesFor(self._known, self._folder(path))

    def ask(self, question: Question, near: str | None = None) -> Answer | None:
        """What is known of a question that the file `near` asks, or a file in the root."""
        return self._known.answers.get(Key(self._folder(near), question))

    async def resolve(self, questions: Iterable[Question], near: str) -> bool:
        """Find out what is not known yet of `questions` that the file `near` asks. True if that gave any answer.

        A question that has no answer is not asked again until a file that matters changes.
        """
        # The command line has no use for it, and it takes a while to import.
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        wanted = set(questions)
        if self._closed or not self._open(wanted, self._folder(near)):
            return False
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, "gradls-resolve")
        try:
            finding = asyncio.get_running_loop().run_in_executor(self._threads, self.resolve_now, wanted, near)
        except RuntimeError:
            # Closed in this very moment.
            return False
        return await finding

    def resolve_now(self, questions: Iterable[Question], near: str) -> bool:
        """Like `resolve`, but waits."""
        folder = self._folder(near)
        wanted = self._open(questions, folder)
        if not wanted:
            return False
        with self._turn:
            keys = [key for key in wanted if key not in self._known.answers]
            if keys and not self._closed:
                self._find(keys, folder)
        return any(self._known.answers.get(key) is not None for key in wanted)

    def changed(self, path: str) -> dict[str, set[Question]]:
        """Forget what rests on the file or folder `path`, which was written, made, moved or removed.

        Returns the questions that are open again, by the folder of the files that asked them.
        """
        with self._lock:
            forgotten = self._known.changed(self._absolute(path))
        found: dict[str, set[Question]] = {}
        for key in forgotten:
            found.setdefault(key.folder, set()).add(key.question)
        return found

    def close(self) -> None:
        """End the worker process. What is known can still be asked."""
        self._closed = True
        self._worker.close()
        if self._threads:
            self._threads.shutdown(wait=False)
        with self._turn:
            if self._cache:
                self._cache.close()
            for folder in self._folders.values():
                folder.close()

    def __enter__(self) -> Resolver:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def worker_pid(self) -> int | None:
        """The process number of the worker, if one runs."""
        return self._worker.pid

    def _open(self, questions: Iterable[Question], folder: str) -> list[Key]:
        answers = self._known.answers
        return [key for key in (Key(folder, question) for question in sorted(questions)) if key not in answers]

    def _absolute(self, path: str) -> str:
        return os.path.normpath(os.path.join(self.root or os.getcwd(), path))

    def _folder(self, near: str | None) -> str:
        """The folder of the file that asks; of a buffer without a file it is the root."""
        if near is None or (self.root is None and not os.path.isabs(near)):
            return str(self.root or Path.home().anchor)
        return os.path.dirname(self._absolute(near))

    def _find(self, keys: list[Key], folder: str) -> None:
        """Take what the disk has, and ask the worker for the rest."""
        cache = self._open_cache()
        since = self._known.now()
        for key, (answer, files) in cache.load(keys).items():
            with self._lock:
                self._known.add(key, answer, files, since)
        todo = [key for key in keys if key not in self._known.answers]
        cache.store(self._ask_worker(todo, folder))

    def _ask_worker(self, todo: list[Key], folder: str) -> list[tuple[Key, Answer | None, tuple[FileState, ...]]]:
        """Ask until there is nothing left to do, or the worker needs a rest. Returns what is worth keeping."""
        root = str(self.root) if self.root and self.root in (Path(folder), *Path(folder).parents) else folder
        died_on: Key | None = None
        keep = []
        while todo and self._worker.may_start:
            since = self._known.now()
            try:
                for reply in self._worker.ask(root, folder, [key.question for key in todo]):
                    key = todo.pop(0)
                    with self._lock:
                        fits = self._known.add(key, reply.answer, [path for path, _, _ in reply.files], since)
                    if fits and reply.settled:
                        keep.append((key, reply.answer, reply.files))
            except WorkerFailed as failure:
                if self._closed or not failure.asked:
                    break
                # It may have been ended by somebody else: what it was at is then asked once more.
                if failure.blamed or todo[0] == died_on:
                    with self._lock:
                        self._known.suspect(todo.pop(0))
                else:
                    died_on = todo[0]
        return keep

    def _settings(self) -> dict[str, Any]:
        """What a worker has to know."""
        from gradls.resolve.disk import TREES

        folder = self._folder_for(self._cache_place, True)
        environment = find_environment(self.root, self._python)
        found = environment.python or ", ".join(environment.packages) or "nothing: no environment was found"
        how = "" if self._trusted or not environment.python else ", which is read and not run: it is not `trusted`"
        log.info("%s: names are looked up in %s%s", self.root or "no folder", found, how)
        return {
            "cwd": str(folder if os.path.isdir(folder) else Path.home().anchor),
            "cache": str(folder / TREES),
            "python": environment.python if self._trusted else None,
            "packages": [*environment.packages, *environment.editable],
            "stubs": str(STUBS),
            "stubs_first": self._stubs_first,
            "memory": MEMORY_BYTES,
            "large": LARGE_BYTES,
            "idle": IDLE_SECONDS,
        }

    def _folder_for(self, place: Path | None, private: bool) -> Path:
        """The folder `place`, made if need be, or one that stands in for it."""
        from gradls.resolve.disk import Folder

        key = place, private
        if key not in self._folders:
            self._folders[key] = Folder(place, private, workspace=self.root)
        return self._folders[key].path

    def _open_cache(self) -> Cache:
        if self._cache is None:
            from gradls.resolve.cache import Cache
            from gradls.resolve.disk import chosen_folder

            place = self._answers_place or (chosen_folder() if self._cache_place is None else None)
            folder = self._folder_for(place, False) if place else self._folder_for(self._cache_place, True)
            root = self.root or Path(Path.home().anchor)
            owner = json.dumps([self._python, self._trusted, self._stubs_first])
            environment = find_environment(self.root, self._python)
            self._cache = Cache(folder, root, owner, version_of(environment))
        return self._cache


def version_of(environment: Environment) -> str:
    """What every answer depends on."""
    from importlib.metadata import version

    from gradls.resolve.disk import fingerprint

    tools = [version(name) for name in ("jedi", "parso")]
    return json.dumps([fingerprint("resolve"), *tools, sys.version_info[:2], environment.state()])
