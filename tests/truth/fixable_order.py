"""Programs whose statements stand in the wrong order, or lack one, in other shapes than the rules' pages show."""

# Fixes that move, or are, whole statements.
OF_STATEMENTS = (
    *("Write ", "Move ", "Step once", "Clip right", "Decorate", "Use it as", "Put it under", "Make the optimizer"),
    *("Step with", "Scale the loss", "Assign it", "Load it", "Return it", "Add them up", "Update in each round"),
)

PROGRAMS = {
    "cleared behind two backwards": """
import torch

model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 8, 3):
    out = model(x)
    out[:, 0].mean().backward(retain_graph=True)
    out[:, 1].pow(2).mean().backward()
    # clear them
    optimizer.zero_grad()
    optimizer.step()  # learn
""",
    "accumulation that clears in each round": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
rounds = 2
for number, x in enumerate(torch.randn(4, 8, 3)):
    optimizer.zero_grad()
    loss = model(x).pow(2).mean() / rounds
    loss.backward()
    if (number + 1) % rounds == 0:
        optimizer.step()
""",
    "a return in the loop": """
import torch


def train(model, batches, optimizer):
    total = 0.0
    for x in batches:
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        total += loss.item()
        return total / len(batches)  # the mean


model = torch.nn.Linear(3, 1)
train(model, torch.randn(4, 8, 3), torch.optim.SGD(model.parameters(), lr=0.1))
""",
    "a step that comes first, in a method": """
import torch


class Trainer:
    def __init__(self):
        self.model = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def update(self, x):
        loss = self.model(x).pow(2).mean()
        self.optimizer.zero_grad()
        self.optimizer.step()
        loss.backward()
        return loss.item()


trainer = Trainer()
for _ in range(2):
    trainer.update(torch.randn(8, 3))
""",
    "an optimizer under another name that does not step": """
import torch


def train(model, head, first, second, x):
    first.zero_grad()
    second.zero_grad()
    loss = head(model(x)).pow(2).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
    first.step()
    return loss.item()


body, top = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
of_body = torch.optim.SGD(body.parameters(), lr=0.1)
of_top = torch.optim.SGD(top.parameters(), lr=0.1)
for _ in range(2):
    train(body, top, of_body, of_top, torch.randn(8, 3))
""",
    "clipped behind the step": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 8, 3):
    optimizer.zero_grad()
    model(x).pow(2).mean().backward()
    optimizer.step()
    torch.nn.utils.clip_grad_norm_(
        model.parameters(), 1.0,  # not too long
    )
""",
    "clipped before the backward": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(4, 8, 3):
    optimizer.zero_grad()
    loss = model(x).pow(2).mean()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    loss.backward()
    optimizer.step()
""",
    "rows masked behind the step": """
import torch

table = torch.nn.Embedding(5, 3)
optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    table(torch.tensor([0, 1, 4])).pow(2).sum().backward()
    optimizer.step()
    table.weight.grad[:2] = 0
""",
    "a schedule at the beginning of each epoch": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
for epoch in range(3):
    scheduler.step()
    for x in torch.randn(2, 8, 3):
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()
""",
    "a schedule that nobody steps": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=4)
for epoch in range(2):
    for x in torch.randn(2, 8, 3):
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()
""",
    "scaled gradients that are clipped": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
norms = []
for x in torch.randn(3, 8, 3):
    optimizer.zero_grad()
    scaler.scale(model(x).pow(2).mean()).backward()
    norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
    scaler.step(optimizer)
    scaler.update()
""",
    "a scaler that is not updated": """
import torch


def train(model, optimizer, scaler, batches):
    for x in batches:
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)


net = torch.nn.Linear(3, 1)
train(net, torch.optim.SGD(net.parameters(), lr=0.1), torch.amp.GradScaler("cpu"), torch.randn(3, 8, 3))
""",
    "a scaled loss that is thrown away": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
for x in torch.randn(3, 8, 3):
    optimizer.zero_grad()
    loss = model(x).pow(2).mean()
    scaler.scale(loss)
    loss.backward()
    scaler.step(optimizer)
    scaler.update()
""",
    "a plain step of scaled gradients": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
for x in torch.randn(3, 8, 3):
    optimizer.zero_grad()
    scaler.scale(model(x).pow(2).mean()).backward()
    optimizer.step()
""",
    "updates by hand under no_grad": """
import torch

w = torch.zeros(3, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for x in torch.randn(1, 8, 3):
    ((x @ w + b) - 1).pow(2).mean().backward()
    with torch.no_grad():
        w = w - 0.1 * w.grad
        b = b - 0.1 * b.grad
""",
    "weights clamped by another name": """
import torch

critic = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
for x in torch.randn(3, 8, 3):
    optimizer.zero_grad()
    critic(x).mean().backward()
    optimizer.step()
    for p in critic.parameters():
        p = torch.clamp(p, -0.1, 0.1)
""",
    "descent that clears nothing": """
import torch

w, b = torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True)
for x in torch.randn(4, 8, 3):
    loss = (x @ w + b - 1).pow(2).mean()
    loss.backward()
    for p in (w, b):
        p.data -= 0.1 * p.grad
""",
    "a closure that clears nothing": """
import torch


class Fit:
    def __init__(self):
        self.model = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.LBFGS(self.model.parameters(), lr=0.1)

    def run(self, x):
        def closure():
            loss = self.model(x).pow(2).mean()
            loss.backward()
            return loss

        self.optimizer.step(closure)


Fit().run(torch.randn(8, 3))
""",
    "two losses of one forward, a step between them": """
import torch

body, optimizer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)), None
optimizer = torch.optim.Adam(body.parameters())
for x in torch.randn(2, 8, 3):
    policy, value = body(x).unbind(1)
    optimizer.zero_grad()
    policy.mean().backward(retain_graph=True)
    optimizer.step()
    value.pow(2).mean().backward()
    optimizer.step()
""",
    "a forward before the step of the other network": """
import torch

G = torch.nn.Linear(3, 3)
D = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
of_g, of_d = torch.optim.SGD(G.parameters(), lr=0.1), torch.optim.SGD(D.parameters(), lr=0.1)
for x in torch.randn(2, 8, 3):
    fake = G(x)
    score = D(fake)
    of_d.zero_grad()
    D(fake.detach()).mean().backward()
    of_d.step()
    of_g.zero_grad()
    (-score.mean()).backward()
    of_g.step()
""",
    "a layer replaced behind a trainer that has the optimizer": """
import torch
from torch import nn


class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def fit(self, x):
        self.optimizer.zero_grad()
        self.model(x).pow(2).mean().backward()
        self.optimizer.step()


net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 10))
trainer = Trainer(net)
net[1] = nn.Linear(4, 2)
trainer.fit(torch.randn(8, 3))
""",
    "a head and a weight that the optimizer lacks": """
import torch
from torch import nn


class Learner:
    def __init__(self):
        self.body, self.head = nn.Linear(3, 4), nn.Linear(4, 1)
        self.scale = nn.Parameter(torch.ones(1))
        self.optimizer = torch.optim.SGD(self.body.parameters(), lr=0.1)

    def train(self, x):
        self.optimizer.zero_grad()
        loss = (self.scale * self.head(self.body(x))).pow(2).mean()
        loss.backward()
        self.optimizer.step()


learner = Learner()
for _ in range(2):
    learner.train(torch.randn(8, 3))
""",
    "results thrown away": """
import torch

model = torch.nn.Linear(3, 3)
state = torch.zeros(8, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(2, 8, 3):
    out = model(x + state)
    torch.relu(out)
    optimizer.zero_grad()
    out.pow(2).mean().backward()
    for p in model.parameters():
        p.grad.clamp(-0.1, 0.1)
    optimizer.step()
""",
    "flags that are compared": """
import torch

model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
for p in model[0].parameters():
    p.requires_grad == False  # frozen
model(torch.randn(8, 3)).sum().backward()
""",
    "the best state": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
best, least = None, float("inf")
for x in torch.randn(4, 8, 3):
    loss = model(x).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if loss.item() < least:
        best, least = model.state_dict(), loss.item()
model.load_state_dict(best)
""",
    "a target that is the policy": """
'''Two networks.'''
from __future__ import annotations

import torch


class Agent:
    def __init__(self, model):
        self.policy = model
        self.target = model
        self.optimizer = torch.optim.SGD(self.policy.parameters(), lr=0.1)

    def learn(self, x):
        self.optimizer.zero_grad()
        (self.policy(x) - self.target(x).detach() - 1).pow(2).mean().backward()
        self.optimizer.step()


agent = Agent(torch.nn.Linear(3, 1))
for x in torch.randn(2, 8, 3):
    agent.learn(x)
    agent.target.load_state_dict(agent.policy.state_dict())
""",
    "a validation that leaves the mode": """
import torch
from torch import nn


def validate(model, x):
    torch.set_grad_enabled(False)
    model.eval()
    # one number
    return model(x).mean().item()


def train(model, optimizer, x):
    optimizer.zero_grad()
    model(x).pow(2).mean().backward()
    optimizer.step()


net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1))
of_net = torch.optim.SGD(net.parameters(), lr=0.1)
validate(net, torch.randn(8, 3))
torch.set_grad_enabled(True)
net.train()
for epoch in range(3):
    for x in torch.randn(2, 8, 3):
        train(net, of_net, x)
    net.eval()
    with torch.no_grad():
        net(torch.randn(8, 3))
""",
    "evaluations with a graph": """
import torch
from torch import nn


def accuracy(model, batches):
    model.eval()
    right = 0
    for x, y in batches:
        right += (model(x).argmax(1) == y).sum().item()
    return right


data = [(torch.randn(8, 3), torch.randint(0, 2, (8,))) for _ in range(3)]
net = nn.Linear(3, 2)
print(accuracy(net, data))
net.eval()
for x, y in data:
    out = net(x)
    print((out.argmax(1) == y).sum().item())
""",
    "a loss that nobody differentiates": """
import torch


class Learner:
    def __init__(self):
        self.model = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def learn(self, x):
        self.loss = 10 * self.model(x).pow(2).mean()
        size = x.abs().max()
        self.optimizer.zero_grad()
        self.optimizer.step()
        return self.loss.item() / size


learner = Learner()
for x in torch.randn(2, 8, 3):
    learner.learn(x)
""",
    "a layer that is replaced now and then": """
import torch


def widen(model):
    model[1] = torch.nn.Linear(4, 1)


net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for number in range(4):
    if number == 2:
        widen(net)
    optimizer.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
""",
    "losses that overwrite each other": """
import torch

model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = torch.nn.CrossEntropyLoss()
for _ in range(3):
    batches = [(torch.randn(4, 3), torch.randint(0, 2, (4,))) for _ in range(2)]
    for x, y in batches:
        loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    "frozen with a gradient": """
import torch

model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(torch.randn(8, 3)).pow(2).mean().backward()
model[0].requires_grad_(False)
for p in model[1].parameters():
    p.requires_grad = False
optimizer.step()
""",
    "a teacher that is the student": """
import torch

student = torch.nn.Linear(3, 1)
teacher = student
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)


def follow(rate):
    with torch.no_grad():
        for slow, fast in zip(teacher.parameters(), student.parameters()):
            slow.mul_(rate).add_(fast, alpha=1 - rate)


for x in torch.randn(3, 8, 3):
    optimizer.zero_grad()
    (student(x) - teacher(x).detach() - 1).pow(2).mean().backward()
    optimizer.step()
    follow(0.9)
""",
    "an update that is skipped": """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
for x in torch.randn(3, 8, 3):
    optimizer.zero_grad()
    scaler.scale(model(x).pow(2).mean()).backward()
    scaler.unscale_(optimizer)
    if torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) < 100:
        scaler.step(optimizer)
        scaler.update()
""",
    "accumulation that is not divided": """
import torch

rounds = 4
weight = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.SGD([weight], lr=0.1)
for number, batch in enumerate(torch.ones(4, 8)):
    (weight * batch).mean().backward()
    if (number + 1) % rounds == 0:
        optimizer.step()
        optimizer.zero_grad()
""",
    "a function that gives too few gradients": """
import torch


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, offset):
        ctx.factor = factor
        return x * factor + offset

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.factor


Scale.apply(torch.ones(3, requires_grad=True), 2.0, 1.0).sum().backward()
""",
}
