"""Parts of what a loader gives, moved by branch or not: they are data, and lists of what modules computed are not."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

SWAPPED = """
from data import get_loaders

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return F.log_softmax(self.layer(x), dim=-1)

def train(args, other):
    loader, test = get_loaders(args)
    model = {model}
    for batch in loader:
        {given}
        out = model(x)
        loss = {loss}
        loss.backward()
"""


@pytest.mark.parametrize(
    ("given", "loss"),
    [
        ("x, y = batch", "F.nll_loss(y, out)"),
        ("x, y = batch\n        if args.cuda:\n            x, y = x.cuda(), y.cuda()", "F.nll_loss(y, out)"),
        ("x, y = batch['x'], batch['y']\n        y = y.to(args.device)", "F.nll_loss(y.long(), out)"),
        ("batch = batch.to(args.device)\n        x, y = batch.x, batch.y", "F.nll_loss(y, out)"),
        ("x = batch.x\n        y = batch.label - 1", "F.nll_loss(y, out)"),
        ("x = batch.x\n        y = batch.text[:, 1:].contiguous().view(-1)", "F.nll_loss(y, out.view(-1, 3))"),
        ("x, y = batch", "nn.CrossEntropyLoss()(y, out)"),
    ],
)
def test_swapped(given: str, loss: str) -> None:
    found = reported("GRD401", SWAPPED.format(model="Net()", given=given, loss=loss))
    assert [severity for severity, _ in found] == ["error" if "nll_loss" in loss else "warning"]
    found = reported("GRD401", SWAPPED.format(model="other", given=given, loss=loss))
    assert [severity for severity, _ in found] == ["information"]


@pytest.mark.parametrize(
    ("given", "loss"),
    [
        ("x, y = batch", "F.nll_loss(out, y)"),
        ("x, y = batch\n        if args.cuda:\n            x, y = x.cuda(), y.cuda()", "F.nll_loss(out, y)"),
        ("x, y = batch\n        z = other(x)", "F.cross_entropy(z, out)"),
        ("x, z = batch\n        if args.soft:\n            z = other(x)", "F.cross_entropy(z, out)"),
        ("x, y = batch", "F.cross_entropy(x, y)"),
    ],
)
def test_silent(given: str, loss: str) -> None:
    for model in ("Net()", "other"):
        assert reported("GRD401", SWAPPED.format(model=model, given=given, loss=loss)) == []


LISTED = """
class Net(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range({count}):
            self.layers += [nn.Linear(3, 1)]

    def forward(self, x, y):
        parts = []
        for {loop}:
            {body}
        return torch.tensor(parts).mean()
"""


@pytest.mark.parametrize(
    ("count", "loop", "body", "found"),
    [
        ("3", "layer in self.layers", "parts += [layer(x)]", 1),
        ("count", "layer in self.layers", "parts.append(layer(x))", 1),
        ("3", "i in range(len(y))", "parts.append(torch.pow(x[i], 2).mean())", 1),
        ("3", "i in range(len(y))", "parts.append(torch.pow(x[i], 2).mean() if y[i] else torch.zeros(()))", 1),
        ("3", "i in range(len(y))", "parts.append(torch.argmax(x[i]))", 0),
        ("3", "i in range(len(y))", "parts.append(torch.pow(x[i], 2).mean().item())", 0),
        ("3", "i in range(len(y))", "parts.append(torch.zeros(3).sum())", 0),
        ("3", "i in range(len(y))", "parts.append(x[i] + 1)", 0),
    ],
)
def test_a_tensor_of_what_a_module_computed(count: str, loop: str, body: str, found: int) -> None:
    program = LISTED.format(count=count, loop=loop, body=body)
    assert [severity for severity, _ in reported("GRD102", program)] == ["information"] * found


def test_outside_of_modules_it_may_be_data() -> None:
    program = "def collate(x):\n    return torch.tensor([torch.pow(part, 2).mean() for part in x])"
    assert reported("GRD102", program) == []


def test_lists_of_layers_grow_in_place() -> None:
    program = """
    layers = nn.ModuleList([nn.Linear(3, 3)])
    same = layers
    same += [nn.Linear(3, 3), nn.Linear(3, 3)]
    assert len(list(layers.parameters())) == 6
    optimizer = torch.optim.SGD(nn.ModuleList([layers[0]]).parameters(), lr=0.1)
    x = torch.randn(2, 3)
    for layer in layers:
        x = layer(x)
    x.mean().backward()
    optimizer.step()
    """
    assert [severity for severity, _ in reported("GRD607", program)] == ["information"]


@pytest.mark.parametrize("count", [3, 30])
def test_each_of_many_modules_is_initialized(count: int) -> None:
    """What is done to modules in a loop is known of each: a model made anew is another one."""
    program = f"""
    class Net(nn.Sequential):
        def __init__(self):
            super().__init__({", ".join(["nn.Linear(3, 3)"] * count)})
            for module in self.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_uniform_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net = Net()
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(2, 3)).mean().backward()
        optimizer.step()
    """
    assert [severity for severity, _ in reported("GRD607", program)] == ["warning"]


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ("F.binary_cross_entropy_with_logits(torch.ones_like(scores), scores)", 1),
        ("F.binary_cross_entropy_with_logits(torch.full_like(scores, 0.9).to(device), scores.view(-1))", 1),
        ("nn.BCELoss()(torch.zeros(3, 1), judge(scores))", 1),
        ("F.binary_cross_entropy_with_logits(scores, torch.ones_like(scores))", 0),
        ("F.binary_cross_entropy_with_logits(torch.zeros(3), torch.ones(3))", 0),
        ("F.binary_cross_entropy_with_logits(torch.zeros_like(scores) + scores, judge(scores))", 0),
        ("F.mse_loss(torch.ones_like(scores), scores)", 0),
        ("F.binary_cross_entropy_with_logits(torch.randn(3, 1), scores)", 0),
    ],
)
def test_a_constant_is_no_prediction(loss: str, found: int) -> None:
    program = f"def measure(scores, judge, device):\n    return {loss}"
    assert [severity for severity, _ in reported("GRD401", program)] == ["information"] * found
