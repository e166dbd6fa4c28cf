"""What the checks say about real repositories: findings per rule, and how many of them a reader found true.

    python -m benchmarks.precision FOLDER... [--sample N] [--seed S] [--verdicts FILE] [--slow SECONDS]

Each folder is a repository: paths are told relative to it, with its name in front. With `--sample`, a random but
reproducible sample of N findings a rule is printed with their source lines, each with the line for a verdict file.

A verdict file has one line a finding, its four columns separated by tabs: rule, path, the text of the line (without
the space around it), and one of `true`, `false` and `unclear`. A finding is known again by the first three, so that a
verdict survives edits elsewhere in the file. Lines that begin with `#` are comments.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from gradls.rules.finding import Severity
from gradls.workspace.config import Config
from gradls.workspace.files import Unreadable, read
from gradls.workspace.session import Session

VERDICTS = ("true", "false", "unclear")
LOUD = ("error", "warning")


class Key(NamedTuple):
    """What a verdict is about: a rule, a path that begins with the folder's name, and the text of a line."""

    code: str
    path: str
    text: str


class Said(NamedTuple):
    """A finding, as it goes from one process to another."""

    key: Key
    severity: str
    line: int
    message: str


@dataclass
class Report:
    """What came out of one file; `seconds` of CPU."""

    path: str
    file: str
    lines: int = 0
    seconds: float = 0.0
    said: list[Said] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    exhausted: int = 0
    """How often the analysis gave up following something for its length."""


class _Log(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__(logging.INFO)
        self.report = report

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            error = record.exc_info[1] if record.exc_info else None
            self.report.errors.append(f"{record.getMessage()} ({type(error).__name__}: {error})")
        else:
            self.report.exhausted += 1


def check(folder: Path, file: Path) -> Report:
    """The findings of one file with the default configuration; what it imports from its folder is followed, and no
    resolver is asked for the rest."""
    report = Report(f"{folder.resolve().name}/{file.relative_to(folder).as_posix()}", str(file))
    try:
        text = read(str(file)).text
    except Unreadable:
        return report
    logger, handler = logging.getLogger("gradls"), _Log(report)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    start = time.process_time()
    try:
        session = Session(folder.resolve(), Config())
        path = str(file.resolve())
        session.open(path, text)
        found = session.findings(path)
    except Exception as error:
        report.errors.append(f"{type(error).__name__}: {error}")
        found = []
    finally:
        logger.removeHandler(handler)
    report.seconds = time.process_time() - start
    lines = text.splitlines()
    report.lines = len(lines)
    for finding in found:
        line = finding.span.line
        key = Key(finding.code, report.path, lines[line - 1].strip() if line <= len(lines) else "")
        report.said.append(Said(key, finding.severity.value, line, finding.message))
    return report


def check_all(folders: Iterable[Path], jobs: int) -> list[Report]:
    """The reports of all Python files in `folders`, in their order."""
    reports: list[Report] = []
    with ProcessPoolExecutor(jobs) as pool:
        for folder in folders:
            files = sorted(path for path in folder.rglob("*.py") if path.is_file())
            reports += pool.map(partial(check, folder), files, chunksize=8)
    return reports


def read_verdicts(path: Path) -> dict[Key, str]:
    """The verdicts in a file; ValueError names a line that is none."""
    verdicts: dict[Key, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        code, _, rest = line.partition("\t")
        name, _, rest = rest.partition("\t")
        text, _, verdict = rest.rpartition("\t")
        if verdict not in VERDICTS:
            raise ValueError(f"{path}:{number}: the last column is one of {', '.join(VERDICTS)}")
        verdicts[Key(code, name, text)] = verdict
    return verdicts


def print_repositories(reports: list[Report]) -> None:
    """Lines and findings of each folder."""
    order = [severity.value for severity in Severity]
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for row in (table[report.path.partition("/")[0]], table["all"]):
            row["lines"] += report.lines
            row.update(said.severity for said in report.said)
    table["all"] = table.pop("all", Counter())
    print(f"{'repository':52} {'lines':>9} " + " ".join(f"{name:>11}" for name in order))
    for name, row in table.items():
        print(f"{name:52} {row['lines']:9} " + " ".join(f"{row[severity]:11}" for severity in order))


def print_rules(reports: list[Report], verdicts: dict[Key, str]) -> None:
    """Findings of each rule at each severity, per 10,000 lines, and what readers said of them."""
    lines = sum(report.lines for report in reports) or 1
    table: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for said in everything(reports):
        verdict = verdicts.get(said.key, "unjudged")
        for row in ((said.key.code, said.severity), ("all", said.severity)):
            table[row].update(("findings", verdict))
    columns = ("findings", *VERDICTS, "unjudged")
    print(f"\n{'rule':8} {'severity':12} " + " ".join(f"{name:>9}" for name in columns) + "   per 10,000 lines   right")
    for (code, severity), row in sorted(table.items()):
        judged = row["true"] + row["false"]
        right = f"{row['true'] / judged:7.1%}" if judged else f"{'-':>7}"
        figures = " ".join(f"{row[name]:9}" for name in columns)
        print(f"{code:8} {severity:12} {figures} {row['findings'] * 10_000 / lines:18.3f} {right}")


def print_failures(reports: list[Report], slow: float) -> None:
    """Files that took long, were not followed to their end, or made gradls fail."""
    for title, failed in (
        (f"slower than {slow:g} s of CPU", [f"{r.path} {r.seconds:.1f} s" for r in reports if r.seconds > slow]),
        ("not followed to the end everywhere", [f"{r.path} {r.exhausted} times" for r in reports if r.exhausted]),
        ("internal errors", [f"{r.path} {error}" for r in reports for error in r.errors]),
    ):
        print(f"\n{title}: {len(failed)}")
        for line in failed:
            print(f"  {line}")


def everything(reports: list[Report]) -> Iterator[Said]:
    for report in reports:
        yield from report.said


def print_sample(reports: list[Report], number: int, seed: int, wanted: tuple[str, ...], around: int) -> None:
    """`number` findings of each rule and severity in `wanted`, with their source lines."""
    files = {report.path: report.file for report in reports}
    groups: dict[tuple[str, str], list[Said]] = defaultdict(list)
    for said in everything(reports):
        groups[said.key.code, said.severity].append(said)
    for (code, severity), group in sorted(groups.items()):
        if severity not in wanted:
            continue
        chosen = random.Random(f"{seed} {code} {severity}").sample(group, min(number, len(group)))
        for said in sorted(chosen, key=lambda said: (said.key.path, said.line)):
            print(f"\n{code} {severity} {said.key.path}:{said.line}\n  {said.message}")
            lines = read(files[said.key.path]).text.splitlines()
            for at in range(max(1, said.line - around), min(len(lines), said.line + around) + 1):
                print(f"{'>' if at == said.line else ' '} {at:5} {lines[at - 1]}")
            print("\t".join([*said.key, "?"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="print N findings of each rule")
    parser.add_argument("--severity", action="append", choices=[s.value for s in Severity], help="only sample these")
    parser.add_argument("--unjudged", action="store_true", help="only sample what the verdict file lacks")
    parser.add_argument("--context", type=int, default=4, help="source lines around a sampled finding")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verdicts", type=Path, metavar="FILE")
    parser.add_argument("--slow", type=float, default=5.0, metavar="SECONDS", help="name the files that take longer")
    options = parser.parse_args()
    verdicts = read_verdicts(options.verdicts) if options.verdicts else {}
    reports = check_all(options.folders, options.jobs)
    print_repositories(reports)
    print_rules(reports, verdicts)
    print_failures(reports, options.slow)
    if options.sample:
        if options.unjudged:
            for report in reports:
                report.said = [said for said in report.said if said.key not in verdicts]
        print_sample(reports, options.sample, options.seed, tuple(options.severity or LOUD), options.context)


if __name__ == "__main__":
    main()
