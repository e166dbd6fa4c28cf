"""A training script that is wrong on purpose: `gradls check samples/lost_gradients.py` says where and why."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.blocks = [nn.Linear(16, 16) for _ in range(3)]
        self.last = nn.Linear(16, 2)

    def forward(self, x):
        h = torch.sigmoid(self.first(x))
        h += 1
        for block in self.blocks:
            h = torch.relu(block(h))
        return self.last(h)


def distance(a, b):
    return (a.detach() - b).pow(2).mean()


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()

for _ in range(100):
    x, y = torch.randn(32, 8), torch.randint(0, 2, (32,))
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()

teacher = torch.randn(32, 2)
loss = distance(model(torch.randn(32, 8)), teacher)
optimizer.zero_grad()
loss.backward()
optimizer.step()
