"""GRD525 beyond its page."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gradls.rules.grd525_distributed_parameters import DistributedParameters
from gradls.testing import found_in
from gradls.workspace.session import Session
from tests.rules.reported import reported

NET = """
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.head = nn.Linear(4, 2)
        self.aux = nn.Linear(4, 2)

    def forward(self, x):
        h = self.body(x)
        return self.head(h), self.aux(h)

def train(rank, batches, flag, helper):
"""


def found(body: str) -> list[str]:
    program = NET + "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
    rule = DistributedParameters()
    return [finding.severity.value for finding in found_in(program, rule) if finding.code == rule.code]


LOOP = """
for x, y in batches:
    out, aux = net(x.to(rank))
    nn.functional.cross_entropy(out, y).backward()
"""


@pytest.mark.parametrize(
    "body",
    [
        "net = DDP(Net().to(rank), device_ids=[rank])" + LOOP,
        "net = nn.parallel.DistributedDataParallel(module=Net(), find_unused_parameters=False)" + LOOP,
        "net = DDP(Net())\nnet(torch.ones(1, 4))[0].sum().backward()\nnet(torch.ones(1, 4))",
        "net = DDP(Net())\nnet.module.aux.requires_grad_(False)" + LOOP,
        "net = DDP(Net())\nfor x in batches:\n    net.forward(x)[1].sum().backward()",
        "DDP(nn.ReLU())",
        "net = Net()\nfor p in net.parameters():\n    p.requires_grad = False\nDDP(net)",
    ],
)
def test_found(body: str) -> None:
    assert found(body) == ["error"]


@pytest.mark.parametrize(
    "body",
    [
        "net = DDP(Net(), find_unused_parameters=True)" + LOOP,
        "net = DDP(Net(), static_graph=True)" + LOOP,
        "net = DDP(Net(), find_unused_parameters=flag)" + LOOP,
        "net = DDP(Net(), **helper)" + LOOP,
        "net = DDP(Net())\nnet._set_static_graph()" + LOOP,
        "net = DDP(Net())\nhelper(net)" + LOOP,
        "net = DDP(helper(Net()))" + LOOP,
        "inner = Net()\ninner.aux.requires_grad_(False)\nnet = DDP(inner)" + LOOP,
        "net = nn.DataParallel(Net())" + LOOP,
        "net = DDP(Net())\nfor x in batches:\n    net.module(x)[0].sum().backward()",
        "net = DDP(Net())\nfor x in batches:\n    with net.no_sync():\n        net(x)[0].sum().backward()",
        "net = DDP(Net())\nfor x in batches:\n    out, aux = net(x)\n    loss = out.sum()\n"
        "    if flag:\n        loss = loss + aux.sum()\n    loss.backward()",
        "net = DDP(Net())\nfor x in batches:\n    out, aux = net(x)\n"
        "    out.sum().backward(retain_graph=True)\n    helper(aux)",
        "net = DDP(Net())\nfor x in batches:\n    out, aux = net(x)\n    helper(out, aux).backward()",
        "net = DDP(Net())\nnet(torch.ones(1, 4))[0].sum().backward()\nwith torch.no_grad():\n    net(torch.ones(1, 4))",
        "net = DDP(Net())\nnet(torch.ones(1, 4))[0].sum().backward()\n"
        "net.module.aux(torch.ones(1, 4)).sum().backward()\nnet(torch.ones(1, 4))",
        "DDP(helper())",
    ],
)
def test_silent(body: str) -> None:
    assert found(body) == []


BYPASSED = """
from torch.nn.parallel import DistributedDataParallel
import torch.distributed as dist

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        return self.head(self.body(x))

    def loss(self, x):
        return self(x).pow(2).mean()

model, x = DistributedDataParallel(Net()), torch.randn(8, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(9):
    optimizer.zero_grad()
    {train}
    {step}
"""


@pytest.mark.parametrize(
    ("train", "step", "found"),
    [
        ("model.module.loss(x).backward()", "optimizer.step()", 1),
        ("model.module.head(model.module.body(x)).sum().backward()", "optimizer.step()", 1),
        ("model(x).sum().backward()", "optimizer.step()", 0),
        ("model.forward(x).sum().backward()", "optimizer.step()", 0),
        ("(model(x).sum() + model.module.loss(x)).backward()", "optimizer.step()", 0),
        ("model.module.loss(x).backward()", "pass", 0),
        (
            "model.module.loss(x).backward()",
            "for p in model.parameters():\n        dist.all_reduce(p.grad)\n    optimizer.step()",
            0,
        ),
    ],
)
def test_the_wrapper_is_passed_by(train: str, step: str, found: int) -> None:
    assert [severity for severity, _ in reported("GRD525", BYPASSED.format(train=train, step=step))] == [
        "warning"
    ] * found


@pytest.mark.parametrize(
    ("train", "found"),
    [
        ("model.module.loss(x).backward()", ["warning"]),
        ("with model.no_sync():\n            model(x).sum().backward()", ["warning"]),
        ("with model.no_sync() if step % 4 else nullcontext():\n            model(x).sum().backward()", []),
        ("with model.no_sync():\n            model(x).sum().backward()\n        model(x).sum().backward()", []),
    ],
)
def test_the_wrapper_in_a_function(train: str, found: list[str]) -> None:
    head, name, body = BYPASSED.partition("model, x")
    start = "from contextlib import nullcontext\n\ndef main(step):\n"
    program = head + start + textwrap.indent(name + body, "    ")
    text = program.format(train=train, step="optimizer.step()")
    assert [severity for severity, _ in reported("GRD525", text)] == found


def test_a_model_that_is_wrapped_if_there_are_several_processes() -> None:
    snippet = """
    import os
    from torch.nn.parallel import DistributedDataParallel

    ddp = int(os.environ.get("RANK", -1)) != -1
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if ddp:
        model = DistributedDataParallel(model)
    for _ in range(9):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).sum().backward()
        optimizer.step()
    """
    assert reported("GRD525", snippet) == []


def test_a_wrapper_that_another_file_calls(tmp_path: Path) -> None:
    (tmp_path / "trainer.py").write_text("""
import torch
from torch.nn.parallel import DistributedDataParallel


class Trainer:
    def __init__(self, model):
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.model = DistributedDataParallel(model)

    def train(self, batches):
        for batch in batches:
            self.optimizer.zero_grad()
            self.model(batch).sum().backward()
            self.optimizer.step()
""")
    main = tmp_path / "main.py"
    text = """
import torch
from trainer import Trainer

Trainer(torch.nn.Linear(3, 1)).train([torch.randn(8, 3)])
"""
    session = Session(tmp_path)
    session.open(str(main), text)
    assert session.findings(str(main)) == []


def test_a_wrapper_around_something_unknown() -> None:
    snippet = """
    from torch.nn.parallel import DistributedDataParallel

    def main(net, loader):
        model = DistributedDataParallel(net)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in loader:
            optimizer.zero_grad()
            model.module(x).sum().backward()
            optimizer.step()
    """
    assert reported("GRD525", snippet) == [("information", "model.module(x)")]
