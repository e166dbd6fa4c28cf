"""`gradls check --fix` and `--diff`."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gradls.cli.analysis import failures_in, lost_file, open_task, text_of
from gradls.cli.inputs import Task
from gradls.cli.pool import Pool, work
from gradls.cli.records import Report
from gradls.cli.storing import write_bytes
from gradls.rules.finding import Finding
from gradls.workspace.edits import unified_diff
from gradls.workspace.files import Unreadable, read_bytes
from gradls.workspace.looked import digest
from gradls.workspace.notebook import Stored
from gradls.workspace.session import Session

MOST_ROUNDS = 25
Fixes = Counter[tuple[str, str]]
"""How many were made, by code and name of the rule."""


class Mended(NamedTuple):
    """A file with its fixes made: `content` as it is stored, `diff` to what it was, and what was `made`; `before` is
    the digest of what was stored."""

    before: str | None
    content: bytes
    diff: str
    made: Fixes


def mend_all(told: Sequence[tuple[Task, Report]], unsafe: bool, jobs: int | Pool | None) -> dict[int, Mended]:
    """The files that have fixes, with these made, by their number. Failures go to the reports. Only safe fixes are
    made, or `unsafe` ones, too."""
    wanted = ("safe", "suggested") if unsafe else ("safe",)
    fixable = [
        number
        for number, (_, report) in enumerate(told)
        if any(fix["safety"] in wanted for finding in report.findings for fix in finding["fixes"])
    ]
    found = {}
    results = work(partial(_mend_file, unsafe), [told[number][0] for number in fixable], _lost, jobs)
    for number, (report, mended) in zip(fixable, results, strict=True):
        told[number][1].take_failures(report)
        if mended is not None and mended.made:
            found[number] = mended
    return found


def write(told: Sequence[tuple[Task, Report]], mended: dict[int, Mended]) -> tuple[list[Task], Fixes]:
    """Write what was mended. The tasks as they are then, those of stdin with the new text; and what was fixed. What
    cannot be written goes to the reports."""
    tasks, made = [task for task, _ in told], Fixes()
    for number, new in mended.items():
        task, report = told[number]
        if task.data is not None:
            tasks[number] = dataclasses.replace(task, data=new.content)
        else:
            obstacle = _obstacle(task, new)
            if obstacle is None:
                try:
                    write_bytes(task.path, new.content)
                except OSError as error:
                    obstacle = str(error)
            if obstacle is not None:
                report.fail(f"could not be written: {obstacle}")
                continue
        made += new.made
    return tasks, made


def _obstacle(task: Task, new: Mended) -> str | None:
    """Why a file must not be written to."""
    folder, target = os.path.realpath(task.among or os.curdir), os.path.realpath(task.path)
    if not task.asked and not Path(target).is_relative_to(folder):
        return f"it is a link out of {task.among or 'the current folder'}, to {target}"
    try:
        is_as_it_was = digest(read_bytes(task.path)) == new.before
    except Unreadable:
        is_as_it_was = False
    return None if is_as_it_was else "it has changed meanwhile"


def mend(session: Session, path: str, stored: Stored, unsafe: bool = False) -> tuple[Stored, Fixes]:
    """A file, which is open in `session`, with its safe fixes made, or `unsafe` ones, too, until there are none left;
    `session` holds the new text then."""
    seen = {stored.text}
    made = Fixes()
    told = _told(session, path)
    vain: set[tuple[str, str]] = set()

    def may_help(finding: Finding) -> bool:
        return _key(finding) not in vain

    for _ in range(MOST_ROUNDS):
        edits, mended = session.fixes_together(path, unsafe, may_help)
        if not edits:
            break
        stored = stored.edited(edits)
        session.change(path, stored.text, stored.cells)
        made.update((finding.code, finding.name) for finding in mended)
        if stored.text in seen:
            break
        seen.add(stored.text)
        before, told = told, _told(session, path)
        # What is told as often as before would be mended in the same way again and again.
        vain |= {key for key in map(_key, mended) if told[key] >= before[key]}
    return stored, made


def _key(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.message


def _told(session: Session, path: str) -> Counter[tuple[str, str]]:
    """How often a file is told each thing."""
    return Counter(map(_key, session.findings(path)))


def _mend_file(unsafe: bool, task: Task) -> tuple[Report, Mended | None]:
    """One file with its fixes made, and a report on failures only."""
    report = Report(task.path)
    mended = None
    with failures_in(report):
        text = text_of(task, report)
        if text is not None:
            session = open_task(task, text)
            new, made = mend(session, task.path, text, unsafe)
            if new.stored != text.stored:
                try:
                    mended = Mended(report.state, new.data, unified_diff(task.path, text.stored, new.stored), made)
                except UnicodeError as error:
                    report.fail(f"could not be written: {error}")
    return report, mended


def _lost(task: Task) -> tuple[Report, Mended | None]:
    """The report on a file that ended the process which mended it."""
    return lost_file(task), None
