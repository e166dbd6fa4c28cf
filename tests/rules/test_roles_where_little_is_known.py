"""What is said of models, optimizers and scalers that a function is given: they are what they are used as."""

from __future__ import annotations

import textwrap

import pytest
import torch

from tests.rules.reported import reported

OPTIMIZER = """
def train(model, loader):
    optimizer = torch.optim.SGD({given}, lr=0.1)
    for x, y in loader:
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("[p.clone() for p in model.parameters()]", 1),
        ("[2 * p for p in model.parameters()]", 1),
        ("[{'params': [p.clone() for p in model.parameters()]}]", 1),
        ("[p for p in model.parameters()]", 0),
        ("[p.to('cpu') for p in model.parameters()]", 0),
        ("[p.clone().detach().requires_grad_() for p in model.parameters()]", 0),
        ("[nn.Parameter(p.clone()) for p in model.parameters()]", 0),
        ("[p.clone() for p in model.tensors()]", 0),
        ("model.state_dict().values()", 1),
        ("list(model.state_dict().values())", 1),
        ("model.state_dict(keep_vars=True).get('weight')", 0),
        ("model.options().values()", 0),
    ],
)
def test_what_an_optimizer_is_given_of_an_unknown_model(given: str, found: int) -> None:
    assert [severity for severity, _ in reported("GRD505", OPTIMIZER.format(given=given))] == ["information"] * found


def test_results_are_no_leaves_and_states_are_detached() -> None:
    model = torch.nn.Linear(3, 1)
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        torch.optim.SGD([p.clone() for p in model.parameters()], lr=0.1)
    optimizer = torch.optim.SGD(model.state_dict().values(), lr=0.1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("made", ["Known(load())", "nn.ModuleList([load(), load()])"])
def test_the_state_of_a_model_with_an_unknown_part(made: str) -> None:
    snippet = f"""
    class Known(nn.Module):
        def __init__(self, part):
            super().__init__()
            self.part = part

    model = {made}
    optimizer = torch.optim.SGD(model.state_dict().values(), lr=0.1)
    """
    assert [severity for severity, _ in reported("GRD505", snippet)] == ["information"]
    assert reported("GRD505", snippet.replace("state_dict().values", "parameters")) == []


ROUNDS = """
{model}

def test(model, loader):
    {tested}
    with torch.no_grad():
        for x, y in loader:
            print(model(x).mean())

def fit(model, loader, validation):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    {before}
    for epoch in range(9):
        {trained}
        for x, y in loader:
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
        test(model, validation)

{call}
"""
KNOWN = "net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1))"


@pytest.mark.parametrize(
    ("trained", "tested", "before", "found"),
    [
        ("model.eval()", "model.eval()", "pass", 1),
        ("model.train()", "model.eval()", "pass", 0),
        ("model.eval()", "pass", "pass", 0),
        ("pass", "pass", "model.eval()", 0),
        ("model.eval()", "model.train(False)", "pass", 1),
        ("model.eval()", "model.train()", "pass", 0),
        ("model.eval()", "model.eval()", "model.train()", 0),
        ("model.eval()", "model.eval()", "model.requires_grad_(False)", 0),
    ],
)
@pytest.mark.parametrize(("model", "call"), [("", ""), (KNOWN, "fit(net, load(), load())")])
def test_evaluation_mode_for_training_and_behind_it(
    trained: str, tested: str, before: str, found: int, model: str, call: str
) -> None:
    snippet = ROUNDS.format(trained=trained, tested=tested, before=before, model=model, call=call)
    assert reported("GRD705", snippet) == [("information", trained)] * found


def test_a_known_model_without_layers_of_two_modes() -> None:
    model = KNOWN.replace("Dropout", "ReLU")
    call = "fit(net, load(), load())"
    snippet = ROUNDS.format(trained="model.eval()", tested="model.eval()", before="pass", model=model, call=call)
    assert reported("GRD705", snippet) == []


SCALED = """
def train(model, optimizer, scaler, loader, limit):
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        {body}
"""
WHOLE = """
scaler.scale(loss).backward()
scaler.unscale_(optimizer)
torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
scaler.step(optimizer)
scaler.update()
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("", "", None),
        ("scaler.update()", "pass", "scaler.step(optimizer)"),
        ("scaler.update()", "finish(scaler)", None),
        ("scaler.unscale_(optimizer)", "pass", "torch.nn.utils.clip_grad_norm_(model.parameters(), limit)"),
        ("scaler.step(optimizer)", "optimizer.step()", "optimizer.step()"),
        ("scaler.unscale_(optimizer)\n", "if limit:\n    scaler.unscale_(optimizer)\n", None),
    ],
)
def test_what_is_called_as_a_scaler_is(old: str, new: str, found: str | None) -> None:
    body = textwrap.indent(WHOLE.replace(old, new) if old else WHOLE, " " * 8).strip()
    assert reported("GRD610", SCALED.format(body=body)) == ([("information", found)] if found else [])


def test_steps_of_gradients_that_were_never_unscaled() -> None:
    body = "scaler.scale(loss).backward()\n        optimizer.step()\n        scaler.update()"
    assert reported("GRD610", SCALED.format(body=body)) == [("information", "optimizer.step()")]
    branch = "if limit:\n            scaler.scale(loss).backward()\n            scaler.step(optimizer)\n"
    branch += "            scaler.update()\n        else:\n            loss.backward()\n            optimizer.step()"
    assert reported("GRD610", SCALED.format(body=branch)) == []


def test_a_step_of_infinite_gradients() -> None:
    def stepped(through: bool) -> bool:
        weight = torch.ones(1, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=1.0)
        scaler = torch.amp.GradScaler("cpu")
        scaler.scale((weight * torch.inf).sum()).backward()
        scaler.unscale_(optimizer)
        if through:
            scaler.step(optimizer)
        else:
            optimizer.step()
        scaler.update()
        return bool(weight.isfinite())

    assert stepped(through=True)
    assert not stepped(through=False)


BYPASSED = """
def train(model, optimizer, criterion, loader):
    for x, y in loader:
        optimizer.zero_grad()
        {forward}
        loss = criterion(output, y)
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("forward", "found"),
    [
        ("output = model.module(x)", 1),
        ("output = model(x)", 0),
        ("output = model(model.module(x))", 0),
        ("with torch.no_grad():\n            seen = model.module(x)\n        output = model(seen)", 0),
        ("output = model.module(x).detach()", 0),
    ],
)
def test_the_module_of_a_wrapper_that_is_given(forward: str, found: int) -> None:
    text = BYPASSED.format(forward=forward)
    assert reported("GRD525", text) == [("information", "model.module(x)")] * found


def test_the_unknown_module_of_a_known_wrapper() -> None:
    made = "model = nn.parallel.DistributedDataParallel(load())\n"
    call = "\ntrain(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss(), batches())\n"
    text = made + BYPASSED.format(forward="output = model.module(x)") + call
    assert reported("GRD525", text) == [("information", "model.module(x)")]
    assert reported("GRD525", text.replace("model.module(x)", "model(x)")) == []


FROZEN = """
class Trainer:
    def __init__(self, model):
        self.model = model
        {freeze}
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        {behind}

    def update(self, x, y):
        {thaw}
        self.optimizer.zero_grad()
        F.mse_loss(self.model(x), y).backward()
        self.optimizer.step()
"""


@pytest.mark.parametrize(
    ("freeze", "behind", "thaw", "found"),
    [
        ("model.requires_grad_(False)", "pass", "pass", 1),
        ("for p in model.parameters(): p.requires_grad = False", "pass", "pass", 1),
        ("for p in model.parameters(): p.requires_grad = False", "print(model.count())", "pass", 1),
        ("model.requires_grad_(False)", "pass", "self.model.requires_grad_(True)", 0),
        ("model.requires_grad_(False)", "model.head.requires_grad_()", "pass", 0),
        ("model.body.requires_grad_(False)", "pass", "pass", 0),
        ("pass", "pass", "pass", 0),
    ],
)
def test_an_optimizer_that_is_made_of_what_is_frozen(freeze: str, behind: str, thaw: str, found: int) -> None:
    text = FROZEN.format(freeze=freeze, behind=behind, thaw=thaw)
    assert reported("GRD611", text) == [("information", "self.optimizer.step()")] * found


@pytest.mark.parametrize(("given", "found"), [("model.parameters()", 1), ("[latent]", 0)])
def test_what_a_step_trains_beside_a_model_in_evaluation_mode(given: str, found: int) -> None:
    snippet = f"""
    def fit(model, count):
        latent = torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.SGD({given}, lr=0.1)
        for _ in range(count):
            model.eval()
            optimizer.zero_grad()
            model(latent).abs().mean().backward()
            optimizer.step()
            model.eval()
            print(model(latent.detach()))
    """
    assert len(reported("GRD705", snippet)) == found


@pytest.mark.parametrize(("test", "found"), [("number == last", 0), ("number % 9 == 0", 1)])
def test_evaluation_in_the_last_round(test: str, found: int) -> None:
    snippet = f"""
    def fit(model, optimizer, batches, count, last):
        for _ in range(count):
            model.train()
            for number, x in enumerate(batches):
                optimizer.zero_grad()
                loss = model.loss(x)
                loss.backward()
                optimizer.step()
                if {test}:
                    model.eval()
                    evaluate(model.score(x))
    """
    assert len(reported("GRD705", snippet)) == found
