"""Writes in place that backward cannot bear, in programs of several shapes, each run on PyTorch."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_error, check_right, reported

WRONG = {
    ("GRD204", "a view made under no_grad, and a step"): """
import torch
layer = torch.nn.Linear(3, 3)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
with torch.no_grad():
    before = layer.weight.view(-1)
layer(torch.randn(2, 3)).sum().backward()
optimizer.step()
print((before - layer.weight.view(-1)).norm())  # raises RuntimeError: A view was created in no_grad mode and its base
""",
    ("GRD204", "several views, and nn.init"): """
import torch
raw = torch.zeros(2, 3, requires_grad=True)
mean, scale = raw.chunk(2)
torch.nn.init.normal_(raw)
(mean * scale).sum().backward()  # raises RuntimeError: its base or another view of its base has been modified
""",
    ("GRD204", "a view of a leaf that was made under no_grad, written outside"): """
import torch
w = torch.ones(3, requires_grad=True)
with torch.no_grad():
    v = w[:2]
v.add_(1)  # raises RuntimeError: A view was created in no_grad mode and is being modified inplace
""",
    ("GRD201", "sigmoid output updated in place in module"): """
import torch, torch.nn as nn
class Att(nn.Module):
    def __init__(s, d):
        super().__init__()
        s.q = nn.Linear(d, d); s.k = nn.Linear(d, d)
    def forward(s, x, mask):
        scores = torch.softmax(s.q(x) @ s.k(x).transpose(-1, -2), dim=-1)
        scores[mask] = 0
        return scores @ x
m = Att(4)
out = m(torch.randn(2, 3, 4), torch.rand(2, 3, 3) > 0.5)
out.sum().backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD202", "DDPG: critic stepped before actor loss backward computed earlier"): """
import torch, torch.nn as nn
actor, critic = nn.Linear(3, 2), nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
ao, co = torch.optim.Adam(actor.parameters()), torch.optim.Adam(critic.parameters())
def update(s, a, r):
    q = critic(torch.cat([s, a], 1))
    critic_loss = nn.functional.mse_loss(q, r)
    actor_loss = -critic(torch.cat([s, actor(s)], 1)).mean()
    co.zero_grad()
    critic_loss.backward()
    co.step()
    ao.zero_grad()
    actor_loss.backward()  # raises RuntimeError: one of the variables needed for gradient
    ao.step()
for _ in range(2):
    update(torch.randn(6, 3), torch.randn(6, 2), torch.randn(6, 1))
""",
    ("GRD203", "manual SGD with python list of params"): """
import torch
params = [torch.randn(3, requires_grad=True), torch.zeros(1, requires_grad=True)]
x, y = torch.randn(10, 3), torch.randn(10)
for epoch in range(5):
    loss = ((x @ params[0] + params[1]) - y).pow(2).mean()
    loss.backward()
    for p in params:
        p -= 0.1 * p.grad  # raises RuntimeError: a leaf Variable that requires grad is being
        p.grad.zero_()
""",
    ("GRD201", "in-place on tanh state"): """
import torch, torch.nn as nn
lin = nn.Linear(4, 4)
state = torch.zeros(1, 4)
for t in range(5):
    h = torch.tanh(lin(state))
    h += 0.1
    state = h
state.sum().backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD202", "retain_graph with step in between"): """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=.1)
y = net(torch.randn(8, 3))
for k in range(2):
    opt.zero_grad()
    (y - k).pow(2).mean().backward(retain_graph=True)  # raises RuntimeError: one of the variables needed for gradient
    opt.step()
""",
    ("GRD204", "split in place under grad"): """
import torch, torch.nn as nn
lin = nn.Linear(4, 8)
a, b = lin(torch.randn(2, 4)).chunk(2, dim=-1)
b.sigmoid_()  # raises RuntimeError: Output 1 of Split is a view and is being
(a * b).sum().backward()
""",
    ("GRD201", "weight clamp before backward"): """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
loss = net(torch.randn(5, 3)).mean()
with torch.no_grad():
    for p in net.parameters():
        p.clamp_(-0.01, 0.01)
loss.backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD203", "weight init in constructor without no_grad"): """
import torch, torch.nn as nn
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.fc.bias.fill_(0.5)  # raises RuntimeError: a leaf Variable that requires grad is being
M()
""",
    ("GRD203", "loading pretrained into embedding"): """
import torch, torch.nn as nn
emb = nn.Embedding(5, 3)
vecs = torch.randn(5, 3)
for i in range(5):
    emb.weight[i] = vecs[i]  # raises RuntimeError: a view of a leaf Variable that requires grad is
""",
    ("GRD203", "EMA update without no_grad"): """
import torch, torch.nn as nn, copy
net = nn.Linear(3, 1); ema = copy.deepcopy(net)
for pe, p in zip(ema.parameters(), net.parameters()):
    pe.mul_(0.9).add_(p, alpha=0.1)  # raises RuntimeError: a leaf Variable that requires grad is being
""",
    ("GRD201", "in-place relu after a view that is saved"): """
import torch, torch.nn as nn
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.act = nn.ELU(inplace=True)
    def forward(self, x):
        h = torch.sigmoid(self.a(x))
        return self.b(self.act(h))
Block()(torch.randn(2, 4)).sum().backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD201", "swish in place multiplication"): """
import torch
x = torch.randn(4, requires_grad=True)
y = x * 1
z = y * torch.sigmoid(y)
y *= 2
(z + y).sum().backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD206", "inference mode features"): """
import torch, torch.nn as nn
enc, head = nn.Linear(3, 4), nn.Linear(4, 2)
@torch.inference_mode()
def extract(x):
    return enc(x)
opt = torch.optim.Adam(head.parameters())
for _ in range(2):
    f = extract(torch.randn(5, 3))
    loss = nn.functional.cross_entropy(head(f), torch.zeros(5, dtype=torch.long))  # raises RuntimeError: Inference
    opt.zero_grad(); loss.backward(); opt.step()
""",
    ("GRD204", "row normalisation in place"): """
import torch
w = torch.randn(3, 4, requires_grad=True)
v = w * 2
for r in v:
    r.div_(r.norm())  # raises RuntimeError: Output 0 of Unbind is a view and is being
""",
    ("GRD207", "sum of int counts"): """
import torch
correct = torch.zeros(3, dtype=torch.long)
for _ in range(2):
    correct += torch.tensor([1, 0, 1])
correct /= 2  # raises RuntimeError: result type Float can't be cast to the desired
""",
    ("GRD204", "hooked inplace relu"): """
import torch, torch.nn as nn
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 2))
grads = []
def hook(m, gi, go): grads.append(go[0])
net[0].register_full_backward_hook(hook)
net(torch.randn(1, 1, 5, 5)).sum().backward()  # raises RuntimeError: Output 0 of BackwardHookFunction is a view and
""",
    ("GRD202", "amp scaler with GAN order"): """
import torch, torch.nn as nn
G = nn.Linear(4, 2); D = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
og, od = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
scaler = torch.amp.GradScaler('cpu', enabled=False)
fake = G(torch.randn(6, 4))
d = D(fake).mean(); g = -D(fake).mean()
scaler.scale(d).backward(retain_graph=True); scaler.step(od)
scaler.scale(g).backward()  # raises RuntimeError: one of the variables needed for gradient
scaler.step(og)
scaler.update()
""",
    ("GRD203", "with no_grad wrong place for weight update via setattr"): """
import torch, torch.nn as nn
net = nn.Linear(3, 1)
net(torch.randn(4, 3)).sum().backward()
for name, p in net.named_parameters():
    p.sub_(0.1 * p.grad)  # raises RuntimeError: a leaf Variable that requires grad is being
""",
    ("GRD201", "weight normalisation in forward"): """
import torch, torch.nn as nn
class N(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 3))
    def forward(self, x):
        self.w /= self.w.norm()  # raises RuntimeError: a leaf Variable that requires grad is being
        return x @ self.w
N()(torch.randn(2, 3)).sum().backward()
""",
    ("GRD203", "x requires grad input modified in place"): """
import torch, torch.nn as nn
x = torch.randn(2, 3, requires_grad=True)
x[:, 0] = 0  # raises RuntimeError: a view of a leaf Variable that requires grad is
nn.Linear(3, 1)(x).sum().backward()
""",
    ("GRD201", "mask multiply in place on saved input"): """
import torch
a = torch.randn(3, requires_grad=True)
b = torch.randn(3, requires_grad=True)
c = a + 0
d = c * b
c[0] = 5.
d.sum().backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD201", "counter tensor used as factor"): """
import torch, torch.nn as nn
lin = nn.Linear(2, 2)
t = torch.zeros(1)
loss = 0
for i in range(3):
    loss = loss + (lin(torch.randn(1, 2)) * t).sum()
    t += 1
loss.backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD201", "running state buffer updated in place with decay inside forward"): """
import torch, torch.nn as nn
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer('mem', torch.zeros(1, 3))
    def forward(self, x):
        h = torch.tanh(self.fc(x) * self.mem)
        self.mem.mul_(0.9).add_(h.detach().mean(0) * 0.1)
        return h
m = M()
m(torch.randn(2, 3)).sum().backward()  # raises RuntimeError: one of the variables needed for gradient
""",
    ("GRD203", "leaf through dict"): """
import torch
params = {'w': torch.ones(3, requires_grad=True)}
params['w'] += 1  # raises RuntimeError: a leaf Variable that requires grad is being
""",
}
RIGHT = {
    "masked_fill_ before softmax is fine": """
import torch, torch.nn as nn
class Att(nn.Module):
    def __init__(s, d):
        super().__init__()
        s.q = nn.Linear(d, d); s.k = nn.Linear(d, d)
    def forward(s, x, mask):
        scores = s.q(x) @ s.k(x).transpose(-1, -2)
        scores.masked_fill_(mask, -1e9)
        return torch.softmax(scores, dim=-1) @ x
m = Att(4)
out = m(torch.randn(2, 3, 4), torch.rand(2, 3, 3) > 0.9)
out.sum().backward()
""",
    "MAML style fast weights is fine": """
import torch
w = torch.randn(3, requires_grad=True)
x, y = torch.randn(10, 3), torch.randn(10)
fast = w
for i in range(3):
    loss = ((x @ fast) - y).pow(2).mean()
    g, = torch.autograd.grad(loss, fast, create_graph=True)
    fast = fast - 0.1 * g
((x @ fast) - y).pow(2).mean().backward()
""",
    "per-sample weights, reduced: fine": """
import torch, torch.nn as nn
net = nn.Linear(3, 2)
crit = nn.CrossEntropyLoss(reduction='none')
loss = crit(net(torch.randn(8, 3)), torch.randint(0, 2, (8,)))
(loss * torch.rand(8)).mean().backward()
""",
    "EMA with no grad decorator fine": """
import torch, torch.nn as nn, copy
net = nn.Linear(3, 1); ema = copy.deepcopy(net)
@torch.no_grad()
def update():
    for pe, p in zip(ema.parameters(), net.parameters()):
        pe.mul_(0.9).add_(p, alpha=0.1)
update()
""",
    "GAN with retain_graph=True and both backward before the steps: fine": """
import torch, torch.nn as nn
G = nn.Linear(4, 2); D = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
g_opt = torch.optim.Adam(G.parameters()); d_opt = torch.optim.Adam(D.parameters())
bce = nn.BCELoss()
for _ in range(3):
    s = D(G(torch.randn(6, 4)))
    d_loss = bce(s, torch.zeros(6, 1)); g_loss = bce(s, torch.ones(6, 1))
    d_opt.zero_grad(); d_loss.backward(retain_graph=True)
    g_opt.zero_grad(); g_loss.backward()
    d_opt.step(); g_opt.step()
""",
    "TBPTT manual": """
import torch, torch.nn as nn
cell = nn.LSTMCell(2, 3); opt = torch.optim.SGD(cell.parameters(), lr=.1)
h, c = torch.zeros(1, 3), torch.zeros(1, 3)
loss = 0
for t in range(20):
    h, c = cell(torch.randn(1, 2), (h, c))
    loss = loss + h.pow(2).sum()
    if t % 5 == 4:
        opt.zero_grad(); loss.backward(); opt.step()
        h, c = h.detach(), c.detach()
        loss = 0
""",
    "PGD correct": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
x, y = torch.rand(2, 3, 2, 2), torch.tensor([0, 1])
adv = x.clone().detach()
for _ in range(3):
    adv.requires_grad_(True)
    loss = nn.functional.cross_entropy(net(adv), y)
    grad = torch.autograd.grad(loss, adv)[0]
    adv = adv.detach() + 0.01 * grad.sign()
    adv = torch.clamp(adv, 0, 1)
""",
    "residual add inplace with relu": """
import torch, torch.nn as nn
class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(3, 3, 3, padding=1)
        self.c2 = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
    def forward(self, x):
        r = x
        y = self.relu(self.c1(x))
        y = self.c2(y)
        y += r
        return self.relu(y)
net = nn.Sequential(B(), B())
net(torch.randn(1, 3, 5, 5)).mean().backward()
""",
    "tensor hook keeps": """
import torch
x = torch.ones(3, requires_grad=True)
h = x * 2
seen = []
h.register_hook(lambda g: seen.append(g))
h.register_hook(lambda g: g * 2)
h.sum().backward()
""",
    "summed: fine": """
import torch, torch.nn as nn
enc = nn.Sequential(nn.Linear(3, 4), nn.ReLU()); heads = nn.ModuleList(nn.Linear(4, 1) for _ in range(3))
opt = torch.optim.Adam([*enc.parameters(), *heads.parameters()])
z = enc(torch.randn(5, 3))
sum(head(z).mean() for head in heads).backward()
opt.step()
""",
    "python counter fine": """
import torch, torch.nn as nn
lin = nn.Linear(2, 2)
t = 0
loss = 0
for i in range(3):
    loss = loss + (lin(torch.randn(1, 2)) * t).sum()
    t += 1
loss.backward()
""",
    "grad with create_graph then backward ok": """
import torch
x = torch.randn(3, requires_grad=True)
y = (x ** 3).sum()
g1, = torch.autograd.grad(y, x, create_graph=True)
(y + g1.pow(2).sum()).backward()
""",
    "an expanded tensor that is copied into itself": """
import torch
row = torch.zeros(1, 3).expand(4, 3)
row.copy_(row)
""",
}


@pytest.mark.parametrize(("code", "title"), WRONG, ids=lambda value: value)
def test_is_an_error(code: str, title: str) -> None:
    check_error(code, WRONG[code, title])


@pytest.mark.parametrize("title", RIGHT)
def test_is_right(title: str) -> None:
    check_right(RIGHT[title])


@pytest.mark.parametrize(("writes", "found"), [("x.add_(1)", 1), ("if flag:\n    x.add_(1)", 0)])
def test_a_whole_that_is_written_behind_its_views(writes: str, found: int) -> None:
    made = "x = torch.randn(4, 3, requires_grad=True) * 2\nfirst, second, *_ = x.unbind(0)"
    snippet = f"{made}\n{writes}\ndouble = first * 2\n"
    assert [severity for severity, _ in reported("GRD204", snippet)] == ["error"] * found


def test_a_view_that_two_branches_write() -> None:
    snippet = """
    x = torch.randn(4, 3, requires_grad=True) * 2
    for row in x:
        if flag:
            row /= row.norm()
        else:
            row *= row.norm()
    """
    assert ("error", "row /= row.norm()") in reported("GRD204", snippet)
