"""Why an error was raised: its message, the lines of the user's code that it passed, and what is wrong near them.

Files are read, and nothing is run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradls.errors.rank import Cause, Line, causes
from gradls.errors.table import Message, messages_in
from gradls.errors.trace import Frame, Raised, Trace, read_trace
from gradls.rules.finding import Finding, Fix, Severity
from gradls.rules.run import findings as run_rules
from gradls.workspace.config import Config, load_config
from gradls.workspace.edits import unified_diff
from gradls.workspace.frames import Call, Files
from gradls.workspace.notebook import Stored
from gradls.workspace.project import project_root
from gradls.workspace.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reasons:
    """What is known about an error.

    `raised` is the exception that is explained, `message` what it means (None if PyTorch says nothing of the kind), and
    `others` what it could mean as well. `calls` are those in the user's code, the innermost last, and `forward` those
    that anomaly mode printed. `causes` are the findings that may have raised it, most likely first, in the files that
    `session` has open, whose content is `texts`. `problems` says what could not be read.
    """

    trace: Trace
    raised: Raised
    message: Message | None
    others: tuple[Message, ...]
    calls: tuple[Call, ...]
    forward: tuple[Call, ...]
    causes: tuple[Cause, ...]
    session: Session
    texts: Mapping[str, Stored]
    problems: tuple[str, ...]

    @property
    def place(self) -> Call | None:
        """The innermost call in the user's code whose file was found."""
        return next((call for call in reversed(self.calls) if call.path is not None), None)


def reasons(text: str, folder: str = os.curdir, opened: Mapping[str, str] | None = None) -> Reasons:
    """What is known about the error that `text` tells of; its files are looked for in `folder`, too.

    `opened` are the texts that an editor has, by absolute path. What cannot be read is among the problems.
    """
    trace = read_trace(text)
    files = Files(folder, opened or {})
    raised, messages = _explained(trace, files)
    # The exception that is explained comes last: the others of the chain were raised while it was handled.
    chain = [*(other for other in trace.raised if other is not raised), raised]
    calls = tuple(dict.fromkeys(files.find(frame) for one in chain for frame in _of_user(one.frames)))
    innermost = [files.find(frame) for frame in _of_user(raised.frames)]
    calls = (*(call for call in calls if call not in innermost), *innermost)
    forward = tuple(files.find(frame) for frame in _of_user(trace.forward))
    session = _session([call.path for call in (*calls, *forward) if call.path is not None], files)
    message = messages[0] if messages else None
    found = causes(_findings(session), message, raised.said, list(_lines(calls)), list(_lines(forward)))
    others = tuple(messages[1:])
    return Reasons(
        trace, raised, message, others, calls, forward, tuple(found), session, files.texts, tuple(files.problems)
    )


def diff_of(found: Reasons, fix: Fix) -> str:
    """What a fix would change, as `diff -u` prints it; empty if it cannot be made, or changes files that the error has
    nothing to do with."""
    edits = found.session.edits(fix) or []
    paths = list(dict.fromkeys(edit.path for edit in edits))
    if not all(path in found.texts for path in paths):
        return ""
    diffs = []
    for path in paths:
        old = found.texts[path]
        try:
            new = old.edited([edit for edit in edits if edit.path == path])
        except ValueError:
            return ""
        diffs.append(unified_diff(path, old.stored, new.stored))
    return "".join(diffs)


def _explained(trace: Trace, files: Files) -> tuple[Raised, list[Message]]:
    """The exception of the chain that PyTorch's messages explain, the later the better, and these messages."""
    for raised in reversed(trace.raised):
        code = [files.code(files.find(frame)) for frame in _of_user(raised.frames)[-1:]]
        messages = messages_in(raised.text, [line for line in code if line])
        if messages:
            return raised, messages
    return trace.raised[-1], []


def _of_user(frames: Sequence[Frame]) -> list[Frame]:
    return [frame for frame in frames if not frame.is_library]


def _lines(calls: Iterable[Call]) -> Iterator[Line]:
    return ((os.path.abspath(call.path), call.line) for call in calls if call.path is not None)


def _session(paths: Sequence[str], files: Files) -> Session:
    """One that has these files open."""
    paths = list(dict.fromkeys(paths))
    if not paths:
        return Session()
    folder = os.path.dirname(os.path.abspath(paths[0]))
    # What the user does not want to be told of may still have raised the error.
    config = replace(Config(), target_torch=load_config(Path(folder)).target_torch)
    session = Session(project_root(folder, os.path.abspath(os.curdir)), config)
    for path in paths:
        session.open(path, files.texts[path].text, files.texts[path].cells)
    return session


def _findings(session: Session) -> list[Finding]:
    """What all rules find from any of the open files, each mistake once, with what is most certain of it."""
    found: dict[tuple[str, str, object], Finding] = {}
    severities = list(Severity)
    for path in session.opened():
        for finding in run_rules(session.facts(path)):
            key = finding.code, os.path.abspath(finding.path), finding.span
            known = found.setdefault(key, finding)
            if severities.index(finding.severity) < severities.index(known.severity):
                found[key] = finding
    return list(found.values())
