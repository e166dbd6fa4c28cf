"""Names that other files define, looked up by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import as_json, gradls

LOSSES = """\
from torch import nn

criterion: nn.MSELoss
"""
TRAIN = """\
import torch
from parts.losses import criterion

w = torch.ones(3, requires_grad=True)
loss = criterion(w * 2, torch.zeros(3))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "parts" / "losses.pyi").write_text(LOSSES, encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("", encoding="utf-8")
    return tmp_path


def known(project: Path, *arguments: str, **environment: str) -> dict[tuple[int, str], bool | None]:
    """What `inspect` says of requires_grad, by line and expression."""
    run = gradls("inspect", "train.py", "--format", "json", *arguments, cwd=project, **environment)
    assert run.returncode == 0, run.stderr
    (file,) = as_json(run)["files"]
    lines = TRAIN.splitlines()
    return {
        (t["line"], lines[t["line"] - 1][t["column"] - 1 : t["end_column"] - 1]): t["requires_grad"]
        for t in file["tensors"]
    }


def test_a_criterion_of_another_file_is_known_for_one(project: Path, tmp_path_factory: pytest.TempPathFactory):
    cache = str(tmp_path_factory.mktemp("cache"))
    unknown = known(project, "--no-resolve", XDG_CACHE_HOME=cache)
    resolved = known(project, XDG_CACHE_HOME=cache)
    call = (5, "criterion(w * 2, torch.zeros(3))")
    assert unknown.get(call) is None
    assert resolved[call] is True
    assert known(project, "--resolve", XDG_CACHE_HOME=cache) == resolved
