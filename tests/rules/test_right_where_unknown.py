"""Programs that are right, in which gradls does not know which object, argument or class something is."""

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
    "the name of a dtype": """
        counts = torch.tensor([[1, 2], [3, 4]])
        assert counts.clone().type() == counts.type()
        x = torch.rand(4, requires_grad=True)

        def truth_like(output):
            return torch.tensor(1).fill_(1.0).type(output.type()).expand_as(output)

        nn.BCELoss()(torch.sigmoid(x), truth_like(x)).backward()
        """,
    "a custom Function with class methods": """
        class Scaled(torch.autograd.Function):
            FACTOR = 2.0

            @classmethod
            def forward(cls, ctx, x, w):
                ctx.save_for_backward(x, w)
                return x * w * cls.FACTOR

            @classmethod
            def backward(cls, ctx, gradient):
                x, w = ctx.saved_tensors
                return gradient * w * cls.FACTOR, gradient * x * cls.FACTOR

        Scaled.apply(torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)).sum().backward()
        """,
    "as many gradients as come": """
        class Note(torch.autograd.Function):
            @staticmethod
            def forward(ctx, log, name, x):
                ctx.log, ctx.name = log, name
                log.append(name)
                return x

            @staticmethod
            def backward(ctx, *gradients):
                ctx.log.append(ctx.name)
                return None, None, *gradients

        Note.apply([], "a", torch.rand(3, requires_grad=True) * 1).sum().backward()
        """,
    "results without a gradient": """
        class Largest(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, k):
                found = torch.topk(x, k).indices
                ctx.mark_non_differentiable(found)
                return found

            @staticmethod
            def backward(ctx, gradient=None):
                return ()

        class Forbidden(torch.autograd.Function):
            @staticmethod
            def forward(ctx, one, other):
                return one * 2, other * 2

            @staticmethod
            def backward(ctx, gradient):
                raise NotImplementedError

        x = torch.rand(5, requires_grad=True)
        x[Largest.apply(x, 2)].sum().backward()
        Forbidden.apply(torch.rand(3), torch.rand(3))
        """,
    "a mask beside the result": """
        class Drop(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, p):
                mask = (torch.rand_like(x) > p).to(torch.uint8)
                kept = torch.ones_like(x)
                ctx.mark_non_differentiable(kept)
                ctx.save_for_backward(mask)
                return x * mask, mask, kept

            @staticmethod
            def backward(ctx, gradient, *others):
                (mask,) = ctx.saved_tensors
                return gradient * mask, None

        x, other = torch.rand(5, requires_grad=True), torch.rand(5, requires_grad=True)
        result, mask, kept = Drop.apply(x, 0.5)
        (other * mask.float() * kept).sum().backward()
        result.sum().backward()
        (other * mask.float() * kept).mean().backward()
        """,
    "an index of several parts": """
        def largest(one, other):
            difference = (one - other).abs()
            at = torch.unravel_index(difference.argmax(), difference.shape)
            return one[at].item(), other[at].item()

        largest(torch.rand(3, 1, 5), torch.rand(3, 1, 5))
        """,
    "rows that were an array": """
        import numpy as np

        points = torch.as_tensor(np.ones((8, 3))).numpy().tolist()
        torch.tensor(points).contiguous()[:2]
        """,
    "a parameter that is deleted unless it is already": """
        class Normalized(nn.Module):
            def __init__(self, module):
                super().__init__()
                self.module = module
                if not self.is_made():
                    weight = module.weight
                    del module._parameters["weight"]
                    module.register_parameter("weight_bar", nn.Parameter(weight.data))

            def is_made(self):
                try:
                    getattr(self.module, "weight_bar")
                    return True
                except AttributeError:
                    return False

            def forward(self, x):
                weight = self.module.weight_bar
                setattr(self.module, "weight", weight / weight.norm())
                return self.module(x)

        Normalized(nn.Linear(3, 3)).forward(torch.rand(2, 3)).sum().backward()
        """,
    "what is loaded if it is there": """
        encode, decode = nn.Linear(3, 2), nn.Linear(2, 3)
        optimizer = torch.optim.Adam([*encode.parameters(), *decode.parameters()])
        try:
            encode, decode = torch.load("./nowhere.pkl")
        except OSError:
            pass
        for _ in range(3):
            optimizer.zero_grad()
            x = torch.rand(4, 3)
            loss = F.mse_loss(decode(encode(x)), x)
            loss.backward()
            optimizer.step()
        """,
    "one result or several": """
        def scale(x, w, before):
            return (x * w, x) if before else x * w

        def run(before):
            x, w = torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)
            result = scale(x, w, before)
            if before:
                result, x = result
            if not before:
                result.backward(torch.ones(3))
            else:
                (result * x).backward(torch.ones(3))

        globals()["run"](True)
        globals()["run"](False)
        """,
    "arguments that somebody else gives": """
        def run(project, options):
            x = torch.rand(4)
            (-torch.distributions.Normal(*project(x)).log_prob(x).mean()).backward()
            F.mse_loss(*project(x)).backward()
            nn.MSELoss()(*project(x)).backward()
            torch.addcmul(x, *project(x)).sum().backward()
            x.addcmul(*project(x)).sum().backward()
            F.mse_loss(x, **options).backward()

        w = torch.ones(4, requires_grad=True)
        globals()["run"](lambda x: (w * x, w.exp()), {"target": w})
        """,
    "what another method puts in the place of it": """
        def input_names():
            yield from ("forward", "backward", "backward", "finish", "show")

        class Measured:
            def __init__(self):
                self.weight = torch.rand(3, requires_grad=True)
                self.result = torch.zeros(0)
                self.loss = 0
                self.seen = False

            def forward(self):
                self.result = self.weight * 2
                self.loss = self.result.sum()
                self.seen = True

            def backward(self):
                self.result.backward(torch.ones(3), retain_graph=True)

            def finish(self):
                if self.seen:
                    self.loss.backward()

            def show(self):
                return self.loss.item(), self.result.sum().item()

        measured = Measured()
        for name in input_names():
            getattr(globals()["measured"], name)()
        """,
    "an operation below autograd": """
        def write(one, other, result):
            torch.mm(one, other, out=result)

        @torch.library.custom_op("gradls_right::product", mutates_args=())
        def product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            result = one.new_empty((one.shape[0], other.shape[1]))
            write(one, other, result)
            return result

        def keep(ctx, inputs, output):
            ctx.save_for_backward(*inputs)

        def reverse(ctx, gradient):
            one, other = ctx.saved_tensors
            return gradient @ other.t(), one.t() @ gradient

        product.register_autograd(reverse, setup_context=keep)
        product(torch.rand(2, 3, requires_grad=True), torch.rand(3, 4, requires_grad=True)).sum().backward()
        """,
    "data that says what it is": """
        x = torch.randn(4, 8, requires_grad=False)
        w = torch.randn(8, 2, requires_grad=True)
        optimizer = torch.optim.SGD([w], 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            x.mm(w).pow(2).sum().backward()
            optimizer.step()
        small = torch.randn([2, 1], requires_grad=False) * 0.01
        small.requires_grad_(True)
        (w @ small).sum().backward()
        """,
    "a list of what is there": """
        def reduce(parts):
            with torch.no_grad():
                losses = []
                for name, part in parts.items():
                    losses.append(part)
                return torch.stack(losses).mean().item()

        w = torch.ones(3, requires_grad=True)
        for _ in range(3):
            parts = {"a": (w * 2).sum(), "b": w.mean()}
            parts["a"].backward()
            reduce(parts)
        """,
    "parameters with names that are computed": """
        class Widths(nn.Module):
            def __init__(self, count):
                super().__init__()
                self.widths = [nn.Parameter(torch.ones(3)) for _ in range(count)]
                for number, width in enumerate(self.widths):
                    self.register_parameter(f"width_{number}", width)

            def forward(self, x):
                for width in self.widths:
                    x = x * width
                return x

        def train(count):
            widths = Widths(count)
            optimizer = torch.optim.SGD(widths.parameters(), 0.1)
            widths(torch.ones(3)).sum().backward()
            optimizer.step()

        globals()["train"](2)
        """,
    "an optimizer for each round": """
        def train(make):
            for rate in (0.1, 0.2):
                model, optimizer = make(rate)
                model(torch.ones(2, 3)).sum().backward()
                optimizer.step()

        def make(rate):
            model = nn.Linear(3, 1)
            return model, torch.optim.SGD(model.parameters(), rate)

        globals()["train"](globals()["make"])
        """,
    "layers by number": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                one, two, three, four = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)
                self.layers = nn.ModuleList([one, nn.ReLU(), two, nn.ReLU(), three, nn.ReLU(), four, nn.ReLU()])

            def forward(self, x):
                for number in range(2):
                    x = self.layers[number](x)
                early = x
                for number in range(2, len(self.layers)):
                    x = self.layers[number](x)
                return early, x

        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            early, late = net(torch.rand(1, 3))
            (early.mean() + late.mean()).backward()
            optimizer.step()
        """,
    "a chain of two lengths": """
        from collections import OrderedDict

        class Net(nn.Module):
            def __init__(self, deep):
                super().__init__()
                if deep:
                    layers = [("a", nn.Linear(3, 3)), ("b", nn.ReLU(True)), ("c", nn.Linear(3, 3))]
                    layers.append(("d", nn.ReLU(True)))
                else:
                    layers = [("a", nn.Linear(3, 3)), ("b", nn.ReLU(True))]
                self.first = nn.Sequential(OrderedDict(layers))

            def forward(self, x):
                return self.first(x)

        for deep in (False, True):
            globals()["Net"](deep)(torch.ones(2, 3)).sum().backward()
        """,
    "a loss that is only measured": """
        model = nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        x, y = torch.rand(4, 3), torch.rand(4, 1)
        for _ in range(3):
            optimizer.zero_grad()
            F.l1_loss(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            print(F.l1_loss(y, model(x)).item())
        """,
    "layers of another dictionary": """
        class All(nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.layers = nn.ModuleDict()
                self.layers.update(layers)

            def forward(self, x):
                return {name: layer(x) for name, layer in self.layers.items()}

        def train(names, data):
            layers = nn.ModuleDict()
            for name in names:
                layers[f"layer_{name}"] = nn.Linear(3, 2)
            model = All(layers)
            optimizer = torch.optim.SGD(model.parameters(), 0.1)
            for x in data:
                optimizer.zero_grad()
                sum({name: part.mean() for name, part in model(x).items()}.values()).backward()
                optimizer.step()

        globals()["train"]("ab", torch.ones(2, 4, 3))
        """,
    "a custom Function of arguments that somebody else gives": """
        class Twice(torch.autograd.Function):
            @staticmethod
            def forward(ctx, name, *values):
                return values[0] * 2

            @staticmethod
            def backward(ctx, gradient):
                return None, gradient * 2

        def apply(convert, x):
            Twice.apply(*convert("a", x)).sum().backward()

        globals()["apply"](lambda name, x: (name, x.requires_grad_()), torch.ones(3))
        """,
    "a name of the module that a function fills": """
        extension = None

        class Root(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x.sqrt()

            @staticmethod
            def backward(ctx, gradient):
                (x,) = ctx.saved_tensors
                return extension.backward(gradient.contiguous(), x)

        def load():
            global extension
            extension = __import__("types").SimpleNamespace(backward=lambda gradient, x: gradient / (2 * x.sqrt()))

        globals()["load"]()
        Root.apply(torch.ones(3, requires_grad=True)).sum().backward()
        """,
    "dimensions that somebody else gives": """
        def first(dims):
            return torch.ones(3, 4).sum(*dims)[0]

        globals()["first"]([1])
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
            "GRD801",
            "return gradient",
            """
            class Scaled(torch.autograd.Function):
                @classmethod
                def forward(cls, ctx, x, w):
                    return x * w

                @classmethod
                def backward(cls, ctx, gradient):
                    return gradient

            Scaled.apply(torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)).sum().backward()
            """,
        ),
        (
            "GRD801",
            "return ()",
            """
            class Two(torch.autograd.Function):
                @staticmethod
                def forward(ctx, x):
                    mask = x > 0
                    ctx.mark_non_differentiable(mask)
                    return x * 2, mask

                @staticmethod
                def backward(ctx, *gradients):
                    return ()

            Two.apply(torch.rand(3, requires_grad=True))[0].sum().backward()
            """,
        ),
        (
            "GRD316",
            "counts.type(torch.float64) == counts",
            """
            counts = torch.tensor([[1, 2], [3, 4]])
            assert counts.type(torch.float64) == counts
            """,
        ),
        (
            "GRD405",
            "nn.BCELoss()(torch.sigmoid(x), target)",
            """
            x = torch.rand(4, requires_grad=True)
            target = torch.ones(4).type(torch.int64)
            nn.BCELoss()(torch.sigmoid(x), target).backward()
            """,
        ),
        (
            "GRD508",
            "module.weight",
            """
            module = nn.Linear(3, 3)
            del module.bias
            module.weight = module.weight / 2
            """,
        ),
        (
            "GRD611",
            "optimizer.step()",
            """
            encode = nn.Linear(3, 2)
            optimizer = torch.optim.Adam(encode.parameters())
            encode = torch.load("./there.pkl")
            for _ in range(3):
                optimizer.zero_grad()
                x = torch.rand(4, 3)
                loss = F.mse_loss(encode(x), x[:, :2])
                loss.backward()
                optimizer.step()
            """,
        ),
        (
            "GRD303",
            "result.backward(torch.ones(3))",
            """
            def scale(x, w):
                return x * w, x

            result = scale(torch.rand(3, requires_grad=True), torch.rand(3))
            result.backward(torch.ones(3))
            """,
        ),
        (
            "GRD316",
            "self.result.item()",
            """
            class Measured:
                def __init__(self):
                    self.result = torch.zeros(3)

                def forward(self):
                    return self.result.item()
            """,
        ),
        (
            "GRD209",
            "torch.mm(one, other, out=torch.empty(2, 4))",
            """
            def product(one, other):
                return torch.mm(one, other, out=torch.empty(2, 4))

            product(torch.rand(2, 3, requires_grad=True), torch.rand(3, 4))
            """,
        ),
        (
            "GRD111",
            "torch.randn(8, 2, requires_grad=False)",
            """
            x = torch.randn(4, 8)
            one = torch.randn(8, 2, requires_grad=True)
            other = torch.randn(8, 2, requires_grad=False)
            optimizer = torch.optim.SGD([one, other], 0.1)
            (x.mm(one) + x.mm(other)).sum().backward()
            optimizer.step()
            """,
        ),
        (
            "GRD701",
            "losses.append(loss)",
            """
            w = torch.ones(3, requires_grad=True)
            losses = []
            for _ in range(3):
                loss = (w * 2).sum()
                loss.backward()
                losses.append(loss)
            """,
        ),
        (
            "GRD501",
            "self.widths",
            """
            class Widths(nn.Module):
                def __init__(self, count):
                    super().__init__()
                    self.widths = [nn.Parameter(torch.ones(3)) for _ in range(count)]
                    self.register_parameter("scale", nn.Parameter(torch.ones(3)))
            """,
        ),
        (
            "GRD601",
            "optimizer.step()",
            """
            def train(make):
                model, optimizer = make()
                for x in torch.ones(2, 4, 3):
                    model(x).sum().backward()
                    optimizer.step()
            """,
        ),
        (
            "GRD520",
            "nn.Linear(3, 3)",
            """
            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layers = nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 1)])

                def forward(self, x):
                    return self.layers[2](self.layers[0](x))

            net = Net()
            optimizer = torch.optim.SGD(net.parameters(), 0.1)
            for _ in range(3):
                optimizer.zero_grad()
                net(torch.rand(1, 2)).mean().backward()
                optimizer.step()
            """,
        ),
        (
            "GRD201",
            "nn.ReLU(inplace=True)",
            """
            net = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.ReLU(inplace=True))
            net(torch.ones(2, 3)).sum().backward()
            """,
        ),
        (
            "GRD401",
            "F.l1_loss(y, model(x))",
            """
            model = nn.Linear(3, 1)
            x, y = torch.rand(4, 3), torch.rand(4, 1)
            F.l1_loss(y, model(x)).backward()
            """,
        ),
        (
            "GRD110",
            "torch.ones(3).sum().backward()",
            """
            def run(keep):
                parts, rows = {"x": torch.ones(3)}, [torch.ones(3)]
                parts["all"] = parts["again"] = parts
                rows.append(rows)
                keep(parts, rows)
                torch.ones(3).sum().backward()
            """,
        ),
        (
            "GRD505",
            "torch.optim.SGD(model.parameters(), 0.1)",
            """
            model = nn.ModuleDict()
            model.update(nn.ModuleDict())
            torch.optim.SGD(model.parameters(), 0.1)
            """,
        ),
        (
            "GRD303",
            "extension.backward(torch.ones(3))",
            """
            extension = None
            extension.backward(torch.ones(3))
            """,
        ),
        (
            "GRD110",
            "F.mse_loss(*[torch.rand(4), torch.rand(4)]).backward()",
            "F.mse_loss(*[torch.rand(4), torch.rand(4)]).backward()",
        ),
    ],
)
def test_what_is_wrong_and_looks_alike(code: str, blamed: str, snippet: str) -> None:
    assert [text for _, text in reported(code, snippet)] == [blamed]
