"""What is set where nobody looks, compared instead of set, added to nothing, or ignored by a backward."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_right, reported

TRAINED = """
layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
optimizer = torch.optim.SGD([{"params": layer.parameters()} for layer in layers], lr=0.1)
"""


def test_an_option_that_is_set_in_a_copy_of_the_groups() -> None:
    found = reported("GRD503", TRAINED + 'optimizer.state_dict()["param_groups"][1]["lr"] *= 0.1\n')
    assert found == [("warning", 'optimizer.state_dict()["param_groups"][1]["lr"]')]


@pytest.mark.parametrize(
    "snippet",
    [
        'state = optimizer.state_dict()\nstate["param_groups"][0]["lr"] = 0.01\noptimizer.load_state_dict(state)',
        'rate = optimizer.state_dict()["param_groups"][0]["lr"]',
        'layers.state_dict()["0.weight"][0] = 1.0',
        'for group in optimizer.param_groups:\n    group["lr"] = 0.01',
        'for n, group in enumerate(optimizer.param_groups):\n    optimizer.param_groups[n]["lr"] = 0.01',
        'for group in optimizer.param_groups:\n    optimizer.param_groups[0]["lr"] = 2 * group["lr"]',
        'for epoch in range(3):\n    optimizer.param_groups[0]["lr"] = 0.01',
    ],
)
def test_options_that_arrive(snippet: str) -> None:
    assert reported("GRD503", TRAINED + snippet) == []
    check_right("import torch\nfrom torch import nn\n" + TRAINED + snippet)


def test_a_loop_over_the_groups_that_sets_the_first_one() -> None:
    snippet = TRAINED + 'for group in optimizer.param_groups:\n    optimizer.param_groups[0]["lr"] = 0.01\n'
    assert reported("GRD503", snippet) == [("information", 'optimizer.param_groups[0]["lr"]')]


def test_a_numbered_loop_over_the_groups_that_sets_the_first_one() -> None:
    loop = "for number, group in enumerate(optimizer.param_groups):\n    "
    found = reported("GRD503", TRAINED + loop + 'optimizer.param_groups[0]["lr"] = 0.1 * number\n')
    assert found == [("information", 'optimizer.param_groups[0]["lr"]')]


def test_elements_that_are_compared() -> None:
    snippet = "gradient = torch.ones(3)\nmask = gradient > 0\n"
    assert reported("GRD616", snippet + "gradient[mask] == 0\n") == [("warning", "gradient[mask] == 0")]
    assert reported("GRD616", snippet + "done = gradient[mask] == 0\n") == []
    assert reported("GRD616", "options = dict(a=1)\noptions['a'] == 2\n") == []
    assert reported("GRD616", snippet + "try:\n    gradient[mask] == 0\nexcept RuntimeError:\n    pass\n") == []


def test_parameters_that_are_added_to_nothing() -> None:
    snippet = TRAINED + "trained = list(layers[0].parameters())\n"
    written = "trained + list(layers[1].parameters())"
    assert reported("GRD616", snippet + written) == [("warning", written)]
    assert reported("GRD616", f"{snippet}both = {written}") == []
    comprehended = "trained + [p for p in layers[1].parameters()]"
    assert reported("GRD616", snippet + comprehended) == [("warning", comprehended)]
    assert reported("GRD616", snippet + "trained + [p.shape for p in range(3)]") == []
    assert reported("GRD616", "names = []\nnames + list('abc')") == []


CLIPPED = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--clip", type=float, default={default})
options = parser.parse_args([])
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    optimizer.zero_grad()
    model(torch.randn(4, 3)).sum().backward()
    {clip}
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("default", "clip", "found"),
    [
        ("0.0", "nn.utils.clip_grad_norm_(model.parameters(), 0)", ["warning"]),
        ("0.0", "nn.utils.clip_grad_value_(model.parameters(), clip_value=0.0)", ["warning"]),
        ("0.0", "nn.utils.clip_grad_norm_(model.parameters(), options.clip)", ["information"]),
        ("0.0", "if options.clip: nn.utils.clip_grad_norm_(model.parameters(), options.clip)", []),
        ("1.0", "nn.utils.clip_grad_norm_(model.parameters(), options.clip)", []),
        ("None", "nn.utils.clip_grad_norm_(model.parameters(), options.clip)", []),
        ("0.0", "nn.utils.clip_grad_norm_(model.parameters(), 0.5)", []),
    ],
)
def test_a_limit_of_zero(default: str, clip: str, found: list[str]) -> None:
    severities = [severity for severity, _ in reported("GRD605", CLIPPED.format(default=default, clip=clip))]
    assert severities == found


TWO_RESULTS = """
class Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2, {other}

    @staticmethod
    def backward(ctx, {arguments}):
        return one * 2


weight = torch.ones(3, requires_grad=True)
first, second = Both.apply(weight)
{loss}.sum().backward()
"""


@pytest.mark.parametrize(
    ("other", "arguments", "loss", "found"),
    [
        ("x * 3", "one, other", "(first + second)", [("information", "other")]),
        ("torch.sign(x)", "one, _other", "(first + second)", []),
        ("x * 3", "one, other", "first", []),
        ("x * 3", "one, *others", "(first + second)", []),
        ("x > 0", "one, other", "(first * second)", []),
        ("x * 3", "one, other", "(first + second.detach())", []),
    ],
)
def test_the_gradient_of_one_of_two_results(
    other: str, arguments: str, loss: str, found: list[tuple[str, str]]
) -> None:
    assert reported("GRD810", TWO_RESULTS.format(other=other, arguments=arguments, loss=loss)) == found


REBOUND = """
model = nn.Linear(3, 1)
model(torch.ones(2, 3)).sum().backward()
for parameter in model.parameters():
    gradient = parameter.grad.data
    gradient = gradient * 0.5
    {use}
"""


@pytest.mark.parametrize(
    ("use", "count"),
    [("pass", 1), ("parameter.grad = gradient", 0), ("print(gradient.norm())", 0), ("parameter.data -= gradient", 0)],
)
def test_names_for_gradients(use: str, count: int) -> None:
    found = reported("GRD608", REBOUND.format(use=use))
    assert found == [("warning", "gradient")] * count


@pytest.mark.parametrize(
    "update",
    [
        "kept = gradient = gradient * 0.5; print(kept)",
        "gradient = torch.clamp(gradient, -0.1, 0.1, out=gradient)",
        "gradient = shown(gradient)",
    ],
)
def test_what_does_more_than_name_a_gradient(update: str) -> None:
    text = REBOUND.format(use="pass").replace("gradient = gradient * 0.5", update)
    assert reported("GRD608", "def shown(x):\n    print(x)\n    return x\n" + text) == []


LOSS_OF_TWO = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 2), nn.Linear(3, 2)

    def forward(self, x, y):
        loss = F.cross_entropy(self.one(x), y)
        {second}
        return loss


net = Net()
net(torch.randn(4, 3), torch.zeros(4, dtype=torch.long)).backward()
"""


@pytest.mark.parametrize(
    ("second", "found"),
    [
        ("loss = + F.cross_entropy(self.two(x), y)", ["loss"]),
        ("loss = F.cross_entropy(self.two(x), y)", ["loss"]),
        ("loss = loss + F.cross_entropy(self.two(x), y)", []),
        ("loss += F.cross_entropy(self.two(x), y)", []),
        ("print(loss); loss = F.cross_entropy(self.two(x), y)", []),
        ("if x.size(0) > 3: loss = F.cross_entropy(self.two(x), y)", []),
        ("other = F.cross_entropy(self.two(x), y)", ["other"]),
        ("other = F.cross_entropy(self.two(x), y); loss = loss + other", []),
        ("self.other = F.cross_entropy(self.two(x), y)", []),
    ],
)
def test_losses_that_a_function_leaves_behind(second: str, found: list[str]) -> None:
    assert [text for _, text in reported("GRD614", LOSS_OF_TWO.format(second=second))] == found


UNKNOWN_LOSSES = """
def train(model, criterion, other, x, y):
    out, aux = model(x)
    {first}
    loss = {second}
    loss.backward()
"""


@pytest.mark.parametrize(
    ("first", "second", "count"),
    [
        ("loss = criterion(out, y)", "0.4 * other(aux, y)", 1),
        ("loss = criterion(out, y)", "loss + other(aux, y)", 0),
        ("loss = criterion(out, y)", "(loss * y).mean()", 0),
        ("loss = torch.zeros(1)", "other(aux, y)", 0),
        ("loss = criterion(out, y); print(loss)", "other(aux, y)", 0),
    ],
)
def test_what_unknown_criteria_give_and_nothing_reads(first: str, second: str, count: int) -> None:
    found = reported("GRD614", UNKNOWN_LOSSES.format(first=first, second=second))
    assert found == [("information", "loss")] * count


SWITCHED_OFF = """
net = nn.Linear(3, 4)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
logits = net(torch.randn(5, 3))
{block}:
    p = logits.softmax(-1)
    entropy = -(p * p.log()).sum(-1).mean()
loss = F.cross_entropy(logits, torch.zeros(5, dtype=torch.long)) {use}
optimizer.zero_grad()
loss.backward()
optimizer.step()
"""


@pytest.mark.parametrize(
    ("block", "use", "count"),
    [
        ("with torch.no_grad()", "- 0.01 * entropy", 1),
        ("if True", "- 0.01 * entropy", 0),
        ("with torch.no_grad()", "", 0),
        ("with torch.no_grad()", "* entropy", 0),
    ],
)
def test_a_term_that_is_computed_without_gradients(block: str, use: str, count: int) -> None:
    found = reported("GRD106", SWITCHED_OFF.format(block=block, use=use))
    assert found == [("information", "torch.no_grad()")] * count


DECAYED = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--gamma", type=float, default=0.0)
options = parser.parse_args([])
optimizer = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.1)
{made}
for _ in range(3):
    optimizer.step()
    {step}
"""


@pytest.mark.parametrize(
    ("made", "step", "found"),
    [
        ("s = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0)", "s.step()", ["warning"]),
        ("s = torch.optim.lr_scheduler.StepLR(optimizer, 10**9, gamma=0)", "s.step()", ["information"]),
        ("s = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.0)", "s.step()", ["warning"]),
        ("s = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2], options.gamma)", "s.step()", ["information"]),
        ("s = torch.optim.lr_scheduler.StepLR(optimizer, 2)", "s.step()", []),
        ("s = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.1)", "s.step()", []),
        (
            "s = torch.optim.lr_scheduler.StepLR(optimizer, 2, options.gamma) if options.gamma else None",
            "s and s.step()",
            [],
        ),
    ],
)
def test_a_decay_to_nothing(made: str, step: str, found: list[str]) -> None:
    severities = [severity for severity, _ in reported("GRD619", DECAYED.format(made=made, step=step))]
    assert severities == found
