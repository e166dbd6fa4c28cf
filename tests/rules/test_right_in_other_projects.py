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


def test_the_gradient_of_an_input_that_an_attack_reads_trains_no_model() -> None:
    program = """
def attack(model, x, y):
    x = x.clone().detach().requires_grad_()
    F.cross_entropy(model(x), y).backward()
    return READ


class Defense:
    def generate(self, model, optimizer, batches):
        for _ in range(3):
            self.train(model, optimizer, batches)
            self.test(model, batches)

    def train(self, model, optimizer, batches):
        START
        for x, y in batches:
            x = attack(model, x, y)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    def test(self, model, batches):
        model.eval()
        for x, y in batches:
            model(attack(model, x, y))
"""
    assert not reported("GRD705", program.replace("START", "model.train()").replace("READ", "x + x.grad.sign()"))
    assert reported("GRD705", program.replace("START", "pass").replace("READ", "x + x.grad.sign()"))


def test_what_trains_something_else_in_evaluation_mode_does_not_train_the_model() -> None:
    program = """
def distill(model, batches):
    images = nn.Parameter(torch.rand(4, 3))
    optimizer = torch.optim.SGD([images], lr=0.1)
    for _ in range(3):
        model.eval()
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(images) + model(x), y).backward()
            STEP
"""
    assert not reported("GRD705", program.replace("STEP", "optimizer.step()"))


def test_what_asks_an_unknown_model_for_its_mode_gets_the_one_that_it_was_given() -> None:
    program = """
def run(model, x):
    if TEST:
        out = model(x)
    else:
        with torch.no_grad():
            out = model(x)
    return out.argmax(dim=1)


def validate(model, count):
    model.eval()
    for _ in range(count):
        print(run(model, torch.rand(4, 3)))
"""
    assert not reported("GRD709", program.replace("TEST", "model.training"))
    assert reported("GRD709", program.replace("TEST", "input()"))


def test_copies_of_a_parameter_that_become_one_tensor() -> None:
    program = """
class Capsules(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1, 3, 3))

    def forward(self, x):
        return x @ JOINED
"""
    assert not reported("GRD506", program.replace("JOINED", "torch.cat([self.weight] * 4, dim=0)"))
    assert reported("GRD506", program.replace("JOINED", "nn.ParameterList([self.weight] * 4)[0]"))


def test_a_leaf_with_a_hook_hands_its_gradient_on() -> None:
    program = """
class Cached(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x, y):
        loss = F.cross_entropy(self.encoder(x), y)
        loss.backward()
        leaf = loss.detach().requires_grad_()
        HOOK
        return leaf
"""
    assert not reported("GRD109", program.replace("HOOK", "leaf.register_hook(self.hand_on)"))
    assert reported("GRD109", program.replace("HOOK", "print(leaf)"))


def test_gradients_that_are_measured_and_replaced_behind_the_clipping() -> None:
    program = """
def train(context):
    context.optimizer.zero_grad()
    context.loss.backward()
    torch.nn.utils.clip_grad_norm_(context.model.parameters(), 1.0)
    size = sum(parameter.grad.norm() for parameter in context.model.parameters())
    for parameter in context.model.parameters():
        parameter.grad = NEW
    context.optimizer.step()
"""
    assert not reported("GRD605", program.replace("NEW", "torch.randn_like(parameter) * size"))
    assert reported("GRD605", program.replace("NEW", "None"))


def test_an_optimizer_of_one_function_and_a_backward_of_another() -> None:
    program = """
def fit(model, batches, trainer):
    optimizer = torch.optim.Adam(model.parameters())
    CLEAR


def check(model, x):
    model(x).sum().backward()
"""
    assert not reported("GRD603", program.replace("CLEAR", "print(optimizer)"))


def test_a_gradient_that_an_object_of_the_context_hands_on() -> None:
    program = """
class Portal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, way):
        ctx.way = way
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return KEPT, None
"""
    assert not reported("GRD810", program.replace("KEPT", "ctx.way.take_gradient()"))
    assert reported("GRD810", program.replace("KEPT", "ctx.way.clone()"))


def test_a_state_that_keeps_the_parameters_holds_them_themselves() -> None:
    program = """
import torch
from torch import nn

net = nn.Linear(3, 3)
optimizer = torch.optim.SGD(net.state_dict(KEEP).values(), lr=0.1)
before = net.weight.clone()
net(torch.rand(2, 3)).sum().backward()
optimizer.step()
"""
    check_right(program.replace("KEEP", "keep_vars=True") + "assert not torch.equal(net.weight, before)\n")
    assert reported("GRD611", program.replace("KEEP", ""))


def test_parameters_that_are_pruned_where_the_optimizer_holds_them() -> None:
    program = """
import torch
from torch import nn


class Points:
    def __init__(self):
        self.places = nn.Parameter(torch.rand(10, 3))
        self.optimizer = torch.optim.Adam([{"params": [self.places], "lr": 0.1, "name": "places"}])

    def prune(self, kept):
        held = {}
        for group in self.optimizer.param_groups:
            state = self.optimizer.state.pop(group["params"][0], None)
            PUT
            if state is not None:
                state["exp_avg"], state["exp_avg_sq"] = state["exp_avg"][kept], state["exp_avg_sq"][kept]
                self.optimizer.state[group["params"][0]] = state
            held[group["name"]] = group["params"][0]
        self.places = held["places"]


points = Points()
for step in range(4):
    points.places.pow(2).sum().backward()
    points.optimizer.step()
    points.optimizer.zero_grad()
    points.prune(points.places[:, 0] > 0.1)
"""
    put = 'group["params"][0] = nn.Parameter(group["params"][0][kept].requires_grad_(True))'
    check_right(program.replace("PUT", put))
    assert not reported("GRD607", program.replace("PUT", put))
    assert not reported("GRD114", program.replace("PUT", put))
    elsewhere = 'self.places = nn.Parameter(group["params"][0][kept] * 2.0)'
    assert reported("GRD607", program.replace("PUT", elsewhere).replace('self.places = held["places"]', "pass"))


def test_a_schedule_of_something_else_than_the_optimizer() -> None:
    program = """
from schedules import MomentumSchedule

net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = MomentumSchedule(HELD, last_epoch=-1)


def train_epoch(batches):
    scheduler.step()
    for x in batches:
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()


for epoch in range(3):
    train_epoch([torch.rand(4, 3)])
"""
    assert not reported("GRD606", program.replace("HELD", "net"))
    assert reported("GRD606", program.replace("HELD", "optimizer"))


def test_a_branch_for_versions_in_which_a_number_had_a_dimension() -> None:
    program = """
import torch
from torch import nn

version, net, total = torch.__version__, nn.Linear(3, 1), 0.0
for _ in range(3):
    loss = net(torch.rand(2, 3)).pow(2).mean()
    if int(version[0]) > 0:
        total += NEW
    else:
        total += loss.data[0]
assert total > 0
"""
    check_right(program.replace("NEW", "loss.item()"))
    assert reported("GRD902", program.replace("NEW", "1.0"))


def test_a_parameter_that_another_takes_the_place_of_gives_it_its_numbers() -> None:
    program = """
import torch
import torch.nn.functional as F
from torch import nn


class Growing(nn.Linear):
    def __init__(self, most):
        super().__init__(3, 2)
        with torch.no_grad():
            first = self.bias.data
            NEW
            self.grown[: self.out_features] = first

    def forward(self, x):
        return F.linear(x, self.weight, self.grown[: self.out_features])
"""
    run = """

net = Growing(5)
net(torch.rand(4, 3)).sum().backward()
"""
    for text in (program, program.replace("grown", "bias")):
        new = f"self.{'bias' if text is not program else 'grown'} = nn.Parameter(torch.zeros(most))"
        for whole in (text, text + run):
            told = reported("GRD106", whole.replace("NEW", new))
            assert bool(told) is (text is program), told
