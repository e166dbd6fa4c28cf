"""What makes a finding the same one."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, Place, Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.workspace.identity import MOST_CHARACTERS, Identity, fingerprint, identity, plain

PROGRAM = """\
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        def inner(y):
            for z in y:  # each
                print(z)
            return torch.sum(
                y, dim=0,
            )
        return inner(x)
"""


def of(program: str, kind: type[ast.AST], number: int = 0) -> Identity:
    source = Source.read(program)
    node = [node for node in ast.walk(source.tree) if isinstance(node, kind)][number]
    return identity(Finding("GRD101", "detached-loss", Severity.ERROR, Place(source, node), ""))


def test_the_functions_and_classes_around_it():
    assert of(PROGRAM, ast.For) == ("Net.forward.inner", "for z in y:")
    assert of(PROGRAM, ast.ClassDef) == ("", "class Net(torch.nn.Module):")
    assert of("if x: y = f(a)\n", ast.If) == ("", "if x:")
    assert of("f = lambda a: a\n", ast.Lambda) == ("", "lambda a:a")
    assert of(f"x = {'a + ' * 200}1\n", ast.Assign)[1] == f"x={'a+' * 200}"[:MOST_CHARACTERS]


@pytest.mark.parametrize(
    "same",
    [
        "torch.sum(y, dim=0)",
        "torch.sum( y,dim = 0 )",
        "torch.sum(\n    y,\n    dim=0,\n)",
        "torch.sum(  # all of it, 'really'\n    y, dim=0  # the first\n)",
        "torch . sum(y, \\\n dim=0)",
    ],
)
def test_what_formatters_change_does_not_matter(same: str):
    assert plain(same) == "torch.sum(y,dim=0)"


def test_what_matters():
    assert plain("not x") == "not x"
    assert plain("f('#')") == 'f("#")'
    assert plain("f('# a', b)  # c") == 'f("#a",b)'
    assert plain("x[(a, b,), ]") == "x[(a,b)]"
    assert plain("# gone\nx") == "x"
    assert plain("'''#\n") == '"""#', "it need not parse"


PARTS = ["x", "not ", "(", ")", ",", "'a b'", "#c\n", "\n", " ", "+", "é", "\\\n", "1"]


@settings(derandomize=True)
@given(st.lists(st.sampled_from(PARTS), max_size=30))
def test_plain_code_stays_plain(parts: list[str]):
    once = plain("".join(parts))
    assert "\n" not in once
    assert plain(once) == once or "#" in once


@settings(derandomize=True)
@given(st.integers(0, 5), st.booleans())
def test_findings_keep_their_identity_when_lines_move(above: int, comment: bool):
    program = "import torch\nw = torch.ones(3, requires_grad=True)\nw.sum().detach().backward()\n"
    moved = "\n" * above + program.replace("w.sum()", "w.sum(  # all\n)" if comment else "w.sum( )")
    assert [identity(each) for each in found(moved)] == [identity(each) for each in found(program)]


def found(program: str) -> list[Finding]:
    return findings(analyze(Source.read(program)))


def test_fingerprints_differ_in_all_that_counts():
    one = Identity("f", "x.detach()")
    given = [
        ("a.py", "GRD101", one, 0),
        ("b.py", "GRD101", one, 0),
        ("a.py", "GRD102", one, 0),
        ("a.py", "GRD101", one, 1),
    ]
    given += [("a.py", "GRD101", Identity("g", one.snippet), 0), ("a.py", "GRD101", Identity("f", "y.detach()"), 0)]
    prints = {fingerprint(*each) for each in given}
    assert len(prints) == len(given)
    assert fingerprint("a.py", "GRD101", one, 0) == "a62f11b7e844343964aa1b9ea2374cb3"
