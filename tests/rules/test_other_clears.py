"""Gradients that are not cleared while those of another optimizer are."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

AGENT = """
class Agent:
    def __init__(self, actor, critic):
        self.actor, self.critic = actor, critic
        self.actor_optimizer = torch.optim.Adam(actor.parameters())
        self.critic_optimizer = torch.optim.Adam(critic.parameters())

    def learn(self, state, target):
        critic_loss = (self.critic(state) - target).pow(2).mean()
        {critic}
        critic_loss.backward()
        self.critic_optimizer.step()

        actor_loss = -self.critic(self.actor(state)).mean()
        {actor}
        actor_loss.backward()
        self.actor_optimizer.step()
"""


@pytest.mark.parametrize(
    ("critic", "actor", "found"),
    [
        ("self.critic_optimizer.zero_grad()", "self.actor_optimizer.zero_grad()", []),
        ("pass", "self.actor_optimizer.zero_grad()", ["self.critic_optimizer.step()"]),
        ("self.critic_optimizer.zero_grad()", "self.critic_optimizer.zero_grad()", ["self.actor_optimizer.step()"]),
        ("self.critic_optimizer.zero_grad()", "self.actor.zero_grad()", []),
        ("self.critic_optimizer.zero_grad()", "for p in self.actor.parameters(): p.grad = None", []),
        ("self.critic_optimizer.zero_grad()", "self.zero_all(self.actor)", []),
    ],
)
def test_one_of_two_that_a_method_steps(critic: str, actor: str, found: list[str]) -> None:
    assert [what for _, what in reported("GRD601", AGENT.format(critic=critic, actor=actor))] == found


LOOP = """
def train(g, d, g_optimizer, d_optimizer, loader):
    {before}
    for x, z in loader:
        {first}
        d_loss = d(g(z).detach()).mean() - d(x).mean()
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        g_loss = -d(g(z)).mean()
        g_loss.backward()
        g_optimizer.step()
"""


@pytest.mark.parametrize(
    ("before", "first", "found"),
    [
        ("pass", "d_optimizer.zero_grad()", []),
        ("pass", "d.zero_grad()", []),
        ("pass", "pass", ["d_optimizer.step()"]),
        ("pass", "g_optimizer.zero_grad()", ["d_optimizer.step()"]),
        ("d_optimizer.zero_grad()", "pass", ["d_optimizer.step()"]),
    ],
)
def test_one_of_two_that_a_loop_steps(before: str, first: str, found: list[str]) -> None:
    assert [what for _, what in reported("GRD601", LOOP.format(before=before, first=first))] == found


def test_one_optimizer_by_two_names() -> None:
    snippet = """
    def train(model, optimizers, loader):
        for x in loader:
            optimizers[0].zero_grad()
            model(x).mean().backward()
            for optimizer in optimizers:
                optimizer.step()
    """
    assert reported("GRD601", snippet) == []


def test_a_clear_before_the_inner_of_two_loops() -> None:
    snippet = """
    def train(model, criterion, optimizer, loader, epochs):
        for epoch in range(epochs):
            {outer}
            for x, y in loader:
                {inner}
                criterion(model(x), y).backward()
                optimizer.step()
    """
    clear = "optimizer.zero_grad()"
    assert len(reported("GRD601", snippet.format(outer=clear, inner="pass"))) == 1
    assert reported("GRD601", snippet.format(outer="pass", inner=clear)) == []
