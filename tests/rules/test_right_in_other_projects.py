"""Right programs that were blamed once: what stands for several objects, what is cleared in part, and lists that change
between the functions that use them."""

from __future__ import annotations

from tests.rules.reported import check_error, check_right, reported


def test_each_of_several_layers_writes_its_own_weight() -> None:
    layer = """
import os

import torch
from torch import nn


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        with torch.no_grad():
            self.weight.copy_(self.weight / self.weight.norm(dim=1, keepdim=True))
        return x @ (self.weight / self.weight.norm(dim=1, keepdim=True)).t()
"""
    check_right(f"""{layer}

class Net(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.layers = nn.ModuleList([Normed() for _ in range(count)])
        self.tail = nn.Sequential(Normed())
        for _ in range(count):
            self.tail.append(nn.SiLU())
            self.tail.append(Normed())

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.tail(x)


net = Net(os.getpid() % 2 + 2)
net(torch.randn(8, 4)).mean().backward()
assert net.layers[0].weight.grad is not None
""")
    check_error(
        "GRD201",
        f"""{layer}

net = Normed()
net(net(torch.randn(8, 4))).mean().backward()  # raises RuntimeError: modified by an inplace operation
""",
    )


def test_each_of_several_tensors_is_written_before_it_is_used() -> None:
    check_right("""
import os

import torch

weights = [torch.rand(3, requires_grad=True) for _ in range(os.getpid() % 2 + 2)]


def used(weight):
    with torch.no_grad():
        weight.mul_(2)
    return weight.pow(2).sum()


total = sum(used(weight) for weight in weights)
for weight in weights:
    with torch.no_grad():
        weight.zero_()
loss = torch.zeros(())
for weight in weights:
    with torch.no_grad():
        weight.add_(1)
    loss = loss + weight.pow(2).sum()
loss.backward()
assert all(weight.grad is not None for weight in weights)
""")
    check_error(
        "GRD201",
        """
import os

import torch

weights = [torch.rand(3, requires_grad=True) for _ in range(os.getpid() % 2 + 2)]
loss = torch.zeros(())
for weight in weights:
    loss = loss + weight.pow(2).sum()
    with torch.no_grad():
        weight.mul_(2)
loss.backward()  # raises RuntimeError: modified by an inplace operation
""",
    )


def test_the_last_layer_may_be_one_that_only_the_last_round_puts_in() -> None:
    check_right("""
import os

import torch
from torch import nn
import torch.nn.functional as F


class Decoder(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.net = nn.Sequential()
        for number, (wide, narrow) in enumerate(zip(sizes[:-1], sizes[1:])):
            self.net.add_module(f"layer{number}", nn.Linear(wide, narrow))
            if number + 2 < len(sizes):
                self.net.add_module(f"relu{number}", nn.ReLU())
            else:
                self.net.add_module("probability", nn.Sigmoid())

    def forward(self, x):
        return self.net(x)


model = Decoder([3] * (os.getpid() % 2 + 3))
F.binary_cross_entropy(model(torch.randn(4, 3)), torch.rand(4, 3)).backward()
""")


def test_bounds_say_nothing_of_the_shape_of_what_is_not_known() -> None:
    check_right("""
import torch


def bounded(images, count):
    bounded = (torch.clamp(images, -1.0, 1.0) * 255).int()
    return [bounded[number] for number in range(count)]


assert len(bounded(torch.rand(2, 3), 2)) == 2
""")


def test_gradients_of_one_layer_are_cleared_behind_the_clipping_of_all() -> None:
    program = """
import torch
from torch import nn

net, head = nn.Linear(3, 3), nn.Linear(3, 1)
parameters = [*net.parameters(), *head.parameters()]
optimizer = torch.optim.SGD(parameters, lr=0.1)
for epoch in range(3):
    optimizer.zero_grad()
    head(net(torch.rand(4, 3))).sum().backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    for parameter in CLEARED:
        parameter.grad = None
    optimizer.step()
"""
    check_right(program.replace("CLEARED", "head.parameters()"))
    assert reported("GRD605", program.replace("CLEARED", "parameters"))


def test_a_list_that_each_round_fills_and_empties_is_empty_behind_the_loop() -> None:
    check_right("""
import os

import torch
from torch import nn

saved, net = [], nn.Linear(3, 3)
for _ in range(os.getpid() % 2 + 1):
    saved.append(net(torch.rand(3)))
    sum(saved).sum().backward()
    del saved[:]
loss = torch.rand(3, requires_grad=True).sum()
for value in saved:
    loss = loss + value.pow(2).sum()
loss.backward()
""")


def test_a_list_of_the_module_that_another_function_fills_and_empties() -> None:
    check_right("""
import torch
from torch import nn

saved, net = [], nn.Linear(3, 3)


def collect():
    saved.append(net(torch.rand(3)))


def train():
    loss = 0
    for value in saved:
        loss = loss + value.pow(2).sum()
    loss.backward()
    saved.clear()


for step in (collect, train):
    step()
assert net.weight.grad is not None
""")


def test_parameters_that_a_method_updates_by_hand() -> None:
    program = """
import torch
from torch import nn


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = [nn.Parameter(torch.rand(3, 3)) for _ in range(2)]

    def forward(self, x):
        for weight in self.weights:
            x = x @ weight
        return x

    def adapt(self, x):
        found = torch.autograd.grad(self(x).sum(), self.weights)
        for number, gradient in enumerate(found):
            UPDATE


learner = Learner()
learner.adapt(torch.rand(2, 3))
"""
    check_right(program.replace("UPDATE", "self.weights[number] = self.weights[number] - 0.1 * gradient"))
    assert reported("GRD501", program.replace("UPDATE", "print(gradient)"))
