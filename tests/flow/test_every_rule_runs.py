"""No rule fails on code of which little is known: a rule that fails costs its findings everywhere."""

import logging

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source

PROGRAMS = {
    "everything is an argument": """
        def train(model, loader, criterion, optimizer, scheduler, scaler, clip, checkpoint, *args, **kwargs):
            for batch in loader:
                x, y = batch
                optimizer.zero_grad()
                loss = criterion(model(x), y, *args, **kwargs)
                loss.backward()
                loss.sum().backward(retain_graph=True)
                scaler.scale(loss).backward()
                clip(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                x.grad.zero_()
                model.weight.data = y
                total = total + loss.item() if batch else loss
            return total
    """,
    "torch with unknown values": """
        import torch
        from torch import nn
        from torch.utils.checkpoint import checkpoint
        from elsewhere import Net, build, data, loss_of

        model, other = Net(), build(**data)
        optimizer = torch.optim.Adam(model.parameters())
        frozen = torch.optim.SGD([{"params": other.parameters()}, {"params": data}], lr=data)
        for x, *rest in data:
            out = checkpoint(model, x)
            loss = loss_of(out, rest) + nn.functional.mse_loss(out, rest[0]) + nn.CrossEntropyLoss(**data)(out, x)
            loss.backward()
            torch.autograd.backward([loss, out], data)
            gradients = torch.autograd.grad(loss, data, create_graph=data)
            nn.utils.clip_grad_norm_(data, 1.0)
            optimizer.step()
            torch.tensor(data, requires_grad=data).sum().backward()
            torch.stack(gradients)[data] += x
            model.load_state_dict(data)
        with torch.set_grad_enabled(data), data as something:
            something(model)
    """,
    "classes with unknown bases": """
        import torch
        from elsewhere import Base, decorate


        class Net(Base, torch.nn.Module):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.layers = [decorate(self) for _ in kwargs]
                self.scale = torch.ones(1, requires_grad=True)

            @decorate
            def forward(self, x):
                for layer in self.layers:
                    x = layer(x) + self.scale
                x.requires_grad = self.training
                x.grad.zero_()
                return x.numpy()


        class Step(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *inputs):
                ctx.save_for_backward(*inputs)
                return inputs

            @staticmethod
            def backward(ctx, *gradients):
                return gradients


        Step.apply(*Net()(1)).backward()
    """,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_no_rule_fails(program: str, caplog: pytest.LogCaptureFixture) -> None:
    import textwrap

    with caplog.at_level(logging.ERROR):
        findings(analyze(Source.read(textwrap.dedent(program))))
    assert not caplog.records, caplog.text
