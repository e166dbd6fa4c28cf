"""Training functions that are given the model: what is told though nothing is known of it."""

from __future__ import annotations

import textwrap

import pytest
import torch

from tests.rules.reported import IMPORTS, reported

LOOP = """
def train(model, optimizer, loader):
    {before}
    for x, y in loader:
        optimizer.zero_grad()
        {forward}
        loss = F.mse_loss(out, y)
        loss.backward()
        optimizer.step()
"""


class Recurrent(torch.nn.Module):
    """A layer that gives its state back, too."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        out = torch.tanh(self.inner(x + state))
        return out, out


def _runs(program: str, model: torch.nn.Module) -> str:
    """What PyTorch says to the function `train` of a program; empty if it raises nothing."""
    scope: dict[str, object] = {}
    exec(compile(textwrap.dedent(IMPORTS) + program, "train.py", "exec"), scope)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = [(torch.randn(3), torch.randn(3)) for _ in range(2)]
    try:
        scope["train"](model, optimizer, loader)  # type: ignore[operator]
    except RuntimeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("rule", "blamed", "forward"),
    [
        ("GRD101", "model(x).detach()", "out = model(x).detach()"),
        ("GRD106", "torch.no_grad()", "with torch.no_grad():\n            out = model(x)"),
        ("GRD107", "model(x).gt(0)", "out = model(x).gt(0).float()"),
        ("GRD107", "model(x).argsort()", "out = model(x).argsort().float()"),
    ],
)
def test_a_loss_of_data_alone(rule: str, blamed: str, forward: str) -> None:
    program = LOOP.format(before="pass", forward=forward)
    assert "does not require grad" in _runs(program, torch.nn.Linear(3, 3))
    assert reported(rule, program) == [("information", blamed)]


@pytest.mark.parametrize(
    "forward",
    [
        "out = model(x)",
        "out = model(model(x).detach())",
        "x = model.encode(x).detach()\n        out = model(x)",
        "with torch.no_grad():\n            x = model(x)\n        out = model(x)",
        "y, out = model(x).detach(), model(x)",
        "out = model(x).detach() * model.scale",
        "out = model(x).detach() + loader.offset",
    ],
)
def test_a_loss_that_may_have_a_gradient(forward: str) -> None:
    program = LOOP.format(before="pass", forward=forward)
    assert [found for rule in ("GRD101", "GRD106", "GRD107") for found in reported(rule, program)] == []


@pytest.mark.parametrize(
    ("before", "forward", "model"),
    [
        ("state = torch.zeros(3)", "out, state = model(x, state)", Recurrent()),
        ("out = model(loader[0][0])", "pass", torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Sigmoid())),
    ],
)
def test_a_graph_of_an_earlier_round(before: str, forward: str, model: torch.nn.Module) -> None:
    program = LOOP.format(before=before, forward=forward)
    assert "backward through the graph a second time" in _runs(program, model)
    assert reported("GRD301", program) == [("information", "loss.backward()")]


@pytest.mark.parametrize(
    ("before", "forward"),
    [
        ("state = torch.zeros(3)", "out, state = model(x, state)\n        state = state.detach()"),
        ("state = torch.zeros(3)", "out, _ = model(x, state)"),
        ("scale = model.prepare(loader)", "out = model(x * scale)"),
        ("weight = prepare(loader)", "out = x * weight"),
    ],
)
def test_a_graph_of_its_own_in_each_round(before: str, forward: str) -> None:
    assert reported("GRD301", LOOP.format(before=before, forward=forward)) == []


def test_what_backward_ran_on_has_a_graph() -> None:
    program = LOOP.format(before="total = 0", forward="out = model(x)") + "        total += loss\n    return total\n"
    assert [severity for severity, _ in reported("GRD701", program)] == ["information"]
    assert reported("GRD701", program.replace("+= loss", "+= loss.item()")) == []


@pytest.mark.parametrize(
    ("body", "blamed"),
    [
        (
            "loss = F.mse_loss(a, b).item()\nreturn torch.tensor(loss, requires_grad=True)",
            "torch.tensor(loss, requires_grad=True)",
        ),
        ("loss = F.mse_loss(a, b).detach()\nloss.requires_grad_()\nreturn loss", "loss.requires_grad_()"),
        ("start = torch.tensor(a.mean().item(), requires_grad=True)\nreturn start", ""),
        ("return torch.tensor(F.mse_loss(a, b).item())", ""),
    ],
)
def test_a_criterion_that_gives_a_leaf(body: str, blamed: str) -> None:
    program = "def criterion(a, b):\n" + textwrap.indent(body, "    ")
    scope: dict[str, object] = {}
    exec(compile(textwrap.dedent(IMPORTS) + program, "loss.py", "exec"), scope)
    given = torch.ones(3, requires_grad=True)
    found = scope["criterion"](given * 2, torch.zeros(3))  # type: ignore[operator]
    if blamed:
        found.backward()
        assert given.grad is None
    assert reported("GRD109", program) == ([("information", blamed)] if blamed else [])


FREEZES = [
    "for p in model.parameters():\n        p.requires_grad = False",
    "for p in model.parameters():\n        p.requires_grad_(False)",
    "for name, p in model.named_parameters():\n        p.requires_grad = False",
    "model.requires_grad_(False)",
]


@pytest.mark.parametrize("freeze", FREEZES)
def test_a_model_that_is_frozen_altogether(freeze: str) -> None:
    program = LOOP.format(before=freeze, forward="out = model(x)")
    assert "does not require grad" in _runs(program, torch.nn.Linear(3, 3))
    assert reported("GRD110", program) == [("information", freeze.rpartition("\n")[2].strip().removesuffix(" = False"))]


@pytest.mark.parametrize("freeze", FREEZES)
@pytest.mark.parametrize(
    ("then", "forward"),
    [
        ("for p in model[1].parameters():\n        p.requires_grad = True", "out = model(x)"),
        ("model[1] = torch.nn.Linear(3, 3)", "out = model(x)"),
        ("[p.requires_grad_() for p in list(model.parameters())[-1:]]", "out = model(x)"),
        ("pass", "x = x.clone().requires_grad_()\n        out = model(x)"),
        ("head = model.pop(0).requires_grad_()", "out = head(x)"),
    ],
)
def test_a_model_of_which_a_part_is_trained(freeze: str, then: str, forward: str) -> None:
    program = LOOP.format(before=f"{freeze}\n    {then}", forward=forward)
    assert _runs(program, torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))) == ""
    assert reported("GRD110", program) == []


@pytest.mark.parametrize(
    "before",
    [
        "for name, p in model.named_parameters():\n        p.requires_grad = 'head' in name",
        "for name, p in model.named_parameters():\n        if 'head' not in name:\n            p.requires_grad = False",
        "model.requires_grad_(False)\n    model = add_adapters(model)",
        "model.requires_grad_(False)\n    model.add_head()",
        "if freeze:\n        model.requires_grad_(False)\n        model.head.requires_grad_(True)",
        "model.requires_grad_(False)\n    model.head = torch.nn.Linear(3, 3)",
        "model.requires_grad_(False)\n    thaw(model.parameters())",
    ],
)
def test_a_model_that_may_be_trained(before: str) -> None:
    program = LOOP.format(before=before, forward="out = model(x)").replace("(model, opt", "(model, freeze, opt")
    assert reported("GRD110", program) == []


BOOTSTRAPPED = """
def train(net, optimizer, loader, frozen=None, reward=1.0):
    for x, y in loader:
        value = net(x)
        {target}
        loss = F.mse_loss(value, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    "target",
    [
        "wanted = reward + 0.9 * net(y)",
        "wanted = y + 0.9 * (1 - reward) * net(y).max(-1, keepdim=True)[0]",
        "wanted = (net(y) * 0.9 + reward).squeeze()",
    ],
)
def test_a_target_that_the_network_predicts_itself(target: str) -> None:
    program = BOOTSTRAPPED.format(target=target)
    assert _runs(program, torch.nn.Linear(3, 3)) == ""
    assert reported("GRD126", program) == [("information", "F.mse_loss(value, wanted)")]


@pytest.mark.parametrize(
    "target",
    [
        "with torch.no_grad():\n            wanted = reward + 0.9 * net(y)",
        "wanted = (reward + 0.9 * net(y)).detach()",
        "wanted = reward + 0.9 * net(y).detach()",
        "wanted = reward + 0.9 * frozen(y)",
        "wanted = net(y)",
        "wanted = y + 0.9 * reward",
        "wanted = net(y) + net(x) * 0.5",
        "wanted = reward + 0.9 * net(y)\n        wanted = wanted.data",
    ],
)
def test_a_target_that_may_be_meant(target: str) -> None:
    assert reported("GRD126", BOOTSTRAPPED.format(target=target)) == []


ATTACK = """
def attack(model, x, y):
    {inside}
    loss = F.mse_loss(model(x), y)
    loss.backward()
    {read}


def train(model, optimizer, loader):
    for x, y in loader:
        {before}
        attack(model, x, y)
"""
READ = "return x + 0.1 * x.grad.sign()"


def _attacks(program: str) -> str:
    scope: dict[str, object] = {}
    exec(compile(textwrap.dedent(IMPORTS) + program, "train.py", "exec"), scope)
    loader = [(torch.randn(3), torch.randn(3)) for _ in range(2)]
    try:
        scope["train"](torch.nn.Linear(3, 3), None, loader)  # type: ignore[operator]
    except AttributeError as error:
        return str(error)
    return ""


def test_the_gradient_of_data() -> None:
    program = ATTACK.format(inside="pass", read=READ, before="x = x.float()")
    assert "NoneType" in _attacks(program)
    assert reported("GRD311", program) == [("information", "x.grad")]


@pytest.mark.parametrize(
    ("inside", "before", "read"),
    [
        ("x.requires_grad = True", "pass", READ),
        ("pass", "x.requires_grad_()", READ),
        ("x = x.clone().requires_grad_()", "pass", READ),
        ("pass", "x = torch.nn.Parameter(x)", READ),
        ("pass", "pass", "return x if x.grad is None else x.grad.sign()"),
        ("pass", "pass", "return x.grad"),
    ],
)
def test_the_gradient_of_what_requires_grad(inside: str, before: str, read: str) -> None:
    program = ATTACK.format(inside=inside, before=before, read=read)
    assert _attacks(program) == ""
    assert reported("GRD311", program) == []


@pytest.mark.parametrize("before", ["prepare(x)", "x = prepare(x)", "x, y = prepare(x, y)", "x = model.embed(x)"])
def test_the_gradient_of_what_may_require_grad(before: str) -> None:
    assert reported("GRD311", ATTACK.format(inside="pass", before=before, read=READ)) == []


ADVERSARIES = """
def train(maker, judge, of_maker, of_judge, x, z):
    {fake}
    cost = F.softplus(-judge(x)).mean() + F.softplus(judge({judged})).mean()
    of_judge.zero_grad()
    cost.backward()
    of_judge.step()
    loss = F.binary_cross_entropy_with_logits(judge({shown}), torch.ones(4, 1))
    of_maker.zero_grad()
    loss.backward()
    of_maker.step()
"""


def _makes(program: str) -> bool:
    """Does the maker get a gradient?"""
    scope: dict[str, object] = {}
    exec(compile(textwrap.dedent(IMPORTS) + program, "train.py", "exec"), scope)
    maker, judge = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.1) for network in (maker, judge)]
    scope["train"](maker, judge, *optimizers, torch.randn(4, 3), torch.randn(4, 2))  # type: ignore[operator]
    return maker.weight.grad is not None


@pytest.mark.parametrize(
    ("rule", "blamed", "fake", "judged", "shown"),
    [
        ("GRD101", "maker(z).detach()", "fake = maker(z).detach()", "fake", "fake"),
        ("GRD101", "fake.detach()", "fake = maker(z)", "fake.detach()", "fake.detach()"),
        ("GRD106", "torch.no_grad()", "with torch.no_grad():\n        fake = maker(z)", "fake", "fake"),
    ],
)
def test_a_network_that_nothing_trains(rule: str, blamed: str, fake: str, judged: str, shown: str) -> None:
    program = ADVERSARIES.format(fake=fake, judged=judged, shown=shown)
    assert not _makes(program)
    assert reported(rule, program) == [("information", blamed)]


@pytest.mark.parametrize(
    ("fake", "judged", "shown"),
    [
        ("fake = maker(z)", "fake.detach()", "fake"),
        ("with torch.no_grad():\n        fake = maker(z)", "fake", "maker(z)"),
        ("fake = maker(z)", "fake.data", "maker(z)"),
    ],
)
def test_a_network_that_the_other_one_trains(fake: str, judged: str, shown: str) -> None:
    program = ADVERSARIES.format(fake=fake, judged=judged, shown=shown)
    assert _makes(program)
    assert [found for rule in ("GRD101", "GRD106") for found in reported(rule, program)] == []


@pytest.mark.parametrize(
    "body",
    [
        # two optimizers of one model that learns from another one
        "loss = F.mse_loss(judge(x), maker(z).detach())\n    of_judge.zero_grad()\n    of_maker.zero_grad()\n"
        "    loss.backward()\n    of_judge.step()\n    of_maker.step()\n",
        # two heads on fixed features
        "h = maker(z).detach()\n    F.mse_loss(judge(h), x).backward()\n    of_judge.step()\n    of_judge.zero_grad()\n"
        "    F.mse_loss(x(h), z).backward()\n    of_maker.step()\n    of_maker.zero_grad()\n",
        # one optimizer
        "fake = maker(z).detach()\n    loss = F.softplus(judge(fake)).mean()\n    loss.backward()\n"
        "    of_judge.step()\n    of_judge.zero_grad()\n",
    ],
)
def test_a_network_that_others_may_train(body: str) -> None:
    program = f"\ndef train(maker, judge, of_maker, of_judge, x, z):\n    {body}"
    assert reported("GRD101", program) == []


LEFT = """
def train(maker, judge, of_maker, of_judge, x, z):
    of_maker.zero_grad()
    of_judge.zero_grad()
    fake = maker(z)
    cost = F.binary_cross_entropy_with_logits(judge(x), torch.ones(4, 1)) + {cost}
    cost.backward({options})
    of_judge.step()
    {between}
    loss = F.binary_cross_entropy_with_logits(judge(maker(z)), torch.ones(4, 1))
    loss.backward()
    {behind}
    of_maker.step()
"""
ZEROS = "F.binary_cross_entropy_with_logits(judge({}), torch.zeros(4, 1))"


def _applied(program: str) -> bool:
    """Does the maker's step apply more than the gradient of its own loss?"""
    scope: dict[str, object] = {}
    program = program.replace(
        "loss.backward()", "alone = torch.autograd.grad(loss, maker.weight, retain_graph=True)[0]\n    loss.backward()"
    ).replace("of_maker.step()", "of_maker.step()\n    return alone")
    exec(compile(textwrap.dedent(IMPORTS) + program, "train.py", "exec"), scope)
    maker, judge = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.1) for network in (maker, judge)]
    alone = scope["train"](maker, judge, *optimizers, torch.randn(4, 3), torch.randn(4, 2))  # type: ignore[operator]
    assert maker.weight.grad is not None
    return not torch.allclose(alone, maker.weight.grad)


@pytest.mark.parametrize(
    ("cost", "options"),
    [
        (ZEROS.format("fake"), ""),
        (ZEROS.format("fake"), "retain_graph=True"),
        ("F.softplus(judge(maker(z))).mean()", ""),
    ],
)
def test_a_step_for_two_losses(cost: str, options: str) -> None:
    program = LEFT.format(cost=cost, options=options, between="pass", behind="pass")
    assert _applied(program)
    assert reported("GRD601", program) == [("information", "of_maker.step()")]


@pytest.mark.parametrize(
    ("cost", "between"),
    [
        (ZEROS.format("fake.detach()"), "pass"),
        (ZEROS.format("fake"), "of_maker.zero_grad()"),
        (ZEROS.format("fake"), "maker.zero_grad()"),
    ],
)
def test_a_step_for_one_loss(cost: str, between: str) -> None:
    program = LEFT.format(cost=cost, options="", between=between, behind="pass")
    assert not _applied(program)
    assert reported("GRD601", program) == []


def test_what_two_losses_share() -> None:
    program = """
def train(encoder, one, other, of_one, of_all, x, y):
    of_one.zero_grad()
    of_all.zero_grad()
    F.mse_loss(one(encoder(x)), y).backward()
    of_one.step()
    F.mse_loss(other(encoder(x)), x).backward()
    of_all.step()
"""
    assert reported("GRD601", program) == []
    kept = LEFT.format(cost="judge(fake).mean()", options="retain_graph=True", between="pass", behind="pass")
    assert reported("GRD601", kept) == []
