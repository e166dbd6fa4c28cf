"""Code that does not parse, as in exercises: what follows from it is not known, and the rest is."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines

IMPORTS = "import torch\nfrom torch import nn\n"
LOST = "model = nn.Linear(2, 1)\nloss = model(torch.ones(1, 2)).sum().detach()\n"


def found(text: str) -> list[str]:
    source = Source.read(IMPORTS + textwrap.dedent(text))
    assert source.problems
    return [
        f"{item.span.line}: {item.name}"
        for item in findings(analyze(source))
        if item.severity in (Severity.ERROR, Severity.WARNING)
    ]


SILENT = {
    "a name gets something": LOST + "loss = <YOUR CODE>\nloss.backward()\n",
    "a name gets something, with a comment": LOST + "loss =  # TODO: compute it\nloss.backward()\n",
    "several names": LOST + "loss, more = ?, ?\nloss.backward()\n",
    "anything at all": LOST + "<YOUR CODE: compute the loss>\nloss.backward()\n",
    "in words": LOST + "YOUR CODE HERE\nloss.backward()\n",
    "in a block": LOST + "for _ in range(2):\n    loss = <YOUR CODE>\n    loss.backward()\n",
    "a method on what is known": """
        model = nn.Sequential()
        model.add_module("first", <YOUR CODE>)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    """,
    "a function without a body": """
        def criterion(x):
            # TODO

        criterion(torch.ones(2)).backward()
    """,
    "a method without a body": """
        class Net(nn.Module):
            def forward(self, x):
                # TODO

        Net()(torch.ones(2)).backward()
    """,
    "a function that may return": """
        def criterion(x):
            <YOUR CODE>

        criterion(torch.ones(2)).backward()
    """,
    "a function that returns something": """
        def criterion(x):
            return <YOUR CODE>

        criterion(torch.ones(2)).backward()
    """,
    "layers": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = <YOUR CODE>

            def forward(self, x):
                return self.first(x)

        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(2)).backward()
    """,
    "the call of the base class": """
        class Net(nn.Sequential):
            def __init__(self, size):
                super().__init__(
                    nn.Linear(...)
                    ...
                )

        Net(3)(torch.ones(3))
    """,
    "the names of what could be imported": "from somewhere import (model, loss\nloss.backward()\nmodel().backward()\n",
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT.keys())
def test_what_may_stand_there_is_not_known(text: str) -> None:
    assert found(text) == []


LOUD = {
    "another name": LOST + "other = <YOUR CODE>\nloss.backward()\n",
    "a function of its own": f"def solve(x):\n    <YOUR CODE>\n\n{LOST}loss.backward()\n",
    "a print of old": f"print 'hello'\n{LOST}print loss\nloss.backward()\n",
    "where two versions were to be merged": f"<<<<<<< a\nx = 1\n=======\nx = 2\n>>>>>>> b\n{LOST}loss.backward()\n",
}


@pytest.mark.parametrize("text", LOUD.values(), ids=LOUD.keys())
def test_the_rest_is_known(text: str) -> None:
    assert [line.split(": ")[1] for line in found(text)] == ["detached-loss"]


def test_while_somebody_types_the_rest_stays_known() -> None:
    text = IMPORTS + LOST + "loss.backward()\n"
    source = Source.read(text)
    source.edit(split_lines(text.replace("loss.backward()\n", "x = \nloss.backward()\n")))
    assert source.problems
    assert [item.name for item in findings(analyze(source))] == ["detached-loss"]


TRAINING = sorted((Path(__file__).parents[1] / "truth" / "training").glob("*.py"))
EACH = 9
"""Every so many statements of a program one is left out."""
FOLLOWED_TOO_FAR = {"maml", "sac"}
"""Here it is not yet seen that what a hole leaves is unknown."""


def _holes(text: str) -> Iterator[str]:
    """A right program, of which one statement has not been written yet."""
    lines = text.splitlines(keepends=True)
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Assign, ast.Expr, ast.Return))]
    for number, node in enumerate(statements):
        if number % EACH == 0 and node.end_lineno is not None:
            hole = list(lines)
            indent = lines[node.lineno - 1][: node.col_offset]
            given = ""
            if isinstance(node, ast.Assign):
                given = f"{ast.get_source_segment(text, node.targets[0])} = "
            elif isinstance(node, ast.Return):
                given = "return "
            hole[node.lineno - 1 : node.end_lineno] = [f"{indent}{given}<YOUR CODE>\n"]
            yield "".join(hole)


@pytest.mark.parametrize(
    "path", [path for path in TRAINING if path.stem not in FOLLOWED_TOO_FAR], ids=lambda path: path.stem
)
def test_a_right_program_with_a_hole_is_not_blamed(path: Path) -> None:
    for text in _holes(path.read_text(encoding="utf-8")):
        loud = (Severity.ERROR, Severity.WARNING)
        wrong = [item.message for item in findings(analyze(Source.read(text))) if item.severity in loud]
        assert not wrong, text


def test_a_pass_in_what_stands_in_for_broken_lines() -> None:
    """The lines between two changes that break each other are what they were; their `pass` is one."""
    whole = (
        "import torch\n\nimport os\nx = torch.ones(3, requires_grad=True)\ntry:\n    os.makedirs('x')\n"
        "except OSError:\n    pass\ny = x * 2\nif y.sum() > 0:\n    z = 1\nelse:\n    z = 2\nw = y + 1\n"
    )
    broken = whole.replace("import os\n", "").replace("else:", "import os\nelse:")
    source = Source.read(whole, "x.py")
    source.edit(split_lines(broken))
    assert source.problems
    facts = analyze(source)
    assert not facts.unfinished
    assert [state.requires_grad for state in facts.states] == [
        state.requires_grad for state in analyze(Source.read(whole, "x.py")).states
    ]
