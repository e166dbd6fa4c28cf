"""Right programs that hold one of several things, by branch, and ask again which of them it is."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.syntax.source import Source
from tests.rules.reported import IMPORTS, check_right, reported

OPTIMIZERS = """
import json

def train(model, data, whole):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    if whole:
        optimizer = torch.optim.LBFGS(model.parameters(), lr=1e-3)
    for x, y in data:
        if whole:
            def closure():
                optimizer.zero_grad()
                loss = (model(x) - y).pow(2).mean()
                loss.backward()
                return loss
            optimizer.step(closure)
        {otherwise}:
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()

train(nn.Linear(3, 1), [(torch.randn(4, 3), torch.randn(4, 1))] * 2, json.loads("false"))
"""


@pytest.mark.parametrize("otherwise", ["else", "if not whole"])
def test_an_optimizer_that_one_branch_makes(otherwise: str) -> None:
    check_right(IMPORTS + OPTIMIZERS.format(otherwise=otherwise))
    assert [severity for severity, _ in reported("GRD606", OPTIMIZERS.format(otherwise="if data"))] == ["error"]


REPLACED = """
import sys

def strip(layer, name):
    weight = getattr(layer, name)
    {delete}
    layer.register_parameter(name + "_v", nn.Parameter(weight.data))
    setattr(layer, name, getattr(layer, name + "_v") * 2)


class Net(nn.Module):
    def __init__(self, wide):
        super().__init__()
        self.layer = nn.Linear(3, 3) if wide else nn.Linear(3, 3, bias=False)
        strip(self.layer, "weight")

    def forward(self, x):
        return self.layer(x)


Net(len(sys.argv) > 99)(torch.randn(2, 3)).sum().backward()
"""


@pytest.mark.parametrize("delete", ["del layer._parameters[name]", "delattr(layer, name)"])
def test_a_parameter_that_is_taken_out_of_one_of_two_layers(delete: str) -> None:
    check_right(IMPORTS + REPLACED.format(delete=delete))
    assert [severity for severity, _ in reported("GRD508", REPLACED.format(delete=""))] == ["error"]
    assert reported("GRD101", REPLACED.format(delete=delete)) == []


CHAIN = """
plans = {{"a": [64, "M", 128], "b": [64, "M"]}}

def make(name, norm):
    layers, channels = nn.Sequential(), 3
    for width in plans[name]:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        {otherwise}
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(True))
            channels = width
    return layers

class Net(nn.Module):
    def __init__(self, name, norm):
        super().__init__()
        self.features = make(name, norm)

    def forward(self, x):
        return self.features(x)
"""


def test_layers_of_which_some_are_there_by_branch() -> None:
    assert reported("GRD201", CHAIN.format(otherwise="else:")) == []
    alike = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Linear(3, 3), nn.Sigmoid(), nn.ReLU(True))

        def forward(self, x):
            return self.features(x)
    """
    assert [severity for severity, _ in reported("GRD201", alike)] == ["information"]


PROJECTOR = """
def once(name):
    def around(function):
        def wrapper(self, *args):
            found = getattr(self, name)
            if found is None:
                found = function(self, *args)
                setattr(self, name, found)
            return found
        return wrapper
    return around

def simple(width):
    return nn.Sequential(nn.Linear(3, width))

def deep(width):
    return nn.Sequential(nn.Linear(3, width), nn.Linear(width, width))

class Net(nn.Module):
    def __init__(self, flat, embed):
        super().__init__()
        self.flat, self.embed, self.projector = flat, embed, None
        self.body = nn.Linear(2, 3)

    @once("projector")
    def head(self, x):
        made = (simple if self.flat else deep)(4)
        if self.embed:
            made = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), made)
        return {kept}

    def forward(self, x):
        x = self.body(x)
        return self.head(x)(x)
"""


def test_layers_of_one_of_two_projectors_that_the_first_call_makes() -> None:
    assert reported("GRD502", PROJECTOR.format(kept="made.to(x)")) == []
    assert {severity for severity, _ in reported("GRD502", PROJECTOR.format(kept="nn.Identity()"))} == {"warning"}


FIRST = """
def masks(entities, user):
    first, found = None, []
    for each in entities:
        users = user.unsqueeze(1)
        together = users * 3 + each
        {first}
        found.append((first - together).bool())
    return found

masks([torch.arange(3.0), torch.arange(3.0) + 1], torch.arange(2.0))
"""


def test_a_difference_to_the_first_of_several() -> None:
    check_right(IMPORTS + FIRST.format(first="first = together if first is None else first"))
    always = FIRST.format(first="first = together").replace("(entities, user)", "(entities, user: nn.Parameter)")
    assert reported("GRD715", always.replace("torch.arange(2.0))", "nn.Parameter(torch.arange(2.0)))")) == [
        ("warning", "first - together")
    ]


def test_a_conversion_to_the_dtype_of_something_unknown() -> None:
    decode = """
    table = nn.Embedding(5, 3)

    def decode(source):
        return table(torch.zeros(1, 1).fill_(0){}{})
    """
    assert reported("GRD518", decode.format(".type_as", "(source.data)")) == []
    assert [severity for severity, _ in reported("GRD518", decode.format("", ""))] == ["error"]


def test_an_attribute_that_others_hang_on_a_parameter() -> None:
    text = """
    from extension import extend

    def total(x, y, model):
        loss = F.mse_loss(extend(model)(x), y)
        loss.backward(create_graph=True)
        found = 0
        for parameter in model.parameters():
            found += torch.sum(parameter.{})
        return torch.autograd.grad(found, model.parameters())

    total(torch.randn(4, 3), torch.randn(4, 1), nn.Linear(3, 1))
    """
    assert reported("GRD308", text.format("variance")) == []
    assert [severity for severity, _ in reported("GRD308", text.format("shape[0] * torch.ones(1, requires_grad=True)"))]


def test_a_loss_that_forward_returns_in_a_dictionary() -> None:
    text = """
    class Quantizer(nn.Module):
        def __init__(self, key):
            super().__init__()
            self.key = key
            self.embedding, self.proj = nn.Embedding(8, 3), nn.Linear(3, 3)

        def forward(self, z):
            z = self.proj(z)
            taken = self.embedding(torch.cdist(z, self.embedding.weight).argmin(1))
            losses = {{}}
            {}
            return z + (taken - z).detach(), losses
    """
    assert reported("GRD101", text.format("losses[self.key] = F.mse_loss(taken, z.detach())")) == []
    assert reported("GRD101", text.format('losses["one"] = F.mse_loss(taken, z.detach())')) == []
    assert reported("GRD101", text.format("")) == [("information", "(taken - z).detach()")]


def test_a_parameter_in_the_place_of_what_it_was_made_of() -> None:
    text = """
    class Rate(nn.Module):
        def __init__(self, like):
            super().__init__()
            self.rate = 0.1 * torch.ones_like(like, requires_grad=True)
            {}

        def forward(self, x):
            return self.rate * x

    torch.optim.SGD(Rate(torch.ones(3)).parameters(), 0.1)
    """
    right = text.format("self.rate = nn.Parameter(self.rate)")
    assert reported("GRD507", right) == reported("GRD114", right) == []
    assert [severity for severity, _ in reported("GRD507", text.format(""))] == ["warning"]


SCHEDULE = """
def rates():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    found = []
    for _ in range(3):
        found.append(optimizer.param_groups[0]["lr"])
        {use}
        optimizer.step()
        scheduler.step()
    return found

def train():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(3, 1)).sum().backward()
        optimizer.step()

rates()
train()
"""


def test_an_optimizer_that_only_shows_its_schedule() -> None:
    check_right(IMPORTS + SCHEDULE.format(use=""))
    used = SCHEDULE.format(use="model(torch.randn(3, 1)).sum()")
    assert [severity for severity, _ in reported("GRD611", used)] == ["warning"]


def test_a_reference_model_that_is_asked_without_gradients() -> None:
    text = """
    class Trainer:
        def __init__(self, model, reference, loader):
            self.model, self.reference, self.loader = model, reference, loader

        def fit(self):
            for _ in range(3):
                self.model.train()
                self.reference.eval()
                for x in self.loader:
                    value = self.model(x)
                    with torch.no_grad():
                        wanted = self.reference(x)
                    (value - wanted).pow(2).mean().backward()
    """
    assert reported("GRD705", text) == []


def test_gradients_of_what_a_context_and_others_keep() -> None:
    check_right("""
import torch

class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, net, x, *parameters):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            ctx.result, ctx.x = net(x), x
        ctx.save_for_backward(*parameters)
        return ctx.result.detach()

    @staticmethod
    def backward(ctx, given):
        parameters = list(ctx.saved_tensors)
        of_x, *others = torch.autograd.grad(ctx.result, [ctx.x] + parameters, given)
        return (None, of_x) + tuple(2 * other for other in others)

net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Linear(5, 3))
Doubled.apply(net, torch.randn(2, 3, requires_grad=True), *net.parameters()).sum().backward()
""")


def test_a_scaler_that_unknown_code_steps_with() -> None:
    text = """
    from optimizers import Optimizers

    class Trainer:
        def __init__(self, pipeline):
            self.scaler, self.pipeline = torch.amp.GradScaler(), pipeline
            self.optimizers = Optimizers(pipeline)

        def train(self):
            self.scaler.scale(self.pipeline.loss()).backward()
            {}
            self.scaler.update()
    """
    assert reported("GRD610", text.format("self.optimizers.step(self.scaler)")) == []
    assert [severity for severity, _ in reported("GRD610", text.format(""))] == ["error"]


def test_what_two_methods_freeze_and_thaw() -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 3)

        def set_flags(self, flag):
            for parameter in self.body.parameters():
                parameter.requires_grad = flag

        def on_train_start(self):
            for parameter in self.body.parameters():
                parameter.requires_grad = False
            {}
        def on_train_end(self):
            for parameter in self.body.parameters():
                parameter.requires_grad = True
    """
    assert reported("GRD609", text.format("")) == []
    assert [severity for severity, _ in reported("GRD609", text.format("self.on_train_end()\n"))] == ["warning"]


FISHER = """
def fisher(model, data):
    mode = model.training
    model.eval()
    found = {{name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}}
    for x in data:
        model.zero_grad()
        model(x).logsumexp(1).sum().backward()
        for name, parameter in model.named_parameters():
            found[name] += parameter.grad.detach() ** 2
    {restore}
    return found

model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Linear(3, 3))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for task in range(3):
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(2, 3)).sum().backward()
        optimizer.step()
    fisher(model, [torch.randn(1, 3)] * 2)
"""


def test_gradients_that_are_only_read_in_evaluation_mode() -> None:
    check_right(IMPORTS + FISHER.format(restore="model.train(mode=mode)"))
    assert [severity for severity, _ in reported("GRD705", FISHER.format(restore=""))] == ["warning"]


def test_a_sum_that_forward_returns_divided_by_something_unknown() -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 1)

        def forward(self, x, count, skip):
            rewards, loss, last = self.head(x), 0, []
            for i in range(count):
                if skip[i].item():
                    continue
                loss += rewards[i].mean()
            loss = loss / count
            return {}
    """
    assert reported("GRD701", text.format("loss")) == reported("GRD701", text.format("{'loss': loss}")) == []


def test_a_loss_of_data_and_itself() -> None:
    assert reported("GRD715", "x = torch.randn(3)\nassert F.mse_loss(x, x) == 0") == []
    trained = "w = torch.randn(3, requires_grad=True)\nx = 2 * w\nF.mse_loss(x, x).backward()"
    assert [severity for severity, _ in reported("GRD715", trained)] == ["warning"]


def test_a_criterion_of_one_of_two_sorts() -> None:
    text = """
    class Divergence(nn.Module):
        def __init__(self):
            super().__init__()
            self.log_target = True
            try:
                self.divergence = nn.KLDivLoss(reduction="batchmean", {})
            except TypeError:
                self.log_target = False
                self.divergence = nn.KLDivLoss(reduction="batchmean")

        def forward(self, x, y):
            x, y = F.log_softmax(x, 1), F.log_softmax(y, 1)
            return self.divergence(x, y) if self.log_target else self.divergence(x, y.exp())
    """
    assert reported("GRD403", text.format("log_target=True")) == []
    assert [severity for severity, _ in reported("GRD403", text.format(""))][:1] == ["warning"]


def test_dimensions_that_a_loop_adds_until_there_are_enough() -> None:
    check_right("""
import torch

def fitted(mask, data):
    while len(mask.shape) < len(data.shape):
        mask = mask.unsqueeze(-1)
    data *= mask
    return data

for rank in ((4,), (4, 10), (4, 10, 8)):
    fitted(torch.ones(4), torch.ones(rank))
fitted(torch.ones(4, 10), torch.ones(4, 10, 8))
fitted(torch.ones(4), torch.ones(4, 10, 8, 3))
""")
    once = """
    mask, data = torch.ones(4), torch.ones(4, 10)
    while mask.dim() < 3:
        mask = mask.unsqueeze(-1)
    data *= mask
    """
    assert [severity for severity, _ in reported("GRD207", once)] == ["error"]


def test_what_is_done_where_something_was_no_list() -> None:
    check_right("""
import torch

def numbers(x):
    try:
        return [numbers(part) for part in x]
    except TypeError:
        return int(x)

assert numbers(torch.tensor([[0, 0], [1, 1]])) == [[0, 0], [1, 1]]
""")


def test_a_mask_that_is_applied_again() -> None:
    text = """
    class Masked(nn.Module):
        def __init__(self, mask):
            super().__init__()
            self.layer = nn.Linear(3, 3)
            self.register_buffer("mask", mask)

        def forward(self, x):
            self.layer.weight.data *= {}
            return self.layer(x)

    layer = Masked(torch.tril(torch.ones(3, 3)))
    layer(layer(torch.randn(2, 3, requires_grad=True))).sum().backward()
    """
    assert [severity for severity, _ in reported("GRD210", text.format("self.mask"))] == ["information"]
    assert [severity for severity, _ in reported("GRD210", text.format("0.9"))] == ["warning"]


def test_methods_of_which_each_may_unscale() -> None:
    text = """
    class Optimizer:
        def __init__(self, optimizer):
            self.optimizer, self.scaler = optimizer, torch.amp.GradScaler()

        def backward(self, loss):
            self.scaler.scale(loss).backward()

        def clip_value(self):
            self.scaler.unscale_(self.optimizer)

        def clip_norm(self):
            {}

        def step(self):
            self.scaler.step(self.optimizer)
            self.scaler.update()
    """
    assert reported("GRD610", text.format("self.scaler.unscale_(self.optimizer)")) == []
    twice = "self.clip_value(); self.scaler.unscale_(self.optimizer)"
    assert [severity for severity, _ in reported("GRD610", text.format(twice))] == ["error"]


def test_what_one_of_several_branches_has_found_out() -> None:
    text = """
    def train(kind, model, data):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        if kind == "plateau":
            scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
        elif kind == "cosine":
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
        elif kind == "steps":
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
        else:
            raise ValueError(kind)
        for x in data:
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
            {}
                scheduler.step(1.0)
            else:
                scheduler.step()
    """
    assert reported("GRD613", text.format('if kind == "plateau":')) == []
    assert (
        reported("GRD613", text.format("if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):")) == []
    )
    frozen = """
    def train(kind):
        w = torch.ones(3, requires_grad=True)
        if kind == "a":
            scale = 1
        elif kind == "b":
            scale = 2
        else:
            raise ValueError(kind)
        if kind == "a":
            (scale * w.detach()).sum().backward()
    """
    assert [severity for severity, _ in reported("GRD101", frozen)] == ["error"]


OWN_OPTIMIZER = """
class Quantizer(nn.Module):
    def __init__(self, make=None):
        super().__init__()
        self.register_buffer("table", torch.randn(4, 4))
        if make is not None:
            self.optimizer = make((self.table,))

    def forward(self, x):
        if hasattr(self, "optimizer"):
            (self.table - x.detach()).pow(2).mean().backward()
        return x.pow(2)

MORE
net = nn.Sequential(nn.Linear(4, 4), Quantizer(MAKE))
net(torch.randn(4, 4)).mean().backward()
"""


@pytest.mark.parametrize(
    ("make", "more", "found"),
    [
        ("", "", 0),
        ("list", "", 1),
        ("", "def give(q):\n    q.optimizer = 1", 0),
    ],
)
def test_attribute_that_the_constructor_left_out(make: str, more: str, found: int) -> None:
    program = OWN_OPTIMIZER.replace("MAKE", make).replace("MORE", more)
    assert len(reported("GRD101", program)) == found


NUMBERED = """
import json

class Stack(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.depth = depth
        for number in range(depth):
            MAKE
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        for number in range(self.depth):
            x = getattr(self, "layer{}".format(number))(x)
        return self.head(x)

stack = Stack(json.loads("2"))
optimizer = torch.optim.Adam(stack.parameters(), lr=0.1)
for x in [torch.rand(4, 4)] * 2:
    optimizer.zero_grad()
    stack(x).sum().backward()
    optimizer.step()
for parameter in stack.parameters():
    assert parameter.grad.abs().sum() > 0
"""


@pytest.mark.parametrize(
    "make",
    [
        'setattr(self, f"layer{number}", nn.Linear(4, 4))',
        'self.add_module(f"layer{number}", nn.Linear(4, 4))',
    ],
)
def test_layers_that_are_found_by_number(make: str) -> None:
    """What an attribute of some name gives may be any part of the module."""
    program = NUMBERED.replace("MAKE", make)
    check_right(IMPORTS + program)
    assert not reported("GRD520", program)


PLACES = """
import json

class Place(nn.Module):
    def __init__(self):
        super().__init__()

def create(kinds):
    layers = nn.ModuleList()
    for number, kind in enumerate(kinds):
        MAKE
    return layers

class Net(nn.Module):
    def __init__(self, kinds):
        super().__init__()
        self.kinds, self.layers = kinds, create(kinds)

    def forward(self, x):
        seen = []
        for kind, layer in zip(self.kinds, self.layers):
            x = layer(x) if kind == "linear" else seen[-1]
            seen.append(x)
        return x

net = Net(json.loads('["linear", "route"]'))
net(torch.rand(2, 2)).sum().backward()
"""


@pytest.mark.parametrize(
    "make",
    [
        """
        part = nn.Sequential()
        if kind == "linear":
            part.add_module(f"linear_{number}", nn.Linear(2, 2))
        else:
            part.add_module(f"place_{number}", Place())
        layers.append(part)
        """,
        """
        part = []
        if kind == "linear":
            part.append(nn.Linear(2, 2))
        else:
            part.append(Place())
        layers.append(nn.Sequential(*part))
        """,
        'layers.append(nn.Linear(2, 2) if kind == "linear" else Place())',
    ],
)
def test_modules_that_keep_a_place(make: str) -> None:
    """A module without `forward` is not called where another may be, which a branch put there."""
    check_right(IMPORTS + PLACES.replace("        MAKE\n", textwrap.indent(textwrap.dedent(make), " " * 8) + "\n"))
    called = "class Place(nn.Module):\n    pass\n\nnn.Sequential(nn.Linear(2, 2), Place())(torch.rand(2, 2))"
    assert [severity for severity, _ in reported("GRD509", called)] == ["error"]


@pytest.mark.parametrize("name", ["value", "leaf", "requires_grad"])
def test_names_that_the_engine_uses_itself(name: str) -> None:
    """What a variable is called says nothing of what it is."""
    snippet = f"""
    net = nn.Linear(3, 1)
    {name} = net(torch.randn(8, 3))
    try:
        {name} = net(torch.randn(8, 3))
    except ValueError:
        {name}.mean()
    """
    source = Source.read(IMPORTS + textwrap.dedent(snippet))
    known = {source.segment(state.node): state.requires_grad for state in analyze(source).states}
    assert known[f"{name}.mean()"] is True
