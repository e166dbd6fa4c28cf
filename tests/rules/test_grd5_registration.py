"""What modules refuse to hold, and calls that want parameters."""

from __future__ import annotations

import textwrap

import pytest
import torch

from gradls.rules.grd513_refused_registration import METHODS, OF_DICTIONARIES
from gradls.testing import programs
from tests.rules.reported import IMPORTS, check_right, reported


@pytest.mark.parametrize(
    "made",
    [
        "nn.Sequential([nn.Linear(4, 4), nn.ReLU()])",
        "nn.Sequential([nn.Linear(4, 4) for _ in range(n)])",
        "nn.Sequential(nn.Linear(4, 4) for _ in range(3))",
        "nn.Sequential({'a': nn.Linear(4, 4)})",
        "nn.Sequential(nn.Linear(4, 4), F.relu)",
        "nn.Sequential(nn.Linear(4, 4), lambda x: x + 1)",
        "nn.Sequential(nn.Linear(4, 4), nn.ReLU)",
        "nn.Sequential(nn.Linear(4, 4), Block)",
        "nn.ModuleList(nn.Linear(4, 4), nn.Linear(4, 4))",
        "nn.ModuleList(nn.Linear(4, 4))",
        "nn.ModuleList([nn.Linear(4, 4), [nn.ReLU()]])",
        "nn.ModuleList([nn.Parameter(torch.zeros(3))])",
        "nn.ModuleDict({0: nn.Linear(4, 4)})",
        "nn.ModuleDict({'a.b': nn.Linear(4, 4)})",
        "nn.ModuleDict({'keys': nn.Linear(4, 4)})",
        "nn.ModuleDict({'relu': torch.relu})",
        "nn.ModuleDict([nn.Linear(4, 4)])",
        "nn.ModuleList().append(F.relu)",
        "nn.Sequential().append(torch.zeros(3))",
        "nn.Module().add_module('a.b', nn.ReLU())",
        "nn.Linear(3, 3).add_module('weight', nn.ReLU())",
        "nn.Module().add_module('act', F.relu)",
        "nn.Module().register_buffer('a.b', torch.zeros(3))",
        "nn.Module().register_buffer('count', 0)",
        "nn.Module().register_buffer(torch.zeros(3), 'count')",
        "nn.Module().register_buffer('forward', torch.zeros(3))",
    ],
)
def test_refused(made: str) -> None:
    snippet = f"""
class Block(nn.Module):
    def forward(self, x):
        return x


def make(n):
    return {made}
"""
    assert reported("GRD513", snippet) == [("error", made)]


@pytest.mark.parametrize(
    "made",
    [
        "nn.Sequential(*[nn.Linear(4, 4), nn.ReLU()])",
        "nn.Sequential(*(nn.Linear(4, 4) for _ in range(3)))",
        "nn.Sequential(nn.Linear(4, 4), given, None)",
        "nn.Sequential(given)",
        "nn.Sequential(OrderedDict({'a': nn.Linear(4, 4)}))",
        "nn.Sequential(OrderedDict(a=nn.Linear(4, 4)))",
        "nn.Sequential(nn.Linear(4, 4), Block())",
        "nn.ModuleList([nn.Linear(4, 4), given, None])",
        "nn.ModuleList(nn.Sequential(nn.Linear(4, 4)))",
        "nn.ModuleList(Block() for _ in range(2))",
        "nn.ModuleDict({'a': nn.Linear(4, 4), str(0): Block()})",
        "nn.ModuleDict([('a', nn.Linear(4, 4))])",
        "nn.ModuleDict({given: nn.Linear(4, 4)})",
        "nn.ParameterList([torch.zeros(3)])",
        "nn.Module().register_buffer('mean', None)",
        "nn.BatchNorm1d(3).register_buffer('running_mean', torch.zeros(3))",
        "nn.Sequential(nn.Linear(3, 3)).add_module('0', nn.ReLU())",
        "nn.Module().register_buffer('mean', given)",
        "nn.Sequential(Scripted())",
    ],
)
def test_accepted(made: str) -> None:
    snippet = f"""
from collections import OrderedDict


class Block(nn.Module):
    def forward(self, x):
        return x


class Scripted(torch.jit.ScriptModule):
    pass


def make(given):
    return {made}
"""
    assert reported("GRD513", snippet) == []


def test_names_that_modules_have() -> None:
    assert all(hasattr(torch.nn.Module(), name) for name in METHODS)
    assert all(hasattr(torch.nn.ModuleDict(), name) for name in OF_DICTIONARIES)
    assert not any(hasattr(torch.nn.Module(), name) for name in OF_DICTIONARIES)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("net", True),
        ("net[0]", True),
        ("net.parameters", True),
        ("net.named_parameters()", True),
        ("net.state_dict()", True),
        ("[net[0]]", True),
        ("[net.parameters()]", True),
        ("[{'params': net.parameters()}]", True),
        ("net.parameters()", False),
        ("net[0].weight", False),
        ("list(net.parameters())", False),
        ("[p for n, p in net.named_parameters()]", False),
        ("given", False),
        ("nn.ParameterList([net[0].weight])", False),
    ],
)
def test_clipping(given: str, found: bool) -> None:
    call = f"nn.utils.clip_grad_norm_({given}, 1.0)"
    snippet = f"net = nn.ModuleList([nn.Linear(3, 3)])\ndef f(given):\n    {call}\n"
    if given == "net":
        snippet = snippet.replace("nn.ModuleList([nn.Linear(3, 3)])", "nn.Linear(3, 3)")
    assert reported("GRD514", snippet) == ([("error", call)] if found else [])


@pytest.mark.parametrize(
    ("assigned", "found"),
    [("5", True), ("[1.0]", True), ("None", False), ("torch.tensor(5)", False), ("self.count + 1", False)],
)
def test_assignment_to_a_buffer(assigned: str, found: bool) -> None:
    snippet = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x):
        self.count = {assigned}
        return x


Net()(torch.zeros(1))
"""
    assert reported("GRD508", snippet) == ([("error", "self.count")] if found else [])


RANDOM = """
class Memory(nn.Module):
    def __init__(self, n=10, c=4):
        super().__init__()
        {kept}

    def forward(self, x):
        return (x @ self.keys.t()).softmax(-1)
"""


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ("self.keys = torch.randn(n, c)", 1),
        ("self.keys = torch.randn(n, c).to('cuda')", 1),
        ("self.keys = torch.rand(n, c) * 0.1", 1),
        ("self.keys = nn.Parameter(torch.randn(n, c))", 0),
        ("self.register_buffer('keys', torch.randn(n, c))", 0),
        ("self.keys = torch.ones(n, c)", 0),
        ("self.keys, self.noise = torch.ones(n, c), torch.randn(n, c)", 0),
        ("self.reset(n, c)\n\n    def reset(self, n, c):\n        self.keys = torch.randn(n, c)", 1),
        ("self.keys = torch.randn(n, c)\n\n    def reset(self):\n        self.keys = torch.zeros(3, 3)", 0),
    ],
)
def test_random_numbers_that_are_not_registered(kept: str, found: int) -> None:
    said = reported("GRD526", RANDOM.format(kept=kept))
    assert [severity for severity, _ in said] == ["information"] * found
    trained = RANDOM.format(kept=kept) + "Memory()(torch.randn(2, 4)).sum().backward()\n"
    assert len(reported("GRD526", trained)) == found


def test_random_numbers_are_others_after_loading() -> None:
    program = """
    import torch


    class Memory(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.keys = torch.randn(10, 4)


    one, other = Memory(), Memory()
    other.load_state_dict(one.state_dict())
    assert not torch.equal(one.keys, other.keys)
    """
    assert programs.check(textwrap.dedent(program)).error is None


OBJECT = """
import copy
class Part{base}:
    def __init__(self, layer=None):
        {start}
        self.layer = nn.Linear(3, 3) if layer is None else layer
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 1)
        self.part = {part}
net = Net()
optimizer = torch.optim.SGD({given}, lr=0.1)
"""


@pytest.mark.parametrize(
    ("base", "start", "part", "given", "found"),
    [
        ("", "pass", "Part()", "net.parameters()", 1),
        ("", "pass", "[Part() for _ in range(2)]", "net.parameters()", 1),
        ("", "pass", "{'a': [Part()]}", "net.parameters()", 1),
        ("(nn.Module)", "super().__init__()", "Part()", "net.parameters()", 0),
        ("(Unknown)", "pass", "Part()", "net.parameters()", 0),
        ("", "pass", "Part(copy.deepcopy(self.head))", "net.parameters()", 0),
        ("", "pass", "Part(self.head)", "net.parameters()", 0),
        ("", "pass", "Part()", "[*net.parameters(), *net.part.layer.parameters()]", 0),
        ("", "pass", "Part(nn.ReLU())", "net.parameters()", 0),
    ],
)
def test_object_that_is_no_module(base: str, start: str, part: str, given: str, found: int) -> None:
    snippet = OBJECT.format(base=base, start=start, part=part, given=given)
    assert [severity for severity, _ in reported("GRD501", snippet)] == ["information"] * found


RETURNED = """
class Search(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.alphas = [torch.randn(3, requires_grad=True) for _ in range(2)]
    def {method}(self{more}):
        return {returned}
"""


@pytest.mark.parametrize(
    ("method", "more", "returned", "found"),
    [
        ("arch_parameters", "", "self.alphas", 0),
        ("arch_parameters", "", "iter(self.alphas)", 0),
        ("forward", ", x", "self.layer(x) * sum(self.alphas)", 1),
        ("forward", ", x", "self.alphas", 1),
        ("total", "", "sum(self.alphas)", 1),
    ],
)
def test_list_that_a_method_returns(method: str, more: str, returned: str, found: int) -> None:
    snippet = RETURNED.format(method=method, more=more, returned=returned)
    assert len(reported("GRD501", snippet)) == found


CONVERTED = """
class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 3))CONVERSION
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return torch.mm(x, self.weight) + self.bias

net = Scaled()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    net(torch.ones(2, 3)).sum().backward()
    optimizer.step()
assert (net.weight != 1).all()
"""


@pytest.mark.parametrize("conversion", [".type(torch.FloatTensor)", ".to(torch.float32)", ".to('cpu')", ".float()"])
def test_parameter_that_is_converted_to_what_it_is(conversion: str) -> None:
    """That is the parameter itself: it is registered, and the optimizer has it."""
    program = CONVERTED.replace("CONVERSION", conversion)
    check_right(IMPORTS + program)
    alone = program.replace("self.bias = nn.Parameter(torch.zeros(3))", "self.bias = 0")
    check_right(IMPORTS + alone)
    assert not reported("GRD617", program)
    assert not reported("GRD607", program)
    assert len(reported("GRD507", program)) == (conversion in (".type(torch.FloatTensor)", ".to('cpu')"))


GIVEN = """
import sys
class Flow(nn.Module):
    def __init__(self, layers, kept=None):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.layers = LAYERS

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return x

layers = MADE
flow = Flow(layers)
MORE
optimizer = torch.optim.SGD(OPTIMIZED, lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    flow(torch.ones(3, 2)).sum().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, ["self.layers"]),
        ({"MADE": "[nn.Linear(2, 2) for _ in range(int(sys.argv[1]))]"}, ["self.layers"]),
        ({"LAYERS": "nn.ModuleList(layers)"}, []),
        ({"OPTIMIZED": "[*flow.parameters(), *layers[0].parameters(), *layers[1].parameters()]"}, []),
        ({"OPTIMIZED": "[*flow.parameters(), *sys.modules]"}, []),
        ({"MORE": "for layer in layers:\n    layer.requires_grad_(False)"}, []),
        ({"MORE": "from config import unknown\nunknown(layers)"}, []),
        ({"MORE": "all_of_it = nn.ModuleList([flow, *layers])"}, []),
        ({"OPTIMIZED": "[torch.zeros(1, requires_grad=True)]"}, []),
    ],
)
def test_layers_that_a_module_was_given(changes: dict[str, str], found: list[str]) -> None:
    """Who gives them may train them, too: it takes an optimizer that has all but them."""
    usual = {
        "LAYERS": "layers",
        "MADE": "[nn.Linear(2, 2), nn.Linear(2, 2)]",
        "MORE": "",
        "OPTIMIZED": "flow.parameters()",
    }
    program = GIVEN
    for name, text in (usual | changes).items():
        program = program.replace(name, text)
    assert reported("GRD501", program) == [("information", what) for what in found]
