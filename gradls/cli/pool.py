"""Work on many files: in this process, on all cores, or wherever an executor has its processes, with a progress bar
where somebody watches."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress

from gradls.workspace.project import one_look

T = TypeVar("T")
R = TypeVar("R")

ENOUGH_FOR_PROCESSES = 20
LARGEST_CHUNK = 16
MANY_OBJECTS = 500_000
"""So many new ones, some 100 MB, are worth a collection."""


@dataclass(frozen=True, slots=True)
class Pool:
    """So many processes, `count`, and how work gets to them.

    `start` gives an executor of so many of them. What is submitted there is `run` with a function and tasks, of which
    it gives the results. `lost` is raised for those whose process ended.
    """

    count: int
    start: Callable[[int], AbstractContextManager[Executor]]
    run: Callable[[Callable[[Any], Any], Sequence[Any]], list[Any]]
    lost: type[BaseException]


def work(
    function: Callable[[T], R],
    tasks: Sequence[T],
    lost: Callable[[T], R],
    jobs: int | Pool | None = None,
    done: Callable[[T, R], None] = lambda task, result: None,
) -> list[R]:
    """`function` of each of `tasks`, in their order. `lost` is the result for a task that ended its process.

    `function` and `lost` travel to other processes, so they are functions of modules, or partial ones. `done` is told
    here of each task and its result as soon as it is there, in any order. `jobs` says how many processes of this
    machine there are to be, by default one for each core; or it has others.
    """
    pool = jobs if isinstance(jobs, Pool) else Pool(jobs or _cores(), _local_processes, run_chunk, BrokenProcessPool)
    stays = pool is not jobs and (pool.count == 1 or len(tasks) <= ENOUGH_FOR_PROCESSES or not _can_start_safely())
    results: dict[int, R] = {}
    with _progress(len(tasks)) as advance:

        def finish(index: int, result: R) -> None:
            results[index] = result
            done(tasks[index], result)
            advance(1)

        if stays:
            _run(function, enumerate(tasks), finish)
        else:
            _in_processes(function, tasks, lost, pool, finish)
    return [results[index] for index in range(len(tasks))]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _can_start_safely() -> bool:
    """Whether processes can be had that import nothing from the current folder, which may be full of strangers' code:
    those that are no forks begin with `python -c`, which looks there first unless it is told not to."""
    return sys.version_info >= (3, 11) or multiprocessing.get_start_method() == "fork"


@contextmanager
def _started_safely() -> Iterator[None]:
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


@contextmanager
def _local_processes(count: int) -> Iterator[Executor]:
    with _started_safely(), ProcessPoolExecutor(count, initializer=_start_worker) as executor:
        yield executor


def _in_processes(
    function: Callable[[T], R],
    tasks: Sequence[T],
    lost: Callable[[T], R],
    pool: Pool,
    finish: Callable[[int, R], None],
) -> None:
    finished: set[int] = set()
    with pool.start(pool.count) as executor:
        chunks = list(_chunks(len(tasks), pool.count))
        futures = {executor.submit(pool.run, function, [tasks[i] for i in chunk]): chunk for chunk in chunks}
        for future in _as_completed(futures):
            try:
                results = future.result()
            except pool.lost:
                continue
            for index, result in zip(futures[future], results, strict=True):
                finish(index, result)
                finished.add(index)
    for index, task in enumerate(tasks):
        if index not in finished:
            finish(index, _alone(function, task, lost, pool))


def _chunks(count: int, jobs: int) -> Iterator[range]:
    """What goes to a process together: neighbours, which have most of their imports in common; ever fewer towards the
    end, so that all processes end at about the same time."""
    start = 0
    while start < count:
        end = start + max(1, min(LARGEST_CHUNK, (count - start) // (jobs * 4)))
        yield range(start, end)
        start = end


def _as_completed(futures: dict[Future[R], range]) -> Iterator[Future[R]]:
    """As in concurrent.futures, but an interrupt does not wait for the chunks that have not begun."""
    pending = set(futures)
    try:
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from done
    finally:
        for future in pending:
            future.cancel()


def _alone(function: Callable[[T], R], task: T, lost: Callable[[T], R], pool: Pool) -> R:
    """A task whose process ended, perhaps by the fault of another one: once more, with a process to itself."""
    with pool.start(1) as executor:
        try:
            return executor.submit(pool.run, function, [task]).result()[0]
        except pool.lost:
            return lost(task)


def _start_worker() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and ends its workers
    gc.disable()
    gc.freeze()


def run_chunk(function: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
    """`function` of each of `tasks`, in this process."""
    results: list[R] = []
    _run(function, enumerate(tasks), lambda index, result: results.append(result))
    return results


def _run(function: Callable[[T], R], tasks: Iterable[tuple[int, T]], finish: Callable[[int, R], None]) -> None:
    with _rare_collections() as collect, one_look():
        for index, task in tasks:
            finish(index, function(task))
            collect()


@contextmanager
def _rare_collections() -> Iterator[Callable[[], object]]:
    """Automatic collections look through all trees at hand, and made parsing four times slower.

    Within the block the collector runs when what it gives is called and much is new. What was there before, and what
    survived, is not looked at again: that is what the next files have in common.
    """
    if not gc.isenabled():
        yield _collect_if_much_is_new  # a worker is in such a block all its life
        return
    gc.disable()
    gc.freeze()
    try:
        yield _collect_if_much_is_new
    finally:
        gc.freeze()  # else what is new would be looked through at once
        gc.unfreeze()
        gc.enable()


def _collect_if_much_is_new() -> None:
    if gc.get_count()[0] > MANY_OBJECTS:
        gc.collect()
        gc.freeze()


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if total <= ENOUGH_FOR_PROCESSES or not console.is_terminal or not sys.stderr.isatty():
        yield lambda count: None
        return
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("Reading", total=total)
        yield partial(progress.advance, bar)
