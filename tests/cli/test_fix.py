"""`gradls check --fix` and `--diff`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import LOST, as_json, gradls

COPIED = """\
import torch

wü = torch.ones(3, requires_grad=True)
first = [(wü * k).sum() for k in range(3)]
loss = torch.tensor(first).mean()
loss.backward()
"""
FIXED = COPIED.replace("torch.tensor(first)", "torch.stack(first)")


def test_fix_changes_the_file_and_reports_what_is_left(tmp_path: Path):
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    (tmp_path / "b.py").write_text(LOST, encoding="utf-8")
    run = gradls("check", ".", "--fix", cwd=tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == FIXED
    assert (tmp_path / "b.py").read_text(encoding="utf-8") == LOST, "a suggested fix was made"
    assert run.returncode == 1
    assert "Fixed 1 finding: 1 GRD102 tensor-of-tensors.\nFound 1 error in 2 files." in run.stdout


def test_fix_leaves_encoding_line_ends_and_the_last_line_alone(tmp_path: Path):
    text = f"# coding: latin-1\n{COPIED}".removesuffix("\n").replace("\n", "\r\n")
    (tmp_path / "a.py").write_bytes(text.encode("latin-1"))
    assert gradls("check", "a.py", "--fix", cwd=tmp_path).returncode == 0
    expected = text.replace("torch.tensor(first)", "torch.stack(first)")
    assert (tmp_path / "a.py").read_bytes() == expected.encode("latin-1")


def test_a_file_without_fixes_is_not_written(tmp_path: Path):
    file = tmp_path / "b.py"
    file.write_text(LOST, encoding="utf-8")
    file.chmod(0o444)
    before = file.stat().st_mtime_ns
    gradls("check", ".", "--fix", cwd=tmp_path)
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("options", [["--diff"], ["--fix", "--diff"]])
def test_diff_changes_nothing_and_patches(tmp_path: Path, options: list[str]):
    file = tmp_path / "a.py"
    file.write_text(COPIED.removesuffix("\n"), encoding="utf-8")
    run = gradls("check", "a.py", *options, cwd=tmp_path)
    assert run.returncode == 1
    assert file.read_text(encoding="utf-8") == COPIED.removesuffix("\n")
    if shutil.which("patch") is None:
        pytest.skip("no patch here")
    subprocess.run(["patch", "-p0"], input=run.stdout, text=True, cwd=tmp_path, check=True, capture_output=True)
    assert file.read_text(encoding="utf-8") == FIXED.removesuffix("\n")


def test_fix_on_stdin_prints_the_fixed_text_alone(tmp_path: Path):
    run = gradls("check", "-", "--fix", cwd=tmp_path, stdin=COPIED.encode())
    assert run.stdout == FIXED
    assert "Fixed 1 finding" in run.stderr
    untouched = gradls("check", "-", "--fix", cwd=tmp_path, stdin=LOST.encode())
    assert untouched.stdout == LOST
    assert "detached-loss" in untouched.stderr


def test_fix_on_stdin_has_no_other_format(tmp_path: Path):
    assert gradls("check", "-", "--fix", "--format", "json", cwd=tmp_path, stdin=COPIED.encode()).returncode == 2


def test_edits_in_json_are_those_of_fix(tmp_path: Path):
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    (finding,) = as_json(gradls("check", "a.py", "--format", "json", cwd=tmp_path))["findings"]
    (fix,) = [fix for fix in finding["fixes"] if fix["safety"] == "safe"]
    lines = COPIED.splitlines(keepends=True)
    for edit in sorted(fix["edits"], key=lambda edit: (edit["line"], edit["column"]), reverse=True):
        assert edit["line"] == edit["end_line"]
        line = lines[edit["line"] - 1]
        lines[edit["line"] - 1] = line[: edit["column"] - 1] + edit["text"] + line[edit["end_column"] - 1 :]
    assert "".join(lines) == FIXED


def test_unsafe_fixes_are_made_on_request_and_counted(tmp_path: Path):
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    (tmp_path / "b.py").write_text(LOST, encoding="utf-8")
    run = gradls("check", ".", "--diff", "--unsafe-fixes", cwd=tmp_path)
    assert run.stderr == "Would fix 2 findings: 1 GRD101 detached-loss, 1 GRD102 tensor-of-tensors.\n"
    assert (tmp_path / "b.py").read_text(encoding="utf-8") == LOST
    run = gradls("check", ".", "--fix", "--unsafe-fixes", "--format", "json", cwd=tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == FIXED
    assert (tmp_path / "b.py").read_text(encoding="utf-8") == LOST.replace(".detach()", "")
    document = as_json(run)
    assert (run.returncode, document["findings"]) == (0, [])
    rules = [("GRD101", "detached-loss"), ("GRD102", "tensor-of-tensors")]
    assert sorted((each["code"], each["name"]) for each in document["fixed"]) == rules
    assert [each["count"] for each in document["fixed"]] == [1, 1]


@pytest.mark.parametrize("form", ["concise", "github"])
def test_what_was_fixed_is_said_beside_a_report_for_programs(tmp_path: Path, form: str):
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    run = gradls("check", ".", "--fix", "--format", form, cwd=tmp_path)
    assert (run.stdout, run.stderr) == ("", "Fixed 1 finding: 1 GRD102 tensor-of-tensors.\n")


def test_unsafe_fixes_alone_make_no_sense(tmp_path: Path):
    assert gradls("check", ".", "--unsafe-fixes", cwd=tmp_path).returncode == 2


def test_what_is_fixed_and_left_is_said(tmp_path: Path):
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    (tmp_path / "b.py").write_text(LOST, encoding="utf-8")
    run = gradls("check", ".", cwd=tmp_path)
    assert run.stdout.endswith("1 can be fixed with --fix, 1 more with --fix --unsafe-fixes.\n")
    run = gradls("check", ".", "--fix", cwd=tmp_path)
    assert run.stdout.endswith("in 2 files. 1 can be fixed with --fix --unsafe-fixes.\n")
