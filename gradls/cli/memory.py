"""What `gradls check` has found before: a file that is as it was, with all that its analysis looked at, is not
analysed again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from gradls.cli.analysis import check_file, lost_file
from gradls.cli.inputs import Task
from gradls.cli.pool import Pool, work
from gradls.cli.records import Report
from gradls.flow.names import Question
from gradls.resolve.disk import Folder, chosen_folder, fingerprint
from gradls.rules.registry import plugins
from gradls.workspace.config import Config
from gradls.workspace.looked import OPEN, Disk, content_of, digest
from gradls.workspace.results import Result, Results, absolute, key_of, relative

MOST_AT_ONCE = 64
"""So many reports are written together; an interrupt costs fewer."""


class Memory:
    """Checks files, or remembers what that gave."""

    def __init__(self, edits: bool, jobs: int | Pool | None, folder: Path | None) -> None:
        """`edits` says whether reports have the edits of fixes; `folder` is where they are kept, None to keep none."""
        self._edits = edits
        self._jobs = jobs
        self._results = Results(folder) if folder else None
        self._new: list[Result] = []

    def reports(self, tasks: Sequence[Task]) -> list[Report]:
        """The reports on the files of `tasks`, in that order."""
        known = self._recall(tasks)
        missing = [index for index, report in enumerate(known) if report is None]
        run = partial(check_file, self._edits)
        done: Callable[[Task, Report], None] = self._note if self._results else lambda task, report: None
        made = work(run, [tasks[index] for index in missing], lost_file, self._jobs, done)
        self._flush()
        for index, report in zip(missing, made, strict=True):
            known[index] = report
        return [report for report in known if report is not None]

    def close(self) -> None:
        if self._results:
            self._results.close()

    def _recall(self, tasks: Sequence[Task]) -> list[Report | None]:
        if self._results is None:
            return [None] * len(tasks)
        disk = Disk()
        return [self._recalled(task, disk, self._results) for task in tasks]

    def _recalled(self, task: Task, disk: Disk, results: Results) -> Report | None:
        path = os.path.abspath(task.path)
        state = digest(task.data) if task.data is not None else disk.state(path)
        place = _Place.of(task)
        key = self._key(task, place, state)
        content = results.find(key, place.root, disk) if key else None
        try:
            return place.read(content) if content is not None else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def _note(self, task: Task, report: Report) -> None:
        """Keep a report, if it is one that would be made again."""
        if report.failed or report.looked is None or report.state is None:
            return
        place = _Place.of(task)
        key = self._key(task, place, report.state)
        own = os.path.abspath(task.path)
        looked = {
            relative(path, place.root): state
            for path, state in report.looked.items()
            if (path, state) != (own, OPEN)  # its content is in the key
        }
        content = place.written(report)
        if key and content is not None and None not in looked:
            self._new.append(Result(key, {path: state for path, state in looked.items() if path is not None}, content))
            if len(self._new) >= MOST_AT_ONCE:
                self._flush()

    def _flush(self) -> None:
        if self._results:
            self._results.keep(self._new)
        self._new = []

    def _key(self, task: Task, place: _Place, state: str) -> str | None:
        """The key of all that a report depends on besides other files; None if that cannot be said."""
        config = _described(task.config, place.root)
        if config is None or place.own is None:
            return None
        answers = sorted([*question, *answer] for question, answer in task.answers.items())
        return key_of(self._versions, place.own, state, config, answers, self._edits)

    @cached_property
    def _versions(self) -> list[str | None]:
        versions: list[str | None] = [sys.version, *own_versions()]
        if self._edits:
            spec = find_spec("libcst")
            origin = spec.origin if spec else None
            versions.append(content_of(os.path.join(os.path.dirname(origin), "_version.py"))[0] if origin else None)
        return versions


def own_versions() -> list[str]:
    """What changes whenever gradls, or a plugin, may find something else."""
    own = fingerprint("syntax", "autograd", "flow", "rules", "workspace", "cli")
    return [own, *(" ".join(version) for version in plugins().versions)]


def _described(config: Config, root: str) -> list[object] | None:
    """What a report depends on of a configuration. None where its patterns are for paths that are not kept."""
    patterns = None
    if config.per_file_ignores:
        top = str(config.root) if config.root else ""
        below = relative(root, top) if top and root != top else ""
        if not top or below is None:
            return None
        patterns = [below, *config.per_file_ignores.items()]
    severities = [(selector, severity.value) for selector, severity in config.severity.items()]
    return [config.select, config.ignore, patterns, severities, config.target_torch]


@dataclass(frozen=True, slots=True)
class _Place:
    """A file and its project, and how reports that are kept name files: by their paths from the root, `own` as ""."""

    label: str
    root: str
    own: str | None

    @classmethod
    def of(cls, task: Task) -> _Place:
        path = os.path.abspath(task.path)
        root = str(task.root)
        return cls(task.path, root, relative(path, root))

    def written(self, report: Report) -> dict[str, Any] | None:
        """A report as it is kept; None if it names files outside of the project."""
        try:
            return {
                "findings": _with_paths(report.findings, self._kept),
                "errors": _with_paths(report.errors, self._kept),
                "excerpts": [[self._kept(path), line, text] for (path, line), text in report.excerpts.items()],
                "questions": sorted(report.questions),
            }
        except ValueError:
            return None

    def read(self, content: dict[str, Any]) -> Report:
        """The report that is kept as `content`."""
        return Report(
            self.label,
            findings=_with_paths(content["findings"], self._shown),
            errors=_with_paths(content["errors"], self._shown),
            excerpts={
                (self._shown(path), tuple(line) if isinstance(line, list) else line): text
                for path, line, text in content["excerpts"]
            },
            questions=frozenset(Question(*question) for question in content["questions"]),
        )

    def _kept(self, path: str) -> str:
        if path == self.label:
            return ""
        kept = relative(os.path.abspath(path), self.root)
        if kept is None:
            raise ValueError(path)
        return kept

    def _shown(self, kept: str) -> str:
        if not kept:
            return self.label
        path = absolute(kept, self.root)
        return path if os.path.isabs(self.label) else os.path.relpath(path)


def _with_paths(value: Any, change: Callable[[str], str]) -> Any:
    """Plain data, with what stands under `path` changed."""
    if isinstance(value, dict):
        return {key: change(item) if key == "path" else _with_paths(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_paths(item, change) for item in value]
    return value


class Kept(NamedTuple):
    """Where reports are kept, None for nowhere; and the answers of the resolver, None for where it keeps its own."""

    results: Path | None
    answers: Path | None


@contextmanager
def kept(arguments: argparse.Namespace) -> Iterator[Kept]:
    """The folders that the arguments, or the environment, choose for what is kept."""
    if not arguments.cache:
        with closing(Folder(lasting=False)) as nothing:
            yield Kept(None, nothing.path)
        return
    chosen = Path(os.path.abspath(arguments.cache_dir)) if arguments.cache_dir else chosen_folder()
    with closing(Folder(chosen)) as found:
        yield Kept(found.path if found.lasting else None, chosen)
