"""What stands in the code of papers and courses, is right there, and was once reported; and what is wrong and looks
alike."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gradls.workspace.session import Session
from tests.rules.reported import IMPORTS, check_error, check_right, reported

ACTOR = """
        class Actor(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.net = nn.Linear(size, size)
                self.log_std = nn.Parameter(torch.zeros(size))

            def forward(self, states):
                policy = torch.distributions.Normal(loc=self.net(states), scale=self.log_std.exp())
                actions = policy.sample()
                return policy, actions
"""

RIGHT = {
    "one branch for each mode, and none for others": """
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def train(loader, mode):
            for x in loader:
                optimizer.zero_grad()
                error = model(x).pow(2).mean()
                if mode == "a":
                    loss = error + model.weight.abs().sum()
                elif mode == "b":
                    loss = error
                loss.backward()
                optimizer.step()

        globals()["train"]([torch.randn(8, 3) for _ in range(3)], "a")
    """,
    "a decorator of functions and classes": """
        import functools
        import inspect

        def reviewed(it, name=None):
            if name is None:
                name = it.__qualname__
            if inspect.isclass(it):
                it.__init__ = reviewed(it.__init__, it.__qualname__)
                return it

            @functools.wraps(it)
            def wrapper(*args, **kwargs):
                return it(*args, **kwargs)

            return wrapper

        @reviewed
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 1)

        torch.optim.SGD(Net().parameters(), lr=0.1)
    """,
    "a decorator that perhaps gives a class another constructor": """
        import os

        def counted(cls):
            make = cls.__init__

            def wrapper(self, *args):
                make(self, *args)

            if not os.environ.get("PLAIN"):
                cls.__init__ = wrapper
            return cls

        @counted
        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.layer = nn.Linear(size, 1)

        torch.optim.SGD(Net(3).parameters(), lr=0.1)
    """,
    "isinstance of a criterion among the options": """
        import argparse

        args = argparse.Namespace(kind="CE")
        args.criterion = nn.BCEWithLogitsLoss() if args.kind == "BCE" else nn.CrossEntropyLoss()

        def validate(args, output, labels):
            if isinstance(args.criterion, nn.CrossEntropyLoss):
                return args.criterion(output, labels.long().argmax(1))
            return args.criterion(output, labels)

        validate(args, torch.randn(8, 3), torch.ones(8, 3))
    """,
    "one row of weights takes a bias of any dtype": """
        print(F.linear(torch.linspace(0.1, 1.1, 11), weight=torch.ones(11), bias=torch.tensor(0)))
    """,
    "gradients that are set by hand are clipped": """
        weight = nn.Parameter(torch.randn(2, 1))
        given = torch.tensor([[2.5], [0.8]])
        weight.grad = given.clone()
        nn.utils.clip_grad_value_(weight, clip_value=1.0)
        print(weight.grad)
        weight.grad = given.clone()
        nn.utils.clip_grad_norm_(weight, max_norm=1.0)
        print(weight.grad.norm())
    """,
    "a method for derived classes to define": """
        class Trainer:
            def __init__(self, model):
                self.model = model

            def loss_of(self, batch):
                pass

            def train(self, loader):
                for batch in loader:
                    loss = self.loss_of(batch)
                    loss.backward()

        class Mine(Trainer):
            def loss_of(self, batch):
                return self.model(batch).pow(2).mean()

        globals()["Mine"](nn.Linear(3, 1)).train([torch.randn(8, 3)])
    """,
    "numbers around a point": """
        import numpy as np

        def draw(count, center=(3, 3)):
            points = []
            for _ in range(count):
                points.append(np.random.normal(loc=center))
            return torch.tensor(points, dtype=torch.float32), torch.tensor(np.zeros(count), dtype=torch.float32)

        points, labels = draw(100)
        F.binary_cross_entropy(torch.sigmoid(nn.Linear(2, 1)(points)).squeeze(), labels)
    """,
    "which schedule it is decides how it is stepped": """
        import argparse

        def make(options, parameters):
            optimizer = torch.optim.SGD(parameters, lr=0.1)
            if options.schedule == "plateau":
                schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
            else:
                schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
            return optimizer, schedule

        def resume(optimizer, schedule):
            return optimizer, schedule

        def main(options, log):
            model = nn.Linear(3, 1)
            optimizer, schedule = make(options, model.parameters())
            if options.schedule is None:
                optimizer, schedule = resume(optimizer, schedule)
                schedule.milestones = 3
            for _ in range(3):
                optimizer.zero_grad()
                model(torch.randn(8, 3)).pow(2).mean().backward()
                optimizer.step()
                log(options, optimizer)
                if options.train and options.schedule == "steps":
                    schedule.step()
                elif options.train and options.schedule == "plateau":
                    schedule.step(0.5)

        globals()["main"](argparse.Namespace(schedule="steps", train=True), print)
    """,
    "a flag that says which layer it is": """
        class Embed(nn.Module):
            def __init__(self):
                super().__init__()
                self.table, self.linear = nn.Embedding(5, 3), nn.Linear(3, 3)

            def forward(self, x):
                return self.linear(self.table(x))

        class Project(nn.Module):
            def __init__(self, size, pretrained=None):
                super().__init__()
                if pretrained is not None:
                    self.embed = Embed()
                    self.project = nn.Linear(size, 2)
                    self.pretrained = True
                else:
                    self.project = nn.Embedding(5, 2)
                    self.pretrained = False

            def forward(self, x):
                if self.pretrained:
                    return self.project(self.embed(x))
                return self.project(x)

        globals()["Project"](3)(torch.tensor([1, 2]))
        globals()["Project"](3, True)(torch.tensor([1, 2]))
    """,
    "a class method of a base class": """
        class Base(nn.Module):
            architectures = NotImplemented

            @classmethod
            def default(cls, name):
                layers = cls.architectures[name]
                return cls((*layers[:-1], (layers[-1][0], 1)))

            def __init__(self, layers):
                super().__init__()
                self.layers = nn.ModuleList(layers)

        class Mine(Base):
            architectures = {"small": [(3, 4), (4, 2)]}

            def __init__(self, layers):
                super().__init__([nn.Linear(*sizes) for sizes in layers])

        globals()["Mine"].default("small")
    """,
    "one of two inputs is moved along its gradient by hand": """
        def attack(model, x, y, randomly, steps):
            moved = torch.autograd.Variable(x.data, requires_grad=True)
            if randomly:
                moved = torch.autograd.Variable(moved.data + torch.rand(x.shape), requires_grad=True)
            for _ in range(steps):
                optimizer = torch.optim.SGD([moved], lr=0.1)
                optimizer.zero_grad()
                F.cross_entropy(model(moved), y).backward()
                moved = torch.autograd.Variable(moved.data + 0.1 * moved.grad.data.sign(), requires_grad=True)
            return moved

        attack(nn.Linear(3, 2), torch.randn(8, 3), torch.ones(8).long(), torch.rand(()) > 2, 3)
    """,
    "the mode of the module, and of all in it": """
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        model.training = False
        model.eval()
        model(torch.randn(1, 3))
    """,
    "the mode of something that others made, and of all in it": """
        import copy

        def evaluate(make):
            model = make()
            model.training = False
            model.eval()
            return model(torch.randn(1, 3))

        globals()["evaluate"](lambda: copy.deepcopy(nn.BatchNorm1d(3)))
    """,
    "one of two optimizers, which are stepped in each round": """
        import argparse

        def main(args, loader):
            model = nn.Linear(3, 1)
            if args.kind == "sgd":
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            elif args.kind == "adam":
                optimizer = torch.optim.Adam(model.parameters())
            for x in loader:
                model.zero_grad()
                loss = model(x).pow(2).sum() / len(x)
                loss.backward()
                optimizer.step()

        globals()["main"](argparse.Namespace(kind="sgd"), torch.randn(8, 3))
    """,
    "is there such an attribute": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.activation = nn.Linear(3, 3), nn.ReLU()

            def copy_from(self, other):
                for name, part in other.named_children():
                    try:
                        own = getattr(self, name)
                        own.weight
                    except Exception:
                        continue
                    own.weight.data.copy_(part.weight.data)

        Net().copy_from(Net())
    """,
    "attention over where it was before": """
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 3)
                self.before = None

            def forward(self, x, step):
                if step == 0:
                    self.before = torch.zeros(8, 3)
                weights = torch.sigmoid(self.layer(x + self.before))
                self.before = weights
                return weights

        attention = Attention()
        for _ in range(2):
            sum(attention(torch.randn(8, 3), step).sum() for step in range(3)).backward()
    """,
    "a loss that not all rounds add to": """
        class Trainer:
            def __init__(self, count):
                self.body, self.head = nn.Linear(3, 3), nn.Linear(3, 3)
                parameters = [*self.body.parameters(), *self.head.parameters()]
                self.optimizer = torch.optim.SGD(parameters, lr=0.1)
                self.count, self.number = count, 0

            def update(self, x, y):
                mixed = 0
                self.number += 1
                features = self.body(x)
                if self.number % 2 == 0:
                    return 0.0
                for kind in range(self.count):
                    rows = torch.where(y == kind)[0]
                    for _ in range(self.count):
                        order = torch.randperm(rows.numel())
                        if len(order) < 2:
                            continue
                        predicted = self.head(features[rows[order[0]]])
                        mixed += F.cross_entropy(predicted.view(1, -1), y[rows[order[0]]].view(-1))
                mixed /= self.count
                loss = features.sum() + 0.1 * mixed
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                return loss.item()

        globals()["Trainer"](3).update(torch.randn(32, 3), torch.randint(0, 3, (32,)))
    """,
    "spectral norm of a parameter that takes the place of another": """
        class Normalized(nn.Module):
            def __init__(self, module, name="weight"):
                super().__init__()
                self.module, self.name = module, name
                weight = getattr(module, name)
                height = weight.size(0)
                u = nn.Parameter(weight.data.new(height).normal_(0, 1), requires_grad=False)
                v = nn.Parameter(weight.data.new(weight.view(height, -1).size(1)).normal_(0, 1), requires_grad=False)
                value = nn.Parameter(weight.data)
                del module._parameters[name]
                module.register_parameter(name + "_u", u)
                module.register_parameter(name + "_v", v)
                module.register_parameter(name + "_bar", value)

            def forward(self, *args):
                u, v = getattr(self.module, self.name + "_u"), getattr(self.module, self.name + "_v")
                weight = getattr(self.module, self.name + "_bar")
                height = weight.data.shape[0]
                v.data = torch.mv(torch.t(weight.view(height, -1).data), u.data)
                u.data = torch.mv(weight.view(height, -1).data, v.data)
                sigma = u.dot(weight.view(height, -1).mv(v))
                setattr(self.module, self.name, weight / sigma.expand_as(weight))
                return self.module.forward(*args)

        class Net(nn.Module):
            def __init__(self, size):
                super().__init__()
                self.first, self.last = Normalized(nn.Linear(size, 4)), nn.Linear(4, 1)

            def forward(self, x):
                return self.last(self.first(x))

        net = globals()["Net"](3)
        net(torch.randn(8, 3)).sum().backward()
        assert net.first.module.weight_bar.grad is not None
    """,
    "layers whose number is not known, and one behind them": """
        def build(count, activation):
            model = nn.Sequential()
            model.add_module("first", nn.Linear(3, 3))
            for number in range(count):
                model.add_module(f"linear{number}", nn.Linear(3, 3))
                model.add_module(f"activation{number}", activation())
            model.add_module("last", nn.Linear(3, 1))
            return model

        def loss(x, y, count):
            return F.binary_cross_entropy_with_logits(build(count, nn.Sigmoid)(x), y)

        globals()["loss"](torch.randn(8, 3), torch.ones(8, 1), 2)
    """,
    "a parameter that there may be, and that the optimizer has then": """
        class Line(nn.Module):
            def __init__(self, size, shifted=False):
                super().__init__()
                self.register_parameter("weight", nn.Parameter(torch.ones(size)))
                self.register_parameter("bias", nn.Parameter(torch.zeros(1)) if shifted else None)

            def forward(self, x):
                x = x * self.weight
                if self.bias is not None:
                    x = x + self.bias
                return x.sum(-1)

        def fit(size, shifted, data):
            model = Line(size, shifted)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in data:
                optimizer.zero_grad()
                (y - model(x)).pow(2).mean().backward()
                optimizer.step()

        globals()["fit"](3, True, [(torch.randn(8, 3), torch.randn(8))])
    """,
    "a policy that is given back as a distribution": ACTOR
    + """
        actor = globals()["Actor"](3)
        policy, actions = actor(torch.randn(8, 3))
        policy.log_prob(actions).sum().backward()
        assert actor.log_std.grad is not None
    """,
    "a loop and a comprehension that use the same name": """
        def train(model, x):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(2):
                gradients = torch.autograd.grad(model(x).pow(2).sum(), list(model.parameters()))
                for parameter, gradient in zip([p for _, p in model.named_parameters()], gradients):
                    parameter.grad = gradient
                parameters = [p for _, p in model.named_parameters() if p.requires_grad]
                optimizer.step()
            return parameters

        globals()["train"](nn.Linear(3, 1), torch.randn(8, 3))
    """,
    "a reference that is given a gradient": """
        layer = nn.Linear(3, 2)
        weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
        x = torch.randn(8, 3, requires_grad=True)

        def compare(x, weight, bias):
            layer(x).backward(torch.ones(8, 2))
            other = x.detach().requires_grad_()
            weight.requires_grad_()
            (other @ weight.t() + bias).backward(torch.ones(8, 2))
            assert torch.allclose(x.grad, other.grad)

        compare(x, weight, bias)
    """,
    "layers that a branch replaces by name": """
        def swap(module, wanted):
            for name, child in module.named_children():
                if wanted(child):
                    new = nn.Linear(child.in_features, child.out_features)
                    new.weight = child.weight
                    setattr(module, name, new)
                else:
                    swap(child, wanted)

        model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 1)))
        swap(model, globals().get("wanted", lambda layer: layer is model[0]))
        model(torch.randn(8, 3)).sum().backward()
        assert model[0].weight.grad is not None
    """,
    "a scaler under a condition of two parts": """
        def fit(config, data, due):
            net = nn.Linear(3, 1)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            for x in data:
                loss = net(x).pow(2).mean()
                if config.scaled and config.dtype == "float16":
                    scaler = torch.amp.GradScaler("cpu", enabled=True)
                    scaler.scale(loss).backward()
                else:
                    loss.backward()
                if due(x):
                    if config.scaled and config.dtype == "float16":
                        scaler.unscale_(optimizer)
                    if config.scaled and config.dtype == "float16":
                        scaler.step(optimizer)
                        scaler.update()
                    else:
                        optimizer.step()
                    optimizer.zero_grad()

        from types import SimpleNamespace
        globals()["fit"](SimpleNamespace(scaled=True, dtype="float16"), torch.randn(4, 8, 3), torch.is_tensor)
    """,
    "logits that are put together": """
        def contrast(features, others):
            logits = F.cosine_similarity(features, features).reshape(-1, 1)
            for other in others:
                logits = torch.cat((logits, F.cosine_similarity(features, other).reshape(-1, 1)), dim=1)
            return F.cross_entropy(logits, torch.zeros(len(features)).long())

        before = []
        for _ in range(3):
            features = nn.Linear(3, 3)(torch.randn(8, 3))
            contrast(features, before).backward()
            before.append(features.detach())
    """,
}


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT)
def test_right(program: str) -> None:
    check_right(IMPORTS + textwrap.dedent(program))


def test_a_loss_that_is_carried_over() -> None:
    """What is asked is another question in each round."""
    check_error(
        "GRD301",
        IMPORTS
        + textwrap.dedent("""
            model = nn.Linear(3, 1)

            def train(loader, every):
                for number, x in enumerate(loader):
                    error = model(x).pow(2).mean()
                    if number % every == 0:
                        loss = error + 1
                    loss.backward()  # raises RuntimeError: Trying to backward through the graph a second time

            globals()["train"](torch.randn(8, 3), 3)
        """),
    )


def test_a_bias_of_integers() -> None:
    check_error(
        "GRD518",
        IMPORTS
        + textwrap.dedent("""
            bias = torch.tensor([0, 1])
            F.linear(torch.randn(4, 3), torch.ones(2, 3), bias)  # raises RuntimeError: self and mat2 must have the same
        """),
    )


def test_which_operand() -> None:
    from gradls.flow.analyze import analyze
    from gradls.rules.run import findings
    from gradls.syntax.source import Source

    text = IMPORTS + "F.linear(torch.randn(4, 3), torch.ones(2, 3), torch.tensor([0, 1]))\n"
    message = next(finding.message for finding in findings(analyze(Source.read(text))) if finding.code == "GRD518")
    assert "the bias is integers" in message


def test_a_name_that_nothing_defines_may_be_anything() -> None:
    program = """
        model = nn.Linear(3, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        output = model(torch.randn(8, 3))
        order = torch.sort(output, 1)[1]
        loss = (order - (error < 0).float()).abs() * error.abs()
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    """
    assert reported("GRD107", program) == []
    assert reported("GRD107", program.replace("error", "1.0")) != []


def test_a_parser_of_its_own() -> None:
    """Its options are not known."""
    program = """
        import argparse

        class Parser(argparse.ArgumentParser):
            def __init__(self):
                super().__init__()

        def main():
            args = Parser().parse_args()
            x = torch.ones(3, requires_grad=True)
            x += args.size

        main()
    """
    assert reported("GRD203", program) == [("error", "x += args.size")]


def test_an_activation_behind_layers_whose_number_is_not_known() -> None:
    program = """
    def loss(x, y, count):
        model = nn.Sequential()
        for number in range(count):
            model.add_module(f"linear{number}", nn.Linear(3, 3))
        model.add_module("last", nn.Sigmoid())
        return F.binary_cross_entropy_with_logits(model(x), y)
    """
    assert [severity for severity, _ in reported("GRD403", program)] == ["warning"]


QUIET = {
    "GRD101": "spectral norm of a parameter that takes the place of another",
    "GRD503": "the mode of something that others made, and of all in it",
    "GRD602": "one of two optimizers, which are stepped in each round",
    "GRD607": "a parameter that there may be, and that the optimizer has then",
    "GRD604": "is there such an attribute",
    "GRD701": "a loss that not all rounds add to",
    "GRD710": "attention over where it was before",
    "GRD610": "a scaler under a condition of two parts",
}


@pytest.mark.parametrize(("code", "name"), QUIET.items())
def test_nothing_is_said(code: str, name: str) -> None:
    """Not even as information."""
    assert reported(code, RIGHT[name]) == []


def test_what_a_distribution_that_is_returned_depends_on() -> None:
    assert reported("GRD112", ACTOR) == []
    assert reported("GRD112", ACTOR.replace("policy, actions\n", "actions\n")) != []


def test_losses_that_are_kept_and_never_read() -> None:
    """To detach them would not help: they are missing in the loss."""
    from gradls.flow.analyze import analyze
    from gradls.rules.run import findings
    from gradls.syntax.source import Source

    program = IMPORTS + textwrap.dedent("""
        net = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        def finish(states, rewards):
            policy_losses, value_losses, shown = [], [], []
            for x, r in zip(states, rewards):
                policy, value = net(x)
                policy_losses.append(-policy * r)
                value_losses.append((value - r).pow(2))
                shown.append((value - r).abs())
            optimizer.zero_grad()
            (torch.stack(policy_losses).sum() + torch.stack(policy_losses).sum()).backward()
            optimizer.step()
            print(shown)

        finish(torch.randn(8, 3), torch.ones(8))
    """)
    found = [finding for finding in findings(analyze(Source.read(program))) if finding.code == "GRD701"]
    assert ["value_losses" in finding.message for finding in found] == [True, False]
    assert [bool(finding.fixes) for finding in found] == [False, True]
    assert "`value_losses` is not read anywhere" in found[0].message


def test_copies_that_branches_make_of_a_leaf() -> None:
    program = """
    def loss(flag, weight):
        x = torch.ones(4, requires_grad=True)
        one = x.reshape(2, 2) if flag else x.reshape(4)
        other = x.reshape(-1)
        x += 1
        return (other * weight).sum() + one.sum()
    """
    assert [text for _, text in reported("GRD203", program)] == ["x += 1"]


def test_an_input_that_another_file_makes(tmp_path: Path) -> None:
    """That file may ask first what kind of model it has."""
    (tmp_path / "probe.py").write_text(
        "import torch\n\ndef probe(model, size):\n    if size:\n        model(torch.randint(0, size, (1, 3)))\n"
    )
    text = IMPORTS + textwrap.dedent("""
        from probe import probe

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 1)

            def forward(self, x):
                return self.layer(x)

        def main(size):
            probe(Net(), size)
            Net()({x})
    """)
    main = tmp_path / "main.py"
    severities = []
    for x in ("torch.randn(1, 3)", "torch.ones(1, 3).long()"):
        session = Session(tmp_path)
        session.open(str(main), text.format(x=x))
        severities.append([finding.severity.value for finding in session.findings(str(main))])
    assert severities == [["information"], ["error"]]
