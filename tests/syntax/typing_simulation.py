"""Somebody types into real code: what survives of the rest of it at each keystroke.

`python -m tests.syntax.typing_simulation` prints the figures.
"""

from __future__ import annotations

import ast
import gc
import random
import statistics
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from gradls.syntax.source import Source
from gradls.syntax.text import changed, split_lines

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
    """A top-level statement or a member of a class that stands on the 1-based lines from `first` to `last`."""

    node: ast.stmt
    body: object
    text: str
    first: int
    last: int


def units(source: Source) -> list[Unit]:
    """All units of a text, without those that share a line with another."""
    found: list[Unit] = []

    def visit(body: list[ast.stmt]) -> None:
        for statement in body:
            if isinstance(statement, ast.ClassDef):
                visit(statement.body)
            decorators = getattr(statement, "decorator_list", [])
            first = min(source.line(node) for node in [*decorators, statement])
            if not isinstance(statement, ast.ClassDef):
                last = source.span(statement).end_line
                found.append(Unit(statement, getattr(statement, "body", None), source.segment(statement), first, last))

    visit(source.tree.body)
    return found


def untouched(source: Source, unit: Unit) -> bool:
    """Whether a unit is what it was, and still stands where its text does."""
    node = unit.node
    if not source.holds(node) or getattr(node, "body", None) is not unit.body:
        return False
    return source.segment(node) == unit.text


def found_again(source: Source, unit: Unit, moved: int) -> bool:
    """Whether a tree that was made anew has the same unit, so many lines further down."""
    for node in source.tree.body:
        for each in node.body if isinstance(node, ast.ClassDef) else [node]:
            if each.lineno == unit.node.lineno + moved and ast.dump(each) == ast.dump(unit.node):
                return source.segment(each) == unit.text
    return False


class Keystroke(NamedTuple):
    """A text while somebody types: how much of the other units survives, and what it cost."""

    kept: float
    milliseconds: float
    broken: bool


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
    lines = split_lines(text)
    typed = "\n".join(indent + each for each in typed.split("\n"))
    texts = []
    for length in range(len(indent), len(typed) + 1):
        part = typed[:length]
        if part.strip() or not part.endswith(" "):
            texts.append([*lines[: line - 1], *split_lines(f"{part}\n"), *lines[line - 1 :]])
    yield from go_through(lines, texts, history)


def go_through(lines: list[str], texts: list[list[str]], history: bool) -> Iterator[Keystroke]:
    """Let one text become one after the other; what is apart from all that changes has to survive."""
    source = Source.read("".join(lines))
    original = source
    changes = [changed(lines, new) for new in texts]
    start, end = min(change.start for change in changes), max(change.old_end for change in changes)
    around = [unit for unit in units(source) if unit.last <= start or unit.first > end]
    before_it = max((unit.last for unit in around if unit.last <= start), default=0)
    following = min((unit.first for unit in around if unit.first > end), default=0)
    for new, change in zip(texts, changes, strict=True):
        if change.new_end and new[change.new_end - 1].lstrip().startswith("@"):
            # A decorator belongs to what follows, which is then another.
            around = [unit for unit in around if unit.first != following]
        before = time.process_time()
        if history:
            source.edit(new)
        else:
            source = Source.read("".join(new))
        spent = (time.process_time() - before) * 1000
        if not source.problems:
            # What has lost its header may be part of what is before it.
            around = [unit for unit in around if unit.last != before_it]
        if history:
            kept = sum(untouched(source, unit) for unit in around)
        else:
            kept = sum(found_again(source, unit, change.shift if unit.first > end else 0) for unit in around)
        yield Keystroke(kept / len(around) if around else 1, spent, bool(source.problems))
    assert history == (source is original)


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
    return next(go_through(split_lines(text), [split_lines(broken(text, seed))], history))


def _print(title: str, results: list[Keystroke]) -> None:
    results = [each for each in results if each.broken]
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
