"""What gradls depends on: locked where it can be, and looked up in what is known of weaknesses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "editors" / "vscode"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a shell script")


def command(folder: Path, name: str, prints: Any, status: int = 0) -> Path:
    """A command that prints a JSON value, whatever it is asked."""
    data = folder / f"{name}.json"
    data.write_text(json.dumps(prints))
    script = folder / name
    script.write_text(f"#!/bin/sh\ncat '{data}'\nexit {status}\n")
    script.chmod(0o755)
    return script


def audit(folder: Path, python: Any, extension: Any) -> subprocess.CompletedProcess[str]:
    """The audit, with these answers of pip-audit and npm."""
    tool = command(folder, "pip-audit", python)
    command(folder, "npm", extension)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PIP_AUDIT": str(tool), "PYTHON": sys.executable}
    return subprocess.run(
        [ROOT / ".ci" / "audit"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


NOTHING = {"vulnerabilities": {}, "metadata": {"dependencies": {"prod": 9}}}


def packages(*weaknesses: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": [{"name": "jedi", "version": "0.20.1", "vulns": list(weaknesses)}]}


def test_nothing_is_known(tmp_path: Path):
    run = audit(tmp_path, packages(), NOTHING)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines() == ["1 of 1 Python packages audited", "9 packages of the extension audited"]


def test_a_weakness_fails(tmp_path: Path):
    run = audit(tmp_path, packages({"id": "PYSEC-1", "fix_versions": ["0.20.2"]}), NOTHING)
    assert run.returncode == 1
    assert "jedi 0.20.1: PYSEC-1, mended in 0.20.2" in run.stdout
    known = {**NOTHING, "vulnerabilities": {"semver": {"range": "<7.5.2", "severity": "high"}}}
    run = audit(tmp_path, packages(), known)
    assert run.returncode == 1
    assert "semver <7.5.2: high" in run.stdout


@pytest.mark.parametrize("answer", [{"message": "405 Method Not Allowed"}, [], {"dependencies": [{"name": "jedi"}]}])
def test_services_that_do_not_answer_are_told_and_fail_nothing(tmp_path: Path, answer: Any):
    run = audit(tmp_path, answer, answer)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("not audited: ") == 2


def test_the_packages_of_the_extension_are_locked():
    """To contents: what npm installs is what was looked at."""
    lock = json.loads((EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    assert lock["lockfileVersion"] >= 3
    (own, *others) = lock["packages"].items()
    assert own[1].get("dependencies", {}) == package.get("dependencies", {})
    assert own[1].get("devDependencies", {}) == package.get("devDependencies", {})
    for name, each in others:
        assert each["integrity"].startswith("sha512-"), name
        assert each.get("resolved", "https://").startswith("https://"), name
    shipped = [name for name, each in others if not each.get("dev")]
    assert not [name for name in shipped if lock["packages"][name].get("hasInstallScript")]
