"""The extension for VS Code: how it is built, and that it works in the real VS Code."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.editors.vscode.host import Host, NotInstalled, installed
from tests.editors.vscode.package import EXTENSION, package, run

ROOT = Path(__file__).parents[2]
MOST_BYTES = 1_000_000


@pytest.fixture(scope="session")
def host() -> Host:
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


def test_what_it_has_in_common_with_the_project():
    samples = ROOT / "samples" / "lost_gradients.py", EXTENSION / "media" / "walkthrough" / "lost_gradients.py"
    assert samples[0].read_bytes() == samples[1].read_bytes()
    assert (EXTENSION / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "resolved" not in (EXTENSION / "package-lock.json").read_text()
