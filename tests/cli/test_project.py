"""Which files are of one project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import as_json, gradls

HELPERS = """\
import torch
from torch import nn

model = nn.Linear(3, 1)

def loss_of(x):
    return model(x).sum().detach()
"""
TRAIN = "import torch\nfrom tools.helpers import loss_of\n\nloss_of(torch.randn(2, 3)).backward()\n"


@pytest.mark.parametrize(
    ("cwd", "arguments"),
    [
        (".", ["."]),
        (".", ["runs/train.py"]),
        (".", ["runs/train.py", "tools/helpers.py"]),
        ("runs", [".."]),
        ("/", ["{}"]),
    ],
)
@pytest.mark.parametrize("marked", [False, True])
def test_imports_from_the_folder_that_is_checked(tmp_path: Path, cwd: str, arguments: list[str], marked: bool):
    """No file says where the project begins: the folder that is named does, or the current one."""
    for name, text in {"tools/helpers.py": HELPERS, "runs/train.py": TRAIN}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    if marked:
        (tmp_path / "setup.cfg").touch()
    arguments = [argument.format(tmp_path) for argument in arguments]
    run = gradls("check", *arguments, "--format", "json", "--no-cache", cwd=tmp_path / cwd)
    found = [Path(finding["path"]).name for finding in as_json(run)["findings"]]
    assert found == ["train.py"]
