"""Mistakes made in training agents, distilling, fitting models of physics and the like, and their right twins."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import check_error, check_right, reported

TWO = """
model, other = nn.Linear(3, 4), nn.Linear(3, 4)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
"""


def runs(code: str, program: str) -> list[tuple[str, str]]:
    """What the rule `code` says of a program that PyTorch runs as it states."""
    assert (
        programs.check("import torch\nfrom torch import nn\nimport torch.nn.functional as F\n" + program).error is None
    )
    return reported(code, program)


def test_a_criterion_of_detached_values_is_a_constant_term() -> None:
    program = (
        TWO
        + """
other.requires_grad_(False)
for _ in range(2):
    x = torch.randn(8, 3)
    out, hint = model(x), other(x)
    loss = out.pow(2).mean() + 2.0 * F.mse_loss({value}, hint)
    opt.zero_grad()
    loss.backward()
    opt.step()
"""
    )
    assert runs("GRD101", program.format(value="out.detach()")) == [("warning", "out.detach()")]
    assert runs("GRD101", program.format(value="out")) == []


def test_what_a_frozen_layer_makes_of_a_detached_value_is_another_matter() -> None:
    program = (
        TWO
        + """
other = nn.Linear(4, 1).requires_grad_(False)
out = model(torch.randn(8, 3))
loss = out.pow(2).mean() + F.mse_loss(other(out.detach()), torch.zeros(8, 1))
loss.backward()
opt.step()
"""
    )
    assert runs("GRD101", program) == []


@pytest.mark.parametrize(
    "made",
    [
        "torch.full((4,), scale.item())",
        "torch.linspace(0.0, scale.item(), 4)",
        "torch.arange(scale.item(), 4.5)[:4]",
        "torch.zeros(4).new_full((4,), scale.item())",
        "torch.full_like(torch.zeros(4), scale.item())",
    ],
)
def test_a_factory_is_filled_with_a_number_of_a_tensor(made: str) -> None:
    program = """
model, scale = nn.Linear(3, 4), nn.Parameter(torch.tensor(0.5))
opt = torch.optim.SGD([*model.parameters(), scale], lr=0.1)
for _ in range(2):
    opt.zero_grad()
    (model(torch.randn(8, 3)) * {made}).mean().backward()
    opt.step()
assert scale.grad is None
"""
    assert runs("GRD104", program.format(made=made)) == [("warning", "scale.item()")]


def test_the_ends_of_linspace_get_no_gradient() -> None:
    program = """
low, model = nn.Parameter(torch.tensor(0.5)), nn.Linear(4, 1)
opt = torch.optim.SGD([low, *model.parameters()], lr=0.1)
model({points}).mean().backward()
opt.step()
"""
    assert runs("GRD102", program.format(points="torch.linspace(low, 1.0, 4)")) == [
        ("warning", "torch.linspace(low, 1.0, 4)")
    ]
    assert runs("GRD102", program.format(points="low + (1.0 - low) * torch.linspace(0, 1, 4)")) == []


def test_sizes_and_constants_of_factories_have_no_history() -> None:
    check_right("""
import torch

model = torch.nn.Linear(3, 4)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for n in (2, 4):
    x = torch.full((n, 3), 0.5) + torch.arange(0, n).unsqueeze(1) * torch.linspace(0.0, 1.0, 3)
    opt.zero_grad()
    model(x).mean().backward()
    opt.step()
assert model.weight.grad is not None
""")


def test_the_negative_of_an_array_has_its_history() -> None:
    program = (
        TWO
        + """
losses = -model(torch.randn(8, 3)).{read}
loss = torch.tensor(losses[losses > -9.0].mean())
loss.backward()
"""
    )
    assert reported("GRD105", program.format(read="detach().numpy()")) == [
        ("error", "model(torch.randn(8, 3)).detach().numpy()")
    ]
    assert reported("GRD110", program.format(read="detach().numpy()")) == []


CLOSURE = """
import torch

model, data = torch.nn.Linear(3, 1), torch.randn(8, 3)
optimizer = torch.optim.{kind}(model.parameters(), lr=0.1)


def closure():
    optimizer.zero_grad()
    loss = model(data).pow(2).mean()
    loss.backward()
    {end}


"""


def test_the_closure_of_lbfgs_returns_the_loss() -> None:
    wrong = CLOSURE + "optimizer.step(closure)  # raises TypeError: float() argument must be\n"
    check_error("GRD615", wrong.format(kind="LBFGS", end="print(loss.item())"))
    right = CLOSURE + "optimizer.step(closure)\nassert model.weight.grad is not None\n"
    check_right(right.format(kind="LBFGS", end="return loss"))
    check_right(right.format(kind="SGD", end="print(loss.item())"))


def test_an_unreduced_loss_times_weights() -> None:
    program = """
def step(x, y, weights):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y, reduction="none") {weights}
    {backward}
    opt.step()
"""
    for weights in ("* weights", "/ weights", ""):
        wrong = TWO + program.format(weights=weights, backward="loss.backward()")
        assert reported("GRD302", wrong) == [("information", "loss.backward()")]
        assert reported("GRD302", TWO + program.format(weights=weights, backward="loss.mean().backward()")) == []


AGENT = """
actor, critic = nn.Linear(3, 1), nn.Linear(4, 1)
actor_opt = torch.optim.SGD(actor.parameters(), lr=0.1)
critic_opt = torch.optim.SGD(critic.parameters(), lr=0.1)
for _ in range(2):
    s, a, r = torch.randn(8, 3), torch.randn(8, 1), torch.randn(8, 1)
    with torch.no_grad():
        target = r + critic(torch.cat([s, actor(s)], 1))
    loss = F.mse_loss(critic(torch.cat([s, a], 1)), target)
    critic_opt.zero_grad()
    loss.backward()
    critic_opt.step()
    actor_loss = -critic(torch.cat([s, {action}], 1)).mean()
    actor_opt.zero_grad()
    actor_loss.backward()
    actor_opt.step()
"""


def test_a_target_is_not_to_blame_for_the_loss_of_another_step() -> None:
    wrong = AGENT.format(action="a")
    assert runs("GRD106", wrong) == []
    assert runs("GRD611", wrong) == [("warning", "actor_opt.step()")]
    assert runs("GRD611", AGENT.format(action="actor(s)")) == []


def test_a_block_without_gradients_before_the_own_loss_is_to_blame() -> None:
    program = """
encoder, head = nn.Linear(3, 4), nn.Linear(4, 1)
first = torch.optim.SGD(encoder.parameters(), lr=0.1)
second = torch.optim.SGD(head.parameters(), lr=0.1)
for _ in range(2):
    first.zero_grad()
    second.zero_grad()
    with torch.no_grad():
        features = encoder(torch.randn(8, 3))
    head(features).mean().backward()
    first.step()
    second.step()
"""
    assert [severity for severity, _ in runs("GRD106", program)] == ["warning"]
    assert runs("GRD611", program) == []


def test_a_parameter_of_its_own_is_never_used() -> None:
    program = """
features, edges = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
opt = torch.optim.SGD([features, edges], lr=0.1)
for _ in range(2):
    opt.zero_grad()
    ({masked}).pow(2).mean().backward()
    opt.step()
"""
    masked = "torch.randn(8, 3) * features.sigmoid()"
    assert runs("GRD520", program.format(masked=masked)) == [("information", "nn.Parameter(torch.zeros(3))")]
    assert runs("GRD520", program.format(masked=f"{masked} * edges.sigmoid()")) == []


BLOCKS = """
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x).relu()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Block() for _ in range(3)])

    def forward(self, x):
        out = x
        for block in self.blocks:
            out = block({given})
        return out


net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(2):
    opt.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    opt.step()
"""


def test_every_block_is_given_the_input() -> None:
    assert runs("GRD520", BLOCKS.format(given="x")) == [("information", "block(x)")]
    assert runs("GRD520", BLOCKS.format(given="out")) == []


def test_data_of_which_nothing_is_known_do_not_scale_a_loss() -> None:
    program = (
        TWO
        + """
scaler = torch.amp.GradScaler("cpu")


def step(x, y):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    {backward}
    scaler.step(opt)
    scaler.update()


for x, y in load():
    step(x, y)
"""
    )
    wrong = program.format(backward="scaler.scale(loss)\n    loss.backward()")
    assert reported("GRD610", wrong) == [("warning", "loss.backward()")]
    assert reported("GRD610", program.format(backward="scaler.scale(loss).backward()")) == []


def test_a_sum_over_unknown_rounds_by_a_size() -> None:
    program = """
first, second = nn.Linear(3, 4), nn.Linear(4, 2)
opt = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.1)
for x, y in torch.utils.data.DataLoader(load()):
    out = 0.0
    for t in range(x.size(0)):
        out = out + second({spikes})
    opt.zero_grad()
    F.cross_entropy(out / x.size(0), y).backward()
    opt.step()
"""
    assert reported("GRD107", program.format(spikes="(first(x[t]) > 1.0).float()")) == [
        ("warning", "first(x[t]) > 1.0")
    ]
    assert reported("GRD107", program.format(spikes="first(x[t])")) == []


def test_only_some_parameters_of_a_module_are_named() -> None:
    from gradls.flow.analyze import analyze
    from gradls.rules.run import findings
    from gradls.syntax.source import Source

    program = """
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.token = torch.nn.Parameter(torch.zeros(3))
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(x + self.token)


net = Net()
opt = torch.optim.SGD([p for n, p in net.named_parameters() if n.startswith("layer")], lr=0.1)
for _ in range(2):
    opt.zero_grad()
    net(torch.randn(8, 3)).pow(2).mean().backward()
    opt.step()
"""
    (finding,) = findings(analyze(Source.read(program)))
    assert finding.code == "GRD607"
    assert "`net.token`" in finding.message
    assert "the parameters of" not in finding.message


def test_a_model_made_half_after_its_training() -> None:
    check_right("""
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.Adam(model.parameters())
model(torch.randn(8, 3)).pow(2).mean().backward()
optimizer.step()
model = model.half()
assert model.weight.dtype is torch.float16
""")


ROUNDS = (
    TWO
    + """
data = torch.utils.data.TensorDataset(torch.randn(8, 3), torch.zeros(8, 4))
for _ in range(2):
    h = torch.zeros(4)
    for x, y in torch.utils.data.DataLoader(data, 2):
        {body}
    opt.zero_grad()
    loss.backward()
    opt.step()
"""
)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("loss = F.mse_loss(model(x), y)", ["loss"]),
        ("out = model(x)\n        loss = F.mse_loss(out, y)", ["loss"]),
        ("loss = F.mse_loss(model(x), y)\n        break", []),
        ("h = torch.tanh(model(x).mean(0) + h)\n        loss = F.mse_loss(h.expand_as(y), y)", []),
        ("h = h + model(x).mean(0)\n        loss = h.pow(2).mean()", []),
        ("h += model(x).mean(0)\n        loss = (h * y).mean()", []),
        ("loss = F.mse_loss(model(x), y)\n        print(loss.item())", []),
        ("loss = model.weight.pow(2).mean()", []),
    ],
)
def test_the_loss_of_each_round_of_data_is_overwritten(body: str, found: list[str]) -> None:
    assert [text for _, text in runs("GRD614", ROUNDS.format(body=body))] == found
