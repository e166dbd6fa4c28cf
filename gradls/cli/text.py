"""Findings for people."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from gradls.cli.outcome import Outcome
from gradls.cli.records import Excerpts, Record, excerpt_key, fixable, named
from gradls.rules.finding import Severity
from gradls.syntax.text import visible
from gradls.workspace.addresses import rule_address

STYLES = {"error": "bold red", "warning": "bold yellow", "information": "bold blue", "hint": "dim"}


def console_for(out: TextIO | None = None) -> Console:
    """A console on `out` (default: stdout) that never wraps what is piped; colours and links only on a terminal."""
    return Console(file=out, soft_wrap=True, highlight=False, emoji=False, markup=False)


def print_concise(findings: Iterable[Record], out: TextIO) -> None:
    """One line a finding, as compilers print them."""
    for finding in findings:
        message = " ".join(visible(finding["message"]).split())
        place = f"{named(finding)}:{finding['line']}:{finding['column']}"
        out.write(f"{place}: {finding['severity']}: {finding['code']} {finding['name']}: {message}\n")


def print_text(outcome: Outcome, out: TextIO) -> None:
    """Each finding with the line that it is on, its story and its fixes; then a summary."""
    console = console_for(out)
    for report in outcome.reports:
        for finding in report.findings:
            console.print(render(finding, report.excerpts, out.isatty()))
    console.print(summary(outcome))


def render(finding: Record, excerpts: Excerpts, links: bool = False) -> Text:
    """A finding as some lines of text, with `links` to its file and to the page of its rule."""
    text = Text()
    place = _link(f"{_address(finding['path'])}#{finding.get('file_line', finding['line'])}") if links else ""
    text.append(f"{named(finding)}:{finding['line']}:{finding['column']}", f"bold {place}")
    text.append(": ")
    text.append(finding["severity"], STYLES[finding["severity"]])
    text.append(" ")
    text.append(f"{finding['code']} {finding['name']}", _link(rule_address(finding["code"])) if links else "")
    text.append(f"\n  {visible(finding['message'])}\n")
    width = len(str(max([finding["line"], *(step["line"] for step in finding["related"])])))
    _append_excerpt(text, finding, excerpts, width, STYLES[finding["severity"]], "^")
    for number, step in enumerate(finding["related"], 1):
        text.append(f"  {number}. ", "bold cyan")
        where = f" ({named(step)})" if named(step) != named(finding) else ""
        text.append(f"{visible(step['message'])}{where}\n")
        _append_excerpt(text, step, excerpts, width, "cyan", "-")
    for fix in finding["fixes"]:
        text.append("  fix: ", "bold green")
        text.append(visible(fix["title"]))
        text.append("\n" if fix["safety"] == "safe" else " (suggested)\n", "dim")
    return text


def _link(address: str | None) -> str:
    return f"link {address}" if address else ""


def _address(path: str) -> str:
    return Path(os.path.abspath(path)).as_uri()


def _append_excerpt(text: Text, place: Record, excerpts: Excerpts, width: int, style: str, mark: str) -> None:
    line = excerpts.get(excerpt_key(place))
    if line is None:
        return
    end = place["end_column"] - 1 if place["end_line"] == place["line"] else len(line)
    start = min(place["column"] - 1, len(line))
    before, marked = shown(line[:start]), shown(line[start:end])
    indent = cell_len(before)
    text.append(f"  {place['line']:>{width}} | ", "dim")
    text.append(shown(line))
    text.append(f"\n  {'':>{width}} | ", "dim")
    text.append(" " * indent + mark * max(1, cell_len(marked.rstrip())), style)
    text.append("\n")


def shown(line: str) -> str:
    """A line of source, with tabs as four blanks, and without what would steer the terminal."""
    return visible(line.replace("\t", "    "))


def summary(outcome: Outcome) -> Text:
    """What was found and fixed, in numbers."""
    findings = outcome.findings
    text = Text()
    if outcome.fixes:
        text.append(f"Fixed {fixed(outcome.fixes)}\n")
    files = _count(len(outcome.reports), "file")
    if not findings:
        text.append(f"Nothing {'new ' if outcome.known else ''}found in {files}.")
        return text.append(_of_baseline(outcome))
    counts = Counter(finding["severity"] for finding in findings)
    kinds = ", ".join(_count(counts[s.value], s.value) for s in Severity if counts[s.value])
    text.append(f"Found {kinds} in {files}.")
    safe, unsafe = fixable(findings).values()
    if safe and unsafe:
        text.append(f" {safe} can be fixed with --fix, {unsafe} more with --fix --unsafe-fixes.")
    elif safe or unsafe:
        text.append(f" {safe or unsafe} can be fixed with --fix{' --unsafe-fixes' if unsafe else ''}.")
    return text.append(_of_baseline(outcome))


def _of_baseline(outcome: Outcome) -> str:
    known = f" {outcome.known} more in the baseline." if outcome.known else ""
    if not outcome.gone:
        return known
    are, them = ("is", "it") if outcome.gone == 1 else ("are", "them")
    return f"{known} {outcome.gone} in the baseline {are} gone: --prune-baseline removes {them}."


def fixed(fixes: Mapping[tuple[str, str], int]) -> str:
    """How many findings were fixed, of which rules: the end of a sentence."""
    by_rule = ", ".join(f"{count} {code} {name}" for (code, name), count in sorted(fixes.items()))
    return f"{_count(sum(fixes.values()), 'finding')}: {by_rule}."


def _count(number: int, noun: str) -> str:
    plural = noun if number == 1 or noun == "information" else f"{noun}s"
    return f"{number} {plural}"
