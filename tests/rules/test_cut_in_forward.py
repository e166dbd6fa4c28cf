"""Models in files that do not train them: what keeps a part from every gradient."""

from __future__ import annotations

import textwrap

import pytest
import torch

from tests.rules.reported import reported

MODEL = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last, self.weight = nn.Linear(3, 3), nn.Linear(3, 1), nn.Parameter(torch.ones(3))

    def forward(self, x):
        h = torch.relu(self.first(x))
{body}
"""

CUTS = [
    ("GRD101", "h.detach()", "h = h.detach()"),
    ("GRD101", "h.data", "h = h.data"),
    ("GRD104", "row.tolist()", "h = torch.stack([torch.tensor(row.tolist()) for row in h])"),
    ("GRD105", "h.detach().numpy()", "h = torch.from_numpy(h.detach().numpy())"),
    ("GRD106", "torch.no_grad()", "with torch.no_grad():\n    h = self.first(x)"),
    ("GRD107", "h > 0.5", "h = (h > 0.5).float()"),
    ("GRD107", "torch.argmax(h, dim=1)", "h = torch.argmax(h, dim=1).float().unsqueeze(1).expand(-1, 3)"),
]


def _trained(program: str) -> bool:
    """Does a sum of what forward returns give the first layer a gradient?"""
    scope = {"torch": torch, "nn": torch.nn}
    exec(compile(program, "model.py", "exec"), scope)
    torch.manual_seed(0)
    net = scope["Net"]()
    found = net(torch.randn(4, 3))
    sum(part.sum() for part in (found if isinstance(found, tuple) else (found,))).backward()
    assert net.last.weight.grad is not None
    return net.first.weight.grad is not None


def _program(*lines: str) -> str:
    return MODEL.format(body=textwrap.indent("\n".join(lines), " " * 8))


@pytest.mark.parametrize(("rule", "blamed", "cut"), CUTS)
def test_a_part_that_no_gradient_reaches(rule: str, blamed: str, cut: str) -> None:
    program = _program(cut, "return self.last(h)")
    assert not _trained(program)
    assert reported(rule, program) == [("information", blamed)]


@pytest.mark.parametrize(("rule", "blamed", "cut"), CUTS)
def test_nothing_that_is_returned_has_a_gradient(rule: str, blamed: str, cut: str) -> None:
    """Labels, and what is computed without gradients, may be all that a model is for."""
    program = _program(cut, "return torch.sigmoid(h)")
    scope = {"torch": torch, "nn": torch.nn}
    exec(compile(program, "model.py", "exec"), scope)
    assert not scope["Net"]()(torch.randn(4, 3)).requires_grad
    meant = rule in ("GRD106", "GRD107")
    assert reported(rule, program) == ([] if meant else [("information", blamed)])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("h = h.detach()\n        return torch.sigmoid(h)", "return torch.sigmoid(h.detach())"),
        ("self.first(x)", "self.first(x) if self.first.weight.requires_grad else x"),
        ("    def forward", "    @torch.jit.export\n    def forward"),
        ("super().__init__()", "super().__init__()\n        self.eval()"),
        ("self.first, self.last", "self.other = load(pretrained=True)\n        self.first, self.last"),
    ],
)
def test_a_model_that_is_not_trained(old: str, new: str) -> None:
    program = _program("h = h.detach()", "return torch.sigmoid(h)")
    assert old in program
    assert reported("GRD101", program.replace(old, new)) == []


@pytest.mark.parametrize(
    "rest", ["return self.last(h) + way", "return self.last(h), way", "self.way = way\nreturn self.last(h)"]
)
@pytest.mark.parametrize(("rule", "blamed", "cut"), CUTS)
def test_a_part_that_is_reached_otherwise(rule: str, blamed: str, cut: str, rest: str) -> None:
    program = _program("way = h.sum()", cut, rest)
    assert _trained(program) or "self.way" in rest
    assert reported(rule, program) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["return self.last(h)"],
        ["self.loss(h)", "return self.last(h.detach())"],
        ["return self.other(h), self.last(h.detach())"],
        ["h = h * self.weight.data", "return self.last(h) + self.weight.sum()"],
        ["return (h.detach() > 0).float()"],
    ],
)
def test_what_may_be_meant(lines: list[str]) -> None:
    assert reported("GRD101", _program(*lines)) == []


def test_another_method_reaches_it() -> None:
    program = _program("return self.last(h.detach())")
    other = "\n    def features(self, x):\n        return self.first(x)\n"
    assert len(reported("GRD101", program)) == 1
    assert reported("GRD101", program + other) == []


def test_frozen_by_its_class() -> None:
    program = _program("return self.last(h.detach())").replace(
        "nn.Linear(3, 3)", "nn.Linear(3, 3).requires_grad_(False)"
    )
    assert reported("GRD101", program) == []


CHOSEN = [
    "context = torch.no_grad if freeze else nullcontext\nwith context():\n    h = self.first(x)",
    "with torch.no_grad() if freeze else nullcontext():\n    h = self.first(x)",
    "with torch.set_grad_enabled(not freeze):\n    h = self.first(x)",
    "if freeze:\n    with torch.no_grad():\n        h = self.first(x)\nelse:\n    h = self.first(x)",
    "if freeze:\n    h = h.detach()",
    "h = h.detach() if freeze else h",
]


def _told(program: str) -> list[tuple[str, str]]:
    return [found for rule in ("GRD101", "GRD106") for found in reported(rule, program)]


@pytest.mark.parametrize("cut", CHOSEN)
def test_a_cut_that_the_caller_asks_for(cut: str) -> None:
    program = _program(cut, "return self.last(h)").replace("(self, x)", "(self, x, freeze=False)")
    program = f"from contextlib import nullcontext\n{program}\nNet()(torch.randn(4, 3), freeze=True).sum().backward()\n"
    scope = {"torch": torch, "nn": torch.nn}
    exec(compile(program, "model.py", "exec"), scope)
    assert _told(program) == []


@pytest.mark.parametrize(
    "cut",
    [
        "if freeze:\n    with torch.no_grad():\n        h = self.first(x)",
        "if freeze:\n    h = h.detach() * 2\n    self.seen = 1",
        "context = torch.no_grad()\nwith context:\n    h = self.first(x)",
    ],
)
def test_a_cut_that_is_not_all_that_is_asked_for(cut: str) -> None:
    program = _program(cut, "return self.last(h)").replace("(self, x)", "(self, x, freeze=False)")
    program += "\nNet()(torch.randn(4, 3), freeze=True).sum().backward()\n"
    assert [severity for severity, _ in _told(program)] == ["information"]
