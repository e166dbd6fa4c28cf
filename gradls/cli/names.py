"""Imported names: a first round of analysis says what it would like to know, the resolver finds it out in a process of
its own, and the files that it helps are analysed again."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gradls.cli.inputs import Task
from gradls.cli.records import Report

MOST_ROUNDS = 3
MOST_FILES_UNASKED = 20

if TYPE_CHECKING:
    from gradls.resolve.resolver import Resolver


def analyse(
    run: Callable[[Sequence[Task]], list[Report]],
    tasks: Sequence[Task],
    arguments: argparse.Namespace,
    answers: Path | None = None,
) -> list[tuple[Task, Report]]:
    """The reports that `run` makes of `tasks`, each with its task, which has what had to be known of imported names.

    `answers` is the folder where what was found out about names is kept, None for the user's own.
    """
    tasks = list(tasks)
    reports = run(tasks)
    if not _wanted(arguments.resolve, reports):
        return list(zip(tasks, reports, strict=True))
    with _Resolvers(arguments.python, answers) as resolvers:
        for _ in range(MOST_ROUNDS):
            again = dict(_told_more(resolvers, tasks, reports))
            if not again:
                break
            for index, report in zip(again, run(list(again.values())), strict=True):
                tasks[index], reports[index] = again[index], report
    return list(zip(tasks, reports, strict=True))


def _wanted(resolve: bool | None, reports: Sequence[Report]) -> bool:
    """Looking a name up costs a hundred times the analysis of the line that has it: not unasked for a whole project."""
    if resolve is None:
        resolve = len(reports) <= MOST_FILES_UNASKED
    return resolve and any(report.questions for report in reports)


def _told_more(resolvers: _Resolvers, tasks: Sequence[Task], reports: Sequence[Report]) -> Iterator[tuple[int, Task]]:
    """The tasks for which something new has been found out, with it, by their index."""
    folders: dict[str, list[int]] = defaultdict(list)
    for index, report in enumerate(reports):
        if report.questions - tasks[index].answers.keys():
            folders[os.path.dirname(os.path.abspath(report.path))].append(index)
    for folder, indices in folders.items():
        resolver = resolvers.of(tasks[indices[0]].root)
        near = os.path.join(folder, "__main__.py")
        resolver.resolve_now({question for index in indices for question in reports[index].questions}, near)
        for index in indices:
            open_questions = reports[index].questions - tasks[index].answers.keys()
            found = {question: resolver.ask(question, near) for question in open_questions}
            new = {question: answer for question, answer in found.items() if answer is not None}
            if new:
                yield index, dataclasses.replace(tasks[index], answers={**tasks[index].answers, **new})


class _Resolvers:
    """One resolver for each project, ended together."""

    def __init__(self, python: str | None, answers: Path | None) -> None:
        self._python = python
        self._answers = answers
        self._stack = ExitStack()
        self._by_root: dict[Path, Resolver] = {}

    def __enter__(self) -> _Resolvers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def of(self, root: Path) -> Resolver:
        """The resolver of the project in `root`."""
        from gradls.resolve.resolver import Resolver  # only where there are questions

        if root not in self._by_root:
            self._by_root[root] = self._stack.enter_context(Resolver(root, self._python, answers=self._answers))
        return self._by_root[root]
