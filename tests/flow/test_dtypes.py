"""What programs ask about dtypes, and which branch is taken then."""

from __future__ import annotations

import pytest

from tests.rules.reported import IMPORTS, check_right, reported

CODES = """
torch.manual_seed(0)
embedding, convolution = nn.Embedding(9, 4), nn.Conv1d(5, 4, 1)


def embedded(x):
    if {is_float}:
        return convolution(x)
    return embedding(x)


embedded(torch.randint(0, 9, (2, 5))).sum().backward()
embedded(torch.randn(2, 5, 3)).sum().backward()
"""
RIGHT = [
    "x.dtype == torch.float",
    "x.dtype is torch.float32",
    "x.dtype != torch.long",
    "x.dtype not in (torch.int64, torch.int32)",
    "x.dtype in (torch.float16, torch.float32)",
    "x.dtype.is_floating_point",
]


@pytest.mark.parametrize("is_float", RIGHT)
def test_one_branch_for_each_dtype(is_float: str) -> None:
    program = IMPORTS + CODES.format(is_float=is_float)
    check_right(program)
    assert reported("GRD518", CODES.format(is_float=is_float)) == []


@pytest.mark.parametrize("is_float", ["x.dtype != torch.float", "x.dtype in (torch.long,)", "x.dtype == torch.int64"])
def test_the_wrong_branch(is_float: str) -> None:
    assert ("error", "convolution(x)") in reported("GRD518", CODES.format(is_float=is_float))
