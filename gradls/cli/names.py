"""Imported names: a first round of analysis says what it would like to know, the resolver finds it out in a process of
its own, and the files that it helps are analysed again."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gradls.cli.inputs import Task
from gradls.cli.records import Report
from gradls.flow.names import Answer, Question

MOST_ROUNDS = 3
MOST_FILES_UNASKED = 20

if TYPE_CHECKING:
    from gradls.resolve.resolver import Resolver


def analyse(
    run: Callable[[Sequence[Task]], list[Report]],
    tasks: Sequence[Task],
    arguments: argparse.Namespace,
    answers: Path | None = None,
    learned: Learned | None = None,
) -> list[tuple[Task, Report]]:
    """The reports that `run` makes of `tasks`, each with its task, which has what had to be known of imported names.

    `answers` is the folder where what was found out about names is kept, None for the user's own. `learned` is what
    runs before this one in the same process have found out.
    """
    learned = learned or Learned()
    tasks = [learned.applied(task) for task in tasks]
    reports = run(tasks)
    if not _wanted(arguments.resolve, reports):
        return list(zip(tasks, reports, strict=True))
    with _Resolvers(arguments.python, answers) as resolvers:
        for _ in range(MOST_ROUNDS):
            again = dict(_told_more(resolvers, tasks, reports, learned))
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


def _told_more(
    resolvers: _Resolvers, tasks: Sequence[Task], reports: Sequence[Report], learned: Learned
) -> Iterator[tuple[int, Task]]:
    """The tasks for which something new has been found out, with it, by their index."""
    folders: dict[str, list[int]] = defaultdict(list)
    for index, report in enumerate(reports):
        if learned.ask(tasks[index], report.questions):
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
                learned.answers[tasks[index].path] = {**tasks[index].answers, **new}
                yield index, learned.applied(tasks[index])


class Learned:
    """What is known of the imports of files, by path, and what was asked about them."""

    def __init__(self) -> None:
        self.answers: dict[str, Mapping[Question, Answer]] = {}
        self._asked: dict[str, set[Question]] = defaultdict(set)

    def applied(self, task: Task) -> Task:
        """A task with what is known."""
        answers = self.answers.get(task.path)
        return dataclasses.replace(task, answers=answers) if answers else task

    def ask(self, task: Task, questions: Set[Question]) -> bool:
        """Whether there are `questions` that nobody has asked yet about the file of `task`; they are asked now."""
        new = questions - task.answers.keys() - self._asked[task.path]
        self._asked[task.path] |= new
        return bool(new)


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
