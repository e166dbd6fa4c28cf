"""States that unknown models carry from round to round, where something unknown computes the loss."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import reported

TRAINING = """
def train(model, criterion, optimizer, loader):
    {mode}
    hidden = model.start()
    for x, y in loader:
        {before}
        optimizer.zero_grad()
        output, hidden = model(x, hidden)
        loss = {loss}
        {backward}
        optimizer.step()
        {after}
"""
TRUTH = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 3)

    def start(self):
        return torch.zeros(2, 3)

    def forward(self, x, hidden):
        hidden = self.cell(x, hidden)
        return hidden.tanh(), hidden
{training}
model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, lambda a, b: (a - b).pow(2).mean(), optimizer, [(torch.randn(2, 3), torch.randn(2, 3))] * 3)
"""


@pytest.mark.parametrize(
    ("mode", "before", "loss", "backward", "after", "raises"),
    [
        ("model.train()", "pass", "criterion(output, y)", "loss.backward()", "pass", True),
        ("model.train()", "pass", "2 * criterion(output, y) + output.mean()", "loss.backward()", "pass", True),
        ("model.zero_grad()", "pass", "criterion(output, y)", "loss.backward()", "pass", True),
        ("model.train()", "hidden = hidden.detach()", "criterion(output, y)", "loss.backward()", "pass", False),
        ("model.train()", "pass", "criterion(output, y)", "loss.backward()", "hidden = hidden.data", False),
        ("model.train()", "hidden = model.start()", "criterion(output, y)", "loss.backward()", "pass", False),
        ("model.train()", "pass", "criterion(output.detach(), y) + hidden.sum() * 0 + output.detach().sum()",
         "loss.backward()", "hidden = hidden.detach()", False),
    ],
)  # fmt: skip
def test_a_state_behind_a_criterion(mode: str, before: str, loss: str, backward: str, after: str, raises: bool) -> None:
    stated = f"{backward}  # raises RuntimeError: Trying to backward through the graph a second time"
    text = TRAINING.format(mode=mode, before=before, loss=loss, backward=stated if raises else backward, after=after)
    assert (programs.check(TRUTH.format(training=text)).error is not None) is raises
    assert reported("GRD301", text) == ([("information", "loss.backward()")] if raises else [])


@pytest.mark.parametrize(
    ("mode", "before", "backward"),
    [
        ("pass", "pass", "loss.backward()"),  # nothing shows that it is a model that is trained
        ("model.train()", "pass", "loss.backward(retain_graph=True)"),
        ("model.train()", "hidden = reset(hidden)", "loss.backward()"),
        ("model.train()", "hidden = [h.detach() for h in hidden]", "loss.backward()"),
    ],
)
def test_a_state_that_may_be_cut(mode: str, before: str, backward: str) -> None:
    text = TRAINING.format(mode=mode, before=before, loss="criterion(output, y)", backward=backward, after="pass")
    assert reported("GRD301", text) == []


def test_a_term_that_a_branch_adds_in_the_rounds_that_compute_it() -> None:
    snippet = """
        from accelerate import Accelerator

        def train(config, model, target):
            accelerator = Accelerator()
            for epoch in range(config.epochs):
                model.train()
                for x in loader:
                    with accelerator.accumulate(model):
                        out = model(x)[0]
                        if config.with_prior:
                            out, prior = torch.chunk(out, 2, dim=0)
                            prior_loss = torch.mean((weights.float() * prior.float() ** 2).reshape(3, -1), 1)
                        errors = (out.float() - target.float()) ** 2
                        loss = torch.mean((weights.float() * errors).reshape(target.shape[0], -1), 1)
                        if config.with_prior:
                            loss = loss + config.weight * prior_loss
                        accelerator.backward(loss)
                    if done >= config.steps:
                        break
        """
    assert reported("GRD301", snippet) == []


@pytest.mark.parametrize(("setting", "found"), [("False", 0), ("True", 1)])
def test_what_a_frozen_model_gave_has_no_graph(setting: str, found: int) -> None:
    snippet = f"""
        from library import Embedding, generator, x

        embedding = Embedding()
        for p in embedding.parameters():
            p.requires_grad = {setting}
        wanted = embedding(x)
        z = torch.zeros(3, 3, requires_grad=True)
        solver = torch.optim.Adam([z])
        for _ in range(100):
            solver.zero_grad()
            loss = torch.mean(torch.norm(z, dim=1)) + torch.mean((embedding(generator(z)) - wanted) ** 2)
            loss.backward()
            solver.step()
        """
    assert len(reported("GRD301", snippet)) == found
