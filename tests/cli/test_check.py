"""`gradls check`, run as users run it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.command import FINE, LOST, as_json, gradls


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        (root / f"{name}.py").write_text(text, encoding="utf-8")


def test_json_says_what_where_and_why(tmp_path: Path):
    write(tmp_path, train=LOST)
    run = gradls("check", ".", "--format", "json", cwd=tmp_path)
    document = as_json(run)
    assert run.returncode == 1
    assert document["errors"] == []
    assert set(document) == {"version", "tool", "findings", "errors"}
    (finding,) = document["findings"]
    place = ("line", "column", "end_line", "end_column")
    identity = ("scope", "snippet", "fingerprint")
    assert set(finding) == {"path", "code", "name", "severity", *place, "message", "related", "fixes", *identity}
    assert (finding["path"], finding["severity"], finding["line"]) == ("train.py", "error", 5)
    assert finding["related"], "no story"
    for step in finding["related"]:
        assert set(step) == {"path", *place, "message"}
    for fix in finding["fixes"]:
        assert set(fix) == {"title", "safety", "edits"}
        assert all(set(edit) == {"path", *place, "text"} for edit in fix["edits"])


def test_nothing_found_is_status_0(tmp_path: Path):
    write(tmp_path, train=FINE)
    run = gradls("check", "train.py", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "Nothing found in 1 file.\n")


def test_text_shows_the_line_the_story_and_a_summary(tmp_path: Path):
    write(tmp_path, train=LOST)
    run = gradls("check", "train.py", cwd=tmp_path)
    assert run.returncode == 1
    assert "\x1b" not in run.stdout
    assert run.stdout.startswith("train.py:5:")
    assert "5 | loss = model(torch.randn(4, 3)).mean().detach()" in run.stdout
    assert "^^^" in run.stdout
    assert "  1. " in run.stdout
    assert run.stdout.endswith("\n")
    assert "Found 1 error in 1 file. 1 can be fixed with --fix --unsafe-fixes." in run.stdout


def test_concise_is_one_line_each(tmp_path: Path):
    write(tmp_path, train=LOST, other=LOST)
    run = gradls("check", ".", "--format", "concise", cwd=tmp_path)
    lines = run.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["other.py", "train.py"]
    assert all(": error: GRD" in line for line in lines)


def test_columns_are_code_points(tmp_path: Path):
    write(tmp_path, train=LOST.replace("loss = ", "ünï = '𝒳'; loss = "))
    (finding,) = as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))["findings"]
    line = LOST.replace("loss = ", "ünï = '𝒳'; loss = ").splitlines()[4]
    marked = line[finding["column"] - 1 : finding["end_column"] - 1]
    assert "detach" in marked
    assert marked == marked.strip()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--exit-zero"], 0),
        (["--ignore", "GRD"], 0),
        (["--select", "GRD102"], 0),
        (["--select", "ALL"], 1),
        (["--severity", "error"], 1),
        (["--severity", "hint"], 1),
    ],
)
def test_status(tmp_path: Path, arguments: list[str], status: int):
    write(tmp_path, train=LOST)
    assert gradls("check", "train.py", *arguments, cwd=tmp_path).returncode == status


def test_severity_is_the_threshold_of_the_status(tmp_path: Path):
    write(tmp_path, train=LOST)
    (tmp_path / "gradls.toml").write_text("severity = {ALL = 'information'}", encoding="utf-8")
    run = gradls("check", "train.py", "--format", "json", cwd=tmp_path)
    assert run.returncode == 0
    assert as_json(run)["findings"][0]["severity"] == "information"
    assert gradls("check", "train.py", "--severity", "information", cwd=tmp_path).returncode == 1


def test_configuration_of_the_folder_of_each_file(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write(tmp_path / "a", train=LOST)
    write(tmp_path / "b", train=LOST)
    (tmp_path / "b" / "gradls.toml").write_text("ignore = ['GRD']", encoding="utf-8")
    found = as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))["findings"]
    assert [Path(finding["path"]).as_posix() for finding in found] == ["a/train.py"]


def test_a_mistake_in_the_configuration_is_told_and_costs_nothing(tmp_path: Path):
    write(tmp_path, train=LOST)
    (tmp_path / "pyproject.toml").write_text("[tool.gradls]\nselekt = []\nignore = ['GRDX']\n", encoding="utf-8")
    run = gradls("check", "train.py", "--format", "json", cwd=tmp_path)
    document = as_json(run)
    assert run.returncode == 1
    assert len(document["findings"]) == 1
    messages = [error["message"] for error in document["errors"]]
    assert any("`selekt`" in message and "did you mean `select`" in message for message in messages)
    assert any("`GRDX`" in message for message in messages)
    assert "`selekt`" in gradls("check", "train.py", cwd=tmp_path).stderr


@pytest.mark.parametrize("command", ["check", "inspect"])
def test_mistakes_in_configurations_have_line_and_column(tmp_path: Path, command: str):
    write(tmp_path, a=LOST)
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner", b=LOST)
    (tmp_path / "pyproject.toml").write_text("[tool.gradls]\nexclude = []\n ignor = []\n", encoding="utf-8")
    (tmp_path / "inner" / "gradls.toml").write_text("# broken\nselect = [}\n", encoding="utf-8")
    run = gradls(command, ".", cwd=tmp_path)
    assert "gradls: pyproject.toml:3:2: unknown key `ignor`; did you mean `ignore`?" in run.stderr.splitlines()
    assert f"gradls: {Path('inner', 'gradls.toml')}:2:11: could not be read: Invalid value" in run.stderr.splitlines()
    assert run.stdout


def test_comments_silence(tmp_path: Path):
    write(tmp_path, train=LOST.replace(".detach()", ".detach()  # gradls: ignore"))
    assert gradls("check", "train.py", cwd=tmp_path).returncode == 0


def test_unreadable_files_leave_the_output_valid(tmp_path: Path):
    write(tmp_path, train=LOST, half="import torch\nx = (\n")
    (tmp_path / "latin.py").write_bytes(b"x = '\xfc'\n")
    run = gradls("check", ".", "missing.py", "--format", "json", cwd=tmp_path)
    document = as_json(run)
    assert run.returncode == 2
    assert [finding["path"] for finding in document["findings"]] == ["train.py"]
    errors = {error["path"]: error["message"] for error in document["errors"]}
    assert set(errors) == {"latin.py", "missing.py", "half.py"}
    assert errors["missing.py"].startswith("could not be read: ")
    assert errors["latin.py"].startswith("could not be read: ")
    assert errors["half.py"].startswith("could not be parsed: ")


def test_a_file_in_a_folder_that_is_no_text_does_not_fail_the_run(tmp_path: Path):
    (tmp_path / "latin.py").write_bytes(b"x = '\xfc'\n")
    run = gradls("check", ".", cwd=tmp_path)
    assert run.returncode == 0
    assert "latin.py:1: could not be read" in run.stderr


def test_a_folder_without_anything_to_check(tmp_path: Path):
    run = gradls("check", ".", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "Nothing found in 0 files.\n")
    assert run.stderr == "gradls: there are no Python files and no notebooks to check\n"


def test_stdin(tmp_path: Path):
    (tmp_path / "gradls.toml").write_text("per-file-ignores = {'tests/*' = ['GRD']}", encoding="utf-8")
    run = gradls("check", "-", "--format", "json", cwd=tmp_path, stdin=LOST.encode())
    assert [finding["path"] for finding in as_json(run)["findings"]] == ["<stdin>"]
    named = gradls("check", "-", "--stdin-filename", "src/a.py", "--format", "json", cwd=tmp_path, stdin=LOST.encode())
    assert [finding["path"] for finding in as_json(named)["findings"]] == ["src/a.py"]
    ignored = gradls("check", "-", "--stdin-filename", "tests/a.py", cwd=tmp_path, stdin=LOST.encode())
    assert ignored.returncode == 0


def test_many_files_in_several_processes_give_the_same_in_the_same_order(tmp_path: Path):
    for number in range(60):
        write(tmp_path, **{f"f{number:02}": LOST if number % 3 else FINE})
    one = gradls("check", ".", "--format", "json", "--jobs", "1", cwd=tmp_path)
    two = gradls("check", ".", "--format", "json", "--jobs", "2", cwd=tmp_path)
    assert one.stdout == two.stdout
    assert len(as_json(two)["findings"]) == 40


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\x00",
        "x = 1\x00",
        "(" * 5000,
        "x = " + "-" * 20000 + "1",
        "x" * 500_000,
        "a = " + "[" * 90 + "]" * 90,
    ],
    ids=["empty", "blank", "null", "null inside", "parentheses", "minuses", "one line", "nesting"],
)
def test_odd_files_do_not_break_it(tmp_path: Path, text: str):
    write(tmp_path, odd=text, train=LOST)
    document = as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))
    assert [finding["path"] for finding in document["findings"]] == ["train.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes")
def test_names_with_blanks_and_signs(tmp_path: Path):
    folder = tmp_path / "a b+ü%20"
    folder.mkdir()
    write(folder, train=LOST)
    (finding,) = as_json(gradls("check", str(folder), "--format", "json", cwd=tmp_path))["findings"]
    assert finding["path"] == str(folder / "train.py")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_no_text(tmp_path: Path):
    with open(os.fsencode(tmp_path) + b"/\xfftrain.py", "w", encoding="utf-8") as file:
        file.write(LOST)
    assert len(as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))["findings"]) == 1
    for form in ("text", "concise"):
        assert "train.py:5:" in gradls("check", ".", "--format", form, cwd=tmp_path).stdout


def test_an_output_that_knows_ascii_only(tmp_path: Path):
    write(tmp_path, ünï=LOST.replace("loss", "lößß"))
    run = gradls("check", ".", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert run.returncode == 1
    assert "detach" in run.stdout
