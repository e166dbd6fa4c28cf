"""Programs that random ones were cut down to: what gradls said of them was not so."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.truth.random_tensors import HEAD
from tests.truth.test_random_programs import check_ends

PROGRAMS = {
    "tensors in a ParameterList": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.held = nn.ParameterList([torch.randn(3), torch.randn(3)])
                self.held.append(torch.randn(3))
                self.held.extend([torch.randn(3)])
                self.held[0] = torch.randn(3)
                self.named = nn.ParameterDict({"u": torch.randn(3)})
                self.named["v"] = torch.randn(3)
                self.named.update({"w": torch.randn(3)})
        net = Net()
        torch.optim.SGD(net.parameters(), lr=0.1)
        total = sum(net.held) + sum(net.named.values())
        total.sum().backward()
        first, added = net.held[0], net.held[3]
        entry = net.named["w"]
    """,
    "set_grad_enabled as a decorator": """
        weight = torch.randn(3, requires_grad=True)
        class Net:
            @torch.set_grad_enabled(False)
            def look(self, x):
                return x * 2
        product = weight * 2
        product.sum().backward()
        looked = Net().look(weight)
    """,
    "parameters of the module itself come before those of its parts": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.part = nn.Linear(3, 3)
                self.scale = nn.Parameter(torch.ones(3))
        net = Net()
        next(net.parameters()).requires_grad_(False)
        scale = net.scale
        weight = net.part.weight
    """,
    "gradients that only some ways leave": """
        weight, other, flagged = (torch.randn(3, requires_grad=True) for _ in range(3))
        if many:
            weight.sum().backward()
        loss = other.sum() if many else torch.zeros(1)
        if loss.requires_grad:
            loss.backward()
        both = flagged.sum()
        flagged.requires_grad_(many)
        if many:
            both.backward()
        first_lacks = torch.ones(3, requires_grad=weight.grad is None)
        second_lacks = torch.ones(3, requires_grad=other.grad is None)
        third_lacks = torch.ones(3, requires_grad=flagged.grad is None)
    """,
    "a forward that takes one of two ways": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.one, self.two = nn.Linear(3, 3), nn.Linear(3, 3)
            def forward(self, x):
                if many:
                    x = self.one(x)
                return self.two(x)
        net = Net()
        net(torch.randn(3)).sum().backward()
        one = torch.ones(3, requires_grad=net.one.weight.grad is None)
        two = torch.ones(3, requires_grad=net.two.weight.grad is None)
    """,
    "optimizers of which it is not known what they hold": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(3))
                self.rest = nn.Linear(3, 3) if many else None
        nets = Net(), Net()
        for net, given in zip(nets, ([*nets[0].parameters()], [p for p in nets[1].parameters()])):
            optimizer = torch.optim.SGD(given, lr=0.1)
            net.scale.sum().backward()
            optimizer.zero_grad()
        one = torch.ones(3, requires_grad=nets[0].scale.grad is None)
        two = torch.ones(3, requires_grad=nets[1].scale.grad is None)
    """,
    "gradients with a graph": """
        x = torch.randn(3, requires_grad=True)
        part = x.unbind(0)[0]
        constant, = torch.autograd.grad(part, x, create_graph=True)
        _, twice = torch.autograd.grad(x.sum(), (x, x), create_graph=many)
        zeros, = torch.autograd.grad(x.sum(), x[:], create_graph=True, materialize_grads=True)
        unused, = torch.autograd.grad(x.sum(), x[:], allow_unused=True)
        is_none = torch.ones(3, requires_grad=unused is None)
    """,
    "what is detached after a gradient was taken": """
        x = torch.randn(3, requires_grad=True)
        torch.autograd.grad(x, x, torch.ones(3), allow_unused=True)
        x.detach_()
    """,
    "a gradient that is assigned on one way": """
        x = torch.ones(3)
        if many:
            x.grad = torch.ones(3)
        none = torch.ones(3, requires_grad=x.grad is None)
    """,
    "a checkpoint of what may require grad": """
        from torch.utils.checkpoint import checkpoint
        x = torch.ones(3, requires_grad=many)
        result = checkpoint(nn.Linear(3, 3), x, use_reentrant=True)
    """,
    "a custom function that gives no gradient": """
        class Stop(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1
            @staticmethod
            def backward(ctx, gradient):
                return None
        weight = torch.randn(3, requires_grad=True)
        Stop.apply(weight).sum().backward()
        lacks = torch.ones(3, requires_grad=weight.grad is None)
    """,
    "an input that is marked as dirty": """
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, weight):
                ctx.mark_dirty(x)
                return x.mul_(2)
            @staticmethod
            def backward(ctx, gradient):
                return gradient * 2, None
        x = torch.randn(3)
        Double.apply(x, torch.randn(3, requires_grad=True))
    """,
    "a part of a graph that is gone through again": """
        class Same(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1
            @staticmethod
            def backward(ctx, gradient):
                return gradient
        weight = torch.randn(3, requires_grad=True)
        inner = weight.pow(2).sum()
        outer = Same.apply(inner)
        outer.backward()
        torch.autograd.grad(outer.sum(), inner)
    """,
    "the gradient of what a reentrant checkpoint gives": """
        from torch.utils.checkpoint import checkpoint
        weight = torch.randn(3, requires_grad=True)
        result = checkpoint(torch.exp, weight, use_reentrant=True)
        torch.autograd.grad(result.sum(), result)
    """,
    "a view or a copy of what is written": """
        x, y = torch.zeros(3), torch.zeros(3)
        view, base = x.reshape(3), y.reshape(3)
        x += torch.ones(3, requires_grad=True)
        base += torch.ones(3, requires_grad=True)
    """,
    "a shallow copy of a result": """
        import copy
        result = torch.ones(3, requires_grad=True) * 2
        copied = copy.copy(result)
    """,
    "two names for what branches made": """
        one, other = torch.zeros(3), torch.zeros(3)
        if many:
            first = second = one
        else:
            first = second = other
        first += torch.ones(3, requires_grad=True)
    """,
    "one of several whose flag changes": """
        one, other, third, fourth = (torch.ones(3, requires_grad=True) for _ in range(4))
        chosen = one if many else other
        one.requires_grad_(False)
        result, another = third * 2, fourth * 2
        taken = result if many else another
        taken.detach_()
    """,
    "a backward of one of several": """
        first = torch.ones(3, requires_grad=many)
        chosen = first
        if not many:
            chosen = torch.ones(3, requires_grad=True)
        chosen.sum().backward()
    """,
    "flags that a block changed before an error": """
        one = torch.ones(3)
        try:
            other = one.detach().requires_grad_()
            one.requires_grad_()
            raise ValueError
        except ValueError:
            pass
    """,
    "a sum of nothing": """
        def nothing(x):
            for _ in []:
                yield x
        weight = torch.ones(3, requires_grad=True)
        total = sum(nothing(weight), weight)
    """,
    "what a branch replaces besides": """
        weight = torch.ones(3, requires_grad=True)
        square = weight * weight
        if many:
            torch.autograd.grad(square.sum(), weight)
            square = weight.abs()
        square.sum().backward()
        first, second = weight * 2, weight * 2
        of_first, of_second = first * first, second * second
        if many:
            first.detach_()
            second.mul_(2)
            of_first = of_second = weight * 3
        (of_first + of_second).sum().backward()
        def halved(x):
            y = x * x
            if many:
                x.mul_(0.5)
                return x * 1
            return y
        halved(weight * 1).sum().backward()
    """,
    "a state that is detached where the loss begins anew": """
        cell, head = nn.LSTMCell(3, 3), nn.Linear(3, 1)
        state = torch.zeros(2, 3), torch.zeros(2, 3)
        loss = 0
        for step in range(len(sys.argv) + 6):
            state = cell(torch.randn(2, 3), state)
            loss += head(state[0]).mean()
            if (step + 1) % 3 == 0:
                loss.backward()
                loss = 0
                for part in state:
                    part.detach_()
        state = [torch.zeros(2, 3), torch.zeros(2, 3)]
        for step in range(len(sys.argv) + 6):
            state = list(cell(torch.randn(2, 3), state))
            if step % 3 == 0:
                loss = head(state[0]).mean()
            else:
                loss = loss + head(state[1]).mean()
            if step % 3 == 2:
                loss.backward()
                state[:] = [part.detach() for part in state]
    """,
    "what a reentrant checkpoint gives": """
        from torch.utils.checkpoint import checkpoint
        weight = torch.randn(3, requires_grad=True)
        def constant(x):
            with torch.no_grad():
                return x * 2
        given = checkpoint(constant, weight, use_reentrant=True)
        given.register_hook(print)
        same = checkpoint(lambda x: x, weight, use_reentrant=True)
        beside = checkpoint(torch.tanh, weight, use_reentrant=True)
        torch.autograd.grad(beside.sum(), beside * 2, allow_unused=True)
        torch.autograd.grad(beside.sum(), beside)
    """,
    "a reentrant checkpoint of what requires grad by branch": """
        from torch.utils.checkpoint import checkpoint
        flagged = torch.ones(3, requires_grad=many)
        def constant(x, y):
            with torch.no_grad():
                return x * 2
        beside = checkpoint(constant, torch.ones(3), flagged, use_reentrant=True)
        same = checkpoint(lambda x: x, flagged, use_reentrant=True)
        class View(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                view = x.view_as(x)
                ctx.mark_non_differentiable(view)
                return view
        view = View.apply(torch.ones(3, requires_grad=True))
    """,
    "a result of a checkpoint that is written": """
        from torch.utils.checkpoint import checkpoint
        weight = torch.randn(3, requires_grad=True)
        result = checkpoint(torch.tanh, weight, use_reentrant=False)
        result.mul_(2)
        result.sum().backward()
    """,
    "what forward writes and does not mark": """
        class Double(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.mul_(2) * 1
            @staticmethod
            def backward(ctx, gradient):
                return gradient * 2
        weight = torch.randn(3, requires_grad=True)
        result = Double.apply(weight)
        weight.sum().backward()
        weight.sum().backward()
    """,
    "what backward does not ask for": """
        class Once(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * 1
            @staticmethod
            def backward(ctx, gradient):
                return gradient
        class Never(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 1
        weight = torch.randn(3, requires_grad=True)
        middle = weight * 2
        result = Once.apply(middle)
        middle.add_(1)
        result.sum().backward()
        never = Never.apply(weight)
        torch.autograd.grad(never.sum(), never)
    """,
    "the gradient of a tensor with regard to itself": """
        weight = torch.randn(3, requires_grad=True)
        itself = torch.autograd.grad(weight, weight, weight)[0]
        itself.sum().backward()
    """,
    "what derives from a dataclass, and what replace makes": """
        import dataclasses
        @dataclasses.dataclass
        class Pair:
            one: torch.Tensor
            other: torch.Tensor = None
            def __post_init__(self):
                if self.other is None:
                    self.other = torch.zeros(3, requires_grad=True)
        class Derived(Pair):
            pass
        made = Derived(torch.ones(3))
        other = made.other
        another = dataclasses.replace(made, one=torch.zeros(3), other=None).other
        lacks = torch.ones(3, requires_grad=made.one.grad is None)
    """,
    "the gradient of a copy": """
        import copy
        weight, parameter = torch.ones(3, requires_grad=True), nn.Parameter(torch.ones(3))
        (weight * parameter).sum().backward()
        held = copy.deepcopy({"weight": weight, "parameter": parameter})
        weight.grad = None
        lacks = torch.ones(3, requires_grad=held["weight"].grad is None)
        parameter_lacks = torch.ones(3, requires_grad=held["parameter"].grad is None)
    """,
    "views of what is written with gradients off": """
        weight = torch.ones(2, 3, requires_grad=True)
        first, second = weight.unbind(0)
        product = first * second
        with torch.no_grad():
            before = weight[0]
            for row in weight:
                row.clamp_(-1, 1)
            weight.mul_(2)
            shown = first + before
        difference = before.detach() - weight[0]
        product = first.detach() * 2
        one = torch.zeros(3).sum().expand(3)
        one.unsqueeze_(0)
    """,
    "where an element is": """
        weight = torch.ones(3, requires_grad=True)
        values = [torch.zeros(3) for _ in sys.argv]
        starred = [*values, weight][0]
        values.append(weight)
        first = values[0]
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.perhaps = nn.Linear(3, 3) if many else None
                self.always = nn.Linear(3, 3)
        net = Net()
        next(net.parameters()).requires_grad_(False)
        frozen = net.always.weight
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_said_is_so(name: str) -> None:
    check_ends(HEAD + dedent(PROGRAMS[name]))
