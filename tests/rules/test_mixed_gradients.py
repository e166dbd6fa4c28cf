"""Gradients of two backwards that one step applies, the first of them for another optimizer."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import IMPORTS, reported

ADVERSARIAL = """
generator, critic = nn.Linear(2, 3), nn.Linear(3, 1)
of_generator = torch.optim.SGD(generator.parameters(), lr=0.1)
of_critic = torch.optim.SGD(critic.parameters(), lr=0.1)
for _ in range(2):
    of_generator.zero_grad()
    of_critic.zero_grad()
    fake = generator(torch.ones(4, 2))
    loss = critic({fake}).mean() - critic(torch.ones(4, 3)).mean()
    loss.backward()
    of_critic.step()
    {between}
    wanted = -critic(generator(torch.ones(4, 2))).mean()
    (alone,) = torch.autograd.grad(wanted, generator.weight, retain_graph=True)
    wanted.backward()
    applied = generator.weight.grad.clone()
    of_generator.step()
"""


@pytest.mark.parametrize(
    ("fake", "between", "mixed"),
    [
        ("fake", "pass", True),
        ("fake.detach()", "pass", False),
        ("fake", "of_generator.zero_grad()", False),
        ("fake", "generator.zero_grad()", False),
    ],
)
def test_the_gradient_of_the_critic_in_that_of_the_generator(fake: str, between: str, mixed: bool) -> None:
    text = ADVERSARIAL.format(fake=fake, between=between)
    found = [one for one in reported("GRD617", text) if one[1] == "loss.backward()"]
    assert found == [("information", "loss.backward()")] * mixed
    programs.check(f"{IMPORTS}{text}assert torch.allclose(alone, applied) is {not mixed}\n")


def test_an_encoder_that_two_losses_train() -> None:
    snippet = """
        encoder, one, two = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(3, 1)
        of_encoder = torch.optim.SGD(encoder.parameters(), lr=0.1)
        of_one = torch.optim.SGD(one.parameters(), lr=0.1)
        of_two = torch.optim.SGD(two.parameters(), lr=0.1)
        for _ in range(2):
            for optimizer in (of_encoder, of_one, of_two):
                optimizer.zero_grad()
            one(encoder(torch.ones(4, 2))).mean().backward()
            of_one.step()
            two(encoder(torch.ones(4, 2))).mean().backward()
            of_two.step()
            of_encoder.step()
    """
    assert reported("GRD617", snippet) == []
