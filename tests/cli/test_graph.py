"""`gradls graph`."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.command import FINE, LOST, as_json, gradls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lost.py").write_text(LOST)
    (tmp_path / "fine.py").write_text(FINE)
    return tmp_path


def test_json_says_what_is_drawn(folder: Path):
    run = gradls("graph", "lost.py:6", "--format", "json", cwd=folder)
    assert run.returncode == 0, run.stderr
    picture = as_json(run)["picture"]
    assert picture["title"] == "loss.backward()"
    assert picture["summary"][1:] == [
        "The gradient of loss.backward() reaches 0 of 2 parameters.",
        "2 lose it at model(torch.randn(4, 3)).mean().detach() (line 5): model.",
    ]
    cut = next(box for box in picture["boxes"] if box["kind"] == "cut")
    assert cut["state"] == "lost"
    assert cut["spots"][0] == {"path": "lost.py", "line": 5, "column": 8, "end_line": 5, "end_column": 48}
    assert "cuts the value off" in cut["messages"][0]


@pytest.mark.parametrize("name", ["a.svg", "a.html", "a.dot", "a.json"])
def test_the_name_of_the_output_says_the_format(folder: Path, name: str):
    run = gradls("graph", "fine.py:6", "-o", name, cwd=folder)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    text = (folder / name).read_text(encoding="utf-8")
    begins = {"a.svg": "<svg ", "a.html": "<!DOCTYPE html>", "a.dot": "digraph ", "a.json": "{"}
    assert text.startswith(begins[name])
    assert "2 parameters, gradient arrives" in text


def test_svg_is_the_default_and_links_to_the_file(folder: Path):
    run = gradls("graph", "fine.py:6", cwd=folder)
    root = ElementTree.fromstring(run.stdout)
    links = {link.get("href") for link in root.iter("{http://www.w3.org/2000/svg}a")}
    assert f"{(folder / 'fine.py').as_uri()}#L6" in links


def test_stdin_and_other_files_of_the_project(folder: Path):
    (folder / "net.py").write_text("def cut(x):\n    return x.detach()\n")
    text = "import torch\nfrom net import cut\nw = torch.ones(3, requires_grad=True)\ncut(w).sum().backward()\n"
    run = gradls(
        "graph", "--stdin-filename", "main.py", "--format", "json", "--", "-:4", cwd=folder, stdin=text.encode()
    )
    cut = next(box for box in as_json(run)["picture"]["boxes"] if box["kind"] == "cut")
    assert cut["note"] == "the graph ends here · net.py line 2"
    assert Path(cut["spots"][0]["path"]).name == "net.py"


@pytest.mark.parametrize(
    ("place", "status", "said"),
    [
        ("lost.py:1", 1, "there is no backward() on line 1, and no function around it; backward() is called on line 6"),
        ("lost.py:99", 1, "there is no line 99"),
        ("none.py:3", 2, "none.py:1: could not be read"),
        (".:3", 2, "is no file"),
        ("lost.py", 2, "must be FILE:LINE"),
        ("lost.py:0", 2, "must be FILE:LINE"),
    ],
)
def test_where_nothing_can_be_drawn(folder: Path, place: str, status: int, said: str):
    run = gradls("graph", place, cwd=folder)
    assert run.returncode == status
    assert run.stdout == ""
    assert said in run.stderr
