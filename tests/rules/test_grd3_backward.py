"""What backward and `.grad` are asked for, in programs of several shapes, each run on PyTorch."""

from __future__ import annotations

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.rules.reported import check_error, check_right, reported

WRONG = {
    ("GRD301", "backward twice through a model that nobody knows"): """
import torch
def train(model, data, rounds):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(rounds):
        ratio = torch.exp(model(data["inputs"]) - data["before"])
        loss = -torch.min(ratio * data["advantage"], torch.clamp(ratio, 0.8, 1.2) * data["advantage"]).mean()
        optimizer.zero_grad()
        loss.backward()
        loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
        optimizer.step()
made = vars(torch.nn)["Linear"](3, 1)
train(made, {name: torch.randn(8, size) for name, size in [("inputs", 3), ("before", 1), ("advantage", 1)]}, 3)
""",
    ("GRD301", "a backward every few steps, no detach"): """
import sys
import torch, torch.nn as nn
cell, head = nn.GRUCell(3, 3), nn.Linear(3, 1)
def train(data):
    h = torch.zeros(2, 3)
    loss = 0
    for step, x in enumerate(data):
        h = cell(x, h)
        loss = head(h).mean() if step % 2 == 0 else loss + head(h).mean()
        if (step + 1) % 2 == 0:
            loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
train(torch.randn(3 + len(sys.argv) * 3, 2, 3))
""",
    ("GRD308", "one of the outputs has no graph"): """
import torch
x = torch.ones(3, requires_grad=True)
target = torch.zeros(3)
torch.autograd.grad([x.sum(), target.sum()], x)  # raises RuntimeError: element 1 of tensors does not require grad
""",
    ("GRD807", "backward to what a reentrant checkpoint gives"): """
import torch
from torch.utils.checkpoint import checkpoint
x = torch.ones(3, requires_grad=True)
y = checkpoint(torch.tanh, x, use_reentrant=True)
y.sum().backward(inputs=[y])  # raises RuntimeError: When use_reentrant=True, torch.utils.checkpoint is incompatible
""",
    ("GRD203", "a leaf that setup_context marks as dirty"): """
import torch
class Double(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.mul_(2)
    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_dirty(*inputs)
    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2
x = torch.ones(3, requires_grad=True)
Double.apply(x * 1)
Double.apply(x)  # raises RuntimeError: a leaf Variable that requires grad has been used in an in-place operation
""",
    ("GRD301", "hidden state stored in self, no detach"): """
import torch, torch.nn as nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 5, batch_first=True)
        self.out = nn.Linear(5, 1)
        self.h = None
    def forward(self, x):
        y, self.h = self.rnn(x, self.h)
        return self.out(y[:, -1])
net = Net()
opt = torch.optim.Adam(net.parameters())
for step in range(3):
    x, t = torch.randn(4, 6, 3), torch.randn(4, 1)
    loss = nn.functional.mse_loss(net(x), t)
    opt.zero_grad()
    loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
    opt.step()
""",
    ("GRD301", "actor critic two losses share trunk"): """
import torch, torch.nn as nn
trunk = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
pi, v = nn.Linear(8, 2), nn.Linear(8, 1)
o1 = torch.optim.Adam([*trunk.parameters(), *pi.parameters()])
o2 = torch.optim.Adam([*trunk.parameters(), *v.parameters()])
for _ in range(2):
    feats = trunk(torch.randn(5, 4))
    logp = torch.log_softmax(pi(feats), -1)[:, 0]
    adv = torch.randn(5)
    actor_loss = -(logp * adv).mean()
    critic_loss = (v(feats).squeeze() - adv).pow(2).mean()
    o1.zero_grad(); actor_loss.backward(); o1.step()
    o2.zero_grad()
    critic_loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
    o2.step()
""",
    ("GRD306", "manual SGD rebinding list elements"): """
import torch
params = [torch.randn(3, requires_grad=True), torch.zeros(1, requires_grad=True)]
x, y = torch.randn(10, 3), torch.randn(10)
for epoch in range(5):
    loss = ((x @ params[0] + params[1]) - y).pow(2).mean()
    loss.backward()
    for i in range(2):
        params[i] = params[i] - 0.1 * params[i].grad  # raises TypeError: unsupported operand
""",
    ("GRD307", "numpy of prediction"): """
import torch, numpy as np
net = torch.nn.Linear(2, 1)
def evaluate(net, xs):
    preds = []
    for x in xs:
        preds.append(net(x).numpy())  # raises RuntimeError: Can't call
    return np.concatenate(preds)
evaluate(net, torch.randn(3, 4, 2))
""",
    ("GRD307", "matplotlib-free numpy via loss list"): """
import torch, numpy as np
net = torch.nn.Linear(2, 1)
hist = {"loss": []}
for _ in range(3):
    l = net(torch.randn(4, 2)).mean()
    l.backward()
    hist["loss"].append(l)
arr = np.asarray(hist["loss"])  # raises RuntimeError: Can't call
""",
    ("GRD301", "loss accumulated over epochs"): """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=.1)
total = 0
for k in range(3):
    total += net(torch.randn(8, 3)).pow(2).mean()
    opt.zero_grad()
    total.backward()  # raises RuntimeError: Trying to backward through the graph a second
    opt.step()
""",
    ("GRD301", "precomputed regularizer outside of the loop"): """
import torch, torch.nn as nn
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=.1)
reg = sum(p.pow(2).sum() for p in net.parameters())
for k in range(3):
    loss = net(torch.randn(8, 3)).pow(2).mean() + 0.1 * reg
    opt.zero_grad()
    loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
    opt.step()
""",
    ("GRD301", "embedding computed once"): """
import torch, torch.nn as nn
emb = nn.Embedding(10, 4); head = nn.Linear(4, 2)
opt = torch.optim.Adam([*emb.parameters(), *head.parameters()])
table = emb(torch.arange(10))
for epoch in range(2):
    for i in range(3):
        logits = head(table[i:i + 2])
        loss = nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
        opt.zero_grad()
        loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
        opt.step()
""",
    ("GRD305", "requires_grad False on output"): """
import torch, torch.nn as nn
teacher, student = nn.Linear(3, 2), nn.Linear(3, 2)
x = torch.randn(4, 3)
t = teacher(x)
t.requires_grad = False  # raises RuntimeError: you can only change requires_grad flags of leaf
(student(x) - t).pow(2).mean().backward()
""",
    ("GRD310", "deepcopy after forward with stored feature"): """
import copy, torch, torch.nn as nn
class F(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.features = []
    def forward(self, x):
        y = self.conv(x)
        self.features.append(y)
        return y.mean()
f = F()
f(torch.randn(1, 1, 5, 5)).backward()
best = copy.deepcopy(f)  # raises RuntimeError: Only Tensors created explicitly by the user
""",
    ("GRD304", "integer literal weights in a class"): """
import torch, torch.nn as nn
class Poly(nn.Module):
    def __init__(self):
        super().__init__()
        self.coef = nn.Parameter(torch.tensor([1, 2, 3]))  # raises RuntimeError: Only Tensors
p = Poly()
""",
    ("GRD302", "cross_entropy reduction none backward"): """
import torch, torch.nn as nn
net = nn.Linear(3, 2)
crit = nn.CrossEntropyLoss(reduction='none')
loss = crit(net(torch.randn(8, 3)), torch.randint(0, 2, (8,)))
loss.backward()  # raises RuntimeError: grad can be implicitly created
""",
    ("GRD303", "backward on item"): """
import torch, torch.nn as nn
net = nn.Linear(3, 1)
def criterion(o, t):
    return ((o - t) ** 2).mean().item()
loss = criterion(net(torch.randn(4, 3)), torch.zeros(4, 1))
loss.backward()  # raises AttributeError: 'float' object has no attribute 'backward'
""",
    ("GRD303", "backward on what a recurrent layer gives, in a branch"): """
import sys, torch, torch.nn as nn
def step():
    out = nn.LSTM(2, 3)(torch.randn(1, 1, 2))
    out.backward()  # raises AttributeError: 'tuple' object has no attribute 'backward'
if len(sys.argv) < 99:
    step()
""",
    ("GRD301", "dataloader + custom training class"): """
import torch, torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset
class Trainer:
    def __init__(self, model, lr=1e-2):
        self.model = model
        self.opt = torch.optim.SGD(model.parameters(), lr=lr)
        self.state = None
    def step(self, x, y):
        out, self.state = self.model(x, self.state)
        loss = nn.functional.mse_loss(out, y)
        self.opt.zero_grad()
        loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
        self.opt.step()
        return loss.item()
    def fit(self, loader, epochs):
        for e in range(epochs):
            for x, y in loader:
                self.step(x, y)
class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(2, 4, batch_first=True); self.fc = nn.Linear(4, 1)
    def forward(self, x, s):
        y, s = self.cell(x, s)
        return self.fc(y[:, -1]), s
loader = DataLoader(TensorDataset(torch.randn(8, 5, 2), torch.randn(8, 1)), batch_size=4)
Trainer(Rnn()).fit(loader, 2)
""",
    ("GRD301", "GAN class with a generate once"): """
import torch, torch.nn as nn
from torch.utils.data import DataLoader
G = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
D = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
g_opt = torch.optim.Adam(G.parameters()); d_opt = torch.optim.Adam(D.parameters())
bce = nn.BCELoss()
for real in DataLoader(torch.randn(16, 2), batch_size=8):
    n = real.size(0)
    ones, zeros = torch.ones(n, 1), torch.zeros(n, 1)
    fake = G(torch.randn(n, 4))
    d_loss = bce(D(real), ones) + bce(D(fake), zeros)
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()
    g_loss = bce(D(fake), ones)
    g_opt.zero_grad()
    g_loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
    g_opt.step()
""",
    ("GRD301", "TBPTT forgetting c"): """
import torch, torch.nn as nn
cell = nn.LSTMCell(2, 3); opt = torch.optim.SGD(cell.parameters(), lr=.1)
h, c = torch.zeros(1, 3), torch.zeros(1, 3)
for t in range(20):
    h, c = cell(torch.randn(1, 2), (h, c))
    loss = h.pow(2).sum()
    opt.zero_grad(); loss.backward(); opt.step()  # raises RuntimeError: Trying to backward through the graph a second
    h = h.detach()
""",
    ("GRD301", "policy gradient with saved log probs never cleared"): """
import torch, torch.nn as nn
from torch.distributions import Categorical
class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        self.log_probs, self.rewards = [], []
    def forward(self, x): return torch.softmax(self.l(x), -1)
p = Policy(); opt = torch.optim.Adam(p.parameters())
def finish():
    R = 0; returns = []
    for r in p.rewards[::-1]:
        R = r + 0.9 * R; returns.insert(0, R)
    loss = torch.cat([-lp * r for lp, r in zip(p.log_probs, returns)]).sum()
    opt.zero_grad(); loss.backward(); opt.step()  # raises RuntimeError: Trying to backward through the graph a second
    del p.rewards[:]
for ep in range(3):
    for t in range(4):
        d = Categorical(p(torch.randn(1, 4))); a = d.sample()
        p.log_probs.append(d.log_prob(a)); p.rewards.append(1.0)
    finish()
""",
    ("GRD306", "FGSM: grad read from the wrong tensor"): """
import torch, torch.nn as nn
net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
def fgsm(img, y, eps=0.1):
    img.requires_grad_()
    norm = (img - 0.5) / 0.5
    nn.functional.cross_entropy(net(norm), y).backward()
    return norm + eps * norm.grad.sign()  # raises AttributeError: 'NoneType' object has no attribute 'sign'
fgsm(torch.rand(2, 3, 2, 2), torch.tensor([0, 1]))
""",
    ("GRD301", "PGD loop"): """
import torch, torch.nn as nn
net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
x, y = torch.rand(2, 3, 2, 2), torch.tensor([0, 1])
adv = x.clone().detach().requires_grad_(True)
for _ in range(3):
    loss = nn.functional.cross_entropy(net(adv), y)
    loss.backward()
    adv = adv + 0.01 * adv.grad.sign()  # raises AttributeError: 'NoneType' object has no attribute 'sign'
    adv = torch.clamp(adv, 0, 1)
""",
    ("GRD308", "autograd.grad unused: latent detached copy"): """
import torch, torch.nn as nn
G, f = nn.Linear(2, 3), nn.Linear(3, 1)
z = torch.randn(4, 2, requires_grad=True)
img = G(z)
score = f(img.detach()).sum()
torch.autograd.grad(score, img)  # raises RuntimeError: The differentiated Tensor at index 0 appears to
""",
    ("GRD311", "zero_grad then use grads"): """
import torch, torch.nn as nn
net = nn.Linear(3, 1); opt = torch.optim.SGD(net.parameters(), lr=.1)
net(torch.randn(2, 3)).sum().backward()
opt.step(); opt.zero_grad()
print(net.weight.grad.abs().mean())  # raises AttributeError: 'NoneType' object has no attribute 'abs'
""",
    ("GRD301", "LBFGS closure with graph outside"): """
import torch
x = torch.randn(3, requires_grad=True)
opt = torch.optim.LBFGS([x])
y = (x * x).exp()
def closure():
    opt.zero_grad()
    loss = (y - 1).pow(2).sum()
    loss.backward()  # raises RuntimeError: Trying to backward through the graph a second
    return loss
for _ in range(2):
    opt.step(closure)
""",
    ("GRD301", "list of losses each backward, shared encoder"): """
import torch, torch.nn as nn
enc = nn.Sequential(nn.Linear(3, 4), nn.ReLU()); heads = nn.ModuleList(nn.Linear(4, 1) for _ in range(3))
opt = torch.optim.Adam([*enc.parameters(), *heads.parameters()])
z = enc(torch.randn(5, 3))
for head in heads:
    head(z).mean().backward()  # raises RuntimeError: Trying to backward through the graph a second
opt.step()
""",
    ("GRD301", "buffer keeps graph across iterations"): """
import torch, torch.nn as nn
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer('mem', torch.zeros(1, 3))
    def forward(self, x):
        h = torch.tanh(self.fc(x) + self.mem)
        self.mem = 0.9 * self.mem + 0.1 * h.mean(0, keepdim=True)
        return h
m = M()
for _ in range(3):
    m(torch.randn(2, 3)).sum().backward()  # raises RuntimeError: Trying to backward through the graph a second
""",
    ("GRD301", "target network stays attached"): """
import torch, torch.nn as nn, copy
q = nn.Linear(3, 2); opt = torch.optim.SGD(q.parameters(), lr=.1)
target = q
values = q(torch.randn(4, 3)).max(1)[0]
for _ in range(2):
    loss = (q(torch.randn(4, 3)).max(1)[0] - values).pow(2).mean()
    opt.zero_grad(); loss.backward(); opt.step()  # raises RuntimeError: Trying to backward through the graph a second
""",
    ("GRD301", "advantage from the value graph reused per epoch (PPO)"): """
import torch, torch.nn as nn
pi, v = nn.Linear(3, 2), nn.Linear(3, 1)
opt = torch.optim.Adam([*pi.parameters(), *v.parameters()])
s = torch.randn(8, 3)
adv = torch.randn(8) - v(s).squeeze(-1)
for _ in range(3):
    logp = torch.log_softmax(pi(s), 1)[:, 0]
    loss = -(logp * adv).mean() + adv.pow(2).mean()
    opt.zero_grad(); loss.backward(); opt.step()  # raises RuntimeError: Trying to backward through the graph a second
""",
    ("GRD301", "PPO old log probs not detached"): """
import torch, torch.nn as nn
pi = nn.Linear(3, 2); opt = torch.optim.Adam(pi.parameters())
s, adv = torch.randn(8, 3), torch.randn(8)
old = torch.log_softmax(pi(s), 1)[:, 0]
for _ in range(3):
    ratio = (torch.log_softmax(pi(s), 1)[:, 0] - old).exp()
    loss = -(ratio * adv).mean()
    opt.zero_grad(); loss.backward(); opt.step()  # raises RuntimeError: Trying to backward through the graph a second
""",
    ("GRD301", "positional encoding param computed in init"): """
import torch, torch.nn as nn
class P(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.ones(3))
        self.w = torch.softmax(self.a, 0)
    def forward(self, x): return x * self.w
p = P(); opt = torch.optim.SGD(p.parameters(), lr=.1)
for _ in range(2):
    opt.zero_grad()
    p(torch.randn(3)).sum().backward()  # raises RuntimeError: Trying to backward through the graph a second
    opt.step()
""",
    ("GRD307", "detect numpy call via lambda"): """
import torch
net = torch.nn.Linear(2, 1)
to_np = lambda t: t.cpu().numpy()  # raises RuntimeError: Can't call
res = to_np(net(torch.randn(1, 2)))
""",
    ("GRD301", "double backward via two grads calls"): """
import torch
x = torch.randn(3, requires_grad=True)
y = (x ** 3).sum()
g1 = torch.autograd.grad(y, x)
g2 = torch.autograd.grad(y, x)  # raises RuntimeError: Trying to backward through the graph a second
""",
    ("GRD301", "grad then backward"): """
import torch
x = torch.randn(3, requires_grad=True)
y = (x ** 3).sum()
g1, = torch.autograd.grad(y, x)
(y + 1).backward()  # raises RuntimeError: Trying to backward through the graph a second
""",
    ("GRD307", "np.mean on list of tensors inside class"): """
import numpy as np, torch, torch.nn as nn
class Log:
    def __init__(self): self.vals = []
    def add(self, v): self.vals.append(v)
    def mean(self): return np.mean(self.vals)  # raises RuntimeError: Can't call
log = Log(); net = nn.Linear(2, 1)
for _ in range(2):
    loss = net(torch.randn(3, 2)).pow(2).mean(); loss.backward(); log.add(loss)
print(log.mean())
""",
    ("GRD302", "random sized loss sum not reduced"): """
import torch
x = torch.randn(4, 5, requires_grad=True)
loss = (x - torch.zeros(4, 5)).abs().sum(dim=1)
loss.backward()  # raises RuntimeError: grad can be implicitly created
""",
    ("GRD302", "norm per row not reduced"): """
import torch, torch.nn as nn
net = nn.Linear(3, 3)
out = net(torch.randn(6, 3))
torch.norm(out, dim=1).backward()  # raises RuntimeError: grad can be implicitly created
""",
    ("GRD302", "cosine similarity not reduced"): """
import torch, torch.nn as nn
net = nn.Linear(3, 3)
a, b = net(torch.randn(6, 3)), torch.randn(6, 3)
(1 - nn.functional.cosine_similarity(a, b)).backward()  # raises RuntimeError: grad can be implicitly created
""",
}
RIGHT = {
    "correct: repackaged hidden": """
import torch, torch.nn as nn
def repackage(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage(v) for v in h)
rnn = nn.LSTM(3, 5); out = nn.Linear(5, 3)
opt = torch.optim.SGD([*rnn.parameters(), *out.parameters()], lr=0.1)
h = (torch.zeros(1, 2, 5), torch.zeros(1, 2, 5))
for i in range(4):
    h = repackage(h)
    opt.zero_grad()
    y, h = rnn(torch.randn(7, 2, 3), h)
    loss = out(y).pow(2).mean()
    loss.backward()
    opt.step()
""",
    "cumulative buffer": """
import torch, torch.nn as nn
lin = nn.Linear(4, 4)
state = torch.zeros(1, 4)
outs = torch.zeros(5, 1, 4)
for t in range(5):
    state = torch.tanh(lin(state))
    outs[t] = state
outs.sum().backward()
""",
    "weight clamp after step is fine": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
opt = torch.optim.RMSprop(net.parameters())
for _ in range(3):
    loss = net(torch.randn(5, 3)).mean()
    opt.zero_grad(); loss.backward(); opt.step()
    for p in net.parameters():
        p.data.clamp_(-0.01, 0.01)
""",
    "the same, detached: fine": """
import torch, torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset
class Trainer:
    def __init__(self, model, lr=1e-2):
        self.model = model
        self.opt = torch.optim.SGD(model.parameters(), lr=lr)
        self.state = None
    def step(self, x, y):
        if self.state is not None:
            self.state = tuple(s.detach() for s in self.state)
        out, self.state = self.model(x, self.state)
        loss = nn.functional.mse_loss(out, y)
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        return loss.item()
    def fit(self, loader, epochs):
        for e in range(epochs):
            for x, y in loader:
                self.step(x, y)
class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(2, 4, batch_first=True); self.fc = nn.Linear(4, 1)
    def forward(self, x, s):
        y, s = self.cell(x, s)
        return self.fc(y[:, -1]), s
loader = DataLoader(TensorDataset(torch.randn(8, 5, 2), torch.randn(8, 1)), batch_size=4)
Trainer(Rnn()).fit(loader, 2)
""",
    "if inside loop, every 2nd step (works)": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)); opt = torch.optim.SGD(net.parameters(), lr=.1)
acc = 0
for i in range(6):
    acc = acc + net(torch.randn(2, 3)).mean()
    if (i + 1) % 2 == 0:
        opt.zero_grad(); acc.backward(); opt.step()
        acc = 0
""",
    "correct reinforce": """
import torch, torch.nn as nn
from torch.distributions import Categorical
class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        self.log_probs, self.rewards = [], []
    def forward(self, x): return torch.softmax(self.l(x), -1)
p = Policy(); opt = torch.optim.Adam(p.parameters())
def finish():
    R = 0; returns = []
    for r in p.rewards[::-1]:
        R = r + 0.9 * R; returns.insert(0, R)
    loss = torch.cat([-lp * r for lp, r in zip(p.log_probs, returns)]).sum()
    opt.zero_grad(); loss.backward(); opt.step()
    del p.rewards[:]
    del p.log_probs[:]
for ep in range(3):
    for t in range(4):
        d = Categorical(p(torch.randn(1, 4))); a = d.sample()
        p.log_probs.append(d.log_prob(a)); p.rewards.append(1.0)
    finish()
""",
    "custom function correct with needs_input_grad": """
import torch
class Lin(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b=None):
        ctx.save_for_backward(x, w, b)
        o = x @ w.t()
        if b is not None:
            o += b
        return o
    @staticmethod
    def backward(ctx, g):
        x, w, b = ctx.saved_tensors
        gx = gw = gb = None
        if ctx.needs_input_grad[0]:
            gx = g @ w
        if ctx.needs_input_grad[1]:
            gw = g.t() @ x
        if b is not None and ctx.needs_input_grad[2]:
            gb = g.sum(0)
        return gx, gw, gb
x, w = torch.randn(2, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
b = torch.zeros(4, requires_grad=True)
Lin.apply(x, w, b).sum().backward()
Lin.apply(x, w).sum().backward()
""",
    "forward hook is fine": """
import torch, torch.nn as nn
net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 2))
acts = {}
net[0].register_forward_hook(lambda m, i, o: acts.__setitem__('a', o.detach()))
net(torch.randn(1, 1, 5, 5)).sum().backward()
""",
    "hook factory": """
import torch
grads = {}
def save(name):
    def hook(g):
        grads[name] = g
    return hook
x = torch.ones(3, requires_grad=True)
h = x * 2
h.register_hook(save('h'))
h.sum().backward()
print(grads['h'])
""",
    "data normalisation in forward fine": """
import torch, torch.nn as nn
class N(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, 3))
    def forward(self, x):
        self.w.data /= self.w.data.norm()
        return x @ self.w
N()(torch.randn(2, 3)).sum().backward()
""",
    "the same but assigned anew: fine": """
import torch, torch.nn as nn
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.register_buffer('mem', torch.zeros(1, 3))
    def forward(self, x):
        h = torch.tanh(self.fc(x) * self.mem)
        self.mem = self.mem * 0.9 + h.detach().mean(0) * 0.1
        return h
m = M()
for _ in range(2):
    m(torch.randn(2, 3)).sum().backward()
""",
}


@pytest.mark.parametrize(("code", "title"), WRONG, ids=lambda value: value)
def test_is_an_error(code: str, title: str) -> None:
    check_error(code, WRONG[code, title])


@pytest.mark.parametrize("title", RIGHT)
def test_is_right(title: str) -> None:
    check_right(RIGHT[title])


@pytest.mark.parametrize("target", ["x", "x[:2]"])
def test_derivative_of_a_gradient_without_a_graph(target: str) -> None:
    """What is missing is the graph of the first gradient, wherever the second is taken."""
    program = f"""
import torch
x = torch.rand(3, requires_grad=True)
y = {target}
first = torch.autograd.grad(y.pow(3).sum(), y)[0]
second = torch.autograd.grad(first[0], y)[0]  # raises RuntimeError: does not require grad
"""
    check_error("GRD308", program)
    assert "with `create_graph=True`" in findings(analyze(Source.read(program)))[0].message
    check_right(program.replace("y)[0]\n", "y, create_graph=True)[0]\n").partition("  # raises")[0])


GIVEN_TO_MODEL = """
def attack(model, images, labels):
    {begin}
    for _ in range(3):
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        x = {update}
    return x
"""


@pytest.mark.parametrize(
    ("begin", "update", "found"),
    [
        ("x = images.clone().detach().requires_grad_(True)", "x + 0.1 * x.grad.sign()", ["information"]),
        ("images.requires_grad = True; x = images / 255", "images + x.grad.sign()", ["information"]),
        (
            "images.requires_grad = True; x = images / 255; x.retain_grad()",
            "(images + x.grad.sign()).detach().requires_grad_()",
            [],
        ),
        ("x = images.clone().detach().requires_grad_(True)", "(x + x.grad.sign()).detach().requires_grad_()", []),
        ("x = images / 255", "x + x.grad.sign()", []),
    ],
)
def test_gradient_of_a_result_that_a_model_was_given(begin: str, update: str, found: list[str]) -> None:
    snippet = GIVEN_TO_MODEL.format(begin=begin, update=update)
    assert [severity for severity, _ in reported("GRD306", snippet)] == found


NO_GRAPH = """
import torch
x = torch.randn(3, requires_grad=True)
hard = (x > 0).float()
torch.autograd.grad(hard.sum(), x, allow_unused=True)"""
ANOMALY = """
import torch
x = torch.randn(3, requires_grad=True)
with torch.autograd.detect_anomaly(), torch.autograd.graph.save_on_cpu():
    x.mul_(2)  # raises RuntimeError: a leaf Variable that requires grad is being used in an in-place operation
"""


def test_grad_of_what_has_no_graph_raises_with_allow_unused_too() -> None:
    check_error("GRD308", NO_GRAPH + "  # raises RuntimeError: element 0 of tensors does not require grad\n")
    check_right(NO_GRAPH.replace("(x > 0).float()", "x.sigmoid()"))


def test_blocks_that_look_for_anomalies_are_recorded() -> None:
    check_error("GRD203", ANOMALY)
