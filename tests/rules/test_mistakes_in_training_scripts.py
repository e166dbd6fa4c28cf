"""Mistakes in scripts of which not all is known, and what stands in right ones and was once reported."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.rules.reported import check_error, check_right, reported

PUBLIC = """
model = nn.Linear(3, 3)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
"""


def test_a_registered_module_does_not_hide_a_method() -> None:
    check_right("""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parameters = []
        self.fc = nn.Linear(2, 2)
        self.parameters.extend(self.fc.parameters())
        self.parameters = nn.ParameterList(self.parameters)

    def forward(self, x):
        return self.fc(x)


net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
net(torch.ones(2, 2)).sum().backward()
opt.step()
assert len(list(net.parameters())) == 2
""")


def test_a_weight_from_an_earlier_epoch_is_no_term() -> None:
    program = """
last = 0.0
rounds = int(input())
for epoch in range(3):
    first = F.cross_entropy(model(torch.randn(4, 3)), torch.zeros(4, dtype=torch.long))
    second = 0.0
    for part in range(rounds):
        second += model(torch.randn(4, 3)).pow(2).mean()
    opt.zero_grad()
    {loss}
    opt.step()
    last = 1 - first.item()
"""
    right = program.format(loss="(first + last * second).backward()")
    assert reported("GRD104", PUBLIC + right) == []
    wrong = program.format(loss="(first + second.item()).backward()").replace("second = 0.0", "second = first * 2")
    assert [severity for severity, _ in reported("GRD104", PUBLIC + wrong)] == ["warning"]


@pytest.mark.parametrize(
    ("lent", "found"), [("lend(model, opt)", []), ("lend(model)", ["warning"])], ids=["given", "not-given"]
)
def test_code_that_has_the_optimizer_may_step_it(lent: str, found: list[str]) -> None:
    snippet = f"""
from elsewhere import lend
sched = torch.optim.lr_scheduler.StepLR(opt, 2)
def train():
    model(torch.randn(2, 3)).sum().backward()
    opt.step()
    opt.zero_grad()
for epoch in range(10):
    {lent}
    sched.step()
    train()
"""
    assert [severity for severity, _ in reported("GRD606", PUBLIC + snippet)] == found


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ("F.cross_entropy(model(x), y)", ["warning"]),
        ("criterion(model(x), y)", ["information"]),
        ("train_on(model(x), y)", []),
    ],
)
def test_a_forgotten_backward(loss: str, found: list[str]) -> None:
    snippet = f"""
from elsewhere import Data, criterion, train_on
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
for x, y in torch.utils.data.DataLoader(Data([str, int], device), 4):
    x, y = x.to(device), y.to(device)
    opt.zero_grad()
    loss = {loss}
    opt.step()
"""
    assert [severity for severity, _ in reported("GRD611", PUBLIC + snippet)] == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("loss = criterion(model(x), y)", ["information"]),
        ("loss = criterion(model(x), y); loss.backward()", []),
        ("loss = criterion(model(x), y); scaler.scale(loss).backward()", []),
        ("loss = train_step(model(x), y)", []),
        ("loss_scaler(criterion(model(x), y))", []),
        ("pass", []),
    ],
)
def test_a_forgotten_backward_of_what_is_given(body: str, found: list[str]) -> None:
    snippet = f"""
def train(model, optimizer, criterion, loader, scaler, train_step, loss_scaler):
    for x, y in loader:
        optimizer.zero_grad()
        {body}
        optimizer.step()
"""
    assert [severity for severity, _ in reported("GRD611", snippet)] == found


STALE = """
from elsewhere import Conv

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = Conv(3), nn.Linear(3, 3)
    def forward(self, x):
        return self.head(self.conv(x))

net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
{after}
for epoch in range(4):
    net.train()
    optimizer.zero_grad()
    net(torch.randn(2, 3)).sum().backward()
    optimizer.step()
    {last}
"""


@pytest.mark.parametrize(
    ("after", "last", "found"),
    [
        ("net = Net()", "pass", ["warning"]),
        ("net = Net()", "net.eval()", ["warning"]),
        ("pass", "net.eval()", []),
        ("net = Net(); optimizer.add_param_group({'params': net.parameters()})", "pass", []),
    ],
)
def test_a_model_that_is_younger_than_its_optimizer(after: str, last: str, found: list[str]) -> None:
    snippet = STALE.format(after=after, last=last)
    assert [severity for severity, _ in reported("GRD607", snippet)] == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("loss = nn.CrossEntropyLoss()(model(x), y)", ["error"]),
        ("loss = F.mse_loss(model(x), y)", ["error"]),
        ("loss = criterion(model(x), y)", ["information"]),
        ("loss = (model(x) - y).pow(2).mean()", ["information"]),
        ("loss = y", []),
    ],
)
def test_a_whole_step_without_gradients(body: str, found: list[str]) -> None:
    snippet = f"""
def train(model, optimizer, criterion, loader):
    for x, y in loader:
        with torch.no_grad():
            {body}
            loss.backward()
        optimizer.step()
"""
    assert [severity for severity, _ in reported("GRD106", snippet)] == found


def test_views_of_what_is_unknown_may_keep_their_flag() -> None:
    check_error(
        "GRD106",
        """
import torch

model = torch.nn.Linear(3, 3)
for x in torch.randn(2, 4, 3):
    with torch.no_grad():
        loss = torch.nn.functional.mse_loss(model(x), x)
    loss.backward()  # raises RuntimeError: does not require grad
""",
    )
    snippet = "def f(x):\n    with torch.no_grad():\n        torch.squeeze(x){then}.backward()\n"
    assert reported("GRD106", snippet.format(then="")) == []
    assert [severity for severity, _ in reported("GRD106", snippet.format(then=".sum()"))] == ["error"]


@pytest.mark.parametrize("imported", ["from tqdm import tqdm", "from tqdm.auto import tqdm", "import tqdm"])
def test_a_progress_bar_gives_what_it_shows(imported: str) -> None:
    name = "tqdm.tqdm" if imported.startswith("import") else "tqdm"
    snippet = f"""
{imported}

def train(model, optimizer, loader):
    with {name}(enumerate(loader), total=3) as bar:
        for step, (x, y) in bar:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x).detach(), y)
            loss.backward()
            optimizer.step()
            bar.set_postfix(loss=loss.item())
"""
    assert [severity for severity, _ in reported("GRD101", snippet)] == ["information"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("x = self.layer(x)", 1),
        ("x = self.given(x)", 1),
        ("x = self.layer(x)\n        x", 1),
        ("x = self.layer(x)\n        x, x + 1", 1),
        ("self.layer(x)", 1),
        ("with torch.no_grad():\n            x = self.layer(x)", 1),
        ("x = self.layer(x)\n        return x", 0),
        ("self.out = self.layer(x)", 0),
        ("x.add_(1)", 0),
        ("x += self.layer(x)", 0),
        ("self.given.keep(self.layer(x))", 0),
        ("count = len(self.seen)", 0),
        ("yield self.layer(x)", 0),
        ("raise NotImplementedError", 0),
        ("pass", 0),
        ('"""Nothing yet."""', 0),
        ("global last\n        last = self.layer(x)", 0),
    ],
)
def test_a_forward_that_returns_nothing(body: str, found: int) -> None:
    snippet = f"""
class Net(nn.Module):
    def __init__(self, given):
        super().__init__()
        self.given, self.layer, self.seen = given, nn.Linear(3, 3), []

    def forward(self, x):
        {body}
"""
    assert [severity for severity, _ in reported("GRD615", snippet)] == ["warning"] * found


def test_a_forward_that_returns_nothing_gives_none() -> None:
    check_right("""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        x = self.layer(x)
        return x


assert Net()(torch.ones(2, 3)) is not None
""")


@pytest.mark.parametrize(
    ("use", "found"),
    [
        ("loss = nn.MSELoss(out, y).mean(2)", 1),
        ("loss = -nn.CrossEntropyLoss(out, y)", 1),
        ("loss = 0.0\n    loss += nn.CrossEntropyLoss(out, y)", 1),
        ("loss = out.sum() + 2 * nn.CrossEntropyLoss(out, y)", 1),
        ("loss = nn.CrossEntropyLoss(out)\n    loss = loss(out, y)", 0),
        ("loss = nn.MSELoss(out, y)", 0),
    ],
)
def test_a_criterion_that_is_computed_with(use: str, found: int) -> None:
    snippet = f"\ndef f(out, y):\n    {use}\n    return loss\n"
    assert [severity for severity, _ in reported("GRD402", snippet)] == ["error"] * found


def test_a_criterion_has_no_arithmetic() -> None:
    check_error(
        "GRD402",
        """
import torch
from torch import nn

out = torch.randn(4, 3, requires_grad=True)
loss = 1.0 + nn.CrossEntropyLoss(out, torch.zeros(4, dtype=torch.long))  # raises RuntimeError: Boolean value of Tensor
""",
    )


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ("F.cross_entropy(torch.argmax(model(x), dim=1), y)", 1),
        ("nn.CrossEntropyLoss()(model(x).argmax(1), y)", 1),
        ("F.binary_cross_entropy_with_logits(torch.argmax(model(x), dim=1), y)", 1),
        ("F.nll_loss(torch.argmax(x, dim=1), y)", 1),
        ("F.cross_entropy(torch.argmax(y, dim=1), nn.Linear(3, 3)(x))", 0),
        ("F.mse_loss(torch.argmax(model(x), dim=1), y)", 0),
        ("F.cross_entropy(model(x), torch.argmax(y, dim=1))", 0),
        ("F.cross_entropy(torch.argmax(model(x), dim=1).float(), y)", 0),
        ("F.cross_entropy(model(x).max(1)[0], y)", 0),
    ],
)
def test_indices_instead_of_scores(loss: str, found: int) -> None:
    snippet = f"\ndef f(model, x, y):\n    return {loss}\n"
    assert [severity for severity, _ in reported("GRD405", snippet)] == ["error"] * found


def test_losses_take_no_indices() -> None:
    scores, one, halves = torch.rand(4, 3), torch.tensor(1), torch.full((4,), 0.5)
    for loss, target in (
        (F.cross_entropy, one),
        (F.nll_loss, one),
        (F.binary_cross_entropy, halves),
        (F.binary_cross_entropy_with_logits, halves),
        (F.kl_div, halves),
    ):
        with pytest.raises(RuntimeError):
            loss(scores.argmax(1), target)
