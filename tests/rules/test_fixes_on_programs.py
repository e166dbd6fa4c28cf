"""What fixes make of programs that are like those of users: each is run on PyTorch."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.applying import apply
from tests.rules.reported import IMPORTS

REFERENCE = """
    def scores(model, x):
        return model(x).log_softmax(-1)[:, 0]

    def loss_of(policy, reference, x):
        with torch.no_grad():
    {}
        return -F.logsigmoid((own - theirs) - (other - others)).mean()

    policy, reference = nn.Linear(3, 3), nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(policy.parameters())
    loss = loss_of(policy, reference, torch.randn(8, 3))
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    optimizer.step()
    """
RAISES = "  # raises RuntimeError: element 0 of tensors does not require grad"
OWN = ["# the policy", "own = scores(policy, x)", "other = scores(policy, -x)"]
THEIRS = ["# the reference", "theirs = scores(reference, x)", "others = scores(reference, -x)"]


def told(code: str, text: str) -> tuple[Source, list[Finding]]:
    """What the rule `code` says of a program."""
    source = Source.read(text, "program.py")
    return source, findings(analyze(source), [rules_by_key()[code]])


def indented(lines: list[str], by: int) -> str:
    return "\n".join(" " * by + line for line in lines)


@pytest.mark.parametrize("order", [(OWN, THEIRS), (THEIRS, OWN)])
def test_only_what_loses_its_gradient_leaves_the_block(order: tuple[list[str], list[str]]) -> None:
    block = indented([*order[0], *order[1]], 12)
    text = IMPORTS + textwrap.dedent(REFERENCE).replace("{}", textwrap.indent(textwrap.dedent(block), " " * 8))
    assert programs.check(text).error is not None
    source, (found,) = told("GRD106", text)
    assert found.fixes[0].title == "Move 2 statements from `own = scores(policy, x)` on out of `torch.no_grad()`"
    new = apply(text, found.fixes[0].build(), source.lines).replace(RAISES, "")
    assert programs.check(new).error is None
    assert told("GRD106", new)[1] == []
    outside = [line[4:] for line in new.splitlines() if line.startswith("    ") and line[4:] in OWN]
    within = [line[8:] for line in new.splitlines() if line.startswith("        ") and line[8:] in THEIRS]
    assert (outside, within) == (OWN, THEIRS)


def test_what_others_of_the_block_use_stays_with_them() -> None:
    text = IMPORTS + textwrap.dedent("""
        def encode(model, x):
            return model(x)

        model = nn.Linear(3, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with torch.no_grad():
            h = encode(model, torch.randn(8, 3))
            print(h.mean())
        loss = h.pow(2).mean()
        loss.backward()
        """)
    _, (found,) = told("GRD106", text)
    assert [fix.title for fix in found.fixes] == ["Move all of the block out of `torch.no_grad()`"]


def test_a_straight_gradient_does_not_come_to_a_threshold() -> None:
    snippet = """
        class Gate(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 3)
                self.threshold = nn.Parameter(torch.zeros(3))

            def forward(self, x):
                x = self.layer(x)
                return x * (x {} self.threshold).float()

        model = Gate()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
        assert model.threshold.grad is None
        """
    text = IMPORTS + textwrap.dedent(snippet).format(">")
    assert programs.check(text).error is None
    _, (found,) = told("GRD107", text)
    assert "no gradient ever reaches" in found.message
    assert found.fixes == ()


def test_an_array_beside_a_tensor_is_no_fix() -> None:
    program = textwrap.dedent("""
        import numpy as np

        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        noise = np.random.randn(1, 3)
        scaled = torch.from_numpy(model.weight.detach().numpy() * {}).float()
        loss = F.linear(torch.randn(8, 3), scaled).mean()
        loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
        optimizer.step()
        """)
    for operand, fixes in (("noise", 0), ("2.0", 1)):
        text = IMPORTS + program.format(operand)
        assert programs.check(text).error is not None
        _, (found,) = told("GRD105", text)
        assert len(found.fixes) == fixes


def test_gradients_that_are_looked_at_after_the_step_are_cleared_before_the_backward() -> None:
    text = IMPORTS + textwrap.dedent("""
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        norms = []
        for x in torch.randn(4, 8, 3):
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            norms.append(model.weight.grad.norm())
        """)
    source, (found,) = told("GRD601", text)
    new = apply(text, found.fixes[0].build(), source.lines)
    assert "    optimizer.zero_grad()\n    loss.backward()\n" in new
    assert programs.check(new).error is None
    assert told("GRD601", new)[1] == []


def test_what_a_list_gives_back_for_the_loss_is_not_to_be_detached() -> None:
    snippet = """
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        penalties = []
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            penalties.append(model.weight.pow(2).sum())
            loss = model(x).pow(2).mean() + {}
            loss.backward()
            optimizer.step()
        """
    text = IMPORTS + textwrap.dedent(snippet)
    assert told("GRD701", text.format("penalties[-1]"))[1] == []


def test_a_block_that_is_right_is_not_told_beside_one_that_is_to_blame() -> None:
    text = IMPORTS + textwrap.dedent("""
        class Agent(nn.Module):
            def __init__(self):
                super().__init__()
                self.actor = nn.Linear(3, 2)
                self.critic = nn.Linear(3, 1)

            def forward(self, x):
                return self.actor(x).log_softmax(-1)[:, 0], self.critic(x)[:, 0]

        agent = Agent()
        optimizer = torch.optim.Adam(agent.parameters())
        x, returns = torch.randn(8, 3), torch.randn(8)
        with torch.no_grad():
            before, value = agent(x)
        advantage = returns - value
        for _ in range(2):
            now, value = agent(x)
            with torch.no_grad():
                ratio = (now - before).exp()
            loss = -(ratio * advantage).mean() + (returns - value).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        """)
    assert programs.check(text).error is None
    source, (found,) = told("GRD106", text)
    assert source.span(found.place.node).line == text.split("\n").index("    with torch.no_grad():") + 1


FREED = "  # raises RuntimeError: Trying to backward through the graph a second time"


def mended(code: str, text: str, comment: str = "") -> str:
    """A program with the one fix of the one finding made; PyTorch runs it, and the rule has nothing to say any more."""
    assert programs.check(text).error is not None or not comment
    source, (found,) = told(code, text)
    new = apply(text, found.fixes[0].build(), source.lines).replace(comment, "")
    assert programs.check(new).error is None
    assert told(code, new)[1] == []
    return new


def test_a_list_that_the_loss_is_computed_of_is_emptied() -> None:
    text = IMPORTS + textwrap.dedent(f"""
        class Trainer:
            def __init__(self):
                self.model = nn.Linear(3, 2)
                self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
                self.losses = []

            def step(self, x):
                for part in self.model(x).unbind(1):
                    self.losses.append(part.pow(2).mean())
                loss = torch.stack(self.losses).mean()
                self.optimizer.zero_grad()
                loss.backward(){FREED}
                self.optimizer.step()

        trainer = Trainer()
        for x in torch.randn(3, 8, 3):
            trainer.step(x)
        """)
    assert "loss.backward()\n        self.losses.clear()" in mended("GRD301", text, FREED)


def test_a_running_mean_that_the_loss_reads_is_detached_as_a_whole() -> None:
    text = IMPORTS + textwrap.dedent(f"""
        class Centered(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 2)
                self.register_buffer("center", torch.zeros(2))

            def forward(self, x):
                out = torch.tanh(self.layer(x))
                loss = (out - self.center).pow(2).mean()
                self.update(out)
                return loss

            def update(self, out):
                self.center = self.center * 0.9 + out.mean(0) * 0.1

        model = Centered()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in torch.randn(3, 8, 3):
            optimizer.zero_grad()
            model(x).backward(){FREED}
            optimizer.step()
        """)
    assert "self.center = (self.center * 0.9 + out.mean(0) * 0.1).detach()" in mended("GRD301", text, FREED)


def test_no_optimizer_is_made_anew_in_each_round() -> None:
    text = IMPORTS + textwrap.dedent("""
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for x in torch.randn(3, 8, 3):
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()
            model.weight = nn.Parameter(model.weight.detach().clamp(-1, 1))
        """)
    assert programs.check(text).error is None
    found = told("GRD607", text)[1]
    assert found
    assert all(fix.title.startswith("Write") for finding in found for fix in finding.fixes)


def test_a_list_that_another_function_fills_is_emptied_where_the_loss_is() -> None:
    text = IMPORTS + textwrap.dedent(f"""
        policy = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
        policy.saved = []

        def act(x):
            draw = torch.distributions.Categorical(logits=policy(x))
            action = draw.sample()
            policy.saved.append(draw.log_prob(action))
            return action.item()

        def learn(rewards):
            losses = [-one * reward for one, reward in zip(policy.saved, rewards)]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward(){FREED}
            optimizer.step()

        for episode in range(2):
            learn([act(x) + 1.0 for x in torch.randn(4, 3)])
        """)
    assert ".backward()\n    policy.saved.clear()" in mended("GRD301", text, FREED)


def test_a_list_that_is_read_later_is_not_emptied() -> None:
    text = IMPORTS + textwrap.dedent(f"""
        model = nn.Linear(3, 1)
        losses = []
        for x in torch.randn(3, 8, 3):
            losses.append(model(x).pow(2).mean())
            sum(losses).backward(){FREED}
        print(losses[-1].item())
        """)
    _, (found,) = told("GRD301", text)
    assert "empty it in each round" in found.message
    assert found.fixes == ()
