"""Hooks of modules run when, and as long as, they are there."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_right, reported

NET = """
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
"""


@pytest.mark.parametrize(
    ("hook", "found"),
    [
        ("handle = net.register_forward_hook(lambda m, i, o: o.detach())", 1),
        ("handle = net.register_forward_hook(lambda m, i, o: print(o.shape))", 0),
        ("handle = net.register_forward_hook(lambda m, i, o: o.detach())\nhandle.remove()", 0),
        ("handle = net[2].register_forward_pre_hook(lambda m, i: (i[0].detach(),))", 1),
        ("handle = net[2].register_forward_pre_hook(lambda m, i: i[0].detach())", 1),
        ("handle = net[2].register_forward_hook(lambda m, a, k, o: o.detach(), with_kwargs=True)", 1),
    ],
)
def test_what_a_forward_hook_returns_takes_the_place_of_the_output(hook: str, found: int) -> None:
    program = f"{NET}{hook}\nloss = net(torch.randn(8, 3)).mean()\nloss.backward()\nopt.step()\n"
    assert len(reported("GRD101", program)) == found


def test_features_from_a_hook_have_their_gradient() -> None:
    program = """
    kept = {}
    def keep(name):
        def hook(module, inputs, output):
            kept[name] = output
        return hook
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    opt = torch.optim.SGD(net[0].parameters(), lr=0.1)
    for name, module in net.named_modules():
        module.register_forward_hook(keep(name))
    with torch.no_grad():
        net(torch.randn(8, 3))
    loss = kept["0"].mean()
    loss.backward()
    opt.step()
    """
    assert [severity for severity, _ in reported("GRD106", program)] == ["error"]
    assert not reported("GRD106", program.replace("torch.no_grad()", "torch.enable_grad()"))


SWITCHED = """
import sys

import torch
from torch import nn

net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
handles = []
"""
TRAIN = """
loss = net(torch.randn(8, 3)).mean()
loss.backward()
opt.step()
"""


@pytest.mark.parametrize(
    "hooks",
    [
        "if len(sys.argv) > 9:\n    net.register_forward_hook(lambda m, i, o: o.detach())",
        "if len(sys.argv) > 9:\n    net[0].register_forward_pre_hook(lambda m, i: i[0].numpy().fail())",
        "net.register_forward_hook(lambda m, i, o: None)\n"
        "if len(sys.argv) > 9:\n    net.register_forward_hook(lambda m, i, o: o.detach())",
        "handle = net.register_forward_hook(lambda m, i, o: o.detach())\nif len(sys.argv) < 9:\n    handle.remove()",
        "for layer in net:\n"
        "    if isinstance(layer, nn.Linear) or len(sys.argv) > 9:\n"
        "        handles.append(layer.register_forward_hook(lambda m, i, o: o.detach()))\n"
        "for handle in handles:\n    handle.remove()",
        "handle = net.register_forward_hook(lambda m, i, o: o.detach())\n"
        "kept = handle if len(sys.argv) < 9 else sys.argv\nkept.remove()",
        "from contextlib import ExitStack\n"
        "with ExitStack() as stack:\n"
        "    stack.callback(net.register_forward_hook(lambda m, i, o: o.detach()).remove)\n"
        "    net(torch.randn(8, 3))",
    ],
)
def test_a_hook_that_may_not_be_there_is_no_mistake(hooks: str) -> None:
    check_right(f"{SWITCHED}{hooks}{TRAIN}")


def test_only_hooks_that_were_there_may_have_been_removed() -> None:
    unknown = "import json\njson.loads('{}').pop('handle', net.register_forward_hook(print)).remove()\n"
    hook = "net.register_forward_hook(lambda m, i, o: o.detach())\n"
    assert not reported("GRD101", f"{NET}{hook}{unknown}{TRAIN}")
    assert len(reported("GRD101", f"{NET}{unknown}{hook}{TRAIN}")) == 1
    one_of_a_list = unknown.replace("remove()", "remove(3)")
    assert len(reported("GRD101", f"{NET}{hook}{one_of_a_list}{TRAIN}")) == 1


def test_what_a_hook_that_may_be_there_does_may_have_been_done() -> None:
    program = """
    import sys
    seen = {"features": None}
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    def keep(module, inputs, output):
        seen["features"] = output
    if len(sys.argv) > 1:
        net[0].register_forward_hook(keep)
    net(torch.randn(8, 3))
    seen["features"].sum().backward()
    """
    assert not reported("GRD110", program)
    assert not reported("GRD311", program)


def test_the_kind_of_backward_hooks_that_may_be_there() -> None:
    program = "layer = nn.Linear(3, 4)\nlayer.register_full_backward_hook(print)\nlayer.register_backward_hook(print)\n"
    assert [severity for severity, _ in reported("GRD808", program)] == ["error"]
    switched = program.replace("layer.reg", "import sys\nif len(sys.argv) > 9:\n    layer.reg", 1)
    assert "error" not in [severity for severity, _ in reported("GRD808", switched)]


def test_forward_called_directly_where_there_may_be_hooks() -> None:
    program = "net = nn.Linear(3, 4)\nnet.register_forward_hook(print)\nnet.forward(torch.ones(3))\n"
    assert len(reported("GRD517", program)) == 1
    switched = program.replace("net.reg", "import sys\nif len(sys.argv) > 9:\n    net.reg", 1)
    assert not reported("GRD517", switched)
