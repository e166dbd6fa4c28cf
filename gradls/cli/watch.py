"""`gradls check --watch`: once, and again whenever a file changes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.text import Text

from gradls.cli.changes import Changes
from gradls.cli.inputs import Inputs, Task, UsageError
from gradls.cli.live import Live
from gradls.cli.memory import Memory, kept
from gradls.cli.names import Learned, analyse
from gradls.cli.output import warn
from gradls.cli.records import Report
from gradls.cli.text import console_for
from gradls.syntax.text import visible

MOST_NAMED = 5

Show = Callable[[Inputs, Sequence[tuple[Task, Report]]], None]


def watch(arguments: argparse.Namespace, show: Show) -> int:
    """Check, have `show` print what came of it, and wait for changes, until an interrupt; the exit status, which is 0.
    `show` may raise UsageError."""
    try:
        with ExitStack() as stack:
            folders = stack.enter_context(kept(arguments))
            # What did not change is not analysed again, if need be by what is kept until the end only.
            results = folders.results or Path(stack.enter_context(TemporaryDirectory(prefix="gradls-")))
            memory = stack.enter_context(closing(Memory(False, arguments.jobs, results)))
            _Watch(arguments, memory, folders.answers, show).run()
    except KeyboardInterrupt:
        return 0
    return 0


class _Watch:
    def __init__(self, arguments: argparse.Namespace, memory: Memory, answers: Path | None, show: Show) -> None:
        self._arguments = arguments
        self._memory = memory
        self._answers = answers
        self._show = show
        self._live = Live()
        self._learned = Learned()
        self._console = console_for()

    def run(self) -> None:
        """Check, again and again; ends by an exception."""
        roots = _roots(Inputs(self._arguments).tasks)
        changed: set[str] = set()
        while True:
            changes = Changes(roots, [path for path in (self._arguments.config, self._arguments.baseline) if path])
            roots = self._check(changed) or roots
            sys.stdout.flush()
            changed = changes.wait()

    def _check(self, changed: set[str]) -> list[str]:
        """Check once; the folders to watch."""
        if self._console.is_terminal and sys.stdout.isatty():
            self._console.clear()
        elif changed:
            self._console.print(Text(f"\n{_named(changed)}:\n", "dim"))
        self._live.edited(changed)
        try:
            inputs = Inputs(self._arguments)
            told = analyse(self._reports, inputs.tasks, self._arguments, self._answers, self._learned)
            self._show(inputs, told)
        except UsageError as error:
            warn(str(error))
            return []
        self._console.print(Text("Waiting for changes; Ctrl-C ends.", "dim"))
        return _roots(inputs.tasks)

    def _reports(self, tasks: Sequence[Task]) -> list[Report]:
        live = [task for task in tasks if self._live.has(task)]
        others = [task for task in tasks if not self._live.has(task)]
        reports = {report.path: report for report in [*self._memory.reports(others), *self._live.reports(live)]}
        return [reports[task.path] for task in tasks]


def _roots(tasks: Sequence[Task]) -> list[str]:
    """The folders in which something may matter, without those in others of them."""
    folders = {str(task.root) for task in tasks} | {os.path.abspath(task.among) for task in tasks if task.among}
    return [each for each in sorted(folders) if not any(str(above) in folders for above in Path(each).parents)]


def _named(changed: set[str]) -> str:
    names = sorted(visible(os.path.relpath(path)) for path in changed)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"Changed: {', '.join(names[:MOST_NAMED])}{more}"
