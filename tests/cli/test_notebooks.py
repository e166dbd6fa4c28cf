"""`gradls check` on notebooks."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.command import as_json, gradls

IMPORTS = ["%matplotlib inline\n", "!pip install torch\n", "import torch\n", "from torch import nn"]
LOST = ["%%time\n", "model = nn.Linear(3, 1)\n", "loss = model(torch.randn(4, 3)).mean().detach()"]
LOOP = [
    "model, data = nn.Linear(3, 1), [(torch.randn(4, 3), torch.randn(4, 1))]\n",
    "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n",
    "for x, y in data:\n",
    "    loss = nn.functional.mse_loss(model(x), y)\n",
    "    optimizer.zero_grad\n",
    "    loss.backward()\n",
    "    optimizer.step()",
]
"""With a mistake that has a safe fix."""


def notebook(*sources: list[str]) -> str:
    prose = {"cell_type": "markdown", "metadata": {}, "source": ["# T\u00eftle"]}
    output = {"name": "stdout", "output_type": "stream", "text": ["1\u001b[0m\n"]}
    cells = [
        {"cell_type": "code", "execution_count": 1, "metadata": {"x": 1}, "outputs": [output], "source": source}
        for source in sources
    ]
    content = {"cells": [prose, *cells], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}
    return json.dumps({**content, "nbformat_minor": 4}, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path, *sources: list[str]) -> Path:
    path = folder / "train.ipynb"
    path.write_bytes(notebook(*sources).encode())
    return path


def test_a_place_is_a_cell_and_a_line(tmp_path: Path):
    write(tmp_path, IMPORTS, LOST, ["loss.backward()"])
    run = gradls("check", "train.ipynb", cwd=tmp_path)
    assert run.returncode == 1
    assert run.stdout.startswith("train.ipynb:cell 3:3:8: error GRD101")
    assert "3 | loss = model(torch.randn(4, 3)).mean().detach()" in run.stdout
    assert "(train.ipynb:cell 4)\n  1 | loss.backward()" in run.stdout
    run = gradls("check", "train.ipynb", "--format", "concise", cwd=tmp_path)
    assert run.stdout.startswith("train.ipynb:cell 3:3:8: error: GRD101")


def test_the_json_output(tmp_path: Path):
    path = write(tmp_path, IMPORTS, LOST, ["loss.backward()"])
    (found,) = as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))["findings"]
    assert (found["cell"], found["line"], found["end_line"]) == (3, 3, 3)
    assert "mean().detach()" in path.read_text(encoding="utf-8").split("\n")[found["file_line"] - 1]
    assert [(step["cell"], step["line"]) for step in found["related"]] == [(3, 3), (4, 1)]
    (edit,) = found["fixes"][0]["edits"]
    assert (edit["cell"], edit["line"], edit["text"]) == (3, 3, "")


def test_the_sarif_output_counts_in_the_file(tmp_path: Path):
    path = write(tmp_path, IMPORTS, LOST, ["loss.backward()"])
    log = json.loads(gradls("check", ".", "--format", "sarif", cwd=tmp_path).stdout)
    (result,) = log["runs"][0]["results"]
    (location,) = result["locations"]
    line = location["physicalLocation"]["region"]["startLine"]
    assert "mean().detach()" in path.read_text(encoding="utf-8").split("\n")[line - 1]
    assert location["logicalLocations"] == [{"name": "cell 3, line 3"}]
    text = path.read_text(encoding="utf-8")
    (fix,) = result["fixes"]
    (replacement,) = fix["artifactChanges"][0]["replacements"]
    region, lines = replacement["deletedRegion"], text.splitlines(keepends=True)
    start = sum(map(len, lines[: region["startLine"] - 1])) + region["startColumn"] - 1
    end = sum(map(len, lines[: region["endLine"] - 1])) + region["endColumn"] - 1
    mended = text[:start] + replacement["insertedContent"]["text"] + text[end:]
    assert mended == text.replace(".mean().detach()", ".mean()")


def test_fixes_are_written_back(tmp_path: Path):
    path = write(tmp_path, IMPORTS, LOOP)
    before = path.read_bytes()
    diff = gradls("check", "train.ipynb", "--diff", cwd=tmp_path).stdout
    assert '-    "    optimizer.zero_grad\\n",\n+    "    optimizer.zero_grad()\\n",\n' in diff
    assert path.read_bytes() == before
    run = gradls("check", "train.ipynb", "--fix", cwd=tmp_path)
    assert run.returncode == 0, run.stdout
    assert path.read_bytes() == before.replace(b"optimizer.zero_grad\\n", b"optimizer.zero_grad()\\n")


def test_a_notebook_on_stdin(tmp_path: Path):
    content = notebook(IMPORTS, LOOP).encode()
    run = gradls("check", "-", "--stdin-filename", "a.ipynb", "--fix", cwd=tmp_path, stdin=content)
    assert run.stdout.encode() == content.replace(b"optimizer.zero_grad\\n", b"optimizer.zero_grad()\\n")


def test_a_syntax_error_has_its_cell(tmp_path: Path):
    write(tmp_path, IMPORTS, ["x = 1\n", "y = = 2"], LOST, ["loss.backward()"])
    run = as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))
    (error,) = run["errors"]
    assert (error["cell"], error["line"]) == (3, 2)
    assert [found["cell"] for found in run["findings"]] == [4]


def test_what_is_no_notebook(tmp_path: Path):
    (tmp_path / "a.ipynb").write_text("import torch\n", encoding="utf-8")
    run = gradls("check", "a.ipynb", cwd=tmp_path)
    assert run.returncode == 2
    assert "a.ipynb:1: could not be read: not a notebook" in run.stderr


def test_comments_and_configuration_silence(tmp_path: Path):
    write(tmp_path, IMPORTS, [*LOST[:2], LOST[2] + "  # gradls: ignore[detached-loss]"], ["loss.backward()"])
    assert gradls("check", ".", cwd=tmp_path).returncode == 0
    write(tmp_path, IMPORTS, LOST, ["loss.backward()"])
    (tmp_path / "gradls.toml").write_text('[per-file-ignores]\n"*.ipynb" = ["GRD101"]\n', encoding="utf-8")
    assert gradls("check", ".", cwd=tmp_path).returncode == 0


def test_a_module_beside_the_notebook(tmp_path: Path):
    (tmp_path / "train.py").write_text("def mean(x):\n    return x.mean().detach()\n", encoding="utf-8")
    cell = ["from train import mean\n", "model = nn.Linear(3, 1)\n", "mean(model(torch.ones(3))).backward()"]
    write(tmp_path, IMPORTS, cell)
    run = gradls("check", "train.ipynb", cwd=tmp_path)
    assert "train.ipynb:cell 3:3:1: information GRD101" in run.stdout


def test_percent_scripts_are_modules(tmp_path: Path):
    text = "# %% [markdown]\n# Title\n# %%\n" + "".join(IMPORTS[2:]) + "\n# %%\n" + "".join(LOST[1:])
    (tmp_path / "a.py").write_text(f"{text}\n# %%\nloss.backward()\n", encoding="utf-8")
    run = gradls("check", "a.py", cwd=tmp_path)
    assert run.stdout.startswith("a.py:8:8: error GRD101")


def test_inspect(tmp_path: Path):
    write(tmp_path, IMPORTS, LOST)
    (of,) = as_json(gradls("inspect", "train.ipynb", "--format", "json", cwd=tmp_path))["files"]
    assert {(tensor["cell"], tensor["line"]) for tensor in of["tensors"]} == {(3, 3)}


def test_the_last_value_of_a_cell_is_shown(tmp_path: Path):
    write(tmp_path, IMPORTS, ["x = torch.ones(3)\n", "x.relu()"], ["x.relu()\n", "x.exp()"], ["x.sigmoid()"])
    found = as_json(gradls("check", ".", "--format", "json", cwd=tmp_path))["findings"]
    assert [(each["code"], each["cell"], each["line"]) for each in found] == [("GRD616", 4, 1)]


def test_a_cell_that_is_run_again_needs_its_graph(tmp_path: Path):
    cell = ["y.backward(torch.ones(3), retain_graph=True)"]
    forward = ["x = torch.ones(3, requires_grad=True)\n", "y = x * x"]
    write(tmp_path, IMPORTS, forward, cell)
    assert "GRD711" not in gradls("check", ".", cwd=tmp_path).stdout
    (tmp_path / "a.py").write_text("".join([*IMPORTS[2:], "\n", *forward, "\n", *cell, "\n"]), encoding="utf-8")
    assert "GRD711" in gradls("check", "a.py", cwd=tmp_path).stdout


def test_a_picture_of_a_cell(tmp_path: Path):
    write(tmp_path, IMPORTS, LOST, ["loss.backward()"])
    picture = as_json(gradls("graph", "train.ipynb:4:1", "--format", "json", cwd=tmp_path))["picture"]
    assert (picture["cell"], picture["line"]) == (4, 1)
    assert "(cell 3 line 3)" in picture["summary"][-1]
    cut = next(box for box in picture["boxes"] if box["kind"] == "cut")
    assert cut["note"].endswith("cell 3 line 3")
    assert (cut["spots"][0]["cell"], cut["spots"][0]["line"]) == (3, 3)
    page = gradls("graph", "train.ipynb:cell 4:1", "--format", "html", cwd=tmp_path).stdout
    assert "train.ipynb, cell 4, line 1" in page
    assert "train.ipynb:3:3" in page
    for place, said in {
        "4:7": "there is no line 7 in cell 4, which has 1",
        "1:1": "cell 1 is none; the cells with code are 2, 3, 4",
        "2:1": "no backward() on cell 2 line 1, and no function around it; backward() is called on cell 4 line 1",
    }.items():
        run = gradls("graph", f"train.ipynb:{place}", cwd=tmp_path)
        assert run.returncode == 1
        assert said in run.stderr
    assert "FILE:CELL:LINE" in gradls("graph", "train.ipynb:4", cwd=tmp_path).stderr
