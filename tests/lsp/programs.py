"""PyTorch programs with one mistake each, as the tests open them."""

DETACHED = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
x = torch.randn(8, 3)
loss = model(x).sum().detach()
loss.backward()
"""

STACKED = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
losses = [model(torch.randn(3)).pow(2).sum() for _ in range(4)]
loss = torch.tensor(losses).mean()
loss.backward()
"""
