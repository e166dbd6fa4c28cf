"""The formats of reports that other programs read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema

from gradls.cli.services import github
from tests.cli.command import FINE, LOST, as_json, gradls
from tests.cli.test_notebooks import LOOP, notebook

QUICK = ["--no-resolve"]
"""What is imported is not looked up: that takes a second."""
SCHEMAS = Path(__file__).parent / "schemas"
TWICE = LOST.replace("loss.backward()\n", "loss.backward()\nloss = model(torch.randn(4, 3)).mean().detach()\n")
TWICE += "loss.backward()\n"
"""The same mistake twice, in the same words."""
FLAT = """\
import torch

w = torch.ones(3, requires_grad=True)
loss = torch.tensor([(w * k).sum() for k in range(3)]).mean()
loss.backward()
"""
"""One mistake, with a safe fix."""
MOVED = {
    "lines above": f'"""About it."""\n\n\n{TWICE}',
    "another formatter": TWICE.replace("model(torch.randn(4, 3)).mean()", "model( torch.randn(4,3,) ).mean()"),
    "a comment": TWICE.replace("(4, 3))", "(  # of four\n        4, 3\n    ))"),
    "other code": TWICE.replace("loss.backward()\n", "loss.backward()\nprint(loss)\n", 1),
}


def project(root: Path, **files: str) -> Path:
    """A repository with these files, which are checked from a folder in it."""
    (root / ".git").mkdir()
    (root / "src").mkdir()
    for name, text in files.items():
        (root / "src" / f"{name}.py").write_text(text, encoding="utf-8")
    return root / "src"


def gitlab(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gradls("check", *QUICK, ".", "--format", "gitlab", cwd=folder).stdout)
    return found


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_gitlab_has_what_its_page_needs(tmp_path: Path):
    found = gitlab(project(tmp_path, train=TWICE, fine=FINE))
    assert [set(each) for each in found] == [{"description", "check_name", "fingerprint", "severity", "location"}] * 2
    first, second = found
    assert first["location"] == {"path": "src/train.py", "lines": {"begin": 5, "end": 5}}
    assert first["severity"] == "critical"
    assert first["check_name"] == "detached-loss"
    assert first["fingerprint"] != second["fingerprint"], "the same mistake twice is two findings"


def test_fingerprints_stay_when_lines_move(tmp_path: Path):
    folder = project(tmp_path, train=TWICE)
    before = [each["fingerprint"] for each in gitlab(folder)]
    assert len(before) == 2
    for change, text in MOVED.items():
        assert text != TWICE
        (folder / "train.py").write_text(text, encoding="utf-8")
        assert [each["fingerprint"] for each in gitlab(folder)] == before, change


def test_fingerprints_do_not_depend_on_where_the_repository_is(tmp_path: Path):
    prints = []
    for name, cwd, argument in (("one", "one/src", "."), ("two", "two", "src"), ("three", "three", "{}/src")):
        (tmp_path / name).mkdir()
        project(tmp_path / name, train=LOST)
        path = argument.format(tmp_path / name)
        run = gradls("check", *QUICK, path, "--format", "json", cwd=tmp_path / cwd)
        prints.append([finding["fingerprint"] for finding in as_json(run)["findings"]])
    assert prints[0]
    assert prints[0] == prints[1] == prints[2]


def test_a_variable_of_the_ci_system_says_where_the_repository_begins(tmp_path: Path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text(LOST, encoding="utf-8")
    run = gradls("check", *QUICK, ".", "--format", "gitlab", cwd=tmp_path / "src", CI_PROJECT_DIR=str(tmp_path))
    assert json.loads(run.stdout)[0]["location"]["path"] == "src/train.py"
    other = gradls(
        "check", *QUICK, ".", "--format", "gitlab", cwd=tmp_path / "src", CI_PROJECT_DIR=str(tmp_path / "other")
    )
    assert json.loads(other.stdout)[0]["location"]["path"] == "train.py"


COMMAND = re.compile(r"::(?P<name>\w+) (?P<properties>[^:]*)::(?P<message>.*)")


def command(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command, read as GitHub's runner reads it."""
    found = COMMAND.fullmatch(line)
    assert found is not None, line
    pairs = (pair.partition("=")[::2] for pair in found["properties"].split(","))
    return found["name"], {key: _unescaped(value) for key, value in pairs}, _unescaped(found["message"])


def _unescaped(text: str) -> str:
    for written, meant in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(written, meant)
    return text


def test_github_shows_findings_and_what_could_not_be_read(tmp_path: Path):
    folder = project(tmp_path, **{"a, b%": LOST, "half": "x = (\n"})
    run = gradls("check", *QUICK, ".", "--format", "github", cwd=folder)
    assert run.returncode == 1
    (name, properties, message), (other, of_error, reason) = map(command, run.stdout.splitlines())
    assert (name, properties["file"], properties["line"]) == ("error", "src/a, b%.py", "5")
    assert properties["title"] == "gradls (GRD101)"
    assert set(properties) == {"title", "file", "line", "col", "endLine", "endColumn"}
    assert message.startswith("a, b%.py:5:")
    assert "GRD101 detached-loss" in message
    assert (other, of_error["file"], of_error["line"]) == ("warning", "src/half.py", "1")
    assert reason.startswith("could not be parsed")


def test_nothing_in_a_finding_ends_a_workflow_command():
    place = {"path": "a::b,c=d%0A.py", "line": 1, "column": 2, "end_line": 1, "end_column": 3}
    message = "50 %\r\n::stop-commands::x"
    finding = {**place, "code": "GRD101", "name": "detached-loss", "severity": "information", "message": message}
    (line,) = github([finding], [], os.getcwd()).splitlines()
    name, properties, shown = command(line)
    assert (name, properties["file"]) == ("notice", place["path"])
    assert shown.endswith(message.replace("\r", "\ufffd")), "no control character but line ends gets through"


def test_junit_is_valid_and_counts(tmp_path: Path):
    folder = project(
        tmp_path,
        train=TWICE,
        fine=FINE,
        half="x = (\n",
        bad=LOST.replace("loss", "l\u00f6ss").replace(".detach()", ".detach(  # \U0001f600\n)"),
    )
    run = gradls("check", *QUICK, ".", "missing.py", "--format", "junit", cwd=folder)
    assert run.returncode == 2
    assert xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd").validate(run.stdout) is None
    root = ElementTree.fromstring(run.stdout.encode("ascii"))
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["src/bad.py", "src/fine.py", "src/half.py", "src/train.py", "src/missing.py"]
    assert [root.get(key) for key in ("tests", "failures", "errors")] == ["6", "3", "2"]
    names = [case.get("name") for case in suites["src/train.py"]]
    assert len(set(names)) == 2
    failure = suites["src/train.py"].find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "error"
    assert failure.text is not None
    assert failure.text.startswith("train.py:5:")
    assert "\n  1. " in failure.text, "no story"
    assert [len(case) for case in suites["src/fine.py"]] == [0], "a file without findings has no test that passes"
    assert suites["src/missing.py"].find("testcase/error") is not None


def test_junit_fails_for_what_the_exit_status_fails_for(tmp_path: Path):
    folder = project(tmp_path, train=LOST)
    (folder / "gradls.toml").write_text("severity = {ALL = 'information'}", encoding="utf-8")
    for arguments, failures in ((["--severity", "information"], "1"), ([], "0")):
        run = gradls("check", *QUICK, ".", "--format", "junit", *arguments, cwd=folder)
        assert run.returncode == int(failures)
        xmlschema.XMLSchema(SCHEMAS / "junit-10.xsd").validate(run.stdout)
        root = ElementTree.fromstring(run.stdout)
        assert root.get("failures") == failures
        assert "detach" in run.stdout


def sarif(folder: Path, *arguments: str) -> dict[str, Any]:
    """The one run of a log, which is valid."""
    log = json.loads(gradls("check", *QUICK, *arguments, "--format", "sarif", cwd=folder).stdout)
    schema = json.loads((SCHEMAS / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
    run: dict[str, Any] = log["runs"][0]
    return run


def test_sarif_is_valid(tmp_path: Path):
    folder = project(tmp_path, **{"a b": TWICE, "flat": FLAT, "half": "x = (\n"})
    (folder / "train.ipynb").write_text(notebook(["import torch\n", "from torch import nn"], LOOP), encoding="utf-8")
    (folder / "pyproject.toml").write_text("[tool.gradls]\nselekt = []\n", encoding="utf-8")
    run = sarif(folder, ".", "missing.py")
    results = run["results"]
    assert len(results) >= 4
    prints = [result["partialFingerprints"]["gradls/v1"] for result in results]
    assert len(set(prints)) == len(results)
    for result in results:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    artifacts = {json.dumps(result["locations"][0]["physicalLocation"]["artifactLocation"]) for result in results}
    assert {json.loads(each)["uri"] for each in artifacts} >= {"src/a%20b.py", "src/flat.py", "src/train.ipynb"}
    assert {json.loads(each)["uriBaseId"] for each in artifacts} == {"%SRCROOT%"}
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 3


def test_sarif_of_nothing_is_valid(tmp_path: Path):
    assert sarif(project(tmp_path, fine=FINE), ".")["results"] == []


def test_fixes_in_sarif_are_those_of_fix(tmp_path: Path):
    folder = project(tmp_path, flat=FLAT)
    (result,) = sarif(folder, ".")["results"]
    lines = FLAT.splitlines(keepends=True)
    (change,) = result["fixes"][0]["artifactChanges"]
    assert change["artifactLocation"]["uri"] == "src/flat.py"
    regions = [(each["deletedRegion"], each["insertedContent"]["text"]) for each in change["replacements"]]
    for region, text in sorted(regions, key=lambda each: (each[0]["startLine"], each[0]["startColumn"]), reverse=True):
        assert region["startLine"] == region["endLine"]
        line = lines[region["startLine"] - 1]
        lines[region["startLine"] - 1] = line[: region["startColumn"] - 1] + text + line[region["endColumn"] - 1 :]
    gradls("check", *QUICK, ".", "--fix", cwd=folder)
    assert (folder / "flat.py").read_text(encoding="utf-8") == "".join(lines) != FLAT


def test_a_report_in_a_file(tmp_path: Path):
    folder = project(tmp_path, train=LOST)
    printed = gradls("check", *QUICK, ".", "--format", "gitlab", cwd=folder).stdout
    run = gradls("check", *QUICK, ".", "--format", "gitlab", "--output", "report.json", cwd=folder)
    assert run.returncode == 1
    assert (folder / "report.json").read_text(encoding="utf-8") == printed
    assert run.stdout == "Found 1 error in 1 file. 1 can be fixed with --fix --unsafe-fixes.\n"


@pytest.mark.parametrize("output", ["no-such-folder/report.json", "."])
def test_a_report_that_cannot_be_written(tmp_path: Path, output: str):
    run = gradls("check", *QUICK, ".", "-o", output, cwd=project(tmp_path, train=LOST))
    assert run.returncode == 2
    assert f"gradls: {output} could not be written: " in run.stderr
    assert "Traceback" not in run.stderr


def test_statistics(tmp_path: Path):
    folder = project(tmp_path, train=TWICE, flat=FLAT)
    run = gradls("check", *QUICK, ".", "--statistics", cwd=folder)
    assert run.returncode == 1
    first, second, summary = run.stdout.splitlines()
    assert first.split() == ["2", "GRD101", "detached-loss", "error", "2", "with", "--unsafe-fixes"]
    assert second.split() == ["1", "GRD102", "tensor-of-tensors", "error", "1", "with", "--fix"]
    assert summary.startswith("Found 3 errors in 2 files.")
    document = as_json(gradls("check", *QUICK, ".", "--statistics", "--format", "json", cwd=folder))
    counts = {row["code"]: (row["count"], row["safe"], row["unsafe"]) for row in document["statistics"]}
    assert counts == {"GRD101": (2, 0, 2), "GRD102": (1, 1, 0)}
