"""What IPython understands beside Python, replaced by Python of which nothing is known.

What a line is depends only on where a statement begins: within brackets and strings `%` and `!` are what they always
are. A cell may be half typed, so nothing is parsed for that: strings and brackets are followed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence

from gradls.syntax.text import indentation

UNKNOWN = "get_ipython()"
"""A value of which nothing is known."""

_PYTHON_BODY = frozenset(
    {
        *("capture", "debug", "heat", "ipytest", "lprun", "memit", "mprun", "notify", "prun", "pyinstrument"),
        *("scalene", "snakeviz", "time", "timeit", "wandb"),
    }
)
"""The cell magics that run the cell as it is."""

_CANDIDATE = re.compile(r"[%!?]|^\s*[,;/]|^\s*(?:pip|conda|mamba|cd|ls|cat|mkdir|rm|cp|mv|load_ext|matplotlib)\s")
_CELL_MAGIC = re.compile(r"%%(?P<name>\w+)(?!\S*\?)")
_ESCAPE = re.compile(r"\s*(?:%|!|\?|[,;/]\s*[A-Za-z_])")
_RUNS = re.compile(r"(?P<magic>\s*%(?:time|timeit|prun|memit|lprun|mprun|snakeviz)\s+)(?P<rest>.*)", re.DOTALL)
_ASSIGNED = re.compile(r'(?P<target>\s*[A-Za-z_][\w.,\s\[\]()*"]*=\s*)(?:%\s*[A-Za-z_]|!(?!=))')
_AUTOMATIC = re.compile(
    r"\s*(?:pip|conda|mamba|cd|ls|cat|mkdir|rm|cp|mv|load_ext|matplotlib)\s+"
    r"(?!(?:in|is|and|or|not|if|else|for)\b)(?:[A-Za-z_~]|/\w|\.\.?(?:/|\s*$))"
)
_NEXT = re.compile(r"""#|\"\"\"|'''|["']|[()\[\]{}]""")
_REST_OF_STRING = {quotes: re.compile(rf"(?:\\.|[^\\])*?{quotes}", re.DOTALL) for quotes in ('"', "'", '"""', "'''")}


def masked(lines: Sequence[str]) -> tuple[list[str], list[int]]:
    """The lines of a cell as Python, and the indices of those that are others than in the cell."""
    if not any(map(_CANDIDATE.search, lines)):
        return list(lines), []
    start = next((index for index, line in enumerate(lines) if line.strip()), 0)
    magic = _CELL_MAGIC.match(lines[start])
    if magic and magic["name"] not in _PYTHON_BODY:
        return ["\n"] * len(lines), list(range(len(lines)))
    made = list(lines)
    scanner, magical = _Scanner(), False
    for index, line in enumerate(lines):
        if magical or (magic and index == start):
            made[index] = _end(line)
        elif scanner.between_statements:
            made[index] = _statement(line, scanner)
        else:
            scanner.feed(line)
        magical = (magical or made[index] != line) and line.rstrip("\r\n").endswith("\\")
    return made, [index for index, line in enumerate(lines) if made[index] != line]


def _statement(line: str, scanner: _Scanner) -> str:
    """A line with which a statement begins, as Python; the scanner is fed with that."""
    text = line.rstrip("\r\n")
    if _ESCAPE.match(text):
        made = _run(text) or _nothing(text)
    elif _AUTOMATIC.match(text) and not _parses(text):
        made = _nothing(text)
    else:
        before = scanner.state
        code = scanner.feed(line).rstrip("\r\n")
        assigned = _ASSIGNED.match(code)
        if assigned is None and not code.rstrip().endswith("?"):
            return line
        scanner.state = before
        made = text[: assigned.end("target")] + UNKNOWN if assigned else _nothing(text)
    scanner.feed(made)
    return made + _end(line)


def _run(text: str) -> str | None:
    """The statement that a magic runs, in its columns: `%time x = f()`. None if it is no such line."""
    found = _RUNS.match(text)
    if found is None or text.endswith("\\"):
        return None
    rest, argument = found["rest"], False
    while rest and (rest.startswith("-") or argument):
        if argument and not rest.startswith("-") and _parses(rest):
            break
        argument = rest.startswith("-")
        rest = rest.partition(" ")[2].lstrip(" ")
    if not rest or not _parses(rest):
        return None
    indent = indentation(text)
    # The magic looks at how it runs, or shows what it gives: that is no expression that nobody uses.
    before = "_ =" if _is_expression(rest) else "pass;"
    return indent + before.ljust(len(text) - len(rest) - len(indent)) + rest


def _nothing(text: str) -> str:
    indent = indentation(text)
    return f"{indent}pass" if indent else ""


def _end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :] or "\n"


def _parses(statement: str) -> bool:
    """Whether it is a simple statement, or several."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(f"pass; {statement.strip()}\n")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _is_expression(statement: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(statement.strip().rstrip(";"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


class _Scanner:
    """Goes through lines of Python and knows what they leave open: brackets, a string, a backslash at the end."""

    def __init__(self) -> None:
        self.state = (0, "", False)

    @property
    def between_statements(self) -> bool:
        return self.state == (0, "", False)

    def feed(self, line: str) -> str:
        """Go on with `line`. Returns its code, with a quote for each character of a string."""
        depth, quotes, _ = self.state
        code: list[str] = []
        at = 0
        while at < len(line):
            if quotes:
                end = _REST_OF_STRING[quotes].match(line, at)
                stop = end.end() if end else len(line)
                code.append('"' * (stop - at))
                at = stop
                if end or (len(quotes) == 1 and not line.rstrip("\r\n").endswith("\\")):
                    quotes = ""
                continue
            found = _NEXT.search(line, at)
            if found is None or found[0] == "#":
                code.append(line[at : found.start() if found else len(line)])
                break
            code.append(line[at : found.start()])
            at = found.end()
            if found[0] in "([{":
                depth += 1
            elif found[0] in ")]}":
                depth = max(depth - 1, 0)
            else:
                quotes = found[0]
            code.append('"' * len(found[0]) if quotes else found[0])
        text = "".join(code)
        self.state = depth, quotes, not quotes and text.rstrip("\r\n").endswith("\\")
        return text
