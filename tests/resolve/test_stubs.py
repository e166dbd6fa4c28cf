"""The stubs of torch that are shipped say what the installed torch says."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from gradls.resolve.generate_stubs import NAMESPACES, home_of
from gradls.resolve.resolver import STUBS

torch = pytest.importorskip("torch")
FILES = sorted(STUBS.rglob("*.py"))


def module_of(path: Path) -> str:
    names = path.relative_to(STUBS).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


TREES = {module_of(path): ast.parse(path.read_text()) for path in FILES}


def test_they_are_small_and_of_this_torch() -> None:
    assert (STUBS / "VERSION").read_text().strip() == torch.__version__.partition("+")[0]
    assert sum(path.stat().st_size for path in FILES) < 150_000


@pytest.mark.parametrize("name", ["torch.nn", "torch.optim", "torch.optim.lr_scheduler", "torch.distributions"])
def test_every_public_class_is_there_under_the_name_that_torch_gives_it(name: str) -> None:
    namespace = importlib.import_module(name)
    offered = {node.asname or node.name for node in ast.walk(TREES[name]) if isinstance(node, ast.alias)}
    classes = {
        home: {node.name for node in tree.body if isinstance(node, ast.ClassDef)} for home, tree in TREES.items()
    }
    found = 0
    for key in getattr(namespace, "__all__", dir(namespace)):
        value = getattr(namespace, key)
        if inspect.isclass(value) and value.__module__.startswith(name) and value.__name__ == key and key[0] != "_":
            assert key in offered | classes[name]
            assert key in classes[home_of(value)]
            found += 1
    assert found > 10


def test_base_classes_are_those_of_torch() -> None:
    checked = 0
    for home, tree in TREES.items():
        if home.startswith("torch._C"):
            continue
        module = importlib.import_module(home)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and hasattr(module, node.name) and not node.name.endswith("Tensor"):
                actual = {base.__name__ for base in getattr(module, node.name).__bases__}
                written = {ast.unparse(base).rpartition(".")[2].removeprefix("_") for base in node.bases}
                assert written <= actual | {name.removeprefix("_") for name in actual}, f"{home}.{node.name}"
                checked += 1
    assert checked > 300


def test_functions_that_return_tensors_are_said_to() -> None:
    said = {
        f"{home}.{node.name}"
        for home, tree in TREES.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.returns and ast.unparse(node.returns) == "Tensor"
    }
    for name in ("torch.relu", "torch.zeros", "torch.cat", "torch.nn.functional.cross_entropy", "torch.linalg.norm"):
        assert name in said
    for name in said & {"torch.relu", "torch.exp", "torch.sigmoid", "torch.nn.functional.gelu", "torch.special.expit"}:
        module, _, function = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), function)(torch.ones(2)), torch.Tensor)
    for name in ("torch.is_tensor", "torch.max", "torch.svd", "torch.nn.utils.clip_grad_value_"):
        assert name not in said


def test_namespaces_are_real() -> None:
    for name in NAMESPACES:
        importlib.import_module(name)
        assert name in TREES


def test_generating_them_again_changes_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gradls.resolve.generate_stubs", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py")}
    assert made == {path.relative_to(STUBS): path.read_text() for path in FILES}
