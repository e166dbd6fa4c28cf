"""What is drawn of small programs."""

from __future__ import annotations

import pytest

from gradls.picture.choose import NothingToDraw
from tests.picture.drawing import drawn, rows

CUT = """\
import torch
from torch import nn

encoder, head = nn.Linear(3, 4), nn.Linear(4, 1)
optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
x = torch.randn(8, 3)
h = encoder(x).relu()
loss = head(h.detach()).mean()
loss.backward()
optimizer.step()
"""


def test_a_cut_between_parameters_and_the_loss():
    picture = drawn(CUT)
    assert rows(picture) == [
        "input none: x | data, needs no gradient",
        "parameters lost: encoder | ✗ 2 parameters, gradient lost",
        "operation none: encoder (Linear) | line 7 · no gradient < -x, -encoder",
        "operation none: relu | line 7 · no gradient < -encoder (Linear)",
        "cut lost: ✂ h.detach() | the graph ends here · line 8 < -relu",
        "parameters reached: head | ✓ 2 parameters, gradient arrives",
        "operation reached: head (Linear) | line 8 < -✂ h.detach(), +head",
        "operation reached: mean | line 8 < +head (Linear)",
        "end none: loss.backward() | line 9 < +mean",
    ]
    assert picture.summary == (
        "The gradient of loss.backward() reaches 2 of 4 parameters.",
        "2 lose it at h.detach() (line 8): encoder.",
    )


def test_what_is_found_wrong_stands_at_its_box():
    (message,) = next(box for box in drawn(CUT).boxes if box.kind == "cut").messages
    assert message.startswith("`h.detach()` cuts the value off from its gradient")


def test_frozen_and_unused_parameters():
    text = CUT.replace("h.detach()", "h").replace(
        "x = ", "head.weight.requires_grad_(False)\nother = nn.Linear(1, 1)\nx = "
    )
    text = text.replace("*head.parameters()]", "*head.parameters(), extra]").replace(
        "optimizer =", "extra = nn.Parameter(torch.zeros(1))\noptimizer ="
    )
    picture = drawn(text)
    assert "parameters frozen: head | – 1 parameter, frozen" in rows(picture)
    assert "parameters reached: head | ✓ 1 parameter, gradient arrives" in rows(picture)
    assert "parameters unused: extra | ✗ 1 parameter, not in this loss" in rows(picture)
    assert picture.summary[0] == "The gradient of loss.backward() reaches 3 of 5 parameters (1 frozen)."


def test_a_cut_that_another_backward_makes_good():
    """A GAN: the generator gets its gradient later."""
    picture = drawn(
        """\
import torch
from torch import nn

G, D = nn.Linear(2, 3), nn.Linear(3, 1)
fake = G(torch.randn(4, 2))
D(fake.detach()).mean().backward()
D(fake).mean().backward()
""",
        6,
    )
    assert rows(picture)[:2] == [
        "parameters elsewhere: G | – 2 parameters, another backward",
        "cut none: ✂ fake.detach() | the graph ends here · line 6 < -G",
    ]
    assert picture.summary[1] == "2 are cut off here and trained by another backward: G."


def test_rounds_of_a_loop_are_one_box():
    picture = drawn(
        """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(12))

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x

Net()(torch.randn(2, 3)).sum().backward()
"""
    )
    assert rows(picture) == [
        "parameters reached: layers | ✓ 4+ parameters, gradient arrives",
        "operation reached: layers (Linear) | each round · line 11 < +layers",
        "operation reached: tanh | each round · line 11 < +layers (Linear)",
        "operation reached: sum | line 14 < +tanh",
        "end none: Net()(torch.randn(2, 3)).sum(… | line 14 < +sum",
    ]


def test_a_block_without_gradients_is_one_cut():
    picture = drawn(
        """\
import torch
from torch import nn

a, b = nn.Linear(3, 3), nn.Linear(3, 1)
with torch.no_grad():
    h = torch.tanh(a(torch.randn(2, 3)))
    h = h * 2
b(h).sum().backward()
"""
    )
    assert [row for row in rows(picture) if row.startswith("cut")] == [
        "cut lost: ✂ no_grad: Linear | gradients are off here · line 5 < -a"
    ]


def test_what_no_optimizer_has_is_not_missed():
    text = """\
import copy
import torch
from torch import nn

policy = nn.Linear(3, 1)
target = copy.deepcopy(policy)
optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
with torch.no_grad():
    wanted = target(torch.randn(2, 3)).tanh()
(policy(torch.randn(2, 3)) - wanted).pow(2).sum().backward()
"""
    picture = drawn(text)
    assert picture.summary[-1] == "2 are cut off here, and no optimizer has them: target."
    assert "parameters untrained: target | – 2 parameters, in no optimizer" in rows(picture)
    lost = drawn(text.replace("policy.parameters()", "[*policy.parameters(), *target.parameters()]"))
    assert any(row.startswith("parameters lost: target") for row in rows(lost))


def test_the_same_computation_is_drawn_once_and_numbers_are_not():
    picture = drawn(
        """\
import math
import sys
import torch
from torch import nn

layer = nn.Linear(3, 3)
x = torch.randn(2, 3)
if sys.argv:
    model = nn.DataParallel(layer)
else:
    model = layer
scale = 1.0 / math.sqrt(len(sys.argv))
(model(x) * scale * sys.maxsize).sum().backward()
"""
    )
    labels = [box.label for box in picture.boxes]
    assert labels.count("layer (Linear)") == 1
    assert not any("sqrt" in label or label == "maxsize" for label in labels)
    assert {box.state for box in picture.boxes if box.kind == "operation"} == {"reached"}


def test_a_function_that_nobody_calls():
    picture = drawn("def f(pred, target):\n    return ((pred - target.detach()) ** 2).mean()\n", 1)
    assert picture.title == "what f() returns"
    assert rows(picture)[-1] == "end none: f() returns | line 2 < ?mean"
    assert "input unknown: pred | argument, gradient not known" in rows(picture)


def test_the_round_is_drawn_in_which_something_is_lost():
    text = """\
import torch
from torch import nn

net = nn.Linear(2, 2)
h = torch.zeros(2)
for _ in range(9):
    h = net(h).tanh()
    h.sum().backward()
    h = h.detach()
"""
    assert any(box.kind == "cut" for box in drawn(text).boxes)


def test_inside_of_a_function_its_backward_is_drawn():
    text = "import torch\ndef f(x):\n    y = 1\n    loss = torch.sum(x)\n    loss.backward()\n"
    assert drawn(text, 3).title == "loss.backward()"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "there is no backward() on line 1"),
        ("x = 1\n", 7, "there is no line 7: the file has 1"),
        ("x = 1\n", 0, "there is no line 0"),
        ("def f():\n    return 3\n", 2, "`f` around it returns no tensor"),
        ("import other\nother.loss().backward()\n", 2, "what `other.loss().backward()` is called on is not known"),
        ("def f(net, x):\n    y = 1\n    net(x).backward()\n", 2, "what `net(x).backward()` is called on is not known"),
        ("import torch\ntorch.ones(3).backward()\n", 2, "nothing goes into"),
    ],
)
def test_why_there_is_nothing_to_draw(text: str, line: int, why: str):
    with pytest.raises(NothingToDraw) as reason:
        drawn(text, line)
    assert why in str(reason.value)
