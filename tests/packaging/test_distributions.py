"""What is published: complete, and at home in other Pythons."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.cli.command import LOST
from tests.lsp.raw import started
from tests.packaging.building import ROOT, build, clean_environment, copy_of_the_project, other_pythons

OTHERS = other_pythons()
# The oldest and the newest are where something breaks.
CHOSEN = sorted({min(OTHERS), max(OTHERS)}) if OTHERS else []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return build("wheel", copy_of_the_project(folder / "project"), folder / "dist")


def test_all_files_are_in_the_wheel(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
        (metadata,) = [name for name in packed if name.endswith(".dist-info/METADATA")]
        head = Parser().parsestr(archive.read(metadata).decode())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gradls").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".so")
    }
    assert wanted - packed == set()
    assert {"gradls/py.typed", "gradls/errors/messages.toml", "gradls/autograd/data/ops.jsonl"} <= packed
    assert {name for name in packed - wanted if ".dist-info/" not in name} == set()
    assert sorted(head.get_all("License-File", [])) == ["LICENSE", "NOTICE"]
    assert head["Requires-Python"] == ">=3.10"


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path):
    source = build("sdist", copy_of_the_project(tmp_path / "project"), tmp_path / "sdist")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path / "unpacked", **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = build("wheel", unpacked, tmp_path / "dist")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {each.filename: each.CRC for each in one.infolist()} == {
            each.filename: each.CRC for each in other.infolist()
        }


@pytest.mark.skipif(not CHOSEN, reason="there is no other Python from 3.10 on here")
@pytest.mark.parametrize("version", CHOSEN, ids=lambda version: ".".join(map(str, version)))
def test_the_wheel_in_another_python(wheel: Path, tmp_path: Path, version: tuple[int, int]):
    """Installed from the index like anything else, in an environment without anything else."""
    folder = tmp_path / "environment"
    subprocess.run([OTHERS[version], "-m", "venv", "--without-pip", folder], check=True, timeout=120)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "install", "--quiet", str(wheel)], capture_output=True, text=True, env=clean_environment(), timeout=600
    )
    assert done.returncode == 0, done.stderr
    program = tmp_path / "train.py"
    program.write_text(LOST, encoding="utf-8")
    gradls = str(folder / "bin" / "gradls")
    environment = clean_environment(GRADLS_CACHE_DIR=str(tmp_path / "kept"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [gradls, *arguments], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120
        )

    checked = run("check", "--format", "json", "train.py")
    assert checked.returncode == 1, checked.stderr
    (finding,) = json.loads(checked.stdout)["findings"]
    assert (finding["code"], finding["fixes"][0]["edits"][0]["line"]) == ("GRD101", 5)
    assert run("explain", "GRD101").returncode == 0
    assert run("completion", "bash").returncode == 0
    assert "<svg" in run("graph", "train.py:6").stdout
    with started([gradls, "server"], env=environment, cwd=tmp_path) as (raw, _):
        raw.begin(rootUri=tmp_path.as_uri())
        raw.open(program.as_uri(), LOST)
        assert [each["code"] for each in raw.published(1)["diagnostics"]] == ["GRD101"]
        place = {"textDocument": {"uri": program.as_uri()}, "position": {"line": 5, "character": 2}}
        assert raw.request(2, "textDocument/hover", place)["result"]["contents"]
