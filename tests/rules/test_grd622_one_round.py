"""Training loops that end in their first round."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

LOOP = """
def train(model, batches, optimizer, criterion):
    total, losses, count = 0.0, [], 0
    for {target} in {batches}:
        loss = criterion(model(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        losses.append(loss.item())
        count = count + 1
        best = min(losses)
        {last}
"""


@pytest.mark.parametrize(
    ("last", "found"),
    [
        ("return total", 1),
        ("return total / len(batches)", 1),
        ("return losses", 1),
        ("return model, count", 1),
        ("return loss.item()", 0),
        ("return model", 0),
        ("return", 0),
        ("break", 0),
        ("if total > 9: return total", 0),
        ("print(total)", 0),
    ],
)
@pytest.mark.parametrize(("target", "batches"), [("x", "batches"), ("_, x", "enumerate(batches)")])
def test_what_is_returned_at_the_end_of_a_round(last: str, found: int, target: str, batches: str) -> None:
    snippet = LOOP.format(target=target, batches=batches, last=last)
    assert len(reported("GRD622", snippet)) == found


def test_rounds_that_go_on() -> None:
    snippet = LOOP.format(target="x", batches="batches", last="return total")
    assert reported("GRD622", snippet.replace("optimizer.zero_grad()", "if loss > 9: continue")) == []
    again = snippet.replace("total += loss.item()", "total = 0.0\n        total += loss.item()")
    assert reported("GRD622", again) == []


def test_a_loop_whose_step_is_taken_in_a_method() -> None:
    snippet = """
        class Trainer:
            def __init__(self, model):
                self.model = model
                self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

            def update(self, x):
                self.optimizer.zero_grad()
                loss = self.model(x).pow(2).mean()
                loss.backward()
                self.optimizer.step()
                return loss.item()

            def epoch(self, batches):
                total = 0.0
                for x in batches:
                    total += self.update(x)
                    {}return total

        Trainer(nn.Linear(3, 1)).epoch([torch.ones(2, 3)])
        """
    assert reported("GRD622", snippet.format("")) == [("warning", "return total")]
    assert reported("GRD622", snippet.format("if total > 9: ")) == []


def test_a_loop_over_epochs_that_ends_in_the_first() -> None:
    snippet = """
        def fit(model, batches, optimizer):
            history = []
            for epoch in range(3):
                for x in batches:
                    optimizer.zero_grad()
                    model(x).mean().backward()
                    optimizer.step()
                history.append(epoch)
                return history
        """
    assert reported("GRD622", snippet) == [("warning", "return history")]


def test_what_is_stepped_may_be_no_optimizer() -> None:
    snippet = """
        def episode(env, policy, optimizer):
            total = 0.0
            for _ in range(200):
                total += env.step({})
                return total
        """
    for written in ("", "policy.sample()"):
        assert reported("GRD622", snippet.format(written)) == []
