"""What the engine says of tensors, against what they are when the program runs on PyTorch.

In each program, every variable that holds a tensor at the end is compared: requires_grad, is_leaf and the dtype class.
The engine may say that it does not know; what it says must be true, and it must know at least as many as `known` says.
"""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import torch

from gradls.flow.analyze import analyze
from gradls.flow.graph import Edge, Node
from gradls.flow.reach import leaves_of
from gradls.flow.state import State
from gradls.flow.values import Tensor
from gradls.syntax.source import Source

PROGRAMS = {
    "factories": """
        a = torch.zeros(3)
        b = torch.ones(2, 2, requires_grad=True)
        c = torch.arange(3)
        d = torch.arange(3.0)
        e = torch.tensor([1, 2])
        f = torch.tensor([1.0, 2.0], requires_grad=True)
        g = torch.randint(0, 3, (2,))
        h = torch.zeros_like(b)
        i = torch.full((2,), 1.5)
        j = torch.tensor([True, False])
        k = torch.empty(2, dtype=torch.long)
        l = torch.nn.Parameter(torch.zeros(2))
        m = torch.nn.Parameter(torch.zeros(2), requires_grad=False)
    """,
    "properties that programs assign to": """
        from torch import nn
        w = torch.ones(3, requires_grad=True)

        class Cut:
            def __init__(self, value):
                self.value = value

            @property
            def value(self):
                return self._value

            @value.setter
            def value(self, value):
                self._value = value.detach()

        class Kept(Cut):
            @Cut.value.setter
            def value(self, value):
                self._value = value

        class Other:
            def read(self):
                return self.held * 2

            def write(self, value):
                self.held = value * 2

            both = property(read, write)
            read_only = property(read)

        class Scaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(3, 3)
                self.scale = w * 2

            @property
            def scale(self):
                return self.stored + 1

            @scale.setter
            def scale(self, value):
                with torch.no_grad():
                    self.stored = value * 1

        cut, kept, other, scaled = Cut(w * 2), Kept(w * 2), Other(), Scaled()
        a = cut.value
        b = kept.value
        other.both = w
        c = other.both
        d = other.read_only
        e = scaled.scale
        cut.value += 1
        f = cut.value
        setattr(kept, "value", torch.ones(3))
        g = kept.value
        h = other.read()
    """,
    "dictionaries made of others": """
        w = torch.ones(3, requires_grad=True)
        z = torch.zeros(3)
        full, empty = {"a": w, "b": z}, {}
        a = ({"a": z} | full)["a"]
        b = (full | {"a": z})["a"]
        c = full["a"]
        d = {**full, "a": z}["a"]
        e = {"a": z, **full}["a"]
        f = dict(full, a=z)["a"]
        g = dict([("a", z), ("a", w)])["a"]
        empty |= full
        h = empty["a"]
        empty.update(a=z)
        i = empty["a"]
        j = empty.pop("b", w)
        k = empty.get("b", w)
    """,
    "numbers from outside": """
        import argparse
        import json
        import os
        import random
        import time
        import numpy as np
        t = torch.ones(3)
        w = torch.ones(3, requires_grad=True)
        parser = argparse.ArgumentParser()
        parser.add_argument("-r", "--learning-rate", type=float, default=0.5)
        parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2])
        parser.add_argument("--flag", action="store_true")
        parser.add_argument_group("more").add_argument("--beta", dest="gamma", default=2, type=int)
        args = parser.parse_args([])
        a = t * args.learning_rate
        b = w * args.learning_rate
        c = t * (args.gamma ** 2 - abs(args.learning_rate - 1))
        d = t * args.sizes[0] if args.flag else t * args.sizes[-1]
        e = t * random.random() + random.randint(1, 2)
        f = t * time.time()
        g = t * json.loads('{"a": [2]}')["a"][0]
        h = t * np.random.randint(3)
        i = t * float(os.environ.get("NOT_THERE", "1"))
        j = t * random.uniform(0, args.gamma)
        k = t * min(args.learning_rate, 2)
    """,
    "context managers that have nothing to do with gradients": """
        import os
        import warnings
        w = torch.ones(3, requires_grad=True)
        with open(os.devnull) as f, warnings.catch_warnings():
            a = w * 2
    """,
    "decorators of the program": """
        import functools
        from torch import nn

        def timed(fn):
            @functools.wraps(fn)
            def wrapper(*args, **kwargs):
                result = fn(*args, **kwargs)
                return result
            return wrapper

        def frozen(fn):
            def inner(*args):
                with torch.no_grad():
                    return fn(*args)
            return inner

        def named(name):
            def decorator(fn):
                @functools.wraps(fn)
                def wrapper(self, *args, **kwargs):
                    return fn(self, *args, **kwargs)
                return wrapper
            return decorator

        class Base(nn.Module):
            def __init__(self):
                super().__init__()
                self.l = nn.Linear(2, 2)
            def forward(self, x):
                return self.l(x)

        class Net(Base):
            @named("x")
            def forward(self, x):
                return super().forward(x)

            @timed
            def features(self, x):
                return self.l(x)

        @timed
        def loss_of(p):
            return p.sum()

        @frozen
        def evaluate(net, x):
            return net(x)

        net = Net()
        a = net(torch.randn(1, 2))
        b = net.features(torch.randn(1, 2))
        c = loss_of(a)
        d = evaluate(net, torch.randn(1, 2))
    """,
    "operations": """
        x = torch.randn(3, requires_grad=True)
        y = torch.randn(3)
        a, b, c = x * 2, y * 2, x + y
        d = x > 0
        e = (x > 0).float()
        f = x.argmax()
        g = torch.where(x > 0, x, y)
        h = x.long()
        i = x.round()
        j = torch.stack([x, y])
        k = x.max()
        values, indices = x.topk(2)
        l = torch.matmul(x, y)
        m = x @ y
        n = -x
        o = 2 - x
        p = x.to(torch.float64)
        q = torch.einsum("i,i->", x, y)
    """,
    "cuts": """
        x = torch.randn(3, requires_grad=True)
        h = x * 2
        a = h.detach()
        b = h.data
        c = torch.tensor(h.sum().item())
        d = torch.tensor([h.sum().item(), 1.0])
        e = torch.from_numpy(h.detach().numpy())
        f = h.clone()
        g = h.clone().detach()
        i = torch.as_tensor(h)
        j = torch.autograd.Variable(h)
        k = h.detach().requires_grad_(True)
        l = k * 2
        m = torch.nn.Parameter(h)
        n = h.new_zeros(2)
    """,
    "grad mode": """
        x = torch.randn(3, requires_grad=True)
        with torch.no_grad():
            a = x * 2
            b = torch.zeros(2, requires_grad=True)
            with torch.enable_grad():
                c = x * 2
            d = x[0]
            e = x[0] * 2
        f = a * 2
        g = x * 2


        @torch.no_grad()
        def quiet(t):
            return t * 2


        @torch.no_grad
        def quiet_too(t):
            return t * 2


        h = quiet(x)
        i = quiet_too(x)
        j = x * 3
        torch.set_grad_enabled(False)
        k = x * 2
        torch.set_grad_enabled(True)
        l = x * 2
        with torch.inference_mode():
            m = x * 2
        with torch.set_grad_enabled(False):
            n = x * 2
        o = x * 2
    """,
    "in place": """
        x = torch.randn(3, requires_grad=True)
        buffer = torch.zeros(3)
        buffer[0] = x[0]
        a = buffer * 1
        other = torch.zeros(3)
        other.add_(x)
        plain = torch.zeros(3)
        plain += 1
        view = torch.zeros(4)
        row = view[:2]
        row.mul_(x.sum())
        after = view * 1
        w = torch.ones(2, requires_grad=True)
        with torch.no_grad():
            w -= 0.1
            w.copy_(torch.zeros(2))
        target = torch.zeros(3)
        with torch.no_grad():
            target.copy_(x)
    """,
    "modules": """
        class Net(torch.nn.Module):
            def __init__(self, width):
                super().__init__()
                self.encoder = torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.ReLU())
                self.heads = torch.nn.ModuleList([torch.nn.Linear(width, 2) for _ in range(2)])
                self.register_buffer("scale", torch.ones(2))

            def forward(self, x):
                hidden = self.encoder(x)
                return [head(hidden) * self.scale for head in self.heads]


        net = Net(4)
        first, second = net(torch.randn(5, 3))
        weight = net.encoder[0].weight
        for parameter in net.encoder.parameters():
            parameter.requires_grad = False
        frozen = net.encoder(torch.randn(5, 3))
        still = net(torch.randn(5, 3))[0]
        scale = net.scale
        lstm = torch.nn.LSTM(3, 4)
        output, (hidden, cell) = lstm(torch.randn(2, 1, 3))
        loss = torch.nn.CrossEntropyLoss()(first, torch.zeros(5, dtype=torch.long))
        copied = net.state_dict()["scale"]
        inherited = type("Sub", (Net,), {})(4)
    """,
    "python": """
        x = torch.randn(3, requires_grad=True)
        listed = [x * i for i in range(3)]
        total = sum(listed)
        named = {"loss": x.sum(), "constant": torch.ones(1)}
        a = named["loss"]
        b = sum(named.values())
        c = (lambda t: t * 2)(x)


        def scaled(t, factor=2.0, *, shift=None):
            return t * factor if shift is None else t * factor + shift


        d = scaled(torch.ones(3))
        e = scaled(torch.ones(3), shift=x)
        for f in (torch.ones(1), x):
            pass
        g, *h = x, torch.ones(1), x
        i = h[0]
        j = max([x.sum(), x.sum()], key=float)
        k = torch.stack(list(map(lambda t: t.sum(), [x, x])))
        import copy
        m = copy.deepcopy(x)
        import functools
        n = functools.reduce(lambda one, other: one + other, [x, torch.ones(3)])
        o = functools.partial(scaled, factor=3.0)(x)


        def rows():
            for number in range(2):
                yield x[number] * number


        p = torch.stack(list(rows()))
    """,
    "loops": """
        w = torch.ones(3, requires_grad=True)
        total = 0
        for _ in range(100):
            total = total + (w * 2).sum()
        h = torch.zeros(3)
        for _ in range(50):
            h = torch.tanh(h + w)
        detached = torch.zeros(3)
        for _ in range(50):
            detached = (detached + w).detach()
        losses = []
        while len(losses) < 10:
            losses.append(w.sum())
        stacked = torch.stack(losses)
    """,
    "gradients": """
        w = torch.ones(3, requires_grad=True)
        loss = (w * 2).sum()
        loss.backward()
        g = w.grad
        x = torch.ones(3, requires_grad=True)
        first = torch.autograd.grad((x ** 3).sum(), x, create_graph=True)[0]
        second = torch.autograd.grad((x ** 3).sum(), x)[0]


        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                return value * 2

            @staticmethod
            def backward(ctx, gradient):
                return gradient * 2


        custom = Double.apply(x)
        flat = Double.apply(torch.ones(3))
        mean = torch.distributions.Normal(x, 1.0)
        drawn = mean.sample()
        reparametrized = mean.rsample()
        likelihood = mean.log_prob(drawn)
    """,
}

UNCERTAIN = {
    "tensors that are asked for what they are, by branch": """
        import sys
        x = torch.ones(3)
        y = x.float() if len(sys.argv) > 9 else x.to(torch.float32)
        z = x.contiguous()
        x.requires_grad_()
        a = torch.ones(3)
        b = a.view(-1)
        c = b[:2]
        a.requires_grad_()
        d = b * 2
        e = torch.ones(3, requires_grad=True) * 1
        e.copy_(torch.zeros(3))
    """,
    "gradients of gradients": """
        w = torch.ones(3, requires_grad=True)
        (w ** 3).sum().backward(create_graph=True)
        v = torch.ones(3, requires_grad=True)
        (v ** 3).sum().backward()
        a = w.grad
        b = w.grad * 2
        c = v.grad * 2
    """,
    "entries that a branch puts in": """
        import os
        w = torch.ones(3, requires_grad=True)
        z = torch.zeros(3)
        some = {"a": z}
        if os.environ.get("NOT_THERE"):
            some["b"] = w
        a = dict(some).get("b", z)
        b = {"b": z, **some}["b"]
        other = {"b": z}
        other.update(some)
        c = other["b"]
        d = ({"b": z} | some)["b"]
        e = some.get("b", z)
        last = {"b": z}
        last |= some
        f = last["b"]
        g = dict(**some).get("b", z)

        def take(a, b=z):
            return b

        h = take(**some)
        i = some.setdefault("b", z)
        j = some["b"]
        k = some.pop("b", z)
        l = {"b": w, **{name: z for name in os.environ}, "c": z}["b"]
    """,
    "generators of which it is not known where they stop": """
        import os
        from contextlib import contextmanager
        from torch import nn
        flag = not os.environ.get("NOT_THERE")
        w, x = torch.ones(3, requires_grad=True), torch.ones(3)
        net = nn.Linear(3, 3)

        @contextmanager
        def quiet(on):
            if on:
                with torch.no_grad():
                    yield
            else:
                yield

        @contextmanager
        def frozen(module, on):
            if on:
                module.requires_grad_(False)
                yield
                module.requires_grad_(True)
            else:
                yield

        @contextmanager
        def all_frozen(modules):
            for module in modules:
                module.requires_grad_(False)
            while True:
                yield
                break
            for module in modules:
                module.requires_grad_(True)

        with quiet(flag):
            a = w * 2
        b = w * 2
        with quiet(not flag):
            c = w * 2
        with frozen(net, flag):
            d = net(x)
        e = net(x)
        with all_frozen([net]):
            f = net(x)
        g = net(x)
        with all_frozen([net]):
            net.requires_grad_(True)
            h = net(x)
    """,
    "values from outside that are no numbers": """
        import argparse
        import json
        import random
        t = torch.ones(3)
        w = torch.ones(3, requires_grad=True)
        a = t * random.uniform(0, w[0])
        b = t * json.loads('{"a": 2}', object_hook=lambda entries: w)
        parser = argparse.ArgumentParser()
        parser.add_argument("--made", type=lambda text: w, default="1")
        parser.add_argument("--given", default=w)
        parser.add_argument("--set", type=int)
        parser.add_argument("--put", type=int)
        parser.set_defaults(set=w)
        args = parser.parse_args([])
        args.put = w
        c = t * args.made
        d = t * args.given
        e = t * args.set
        f = t * args.put
        data = json.loads('{"a": 2}')
        data["a"] = w
        g = t * data["a"]
    """,
    "objects that do with operations what they like": """
        class Special(torch.Tensor):
            pass

        class Shifted:
            def __init__(self):
                self.shift = torch.ones(3, requires_grad=True)

            def __radd__(self, other):
                return other + self.shift

        class Doubled:
            def __init__(self):
                self.value = torch.ones(3, requires_grad=True)

            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                return args[0].value * 2

        s = Special(torch.zeros(3))
        s.requires_grad_()
        a = torch.sin(s)
        b = torch.ones(3) + Shifted()
        c = torch.sin(Doubled())
    """,
}
"""Programs of which it need not be known what they do."""
CLASSES = {
    torch.float32: "float", torch.float64: "float", torch.int64: "int", torch.int32: "int", torch.bool: "bool",
}  # fmt: skip


def _said(text: str) -> dict[str, object]:
    """What the engine says of each variable, at the last place that binds it."""
    found = {}
    for state in analyze(Source.read(text)).states:
        node = state.node
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            at = (node.lineno, node.col_offset)
            if node.id not in found or found[node.id][0] < at:
                found[node.id] = (at, state)
    return {name: state for name, (_, state) in found.items()}


def _program(name: str) -> str:
    import textwrap

    return "import torch\n" + textwrap.dedent((PROGRAMS | UNCERTAIN)[name])


@pytest.mark.parametrize("name", PROGRAMS | UNCERTAIN)
def test_what_is_said_is_true(name: str) -> None:
    text = _program(name)
    namespace: dict[str, object] = {}
    torch.manual_seed(0)
    try:
        exec(compile(text, name, "exec"), namespace)
    finally:
        torch.set_grad_enabled(True)
    # Bound once more at the end, so that what is compared is the state there.
    said = _said(text + "".join(f"{variable} = {variable}\n" for variable in namespace if variable.isalpha()))
    wrong, known, count = [], 0, 0
    for variable, value in namespace.items():
        if not isinstance(value, torch.Tensor) or variable not in said:
            continue
        state = said[variable]
        truth = (value.requires_grad, value.is_leaf, CLASSES[value.dtype])
        claims = (state.requires_grad, state.leaf, state.dtype)
        count += 1
        known += state.requires_grad is not None
        wrong += [
            (variable, claim, fact) for claim, fact in zip(claims, truth, strict=True) if claim not in (None, fact)
        ]
    assert not wrong
    assert name in UNCERTAIN or known >= count * 0.95, f"only {known} of {count} are known"


def test_the_first_analysis_of_a_process_says_what_later_ones_say() -> None:
    program = """
from gradls.flow.analyze import analyze
from gradls.syntax.source import Source

text = (
    "from torch import Tensor\\n"
    "def f(x: Tensor, y: Tensor):\\n"
    "    if not x.shape[-2:] == y.shape[-2:]:\\n"
    "        raise ValueError\\n"
)
states = []
for _ in range(2):
    source = Source.read(text)
    states.append([(source.span(state.node), state.requires_grad) for state in analyze(source).states])
assert states[0] == states[1], states
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def _is_followed(text: str) -> bool:
    return not analyze(Source.read(text)).unfinished


@pytest.mark.parametrize("index", ["0.5:", ":0.5", "::0", "'a':"])
def test_slices_that_python_refuses(index: str) -> None:
    assert _is_followed(f"import torch\npoints = torch.randn(8, 3)\nprint(points[:, {index}])\n")


@pytest.mark.parametrize("number", ["round('1.23', 3)", "round('x')", "int('x')", "complex('1 2')", "float('1' * 400)"])
def test_numbers_that_python_refuses(number: str) -> None:
    assert _is_followed(f"import torch\nprint({number})\n")


def test_one_of_many_by_branch_many_times() -> None:
    """What branches give is joined again and again: each leaf is told once, in the order of the branches."""
    state = State()
    nodes = [Node(state, "made", None, kind="leaf") for _ in range(2)]
    for node in nodes:
        node.leaf = Tensor(state, node, requires_grad=True, leaf=True)
    leaves = [node.leaf for node in nodes]
    for _ in range(16):
        nodes = [Node(state, "phi", None, tuple(Edge(node, True) for node in nodes), kind="phi") for _ in range(2)]
    assert list(leaves_of(nodes[0])) == leaves


def test_copies_of_objects_that_unknown_code_made() -> None:
    text = """
import copy
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear("a", 4)

    def forward(self, x):
        self.hidden = self.layer(x)
        return self.hidden.relu()

net = Net()
net(torch.randn(8, 3)).sum().backward()
copy.deepcopy(net)
"""
    assert _is_followed(text)
