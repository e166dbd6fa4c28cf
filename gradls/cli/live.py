"""Files that are edited again and again: their sessions stay, so that an edit costs what it touches."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from gradls.cli.analysis import failures_in, tell, text_of
from gradls.cli.inputs import Task
from gradls.cli.records import Report
from gradls.flow.names import Answer, Question
from gradls.workspace.config import Config
from gradls.workspace.project import Answers
from gradls.workspace.session import Session

MOST_FILES = 16
"""So many stay, those that changed last."""


class Live:
    """The sessions of what was edited last."""

    def __init__(self) -> None:
        self._sessions: list[_Open] = []
        self._edited: list[str] = []

    def edited(self, changed: Iterable[str]) -> None:
        """Files, by their absolute paths, are not what they were."""
        paths = sorted(changed)
        self._edited = [*(path for path in self._edited if path not in paths), *paths][-MOST_FILES:]
        for each in self._sessions:
            each.session.changed_on_disk(*paths)

    def has(self, task: Task) -> bool:
        """Whether a file is one of those that stay."""
        return task.data is None and os.path.abspath(task.path) in self._edited

    def reports(self, tasks: Sequence[Task]) -> list[Report]:
        """The reports on such files. Sessions of others, or with other configurations, are given up."""
        wanted = {task.path for task in tasks}
        kept = [each for each in self._sessions if any(each.is_for(task) for task in tasks)]
        for each in self._sessions:
            if each not in kept:
                each.session.end()
        self._sessions = kept
        for each in kept:
            for path in each.session.opened():
                if path not in wanted:
                    each.session.close(path)
        return [self._of(task).report(task) for task in tasks]

    def _of(self, task: Task) -> _Open:
        for each in self._sessions:
            if each.is_for(task):
                return each
        self._sessions.append(_Open(task))
        return self._sessions[-1]


class _Open:
    """A session, and what is known of the imports of the files in it."""

    def __init__(self, task: Task) -> None:
        self._root = task.root
        self._config: Config = task.config
        self._answers: dict[str, Mapping[Question, Answer]] = {}
        self.session = Session(task.root, task.config, self)

    def is_for(self, task: Task) -> bool:
        return task.root == self._root and task.config == self._config

    def names_for(self, path: str) -> Answers:
        return _Known(self._answers, path)

    def report(self, task: Task) -> Report:
        report = Report(task.path)
        with failures_in(report):
            text = text_of(task, report)
            if text is None:
                self.session.close(task.path)
                return report
            if self._answers.get(task.path) != task.answers:
                self._answers[task.path] = task.answers
                self.session.learned(task.path)
            if task.path in self.session.opened():
                self.session.change(task.path, text.text, text.cells)
            if task.path not in self.session.opened() or self.session.source(task.path).problems:
                # In a broken text what was there before would stand in, as for somebody who is typing.
                self.session.open(task.path, text.text, text.cells)
            tell(report, self.session, text, False)
        return report


class _Known:
    """What has been found out about the imports of a file by now."""

    def __init__(self, answers: Mapping[str, Mapping[Question, Answer]], path: str) -> None:
        self._answers = answers
        self._path = path

    def ask(self, question: Question) -> Answer | None:
        return self._answers.get(self._path, {}).get(question)
