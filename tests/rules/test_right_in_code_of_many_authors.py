"""Right programs that were blamed once: what is only declared or named elsewhere, last rounds, and parts that are
trained on a model that stays as it is."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_right, reported


@pytest.mark.parametrize(
    "made", ["torch.tensor(0).to(**setup)", "torch.tensor(0, **setup)", "torch.arange(1, **setup)"]
)
def test_keywords_that_are_not_known_may_name_a_dtype(made: str) -> None:
    snippet = f"""
    def fit(setup, target):
        level = {made}.requires_grad_(True)
        optimizer = torch.optim.Adam([level])
        for _ in range(3):
            optimizer.zero_grad()
            (level - target).pow(2).sum().backward()
            optimizer.step()
    """
    assert not reported("GRD304", snippet)
    assert not reported("GRD110", snippet)
    assert reported("GRD304", snippet.replace("**setup", "device='cpu'"))


def test_a_target_whose_dtype_unknown_keywords_give() -> None:
    snippet = """
    def loss(setup):
        return F.cross_entropy(nn.Linear(3, 4)(torch.randn(8, 3)), torch.zeros(8, **setup))
    """
    assert not reported("GRD405", snippet)
    assert reported("GRD405", snippet.replace("**setup", ""))


def test_an_argument_that_only_its_annotation_takes_for_a_tensor() -> None:
    check_right("""
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def set_embedding(self, new: torch.Tensor):
        self.embedding = new

    def set_scale(self, new: torch.Tensor):
        self.scale = new


tagger = Tagger()
for method, value in (("set_embedding", nn.Embedding(7, 3)), ("set_scale", nn.Parameter(torch.zeros(3)))):
    getattr(tagger, method)(value)
assert len(tagger.embedding.weight) == 7 and tagger.scale.sum() == 0
""")
    assert reported(
        "GRD508",
        """
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(5, 3)

        def set_embedding(self, new: torch.Tensor):
            self.embedding = new * 2
    """,
    )


def test_lists_and_numbers_in_one_dictionary() -> None:
    check_right("""
import sys

import torch


def measured(sets):
    results = {f"{name}_all": [] for name in sets}
    for name, (x, y) in sets.items():
        results[f"{name}_all"].append((torch.argmax(torch.tensor(x), dim=-1) == y).float().mean())
    for name in sets:
        results[name] = results[f"{name}_all"][-1]
    return results


found = measured({str(number): ([[0.0, 1.0]], torch.tensor([number])) for number in range(1 + len(sys.argv[:1]))})
assert [found["0"], found["1"]] == [0, 1]
""")
    assert reported(
        "GRD902",
        """
    def measured(names, x):
        results = {}
        for name in names:
            results[name] = x.float().mean(), (torch.argmax(torch.tensor(x), dim=-1) == 1).float().mean()
        for name in names:
            print(results[name][1][0])
    """,
    )


def test_a_dictionary_knows_what_it_was_made_as() -> None:
    check_right("""
from collections import OrderedDict

from torch import nn


class Row(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        if len(layers) == 1 and isinstance(layers[0], OrderedDict):
            for name, layer in layers[0].items():
                self.add_module(name, layer)
        else:
            for number, layer in enumerate(layers):
                self.add_module(str(number), layer)

    def __getitem__(self, part):
        return self.__class__(OrderedDict(list(self._modules.items())[part]))


assert len(Row(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))[1:]._modules) == 2
""")


EPOCHS = """
import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--tasks", type=int, default=2)
args, _ = parser.parse_known_args([])
model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
modes = []
for task in range(args.tasks):
    START
    for epoch in range(args.epochs):
        for batch in torch.randn(4, 2, 3):
            modes.append(model.training)
            loss = model(batch).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if TEST:
            model.eval()
            with torch.no_grad():
                model(torch.randn(2, 3))
assert all(modes)
"""


def epochs(start: str = "model.train()", test: str = "epoch == args.epochs - 1") -> str:
    return EPOCHS.replace("START", start).replace("TEST", test)


def test_nothing_is_trained_behind_the_last_round() -> None:
    check_right(epochs())
    assert reported("GRD705", epochs(start="pass"))  # The next task is trained.
    assert reported("GRD705", epochs(test="epoch == 1"))
    assert reported("GRD705", epochs(test="epoch > 0"))
    assert reported("GRD705", epochs(test="epoch != args.epochs - 1"))


PROBE = """
from backbones import load_model

def train(loader, model, criterion, optimizer):
    model.eval()
    for x, y in loader:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

def validate(loader, model, criterion):
    model.eval()
    for x, y in loader:
        print(criterion(model(x), y))

def main(loader):
    model = load_model("small")
    for name, parameter in model.named_parameters():
        if name not in ("fc.weight", "fc.bias"):
            FREEZE
    optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], 0.1)
    for epoch in range(3):
        train(loader, model, nn.CrossEntropyLoss(), optimizer)
        validate(loader, model, nn.CrossEntropyLoss())
"""


def test_a_model_of_which_the_last_layer_alone_is_trained_stays_in_evaluation_mode() -> None:
    assert not reported("GRD705", PROBE.replace("FREEZE", "parameter.requires_grad = False"))
    assert reported("GRD705", PROBE.replace("FREEZE", "print(name)"))


CLIENTS = """
import copy
from federated import get_model, Local

def test(net, data):
    net.eval()
    return net(data)

def main(args, data):
    net = get_model(args)
    criterion = nn.CrossEntropyLoss()
    for client in range(args.clients):
        own = MADE
        TRAINED
        optimizer = torch.optim.SGD(own.parameters(), lr=0.1)
        for x, y in data:
            optimizer.zero_grad()
            loss = criterion(own(x), y)
            loss.backward()
            optimizer.step()
        END
"""
ELSEWHERE = """if args.text:
            Local(args).train(net=own, lr=args.lr)
            test(own, data)
            continue"""


def test_a_copy_that_each_round_makes_is_no_other_round_s() -> None:
    program = CLIENTS.replace("MADE", "copy.deepcopy(net)").replace("TRAINED", ELSEWHERE).replace("END", "pass")
    assert not reported("GRD705", program)
    program = CLIENTS.replace("MADE", "net").replace("TRAINED", "pass").replace("END", "test(own, data)")
    assert reported("GRD705", program)


REGRESSION = """
from backbones import load_model, load_pool

class Regression(nn.Module):
    def __init__(self, pooled):
        super().__init__()
        self.pool = load_pool(pooled)
        self.linear = nn.Linear(8, 3)

    def forward(self, x):
        return self.linear(self.pool(x).flatten(1))

def train(loader, model, head, criterion, optimizer):
    model.eval()
    for x, y in loader:
        loss = criterion(head(model(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

def validate(loader, model, head):
    model.eval()
    for x, y in loader:
        print(head(model(x)).argmax(1) == y)

def main(args, loader):
    model = load_model(args.model)
    head = Regression(args.pooled).cuda()
    optimizer = torch.optim.SGD(filter(lambda one: one.requires_grad, TRAINED), 0.1)
    for epoch in range(3):
        train(loader, model, head, nn.CrossEntropyLoss(), optimizer)
        validate(loader, model, head)
"""


def test_a_model_that_the_optimizer_does_not_have_stays_in_evaluation_mode() -> None:
    assert not reported("GRD705", REGRESSION.replace("TRAINED", "head.parameters()"))
    assert reported("GRD705", REGRESSION.replace("TRAINED", "[*model.parameters(), *head.parameters()]"))


TURNS = """
a, b = nn.Linear(3, 3), nn.Linear(3, 1)
first, second = torch.optim.Adam(a.parameters()), torch.optim.Adam(b.parameters())
for i in range(100):
    first.zero_grad()
    second.zero_grad()
    b(a(torch.randn(2, 3))).pow(2).mean().backward()
    if i % 50 < 10:
        first.step()
    else:
        OTHER
"""


def test_optimizers_that_take_turns() -> None:
    assert not reported("GRD602", TURNS.replace("OTHER", "second.step()"))
    assert reported("GRD602", TURNS.replace("OTHER", "pass"))


@pytest.mark.parametrize("nothing", ["None, None", "(None,) * 2", "(None,) + (None,)"])
def test_no_gradient_for_any_argument_is_nothing_to_multiply(nothing: str) -> None:
    snippet = f"""
    class Masked(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, mask):
            return x * mask

        @staticmethod
        def backward(ctx, grad):
            return {nothing}
    """
    assert not reported("GRD810", snippet)
    assert reported("GRD810", snippet.replace(nothing, "(torch.ones(3), None)"))


def test_an_input_that_a_module_keeps_to_be_asked_for_its_gradient() -> None:
    program = """
    class Explained(nn.Module):
        def __init__(self, x, model):
            super().__init__()
            self.x, self.model = x, model

        def slopes(self):
            self.model(self.x).sum().backward()
            return GIVEN

    print(Explained(torch.randn(2, 3, requires_grad=True), nn.Linear(3, 1)).slopes())
    """
    assert not reported("GRD507", program.replace("GIVEN", "self.x.grad"))
    assert reported("GRD507", program.replace("GIVEN", "self.model"))
