"""The program that editors are shown, and what becomes of it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "editors"

STACKED = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
losses = [model(torch.randn(3)).pow(2).sum() for _ in range(4)]
title = "😀 e\u0301"; loss = torch.tensor(losses).mean()
loss.backward()
"""
MENDED = STACKED.replace("torch.tensor(", "torch.stack(")
ODD = f"\ufeff{STACKED}".replace("\n", "\r\n").replace("import nn", "import nn  # \t 😀 e\u0301 \xa0")
"""The same program, with a mark in front, the line ends of Windows, and white space of several kinds."""
MENDED_ODD = ODD.replace("torch.tensor(", "torch.stack(")
LINE, CODE, CULPRIT = 6, "GRD102", "torch.tensor(losses)"
FIX = "torch.stack"
"""A word in the title of the fix that makes `MENDED` of `STACKED`."""

PATIENCE, LITTLE_PATIENCE = 30_000, 3_000
"""Milliseconds that a driver waits for what is to appear; the little one is for what never does."""


def project(folder: Path) -> Path:
    """A project in `folder` whose file `train.py` is `STACKED`; gives the folder."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "train.py").write_text(STACKED, encoding="utf-8")
    return folder


def write_oddly(folder: Path) -> None:
    """Have the program of the project be `ODD`."""
    (folder / "train.py").write_bytes(ODD.encode())


def written_exactly(folder: Path) -> str:
    """What is on the disk, each byte of it."""
    return (folder / "train.py").read_bytes().decode()


def written(folder: Path) -> str:
    """What is on the disk."""
    return (folder / "train.py").read_text(encoding="utf-8")


def blocks(readme: Path, language: str) -> list[str]:
    """The blocks of code in this language that a README tells its readers to copy."""
    return re.findall(rf"```{language}\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
