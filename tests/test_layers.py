"""The layers: each package imports only those above it, and the core needs no library of a front end."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradls

PACKAGE = Path(gradls.__file__).parent
LAYERS = [
    "syntax",
    "autograd",
    "flow",
    "rules",
    "explain",
    "errors",
    "resolve",
    "workspace",
    "picture",
    "server",
    "cli",
]
# What a layer may import besides those above it: the front ends do not know each other, except for starting a server.
NOT_EACH_OTHER = {("server", "cli"), ("cli", "server")}
STARTS_THE_SERVER = "cli/main.py"
CORE = ["syntax", "autograd", "flow", "rules", "explain", "errors"]
# These stand on top of the layers: what others import, and the programs of rules run on PyTorch.
ON_TOP = ["gradls.api", "gradls.plugin", "gradls.testing"]
BLOCKED = ["pygls", "lsprotocol", "jedi", "libcst", "torch", "rich", "numpy"]
# Generators are tools for the developer, run by hand, and stubs are data: no module imports them.
NOT_IMPORTED = ["autograd/generate", "resolve/generate_stubs.py", "resolve/stubs"]
# These build the edits of a fix with libcst: a rule imports them when a fix is asked for.
ON_REQUEST = "gradls.rules.edits_"


def modules(layer: str) -> list[Path]:
    return [
        path
        for path in sorted((PACKAGE / layer).rglob("*.py"))
        if not any(path.is_relative_to(PACKAGE / other) for other in NOT_IMPORTED)
    ]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The modules that a file imports anywhere in it, functions included, with the line."""
    name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    package = name.removesuffix(".__init__") if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def layer_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "gradls" and len(parts) > 1 and parts[1] in LAYERS else None


def test_every_package_is_a_layer():
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert packages == {*LAYERS, "testing"}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_those_above_it(layer: str):
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    wrong = []
    for path in modules(layer):
        for line, module in imports(path):
            other = layer_of(module)
            if module in ON_TOP:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
            if other is None or (path.relative_to(PACKAGE).as_posix() == STARTS_THE_SERVER and other == "server"):
                continue
            if other not in allowed or (layer, other) in NOT_EACH_OTHER:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {module}")
    assert not wrong


def test_the_walk_sees_every_kind_of_import():
    """A test of the test: it would pass on anything if it saw nothing."""
    seen = {module for _, module in imports(PACKAGE / "workspace" / "session.py")}
    assert {"gradls.flow.analyze", "gradls.rules.finding.Fix"} <= seen
    assert "gradls.server.main" in {module for _, module in imports(PACKAGE / "cli" / "main.py")}


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_imports_torch(layer: str):
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in modules(layer)
        for line, module in imports(path)
        if module.split(".")[0] in ("torch", "torchgen")
    ]
    assert not wrong


@pytest.mark.parametrize("layer", CORE)
def test_nothing_in_the_core_starts_threads_or_processes(layer: str):
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        for path in modules(layer)
        for line, module in imports(path)
        if module.split(".")[0] in ("threading", "asyncio", "multiprocessing", "concurrent", "subprocess", "socket")
    ]
    assert not wrong


def test_the_core_works_without_the_libraries_of_the_front_ends():
    """Import every module of the core and analyse a program, where those libraries cannot be imported."""
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for layer in CORE
        for path in modules(layer)
    ]
    names = [name for name in names if not name.startswith(ON_REQUEST)]
    program = f"""
import importlib, sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
for name in {names!r}:
    importlib.import_module(name)
from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
text = "import torch\\nw = torch.ones(2, requires_grad=True)\\nw.sum().detach().backward()\\n"
found = findings(analyze(Source.read(text)))
print(len({names!r}), [finding.name for finding in found])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[0] == str(len(names))
    assert "Error" not in run.stderr
