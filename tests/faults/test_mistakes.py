"""A mistake of gradls costs one rule, one function or one statement, and is told once, in a line to report."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gradls import __version__
from tests.faults.costly import FINDING
from tests.lsp.raw import started

TEXT = """\
import torch
from torch import nn


def before(net, x):
    loss = net(x).sum().detach()
    loss.backward()


{planted}


def behind(net, x):
    loss = net(x).sum().detach()
    loss.backward()
"""
FUNCTION = """\
def between(net, x):
    assert net, "my own words"
    loss = net(x).sum().detach()
    loss.backward()
"""
STATEMENT = 'assert nn, "my own words"'
CLASS = """\
class Between(nn.Module):
    def forward(self, x):
        assert x, "my own words"
        return x
"""
BEFORE, BEHIND = 7, 18

ERRORS = {
    "an exception": "raise KeyError('my own words')",
    "a deep recursion": "fail(*arguments)",
    "no memory": "raise MemoryError",
    "an assertion": "assert False, 'my own words'",
    "an end": "raise SystemExit(3)",
}
ENGINE = """
import ast
from gradls.flow.statements import EXEC
def fail(*arguments): {act}
EXEC[ast.Assert] = fail
"""
RULE = """
from gradls.rules.registry import all_rules
from gradls.rules.grd102_tensor_of_tensors import TensorOfTensors
def fail(*arguments): {act}
def check(self, facts):
    yield from ()
    fail(self, facts)
TensorOfTensors.check = check
"""
TEMPLATES = """
from gradls.flow import hierarchy
def fail(*arguments): {act}
hierarchy.templates = fail
"""
COMPARISON = """
from gradls.flow import analyze
def fail(*arguments): {act}
analyze.differences = fail
"""
PROOFS = """
from gradls.flow import roots
def fail(*arguments): {act}
roots.prove = fail
"""


def program(planted: str, then: str) -> list[str]:
    return [sys.executable, "-c", f"{textwrap.dedent(planted)}\n{then}"]


def check(planted: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`gradls check` on a text, with a fault."""
    (folder / "train.py").write_text(text)
    arguments = ["check", "--format", "json", "--no-cache", "--no-resolve", "train.py"]
    run = f"import sys; from gradls.cli.main import main; sys.exit(main({arguments}))"
    return subprocess.run(program(planted, run), cwd=folder, capture_output=True, text=True, check=False)


def lines_of(run: subprocess.CompletedProcess[str]) -> list[int]:
    found = json.loads(run.stdout)["findings"]
    return sorted(finding["line"] for finding in found if finding["code"] == FINDING)


@pytest.mark.parametrize(
    ("how", "planted"),
    [
        ("an exception", FUNCTION),
        ("an exception", STATEMENT),
        ("an exception", CLASS),
        ("a deep recursion", FUNCTION),
        ("no memory", STATEMENT),
    ],
)
def test_the_engine_fails(how: str, planted: str, tmp_path: Path) -> None:
    run = check(ENGINE.format(act=ERRORS[how]), TEXT.format(planted=planted), tmp_path)
    found = lines_of(run)
    assert found[0] == BEFORE - 1
    assert found[-1] == len(TEXT.format(planted=planted).splitlines()) - 1
    assert len(found) == 2
    if how == "a deep recursion":
        return  # code that is nested too deeply is no mistake of gradls
    (error,) = json.loads(run.stdout)["errors"]
    assert f"gradls {__version__}, Python 3." in error["message"]
    assert "please report this" in error["message"]
    assert " at <string>:" in error["message"]
    assert "< flow/statements.py:" in error["message"]
    assert "train.py" in error["message"]
    assert "my own words" not in run.stdout + run.stderr
    assert run.returncode == 2


@pytest.mark.parametrize("how", ["a deep recursion", "no memory", "an end"])
def test_a_rule_fails(how: str, tmp_path: Path) -> None:
    run = check(RULE.format(act=ERRORS[how]), TEXT.format(planted=""), tmp_path)
    assert len(lines_of(run)) == 2
    (error,) = json.loads(run.stdout)["errors"]
    assert "rule tensor-of-tensors failed on train.py; please report this: gradls" in error["message"]
    assert "my own words" not in error["message"]
    assert run.returncode == 2


@pytest.mark.parametrize("planted", [TEMPLATES, PROOFS], ids=["templates", "proofs"])
def test_what_is_around_a_function_fails(planted: str, tmp_path: Path) -> None:
    run = check(planted.format(act=ERRORS["an exception"]), TEXT.format(planted=CLASS), tmp_path)
    assert len(lines_of(run)) == 2
    assert "please report this" in json.loads(run.stdout)["errors"][0]["message"]


@pytest.mark.parametrize("how", ["an assertion", "an end"])
def test_the_server_goes_on_and_tells_it_once(how: str) -> None:
    act = ERRORS[how]
    serve = "import sys; from gradls.server.main import serve; sys.exit(serve())"
    planted = ENGINE.format(act=act.replace("SystemExit", "ValueError")) + RULE.format(act=act)
    planted += COMPARISON.format(act=act.replace("SystemExit", "ValueError"))
    uri, text = "file:///t/train.py", TEXT.format(planted=FUNCTION)
    with started(program(planted, serve), stderr=subprocess.PIPE) as (raw, process):
        raw.begin()
        raw.open(uri, text)
        assert len(raw.published(1)["diagnostics"]) == 2
        for version in range(2, 6):
            change = {"text": text.replace("between", f"between{version}").replace("import nn", f"import nn{version}")}
            document = {"uri": uri, "version": version}
            raw.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
            assert len(raw.published(version)["diagnostics"]) == 2
        told = [m["params"]["message"] for m in raw.seen if m.get("method") == "window/logMessage"]
        mistakes = [line for line in told if "please report" in line]
        assert sum("rule tensor-of-tensors failed" in line for line in mistakes) == 1
        assert sum("the comparison failed" in line for line in mistakes) == 1
        assert sum("the analysis failed" in line for line in mistakes) == 1
        assert not any("my own words" in line for line in told)
        assert raw.request(1, "shutdown")["result"] is None
        raw.notify("exit", None)
        assert process.wait(120) == 0
        assert process.stderr is not None
        assert process.stderr.read().count(b"rule tensor-of-tensors failed") == 1
