"""What the arguments name: tasks, each a file with its configuration."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from gradls.cli.records import Record, error_record
from gradls.flow.names import Answer, Question
from gradls.rules.registry import rules_by_key
from gradls.workspace.config import OWN_FILE, PROJECT_FILE, Config, Problem, load_config, read_config
from gradls.workspace.files import collect
from gradls.workspace.project import project_root
from gradls.workspace.selection import unknown_selectors

STDIN = "-"


class UsageError(Exception):
    """Arguments that cannot be followed."""


@dataclass(frozen=True, slots=True)
class Task:
    """One file to read. `data` is its content where it came on stdin; `asked` says that it was named by the user;
    `answers` is what has been found out about its imports. `among` is the folder that it was named with, or in: the
    one in the arguments, or the current one."""

    path: str
    config: Config
    asked: bool = False
    data: bytes | None = None
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    among: str | None = None

    @property
    def root(self) -> Path:
        """The folder of its project."""
        return project_root(os.path.dirname(os.path.abspath(self.path)), self.among)

    def names_for(self, path: str) -> Task:
        """What is known of the imports of a file: nothing, but for those of this one."""
        return self if path == self.path or not self.answers else dataclasses.replace(self, answers={})

    def ask(self, question: Question) -> Answer | None:
        return self.answers.get(question)


class Inputs:
    """The tasks of a command, and the sentences to print about configurations that are wrong in part."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._chosen = self._chosen_file(arguments.config)
        self._select, self._ignore = _selectors(arguments)
        self._configs: dict[Path, Config] = {}
        paths: list[str] = list(dict.fromkeys(arguments.paths))
        self.tasks: list[Task] = []
        if STDIN in paths:
            paths.remove(STDIN)
            self.tasks.append(self._stdin(arguments.stdin_filename or "<stdin>"))
        named = {os.path.abspath(path) for path in paths}
        for path, among in self._files(paths):
            asked = os.path.abspath(path) in named
            self.tasks.append(Task(path, self._config(Path(path).parent), asked, among=among))

    @property
    def problems(self) -> list[Record]:
        """What is wrong with the configuration files, as entries of the list `errors`."""
        configs = [*self._configs.values(), *([self._chosen] if self._chosen else [])]
        problems = dict.fromkeys(problem for config in configs for problem in config.problems)
        return [_record(problem) for problem in problems]

    def _files(self, paths: Iterable[str]) -> Iterable[tuple[str, str]]:
        """The files in `paths`, and the folders that they are seen in."""
        seen = set()
        for path in paths:
            among = os.path.abspath(path) if os.path.isdir(path) else os.getcwd()
            for file in collect([path], self._config(Path(path))):
                key = os.path.abspath(file)
                if key not in seen:
                    seen.add(key)
                    yield file, among

    def _stdin(self, name: str) -> Task:
        return Task(name, self._config(Path(name).parent), True, sys.stdin.buffer.read(), among=os.getcwd())

    def _chosen_file(self, name: str | None) -> Config | None:
        if name is None:
            return None
        if not os.path.isfile(name):
            raise UsageError(f"there is no configuration file {name}")
        return read_config(Path(name))

    def _config(self, folder: Path) -> Config:
        """The configuration for files in `folder`, with what the command line says on top."""
        folder = folder.absolute()
        if folder not in self._configs:
            if self._chosen is None and not _may_configure(folder) and folder != folder.parent:
                self._configs[folder] = self._config(folder.parent)
                return self._configs[folder]
            config = self._chosen or load_config(folder)
            select = self._select or config.select
            self._configs[folder] = dataclasses.replace(config, select=select, ignore=(*config.ignore, *self._ignore))
        return self._configs[folder]


def _may_configure(folder: Path) -> bool:
    return any(os.path.isfile(folder / name) for name in (OWN_FILE, PROJECT_FILE))


def _selectors(arguments: argparse.Namespace) -> tuple[tuple[str, ...], tuple[str, ...]]:
    select = tuple(getattr(arguments, "select", None) or ())
    ignore = tuple(getattr(arguments, "ignore", None) or ())
    for selector in unknown_selectors([*select, *ignore]):
        raise UsageError(f"no rule is called {selector!r}{did_you_mean(selector)}")
    return select, ignore


def _record(problem: Problem) -> Record:
    here, path = os.getcwd(), str(problem.file)
    record = error_record(path.removeprefix(here.rstrip(os.sep) + os.sep), problem.message)
    if problem.span is not None:
        record["line"], record["column"] = problem.span.line, problem.span.column
    return record


def did_you_mean(word: str) -> str:
    """The rules that `word` may have been meant for, as the end of a sentence; empty if there are none."""
    keys = {key.lower(): key for key in rules_by_key()}
    close = [keys[match] for match in get_close_matches(word.lower(), keys, n=3, cutoff=0.5)]
    return f"; did you mean {' or '.join(close)}?" if close else ""
