"""What was said wrongly of programs made at random as users write them, cut down: it has to be so, whatever the command
line is."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.truth.test_random_programs import check_ends

HEAD = """\
import sys

import torch
import torch.nn.functional as F
from torch import nn

many = len(sys.argv) > 9
"""
PROGRAMS = {
    "the slope of a layer of which only the bias is trained": """
        def slope(layer):
            x = torch.ones(4, 3, requires_grad=True)
            return torch.autograd.grad(layer(x).sum(), x, create_graph=True)[0]
        layer = nn.Linear(3, 3)
        trained = slope(layer)
        layer.weight.requires_grad_(False)
        constant = slope(layer)
        of_function = slope(lambda x: F.linear(x, layer.weight, layer.bias))
        of_two = slope(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)).requires_grad_(False))
        curved = slope(nn.LayerNorm(3).requires_grad_(False))
    """,
    "a step that may have nothing to go by": """
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        net.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            loss = net(torch.ones(3)).sum()
            optimizer.step()
            loss.backward()
            optimizer.zero_grad()
    """,
    "gradients that are put into one of several": """
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        net.zero_grad()
        parameters = [p for p in net.parameters() if "a".isidentifier()]
        for p, gradient in zip(parameters, [torch.ones_like(p) for p in parameters]):
            p.grad = gradient
        shown = net[0].weight.grad.abs() + net[1].bias.grad.abs()
        for p in [p for p in net.parameters() if "a".isidentifier()]:
            p.grad = None
        lacks = torch.ones(3, requires_grad=net[0].weight.grad is None)
    """,
    "what autocast computes with copies": """
        critic, maker = nn.Linear(3, 1), nn.Linear(3, 3)
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
        for _ in range(2):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                made = maker(torch.ones(4, 3))
                judged = critic(made)
                loss = critic(made.detach()).mean()
                other = (made @ critic.weight.t()).mean()
            loss.backward()
            optimizer.step()
            (other - judged.mean()).backward()
        @torch.autocast("cpu", dtype=torch.bfloat16)
        def recurrent(cell, x):
            return cell(x)[0]
        cell = nn.GRU(3, 3)
        out = recurrent(cell, torch.ones(4, 3, requires_grad=True))
        with torch.no_grad():
            cell.weight_ih_l0.mul_(2)
        out.sum().backward()
    """,
    "data that is not put together": """
        from torch.utils.data import DataLoader, TensorDataset
        mean, score = torch.zeros(3), torch.ones(4, 3, requires_grad=True)
        for x, y in DataLoader(TensorDataset(torch.randn(6, 4, 3), torch.randn(6, 4, 3)), batch_size=None):
            mean.mul_(0.9).add_(x.mean(0))
            loss = F.binary_cross_entropy_with_logits(score, (y > 0).float())
    """,
    "a function that is applied to each module": """
        net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        def freeze(module):
            if isinstance(module, nn.Linear):
                module.weight.requires_grad_(False)
        net.apply(freeze)
        first, last = net[0].weight, net[2].weight
        large = nn.Sequential(*[nn.Sequential(nn.Linear(3, 3), nn.ReLU()) for _ in range(30)])
        large.apply(freeze)
        one, other, bias = large[0][0].weight, large[29][0].weight, large[29][0].bias
        listed = nn.Sequential(*(nn.Linear(3, 3) for _ in range(3)), *(nn.Linear(3, 3) for _ in range(40)))
        listed.apply(freeze)
        inside = listed[1].weight
    """,
    "a leaf that was changed behind the back of autograd": """
        layer = nn.Linear(3, 3)
        total = layer(torch.ones(3)).sum()
        layer.weight.data += 0.1
        slope, = torch.autograd.grad(total, layer.weight, retain_graph=True)
        with torch.no_grad():
            layer.bias.copy_(torch.ones(3, requires_grad=True))
        gradients = torch.autograd.grad(total, list(layer.parameters()), allow_unused=True)
        lacks = torch.ones(3, requires_grad=gradients[1] is None)
    """,
    "a round that is left before its backward": """
        weight = torch.ones(3, requires_grad=many)
        def train():
            for _ in range(3):
                loss = (weight * 2).sum()
                if not many:
                    continue
                loss.backward()
        train()
        for _ in range(3):
            doubled = weight * 2
            if not many:
                break
            doubled.sum().backward()
        again = weight
    """,
    "what is changed behind an early return or break": """
        weight = torch.ones(3, requires_grad=True)
        def detached():
            result = weight * 2
            if many:
                return result
            result.detach_()
            return result
        def flagged():
            result = torch.zeros(3)
            if not many:
                return result
            result.requires_grad_()
            return result
        def frozen():
            net = nn.Linear(3, 3)
            for _ in range(2):
                if many:
                    return net
            net.requires_grad_(False)
            return net
        one, other, third = detached(), flagged(), frozen().weight
        for _ in range(3):
            total = torch.zeros(3)
            held = [weight]
            if not many:
                break
            total += weight
            held[0] = weight.detach()
        of_total, of_held = total * 1, held[0]
        def generated():
            result = torch.zeros(3)
            yield result
            if not many:
                return
            result.requires_grad_()
            yield result
        first = list(generated())[0]
        def apart():
            if many:
                result = weight * 2
                result.detach_()
                return result
            other = torch.zeros(3)
            other.requires_grad_()
            return other
        flag = apart()
    """,
    "what is scattered and not asked for": """
        index = torch.tensor([[0], [1]])
        base, source = torch.ones(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
        of_base, = torch.autograd.grad(base.scatter_add(1, index, source).sum(), base)
        base.scatter(1, index, source.detach()).sum().backward()
        torch.zeros(2, 3).scatter(1, index.expand(2, 3), source).sum().backward()
    """,
    "a view in the forward of a custom function": """
        class Same(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                seen.append(x.view_as(x))
                return x.view_as(x)
            @staticmethod
            def backward(ctx, gradient):
                return gradient
        seen = []
        Same.apply(torch.ones(3, requires_grad=many) * 2)
        view = seen[0]
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_said_is_so(name: str) -> None:
    check_ends(HEAD + dedent(PROGRAMS[name]))
