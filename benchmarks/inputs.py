"""What is measured on: code that is installed here, cut to size or repeated under new names, with a fault to toggle."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.lsp import Change
from benchmarks.setup import SOURCES

# Those after the first stand in where `python -m benchmarks.setup` has not been run.
TRAINING = ("denoising_diffusion_pytorch/guided_diffusion.py", "torch/distributions/transforms.py")
"""A program of 1,021 lines: modules, a training loop."""
MODULES = ("diffusers/models/attention_processor.py", "torch/_decomp/decompositions.py")
"""5,679 lines of modules."""


class NoInput(Exception):
    """The code to measure on is not installed."""


def installed(*names: str) -> Path:
    """The first of these files or folders of packages that is there. NoInput if none is."""
    for name in names:
        if (SOURCES / name).exists():
            return SOURCES / name
        package, _, rest = name.partition("/")
        found = importlib.util.find_spec(package)
        for place in found.submodule_search_locations or () if found else ():
            if (Path(place) / rest).exists():
                return Path(place) / rest
    raise NoInput(f"none of {', '.join(names)} is installed: run `python -m benchmarks.setup`")


class Input(NamedTuple):
    """A text to measure on, and what it is."""

    text: str
    about: str

    @property
    def lines(self) -> int:
        return self.text.count("\n")


def standard(sizes: list[int]) -> list[Input]:
    """A file for each number of lines: up to about a thousand, a training program; above, a library's modules."""
    found = []
    for size in sizes:
        path = installed(*(TRAINING if size <= 1100 else MODULES))
        found.append(Input(sized(read(path), size), f"from {path.parent.name}/{path.name}"))
    return found


def given(path: Path) -> Input:
    return Input(read(path), path.name)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")


@contextlib.contextmanager
def project() -> Iterator[Path]:
    """A folder that tools take for a project without settings, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gradls-benchmark-") as name:
        folder = Path(name).resolve()
        # Without a table of its own pyrefly takes a project for one that does not use it, and checks little.
        (folder / "pyproject.toml").write_text('[project]\nname = "measured"\nversion = "0"\n\n[tool.pyrefly]\n')
        (folder / "cache").mkdir()
        (folder / "project").mkdir()
        (folder / "pyproject.toml").rename(folder / "project" / "pyproject.toml")
        yield folder / "project"


def cache_of(folder: Path) -> Path:
    """Where tools that run in a `project()` keep what they know."""
    return folder.parent / "cache"


def copy_python(source: Path, folder: Path) -> tuple[int, int]:
    """Copy the Python files below `source` into `folder`; return how many files and lines these are."""
    files = lines = 0
    for path in sorted(source.rglob("*.py")):
        target = folder / source.name / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        files, lines = files + 1, lines + path.read_bytes().count(b"\n")
    return files, lines


def sized(text: str, lines: int) -> str:
    """About `lines` lines of `text`: its first statements, or all of them and its functions and classes again and again
    under new names. A text that is at most a twentieth longer stays whole."""
    rows = text.split("\n")
    body = ast.parse(text).body
    if len(rows) > lines * 1.05:
        last = max((node.end_lineno or 0 for node in body if (node.end_lineno or 0) <= lines), default=0)
        return "\n".join(rows[:last]) + "\n"
    parts, count, number = [text], len(rows), 1
    while count < lines:
        for part in copies(text, f"_{number}"):
            if count >= lines:
                break
            parts.append(part)
            count += part.count("\n") + 1
        number += 1
    return "\n".join(parts)


def copies(text: str, ending: str) -> Iterator[str]:
    """The functions and classes at the top of `text`; their names get `ending`, also where one uses another."""
    tree = ast.parse(text)
    kept = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
    # A parameter of the same name is another thing, which callers may name.
    parameters = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names = {node.name for node in kept} - parameters
    lines = [line.encode() for line in text.split("\n")]
    for node in kept:
        rows: dict[int, list[int]] = {}
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and name.id in names:
                rows.setdefault(name.lineno, []).append(name.end_col_offset or 0)
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        copied = []
        for number in range(first, (node.end_lineno or 0) + 1):
            line = lines[number - 1]
            for column in sorted(rows.get(number, ()), reverse=True):
                line = line[:column] + ending.encode() + line[column:]
            copied.append(line.decode())
        at = node.lineno - first
        copied[at] = re.sub(rf"\b{node.name}\b", node.name + ending, copied[at], count=1)
        yield "\n" + "\n".join(copied) + "\n"


class State(NamedTuple):
    """A text, and which faults are in it: a lost gradient, an undefined name."""

    text: str
    gradient: bool
    undefined: bool


class Probe(NamedTuple):
    """Two states of a file, the change from each to the other, and where its faults are told."""

    states: tuple[State, State]
    changes: tuple[Change, Change]
    line: int
    """The line (0-based) on which the lost gradient is told."""

    def has_fault(self, finds: str, state: int) -> bool:
        return bool(getattr(self.states[state], finds))


KINDS = {
    "function": "a character in a function of its own",
    "method": "a character in a method",
    "line": "a line in a method",
    "top": "a line below the imports",
}
UNDEFINED = "probeq"
_FUNCTION = """
def function_that_is_edited():
    weight = torch.randn(3, requires_grad=True)
    out = (weight * 2).sum()
    probe = out.detach()
    probe.backward()
"""
_METHOD = ["probe = torch.zeros(3).sum()", "probe.backward()"]
_LINE = f"torch.zeros(3).sum().backward(); {UNDEFINED}"


def probe(text: str, kind: str) -> Probe:
    """Put a fault into `text`, of one of the KINDS, near its middle (but `top`).

    In a character's place, `q` makes of a loss without gradient an undefined name; a line has both faults. So every
    server tells the two states apart, each by what it reports. NoInput if there is no place for it.
    """
    if not re.search(r"^import torch$", text, re.MULTILINE):
        text = _with_import(text)
    lines = text.split("\n")
    if kind == "function":
        at = _between_statements(text)
        rows = [*_FUNCTION.split("\n"), ""]
        return _toggled([*lines[:at], *rows, *lines[at:]], at + rows.index("    probe.backward()"), -1)
    if kind == "top":
        return _inserted(lines, _below_imports(text), "")
    at, indent = _in_method(text)
    if kind == "method":
        return _toggled([*lines[:at], *(indent + row for row in _METHOD), *lines[at:]], at + 1, 0)
    return _inserted(lines, at, indent)


def _toggled(lines: list[str], at: int, told: int) -> Probe:
    """`probe` in line `at` becomes `probeq` and `probe` again; the fault is told `told` lines from there."""
    column = lines[at].index("probe") + len("probe")
    line = lines[at]
    with_q = [*lines[:at], line[:column] + "q" + line[column:], *lines[at + 1 :]]
    states = State("\n".join(lines), True, False), State("\n".join(with_q), False, True)
    there = Change((at, column), (at, column), "q")
    back = Change((at, column), (at, column + 1), "")
    return Probe(states, (there, back), at + told)


def _inserted(lines: list[str], at: int, indent: str) -> Probe:
    """A line before line `at` goes and comes."""
    row = indent + _LINE
    states = State("\n".join([*lines[:at], row, *lines[at:]]), True, True), State("\n".join(lines), False, False)
    changes = Change((at, 0), (at + 1, 0), ""), Change((at, 0), (at, 0), row + "\n")
    return Probe(states, changes, at)


def _with_import(text: str) -> str:
    lines = text.split("\n")
    at = _below_imports(text)
    return "\n".join([*lines[:at], "import torch", *lines[at:]])


def _below_imports(text: str) -> int:
    """The line (0-based) below the last of the import statements at the top of a file, docstring included."""
    at = 0
    for node in ast.parse(text).body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            at = max(at, node.end_lineno or 0)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            at = node.end_lineno or 0
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            break
    return at


def _between_statements(text: str) -> int:
    """The line (0-based) between two functions or classes that is nearest to the middle."""
    nodes = [node for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    starts = [min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1 for node in nodes]
    middle = text.count("\n") / 2
    return min(starts, key=lambda at: abs(at - middle), default=text.count("\n"))


def _in_method(text: str) -> tuple[int, str]:
    """Before the last statement of the function nearest to the middle: the line (0-based), and its indentation."""
    functions = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and len(node.body) > 2 and node.body[-2].end_lineno != node.body[-1].lineno
    ]
    if not functions:
        raise NoInput("the file has no function to edit")
    middle = text.count("\n") / 2
    last = min(functions, key=lambda node: abs(node.lineno - middle)).body[-1]
    return last.lineno - 1, " " * last.col_offset
