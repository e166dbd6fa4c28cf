"""Programs of the sort that people publish: PyTorch runs them, and gradls has nothing loud to say."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.rules.reported import IMPORTS, check_right, reported

RIGHT = {
    "what NumPy asks a tensor for is done by the tensor": """
        import numpy as np

        model, criterion = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), nn.BCELoss()
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            loss = criterion(np.squeeze(model(torch.randn(8, 3))), torch.ones(8))
            loss += np.swapaxes(model(torch.randn(8, 3)), 0, 1).sum()
            loss.backward()
            optimizer.step()
        """,
    "a layer of which the constructor is passed over": """
        class Buffer(nn.Module):
            def __init__(self):
                super().__init__()

        class Fixed(nn.Linear, Buffer):
            def __init__(self, inputs, outputs):
                super(nn.Linear, self).__init__()
                self.register_buffer("weight", torch.randn(outputs, inputs))
                self.register_buffer("bias", None)

        class Analytic(nn.Linear):
            def __init__(self, inputs):
                super(nn.Linear, self).__init__()
                self.register_buffer("weight", torch.zeros(inputs, 0))

        assert Fixed(3, 2)(torch.randn(4, 3)).shape == (4, 2) and not list(Analytic(3).parameters())
        """,
    "a metaclass that sets the base class up": """
        class PreInit(type):
            def __new__(cls, name, bases, members):
                made = super().__new__(cls, name, bases, members)
                init = made.__init__

                def both(self, *args, **kwargs):
                    nn.Module.__init__(self)
                    init(self, *args, **kwargs)

                made.__init__ = both
                return made

        class Module(nn.Module, metaclass=PreInit):
            def __init__(self):
                pass

        class Block(Module):
            def __init__(self, size):
                self.conv = nn.Linear(size, size)

            def forward(self, x):
                return self.conv(x)

        Block(3)(torch.randn(4, 3)).sum().backward()
        """,
    "a container of layers that derived classes fill": """
        class Block(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential()

            def slope(self, x):
                x = x.detach().requires_grad_()
                result = self.layers(x)
                (first,) = torch.autograd.grad(result.sum(), x, create_graph=True)
                (second,) = torch.autograd.grad(first.sum(), x)
                return second

        class Curved(Block):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(2, 2), nn.Tanh())

        globals()["Curved"]().slope(torch.randn(3, 2))
        """,
    "more gradients than tensors": """
        x = torch.randn(3, requires_grad=True)
        (x * 2).backward((torch.ones(3), torch.ones(3)))
        assert x.grad.tolist() == [2, 2, 2]
        """,
    "a leaf that is moved to where it is": """
        inputs = torch.randn(4, 3)
        points = nn.Parameter(inputs.mean(0)).to(inputs.device)
        optimizer = torch.optim.Adam([points])
        for _ in range(2):
            optimizer.zero_grad()
            (inputs - points).norm(dim=-1).mean().backward()
            optimizer.step()

        code = torch.autograd.Variable(torch.randn(3), requires_grad=True).to(inputs.device)
        solver = torch.optim.Adam([code])
        for _ in range(2):
            solver.zero_grad()
            code.pow(2).sum().backward()
            solver.step()
        """,
    "an optimizer for each stage, of which the first is not used": """
        class Trainer:
            def __init__(self):
                self.model, self.scales = nn.Linear(2, 2), [nn.Linear(2, 2), nn.Linear(2, 2)]

            def stage(self, optimizer):
                optimizer.zero_grad()
                sum(scale(self.model(torch.randn(4, 2))) for scale in self.scales).pow(2).mean().backward()
                optimizer.step()

            def train(self):
                for stage in range(2):
                    whole = torch.optim.SGD(self.model.parameters(), lr=0.1)
                    part = torch.optim.SGD(self.scales[stage].parameters(), lr=0.1)
                    self.stage(whole)
                    if stage > 0:
                        self.stage(part)

        Trainer().train()
        """,
    "a function that is another one by then uses what is trained": """
        def mixed():
            raise NotImplementedError

        model, scale = nn.Linear(2, 2), nn.Linear(2, 2)
        globals()["mixed"] = lambda x: scale(model(x))
        optimizer = torch.optim.SGD(scale.parameters(), lr=0.1)
        for _ in range(2):
            scale(model(torch.randn(4, 2))).sum().backward()
            optimizer.zero_grad()
            F.mse_loss(mixed(torch.randn(4, 2)), torch.randn(4, 2)).backward()
            optimizer.step()
        """,
    "a dictionary that hooks fill": """
        def features(model, x, kinds):
            found = {}

            def keep(name):
                def hook(module, inputs, output):
                    found[name] = output

                return hook

            handles = [
                module.register_forward_hook(keep(name))
                for name, module in model.named_modules()
                if getattr(module, "kind", None) in kinds
            ]
            model(x)
            for handle in handles:
                handle.remove()
            return found

        def distil(student, teacher, batches, kinds):
            optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
            for x in batches:
                optimizer.zero_grad()
                wanted, got = features(teacher, x, kinds), features(student, x, kinds)
                loss = torch.tensor(0.0)
                for name, feature in wanted.items():
                    loss += F.mse_loss(got[name], feature.detach())
                loss.backward()
                optimizer.step()

        one, other = nn.Linear(3, 2), nn.Linear(3, 2)
        one.kind = other.kind = "whole"
        globals()["distil"](one, other, [torch.randn(4, 3)], ["whole"])
        """,
}


@pytest.mark.parametrize("program", RIGHT.values(), ids=list(RIGHT))
def test_right(program: str) -> None:
    check_right(IMPORTS + textwrap.dedent(program))


TESTS = """
def train(net, kind, rounds):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for number in range(rounds):
        out = net(torch.randn(3))
        {first}:
            loss = out.pow(2).mean()
        {second}:
            loss = out.exp().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
globals()["train"](nn.Linear(3, 3), 1, 4)
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("if kind == 1", "if kind == 2"),
        ("if kind == 1", "elif kind == 2"),
        ("if number < 2", "if number >= 2"),
        ("if number % 2", "if not number % 2"),
    ],
)
def test_what_two_tests_leave_as_it_was_may_be_left_by_neither(first: str, second: str) -> None:
    check_right(IMPORTS + TESTS.format(first=first, second=second))


def test_what_one_test_leaves_as_it_was_is_gone_through_again() -> None:
    program = """
net = nn.Linear(3, 3)
def train(again):
    loss = net(torch.randn(3)).pow(2).mean()
    loss.backward()
    if again:
        loss = net(torch.randn(3)).pow(2).mean()
    loss.backward()
"""
    assert [severity for severity, _ in reported("GRD301", program)] == ["error"]


def test_a_number_that_is_whole_by_default() -> None:
    program = """
class Scaling(nn.Module):
    def __init__(self, temperature{annotation}=1):
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(temperature))
"""
    assert not reported("GRD304", program.format(annotation=""))
    assert reported("GRD304", program.format(annotation=": int"))
    assert reported("GRD304", program.format(annotation="") + "Scaling()\n")


def test_too_few_gradients() -> None:
    program = "a, b = torch.randn(2, 3, requires_grad=True).mul(2).unbind()\ntorch.autograd.backward([a, b], [a * 0])\n"
    assert [severity for severity, _ in reported("GRD312", program)] == ["error"]


QUIET = {
    "the root of what is only compared": (
        "GRD119",
        """
class Orthogonal(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        x = self.layer(x)
        for _ in range(10):
            x = x @ x
            length = torch.sqrt(torch.sum(x**2, dim=1))
            if torch.max(length).item() < 0.1:
                break
        _, longest = torch.sqrt((x**2).sum(dim=1)).max(dim=0)
        return x[longest]
""",
        "return x[longest]",
        "return x[longest] / length",
    ),
    "a gradient that comes by way of something global": (
        "GRD810",
        """
class Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        global request
        request.wait()
        return request.tensor
""",
        "        global request\n",
        "",
    ),
    "a loss of several terms, in a file that only tries it out": (
        "GRD701",
        """
class Divergence(nn.Module):
    def forward(self, field, points):
        total = 0.0
        for axis in range(field.shape[-1]):
            (slope,) = torch.autograd.grad(field[:, axis].sum(), points, create_graph=True)
            total += slope[:, axis]
        return total.pow(2).mean()

points = torch.randn(8, 2, requires_grad=True)
print(Divergence()(nn.Sequential(nn.Linear(2, 2), nn.Tanh())(points), points))
""",
        "return total.pow(2).mean()",
        "print(total.pow(2).mean())",
    ),
    "a layer beside which the program has one of its own": (
        "GRD518",
        """
class Sines(nn.Module):
    def forward(self, positions):
        return torch.sin(positions)[:, None]

class Model(nn.Module):
    def __init__(self, learned=False):
        super().__init__()
        self.encoding = nn.Embedding(9, 4) if learned else Sines()

    def forward(self, x):
        return x + self.encoding(torch.arange(0.0, 3.0))
""",
        " if learned else Sines()",
        "",
    ),
    "what is asked for its class before NumPy gets it": (
        "GRD307",
        """
import numpy as np

def as_array(x):
    if np.isscalar(x):
        return np.array(x)
    if "torch" in str(type(x)):
        return x.detach().numpy()
    return np.array(x)

print(as_array(torch.ones(2, requires_grad=True) * 2))
""",
        '"torch" in',
        '"jax" in',
    ),
}


@pytest.mark.parametrize(("code", "program", "what", "instead"), QUIET.values(), ids=list(QUIET))
def test_quiet(code: str, program: str, what: str, instead: str) -> None:
    assert not reported(code, program)
    assert what in program
    assert reported(code, program.replace(what, instead))


def test_lists_in_an_attribute_that_other_methods_fill() -> None:
    program = """
from collections import namedtuple
Rollout = namedtuple("Rollout", "values rewards")

class Agent:
    def __init__(self):
        self.rollout = Rollout(values=[], rewards=[])

    def learn(self):
        loss = 0.0
        for i in range(len(self.rollout.rewards)):
            loss = loss + (self.rollout.rewards[i] - self.rollout.values[i]).pow(2)
        loss.backward()

    def play(self, value, reward):
        self.rollout.{name}.append(reward)
"""
    assert not reported("GRD303", program.format(name="rewards"))
    assert reported("GRD303", program.format(name="values"))


def test_a_freeze_of_what_is_not_known_is_not_undone() -> None:
    program = """
from layers import block
net = nn.Sequential({first}, nn.Flatten(), nn.Linear(8, 10))
for name, param in net.named_parameters():
    param.requires_grad = False
    if name[0] == "2" or name[0] == "0":
        param.requires_grad = True
optimizer = torch.optim.Adam(net.parameters())
F.cross_entropy(net(torch.randn(3, 8)), torch.ones(3).long()).backward()
optimizer.step()
"""
    assert not reported("GRD609", program.format(first="block(8, 8)"))
    assert reported("GRD609", program.format(first="nn.Linear(8, 8)"))


def test_many_layers_that_get_another_forward() -> None:
    layers = ", ".join(["nn.Linear(2, 2)", "nn.ReLU()"] * 13)
    check_right(
        IMPORTS
        + f"""
from functools import partial

net = nn.Sequential(nn.Sequential({layers}))

def run(x, parameters):
    given = iter(parameters)
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear):
            layer.forward = partial(F.linear, weight=next(given), bias=next(given))
    return net(x)

parameters = list(net.parameters())
for _ in range(2):
    gradients = torch.autograd.grad(run(torch.randn(4, 2), parameters).sum(), parameters, create_graph=True)
    parameters = [old - 0.1 * gradient for old, gradient in zip(parameters, gradients)]
"""
    )


def test_the_number_that_weighs_a_score_is_not_made_a_tensor() -> None:
    program = (
        IMPORTS
        + """
policy, value = nn.Linear(4, 2), nn.Linear(4, 1)
optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()])
state = torch.randn(4)
drawn = torch.distributions.Categorical(logits=policy(state))
{loss}
loss.backward()
optimizer.step()
"""
    )
    score = program.format(loss="loss = -drawn.log_prob(drawn.sample()) * (1.0 - value(state).item())")
    other = program.format(loss="loss = drawn.logits.sum() + value(state).item()")
    rule = [rules_by_key()["GRD104"]]
    for text, fixable in ((score, False), (other, True)):
        found = findings(analyze(Source.read(text)), rule)
        assert [bool(finding.fixes) for finding in found] == [fixable]
