"""Right programs that were blamed once: forms found in code of others that nothing had been tried on before."""

from __future__ import annotations

import textwrap

from gradls.flow.analyze import analyze
from gradls.rules.registry import rules_by_key
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.rules.reported import IMPORTS, check_error, check_right, reported


def test_a_method_that_the_program_gives_to_every_module_registers_what_it_takes() -> None:
    check_right("""
import torch
from torch import nn


def put(self, layer):
    self.add_module(f"layer{len(self)}", layer)


nn.Module.put = put
net = nn.Sequential()
net.put(nn.Linear(3, 3))
net.put(nn.Tanh())
net(torch.randn(2, 3)).sum().backward()
assert net.layer0.weight.grad is not None
""")


def test_modules_that_are_put_into_another_dictionary_of_modules() -> None:
    check_right("""
from collections import OrderedDict

import torch
from torch import nn


def rebuilt(module):
    class Copy(module.__class__):
        def __init__(self):
            nn.Module.__init__(self)
            self._modules = OrderedDict()

    copy = Copy()
    for name, child in module._modules.items():
        copy._modules[name] = child
    return copy


net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
rebuilt(net)(torch.randn(2, 3)).sum().backward()
assert net[0].weight.grad is not None
""")


def test_what_a_compiler_makes_of_a_function_writes_to_memory() -> None:
    program = """
    import taichi as ti
    from numba import cuda

    weight = nn.Parameter(torch.zeros(3))

    @{decorator}
    def fill(data):
        for i in range(3):
            data[i] = 2.0

    fill(weight)
    """
    for decorator in ("ti.kernel", "cuda.jit", 'cuda.jit("void(float32[:])")'):
        assert not reported("GRD203", program.replace("{decorator}", decorator))
    assert reported("GRD203", program.replace("@{decorator}", ""))


def test_what_an_object_of_a_function_gives_is_told_once() -> None:
    program = """
    class Correlation(torch.autograd.Function):
        def forward(self, a, b):
            return a.new()

        def backward(self, gradient):
            return gradient, gradient

    a = torch.randn(3, requires_grad=True)
    Correlation()(a, a).mean().backward()
    """
    assert reported("GRD803", program)
    assert not reported("GRD110", program)


def test_volatile_that_is_handed_on_is_told_where_that_is_done() -> None:
    program = """
    from torch.autograd import Variable

    def wrap(*args, **kwargs):
        return Variable(*args, **kwargs).cuda()

    wrap(torch.ones(3), volatile=True)
    """
    assert reported("GRD902", program) == [("warning", "Variable(*args, **kwargs)")]


def test_numbers_between_tensors_are_numbers() -> None:
    check_right("""
import torch

weight = torch.rand(3, 3, requires_grad=True)
eye, total = torch.eye(3), torch.zeros(3, 3)
torch.addcmul(total, 1, eye, weight).sum().backward()
torch.add(total, 2, weight).sum().backward()
torch.addmm(1, total, 1, eye, weight).sum().backward()
total.addcdiv(0.5, weight, eye + 1).sum().backward()
total.clone().add_(2, weight).sum().backward()
total.clone().addmm_(0.5, 2, eye, weight).sum().backward()
""")


def test_a_number_and_a_row_make_a_row() -> None:
    check_right("""
import torch

one, row = torch.tensor(1.0), torch.ones(3)
results = [
    torch.max(one, row),
    torch.min(one, row),
    torch.clamp(one, row),
    torch.div(one, row, rounding_mode="floor"),
    torch.lerp(one, row, row),
    torch.logaddexp2(one, row),
    torch.tensor(True) & (row > 0),
    torch.tensor(1) << torch.arange(3),
]
assert [result[:2].shape for result in results] == [(2,)] * 8
""")


def test_what_is_computed_of_none_is_told_once() -> None:
    program = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            self.layer(x)

    net = Net()
    loss = nn.MSELoss()(net(torch.randn(2, 3)), torch.randn(2, 3))
    loss.backward()
    """
    assert reported("GRD615", program)
    assert not reported("GRD110", program)


def test_clipping_that_was_copied_into_a_loop_that_evaluates() -> None:
    program = """
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for epoch in range(3):
        for _ in range(4):
            optimizer.zero_grad()
            net(torch.randn(2, 3)).pow(2).mean().backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        for _ in range(2):
            with torch.no_grad():
                net(torch.randn(2, 3)).pow(2).mean()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    """
    assert not reported("GRD605", program)
    alone = program.replace(
        "            nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n            optimizer", "            optimizer"
    )
    assert reported("GRD605", alone)


def test_a_target_beside_what_should_have_had_a_gradient() -> None:
    program = """
    policy, critic = nn.Linear(3, 2), nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*policy.parameters(), *critic.parameters()], lr=0.1)
    for _ in range(3):
        x, y, reward = torch.randn(8, 3), torch.randn(8, 3), torch.randn(8)
        {switch}
            chosen = policy(x).log_softmax(1)[:, 0]
        with torch.no_grad():
            target = reward + 0.9 * critic(y).squeeze(1)
        value = critic(x).squeeze(1)
        loss = (-chosen * (target - value.detach())).mean() + (value - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    """
    assert len(reported("GRD106", program.replace("{switch}", "with torch.no_grad():"))) == 1
    assert not reported("GRD106", program.replace("{switch}", "if True:"))


def test_gradients_that_keep_their_graph_are_differentiated() -> None:
    check_right("""
import torch
from torch import nn

one, other = nn.Linear(3, 4), nn.Linear(4, 2)
other(one(torch.randn(2, 3)).tanh()).pow(2).mean().backward(create_graph=True)
curvature = torch.autograd.grad(one.weight.grad.sum() + other.weight.grad.sum(), [one.weight, other.weight])
assert curvature[0].shape == (4, 3)
""")


def test_a_step_that_only_begins_a_schedule() -> None:
    program = """
    def main(detector, loader, lr, warm):
        optimizer = torch.optim.SGD(detector.network.parameters(), lr)
        scaler = torch.amp.GradScaler("cuda") if warm else None
        optimizer.zero_grad()
        optimizer.step()
        for batch in loader:
            for parameter in detector.network.parameters():
                parameter.grad = None
            loss = detector(batch)
            if warm and scaler is not None:
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            else:
                loss.backward()
                optimizer.step()
    """
    assert not reported("GRD602", program)


def test_a_constant_beside_a_term_of_which_nothing_is_known() -> None:
    program = """
    def fit(criterion, data, regular):
        weight = nn.Parameter(torch.ones(3))
        if regular:
            penalty = weight.norm()
        else:
            penalty = torch.tensor(0.0)
        loss = {loss}
        loss.backward()
    """
    assert not reported("GRD110", program.replace("{loss}", "criterion(data) + 0.1 * penalty"))
    assert reported("GRD110", program.replace("{loss}", "0.1 * penalty"))


def test_parameters_that_are_copied_are_not_cut_off() -> None:
    program = """
    model, reference = nn.Linear(3, 1), nn.Linear(3, 1)
    with torch.no_grad():
        reference.weight.copy_(model.weight)
    reference(torch.randn(2, 3)).sum().backward()
    """
    assert not reported("GRD106", program)


def test_a_leaf_that_a_conversion_perhaps_leaves_behind() -> None:
    program = """
    def gradient(device):
        x = torch.tensor([1.0, 2.0], requires_grad=True).to(device)
        x.sum().backward()
        return x.grad
    """
    text = IMPORTS + textwrap.dedent(program)
    found = findings(analyze(Source.read(text)), [rules_by_key()["GRD318"]])
    assert [finding.message.startswith("if `to()` changes anything") for finding in found] == [True]


def test_the_target_of_a_network_that_no_optimizer_has() -> None:
    program = """
    class Agent:
        def __init__(self):
            self.critic, self.target = nn.Linear(3, 1), nn.Linear(3, 1)
            self.optimizer = torch.optim.SGD({parameters}, lr=0.1)

        def update(self, states, following, rewards, done):
            rewards = torch.tensor(rewards, dtype=torch.float)
            states, following = torch.tensor(states), torch.tensor(following)
            wanted = rewards + 0.9 * self.target(following) * (1 - torch.tensor(done))
            loss = F.mse_loss(self.critic(states), wanted)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
    """
    both = "[*self.critic.parameters(), *self.target.parameters()]"
    for parameters, said in (("self.critic.parameters()", "no optimizer uses"), (both, "also moves it")):
        text = IMPORTS + textwrap.dedent(program).replace("{parameters}", parameters)
        found = findings(analyze(Source.read(text)), [rules_by_key()["GRD126"]])
        assert [said in finding.message for finding in found] == [True]


def test_a_loop_over_no_rows_has_no_rounds() -> None:
    check_right("""
import torch

for row in torch.zeros(0, 3):
    print(float(row))
""")


def test_integers_that_become_the_values_of_a_parameter_are_told_there() -> None:
    check_error(
        "GRD304",
        """
import torch

layer = torch.nn.Conv1d(1, 1, 2, bias=False)
layer.weight.data = torch.tensor([[[1, 1]]])  # raises RuntimeError: data set to a tensor that requires gradients
""",
    )
    check_right("""
import torch

layer = torch.nn.Conv1d(1, 1, 2, bias=False).requires_grad_(False)
layer.weight.data = torch.tensor([[[1, 1]]])
assert layer(torch.tensor([[[1, 2, 3]]])).dtype == torch.int64
""")


def test_a_flag_that_comes_behind_the_conversion() -> None:
    program = """
    def start(image, device, mean):
        image = (load(image) - mean) / mean
        image = image{before}.to(device){after}
        return torch.optim.Adam([image], lr=0.1)
    """
    after = program.replace("{before}", "").replace("{after}", ".requires_grad_()")
    assert not reported("GRD505", after)
    before = program.replace("{before}", ".clone().requires_grad_()").replace("{after}", "")
    assert reported("GRD505", before)


def test_what_is_made_for_an_attribute_is_no_prediction() -> None:
    program = """
    class Algorithm:
        def prepare(self, batch):
            {made} = self.make(self.parameters(), lr=0.1)
            if self.warm:
                self.optimizer.zero_grad()
                self.optimizer.step()
    """
    assert not reported("GRD611", program.replace("{made}", "self.optimizer"))
    assert reported("GRD611", program.replace("{made}", "loss"))


def test_an_entry_that_one_flag_adds_in_each_round_is_the_one_of_this_round() -> None:
    program = """
    class Net(nn.Module):
        def __init__(self, flag):
            super().__init__()
            self.layer, self.flag, self.terms = nn.Linear(3, 3), flag, {}

        def forward(self, x):
            y = self.layer(x)
            if {test}:
                self.terms["norm"] = y.norm()
            return y

    def train(flag):
        net = Net(flag)
        for _ in range(3):
            loss = net(torch.randn(2, 3)).mean()
            for term in net.terms.values():
                loss = loss + term
            loss.backward()
    """
    assert not reported("GRD301", program.replace("{test}", "self.flag"))
    assert reported("GRD301", program.replace("{test}", '"norm" not in self.terms'))


def test_parameters_that_are_put_into_a_group_of_the_optimizer() -> None:
    program = """
import torch
from torch import nn

weights = {"a": nn.Parameter(torch.ones(3))}
optimizer = torch.optim.SGD([weights["a"]], lr=0.1)
for _ in range(3):
    weights["a"].pow(2).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    weights["a"] = nn.Parameter(torch.cat([weights["a"].data, weights["a"].data]))
    for group in optimizer.param_groups:
        {put}
assert weights["a"].shape == (24,) and weights["a"].max() < 0.6
"""
    check_right(program.replace("{put}", 'group["params"] = [weights["a"]]'))
    check_right(program.replace("{put}", 'group["params"][0] = weights["a"]'))
    stale = program.replace("{put}", "pass").replace("import torch\nfrom torch import nn\n", "")
    assert reported("GRD607", stale)


def test_copies_that_become_numbers_at_once_are_only_looked_at() -> None:
    program = """
    net = nn.Linear(3, 1)
    losses = [net(torch.randn(2, 3)).mean() for _ in range(3)]
    shown = torch.tensor(losses){end}
    """
    assert not reported("GRD102", program.replace("{end}", ".numpy()"))
    assert not reported("GRD102", program.replace("{end}", ".mean().item()"))
    assert reported("GRD102", program.replace("{end}", ".mean()"))
