"""What is one of several things, by branch or as an element of a list."""

from __future__ import annotations

import pytest

from tests.rules.reported import IMPORTS, check_right, reported

FROZEN = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 1))
for parameter in model.parameters():
    parameter.requires_grad = False
"""
TRAINED = """
loss = model(torch.randn(2, 10)).sum()
loss.backward()
"""


def test_one_of_several_modules_is_thawed() -> None:
    def targets(wanted: str) -> str:
        return f"""
def targets(model, names):
    for name, module in model.named_modules():
        if name in names:
            yield name, module

for name, module in list(targets(model, {wanted})):
    {{}}
"""

    by_assignment = targets("__import__('sys').argv[9:] + ['2']").format("module.weight.requires_grad = True")
    check_right(f"{FROZEN}{by_assignment}{TRAINED}")
    nothing_thawed = by_assignment.replace("True", "False")
    assert [severity for severity, _ in reported("GRD110", f"{FROZEN}{nothing_thawed}{TRAINED}")] == ["error"]


def test_an_attribute_of_one_of_two() -> None:
    check_right(
        FROZEN
        + """
import sys
kept = model[0] if len(sys.argv) > 9 else model[2]
kept.weight = nn.Parameter(torch.ones_like(kept.weight))
"""
        + TRAINED
    )


GROUPS = """
import sys
import torch
from torch import nn

model = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 1))
groups = {{"decay": {{}}, "other": {{}}}}
for name, parameter in model.named_parameters():
    {put}
torch.optim.SGD([{{"params": list(groups["decay"].values())}}, {{"params": [p for p in groups["other"].values()]}}])
"""


def test_entries_that_branches_put_into_one_of_two_dictionaries() -> None:
    put = 'groups["decay" if {} else "other"][name] = parameter'
    check_right(GROUPS.format(put=put.format("parameter.dim() > len(sys.argv[9:]) + 1")))
    branches = """if len(sys.argv) < 99 and parameter.dim() > 1:
        groups["decay"][name] = parameter
    else:
        groups["other"][name] = parameter"""
    check_right(GROUPS.format(put=branches))
    both = 'groups["decay"][name] = groups["other"][name] = parameter'
    assert [severity for severity, _ in reported("GRD510", GROUPS.format(put=both))] == ["error"]


def test_an_entry_that_one_branch_makes() -> None:
    text = """
import sys

w, given = torch.ones(3, requires_grad=True), {}
if len(sys.argv) > 9:
    given["x"] = 1
"""
    for condition in ("'x' not in given", "not given", "len(given) < 1"):
        found = reported("GRD101", f"{text}if {condition}:\n    w.detach().sum().backward()\n")
        assert found == [("error", "w.detach()")]


META = """
import sys

model, w = nn.Linear(3, 1), torch.ones(1, requires_grad=True)
x = torch.randn(2, 3)
{step}
torch.autograd.grad(model(x).sum(), w)
"""


def test_parameters_that_unknown_code_may_replace() -> None:
    assert [severity for severity, _ in reported("GRD308", META.format(step=""))] == ["error"]
    assert reported("GRD308", META.format(step="import helpers\nhelpers.meta_step(model._parameters, w)")) == []


def test_parameters_that_are_replaced_in_one_of_two_layers() -> None:
    step = """
other = nn.Linear(3, 1)
del model._parameters["weight"]
(model if len(sys.argv) < 99 else other)._parameters["weight"] = w * torch.ones(1, 3)
"""
    check_right(IMPORTS + META.format(step=step))


def test_entries_of_several_branches_within_branches() -> None:
    text = """
import sys
import torch

w, found, count = torch.ones(3, requires_grad=True), {}, len(sys.argv)
if count > 9:
    if count > 10:
        found["x"] = 1
    else:
        found["y"] = 2
    if count > 11:
        found["z"] = 3
elif count > 7:
    found["x"] = 4
if count > 8:
    found["v"] = 5
if "y" not in found:
    w.detach().sum().backward()
"""
    assert reported("GRD101", text) == [("error", "w.detach()")]


KINDS = """
class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer, self.kind = nn.Linear(3, 4), config.kind
        if self.kind == 0:
            self.criterion = nn.KLDivLoss(reduction="batchmean")
        elif self.kind == 1:
            self.criterion = nn.MSELoss()

    def forward(self, x, y):
        h = self.layer(x)
        if self.kind == {first}:
            return self.criterion(h, y)
        elif self.kind == {second}:
            return self.criterion(h.log_softmax(dim=1), y)
"""


def test_an_object_that_the_same_question_chose_before() -> None:
    assert reported("GRD403", KINDS.format(first=1, second=0)) == []
    assert reported("GRD403", KINDS.format(first=0, second=1)) == [("warning", "self.criterion(h, y)")]


def test_entries_of_branches_within_branches() -> None:
    text = """
import sys

w, given = torch.ones(3, requires_grad=True), {}
if len(sys.argv) > 9:
    if len(sys.argv) > 10:
        given["x"] = 1
    given["z"] = 1
else:
    if len(sys.argv) > 3:
        given["y"] = 1
"""
    for name in "xyz":
        found = reported("GRD101", f"{text}if '{name}' not in given:\n    w.detach().sum().backward()\n")
        assert found == [("error", "w.detach()")]


def test_what_one_of_several_returns_gave() -> None:
    text = """
layer = nn.Linear(3, 4)

class Divergence:
    def loss(self, h, y):
        return F.kl_div(h, y)

class Squares:
    def loss(self, h, y):
        return F.mse_loss(h, y)

def criterion(kind):
    if kind == "divergence":
        return Divergence()
    if kind == "squares":
        return Squares()
    raise ValueError

def train(kind, loader):
    for x, y in loader:
        criterion(kind).loss(layer(x), y).backward()
"""
    assert reported("GRD403", text) == [("warning", "F.kl_div(h, y)")]


def test_keys_that_are_no_entries() -> None:
    keys = ("None", "...", "(1, 2)", "[1]", "1:2", "{}", "1j", "float", "lambda: 1", "torch.ones(1)")
    writes = "\n    ".join(f"table[{key}] = x" for key in keys)
    program = f"""
def f(full):
    x = torch.ones(2, requires_grad=True)
    table = {{"a": x}} if full else {{}}
    {writes}
    x.detach().sum().backward()
"""
    assert [severity for severity, _ in reported("GRD101", program)] == ["error"]


def test_an_attribute_that_only_one_branch_sets() -> None:
    program = """
import argparse
import sys
import torch

parser = argparse.ArgumentParser()
parser.add_argument("--trained", default=True)
parser.add_argument("--rounds", type=int, default=3)
options = parser.parse_args([])
if len(sys.argv) > 9:
    options.trained = False
    options.rounds = 1
{}
"""
    check_right(program.format("torch.ones(3, requires_grad=options.trained).sum().backward()"))
    repeated = """
w = torch.ones(3, requires_grad=True)
y = (w * w).sum()
for _ in range(options.rounds):
    y.backward()
"""
    assert [severity for severity, _ in reported("GRD301", program.format(repeated))] == ["error"]


@pytest.mark.parametrize(
    ("made", "runs"),
    [
        ("trained = True", "Made()"),
        (
            "def __init__(self, **given):\n        for name in given: setattr(self, name, given[name])",
            "Made(trained=True)",
        ),
        ("def __init__(self, given):\n        self.__dict__.update(given)", "Made({'trained': True})"),
    ],
)
@pytest.mark.parametrize("called", [True, False])
def test_an_attribute_that_only_one_branch_of_a_method_sets(made: str, runs: str, called: bool) -> None:
    check_right(f"""
import torch

class Made:
    {made}

    def run(self, frozen=False):
        if frozen:
            self.trained = False
        torch.ones(3, requires_grad=self.trained).sum().backward()

made = {runs}
{"made.run(len(__import__('sys').argv) > 9)" if called else ""}
""")


def test_an_attribute_that_nothing_else_can_set() -> None:
    program = """
import sys
import torch

class Made:
    pass

made = Made()
if len(sys.argv) < 9:
    made.trained = False
torch.ones(3, requires_grad=made.trained).sum().backward()
"""
    assert [severity for severity, _ in reported("GRD110", program)] == ["error"]


@pytest.mark.parametrize("call", ["self.compute()", "self.compute(3)"])
@pytest.mark.parametrize(
    ("made", "cleared", "used"),
    [
        ("{'total': 0}", "self.losses['total'] = 0", "self.losses['total']"),
        ("{name: 0 for name in names}", "for name in self.losses: self.losses[name] = 0", "self.losses['total']"),
        ("0", "self.losses = 0", "self.losses"),
    ],
)
def test_what_a_method_of_a_derived_class_does_is_not_known(call: str, made: str, cleared: str, used: str) -> None:
    program = f"""
class Trainer:
    def __init__(self, names):
        self.losses = {made}

    def compute(self):
        raise NotImplementedError

    def step(self):
        {cleared}
        {call}
        {used}.backward()
"""
    assert not reported("GRD303", program)
    assert made.startswith("{n") or reported("GRD303", program.replace(call, "pass"))


def test_the_rounds_of_a_later_round_see_all_that_is_not_alike() -> None:
    program = """
def train(model, names, batches):
    losses = {name: 0 for name in names}
    for epoch in batches:
        for batch in batches:
            losses["total"] = 0
            for name, loss in losses.items():
                if name != "total":
                    losses["total"] += model(batch)
            losses["total"].backward()
"""
    assert not reported("GRD303", program)


@pytest.mark.parametrize(
    "freeze",
    [
        "net.requires_grad_(False)",
        "for p in net.parameters(): p.requires_grad = False",
        "[p.requires_grad_(False) for _, p in net.named_parameters()]",
    ],
)
def test_what_a_branch_chose_to_put_into_a_module_is_converted_and_frozen_with_it(freeze: str) -> None:
    check_right(f"""
import torch
from torch import nn

layers = []
for i in range(64):
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    if i % 2 == 0:
        layers += [nn.Sequential(one)]
    else:
        layers += [nn.Sequential(other)]
    layers += [nn.ReLU()]

class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        for i in range(len(self.layers) - 1, -1, -1):
            x = self.layers[i](x)
        return x

net = Net(layers).double()
net(torch.randn(3, 2).double()).sum().backward()
{freeze}
net(torch.randn(3, 2).double()).numpy()
""")


NAMED = """
from collections import namedtuple
One, Two = namedtuple("One", ["a", "b", "c"]), namedtuple("Two", ["a", "b"])

def f(x, flag):
    w = torch.ones(3, requires_grad=True)
    out = One(a=w * 2, b=w, c=w) if flag else Two(a=w * 3, b=w)
    print(out.c if flag else out.b)
    out.a.sum().backward()
    return out.a.grad
"""


def test_one_of_two_named_tuples() -> None:
    """They differ in length; the fields that both have are known."""
    assert len(reported("GRD306", NAMED)) == 1
