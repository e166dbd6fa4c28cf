"""The order of training: what must be found, and what looks alike and must not be."""

from __future__ import annotations

import textwrap

import pytest

from gradls.testing import programs
from tests.rules.reported import IMPORTS, reported

SET_UP = """
net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
data = [torch.randn(8, 3) for _ in range(4)]
"""


def loop(body: str) -> str:
    return SET_UP + "for step, x in enumerate(data):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")


NO_CLEARING = """
net(x).mean().backward()
opt.step()
"""


@pytest.mark.parametrize(
    "body",
    [
        NO_CLEARING,
        "if step == 0:\n    opt.zero_grad\nnet(x).mean().backward()\nopt.step()",
        "loss = net(x).mean()\nloss.backward()\ntorch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)\nopt.step()",
        "net(x).mean().backward()\nif step % 2:\n    opt.step()",
    ],
)
def test_missing_zero_grad(body: str) -> None:
    assert [severity for severity, _ in reported("GRD601", loop(body))] == ["warning"]


@pytest.mark.parametrize(
    "body",
    [
        "net.zero_grad()\n" + NO_CLEARING,
        NO_CLEARING + "for p in net.parameters():\n    p.grad = None",
        NO_CLEARING + "for p in net.parameters():\n    p.grad.zero_()",
        NO_CLEARING + "for p in net.parameters():\n    p.grad.data.zero_()",
        NO_CLEARING + "for g in opt.param_groups:\n    for p in g['params']:\n        p.grad = None",
        "net(x).mean().backward()\nif step % 2:\n    opt.step()\n    opt.zero_grad()",
        "if step % 2 == 0:\n    opt.zero_grad()\nnet(x).mean().backward()\nif step % 2:\n    opt.step()",
        "opt = torch.optim.SGD(net.parameters(), lr=0.1)\nnet = nn.Linear(3, 1)\n" + NO_CLEARING,
    ],
)
def test_gradients_are_cleared(body: str) -> None:
    assert reported("GRD601", loop(body)) == []


SEARCH = """
net = nn.Linear(3, 1)
x, seen = torch.randn(8, 3), [0]
opt = torch.optim.LBFGS(net.parameters()%s)
early = net(x)


def closure():
    %s


for _ in range(3):
    opt.step(%s)
"""
CLEARING = "opt.zero_grad(); loss = net(x).pow(2).mean(); loss.backward(); seen[0] += 1; return loss"
NOT_CLEARING = "loss = net(x).pow(2).mean(); loss.backward(); return loss"
NO_BACKWARD = "opt.zero_grad(); return net(x).pow(2).mean()"
TOO_EARLY = "opt.zero_grad(); loss = early.pow(2).mean(); loss.backward(); return loss"


@pytest.mark.parametrize(
    ("code", "snippet"),
    [
        ("GRD601", SEARCH % ("", NOT_CLEARING, "closure")),
        ("GRD601", SEARCH % (", max_iter=5", NOT_CLEARING, "lambda: closure()")),
        ("GRD611", SEARCH % ("", NO_BACKWARD, "closure")),
        ("GRD611", SEARCH % ("", "return early.sum()", "closure") + "early.sum().backward()\n"),
        ("GRD301", SEARCH % ("", TOO_EARLY, "closure")),
        ("GRD301", (SEARCH % ("", TOO_EARLY, "closure")).replace("for _ in range(3):\n    ", "")),
    ],
)
def test_a_closure_is_called_several_times(code: str, snippet: str) -> None:
    assert len(reported(code, snippet)) == 1


@pytest.mark.parametrize(
    "snippet",
    [
        SEARCH % ("", CLEARING, "closure"),
        SEARCH % ("", "if torch.is_grad_enabled():\n        opt.zero_grad()\n    " + NOT_CLEARING, "closure"),
        (SEARCH % ("", NOT_CLEARING, "closure")).replace("LBFGS", "Adam").replace("for _ in range(3):\n    ", ""),
        (SEARCH % (", max_iter=1", TOO_EARLY, "closure")).replace("for _ in range(3):\n    ", ""),
        (SEARCH % ("", TOO_EARLY, "closure")).replace("LBFGS", "Rprop").replace("for _ in range(3):\n    ", ""),
        SEARCH % ("", "return unknown(net, x)", "closure"),
    ],
)
def test_closures_that_are_right(snippet: str) -> None:
    assert [code for code in ("GRD601", "GRD611", "GRD301", "GRD202") if reported(code, snippet)] == []


TWO_NETS = """
gen, critic = nn.Linear(3, 3), nn.Linear(3, 1)
opt_g = torch.optim.SGD(gen.parameters(), lr=0.1)
opt_c = torch.optim.SGD(critic.parameters(), lr=0.1)
for _ in range(3):
"""
FOR_GEN = "critic(gen(torch.randn(8, 3))).mean().backward()\nopt_g.step()\n"
FOR_CRITIC = "critic(gen(torch.randn(8, 3)).detach()).mean().backward()\nopt_c.step()\n"


@pytest.mark.parametrize(
    "body",
    [
        FOR_GEN + "opt_g.zero_grad()\n" + FOR_CRITIC + "opt_c.zero_grad()\n",
        FOR_CRITIC + "opt_c.zero_grad()\nopt_g.zero_grad()\n" + FOR_GEN,
        "for opt, last in ((opt_g, critic), (opt_c, critic)):\n    critic(gen(torch.randn(8, 3))).mean().backward()\n"
        "    opt.step()\n    opt.zero_grad()\n",
    ],
)
def test_gradients_that_another_loss_left(body: str) -> None:
    snippet = TWO_NETS + textwrap.indent(body, "    ")
    assert [severity for severity, _ in reported("GRD601", snippet)] == ["information"]


@pytest.mark.parametrize(
    "body",
    [
        "opt_g.zero_grad()\n" + FOR_GEN + "opt_c.zero_grad()\n" + FOR_CRITIC,
        FOR_GEN + "gen.zero_grad()\ncritic.zero_grad()\n" + FOR_CRITIC + "opt_c.zero_grad()\n",
        "opt_g.zero_grad()\nopt_c.zero_grad()\n" + FOR_GEN + "opt_c.step()",
        "opt_g.zero_grad()\nopt_c.zero_grad()\n" + FOR_GEN.replace("d()", "d(retain_graph=True)") + FOR_CRITIC,
    ],
)
def test_gradients_of_another_loss_are_cleared_or_meant(body: str) -> None:
    assert reported("GRD601", TWO_NETS + textwrap.indent(body, "    ")) == []


SCALED = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
scaler = torch.amp.GradScaler("cpu")
for step in range(9):
    scaler.scale(net(torch.randn(8, 3)).mean()).backward()
"""


@pytest.mark.parametrize(
    ("body", "severities"),
    [
        (
            "scaler.unscale_(opt)\nif net.weight.grad.norm() < 1:\n    scaler.step(opt)\n    scaler.update()",
            ["information"],
        ),
        (
            "scaler.unscale_(opt)\nif net.weight.grad.norm() > 1:\n    continue\nscaler.step(opt)\nscaler.update()",
            ["information"],
        ),
        ("scaler.step(opt)\nif unknown(step):\n    scaler.update()", ["information"]),
        ("opt.step()", ["warning"]),
        ("scaler.unscale_(opt)\nopt.step()\nscaler.update()", ["information"]),
        ("scaler.unscale_(opt)\nif net.weight.grad.norm() < 1:\n    scaler.step(opt)\nscaler.update()", []),
        (
            "scaler.unscale_(opt)\nif net.bias.grad > 1:\n    raise ValueError\nscaler.step(opt)\nscaler.update()",
            [],
        ),
        ("if step % 2:\n    scaler.unscale_(opt)\n    scaler.step(opt)\n    scaler.update()", []),
    ],
)
def test_updates_of_a_scaler(body: str, severities: list[str]) -> None:
    snippet = SCALED + textwrap.indent(body, "    ")
    assert [severity for severity, _ in reported("GRD610", snippet)] == severities


def test_a_closure_clears_for_itself() -> None:
    snippet = """
    net = nn.Linear(3, 1)
    opt = torch.optim.LBFGS(net.parameters())

    def closure():
        opt.zero_grad()
        loss = net(torch.randn(8, 3)).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        opt.step(closure)
    """
    for code in ("GRD601", "GRD602", "GRD603", "GRD606", "GRD611"):
        assert reported(code, snippet) == []


GIVEN = """
def train(model, loader, optimizer, criterion):
    for x, y in loader:
        {first}
        loss = criterion(model(x), y)
        loss.backward()
        {last}
"""


def test_an_optimizer_that_is_given_is_information() -> None:
    assert reported("GRD601", GIVEN.format(first="pass", last="optimizer.step()")) == [
        ("information", "optimizer.step()")
    ]
    for first in ("optimizer.zero_grad()", "model.zero_grad()", "zero_gradients(model)"):
        assert reported("GRD601", GIVEN.format(first=first, last="optimizer.step()")) == []
    assert reported("GRD601", GIVEN.format(first="pass", last="accelerator.step(optimizer)")) == []
    assert reported("GRD601", GIVEN.format(first="env.step(1)", last="scheduler.step()")) == []


def test_one_of_two_optimizers_is_not_cleared() -> None:
    body = """
    fake = net(x)
    critic(fake).mean().backward()
    opt.step()
    opt.zero_grad()
    critic(fake.detach()).mean().backward()
    other.step()
    """
    snippet = loop(body).replace(
        "data =", "critic = nn.Linear(1, 1)\nother = torch.optim.Adam(critic.parameters())\ndata ="
    )
    assert reported("GRD601", snippet) == [("warning", "other.step()")]
    # Now it applies what the loss of the first one left, and no more.
    cleared = snippet.replace("other.step()", "other.step()\n    other.zero_grad()")
    assert reported("GRD601", cleared) == [("information", "other.step()")]
    assert reported("GRD601", cleared.replace("opt.zero_grad()", "opt.zero_grad()\n    other.zero_grad()")) == []


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ("net(x).mean().backward()\nopt.zero_grad()\nopt.step()", ["warning"]),
        ("net(x).mean().backward()\nnet.zero_grad()\nopt.step()", ["warning"]),
        ("opt.zero_grad()\n(net(x).mean() / 4).backward()\nif step % 4 == 3:\n    opt.step()", ["information"]),
        ("opt.zero_grad()\nnet(x).mean().backward()\nif (step + 1) % 4 == 0:\n    opt.step()", ["information"]),
        (
            "opt.zero_grad()\nnet(x).mean().backward()\ndone = count(step) % 4 == 3\nif done:\n    opt.step()",
            ["information"],
        ),
        (
            "if step % 4 == 3:\n    opt.zero_grad()\nnet(x).mean().backward()\nif step % 4 == 3:\n    opt.step()",
            ["information"],
        ),
        ("if step % 4 == 3:\n    opt.zero_grad()\nnet(x).mean().backward()\nif step % 4 == 2:\n    opt.step()", []),
        (
            "if step % 4 == 3:\n    opt.zero_grad()\nnet(x).mean().backward()\nstep += 4\n"
            "if step % 4 == 3:\n    opt.step()",
            [],
        ),
        ("net(x).mean().backward()\nif step % 4 == 3:\n    opt.step()\n    opt.zero_grad()", []),
        ("if step % 4 == 3:\n    opt.zero_grad()\n    net(x).mean().backward()\n    opt.step()", []),
        ("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\nif step % 4 == 3:\n    print(step)", []),
        ("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()", []),
        ("net(x).mean().backward()\nopt.step()\nopt.zero_grad()", []),
        ("net(x).mean().backward()\nopt.zero_grad()\nnet(x).mean().backward()\nopt.step()", []),
        ("net(x).mean().backward()\nnorm = net[0].weight.grad.norm()\nopt.zero_grad()\nopt.step()", []),
        ("opt.zero_grad()\nloss = net(x).mean()\nloss.backward()\nif torch.isfinite(loss):\n    opt.step()", []),
    ],
)
def test_cleared_before_step(body: str, severity: list[str]) -> None:
    snippet = loop(body).replace("data =", "step_known = False\ndata =").replace("enumerate(data)", "enumerate(load())")
    assert [found for found, _ in reported("GRD602", snippet)] == severity


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        (loop("opt.zero_grad()\nnet(x).mean().backward()"), 1),
        (loop("opt.zero_grad()\nnet(x).mean().backward()\ntrainer.update(opt)"), 0),
        (loop("opt.zero_grad()\nnet(x).mean().backward()\nscaler.step(opt)"), 0),
        (SET_UP + "import registry\nregistry.opt = opt\nnet(data[0]).mean().backward()", 0),
        (SET_UP + "class T:\n    pass\nt = T()\nt.opt = opt\nrun(t)\nnet(data[0]).mean().backward()", 0),
        (SET_UP + "class T:\n    pass\nt = T()\nt.opt = opt\nnet(data[0]).mean().backward()", 1),
        (
            loop(
                "net(x).mean().backward()\nwith torch.no_grad():\n    for p in net.parameters():\n        p -= p.grad"
            ),
            0,
        ),
        ("def make(net):\n    opt = torch.optim.SGD(net.parameters(), lr=0.1)\n    return opt", 0),
    ],
)
def test_missing_step(snippet: str, found: int) -> None:
    assert len(reported("GRD603", snippet)) == found


def test_methods_that_are_only_mentioned() -> None:
    snippet = loop("opt.zero_grad\nnet(x).mean().backward()\nopt.step\nnet.eval\nopt.step()")
    assert [text for _, text in reported("GRD604", snippet)] == ["opt.zero_grad", "opt.step", "net.eval"]
    assert reported("GRD604", "def f(loss, x):\n    loss.backward\n    x.shape\n    x.step") == [
        ("warning", "loss.backward")
    ]


CLIP = "torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)"


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        (f"opt.zero_grad()\n{CLIP}\nnet(x).mean().backward()\nopt.step()", ["warning"]),
        (f"opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\n{CLIP}", ["warning"]),
        (f"{CLIP}\nopt.zero_grad()\nnet(x).mean().backward()\nopt.step()", ["warning"]),
        (f"opt.zero_grad()\nnet(x).mean().backward()\n{CLIP}\nopt.step()", []),
        (f"net(x).mean().backward()\nif step % 2:\n    {CLIP}\n    opt.step()\n    opt.zero_grad()", []),
        (f"opt.zero_grad()\nnet(x).mean().backward()\n{CLIP}\nengine.step()", []),
        (f"opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\nnorm = {CLIP}", []),
    ],
)
def test_clip_order(body: str, severity: list[str]) -> None:
    assert [found for found, _ in reported("GRD605", loop(body))] == severity


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ("sched.step()\nopt.zero_grad()\nnet(x).mean().backward()\nopt.step()", ["warning"]),
        ("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\nsched.step()", []),
        ("if step > warm:\n    sched.step()\nopt.zero_grad()\nnet(x).mean().backward()\nopt.step()", []),
        ("sched.step(step)\nopt.zero_grad()\nnet(x).mean().backward()\nopt.step()", []),
    ],
)
def test_scheduler_order(body: str, severity: list[str]) -> None:
    made = "sched = torch.optim.lr_scheduler.StepLR(opt, 2)\nwarm = int(input())\ndata ="
    assert [found for found, _ in reported("GRD606", loop(body).replace("data =", made))] == severity


GIVEN_SCHEDULE = """
def train(model, optimizer, scheduler, loader, epochs):
    for epoch in range(epochs):
        {epoch}
        for x in loader:
            model(x).mean().backward()
            {first}
            {second}
            model.zero_grad()
        {last}
"""


@pytest.mark.parametrize(
    ("epoch", "first", "second", "last", "found"),
    [
        ("pass", "scheduler.step()", "optimizer.step()", "pass", ["information"]),
        ("scheduler.step()", "optimizer.step()", "pass", "pass", ["information"]),
        ("pass", "optimizer.step()", "scheduler.step()", "pass", []),
        ("pass", "optimizer.step()", "pass", "scheduler.step()", []),
        ("scheduler.step(epoch)", "optimizer.step()", "pass", "pass", []),
        ("environment.step()", "optimizer.step()", "pass", "pass", []),
        ("scheduler.step()", "pass", "pass", "pass", []),
    ],
)
def test_order_of_a_given_schedule(epoch: str, first: str, second: str, last: str, found: list[str]) -> None:
    snippet = GIVEN_SCHEDULE.format(epoch=epoch, first=first, second=second, last=last)
    assert [severity for severity, _ in reported("GRD606", snippet)] == found


def test_order_of_a_schedule_for_an_optimizer_that_another_method_makes() -> None:
    snippet = """
    class Trainer:
        def __init__(self, model, options):
            self.model, self.options = model, options
            self.optimizer = self.make()
            self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 3)

        def make(self):
            if self.options.adam:
                return torch.optim.Adam(self.model.parameters())
            return torch.optim.SGD(self.model.parameters(), lr=0.1)

        def train(self, loader):
            self.schedule.step()
            for x in loader:
                self.optimizer.zero_grad()
                self.model(x).mean().backward()
                self.optimizer.step()
    """
    assert [severity for severity, _ in reported("GRD606", snippet)] == ["information"]


BESIDE = """
from config import cfg
layers = [nn.Linear(1, 1) for _ in range(cfg.depth)]
net, criterion = nn.Sequential(nn.Linear(1, 1), *layers), nn.Linear(1, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for x in [torch.randn(8, 1)] * 3:
    opt.zero_grad()
    CRITERION.mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("snippet", "found"),
    [
        (
            loop("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()").replace(
                "data =", "net[2] = nn.Linear(4, 1)\ndata ="
            ),
            1,
        ),
        (
            loop("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()").replace(
                "data =", "net[2] = nn.Linear(4, 1)\nopt.add_param_group({'params': net[2].parameters()})\ndata ="
            ),
            0,
        ),
        (
            loop("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()").replace(
                "data =", "net = nn.Linear(3, 1)\ndata ="
            ),
            1,
        ),
        (
            loop("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()").replace(
                "data =", "net = net.double()\ndata ="
            ),
            0,
        ),
        (
            loop("opt.zero_grad()\nfixed(net(x)).mean().backward()\nopt.step()").replace(
                "data =", "fixed = nn.Linear(1, 1)\ndata ="
            ),
            1,
        ),
        (
            loop("opt.zero_grad()\nfixed(net(x)).mean().backward()\nopt.step()").replace(
                "data =", "fixed = nn.Linear(1, 1).requires_grad_(False)\ndata ="
            ),
            0,
        ),
        (
            loop("opt.zero_grad()\nfixed(net(x)).mean().backward()\nopt.step()").replace(
                "data =", "fixed = nn.Linear(1, 1)\nfixed.load_state_dict(torch.load('it'))\ndata ="
            ),
            0,
        ),
        (
            loop("opt.zero_grad()\nfixed(net(x)).mean().backward()\nopt.step()\nfixed.weight.grad = None").replace(
                "data =", "fixed = nn.Linear(1, 1, bias=False)\ndata ="
            ),
            0,
        ),
        (
            loop("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()").replace(
                "data =", "net.append(nn.Linear(1, 1))\ndata ="
            ),
            1,
        ),
        (
            loop("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()").replace(
                "data =", "net.add_module('last', nn.Linear(1, 1))\ndata ="
            ),
            1,
        ),
        (BESIDE.replace("CRITERION", "criterion(net(x))"), 1),
        (BESIDE.replace("CRITERION", "net(x)"), 0),
        (BESIDE.replace("CRITERION", "criterion(net(x))").replace("*layers", "*layers, *cfg.layers"), 1),
        (BESIDE.replace("CRITERION", "criterion(net(x))").replace("opt = ", "net.append(criterion)\nopt = "), 0),
        (BESIDE.replace("CRITERION", "criterion(net(x))").replace("net.parameters()", "cfg.parameters"), 0),
    ],
)
def test_stale_optimizer(snippet: str, found: int) -> None:
    assert len(reported("GRD607", snippet)) == found


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("for p in net.parameters():\n    p.requires_grad = True", 1),
        ("net.requires_grad_(True)", 1),
        ("net[2].requires_grad_(True)", 0),
        ("if input():\n    net.requires_grad_(True)", 0),
        ("net(data[0]).mean().backward()\nnet.requires_grad_(True)", 0),
    ],
)
def test_freeze_undone(after: str, found: int) -> None:
    freeze = "for p in net.parameters():\n    p.requires_grad = False\n"
    assert len(reported("GRD609", SET_UP + freeze + after)) == found


REBIND = """
w = torch.randn(3, requires_grad=True)
for _ in range(3):
    w.pow(2).sum().backward()
    {update}
"""


@pytest.mark.parametrize(
    ("update", "found"),
    [
        ("w = w - 0.1 * w.grad", 1),
        ("with torch.no_grad():\n        w = w - 0.1 * w.grad", 1),
        ("w = (w - 0.1 * w.grad).detach().requires_grad_()", 0),
        ("with torch.no_grad():\n        w = w - 0.1 * w.grad\n    w.requires_grad_()", 0),
        ("with torch.no_grad():\n        w -= 0.1 * w.grad\n    w.grad = None", 0),
        ("w.data = w.data - 0.1 * w.grad", 0),
    ],
)
def test_rebound_parameter(update: str, found: int) -> None:
    assert len(reported("GRD608", REBIND.format(update=update))) == found


UNKNOWN = """
def train(net, loader, optimizer, measure):
    for x, y in loader:
{}
"""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("loss = measure(net(x), y)\nloss.backward()\noptimizer.zero_grad()\noptimizer.step()", "GRD602"),
        ("optimizer.zero_grad()\nloss = measure(net(x), y)\noptimizer.step()\nloss.backward()", "GRD602"),
        ("optimizer.zero_grad()\nloss = measure(net(x), y)\nloss.backward()", "GRD603"),
        ("optimizer.zero_grad()\nloss = measure(net(x), y)\nloss.backward()\noptimizer.step()", ""),
        ("loss = measure(net(x), y)\nloss.backward()\noptimizer.step()\noptimizer.zero_grad()", ""),
        ("optimizer.zero_grad()\nnet.fill_gradients(x, y)\noptimizer.step()", ""),
        ("optimizer.zero_grad()\nloss = measure(net(x), y)\nloss.backward()\napply(optimizer)", ""),
        ("optimizer.zero_grad()\nmeasure(net(x), y).backward()\nx.add_(x.grad)", ""),
        ("optimizer.zero_grad()\nmeasure(net(x), y).backward()\nscaler.step(optimizer)", ""),
    ],
)
def test_order_of_an_optimizer_that_is_given(body: str, code: str) -> None:
    found = [one for one in ("GRD602", "GRD603") if reported(one, UNKNOWN.format(textwrap.indent(body, " " * 8)))]
    assert found == ([code] if code else [])


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ("w.sum().backward()\nwith torch.no_grad():\n    w -= 0.1 * w.grad", ["warning"]),
        ("w.sum().backward()\nw.data -= 0.1 * w.grad", ["warning"]),
        ("w.sum().backward()\nprint(w.grad)", ["information"]),
        ("w.sum().backward()\nw.data -= 0.1 * w.grad\nw.grad = None", []),
        ("w.sum().backward()\nw.data -= 0.1 * w.grad\nw.grad.data.zero_()", []),
        ("w.sum().backward()\nw.data -= 0.1 * w.grad\nclear([w])", []),
        ("if w.grad is not None:\n    w.grad.zero_()\nw.sum().backward()\nw.data -= 0.1 * w.grad", []),
        ("w = w.detach().requires_grad_()\nw.sum().backward()\nw = w - 0.1 * w.grad", []),
        ("(w.sum() / 4).backward()", []),
        ("total = total + w.sum()", []),
    ],
)
def test_gradients_that_add_up_by_hand(body: str, severity: list[str]) -> None:
    first = "w, total = torch.ones(3, requires_grad=True), 0\nfor _ in range(9):\n"
    snippet = first + textwrap.indent(body, "    ") + "\nprint(w.grad)\n"
    assert [found for found, _ in reported("GRD601", snippet)] == severity


LIGHTNING = """
import pytorch_lightning as pl

class Model({base}):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
        {made}

    def {method}(self, batch, index):
        loss = self.net(batch).mean()
        {before}
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        return loss
"""


@pytest.mark.parametrize(
    ("base", "method", "made", "before", "found"),
    [
        ("pl.LightningModule", "training_step", "pass", "pass", 1),
        ("pl.LightningModule", "configure_gradient_clipping", "pass", "pass", 0),
        ("pl.LightningModule", "training_step", "self.automatic_optimization = False", "self.manual_backward(loss)", 0),
        ("nn.Module", "training_step", "pass", "pass", 0),
    ],
)
def test_clipped_in_the_step_of_a_lightning_module(base: str, method: str, made: str, before: str, found: int) -> None:
    snippet = LIGHTNING.format(base=base, method=method, made=made, before=before)
    assert [severity for severity, _ in reported("GRD605", snippet)] == ["warning"] * found


RETURNED = """
import pytorch_lightning as pl


class Model({base}):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
        {made}

    def training_step(self, batch, index):
        loss = self.net(batch).mean()
        return {returned}
"""


@pytest.mark.parametrize(
    ("code", "base", "made", "returned", "found"),
    [
        ("GRD303", "pl.LightningModule", "pass", "loss.item()", 1),
        ("GRD303", "pl.LightningModule", "pass", "{'loss': loss.item()}", 1),
        ("GRD303", "pl.LightningModule", "pass", "{'loss': loss, 'log': loss.item()}", 0),
        ("GRD303", "pl.LightningModule", "self.automatic_optimization = False", "loss.item()", 0),
        ("GRD303", "nn.Module", "pass", "loss.item()", 0),
        ("GRD101", "pl.LightningModule", "pass", "loss.detach()", 1),
        ("GRD101", "pl.LightningModule", "pass", "{'loss': loss.data}", 1),
        ("GRD101", "pl.LightningModule", "pass", "{'loss': loss, 'log': loss.detach()}", 0),
        ("GRD101", "pl.LightningModule", "self.automatic_optimization = False", "loss.detach()", 0),
        ("GRD101", "nn.Module", "pass", "loss.detach()", 0),
    ],
)
def test_returned_to_lightning(code: str, base: str, made: str, returned: str, found: int) -> None:
    snippet = RETURNED.format(base=base, made=made, returned=returned)
    assert [severity for severity, _ in reported(code, snippet)] == ["error"] * found


OVERWRITTEN = """
def train(net, steps, optimizer):
    optimizer.zero_grad()
    {before}
    for step in steps:
        {within}
    loss.backward()
    optimizer.step()
net = nn.Linear(3, 1)
train(net, torch.randn(4, 8, 3), torch.optim.SGD(net.parameters(), lr=0.1))
"""


@pytest.mark.parametrize(
    ("before", "within", "found"),
    [
        ("loss = 0", "loss = net(step).mean()", 1),
        ("loss = 0.0", "with torch.enable_grad():\n            loss = net(step).mean()", 1),
        ("loss = 0", "loss = loss + net(step).mean()", 0),
        ("loss = 0", "loss += net(step).mean()", 0),
        ("loss = None", "loss = net(step).mean()", 0),
        ("loss = 0", "loss = net(step).mean()\n        print(loss.item())", 0),
        ("loss = 0", "if step.sum() > 0:\n            loss = net(step).mean()", 0),
    ],
)
def test_loss_that_each_round_overwrites(before: str, within: str, found: int) -> None:
    snippet = OVERWRITTEN.format(before=before, within=within)
    assert [severity for severity, _ in reported("GRD614", snippet)] == ["information"] * found


def test_loss_of_each_round_in_a_block() -> None:
    snippet = """
import torch
net = torch.nn.Linear(3, 3)
for x in torch.randn(6, 4, 3):
    doubled = x * 2
    with torch.autocast("cpu"):
        loss = net(doubled).mean()
loss.backward()
"""
    assert [severity for severity, _ in reported("GRD614", snippet)] == ["information"]


UNUSED = """
import pytorch_lightning as pl


class Gan(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def training_step(self, batch, index):
        one, other = self.optimizers()
        first = {first}
        one.step()
        second = self.net(batch).mean()
        self.manual_backward(second)
        other.step()
"""


@pytest.mark.parametrize("first", ["self.net(batch).mean()", "self.net(batch).mean() + self.net(-batch).pow(2).sum()"])
def test_unused_loss_beside_manual_backward(first: str) -> None:
    found = reported("GRD614", UNUSED.format(first=first))
    assert set(found) == {("information", "first")}


AGENT = """
class Agent:
    def __init__(self, size):
        self.net = nn.Linear(size, 2)
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def learn(self, states, targets):
        loss = F.mse_loss(self.net(states), targets)
        {before}
        loss.backward()
        self.optimizer.step()
"""
STEP = """
def train_step(model, optimizer, criterion, inputs, targets):
    loss = criterion(model(inputs), targets)
    {before}
    loss.backward()
    optimizer.step()
    return loss.item()
"""
MAKER = """
def make_train_step(model, criterion, optimizer):
    def train_step(inputs, targets):
        loss = criterion(model(inputs), targets)
        {before}
        loss.backward()
        optimizer.step()
        return loss.item()
    return train_step
"""


@pytest.mark.parametrize("text", [AGENT, STEP, MAKER])
def test_one_step_in_each_call_of_a_function_that_nobody_calls(text: str) -> None:
    optimizer = "self.optimizer" if text is AGENT else "optimizer"
    assert reported("GRD601", text.format(before="pass")) == [("information", f"{optimizer}.step()")]
    assert reported("GRD601", text.format(before=f"{optimizer}.zero_grad()")) == []
    assert reported("GRD601", text.format(before="for p in model.parameters():\n            p.grad = None")) == []


def test_one_step_of_an_optimizer_that_goes_with_the_call():
    text = """
    def check(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(3)).sum().backward()
        optimizer.step()
    """
    assert reported("GRD601", text) == []


UNKNOWN_MODEL = """
def train(model, data):
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in data:
"""


@pytest.mark.parametrize(
    ("rule", "body", "blamed"),
    [
        ("GRD601", "loss = F.mse_loss(model(x), y)\nloss.backward()\nopt.step()", ["opt.step()"]),
        ("GRD601", "opt.zero_grad()\nloss = F.mse_loss(model(x), y)\nloss.backward()\nopt.step()", []),
        ("GRD602", "loss = F.mse_loss(model(x), y)\nloss.backward()\nopt.zero_grad()\nopt.step()", ["opt.zero_grad()"]),
        ("GRD602", "opt.zero_grad()\nloss = F.mse_loss(model(x), y)\nopt.step()\nloss.backward()", ["opt.zero_grad()"]),
        ("GRD602", "opt.zero_grad()\nloss = F.mse_loss(model(x), y)\nloss.backward()\nopt.step()", []),
        ("GRD602", "opt.zero_grad()\nmodel.accumulate(x, y)\nopt.step()", []),
        ("GRD603", "opt.zero_grad()\nloss = F.mse_loss(model(x), y)\nloss.backward()", ["loss.backward()"]),
        ("GRD603", "opt.zero_grad()\nloss = F.mse_loss(model(x), y)\nloss.backward()\nmodel.update(opt)", []),
    ],
)
def test_an_optimizer_of_a_model_that_is_given(rule: str, body: str, blamed: list[str]) -> None:
    text = UNKNOWN_MODEL + textwrap.indent(body, "        ")
    assert reported(rule, text) == [("information", what) for what in blamed]


FROZEN = """
trunk, head = nn.Linear(3, 4), nn.Linear(4, 1)
{before}
opt = torch.optim.SGD({given}, lr=0.1)
for _ in range(3):
    opt.zero_grad()
    head(trunk(torch.randn(8, 3))).mean().backward()
    {inside}
    opt.step()
"""


@pytest.mark.parametrize(
    ("before", "given", "inside", "blamed"),
    [
        ("trunk.requires_grad_(False)", "trunk.parameters()", "pass", ["opt.step()"]),
        ("pass", "[p.detach() for p in trunk.parameters()]", "pass", ["opt.step()"]),
        ("pass", "[torch.zeros(3)]", "pass", ["opt.step()"]),
        ("trunk.requires_grad_(False)", "[*trunk.parameters(), *head.parameters()]", "pass", []),
        ("trunk.requires_grad_(False)", "trunk.parameters()", "trunk.requires_grad_(True)", []),
        ("w = torch.zeros(3)", "[w]", "w.grad = torch.ones(3)", []),
        ("trunk.requires_grad_(False); thaw(trunk)", "trunk.parameters()", "pass", []),
    ],
)
def test_an_optimizer_of_nothing_that_requires_grad(before: str, given: str, inside: str, blamed: list[str]) -> None:
    found = reported("GRD611", FROZEN.format(before=before, given=given, inside=inside))
    assert found == [("warning", what) for what in blamed]


COEFFICIENT = """
net, scale = nn.Linear(3, 3), torch.tensor(0.5, requires_grad=True)
x = torch.randn(4, 3, requires_grad=True)
optimizer = torch.optim.SGD({held}, lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    ({loss}).mean().backward()
    optimizer.step()
{after}
"""


@pytest.mark.parametrize(
    ("held", "loss", "after", "found"),
    [
        ("net.parameters()", "scale * net(x)", "", 1),
        ("net.parameters()", "net(x).pow(2) / scale.exp() + scale", "", 1),
        ("[scale, *net.parameters()]", "scale * net(x)", "", 0),
        ("net.parameters()", "x * net(x)", "", 0),
        ("net.parameters()", "net(x * scale)", "", 0),
        ("net.parameters()", "scale * net(x)", "print(scale.grad)", 0),
        ("net.parameters()", "scale * net(x)", "scale.data -= 0.1", 0),
        ("net.parameters()", "scale.detach() * net(x)", "", 0),
        ("net.parameters()", "torch.randn(4, 3, requires_grad=True) + net(x)", "", 0),
        ("net.parameters()", "net(x) + (0.1 * x.detach()).requires_grad_()", "", 0),
    ],
)
def test_coefficient_in_no_optimizer(held: str, loss: str, after: str, found: int) -> None:
    assert len(reported("GRD607", COEFFICIENT.format(held=held, loss=loss, after=after))) == found


NORMALIZED = """
from torch.nn.utils import parametrizations, weight_norm
net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
{before}
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
{after}
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(4, 3)).mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize("normalize", ["parametrizations.weight_norm", "weight_norm"])
def test_weight_normalization_makes_new_parameters(normalize: str) -> None:
    program = NORMALIZED.format(before="before = set(net.parameters())", after=f"{normalize}(net[0])")
    new = "new = [p for p in net.parameters() if p not in before]\nheld = optimizer.param_groups[0]['params']\n"
    check = "assert len(new) == 2 and not any(p is q for p in new for q in held)\n"
    assert programs.check(IMPORTS + program + new + check).error is None


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("", "parametrizations.weight_norm(net[0])", 1),
        ("", "weight_norm(net[0])", 1),
        ("", "for layer in net:\n    weight_norm(layer, name='weight')", 1),
        ("", "parametrizations.spectral_norm(net[0])", 0),
        ("", "parametrizations.orthogonal(net[0])", 0),
        ("weight_norm(net[0])", "", 0),
        ("", "weight_norm(net[0])\noptimizer = torch.optim.SGD(net.parameters(), lr=0.1)", 0),
    ],
)
def test_weight_normalized_after_optimizer(before: str, after: str, found: int) -> None:
    assert len(reported("GRD607", NORMALIZED.format(before=before, after=after))) == found


THAWED = """
backbone, head = nn.Linear(3, 4), nn.Linear(4, 1)
model = nn.Sequential(backbone, nn.ReLU(), head)
{frozen}
optimizer = torch.optim.SGD({held}, lr=0.1)
for epoch in range(5):
    if epoch == 2:
        {thaw}
    optimizer.zero_grad()
    model(torch.randn(4, 3)).mean().backward()
    optimizer.step()
"""
HEAD_ONLY = "backbone.requires_grad_(False)"
TRAINED = "[p for p in model.parameters() if p.requires_grad]"


@pytest.mark.parametrize(
    ("frozen", "held", "thaw", "found"),
    [
        (HEAD_ONLY, TRAINED, "backbone.requires_grad_(True)", ["backbone.requires_grad_(True)"]),
        (HEAD_ONLY, TRAINED, "model.requires_grad_()", ["model.requires_grad_()"]),
        (HEAD_ONLY, "head.parameters()", "backbone.weight.requires_grad = True", ["backbone.weight.requires_grad"]),
        (HEAD_ONLY, "model.parameters()", "backbone.requires_grad_(True)", []),
        (
            HEAD_ONLY,
            TRAINED,
            "backbone.requires_grad_(True); optimizer.add_param_group({'params': backbone.parameters()})",
            [],
        ),
        (HEAD_ONLY, TRAINED, "pass", []),
        (HEAD_ONLY, TRAINED, "head.requires_grad_(True)", []),
    ],
)
def test_thawed_after_optimizer(frozen: str, held: str, thaw: str, found: list[str]) -> None:
    snippet = THAWED.format(frozen=frozen, held=held, thaw=thaw)
    assert [what for severity, what in reported("GRD607", snippet) if severity == "warning"] == found


HELD_IN_LIST = """
class Net(nn.Module):
    def __init__(self, parts):
        super().__init__()
        self.parts = {parts}
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        for part in self.parts:
            {apply}
        return self.head(x)


net = Net([nn.Linear(4, 4), nn.Linear(4, 4)])
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(2, 4)).mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("parts", "apply", "found"),
    [
        ("parts", "x = part(x)", ["information"]),
        ("nn.ModuleList(parts)", "x = part(x)", []),
        ("parts", "x = x + part(x).detach()", []),
    ],
)
def test_list_from_outside(parts: str, apply: str, found: list[str]) -> None:
    snippet = HELD_IN_LIST.format(parts=parts, apply=apply)
    assert [severity for severity, _ in reported("GRD607", snippet)] == found


NOW_AND_THEN = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for i in range(12):
    (net(torch.randn(4, 3)).mean() / 4).backward()
    if {when}:
        {do}
    {after}
"""


@pytest.mark.parametrize(
    ("when", "do", "after", "found"),
    [
        ("(i + 1) % 4 == 0", "opt.step()", "opt.zero_grad()", 1),
        ("(i + 1) % 4 == 0", "nn.utils.clip_grad_norm_(net.parameters(), 1.0); opt.step()", "opt.zero_grad()", 1),
        ("(i + 1) % 4 == 0", "opt.step(); opt.zero_grad()", "", 0),
        ("torch.isfinite(net.weight.grad).all()", "opt.step()", "opt.zero_grad()", 0),
    ],
)
def test_cleared_at_the_end_of_each_round(when: str, do: str, after: str, found: int) -> None:
    assert len(reported("GRD602", NOW_AND_THEN.format(when=when, do=do, after=after))) == found


TWO_TERMS = """
net, x = nn.Linear(3, 2), torch.randn(4, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.1)


def attack(x):
    d = torch.zeros_like(x, requires_grad=True)
    {attack}
    return d.grad if d.grad is not None else d


for _ in range(3):
    opt.zero_grad()
    net(x).pow(2).mean().backward()
    {between}
    r = attack(x)
    net(x + r.detach()).mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("attack", "between", "found"),
    [
        ("net(x + d).mean().backward(); net.zero_grad()", "", ["net.zero_grad()"]),
        ("net(x + d).mean().backward()", "", []),
        ("net(x + d).mean().backward(); net.zero_grad()", "opt.step()", []),
        ("net(x + d).mean().backward(); net.zero_grad()", "kept = [p.grad.clone() for p in net.parameters()]", []),
        ("d.grad, = torch.autograd.grad(net(x + d).mean(), d)", "", []),
        ("pass", "net.zero_grad()", []),
    ],
)
def test_cleared_between_two_terms(attack: str, between: str, found: list[str]) -> None:
    snippet = TWO_TERMS.format(attack=attack, between=between)
    assert [what for severity, what in reported("GRD602", snippet) if severity == "warning"] == found


OWN_OPTIMIZER = """
class Optimizer(torch.optim.SGD):
    def __init__(self, model, lr):
        parameters = [p for p in model.parameters() if p.requires_grad]
        super().__init__(parameters, lr=lr)
        self.parameters, self.more = parameters, model

    OWN

net = nn.Linear(3, 1)
opt = Optimizer(net, lr=0.1)
for x in [torch.randn(8, 3)] * 3:
    CLEAR
    net(x).mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("own", "clear", "found"),
    [
        ("pass", "pass", 1),
        ("pass", "opt.zero_grad()", 0),
        ("pass", "net.zero_grad()", 0),
        ("def step(self):\n        super().step()\n        super().zero_grad()", "pass", 0),
        ("def zero_grad(self):\n        pass", "pass", 0),
    ],
)
def test_optimizer_derived_from_one_of_pytorch(own: str, clear: str, found: int) -> None:
    """It has what its constructor gives to that of PyTorch, if it steps as that does."""
    program = OWN_OPTIMIZER.replace("OWN", own).replace("CLEAR", clear)
    assert [severity for severity, _ in reported("GRD601", program)] == ["warning"] * found
    assert not reported("GRD611", program)


def test_a_schedule_that_is_asked_for_a_value_is_none_of_pytorch() -> None:
    snippet = """
    def train(model, optimizer, scheduler, batches):
        for batch in batches:
            bound = scheduler.step()
            optimizer.zero_grad()
            (model(batch).mean() * bound).backward()
            optimizer.step()
    """
    assert not reported("GRD606", snippet)
    assert reported("GRD606", snippet.replace("bound = scheduler", "scheduler").replace(" * bound", ""))


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\nnet[0].weight.grad.mul_(mask)", ["warning"]),
        ("opt.zero_grad()\nnet(x).mean().backward()\nnet[0].weight.grad.mul_(mask)\nopt.step()", []),
        # A momentum of one's own: nothing clears what is left.
        ("net(x).mean().backward()\nopt.step()\nnet[0].weight.grad.mul_(mask)", []),
        ("opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\nnet[0].weight.grad.zero_()", []),
        (
            "opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\nnet[0].weight.grad.mul_(mask)\n"
            "print(net[0].weight.grad.norm())",
            [],
        ),
        (
            "if step % 4 == 0:\n    opt.zero_grad()\nnet(x).mean().backward()\nopt.step()\n"
            "net[0].weight.grad.mul_(mask)",
            [],
        ),
    ],
)
def test_gradients_changed_after_the_step(body: str, severity: list[str]) -> None:
    program = loop(body).replace("data =", "mask = torch.rand(4, 3)\ndata =")
    assert programs.check(IMPORTS + program).error is None
    assert [found for found, _ in reported("GRD605", program)] == severity


@pytest.mark.parametrize(("clear", "found"), [("optimizer.zero_grad()", 0), ("pass", 1)])
def test_a_group_that_is_added_in_one_round(clear: str, found: int) -> None:
    snippet = f"""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    for number in range(10):
        if number == 5:
            optimizer.add_param_group({{"params": second.parameters()}})
        {clear}
        second(first(torch.ones(3))).sum().backward()
        for group in optimizer.param_groups:
            print(group["lr"])
        optimizer.step()
    """
    assert [severity for severity, _ in reported("GRD601", snippet)] == ["warning"] * found


def test_a_flag_that_is_asked_for_before_it_is_set_back() -> None:
    snippet = """
    net = nn.Linear(3, 1)
    net.requires_grad_(False)
    {asked}
    net.requires_grad_(True)
    net(torch.ones(3)).sum().backward()
    """
    assert reported("GRD609", snippet.format(asked="assert not net.weight.requires_grad")) == []
    assert reported("GRD609", snippet.format(asked="print(net)")) != []
