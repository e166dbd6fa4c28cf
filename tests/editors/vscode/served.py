"""A VS Code that serves browsers, with the extension installed as a user installs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.editors.vscode.host import Host
from tests.editors.vscode.package import EXTENSION, run

STAND_IN = Path(__file__).with_name("python_extension")
SECONDS_TO_START = 60

SETTINGS: Mapping[str, Any] = {
    "workbench.startupEditor": "none",
    "security.workspace.trust.startupPrompt": "never",
    "workbench.editor.useModal": "off",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.enableExperiments": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "extensions.autoUpdate": "off",
    "extensions.autoCheckUpdates": False,
    "extensions.ignoreRecommendations": True,
    "files.autoSave": "off",
    # Or an edit that was not saved is there again the next time.
    "files.hotExit": "off",
    "chat.disableAIFeatures": True,
    "git.enabled": False,
    "editor.fontFamily": "DejaVu Sans Mono",
    "editor.minimap.enabled": False,
    # What the tests type is what they mean.
    "editor.autoClosingBrackets": "never",
    "editor.autoClosingQuotes": "never",
    "editor.autoSurround": "never",
}
OPTIONS = (
    "--auth=none",
    "--disable-telemetry",
    "--disable-update-check",
    "--disable-getting-started-override",
    "--ignore-last-opened",
    # Or extension hosts stay for hours after their browser has gone.
    "--reconnection-grace-time=2",
    "--bind-addr=127.0.0.1:0",
)


@dataclass(frozen=True)
class Served:
    """A VS Code at `port`, and the file with its user's settings."""

    port: int
    settings: Path


@contextmanager
def served(host: Host, vsix: Path, folder: Path, python: Path, *, trusting: bool = True) -> Iterator[Served]:
    """VS Code with everything of its own in `folder`, and `python` as the selected environment."""
    home = folder / "home"
    settings = folder / "data" / "User" / "settings.json"
    for each in (home, settings.parent):
        each.mkdir(parents=True)
    settings.write_text(json.dumps(SETTINGS))
    command = [
        *(str(host.node / "node"), str(host.server)),
        *(f"--config={folder / 'config.yaml'}", f"--user-data-dir={folder / 'data'}"),
        f"--extensions-dir={folder / 'extensions'}",
    ]
    environment = {**host.environment, "HOME": str(home), "TEST_PYTHON": str(python)}
    stand_in = folder / "python.vsix"
    vsce = str(EXTENSION / "node_modules" / ".bin" / "vsce")
    options = ("--skip-license", "--allow-missing-repository", "--no-dependencies")
    run(host, vsce, "package", *options, "--out", str(stand_in), folder=STAND_IN)
    install = [f"--install-extension={each}" for each in (stand_in, vsix)]
    with open(folder / "installation", "w") as said:
        subprocess.run([*command, *install], env=environment, check=True, stdout=said, stderr=said, timeout=120)
    flags = [*OPTIONS, *(["--disable-workspace-trust"] if trusting else [])]
    # gradls is found where the test has it, or not at all.
    environment["PATH"] = os.pathsep.join(
        each for each in environment["PATH"].split(os.pathsep) if not (Path(each) / "gradls").exists()
    )
    log = folder / "log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            [*command, *flags],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Served(_port(log, process), settings)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + SECONDS_TO_START
    while process.poll() is None and time.monotonic() < end:
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.1)
    raise RuntimeError(f"VS Code did not start:\n{log.read_text()}")


def environment_with(folder: Path, server: str) -> Path:
    """An interpreter like the running one, in a folder where it notes what it does.

    The file `server.pid` has the process of the server that it runs, `runs` a line with the arguments of each run.
    `server` is "gradls"; or "nothing" for a server that takes what it is told and never says a word; or "none" for no
    server until pip has installed one.
    """
    folder.mkdir(parents=True)
    (folder / "runs").touch()
    real = f'exec "{sys.executable}" "$@"'
    serve = "exec cat >/dev/null" if server == "nothing" else real
    lines = ["#!/bin/sh", f'cd "{folder}" && echo "$*" >>runs']
    if server == "none":
        lines += [
            'case "$*" in',
            '"-m pip install"*) touch installed; exit;;',
            '*gradls*) [ -f installed ] || { echo "No module named gradls" >&2; exit 1; };;',
            "esac",
        ]
    lines += [f'case "$*" in *"gradls server"*) echo $$ >server.pid; {serve};; esac', real]
    python = folder / "python"
    python.write_text("\n".join(lines) + "\n")
    python.chmod(0o755)
    return python
