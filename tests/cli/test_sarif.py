"""The SARIF output."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import LOST, gradls


def test_a_log(tmp_path: Path):
    (tmp_path / "a b.py").write_text(LOST, encoding="utf-8")
    run = gradls("check", ".", "missing.py", "--format", "sarif", cwd=tmp_path)
    assert run.returncode == 2
    log = json.loads(run.stdout)
    assert log["version"] == "2.1.0"
    (of,) = log["runs"]
    (rule,) = of["tool"]["driver"]["rules"]
    assert (rule["id"], rule["name"]) == ("GRD101", "detached-loss")
    assert "## What PyTorch does" in rule["help"]["markdown"]
    (result,) = of["results"]
    assert (result["ruleId"], result["level"]) == ("GRD101", "error")
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a%20b.py"
    assert place["region"]["startLine"] == 5
    assert result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert of["columnKind"] == "unicodeCodePoints"
    (notification,) = of["invocations"][0]["toolExecutionNotifications"]
    assert notification["message"]["text"].startswith("could not be read")
