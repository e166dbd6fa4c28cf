"""Programs as they stand in repositories of all fields: PyTorch runs them, and gradls has nothing to say."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from gradls.workspace.session import Session
from tests.rules.reported import IMPORTS, reported

RIGHT = {
    "methods that a class is given from outside": """
        class Trace:
            def __init__(self):
                self.nodes = {}

            def __setitem__(self, name, node):
                self.nodes[name] = node

            def total(self):
                total = 0.0
                for name in self.nodes:
                    total = total + self.nodes[name].sum()
                return total

        def add_methods():
            for name in dir(torch.distributions):
                made = getattr(torch.distributions, name)
                if isinstance(made, type):
                    def drawn(self, *args, made=made, name):
                        self[name] = made(*args).rsample()

                    setattr(Trace, name.lower(), drawn)

        add_methods()

        mean = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(mean.parameters(), lr=0.1)
        for x in torch.ones(2, 4, 3):
            trace = Trace()
            trace.normal(mean(x), torch.ones(2), name="style")
            loss = trace.total()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert mean.weight.grad.any()
        """,
    "a layer that grows": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(4, 2)

            def grow(self, size):
                old = self.head
                self.head = nn.Linear(4, size)
                self.head.weight = nn.Parameter(torch.cat([old.weight, self.head.weight[len(old.weight) :]]))
                self.head.bias = nn.Parameter(torch.cat([old.bias, self.head.bias[len(old.bias) :]]))

        net = Net()
        net.grow(5)
        net.head(torch.ones(3, 4)).sum().backward()
        assert net.head.weight.grad.shape == (5, 4)
        """,
    "all rounds but the first": """
        x = torch.randn(3, requires_grad=True)
        f = -((x.cos() ** 2).sum() ** 2)
        f.backward()
        optimizer = torch.optim.SGD([x], lr=0.1)
        for step in range(11):
            if step:
                optimizer.zero_grad()
                f.backward()
                optimizer.step()
            f = -((x.cos() ** 2).sum() ** 2)
        for step in range(1, 11):
            optimizer.zero_grad()
            if step == 1:
                f = (x**2).sum()
            f.backward()
            optimizer.step()
            f = (x**2).sum()
        """,
    "the first batch": """
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = model(torch.ones(3)).pow(2).sum()
        loss.backward()
        for number, x in enumerate(torch.utils.data.DataLoader(torch.ones(9, 3))):
            if number > 0:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss = model(x).pow(2).sum()
        """,
    "a loss that is handed in": """
        class Net(nn.Module):
            def __init__(self, size: int):
                super().__init__()
                self.policy = nn.Linear(size, 2)
                self.value = nn.Linear(size, 1)
                self.optimizer = torch.optim.SGD(self.parameters(), lr=0.1)

            def forward(self, x: torch.Tensor):
                y = F.relu(self.value(x))
                x = torch.sigmoid(self.policy(x))
                return x, y

            def update(self, loss: torch.Tensor):
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()

        net = globals()["Net"](3)
        policy, value = net(torch.ones(4, 3))
        net.update(policy.sum() + value.sum())
        """,
    "samples that are summed in place": """
        class Sampled(nn.Module):
            def __init__(self):
                super().__init__()
                self.heads = nn.ModuleList([nn.Linear(3, 4) for _ in range(2)])

            def forward(self, x, head, sample=True):
                out = torch.zeros(size=(x.size()[0], 4))
                for _ in range(3 if sample else 1):
                    out.add_(F.log_softmax(self.heads[head](x), 1))
                out.div_(3)
                return out

            def loss(self, x, y, head):
                return nn.NLLLoss()(self(x, head, sample=False), y)

        globals()["Sampled"]().loss(torch.ones(2, 3), torch.tensor([0, 1]), 0).backward()
        """,
    "a default dtype that the tests set": """
        import unittest

        class Actor(nn.Module):
            def __init__(self):
                super().__init__()
                self.policy = nn.Sequential(nn.Linear(3, 2), nn.Tanh())

            def forward(self, state):
                return self.policy(state)

        def train():
            return Actor()(torch.ones(1, 3, dtype=torch.float64))

        class TestTraining(unittest.TestCase):
            def setUp(self):
                torch.set_default_dtype(torch.float64)

            def test_training(self):
                assert train().requires_grad
        """,
    "layers of its own that are gone through by index": """
        class Chain:
            def __init__(self):
                self.layers = []

            def forward(self, x):
                for i in range(len(self.layers)):
                    x = self.layers[i].forward(x)
                return x

        class Table:
            def __init__(self, size):
                self.rows = torch.randn(size, 4)

            def forward(self, x):
                return torch.cat([self.rows[column] for column in x.t()], 1)

        class Dense:
            def __init__(self, size, out):
                self.weight = torch.randn(size, out)

            def forward(self, x):
                return torch.mm(x, self.weight)

        class Squash:
            def forward(self, x):
                return torch.sigmoid(x)

        class Model:
            def __init__(self, size):
                self.chain = Chain()
                self.chain.layers = [Table(size), Dense(12, 5), Squash(), Dense(5, size), Squash()]

            def predict(self, a, b, c):
                return self.chain.forward(torch.Tensor([a, b, c]).reshape((1, 3)).long())

        assert globals()["Model"](7).predict(1, 2, 3).shape == (1, 7)
        """,
    "a step of which the number is not known": """
        class Leap(nn.Module):
            def __init__(self, target, steps, size):
                super().__init__()
                self.target, self.steps = target, steps
                self.size = nn.Parameter(size)
                self.mass = nn.Parameter(torch.zeros(1))

            def forward(self, z):
                p = torch.randn_like(z) * self.mass.exp()
                moved = z.clone()
                size = self.size.exp()
                for _ in range(self.steps):
                    half = p - size / 2 * moved.detach()
                    moved = moved + size * half
                    p = half - size / 2 * moved.detach()
                odds = torch.exp(self.target(moved) - self.target(z) + p.sum(1))
                taken = torch.rand_like(odds) < odds
                return torch.where(taken.unsqueeze(1), moved, z)

        leap = globals()["Leap"](lambda z: z.sum(1), 3, torch.zeros(1))
        leap(torch.ones(8, 2)).sum().backward()
        assert leap.size.grad is not None
        """,
    "a schedule that catches up": """
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        done = 3
        for _ in range(done):
            schedule.step()
        for _ in range(done, 9):
            for x in torch.ones(2, 4, 3):
                optimizer.zero_grad()
                model(x).sum().backward()
                optimizer.step()
            schedule.step()
        """,
    "a program that ends without gradients": """
        def main():
            torch.set_grad_enabled(False)
            assert not nn.Linear(3, 1)(torch.ones(3)).requires_grad

        if __name__ == "__main__":
            main()
        """,
    "a distribution that is chosen by branch": """
        class Policy(nn.Module):
            def __init__(self, discrete):
                super().__init__()
                self.discrete = discrete
                self.layer = nn.Linear(3, 2)
                self.width = nn.Parameter(torch.zeros(2))

            def forward(self, x):
                if self.discrete:
                    return torch.distributions.Categorical(logits=self.layer(x))
                return torch.distributions.Normal(self.layer(x), self.width.exp())

        def train(discrete):
            policy = Policy(discrete)
            before = Policy(discrete)
            with torch.no_grad():
                old = before(torch.ones(4, 3))
            loss = torch.distributions.kl_divergence(old, policy(torch.ones(4, 3))).mean()
            torch.autograd.grad(loss, policy.layer.parameters(), create_graph=True)
            loss.backward()
            assert policy.layer.weight.grad is not None

        globals()["train"](True)
        globals()["train"](False)
        """,
    "terms that are weighed in the innermost of many loops": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Linear(3, 4)
                self.first, self.second = nn.Linear(4, 2), nn.Linear(4, 2)

            def forward(self, x):
                x = self.body(x)
                return self.first(x), self.second(x)

        def train(weights, epochs):
            net = Net()
            parts = [lambda out, y: F.cross_entropy(out[0], y), lambda out, y: F.cross_entropy(out[1], y)]
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            for _ in range(epochs):
                for x in torch.ones(epochs, 4, 3):
                    out = net(x)
                    losses = [part(out, torch.zeros(4, dtype=torch.long)) for part in parts]
                    loss = sum(w * l for w, l in zip(weights, losses))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            assert net.second.weight.grad.any()

        def search(given, epochs):
            for chosen in given:
                for weights in chosen:
                    train(weights, epochs)

        globals()["search"]([[[0.3, 0.7]]], 2)
        """,
    "a base that makes the optimizer": """
        class Base(nn.Module):
            def build(self, kind):
                weights = self.parameters()
                if kind == "adam":
                    self.optimizer = torch.optim.Adam(weights)
                else:
                    self.optimizer = torch.optim.SGD(weights, 0.1)

        class Net(Base):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 1)

        globals()["Net"]().build("adam")
        """,
    "one of two optimizers, by branch": """
        def train(model, other, kind, steps):
            if kind == "sgd":
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            elif kind == "adam":
                optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
            for _ in range(steps):
                optimizer.zero_grad()
                other(model(torch.ones(2, 3))).sum().backward()
                optimizer.step()

        globals()["train"](nn.Linear(3, 3), nn.Linear(3, 1), "adam", 2)
        """,
    "a custom function of numbers": """
        class Cube(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x**3

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                return 3 * gradient * x**2

        assert Cube.apply(2) == 8
        """,
}


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT)
def test_right(program: str) -> None:
    text = IMPORTS + textwrap.dedent(program)
    assert programs.check(text).error is None
    found = findings(analyze(Source.read(text)))
    assert [finding.message for finding in found if finding.severity is not Severity.HINT] == []


@pytest.mark.parametrize(
    ("code", "blamed", "snippet"),
    [
        (
            "GRD303",
            "Trace().total().backward()",
            """
            class Trace:
                def __init__(self):
                    self.nodes = {}

                def put(self, name, node):
                    self.nodes[name] = node

                def total(self):
                    return sum(self.nodes[name].sum() for name in self.nodes)

            Trace().total().backward()
            """,
        ),
        (
            "GRD301",
            "loss.backward()",
            """
            model = nn.Linear(3, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            loss = model(torch.ones(3)).pow(2).sum()
            for step in range(100):
                if step > 0:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            """,
        ),
        (
            "GRD301",
            "loss.backward()",
            """
            model = nn.Linear(3, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for step, x in enumerate(torch.utils.data.DataLoader(torch.ones(9, 3))):
                if step == 0:
                    loss = model(x).pow(2).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            """,
        ),
        (
            "GRD508",
            "self.size",
            """
            class Norm(nn.BatchNorm1d):
                def __init__(self, features):
                    super().__init__(features)
                    self.register_buffer("size", torch.tensor(0))

                def forward(self, x):
                    self._check_input_dim(x)
                    self.size = x.size(0)
                    return super().forward(x)

            Norm(3)(torch.ones(2, 3))
            """,
        ),
        (
            "GRD505",
            "torch.optim.Adam(weights)",
            """
            class Base(nn.Module):
                def build(self):
                    weights = self.parameters()
                    self.optimizer = torch.optim.Adam(weights)

            base = Base()
            base.build()
            """,
        ),
        (
            "GRD704",
            "torch.set_grad_enabled(False)",
            """
            def test(model):
                torch.set_grad_enabled(False)
                return model(torch.ones(3))

            model = nn.Linear(3, 1)
            test(model)
            print(model)
            """,
        ),
        (
            "GRD606",
            "schedule.step()",
            """
            model = nn.Linear(3, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
            for _ in range(9):
                schedule.step()
                for x in torch.ones(2, 4, 3):
                    optimizer.zero_grad()
                    model(x).sum().backward()
                    optimizer.step()
            """,
        ),
        (
            "GRD804",
            "ctx.save_for_backward(x, n)",
            """
            class Scaled(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, n):
                    ctx.save_for_backward(x, n)
                    return x * n

                @staticmethod
                def backward(ctx, gradient):
                    return gradient, None

            Scaled.apply(torch.ones(2, requires_grad=True), 3)
            """,
        ),
        (
            "GRD114",
            "nn.Parameter(self.mix(self.head.weight))",
            """
            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.mix, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

                def grow(self):
                    self.scores = nn.Parameter(self.mix(self.head.weight))
            """,
        ),
    ],
)
def test_what_is_wrong_and_looks_alike(code: str, blamed: str, snippet: str) -> None:
    assert [text for _, text in reported(code, snippet)] == [blamed]


def test_what_forward_makes_is_told_once() -> None:
    """A layer that each forward makes anew is to be made elsewhere, and not to be given to the optimizer."""
    snippet = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 1)

        def forward(self, x):
            return self.head(nn.Linear(3, 3)(x))

    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x in torch.ones(2, 4, 3):
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()
    """
    assert reported("GRD607", snippet) == []
    assert [text for _, text in reported("GRD502", snippet)] == ["nn.Linear(3, 3)"]


def test_an_optimizer_that_its_owner_steps(tmp_path: Path) -> None:
    """In the file that makes the object one looks at gradients only; without a method that steps, nothing ever does."""
    agent = IMPORTS + textwrap.dedent("""
        class Agent(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.Linear(3, 1)
                self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

            def forward(self, x):
                return self.net(x)

            def observe(self, x):
                self.optimizer.zero_grad()
                self(x).sum().backward()
                self.optimizer.step()
        """)
    main = tmp_path / "main.py"
    main.write_text(f"{IMPORTS}from agent import Agent\n\nagent = Agent()\nagent(torch.ones(2, 3)).sum().backward()\n")
    for text, codes in ((agent, []), (agent.partition("    def observe")[0], ["GRD603"])):
        (tmp_path / "agent.py").write_text(text)
        session = Session(tmp_path)
        session.open(str(main), main.read_text())
        assert [finding.code for finding in session.findings(str(main))] == codes


@pytest.mark.parametrize(
    "made",
    [
        "x = torch.tensor([1, 2], requires_grad=True)",
        "x = torch.zeros(2, dtype=torch.long, requires_grad=True)",
        "x = torch.arange(2)\nx.requires_grad_()",
        "x = torch.ones(2).long()\nx.requires_grad = True",
        "x = nn.Parameter(torch.tensor([1, 2]))",
    ],
)
def test_what_raises_is_told_once(made: str) -> None:
    """A backward behind integers that are to require grad is not reached, and it is right once they are numbers."""
    for then in ("(x * 2.0).sum().backward()", "torch.autograd.grad((x**2).sum(), x)"):
        text = f"{IMPORTS}{made}\n{then}\n"
        assert isinstance(programs.run(text).error, RuntimeError)
        assert [finding.code for finding in findings(analyze(Source.read(text)))] == ["GRD304"]


@pytest.mark.parametrize("mark", ["# %%", "#%%", "#%% [markdown]", "# In[3]:", "# <codecell>"])
def test_values_at_the_end_of_cells_are_shown(mark: str) -> None:
    """Scripts that editors show as cells, or that notebooks were turned into, are run cell by cell."""
    text = f"{IMPORTS}{mark}\nx = torch.ones(3)\nx.sum()\nx.mean()\n\n{mark}\n# the last\nx.exp()\n"
    shown = [finding.span.line for finding in findings(analyze(Source.read(text))) if finding.code == "GRD616"]
    assert [text.splitlines()[line - 1] for line in shown] == ["x.sum()"]
    rest = text.replace(mark, "# rest")
    told = [finding.span.line for finding in findings(analyze(Source.read(rest))) if finding.code == "GRD616"]
    assert [rest.splitlines()[line - 1] for line in told] == ["x.sum()", "x.mean()", "x.exp()"]
