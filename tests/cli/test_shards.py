"""A run that is shared out among machines, and its reports merged."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gradls as package
from gradls.cli.main import main
from gradls.cli.shards import shard_of
from tests.cli.command import FINE, LOST, as_json, gradls

HELPER = "import torch\n\n\ndef cut(x):\n    return x.detach()\n"
CALLER = """\
import torch
from helpers import cut

model = torch.nn.Linear(3, 1)
cut(model(torch.randn(4, 3)).mean()).backward()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Programs with a mistake, without, one that does not parse, and some that import the same file."""
    folder = tmp_path / "project"
    (folder / "nested" / "deep").mkdir(parents=True)
    (folder / "helpers.py").write_text(HELPER, encoding="utf-8")
    for number in range(6):
        (folder / f"lost{number}.py").write_text(LOST, encoding="utf-8")
        (folder / "nested" / f"fine{number}.py").write_text(FINE, encoding="utf-8")
        (folder / f"calls{number}.py").write_text(CALLER, encoding="utf-8")
    (folder / "nested" / "deep" / "wörse.py").write_text(LOST + "x = (\n", encoding="utf-8")
    (folder / "gradls.toml").write_text("nonsense = 1\n", encoding="utf-8")
    return folder


def shards(project: Path, count: int, format_: str = "json") -> list[Path]:
    paths = []
    for number in range(1, count + 1):
        path = project.parent / f"{number}.{format_}"
        run = gradls("check", "--shard", f"{number}/{count}", "--format", format_, "-o", str(path), cwd=project)
        assert run.returncode in (0, 1), run.stderr
        paths.append(path)
    return paths


def seen(findings: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(finding, sort_keys=True) for finding in findings)


def test_the_shards_are_the_whole(project: Path):
    whole = as_json(gradls("check", "--format", "json", cwd=project))
    assert len(whole["findings"]) >= 13
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in shards(project, 3)]
    assert sum((seen(part["findings"]) for part in parts), Counter()) == seen(whole["findings"])
    assert all(part["findings"] for part in parts)
    run = gradls("merge", *map(str, project.parent.glob("*.json")), cwd=project)
    assert run.returncode == 1
    merged = as_json(run)
    assert seen(merged["findings"]) == seen(whole["findings"])
    assert seen(merged["errors"]) == seen(whole["errors"])
    assert {error["message"].partition(":")[0] for error in merged["errors"]} >= {"could not be parsed"}


def test_sarif(project: Path):
    whole = json.loads(gradls("check", "--format", "sarif", cwd=project).stdout)
    paths = shards(project, 2, "sarif")
    # A report that is given twice changes nothing.
    merged_file = project.parent / "merged.sarif"
    run = gradls("merge", "-o", str(merged_file), *map(str, [*paths, paths[0]]), cwd=project)
    assert (run.returncode, run.stdout) == (1, "")
    merged = json.loads(merged_file.read_text(encoding="utf-8"))
    (one,), (other,) = whole["runs"], merged["runs"]
    assert seen(other["results"]) == seen(one["results"])
    assert other["tool"] == one["tool"]
    assert seen(other["invocations"][0]["toolExecutionNotifications"]) == seen(
        one["invocations"][0]["toolExecutionNotifications"]
    )
    for result in other["results"]:
        assert other["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


@pytest.mark.parametrize(
    ("severities", "options", "status"),
    [
        (["information", "warning"], [], 1),
        (["information", "hint"], [], 0),
        (["information"], ["--severity", "information"], 1),
        (["warning"], ["--severity", "error"], 0),
        (["error"], ["--exit-zero"], 0),
        ([], [], 0),
    ],
)
def test_what_merge_exits_with(tmp_path: Path, severities: list[str], options: list[str], status: int):
    """As one run would have: whatever a shard exited with."""
    paths = []
    for number, severity in enumerate([*severities, None]):
        place = {"path": "a.py", "line": number + 1, "column": 1, "code": "GRD101", "severity": severity}
        report = {"version": 1, "tool": {"name": "gradls", "version": package.__version__}, "errors": []}
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({**report, "findings": [place] if severity else []}), encoding="utf-8")
        paths.append(str(path))
    assert main(["merge", *options, "-o", str(tmp_path / "merged.json"), *paths]) == status
    merged = json.loads((tmp_path / "merged.json").read_text(encoding="utf-8"))
    assert [finding["severity"] for finding in merged["findings"]] == severities


BAD = {
    "{": "could not be read: ",
    "[]": "is no report of gradls",
    '{"tool": {"name": "other", "version": "1"}, "findings": []}': "is no report of gradls",
    '{"tool": {"name": "gradls", "version": "0.0.1"}, "findings": [], "errors": []}': "of different versions of gradls",
    '{"tool": {"name": "gradls", "version": "%s"}, "statistics": []}': "has no findings",
    '{"tool": {"name": "gradls", "version": "%s"}, "findings": [{}], "errors": []}': "not as gradls writes them",
    '{"runs": []}': "is no report of gradls",
    '{"runs": [{"tool": {"driver": {"name": "gradls", "version": "%s", "rules": []}}}]}': "cannot be merged into one",
}


@pytest.mark.parametrize(("text", "message"), BAD.items())
def test_what_cannot_be_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str):
    version = package.__version__
    good = {"version": 1, "tool": {"name": "gradls", "version": version}, "findings": [], "errors": []}
    (tmp_path / "good.json").write_text(json.dumps(good), encoding="utf-8")
    (tmp_path / "bad.json").write_text(text.replace("%s", version), encoding="utf-8")
    assert main(["merge", str(tmp_path / "good.json"), str(tmp_path / "bad.json")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_a_report_that_is_not_there(tmp_path: Path):
    run = gradls("merge", "nothing.json", cwd=tmp_path)
    assert run.returncode == 2
    assert "nothing.json could not be read: No such file" in run.stderr


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_shards_that_are_none(capsys: pytest.CaptureFixture[str], shard: str):
    assert main(["check", f"--shard={shard}"]) == 2
    assert "must be I/N with I from 1 to N" in capsys.readouterr().err


def test_stdin_cannot_be_shared_out(tmp_path: Path):
    run = gradls("check", "--shard", "1/2", "-", cwd=tmp_path, stdin=LOST.encode())
    assert run.returncode == 2
    assert "stdin" in run.stderr


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True, max_size=30), st.integers(1, 50))
def test_every_path_is_in_one_shard_and_stays_there(paths: list[str], count: int):
    parts = [[path for path in paths if shard_of(path, count) == number] for number in range(1, count + 1)]
    assert Counter(path for part in parts for path in part) == Counter(paths)
    assert [shard_of(path, count) for path in reversed(paths)] == [shard_of(path, count) for path in paths][::-1]


def test_shards_are_the_same_everywhere_and_about_as_large():
    """Other machines hash alike, whatever PYTHONHASHSEED; and none is left without work."""
    assert [shard_of(f"src/model{number}.py", 5) for number in range(6)] == EXPECTED
    sizes = Counter(shard_of(f"package{number % 40}/module{number}.py", 8) for number in range(8000))
    assert len(sizes) == 8
    assert max(sizes.values()) < 1.2 * min(sizes.values())


EXPECTED = [1, 3, 5, 1, 5, 4]


def test_several_machines_share_what_is_kept(tmp_path: Path, project: Path):
    """Each has its checkout, elsewhere, and all write into one folder at the same time."""
    kept = tmp_path / "shared"
    expected = as_json(gradls("check", "--format", "json", "--no-cache", cwd=project))["findings"]
    machines = []
    for number in range(3):
        machine = tmp_path / f"machine{number}" / f"checkout{number}"
        shutil.copytree(project, machine)
        machines.append(machine)

    def check(machine: Path) -> list[dict[str, Any]]:
        return as_json(gradls("check", "--format", "json", "--cache-dir", str(kept), cwd=machine))["findings"]

    with ThreadPoolExecutor(len(machines)) as pool:
        assert list(pool.map(check, machines)) == [expected] * len(machines)
    # What one of them changes is its own business.
    (machines[0] / "helpers.py").write_text(HELPER.replace(".detach()", ""), encoding="utf-8")
    with ThreadPoolExecutor(2) as pool:
        changed, same = pool.map(check, machines[:2])
    assert same == expected
    assert {finding["path"] for finding in changed} == {f"lost{n}.py" for n in range(6)} | {"nested/deep/wörse.py"}
