"""Programs whose authors may mean just what they write: they hear no error and no warning."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import IMPORTS, check_right, reported

CLIPPED = """
    model = nn.Linear(3, 1)
    model(torch.randn(8, 3)).pow(2).mean().backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0)
    model.zero_grad()
    assert norm > 0
    """
TIMED = """
    import time

    x = torch.randn(100)
    begun = time.perf_counter()
    x[10:] == 0
    taken = time.perf_counter() - begun
    assert taken >= 0
    """
SIGN = """
    class WithSign(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1, torch.sign(x)

        @staticmethod
        def backward(ctx, gradient, of_sign):
            return gradient

    x = torch.tensor([1.0, -2.0], requires_grad=True)
    value, sign = WithSign.apply(x)
    (value * sign).sum().backward()
    assert x.grad.tolist() == [1.0, -1.0]
    """


@pytest.mark.parametrize("snippet", [CLIPPED, TIMED, SIGN])
def test_it_may_be_meant(snippet: str) -> None:
    check_right(IMPORTS + textwrap.dedent(snippet))


FREEZING = """
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self, encoder):
            super().__init__()
            self.encoder = encoder

        def on_validation_epoch_end(self):
            if self.current_epoch == 5:
                {}.freeze()

    def validation_demo():
        model = Lit(Lit(None))
        model.freeze()
        return model
    """


def test_freezing_after_some_epochs() -> None:
    for frozen in ("self.encoder", "self"):
        assert reported("GRD704", FREEZING.format(frozen)) == []
