"""Terms of a loss that are cleared away, parameters that are replaced, and gradients that are put in place by hand."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.reported import IMPORTS, check_error, check_right, reported

TWO_PASSES = """
import torch
from torch import nn

disc = nn.Linear(6, 1)
opt = torch.optim.SGD(disc.parameters(), lr=0.1)
crit = nn.BCEWithLogitsLoss()
{loop}
    opt.zero_grad()
    crit(disc(torch.randn(5, 6)), torch.ones(5, 1)).backward()
    {between}
    second = crit(disc(torch.randn(5, 6)), torch.zeros(5, 1))
    alone = torch.autograd.grad(second, disc.weight, retain_graph=True)[0]
    second.backward()
    {same}
    opt.step()
"""


@pytest.mark.parametrize(
    ("loop", "between", "found"),
    [
        ("for _ in range(2):", "opt.zero_grad()", ["information"]),
        ("if True:", "opt.zero_grad()", []),  # A first pass may be there to warm up.
        ("for _ in range(2):", "norm = disc.weight.grad.norm(); opt.zero_grad()", []),
        ("for _ in range(2):", "opt.step(); opt.zero_grad()", []),
    ],
)
def test_first_of_two_passes_is_cleared(loop: str, between: str, found: list[str]) -> None:
    text = TWO_PASSES.format(loop=loop, between=between, same="assert torch.allclose(disc.weight.grad, alone)")
    programs.check(text)
    assert [severity for severity, _ in reported("GRD602", text)] == found


ASSIGNED = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 2))
state = {{name: tensor.clone() for name, tensor in model.state_dict().items()}}
{before}
model.load_state_dict(state{options})
{after}
before = model[0].weight.detach().clone()
loss = model(torch.randn(8, 6)).pow(2).mean()
loss.backward()
optimizer.step()
assert torch.equal(before, model[0].weight) is {still}
"""
MADE = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)"


@pytest.mark.parametrize(
    ("before", "options", "after", "found"),
    [
        (MADE, ", assign=True", "", ["model.load_state_dict(state, assign=True)"]),
        (MADE, "", "", []),
        (MADE, ", assign=False", "", []),
        ("", ", assign=True", MADE, []),
    ],
)
def test_load_state_dict_puts_new_parameters(before: str, options: str, after: str, found: list[str]) -> None:
    text = ASSIGNED.format(before=before, options=options, after=after, still=bool(found))
    programs.check(text)
    told = [what for _, what in reported("GRD607", text) if "load_state_dict" in what]
    assert told == found
    if not found:
        check_right(text)


@pytest.mark.parametrize(
    "optimizer", ["SGD(model.parameters(), lr=0.1, weight_decay=1e-4)", "Adagrad(model.parameters(), weight_decay=0.1)"]
)
def test_decay_of_sparse_gradients(optimizer: str) -> None:
    program = f"""
    import torch

    model = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = torch.optim.{optimizer}
    model(torch.tensor([0])).sum().backward()
    optimizer.step()  # raises RuntimeError: {"add(sparse, dense)" if "SGD" in optimizer else "weight_decay"}
    """
    check_error("GRD511", textwrap.dedent(program))


@pytest.mark.parametrize(
    "optimizer",
    [
        "SGD(model.parameters(), lr=0.1, weight_decay=0.0)",
        "SGD(model.parameters(), lr=0.1, momentum=0.9)",
        "SGD([{'params': model.parameters(), 'weight_decay': 0.0}], lr=0.1, weight_decay=0.1)",
    ],
)
def test_sparse_gradients_without_decay(optimizer: str) -> None:
    check_right(
        "import torch\n\nmodel = torch.nn.Embedding(5, 3, sparse=True)\n"
        f"optimizer = torch.optim.{optimizer}\n"
        "model(torch.tensor([0])).sum().backward()\noptimizer.step()\n"
    )


SHARED = """
import torch
from torch import nn

shared, local = nn.Linear(4, 1), nn.Linear(4, 1)
optimizer = torch.optim.SGD(shared.parameters(), lr=0.1)
before = shared.weight.detach().clone()
for _ in range(2):
    local.load_state_dict(shared.state_dict())
    local.zero_grad()
    local(torch.randn(6, 4)).pow(2).mean().backward()
    for mine, other in zip(local.parameters(), shared.parameters()):
        other.{name} = mine.grad
    optimizer.step()
assert not torch.equal(before, shared.weight)
"""


@pytest.mark.parametrize("name", ["grad", "_grad"])
def test_gradients_of_a_copy_are_handed_on(name: str) -> None:
    check_right(SHARED.format(name=name))


@pytest.mark.parametrize(
    "loss",
    [
        "sum((head(h) - t).pow(2).mean() for head, t in zip(heads, targets))",
        "torch.stack([(head(h) - t).pow(2).mean() for head, t in zip(heads, targets)]).sum()",
        "sum([head(h).mean() * w for head, w in zip(heads, targets.mean((1, 2)))])",
    ],
)
def test_every_module_of_a_comprehension_is_used(loss: str) -> None:
    """Beside something of unknown length, too: the elements that are known are all gone through."""
    text = IMPORTS + textwrap.dedent(f"""
        shared, heads = nn.Linear(6, 8), nn.ModuleList([nn.Linear(8, 1) for _ in range(4)])
        opt = torch.optim.Adam([*shared.parameters(), *heads.parameters()])
        targets = torch.randn(4, 16, 1)
        h = torch.relu(shared(torch.randn(16, 6)))
        loss = {loss}
        loss.backward()
        opt.step()
        assert all(p.grad is not None for p in heads.parameters())
        """)
    programs.check(text)
    assert [finding.code for finding in findings(analyze(Source.read(text))) if finding.code == "GRD520"] == []


COUNTED = """
import torch
from torch import nn

net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
step = 0
for x in [torch.randn(5, 3) for _ in range(30)]:
    {first}
    step += 1
    loss = net(x).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if {when}:
        net.eval()
        print(step)
assert net.training is {training}
"""


@pytest.mark.parametrize(
    ("first", "when", "found"),
    [
        ("pass", "step % 10 == 0", ["warning"]),
        ("pass", "(step + 1) % 10 == 1", ["warning"]),
        ("net.train()", "step % 10 == 0", []),
        ("pass", "step % 10 == 10", []),
    ],
)
def test_round_after_what_happens_now_and_then(first: str, when: str, found: list[str]) -> None:
    """The first round of a counter that is known takes no branch of every tenth: one more follows where it is taken."""
    training = when.endswith("== 10")
    if first == "pass":
        programs.check(COUNTED.format(first=first, when=when, training=training))
    if not training:
        text = COUNTED.format(first=first, when=when, training=training)
        assert [severity for severity, _ in reported("GRD705", text)] == found


TRACE = """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 2))
x = torch.randn(16, 2, requires_grad=True)
v = torch.randn(16, 2)
score = model(x)
change = torch.autograd.grad((score * v).sum(), x, {graph}=True)[0]
norm, trace = 0.5 * (score ** 2).sum(1), (v * change).sum(1)
loss = {loss}
loss.backward()
"""


@pytest.mark.parametrize("loss", ["(norm + trace).mean()", "norm.mean() + trace.mean()", "(trace - -norm).sum()"])
def test_gradient_without_graph_in_a_mean(loss: str) -> None:
    text = TRACE.format(loss=loss, graph="retain_graph") + "assert not trace.requires_grad"
    programs.check(text)
    assert [severity for severity, _ in reported("GRD115", text)] == ["warning"]
    right = TRACE.format(loss=loss, graph="create_graph") + "assert trace.requires_grad"
    check_right(right)


def test_a_count_is_to_blame_before_a_target() -> None:
    text = """
    import torch

    net = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    states = torch.randn(8, 4)
    chosen = net(states).max(1)[1].float()
    with torch.no_grad():
        target = 1 + 0.9 * net(states).max(1)[0]
    loss = (chosen - target).pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    """
    check_error("GRD107", textwrap.dedent(text))
    assert reported("GRD106", text) == []


THAWED = """
import torch
from torch import nn

def freeze(model):
    for p in model.parameters():
        p.requires_grad = False

model = nn.ModuleDict({{"body": nn.Linear(3, 4), "head": nn.Linear(4, 1)}})
extra = nn.Parameter(torch.zeros(1))
{first}
{second}
optimizer = torch.optim.SGD([extra, *(p for p in model.parameters() if p.requires_grad)], lr=0.1)
before = model["head"].weight.detach().clone()
loss = (model["head"](model["body"](torch.randn(5, 3))) + extra).pow(2).mean()
loss.backward()
optimizer.step()
assert torch.equal(before, model["head"].weight) is {still}
"""
HEAD = "for p in model['head'].parameters():\n    p.requires_grad = True"


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (HEAD, "freeze(model)", ["p.requires_grad"]),
        ("model['head'].requires_grad_(True)", "model.requires_grad_(False)", ["model['head'].requires_grad_(True)"]),
        ("freeze(model)", HEAD, []),
        ("model.requires_grad_(True)", "model['body'].requires_grad_(False)", []),
        ("model.requires_grad_(True)", "freeze(model)", []),
        (HEAD, "freeze(model)\n" + HEAD, []),
    ],
)
def test_what_is_asked_for_is_frozen_with_the_others(first: str, second: str, found: list[str]) -> None:
    still = bool(found) or second == "freeze(model)"
    text = THAWED.format(first=first, second=second, still=still)
    programs.check(text)
    assert reported("GRD609", text) == [("information", what) for what in found]
