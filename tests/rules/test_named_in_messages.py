"""What messages and fixes call what they speak of, and that they say each thing once."""

from __future__ import annotations

import textwrap

from gradls.flow.analyze import analyze
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.applying import apply
from tests.rules.reported import IMPORTS, reported

SCALED = """
    model = nn.Linear(3, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    for x in torch.randn(4, 8, 3):
        loss = model(x).pow(2).mean()
        scaler.scale(loss).backward()
        scaler.step({})
        scaler.update()
    """


def test_the_optimizer_of_a_gradient_scaler_is_cleared() -> None:
    for given in ("opt", "optimizer=opt"):
        text = IMPORTS + textwrap.dedent(SCALED.format(given))
        source = Source.read(text, "snippet.py")
        (found,) = findings(analyze(source), [rules_by_key()["GRD601"]])
        assert f"from one `scaler.step({given})` to the next" in found.message
        assert "call `opt.zero_grad()`" in found.message
        new = apply(text, found.fixes[0].build(), source.lines)
        assert "opt.zero_grad()" in new
        assert programs.check(new).error is None
        assert findings(analyze(Source.read(new)), [rules_by_key()["GRD601"]]) == []


def test_a_block_that_cuts_off_several_values_is_told_once() -> None:
    text = IMPORTS + textwrap.dedent("""
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with torch.no_grad():
            one = model(torch.randn(8, 3))
            other = model(torch.randn(8, 3))
        loss = (one - other).pow(2).mean()
        loss.backward()
        optimizer.step()
        """)
    (found,) = findings(analyze(Source.read(text)))
    assert found.code == "GRD106"
    assert [step.message for step in found.story] == ["the gradient is missing here"]


def test_a_step_behind_a_backward_that_raises_is_not_told_too() -> None:
    snippet = """
        def difference(model, x, y):
            with torch.no_grad():
                return model(x) - model(y)

        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = difference(model, torch.randn(8, 3), torch.randn(8, 3)).pow(2).mean()
        loss.backward()
        optimizer.step()
        """
    assert [severity for severity, _ in reported("GRD106", snippet)] == ["error"]
    assert reported("GRD611", snippet) == []
