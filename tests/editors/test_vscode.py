"""The extension for VS Code: how it is built, and that it works in the real VS Code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gradls.workspace.options import HINTS, OPTIONS
from tests.editors.vscode.host import Host, NotInstalled, installed
from tests.editors.vscode.package import EXTENSION, package, run
from tests.editors.vscode.served import environment_with, served

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("vscode") / "drive.mjs"
MOST_BYTES = 1_000_000
PATIENCE, LITTLE_PATIENCE = 20_000, 3_000
"""Milliseconds that a driver waits for what is to appear."""

SECONDS = 600
PICTURES = ("hover.png", "fix.png", "picture.png", "problems.png")


@pytest.fixture(scope="session")
def host() -> Host:
    if {each.strip() for each in os.environ.get("GRADLS_WITHOUT_EDITORS", "").split(",")} & {"all", "vscode"}:
        pytest.skip("$GRADLS_WITHOUT_EDITORS leaves vscode out")
    try:
        return installed()
    except NotInstalled as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def vsix(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(host, tmp_path_factory.mktemp("vsix"))


def test_it_is_typed_and_linted(host: Host):
    run(host, "npm", "run", "--silent", "check")


def test_its_own_tests(host: Host):
    """Among them the order in which the server is looked for."""
    assert "fail 0" in run(host, "npm", "test")


def test_the_package_is_small_and_complete(vsix: Path):
    assert vsix.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(vsix) as archive:
        names = {name.removeprefix("extension/") for name in archive.namelist()}
        manifest = json.loads(archive.read("extension/package.json"))
    contributed = manifest["contributes"]
    media = [step["media"] for walk in contributed["walkthroughs"] for step in walk["steps"]]
    wanted = {manifest["main"], manifest["icon"], *(each.get("image") or each["markdown"] for each in media)}
    wanted |= {each["url"] for each in contributed["tomlValidation"]} | {"readme.md", "changelog.md", "LICENSE.txt"}
    assert {name.removeprefix("./") for name in wanted} <= names
    assert not [name for name in names if "node_modules" in name or name.endswith(".ts")]


def test_there_is_a_setting_for_each_key_of_the_configuration():
    """But for the hints, which are a setting of their own, and the baseline, which only `gradls check` reads."""
    manifest = json.loads((EXTENSION / "package.json").read_text())
    settings = manifest["contributes"]["configuration"]["properties"]
    keys = {option.key for option in OPTIONS if option.key not in ("hints", "baseline")}
    assert {name.removeprefix("gradls.config.") for name in settings if name.startswith("gradls.config.")} == keys
    assert tuple(settings["gradls.hints"]["enum"]) == HINTS
    assert all(each.get("description") or each.get("markdownDescription") for each in settings.values())


def test_its_files_are_the_projects():
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "resolved" not in (EXTENSION / "package-lock.json").read_text()


def drive(host: Host, vsix: Path, folder: Path, server: str, patience: int = PATIENCE) -> dict[str, str | None]:
    """What came of each step in VS Code with such a server (see `environment_with`): None, or why it failed."""
    python = environment_with(folder / "environment", server)
    for name in ("project", "shots"):
        (folder / name).mkdir()
    report = folder / "report.json"
    with served(host, vsix, folder / "vscode", python, trusting=server != "none") as running:
        environment = {
            **host.environment,
            "HOST": str(host.folder),
            "CHROMIUM": host.chromium,
            "PORT": str(running.port),
            "FOLDER": str(folder / "project"),
            "SHOTS": str(folder / "shots"),
            "SETTINGS": str(running.settings),
            "PID_FILE": str(python.with_name("server.pid")),
            "RUNS": str(python.with_name("runs")),
            "NEWCOMER": "yes" if server == "none" else "",
            "PATIENCE": str(patience),
            "STOP": "" if server == "nothing" else "yes",
            "REPORT": str(report),
        }
        ended = subprocess.run(
            [str(host.node / "node"), str(DRIVER)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    assert report.exists(), ended.stderr
    steps: list[dict[str, Any]] = json.loads(report.read_text())
    for step in steps:
        if step.get("first") and not step["failure"]:
            warnings.warn(f"{step['name']} failed once: {step['first']}", stacklevel=2)
    return {step["name"]: step["failure"] and f"{step['failure']}\nsee {folder / 'shots'}" for step in steps}


def failures(steps: dict[str, str | None]) -> str:
    return "\n".join(f"{name}: {failure}" for name, failure in steps.items() if failure)


def test_everything_in_the_real_editor(host: Host, vsix: Path, tmp_path: Path):
    steps = drive(host, vsix, tmp_path, "gradls")
    assert not failures(steps), failures(steps)
    keep = os.environ.get("SCREENSHOTS")
    for name in PICTURES if keep else ():
        shutil.copy(tmp_path / "shots" / name, str(keep))


def test_somebody_new_is_led_to_the_first_finding(host: Host, vsix: Path, tmp_path: Path):
    """In a workspace that is not trusted nothing is run; then the server is installed on request."""
    steps = drive(host, vsix, tmp_path, "none")
    assert not failures(steps), failures(steps)


def test_with_a_server_that_does_nothing_every_step_fails(host: Host, vsix: Path, tmp_path: Path):
    steps = drive(host, vsix, tmp_path, "nothing", LITTLE_PATIENCE)
    assert len(steps) > 10
    assert [name for name, failure in steps.items() if failure is None] == []
