"""What `target-torch` changes: each program behaves otherwise on an older PyTorch, where it was run to see that."""

from __future__ import annotations

import pytest

from gradls.autograd import versions
from gradls.autograd.versions import Change, Version
from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source

CHANGES = {name: value for name, value in vars(versions).items() if isinstance(value, Change)}

# The change, the rule, whether the older versions are those that the rule reports, and the program.
CASES: list[tuple[str, str, bool, str]] = [
    (
        "ZERO_GRAD_TO_NONE",
        "GRD311",
        False,
        """
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 2, 3):
    model(x).mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    print(model.weight.grad.norm())
""",
    ),
    (
        "COMPLEX_LOSS_RAISES",
        "GRD302",
        False,
        """
w = torch.randn(2, dtype=torch.complex64, requires_grad=True)
w.sum().backward()
""",
    ),
    (
        "FUSED_LSTM",
        "GRD201",
        False,
        """
out, _ = torch.nn.LSTM(3, 4)(torch.randn(5, 2, 3))
out += 1
out.sum().backward()
""",
    ),
    (
        "CHECKPOINT_WARNS",
        "GRD807",
        False,
        """
from torch.utils.checkpoint import checkpoint
checkpoint(torch.tanh, torch.ones(3, requires_grad=True)).sum().backward()
""",
    ),
    (
        "BARE_MODE_DECORATES",
        "GRD703",
        True,
        """
class Model(torch.nn.Linear):
    @torch.no_grad
    def predict(self, x):
        return self(x)
Model(3, 1).predict(torch.ones(2, 3))
""",
    ),
    ("BARE_MODE_DECORATES", "GRD703", True, "evaluate = torch.enable_grad(lambda x: x * 2)\nevaluate(torch.ones(3))\n"),
    (
        "NAMED_PARAMETERS",
        "GRD505",
        True,
        """
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam([{"params": list(model.named_parameters()), "lr": 0.1}])
""",
    ),
    ("DEVICE_AMP_DEPRECATED", "GRD901", False, "scaler = torch.cuda.amp.GradScaler(enabled=False)\n"),
    ("WEIGHT_NORM_DEPRECATED", "GRD901", False, "layer = torch.nn.utils.weight_norm(torch.nn.Linear(3, 1))\n"),
    (
        "MSE_PROMOTES",
        "GRD405",
        True,
        """
model = torch.nn.Linear(3, 1)
torch.nn.MSELoss()(model(torch.randn(2, 3)), torch.tensor([[1], [2]])).backward()
""",
    ),
]


def _codes(program: str, target: Version) -> set[str]:
    return {finding.code for finding in findings(analyze(Source.read(f"import torch\n{program}"), target=target))}


@pytest.mark.parametrize(("change", "code", "before", "program"), CASES)
def test_a_change_is_told_on_one_side_of_its_version(change: str, code: str, before: bool, program: str) -> None:
    since = CHANGES[change].version
    older = (since[0], since[1] - 1) if since[1] else versions.OLDEST
    assert (code in _codes(program, older)) is before
    assert (code in _codes(program, since)) is not before
    assert (code in _codes(program, versions.NEWEST)) is not before


def test_every_change_is_tried_and_says_where_it_is_from() -> None:
    assert set(CHANGES) == {change for change, _, _, _ in CASES}
    for change in CHANGES.values():
        assert versions.OLDEST < change.version <= versions.NEWEST
        assert change.source.startswith("https://github.com/pytorch/pytorch/pull/")


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("from torch.func import grad\ngrad(lambda x: x.sum())(torch.ones(3))", (2, 0)),
        ("from torch import vmap\nvmap(lambda x: x * 2)(torch.ones(3))", (2, 0)),
        ("scaler = torch.amp.GradScaler('cpu')", (2, 3)),
        ("w = torch.ones(3, requires_grad=True)\nw.register_post_accumulate_grad_hook(print)", (2, 1)),
        ("torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(3, 1))", (2, 1)),
    ],
)
def test_newer_than_the_target(program: str, version: Version) -> None:
    assert "GRD903" in _codes(program, (1, 13))
    assert "GRD903" not in _codes(program, version)
    assert "GRD903" not in _codes(program, versions.NEWEST)


def test_a_target_makes_no_error_of_what_is_newer() -> None:
    """The code may look first what there is."""
    program = """
import torch
try:
    from torch.func import vmap
except ImportError:
    from functorch import vmap
vmap(torch.sin)
"""
    found = findings(analyze(Source.read(program), target=(1, 13)))
    assert not [finding for finding in found if finding.severity in (Severity.ERROR, Severity.WARNING)]
