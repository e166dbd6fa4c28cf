"""What is kept without a copy, flags and conditions that do not do what they say: found, and what looks alike not."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import reported

TRAINED = """
net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
{before}
for x in torch.randn(4, 8, 3):
    loss = net(x).pow(2).mean() + {term}
    opt.zero_grad()
    loss.backward()
    opt.step()
{after}
"""


def trained(before: str = "", term: str = "0", after: str = "") -> str:
    return TRAINED.format(before=before, term=term, after=after)


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ("{n: p.data for n, p in net.named_parameters()}", 1),
        ("{n: p for n, p in net.named_parameters()}", 1),
        ("dict(net.named_parameters())", 1),
        ("net.state_dict()", 1),
        ("{n: p.detach().clone() for n, p in net.named_parameters()}", 0),
        ("{n: p.data + 0 for n, p in net.named_parameters()}", 0),
        ("{n: p.data for n, p in copy.deepcopy(net).named_parameters()}", 0),
    ],
)
@pytest.mark.parametrize(
    "distance", ["((p - kept[n]) ** 2).sum()", "(p - kept[n]).pow(2).sum()", "(p - kept[n]).norm()"]
)
def test_distance_to_what_was_kept(kept: str, found: int, distance: str) -> None:
    snippet = trained(f"import copy\nkept = {kept}", f"sum({distance} for n, p in net.named_parameters())")
    assert len(reported("GRD715", snippet)) == found


@pytest.mark.parametrize(
    "term",
    [
        "(net[0].weight - net[0].weight.detach()).sum()",  # a gradient without a value
        "(net[0].weight - net[2].weight).pow(2).sum()",
        "(net[0].weight - net[0].weight.mean()).pow(2).sum()",
        "sum((a - b).pow(2).sum() for a, b in zip(rows, rows[1:]))",
        "(rows[0] - rows[1]).pow(2).sum()",
        "(net[0].weight[0] - net[0].weight[1]).pow(2).sum()",
    ],
)
def test_other_differences(term: str) -> None:
    assert reported("GRD715", trained("rows = [net[0](torch.randn(3)) for _ in range(int(input()))]", term)) == []


def test_a_loss_may_be_compared_with_what_was_logged_of_it() -> None:
    snippet = """
        def differs(loss, model, x):
            {loss}
            logged = {{"loss": loss.data}}
            return abs(loss - logged["loss"]) > 1e-6
        """
    for loss in ("loss = model(x).mean()", "loss = torch.nn.functional.mse_loss(model(x), x)"):
        assert reported("GRD715", snippet.format(loss=loss)) == []


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("wanted = got", 1),
        ("wanted = got\nfor i in range(len(labels)):\n    wanted[i][labels[i].item()] = 1.0", 1),
        ("wanted = got.detach()", 1),
        ("wanted = got.detach().clone()\nwanted[0] = 1", 0),
        ("wanted = got + 0", 0),
        ("wanted = net(x)", 0),
    ],
)
def test_loss_of_a_tensor_and_itself(target: str, found: int) -> None:
    snippet = f"""
net, x, labels = nn.Linear(3, 2), torch.randn(8, 3), torch.randint(0, 2, (8,))
got = net(x)
{target}
loss = F.mse_loss(wanted, got)
"""
    assert len(reported("GRD715", snippet)) == found


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("old = list(net.parameters())[0]", "same = torch.equal(old, list(net.parameters())[0])", 1),
        ("old = net[0].weight", "print(torch.allclose(old.data, net[0].weight.data))", 1),
        ("old = net[0].weight", "print((old == net[0].weight).all())", 1),
        ("old = net[0].weight.clone()", "print(torch.equal(old, net[0].weight))", 0),
        ("old = net[0].weight", "print(torch.equal(old, net[2].weight))", 0),
        ("", "old = net[0].weight\nassert torch.equal(old, net[0].weight)", 0),
        ("", "assert not (net[0].weight != net[0].weight).any()", 0),
    ],
)
def test_weights_of_before_and_after(before: str, after: str, found: int) -> None:
    assert len(reported("GRD715", trained(before, after=after))) == found


@pytest.mark.parametrize(
    ("backward", "found"),
    [
        ("return 2 * ctx.x", 1),
        ("return 2 * ctx.x, None", 1),
        ("return gradient * ctx.x", 0),
        ("return None", 0),
        ("return torch.zeros_like(ctx.x)", 0),
        ("raise NotImplementedError", 0),
        ("inner = lambda: gradient\n        return inner() * 2", 0),
    ],
)
def test_backward_without_its_gradient(backward: str, found: int) -> None:
    snippet = f"""
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        {backward}
"""
    assert len(reported("GRD810", snippet)) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("gradient = gradient * 0.5", 1),
        ("print(gradient)\n    gradient = gradient.clamp(-1, 1)", 1),
        ("gradient = gradient.mul_(0.5)", 0),
        ("gradient *= 0.5", 0),
        ("gradient = gradient * 0.5\n    return gradient", 0),
        ("gradient = gradient.norm()\n    print(gradient)", 0),
    ],
)
def test_hook_that_forgets_its_result(body: str, found: int) -> None:
    snippet = f"def hook(gradient):\n    {body}\n\nw = torch.ones(3, requires_grad=True)\nw.register_hook(hook)\n"
    severities = [severity for severity, _ in reported("GRD806", snippet + "w.sum().backward()")]
    assert severities.count("warning") == found


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("p.requires_grad == False", 1),
        ("p.grad == None", 1),
        ("p.requires_grad = False", 0),
        ("assert p.requires_grad == True", 0),
        ("frozen = p.requires_grad == False", 0),
    ],
)
def test_flag_that_is_compared(statement: str, found: int) -> None:
    assert len(reported("GRD616", f"for p in nn.Linear(3, 1).parameters():\n    {statement}")) == found


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ("nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5))", 1),
        ("nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))", 1),
        ("nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False))", 0),
        ("nn.Sequential(nn.Linear(3, 4), nn.ReLU())", 0),
        ("nn.Dropout(0.5)", 0),
        ("Own()", 0),
    ],
)
def test_mode_of_one_module(made: str, found: int) -> None:
    snippet = f"""
class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(x) if self.training else x


model = {made}
model.training = False
"""
    assert len(reported("GRD503", snippet)) == found


def test_mode_that_is_set_for_all() -> None:
    snippet = "model = nn.Sequential(nn.Linear(3, 4), nn.Dropout())\nfor m in model.modules():\n    m.training = False"
    assert reported("GRD503", snippet) == []


@pytest.mark.parametrize(
    ("option", "after", "found"),
    [
        ("'learning_rate': 0.5", "", 1),
        ("'weight-decay': 0.5", "", 1),
        ("'lr': 0.5", "", 0),
        ("'name': 'head'", "", 0),
        ("'lr_scale': 0.5", "", 0),
        ("'lr': 0.5, 'learning_rate': 0.5", "", 0),
        ("'learning_rate': 0.5", "for g in opt.param_groups:\n    g['lr'] = g['learning_rate']", 0),
    ],
)
def test_option_of_a_group(option: str, after: str, found: int) -> None:
    snippet = f"""
net = nn.Linear(3, 1)
opt = torch.optim.SGD([{{'params': [net.weight], {option}}}, {{'params': [net.bias]}}], lr=0.1)
{after}
"""
    assert len(reported("GRD511", snippet)) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return nn.Dropout(0.5)(x)", 1),
        ("return nn.Dropout2d(p=0.5)(self.body(x))", 1),
        ("return nn.Dropout(0.0)(x)", 0),
        ("return self.drop(x)", 0),
        ("return nn.Dropout(0.5)(x) if self.training else x", 0),
        ("return nn.ReLU()(x)", 0),
    ],
)
def test_dropout_made_for_one_call(body: str, found: int) -> None:
    snippet = f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.drop = nn.Linear(3, 3), nn.Dropout()

    def forward(self, x):
        {body}


Net()(torch.randn(8, 3))
"""
    assert len(reported("GRD706", snippet)) == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("if i % every:", 1),
        ("if (i + 1) % 4:", 1),
        ("if (i + 1) % 4 == 0:", 0),
        ("if not (i + 1) % 4:", 0),
        ("if i % 2:", 0),
        ("if i:", 0),
    ],
)
def test_condition_the_wrong_way_round(condition: str, found: int) -> None:
    snippet = f"""
net, every = nn.Linear(3, 1), int(input())
opt = torch.optim.Adam(net.parameters())
for i, x in enumerate(torch.randn(16, 8, 3)):
    net(x).mean().backward()
    {condition}
        opt.step()
        opt.zero_grad()
"""
    assert len(reported("GRD620", snippet)) == found


def test_rounds_of_two_optimizers() -> None:
    """The critic steps more often than the generator."""
    snippet = """
    net = nn.Linear(3, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    for i, x in enumerate(torch.randn(16, 8, 3)):
        if i % 5:
            opt.zero_grad()
            net(x).mean().backward()
            opt.step()
    """
    assert reported("GRD620", snippet) == []


@pytest.mark.parametrize(
    ("branches", "found"),
    [
        ("if sched:\n    sched.step()\nelse:\n    opt.step()", 1),
        ("if sched is not None:\n    sched.step()\nelse:\n    opt.step()", 1),
        ("opt.step()\nif sched:\n    sched.step()", 0),
        ("if sched:\n    opt.step()\n    sched.step()\nelse:\n    opt.step()", 0),
        ("opt.step()\nif len(x) > 3:\n    sched.step()\nelse:\n    other.step()", 0),
    ],
)
def test_schedule_instead_of_a_step(branches: str, found: int) -> None:
    snippet = f"""
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
sched = torch.optim.lr_scheduler.StepLR(opt, 5) if input() else None
other = torch.optim.lr_scheduler.StepLR(opt, 9)
for x in torch.randn(4, 8, 3):
    opt.zero_grad()
    net(x).mean().backward()
{textwrap.indent(branches, "    ")}
"""
    warned = [text for severity, text in reported("GRD606", snippet) if severity == "warning"]
    assert len(warned) == found


@pytest.mark.parametrize(
    ("total", "inner", "found"),
    [
        ("total_steps=3", "for x in loader:", ["information"]),
        ("total_steps=3", "for x in range(2):", ["error"]),
        ("total_steps=3 * len(loader)", "for x in loader:", []),
        ("epochs=3, steps_per_epoch=len(loader)", "for x in loader:", []),
        ("total_steps=3000", "for x in loader:", []),
        ("total_steps=3", "if True:", []),
    ],
)
def test_schedule_of_epochs(total: str, inner: str, found: list[str]) -> None:
    snippet = f"""
from data import loader
opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, {total})
for epoch in range(3):
    {inner}
        opt.step()
        sched.step()
"""
    assert [severity for severity, _ in reported("GRD619", snippet)] == found


FROZEN = """
one, two = nn.Linear(3, 3), nn.Linear(3, 1)
opt_one, opt_two = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (one, two))
for x in torch.randn(4, 8, 3):
    made = one(x)
    opt_two.zero_grad()
    (two(x).mean() - two(made.detach()).mean()).backward()
    opt_two.step()
    two.requires_grad_(False)
    opt_one.zero_grad()
    two(made).mean().backward()
    opt_one.step()
{thaw}
"""


@pytest.mark.parametrize(("thaw", "found"), [("", 1), ("    two.requires_grad_(True)", 0)])
def test_frozen_by_an_earlier_round(thaw: str, found: int) -> None:
    snippet = FROZEN.format(thaw=thaw)
    assert [severity for severity, _ in reported("GRD110", snippet)] == ["error"] * found
    assert reported("GRD101", snippet) == []


@pytest.mark.parametrize(
    ("target", "found"),
    [("models['net']", 1), ("net", 1), ("copy.deepcopy(net)", 0), ("nn.Linear(3, 1)", 0)],
)
def test_module_copied_onto_itself(target: str, found: int) -> None:
    snippet = f"""
import copy
models = {{'net': nn.Linear(3, 1)}}
net = models['net'].to('cpu')
target = {target}
for t, p in zip(target.parameters(), net.parameters()):
    t.data.copy_(p.data)
"""
    assert len(reported("GRD714", snippet)) == found


LAYERS = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(2):
            self.add_module("part{{}}".format(i), nn.Linear(3, 3))
        self.out = nn.Linear(3, 1)

    def forward(self, *xs):
        total = 0
        for i, x in enumerate(xs):
            {statement}
        return self.out(sum(xs) + total)


net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    opt.zero_grad()
    net(torch.randn(4, 3), torch.randn(4, 3)).mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ('x = getattr(self, "part{}".format(i))(x)', 'getattr(self, "part{}".format(i))(x)'),
        ('x = self.__getattr__("part{}".format(i))(x)', 'self.__getattr__("part{}".format(i))(x)'),
        ('total = total + getattr(self, "part{}".format(i))(x)', ""),
        ('total = total + self.__getattr__("part{0}".format(i))(x)', ""),
    ],
)
def test_result_that_no_loss_depends_on(statement: str, found: str) -> None:
    places = {text for _, text in reported("GRD520", LAYERS.format(statement=statement))}
    assert places == ({found} if found else set())


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("seen = torch.cat([seen, out])", 1),
        ("seen = torch.cat((seen, out), dim=0)", 1),
        ("seen = torch.cat([seen, out.detach()])", 0),
        ("seen = torch.cat([out, out])", 0),
        ("run.mean = 0.9 * run.mean + 0.1 * loss", 1),
        ("run.mean = 0.9 * run.mean + 0.1 * loss.item()", 0),
        ("run.mean = loss", 0),
    ],
)
def test_kept_behind_and_on_objects(statement: str, found: int) -> None:
    snippet = f"""
class Run:
    mean = 0.0

net, run, seen = nn.Linear(3, 1), Run(), torch.empty(0, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for x in torch.randn(4, 8, 3):
    out = net(x)
    loss = out.pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    {statement}
"""
    assert len(reported("GRD701", snippet)) == found


def test_number_of_math() -> None:
    snippet = "import math\nw = torch.ones(1, requires_grad=True)\nloss = math.exp(w * 2)\nloss.backward()"
    assert [severity for severity, _ in reported("GRD303", snippet)] == ["error"]


def test_single_class_of_a_bag() -> None:
    snippet = """
    net = nn.Sequential(nn.EmbeddingBag(9, 4), nn.Linear(4, {}))
    F.cross_entropy(net(torch.randint(0, 9, (8, 5))), torch.zeros(8, dtype=torch.long)).backward()
    """
    assert len(reported("GRD407", textwrap.dedent(snippet).format(1))) == 1
    assert reported("GRD407", textwrap.dedent(snippet).format(2)) == []


PROXIMAL = """
def local(model, loader, opt):
    kept = {kept}
    for x, y in loader:
        opt.zero_grad()
        near = {near}
        (F.cross_entropy(model(x), y) + near).backward()
        opt.step()
"""


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ("list(model.parameters())", ["information"]),
        ("[p.detach().clone() for p in model.parameters()]", []),
        ("list(copy.deepcopy(model).parameters())", []),
        ("list(opt.model.parameters())", []),
        ("list(model.parameters())\n    model = copy.deepcopy(model)", []),
    ],
)
def test_parameters_of_an_unknown_model(kept: str, found: list[str]) -> None:
    near = "sum((w - k).pow(2).sum() for w, k in zip(model.parameters(), kept))"
    snippet = "import copy\n" + PROXIMAL.format(kept=kept, near=near)
    assert [severity for severity, _ in reported("GRD715", snippet)] == found


def test_pairs_of_parameters() -> None:
    near = "sum((w - k).pow(2).sum() for w in model.parameters() for k in kept)"
    assert reported("GRD715", PROXIMAL.format(kept="list(model.parameters())", near=near)) == []


BEHIND = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.limit = nn.Linear(3, 3), nn.Parameter(torch.ones(3){flag})

    def forward(self, x):
        x = self.body(x)
        {body}
{more}
"""


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("GRD107", "return x[x.norm(dim=1) < self.limit]"),
        ("GRD107", "return x[:, self.limit.long()]"),
        ("GRD107", "return x * self.limit.argmax()"),
        ("GRD101", "return x * self.limit.data"),
        ("GRD101", "return x + self.limit.detach()"),
        ("GRD105", "return x + torch.from_numpy(self.limit.detach().numpy())"),
    ],
)
def test_parameter_behind_a_cut(code: str, body: str) -> None:
    assert [severity for severity, _ in reported(code, BEHIND.format(body=body, flag="", more=""))] == ["information"]


@pytest.mark.parametrize(
    ("body", "flag", "more"),
    [
        ("return x * self.limit", "", ""),
        ("return x * (self.limit - x.norm()).sigmoid()", "", ""),
        ("return x + self.limit.detach()", ", requires_grad=False", ""),
        ("return x + self.limit.detach()", "", "    def penalty(self):\n        return self.limit.norm()"),
        ("return x + self.limit.detach()", "", "def update(net, value):\n    net.limit.data.copy_(value)"),
        ("return x + self.limit.detach() - self.limit", "", ""),
        ("self.seen = self.limit\n        return x + self.limit.detach()", "", ""),
    ],
)
def test_parameter_that_may_be_trained(body: str, flag: str, more: str) -> None:
    for code in ("GRD101", "GRD105", "GRD107"):
        assert reported(code, BEHIND.format(body=body, flag=flag, more=more)) == []


@pytest.mark.parametrize("cut", ["self.limit.data", "self.limit.detach()", "(self.limit > 0)"])
def test_parameter_behind_a_cut_has_no_gradient(cut: str) -> None:
    """What the rules say of such a module, on PyTorch."""
    program = "import torch\nfrom torch import nn\n" + BEHIND.format(body=f"return x * {cut}", flag="", more="")
    names: dict[str, object] = {}
    exec(compile(program, "<program>", "exec"), names)
    net = names["Net"]()  # type: ignore[operator]
    import torch

    net(torch.randn(8, 3)).sum().backward()
    assert net.limit.grad is None
    assert net.body.weight.grad is not None


CALLED = """
class Runner:
    def __init__(self, net):
        self.net, self.mean = net, 0.0
        self.opt = torch.optim.Adam(net.parameters())

    def on_batch(self, x, y):
        loss = F.cross_entropy(self.net(x), y)
        self.opt.zero_grad()
        {backward}
        self.opt.step()
        {statement}
"""


@pytest.mark.parametrize(
    ("backward", "statement", "found"),
    [
        ("loss.backward()", "self.mean = 0.9 * self.mean + 0.1 * loss", 1),
        ("loss.backward()", "self.mean += loss", 1),
        ("loss.backward()", "self.mean = 0.9 * self.mean + 0.1 * loss.item()", 0),
        ("loss.backward()", "self.mean = loss", 0),
        ("pass", "self.mean = self.mean + loss", 0),
    ],
)
def test_kept_from_call_to_call(backward: str, statement: str, found: int) -> None:
    assert len(reported("GRD701", CALLED.format(backward=backward, statement=statement))) == found


def test_own_layer_that_is_repeated() -> None:
    snippet = """
    class Layer(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.norm = nn.LayerNorm(size)

        def forward(self, x):
            return self.norm(x)

    class Stack(nn.Module):
        def __init__(self, size, number):
            super().__init__()
            layer = Layer(size)
            self.layers = nn.Sequential(*[layer] * number)
    """
    assert len(reported("GRD506", snippet)) == 1
    assert reported("GRD506", snippet.replace("Layer(size)\n            self", "nn.ReLU()\n            self")) == []


AGENT = """
actor, critic = nn.Linear(3, 2), nn.Linear(5, 1)
opt = torch.optim.Adam(actor.parameters())

def act(state):
    with torch.no_grad():
        return actor(state)

memory = []
for state in torch.randn(4, 3):
    memory.append((state, act(state)))
for _ in range(4):
    states, actions = (torch.stack(part) for part in zip(*memory))
    loss = -critic(torch.cat([states, {actions}], 1)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.mark.parametrize(("actions", "found"), [("actions", 1), ("actor(states)", 0)])
def test_actor_that_is_trained_with_old_actions(actions: str, found: int) -> None:
    assert len(reported("GRD611", AGENT.format(actions=actions))) == found


@pytest.mark.parametrize(
    "statement",
    [
        "(no_decay if name.endswith('bias') else decay).append(p)",
        "group = no_decay if p.ndim < 2 else decay\n        group.append(p)",
        "(no_decay if p.ndim < 2 else decay).extend([p])",
        "(no_decay if p.ndim < 2 else decay).insert(0, p)",
    ],
)
def test_lists_of_which_one_is_chosen(statement: str) -> None:
    """What is put into one of two lists is in none of them for certain, and neither is empty."""
    snippet = f"""
def optimizer_of(net):
    decay, no_decay = [], []
    for name, p in net.named_parameters():
        {statement}
    return torch.optim.AdamW([{{'params': decay}}, {{'params': no_decay, 'weight_decay': 0.0}}])
"""
    assert reported("GRD505", snippet) == []


def test_lists_that_stay_empty() -> None:
    snippet = """
    def optimizer_of(net):
        decay, other = [], []
        (decay if net else other)
        return torch.optim.SGD(decay)
    """
    assert [severity for severity, _ in reported("GRD505", snippet)] == ["error"]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("model.training = False\n    return model(x)", ["information"]),
        ("model.eval()\n    return model(x)", []),
        ("model.training = False\n    return model.step(x)", []),
        ("for part in model.modules():\n        part.training = False\n    return model(x)", []),
        ("for part in model.modules():\n        part.training = False\n        part(x)\n    return model(x)", []),
    ],
)
def test_mode_of_an_unknown_model(body: str, found: list[str]) -> None:
    snippet = f"def evaluate(model, x):\n    {body}\n"
    assert [severity for severity, _ in reported("GRD503", snippet)] == found


LATE = """
def saliency(model, image, target):
    {early}
    scores = model({given})
    {late}
    {more}
    scores[0, target].backward()
    return image.grad.abs()
"""


@pytest.mark.parametrize(
    ("early", "given", "late", "more", "found"),
    [
        ("model.eval()", "image", "image.requires_grad_()", "", ["information"]),
        ("model.eval()", "image", "image.requires_grad = True", "", ["information"]),
        ("image.requires_grad_()", "image", "", "", []),
        ("model.eval()", "image", "image.requires_grad_()", "scores = model(image)", []),
        ("model.eval()", "target", "image.requires_grad_()", "", []),
        ("image = image.clone()", "image", "image.requires_grad_()", "", []),
        ("image.requires_grad_()", "image", "image.requires_grad_()", "", []),
    ],
)
def test_flag_that_comes_too_late(early: str, given: str, late: str, more: str, found: list[str]) -> None:
    snippet = LATE.format(early=early, given=given, late=late, more=more)
    assert [severity for severity, _ in reported("GRD311", snippet)] == found


SYNCED = """
policy, target = nn.Linear(3, 2), nn.Linear(3, 2)
target.load_state_dict(policy.state_dict())
opt = torch.optim.Adam(policy.parameters())
for round in range(3):
    for step in range(20):
        with torch.no_grad():
            wanted = target(torch.randn(8, 3)).max(1)[0]
        loss = F.mse_loss(policy(torch.randn(8, 3)).max(1)[0], wanted)
        opt.zero_grad()
        loss.backward()
        opt.step()
        {inner}
    {outer}
"""


@pytest.mark.parametrize(
    ("inner", "outer", "found"),
    [
        ("if step % 5 == 0:\n            policy.load_state_dict(target.state_dict())", "pass", ["information"]),
        ("if step % 5 == 0:\n            target.load_state_dict(policy.state_dict())", "pass", []),
        ("pass", "policy.load_state_dict(target.state_dict())", []),
        (
            "target.load_state_dict(policy.state_dict())\n        policy.load_state_dict(target.state_dict())",
            "pass",
            [],
        ),
        (
            "for t, p in zip(target.parameters(), policy.parameters()):\n            t.data.mul_(0.9).add_(p.data)\n"
            "        policy.load_state_dict(target.state_dict())",
            "pass",
            [],
        ),
    ],
)
def test_weights_that_go_the_wrong_way(inner: str, outer: str, found: list[str]) -> None:
    assert [severity for severity, _ in reported("GRD714", SYNCED.format(inner=inner, outer=outer))] == found


def test_lists_that_are_chosen_again_and_again() -> None:
    """What an element costs that is put into a list does not grow with the choices that led to the list."""
    choice = "    one, other = (one if next(words) else other), (other if next(words) else one)\n    one.append(3)\n"
    snippet = "def parse(words):\n    one, other = [], []\n" + 40 * choice + "    return torch.optim.SGD(one, lr=0.1)\n"
    assert reported("GRD505", snippet) == []


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        ("{n: p.data for n, p in net.named_parameters()}", 1),
        ("net.state_dict()", 1),
        ("dict(net.named_parameters())", 1),
        ("{n: p.data.clone() for n, p in net.named_parameters()}", 0),
        ("copy.deepcopy(net.state_dict())", 0),
        ("dict(nn.Linear(3, 1).named_parameters())", 0),
        ("unknown(net)", 0),
    ],
)
@pytest.mark.parametrize(
    "update",
    [
        "mul_(0.9).add_(p, alpha=0.1)",
        "mul_(0.9).add_(0.1 * p.data)",
        "mul_(0.9).add_(p.detach() * 0.1)",
        "lerp_(p, 0.1)",
    ],
)
def test_average_of_a_parameter_with_itself(kept: str, found: int, update: str) -> None:
    snippet = f"""
import copy
from elsewhere import unknown
net = nn.Linear(3, 1)
kept = {kept}
with torch.no_grad():
    for n, p in net.named_parameters():
        kept[n].{update}
        p.mul_(0.9).add_(p, alpha=0.1)
        p.mul_(0.9).add_(torch.randn_like(p), alpha=0.1)
"""
    assert len(reported("GRD714", snippet)) == found


@pytest.mark.parametrize(("made", "found"), [("copy.copy(net)", 1), ("copy.copy(copy.deepcopy(net))", 0)])
def test_shallow_copy_of_a_module(made: str, found: int) -> None:
    snippet = f"import copy\nnet = nn.Linear(3, 1)\ntarget = {made}\ntarget.load_state_dict(net.state_dict())"
    assert len(reported("GRD714", snippet)) == found


@pytest.mark.parametrize(
    ("loop", "found"),
    [
        ("for p, q in zip(model.parameters(), other.parameters()):\n    p = 0.9 * p + 0.1 * q", 1),
        ("for name, p in model.named_parameters():\n    p = p - 0.1 * p.grad", 1),
        ("for group in optimizer.param_groups:\n    for p in group['params']:\n        p = p - p.grad", 1),
        ("for p in model.parameters():\n    p = p.detach()\n    print(p.norm())", 0),
        ("for x in model.examples:\n    x = x - x.mean()", 0),
        ("for group in optimizer.param_groups:\n    for p in group['params']:\n        p.add_(p.grad, alpha=-1)", 0),
    ],
)
def test_update_by_name_of_unknown_parameters(loop: str, found: int) -> None:
    assert len(reported("GRD608", f"from elsewhere import model, optimizer, other\n{loop}")) == found


RATIO = """
net, actions, x = nn.Linear(3, 2), torch.randint(0, 2, (8,)), torch.randn(8, 3)
spread = nn.Parameter(torch.zeros(2))
opt = torch.optim.SGD([*net.parameters(), spread], lr=0.1)
logits = net(x)
one = torch.distributions.Categorical(logits=logits)
{other}
loss = (one.log_prob(actions) - {old}).exp().mean()
loss.backward()
opt.step()
"""


@pytest.mark.parametrize(
    ("other", "old", "found"),
    [
        ("", "one.log_prob(actions)", 1),
        ("other = torch.distributions.Categorical(logits)", "other.log_prob(actions)", 0),
        ("", "one.log_prob(actions).detach()", 0),
        ("other = torch.distributions.Categorical(probs=logits.softmax(1))", "other.log_prob(actions)", 0),
        ("", "one.log_prob(1 - actions)", 0),
        ("logits.mul_(2)", "torch.distributions.Categorical(logits=logits).log_prob(actions)", 0),
    ],
)
def test_ratio_of_a_policy_to_itself(other: str, old: str, found: int) -> None:
    assert [severity for severity, _ in reported("GRD108", RATIO.format(other=other, old=old))] == ["warning"] * found


CLIPPED = """
net = nn.Linear(3, 1)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for x in torch.randn(3, 8, 3):
    opt.zero_grad()
    net(x).pow(2).mean().backward()
    opt.step()
    for p in net.parameters():
        p.clamp_(-1, 1)
"""


def test_what_follows_a_refused_write() -> None:
    """It raises, and leaves a leaf what it is: no graph goes on into the next round."""
    assert reported("GRD203", CLIPPED) == [("error", "p.clamp_(-1, 1)")]
    assert reported("GRD301", CLIPPED) == []


MASKED = """
class Masked(nn.Linear):
    def forward(self, x):
        self.weight = self.weight * 0.5
        return F.linear(x, self.weight, self.bias)
net = Masked(3, 1)
for x in torch.randn(3, 8, 3):
    net(x).pow(2).mean().backward()
"""


def test_what_follows_a_refused_assignment() -> None:
    assert reported("GRD508", MASKED) == [("error", "self.weight")]
    assert reported("GRD301", MASKED) == [] == reported("GRD710", MASKED)


FROZEN_NORM = """
net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
{before}
for p in net[1].parameters():
    p.requires_grad = False
{after}
opt = torch.optim.SGD(net[2].parameters(), lr=0.1)
for x in torch.randn(3, 8, 3):
    {within}
    opt.zero_grad()
    net(x).mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("before", "after", "within", "found"),
    [
        ("", "net[1].eval()", "net.train()", ["net.train()"]),
        ("net[1].eval()", "", "net.train()", ["net.train()"]),
        ("", "", "net.train()", ["p.requires_grad"]),
        ("", "net[1].eval()", "net.train()\n    net[1].eval()", []),
        ("", "net.eval()\nnet.train()", "net[1].eval()", []),
    ],
)
def test_frozen_norm_that_is_put_back(before: str, after: str, within: str, found: list[str]) -> None:
    snippet = FROZEN_NORM.format(before=before, after=after, within=within)
    assert [text for _, text in reported("GRD519", snippet)] == found


CROPPED = """
class Crop(nn.Module):
    def __init__(self):
        super().__init__()
        self.place, self.rate = nn.Linear(8, 1), nn.Linear(4, 2)
    def forward(self, x):
        at = self.place(x[0]).sigmoid().sum() * 4
        i = {number}
        return self.rate(x[:, {index}]){factor}
net = Crop()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
for x in torch.randn(3, 5, 8):
    opt.zero_grad()
    F.cross_entropy(net(x), torch.tensor([0, 1, 0, 1, 0])).backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("code", "number", "index", "factor", "found"),
    [
        ("GRD104", "int(at)", "i : i + 4", "", 1),
        ("GRD104", "round(at.item())", "i : 4 + i", "", 1),
        ("GRD107", "at.long()", "i : i + 4", "", 1),
        ("GRD104", "int(at)", "i : i + 4", " * at", 0),
        ("GRD104", "2", "i : i + 4", " * at", 0),
    ],
)
def test_slice_that_a_part_of_the_model_chooses(code: str, number: str, index: str, factor: str, found: int) -> None:
    snippet = CROPPED.format(number=number, index=index, factor=factor)
    assert [severity for severity, _ in reported(code, snippet)] == ["warning"] * found


IMAGE = """
features = nn.Linear(3, 2).requires_grad_(False)
content = torch.randn(8, 3)
wanted = features(content).detach()
image = {image}
optimizer = torch.optim.{optimizer}([image], lr=0.1)
def closure():
    optimizer.zero_grad()
    loss = F.mse_loss(features(image), wanted)
    loss.backward()
    return loss
optimizer.step(closure)
"""


@pytest.mark.parametrize("optimizer", ["LBFGS", "Adam"])
@pytest.mark.parametrize(("image", "found"), [("content.clone()", 1), ("content.clone().requires_grad_()", 0)])
def test_image_that_does_not_require_grad(optimizer: str, image: str, found: int) -> None:
    snippet = IMAGE.format(image=image, optimizer=optimizer)
    assert reported("GRD110", snippet) == [("error", "loss.backward()")] * found
    assert reported("GRD101", snippet) == []
