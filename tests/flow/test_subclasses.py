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
