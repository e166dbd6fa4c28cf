"""Tracebacks as people paste them: from a terminal, a log, a notebook, several processes at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import NamedTuple

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")
_START = re.compile(r"Traceback \(most recent call last\)")
_LINK = re.compile(
    r"During handling of the above exception, another exception|The above exception was the direct cause|"
    r"Original Traceback \(most recent call last\)"
)
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<name>.+))?')
_NOTEBOOK_FRAME = re.compile(
    r"^\s*(?:File )?(?:(?P<path>\S.*?\.py)(?::(?P<line>\d+))?|"
    r"(?:Cell|Input) In ?\[(?P<cell>\d+)\](?:, line (?P<at>\d+))?|<ipython-input-(?P<old>\d+)-\w+>)"
    r"(?:,| in |\s*$)(?: ?in)?\s*(?P<name>.*)"
)
_ARROW = re.compile(r"^-+> ?(?P<line>\d+)\s?(?P<text>.*)$")
_EXCEPTION = re.compile(r"^(?P<type>[A-Za-z_][\w.]*?)(?::\s+(?P<message>.*)|:?\s*)$")
_NAMED_ERROR = re.compile(r"\b(?P<type>[A-Za-z_][\w.]*(?:Error|Exception|Warning)): (?P<message>.*)")
_WARNED = re.compile(r"^(?P<path>\S.*?\.py):(?P<line>\d+): (?P<type>\w*Warning): (?P<message>.*)")
_FORWARD = re.compile(r"Error detected in (\w+)\b.*Traceback of forward call that (?:caused|induced)")
_CARETS = re.compile(r"^[\s~^]+$")
_LIBRARY = re.compile(
    r"(?:^|[\\/])(?:site-packages|dist-packages)[\\/]|[\\/]lib[\\/]python\d|^<(?!ipython)|[\\/]torch[\\/](?:_|nn[\\/]modules|"
    r"autograd|optim|utils|func|distributed|amp|cuda|fx|functional)|[\\/]runpy\.py$"
)
_ENDINGS = ("Error", "Exception", "Interrupt", "Exit", "Iteration")
MOST_LINES = 40
"""So many lines of a message are read."""
MOST_LINES_OF_LOG = 20_000
"""So many lines are read of the end of a text."""
MOST_COLUMNS = 4000
"""So much of a line is read."""


class Frame(NamedTuple):
    """A call that was running: `line` counts from 1, in the file `path` or in the cell that was run as number `cell`.
    `text` is the line of code as it was printed, without its indentation; empty if it was not."""

    path: str
    line: int
    name: str = ""
    text: str = ""
    cell: int | None = None

    @property
    def is_library(self) -> bool:
        """Whether it is in code that was installed, not written by the user."""
        return self.cell is None and _LIBRARY.search(self.path) is not None


@dataclass(slots=True)
class Raised:
    """One exception: its type, what it says, and the calls from the outermost to the one that raised it.

    `message` is the first line of what it says; `more` are the lines after it, of which the last may be another's.
    """

    type: str = ""
    message: str = ""
    more: str = ""
    frames: list[Frame] = field(default_factory=list)

    @property
    def said(self) -> str:
        """The first line of the exception as Python prints it."""
        return f"{self.type}: {self.message}" if self.type and self.message else self.type or self.message

    @property
    def text(self) -> str:
        """All that is known of what it says."""
        return f"{self.said}\n{self.more}"


@dataclass(slots=True)
class Trace:
    """What a text tells: the exceptions of a chain in the order in which they were raised, the last one uncaught.

    `forward` are the calls that made the node of the graph whose backward failed, and `node` is its name, if anomaly
    mode printed them.
    """

    raised: list[Raised]
    forward: list[Frame] = field(default_factory=list)
    node: str = ""


def read_trace(text: str) -> Trace:
    """The last traceback of a text with the exceptions before it; a text without one is a message."""
    printed = (line[:MOST_COLUMNS] for line in re.split(r"\r\n|\n|\r", text)[-MOST_LINES_OF_LOG:])
    lines = _of_one_process([_COLOURS.sub("", line) for line in printed])
    forward, node, lines = _without_forward(lines)
    starts = [number for number, line in enumerate(lines) if _START.search(line)]
    if not starts:
        first = next((number for number, line in enumerate(lines) if _frame(line)), None)
        if first is None:
            return Trace([_message_only(lines)], forward, node)
        starts = [first]
        lines = [*lines[:first], "Traceback (most recent call last):", *lines[first:]]
    chain: list[Raised] = []
    end = 0
    for start, after in zip(starts, [*starts[1:], len(lines)], strict=True):
        if not any(_LINK.search(line) for line in lines[end : start + 1]):
            chain = []
        raised, end = _block(lines, start + 1, after)
        chain.append(raised)
    return Trace(chain, forward, node)


def _of_one_process(lines: list[str]) -> list[str]:
    """The lines of the process that the last traceback is of, without what is put before each line of it."""
    for number in range(len(lines) - 1, -1, -1):
        found = _START.search(lines[number])
        if found is None:
            continue
        prefix = lines[number][: found.start()]
        if not prefix.strip() or number + 1 == len(lines):
            return lines
        shape = re.escape(prefix)
        if re.search(r"\d:\d", prefix):
            shape = re.sub(r"\d+", r"\\d+", shape)
        before = re.compile(shape)
        if not any(before.match(line) for line in lines[number + 1 : number + MOST_LINES]):
            return lines
        return [line[found.end() :] for line in lines if (found := before.match(line))]
    return lines


def _without_forward(lines: Sequence[str]) -> tuple[list[Frame], str, list[str]]:
    """The calls of the forward that anomaly mode printed last, the name of the node, and the lines without them."""
    forward: list[Frame] = []
    node, rest, number = "", list[str](), 0
    while number < len(lines):
        found = _FORWARD.search(lines[number])
        number += 1
        if found is None:
            rest.append(lines[number - 1])
            continue
        start = number
        while number < len(lines) and (lines[number].startswith((" ", "\t")) and lines[number].strip()):
            number += 1
        induced = "that induced" in lines[start - 1]
        if not induced or not forward:
            forward, node = list(_frames(lines[start:number])), found[1]
    return forward, node, rest


def _block(lines: Sequence[str], start: int, end: int) -> tuple[Raised, int]:
    """The exception whose traceback begins at `start`, and the number of the line after it."""
    number = start
    while number < end and not _is_exception(lines, number):
        number += 1
    raised = Raised(frames=list(_frames(lines[start:number])))
    if number == end:
        return raised, end
    found = _EXCEPTION.match(lines[number])
    assert found is not None
    raised.type, raised.message = found["type"].rpartition(".")[2], (found["message"] or "").strip()
    number += 1
    more = _more(lines[number:end])
    raised.more = "\n".join(more)
    return raised, number + len(more)


def _is_exception(lines: Sequence[str], number: int) -> bool:
    line = lines[number]
    found = _EXCEPTION.match(line)
    if found is None or _frame(line) or _START.search(line):
        return False
    return found["message"] is not None or found["type"].endswith(_ENDINGS)


def _frames(lines: Sequence[str]) -> Iterator[Frame]:
    for number, line in enumerate(lines):
        frame = _frame(line)
        if frame is None:
            continue
        following = lines[number + 1 :]
        until = next((n for n, other in enumerate(following) if _frame(other)), len(following))
        arrow = next((found for other in following[:until] if (found := _ARROW.match(other))), None)
        if arrow is not None:
            frame = frame._replace(line=int(arrow["line"]), text=arrow["text"].strip())
        elif _FRAME.match(line):
            code = next((other.strip() for other in following[:until] if not _CARETS.match(other)), "")
            frame = frame._replace(text=code)
        if frame.line:
            yield frame


def _frame(line: str) -> Frame | None:
    found = _FRAME.match(line)
    if found:
        return _in_cell(found["path"], int(found["line"]), found["name"] or "")
    found = _NOTEBOOK_FRAME.match(line)
    if not found:
        return None
    cell = found["cell"] or found["old"]
    return Frame(
        found["path"] or f"In[{cell}]",
        int(found["line"] or found["at"] or 0),
        found["name"].partition("(")[0].strip(),
        cell=int(cell) if cell else None,
    )


def _in_cell(path: str, line: int, name: str) -> Frame:
    """A frame, of which the path may be the name that IPython gives to a cell."""
    cell = re.search(r"ipython-input-(\d+)-|^(?:Cell|Input) In ?\[(\d+)\]", path)
    return Frame(path, line, name, cell=int(cell[1] or cell[2]) if cell else None)


def _message_only(lines: Sequence[str]) -> Raised:
    """From a text without calls: the last warning with its place, or the last error, or all of it."""
    for number in range(len(lines) - 1, -1, -1):
        warned = _WARNED.match(lines[number])
        if warned:
            text = next(iter(lines[number + 1 : number + 2]), "").strip()
            return Raised(warned["type"], warned["message"], "", [Frame(warned["path"], int(warned["line"]), "", text)])
        named = _NAMED_ERROR.search(lines[number]) if ": " in lines[number] else None
        if named:
            more = "\n".join(_more(lines[number + 1 :]))
            return Raised(named["type"].rpartition(".")[2], named["message"].strip(), more)
    first, _, more = "\n".join(lines).strip().partition("\n")
    return Raised(message=first, more=more)


def _more(lines: Iterable[str]) -> list[str]:
    """The lines of a message after its first."""
    return list(islice(takewhile(lambda line: line.strip() and not _LINK.search(line), lines), MOST_LINES))
