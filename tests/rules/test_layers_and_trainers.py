"""What layers write and give, what is computed of distributions, and when trainers call the methods of a module."""

from __future__ import annotations

import textwrap

import pytest

from gradls.testing import programs
from tests.rules.reported import IMPORTS, check_error, check_right, reported

WRONG = [
    (
        "GRD407",
        "F.cross_entropy(head(gru(x)[1][-1]), labels)",
        """
        gru, head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 1)
        x, labels = torch.randn(5, 6, 3), torch.zeros(5, dtype=torch.long)
        F.cross_entropy(head(gru(x)[1][-1]), labels).backward()
        assert not head.weight.grad.any()
        """,
    ),
    (
        "GRD714",
        "average.state_dict()[name]",
        """
        model, average = nn.Linear(2, 1), nn.Linear(2, 1)
        before = average.weight.clone()
        for name, value in model.state_dict().items():
            average.state_dict()[name] = 0.9 * average.state_dict()[name] + 0.1 * value
        assert torch.equal(average.weight, before)
        """,
    ),
    (
        "GRD811",
        "def backward(self, grad):\n        return -grad",
        """
        class Reversed(nn.Module):
            def forward(self, x):
                return x

            def backward(self, grad):
                return -grad

        first = nn.Linear(2, 1)
        nn.Sequential(first, Reversed())(torch.ones(1, 2)).sum().backward()
        assert (first.weight.grad > 0).all()
        """,
    ),
]


@pytest.mark.parametrize(("code", "blamed", "program"), WRONG, ids=[case[0] for case in WRONG])
def test_what_is_told(code: str, blamed: str, program: str) -> None:
    assert programs.check(IMPORTS + textwrap.dedent(program)).error is None
    assert blamed in [text for _, text in reported(code, program)]


EMBEDDING = """
embedding = nn.Embedding(4, 3, max_norm=0.1)
other = torch.randn(3, 3, requires_grad=True)
product = {weight} @ other
(product.sum() + embedding(torch.tensor([0, 1])).sum()).backward(){raises}
"""


def test_an_embedding_with_a_largest_norm_writes_to_its_weight() -> None:
    raises = "  # raises RuntimeError: one of the variables needed for gradient computation has been modified"
    check_error("GRD201", IMPORTS + EMBEDDING.format(weight="embedding.weight", raises=raises))
    check_right(IMPORTS + EMBEDDING.format(weight="embedding.weight.clone()", raises=""))


def test_probabilities_of_any_distribution_have_a_gradient() -> None:
    check_right(
        IMPORTS
        + textwrap.dedent(
            """
            from torch.distributions import OneHotCategorical

            posterior, decoder = nn.Linear(3, 4), nn.Linear(4, 3)
            optimizer = torch.optim.SGD([*posterior.parameters(), *decoder.parameters()], lr=0.1)
            for _ in range(2):
                x = torch.randn(5, 3)
                drawn = OneHotCategorical(logits=posterior(x))
                z = drawn.sample() + drawn.probs - drawn.probs.detach()
                optimizer.zero_grad()
                F.mse_loss(decoder(z), x).backward()
                optimizer.step()
            assert posterior.weight.grad is not None
            """
        )
    )


@pytest.mark.parametrize("name", ["configure_gradient_clipping", "on_before_optimizer_step"])
def test_a_trainer_has_called_backward_before_it_clips(name: str) -> None:
    snippet = f"""
    import lightning as L

    class Model(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 1)

        def training_step(self, batch, index):
            return self.net(batch).pow(2).mean()

        def {name}(self, optimizer, *rest):
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)
    """
    assert reported("GRD605", snippet) == []
