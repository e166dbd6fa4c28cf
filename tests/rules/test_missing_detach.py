"""Values that a loss should take as constants, and those through which its gradient has to go."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

NETS = """
policy, old = nn.Linear(4, 2), nn.Linear(4, 2)
critic, target = nn.Linear(4, 1), nn.Linear(4, 1)
actor_opt = torch.optim.Adam(policy.parameters())
critic_opt = torch.optim.Adam(critic.parameters())
s, s2, r = torch.randn(8, 4), torch.randn(8, 4), torch.randn(8, 1)
"""
TRAIN = """
critic_opt.zero_grad()
loss.backward()
critic_opt.step()
"""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("r + 0.9 * target(s2)", ["GRD617"]),
        ("torch.add(r, target(s2), alpha=0.9)", ["GRD617"]),
        ("r + 0.9 * critic(s2)", ["GRD126"]),
        ("(r + critic(s2) * 0.9).clone()", ["GRD126"]),
        ("r + 0.9 * target(s2).detach()", []),
        ("r + 0.9 * critic(s2).detach()", []),
        ("r", []),
    ],
)
def test_targets_of_values(wanted: str, found: list[str]) -> None:
    program = f"{NETS}wanted = {wanted}\nloss = F.mse_loss(critic(s), wanted){TRAIN}"
    assert [code for code in ("GRD126", "GRD617") if reported(code, program)] == found


def test_a_network_that_follows_another_is_no_target_with_a_gradient() -> None:
    program = """
    net, slow = nn.Linear(4, 1), nn.Linear(4, 1)
    slow.load_state_dict(net.state_dict())
    opt = torch.optim.SGD([*net.parameters(), *slow.parameters()], lr=0.1)
    loss = F.smooth_l1_loss(net(torch.randn(8, 4)), slow(torch.randn(8, 4)))
    loss.backward()
    opt.step()
    """
    assert [severity for severity, _ in reported("GRD126", program)] == ["information"]
    assert not reported("GRD126", program.replace("    slow.load_state_dict(net.state_dict())\n", ""))


def test_both_sides_of_a_differential_equation_have_gradients() -> None:
    program = """
    net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    t = torch.rand(8, 1, requires_grad=True)
    force = torch.sin(t.detach())
    u = net(t)
    slope = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
    loss = F.mse_loss(slope, force + 0.5 * u)
    loss.backward()
    opt.step()
    """
    assert not reported("GRD126", program)


@pytest.mark.parametrize(
    ("action", "weight", "found"),
    [
        ("d.sample()", "r - critic(s)", 1),
        ("d.sample()", "(r - critic(s)) / 2", 1),
        ("d.sample()", "critic(s)", 1),
        ("torch.randint(2, (8,))", "r - critic(s)", 1),
        ("torch.randint(2, (8,))", "critic(s)", 0),
        ("d.sample()", "(r - critic(s)).detach()", 0),
        ("d.sample()", "d.log_prob(torch.zeros(8)).exp()", 0),
    ],
)
def test_weights_of_log_probabilities(action: str, weight: str, found: int) -> None:
    program = f"""{NETS}
d = torch.distributions.Categorical(logits=policy(s))
a = {action}
loss = -(d.log_prob(a) * ({weight})).mean()
actor_opt.zero_grad()
loss.backward()
actor_opt.step()
"""
    assert len(reported("GRD118", program)) == found


GAN = """
G, D = nn.Linear(2, 3), nn.Linear(3, 1)
opt_g, opt_d = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
for _ in range(3):
    fake = G(torch.randn(8, 2))
    opt_d.zero_grad()
    loss_d = D(FAKE).mean() - D(torch.randn(8, 3)).mean()
    loss_d.backward()
    opt_d.step()
    opt_g.zero_grad()
    loss_g = -D(G(torch.randn(8, 2))).mean()
    loss_g.backward()
    opt_g.step()
"""


@pytest.mark.parametrize(("fake", "found"), [("fake", ["fake = G"]), ("fake.detach()", []), ("fake.data", [])])
def test_generator_in_the_step_of_the_discriminator(fake: str, found: list[str]) -> None:
    assert len(reported("GRD617", GAN.replace("FAKE", fake))) == len(found)


DEEP = "from config import cfg\nextra = [nn.Linear(3, 3) for _ in range(cfg.depth)]\n" + GAN


@pytest.mark.parametrize(
    ("networks", "fake", "found"),
    [
        ("nn.Sequential(nn.Linear(2, 3), *extra), nn.Linear(3, 1)", "fake", 1),
        ("nn.Sequential(nn.Linear(2, 3), *extra), nn.Linear(3, 1)", "fake.detach()", 0),
        ("nn.Sequential(*extra), nn.Linear(3, 1)", "fake", 0),
        ("nn.Linear(2, 3), cfg.critic", "fake", 0),
    ],
)
def test_networks_of_unknown_depth(networks: str, fake: str, found: int) -> None:
    """Their optimizers have further parameters, and none of another network."""
    program = DEEP.replace("nn.Linear(2, 3), nn.Linear(3, 1)", networks).replace("FAKE", fake)
    assert len(reported("GRD617", program)) == found


def test_network_that_a_branch_gives_to_an_optimizer() -> None:
    """What the other optimizer may have, it may step."""
    both = "torch.optim.Adam((nn.ModuleList([D, G]) if cfg.both else D).parameters())"
    program = DEEP.replace("torch.optim.Adam(D.parameters())", both).replace("FAKE", "fake")
    assert not reported("GRD617", program)


@pytest.mark.parametrize(
    "more",
    [
        "print(target.weight.grad.norm())",
        "for p in target.parameters():\n    p.data -= 0.1 * p.grad",
        "unknown(target)",
    ],
)
def test_gradients_that_are_used_in_another_way(more: str) -> None:
    program = f"{NETS}loss = F.mse_loss(critic(s), r + 0.9 * target(s2)){TRAIN}{more}\n"
    assert not reported("GRD617", "from somewhere import unknown\n" + program)


def test_a_sample_on_the_way_to_the_actor() -> None:
    program = f"""{NETS}
q = nn.Linear(6, 1)
q_opt = torch.optim.Adam(q.parameters())
for _ in range(2):
    normal = torch.distributions.Normal(policy(s), 1.0)
    a = normal.DRAW()
    loss = (normal.log_prob(a).sum(1, keepdim=True) - q(torch.cat([s, a], 1))).mean()
    actor_opt.zero_grad()
    loss.backward()
    actor_opt.step()
    q_opt.zero_grad()
    q(torch.randn(8, 6)).pow(2).mean().backward()
    q_opt.step()
"""
    assert reported("GRD617", program.replace("DRAW", "sample")) == [("information", "normal.sample()")]
    assert not reported("GRD617", program.replace("DRAW", "rsample"))


VAE = """
encoder, decoder = nn.Linear(3, 2), nn.Linear(2, 3)
opt = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
x = torch.randn(8, 3)
mean = encoder(x)
posterior = torch.distributions.Normal(mean, 1.0)
z = posterior.DRAW()
loss = F.mse_loss(decoder(z), x) + KL
loss.backward()
opt.step()
"""


@pytest.mark.parametrize(
    ("draw", "divergence", "found"),
    [
        ("sample", "mean.pow(2).sum()", 1),
        ("sample", "torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum()", 1),
        ("rsample", "mean.pow(2).sum()", 0),
        ("sample", "posterior.log_prob(z).sum()", 0),
    ],
)
def test_samples_in_a_variational_autoencoder(draw: str, divergence: str, found: int) -> None:
    assert len(reported("GRD112", VAE.replace("DRAW", draw).replace("KL", divergence))) == found


@pytest.mark.parametrize(("given", "found"), [("drawn.detach()", ["drawn.detach()"]), ("drawn", [])])
def test_cut_in_forward_on_the_way_to_what_is_trained(given: str, found: list[str]) -> None:
    program = f"""
    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.Linear(4, 2), nn.Linear(2, 4)
            self.first = torch.optim.Adam(self.encoder.parameters())
            self.second = torch.optim.Adam(self.decoder.parameters())

        def forward(self, x):
            drawn = self.decoder(torch.randn(8, 2))
            loss = self.encoder({given}).pow(2).mean() + (self.decoder(torch.zeros(8, 2)) - x).pow(2).mean()
            self.second.zero_grad()
            loss.backward()
            self.second.step()
            self.first.zero_grad()
            (self.decoder(self.encoder(x)) - x).pow(2).mean().backward()
            self.first.step()

    vae = Vae()
    for x in [torch.randn(8, 4)] * 3:
        vae(x)
    """
    assert [what for _, what in reported("GRD617", program)] == found


TERMS = """
from config import cfg
net = nn.Linear(3, 4)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for x, y in [(torch.randn(4, 3), torch.randint(0, 4, (4,)))] * 2:
    guess = net(x)
    loss = F.cross_entropy(guess, y)
    {}
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ("loss = loss + cfg.weight * (guess.argmax(1) != y).float().mean()", 1),
        ("loss = loss + (guess.argmax(1) != y).float().mean() / cfg.count", 1),
        ("if cfg.more:\n        loss = loss + (guess.argmax(1) - y).float().pow(2).mean()", 1),
        ("wrong = (guess.argmax(1) - y).float().mean()\n    loss = loss + 0.5 * (wrong if wrong > 0 else 0)", 1),
        ("loss = loss + cfg.weight * guess.abs().mean()", 0),
        ("loss = cfg.weight * loss", 0),
        ("loss = loss * (guess.argmax(1) == y).float().mean()", 0),
        ("if cfg.more:\n        loss = loss + guess[guess.argmax(1) == y].mean()", 0),
    ],
)
def test_constant_terms(added: str, found: int) -> None:
    assert len({what for _, what in reported("GRD107", TERMS.format(added))}) == found


EPISODE = """
actor, critic = nn.Linear(4, 2), nn.Linear(4, 1)
opt = torch.optim.Adam([*actor.parameters(), *critic.parameters()])
for _ in range(3):
    log_probs, values, rewards, state = [], [], [], env.reset()
    while len(rewards) < 100:
        seen = torch.from_numpy(state).float()
        dist = torch.distributions.Categorical(logits=actor(seen))
        action = dist.sample()
        state, reward = env.step(action.item())
        log_probs.append(dist.log_prob(action))
        values.append(critic(seen))
        rewards.append(reward)
    returns, values = torch.tensor(rewards), torch.cat(values)
    advantage = returns - VALUES
    loss = -(torch.stack(log_probs) * advantage).mean() + F.mse_loss(values, returns)
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.mark.parametrize(("values", "found"), [("values", 1), ("values.detach()", 0)])
def test_the_advantage_of_what_an_environment_gives(values: str, found: int) -> None:
    program = "from environments import env\n" + EPISODE.replace("VALUES", values)
    assert [severity for severity, _ in reported("GRD118", program)] == ["information"] * found
