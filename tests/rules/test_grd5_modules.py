"""Modules, parameters and optimizers: what must be found, and what looks alike and must not be."""

from __future__ import annotations

import textwrap

import pytest

from gradls.testing import programs
from tests.rules.reported import reported


def module(init: str, rest: str = "") -> str:
    """A module class with this body of `__init__`, one object of it, and what follows."""
    head = "class Net(nn.Module):\n    def __init__(self, n=3, given=None):\n        super().__init__()\n"
    return head + textwrap.indent(textwrap.dedent(init).strip(), " " * 8) + "\n\nnet = Net()\n" + textwrap.dedent(rest)


@pytest.mark.parametrize(
    "init",
    [
        "self.a = [nn.Linear(3, 3), nn.ReLU()]",
        "self.a = [nn.Linear(3, 3) for _ in range(n)]",
        "self.a = (nn.Linear(3, 3),)",
        "self.a = {'x': nn.Linear(3, 3)}",
        "self.a = []\nfor _ in range(n):\n    self.a.append([nn.Linear(3, 3), nn.ReLU()])",
        "self.a = []\nself.a += [nn.Linear(3, 3)]",
        "self.a = [nn.Parameter(torch.zeros(3))]",
        "self.a = [torch.zeros(3, requires_grad=True)]",
    ],
)
def test_unregistered_parameters(init: str) -> None:
    assert reported("GRD501", module(init)) == [("warning", "self.a")]


@pytest.mark.parametrize(
    ("init", "rest"),
    [
        ("self.a = nn.ModuleList([nn.Linear(3, 3)])", ""),
        ("self.a = [nn.ReLU(), nn.Dropout()]", ""),
        ("self.a = [given]", ""),
        ("self.a = [nn.Linear(3, 3)]\nself.b = nn.ModuleList(self.a)", ""),
        ("self.a = [nn.Linear(3, 3)]\nself.b = nn.Sequential(*self.a)", ""),
        (
            "self.a = [nn.Linear(3, 3) for _ in range(n)]\n"
            "for i, layer in enumerate(self.a):\n    self.add_module(f'x{i}', layer)",
            "",
        ),
        ("self.a = [nn.Linear(3, 3)]\nfor i, x in enumerate(self.a):\n    setattr(self, f'x{i}', x)", ""),
        ("self.a = [nn.Linear(3, 3).requires_grad_(False)]", ""),
        ("self.a = [torch.zeros(3)]", ""),
        ("self.a = [nn.Linear(3, 3)]", "torch.optim.SGD([p for m in net.a for p in m.parameters()], lr=0.1)"),
        ("self.a = [nn.Linear(3, 3)]", "net.a = nn.ModuleList(net.a)"),
    ],
)
def test_registered_in_another_way(init: str, rest: str) -> None:
    assert reported("GRD501", module(init, rest)) == []


def test_a_class_that_lists_its_parameters_itself_is_left_alone() -> None:
    snippet = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = [nn.Linear(3, 3)]

        def parameters(self, recurse=True):
            for layer in self.a:
                yield from layer.parameters()

    class Other(Unknown):
        def __init__(self):
            super().__init__()
            self.a = [nn.Linear(3, 3)]
    """
    assert reported("GRD501", snippet) == []


@pytest.mark.parametrize(
    ("given", "severity"),
    [
        ("nn.ReLU().parameters()", "error"),
        ("[]", "error"),
        ("net.weight", "error"),
        ("net", "error"),
        ("[net]", "error"),
        ("[net.parameters(), net.parameters()]", "error"),
        ("[net.weight * 2]", "error"),
        ("net.state_dict()", "error"),
        ("dict(net.named_parameters())", "error"),
        ("{'params': net.parameters()}", "error"),
        ("[{'params': set(net.parameters())}]", "error"),
        ("net.parameters", "error"),
        ("used", "error"),
        ("list(net.state_dict().values())", "warning"),
        ("[net.weight.to(where)]", "information"),
    ],
)
def test_optimizer_arguments(given: str, severity: str) -> None:
    first = "net = nn.Linear(3, 1)\nused = net.parameters()\nfor p in used: pass\nwhere = input()\n"
    snippet = f"{first}torch.optim.SGD({given}, lr=0.1)"
    assert [found for found, _ in reported("GRD505", snippet)] == [severity]


@pytest.mark.parametrize(
    "given",
    [
        "net.parameters()",
        "net.named_parameters()",
        "list(net.parameters())",
        "set(net.parameters())",
        "iter(net.parameters())",
        "(p for p in net.parameters() if p.requires_grad)",
        "filter(lambda p: p.requires_grad, net.parameters())",
        "dict(net.named_parameters()).values()",
        "[{'params': net.weight}, {'params': [net.bias]}]",
        "[{'params': []}, {'params': net.parameters()}]",
        "[torch.zeros(3)]",
        "load()",
        "[*load()]",
        "maybe",
        "twice",
    ],
)
def test_arguments_that_an_optimizer_takes(given: str) -> None:
    snippet = f"""
    net = nn.Linear(3, 1)
    maybe = net.parameters()
    if input():
        for p in maybe:
            pass
    twice = list(net.parameters())
    for p in twice:
        pass
    torch.optim.SGD({given}, lr=0.1)
    """
    assert reported("GRD505", snippet) == []


def test_a_base_class_may_leave_parameters_to_others() -> None:
    snippet = """
    class Base(nn.Module):
        def optimizer(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self._modules["layer"] = nn.Linear(3, 1)

    torch.optim.SGD(Own().parameters(), lr=0.1)
    """
    assert reported("GRD505", snippet) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("net.requires_grad = False", 1),
        ("net[0].requires_grad = True", 1),
        ("for m in net.children():\n    m.requires_grad = False", 1),
        ("for p in net.parameters():\n    p.require_grad = False", 1),
        ("for p in net.parameters():\n    p.requiresGrad = False", 1),
        ("opt.lr = 0.1", 1),
        ("for p in net.parameters():\n    p.requires_grad = False", 0),
        ("for p in net.parameters():\n    p.required = False", 0),
        ("opt.lr = 0.1\nprint(opt.lr)", 0),
        ("opt.param_groups[0]['lr'] = 0.1", 0),
        ("config.requires_grad = False", 0),
    ],
)
def test_flag_nobody_reads(statement: str, found: int) -> None:
    snippet = "net = nn.Sequential(nn.Linear(3, 1))\nopt = torch.optim.SGD(net.parameters(), lr=0.1)\n" + statement
    assert len(reported("GRD503", snippet)) == found


def test_flags_of_models_from_elsewhere() -> None:
    snippet = """
    import torchvision
    net = torchvision.models.resnet18()
    for child in net.children():
        child.requires_grad = False
    for p in net.parameters():
        p.requires_grads = False
    for p in net.parameters():
        p.requires_grad = False
    """
    assert [text for _, text in reported("GRD503", snippet)] == ["child.requires_grad", "p.requires_grads"]


@pytest.mark.parametrize(
    ("init", "found"),
    [
        ("self.a = nn.Linear(1, 1)\nsuper().__init__()", 1),
        ("self.a = nn.Parameter(torch.zeros(1))", 1),
        ("self.register_buffer('a', torch.zeros(1))\nsuper().__init__()", 1),
        ("self.a = torch.zeros(1)\nself.b = [nn.Linear(1, 1)]\nsuper().__init__()", 0),
        ("nn.Module.__init__(self)\nself.a = nn.Linear(1, 1)", 0),
        ("super(Net, self).__init__()\nself.a = nn.Linear(1, 1)", 0),
        ("self.begin()\nself.a = nn.Linear(1, 1)", 0),
    ],
)
def test_assigned_before_init(init: str, found: int) -> None:
    body = textwrap.indent(init, " " * 8)
    begin = "    def begin(self):\n        super().__init__()"
    snippet = f"class Net(nn.Module):\n    def __init__(self):\n{body}\n\n{begin}\n\nNet()"
    assert len(reported("GRD504", snippet)) == found


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("net.weight = net.weight * 2", 1),
        ("net.weight = torch.zeros(1, 3)", 1),
        ("net.weight = net.weight.data", 1),
        ("net.weight = [1]", 1),
        ("plain.bias = torch.zeros(1)", 1),
        ("both.layer = torch.zeros(1)", 1),
        ("both.layer = lambda x: x", 1),
        ("net.weight = nn.Parameter(torch.zeros(1, 3))", 0),
        ("net.weight = None", 0),
        ("net.weight = net.weight.to('cpu')", 0),
        ("net.weight = load()", 0),
        ("del net.weight\nnet.weight = torch.zeros(1, 3)", 0),
        ("nn.utils.weight_norm(net)\nnet.weight = torch.zeros(1, 3)", 0),
        ("both.layer = nn.Identity()", 0),
        ("net.scale = torch.zeros(1)", 0),
    ],
)
def test_parameter_slot(statement: str, found: int) -> None:
    snippet = """
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

    both, net, plain = Both(), nn.Linear(3, 1), nn.Linear(3, 1, bias=False)
    """
    assert len(reported("GRD508", textwrap.dedent(snippet) + statement)) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return nn.Linear(3, 1)(x)", 1),
        ("layer = nn.Linear(3, 1)\nreturn layer(x)", 1),
        ("return self.head(x)\n\ndef head(self, x):\n    return nn.Conv1d(1, 1, 1)(x)", 1),
        ("return nn.ReLU()(x)", 0),
        ("self.layer = nn.Linear(3, 1)\nreturn self.layer(x)", 0),
        ("layer = nn.Linear(3, 1)\nlayer.weight.data.fill_(1)\nreturn layer(x)", 0),
        ("layer = nn.Linear(3, 1).requires_grad_(False)\nreturn layer(x)", 0),
        ("layer = nn.Linear(3, 1)\nlayer.load_state_dict(self.saved)\nreturn layer(x)", 0),
        ("return self.build(nn.Linear(3, 1))(x)", 0),
    ],
)
def test_layer_made_in_forward(body: str, found: int) -> None:
    lines = textwrap.indent(body, " " * 8).replace(" " * 8 + "def ", "    def ").replace("        def", "    def")
    snippet = f"class Net(nn.Module):\n    def forward(self, x):\n{lines}"
    assert len(reported("GRD502", snippet)) == found


@pytest.mark.parametrize(
    ("decorator", "head", "found"),
    [
        ("@property", "self.head", 1),
        ("", "self.head()", 1),
        ("@functools.cached_property", "self.head", 0),
        ("@functools.lru_cache", "self.head()", 0),
        ("@property\n    @functools.lru_cache", "self.head", 0),
    ],
)
def test_layer_made_for_forward(decorator: str, head: str, found: int) -> None:
    snippet = f"""
import functools
class Net(nn.Module):
    {decorator}
    def head(self):
        return nn.Linear(3, 1)
    def forward(self, x):
        return {head}(x)
net, x = Net(), torch.ones(2, 3)
assert torch.equal(net(x), net(x)) is {not found}
"""
    assert programs.check("import torch\nfrom torch import nn\n" + snippet).error is None
    assert len(reported("GRD502", snippet)) == found


PLACEHOLDERS = """
class Net(nn.Module):
    def __init__(self, shapes):
        super().__init__()
        self.head = nn.Linear(3, 1)
        self.inputs = [nn.Parameter(torch.empty(shape)) for shape in shapes]
        self.names = ["input"] * len(self.inputs)

    def forward(self, x):
        {before}
        return sum(self.head(part) for part in self.inputs)
"""


def test_a_list_of_parameters_that_stand_for_what_comes_later() -> None:
    assert reported("GRD501", PLACEHOLDERS.format(before="self.inputs = [x]")) == []
    assert reported("GRD501", PLACEHOLDERS.format(before="y = [x]")) == [("warning", "self.inputs")]
    assert len(reported("GRD501", PLACEHOLDERS.format(before="if x.dim() > 1:\n            self.inputs = [x]"))) == 1
