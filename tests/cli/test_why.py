"""`gradls why`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import LOST, as_json, gradls
from tests.cli.test_notebooks import IMPORTS, notebook

NO_GRAPH = "element 0 of tensors does not require grad and does not have a grad_fn"
ELSEWHERE = "/home/ann/work/net/train.py"
LIBRARY = "/opt/venv/lib/python3.12/site-packages/torch/_tensor.py"


def traceback_of(path: str = "train.py", line: int = 6, message: str = NO_GRAPH) -> str:
    return f"""\
Traceback (most recent call last):
  File "{path}", line {line}, in <module>
    loss.backward()
  File "{LIBRARY}", line 623, in backward
    torch.autograd.backward(
RuntimeError: {message}
"""


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(LOST)
    return tmp_path


def test_a_piped_traceback(lost: Path):
    run = gradls("why", cwd=lost, stdin=traceback_of().encode())
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"RuntimeError: {NO_GRAPH}\n  train.py:6, in <module>  loss.backward()\n")
    assert "Cause\n  train.py:5:8: error GRD101 detached-loss" in run.stdout
    assert "    -loss = model(torch.randn(4, 3)).mean().detach()\n" in run.stdout
    assert "    +loss = model(torch.randn(4, 3)).mean()\n" in run.stdout


def test_the_diff_is_one_that_can_be_applied(lost: Path):
    cause = as_json(gradls("why", "--format", "json", cwd=lost, stdin=traceback_of().encode()))["causes"][0]
    before = (lost / "train.py").read_text()
    subprocess.run(["git", "apply", "-p0", "-"], cwd=lost, input=cause["fixes"][0]["diff"], text=True, check=True)
    assert (lost / "train.py").read_text() == before.replace(".detach()", "")


def test_ways_to_give_it(lost: Path):
    (lost / "train.log").write_text(f"epoch 1\n{traceback_of()}done\n")
    (lost / "utf16.log").write_text(traceback_of(), encoding="utf-16")
    expected = gradls("why", cwd=lost, stdin=traceback_of().encode()).stdout
    assert gradls("why", "train.log", cwd=lost).stdout == expected
    assert gradls("why", "utf16.log", cwd=lost).stdout == expected
    assert gradls("why", traceback_of(), cwd=lost).stdout == expected
    assert gradls("why", "-", cwd=lost, stdin=traceback_of().encode()).stdout == expected


def test_only_the_message(tmp_path: Path):
    run = gradls(
        "why", "RuntimeError:", "element", "0", "of", "variables", "does", "not", "require", "grad", cwd=tmp_path
    )
    assert run.returncode == 1
    assert "no graph to go back through" in run.stdout
    assert "message without a traceback" in run.stdout
    assert "GRD101 detached-loss" in run.stdout
    assert "until about 0.4: 'element … of variables does not require grad'" in run.stdout


def test_a_message_that_is_not_known(tmp_path: Path):
    run = gradls("why", "KeyError: 'lr'", cwd=tmp_path)
    assert run.returncode == 1
    assert "does not know this message" in run.stdout
    found = as_json(gradls("why", "KeyError: 'lr'", "--format", "json", cwd=tmp_path))
    assert (found["meaning"], found["causes"], found["considered"]) == (None, [], [])


def test_a_program_that_is_not_to_blame(tmp_path: Path):
    (tmp_path / "train.py").write_text("import torch\n\n\n\n\nloss.backward()\n")
    run = gradls("why", cwd=tmp_path, stdin=traceback_of().encode())
    assert run.returncode == 1
    assert "finds nothing that explains it. It was raised at train.py:6" in run.stdout
    assert "Rules considered" in run.stdout


def test_files_of_another_machine(lost: Path):
    (lost / "net").mkdir()
    (lost / "net" / "train.py").write_text(LOST)
    (lost / "train.py").write_text(LOST.replace("backward", "backwards"))
    run = gradls("why", cwd=lost, stdin=traceback_of(ELSEWHERE).encode())
    assert run.returncode == 0
    assert "net/train.py:6" in run.stdout.replace("\\", "/")
    run = gradls("why", "--in", "net", cwd=lost, stdin=traceback_of("C:\\ann\\train.py").encode())
    assert run.returncode == 0


def test_files_of_one_name_are_told_apart_by_the_line(lost: Path):
    for name in ("a", "b"):
        (lost / name).mkdir()
        (lost / name / "step.py").write_text(LOST if name == "b" else "print('hello')\n" * 9)
    run = gradls("why", cwd=lost, stdin=traceback_of("/elsewhere/step.py").encode())
    assert run.stdout.replace("\\", "/").splitlines()[1].startswith("  b/step.py:6")


def test_a_file_that_is_nowhere(tmp_path: Path):
    run = gradls("why", cwd=tmp_path, stdin=traceback_of(ELSEWHERE).encode())
    assert run.returncode == 1
    assert f"{ELSEWHERE}:6, in <module> (not found here)" in run.stdout
    assert "None of the files in the traceback is here" in run.stdout


def test_a_file_that_was_edited_since(lost: Path):
    (lost / "train.py").write_text(f'"""Train."""\n\n{LOST}')
    run = gradls("why", cwd=lost, stdin=traceback_of().encode())
    assert run.returncode == 0
    assert "train.py:8, in <module> (line 6 then)" in run.stdout
    assert "train.py:7:8: error GRD101" in run.stdout
    (lost / "train.py").write_text(LOST.replace("loss.backward", "result.backward"))
    assert "this line has changed since" in gradls("why", cwd=lost, stdin=traceback_of().encode()).stdout


def test_what_the_configuration_silences_is_a_cause(lost: Path):
    (lost / "gradls.toml").write_text('ignore = ["ALL"]\n')
    (lost / "train.py").write_text(LOST.replace(".detach()", ".detach()  # gradls: ignore"))
    assert "error GRD101" in gradls("why", cwd=lost, stdin=traceback_of().encode()).stdout


def test_the_exception_of_a_chain_that_pytorch_raised(lost: Path):
    text = (
        f"{traceback_of()}\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "train.py", line 6, in <module>\n    loss.backward()\n'
        "SystemExit: training failed\n"
    )
    assert "error GRD101" in gradls("why", cwd=lost, stdin=text.encode()).stdout


def test_calls_through_several_files(tmp_path: Path):
    (tmp_path / "net.py").write_text("def loss_of(model, x):\n    return model(x).mean().detach()\n")
    program = "import torch\nfrom net import loss_of\n\nmodel = torch.nn.Linear(3, 1)\n\n\ndef step(x):\n"
    program += "    loss_of(model, x).backward()\n\n\nstep(torch.randn(4, 3))\n"
    (tmp_path / "train.py").write_text(program)
    text = traceback_of().replace("line 6, in <module>\n    loss.backward()", "line 11, in <module>\n    step()")
    text = text.replace("step()\n", 'step()\n  File "train.py", line 8, in step\n    loss_of(model, x).backward()\n')
    cause = as_json(gradls("why", "--format", "json", cwd=tmp_path, stdin=text.encode()))["causes"][0]
    assert (cause["path"], cause["line"], cause["code"]) == ("net.py", 2, "GRD101")


def test_the_failed_cell_of_a_notebook(tmp_path: Path):
    cells = json.loads(notebook(IMPORTS, LOST.splitlines(keepends=True)[3:5], ["print(1)\n", "loss.backward()"]))
    traceback = ["RuntimeError                 Traceback (most recent call last)", "Cell In[3], line 2"]
    traceback += ["      1 print(1)\n----> 2 loss.backward()", f"RuntimeError: {NO_GRAPH}"]
    error = {"output_type": "error", "ename": "RuntimeError", "evalue": NO_GRAPH, "traceback": traceback}
    cells["cells"][3]["outputs"] = [error]
    (tmp_path / "train.ipynb").write_text(json.dumps(cells))
    run = gradls("why", "train.ipynb", cwd=tmp_path)
    assert run.returncode == 0
    assert "train.ipynb:cell 4:2  loss.backward()" in run.stdout
    assert "train.ipynb:cell 3:2:8: error GRD101" in run.stdout
    run = gradls("why", cwd=tmp_path, stdin="\n".join(traceback).encode())
    assert "train.ipynb:cell 3:2:8: error GRD101" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.log"], "missing.log could not be read"),
        (["train.py"], "`gradls check train.py`"),
        ([], "there is no error"),
        (["--in", "nowhere", NO_GRAPH], "nowhere is no folder"),
        (["empty.ipynb"], "empty.ipynb has no cell that failed"),
    ],
)
def test_what_cannot_be_explained(lost: Path, arguments: list[str], said: str):
    (lost / "empty.ipynb").write_text(notebook(["x = 1"]))
    run = gradls("why", *arguments, cwd=lost)
    assert (run.returncode, run.stdout) == (2, "")
    assert said in run.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x = (", b"\x80abc", b""])
def test_a_file_that_is_no_program(lost: Path, content: bytes):
    (lost / "train.py").write_bytes(content)
    run = gradls("why", cwd=lost, stdin=traceback_of().encode())
    assert run.returncode == 1
    assert "no graph to go back through" in run.stdout


def test_nothing_is_run(lost: Path):
    (lost / "train.py").write_text(f"open('ran', 'w')\n{LOST}")
    (lost / "sitecustomize.py").write_text("open('ran', 'w')\n")
    assert gradls("why", cwd=lost, stdin=traceback_of().encode()).returncode == 0
    assert not (lost / "ran").exists()
