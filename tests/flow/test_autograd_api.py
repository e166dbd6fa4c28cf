"""The autograd API as programs use it: what goes wrong, and the right program beside it. Each is run on PyTorch."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.truth import recorder

HEAD = """\
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

model = nn.Linear(3, 1)
x = torch.randn(8, 3)
w = torch.ones(3, requires_grad=True)
"""
NO_GRAPH = "# raises RuntimeError: element 0 of tensors does not require grad"
FREED = "# raises RuntimeError: Trying to backward through the graph a second time"
WRITTEN = "# raises RuntimeError: one of the variables needed for gradient computation has been modified"

WRONG = {
    "grad mode as a context": (
        "GRD106",
        f"""
        with torch.no_grad():
            loss = model(x).mean()
        loss.backward()  {NO_GRAPH}
        """,
    ),
    "grad mode as a decorator": (
        "GRD106",
        f"""
        @torch.inference_mode()
        def loss_of(x):
            return model(x).mean()


        loss_of(x).backward()  {NO_GRAPH}
        """,
    ),
    "grad mode as a statement": (
        "GRD106",
        f"""
        torch.set_grad_enabled(False)
        model(x).mean().backward()  {NO_GRAPH}
        """,
    ),
    "grad mode of a generator": (
        "GRD704",
        f"""
        class Rows:
            def __init__(self, values):
                self.values = values

            def __iter__(self):
                with torch.no_grad():
                    for value in self.values:
                        yield value * 2


        for row in Rows(x):
            model(row).sum().backward()  {NO_GRAPH}
        """,
    ),
    "a generator whose consumer returns from the loop": (
        "GRD704",
        f"""
        def rows():
            with torch.no_grad():
                yield from x


        def first():
            for row in rows():
                return model(row)


        first().sum().backward()  {NO_GRAPH}
        """,
    ),
    "double backward of a linear function": (
        "GRD117",
        f"""
        def slope_of(function, at):
            return torch.autograd.grad(function(at).sum(), at, create_graph=True)[0]


        slope_of(lambda value: value.view(3, 1) * 2 + 1, w).norm().backward()  {NO_GRAPH}
        """,
    ),
    "double backward of an operation that has none": (
        "GRD314",
        """
        gate = nn.Sequential(nn.Linear(3, 3), nn.Hardsigmoid())
        moved = x.clone().requires_grad_()
        slope = torch.autograd.grad(gate(moved).sum(), moved, create_graph=True)[0]
        loss = gate(x).mean() + slope.norm()
        loss.backward()  # raises RuntimeError: derivative for aten::hardsigmoid_backward is not implemented
        """,
    ),
    "the gradient of a slice made after the forward": (
        "GRD308",
        """
        loss = (w * x).sum()
        torch.autograd.grad(loss, w[0])  # raises RuntimeError: appears to not have been used in the graph
        """,
    ),
    "the gradient of what is not used": (
        "GRD308",
        """
        other = torch.ones(3, requires_grad=True)
        torch.autograd.grad((w * x).sum(), [w, other])  # raises RuntimeError: appears to not have been used
        """,
    ),
    "two losses with a node in common": (
        "GRD301",
        f"""
        hidden = torch.tanh(model(x))
        first, second = hidden.pow(2).mean(), hidden.abs().mean()
        first.backward()
        second.backward()  {FREED}
        """,
    ),
    "a custom Function with too few gradients": (
        "GRD801",
        """
        class Scale(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value, factor):
                ctx.factor = factor
                return value * factor

            @staticmethod
            def backward(ctx, gradient):
                return gradient * ctx.factor


        Scale.apply(w, 2.0).sum().backward()  # raises RuntimeError: returned an incorrect number of gradients
        """,
    ),
    "a custom Function whose gradient is turned the wrong way": (
        "GRD801",
        """
        class Product(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value, weight):
                ctx.save_for_backward(value, weight)
                return value @ weight.t()

            @staticmethod
            def backward(ctx, gradient):
                value, weight = ctx.saved_tensors
                return gradient @ weight, value.t() @ gradient


        weight = torch.randn(2, 3, requires_grad=True)
        Product.apply(x, weight).sum().backward()  # raises RuntimeError: returned an invalid gradient at index 1
        """,
    ),
    "a custom Function that writes without mark_dirty": (
        "GRD804",
        """
        class Twice(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                return value.mul_(2)

            @staticmethod
            def backward(ctx, gradient):
                return gradient * 2


        hidden = w * 1
        Twice.apply(hidden)
        """,
    ),
    "a custom Function that gives its input": (
        "GRD204",
        """
        class Reverse(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                return value

            @staticmethod
            def backward(ctx, gradient):
                return -gradient


        F.relu(Reverse.apply(model(x)), inplace=True)  # raises RuntimeError: created inside a custom Function
        """,
    ),
    "a reentrant checkpoint without gradient": (
        "GRD116",
        f"""
        loss = checkpoint(model, x, use_reentrant=True).sum()
        loss.backward()  {NO_GRAPH}
        """,
    ),
    "functional_call with a state dictionary": (
        "GRD113",
        f"""
        torch.func.functional_call(model, model.state_dict(), x).sum().backward()  {NO_GRAPH}
        """,
    ),
    "a function transform that gets several numbers": (
        "GRD315",
        """
        torch.func.grad(lambda value: value * 2)(w)  # raises RuntimeError: Expected f(*args) to return a scalar
        """,
    ),
    "an inference tensor in training": (
        "GRD206",
        """
        with torch.inference_mode():
            features = x * 2
        model(features)  # raises RuntimeError: Inference tensors cannot be saved for backward
        """,
    ),
    "buffers written before backward": (
        "GRD201",
        f"""
        norm = nn.BatchNorm1d(3)
        loss = norm(x).mean()
        with torch.no_grad():
            norm.running_mean.lerp_(torch.zeros(3), 0.1)
        loss.backward()  {WRITTEN}
        """,
    ),
    "buffers loaded before backward": (
        "GRD201",
        f"""
        net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
        before = {{name: value.clone() for name, value in net.state_dict().items()}}
        loss = net(x).mean()
        net.load_state_dict(before)
        loss.backward()  {WRITTEN}
        """,
    ),
    "weights of a loss that should be learned": (
        "GRD317",
        """
        classes = nn.Parameter(torch.ones(3))
        criterion = nn.CrossEntropyLoss(classes)
        criterion(x, torch.zeros(8, dtype=torch.long))  # raises RuntimeError: is not differentiable with respect to
        """,
    ),
    "a straight-through estimator without detach": (
        "GRD108",
        """
        def quantize(value):
            return value.round() - value + value


        quantize(w).sum().backward()
        assert not w.grad.any()
        """,
    ),
}

RIGHT = {
    "grad mode": """
        @torch.no_grad()
        def rows():
            for row in x:
                yield row * 2


        for row in rows():
            model(row).sum().backward()
        with torch.no_grad(), torch.enable_grad():
            model(x).sum().backward()
        torch.set_grad_enabled(False)
        torch.set_grad_enabled(True)
        model(x).sum().backward()
        """,
    "a context manager that is a generator": """
        from contextlib import contextmanager


        @contextmanager
        def quiet(value):
            with torch.no_grad():
                yield value


        with quiet(w) as weight:
            weight.add_(1)
        (w * 2).sum().backward()
        """,
    "double backward": """
        moved = x.clone().requires_grad_()
        critic = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
        slope = torch.autograd.grad(critic(moved).sum(), moved, create_graph=True)[0]
        (slope.norm(dim=1) - 1).pow(2).mean().backward()
        given = torch.ones(3, requires_grad=True)
        image = torch.autograd.grad(3 * w, w, given, create_graph=True)[0]
        torch.autograd.grad(image.sum(), given)
        """,
    "what is asked for": """
        other = torch.ones(3, requires_grad=True)
        torch.autograd.grad((w * x).sum(), [w, other], allow_unused=True)
        part = w[:2]
        torch.autograd.grad(part.sum(), part)
        torch.autograd.grad(w * 2, w, torch.eye(3), is_grads_batched=True)
        """,
    "two losses with nothing saved in common": """
        hidden = model(x) + 1
        first, second = hidden.sum(), hidden.mean()
        first.backward(retain_graph=True)
        second.backward()
        """,
    "custom Functions": """
        class Scale(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value, factor):
                ctx.factor = factor
                ctx.save_for_backward(value)
                ctx.mark_dirty()
                return value * factor

            @staticmethod
            def backward(ctx, gradient):
                (value,) = ctx.saved_tensors
                first = gradient * ctx.factor if ctx.needs_input_grad[0] else None
                return first, None


        class Total(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                ctx.size = value.shape
                return value.sum(0, keepdim=True)

            @staticmethod
            def backward(ctx, gradient):
                return gradient.expand(ctx.size)


        Scale.apply(w, 2.0).sum().backward()
        Total.apply(model(x)).mul_(2).sum().backward()
        """,
    "checkpoint": """
        loss = checkpoint(model, x, use_reentrant=False).sum()
        loss.backward()
        checkpoint(model, x.clone().requires_grad_(), use_reentrant=True).sum().backward()
        """,
    "function transforms": """
        parameters = dict(model.named_parameters())


        def loss_of(parameters, row):
            return torch.func.functional_call(model, parameters, row).sum()


        slopes = torch.func.grad(loss_of)(parameters, x)
        each = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0))(parameters, x)
        assert each["weight"].shape == (8, 1, 3)
        """,
    "inference tensors that are copied": """
        with torch.inference_mode():
            features = x * 2
        model(features.clone()).sum().backward()
        """,
    "buffers": """
        norm = nn.BatchNorm1d(3)
        loss = norm(x).mean() + norm(x * 2).mean()
        norm.num_batches_tracked.zero_()
        loss.backward()
        norm.reset_running_stats()
        """,
    "a sum whose terms do not cancel": """
        first, second = (w * 2).chunk(2)
        (first[:1] - second).sum().backward()
        (2 * w - w).sum().backward()
        (w - w.detach()).sum().backward()
        (w + (w.round() - w).detach()).sum().backward()
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


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT)
def test_what_is_said_of_tensors_is_true(program: str) -> None:
    score = recorder.compare(_text(program))
    assert not score.wrong, "\n".join(score.wrong)
