"""Of many functions that only hand on what one function gives, a few are followed into that."""

from __future__ import annotations

import ast

import pytest

from gradls.flow.analyze import Analysis, analyze
from gradls.flow.variants import handed_on
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines

DEEP = "".join(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x) + f{n + 1}(x)\n\n\n" for n in range(6))
MAKE = f"""import torch


{DEEP}def f6(x):
    return x.detach()


def make(x, size=0, **options):
    return f0(x * size)


"""
SIZES = "".join(f"def size{n}(x):\n    options = dict(size={n})\n    return make(x, **options)\n\n\n" for n in range(6))
TEXT = MAKE + SIZES
TRAIN = """def train(x):
    w = torch.ones(3, requires_grad=True)
    y = make(w)
    y.sum().backward()
    return y
"""


def followed(analysis: Analysis) -> list[bool]:
    """Which of the functions were followed into what they call?"""
    chapters = analysis.facts.chapters
    sizes = [
        chapter for chapter in chapters if isinstance(chapter.node, ast.FunctionDef) and "size" in chapter.node.name
    ]
    return [chapter.steps > 1000 for chapter in sizes]


def test_a_few_stand_for_all_also_after_edits() -> None:
    source = Source.read(TEXT, "sizes.py")
    analysis = Analysis(source)
    assert followed(analysis) == [True, True, True, False, False, False]
    for old, new, expected in (
        ("    options = dict(size=0)\n", "", [True, True, True, False, False, False]),
        (
            "    return make(x, **options)\n\n\ndef size1",
            "    return x\n\n\ndef size1",
            [False, True, True, True, False, False],
        ),
        ("    options = dict(size=5)\n", "    options = dict(size=7)\n", [False, True, True, True, False, False]),
        ("    options = dict(size=4)\n", "    x.add_(1)\n", [False, True, True, True, True, False]),
        ("        return x.detach()", "    return x", [False, True, True, True, True, False]),
        ("    return f0(x * size)", "    return x * size", [False] * 6),
    ):
        text = source.text.replace(old, new, 1)
        edit = source.edit(split_lines(text))
        analysis.edited(edit.blocks, edit.reworded)
        assert followed(analysis) == expected == followed(Analysis(Source.read(text, "sizes.py"))), new


def test_what_is_cheap_is_always_followed() -> None:
    text = "def make(x):\n    return x.detach()\n\n\n" + SIZES.replace(", **options", "")
    chapters = analyze(Source.read(text, "sizes.py")).chapters
    assert all("make" in [node.name for node in chapter.executed] for chapter in chapters[1:])  # type: ignore[attr-defined]


def test_a_function_that_does_something_with_the_result_is_always_followed() -> None:
    text = TEXT + TRAIN
    assert [finding.code for finding in findings(analyze(Source.read(text, "sizes.py")))] == ["GRD101"]


@pytest.mark.parametrize(
    ("body", "call"),
    [
        ("return make(1)", "make(1)"),
        ("'''A small one.'''\n    options = dict(size=1)\n    return make(**options)", "make(**options)"),
        ("model = Net(1)\n    return model", "Net(1)"),
        ("model = Net(1)\n    model.eval()\n    return model", None),
        ("model = Net(1)\n    model.scale = 2\n    return model", None),
        ("return make(1) + 1", None),
        ("if pretrained:\n        return make(2)\n    return make(1)", None),
        ("return pretrained", None),
        ("return", None),
        ("pass", None),
    ],
)
def test_which_function_hands_on_what_it_is_given(body: str, call: str | None) -> None:
    node = ast.parse(f"def small(pretrained=False):\n    {body}\n").body[0]
    found = handed_on(node)
    assert (ast.unparse(found) if found else None) == call
