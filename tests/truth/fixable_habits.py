"""Programs as users write them, with a mistake that gradls offers to mend: each fix leaves one that trains."""

PROGRAMS = {
    "a number of the math module": """
import math
import torch

rate, level = torch.tensor(0.1, requires_grad=True), torch.tensor(0.2, requires_grad=True)
optimizer = torch.optim.SGD([rate, level], lr=0.1)
loss = (level * math.exp(-rate * 2) - torch.rand(3)).pow(2).mean()
loss.backward()
optimizer.step()
""",
    "ends of a linspace": """
import torch
from torch import nn


class Band(nn.Module):
    def __init__(self):
        super().__init__()
        self.low = nn.Parameter(torch.tensor(0.1))
        self.other = nn.Linear(8, 1)

    def forward(self):
        return self.other(torch.linspace(self.low.item(), 2.0, 8))


net = Band()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net().sum().backward()
optimizer.step()
""",
    "numbers that are kept and made a tensor of": """
import torch

net = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
kept = []
for _ in range(3):
    kept.append(net(torch.randn(4, 3)).mean().item())
loss = torch.tensor(kept, requires_grad=True).sum()
loss.backward()
optimizer.step()
""",
    "a list of numbers that is a tensor again at once": """
import torch

net, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.1)
head(torch.tensor(net(torch.randn(2, 3)).tolist())).sum().backward()
optimizer.step()
""",
    "the diagonal of a matrix": """
import torch

w = torch.randn(3, 3, requires_grad=True)
near = torch.exp(w @ w.t())
near.fill_diagonal_(0)
near.sum().backward()
""",
    "zeros in place": """
import torch

w = torch.randn(3, requires_grad=True)
near = torch.exp(w)
far = near * 2
near.zero_()
(near + far).sum().backward()
""",
    "weights that are bound anew": """
import torch

w, b = torch.randn(3, requires_grad=True), torch.zeros(1, requires_grad=True)
for _ in range(3):
    (torch.randn(8, 3) @ w + b).pow(2).mean().backward()
    w = w - 0.1 * w.grad
    b = b - 0.1 * b.grad
""",
    "weights that are bound anew without gradients": """
import torch

w, b = torch.randn(3, requires_grad=True), torch.zeros(1, requires_grad=True)
for _ in range(3):
    (torch.randn(8, 3) @ w + b).pow(2).mean().backward()
    with torch.no_grad():
        w = w - 0.1 * w.grad
        b = b - 0.1 * b.grad
""",
    "updates side by side": """
import torch

w, b = torch.randn(3, requires_grad=True), torch.zeros(1, requires_grad=True)
(torch.randn(8, 3) @ w + b).pow(2).mean().backward()
w -= 0.1 * w.grad
b -= 0.1 * b.grad
""",
    "a sum of losses in a leaf": """
import torch

net = torch.nn.Linear(3, 1)
total = torch.zeros(1, requires_grad=True)
for _ in range(2):
    total += net(torch.randn(4, 3)).mean()
total.sum().backward()
""",
    "a decorated forward": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(3, 4), nn.Linear(4, 1)

    @torch.no_grad()
    def encode(self, x):
        return self.encoder(x)

    def forward(self, x):
        return self.head(self.encode(x))


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.randn(2, 3)).sum().backward()
optimizer.step()
""",
    "two statements without gradients": """
import torch
from torch import nn

encoder, head = nn.Linear(3, 4), nn.Linear(4, 1)
optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
with torch.no_grad():
    hidden = encoder(torch.randn(2, 3))
    hidden = hidden.relu()
    scaled = hidden * 2
head(scaled).sum().backward()
optimizer.step()
""",
    "an optimizer that calls its closure": """
import torch


class Plain(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad, alpha=-0.1)
        return loss


net = torch.nn.Linear(3, 1)
optimizer = Plain(net.parameters())


def closure():
    optimizer.zero_grad()
    loss = net(torch.randn(4, 3)).pow(2).mean()
    loss.backward()
    return loss


optimizer.step(closure)
""",
    "a validation that leaves gradients off": """
import torch

net = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)


def validate():
    torch.set_grad_enabled(False)
    return net(torch.randn(4, 3)).mean().item()


for _ in range(2):
    loss = net(torch.randn(4, 3)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    validate()
""",
    "a state that a loop carries": """
import torch

net = torch.nn.GRU(3, 4, batch_first=True)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
hidden = torch.zeros(1, 2, 4)
for _ in range(3):
    out, hidden = net(torch.randn(2, 5, 3), hidden)
    optimizer.zero_grad()
    out.pow(2).mean().backward()
    optimizer.step()
""",
    "a state that a module carries": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, batch_first=True)
        self.state = None

    def forward(self, x):
        out, self.state = self.rnn(x, self.state)
        return out


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(2, 5, 3)).pow(2).mean().backward()
    optimizer.step()
""",
    "what was predicted before": """
import torch


class Trainer:
    def __init__(self):
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
        self.last = None

    def step(self, x):
        out = self.net(x)
        loss = out.pow(2).mean()
        if self.last is not None:
            loss = loss + (out - self.last).pow(2).mean()
        loss.backward()
        self.last = out


trainer = Trainer()
for _ in range(3):
    trainer.step(torch.randn(2, 3))
""",
    "a mean that is carried on": """
import torch
from torch import nn


class Centre(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        x = self.layer(x).tanh()
        self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


net = Centre()
for _ in range(3):
    net(torch.randn(2, 3)).pow(2).mean().backward()
""",
    "a sum that is differentiated": """
import torch

net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
total = 0
for _ in range(3):
    optimizer.zero_grad()
    loss = net(torch.randn(2, 3)).pow(2).mean()
    total += loss
    total.backward()
    optimizer.step()
""",
    "a scale that is computed before the loop": """
import torch

raw = torch.nn.Parameter(torch.zeros(2))
scale = torch.softmax(raw, 0)
doubled = scale * 2
optimizer = torch.optim.SGD([raw], lr=0.1)
for _ in range(3):
    for _ in range(2):
        loss = (doubled * torch.randn(2)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
""",
    "a forward outside of the closure": """
import torch

net = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh())
optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
for _ in range(2):
    out = net(torch.randn(8, 1))

    def closure():
        optimizer.zero_grad()
        loss = out.pow(2).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
""",
    "a rotation that is computed in init": """
import torch
from torch import nn


class Camera(nn.Module):
    def __init__(self):
        super().__init__()
        self.position = nn.Parameter(torch.randn(3))
        self.unit = torch.tanh(self.position)

    def forward(self, x):
        return x @ self.unit


camera = Camera()
optimizer = torch.optim.SGD(camera.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    camera(torch.randn(4, 3)).pow(2).mean().backward()
    optimizer.step()
""",
    "probabilities of before": """
import torch

policy = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LogSoftmax(dim=1))
optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
states = torch.randn(8, 3)
before = policy(states)
for _ in range(3):
    loss = (policy(states) - before).exp().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    "an activation of which the gradient is read": """
import torch

body, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)


def weights(x):
    hidden = body(x).relu()
    head(hidden).sum().backward()
    return hidden.grad.mean(0)


weights(torch.randn(2, 3))
""",
    "roots and logarithms at zero": """
import torch


def length(x):
    return torch.sqrt((x**2).sum(1))


def entropy(x):
    probs = torch.softmax(x, dim=1)
    return -(probs * torch.log(probs)).sum()


x = torch.zeros(2, 3, requires_grad=True)
(length(x).sum() + entropy(x)).backward()
""",
    "a root behind a where": """
import torch

x = torch.tensor([0.0, 4.0], requires_grad=True)
torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x)).sum().backward()
""",
    "rounded weights": """
import torch

w = torch.randn(3, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
(torch.round(w / 0.1) * 0.1 - 1).pow(2).mean().backward()
optimizer.step()
""",
    "a difference that cancels itself": """
import torch

gate = torch.nn.Linear(3, 4)
optimizer = torch.optim.SGD(gate.parameters(), lr=0.1)
soft = gate(torch.randn(2, 3)).softmax(-1)
hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
(hard - soft + soft).pow(2).mul(torch.arange(4)).sum().backward()
optimizer.step()
""",
    "one of several classes drawn": """
import torch

net = torch.nn.Linear(3, 4)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
dist = torch.distributions.OneHotCategorical(logits=net(torch.randn(2, 3)))
dist.sample().mul(torch.arange(4.0)).sum().backward()
""",
    "a second gradient": """
import torch

x = torch.randn(3, requires_grad=True)
(first,) = torch.autograd.grad(x.pow(3).sum(), x)
(second,) = torch.autograd.grad(first.sum(), x)
""",
    "points that do not require grad": """
import torch

net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
x, t = torch.rand(8, 1), torch.rand(8, 1)
u = net(torch.cat([x, t], 1)).sum()
(of_x,) = torch.autograd.grad(u, x, create_graph=True)
(of_t,) = torch.autograd.grad(u, t, create_graph=True)
""",
    "guidance without gradients": """
import torch

classifier = torch.nn.Linear(3, 2)


def guide(x):
    x = x.detach().requires_grad_()
    score = classifier(x).log_softmax(-1)[:, 0].sum()
    return torch.autograd.grad(score, x)[0]


@torch.no_grad()
def sample(x):
    return x + guide(x)


sample(torch.randn(2, 3))
""",
    "log-probabilities that are none": """
import torch
import torch.nn.functional as F

net = torch.nn.Linear(3, 4)
probs = F.softmax(net(torch.randn(8, 3)), dim=1)
F.nll_loss(probs, torch.randint(0, 4, (8,))).backward()
""",
    "a column of predictions": """
import torch

net, criterion = torch.nn.Linear(3, 1), torch.nn.MSELoss()
x, y = torch.randn(8, 3), torch.randn(8)
criterion(net(x), y).backward()
""",
    "classes along the batch": """
import torch
import torch.nn.functional as F

net = torch.nn.Linear(3, 4)
F.nll_loss(F.log_softmax(net(torch.randn(8, 3)), dim=0), torch.randint(0, 4, (8,))).backward()
""",
    "layers that are one": """
import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.Linear(4, 4)
        self.layers = nn.ModuleList([layer] * 3)
        self.heads = nn.ModuleList([nn.Linear(4, 1)] * 2)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).tanh()
        return sum(head(x) for head in self.heads)


Stack()(torch.randn(2, 4)).sum().backward()
""",
    "heads under names with a dot": """
import torch
from torch import nn


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.heads = {str(q): nn.Linear(3, 1) for q in (0.1, 0.9)}

    def forward(self, x):
        return sum(head(x) for head in self.heads.values())


net = Heads()
net(torch.randn(2, 3)).sum().backward()
print(list(net.parameters()))
""",
    "layers in lists in a list": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = []
        for _ in range(2):
            self.blocks.append([nn.Linear(3, 3), nn.Tanh()])

    def forward(self, x):
        for linear, act in self.blocks:
            x = act(linear(x))
        return x


net = Net()
net(torch.randn(2, 3)).sum().backward()
print(list(net.parameters()))
""",
    "a layer made in forward": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size
        self.first = nn.Linear(3, size)

    def forward(self, x):
        return nn.Linear(self.size, 1)(self.first(x))


net = Net(4)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.randn(2, 3)).sum().backward()
optimizer.step()
""",
    "attributes that are no parameters": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(3)) * 0.1
        self.shift = torch.zeros(3, requires_grad=True)

    def forward(self, x):
        return self.layer(x) * self.scale + self.shift


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.randn(2, 3)).pow(2).sum().backward()
optimizer.step()
""",
    "a weight that is clamped": """
import torch

layer = torch.nn.Linear(3, 1)
layer.weight = layer.weight.clamp(min=0)
layer.bias = torch.zeros(1)
for x in torch.randn(2, 2, 3):
    layer(x).sum().backward()
""",
    "a call of the base class that comes late": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        self.layer = nn.Linear(3, 1)
        super().__init__()


Net()
""",
    "parameters that were counted first": """
import itertools
import torch

one, other = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
parameters = itertools.chain(one.parameters(), other.parameters())
print(sum(p.numel() for p in parameters))
optimizer = torch.optim.SGD(parameters, lr=0.1)
""",
    "a product that is optimized": """
import torch

scale = torch.ones(1, requires_grad=True) * 0.2
optimizer = torch.optim.SGD([scale], lr=0.1)
(scale.exp() * torch.randn(3)).sum().backward()
optimizer.step()
""",
    "sparse gradients": """
import torch

embedding = torch.nn.Embedding(10, 3, sparse=True)
optimizer = torch.optim.Adam(embedding.parameters())
embedding(torch.tensor([1, 2])).sum().backward()
optimizer.step()
""",
    "arrays on the way": """
import numpy as np
import torch

encoder, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
hidden = encoder(torch.randn(2, 3)).detach().cpu().numpy()
features = np.exp(hidden) + np.tanh(hidden)
head(torch.from_numpy(features)).sum().backward()
optimizer.step()
""",
    "scores that are masked in place": """
import torch

layer = torch.nn.Linear(3, 3)
adjacent = torch.eye(3)
scores = layer(torch.randn(3, 3)).softmax(-1)
scores[adjacent == 0] = 0.0
scores.pow(2).sum().backward()
""",
    "rows that a loop fills": """
import torch

w = torch.randn(2, 2, requires_grad=True)
states = torch.zeros(4, 2)
states[0] = w[0]
for t in range(1, 4):
    last = states[t - 1]
    states[t] = torch.tanh(last @ w) * last
states.sum().backward()
""",
    "a patch that is clamped": """
import torch

patch = torch.rand(3, requires_grad=True)
optimizer = torch.optim.SGD([patch], lr=0.1)
for _ in range(3):
    loss = patch.exp().sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    patch = torch.clamp(patch, 0, 1)
""",
    "spikes": """
import torch

first, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD([*first.parameters(), *head.parameters()], lr=0.1)
total, state = 0, torch.zeros(2, 4)
for _ in range(3):
    state = 0.9 * state + first(torch.randn(2, 3))
    spikes = (state > 1.0).float()
    state = state - spikes
    total = total + head(spikes)
total.sum().backward()
optimizer.step()
""",
    "the place of the best value": """
import torch

net = torch.nn.Linear(3, 2)
best = net(torch.randn(4, 3)).max(1)[1].float()
(best - torch.randn(4)).pow(2).mean().backward()
""",
    "a rate that is set on the optimizer": """
import torch

net = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for epoch in range(2):
    optimizer.lr = 0.1 / (epoch + 1)
    optimizer.zero_grad()
    net(torch.randn(4, 3)).mean().backward()
    optimizer.step()
""",
    "a softmax of one": """
import torch
from torch import nn

net, softmax = nn.Linear(3, 1), nn.Softmax(dim=1)
nn.functional.binary_cross_entropy(softmax(net(torch.randn(4, 3))), torch.rand(4, 1)).backward()
""",
    "a norm that is overwritten": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.layer = nn.LayerNorm(3), nn.Linear(3, 1)

    def forward(self, x):
        out = self.norm(x)
        out = self.layer(x)
        return out


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.randn(4, 3)).sum().backward()
optimizer.step()
""",
    "layers that all get the input": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])

    def forward(self, x):
        for layer in self.layers:
            out = layer(x)
        return out


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.randn(4, 3)).sum().backward()
optimizer.step()
""",
    "the gradient of an input": """
import torch

net = torch.nn.Linear(3, 1)


def saliency(x):
    net(x).sum().backward()
    return x.grad.abs()


saliency(torch.randn(2, 3))
""",
    "the logarithm of a layer that is a softmax": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.softmax = nn.Linear(3, 4), nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.layer(x)).log()


Net()(torch.randn(2, 3)).sum().backward()
""",
    "a schedule in steps of an optimizer that steps now and then": """
import torch

model, every = torch.nn.Linear(3, 1), 4
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
data = [torch.randn(8, 3) for _ in range(8)]
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(data) // every)
for number, x in enumerate(data):
    (model(x).pow(2).mean() / every).backward()
    if (number + 1) % every == 0:
        optimizer.step()
        optimizer.zero_grad()
    scheduler.step()
""",
    "a part in evaluation mode that goes back with the whole": """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net[1].eval()
for _ in range(3):
    net.train()
    optimizer.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
""",
    "a loss under another name for its trainer": """
import lightning as L
import torch


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(3, 1)

    def training_step(self, batch, index):
        loss = self.net(batch).mean()
        return {'step_loss': loss, 'size': len(batch)}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


model = Model()
result = model.training_step(torch.ones(2, 3), 0)
print(sorted(result))
""",
    "a derivative of a residual that has no graph": """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for _ in range(2):
    x, t = torch.rand(8, 1, requires_grad=True), torch.rand(8, 1, requires_grad=True)
    u = net(torch.cat([x, t], 1))
    by_t = torch.autograd.grad(u.sum(), t, retain_graph=True)[0]
    by_x = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
    loss = (by_t + u * by_x).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    "entries of a state that a name is taken from": """
import torch

online, average = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
for mean, weight in zip(average.state_dict().values(), online.state_dict().values()):
    mean = weight.data
print(average(torch.ones(1, 3)))
""",
}
