"""Where a statement may move, and under which name an object is written: the fixes of training loops."""

from __future__ import annotations

from textwrap import dedent

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source

BEGIN = """
import torch

model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
"""


def titles(program: str, code: str) -> list[str]:
    found = findings(analyze(Source.read(BEGIN + dedent(program), "program.py")))
    mine = [finding for finding in found if finding.code == code]
    assert mine, "nothing is found"
    return [fix.title for finding in mine for fix in finding.fixes]


STAYS = {
    "what it needs is computed in between": (
        """
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()
            most = x.abs().max().item()
            torch.nn.utils.clip_grad_norm_(model.parameters(), most)
        """,
        "GRD605",
    ),
    "a round may end in between": (
        """
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            loss = model(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            if loss.item() > 10:
                continue
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        """,
        "GRD605",
    ),
    "the other is in another function": (
        """
        def clip():
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()
            clip()
        """,
        "GRD605",
    ),
    "the optimizer is used before the layer is replaced": (
        """
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 10))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        net[1] = torch.nn.Linear(4, 2)
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            net(x).pow(2).mean().backward()
            optimizer.step()
            scheduler.step()
        """,
        "GRD607",
    ),
    "each forward makes new parameters": (
        """
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.ones(3))

            def forward(self, x):
                self.weight = torch.nn.Parameter(self.weight.abs())
                return x @ self.weight

        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            loss = net(x).pow(2).mean()
            loss.backward()
            optimizer.step()
        """,
        "GRD607",
    ),
    "the head is made behind the optimizer": (
        """
        head = torch.nn.Linear(1, 1)
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            head(model(x)).pow(2).mean().backward()
            optimizer.step()
        """,
        "GRD607",
    ),
    "what is evaluated may be trained, too": (
        """
        def run(batches, training):
            if not training:
                model.eval()
            for x in batches:
                out = model(x)
                if training:
                    optimizer.zero_grad()
                    out.pow(2).mean().backward()
                    optimizer.step()
                print(out.mean().item())

        run(torch.randn(4, 8, 3), False)
        """,
        "GRD709",
    ),
    "nothing reads the result": (
        """
        def forward(x):
            out = model(x)
            out.detach()

        forward(torch.randn(8, 3))
        """,
        "GRD616",
    ),
    "the step is written, and not called": (
        """
        for x in torch.randn(4, 8, 3):
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step
        """,
        "GRD603",
    ),
    "other gradients are cleared on purpose": (
        """
        inner = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in torch.randn(4, 8, 3):
            for _ in range(2):
                model(x).pow(2).mean().backward()
            optimizer.zero_grad()
            optimizer.step()
        """,
        "GRD602",
    ),
}


@pytest.mark.parametrize("name", STAYS)
def test_no_fix_is_offered_where_it_would_not_be_right(name: str) -> None:
    assert titles(*STAYS[name]) == []


NAMED = {
    "in a function that is given it": (
        """
        def train(net, opt, x):
            opt.zero_grad()
            net(x).pow(2).mean().backward()

        for x in torch.randn(4, 8, 3):
            train(model, optimizer, x)
        """,
        "GRD603",
        "Write `opt.step()` behind `net(x).pow(2).mean().backward()`",
    ),
    "of the module": (
        """
        def train(x):
            model.zero_grad()
            model(x).pow(2).mean().backward()

        for x in torch.randn(4, 8, 3):
            train(x)
        """,
        "GRD603",
        "Write `optimizer.step()` behind `model(x).pow(2).mean().backward()`",
    ),
    "of a model in the function that trains it": (
        """
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(), torch.nn.Linear(4, 1))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        def train(student, x):
            optimizer.zero_grad()
            student(x).pow(2).mean().backward()
            optimizer.step()

        def validate(teacher, x):
            teacher.eval()
            with torch.no_grad():
                return teacher(x)

        for x in torch.randn(4, 8, 3):
            train(net, x)
            validate(net, x)
        """,
        "GRD705",
        "Write `net.train()` at the beginning of each round",
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_is_written_goes_by_the_name_that_it_has_there(name: str) -> None:
    program, code, title = NAMED[name]
    assert titles(program, code) == [title]
