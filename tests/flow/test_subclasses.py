"""Classes of the program that derive from library classes of which gradls has a model."""

from __future__ import annotations

import logging

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source

PROGRAM = """
import threading, contextlib, functools
import concurrent.futures
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
import torch.distributions as td
class T(threading.Thread):
    def run(self): pass
class Opt(torch.optim.Adam):
    pass
class Sched(torch.optim.lr_scheduler.StepLR):
    pass
class Load(DataLoader):
    pass
class Scaler(torch.amp.GradScaler):
    pass
class Pool(concurrent.futures.ThreadPoolExecutor):
    pass
class NG(torch.no_grad):
    pass
class Part(functools.partial):
    pass
class Loss(nn.CrossEntropyLoss):
    pass
class Acc(td.Normal):
    pass
class Ctx(contextlib.ExitStack):
    pass
T().start()
net = nn.Linear(2, 2)
o = Opt(net.parameters(), lr=0.1)
s = Sched(o, 3)
for x in Load([1, 2]):
    pass
sc = Scaler()
loss = Loss()(net(torch.randn(1, 2)), torch.tensor([0]))
sc.scale(loss).backward()
sc.unscale_(o); sc.step(o); sc.update(); o.zero_grad(); o.step(); s.step(); o.state_dict()
with Pool() as p:
    p.submit(print, 1); p.map(print, [1])
with NG():
    y = net(torch.randn(1, 2))
Part(print, 1)()
a = Acc(0.0, 1.0); a.sample(); a.rsample(); a.log_prob(torch.ones(1)); a.mean
with Ctx() as c:
    c.enter_context(torch.no_grad())
"""


def test_objects_of_derived_classes_are_no_reason_to_fail(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = findings(analyze(Source.read(PROGRAM)))
    assert caplog.records == []
    assert [(finding.code, finding.span.line) for finding in found] == []


BUSY = """
import torch
from torch import nn

class Huge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = []
        for a in range(40):
            for b in range(40):
                for c in range(40):
                    for d in range(40):
                        self.layers.append(str(a) + str(b) + str(c) + str(d))

class User:
    def __init__(self, one: Huge, two: Huge):
        self.one = one

    def run(self, huge: Huge):
        return huge

def last():
    w = torch.ones(3, requires_grad=True)
    w.detach().sum().backward()
"""


def test_declared_objects_that_take_too_long_cost_only_what_declares_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = findings(analyze(Source.read(BUSY)))
    assert caplog.records == []
    assert [finding.code for finding in found] == ["GRD101"]


def test_a_method_of_a_module_that_is_called_on_its_class(caplog: pytest.LogCaptureFixture) -> None:
    text = "from torch import nn\nclass Net(nn.Module):\n    @classmethod\n    def make(cls):\n        cls.eval()\n"
    with caplog.at_level(logging.ERROR):
        findings(analyze(Source.read(text + "Net.make()\nNet.eval()\n")))
    assert caplog.records == []
