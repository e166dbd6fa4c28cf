"""Work on many files: in this process, or on all cores, with a progress bar where somebody watches."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

ENOUGH_FOR_PROCESSES = 20
LARGEST_CHUNK = 16
MANY_OBJECTS = 500_000
"""So many new ones, some 100 MB, are worth a collection."""


def work(
    function: Callable[[T], R],
    tasks: Sequence[T],
    lost: Callable[[T], R],
    jobs: int | None = None,
) -> list[R]:
    """`function` of each of `tasks`, in their order. `lost` is the result for a task that ended its process.

    `function` and `lost` travel to other processes, so they are functions of modules, or partial ones.
    """
    jobs = jobs or _cores()
    with _progress(len(tasks)) as advance:
        if jobs == 1 or len(tasks) <= ENOUGH_FOR_PROCESSES:
            return _run_chunk(function, tasks, advance)
        return _in_processes(function, tasks, lost, jobs, advance)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(
    function: Callable[[T], R], tasks: Sequence[T], lost: Callable[[T], R], jobs: int, advance: Callable[[int], None]
) -> list[R]:
    size = max(1, min(LARGEST_CHUNK, len(tasks) // (jobs * 4)))
    chunks = [range(start, min(start + size, len(tasks))) for start in range(0, len(tasks), size)]
    results: dict[int, R] = {}
    with ProcessPoolExecutor(jobs, initializer=_start_worker) as pool:
        futures = {pool.submit(_run_chunk, function, [tasks[i] for i in chunk]): chunk for chunk in chunks}
        for future in _as_completed(futures):
            try:
                results.update(zip(futures[future], future.result(), strict=True))
            except BrokenProcessPool:
                continue
            advance(len(futures[future]))
    for index, task in enumerate(tasks):
        if index not in results:
            results[index] = _alone(function, task, lost)
            advance(1)
    return [results[index] for index in range(len(tasks))]


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


def _alone(function: Callable[[T], R], task: T, lost: Callable[[T], R]) -> R:
    """A task whose process ended, perhaps by the fault of another one: once more, in a process of its own."""
    with ProcessPoolExecutor(1, initializer=_start_worker) as pool:
        try:
            return pool.submit(function, task).result()
        except BrokenProcessPool:
            return lost(task)


def _start_worker() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and ends its workers
    gc.disable()
    gc.freeze()


def _run_chunk(function: Callable[[T], R], tasks: Sequence[T], advance: Callable[[int], None] | None = None) -> list[R]:
    results = []
    with _rare_collections() as collect:
        for task in tasks:
            results.append(function(task))
            if advance:
                advance(1)
            collect()
    return results


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
