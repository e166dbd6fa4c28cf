"""One file, from its bytes to a report. This is what runs in the worker processes."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gradls.cli.inputs import Task
from gradls.cli.notebooks import locate, module_line
from gradls.cli.records import Record, Report, error_record, excerpts, finding_record, span_record
from gradls.flow.facts import TensorState
from gradls.flow.names import Question
from gradls.flow.state import emptied_behind
from gradls.workspace.files import Unreadable, read_bytes
from gradls.workspace.looked import Looked, digest
from gradls.workspace.notebook import Stored, stored
from gradls.workspace.session import Session

# The imports of other files are not worth looking up: nothing is found in code that has to do with no gradients.
_ABOUT_GRADIENTS = re.compile(r"torch|backward|grad\b|lightning|accelerat")


def check_file(edits: bool, task: Task) -> Report:
    """The findings of one file, with the edits that mend them if these are wanted."""
    report = Report(task.path)
    with failures_in(report), emptied_behind():
        text = text_of(task, report)
        if text is not None:
            looked = Looked()
            session = open_task(task, text, looked)
            tell(report, session, text, edits)
            report.looked = None if looked.torn else looked.states
            session.end()
    return report


def tell(report: Report, session: Session, text: Stored, edits: bool) -> None:
    """Note in `report` what is found in its file, which is open in `session` with this text."""
    _note_state(report, session, text)
    for finding in session.findings(report.path):
        report.findings.append(finding_record(finding, session, edits))
        report.excerpts.update(excerpts(finding))
    locate(report, text)


def inspect_file(task: Task) -> Report:
    """What is known of the tensors in one file."""
    report = Report(task.path)
    with failures_in(report):
        text = text_of(task, report)
        if text is not None:
            session = open_task(task, text)
            _note_state(report, session, text)
            facts = session.facts(task.path)
            report.tensors += [_state_record(state) for state in facts.states]
            for state in facts.states_elsewhere:
                path = os.path.abspath(state.source.path)
                report.elsewhere.setdefault(path, []).append(_state_record(state))
            locate(report, text)
    return report


def graph_file(line: int, cell: int, boxes: int, task: Task) -> Report:
    """The picture for a line of one file, or of a cell of a notebook, in at most so many boxes."""
    from gradls.picture.choose import NothingToDraw
    from gradls.picture.draw import picture

    report = Report(task.path)
    with failures_in(report):
        text = text_of(task, report)
        if text is not None:
            session = open_task(task, text)
            _note_state(report, session, text)
            try:
                place, numbers = module_line(text, line, cell)
                report.picture = picture(session, task.path, place, boxes, numbers)
            except (NothingToDraw, LookupError) as reason:
                report.reason = str(reason.args[0])
    return report


def _state_record(state: TensorState) -> Record:
    return {
        **span_record(state.source.span(state.node)),
        "requires_grad": state.requires_grad,
        "dtype": state.dtype,
        "leaf": state.leaf,
        "called": state.called,
        "off": state.off,
        "torn": state.torn,
    }


def lost_file(task: Task) -> Report:
    """The report on a file that ended the process which read it."""
    report = Report(task.path)
    report.fail("internal error: the process that analysed this file ended")
    return report


def text_of(task: Task, report: Report) -> Stored | None:
    """What the file of a task says; None if that is not to be had, which goes to the report."""
    try:
        data = read_bytes(task.path) if task.data is None else task.data
        report.state = digest(data)
        return stored(data, task.path)
    except Unreadable as unreadable:
        report.errors.append(error_record(task.path, str(unreadable), unreadable.line))
        report.failed = task.asked
        return None


def open_task(task: Task, text: Stored, looked: Looked | None = None) -> Session:
    """A session of the project of a task, in which its file is open; what it looks at is noted in `looked`."""
    session = Session(task.root, task.config, task, looked)
    session.open(task.path, text.text, text.cells)
    return session


def _note_state(report: Report, session: Session, text: Stored) -> None:
    for problem in session.source(report.path).problems:
        report.errors.append(error_record(report.path, f"could not be parsed: {problem.message}", problem.line))
    failure = session.failure(report.path)
    if failure:
        report.fail(failure)
    if _ABOUT_GRADIENTS.search(text.text):
        report.questions = frozenset(q for q in session.questions(report.path) if not _of_standard_library(q))


def _of_standard_library(question: Question) -> bool:
    return question.module.partition(".")[0] in sys.stdlib_module_names


@contextmanager
def failures_in(report: Report) -> Iterator[None]:
    """Turn whatever goes wrong inside of gradls into errors of the report."""
    logger, handler = logging.getLogger("gradls"), _Failures(report)
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    except Exception as error:
        report.fail(f"internal error: {type(error).__name__}: {error}")
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


class _Failures(logging.Handler):
    """Log records of level ERROR, as errors of a report."""

    def __init__(self, report: Report) -> None:
        super().__init__(logging.ERROR)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        reason = f" ({type(error).__name__}: {error})" if error else ""
        self._report.fail(f"internal error: {record.getMessage()}{reason}")
