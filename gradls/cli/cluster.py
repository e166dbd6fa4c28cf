"""`gradls check --dask`: the workers of a Dask cluster as processes to work with.

A worker has the same gradls, with the same plugins, and sees the files at the same paths: that is looked at before
anything is asked of it.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import gradls
from gradls.cli.memory import own_versions
from gradls.cli.pool import Pool, run_chunk
from gradls.workspace.looked import content_of
from gradls.workspace.project import project_root

T = TypeVar("T")
R = TypeVar("R")

SECONDS_TO_ANSWER = 30
MOST_NAMED = 3
_one_at_a_time = threading.Lock()
"""A worker may have several threads: the current folder is that of all of them, and so is much in gradls."""


class ClusterError(Exception):
    """A cluster that is of no use: a sentence for the user."""


class Identity(NamedTuple):
    """What has to be the same wherever files are analysed. `build` changes with the text of gradls and its plugins."""

    version: str
    python: str
    build: tuple[str, ...]


@cache
def identity() -> Identity:
    """That of this process, as it was when it was asked for first: what it has imported does not change."""
    return Identity(gradls.__version__, "{}.{}".format(*sys.version_info), tuple(own_versions()))


def seen(folder: str, path: str | None) -> tuple[Identity, bool, str]:
    """What a worker says of itself: its identity, whether there is a `folder`, and the state of the file `path`."""
    return identity(), os.path.isdir(folder), content_of(path)[0] if path is not None else ""


def run_there(folder: str, client: Identity, function: Callable[[T], R], tasks: Sequence[T]) -> list[R]:
    """On a worker: `function` of each of `tasks`, whose paths are those that are seen from `folder`. ClusterError if it
    is not like the `client`: it may have come later."""
    problem = _difference(client, identity())
    if problem:
        raise ClusterError(problem)
    with _one_at_a_time:
        before = os.getcwd()
        try:
            os.chdir(folder)
        except OSError as error:
            raise ClusterError(f"a worker cannot go to {folder}: {error.strerror}") from None
        try:
            project_root.cache_clear()  # it works longer than a command does
            return run_chunk(function, tasks)
        finally:
            os.chdir(before)


@contextmanager
def cluster(address: str, path: str | None) -> Iterator[Pool]:
    """The workers of the scheduler at `address`. `path` is a file that they all have to see as it is seen here.

    ClusterError if there is no such cluster, if its workers are of no use, or if it is lost meanwhile.
    """
    try:
        from distributed import Client, KilledWorker
        from distributed.comm import CommClosedError
    except ImportError:
        raise ClusterError("--dask needs the package distributed: pip install 'gradls[dask]'") from None
    try:
        _knock(address)
        client = Client(address, timeout=SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        raise ClusterError(f"there is no Dask scheduler at {address} ({_first_line(error)})") from None
    try:
        count = _useful(client, address, path)
        run = partial(run_there, os.getcwd(), identity())
        yield Pool(count, lambda _: client.get_executor(pure=False), run, KilledWorker)
    except (CancelledError, CommClosedError, ModuleNotFoundError) as error:
        raise ClusterError(f"the cluster at {address} is lost ({_first_line(error)})") from None
    finally:
        client.close()


def _knock(address: str) -> None:
    """OSError or ValueError if nobody listens at `address`: a client would try again for a minute."""
    from distributed.comm import parse_address
    from distributed.comm.addressing import parse_host_port

    scheme, place = parse_address(address)
    if scheme in ("tcp", "tls"):
        socket.create_connection(parse_host_port(place), timeout=SECONDS_TO_ANSWER).close()


def _useful(client: Any, address: str, path: str | None) -> int:
    """How many threads the workers have. ClusterError unless they are all like this process, and see what it sees."""
    known = client.run(seen, os.getcwd(), os.path.abspath(path) if path is not None else None, on_error="return")
    if not known:
        raise ClusterError(f"the Dask cluster at {address} has no workers")
    expected = seen(os.getcwd(), os.path.abspath(path) if path is not None else None)
    problems = {worker: _objection(answer, expected, path) for worker, answer in sorted(known.items())}
    told = [f"{worker}: {problem}" for worker, problem in problems.items() if problem]
    if told:
        more = f"; and {len(told) - MOST_NAMED} more" if len(told) > MOST_NAMED else ""
        raise ClusterError(f"workers at {address} cannot be used: {'; '.join(told[:MOST_NAMED])}{more}")
    return max(1, sum(client.nthreads().values()))


def _objection(answer: Any, expected: tuple[Identity, bool, str], path: str | None) -> str | None:
    if isinstance(answer, BaseException):
        return f"it has no gradls like this one, {gradls.__version__} ({_first_line(answer)})"
    there, has_folder, state = answer
    problem = _difference(expected[0], there)
    if problem is None and not has_folder:
        problem = f"it sees no folder {os.getcwd()}: files must be at the same paths for all"
    if problem is None and state != expected[2]:
        problem = f"it does not see {path} as it is here: files must be at the same paths for all"
    return problem


def _difference(client: Identity, worker: Identity) -> str | None:
    if tuple(worker) == tuple(client):
        return None
    if worker.version != client.version:
        return f"it has gradls {worker.version}, this one is {client.version}"
    if worker.python != client.python:
        return f"it has Python {worker.python}, this one is {client.python}"
    return f"its gradls {worker.version} has other code or plugins than this one"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
