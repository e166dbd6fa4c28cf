"""gradls as a library, as docs/api.md promises it."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from pathlib import Path

import pytest

import gradls
from gradls import Location, Session
from tests.cli.command import LOST

DOCS = Path(__file__).parents[2] / "docs"


def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, "api.md", "docs/api.md", 0)
    assert len(test.examples) > 12
    result = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL).run(test)
    assert result.failed == 0


def test_the_command_does_not_import_the_library():
    program = "import sys, gradls, gradls.cli.main; print([m for m in sys.modules if m.startswith('gradls.')])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "gradls.api" not in run.stdout
    assert "gradls.workspace" not in run.stdout


def test_all_public_names_are_there_and_no_others():
    for name in gradls.__all__:
        assert getattr(gradls, name).__doc__
    with pytest.raises(AttributeError, match="nothing_such"):
        gradls.nothing_such  # noqa: B018


def test_an_edit_changes_what_is_found(tmp_path: Path):
    session = Session(tmp_path)
    file = tmp_path / "train.py"
    file.write_text(LOST, encoding="utf-8")
    (finding,) = session.check(file)
    assert finding.location == Location(str(file), 5, 8, 5, 48)
    file.write_text(LOST.replace(".detach()", ""), encoding="utf-8")
    assert session.check(file) == []
    assert session.check(file, "\n" + LOST)[0].location.line == 6


def test_another_file_is_followed_as_it_is_now(tmp_path: Path):
    session = Session(tmp_path)
    (tmp_path / "helpers.py").write_text("def cut(x):\n    return x\n", encoding="utf-8")
    main = LOST.replace("import torch\n", "import torch\nfrom helpers import cut\n").replace(".detach()", "")
    main = main.replace("loss = model(torch.randn(4, 3)).mean()", "loss = cut(model(torch.randn(4, 3)).mean())")
    assert session.check(tmp_path / "train.py", main) == []
    (tmp_path / "helpers.py").write_text("def cut(x):\n    return x.detach()\n", encoding="utf-8")
    (finding,) = session.check(tmp_path / "train.py", main)
    assert finding.code == "GRD101"
    assert session.check(tmp_path / "helpers.py", "def cut(x):\n    return x\n") == []
    assert session.check(tmp_path / "train.py", main) == []
    session.forget(tmp_path / "helpers.py")
    assert [finding.code for finding in session.check(tmp_path / "train.py", main)] == ["GRD101"]


def test_the_configuration_counts(tmp_path: Path):
    (tmp_path / "gradls.toml").write_text('ignore = ["GRD101"]\n', encoding="utf-8")
    assert Session(tmp_path).check("train.py", LOST) == []
    assert Session(tmp_path, select=["GRD1"], ignore=["GRD102"]).check("train.py", LOST) == []
    assert Session(tmp_path.parent).check("train.py", LOST) != []


def test_wrong_arguments_are_told():
    with pytest.raises(ValueError, match="no rule is called 'GRD10101'"):
        Session(ignore=["GRD10101"])
    with pytest.raises(ValueError, match="must be a version of PyTorch"):
        Session(target_torch="1.0")


def test_files_that_cannot_be_read(tmp_path: Path):
    session = Session(tmp_path)
    with pytest.raises(FileNotFoundError):
        session.check(tmp_path / "nothing.py")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(ValueError, match=r"bytes\.py could not be read: invalid or missing encoding"):
        session.check(tmp_path / "bytes.py")
    with pytest.raises(ValueError, match="not a notebook"):
        session.check("a.ipynb", "{")
    with pytest.raises(KeyError):
        session.problems("never.py")


def test_notebooks_have_cells(tmp_path: Path):
    first, second = LOST.splitlines(keepends=True)[:4], LOST.splitlines(keepends=True)[4:]
    cells = [{"cell_type": "markdown", "metadata": {}, "source": ["# Training"]}] + [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": lines}
        for lines in (first, second)
    ]
    text = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    (finding,) = Session(tmp_path).check("a.ipynb", text)
    assert (finding.location.cell, finding.location.line) == (3, 1)
    assert str(finding.location) == "a.ipynb:cell 3:1:8"


def test_types_are_told_to_who_checks_them(tmp_path: Path):
    """`py.typed` is there, and mypy believes the names that are imported when they are used."""
    pytest.importorskip("mypy")
    program = "from gradls import Session\nreveal_type(Session().check('x.py')[0].fixes)\n"
    (tmp_path / "uses.py").write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", "--cache-dir", str(tmp_path), "uses.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert 'Revealed type is "' in run.stdout, run.stdout
    assert "gradls.api.Fix" in run.stdout
