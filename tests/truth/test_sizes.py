"""Sizes that gradls works out for results are those that PyTorch gives, wherever it says a number."""

from __future__ import annotations

import ast

import pytest
import torch
import torch.nn.functional as F

from gradls.flow.analyze import analyze
from gradls.syntax.source import Source

HEAD = "import torch\nimport torch.nn.functional as F\nx = torch.randn(2, 3, 8, 10)\n"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("F.interpolate(x, size=(4, 6))", (2, 3, 4, 6)),
        ("F.interpolate(x, size=x.shape[2:])", (2, 3, 8, 10)),
        ("F.interpolate(x, 5)", (2, 3, 5, 5)),
        ("F.interpolate(x, scale_factor=2)", (2, 3, 16, 20)),
        ("F.interpolate(x, scale_factor=(2, 3))", (2, 3, 16, 30)),
        ("F.interpolate(x, scale_factor=0.5)", (2, 3, None, None)),
        ("F.interpolate(x[0], 5)", (3, 8, 5)),
        ("F.max_pool2d(x, 2)", (2, 3, None, None)),
        ("F.avg_pool2d(x, 3, stride=1, padding=1)", (2, 3, None, None)),
        ("F.lp_pool2d(x, 2.0, 2)", (2, 3, None, None)),
        ("F.adaptive_avg_pool2d(x, 1)", (2, 3, 1, 1)),
        ("F.adaptive_avg_pool2d(x, (2, 3))", (2, 3, 2, 3)),
        ("F.adaptive_max_pool2d(x, (None, 2))", (2, 3, None, 2)),
        ("F.max_pool1d(x[0], 2)", (3, 8, None)),
        ("F.adaptive_avg_pool1d(x[0], 4)", (3, 8, 4)),
        ("F.avg_pool2d(x[0], 2)", (3, None, None)),
    ],
)
def test_sizes(expression: str, said: tuple[int | None, ...]) -> None:
    true = eval(expression, {"F": F, "x": torch.randn(2, 3, 8, 10)}).shape
    found = [
        value.shape
        for node, records in analyze(Source.read(HEAD + expression)).calls.items()
        for _, _, value in records
        if ast.unparse(node) == expression
    ]
    assert found == [said]
    assert len(true) == len(said)
    assert all(size in (None, wanted) for size, wanted in zip(said, true, strict=True))
