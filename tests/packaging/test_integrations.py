"""The files for pre-commit, GitHub Actions and Docker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gradls
from tests.cli.command import FINE, LOST
from tests.packaging.building import ROOT, clean_environment, copy_of_the_project

SAFE = "import torch\n\nmodel = torch.nn.Linear(3, 1)\nwith torch.no_grad:\n    print(model(torch.ones(3)))\n"


def run(*command: str | Path, cwd: Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=clean_environment(**environment), timeout=600
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def repository(folder: Path, **files: str) -> Path:
    """A git repository with all that is in `folder`, and `files`, committed."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    run("git", "init", "--quiet", "--initial-branch=main", cwd=folder)
    for key, value in {"user.name": "Test", "user.email": "test@example.org", "commit.gpgsign": "false"}.items():
        run("git", "config", key, value, cwd=folder)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--allow-empty", "--message", "first", cwd=folder)
    return folder


def test_pre_commit_stops_a_commit(tmp_path: Path):
    """As a user has it: the hook from a repository of gradls, in a repository of theirs."""
    hooks = repository(copy_of_the_project(tmp_path / "gradls"))
    revision = run("git", "rev-parse", "HEAD", cwd=hooks).stdout.strip()
    chosen = [{"repo": hooks.as_uri(), "rev": revision, "hooks": [{"id": "gradls"}]}]
    mine = repository(tmp_path / "mine", **{".pre-commit-config.yaml": yaml.safe_dump({"repos": chosen})})
    settings = {"PRE_COMMIT_HOME": str(tmp_path / "home"), "GRADLS_CACHE_DIR": str(tmp_path / "kept")}
    run(sys.executable, "-m", "pre_commit", "install", cwd=mine, **settings)

    def commit(name: str, text: str) -> subprocess.CompletedProcess[str]:
        (mine / name).write_text(text, encoding="utf-8")
        run("git", "add", name, cwd=mine)
        return run("git", "commit", "--message", name, cwd=mine, check=False, **settings)

    stopped = commit("train.py", LOST)
    assert stopped.returncode != 0
    assert "train.py:5:8: error GRD101 detached-loss" in stopped.stdout + stopped.stderr
    passed = commit("train.py", FINE)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert run("git", "log", "--format=%s", cwd=mine).stdout.split() == ["train.py", "first"]
    # Files that are no Python are none of its business.
    assert commit("notes.txt", LOST).returncode == 0


def test_the_hooks_are_what_pre_commit_wants():
    manifest = ROOT / ".pre-commit-hooks.yaml"
    run(sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest), cwd=ROOT)
    for hook in yaml.safe_load(manifest.read_text(encoding="utf-8")):
        program, command, *options = hook["entry"].split()
        assert (program, command) == ("gradls", "check")
        done = run(sys.executable, "-m", "gradls", command, *options, "--help", cwd=ROOT)
        assert "usage" in done.stdout


def test_the_action_is_what_github_wants():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml"]
    run(*check, cwd=ROOT)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("paths", "arguments", "status", "printed"),
    [
        ("train.py", "", 1, "::error title=gradls (GRD101),file=train.py,line=5"),
        ("fine.py", "", 0, ""),
        ("train.py  fine.py", "--ignore GRD101", 0, ""),
        ("missing.py", "", 2, ""),
    ],
)
def test_the_action_reports(tmp_path: Path, paths: str, arguments: str, status: int, printed: str):
    """The step that checks, as GitHub runs it."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (step,) = [step for step in action["runs"]["steps"] if step.get("id") == "check"]
    for name, text in {"train.py": LOST, "fine.py": FINE}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = tmp_path / "gradls"
    where = Path(gradls.__file__).parents[1]
    command.write_text(f'#!/bin/sh\nPYTHONPATH={where} exec {sys.executable} -m gradls "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    given = {"GRADLS": str(command), "PATHS": paths, "ARGUMENTS": arguments, "GITHUB_OUTPUT": str(tmp_path / "output")}
    assert set(step["env"]) | {"GITHUB_OUTPUT"} == set(given)
    bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = run(*bash, cwd=tmp_path, check=False, **given, GRADLS_CACHE_DIR=str(tmp_path / "kept"))
    assert done.returncode == status, done.stderr
    assert printed in done.stdout
    assert (tmp_path / "output").read_text(encoding="utf-8") == f"status={status}\n"


def test_the_dockerfile_is_clean():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not available for this system")
    done = run(hadolint, "Dockerfile", cwd=ROOT, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_dockerfile_has_what_it_copies():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"]
    assert sorted(copied) == sorted(let_in)
    assert all(os.path.exists(ROOT / name) for name in copied)
