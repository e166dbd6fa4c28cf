"""Steps without gradients where little is known: what may call `backward()`, and what may not."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import reported

LOOP = """
def train(model, criterion, optimizer, scheduler, loader, losses, ema, learner):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        {between}
        optimizer.step()
        {after}
"""
FOUND = [("information", "optimizer.step()")]


@pytest.mark.parametrize(
    ("between", "found"),
    [
        ("losses.update(loss.item(), 4)", FOUND),
        ("ema.update()", FOUND),
        ("nn.utils.clip_grad_norm_(model.parameters(), 1.0)", FOUND),
        ("loss.backward()", []),
        ("losses.update(loss, 4)", []),
        ("learner.learn(loss)", []),
        ("learner.train_on(x, y)", []),
        ("for p in model.parameters(): p.grad = torch.ones_like(p)", []),
    ],
)
def test_what_is_called_between_the_clear_and_the_step(between: str, found: list[tuple[str, str]]) -> None:
    assert reported("GRD611", LOOP.format(between=between, after="scheduler.step()")) == found


@pytest.mark.parametrize("after", ["losses.update(loss, 4)", "learner.learn(x)", "scheduler.step(loss)"])
def test_what_is_called_behind_the_step_has_come_too_late_for_it(after: str) -> None:
    assert reported("GRD611", LOOP.format(between="pass", after=after)) == FOUND


def test_a_clear_behind_the_step_is_before_that_of_the_next_round() -> None:
    snippet = """
    def train(model, accelerator, optimizer, loader, progress, schedule):
        model = prepare_for_training(model)
        for x in loader:
            loss = model(x).sample
            {between}
            optimizer.step()
            schedule.step()
            progress.update(1)
            optimizer.zero_grad()
    """
    assert reported("GRD611", snippet.format(between="pass")) == FOUND
    assert reported("GRD611", snippet.format(between="accelerator.backward(loss)")) == []


def test_one_of_two_optimizers_has_no_backward() -> None:
    snippet = """
    class Agent:
        def __init__(self, actor, critic):
            self.actor, self.critic = actor, critic
            self.actor_optimizer = torch.optim.Adam(actor.parameters())
            self.critic_optimizer = torch.optim.Adam(critic.parameters())

        def learn(self, state, target):
            critic_loss = (self.critic(state) - target).pow(2).mean()
            self.critic_optimizer.zero_grad()
            critic_loss.backward()
            self.critic_optimizer.step()

            actor_loss = -self.critic(self.actor(state)).mean()
            self.actor_optimizer.zero_grad()
            {between}
            self.actor_optimizer.step()
    """
    assert reported("GRD611", snippet.format(between="pass")) == [("information", "self.actor_optimizer.step()")]
    assert reported("GRD611", snippet.format(between="actor_loss.backward()")) == []


def test_the_method_that_clears_all_of_them_and_the_backward_of_another() -> None:
    snippet = """
    class Trainer:
        def __init__(self, g, d):
            self.g, self.d = g, d
            self.g_optimizer = torch.optim.Adam(g.parameters())
            self.d_optimizer = torch.optim.Adam(d.parameters())

        def reset_grad(self):
            self.g_optimizer.zero_grad()
            self.d_optimizer.zero_grad()

        def train(self, loader):
            for x, z in loader:
                d_loss = self.d(self.g(z).detach()).mean() - self.d(x).mean()
                self.reset_grad()
                {between}
                self.d_optimizer.step()
                g_loss = -self.d(self.g(z)).mean()
                self.reset_grad()
                g_loss.backward()
                self.g_optimizer.step()
    """
    assert reported("GRD611", snippet.format(between="pass")) == [("information", "self.d_optimizer.step()")]
    assert reported("GRD611", snippet.format(between="d_loss.backward()")) == []


def test_a_module_that_clears_what_the_optimizer_steps() -> None:
    snippet = """
    def train(loader, rounds):
        net = nn.Linear(3, 1)
        criterion = nn.MSELoss()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for x, y in loader:
            net.zero_grad()
            loss = criterion(net(x), y)
            {between}
            optimizer.step()
            visualize(loss)
    """
    assert [found[1] for found in reported("GRD611", snippet.format(between="pass"))] == ["optimizer.step()"]
    assert reported("GRD611", snippet.format(between="loss.backward()")) == []


def test_gradients_that_are_cleared_before_the_step_are_told_once() -> None:
    snippet = """
    def train(model, criterion, optimizer, loader):
        for x, y in loader:
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
    """
    assert reported("GRD611", snippet) == []
    assert len(reported("GRD602", textwrap.dedent(snippet))) == 1


def test_a_step_that_is_missing_behind_a_method_that_clears() -> None:
    snippet = """
    class Solver:
        def __init__(self, net):
            self.net = net
            self.optimizer = torch.optim.Adam(net.parameters())

        def reset_grad(self):
            self.optimizer.zero_grad()

        def train(self, loader):
            for x, y in loader:
                loss = F.mse_loss(self.net(x), y)
                self.reset_grad()
                loss.backward()
                {behind}
    """
    assert reported("GRD603", snippet.format(behind="print(loss.item())")) == [("information", "loss.backward()")]
    assert reported("GRD603", snippet.format(behind="self.optimizer.step()")) == []


def test_gradients_that_are_asked_for_are_not_those_of_the_parameters() -> None:
    snippet = """
    class Meta:
        def __init__(self, net):
            self.net = net
            self.optimizer = torch.optim.Adam(net.parameters())

        def learn(self, x, y):
            fast = torch.autograd.grad(self.net(x).sum(), self.net.parameters(), create_graph=True)
            loss = F.mse_loss(self.net(x), y) + sum(g.pow(2).sum() for g in fast)
            self.optimizer.zero_grad()
            loss.backward()
            {behind}
    """
    assert reported("GRD603", snippet.format(behind="return loss.item()")) == [("information", "loss.backward()")]
    assert reported("GRD603", snippet.format(behind="self.optimizer.step()")) == []
    assert reported("GRD603", snippet.format(behind="return [p.grad for p in self.net.parameters()]")) == []


def test_an_optimizer_that_is_there_for_nothing_beside_a_loss_of_which_little_is_known() -> None:
    snippet = """
    from somewhere import Net
    net = Net(nn.Linear(3, 1))
    optimizer = torch.optim.Adam(net.parameters())

    def train(loader):
        for x in loader:
            {clear}
            loss = net.loss(x)
            loss.backward()
            {behind}
    """
    for clear in ("optimizer.zero_grad()", "pass"):
        assert reported("GRD603", snippet.format(clear=clear, behind="pass")) == [("information", "loss.backward()")]
        assert reported("GRD603", snippet.format(clear=clear, behind="optimizer.step()")) == []
        assert reported("GRD603", snippet.format(clear=clear, behind="finish(optimizer)")) == []
        assert reported("GRD603", snippet.format(clear=clear, behind="print(net.weight.grad)")) == []


def test_a_step_behind_the_loop_applies_what_the_last_rounds_have_left() -> None:
    snippet = """
    def train(model, criterion, optimizer, loader, epochs):
        for epoch in range(epochs):
            optimizer.zero_grad()
            for i, (x, y) in enumerate(loader):
                loss = criterion(model(x), y) / 4
                loss.backward()
                if i % 4 == 3:
                    optimizer.step()
                    optimizer.zero_grad()
            optimizer.step()
            optimizer.zero_grad()
    """
    assert reported("GRD611", snippet) == []


FROZEN = """
from somewhere import Net, criterion
net, other = Net(), Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
{freeze}
for x in loader:
    {first}
    optimizer.zero_grad()
    criterion(net(x)).backward()
    optimizer.step()
{end}
"""


@pytest.mark.parametrize(
    ("freeze", "first", "end", "found"),
    [
        ("net.requires_grad_(False)", "pass", "pass", FOUND),
        ("for p in net.parameters(): p.requires_grad = False", "pass", "pass", FOUND),
        ("net.requires_grad_(False)", "net.requires_grad_(True)", "pass", []),
        ("other.requires_grad_(False)", "pass", "pass", []),
        ("pass", "pass", "net.requires_grad_(False)", []),
        ("net.requires_grad_(x > 1)", "pass", "pass", []),
        ("if x > 1: net.requires_grad_(False)", "pass", "pass", []),
        ("for p in net.parameters(): p.requires_grad = p.ndim > 1", "pass", "pass", []),
        ("for n, p in net.named_parameters():\n    if 'a' in n: p.requires_grad = False", "pass", "pass", []),
        ("net.requires_grad_(False); unfreeze(net)", "pass", "pass", []),
        ("net.requires_grad_(False); optimizer.add_param_group({'params': other.parameters()})", "pass", "pass", []),
    ],
)
def test_a_model_that_is_frozen_behind_its_optimizer(freeze: str, first: str, end: str, found: list) -> None:
    assert reported("GRD611", FROZEN.format(freeze=freeze, first=first, end=end)) == found


def test_a_model_of_which_a_part_is_known_is_frozen() -> None:
    snippet = """
    from somewhere import Encoder, criterion

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.head = Encoder(), nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.encoder(x))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    {frozen}.requires_grad_(False)
    for x in loader:
        optimizer.zero_grad()
        criterion(net(x)).backward()
        optimizer.step()
    """
    assert reported("GRD611", snippet.format(frozen="net")) == FOUND
    assert reported("GRD611", snippet.format(frozen="net.encoder")) == []
    assert reported("GRD611", snippet.format(frozen="net.head")) == []


def test_a_return_that_stands_in_no_function_ends_no_rule() -> None:
    """Python parses it, and refuses it only when it compiles it."""
    snippet = """
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = torch.ones(3)

        def forward(self, x):
            return self.gamma * x + torch.rand(3)

    model = Norm()
    return model(torch.randn(2, 3))
    """
    assert [what for _, what in reported("GRD528", snippet)] == ["self.gamma"]
