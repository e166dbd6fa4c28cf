"""Programs with mistakes that gradls offers to mend, in other shapes than the rules' pages show."""

PROGRAMS = {
    "losses of several heads, in a method": """
import torch
from torch import nn


class Trainer:
    def __init__(self):
        self.heads = nn.ModuleList(nn.Linear(3, 1) for _ in range(2))

    def total(self, x):
        losses = []
        for head in self.heads:
            losses.append(head(x).pow(2).mean())
        return torch.tensor(losses).sum()


Trainer().total(torch.randn(4, 3)).backward()
""",
    "an activation that is kept to be looked at": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x):
        hidden = self.layer(x)
        self.hidden = hidden
        return hidden.relu()


net = Net()
net(torch.randn(8, 3)).sum().backward()
""",
    "two copies of lists in one statement": """
import torch as th

w = th.ones(3, requires_grad=True)
near = [w[0] * 2, w[1] * 3]
loss = th.tensor(near).sum() + th.tensor([w[2] * 4, w[0] * 5]).mean()
loss.backward()
""",
    "a copy within a copy": """
import torch

w = torch.ones(2, requires_grad=True)
loss = torch.tensor([torch.tensor([w[0], w[1]]).sum(), w[0] * 2]).sum()
loss.backward()
""",
    "a copy on a device, with a type": """
import torch

w = torch.ones(3, requires_grad=True)
parts = [w.sum(), w.prod()]
loss = torch.tensor(parts, dtype=torch.float64, device=w.device).mean()
loss.backward()
""",
    "a detached term": """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    out = model(torch.randn(5, 3)).detach()
    loss = out.pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "a loss as a number": """
import torch

model = torch.nn.Linear(3, 1)
loss = 0
for _ in range(3):
    loss += model(torch.randn(2, 3)).mean().item()
torch.tensor(loss, requires_grad=True).backward()
assert model.weight.grad is None
""",
    "a forward without gradients, in a method": """
import torch


class Learner:
    def __init__(self):
        self.model = torch.nn.Linear(3, 1)

    def loss(self, x):
        with torch.no_grad():
            out = self.model(x)  # the forward
        return out.pow(2).mean()


Learner().loss(torch.randn(2, 3)).backward()
""",
    "a frozen part": """
import torch

scale = torch.ones(1, requires_grad=False)
shift = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([scale, shift], lr=0.1)
(scale * torch.randn(4) + shift).pow(2).mean().backward()
optimizer.step()
assert scale.grad is None
""",
    "a penalty of a gradient": """
import torch
from torch import autograd, nn

critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def penalty(x):
    x = x.clone().requires_grad_(True)
    gradient, = autograd.grad(critic(x).sum(), x)
    return (gradient.norm(2, dim=1) - 1).pow(2).mean()


penalty(torch.randn(4, 3)).backward()
""",
    "a checkpoint of data": """
import torch
from torch.utils.checkpoint import checkpoint

stem, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
for _ in range(2):
    hidden = checkpoint(stem, torch.randn(2, 3), use_reentrant=True)
    head(hidden).sum().backward()
assert stem.weight.grad is None
""",
    "a checkpoint that does not say which": """
import torch
import torch.utils.checkpoint as cp


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.body = torch.nn.Linear(3, 4), torch.nn.Linear(4, 4)

    def forward(self, x):
        return cp.checkpoint(self.body, self.stem(x))


Net()(torch.randn(2, 3)).sum().backward()
""",
    "a gate changed after use": """
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        g = torch.sigmoid(self.linear(x))
        g += 0.1
        return g * x


Gate()(torch.randn(2, 3)).sum().backward()
""",
    "methods that write, one after the other": """
import torch

x = torch.randn(4, requires_grad=True)
y = x.exp()
y.mul_(2)
y.sum().backward()
""",
    "an activation in place": """
import torch
from torch import nn
import torch.nn.functional as F

conv = nn.Linear(3, 3)


def block(x):
    y = torch.sigmoid(conv(x))
    return F.relu(y, inplace=True)


block(torch.randn(2, 3)).sum().backward()
""",
    "layers in place": """
import torch
from torch import nn

net = nn.Sequential(
    nn.Linear(3, 4),
    nn.Sigmoid(),
    nn.LeakyReLU(0.1, inplace=True),
    nn.Linear(4, 1),
)
net(torch.randn(2, 3)).sum().backward()
""",
    "weights drawn in place": """
import torch


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(3, 3))
        self.weight.fill_(0.5)

    def forward(self, x):
        return x @ self.weight


Layer()(torch.randn(2, 3)).sum().backward()
""",
    "a step by hand": """
import torch

w = torch.zeros(3, requires_grad=True)
for _ in range(2):
    (w - 1).pow(2).sum().backward()
    w -= 0.1 * w.grad
    w.grad = None
""",
    "an item of a leaf": """
import torch

table = torch.randn(4, 3, requires_grad=True)
if True:
    table[0] = 0.0
table.sum().backward()
""",
    "an expanded tensor": """
import torch

row = torch.ones(1, 3).expand(4, 3)
row += 1
assert row.shape == (4, 3)
""",
    "a sum that grows": """
import torch

total = torch.zeros(3)
total += torch.randn(2, 3, requires_grad=True)
total.sum().backward()
""",
    "one graph, two backwards": """
import torch

model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
out = model(torch.randn(5, 3))
first, second = out[:, 0].pow(2).mean(), out[:, 1].pow(2).mean()
first.backward()
second.backward()
""",
    "a loss of several elements": """
import torch
from torch import nn

criterion = nn.MSELoss(reduction="none")
model = nn.Linear(3, 2)
criterion(model(torch.randn(4, 3)), torch.zeros(4, 2)).backward()
""",
    "a flag of a computed tensor": """
import torch

w = torch.ones(3, requires_grad=True)
h = w * 2
h.requires_grad = True
h.sum().backward()
""",
    "the only statement of a block": """
import torch

w = torch.ones(3, requires_grad=True)
h = w * 2
if h.sum() > 0:
    h.requires_grad = True
h.sum().backward()
""",
    "numpy, in a function and a print": """
import torch

model = torch.nn.Linear(3, 1)


def report(x):
    out = model(x)
    return {"mean": out.numpy().mean(), "all": [row for row in out.numpy()]}


report(torch.randn(2, 3))
""",
    "the target first": """
import torch
from torch import nn
import torch.nn.functional as F

model = nn.Linear(3, 5)
labels = torch.tensor([1, 4])
F.cross_entropy(labels, model(torch.randn(2, 3))).backward()
""",
    "the target first, by the criterion": """
import torch
from torch import nn


class Task:
    def __init__(self):
        self.model, self.criterion = nn.Linear(3, 5), nn.CrossEntropyLoss()

    def loss(self, x, labels):
        return self.criterion(
            labels,
            self.model(x),
        )


Task().loss(torch.randn(2, 3), torch.tensor([1, 4])).backward()
""",
    "a criterion that is called like a function": """
import torch
from torch import nn

model = nn.Linear(3, 1)
loss = nn.MSELoss(model(torch.randn(2, 3)), torch.zeros(2, 1))
loss.backward()
""",
    "softmax before cross entropy": """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(3, 5), nn.Softmax(dim=1))
nn.CrossEntropyLoss()(model(torch.randn(2, 3)), torch.tensor([1, 4])).backward()
""",
    "integers where numbers are due": """
import torch
from torch import nn

model = nn.Linear(3, 1)
target = torch.randint(0, 2, (4, 1))
nn.BCEWithLogitsLoss()(model(torch.randn(4, 3)), target).backward()
""",
    "layers in a list": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 3) for _ in range(2)]
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.head(x)


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.randn(2, 3)).sum().backward()
optimizer.step()
""",
    "a flag that nobody reads": """
import torch

model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
model[0].requires_grad = False
for parameter in model[1].parameters():
    parameter.require_grad = False
model(torch.randn(2, 3)).sum().backward()
""",
    "gradients that add up": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 2, 3):
    loss = model(x).pow(2).mean()
    loss.backward()
    optimizer.step()
""",
    "methods that are not called": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 2, 3):
    optimizer.zero_grad
    model(x).pow(2).mean().backward()
    optimizer.step
""",
    "losses that are kept": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
total, history = 0, []
for x in torch.randn(4, 2, 3):
    optimizer.zero_grad()
    loss = model(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    total += loss
    history.append(loss)
""",
    "a grad mode as a statement": """
import torch

model = torch.nn.Linear(3, 1)
torch.no_grad()
out = model(torch.randn(2, 3))
assert out.requires_grad
""",
    "a context that is not called": """
import torch

model = torch.nn.Linear(3, 1)
with torch.no_grad:
    out = model(torch.randn(2, 3))
""",
    "dropout in evaluation": """
import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 1)

    def forward(self, x):
        return self.fc(F.dropout(x, 0.5))


net = Net().eval()
net(torch.randn(2, 3))
""",
    "a function that is called like a module": """
import torch


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


x = torch.ones(3, requires_grad=True)
y = Double()(x)
""",
    "old names": """
import torch
from torch import nn
from torch.nn import init

layer = nn.Linear(3, 1)
init.xavier_uniform(layer.weight)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
layer(torch.randn(2, 3)).sum().backward()
nn.utils.clip_grad_norm(layer.parameters(), 1.0)
optimizer.step()
scheduler.step()
print("learning rate", scheduler.get_lr()[0])
""",
    "a sample that the loss goes through": """
import torch
from torch.distributions import Normal

mean = torch.zeros(3, requires_grad=True)
sample = Normal(mean, 1.0).sample()
sample.pow(2).sum().backward()
""",
    "a copy of a value": """
import torch

w = torch.ones(3, requires_grad=True)
h = torch.tensor(w.pow(2).sum(), requires_grad=True)
h.backward()
assert w.grad is None
""",
    "a reduction that does not exist": """
import torch
from torch import nn

criterion = nn.CrossEntropyLoss(reduction="summed")
criterion(nn.Linear(3, 5)(torch.randn(2, 3)), torch.tensor([1, 4])).backward()
""",
    "a rotation": """
import torch

angle = torch.tensor(0.1, requires_grad=True)
cos, sin = torch.cos(angle), torch.sin(angle)
rotation = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
(rotation @ torch.ones(2, dtype=torch.float64)).sum().backward()
""",
    "arrays that become tensors again": """
import torch
from torch import nn

model = nn.Linear(3, 1)
array = model(torch.randn(2, 3)).numpy()
loss = torch.from_numpy(array).pow(2).mean()
loss.backward()
""",
    "names of torch, and not torch": """
from torch import nn, ones, tensor

weight = nn.Parameter(ones(2))
weight.fill_(1.0)
loss = tensor([weight[0] * 2, weight[1] * 3]).sum()
loss.backward()
""",
    "torch in a function": """
import torch.nn as nn


def make():
    import torch as th

    layer = nn.Linear(3, 1)
    layer.weight.zero_()
    return th.ones(2, 3), layer


data, layer = make()
layer.bias.fill_(1.0)
layer(data).sum().backward()
""",
    "several targets": """
import torch

first, second = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)
first.requires_grad, rate = False, 0.1
h = first(torch.randn(4, 3))
second(h).sum().backward()
h.requires_grad = h.grad_fn is not None
""",
    "layers in place that are called for it": """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.act, self.last = nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Dropout(0.1, True)

    def forward(self, x):
        y = self.fc(x).sigmoid()
        self.act(y)
        return self.last(y)


Net()(torch.ones(2, 3)).sum().backward()
""",
    "a call that returns nothing": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 2, 3):
    optimizer = optimizer.zero_grad()
    model(x).pow(2).mean().backward()
    optimizer.step()
""",
    "an input that was meant to learn": """
import torch

noise = torch.zeros(1, 3, requires_grad=False)
for _ in range(2):
    loss = (noise - torch.ones(3)).pow(2).mean()
    loss.backward()
    noise.data -= 0.1 * noise.grad
""",
    "a module for its parameters": """
import torch
from torch import nn

optimizer = torch.optim.SGD(nn.Linear(3, 1), lr=0.1)
""",
    "a module by its keyword": """
import torch
from torch import nn

model = nn.Linear(3, 1)
optimizer = torch.optim.Adam(params=model, lr=0.1)
""",
    "safe fixes that meet in one statement": """
import torch
import torch.nn.functional as F

model = torch.nn.Linear(3, 5)
labels = torch.tensor([1, 4])
parts = model(torch.randn(2, 3))
torch.tensor([F.cross_entropy(labels, parts), parts.mean()]).sum().backward()
""",
}
