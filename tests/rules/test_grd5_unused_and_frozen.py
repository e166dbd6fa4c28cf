"""Modules without their base, flags, layers that nothing uses, results thrown away, and what was removed."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

_PENALTY = """
class Penalty(nn.Module):
    def __init__(self, weight):
        {init}
        self.weight = weight

    def forward(self, x):
        return self.weight * x.abs().mean()


penalty = Penalty(0.1)
{use}
"""


@pytest.mark.parametrize(
    ("use", "blamed"),
    [
        ("loss = penalty(torch.ones(3))", "penalty(torch.ones(3))"),
        ("penalty.to('cpu')", "penalty.to('cpu')"),
        ("print(list(penalty.parameters()))", "penalty.parameters()"),
        ("net = nn.Sequential(penalty)\nnet(torch.ones(3))", "net(torch.ones(3))"),
    ],
)
def test_module_that_was_never_set_up(use: str, blamed: str) -> None:
    assert reported("GRD504", _PENALTY.format(init="pass", use=use)) == [("error", blamed)]


@pytest.mark.parametrize(
    ("init", "use"),
    [
        ("super().__init__()", "penalty(torch.ones(3))"),
        ("nn.Module.__init__(self)", "penalty(torch.ones(3))"),
        ("super(Penalty, self).__init__()", "penalty(torch.ones(3))"),
        ("pass", "print(penalty.weight)"),
    ],
)
def test_module_that_was_set_up(init: str, use: str) -> None:
    assert reported("GRD504", _PENALTY.format(init=init, use=use)) == []


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        ("torch.zeros(3, require_grad=True)", [("error", "torch.zeros(3, require_grad=True)")]),
        ("nn.Parameter(x, required_grad=False)", [("error", "nn.Parameter(x, required_grad=False)")]),
        ("net.require_grad_(False)", [("error", "net.require_grad_(False)")]),
        ("net.requires_grad_ = False", [("warning", "net.requires_grad_")]),
        ("for name, child in net.named_children():\n    setattr(child, 'requires_grad', False)",
         [("warning", "setattr(child, 'requires_grad', False)")]),
        ("torch.zeros(3, requires_grad=True)", []),
        ("net.requires_grad_(False)", []),
        ("setattr(net[0].weight, 'requires_grad', False)", []),
        ("helper(require_grad=True)", []),
    ],
)  # fmt: skip
def test_flags(snippet: str, found: list[tuple[str, str]]) -> None:
    assert reported("GRD503", f"net = nn.Sequential(nn.Linear(3, 3))\n{snippet}\n") == found


@pytest.mark.parametrize(
    ("init", "found"),
    [
        ("self.w = torch.ones(3)\n        self.w.requires_grad = True", [("warning", "self.w")]),
        ("self.w = torch.ones(3)\n        self.w.requires_grad_()", [("warning", "self.w")]),
        ("self.w = nn.Parameter(torch.ones(3), requires_grad=False)\n        self.w.requires_grad = True", []),
        ("x = torch.ones(3)\n        x.requires_grad = True\n        self.w = nn.Parameter(x)", []),
    ],
)
def test_flag_of_an_attribute(init: str, found: list[tuple[str, str]]) -> None:
    snippet = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {init}


torch.optim.SGD(Net().parameters(), lr=0.1)
"""
    assert reported("GRD507", snippet) == found


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        ("net.register_forward_hook(hook)\nnet.forward(x)", True),
        ("net.register_full_backward_hook(hook)\nnet.forward(x)", True),
        ("net = nn.utils.spectral_norm(net)\nnet.forward(x)", True),
        ("net = nn.utils.weight_norm(net)\nnet.forward(x)", True),
        ("net.forward(x)", False),
        ("net.register_forward_hook(hook)\nnet(x)", False),
        ("handle = net.register_forward_hook(hook)\nhandle.remove()\nnet.forward(x)", False),
        ("net = nn.utils.parametrizations.spectral_norm(net)\nnet.forward(x)", False),
    ],
)
def test_forward_called_directly(snippet: str, found: bool) -> None:
    text = f"def hook(module, a, b):\n    return None\n\n\nnet = nn.Linear(3, 3)\nx = torch.ones(2, 3)\n{snippet}\n"
    assert reported("GRD517", text) == ([("warning", "net.forward(x)")] if found else [])


@pytest.mark.parametrize(
    ("freeze", "mode", "found"),
    [
        ("net.requires_grad_(False)", "net.train()", True),
        ("for p in net.parameters():\n    p.requires_grad = False", "", True),
        ("net.requires_grad_(False)", "net.eval()", False),
        ("net.requires_grad_(False)", "net.train(False)", False),
        ("net[0].requires_grad_(False)", "", False),
        ("net[1].requires_grad_(False)", "net.train()\nnet[1].eval()", False),
        ("net[1].weight.requires_grad = False", "", False),
    ],
)
def test_frozen_statistics(freeze: str, mode: str, found: bool) -> None:
    snippet = f"net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))\n{freeze}\n{mode}\nnet(torch.ones(2, 3))\n"
    assert len(reported("GRD519", snippet)) == found


_NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x, deep=False):
        {body}


net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(3):
    opt.zero_grad()
    net(torch.ones(2, 3){more}).sum().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("body", "more", "found"),
    [
        ("return self.first(x) * self.scale", "", ["nn.Linear(3, 3)"]),
        ("return self.second(self.first(x))", "", ["nn.Parameter(torch.ones(3))"]),
        ("return self.first(x)", "", ["nn.Linear(3, 3)", "nn.Parameter(torch.ones(3))"]),
        ("return self.second(self.first(x)) * self.scale", "", []),
        ("x = self.second(x) if deep else x\n        return self.first(x) * self.scale", ", deep=step % 2", []),
        ("return unknown(self, x)", "", []),
        ("with torch.no_grad():\n            x = self.second(x)\n        return self.first(x) * self.scale", "", []),
    ],
)
def test_untouched_parameter(body: str, more: str, found: list[str]) -> None:
    snippet = _NET.format(body=body, more=more)
    assert reported("GRD520", snippet) == [("information", blamed) for blamed in found]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("h.detach()", True),
        ("h.to('cpu')", True),
        ("torch.clamp(h, 0, 1)", True),
        ("F.relu(h)", True),
        ("nn.functional.dropout(h, 0.5)", True),
        ("act(h)", True),
        ("net.weight.data.clamp(-1, 1)", True),
        ("h.detach_()", False),
        ("F.relu(h, inplace=True)", False),
        ("torch.add(h, 1, out=out)", False),
        ("net(h)", False),
        ("nn.ReLU(inplace=True)(h)", False),
        ("h.retain_grad()", False),
        ("h.sum().backward()", False),
        ("act(torch.ones(3))", True),
        ("torch.rand(3, 3).sum()", False),
        ("torch.tanh(torch.tensor([1.0]))", False),
        ("nn.init.zeros_(net.weight)", False),
        ("net.to('cpu')", False),
        ("torch.manual_seed(0)", False),
    ],
)
def test_result_thrown_away(statement: str, found: bool) -> None:
    snippet = f"net, act, out = nn.Linear(3, 3), nn.ReLU(), torch.ones(3)\nh = net(torch.ones(3))\n{statement}\n"
    assert reported("GRD616", snippet) == ([("information", statement)] if found else [])


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        ("torch.symeig(x)", [("error", "torch.symeig(x)")]),
        ("x.gesv(x)", [("error", "x.gesv(x)")]),
        ("x.sum().data[0]", [("error", "x.sum().data[0]")]),
        ("x.volatile = True", [("warning", "x.volatile")]),
        ("torch.fft.fft(x)", []),
        ("torch.linalg.solve(x, x)", []),
        ("x.data[0]", []),
        ("x.sum()[None]", []),
        ("x.sum()[...]", []),
        ("if hasattr(torch, 'rfft'):\n    torch.rfft(x, 1)", []),
        ("if old:\n    torch.symeig(x)", []),
        ("try:\n    torch.symeig(x)\nexcept RuntimeError:\n    pass", []),
    ],
)
def test_removed(snippet: str, found: list[tuple[str, str]]) -> None:
    assert reported("GRD902", f"x = torch.ones(3, 3, requires_grad=True)\n{snippet}\n") == found


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        ("loss.backward(retain_variables=True)", True),
        ("loss.backward(grad_variables=torch.ones(()))", True),
        ("loss.backward(retain_graph=True, gradient=torch.ones(()))", False),
        ("torch.autograd.backward([loss], retain_graph=True)", False),
        ("loss.backward(**options)", False),
    ],
)
def test_keywords_of_backward(snippet: str, found: bool) -> None:
    text = f"loss = torch.ones(3, requires_grad=True).sum()\n{snippet}\n"
    assert reported("GRD312", text) == ([("error", snippet)] if found else [])


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("nn.Sequential(*[layer for _ in range(3)])", True),
        ("nn.ModuleList([layer for _ in range(3)])", True),
        ("nn.ModuleList(layer for _ in range(3))", True),
        ("nn.ModuleList([copy.deepcopy(layer) for _ in range(3)])", False),
        ("nn.Sequential(layer, nn.ReLU(), layer)", False),
        ("nn.ModuleList([act for _ in range(3)])", False),
        ("nn.ModuleList([x for x in [layer, nn.Linear(3, 3)]])", False),
    ],
)
def test_layer_repeated_by_a_comprehension(made: str, found: bool) -> None:
    snippet = f"import copy\nlayer, act = nn.Linear(3, 3), nn.ReLU()\nnet = {made}\n"
    assert reported("GRD506", snippet) == ([("information", made)] if found else [])


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return x * nn.Parameter(torch.ones(3))", True),
        ("w = nn.Parameter(torch.randn(3))\n        return x @ w", True),
        ("self.w = nn.Parameter(torch.randn(3))\n        return x @ self.w", False),
        ("return nn.Parameter(torch.randn(3))", False),
        ("return x * nn.Parameter(torch.ones(3), requires_grad=False)", False),
        ("return helper(nn.Parameter(torch.ones(3)))", False),
    ],
)
def test_parameter_made_in_forward(body: str, found: bool) -> None:
    snippet = f"class Net(nn.Module):\n    def forward(self, x):\n        {body}\n"
    assert len(reported("GRD502", snippet)) == found


def test_checkpoint_of_a_result() -> None:
    head = "from torch.utils.checkpoint import checkpoint\nnet, x = nn.Linear(3, 3), torch.ones(2, 3)\n"
    wrong = "checkpoint(net(x), use_reentrant=False)"
    assert reported("GRD807", head + wrong) == [("error", wrong)]
    assert reported("GRD807", head + "checkpoint(net, x, use_reentrant=False)") == []


@pytest.mark.parametrize(("between", "found"), [("", True), ("out = net(torch.ones(3))", False)])
def test_freeze_that_is_undone(between: str, found: bool) -> None:
    snippet = f"""
net = nn.Linear(3, 3)
for p in net.parameters():
    p.requires_grad = False
{between}
for p in net.parameters():
    p.requires_grad = True
net(torch.ones(3)).sum().backward()
"""
    assert len(reported("GRD609", snippet)) == found


@pytest.mark.parametrize(
    ("state", "after", "found"),
    [
        ("net.state_dict()", "torch.save(best, 'best.pt')", True),
        ("{'model': net.state_dict()}", "torch.save(best, 'best.pt')", True),
        ("net.state_dict()", "nn.Linear(3, 3).load_state_dict(best)", True),
        ("net.state_dict()", "net.load_state_dict(best)", True),
        ("copy.deepcopy(net.state_dict())", "torch.save(best, 'best.pt')", False),
        ("{k: v.clone() for k, v in net.state_dict().items()}", "torch.save(best, 'best.pt')", False),
        ("net.state_dict()", "torch.save(net.state_dict(), 'last.pt')", False),
    ],
)
def test_best_state(state: str, after: str, found: bool) -> None:
    snippet = f"""
import copy

net = nn.Linear(3, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
lowest, best = 1e9, None
for step in range(5):
    loss = net(torch.randn(2, 3)).pow(2).sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if loss.item() < lowest:
        lowest = loss.item()
        best = {state}
        torch.save(net.state_dict(), "now.pt")
{after}
"""
    assert reported("GRD708", snippet) == ([("warning", "net.state_dict()")] if found else [])


BRANCHES = """
import sys
net = nn.Linear(3, 1)
chosen, x = len(sys.argv) > 1, torch.randn(8, 3)
{before}
for _ in range(3):
    loss = net(x).mean()
    {body}
    {last}
"""


@pytest.mark.parametrize(
    ("body", "last", "found"),
    [
        ("if not torch.isfinite(loss):\n        loss = torch.tensor(1e9)", "loss.backward()", 1),
        ("if x.sum() > 0:\n        loss = torch.zeros(1)", "(loss / 2).backward()", 1),
        ("if chosen:\n        loss = torch.tensor(0.0, requires_grad=True)", "loss.backward()", 0),
        ("if chosen:\n        loss = 0 * loss", "loss.backward()", 0),
        ("if chosen:\n        loss = torch.tensor(0.0)\n        continue", "loss.backward()", 0),
        ("if chosen:\n        loss = torch.tensor(0.0)", "(loss + net(x).sum()).backward()", 0),
        ("if chosen:\n        loss = torch.tensor(0.0)", "if not chosen:\n        loss.backward()", 0),
        (
            "if chosen:\n        loss = torch.tensor(0.0)",
            "try:\n        loss.backward()\n    except RuntimeError:\n        pass",
            0,
        ),
        ("loss = torch.tensor(0.0)\n    if chosen:\n        loss = loss + net(x).mean()", "loss.backward()", 0),
    ],
)
def test_loss_that_is_a_constant_on_one_branch(body: str, last: str, found: int) -> None:
    given = BRANCHES.format(before="", body=body, last=last)
    assert [severity for severity, _ in reported("GRD110", given)] == ["information"] * found


def test_masked_loss_of_nothing() -> None:
    snippet = """
    def masked(guess, wanted, mask):
        if mask.sum() == 0:
            return torch.tensor(0.0)
        return (guess - wanted)[mask].pow(2).mean()

    net = nn.Linear(3, 1)
    for x, y in load():
        masked(net(x), y, y > 0).backward()
    """
    assert reported("GRD110", snippet) == [("information", "torch.tensor(0.0)")]


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("if chosen:\n    for p in net.parameters():\n        p.requires_grad = False", 1),
        ("if chosen:\n    net.requires_grad_(False)", 1),
        ("if chosen:\n    net.requires_grad_(False)\n    net.bias.requires_grad = True", 0),
        ("if chosen:\n    net.weight.requires_grad = False", 0),
        ("if chosen:\n    for p in net.parameters():\n        if every(p):\n            p.requires_grad = False", 0),
        ("if chosen:\n    net.requires_grad_(False)\nnet.requires_grad_(True)", 0),
    ],
)
def test_all_is_frozen_on_one_branch(before: str, found: int) -> None:
    given = BRANCHES.format(before=before, body="pass", last="loss.backward()")
    assert [severity for severity, _ in reported("GRD110", given)] == ["information"] * found


REPLACED = """
from torchvision import models
net = models.resnet18()
{}
for x, y in load():
    opt.zero_grad()
    F.cross_entropy(net(x), y).backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("opt = torch.optim.SGD(net.parameters(), lr=0.1)\nnet.fc = nn.Linear(512, 3)", ["net.fc"]),
        ("opt = torch.optim.SGD(net.head.parameters(), lr=0.1)\nnet.head[6] = nn.Linear(512, 3)", ["net.head[6]"]),
        ("opt = torch.optim.SGD(net.head.parameters(), lr=0.1)\nnet.stem[0] = nn.Conv2d(1, 64, 3)", []),
        ("net.fc = nn.Linear(512, 3)\nopt = torch.optim.SGD(net.parameters(), lr=0.1)", []),
        ("opt = torch.optim.SGD(net.parameters(), lr=0.1)\nnet.fc = nn.ReLU()", []),
        ("for i in range(2):\n    opt = torch.optim.SGD(net.parameters(), lr=0.1)\n    net.fc = nn.Linear(1, 3)\n"
         "opt = torch.optim.SGD(net.parameters(), lr=0.1)", []),
        ("opt = torch.optim.SGD(net.parameters(), lr=0.1)\nnew = nn.Linear(1, 3)\nnet.fc = new\n"
         "opt.add_param_group({'params': new.parameters()})", []),
    ],
)  # fmt: skip
def test_layer_of_an_unknown_model_that_is_replaced(body: str, found: list[str]) -> None:
    assert [what for severity, what in reported("GRD607", REPLACED.format(body)) if severity == "warning"] == found
