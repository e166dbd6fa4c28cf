"""Mistakes in functions and methods that are given the model, the optimizer, or the trainer."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import reported

LOOP = """
def train(model, criterion, optimizer, loader):
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        output = model(x)
        {loss}
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(
    ("loss", "code", "found"),
    [
        ("loss = criterion(output, y).data", "GRD101", [("information", "criterion(output, y).data")]),
        ("loss = (output.argmax(1) != y).float().mean()", "GRD107", [("information", "output.argmax(1) != y")]),
        ("loss = (output.argmax(1) - y.argmax(1)).float().mean()", "GRD107", [("information", "y.argmax(1)")]),
        ("loss = criterion(output, y.argmax(1))", "GRD107", []),
        ("loss = criterion(output, y.data)", "GRD101", []),
        ("loss = (output * (y != 0)).mean()", "GRD107", []),
    ],
)
def test_a_loss_that_has_no_graph_if_it_is_a_tensor(loss: str, code: str, found: list[tuple[str, str]]) -> None:
    assert reported(code, LOOP.format(loss=loss)) == found


NUMBER = """
net = nn.Linear(3, 2)

def train(model, loader, optimizer, c, soft):
    for x, _ in loader:
        {before}
        if soft:
            loss = torch.mean(model(x) * 2)
        else:
            loss = torch.mean(model(x) - c).item()
            {then}
        {call}
        optimizer.step()
"""


@pytest.mark.parametrize("model", ["model", "net"])
@pytest.mark.parametrize(
    ("before", "then", "call", "found"),
    [
        ("pass", "pass", "loss.backward()", ["error"]),
        ("pass", "continue", "loss.backward()", []),
        ("pass", "pass", "if soft:\n            loss.backward()", []),
        ("pass", "pass", "if isinstance(loss, torch.Tensor):\n            loss.backward()", []),
        ("pass", "pass", "try:\n            loss.backward()\n        except AttributeError:\n            pass", []),
        ("pass", "loss = net(x).mean()", "loss.backward()", []),
    ],
)
def test_a_number_on_one_branch(before: str, then: str, call: str, found: list[str], model: str) -> None:
    snippet = NUMBER.format(before=before, then=then, call=call).replace("model(x)", f"{model}(x)")
    assert [severity for severity, _ in reported("GRD303", snippet)] == found


def test_a_number_that_an_earlier_round_left() -> None:
    snippet = """
    net, loss = nn.Linear(3, 2), None
    for x in torch.randn(4, 8, 3):
        if loss is not None:
            print(loss)
        loss = net(x).mean()
        loss.backward()
        loss = loss.item()
    """
    assert reported("GRD303", snippet) == []


def test_a_number_for_the_backward_of_something_unknown() -> None:
    snippet = """
    def train(model, optimizer, loader, fabric):
        for batch in loader:
            out = model(batch["x"], labels=batch["y"])
            optimizer.zero_grad()
            fabric.backward({loss})
            optimizer.step()
    """
    assert reported("GRD303", snippet.format(loss="out['loss']")) == []
    found = [("information", "fabric.backward(out['loss'].item())")]
    assert reported("GRD303", snippet.format(loss="out['loss'].item()")) == found
    assert reported("GRD312", snippet.format(loss="out['loss'].item()")) == []
    assert reported("GRD312", "def f(layer, seed):\n    layer.backward(0.5)") == []


AGENT = """
class Agent:
    def __init__(self, critic, actor):
        self.critic, self.actor = critic, actor
        self.optimizer = torch.optim.Adam(self.critic.parameters())
        self.other = torch.optim.Adam(self.actor.parameters())

    def reset(self):
        self.optimizer.zero_grad()
        self.other.zero_grad()

    def learn(self, x, y):
        loss = F.mse_loss(self.critic(x), y)
        {first}
        {second}
        {third}
        self.other.zero_grad()
        self.critic(self.actor(x)).mean().backward()
        self.other.step()
"""
CLEAR, BACKWARD, STEP = "self.optimizer.zero_grad()", "loss.backward()", "self.optimizer.step()"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((CLEAR, STEP, BACKWARD), [("information", CLEAR)]),
        (("self.reset()", STEP, BACKWARD), [("information", CLEAR)]),
        ((CLEAR, BACKWARD, STEP), []),
        ((STEP, CLEAR, BACKWARD), []),
        ((CLEAR, "self.other.step()", f"{BACKWARD}; {STEP}"), []),
        ((CLEAR, f"self.run(loss); {STEP}", BACKWARD), []),
    ],
)
def test_a_step_between_a_loss_and_its_backward(lines: tuple[str, str, str], found: list[tuple[str, str]]) -> None:
    first, second, third = lines
    assert reported("GRD602", AGENT.format(first=first, second=second, third=third)) == found


LIGHTNING = """
import lightning as L

class Net(L.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.model(x), y)
        {step}

    def configure_optimizers(self):
        {configure}
"""


@pytest.mark.parametrize(
    ("step", "configure", "found"),
    [
        ("return loss", "return torch.optim.SGD(self.parameters(), lr=0.1)", []),
        (
            "self.log('loss', loss)",
            "return torch.optim.SGD(self.parameters(), lr=0.1)",
            [("information", "self.log('loss', loss)")],
        ),
        ("self.log('loss', loss)", "return self.make(self.parameters())", [("information", "self.log('loss', loss)")]),
        ("self.seen.append(loss)", "return None", []),
        ("self.seen.append(loss)", "pass", []),
        ("self.manual_backward(loss)", "return torch.optim.SGD(self.parameters(), lr=0.1)", []),
        (
            "return loss",
            "optimizer = torch.optim.SGD(self.parameters(), lr=0.1)",
            [("warning", "optimizer = torch.optim.SGD(self.parameters(), lr=0.1)")],
        ),
        ("return loss", "pass", []),
    ],
)
def test_what_lightning_is_not_given(step: str, configure: str, found: list[tuple[str, str]]) -> None:
    assert reported("GRD615", textwrap.dedent(LIGHTNING.format(step=step, configure=configure))) == found


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("p.data.add(p.grad, alpha=-0.1)", True),
        ("p.data.mul(0.9)", True),
        ("p.grad.data.clamp(-1, 1)", True),
        ("p.grad.add(p)", True),
        ("p.data.add_(p.grad, alpha=-0.1)", False),
        ("p.grad.data.clamp_(-1, 1)", False),
        ("model.data.add(p)", False),
        ("model.data.update(p)", False),
        ("model.data.copy(p)", False),
    ],
)
def test_what_only_computes_with_the_data_of_a_parameter(statement: str, found: bool) -> None:
    snippet = f"""
    def change(model):
        for p in model.parameters():
            {statement}
    """
    assert reported("GRD616", snippet) == ([("information", statement)] if found else [])
