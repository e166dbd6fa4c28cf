"""The edits of the code action that is chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lsprotocol import types

from gradls.rules.finding import Finding, TextEdit
from gradls.server.actions import DISABLE, IGNORE, MEND, MEND_ALL, MEND_RULE, Choice
from gradls.server.analysis import Analyst
from gradls.server.documents import label_of
from gradls.server.ignoring import ignore_edit
from gradls.server.positions import Encoding, to_range
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines
from gradls.workspace.config_edits import file_for, ignoring
from gradls.workspace.files import Unreadable, read
from gradls.workspace.session import Session


class Edits(NamedTuple):
    """The edits of one file, which is made for them if it `is_new`, and the client's version of the text that they are
    for, if it is open."""

    path: str
    version: int | None
    edits: list[types.TextEdit]
    is_new: bool = False


Opened = Mapping[str, tuple[str, int | None]]
"""The texts of the open configuration files, and the client's versions of them, by label."""


def build(analyst: Analyst, choice: Choice, opened: Opened) -> list[Edits]:
    """The edits of `choice`; none if they cannot be made. Runs on the worker's thread.

    Outdated if the text has moved on; NotPossible, with the reason, if a configuration file cannot be changed.
    """
    label = label_of(choice.uri)
    session = analyst.session_of(label, choice.revision)
    if choice.does == DISABLE:
        finding = _finding(session, label, choice)
        return [_disabling(analyst, session, finding, opened)] if finding is not None else []
    edits = _edits(session, label, choice) or []
    if not session.are_within_cells(edits):
        return []
    result = []
    for path in dict.fromkeys(edit.path for edit in edits):
        lines = _lines(session, path)
        typed = [text_edit(edit.span, edit.text, lines, analyst.client.encoding) for edit in edits if edit.path == path]
        result.append(Edits(path, analyst.version_of(path), typed))
    return result


def _edits(session: Session, label: str, choice: Choice) -> Sequence[TextEdit] | None:
    if choice.does == MEND_ALL:
        return session.fix_all(label)
    finding = _finding(session, label, choice)
    if finding is None:
        return None
    if choice.does == MEND_RULE:
        return session.fix_all(label, finding.code)
    if choice.does == IGNORE:
        edit = ignore_edit(finding)
        return [edit] if edit else None
    if choice.does == MEND and choice.fix is not None and choice.fix < len(finding.fixes):
        return session.edits(finding.fixes[choice.fix])
    return None


def _finding(session: Session, label: str, choice: Choice) -> Finding | None:
    same = (found for found in session.findings(label) if found.code == choice.code and found.span == choice.span)
    return next(same, None)


def _disabling(analyst: Analyst, session: Session, finding: Finding, opened: Opened) -> Edits:
    file = file_for(session.config, Path(finding.path), session.root)
    text, version = opened.get(str(file), (None, None))
    if text is None:
        try:
            text = file.read_bytes().decode("utf-8-sig") if os.path.isfile(file) else ""
        except (OSError, UnicodeDecodeError):
            text = ""
    change = ignoring(text, file, finding.name)
    new = change.text.replace("\n", "\r\n") if "\r\n" in text else change.text
    edit = text_edit(change.span, new, split_lines(text), analyst.client.encoding)
    return Edits(str(file), version, [edit], is_new=str(file) not in opened and not os.path.exists(file))


def _lines(session: Session, path: str) -> list[str]:
    try:
        return session.source(path).lines
    except KeyError:
        pass
    try:
        return split_lines(read(path).text)
    except Unreadable:
        return []


def text_edit(span: Span, text: str, lines: Sequence[str], encoding: Encoding) -> types.TextEdit:
    """The edit that puts `text` at `span` of a text of these lines."""
    place = to_range(span, lines, encoding)
    return types.TextEdit(types.Range(types.Position(**place["start"]), types.Position(**place["end"])), text)
