"""The pitfalls that gradls was asked for: each reported by the server, mended by its code action, and run on PyTorch.

Every program is run before and after the fix. Before, it does what its comments and asserts state; after, the line
under `then` holds. Pitfalls without an automatic fix have no `then`.
"""

from typing import NamedTuple

import pytest
from lsprotocol import types

from gradls.testing import programs
from tests.lsp.clients import Client

URI = "file:///t/pitfall.py"
ERROR, WARNING, INFORMATION = (
    types.DiagnosticSeverity.Error,
    types.DiagnosticSeverity.Warning,
    types.DiagnosticSeverity.Information,
)
NO_GRAPH = "# raises RuntimeError: element 0 of tensors does not require grad"
INPLACE = "# raises RuntimeError: one of the variables needed for gradient computation has been modified by an inplace"


class Pitfall(NamedTuple):
    name: str
    severity: types.DiagnosticSeverity
    before: str
    then: str = ""


MODEL = """\
import torch
from torch import nn
from torch.nn import functional as F

model = nn.Linear(3, 4)
x = torch.randn(8, 3)
labels = torch.randint(0, 4, (8,))
"""
LEARNS = "assert model.weight.grad is not None"
PITFALLS = {
    "criterion with (target, prediction)": Pitfall(
        "swapped-loss-arguments",
        INFORMATION,
        MODEL
        + "loss = nn.MSELoss()(torch.ones(8, 4), model(x))\nloss.backward()\nassert model.weight.grad is not None\n",
        LEARNS,
    ),
    "asymmetric loss with (target, prediction)": Pitfall(
        "swapped-loss-arguments",
        ERROR,
        MODEL + "loss = nn.CrossEntropyLoss()(labels, model(x))  # raises RuntimeError\nloss.backward()\n",
        LEARNS,
    ),
    "the same by keyword": Pitfall(
        "swapped-loss-arguments",
        ERROR,
        MODEL + "loss = F.cross_entropy(target=model(x), input=labels)  # raises RuntimeError\nloss.backward()\n",
        LEARNS,
    ),
    "tensor of a list of tensors": Pitfall(
        "tensor-of-tensors",
        ERROR,
        MODEL
        + "losses = [model(row).sum() for row in x]\nloss = torch.tensor(losses).mean()\n"
        + f"loss.backward()  {NO_GRAPH}\n",
        LEARNS,
    ),
    "tensor of a list with requires_grad": Pitfall(
        "tensor-of-tensors",
        WARNING,
        MODEL + "losses = [model(row).sum() for row in x]\nloss = torch.tensor(losses, requires_grad=True).mean()\n"
        "loss.backward()\nassert model.weight.grad is None\n",
        LEARNS,
    ),
    "Variable around a result": Pitfall(
        "rewrapped-tensor",
        ERROR,
        "from torch.autograd import Variable\n"
        + MODEL
        + f"loss = Variable(model(x)).sum()\nloss.backward()  {NO_GRAPH}\n",
        LEARNS,
    ),
    "loss told to require grad": Pitfall(
        "forced-requires-grad",
        WARNING,
        MODEL + "loss = (model(x).argmax(1) != labels).float().mean()\nloss.requires_grad_(True)\nloss.backward()\n"
        "assert model.weight.grad is None\n",
    ),
    "detach before the loss": Pitfall(
        "detached-loss",
        ERROR,
        MODEL + f"loss = F.cross_entropy(model(x).detach(), labels)\nloss.backward()  {NO_GRAPH}\n",
        LEARNS,
    ),
    ".data before the loss": Pitfall(
        "detached-loss",
        ERROR,
        MODEL + f"loss = F.cross_entropy(model(x).data, labels)\nloss.backward()  {NO_GRAPH}\n",
        LEARNS,
    ),
    "item of a term of the loss": Pitfall(
        "number-in-loss",
        WARNING,
        MODEL
        + "other = nn.Linear(3, 1)\noptimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)\n"
        "loss = F.cross_entropy(model(x), labels) + other(x).pow(2).mean().item()\nloss.backward()\noptimizer.step()\n"
        "assert other.weight.grad is None\n",
        "assert other.weight.grad is not None",
    ),
    "nothing requires grad": Pitfall(
        "nothing-requires-grad",
        ERROR,
        f"import torch\n\nw = torch.randn(3, requires_grad=False)\nloss = (w * 2).sum()\nloss.backward()  {NO_GRAPH}\n",
        "assert w.grad is not None",
    ),
    "a frozen tensor beside a trained one": Pitfall(
        "frozen-beside-trained",
        INFORMATION,
        "import torch\n\nx = torch.randn(3, requires_grad=True)\nw = torch.randn(3, requires_grad=False)\n"
        "loss = (x * w).sum()\nloss.backward()\n",
        "assert w.grad is not None",
    ),
    "forward under no_grad": Pitfall(
        "forward-without-grad",
        ERROR,
        MODEL + f"with torch.no_grad():\n    loss = F.cross_entropy(model(x), labels)\nloss.backward()  {NO_GRAPH}\n",
        LEARNS,
    ),
    "argmax in the loss": Pitfall(
        "no-derivative",
        ERROR,
        MODEL + f"loss = (model(x).argmax(1) != labels).float().mean()\nloss.backward()  {NO_GRAPH}\n",
    ),
    "rounding in the loss": Pitfall(
        "zero-gradient",
        WARNING,
        MODEL + "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\nloss = model(x).round().pow(2).mean()\n"
        "loss.backward()\noptimizer.step()\nassert not model.weight.grad.any()\n",
    ),
    "write to a saved tensor": Pitfall(
        "written-before-backward",
        ERROR,
        MODEL + f"hidden = torch.sigmoid(model(x))\nhidden += 1\nloss = hidden.sum()\nloss.backward()  {INPLACE}\n",
        LEARNS,
    ),
    "write to a leaf": Pitfall(
        "leaf-written-in-place",
        ERROR,
        "import torch\n\nw = torch.randn(3, requires_grad=True)\n"
        "w *= 0.1  # raises RuntimeError: a leaf Variable that requires grad is being used in an in-place operation\n"
        "w.sum().backward()\n",
        "assert w.grad is not None",
    ),
}


@pytest.mark.parametrize("pitfall", PITFALLS.values(), ids=PITFALLS)
async def test_pitfall(client: Client, pitfall: Pitfall) -> None:
    programs.check(pitfall.before)
    await client.begin("vscode")
    client.open(URI, pitfall.before)
    found = [one for one in await client.diagnostics_of(URI) if one.data["name"] == pitfall.name]
    assert found, [(one.code, one.message) for one in await client.diagnostics_of(URI)]
    assert found[0].severity == pitfall.severity
    assert found[0].related_information
    if not pitfall.then:
        return
    actions = await client.actions(URI, found[:1], only=["quickfix"])
    fixes = [action for action in actions if "ignore" not in action.title.lower()]
    mended = await client.choose(URI, fixes[0])
    assert mended != pitfall.before
    programs.check(_without_raises(mended) + pitfall.then + "\n")


def _without_raises(text: str) -> str:
    """The program without what it stated before the fix."""
    lines = [line.partition("  # raises ")[0] for line in text.splitlines()]
    return "\n".join(line for line in lines if not line.startswith("assert ")) + "\n"


@pytest.mark.parametrize(
    "allowed",
    [
        "h = model(x)\nh *= 2.0\nloss = h.sum()",
        "loss = (model(x) * 2.0).sum()",
        "loss = model(x).clone().mul_(2).sum()",
        "y = model(x) * 2\ny.add_(x.sum())\nloss = y.sum()",
    ],
)
async def test_what_tutorials_call_broken_and_is_not(client: Client, allowed: str) -> None:
    program = f"{MODEL}{allowed}\nloss.backward()\nassert model.weight.grad is not None\n"
    programs.check(program)
    await client.begin("neovim")
    client.open(URI, program)
    assert await client.diagnostics_of(URI) == []
