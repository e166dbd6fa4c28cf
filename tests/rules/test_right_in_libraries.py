"""Programs as they stand in libraries and their examples: PyTorch runs them, and gradls has nothing to say."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.reported import IMPORTS, reported

RIGHT = {
    "the second derivative of the divergence of a policy from itself": """
        class Policy(nn.Module):
            def __init__(self):
                super().__init__()
                self.mean = nn.Linear(3, 2)
                self.width = nn.Parameter(torch.zeros(2))

            def divergence(self, x):
                mean = self.mean(x)
                width = self.width.expand_as(mean).exp()
                mean_before, width_before = mean.detach(), width.detach()
                squares = width_before.pow(2) + (mean_before - mean).pow(2)
                return (width.log() - width_before.log() + squares / (2 * width.pow(2)) - 0.5).sum()

        policy = Policy()
        gradients = torch.autograd.grad(policy.divergence(torch.ones(4, 3)), policy.parameters(), create_graph=True)
        flat = torch.cat([gradient.view(-1) for gradient in gradients])
        products = torch.autograd.grad((flat * torch.ones_like(flat)).sum(), policy.parameters())
        assert all(product.any() for product in products)
        """,
    "a small number before the square": """
        x = torch.zeros(3, requires_grad=True)
        torch.sqrt(((x[1:] - x[:-1] + 1e-10) ** 2).sum()).backward()
        assert x.grad.isfinite().all()

        def distance(a, b):
            return torch.sqrt(((a - b + 1e-8) ** 2).sum(-1)).mean() + (a - b + 1e-8).square().sum(-1).sqrt().mean()

        globals()["distance"](x, x).backward()
        assert x.grad.isfinite().all()
        """,
    "parameters that are frozen for a block": """
        from contextlib import contextmanager

        @contextmanager
        def without(model):
            for p in model.parameters():
                p.requires_grad_(False)
            try:
                yield
            finally:
                for p in model.parameters():
                    p.requires_grad_(True)

        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in torch.ones(2, 4, 3):
            x = x.clone().requires_grad_()
            with without(model):
                model(x).sum().backward()
            optimizer.zero_grad()
            model(x.detach() + x.grad).sum().backward()
            optimizer.step()
        """,
    "a class of the program that is a distribution": """
        class Wide(torch.distributions.Normal):
            def log_prob(self, actions):
                return super().log_prob(actions).sum(-1, keepdim=True)

            def entropy(self):
                return super().entropy().sum(-1)

        class Actor(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.Linear(3, 2)
                self.width = nn.Parameter(torch.zeros(2))
                self.value = nn.Linear(3, 1)

            def forward(self, x, act):
                drawn = Wide(self.net(x), self.width.exp())
                return drawn.log_prob(act).mean() + drawn.entropy().mean() + self.value(x).mean()

        actor = Actor()
        optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
        for x in torch.ones(3, 4, 3):
            optimizer.zero_grad()
            actor(x, torch.ones(4, 2)).backward()
            optimizer.step()
        assert not torch.equal(actor.width, torch.zeros(2))
        """,
    "a parameter with the memory of another one": """
        class Sampler(nn.Module):
            def __init__(self, mean):
                super().__init__()
                self.mean = nn.Parameter(mean)

            def sample(self):
                return self.mean + 0.1 * torch.randn_like(self.mean)

        class Layer(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(2, 3))
                self.sampler = Sampler(self.weight)

            def forward(self, x):
                return F.linear(x, self.sampler.sample())

        layer = Layer()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for x in torch.ones(3, 4, 3):
            optimizer.zero_grad()
            layer(x).sum().backward()
            optimizer.step()
        assert not torch.equal(layer.weight, torch.zeros(2, 3))
        fixed = nn.Parameter(layer.weight.exp(), requires_grad=False)
        """,
    "a class that stands for what is not installed": """
        import os

        if not os.environ.get("WITHOUT_FUSED"):
            class Fused(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    return x * 2

                @staticmethod
                def backward(ctx, gradient):
                    return gradient * 2
        else:
            class Fused(torch.autograd.Function):
                def __init__(self):
                    raise ImportError("fused")

        Fused.apply(torch.ones(3, requires_grad=True)).sum().backward()
        """,
    "arguments after others of unknown number": """
        class Scaled(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, y, names):
                ctx.save_for_backward(x, y)
                ctx.names = names
                return x * y

            @staticmethod
            def backward(ctx, gradient):
                x, y = ctx.saved_tensors
                return gradient * y, gradient * x, None

        def scaled(pair):
            return Scaled.apply(*pair.tensors, ["a", "b"])

        class Pair:
            tensors = property(lambda self: globals()["make"]())

        def make():
            return torch.ones(3, requires_grad=True), torch.ones(3)

        globals()["scaled"](Pair()).sum().backward()
        """,
    "a module that derives from DataParallel": """
        class Wrapped(nn.DataParallel):
            def __getattr__(self, name):
                try:
                    return super().__getattr__(name)
                except AttributeError:
                    return getattr(self.module, name)

        model = Wrapped(nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = model(torch.ones(2, 3)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert model.weight.grad is not None
        """,
    "a layer that looks at its first batch": """
        class Norm(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.zeros(3))
                self.register_buffer("initialized", torch.tensor(0).byte())

            def forward(self, x):
                if not self.initialized:
                    self.scale.data.copy_(x.std(0))
                    self.initialized += 1
                return x / self.scale, self.scale.abs().log().sum()

        norm = Norm()
        total = 0
        x = torch.randn(4, 3)
        for _ in range(2):
            x, logarithm = norm(x)
            total = total + logarithm
        (x.sum() + total).backward()
        """,
    "indices remain indices": """
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

        table = nn.Embedding(10, 3)
        rows = pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
        back, _ = pad_packed_sequence(pack_padded_sequence(rows, [2, 1], batch_first=True), batch_first=True)
        inner = torch.distributions.Categorical(logits=torch.ones(2, 3))
        drawn = torch.distributions.Independent(inner, 1).sample()
        bits = torch.ones(3).view(dtype=torch.int32) % 10
        assert table(rows).shape == table(back).shape == table(nn.ConstantPad1d(0, 0)(rows)).shape
        assert table(drawn).shape == table(nn.Flatten(0)(drawn)).shape
        bits.add_(torch.zeros(3).view(dtype=torch.int32))
        table(bits)
        """,
    "gradients in evaluation mode that train nothing": """
        class Map:
            def __init__(self, model):
                self.model = model

            def __call__(self, x):
                x = x.clone().requires_grad_()
                self.model.zero_grad()
                self.model(x).max().backward()
                return x.grad

        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            model.train()
            for x in torch.ones(2, 4, 3):
                optimizer.zero_grad()
                model(x).sum().backward()
                optimizer.step()
            model.eval()
            for x in torch.ones(2, 4, 3):
                print(Map(model)(x))
        """,
    "a copy in evaluation mode": """
        import copy

        def train(model, data):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            kept = []
            for _ in range(3):
                for x in data:
                    optimizer.zero_grad()
                    model(x).sum().backward()
                    optimizer.step()
                kept.append(copy.deepcopy(model))
                kept[-1].eval()
                sample = copy.deepcopy(model)
                sample.eval()
                kept.append(sample)
            return kept

        globals()["train"](nn.Linear(3, 1), torch.ones(2, 4, 3))
        """,
    "what unknown code does with an object": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 1)
                self.total = torch.zeros(1)
                self.values = []

            def forward(self, x):
                out = self.layer(x)
                self.total = self.total + out.sum()
                self.values.append(out)
                return out

        class Walk:
            def __init__(self, step):
                self.step = step

        def walk(what):
            getattr(what, "step", what)(torch.ones(2, 3))

        def train(run):
            net = Net()
            run(net)
            net.total.sum().backward()
            net.total = torch.zeros(1)
            run(Walk(lambda x: net(x)))
            net.total.sum().backward()
            net.values = []
            run(net)
            torch.stack(net.values).sum().backward()

        globals()["train"](walk)
        """,
    "parameters picked out of a model that others have": """
        import sys

        python = sys.modules["builtins"]
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
        python.repr(model)
        loss = model(torch.ones(2, 3)).mean()
        torch.autograd.grad(loss, [parameter for parameter in model.parameters() if parameter.requires_grad])
        """,
    "parameters replaced by what is computed elsewhere": """
        import sys

        python = sys.modules["builtins"]
        model, rate = nn.Linear(3, 1, bias=False), torch.ones(1, 3, requires_grad=True)
        model._parameters.update(python.dict(weight=model.weight * rate))
        torch.autograd.grad(model(torch.ones(2, 3)).mean(), rate)
        """,
    "an entry that unknown entries replace": """
        import sys

        python = sys.modules["builtins"]
        options = {"requires_grad": False}
        options.update(python.dict(requires_grad=True))
        x = torch.ones(3, **options)
        x.sum().backward()
        """,
    "each of many modules, of which not all are known": """
        import sys

        python = sys.modules["builtins"]
        class Net(nn.Module):
            def __init__(self, part):
                super().__init__()
                self.part = part
                self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(4)])

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return self.part(x)

        net, rate = Net(python.abs), torch.ones(3, 3, requires_grad=True)
        for module in net.modules():
            if isinstance(module, nn.Linear):
                module._parameters["weight"] = module.weight * rate
        torch.autograd.grad(net.layers[3](torch.ones(2, 3)).sum(), rate)
        """,
    "an object of one of two classes stays the same object": """
        class Plain:
            def scale(self, loss):
                return loss

            def unscale_(self, optimizer):
                pass

            def step(self, optimizer):
                optimizer.step()

            def update(self):
                pass

        def train(model, data, mixed: bool, clip: float):
            scaler = torch.amp.GradScaler("cpu") if mixed else Plain()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x in data:
                optimizer.zero_grad()
                scaler.scale(model(x).mean()).backward()
                if clip:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                scaler.step(optimizer)
                scaler.update()

        globals()["train"](nn.Linear(3, 1), torch.ones(2, 4, 3), True, 1.0)
        """,
    "a closure for others": """
        import functools

        def check(weight, make):
            def fill(optimizer, weight):
                optimizer.zero_grad()
                loss = weight.pow(2).sum()
                loss.backward()
                return loss

            optimizer = make([weight])
            closure = functools.partial(fill, optimizer, weight)
            for _ in range(3):
                optimizer.step(closure)

        globals()["check"](torch.ones(3, requires_grad=True), torch.optim.LBFGS)
        """,
    "what the constructor of a library keeps": """
        class Diagonal(torch.distributions.Normal):
            def __init__(self, mean, width):
                super().__init__(mean, width)

            @property
            def log_determinant(self):
                return 2 * torch.log(self.scale).sum(-1)

        class Head(nn.Module):
            def __init__(self):
                super().__init__()
                self.mean = nn.Parameter(torch.zeros(3), requires_grad=False)
                self.width = nn.Parameter(torch.zeros(3))
                self.weight = nn.Parameter(torch.ones(3))

            def forward(self, x):
                return (self.weight * x).mean() + Diagonal(self.mean, self.width.exp()).log_determinant

        head = Head()
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        for x in torch.ones(3, 3):
            optimizer.zero_grad()
            head(x).backward()
            optimizer.step()
        assert not torch.equal(head.width, torch.zeros(3))
        """,
    "the end that is never reached": """
        import os

        MODE = os.environ.get("FLOAT_MODE", "32")

        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, factor):
                ctx.save_for_backward(x)
                return factor * x * x

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                if "32" in MODE:
                    return 2 * x * gradient, None
                elif "16" in MODE:
                    return 2 * x.half() * gradient, None

        x = torch.ones(3, requires_grad=True)
        Square.apply(x, 1).sum().backward()
        """,
    "data that happen to be random": """
        class Kept(nn.Module):
            def __init__(self, points):
                super().__init__()
                self.points, self.head = points * 2, nn.Linear(3, 1)

            def forward(self, x):
                return self.head(x + self.points)

        Kept(torch.rand(3))(torch.ones(2, 3)).mean().backward()
        """,
    "random numbers that were made before vmap": """
        weights = torch.randn(5, requires_grad=True)
        result = torch.vmap(lambda row: row.dot(weights).relu())(torch.randn(3, 5))
        x = torch.randn(4, requires_grad=True)
        y = x**2
        torch.vmap(lambda v: torch.autograd.grad(y, x, v)[0])(torch.eye(4))
        assert result.shape == (3,)
        """,
    "a buffer that gets its memory later": """
        class System(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("masses", nn.parameter.UninitializedBuffer(dtype=torch.float64))

            def load(self, n):
                self.masses = torch.zeros(n)

        system = System()
        system.load(3)
        assert system.masses.shape == (3,)
        """,
    "a backward of something else": """
        class Kernel:
            def backward(self, batch, size, weight, gradient, out):
                out.copy_(gradient * weight)

        def run(kernel, weight):
            gradient = torch.ones(3)
            out = torch.zeros(3)
            kernel.backward(1, 3, weight, gradient, out)
            return out

        assert run(Kernel(), torch.ones(3)).sum() == 3
        """,
    "keywords of NumPy": """
        weights = torch.randn(4, 3, 2, requires_grad=True)
        scores = weights * 2
        best, _ = scores.max(axis=2)
        for number, column in enumerate([1, 2]):
            best[number, column] = 0.5
        best.sum().backward()
        """,
    "the data of a packed sequence": """
        sequences = [torch.randn(3, 2, requires_grad=True), torch.randn(2, 2, requires_grad=True)]
        packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        torch.autograd.grad([packed.data.sum()], sequences)
        lstm = nn.LSTM(2, 3)
        output, _ = lstm(nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False))
        output.data.sum().backward()
        assert lstm.weight_ih_l0.grad is not None
        """,
    "clipped gradients that are looked at": """
        model = nn.Linear(2, 3)

        def run():
            model.zero_grad()
            model(torch.ones(4, 2)).mean().backward()

        def vectors():
            return [p.grad.flatten().clone() for p in model.parameters()]

        run()
        before = vectors()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        after = vectors()
        run()
        assert len(before) == len(after)
        """,
    "groups that a loop over many parameters fills": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Embedding(3, 4)
                self.norm = nn.LayerNorm(4)
                self.others = nn.Sequential(*[nn.Linear(4, 4) for _ in range(20)])

            def forward(self, x):
                return self.others(self.norm(self.first(x)))

        net = Net()
        decay, plain = [], []
        for name, parameter in net.named_parameters():
            if "norm" not in name:
                decay.append(parameter)
            else:
                plain.append(parameter)
        optimizer = torch.optim.SGD([{"params": decay}, {"params": plain}], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.zeros(3).long()).sum().backward()
            optimizer.step()
        """,
    "a range that is written into a parameter": """
        frequencies = nn.Parameter(torch.Tensor(3))
        with torch.no_grad():
            torch.arange(1, 4, out=frequencies).mul_(3.14)
        frequencies.requires_grad_()
        torch.sin(frequencies).sum().backward()
        """,
    "a flag that only numbers with a fraction get": """
        def strided(t):
            t = torch.stack([t, t], dim=-1)[..., 0].detach()
            if torch.is_floating_point(t):
                t.requires_grad_()
            return t

        assert strided(torch.ones(3)).requires_grad and not strided(torch.tensor([1, 2])).requires_grad
        """,
    "a sum over a dimension of nothing": "assert torch.ones(3).sum().sum((0,)) == 3",
    "a custom function that computes its forward again": """
        net = nn.Linear(3, 3)

        class Again(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return net(x)

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                with torch.enable_grad():
                    x = x.detach().requires_grad_()
                    y = net(x)
                    y.backward(gradient)
                return x.grad

        class Inner(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return net(x)

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                with torch.enable_grad():
                    x = x.detach().requires_grad_()
                    return torch.autograd.grad(net(x), x, gradient)

        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        x = torch.randn(2, 3, requires_grad=True)
        optimizer.zero_grad()
        (Again.apply(x) + Inner.apply(x)).sum().backward()
        assert net.weight.grad is not None
        optimizer.step()
        """,
    "layers that forward finds in the dictionary of the module": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(3, 3)
                self.b = nn.Linear(3, 3)
                self.scale = nn.Parameter(torch.ones(3))

            def forward(self, x):
                for module in self._modules.values():
                    x = module(x)
                for name in self._parameters:
                    x = x * self._parameters[name]
                return x

        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(2, 3)).sum().backward()
            optimizer.step()
        assert net.b.weight.grad is not None and net.scale.grad is not None
        """,
    "a copy of a module through which gradient goes to it": """
        def clone(module):
            copy = module.__new__(type(module))
            copy.__dict__ = module.__dict__.copy()
            copy._parameters = copy._parameters.copy()
            copy._modules = copy._modules.copy()
            for key in module._parameters:
                if module._parameters[key] is not None:
                    copy._parameters[key] = module._parameters[key].clone()
            for key in copy._modules:
                copy._modules[key] = clone(module._modules[key])
            return copy

        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            learner = clone(model)
            optimizer.zero_grad()
            (learner(torch.ones(4, 3)) - 1).pow(2).sum().backward()
            optimizer.step()
        assert model[0].weight.grad is not None
        """,
    "a weight that makes way for what is computed from another": """
        class Normed(nn.Module):
            def __init__(self, module):
                super().__init__()
                self.module = module
                weight = module.weight
                del module._parameters["weight"]
                module.register_parameter("weight_bar", nn.Parameter(weight.data))

            def forward(self, x):
                setattr(self.module, "weight", self.module.weight_bar / 2)
                return self.module(x)

        Normed(nn.Linear(3, 3))(torch.ones(2, 3)).sum().backward()
        """,
    "a loss that is handed in": """
        class Scaled:
            def __init__(self, optimizer, each: torch.Tensor):
                self.optimizer, self.each = optimizer, each

            def backward(self, weight):
                self.each.mean().backward(retain_graph=True)
                self.optimizer.zero_grad()
                (weight * self.each).sum().backward()

        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        Scaled(optimizer, model(torch.ones(4, 3)).squeeze(1)).backward(torch.ones(4))
        optimizer.step()
        """,
    "one of two numbers by a condition": """
        condition = torch.ones(3) > 0
        scores = torch.where(condition, 3.0, -3.0)[:, None]
        nn.Linear(2, 3)(torch.cat((scores, -scores), dim=1)).sum().backward()
        """,
    "what belongs to which class": """
        def take(values, index):
            if type(index) is int:
                if index >= len(values):
                    raise IndexError
                index = slice(index, None, len(values))
            return values[index]

        def plain(values):
            if type(values) == float:
                return values
            return values.tolist() if type(values) is torch.Tensor else float(values)

        take(torch.ones(3), torch.tensor([0, 1]))
        assert plain(torch.ones(3)) == [1.0, 1.0, 1.0]
        """,
    "iterators that a generator gives, one in each round": """
        def pairs(count, *values):
            for number in range(count):
                yield number, (value[number] for value in values)

        class Net(nn.Module):
            def __init__(self, count):
                super().__init__()
                self.count = count
                self.first = nn.Linear(3, 3)
                self.last = nn.Linear(3, 1)

            def forward(self, x):
                x = self.first(x)
                for _, parts in pairs(self.count, x):
                    found = []
                    for part in parts:
                        found.append(x * part)
                    x = torch.cat(found, dim=0)
                return self.last(x)

        net = Net(3)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(4, 3)).sum().backward()
            optimizer.step()
        assert net.first.weight.grad is not None
        """,
    "more layers than rounds that are run": """
        class Flow(nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.layers = nn.ModuleList(layers)

            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x

        layers = []
        for _ in range(30):
            layers.append(nn.Linear(3, 3))
        flow = Flow(layers)
        optimizer = torch.optim.SGD(flow.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            flow(torch.ones(2, 3)).sum().backward()
            optimizer.step()
        """,
    "layers that are found by their number, and give two things": """
        class Shift(nn.Module):
            def __init__(self):
                super().__init__()
                self.shift = nn.Parameter(torch.zeros(2))

            def inverse(self, z):
                return z - self.shift, self.shift.sum().expand(len(z))

        class Flow(nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.layers = nn.ModuleList(layers)

            def forward(self, x):
                total = torch.zeros(len(x))
                for number in range(len(self.layers) - 1, -1, -1):
                    x, change = self.layers[number].inverse(x)
                    total += change
                return -(total - x.pow(2).sum(1)).mean()

        layers = []
        for _ in range(6):
            layers += [Shift()]
        flow = Flow(layers)
        optimizer = torch.optim.SGD(flow.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            flow(torch.ones(3, 2)).backward()
            optimizer.step()
        """,
    "a custom function of which an object is made": """
        class Sign(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.sign()

            @staticmethod
            def backward(ctx, gradient):
                return gradient

        class Binary(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.randn(3, 3))

            def forward(self, x):
                return x @ Sign().apply(self.weight)

        net = Binary()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(torch.ones(4, 3)).sum().backward()
            optimizer.step()
        assert net.weight.grad is not None
        """,
    "numbers of NumPy and what a model gives": """
        import numpy as np

        def train(model, x, data, y):
            prediction = model(x) * np.std(data) + np.mean(data)
            torch.abs(prediction - y).mean().backward()

        train(nn.Linear(3, 1), torch.ones(2, 3), np.arange(4.0), torch.ones(2, 1))
        """,
    "spectral normalization as it was once written": """
        class Normed(nn.Module):
            def __init__(self, module, name="weight"):
                super().__init__()
                self.module, self.name = module, name
                if not self.is_made():
                    self.make()

            def is_made(self):
                try:
                    u = getattr(self.module, self.name + "_u")
                    w = getattr(self.module, self.name + "_bar")
                    return True
                except AttributeError:
                    return False

            def make(self):
                w = getattr(self.module, self.name)
                bar = nn.Parameter(w.data)
                del self.module._parameters[self.name]
                self.module.register_parameter(self.name + "_u", nn.Parameter(torch.ones(3), requires_grad=False))
                self.module.register_parameter(self.name + "_bar", bar)

            def forward(self, *args):
                u = getattr(self.module, self.name + "_u")
                w = getattr(self.module, self.name + "_bar")
                setattr(self.module, self.name, w / u.dot(w.sum(0)))
                return self.module.forward(*args)

        net = Normed(nn.Linear(3, 3))
        net(torch.ones(2, 3)).sum().backward()
        assert net.module.weight_bar.grad is not None
        """,
    "a loss of which another class knows more": """
        class Base:
            def __init__(self):
                self.loss = torch.zeros(1)

            def backward(self):
                self.loss.backward()

        class Trainer(Base):
            def run(self, model, x):
                self.loss = model(x).sum()
                self.backward()

        Trainer().run(nn.Linear(3, 1), torch.ones(2, 3))
        """,
    "writing in inference mode": """
        @torch.inference_mode()
        def load():
            layer = nn.Linear(3, 3)
            with torch.no_grad():
                layer.weight.copy_(torch.zeros(3, 3))
            with torch.enable_grad():
                layer.weight.copy_(torch.ones(3, 3))
            return layer

        load()
        """,
    "flags of modules and of parameters": """
        def freeze(members):
            for member in members:
                if isinstance(member, nn.Parameter):
                    member.requires_grad = False
                else:
                    for parameter in member.parameters():
                        parameter.requires_grad = False

        freeze([nn.Linear(3, 3), nn.Parameter(torch.ones(3))])
        """,
    "a module that decides itself what an attribute is": """
        class Loose(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(3))

            def __setattr__(self, name, value):
                parameters = self.__dict__.get("_parameters")
                if parameters is not None and name in parameters:
                    parameters[name] = value
                else:
                    super().__setattr__(name, value)

        loose = Loose()
        loose.weight = torch.zeros(3)
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
        ("GRD315", "torch.randn(3)", "torch.vmap(lambda row: row + torch.randn(3))(torch.ones(4, 3))"),
        (
            "GRD605",
            "nn.utils.clip_grad_norm_(model.parameters(), 0.1)",
            """
            model = nn.Linear(2, 3)
            for _ in range(2):
                model.zero_grad()
                model(torch.ones(4, 2)).mean().backward()
                nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            model.zero_grad()
            """,
        ),
        ("GRD101", "(x * 2).data", "x = torch.ones(3, requires_grad=True)\n(x * 2).data.sum().backward()"),
        ("GRD513", 'nn.Sequential(nn.Linear(3, 3), "a")', 'nn.Sequential(nn.Linear(3, 3), "a")'),
        (
            "GRD304",
            "t.requires_grad_()",
            "t = torch.tensor([1, 2])\nif not torch.is_floating_point(t):\n    t.requires_grad_()",
        ),
        (
            "GRD508",
            'setattr(module, "weight", module.weight / 2)',
            'module = nn.Linear(3, 3)\nsetattr(module, "weight", module.weight / 2)',
        ),
        (
            "GRD119",
            "torch.sqrt(((a - b) ** 2).sum(-1))",
            "def distance(a, b):\n    return torch.sqrt(((a - b) ** 2).sum(-1)) + 1e-8",
        ),
        (
            "GRD101",
            "self.width.exp().detach()",
            """
            class Wide(torch.distributions.Normal):
                def log_prob(self, actions):
                    return super().log_prob(actions).sum(-1, keepdim=True)

            class Actor(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.width = nn.Parameter(torch.zeros(2))
                    self.value = nn.Linear(3, 1)

                def forward(self, x, act):
                    drawn = Wide(torch.zeros(2), self.width.exp().detach())
                    return drawn.log_prob(act).mean() + self.value(x).mean()

            actor = Actor()
            optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
            for x in torch.ones(3, 4, 3):
                optimizer.zero_grad()
                actor(x, torch.ones(4, 2)).backward()
                optimizer.step()
            """,
        ),
        (
            "GRD110",
            "model(torch.ones(2, 3)).sum().backward()",
            """
            class Wrapped(nn.DataParallel):
                pass

            inner = nn.Linear(3, 1).requires_grad_(False)
            model = Wrapped(inner)
            model(torch.ones(2, 3)).sum().backward()
            """,
        ),
        (
            "GRD210",
            "self.scale.data.copy_(x.std(0))",
            """
            class Norm(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.scale = nn.Parameter(torch.ones(3))
                    self.register_buffer("initialized", torch.tensor(0).byte())

                def forward(self, x):
                    if not self.initialized:
                        self.scale.data.copy_(x.std(0))
                    return x / self.scale

            norm = Norm()
            (norm(torch.randn(4, 3)) * norm(torch.randn(4, 3))).sum().backward()
            """,
        ),
        (
            "GRD804",
            "ctx.save_for_backward(x, names)",
            """
            class Scaled(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x, y, names):
                    ctx.save_for_backward(x, names)
                    return x * y

                @staticmethod
                def backward(ctx, gradient):
                    return gradient, gradient, None

            def scaled(pair):
                return Scaled.apply(*pair, ["a", "b"])
            """,
        ),
        (
            "GRD518",
            "nn.Embedding(4, 3)(rows)",
            "rows = nn.utils.rnn.pad_sequence([torch.ones(2), torch.ones(1)])\nnn.Embedding(4, 3)(rows)",
        ),
        ("GRD312", "w.sum(axis=1, keepdims=True).backward(torch.ones(3))",
         "w = torch.ones(3, 2, requires_grad=True)\nw.sum(axis=1, keepdims=True).backward(torch.ones(3))"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_looks_alike(code: str, blamed: str, snippet: str) -> None:
    assert [text for _, text in reported(code, snippet)] == [blamed]


def test_lists_within_themselves(caplog: pytest.LogCaptureFixture) -> None:
    text = IMPORTS + textwrap.dedent("""
        def measure(number):
            return [number, 2 * number], {"a": number}

        def train(model, data, flag):
            hits, named = [], {}
            for number in range(3):
                hits, named = measure(number)
                loss = model(data).sum()
                hits.append(hits)
                hits += [hits, loss]
                hits[0] = hits
                hits[1:2] = [named, hits]
                named["x"] = named
                named.setdefault("y", named)
                if flag:
                    hits.extend(hits)
                    named.update({"z": hits})
                loss.backward()
            return hits if flag else named

        train(nn.Linear(3, 3), torch.ones(3, 3), True)
        """)
    assert programs.check(text).error is None
    findings(analyze(Source.read(text)))
    assert not caplog.records
