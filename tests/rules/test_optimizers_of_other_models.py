"""Optimizers that are made of another model than the one that is meant, of a frozen one, or of no parameters."""

from __future__ import annotations

import pytest

from gradls.testing import programs
from tests.rules.reported import reported

TWINS = """
import torch
from torch import nn

{models}
first = torch.optim.SGD({one}.parameters(), lr=0.1)
second = torch.optim.SGD({other}.parameters(), lr=0.1)
{before}
start = judge.weight.detach().clone()
for _ in range(2):
    first.zero_grad()
    judge(model(torch.randn(4, 3))).pow(2).mean().backward()
    first.step()
    {between}
    second.zero_grad()
    judge(torch.randn(4, 3)).mean().backward()
    second.step()
assert torch.equal(start, judge.weight) is {idle}
"""
MODELS = "model, judge = nn.Linear(3, 3), nn.Linear(3, 1)"


@pytest.mark.parametrize(
    ("one", "other", "before", "between", "idle"),
    [
        ("model", "model", "", "", True),
        ("model", "judge", "", "", False),
        ("model", "model", "third = torch.optim.SGD(judge.parameters(), lr=0.1)", "third.step()", False),
        ("model", "model", "second.add_param_group({'params': judge.parameters()})", "", False),
        ("model", "model", "judge.eval()", "", True),
    ],
)
def test_two_optimizers_of_one_model(one: str, other: str, before: str, between: str, idle: bool) -> None:
    text = TWINS.format(models=MODELS, one=one, other=other, before=before, between=between, idle=idle)
    assert programs.check(text).error is None
    found = [("information", "torch.optim.SGD(model.parameters(), lr=0.1)")] if idle and not before else []
    assert reported("GRD607", text) == found


UNKNOWN = """
from zoo import make

def main(loader, phase):
    model, judge = make(), make()
    model.train()
    judge.train()
    {before}
    first = torch.optim.Adam(model.parameters())
    second = torch.optim.Adam({other}.parameters())
    for x in loader:
        first.zero_grad()
        judge(model(x)).mean().backward()
        first.step()
        second.zero_grad()
        {loss}.mean().backward()
        second.step()
"""


@pytest.mark.parametrize(
    ("other", "before", "loss", "found"),
    [
        ("model", "pass", "judge(model(x))", 1),
        ("judge", "pass", "judge(model(x))", 0),
        ("model", "judge.requires_grad_(False)", "judge(model(x))", 0),
        ("model", "model.add_judge(judge)", "judge(model(x))", 0),
        ("model", "judge.eval()", "judge(model(x))", 0),
        ("model", "judge = judge.to('cpu')", "judge(model(x))", 1),
        ("model", "judge = model.judge", "judge(model(x))", 0),
        ("model", "model = judge.body", "judge(model(x))", 0),
    ],
)
def test_two_optimizers_of_one_unknown_model(other: str, before: str, loss: str, found: int) -> None:
    text = UNKNOWN.format(other=other, before=before, loss=loss)
    assert len(reported("GRD607", text)) == found


FROZEN = """
import torch
from torch import nn

model = nn.Sequential(*[nn.Sequential({layers}) for _ in range(4)])
for {each}:
    {freeze}
loss = model(torch.randn(4, 2)).mean()
{backward}
"""


@pytest.mark.parametrize(
    ("layers", "each", "freeze", "known"),
    [
        (20, "p in model.parameters()", "p.requires_grad = False", True),
        (20, "p in model.parameters()", "p.requires_grad_(False)", True),
        (20, "name, p in model.named_parameters()", "p.requires_grad = 'weight' in name and '.bias' in name", True),
        (150, "p in model.parameters()", "p.requires_grad = False", False),
        (150, "p in model.parameters()", "p.requires_grad_(False)", False),
    ],
)
def test_a_large_model_that_is_frozen(layers: int, each: str, freeze: str, known: bool) -> None:
    raises = "loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad"
    made = ", ".join(["nn.Linear(2, 2)"] * layers)
    text = FROZEN.format(layers=made, each=each, freeze=freeze, backward=raises)
    assert programs.check(text).error is not None
    assert bool(reported("GRD110", text)) is known
    # What is not looked at one by one is not taken to be as it was.
    right = FROZEN.format(layers=made, each=each, freeze=freeze, backward="numbers = loss.numpy()")
    assert programs.check(right).error is None
    assert reported("GRD307", right) == []


def test_a_large_model_of_which_the_last_layer_is_trained() -> None:
    text = FROZEN.format(
        layers=", ".join(["nn.Linear(2, 2)"] * 20),
        each="name, p in model.named_parameters()",
        freeze="p.requires_grad = name.startswith('3.19.')",
        backward="loss.backward()\nassert model[3][19].weight.grad is not None and model[3][18].weight.grad is None",
    )
    assert programs.check(text).error is None
    assert reported("GRD110", text) == []


STILL = """
def main({given}, loader, criterion):
    {made}
    {before}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    {after}
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("model.requires_grad_(False)", "pass", 1),
        ("for p in model.parameters(): p.requires_grad = False", "pass", 1),
        ("pass", "model.requires_grad_(False)", 1),
        ("pass", "model.requires_grad_(False); model.freeze_norms()", 1),
        ("model.requires_grad_(False)", "model.unfreeze()", 0),
        ("model.requires_grad_(False)", "model.requires_grad_(True)", 0),
        ("model.requires_grad_(False); model.fc = nn.Linear(3, 2)", "pass", 0),
        ("model.requires_grad_(False); model.add_adapter('a')", "pass", 0),
        ("model.requires_grad_(False); tune(model)", "pass", 0),
    ],
)
@pytest.mark.parametrize("made", ["pass", "model = nn.DataParallel(model)"])
def test_an_optimizer_of_an_unknown_model_that_is_frozen(made: str, before: str, after: str, found: int) -> None:
    if found == 0 and "DataParallel" in made and "fc" in before:
        return
    text = STILL.format(given="model", made=made, before=before, after=after)
    assert len(reported("GRD611", text)) == found


@pytest.mark.parametrize(
    ("given", "before", "found"),
    [
        ("model.parameters", "model.train()", ["information"]),
        ("model.parameters", "pass", []),
        ("model.parameters()", "model.train()", []),
    ],
)
def test_a_method_instead_of_parameters(given: str, before: str, found: list[str]) -> None:
    text = f"def main(model):\n    {before}\n    return torch.optim.SGD({given}, lr=0.1)\n"
    assert [severity for severity, _ in reported("GRD505", text)] == found


@pytest.mark.parametrize("loss", ["criterion(model(x), y)", "(net(x) - y).pow(2).mean()"])
@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("Variable(loss.data, requires_grad=True)", 1),
        ("Variable(loss, requires_grad=True)", 1),
        ("Variable(loss.data, True)", 1),
        ("Variable(x, requires_grad=True).mean()", 0),
    ],
)
def test_a_loss_in_a_variable(loss: str, made: str, found: int) -> None:
    text = f"""
    from torch.autograd import Variable
    net = nn.Linear(3, 1)
    def train(model, criterion, optimizer, loader):
        for x, y in loader:
            optimizer.zero_grad()
            loss = {loss}
            loss = {made}
            loss.backward()
            optimizer.step()
    """
    assert len(reported("GRD109", text)) == found
