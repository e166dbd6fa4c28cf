"""Memory and modes: what must be found, and what looks alike and must not be."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import reported

TRAIN = """
net = nn.Sequential(nn.Linear(3, 4), nn.{layer}, nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
total, kept, mean = 0, [], torch.zeros(())
for x in [torch.randn(8, 3) for _ in range(4)]:
    opt.zero_grad()
    loss = net(x).mean()
    loss.backward()
    opt.step()
"""


def train(body: str, layer: str = "Dropout()", after: str = "") -> str:
    return TRAIN.format(layer=layer) + textwrap.indent(body, "    ") + "\n" + after


@pytest.mark.parametrize(
    "body",
    [
        "total += loss",
        "total = total + loss",
        "mean = 0.9 * mean + 0.1 * loss",
        "mean.add_(loss)",
        "kept.append(loss)",
        "kept.append((x, loss))",
    ],
)
def test_kept_graph(body: str) -> None:
    assert [severity for severity, _ in reported("GRD701", train(body))] == ["information"]


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ("total += loss.item()", ""),
        ("total += loss.detach()", ""),
        ("with torch.no_grad():\n    total = total + loss", ""),
        ("kept.append(loss.item())", ""),
        ("other = net(x).sum()\nkept.append(other)", "torch.stack(kept).sum().backward()"),
        ("kept.append(net(x).sum())", "finish(kept)"),
        ("y = net(x)\ny = y + loss", ""),
    ],
)
def test_nothing_is_kept(body: str, after: str) -> None:
    assert reported("GRD701", train(body, after=after)) == []


UNKNOWN_LOOP = """
def train(net, loader, opt, measure):
    total, kept, average = 0.0, [], None
    for x, y in loader:
        opt.zero_grad()
        loss = measure(net(x), y)
        loss.backward({})
        opt.step()
        {}
    return total, kept
"""


@pytest.mark.parametrize(
    ("options", "kept", "found"),
    [
        ("", "total += loss", 1),
        ("", "total += loss * len(x)", 1),
        ("", "kept.append(loss)", 1),
        ("", "total += loss.item()", 0),
        ("", "total += float(loss)", 0),
        ("", "total += len(x)", 0),
        ("", "kept.append((x, y))", 0),
        ("retain_graph=True", "total += loss", 0),
    ],
)
def test_what_backward_has_spent_cannot_be_meant_to_be_used(options: str, kept: str, found: int) -> None:
    assert len(reported("GRD701", UNKNOWN_LOOP.format(options, kept))) == found


@pytest.mark.parametrize(
    "made", ['{"a": 0.0, "b": 0.0}', "defaultdict(float)", "defaultdict(lambda: torch.tensor(0.0))"]
)
@pytest.mark.parametrize(("added", "found"), [("part", 1), ("part * len(x)", 1), ("part.item()", 0)])
def test_totals_by_name(made: str, added: str, found: int) -> None:
    body = f"for name, part in losses(loss).items():\n    sums[name] += {added}"
    first = "from collections import defaultdict\ndef losses(loss):\n    return {'a': loss, 'b': loss * 2}\n"
    assert len(reported("GRD701", f"{first}sums = {made}\n" + train(body))) == found


def test_parts_that_are_added_up_before_backward() -> None:
    snippet = """
    net = nn.Linear(3, 1)
    for x in [torch.randn(8, 3) for _ in range(4)]:
        sums = {"a": 0.0}
        for name, part in {"a": net(x).mean(), "b": net(x).sum()}.items():
            sums["a"] += part
        sums["a"].backward()
    """
    assert reported("GRD701", snippet) == []


def test_average_that_begins_as_none() -> None:
    assert len(reported("GRD701", train("mean = loss if mean is None else 0.9 * mean + 0.1 * loss"))) == 1


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("total += (w ** 2).sum()", 1),
        ("kept.append((w ** 2).sum())", 1),
        ("h = h + torch.tanh(h * w)", 0),
        ("w = (w + 0.1 * w.grad).detach().requires_grad_()", 0),
    ],
)
def test_kept_without_a_backward(body: str, found: int) -> None:
    first = "w = torch.ones(3, requires_grad=True)\ntotal, kept, h = 0, [], torch.ones(3)\nfor _ in range(9):\n    "
    assert len(reported("GRD701", first + body)) == found


def test_total_of_an_object() -> None:
    snippet = """
    class Trainer:
        def step(self, x, y):
            loss = self.measure(self.net(x), y)
            loss.backward()
            self.total += loss
    """
    assert len(reported("GRD701", snippet)) == 1


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("for x in loader:\n        print(net(x).argmax(1))", 1),
        ("loss = sum(measure(net(x), y).item() for x, y in loader)", 1),
        ("with torch.no_grad():\n        print(net(loader))", 0),
        ("return net(loader)", 0),
        ("net.train()\n    print(net(loader))", 0),
        ("x = loader.requires_grad_()\n    net(x).sum().backward()\n    return x.grad", 0),
        ("out = net(loader)\n    out.sum().backward()", 0),
        ("kept = []\n    for x in loader:\n        kept.append(net(x))\n    return torch.cat(kept)", 0),
    ],
)
@pytest.mark.parametrize("made", ["", "net = nn.Linear(3, 2)\n    "])
def test_evaluation_that_records(body: str, made: str, found: int) -> None:
    argument = "loader" if made else "net, loader"
    snippet = f"def evaluate({argument}, measure=None):\n    {made}net.eval()\n    {body}\n"
    assert len(reported("GRD709", snippet)) == found


def test_frozen_parts_that_are_in_eval_mode() -> None:
    snippet = """
    class Perceptual(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Linear(3, 4).eval()

        def forward(self, x):
            return self.features(x).pow(2).mean()
    """
    assert reported("GRD709", snippet) == []


def test_lists_of_a_forward_are_no_leak() -> None:
    snippet = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(4)])

        def forward(self, x):
            kept = []
            for layer in self.layers:
                x = layer(x)
                kept.append(x)
            return x, kept

    net = Net()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        net(torch.randn(8, 3))[0].sum().backward()
        opt.step()
    """
    assert reported("GRD701", snippet) == []


@pytest.mark.parametrize(
    ("body", "layer", "found"),
    [
        ("net.eval()", "Dropout()", 1),
        ("validate()", "BatchNorm1d(4)", 1),
        ("if input():\n    validate()", "Dropout()", 1),
        ("net.eval()\nnet.train()", "Dropout()", 0),
        ("net.eval()", "ReLU()", 0),
        ("net.eval()", "LayerNorm(4)", 0),
        ("frozen.eval()", "Dropout()", 0),
    ],
)
def test_eval_mode_left_on(body: str, layer: str, found: int) -> None:
    first = "frozen = nn.Dropout()\ndef validate():\n    net.eval()\n    return net(torch.randn(8, 3)).mean().item()\n"
    assert len(reported("GRD705", first + train(body, layer))) == found


def test_training_in_eval_mode_from_the_beginning_is_meant() -> None:
    snippet = train("net.eval()").replace("opt =", "net.eval()\nopt =")
    assert reported("GRD705", snippet) == []
    assert (
        reported("GRD705", train("net.eval()").replace("    opt.zero_grad", "    net.train()\n    opt.zero_grad")) == []
    )


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("torch.no_grad()", 1),
        ("torch.enable_grad()", 1),
        ("torch.inference_mode()", 1),
        ("torch.set_grad_enabled(False)", 0),
        ("with torch.no_grad():\n    pass", 0),
        ("guard = torch.no_grad()", 0),
        ("stack.enter_context(torch.no_grad())", 0),
    ],
)
def test_bare_grad_mode(statement: str, found: int) -> None:
    assert len(reported("GRD702", statement)) == found


def test_snapshots_of_weights() -> None:
    snippet = """
    import copy
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    best = None
    for x in [torch.randn(8, 3) for _ in range(4)]:
        opt.zero_grad()
        loss = net(x).mean()
        loss.backward()
        opt.step()
        if loss.item() < limit:
            best = {state}
    net.load_state_dict(best)
    """
    assert len(reported("GRD708", snippet.format(state="net.state_dict()"))) == 1
    assert reported("GRD708", snippet.format(state="copy.deepcopy(net.state_dict())")) == []
    copied = "{name: tensor.clone() for name, tensor in net.state_dict().items()}"
    assert reported("GRD708", snippet.format(state=copied)) == []


KEPT = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
best, best_loss, other = net, 1e9, nn.Linear(3, 1)
for epoch in range(5):
    opt.zero_grad()
    loss = net(torch.randn(8, 3)).mean()
    loss.backward()
    opt.step()
    {}
{}
"""
BETTER = "if loss.item() < best_loss:\n        best_loss = loss.item()\n        "


@pytest.mark.parametrize(
    ("kept", "after", "found"),
    [
        (BETTER + "best = net", "best.eval()", 1),
        (BETTER + "best, best_epoch = net, epoch", "torch.save(best, 'best.pt')", 1),
        (BETTER + "best = net", "", 0),
        (BETTER + "best = copy.deepcopy(net)", "best.eval()", 0),
        (BETTER + "best = other", "best.eval()", 0),
        (BETTER + "best = net\n        break", "best.eval()", 0),
        ("best = net", "best.eval()", 0),
        (BETTER + "best = net\n    best(torch.ones(1, 3))", "best.eval()", 0),
    ],
)
def test_model_that_is_kept_without_a_copy(kept: str, after: str, found: int) -> None:
    assert len(reported("GRD714", "import copy\n" + KEPT.format(kept, after))) == found


def test_model_that_is_kept_on_an_object() -> None:
    snippet = """
    class Trainer:
        def __init__(self):
            self.net = nn.Linear(3, 1)
            self.best, self.lowest = None, 1e9
            self.opt = torch.optim.SGD(self.net.parameters(), lr=0.1)

        def fit(self, data):
            for x in data:
                self.opt.zero_grad()
                loss = self.net(x).mean()
                loss.backward()
                self.opt.step()
                if loss.item() < self.lowest:
                    self.lowest = loss.item()
                    self.best = {}

        def predict(self, x):
            return self.best(x)

    trainer = Trainer()
    trainer.fit([torch.randn(8, 3)] * 3)
    """
    assert reported("GRD714", snippet.format("self.net")) == [("warning", "self.best")]
    assert reported("GRD714", snippet.format("nn.Linear(3, 1)")) == []


@pytest.mark.parametrize(
    ("made", "loaded", "found"),
    [
        ("net", "target.load_state_dict(net.state_dict())", 1),
        ("copy.deepcopy(net)", "target.load_state_dict(net.state_dict())", 0),
        ("net", "net.load_state_dict(net.state_dict())", 0),
        ("nn.Linear(3, 1)", "target.load_state_dict(net.state_dict())", 0),
    ],
)
def test_module_that_loads_its_own_state(made: str, loaded: str, found: int) -> None:
    assert len(reported("GRD714", f"import copy\nnet = nn.Linear(3, 1)\ntarget = {made}\n{loaded}")) == found


@pytest.mark.parametrize(
    ("rate", "found"),
    [
        ("dropout_p=0.1", 1),
        ("dropout_p=self.rate", 1),
        ("dropout_p=self.none", 0),
        ("dropout_p=0.0", 0),
        ("dropout_p=self.rate if self.training else 0.0", 0),
        ("is_causal=True", 0),
    ],
)
def test_attention_that_drops_in_evaluation(rate: str, found: int) -> None:
    snippet = f"""
    class Attention(nn.Module):
        def __init__(self, rate):
            super().__init__()
            self.rate, self.none = rate, 0.0

        def forward(self, q, k, v):
            return F.scaled_dot_product_attention(q, k, v, {rate})
    """
    assert len(reported("GRD706", snippet)) == found


UNKNOWN_MODEL = """
class Trainer({base}):
    def __init__(self, epochs):
        self.epochs, self.model, self.best = epochs, None, None

    def fit(self, loader):
        lowest = 1e9
        for epoch in range(self.epochs):
            for x, y in loader:
                loss = (self.model(x) - y).pow(2).mean()
                loss.backward()
                self.optimizer.step()
            if loss.item() < lowest:
                lowest = loss.item()
                {kept}
        {after}
"""


@pytest.mark.parametrize("base", ["object", "Base"])
@pytest.mark.parametrize(
    ("kept", "after", "found"),
    [
        ("best = self.model.state_dict()", "self.model.load_state_dict(best)", 1),
        ("best = self.model.state_dict()", "torch.save(best, 'best.pt')", 1),
        ("best = self.model.state_dict()", "return lowest", 0),
        ("best = copy.deepcopy(self.model.state_dict())", "self.model.load_state_dict(best)", 0),
        ("best = self.model.state_dict()\n                break", "self.model.load_state_dict(best)", 0),
        ("best = self.model.state_dict()\n                torch.save(best, 'b.pt')", "print(best)", 0),
        ("self.best = self.model.state_dict()", "return lowest", 1),
    ],
)
def test_state_of_an_unknown_model(base: str, kept: str, after: str, found: int) -> None:
    snippet = "import copy\nfrom elsewhere import Base\n" + UNKNOWN_MODEL.format(base=base, kept=kept, after=after)
    assert [severity for severity, _ in reported("GRD708", snippet)] == ["information"] * found


def test_state_that_nothing_trains() -> None:
    snippet = """
    def pick(models, scores):
        best, state = 0, None
        for model, score in zip(models, scores):
            if score > best:
                best, kept = score, None
                state = model.state_dict()
        return state
    """
    assert reported("GRD708", snippet) == []


@pytest.mark.parametrize(("part", "found"), [("models.resnet18()", ["information"]), ("nn.Linear(9, 3)", [])])
@pytest.mark.parametrize(("last", "undone"), [("pass", False), ("net.train()", True)])
def test_evaluation_mode_of_a_model_with_a_part_of_another_library(
    part: str, found: list[str], last: str, undone: bool
) -> None:
    snippet = f"""
    from torchvision import models

    class Net(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.config, self.part, self.head = config, {part}, nn.Linear(3, 1)

        def forward(self, x):
            return self.head(self.part(x))

    net = Net(load_config())
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in load():
        opt.zero_grad()
        net(x).mean().backward()
        opt.step()
        net.eval()
        evaluate(net(x).detach())
        {last}
    """
    assert [severity for severity, _ in reported("GRD705", snippet)] == ([] if undone else found)
