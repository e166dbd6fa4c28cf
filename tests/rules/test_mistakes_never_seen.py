"""Mistakes of users, gathered before anybody looked whether they are found, and their right twins."""

from __future__ import annotations

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.rules.reported import reported

HEAD = "import torch\nfrom torch import nn\n"


def runs(code: str, program: str) -> list[tuple[str, str]]:
    """What is found in a program that PyTorch runs as it says."""
    programs.check(HEAD + program)
    return reported(code, program)


def alarms(program: str) -> list[str]:
    """The errors and warnings in a program that PyTorch runs as it says."""
    programs.check(HEAD + program)
    found = findings(analyze(Source.read(HEAD + program)))
    return [finding.code for finding in found if finding.severity in (Severity.ERROR, Severity.WARNING)]


BY_LAYER = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc, self.scale = nn.LayerNorm(4), nn.Linear(4, 1), nn.Parameter(torch.ones(1))


net = Net()
decay, rest = [], []
for name, layer in net.named_modules():
    for own, p in layer.named_parameters({arguments}):
        (decay if own.endswith("fc.weight") else rest).append(p)
opt = torch.optim.SGD([{{"params": decay}}, {{"params": rest, "weight_decay": 0.0}}], lr=0.1){raises}
"""


def test_the_parameters_that_a_layer_has_itself() -> None:
    assert alarms(BY_LAYER.format(arguments="prefix=name, recurse=False", raises="")) == []
    assert alarms(BY_LAYER.format(arguments="name, False", raises="")) == []
    program = BY_LAYER.format(arguments="", raises="  # raises ValueError: some parameters appear in more than one")
    assert reported("GRD510", program)


def test_names_behind_a_prefix() -> None:
    program = """
net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
both = [*net[0].named_parameters(prefix="0"), *net[1].named_parameters(prefix="1")]
last = [p for name, p in both if name.startswith("1.")]
groups = [{"params": last}, {"params": net[1].parameters()}]
opt = torch.optim.SGD(groups, lr=0.1)  # raises ValueError: some parameters appear in more than one
"""
    assert alarms(program) == ["GRD510"]


BY_IDENTITY = """
net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
head = {ids}
base = filter(lambda p: id(p) not in head, net.parameters())
groups = [{{"params": base, "lr": 0.01}}, {{"params": net[1].parameters()}}]
opt = torch.optim.SGD(groups, lr=0.1){raises}
"""


@pytest.mark.parametrize(
    ("ids", "raises"),
    [
        ("map(id, net[1].parameters())", True),
        ("(id(p) for p in net[1].parameters())", True),
        ("list(map(id, net[1].parameters()))", False),
        ("{id(p) for p in net[1].parameters()}", False),
    ],
)
def test_identities_in_an_iterator(ids: str, raises: bool) -> None:
    """The first parameter that is looked for in it, and that is not there, goes through all of it."""
    raised = "  # raises ValueError: some parameters appear in more than one" if raises else ""
    assert alarms(BY_IDENTITY.format(ids=ids, raises=raised)) == ["GRD510"] * raises


def test_an_iterator_that_is_looked_into() -> None:
    program = """
names = iter(["weight", "bias"])
net = nn.Linear(3, 1)
assert "weight" in names
if "weight" in names:
    net.requires_grad_(False)
net(torch.randn(4, 3)).sum().backward()
"""
    assert alarms(program) == []


OWN_OPTIMIZER = """
class Descent(torch.optim.SGD):
    pass


net, head = nn.Linear(3, 4), nn.Linear(4, 1)
opt = Descent([*net.parameters(), *head.parameters()], lr=0.1)
before = net.weight.clone()
for _ in range(2):
    opt.zero_grad()
    head(net(torch.randn(8, 3)){cut}).pow(2).mean().backward()
    opt.step()
assert torch.equal(before, net.weight) is {same}
"""


def test_an_optimizer_of_the_program_that_changes_nothing() -> None:
    assert runs("GRD101", OWN_OPTIMIZER.format(cut=".detach()", same=True))
    assert alarms(OWN_OPTIMIZER.format(cut="", same=False)) == []


TRANSFORMED = """
from torch.func import functional_call, grad_and_value

net = nn.Linear(3, 1)
x = torch.randn(8, 3)
params = {{name: p.detach() for name, p in net.named_parameters()}}


def loss_of(params, x):
    return ({prediction}).pow(2).mean()


gradients, loss = grad_and_value(loss_of)(params, x)
assert bool((gradients["weight"] == 0).all()) is {zero}
"""


def test_a_gradient_with_its_value() -> None:
    assert alarms(TRANSFORMED.format(prediction="net(x)", zero=True)) == ["GRD315"]
    assert alarms(TRANSFORMED.format(prediction="functional_call(net, params, (x,))", zero=False)) == []


ASSIGNED = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
before = net.weight.clone()
for _ in range(2):
    {first}
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    {then}
    opt.step()
    {last}
assert torch.equal(before, net.weight) is {same}
"""


@pytest.mark.parametrize(
    ("first", "then", "last", "found"),
    [
        ("", "opt.zero_grad()", "", ["GRD602"]),
        ("opt.zero_grad()", "", "", []),
        ("", "", "opt.zero_grad()", []),
        ("", "net(torch.randn(2, 3)).sum().backward()", "opt.zero_grad()", []),
    ],
)
def test_gradients_that_are_assigned(first: str, then: str, last: str, found: list[str]) -> None:
    assert alarms(ASSIGNED.format(first=first, then=then, last=last, same=bool(found))) == found


def test_a_number_in_the_place_of_the_weights() -> None:
    program = "criterion = nn.CrossEntropyLoss({}){}\n"
    raises = "  # raises TypeError: cannot assign 'float' object to buffer 'weight'"
    assert alarms(program.format("0.1", raises)) == ["GRD406"]
    assert alarms("criterion = nn.NLLLoss(2.0)" + raises) == ["GRD406"]
    for right in ("label_smoothing=0.1", "None, None", "weight=torch.ones(3)"):
        assert alarms(program.format(right, "")) == []


def test_weights_that_are_integers() -> None:
    program = """
criterion = nn.{loss}
scores, labels = torch.randn(4, 3, requires_grad=True), torch.randint(3, (4,))
loss = criterion(scores, {target}){raises}
"""
    raises = "  # raises RuntimeError: expected scalar type Float but found Long"
    integers = "CrossEntropyLoss(weight=torch.tensor([1, 5, 2]))"
    assert alarms(program.format(loss=integers, target="labels", raises=raises)) == ["GRD406"]
    assert alarms(program.format(loss=integers, target="torch.rand(4, 3)", raises="")) == []
    floats = "CrossEntropyLoss(weight=torch.tensor([1, 5, 2]).float())"
    assert alarms(program.format(loss=floats, target="labels", raises="")) == []


VARIANCE = """
mean, spread = nn.Linear(3, 1), nn.Linear(3, 1)
x, y = torch.randn(8, 3), -torch.rand(8, 1)
var = F.softplus(spread(x))
loss = nn.functional.gaussian_nll_loss(mean(x), {rest}){raises}
"""


def test_the_variance_in_the_place_of_the_target() -> None:
    raises = "  # raises ValueError: var has negative entry"
    swapped = "from torch.nn import functional as F\n" + VARIANCE
    assert len(runs("GRD401", swapped.format(rest="var, y", raises=raises))) == 1
    assert runs("GRD401", swapped.format(rest="y, var", raises="")) == []
    assert runs("GRD401", swapped.format(rest="var, torch.ones(8, 1)", raises="")) == []


MATCHED = """
class Criterion(nn.Module):
    @torch.no_grad()
    def match(self, boxes, wanted):
        return torch.cdist(boxes, wanted).argmin(0)

    {grad}
    def of_boxes(self, boxes, wanted, chosen):
        return (boxes[chosen] - wanted).abs().mean()

    def forward(self, boxes, scores, wanted):
        chosen = self.match(boxes, wanted)
        labels = torch.zeros(4, dtype=torch.long)
        labels[chosen] = 1
        return nn.functional.cross_entropy(scores, labels) + self.of_boxes(boxes, wanted, chosen)


box, score, criterion = nn.Linear(3, 2), nn.Linear(3, 2), Criterion()
opt = torch.optim.SGD([*box.parameters(), *score.parameters()], lr=0.1)
before = box.weight.clone()
for _ in range(2):
    x = torch.randn(4, 3)
    opt.zero_grad()
    criterion(box(x), score(x), torch.rand(2, 2)).backward()
    opt.step()
assert torch.equal(before, box.weight) is {same}
"""


def test_the_decorator_that_costs_the_gradient_is_blamed() -> None:
    """What a matching finds out without gradients are indices, which have none anyway."""
    program = HEAD + MATCHED.format(grad="@torch.no_grad()", same=True)
    programs.check(program)
    lines = [finding.place.span.line for finding in findings(analyze(Source.read(program))) if finding.code == "GRD106"]
    assert lines == [program.splitlines().index("    def of_boxes(self, boxes, wanted, chosen):")]
    assert alarms(MATCHED.format(grad="", same=False)) == []


PLAIN = """
net = nn.Linear(3, 1)
net.register_buffer("scale", torch.ones(1) * 2)
{before}
opt = torch.optim.SGD([{{"params": [net.weight, net.bias]}}, {{"params": [net.scale]}}], lr=0.1)
for _ in range(2):
    opt.zero_grad()
    (net(torch.randn(4, 3)) * net.scale).pow(2).mean().backward()
    opt.step()
assert (net.scale == 2).all() == {same}
"""


def test_a_buffer_among_the_parameters() -> None:
    assert [severity for severity, _ in runs("GRD505", PLAIN.format(before="", same=True))] == ["information"]
    assert runs("GRD505", PLAIN.format(before="net.scale.requires_grad_()", same=False)) == []


ASKED = """
class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x * weight

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = grad * weight
        if ctx.needs_input_grad[{number}]:
            of_weight = (grad * x).sum(0)
        return of_x, of_weight


weight = nn.Parameter(torch.ones(3))
Scaled.apply(torch.randn(4, 3, requires_grad={both}), weight).sum().backward()
assert (weight.grad is None) is {none}
"""


def test_an_input_is_asked_about_in_the_place_of_another() -> None:
    assert runs("GRD810", ASKED.format(number=0, both=False, none=True)) == [("warning", "ctx.needs_input_grad[0]")]
    assert runs("GRD810", ASKED.format(number=0, both=True, none=False)) == []
    assert runs("GRD810", ASKED.format(number=1, both=False, none=False)) == []


OWN_STEP = """
class Descent(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {{}})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.{method}(p.grad, alpha=-0.1)


net = nn.Linear(3, 1)
opt, before = Descent(net.parameters()), net.weight.clone()
net(torch.randn(4, 3)).sum().backward()
opt.step()
assert torch.equal(before, net.weight) is {same}
"""


def test_an_update_that_an_optimizer_of_the_program_throws_away() -> None:
    assert [severity for severity, _ in runs("GRD616", OWN_STEP.format(method="add", same=True))] == ["information"]
    assert runs("GRD616", OWN_STEP.format(method="add_", same=False)) == []
    tried = OWN_STEP.format(method="add", same=True).replace("p.add(p.grad, alpha=-0.1)", "self.seen.add(p)")
    assert reported("GRD616", tried) == []


LISTS = """
net, average = nn.Linear(3, 1), nn.Linear(3, 1)
{grad}:
    torch._foreach_mul_(list(average.parameters()), 0.9){raises}
    torch._foreach_add_(list(average.parameters()), list(net.parameters()), alpha=0.1)
"""


def test_operations_on_lists_of_tensors() -> None:
    raises = "  # raises RuntimeError: a leaf Variable that requires grad is being used in an in-place operation"
    assert set(alarms(LISTS.format(grad="if True", raises=raises))) == {"GRD203"}
    assert alarms(LISTS.format(grad="with torch.no_grad()", raises="")) == []


def test_a_list_of_tensors_that_is_written_before_backward() -> None:
    program = """
weights = [torch.ones(3, requires_grad=True) for _ in range(2)]
results = [w.exp() for w in weights]
torch._foreach_add_(results, 1.0)
sum(r.sum() for r in results).backward()  # raises RuntimeError: one of the variables needed for gradient computation
"""
    assert "GRD201" in alarms(program)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("b ... -> b", ["GRD302"]), ("b c h w -> h", ["GRD302"]), ("b c h w ->", []), ("... -> ()", [])],
)
def test_reductions_by_pattern(pattern: str, found: list[str]) -> None:
    """What the patterns of einops give; `() ` is an axis of length one."""
    program = f"""
import torch
from einops import reduce

x = torch.rand(4, 1, 8, 8, requires_grad=True)
loss = reduce(x * 2, "{pattern}", "mean")
loss.backward()
"""
    told = [finding.code for finding in findings(analyze(Source.read(program)))]
    assert told == found


BESIDE = """
nets = nn.ModuleDict({{"one": nn.Linear(3, 3), "other": nn.Linear(3, 1)}})
opts = {{name: torch.optim.SGD(net.parameters(), lr=0.1) for name, net in nets.items()}}
before = nets["other"].weight.clone()
for _ in range(2):
    for opt in opts.values():
        opt.zero_grad()
    nets["other"](nets["one"](torch.randn(4, 3))).pow(2).mean().backward()
    opts["one"].step()
    {step}
assert torch.equal(before, nets["other"].weight) is {same}
"""


def test_one_of_the_optimizers_in_a_dictionary() -> None:
    assert alarms(BESIDE.format(step="", same=True)) == ["GRD603"]
    assert alarms(BESIDE.format(step="opts['other'].step()", same=False)) == []
    assert alarms(BESIDE.format(step="[o.step() for n, o in opts.items() if n != 'one']", same=False)) == []


FILLED = """
class Rates(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.rates = nn.Linear(3, 1), {container}
        self.fill()
        self.opt = torch.optim.SGD(self.parameters(), lr=0.1)

    def fill(self):
        for name, p in self.net.named_parameters():
            self.rates[name] = nn.Parameter(torch.ones_like(p))

    def update(self, x):
        loss = sum((p * self.rates[n]).sum() for n, p in self.net.named_parameters()) * x.sum()
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()


module = Rates()
module.update(torch.randn(3))
assert (module.rates["bias"] == 1).all() == {same}
"""


def test_a_dictionary_that_the_constructor_has_filled() -> None:
    assert alarms(FILLED.format(container="{}", same=True)) == ["GRD501"]
    assert alarms(FILLED.format(container="nn.ParameterDict()", same=False)) == []


LATE_HEAD = """
import torch
from torch import nn
import lightning.pytorch as pl


class Tuned(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(3, 4), nn.Identity()

    def {hook}:
        self.head = nn.Linear(4, 2)

    def training_step(self, batch, batch_idx):
        return nn.functional.cross_entropy(self.head(self.body(batch[0])), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
"""


def test_layers_that_are_made_when_the_optimizer_is_there() -> None:
    for hook, found in ("on_train_start(self)", ["GRD607"]), ("setup(self, stage)", []):
        told = findings(analyze(Source.read(LATE_HEAD.format(hook=hook))))
        assert [finding.code for finding in told if finding.severity is not Severity.HINT] == found


SUMS = """
class Trainer:
    def __init__(self):
        self.net, self.critic = nn.Linear(3, 3), nn.Linear(3, 1)
        self.opt = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def step(self, x):
        self.near = (self.net(x) - x).pow(2).mean()
        self.judged = self.critic(self.net(x)).mean()
        self.total = self.near + 0.1 * self.judged
        self.opt.zero_grad()
        {backward}
        self.opt.step()


Trainer().step(torch.randn(4, 3))
"""


@pytest.mark.parametrize(
    ("backward", "found"),
    [
        ("self.near.backward()", 1),
        ("self.total.backward()", 0),
        ("self.near.backward(); self.judged.backward()", 0),
        ("self.near.backward(); print(self.total)", 0),
    ],
)
def test_a_sum_that_nobody_propagates(backward: str, found: int) -> None:
    assert len(runs("GRD614", SUMS.format(backward=backward))) == found


WARM = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: {factor})
for epoch in range(1):
    for x in torch.randn(4, 8, 3):
        before = net.weight.clone()
        opt.zero_grad()
        net(x).pow(2).mean().backward()
        opt.step()
        {inner}
    {outer}
assert torch.equal(before, net.weight) is {same}
"""


@pytest.mark.parametrize(
    ("factor", "inner", "outer", "same", "found"),
    [
        ("min(step / 10, 1.0)", "", "warm.step()", True, 1),
        ("min(step / 10, 1.0)", "warm.step()", "", False, 0),
        ("min((step + 1) / 10, 1.0)", "", "warm.step()", False, 0),
        ("0.9**step", "", "warm.step()", False, 0),
    ],
)
def test_a_schedule_that_begins_with_nothing(factor: str, inner: str, outer: str, same: bool, found: int) -> None:
    assert len(runs("GRD619", WARM.format(factor=factor, inner=inner, outer=outer, same=same))) == found


WEIGHED = """
net, weights = nn.Linear(3, 1), torch.rand(8)
criterion = nn.MSELoss({reduction})
x, y = torch.randn(8, 3), torch.randn(8)
loss = {loss}
loss.backward()
"""


@pytest.mark.parametrize(
    ("reduction", "loss", "found"),
    [
        ("", "(weights * criterion(net(x)[:, 0], y)).mean()", 1),
        ("", "(criterion(net(x)[:, 0], y) * weights).sum() / weights.sum()", 1),
        ("reduction='none'", "(weights * criterion(net(x)[:, 0], y)).mean()", 0),
        ("", "(torch.tensor(0.5) * criterion(net(x)[:, 0], y)).mean()", 0),
        ("", "(2 * criterion(net(x)[:, 0], y)).mean()", 0),
    ],
)
def test_weights_of_examples_that_multiply_a_mean(reduction: str, loss: str, found: int) -> None:
    assert len(runs("GRD406", WEIGHED.format(reduction=reduction, loss=loss))) == found


REGISTERED = """
class Registry:
    def __init__(self):
        self.table = {{}}

    def register(self, cls):
        self.table[cls.__name__] = cls
        return cls


heads = Registry()


@heads.register
class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x):
        return {{"loss_one": self.one(x).mean(), {name}: self.other(x).mean()}}


head = heads.table["Head"]()
opt, before = torch.optim.SGD(head.parameters(), lr=0.1), head.other.weight.clone()
for _ in range(2):
    losses = head(torch.randn(4, 3))
    opt.zero_grad()
    sum(value for name, value in losses.items() if "loss" in name).backward()
    opt.step()
assert torch.equal(before, head.other.weight) is {same}
"""


def test_a_class_that_the_method_of_a_registry_keeps() -> None:
    assert len(runs("GRD520", REGISTERED.format(name="'other'", same=True))) == 1
    assert runs("GRD520", REGISTERED.format(name="'loss_other'", same=False)) == []
