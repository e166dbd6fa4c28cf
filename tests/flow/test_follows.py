"""What the engine follows: programs that are wrong for a reason that only following them shows, and their right twins.

Every program is run on PyTorch too, and does what its comments and asserts state.
"""

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs

HEAD = """\
import torch
from torch import nn
from torch.nn import functional as F

model = nn.Linear(3, 1)
x = torch.randn(8, 3)
"""
NO_GRAPH = "# raises RuntimeError: element 0 of tensors does not require grad"
FREED = "# raises RuntimeError: Trying to backward through the graph a second time"
WRITTEN = "# raises RuntimeError: one of the variables needed for gradient computation has been modified"

WRONG = {
    "through a function": (
        "GRD101",
        f"""
        def loss_of(prediction):
            return prediction.pow(2).mean()


        loss = loss_of(model(x).detach())
        loss.backward()  {NO_GRAPH}
        """,
    ),
    "through a closure": (
        "GRD101",
        f"""
        def make(stop):
            def inner(value):
                return value.detach() if stop else value

            return inner


        make(True)(model(x)).sum().backward()  {NO_GRAPH}
        """,
    ),
    "through an attribute of a tensor": (
        "GRD110",
        f"""
        w = torch.ones(1, requires_grad=True)
        w.linked = x
        w.linked.sum().backward()  {NO_GRAPH}
        """,
    ),
    "through a dictionary and a comprehension": (
        "GRD101",
        f"""
        outputs = {{name: model(x).detach() for name in ("a", "b")}}
        sum(output.sum() for output in outputs.values()).backward()  {NO_GRAPH}
        """,
    ),
    "through an attribute that another method set": (
        "GRD101",
        f"""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 1)

            def encode(self, x):
                self.code = self.layer(x).detach()

            def forward(self, x):
                self.encode(x)
                return self.code


        Net()(x).sum().backward()  {NO_GRAPH}
        """,
    ),
    "through inheritance and super": (
        "GRD101",
        f"""
        class Base(nn.Module):
            def forward(self, x):
                return self.layer(x).detach()


        class Net(Base):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 1)

            def forward(self, x):
                return super().forward(x) * 2


        Net()(x).sum().backward()  {NO_GRAPH}
        """,
    ),
    "through functools.partial and map": (
        "GRD101",
        f"""
        from functools import partial


        def scaled(value, factor):
            return value.detach() * factor


        parts = list(map(partial(scaled, factor=2.0), [model(x), model(x)]))
        torch.stack(parts).sum().backward()  {NO_GRAPH}
        """,
    ),
    "a property": (
        "GRD101",
        f"""
        class Holder:
            def __init__(self, module):
                self.module = module

            @property
            def weight(self):
                return self.module.weight.data


        (Holder(model).weight * 2).sum().backward()  {NO_GRAPH}
        """,
    ),
    "a dataclass": (
        "GRD101",
        f"""
        from dataclasses import dataclass


        @dataclass
        class Output:
            logits: torch.Tensor
            hidden: torch.Tensor


        output = Output(model(x).detach(), x)
        output.logits.sum().backward()  {NO_GRAPH}
        """,
    ),
    "a literal argument that chooses the branch": (
        "GRD101",
        f"""
        def run(x, training=True):
            y = model(x)
            if not training:
                y = y.detach()
            return y


        run(x, training=False).sum().backward()  {NO_GRAPH}
        """,
    ),
    "a generator": (
        "GRD101",
        f"""
        def rows():
            for row in x:
                yield model(row).detach()


        torch.stack(list(rows())).sum().backward()  {NO_GRAPH}
        """,
    ),
    "only the second round": (
        "GRD301",
        f"""
        hidden = torch.zeros(8, 1)
        for _ in range(100):
            hidden = torch.tanh(hidden + model(x))
            hidden.sum().backward()  {FREED}
        """,
    ),
    "a value computed before the loop": (
        "GRD301",
        f"""
        features = torch.tanh(model(x))
        for _ in range(100):
            (features * 2).sum().backward()  {FREED}
        """,
    ),
    "a write through a view": (
        "GRD201",
        f"""
        hidden = torch.sigmoid(model(x))
        hidden[0].mul_(2)
        hidden.sum().backward()  {WRITTEN}
        """,
    ),
    "a write inside a function": (
        "GRD201",
        f"""
        def shift(value):
            value += 1
            return value


        hidden = torch.exp(model(x))
        shift(hidden)
        hidden.sum().backward()  {WRITTEN}
        """,
    ),
    "names of parameters": (
        "GRD110",
        f"""
        for name, parameter in model.named_parameters():
            if name.startswith(("weight", "bias")):
                parameter.requires_grad = False
        model(x).sum().backward()  {NO_GRAPH}
        """,
    ),
    "every optimizer knows who never learns": (
        "GRD101",
        """
        encoder, head = nn.Linear(3, 4), nn.Linear(4, 1)
        optimizer = torch.optim.Adam(list(encoder.parameters()) + list(head.parameters()))
        for _ in range(3):
            optimizer.zero_grad()
            head(encoder(x).detach()).sum().backward()
            optimizer.step()
        assert encoder.weight.grad is None
        """,
    ),
}

WRONG |= {
    "through the field of a dataclass": (
        "GRD104",
        """
        from dataclasses import dataclass, field


        @dataclass
        class Episode:
            scale: float = 2.0
            scores: list = field(default_factory=list)
            last: float = field(init=False, default=0.0)

            def __post_init__(self):
                self.head = nn.Linear(3, 1)


        episode = Episode(3.0)
        optimizer = torch.optim.SGD([*model.parameters(), *episode.head.parameters()], lr=0.1)
        for row in x:
            episode.scores.append(episode.scale * model(row).item())
        loss = (torch.tensor(episode.scores) * episode.head(x).squeeze(1)).sum()
        loss.backward()
        optimizer.step()
        assert model.weight.grad is None and episode.head.weight.grad is not None
        """,
    ),
    "through the smaller of two numbers": (
        "GRD104",
        """
        scale = nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([scale, *model.parameters()], lr=0.1)
        (min(scale.item(), 100.0) * model(x)).sum().backward()
        optimizer.step()
        assert scale.grad is None
        """,
    ),
    "through a table that is frozen": (
        "GRD110",
        """
        table = nn.Embedding.from_pretrained(torch.randn(4, 3))
        table(torch.tensor([0, 1])).sum().backward()  # raises RuntimeError: element 0 of tensors does not require grad
        """,
    ),
    "after a parameter that only a name stands for": (
        "GRD608",
        """
        other = nn.Linear(3, 1)
        before = other.weight.clone()


        def follow(ours, theirs):
            for mine, new in zip(ours.parameters(), theirs.parameters()):
                mine = 0.9 * mine + 0.1 * new.data


        follow(other, model)
        assert torch.equal(other.weight, before)
        """,
    ),
}
"""More of these."""

RIGHT = {
    "the branch that is not taken": """
        def run(x, training=True):
            y = model(x)
            if not training:
                y = y.detach()
            return y


        run(x).sum().backward()
        """,
    "two branches that exclude each other": """
        import random

        swap = random.random() < 0.5
        hidden = torch.exp(model(x)) if swap else model(x) * 2
        if not swap:
            hidden += 1
        hidden.sum().backward()
        """,
    "a state that is carried without its graph": """
        hidden = torch.zeros(8, 1)
        for _ in range(3):
            hidden = torch.tanh(hidden.detach() + model(x))
            hidden.sum().backward()
        """,
    "a target": """
        target_model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = F.mse_loss(model(x), target_model(x).detach())
        loss.backward()
        optimizer.step()
        """,
    "another backward trains what is detached here": """
        generator, critic = nn.Linear(3, 3), nn.Linear(3, 1)
        g_optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
        c_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
        for _ in range(2):
            fake = generator(x)
            c_loss = critic(fake.detach()).mean() - critic(x).mean()
            c_optimizer.zero_grad()
            c_loss.backward()
            c_optimizer.step()
            g_loss = -critic(generator(x)).mean()
            g_optimizer.zero_grad()
            g_loss.backward()
            g_optimizer.step()
        assert generator.weight.grad is not None
        """,
    "a straight-through estimator": """
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        value = model(x)
        hard = value + (value.round() - value).detach()
        hard.sum().backward()
        optimizer.step()
        assert model.weight.grad.any()
        """,
    "lists filled in rounds that were not run": """
        layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(30)] + [nn.LayerNorm(3)])
        wanted = []
        for module in layers:
            if isinstance(module, nn.LayerNorm):
                wanted.append(module.weight)
        optimizer = torch.optim.SGD(wanted, lr=0.1)
        """,
    "a sum that starts with zero": """
        loss = 0
        for row in x:
            if row.sum() > -100:
                loss += model(row).pow(2).sum()
        loss.backward()
        """,
    "a branch that is tested twice": """
        import random

        flag = random.random() < 0.5
        loss = None
        if flag:
            loss = model(x).sum()
        if flag:
            loss.backward()
        """,
    "a module in evaluation": """
        model.eval()
        with torch.no_grad():
            score = model(x).sum()
        model.train()
        print(float(score), score.item())
        model(x).sum().backward()
        """,
    "numbers from indices along an axis": """
        table = nn.Embedding(4, 3)
        _, nearest = torch.cdist(x, table.weight).detach().min(axis=1)
        table(nearest).mean(axis=0, keepdims=True).sum().backward()
        """,
    "gradients turned on inside a custom Function": """
        class Descent(torch.autograd.Function):
            @staticmethod
            def forward(ctx, start):
                with torch.enable_grad():
                    point = start.detach().requires_grad_()
                    (slope,) = torch.autograd.grad(point.pow(2).sum(), point)
                ctx.save_for_backward(slope)
                return start - slope

            @staticmethod
            def backward(ctx, gradient):
                (slope,) = ctx.saved_tensors
                with torch.enable_grad():
                    point = slope.detach().requires_grad_()
                    (again,) = torch.autograd.grad(point.exp().sum(), point)
                return gradient * again


        Descent.apply(model(x)).sum().backward()
        """,
}


def _text(program: str) -> str:
    return HEAD + textwrap.dedent(program)


def _found(text: str) -> list[tuple[str, Severity]]:
    return [(finding.code, finding.severity) for finding in findings(analyze(Source.read(text)))]


@pytest.mark.parametrize(("code", "program"), WRONG.values(), ids=WRONG)
def test_found(code: str, program: str) -> None:
    programs.check(_text(program))
    assert code in [found for found, _ in _found(_text(program))]


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT)
def test_silent(program: str) -> None:
    programs.check(_text(program))
    assert [found for found in _found(_text(program)) if found[1] in (Severity.ERROR, Severity.WARNING)] == []


def test_a_search_over_settings_tries_some_of_them() -> None:
    program = """
import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.head = nn.Linear(4, 1)
        self.layers = []
        for _ in range(depth):
            self.layers.append(nn.Linear(4, 4))

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


def train(depth, rate, steps):
    model = Stack(depth)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.rand(2, 4)).sum().backward()
        optimizer.step()


for name in ["a", "b", "c", "d", "e", "f"]:
    for depth in [2, 4, 8]:
        for rate in [0.1, 0.01, 0.001, 0.0001]:
            for steps in [10, 20, 40]:
                train(depth, rate, steps)
"""
    facts = analyze(Source.read(program))
    assert len(list(facts.of("backward"))) < 150
    assert "GRD501" in {finding.code for finding in findings(facts)}
