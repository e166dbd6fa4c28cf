"""Mistakes that projects were told of in their issues, and the programs that mend them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gradls.autograd.modules import find_module
from gradls.testing import programs
from tests.rules.reported import check_right, reported


def runs(code: str, program: str) -> list[tuple[str, str]]:
    """What is found in a program that PyTorch runs as it says."""
    assert programs.check("import torch\nfrom torch import nn\n" + program).error is None
    return reported(code, program)


SORTED = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.ones(2))
        self.norm, self.act, self.fc = nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 3, bias=False)

    def forward(self, x):
        return self.fc(self.act(self.norm(x))) * self.mix[0]


net = Net()
norms, weights, biases = [], [], []
for module in net.modules():
    if hasattr(module, "bias") and isinstance(module.bias, nn.Parameter):
        biases.append(module.bias)
    if isinstance(module, nn.BatchNorm1d):
        norms.append(module.weight)
    elif hasattr(module, "weight") and isinstance(module.weight, nn.Parameter):
        weights.append(module.weight)
opt = torch.optim.SGD(norms, lr=0.1)
opt.add_param_group({{"params": weights, "weight_decay": 0.1}})
{others}
net(torch.randn(4, 3)).pow(2).sum().backward()
opt.step()
assert (net.mix[0] == 1) is {stays}
"""


@pytest.mark.parametrize(
    ("others", "stays", "found"),
    [
        ("opt.add_param_group({'params': biases})", "True", 1),
        ("opt.add_param_group({'params': [*biases, net.mix]})", "False", 0),
    ],
)
def test_parameters_sorted_by_the_layers_that_have_them(others: str, stays: str, found: int) -> None:
    snippet = SORTED.format(others=others, stays=f"torch.tensor({stays})").replace("is torch", "== torch")
    assert len(runs("GRD607", snippet)) == found


def test_which_layers_have_no_weight() -> None:
    """What is said of `hasattr(layer, "weight")` for those that PyTorch makes with no arguments, or a few sizes."""
    made = 0
    for name, cls in vars(nn).items():
        spec = find_module(f"torch.nn.{name}")
        if spec is None or not isinstance(cls, type) or name == "Container":
            continue
        for sizes in ((), (4,), (4, 4), (4, 4, 3), (2, 4)):
            try:
                layer = cls(*sizes)
            except (TypeError, ValueError, AssertionError):
                continue
            made += 1
            for attribute in ("weight", "bias"):
                held = [parameter for parameter, _ in spec.parameters if parameter == attribute]
                if not held and attribute not in spec.init and attribute not in spec.buffers:
                    assert not hasattr(layer, attribute), name
            break
    assert made > 80


@pytest.mark.parametrize(
    ("given", "found"), [("nn.Sigmoid()", 1), ("None", 0), ("nn.Identity()", 0), ("nn.Sequential(nn.Sigmoid())", 0)]
)
def test_a_layer_instead_of_another(given: str, found: int) -> None:
    snippet = f"""
class Net(nn.Module):
    def __init__(self, last=None):
        super().__init__()
        self.fc, self.last = nn.Linear(3, 1), last or nn.Identity()

    def forward(self, x):
        return self.last(self.fc(x))


nn.BCEWithLogitsLoss()(Net({given})(torch.randn(4, 3)), torch.rand(4, 1)).backward()
"""
    assert len(reported("GRD403", snippet)) == found


def test_only_containers_may_be_false() -> None:
    sized = [name for name, cls in vars(nn).items() if isinstance(cls, type) and hasattr(cls, "__len__")]
    assert {name for name in sized if issubclass(vars(nn)[name], nn.Module)} == {
        *("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")
    }
    assert not any("__bool__" in vars(cls) for cls in vars(nn).values() if isinstance(cls, type))


RESUMED = """
def load(path):
    loaded = nn.Linear(3, 1)
    loaded.load_state_dict(torch.load(path))
    return loaded


def train(model, opt):
    for _ in range(2):
        opt.zero_grad()
        model(torch.randn(4, 3)).pow(2).sum().backward()
        opt.step()


model = nn.Linear(3, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
if {test}:
    {branch}
{behind}
train(model, opt)
"""


@pytest.mark.parametrize(
    ("test", "branch", "behind", "found"),
    [
        ("input()", "model = load('last.pt')", "", ["model"]),
        ("input()", "model = nn.Linear(3, 1)", "", ["model"]),
        ("input()", "model.load_state_dict(torch.load('last.pt'))", "", []),
        ("input()", "model = load('last.pt')", "opt = torch.optim.SGD(model.parameters(), lr=0.1)", []),
        ("input()", "model = load('last.pt'); opt = torch.optim.SGD(model.parameters(), lr=0.1)", "", []),
        ("input()", "model = load('last.pt')", "opt.add_param_group({'params': model.parameters()})", []),
        ("input()", "model = load('last.pt').requires_grad_(False)", "", []),
        ("input()", "model = nn.DataParallel(model)", "", []),
        ("False", "model = load('last.pt')", "", []),
    ],
)
def test_a_branch_that_puts_another_model_in_place(test: str, branch: str, behind: str, found: list[str]) -> None:
    snippet = RESUMED.format(test=test, branch=branch, behind=behind)
    assert [text for _, text in reported("GRD607", snippet)] == found
    assert reported("GRD617", snippet) == []


PART = """
net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3){track})
opt = torch.optim.SGD(net.parameters(), lr=0.1)
{before}
for _ in range(2):
    net.train()
    {then}
    opt.zero_grad()
    net(torch.randn(8, 3) + 3).pow(2).sum().backward()
    opt.step()
    {last}
assert bool((net[1].running_mean != 0).any()) is {moved}
"""


@pytest.mark.parametrize(
    ("before", "then", "last", "moved", "found"),
    [
        ("net[1].eval()", "", "", True, ["net.train()"]),
        ("for m in net:\n    if isinstance(m, nn.BatchNorm1d):\n        m.eval()", "", "", True, ["net.train()"]),
        ("net[1].eval()", "net[1].eval()", "", False, []),
        ("", "net[1].eval()", "", False, []),
        ("net.eval()", "", "", True, []),
        ("net[1].eval()\nnet(torch.ones(2, 3))", "", "", True, []),
        ("", "", "net[1].eval()\n    net(torch.ones(2, 3))", True, []),
        ("net[0].eval()", "", "", True, []),
    ],
)
def test_a_part_in_evaluation_mode_of_a_whole_in_train_mode(
    before: str, then: str, last: str, moved: bool, found: list[str]
) -> None:
    snippet = PART.format(track="", before=before, then=then, last=last, moved=moved)
    assert [text for _, text in runs("GRD519", snippet)] == found


def test_a_train_method_that_keeps_a_part_in_evaluation_mode() -> None:
    check_right("""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc = nn.BatchNorm1d(3), nn.Linear(3, 1)

    def train(self, mode=True):
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x):
        return self.fc(self.norm(x))


net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    net.train()
    opt.zero_grad()
    net(torch.randn(8, 3) + 3).pow(2).sum().backward()
    opt.step()
assert not net.norm.running_mean.any()
""")


ASSIGNED = """
online, average = nn.Linear(3, 1), nn.Linear(3, 1)
for mean, weight in zip({means}, {weights}):
    {body}
assert torch.equal(average.weight, online.weight) is {same}
"""
STATES = ("list(average.state_dict().values())", "list(online.state_dict().values())")


@pytest.mark.parametrize(
    ("means", "weights", "body", "same", "found"),
    [
        (*STATES, "mean = weight.data", False, ["mean"]),
        (*STATES, "mean.copy_(weight)", True, []),
        (*STATES, "mean = weight.data\n    print(mean)", False, []),
        ("[p.data for p in average.parameters()]", "online.parameters()", "mean = weight.data", False, ["mean"]),
        ("[p.clone() for p in average.parameters()]", "online.parameters()", "mean = weight.data", False, []),
    ],
)
def test_data_of_a_parameter_that_a_name_is_taken_from(
    means: str, weights: str, body: str, same: bool, found: list[str]
) -> None:
    snippet = ASSIGNED.format(means=means, weights=weights, body=body, same=same)
    assert [text for _, text in runs("GRD608", snippet)] == found


RETURNED = """
import lightning as L


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)
        {made}

    def training_step(self, batch, index):
        loss = self.net(batch).mean()
        {returned}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


@pytest.mark.parametrize(
    ("made", "returned", "found"),
    [
        ("pass", "return {'train_loss': loss}", ["return {'train_loss': loss}"]),
        ("pass", "out = {'n': 3}; out['step_loss'] = loss; return out", ["return out"]),
        ("pass", "return {'loss': loss, 'n': 3}", []),
        ("pass", "out = {'n': 3}; out['loss'] = loss; return out", []),
        ("pass", "return {'n': 3, **self.more(loss)}", []),
        ("self.automatic_optimization = False", "return {'train_loss': loss}", []),
    ],
)
def test_a_dictionary_without_the_loss(made: str, returned: str, found: list[str]) -> None:
    assert [text for _, text in reported("GRD615", RETURNED.format(made=made, returned=returned))] == found


def test_lightning_wants_the_entry_of_the_loss() -> None:
    from lightning.pytorch.loops.optimization.automatic import ClosureResult
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    with pytest.raises(MisconfigurationException, match="the 'loss' key needs to be present"):
        ClosureResult.from_training_step_output({"train_loss": torch.zeros(1)})


RESIDUAL = """
net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.rand(8, 1, requires_grad=True)
t = torch.rand(8, 1, requires_grad=True)
u = net(torch.cat([x, t], 1))
by_x = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
by_t = torch.autograd.grad(u.sum(), {of}, {options})[0]
loss = {loss}
opt.zero_grad()
loss.backward()
opt.step()
"""
WITHOUT = "torch.autograd.grad(u.sum(), t, retain_graph=True)"


@pytest.mark.parametrize(
    ("of", "options", "loss", "found"),
    [
        ("t", "retain_graph=True", "(by_t + u * by_x).pow(2).mean()", [WITHOUT]),
        ("t", "retain_graph=True", "torch.nn.functional.mse_loss(by_x - 0.1 * by_t, u)", [WITHOUT]),
        ("t", "create_graph=True", "(by_t + u * by_x).pow(2).mean()", []),
        # It weighs the rows.
        ("t", "retain_graph=True", "(by_t.abs() * (u + by_x)).pow(2).mean()", []),
        # The gradient of a weight may be the target of another.
        ("net[2].bias", "retain_graph=True", "(by_t + by_x.sum()).pow(2).mean()", []),
    ],
)
def test_a_derivative_in_a_residual(of: str, options: str, loss: str, found: list[str]) -> None:
    snippet = RESIDUAL.format(of=of, options=options, loss=loss)
    assert [text for _, text in runs("GRD115", snippet)] == found


ACTING = """
class Agent:
    def __init__(self):
        self.actor, self.critic = nn.Linear(3, 1), nn.Linear(4, 1)
        self.a_opt = torch.optim.SGD(self.actor.parameters(), lr=0.1)
        self.c_opt = torch.optim.SGD(self.critic.parameters(), lr=0.1)

    def act(self, state):
        return self.actor(state){cut}

    def learn(self, state, action, reward):
        self.c_opt.zero_grad()
        (self.critic(torch.cat([state, action], 1)) - reward).pow(2).mean().backward()
        self.c_opt.step()
        self.a_opt.zero_grad()
        (-self.critic(torch.cat([state, self.act(state)], 1)).mean()).backward()
        self.a_opt.step()


agent = Agent()
before = agent.actor.weight.clone()
for _ in range(2):
    state = torch.randn(8, 3)
    agent.learn(state, agent.act(state).detach(), torch.randn(8, 1))
assert torch.equal(agent.actor.weight, before) is {same}
"""


def test_an_action_that_is_cut_off_where_the_actor_learns() -> None:
    """That it is cut off where the critic learns is as it should be."""
    assert runs("GRD101", ACTING.format(cut=".detach()", same=True)) == [("warning", "self.actor(state).detach()")]
    assert runs("GRD611", ACTING.format(cut=".detach()", same=True)) == []
    assert runs("GRD101", ACTING.format(cut="", same=False)) == []


KEPT = """
encoder, head = nn.Linear(3, 4), nn.Linear(4, 1)
opt = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
kept = []
for _ in range(3):
    {add}
    opt.zero_grad()
    head(torch.stack({taken})).pow(2).mean().backward(){raises}
    opt.step()
"""


@pytest.mark.parametrize(
    ("add", "taken", "found"),
    [
        ("kept.append(encoder(torch.randn(3)))", "[one for one in kept]", ["error"]),
        ("kept.append(encoder(torch.randn(3)))", "[2 * one for one in kept]", ["error"]),
        ("kept.append((encoder(torch.randn(3)), 1.0))", "[pair[0] for pair in kept]", ["error"]),
        ("kept.append((encoder(torch.randn(3)), 1.0))", "[one for one, _ in kept]", ["error"]),
        ("kept.append(encoder(torch.randn(3)).detach())", "[one for one in kept]", []),
        ("kept.append(torch.randn(3))", "[encoder(one) for one in kept]", []),
        ("kept.append(encoder(torch.randn(3)))", "[one for one in kept][-1:]", []),
        ("kept = [encoder(torch.randn(3))]", "[one for one in kept]", []),
    ],
)
def test_elements_of_earlier_rounds_in_a_comprehension(add: str, taken: str, found: list[str]) -> None:
    raises = "  # raises RuntimeError: Trying to backward through the graph a second time" if found else ""
    snippet = KEPT.format(add=add, taken=taken, raises=raises)
    assert [severity for severity, _ in reported("GRD301", snippet)] == found
    error = programs.check("import torch\nfrom torch import nn\n" + snippet).error
    assert (error is not None) is bool(found)
