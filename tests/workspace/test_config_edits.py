"""A rule is added to `ignore`, and nothing else changes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from gradls.workspace.config import Config
from gradls.workspace.config_edits import Change, NotPossible, file_for, ignoring

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OWN, PROJECT = Path("gradls.toml"), Path("pyproject.toml")


def applied(text: str, change: Change) -> str:
    lines = text.replace("\r\n", "\n").split("\n")
    line, column, end_line, end_column = change.span
    start, end = (
        sum(len(each) + 1 for each in lines[: at - 1]) + within - 1
        for at, within in ((line, column), (end_line, end_column))
    )
    text = "\n".join(lines)
    return text[:start] + change.text + text[end:]


@pytest.mark.parametrize(
    ("file", "text", "after"),
    [
        (OWN, "", 'ignore = ["clip-order"]\n'),
        (OWN, "# ours\n", 'ignore = ["clip-order"]\n# ours\n'),
        (OWN, 'ignore = ["GRD1"]  # why\n', 'ignore = ["GRD1", "clip-order"]  # why\n'),
        (OWN, "ignore = []\n", 'ignore = ["clip-order"]\n'),
        (OWN, "exclude = []", 'exclude = []\nignore = ["clip-order"]\n'),
        (
            OWN,
            "exclude = []\r\n\r\n# s\r\n[severity]\r\n",
            'exclude = []\nignore = ["clip-order"]\n\n# s\n[severity]\n',
        ),
        (OWN, "[severity]\nGRD1 = 'hint'\n", "ignore = [\"clip-order\"]\n[severity]\nGRD1 = 'hint'\n"),
        (
            OWN,
            'ignore = [\n  "a",  # one\n  "b"   # two\n]\nhints = "off"\n',
            'ignore = [\n  "a",  # one\n  "b",   # two\n  "clip-order"\n]\nhints = "off"\n',
        ),
        (PROJECT, "", '[tool.gradls]\nignore = ["clip-order"]\n'),
        (PROJECT, "[project]\nname = 'x'\n", "[project]\nname = 'x'\n\n[tool.gradls]\nignore = [\"clip-order\"]\n"),
        (PROJECT, "[project]\nname = 'x'", "[project]\nname = 'x'\n\n[tool.gradls]\nignore = [\"clip-order\"]\n"),
        (
            PROJECT,
            "[tool.gradls]\nhints = 'off'  # quiet\n\n# of ruff\n[tool.ruff]\n",
            "[tool.gradls]\nhints = 'off'  # quiet\nignore = [\"clip-order\"]\n\n# of ruff\n[tool.ruff]\n",
        ),
        (PROJECT, "[tool.gradls]\n[tool.ruff]\n", '[tool.gradls]\nignore = ["clip-order"]\n[tool.ruff]\n'),
        (
            PROJECT,
            "[tool.gradls.severity]\nGRD1 = 'hint'\n",
            "[tool.gradls.severity]\nGRD1 = 'hint'\n\n[tool.gradls]\nignore = [\"clip-order\"]\n",
        ),
        (PROJECT, "[tool]\ngradls = { exclude = [] }\n", '[tool]\ngradls = { exclude = [], ignore = ["clip-order"]}\n'),
        (
            PROJECT,
            "tool.gradls.exclude = []\n[x]\n",
            'tool.gradls.exclude = []\ntool.gradls.ignore = ["clip-order"]\n[x]\n',
        ),
    ],
)
def test_what_the_file_says_afterwards(file: Path, text: str, after: str):
    assert applied(text, ignoring(text, file, "clip-order")) == after


@pytest.mark.parametrize(
    ("file", "text"),
    [(OWN, "ignore = ["), (OWN, "ignore = 'GRD1'"), (PROJECT, "tool = 1"), (PROJECT, "[tool]\ngradls = []")],
)
def test_what_cannot_be_changed(file: Path, text: str):
    with pytest.raises(NotPossible, match=file.name):
        ignoring(text, file, "clip-order")


NAMES = st.sampled_from(["ignore", "tool", "gradls", "exclude", "a b"])
VALUES = st.recursive(
    st.one_of(st.integers(0, 9), st.text("ab\n\"'# =[]", max_size=4), st.lists(st.text("x,", max_size=2))),
    lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=3), st.lists(st.dictionaries(NAMES, inner))),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.sampled_from([OWN, PROJECT]))
def test_any_file(content: dict[str, Any], file: Path):
    text = tomlkit.dumps(content)
    try:
        after = tomllib.loads(applied(text, ignoring(text, file, "clip-order")))
    except NotPossible:
        return
    table = after
    for key in ("tool", "gradls") if file is PROJECT else ():
        table = table[key]
    assert table["ignore"].pop() == "clip-order"
    config = content.get("tool", {}).get("gradls", {}) if file is PROJECT else content
    if "ignore" not in config:
        del table["ignore"]
    without = {key: value for key, value in after.items() if key != "tool" or key in content or value != {"gradls": {}}}
    if file is PROJECT and "gradls" not in content.get("tool", {}) and "tool" in without:
        without["tool"] = {key: value for key, value in without["tool"].items() if key != "gradls"}
    assert without == tomllib.loads(text)


def test_which_file(tmp_path: Path):
    program = tmp_path / "pkg" / "train.py"
    program.parent.mkdir()
    assert file_for(Config(), program, tmp_path) == tmp_path / "gradls.toml"
    assert file_for(Config(), program, None) == tmp_path / "pkg" / "gradls.toml"
    (tmp_path / "pyproject.toml").touch()
    assert file_for(Config(), program, tmp_path) == tmp_path / "pyproject.toml"
    assert file_for(Config(), program, tmp_path / "pkg") == tmp_path / "pkg" / "gradls.toml"
    assert file_for(Config(file=OWN), program, tmp_path) == OWN
