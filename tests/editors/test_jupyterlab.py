"""gradls in the real JupyterLab with jupyterlab-lsp, registered by the file that is shipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.editors import programs
from tests.editors.installed import editor, server_on_path
from tests.editors.programs import LITTLE_PATIENCE, PATIENCE, SHIPPED
from tests.editors.vscode.host import CHROMIUMS

CONFIGURATION = SHIPPED / "jupyterlab" / "gradls.json"
SCRIPT = Path(__file__).with_name("jupyterlab.py")
NAME = "jupyterlab-4"
SECONDS_TO_START = 60


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return programs.project(tmp_path / "a b+ü")


@contextmanager
def jupyterlab(project: Path, path: str) -> Iterator[tuple[str, str]]:
    """The address and the Python of a JupyterLab that serves `project`, with everything of its own beside that."""
    (program,) = editor(NAME).command
    home = project.parent
    configured = home / "config" / "jupyter_server_config.d"
    configured.mkdir(parents=True)
    shutil.copy(CONFIGURATION, configured)
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": path,
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    options = ("--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=")
    with open(home / "log", "w") as log:
        process = subprocess.Popen(
            [program, *options, f"--ServerApp.root_dir={project}"],
            env=environment,
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield _address(process, home), str(Path(program).with_name("python"))
    finally:
        process.terminate()
        process.wait(20)


def _address(process: subprocess.Popen[bytes], home: Path) -> str:
    end = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < end:
        for noted in (home / "runtime").glob("jpserver-*.json"):
            url: str = json.loads(noted.read_text())["url"]
            return url
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{(home / 'log').read_text()}")


def drive(project: Path, *, works: bool = True) -> dict[str, Any]:
    """What the browser sees."""
    home = project.parent
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    assert chromium, "JupyterLab is looked at in Chromium, which is not there: `tests/editors/install` installs it"
    report = home / "report.json"
    with jupyterlab(project, server_on_path(home / "bin", works=works)) as (address, python):
        ended = subprocess.run(
            [python, str(SCRIPT)],
            env={
                **os.environ,
                "ADDRESS": f"{address}lab/tree/train.py",
                "CHROMIUM": chromium,
                "REPORT": str(report),
                # The page itself takes some seconds to load.
                "PATIENCE": str(PATIENCE if works else 4 * LITTLE_PATIENCE),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert report.exists(), ended.stderr
    seen: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    if works:
        assert seen["error"] is None, seen
    return seen


def test_a_finding_is_underlined_and_explained(project: Path):
    seen = drive(project)
    assert seen["underlined"] == programs.CULPRIT
    assert "no gradient can reach" in seen["message"]
    assert "GRD102 tensor-of-tensors" in seen["hover"]


def test_nothing_is_seen_of_a_server_that_does_nothing(project: Path):
    seen = drive(project, works=False)
    assert "waiting for" in seen["error"]
    assert "cm-lintRange-error" in seen["error"]
