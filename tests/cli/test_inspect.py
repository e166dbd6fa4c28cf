"""`gradls inspect`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import as_json, gradls

PROGRAM = """\
import torch

ünï, w = '𝒳', torch.ones(2, requires_grad=True)
n = torch.tensor([1, 2])
y = w * 2
z = y.detach()
"""


def test_what_is_known_of_each_tensor(tmp_path: Path):
    (tmp_path / "a.py").write_text(PROGRAM, encoding="utf-8")
    run = gradls("inspect", "a.py", "--format", "json", cwd=tmp_path)
    assert run.returncode == 0
    document = as_json(run)
    (file,) = document["files"]
    assert file["path"] == "a.py"
    lines = PROGRAM.splitlines()
    states = {}
    for tensor in file["tensors"]:
        keys = {"line", "column", "end_line", "end_column", "requires_grad", "dtype", "leaf"}
        assert set(tensor) == keys
        assert tensor["line"] == tensor["end_line"]
        expression = lines[tensor["line"] - 1][tensor["column"] - 1 : tensor["end_column"] - 1]
        states[expression] = (tensor["requires_grad"], tensor["dtype"], tensor["leaf"])
    assert states["torch.ones(2, requires_grad=True)"] == (True, "float", True)
    assert states["torch.tensor([1, 2])"] == (False, "int", True)
    assert states["w * 2"] == (True, "float", False)
    assert states["y.detach()"][0] is False


def test_unreadable_files_leave_the_output_valid(tmp_path: Path):
    (tmp_path / "a.py").write_text(PROGRAM, encoding="utf-8")
    run = gradls("inspect", "a.py", "missing.py", "--format", "json", cwd=tmp_path)
    document = as_json(run)
    assert run.returncode == 2
    assert [file["path"] for file in document["files"]] == ["a.py", "missing.py"]
    assert [error["path"] for error in document["errors"]] == ["missing.py"]


def test_text(tmp_path: Path):
    (tmp_path / "a.py").write_text(PROGRAM, encoding="utf-8")
    out = gradls("inspect", "a.py", cwd=tmp_path).stdout
    assert "a.py:5:5-5:10: requires grad, float, not a leaf\n" in out
