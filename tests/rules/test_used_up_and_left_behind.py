"""What is used up, applied twice, cleared too early or left behind in a training loop."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

USED_UP = """
import itertools
net, other = nn.Linear(4, 1), nn.Linear(4, 1)
{before}
for parameter in parameters:
    parameter.requires_grad = False
"""


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("parameters = net.parameters()\ntorch.optim.Adam(parameters)", 1),
        ("parameters = itertools.chain(net.parameters(), other.parameters())\ntorch.optim.Adam(parameters)", 1),
        ("parameters = filter(lambda p: p.requires_grad, net.parameters())\nprint(len(list(parameters)))", 1),
        ("parameters = net.parameters()\nfor p in parameters:\n    nn.init.zeros_(p)", 1),
        ("parameters = list(net.parameters())\ntorch.optim.Adam(parameters)", 0),
        ("parameters = net.parameters()\nfor p in parameters:\n    if p.dim() == 1:\n        break", 0),
        ("parameters = net.parameters()\nif len(open('x').read()):\n    torch.optim.Adam(parameters)", 0),
        ("parameters = (n for n in range(3))\nlist(parameters)", 0),
        ("parameters = net.parameters()", 0),
    ],
)
def test_parameters_that_are_used_up(before: str, found: int) -> None:
    assert len(reported("GRD527", USED_UP.format(before=before))) == found


INNER = """
net = nn.GRUCell(3, 4)
optimizer = torch.optim.Adam(net.parameters())
for _ in range(9):
    h = torch.zeros(2, 4)
    for t in range(5):
        {first}
        h = net(torch.randn(2, 3), h)
        h.pow(2).mean().backward()
        {inner}
        h = h.detach()
    {outer}
"""


@pytest.mark.parametrize(
    ("first", "inner", "outer", "found"),
    [
        ("optimizer.zero_grad()", "pass", "optimizer.step()", 1),
        ("net.zero_grad()", "nn.utils.clip_grad_norm_(net.parameters(), 1.0)", "optimizer.step()", 1),
        ("optimizer.zero_grad()", "optimizer.step()", "pass", 0),
        ("pass", "pass", "optimizer.step()\n    optimizer.zero_grad()", 0),
        ("optimizer.zero_grad()", "kept = [p.grad.clone() for p in net.parameters()]", "optimizer.step()", 0),
        ("optimizer.zero_grad()", "if h.sum().item() > 3:\n            break", "optimizer.step()", 0),
        (
            "optimizer.zero_grad()",
            "pass",
            "optimizer.zero_grad()\n    net(torch.randn(2, 3)).sum().backward()\n    optimizer.step()",
            0,
        ),
        ("if t == 0:\n            optimizer.zero_grad()", "pass", "optimizer.step()", 0),
    ],
)
def test_cleared_in_an_inner_loop(first: str, inner: str, outer: str, found: int) -> None:
    severities = [s for s, _ in reported("GRD602", INNER.format(first=first, inner=inner, outer=outer))]
    assert severities == ["warning"] * found


IMAGE = """
net = nn.Linear(3, 1).requires_grad_(False)
image = torch.rand(1, 3, requires_grad=True)
optimizer = torch.optim.Adam([image], lr=0.1)
for _ in range(9):
    {first}
    optimizer.zero_grad()
    net(image).pow(2).sum().backward()
    optimizer.step()
    {after}
"""


@pytest.mark.parametrize(
    ("first", "after", "found"),
    [
        ("pass", "image = image.detach().clamp(0, 1).requires_grad_(True)", 1),
        ("pass", "image = image.clamp(0, 1).detach().requires_grad_()", 1),
        ("pass", "image.data.clamp_(0, 1)", 0),
        ("pass", "with torch.no_grad():\n        image.clamp_(0, 1)", 0),
        ("pass", "shown = image.detach().clamp(0, 1)", 0),
        ("optimizer = torch.optim.Adam([image], lr=0.1)", "image = image.detach().clamp(0, 1).requires_grad_()", 0),
        ("pass", "image = torch.rand(1, 3, requires_grad=True)", 0),
    ],
)
def test_a_new_leaf_in_the_place_of_the_one_that_is_optimized(first: str, after: str, found: int) -> None:
    assert len(reported("GRD607", IMAGE.format(first=first, after=after))) == found


SCALED = """
net = nn.Linear(3, 1)
optimizer = torch.optim.Adam(net.parameters())
scaler = torch.amp.GradScaler("cpu")
for _ in range(9):
    optimizer.zero_grad()
    scaler.scale(net(torch.randn(2, 3)).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    {after}
"""


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("optimizer.step()", ["warning"]),
        ("optimizer.zero_grad()", []),
        ("optimizer.zero_grad()\n    net(torch.randn(2, 3)).sum().backward()\n    optimizer.step()", []),
        ("torch.optim.SGD([torch.zeros(3, requires_grad=True)]).step()", []),
    ],
)
def test_a_step_behind_that_of_the_scaler(after: str, found: list[str]) -> None:
    assert [severity for severity, _ in reported("GRD610", SCALED.format(after=after))] == found


FROZEN = """
body, head = nn.Linear(4, 4), nn.Linear(4, 1)
optimizer = torch.optim.{made}
for epoch in range(3):
    if epoch == 1:
        {freeze}
    optimizer.zero_grad(set_to_none={none})
    head(body(torch.randn(2, 4))).sum().backward()
    optimizer.step()
"""
BOTH = "[*body.parameters(), *head.parameters()]"


@pytest.mark.parametrize(
    ("made", "freeze", "none", "found"),
    [
        (f"SGD({BOTH}, lr=0.1, momentum=0.9)", "body.weight.requires_grad = False", False, 1),
        (f"SGD({BOTH}, lr=0.1, weight_decay=1e-4)", "body.weight.requires_grad = False", False, 1),
        (f"AdamW({BOTH})", "body.requires_grad_(False)", False, 1),
        (f"SGD({BOTH}, lr=0.1)", "body.weight.requires_grad = False", False, 0),
        (f"SGD({BOTH}, lr=0.1, momentum=0.9)", "body.weight.requires_grad = False", True, 0),
        (f"AdamW({BOTH})", "body.weight.requires_grad = False\n        body.weight.grad = None", False, 0),
    ],
)
def test_frozen_with_a_gradient_of_zero(made: str, freeze: str, none: bool, found: int) -> None:
    assert len(reported("GRD612", FROZEN.format(made=made, freeze=freeze, none=none))) == found


CHECKPOINT = """
from torch.utils.checkpoint import checkpoint
{before}
x = torch.randn(2, 3, requires_grad=True)
checkpoint(block, x, use_reentrant=False{option}).sum().backward()
"""


@pytest.mark.parametrize(
    ("before", "option", "found"),
    [
        ("block = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))", ", preserve_rng_state=False", 1),
        ("block = lambda x: F.dropout(x, 0.2).exp()", ", preserve_rng_state=False", 1),
        ("block = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)).eval()", ", preserve_rng_state=False", 0),
        ("block = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0))", ", preserve_rng_state=False", 0),
        ("block = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1))", "", 0),
        ("block = nn.Linear(3, 3)", ", preserve_rng_state=False", 0),
    ],
)
def test_dropout_that_a_checkpoint_computes_again(before: str, option: str, found: int) -> None:
    assert len(reported("GRD809", CHECKPOINT.format(before=before, option=option))) == found


TARGET = """
class Agent:
    def __init__(self):
        self.policy, self.target = nn.Linear(4, 2), nn.Linear(4, 2)
        self.optimizer = torch.optim.Adam(self.policy.parameters())

    def learn(self, x):
        loss = F.mse_loss(self.policy(x), self.target(x).detach())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        {after}

agent = Agent()
for _ in range(9):
    agent.learn(torch.randn(3, 4))
"""


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ("self.target.load_state_dict(self.target.state_dict())", 1),
        ("self.target.load_state_dict(self.policy.state_dict())\n        self.target = self.policy", 1),
        ("self.target.load_state_dict(self.policy.state_dict())", 0),
        ("self.target.load_state_dict(self.policy.state_dict())\n        self.target = self.target.eval()", 0),
    ],
)
def test_targets_that_do_not_follow(after: str, found: int) -> None:
    assert len(reported("GRD714", TARGET.format(after=after))) == found


def test_its_own_state_once_is_no_mistake() -> None:
    assert reported("GRD714", "net = nn.Linear(3, 1)\nnet.load_state_dict(net.state_dict())") == []


def test_the_module_that_is_not_used_is_told_and_not_its_layers() -> None:
    snippet = """
    class Adapter(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.Linear(4, 2), nn.Linear(2, 4)

        def forward(self, x):
            return self.up(self.down(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.adapter = Adapter()
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            return self.head(x)

    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 4)).sum().backward()
    optimizer.step()
    """
    assert reported("GRD520", snippet) == [("information", "Adapter()")]


ACCUMULATED = """
net = nn.Linear(3, 1)
optimizer = torch.optim.AdamW(net.parameters())
for n in range(16):
    {first}
    (net(torch.randn(2, 3)).sum() / 4).backward()
    {clip}
    if (n + 1) % 4 == 0:
        {inner}
        optimizer.step()
        optimizer.zero_grad()
"""
CLIP = "nn.utils.clip_grad_norm_(net.parameters(), 1.0)"


@pytest.mark.parametrize(
    ("first", "clip", "inner", "found"),
    [
        ("pass", CLIP, "pass", 1),
        ("pass", "pass", CLIP, 0),
        ("optimizer.zero_grad()", CLIP, "pass", 0),
        ("pass", f"norm = {CLIP}", "pass", 0),
    ],
)
def test_clipped_behind_each_backward_of_several(first: str, clip: str, inner: str, found: int) -> None:
    severities = [s for s, _ in reported("GRD605", ACCUMULATED.format(first=first, clip=clip, inner=inner))]
    assert severities == ["information"] * found


BEFORE = """
texels, net = torch.zeros(4, requires_grad=True), nn.Linear(4, 4)
optimizer = torch.optim.{made}
{before}
for _ in range(9):
    {inside}
    optimizer.zero_grad()
    loss = image.sum()
    loss.backward(retain_graph=True)
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("made", "before", "inside", "found"),
    [
        ("Adam([texels])", "image = torch.sigmoid(texels)", "pass", 1),
        ("Adam(net.parameters())", "image = net(torch.ones(1, 4)).tanh()", "pass", 1),
        ("Adam([texels])", "pass", "image = torch.sigmoid(texels)", 0),
        ("Adam([texels])", "base = net(torch.ones(4))", "image = base * texels", 0),
        ("Adam([texels])", "base = torch.sigmoid(texels).detach()", "image = base * texels", 0),
    ],
)
def test_what_is_computed_before_the_loop_that_trains(made: str, before: str, inside: str, found: int) -> None:
    severities = [s for s, _ in reported("GRD711", BEFORE.format(made=made, before=before, inside=inside))]
    assert severities.count("warning") == found


def test_several_backwards_before_one_step() -> None:
    snippet = """
    net = nn.Linear(4, 4)
    optimizer = torch.optim.Adam(net.parameters())
    for _ in range(9):
        h = net(torch.ones(1, 4))
        optimizer.zero_grad()
        for k in range(4):
            h[0, k].backward(retain_graph=True)
        optimizer.step()
    """
    assert [found for found in reported("GRD711", snippet) if found[0] == "warning"] == []


REVERSAL = """
class Reversal(nn.Module{base}):
    def forward(self, x):
        return x * 1

    def backward(self{argument}):
        return {given}

reversal, x = Reversal(), torch.ones(3, requires_grad=True)
{use}
"""


@pytest.mark.parametrize(
    ("base", "argument", "use", "found"),
    [
        ("", ", gradient", "reversal(x).sum().backward()", 1),
        ("", ", gradient", "reversal(x).sum()", 0),
        ("", ", gradient", "reversal(x).sum().backward()\nreversal.backward(x)", 0),
        ("", ", gradient", "reversal(x).sum().backward()\nfor layer in unknown():\n    layer.backward(x)", 0),
        ("", "", "reversal(x).sum().backward()", 0),
        (", Unknown", ", gradient", "reversal(x).sum().backward()", 0),
    ],
)
def test_backward_of_a_module(base: str, argument: str, use: str, found: int) -> None:
    snippet = "from elsewhere import Unknown, unknown\n" + REVERSAL.format(
        base=base, argument=argument, given="-gradient" if argument else "None", use=use
    )
    assert len(reported("GRD811", snippet)) == found


PATCH = """
patch = torch.full((3, 4, 4), 0.5, requires_grad=True)
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(5))

def train(x, y):
    patched = x.clone()
    {write}
    F.cross_entropy(net(patched), y).backward()
    return patch.grad.sign()

for x, y in loader():
    train(x, y)
"""


@pytest.mark.parametrize(
    ("write", "found"), [("patched[:, :, :4, :4] = patch", 0), ("patched[:, :, :4, :4] = patch.detach()", 1)]
)
def test_what_is_written_into_something_unknown_gets_a_gradient(write: str, found: int) -> None:
    assert len(reported("GRD311", "from elsewhere import loader\n" + PATCH.format(write=write))) == found


ATTACK = """
net = nn.Linear(4, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(9):
    x, y = torch.rand(8, 4), torch.randint(0, 2, (8,))
    delta = torch.zeros_like(x, requires_grad=True)
    {before}
    F.cross_entropy(net(x + delta), y).backward()
    moved = x + delta.grad.sign()
    {after}
    F.cross_entropy(net(moved), y).backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("optimizer.zero_grad()", "pass", ["information"]),
        ("net.zero_grad()", "delta.grad = None", ["information"]),
        ("pass", "optimizer.zero_grad()", []),
        ("optimizer.zero_grad()", "net.zero_grad()", []),
        ("net.requires_grad_(False)", "net.requires_grad_(True)\n    optimizer.zero_grad()", []),
    ],
)
def test_gradients_of_an_attack(before: str, after: str, found: list[str]) -> None:
    severities = [s for s, _ in reported("GRD601", ATTACK.format(before=before, after=after))]
    assert severities == found


def test_the_rounds_of_an_attack_may_train() -> None:
    snippet = """
    net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(9):
        x, y = torch.rand(8, 4), torch.randint(0, 2, (8,))
        delta = torch.zeros_like(x, requires_grad=True)
        optimizer.zero_grad()
        for _ in range(3):
            (F.cross_entropy(net(x + delta), y) / 3).backward()
            delta = (delta.detach() + delta.grad.sign()).requires_grad_()
        optimizer.step()
    """
    assert reported("GRD601", snippet) == []


TERMS = """
actor, critic, other = nn.Linear(3, 2), nn.Linear(2, 1), nn.Linear(3, 2)
optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters(), *other.parameters()])
x = torch.ones(4, 3)
y = actor(x)
optimizer.zero_grad()
critic(other(x)).sum().backward()
loss = {loss}
loss.backward()
optimizer.step()
"""


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ("(0.1 * y.pow(2).sum(1, keepdim=True) - critic(y).detach()).mean()", 1),
        ("-(critic(y).detach() - y.pow(2)).sum()", 1),
        ("(0.1 * y.pow(2).sum(1, keepdim=True) - critic(y)).mean()", 0),
        ("(y + (y.round() - y).detach()).sum()", 0),
        ("(y - y.mean().detach()).mean()", 0),
        ("(y.log_softmax(-1) * (1 - critic(y).detach())).mean()", 0),
        ("(critic(y) - critic(other(x)).detach()).pow(2).mean()", 0),
        ("(other(x).softmax(-1).detach() * (other(x).softmax(-1).detach().log() - y.log_softmax(-1))).sum()", 0),
        ("(y.log_softmax(-1) - y.log_softmax(-1).detach()).exp().mean()", 0),
        ("(y.log_softmax(-1) - other(x).log_softmax(-1).detach()).mean() + other(x).sum() * 0", 0),
    ],
)
def test_a_detached_term_of_a_mean(loss: str, found: int) -> None:
    told = [text for severity, text in reported("GRD101", TERMS.format(loss=loss)) if severity == "warning"]
    assert len(told) == found


def test_what_a_closure_of_another_optimizer_left_is_cleared() -> None:
    snippet = """
    net, image = nn.Linear(4, 1), torch.rand(1, 4, requires_grad=True)
    optimizer, search = torch.optim.SGD(net.parameters(), lr=0.1), torch.optim.LBFGS([image])

    def closure():
        search.zero_grad()
        loss = net(image).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(9):
        search.step(closure)
        {clear}
        net(torch.randn(2, 4)).mean().backward()
        optimizer.step()
    """
    assert reported("GRD601", snippet.format(clear="optimizer.zero_grad()")) == []
    assert len(reported("GRD601", snippet.format(clear="pass"))) == 1


FROZEN_LAYERS = """
net, frozen = nn.Linear(3, 3), nn.Linear(3, 3).requires_grad_(False)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
x, y = torch.randn(2, 3), torch.randn(2, 3)
for _ in range(3):
    out = net(x)
    {features}
    loss = F.mse_loss(out, y) + {term}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
UNDER = "with torch.no_grad():\n        one, other = frozen(out), frozen(y)"


@pytest.mark.parametrize(
    ("features", "term", "found"),
    [
        (UNDER, "F.l1_loss(one, other)", 1),
        (UNDER, "0.1 * (one - other).pow(2).mean()", 1),
        (UNDER, "F.l1_loss(out, one)", 0),
        ("one = frozen(out)\n    with torch.no_grad():\n        other = frozen(y)", "F.l1_loss(one, other)", 0),
        ("one = frozen(out).detach()", "F.l1_loss(one, out)", 0),
    ],
)
def test_a_term_of_frozen_layers_without_gradients(features: str, term: str, found: int) -> None:
    assert len(reported("GRD106", FROZEN_LAYERS.format(features=features, term=term))) == found


TIED = """
first, second = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
second.weight = {weight}
second(first(torch.arange(4))).sum().backward()
"""


@pytest.mark.parametrize(
    ("weight", "found"),
    [
        ("nn.Parameter(first.weight)", 1),
        ("nn.Parameter(first.weight.data)", 1),
        ("nn.Parameter(first.weight.detach())", 1),
        ("first.weight", 0),
        ("nn.Parameter(first.weight.clone())", 0),
        ("nn.Parameter(first.weight.detach().clone())", 0),
        ("nn.Parameter(second.weight)", 0),
    ],
)
def test_parameter_made_of_another(weight: str, found: int) -> None:
    assert len(reported("GRD512", TIED.format(weight=weight))) == found


NOISE = """
net, scale = nn.Linear(3, 3), torch.ones(3, requires_grad=True)
WHERE
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for x in [torch.randn(2, 3)] * 2:
    EACH
    opt.zero_grad()
    (net(x) * noise).pow(2).mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("where", "each", "found"),
    [
        ("noise = torch.ones(3, requires_grad=True)", "pass", 1),
        ("pass", "noise = torch.ones(3).detach().requires_grad_()", 0),
    ],
)
def test_factor_that_each_round_makes_anew(where: str, each: str, found: int) -> None:
    """No optimizer could have been given what there was not yet."""
    assert len(reported("GRD607", NOISE.replace("WHERE", where).replace("EACH", each))) == found
