"""How the cost of each rule grows with the number of its mistakes: the programs of its page, repeated in one file.

    python -m benchmarks.rules [--copies 30,120] [--within module,function,loop] [CODE...]

The names that a program binds are other ones in each copy. Four times as many copies cost about four times as much
where nothing is looked for anew for each of them; near sixteen, something is gone through for each pair.
"""

from __future__ import annotations

import argparse
import ast
import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

from benchmarks.edits import numbers
from benchmarks.results import Table, command, progress
from gradls.rules.page import page
from gradls.rules.registry import own_rules
from gradls.workspace.session import Session

WITHIN: dict[str, Callable[[list[str]], str]] = {
    "module": "\n".join,
    "function": lambda copies: "\n".join(f"def f{n}():\n{indent(copy, '    ')}" for n, copy in enumerate(copies)),
    "loop": lambda copies: f"for _ in range(3):\n{indent(chr(10).join(copies), '    ')}",
}
"""Where the copies stand: in the module, each in a function that nobody calls, or all in one loop."""


def bound(tree: ast.Module) -> set[str]:
    """The names that the module's own statements bind, but for imports."""
    found: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            found.add(statement.name)
        elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
            stores = (part for part in ast.walk(statement) if isinstance(part, ast.Name))
            found |= {part.id for part in stores if isinstance(part.ctx, ast.Store)}
    return found


def copies_of(program: str, count: int) -> list[str]:
    """A program several times, each under names of its own."""
    names = bound(ast.parse(program))
    found = []
    for number in range(count):
        tree = ast.parse(program)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in names:
                node.id += f"_{number}"
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
                node.name += f"_{number}"
            elif isinstance(node, ast.Global):
                node.names = [f"{name}_{number}" if name in names else name for name in node.names]
        found.append(ast.unparse(tree))
    return found


def seconds(text: str, path: Path) -> float:
    """Of CPU, to find what is wrong with a text."""
    session = Session()
    gc.collect()
    gc.disable()
    start = time.process_time()
    session.open(str(path), text)
    session.findings(str(path))
    taken = time.process_time() - start
    gc.enable()
    return taken


def growth(options: argparse.Namespace) -> Table:
    """A row for each program that grows most, the worst first."""
    few, many = options.copies
    columns = ["program", "copies in", f"{few} copies ms", f"{many} copies ms", "times as much"]
    table = Table(f"the {options.worst} programs that grow most", columns)
    rows: list[tuple[float, list[object]]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "repeated.py")
        seconds("import torch\n", path)
        for rule in own_rules():
            if options.codes and rule.code not in options.codes:
                continue
            progress(rule.code)
            of = page(type(rule))
            for number, program in enumerate([*of.examples, *of.uses, *of.silent], 1):
                for within in options.within:
                    made = [WITHIN[within](copies_of(program, count)) for count in (few, many)]
                    one, other = (seconds(text, path) for text in made)
                    rows.append((other / one, [f"{rule.code} {number}", within, one * 1000, other * 1000, other / one]))
    for _, row in sorted(rows, key=lambda row: -row[0])[: options.worst]:
        table.add(*row)
    return table


def run(options: argparse.Namespace) -> list[Table]:
    return [growth(options)]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("codes", nargs="*", metavar="CODE", help="the rules to look at; all, if none is given")
    parser.add_argument("--copies", type=numbers, default=[30, 120], help="two numbers")
    parser.add_argument("--within", type=lambda text: text.split(","), default=list(WITHIN))
    parser.add_argument("--worst", type=int, default=20, help="how many programs to show")


if __name__ == "__main__":
    command("rules", __doc__, add_options, run)
