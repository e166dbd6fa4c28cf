"""Configuration files: where they are found, what they say, and what is said of mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.rules.finding import Severity
from gradls.workspace.config import Config, Problem, config_in, load_config, read_config


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
        hints = "all"
        baseline = "known.json"
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
        hints="all",
        baseline="known.json",
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


def test_what_does_not_count_is_told(tmp_path: Path):
    text = "[project]\nname = 'x'\n[tool.gradls]\nselekt = []\n"
    project = write(tmp_path / "pyproject.toml", text)
    write(tmp_path / "gradls.toml", "ignore = ['GRD1']")
    config = load_config(tmp_path)
    assert config.ignore == ("GRD1",)
    (problem,) = config.problems
    assert problem.file == project
    assert "gradls.toml beside it counts" in problem.message
    assert of_span(text, problem) == "[tool.gradls]"
    assert ["selekt" in problem.message for problem in read_config(project).problems] == [True]
    write(tmp_path / "pyproject.toml", "[project]\n")
    assert load_config(tmp_path).problems == ()


@pytest.mark.parametrize(
    ("line", "marked", "words"),
    [
        ("ignored = ['GRD1']", "ignored", "did you mean `ignore`"),
        ("per_file_ignores = {}", "per_file_ignores", "did you mean `per-file-ignores`"),
        ("zzz = 1", "zzz", "known: baseline, exclude, hints, ignore"),
        ("select = 'GRD1'", "'GRD1'", "`select` must be a list of rules"),
        ("select = ['GRD1', 'detached-los']", "'detached-los'", "did you mean `detached-loss`"),
        ("select = ['GRD1', 'grd101']", "'grd101'", "is written `GRD101`"),
        ("exclude = ['a', 1]", "1", "`exclude`, number 2, must be a pattern"),
        ("exclude = ['a\\']", "'a\\'", "must be a pattern"),
        ("severity = 3", "3", "`severity` must be a table"),
        ("severity = {GRD1 = 'fatal'}", "'fatal'", "`severity` at `GRD1` must be one of error, warning"),
        ("severity = {GRD1 = 'eror'}", "'eror'", "did you mean `error`"),
        ("severity = {detached = 'hint'}", "detached", "no rule is called `detached`"),
        ("per-file-ignores = {'a.py' = 'GRD1'}", "'GRD1'", "`per-file-ignores` at `a.py` must be a list"),
        ("target-torch = 2.1", "2.1", "in quotes"),
        ("target-torch = '2'", "'2'", "in quotes"),
        ("target-torch = '0.4'", "'0.4'", 'from "1.13" to "2.'),
        ("target-torch = '9.0.1'", "'9.0.1'", 'from "1.13" to "2.'),
        ("hints = 'cut'", "'cut'", "did you mean `cuts`"),
        ("baseline = ' '", "' '", "`baseline` must be the path of a file"),
    ],
)
@pytest.mark.parametrize("name", ["gradls.toml", "pyproject.toml"])
def test_a_mistake_says_where_it_is_and_costs_nothing_else(
    tmp_path: Path, name: str, line: str, marked: str, words: str
):
    header = "[tool.gradls]" if name == "pyproject.toml" else "# ours"
    text = f"{header}\n{line}\nignore = ['GRD101']\n"
    file = write(tmp_path / name, text)
    config = load_config(tmp_path)
    (problem,) = config.problems
    assert problem.file == file
    assert words in problem.message
    assert of_span(text, problem) == marked
    assert config.ignore == ("GRD101",)


def of_span(text: str, problem: Problem) -> str:
    line, column, end_line, end_column = problem.span
    assert line == end_line
    return text.split("\n")[line - 1][column - 1 : end_column - 1]


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("ignored = []", "ignore"),
        ("per_file_ignores = {}", "per-file-ignores"),
        ("select = 'GRD1'", '["GRD1"]'),
        ("select = ['detached-los']", '"detached-loss"'),
        ("severity = {Detached-Loss = 'hint'}", '"detached-loss"'),
        ("hints = 'cut'", '"cuts"'),
        ("target-torch = 2.10  # newer", '"2.10"'),
        ("target-torch = 9.5", None),
        ("exclude = 'a'", '["a"]'),
        ("severity = 3", None),
    ],
)
def test_what_was_meant(line: str, instead: str | None):
    """And with that in its place nothing is wrong."""
    file = Path("gradls.toml")
    (problem,) = config_in(f"# first\n{line}\n", file).problems
    assert problem.instead == instead
    if instead is not None:
        _, column, _, end = problem.span
        assert config_in(f"# first\n{line[: column - 1]}{instead}{line[end - 1 :]}\n", file).problems == ()


def test_what_is_right_beside_a_mistake_counts(tmp_path: Path):
    write(tmp_path / "gradls.toml", "select = ['GRD1', 2]\nseverity = {GRD1 = 'fatal', GRD2 = 'hint'}\n")
    config = load_config(tmp_path)
    assert config.select == ("GRD1",)
    assert config.severity == {"GRD2": Severity.HINT}
    assert len(config.problems) == 2


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"select = [", 1), (b"\n\xff\xfe", 2), (b"[tool\n", 1), (b"a = 1\r\n\r\na = 2\r\n", 3), (b"[" * 5000, 1)],
)
def test_what_is_no_toml_is_reported_with_its_line(tmp_path: Path, content: bytes, line: int):
    file = tmp_path / "gradls.toml"
    file.write_bytes(content)
    config = load_config(tmp_path)
    assert config.select == ()
    (problem,) = config.problems
    assert (problem.file, problem.span.line, problem.is_fatal) == (file, line, True)
    assert "could not be read" in problem.message


def test_a_section_that_is_no_table(tmp_path: Path):
    write(tmp_path / "pyproject.toml", "[tool]\ngradls = 3")
    (problem,) = load_config(tmp_path).problems
    assert "must be a table" in problem.message
    assert problem.span[:2] == (2, 10)


def test_a_named_file(tmp_path: Path):
    file = write(tmp_path / "strict.toml", "select = ['ALL']")
    assert read_config(file).select == ("ALL",)
    assert load_config(tmp_path).select == ()


PIECES = st.sampled_from(
    [
        *("[tool.gradls]", "[tool]", "[[ignore]]", "[severity]", "ignore", "select", "tool.gradls", "GRD1", "exclude"),
        *("=", "=", "[", "]", "{", "}", ",", "\n", "\n", "\r\n", '"', '"""', "'", "#", "\\", ".", " "),
        *("1", "2.1", '"a"', "'GRD1'", "😀"),
    ]
)


@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(["gradls.toml", "pyproject.toml"]))
def test_whatever_is_typed_each_mistake_has_a_place(text: str, name: str):
    config = config_in(text, Path(name))
    lines = text.replace("\r\n", "\n").split("\n")
    for problem in config.problems if config is not None else ():
        assert 1 <= problem.span.line <= problem.span.end_line <= len(lines)
        assert 1 <= problem.span.column <= len(lines[problem.span.line - 1]) + 2
        assert problem.message
