"""The real command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOST = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
loss = model(torch.randn(4, 3)).mean().detach()
loss.backward()
"""
"""A program that raises, with one mistake: the detach in line 5."""

KEPT = tempfile.TemporaryDirectory(prefix="gradls-tests-")
"""What these tests keep, so that no test before has done their work."""

FINE = LOST.replace(".detach()", "")


def gradls(*arguments: str, cwd: Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `gradls` as users do."""
    command = [sys.executable, "-m", "gradls", *arguments]
    clean = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
    clean["GRADLS_CACHE_DIR"] = KEPT.name
    run = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, env={**clean, **environment}, timeout=120)
    return subprocess.CompletedProcess(
        command, run.returncode, run.stdout.decode("utf-8"), run.stderr.decode("utf-8", "replace")
    )


def as_json(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What it printed, which must be one JSON object and nothing else."""
    document = json.loads(run.stdout)
    assert document["version"] == 1
    assert document["tool"]["name"] == "gradls"
    return document
