"""The same program written in other ways: in a function, with other line ends, with tabs, in fewer or more lines.

`PLACES` put a program somewhere else, which changes its tree. `LAYOUTS` leave the tree as it is. All take and give the
text of a program, with lines that end in a line feed.
"""

from __future__ import annotations

import ast
import io
import itertools
import tokenize
from collections.abc import Callable, Iterator

Rewriting = Callable[[str], str]


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))


def in_function(text: str) -> str:
    return f"def main():\n{_indented(text)}\n\nmain()\n"


def in_decorated_function(text: str) -> str:
    return f"import torch\n\n\n@torch.enable_grad()\ndef main():\n{_indented(text)}\n\nmain()\n"


def in_method(text: str) -> str:
    return f"class Experiment:\n    def run(self):\n{_indented(_indented(text))}\n\nExperiment().run()\n"


def in_branch(text: str) -> str:
    return f"if __name__ == '__main__':\n{_indented(text)}"


PLACES: dict[str, Rewriting] = {
    "as it is": lambda text: text,
    "in a function": in_function,
    "in a decorated function": in_decorated_function,
    "in a method": in_method,
    "in a branch": in_branch,
}


def _edited(text: str, changes: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _offsets(text: str) -> Callable[[int, int], int]:
    """From a line and a column in bytes, as `ast` has them, to an offset."""
    lines = text.splitlines(keepends=True)
    starts = [0, *itertools.accumulate(map(len, lines))]
    return lambda line, column: starts[line - 1] + len(lines[line - 1].encode()[:column].decode())


def _blocks(text: str) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    for node in ast.walk(ast.parse(text)):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield node, block


def _is_short(statement: ast.stmt) -> bool:
    return not hasattr(statement, "body") and statement.lineno == statement.end_lineno


def commented(text: str) -> str:
    """A comment behind every statement that has none."""
    offset, lines = _offsets(text), text.splitlines()
    ends = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.NEWLINE]
    free = [token.start for token in ends if "#" not in lines[token.start[0] - 1]]
    changes = []
    for number, (line, _) in enumerate(free):
        at = offset(line, len(lines[line - 1].encode()))
        changes.append((at, at, f"  # note {number}"))
    return _edited(text, changes)


def joined(text: str) -> str:
    """Every second pair of statements on one line."""
    offset, changes = _offsets(text), []
    for _, block in _blocks(text):
        for one, other in itertools.islice(itertools.pairwise(block), 0, None, 2):
            start = offset(one.end_lineno or 0, one.end_col_offset or 0)
            end = offset(other.lineno, other.col_offset)
            if _is_short(one) and _is_short(other) and not text[start:end].strip():
                changes.append((start, end, "; "))
    return _edited(text, changes)


def one_line_suites(text: str) -> str:
    """Bodies of simple statements on the line of their header."""
    offset, changes = _offsets(text), []
    for node, block in _blocks(text):
        if isinstance(node, (ast.For, ast.With, ast.If, ast.FunctionDef)) and all(map(_is_short, block)):
            if block is not node.body or getattr(node, "orelse", None):
                continue
            start = offset(block[0].lineno, block[0].col_offset)
            header = text[:start].rstrip()
            between = [
                (offset(one.end_lineno or 0, one.end_col_offset or 0), offset(other.lineno, other.col_offset))
                for one, other in itertools.pairwise(block)
            ]
            if header.endswith(":") and not any(text[at:end].strip(" \n;") for at, end in between):
                changes.append((len(header), start, " "))
                changes += [(at, end, "; ") for at, end in between]
    return _edited(text, changes)


def in_parentheses(text: str) -> str:
    """The value of each short statement in parentheses, on lines of its own."""
    offset, changes = _offsets(text), []
    for _, block in _blocks(text):
        for statement in block:
            value = getattr(statement, "value", None)
            if isinstance(value, ast.expr) and _is_short(statement) and not isinstance(value, ast.Tuple):
                start = offset(value.lineno, value.col_offset)
                end = offset(value.end_lineno or 0, value.end_col_offset or 0)
                if text[end:].partition("\n")[0].strip().startswith(")"):
                    continue
                margin = " " * statement.col_offset
                changes.append((start, end, f"(\n{margin}    {text[start:end]}\n{margin})"))
    return _edited(text, changes)


def spread(text: str) -> str:
    """The arguments of each statement's outermost call on lines of their own, with a comment on the first."""
    offset, changes = _offsets(text), []
    for _, block in _blocks(text):
        for statement in filter(_is_short, block):
            value = getattr(statement, "value", None)
            if not isinstance(value, ast.Call) or not (value.args or value.keywords):
                continue
            given = sorted([*value.args, *value.keywords], key=lambda node: (node.lineno, node.col_offset))
            spans = [(offset(a.lineno, a.col_offset), offset(a.end_lineno or 0, a.end_col_offset or 0)) for a in given]
            end = offset(value.end_lineno or 0, value.end_col_offset or 0) - 1
            opening = text.rindex("(", 0, spans[0][0]) + 1
            if text[opening : spans[0][0]].strip() or any(isinstance(a, ast.GeneratorExp) for a in value.args):
                continue
            margin = " " * statement.col_offset
            pieces = [f"{margin}    {text[start:stop]}," for start, stop in spans]
            pieces[0] += "  # first"
            changes.append((opening, end, "\n" + "\n".join(pieces) + f"\n{margin}"))
    return _edited(text, changes)


def with_tabs(text: str) -> str:
    def tabbed(line: str) -> str:
        rest = line.lstrip(" ")
        return "\t" * ((len(line) - len(rest)) // 4) + " " * ((len(line) - len(rest)) % 4) + rest

    return "".join(map(tabbed, text.splitlines(keepends=True)))


def without_last_newline(text: str) -> str:
    return text.rstrip("\n")


LAYOUTS: dict[str, Rewriting] = {
    "in parentheses": in_parentheses,
    "spread": spread,
    "joined": joined,
    "one-line suites": one_line_suites,
    "commented": commented,
    "with tabs": with_tabs,
    "without a last newline": without_last_newline,
}
"""In the order in which they can be applied one after the other."""
