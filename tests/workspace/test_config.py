"""Configuration files: where they are found, what they say, and what is said of mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.rules.finding import Severity
from gradls.workspace.config import Config, load_config, read_config


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key(tmp_path: Path):
    write(
        tmp_path / "pyproject.toml",
        """
        [tool.gradls]
        select = ["GRD1"]
        ignore = ["detached-loss"]
        exclude = ["legacy/"]
        target-torch = "2.1"
        [tool.gradls.per-file-ignores]
        "tests/*" = ["GRD7"]
        [tool.gradls.severity]
        GRD2 = "information"
        """,
    )
    config = load_config(tmp_path)
    assert config == Config(
        select=("GRD1",),
        ignore=("detached-loss",),
        per_file_ignores={"tests/*": ("GRD7",)},
        exclude=("legacy/",),
        severity={"GRD2": Severity.INFORMATION},
        target_torch=(2, 1),
        root=tmp_path,
        file=tmp_path / "pyproject.toml",
    )


def test_found_above_a_file_that_need_not_exist(tmp_path: Path):
    write(tmp_path / "gradls.toml", 'ignore = ["GRD1"]')
    assert load_config(tmp_path / "a" / "b" / "train.py").ignore == ("GRD1",)


def test_a_project_file_of_others_is_passed_by(tmp_path: Path):
    write(tmp_path / "pyproject.toml", "[tool.gradls]\nignore = ['GRD1']")
    write(tmp_path / "inner" / "pyproject.toml", "[tool.other]\nx = 1")
    assert load_config(tmp_path / "inner").ignore == ("GRD1",)


def test_the_nearest_wins_and_own_file_before_the_project_file(tmp_path: Path):
    write(tmp_path / "pyproject.toml", "[tool.gradls]\nignore = ['GRD1']")
    write(tmp_path / "inner" / "pyproject.toml", "[tool.gradls]\nignore = ['GRD2']")
    write(tmp_path / "inner" / "gradls.toml", "ignore = ['GRD3']")
    assert load_config(tmp_path).ignore == ("GRD1",)
    assert load_config(tmp_path / "inner").ignore == ("GRD3",)


@pytest.mark.parametrize(
    ("line", "key", "hint"),
    [
        ("ignored = ['GRD1']", "`ignored`", "did you mean `ignore`"),
        ("per_file_ignores = {}", "`per_file_ignores`", "did you mean `per-file-ignores`"),
        ("select = 'GRD1'", "`select`", "a list of strings"),
        ("exclude = [1]", "`exclude`", "a list of strings"),
        ("severity = 3", "`severity`", "a table"),
        ("severity = {GRD1 = 'fatal'}", "`severity` at `GRD1`", "error, warning, information, hint"),
        ("per-file-ignores = {'a.py' = 'GRD1'}", "`per-file-ignores` at `a.py`", "a list of strings"),
        ("target-torch = 2.1", "`target-torch`", "a version in quotes"),
        ("target-torch = '2'", "`target-torch`", "a version in quotes"),
        ("target-torch = '0.4'", "`target-torch`", "from 1.13 to 2."),
        ("target-torch = '9.0.1'", "`target-torch`", "from 1.13 to 2."),
    ],
)
def test_a_mistake_names_file_and_key_and_costs_nothing_else(tmp_path: Path, line: str, key: str, hint: str):
    file = write(tmp_path / "gradls.toml", f"{line}\nignore = ['GRD101']\n")
    config = load_config(tmp_path)
    (problem,) = config.problems
    assert str(file) in problem
    assert key in problem
    assert hint in problem
    assert config.ignore == ("GRD101",)


@pytest.mark.parametrize("content", [b"select = [", b"\xff\xfe", b"[tool\n"])
def test_what_is_no_toml_is_reported(tmp_path: Path, content: bytes):
    file = tmp_path / "gradls.toml"
    file.write_bytes(content)
    config = load_config(tmp_path)
    assert config.select == ()
    assert str(file) in config.problems[0]
    assert "could not be read" in config.problems[0]


def test_a_section_that_is_no_table(tmp_path: Path):
    write(tmp_path / "pyproject.toml", "[tool]\ngradls = 3")
    assert "must be a table" in load_config(tmp_path).problems[0]


def test_a_named_file(tmp_path: Path):
    file = write(tmp_path / "strict.toml", "select = ['ALL']")
    assert read_config(file).select == ("ALL",)
    assert load_config(tmp_path).select == ()
