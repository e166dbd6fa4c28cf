"""Models that others take the place of, and steps that come too early."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.testing import programs
from tests.rules.reported import check_right, reported

LOADED = """
import torch
from torch import nn

torch.save(nn.Linear(3, 1), {path!r})
{model}
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
{before}
{load}
{after}
start = model.weight.detach().clone()
for _ in range(2):
    loss = model(torch.randn(4, 3)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert torch.equal(start, model.weight) is {stale}
"""
LOAD = "model = torch.load({path!r}, weights_only=False)"


MADE_HERE = "model = nn.Linear(3, 1)"


@pytest.mark.parametrize(
    ("model", "load", "after", "stale"),
    [
        (MADE_HERE, LOAD, "", True),
        (LOAD, LOAD, "", True),
        (MADE_HERE, f"if start:\n    {LOAD}", "", True),
        (MADE_HERE, LOAD, "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)", False),
        (LOAD, LOAD, "optimizer.add_param_group({{'params': model.parameters()}})", False),
        (MADE_HERE, "model.load_state_dict(torch.load({path!r}, weights_only=False).state_dict())", "", False),
        (MADE_HERE, f"model = torch.nn.DataParallel(model)\nmodel = model.module\nother = {LOAD[8:]}", "", False),
    ],
)
def test_loaded_after_the_optimizer(tmp_path: Path, model: str, load: str, after: str, stale: bool) -> None:
    path = str(tmp_path / "model.pt")
    text = LOADED.format(
        path=path,
        model=model.format(path=path),
        before="import sys\n\nstart = sys.argv is not None",
        load=load.format(path=path),
        after=after.format(path=path),
        stale=stale,
    )
    assert programs.check(text).error is None
    assert [severity for severity, _ in reported("GRD607", text)] == ["warning"] * stale


ANOTHER = """
import copy

import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers) if layers else nn.Linear(3, 3)

    def forward(self, x):
        return self.layers(x)

layers = [nn.Linear(3, 3), nn.Linear(3, 3)]
model, judge = {model}, nn.Linear(3, 1)
first = torch.optim.SGD({given}, lr=0.1)
second = torch.optim.SGD(judge.parameters(), lr=0.1)
{again}
start = [parameter.detach().clone() for parameter in model.parameters()]
for _ in range(2):
    loss = judge(model(torch.randn(4, 3))).pow(2).mean()
    first.zero_grad()
    second.zero_grad()
    loss.backward()
    first.step()
    second.step()
assert all(map(torch.equal, start, model.parameters())) is {stale}
"""


@pytest.mark.parametrize("given", ["model.parameters()", "params=model.parameters()"])
@pytest.mark.parametrize(
    ("model", "again", "stale"),
    [
        ("Net()", "model = Net()", True),
        ("Net()", "model = copy.deepcopy(model)", True),
        ("Net()", "", False),
        ("Net(*layers)", "model = Net(*layers)", False),
        ("Net()", "model = Net(model)", False),
        ("Net()", "model = Net()\nfirst.add_param_group({{'params': model.parameters()}})", False),
        ("Net()", "model = Net()\nfirst = torch.optim.SGD(model.parameters(), lr=0.1)", False),
    ],
)
def test_a_known_model_beside_another_that_is_trained(given: str, model: str, again: str, stale: bool) -> None:
    text = ANOTHER.format(model=model, given=given, again=again.format(), stale=stale)
    assert programs.check(text).error is None
    assert len(reported("GRD607", text)) == stale


COPIED = """
import copy

def main(model, loader):
    optimizer = torch.optim.SGD({given}, lr=0.1)
    {copied}
    for x, y in loader:
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        {then}
"""


@pytest.mark.parametrize("given", ["model.parameters()", "params=model.parameters()"])
@pytest.mark.parametrize(
    ("copied", "then", "found"),
    [
        ("model = copy.deepcopy(model)", "pass", 1),
        ("other = copy.deepcopy(model)", "pass", 0),
        ("pass", "best = copy.deepcopy(model)", 0),
        ("model = copy.deepcopy(model); optimizer = torch.optim.Adam(model.parameters())", "pass", 0),
    ],
)
def test_a_copy_of_an_unknown_model(given: str, copied: str, then: str, found: int) -> None:
    assert len(reported("GRD607", COPIED.format(given=given, copied=copied, then=then))) == found


MADE = """
from models import make, wrap

def main(args, loader):
    {before}
    model = make(args)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    {again}
    for x, y in loader:
        loss = F.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("before", "again", "found"),
    [
        ("", "model = make(args)", ["model"]),
        ("", "model = wrap(args)", []),
        ("", "model = wrap(model)", []),
        ("", "model = make(model)", []),
        ("", "model = make(args)\n    optimizer = torch.optim.Adam(model.parameters())", []),
        ("teacher = make(args)", "", []),
        ("", "teacher = make(args)", []),
        ("", "if args.test:\n        model = make(args)\n        model.test()\n        return", []),
    ],
)
def test_made_anew_by_the_same_function(before: str, again: str, found: list[str]) -> None:
    program = MADE.format(before=before, again=again)
    assert reported("GRD607", program) == [("information", name) for name in found]


EARLY = """
class Agent:
    def __init__(self, lr):
        self.model = nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr)

    def loss(self, x):
        return self.model(x).mean()

    def update(self, x):
        loss = self.loss(x)
        {body}

    def other(self, x):
        self.loss(x).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
"""


CLEAR, STEP, BACKWARD = "self.optimizer.zero_grad()", "self.optimizer.step()", "loss.backward()"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ([CLEAR, STEP, BACKWARD], ["warning"]),
        ([CLEAR, BACKWARD, STEP], []),
        ([STEP, CLEAR, BACKWARD], []),
        ([CLEAR, f"if x.sum() > 0:\n            {STEP}", BACKWARD], []),
    ],
)
def test_methods_that_step_before_backward(body: list[str], found: list[str]) -> None:
    program = EARLY.format(body="\n        ".join(body))
    assert [severity for severity, _ in reported("GRD602", program)] == found


def test_a_step_right_after_clearing_changes_nothing() -> None:
    text = """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(1, 3)).mean().backward()
before = model.weight.detach().clone()
optimizer.zero_grad()
optimizer.step()
assert torch.equal(before, model.weight)
model(torch.ones(1, 3)).mean().backward()
optimizer.step()
assert not torch.equal(before, model.weight)
"""
    assert programs.check(text).error is None


@pytest.mark.parametrize(
    ("between", "found"),
    [
        ("parts = [part.cuda() for part in (x, y)]\n        out = model(parts[0])", 1),
        ("for part in y:\n            part.cuda()\n        out = model(x)", 1),
        ("out = compute(model, x)", 1),
        ("for part in x:\n            model(part).sum().backward()\n        out = model(x)", 0),
    ],
)
def test_what_comes_between_clearing_and_an_early_step(between: str, found: int) -> None:
    program = f"""
def compute(model, x):
    return model(x)

def train(model, optimizer, loader):
    for x, y in loader:
        optimizer.zero_grad()
        {between}
        loss = F.mse_loss(out, y)
        optimizer.step()
        loss.backward()
"""
    assert len(reported("GRD602", program)) == found


CLEARED = """
def train(net, criterion, optimizer, loader, other):
    for x, y in loader:
        {body}
"""
NET_CLEAR, LOSS, STEP_IT = "net.zero_grad()", "loss = criterion(net(x), y)", "optimizer.step()"


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ([LOSS, BACKWARD, NET_CLEAR, STEP_IT], 1),
        ([NET_CLEAR, LOSS, STEP_IT, BACKWARD], 1),
        ([NET_CLEAR, LOSS, BACKWARD, STEP_IT], 0),
        ([LOSS, BACKWARD, STEP_IT, NET_CLEAR], 0),
        ([LOSS, BACKWARD, "other.zero_grad()", STEP_IT], 0),
        ([LOSS, BACKWARD, NET_CLEAR, STEP_IT, "other_optimizer.step()"], 0),
    ],
)
def test_a_model_that_is_cleared_before_the_step(body: list[str], found: int) -> None:
    program = CLEARED.format(body="\n        ".join(body))
    assert [severity for severity, _ in reported("GRD602", program)] == ["information"] * found


@pytest.mark.parametrize("call", ["net(x)", "net.forward(x)"])
def test_a_forward_that_is_called_directly(call: str) -> None:
    program = f"""
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in [torch.ones(2, 3)] * 3:
        loss = {call}.mean()
        optimizer.zero_grad()
        optimizer.step()
    """
    assert reported("GRD611", program) == [("warning", "optimizer.step()")]


def test_a_loop_over_models_and_their_optimizers_replaces_none() -> None:
    program = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(x)


one, other = Net(), Net()
optimizers = [torch.optim.SGD(one.parameters(), lr=0.1), torch.optim.Adam(other.parameters(), lr=0.1)]
for x in torch.randn(4, 8, 3):
    for net, optimizer in zip([one, other], optimizers):
        optimizer.zero_grad()
        net(x).pow(2).mean().backward()
        optimizer.step()
assert one.layer.weight.grad is not None and other.layer.weight.grad is not None
"""
    check_right(program)
    assert reported("GRD607", program) == []


TURNS = [
    "for net, optimizer in zip(nets, optimizers):",
    "for i in range(2):\n    net, optimizer = nets[i], optimizers[i]",
]


@pytest.mark.parametrize("chosen", TURNS)
def test_models_that_take_turns(chosen: str) -> None:
    program = f"""
import torch
from torch import nn

nets = [nn.Linear(3, 1), nn.Linear(3, 1)]
optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in nets]
{chosen}
    for x in torch.randn(4, 8, 3):
        optimizer.zero_grad()
        net(x).pow(2).mean().backward()
        optimizer.step()
assert nets[0].weight.grad is not None and nets[1].weight.grad is not None
"""
    check_right(program)
    assert reported("GRD607", program) == []
