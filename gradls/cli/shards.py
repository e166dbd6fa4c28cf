"""`--shard I/N`: which of the files are this machine's. Every file belongs to one of the N shards, wherever and
whenever that is asked, whatever other files there are."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
from collections.abc import Sequence

from gradls.cli.inputs import STDIN, Task, UsageError
from gradls.cli.names import MOST_FILES_UNASKED


def shard_of(path: str, count: int) -> int:
    """The shard, from 1 to `count`, that `path`, relative and with slashes, belongs to."""
    digest = hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % count + 1


def shared_out(arguments: argparse.Namespace, tasks: Sequence[Task]) -> list[Task]:
    """Those of `tasks` that are in the shard which the arguments name. All shards look names up, or none does.
    UsageError if the text on stdin is among them."""
    if arguments.shard is None:
        return list(tasks)
    if STDIN in arguments.paths:
        raise UsageError("--shard shares files out: stdin is none")
    if arguments.resolve is None:
        arguments.resolve = len(tasks) <= MOST_FILES_UNASKED
    number, count = arguments.shard
    return [task for task in tasks if shard_of(_from_here(task.path), count) == number]


def _from_here(path: str) -> str:
    """A path as seen from the current folder, with slashes: checkouts are in other places on other machines."""
    with contextlib.suppress(ValueError):  # it is on another drive
        path = os.path.relpath(path)
    return path.replace(os.sep, "/")
