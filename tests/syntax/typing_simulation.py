"""Somebody types into real code: what survives of the rest of it at each keystroke.

`python -m tests.syntax.typing_simulation` prints the figures.
"""

from __future__ import annotations

import ast
import gc
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from gradls.syntax.source import Source

# Read without importing torch, which would take a second and more memory than all the rest.
_TORCH = find_spec("torch")
assert _TORCH is not None
assert _TORCH.origin is not None
TORCH = Path(_TORCH.origin).parent
NAMES = ["nn/modules/rnn.py", "optim/lbfgs.py", "utils/checkpoint.py", "nn/modules/transformer.py", "functional.py"]
FILES = [TORCH / name for name in NAMES]

TYPED = [
    "loss = criterion(model(x), y)",
    "loss.backward()",
    "optimizer.step()",
    "for i, (x, y) in enumerate(loader):\n    out = model(x)\n    loss = F.mse_loss(out, y)",
    "with torch.no_grad():\n    for p in model.parameters():\n        p.add_(p.grad, alpha=-0.1)",
    'def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:\n    """Scale `x`."""\n    return x * scale',
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.a = nn.Linear(3, 4)",
    'text = """several\nlines\n"""',
    'print(f"{loss.item():.3f} {epoch}")',
    "x = {\n    'a': [1, 2, (3, 4)],\n    'b': lambda v: v[0],\n}",
    "if a and (b or c):\n    y = 1\nelse:\n    y = 2",
    "@torch.no_grad()\ndef evaluate(model, loader):\n    return [model(x) for x in loader if x is not None]",
    "try:\n    import apex\nexcept ImportError as error:\n    apex = None",
]


class Unit(NamedTuple):
    """A top-level statement or a member of a class: its tree as text, and its first line."""

    tree: str
    line: int


def units(tree: ast.Module, skip: range = range(0)) -> Counter[Unit]:
    """The units that do not touch the 1-based lines in `skip`."""
    found: Counter[Unit] = Counter()

    def visit(body: list[ast.stmt]) -> None:
        for statement in body:
            first = min(node.lineno for node in [*getattr(statement, "decorator_list", []), statement])
            if isinstance(statement, ast.ClassDef):
                visit(statement.body)
            elif first >= skip.stop or (statement.end_lineno or 0) < skip.start:
                found[Unit(ast.dump(statement, include_attributes=True), first)] += 1

    visit(tree.body)
    return found


class Keystroke(NamedTuple):
    """A broken text while somebody types: how much of the other units survives, and what it cost."""

    kept: float
    milliseconds: float


def places(text: str, count: int, seed: str) -> list[tuple[int, str]]:
    """Lines (1-based) before which something can be typed, with the indentation there."""
    starts = [
        (node.lineno, " " * node.col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.stmt) and not isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    lines = text.splitlines()
    # Not between decorators and what they decorate, nor on a line shared with another statement.
    starts = [
        (line, indent) for line, indent in starts if lines[line - 1].startswith(indent + lines[line - 1].strip()[:1])
    ]
    starts = [(line, indent) for line, indent in starts if not lines[line - 2].lstrip().startswith("@")]
    return random.Random(seed).sample(starts, count)


def type_in(text: str, line: int, indent: str, typed: str, history: bool) -> Iterator[Keystroke]:
    """Type a statement before a line, letter by letter, as an editor with automatic indentation would."""
    lines = text.splitlines(keepends=True)
    typed = "\n".join(indent + each for each in typed.split("\n"))
    before, after = "".join(lines[: line - 1]), "".join(lines[line - 1 :])
    source = Source.read(text)
    expected: dict[int, Counter[Unit]] = {}
    for length in range(len(indent), len(typed) + 1):
        part = typed[:length]
        if part.endswith(" ") and not part.strip():
            continue
        new = f"{before}{part}\n{after}"
        start = time.process_time()
        source = Source.read(new, previous=source if history else None)
        spent = (time.process_time() - start) * 1000
        if not source.problems:
            continue
        added = part.count("\n") + 1
        inside = range(line, line + added)
        if added not in expected:
            # The text without what is typed, with as many blank lines in its place.
            expected[added] = units(ast.parse(before + "\n" * added + after))
        surviving = units(source.tree)
        wanted = expected[added]
        around = [unit for unit in wanted if not _holds(unit, inside)]
        kept = sum(1 for unit in around if surviving[unit])
        yield Keystroke(kept / len(around), spent)


def _holds(unit: Unit, inside: range) -> bool:
    """Whether a unit is the one that is typed into: it starts before, and ends behind, what is typed."""
    last = unit.tree.rpartition("end_lineno=")[2]
    return unit.line < inside.start <= int(last.partition(",")[0].rstrip(")"))


def broken(text: str, seed: str) -> str:
    """The text with one thing broken in one line of code."""
    chance = random.Random(seed)
    lines = text.splitlines(keepends=True)
    while True:
        at = chance.randrange(len(lines))
        line = lines[at]
        if not line.strip():
            continue
        column = chance.randrange(len(line) - len(line.lstrip()), len(line.rstrip()) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            line = line[:column] + chance.choice("()[]{}'\":,=.+ ") + line[column:]
        elif kind == 1:
            line = line[:column] + line[column + 1 :] if column < len(line.rstrip()) else line
        elif kind == 2:
            line = line[:column].rstrip() + "\n"
        elif kind == 3:
            line = line[chance.randrange(1, 5) :] if line[0] == " " else " " + line
        else:
            line = line[:column] + '"""' + line[column:]
        changed = "".join([*lines[:at], line, *lines[at + 1 :]])
        try:
            ast.parse(changed)
        except SyntaxError:
            return changed


def mutate(text: str, seed: str, history: bool) -> Keystroke:
    """Break one line, and see what survives in units that do not hold it."""
    changed = broken(text, seed)
    old, new = text.splitlines(), changed.splitlines()
    at = next(i for i in range(len(old)) if i >= len(new) or old[i] != new[i]) + 1
    source = Source.read(text) if history else None
    start = time.process_time()
    found = Source.read(changed, previous=source)
    spent = (time.process_time() - start) * 1000
    surviving = units(found.tree)
    around = list(units(ast.parse(text), range(at, at + 1)))
    return Keystroke(sum(1 for unit in around if surviving[unit]) / len(around), spent)


def _print(title: str, results: list[Keystroke]) -> None:
    kept, spent = [each.kept for each in results], sorted(each.milliseconds for each in results)
    whole = sum(each == 1 for each in kept) / len(kept)
    print(
        f"{title:38} {len(results):6} broken texts; kept: mean {statistics.mean(kept):7.2%}, worst {min(kept):7.2%}, "
        f"all of it in {whole:7.2%}; CPU ms: p50 {spent[len(spent) // 2]:.1f}, p95 {spent[len(spent) * 95 // 100]:.1f}"
    )


def main() -> None:
    gc.disable()  # as in both front ends
    for history in (True, False):
        said = "with history" if history else "without history"
        typed, mutated = [], []
        for path in FILES:
            text = path.read_text(encoding="utf-8")
            for number, (line, indent) in enumerate(places(text, 12, path.name)):
                typed += list(type_in(text, line, indent, TYPED[number % len(TYPED)], history))
            mutated += [mutate(text, f"{path.name} {number}", history) for number in range(100)]
        _print(f"typing, {said}", typed)
        _print(f"breaking, {said}", mutated)


if __name__ == "__main__":
    main()
