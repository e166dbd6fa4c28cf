"""The answer of `gradls why` for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from gradls.cli.records import Report
from gradls.cli.text import console_for, render, shown, visible
from gradls.errors.details import details
from gradls.errors.table import Wording
from gradls.rules.registry import rules_by_key
from gradls.workspace.frames import Call
from gradls.workspace.notebook import Notebook
from gradls.workspace.reasons import Reasons

MOST_CAUSES = 3
MOST_CALLS = 6
MOST_WIDTH = 100


def print_reasons(found: Reasons, reports: Sequence[Report]) -> None:
    """What the error means, what raised it and what to do. `reports` are the causes, each with its finding."""
    console = console_for()
    width = min(console.width, MOST_WIDTH) if console.is_terminal else MOST_WIDTH
    for text in _parts(found, reports, width):
        console.print(text)


def _parts(found: Reasons, reports: Sequence[Report], width: int) -> Iterator[Text]:
    yield _error(found, width)
    message = found.message
    if message is None:
        yield _paragraph("Meaning", "gradls does not know this message; autograd may have no part in it.", width)
    else:
        yield _paragraph("Meaning", f"{message.means} {details(found.raised.message)}".strip(), width)
    likely = [report for report, cause in zip(reports, found.causes, strict=True) if cause.is_likely][:MOST_CAUSES]
    possible = [report for report in reports if report not in likely][: MOST_CAUSES - len(likely)]
    yield from _causes("Cause", likely)
    yield from _causes("Possible" if likely else "Possible cause", possible)
    if not reports:
        if message is not None:
            yield _paragraph("Usual cause", message.cause, width)
        yield _paragraph("In your code", _nothing(found), width)
    if message is not None:
        if not any(fix.get("diff") for report in likely for fix in report.findings[0]["fixes"]):
            yield _paragraph("What to do", message.fix, width)
        if not likely:
            names = ", ".join(f"{code} {rules_by_key()[code].name}" for code in message.rules)
            yield _paragraph("Rules considered", names, width)
        old = _old(message.old)
        if old:
            yield _paragraph("Versions", old, width)


def _error(found: Reasons, width: int) -> Text:
    first = (found.raised.said or "an error").splitlines()[0]
    text = Text(textwrap.shorten(visible(first), 3 * width, placeholder=" ..."), "bold red")
    text.append("\n")
    for call in found.calls[-MOST_CALLS:]:
        where = _where(call, found)
        text.append(f"  {visible(where)}", "bold" if call is found.place else "")
        text.append(f"  {shown(call.frame.text)}\n" if call.frame.text else "\n", "dim")
    if found.trace.node and found.forward:
        made = found.forward[-1]
        text.append(f"  {found.trace.node} was made at {visible(_where(made, found))}", "bold")
        text.append(f"  {shown(made.frame.text)}\n" if made.frame.text else "\n", "dim")
    return text


def _where(call: Call, found: Reasons) -> str:
    frame = call.frame
    name = f", in {frame.name}" if frame.name else ""
    if call.path is None:
        return f"{frame.path}:{frame.line}{name} (not found here)"
    text = found.texts[call.path]
    if isinstance(text, Notebook):
        cell, line = text.cells.place(call.line)
        return f"{call.path}:cell {text.numbers[cell]}:{line}{name}"
    if not call.is_same:
        return f"{call.path}:{call.line}{name} (this line has changed since)"
    moved = f" (line {frame.line} then)" if call.line != frame.line else ""
    return f"{call.path}:{call.line}{name}{moved}"


def _causes(title: str, reports: Iterable[Report]) -> Iterator[Text]:
    for report in reports:
        finding = report.findings[0]
        text = Text(f"{title}\n", "bold cyan")
        body = render(finding | {"fixes": []}, report.excerpts)
        for line in body.split("\n", allow_blank=True):
            if line.plain.strip():
                text.append_text(Text("  ").append_text(line)).append("\n")
        for fix in finding["fixes"]:
            text.append("  fix: ", "bold green")
            text.append(f"{visible(fix['title'])}\n")
            for line in fix.get("diff", "").splitlines():
                style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
                text.append(f"    {shown(line)}\n", style)
        yield text


def _nothing(found: Reasons) -> str:
    """Why there is no cause."""
    if not found.calls:
        return (
            "This is a message without a traceback. With the traceback, and in the folder of the program, gradls looks "
            "for what raised it."
        )
    if found.place is None:
        return (
            "None of the files in the traceback is here: run gradls in the folder of the program, or use --in FOLDER."
        )
    return f"gradls finds nothing that explains it. It was raised at {_where(found.place, found)}."


def _old(old: Sequence[Wording]) -> str:
    """What is to be said of wordings that have changed."""
    parts = []
    for wording in old:
        note = f", {wording.note}" if wording.note else ""
        parts.append(f"until {wording.until}: {wording.says!r}{note}")
    return "; ".join(parts)


def _paragraph(title: str, words: str, width: int) -> Text:
    text = Text(f"{title}\n", "bold cyan")
    text.append(textwrap.fill(words, width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False))
    text.append("\n")
    return text
