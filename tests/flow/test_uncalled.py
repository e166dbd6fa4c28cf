"""What is said of expressions in functions that nobody in the file calls, or of whose arguments nothing is known."""

from __future__ import annotations

import ast
import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.syntax.source import Source

HEAD = """
import numpy as np
import torch
from torch import nn
import torch.nn.functional as F
"""
Said = bool | None

CASES: dict[str, tuple[str, dict[str, Said]]] = {
    "functions inside of one that are returned, handed out, or both, and one inside of these": (
        """
        def make(model, engine):
            weight = torch.ones(3, requires_grad=True)

            def update(batch):
                loss = weight * 2

                def log():
                    return loss.detach() + 3

                engine.log(log)
                return loss.sum()

            def evaluate(batch):
                return weight.detach() + 4

            engine.run(evaluate)
            return update
        """,
        {"weight * 2": True, "loss.detach() + 3": False, "weight.detach() + 4": False},
    ),
    "a function inside of one that the module calls": (
        """
        def make(scale):
            weight = torch.ones(3, requires_grad=True)

            def update(batch):
                return weight * scale

            return update

        run(make(torch.ones(3)))
        """,
        {"weight * scale": True},
    ),
    "the forward of a module with parameters": (
        """
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, x):
                y = self.layer(x)
                return y.relu()
        """,
        {"x": None, "self.layer(x)": True, "y.relu()": True},
    ),
    "a forward that is also called with gradients off": (
        """
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, x):
                return self.layer(x)

            @torch.no_grad()
            def generate(self, x):
                return self(x) + 1
        """,
        {"self.layer(x)": True, "self(x) + 1": False},
    ),
    "an attribute that is declared to be of a class and holds an object of one that derives from it": (
        """
        class Base(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 3)

            def forward(self, x):
                return self.layer(x).detach()

        class Special(Base):
            def __init__(self):
                super().__init__()

            def forward(self, x):
                return self.layer(x)

        class Holder:
            net: Base

            def __init__(self, net: Special):
                self.net = net

            def step(self):
                return self.net(torch.ones(3))
        """,
        {"self.net(torch.ones(3))": True},
    ),
    "something unknown is called with gradients off": (
        """
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, x):
                return self.layer(x)

        class Sampler:
            def __init__(self, model):
                self.model = model

            def sample(self, x):
                with torch.no_grad():
                    return self.model(x)
        """,
        {"self.layer(x)": None, "self.model(x)": False},
    ),
    "methods of tensors and imported functions are not the file's own": (
        """
        from elsewhere import helper

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, x):
                return self.layer(x)

        def evaluate(x):
            with torch.no_grad():
                return helper(x.cpu(), 1)
        """,
        {"self.layer(x)": True, "helper(x.cpu(), 1)": False},
    ),
    "what another module of the file gives it": (
        """
        class Inner(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, hidden):
                return hidden * 2

        class Outer(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.first = nn.Linear(size, size)
                self.inner = Inner(size)

            def forward(self, x):
                return self.inner(self.first(x))
        """,
        {"hidden": True, "hidden * 2": True, "x": None},
    ),
    "what it is given is sometimes unknown": (
        """
        class Inner(nn.Module):
            def forward(self, hidden):
                return hidden * 2

        class Outer(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.first = nn.Linear(size, size)
                self.inner = Inner()

            def forward(self, x):
                return self.inner(self.first(x)) + self.inner(x)
        """,
        {"hidden": None, "hidden * 2": None, "self.first(x)": True},
    ),
    "integers and truth values": (
        """
        def run(scores, limit, other):
            kept = scores > limit
            least = scores > 0
            best = scores.argmax(dim=1)
            chosen = other.long().view(-1)
            return scores, kept, least, best, chosen
        """,
        {"scores": None, "kept": False, "least": False, "best": False, "chosen": False},
    ),
    "computed with gradients off": (
        """
        class Agent:
            def act(self, seen):
                with torch.no_grad():
                    value, extra = self.policy(seen)
                    total = value.flatten() + extra
                    alias = seen.view(-1)
                return value, total, alias, value.clone().cpu()
        """,
        {"value": False, "total": False, "alias": None, "value.clone().cpu()": False},
    ),
    "what is called later is not known": (
        """
        def build(config, x):
            with torch.no_grad():
                model = config.make(x)
            return model(x), model.weight
        """,
        {"model(x)": None, "model.weight": None},
    ),
    "sizes and kinds": (
        """
        def positions(x, scale: float = 2.0):
            size = x.shape[-1]
            steps = torch.arange(size) / (size // 2) ** scale
            return steps.to(x.device).type(x.dtype) * x.size(0)
        """,
        {"steps": False, "steps.to(x.device).type(x.dtype) * x.size(0)": False},
    ),
    "einops": (
        """
        from einops import einsum, pack, rearrange, reduce, repeat, unpack
        from einops.layers.torch import Rearrange

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.token = nn.Parameter(torch.zeros(size))
                self.layers = nn.Sequential(Rearrange("b c h w -> b (h w) c"), nn.Linear(size, size))

            def forward(self, image):
                x = self.layers(image)
                x = rearrange(x, "b n d -> b d n") + repeat(self.token, "d -> b d 1", b=2)
                both, shapes = pack([x, x], "* d n")
                one, two = unpack(both, shapes, "* d n")
                mask = rearrange(torch.ones(3, 4), "a b -> b a")
                turned = rearrange(image, "b c h w -> b c w h")
                return reduce(one, "b d n -> b", "mean"), einsum(one, two, "b d n, b d n -> b"), mask, turned
        """,
        {
            "x": True,
            'repeat(self.token, "d -> b d 1", b=2)': True,
            "both": True,
            'reduce(one, "b d n -> b", "mean")': True,
            'einsum(one, two, "b d n, b d n -> b")': True,
            "mask": False,
            'rearrange(image, "b c h w -> b c w h")': None,
        },
    ),
    "what backward is called on": (
        """
        def update(model, batch, other, optimizer):
            guess = model(batch)
            loss = F.mse_loss(guess, torch.zeros(3)).mean()
            penalty = guess.pow(2) + other
            optimizer.zero_grad()
            loss.backward()
            return loss.item(), penalty
        """,
        {"loss": True, "guess": True, "F.mse_loss(guess, torch.zeros(3))": True, "other": None, "penalty": None},
    ),
    "a backward in a branch proves nothing outside of it": (
        """
        def update(model, batch, train):
            loss = model(batch).mean()
            if train:
                loss.backward()
            return loss + 1
        """,
        {"model(batch).mean()": None, "loss + 1": None},
    ),
    "the branches before a backward": (
        """
        def update(self, clip):
            used = self.critic(self.seen)
            if clip:
                other = used.clamp(-1, 1)
            if used.item() > 3:
                return
            (used * 2).sum().backward()
        """,
        {"used": True, "used * 2": True, "self.seen": None},
    ),
    "a method of the base class calls it with gradients off": (
        """
        class Base(nn.Module):
            def predict(self, x):
                with torch.no_grad():
                    return self.act(x)

            def act(self, x):
                raise NotImplementedError

        class Agent(Base):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def act(self, x):
                return self.layer(x)
        """,
        {"self.layer(x)": True},
    ),
    "objects that are declared to be of a class": (
        """
        class Critic(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, 1)

            def forward(self, x):
                return self.layer(x)

        class Buffer:
            def __init__(self, size):
                self.seen = np.zeros(size)

            def sample(self):
                return torch.as_tensor(self.seen)

        class Agent:
            critic: Critic

            def __init__(self, make, kind):
                self.buffer: Buffer | None = None
                self.critic = make("critic")
                self.buffer = kind(3)

            def values(self):
                batch = self.buffer.sample()
                return self.critic(batch)

        def judge(critic: "Critic", x):
            return critic(x) - 1
        """,
        {"batch": False, "self.critic(batch)": True, "critic(x) - 1": True},
    ),
    "a declared class may stand for one that derives from it": (
        """
        class Layer(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.size = size

        class Wide(Layer):
            pass

        def run(layer: Layer, x):
            value = nn.Linear(3, 3)(x)
            if isinstance(layer, Wide):
                value = value.detach()
            return value
        """,
        {"value": None},
    ),
    "a distribution of each round of a loop": (
        """
        class Policy(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, x, times, wide):
                for _ in range(times):
                    for _ in range(times):
                        mean = self.layer(x)
                        if wide:
                            self.found = torch.distributions.Normal(mean, 1.0)
                        elif times:
                            self.found = torch.distributions.Categorical(logits=mean)
                likelihood = self.found.log_prob(torch.zeros(3))
                return likelihood
        """,
        {"likelihood": True},
    ),
    "what an embedding takes": (
        """
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.table = nn.Embedding(size, 3)

            def forward(self, tokens, more):
                count = tokens.size(0) + 1
                return self.table(tokens) + more
        """,
        {"tokens": False, "self.table(tokens)": True, "more": None},
    ),
    "batches that are fetched by hand": (
        """
        from torch.utils.data import DataLoader

        class Trainer:
            def __init__(self, data, model):
                self.data = data
                self.model = model

            def run(self):
                loader = DataLoader(self.data)
                batches = iter(loader)
                while True:
                    try:
                        batch = next(batches)
                    except StopIteration:
                        batches = iter(loader)
                        batch = next(batches)
                    x, y = [part.to("cpu") for part in batch]
                    guess, self.loss = self.model(x, y)
                    self.loss.backward()
        """,
        {"part": False, 'part.to("cpu")': False, "x": False, "y": False, "self.loss": True},
    ),
    "Variable, data_parallel and the names of classes": (
        """
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Sequential(nn.Conv2d(1, size, 1, bias=False), nn.BatchNorm2d(size))
                self.apply(start)

            def forward(self, x, devices):
                if devices > 1:
                    y = nn.parallel.data_parallel(self.layer, x, range(devices))
                else:
                    y = self.layer(x)
                return y, torch.autograd.Variable(x.type(torch.FloatTensor))

        def start(module):
            name = module.__class__.__name__
            if name.find("Conv") != -1:
                nn.init.normal_(module.weight)
            elif name.find("BatchNorm") != -1:
                nn.init.zeros_(module.bias)
        """,
        {
            "y": True,
            "torch.autograd.Variable(x.type(torch.FloatTensor))": False,
            "module.weight": True,
            "module.bias": True,
        },
    ),
    "gradients that somebody else made, with a graph or without": (
        """
        class Descent(torch.optim.Optimizer):
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            change = p.grad * 2

        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(3))

            def size(self):
                return self.weight.grad.abs()
        """,
        {"p.grad": None, "p.grad * 2": None, "self.weight.grad.abs()": None},
    ),
    "gradients that a backward made": (
        """
        def plain(network, x):
            network(x).sum().backward()
            return [p.grad * 2 for p in network.parameters()]

        def curved(network, x):
            network(x).sum().backward(create_graph=True)
            return [p.grad * 3 for p in network.parameters()]

        def unclear(network, x, higher):
            network(x).sum().backward(create_graph=higher)
            return [p.grad * 4 for p in network.parameters()]

        def again(network, x):
            network(x).sum().backward(create_graph=True)
            network(x).sum().backward()
            return [p.grad * 5 for p in network.parameters()]
        """,
        {"p.grad * 2": False, "p.grad * 3": None, "p.grad * 4": None, "p.grad * 5": None},
    ),
    "a dictionary that another method fills": (
        """
        class Trainer:
            def __init__(self, names):
                names.append("all")
                self.losses = {name: 0 for name in names}
                self.sums = {"all": torch.zeros(3)}
                self.fixed = {"all": torch.zeros(3)}

            def gather(self, name, loss):
                self.losses[name] = loss
                self.sums[name] = loss

            def total(self):
                return self.sums["all"] * 2, self.fixed["all"] * 3, self.losses["all"] * self.fixed["all"]
        """,
        {
            'self.sums["all"] * 2': None,
            'self.fixed["all"] * 3': False,
            'self.losses["all"] * self.fixed["all"]': None,
        },
    ),
    "what looks like a method and is none": (
        """
        class Losses:
            scale = lambda x: F.softplus(x) + 1e-3

            def gap(mean, variance):
                return torch.exp(mean)
        """,
        {"F.softplus(x) + 1e-3": None, "torch.exp(mean)": None},
    ),
    "None or a tensor": (
        """
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, size)

            def forward(self, x, wide):
                extra = None
                if wide:
                    extra = self.layer(x)
                return extra
        """,
        {"extra": True},
    ),
}


def said(text: str) -> dict[str, Said]:
    """What is said of the last expression with each text."""
    source = Source.read(HEAD + textwrap.dedent(text))
    found: dict[str, tuple[tuple[int, int], Said]] = {}
    states = {state.node: state.requires_grad for state in analyze(source).states}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store):
            words = ast.get_source_segment(source.text, node) or ""
            place = (node.lineno, node.col_offset)
            if words not in found or found[words][0] < place:
                found[words] = (place, states.get(node))
    return {words: value for words, (_, value) in found.items()}


@pytest.mark.parametrize("case", CASES)
def test_what_is_said(case: str) -> None:
    program, expected = CASES[case]
    known = said(program)
    assert {words: known[words] for words in expected} == expected


def test_lists_that_stand_for_lists_that_stand_for_lists() -> None:
    """What is put into one of them is looked after once for each, however they were joined."""
    branches = "\n".join(
        f"        if d.a{n}:\n            xs = ys\n        elif d.b{n}:\n            ys = xs" for n in range(12)
    )
    start = "import torch\ndef f(data):\n    ys = [1]\n    xs = [2]\n    for d in data:"
    text = f"{start}\n{branches}\n        xs.append(d)\n"
    analyze(Source.read(text))
