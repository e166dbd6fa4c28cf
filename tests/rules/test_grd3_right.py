"""Programs about writes, graphs and gradients that look wrong and are right, each run on PyTorch."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_right

RIGHT = {
    "backward twice through what has saved nothing, of something that nobody knows": """
import torch
def train(given, rounds):
    loss = torch.mean(torch.neg(given["weight"]) + torch.exp(given["inputs"]))
    loss.backward()
    loss.backward()
train({name: torch.randn(3, requires_grad=name == "weight") for name in ["weight", "inputs"]}, 3)
""",
    "each element of a list of unknown length has a graph of its own": """
import os, torch
w = torch.ones(2, requires_grad=True)
losses = [(name.count("a") * w).pow(2).sum() for name in os.environ]
for loss in losses:
    loss.backward()
pairs = [(name.count("a") * u).pow(2).sum() for name, u in zip(os.environ, [w, w])]
for loss in pairs:
    loss.backward()
""",
    "retain_grad of the results of several objects, in a loop that is left early": """
import torch
class Tanh:
    def __call__(self, x):
        self.out = torch.tanh(x)
        return self.out
w = torch.ones(2, requires_grad=True)
layers = [Tanh(), Tanh(), Tanh()]
for i in range(100):
    x = w
    for layer in layers:
        x = layer(x)
    for layer in layers:
        layer.out.retain_grad()
    x.sum().backward()
    if i > 10:
        break
for layer in layers[:-1]:
    print(layer.out.grad.mean())
""",
    "state detached only in even rounds but graph retained by flag (never reused)": """
import torch, torch.nn as nn
cell = nn.GRUCell(2, 3); h = torch.zeros(1, 3)
losses = []
for t in range(6):
    h = cell(torch.randn(1, 2), h)
    losses.append(h.sum())
    if len(losses) == 3:
        torch.stack(losses).sum().backward()
        losses = []
        h = h.detach()
""",
    "deque of last states": """
import torch, torch.nn as nn
from collections import deque
cell = nn.Linear(3, 3); buf = deque(maxlen=2)
for t in range(5):
    x = torch.randn(1, 3) if not buf else buf[-1].detach()
    y = torch.tanh(cell(x))
    buf.append(y)
    y.sum().backward()
""",
    "two optimizers sharing nothing, order free": """
import torch, torch.nn as nn
a, b = nn.Linear(2, 2), nn.Linear(2, 2)
oa, ob = torch.optim.SGD(a.parameters(), 0.1), torch.optim.SGD(b.parameters(), 0.1)
x = torch.randn(4, 2)
la, lb = torch.tanh(a(x)).mean(), torch.tanh(b(x)).mean()
la.backward(); oa.step()
lb.backward(); ob.step()
""",
    "step of D then G recomputes D": """
import torch, torch.nn as nn
G = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
D = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
og, od = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
for _ in range(2):
    fake = G(torch.randn(4, 2))
    ld = D(fake.detach()).mean() - D(torch.randn(4, 3)).mean()
    od.zero_grad(); ld.backward(); od.step()
    for p in D.parameters(): p.requires_grad_(False)
    lg = -D(fake).mean()
    og.zero_grad(); lg.backward(); og.step()
    for p in D.parameters(): p.requires_grad_(True)
""",
    "last layer frozen weight updated by EMA between forward and backward": """
import torch, torch.nn as nn
f, t = nn.Linear(3, 3), nn.Linear(3, 3)
for p in t.parameters(): p.requires_grad_(False)
opt = torch.optim.SGD(f.parameters(), 0.1)
for _ in range(2):
    x = torch.randn(4, 3)
    loss = (f(x) - t(x)).pow(2).mean()
    with torch.no_grad():
        for p, q in zip(t.parameters(), f.parameters()):
            p.mul_(0.9).add_(q, alpha=0.1)
    opt.zero_grad(); loss.backward(); opt.step()
""",
    "in place on result of add": """
import torch
x = torch.randn(3, requires_grad=True)
y = x + 1
y *= 2
y -= 1
y.sum().backward()
""",
    "in place sigmoid of linear": """
import torch, torch.nn as nn
net = nn.Linear(3, 3)
out = net(torch.randn(2, 3)).sigmoid_()
out.sum().backward()
""",
    "index write into fresh buffer, read rows of others": """
import torch
w = torch.randn(3, requires_grad=True)
buf = torch.zeros(4, 3)
for i in range(4):
    buf[i] = w * i
buf.pow(2).sum().backward()
""",
    "write then read next round": """
import torch
w = torch.randn(3, requires_grad=True)
acc = torch.zeros(3)
for i in range(4):
    acc += w * i
(acc ** 2).sum().backward()
""",
    "cumulative on clone": """
import torch
w = torch.randn(3, requires_grad=True)
acc = torch.zeros(3)
total = 0
for i in range(4):
    acc = acc + w
    total = total + (acc.clone() ** 2).sum()
total.backward()
""",
    "grad accumulation manual zero first": """
import torch
w = torch.randn(3, requires_grad=True)
for i in range(3):
    if w.grad is not None:
        w.grad.zero_()
    (w ** 2).sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
""",
    ".grad of non leaf with retain in a helper": """
import torch
def keep(t):
    t.retain_grad()
    return t
x = torch.randn(3, requires_grad=True)
h = keep(x * 2)
h.sum().backward()
print(h.grad.norm())
""",
    "grads cleared with set_to_none False": """
import torch, torch.nn as nn
net = nn.Linear(3, 1); opt = torch.optim.SGD(net.parameters(), 0.1)
net(torch.randn(2, 3)).sum().backward()
opt.zero_grad(set_to_none=False)
print(net.weight.grad.norm())
""",
    "model passed to function doing the backward": """
import torch, torch.nn as nn
def train(model, x):
    model(x).sum().backward()
net = nn.Linear(3, 1)
train(net, torch.randn(2, 3))
print(net.weight.grad.norm(), net.bias.grad.sum())
""",
    "deepcopy of model with buffers and a detached cache": """
import copy, torch, torch.nn as nn
class M(nn.Module):
    def __init__(self):
        super().__init__(); self.l = nn.Linear(2, 2); self.cache = None
    def forward(self, x):
        y = self.l(x); self.cache = y.detach(); return y
m = M(); m(torch.randn(1, 2)).sum().backward(); n = copy.deepcopy(m)
""",
    "deepcopy after cache reset": """
import copy, torch, torch.nn as nn
class M(nn.Module):
    def __init__(self):
        super().__init__(); self.l = nn.Linear(2, 2); self.cache = None
    def forward(self, x):
        self.cache = self.l(x); return self.cache
m = M(); m(torch.randn(1, 2)).sum().backward(); m.cache = None; n = copy.deepcopy(m)
""",
    "eval under no_grad then numpy": """
import torch, torch.nn as nn
net = nn.Linear(3, 1)
@torch.no_grad()
def predict(x): return net(x)
print(predict(torch.randn(2, 3)).numpy())
""",
    "frozen net then numpy": """
import torch, torch.nn as nn
net = nn.Linear(3, 1).requires_grad_(False)
print(net(torch.randn(2, 3)).numpy())
""",
    "scalar-like shape one": """
import torch, torch.nn as nn
net = nn.Linear(3, 1)
net(torch.randn(1, 3)).backward()
""",
    "batch 1 per sample loss": """
import torch, torch.nn as nn
net = nn.Linear(3, 2)
for i in range(3):
    nn.functional.cross_entropy(net(torch.randn(1, 3)), torch.tensor([1]), reduction='none').backward()
""",
    "backward with vector": """
import torch
x = torch.randn(3, requires_grad=True)
y = x * 2
y.backward(torch.tensor([1., 0.1, 0.01]))
""",
    "double use with retain": """
import torch
x = torch.randn(3, requires_grad=True)
y = (x ** 2)
for i in range(3):
    y[i].backward(retain_graph=True)
""",
    "jacobian loop via grad": """
import torch
x = torch.randn(3, requires_grad=True)
y = x ** 3
rows = [torch.autograd.grad(y[i], x, retain_graph=True)[0] for i in range(3)]
""",
    "requires_grad on computed no-graph tensor": """
import torch
x = (torch.randn(3) * 2).requires_grad_()
(x ** 2).sum().backward()
print(x.grad)
""",
    "detach_ at end": """
import torch, torch.nn as nn
cell = nn.GRUCell(2, 3); h = torch.zeros(1, 3)
for t in range(4):
    h = cell(torch.randn(1, 2), h)
    h.pow(2).sum().backward()
    h.detach_()
""",
    "unbind and build new": """
import torch
x = torch.randn(3, 4, requires_grad=True)
out = torch.stack([r * 2 for r in x.unbind(0)])
a, b = x.chunk(2, 1)
a = a * 2
(out.sum() + a.sum() + b.sum()).backward()
""",
    "write to split of data": """
import torch
d = torch.randn(4, 6)
a, b = d.split(3, dim=1)
a.mul_(2); b[:, 0] = 0
""",
    "inference mode everything": """
import torch, torch.nn as nn
net = nn.Linear(3, 2)
with torch.inference_mode():
    y = net(torch.randn(4, 3)); y += 1; y.clamp_(0)
print(y.sum().item(), (y * 2).mean())
""",
    "count correct": """
import torch
correct = 0
for _ in range(3):
    correct += (torch.randn(4, 2).argmax(1) == 0).sum().item()
n = torch.zeros(2, dtype=torch.long)
n += torch.bincount(torch.tensor([0, 1]), minlength=2)
n[0] += 1
n *= 2
""",
    "optimizer.step with closure GAN style loss both": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
opt = torch.optim.LBFGS(net.parameters(), max_iter=3)
x = torch.randn(5, 3)
def closure():
    opt.zero_grad(); l = net(x).pow(2).mean(); l.backward(); return l
for _ in range(2): opt.step(closure)
""",
    "custom function with two outputs and unused grad": """
import torch
class F2(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3
    @staticmethod
    def backward(ctx, ga, gb):
        g = 0
        if ga is not None: g = g + 2 * ga
        if gb is not None: g = g + 3 * gb
        return g
a, b = F2.apply(torch.ones(2, requires_grad=True))
a.sum().backward()
""",
    "custom function with kwargs-like defaults and star grads": """
import torch
class Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *xs):
        ctx.n = len(xs)
        return sum(xs)
    @staticmethod
    def backward(ctx, g):
        return tuple(g for _ in range(ctx.n))
Sum.apply(torch.ones(2, requires_grad=True), torch.ones(2)).sum().backward()
""",
    "gradient reversal": """
import torch
class Rev(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)
    @staticmethod
    def backward(ctx, g):
        return g.neg() * ctx.alpha, None
Rev.apply(torch.ones(2, requires_grad=True), 0.5).sum().backward()
""",
    "guided relu via full hook with non inplace": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
def clamp(m, gi, go): return (gi[0].clamp(min=0),)
net[1].register_full_backward_hook(clamp)
net(torch.randn(2, 3, requires_grad=True)).sum().backward()
""",
    "a handler of what only tensors without dimensions raise": """
import torch
def any_of(result):
    try:
        for element in result:
            if any_of(element):
                return True
    except TypeError:
        if result:
            return True
    return False
assert any_of(torch.ones(3) > 0)
""",
    "what unknown constructors keep, by branch": """
import sys, torch
from collections import OrderedDict
class Data(OrderedDict):
    def __init__(self, parts):
        if len(parts) > 1:
            self.ready = False
            super().__init__({"a": parts})
        else:
            super().__init__({})
    def total(self):
        return self.missing + 1
Data([torch.ones(1)])
""",
}


@pytest.mark.parametrize("title", RIGHT)
def test_is_right(title: str) -> None:
    check_right(RIGHT[title])
