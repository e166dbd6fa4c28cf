"""Right programs of forms that were blamed once, in code of all kinds that nobody had looked at before."""

from __future__ import annotations

import textwrap

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.rules.reported import IMPORTS, check_right, reported


def test_checkpoint_sequential_goes_through_a_list_of_modules_itself() -> None:
    check_right("""
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint_sequential

layers = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
optimizer = torch.optim.SGD(layers.parameters(), lr=0.1)
loss = checkpoint_sequential(layers, 1, torch.randn(2, 3), use_reentrant=False).sum()
optimizer.zero_grad()
loss.backward()
optimizer.step()
assert layers[0].weight.grad is not None
""")


@pytest.mark.parametrize("cut", ["chunk(4, dim=1)", "split(1, dim=1)"])
def test_parts_of_what_is_cut_in_several_ways_are_not_each_other(cut: str) -> None:
    check_right(f"""
import sys

import torch
from torch import nn


class Sizes(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim
        self.boxes = nn.Linear(4, 2 * dim)

    def forward(self, x):
        boxes = self.boxes(x)
        if self.dim == 2:
            top, left, bottom, right = boxes.{cut}
        else:
            top, left, bottom, right, front, back = boxes.{cut.replace("4", "6")}
        return (bottom - top) * (right - left)


Sizes(3 if len(sys.argv) > 5 else 2)(torch.randn(3, 4)).sum().backward()
""")


def test_zeros_that_are_written_before_a_parameter_is_made_of_them() -> None:
    check_right("""
import torch
from torch import nn


class LowRank(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.down = nn.Parameter(torch.zeros(size, 2))
        self.up = nn.Parameter(nn.init.orthogonal_(torch.zeros(2, size)))

    def forward(self, x):
        return torch.tanh(x @ self.down) @ self.up


net = LowRank(4)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
loss = (net(torch.randn(3, 4)) - 1).pow(2).mean()
optimizer.zero_grad()
loss.backward()
optimizer.step()
assert net.down.grad.abs().sum() > 0
""")


def test_zeros_of_two_factors_stay_zeros() -> None:
    program = """
    down, up = nn.Parameter(torch.zeros(4, 2)), nn.Parameter(torch.zeros(2, 4))
    optimizer = torch.optim.SGD([down, up], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (torch.randn(3, 4) @ down @ up).sum().backward()
        optimizer.step()
    """
    assert [severity for severity, _ in reported("GRD521", program)] == ["warning"]


def test_a_multiplier_that_is_trained_against_the_loss_of_others() -> None:
    """What the first backward computes for the critic is cleared, but the multiplier gets its step."""
    program = """
    class Scalar(nn.Module):
        def __init__(self):
            super().__init__()
            self.constant = nn.Parameter(torch.tensor(1.0))

        def forward(self):
            return self.constant

    class Agent:
        def __init__(self):
            self.critic = nn.Linear(3, 1)
            self.second = nn.Linear(3, 1)
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters())
            self.second_optimizer = torch.optim.Adam(self.second.parameters())
            self.log_alpha = Scalar()
            self.alpha_optimizer = torch.optim.Adam(self.log_alpha.parameters())

        def penalty(self, x):
            penalty = self.log_alpha().exp() * (self.critic(x) + self.second(x)).mean()
            self.alpha_optimizer.zero_grad()
            (-penalty).backward(retain_graph=True)
            self.alpha_optimizer.step()
            return self.critic(x).pow(2).mean() + self.second(x).pow(2).mean() + penalty

        def train(self, x):
            loss = self.penalty(x)
            self.critic_optimizer.zero_grad()
            self.second_optimizer.zero_grad()
            total = loss.mean()
            total.backward()
            self.critic_optimizer.step()
            self.second_optimizer.step()

        def load_state_dict(self, state):
            self.log_alpha = state["log_alpha"]

    import sys

    agent = Agent()
    if len(sys.argv) > 5:
        agent.load_state_dict(torch.load(sys.argv[5]))
    for _ in range(3):
        agent.train(torch.randn(4, 3))
    """
    assert not reported("GRD602", program)


def test_a_critic_by_option_of_which_nobody_looked_at_the_forward() -> None:
    """The backward of the second method may fill the gradients of whichever critic there is."""
    program = """
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 1)

        def forward(self, x, a):
            return self.fc(x) + a

    class Deep(Plain):
        pass

    class Agent:
        def __init__(self, deep, per):
            if deep:
                self.critic = Deep()
            else:
                self.critic = Plain()
            self.actor = nn.Linear(3, 1)
            self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=0.1)
            self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=0.1)
            self.learn = self.learn_weighted if per else self.learn_quantiles

        def learn_weighted(self, x):
            loss = self.critic(x, self.actor(x)).mean()
            self.actor_optimizer.zero_grad()
            loss.backward()
            self.actor_optimizer.step()

        def learn_quantiles(self, x):
            q, n = self.critic(x, 1, 4)
            loss = (torch.ones(3) - q.cpu()).pow(2).mean()
            self.critic_optimizer.zero_grad()
            loss.backward()
            self.critic_optimizer.step()

        def step(self, x):
            self.learn(x)
    """
    assert not reported("GRD602", program)


REGISTERED_LATER = """
class Adapter(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name
        self.down = nn.Linear(3, 3)


class Network(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.adapters = [Adapter(name) for name, _ in model.named_modules()]

    def apply_to(self):
        for adapter in self.adapters:
            {body}


def create(model):
    network = Network(model)
    return network
"""


def test_what_a_method_registers_later_of_any_object_of_the_class() -> None:
    assert not reported("GRD501", REGISTERED_LATER.replace("{body}", "self.add_module(adapter.name, adapter)"))
    assert reported("GRD501", REGISTERED_LATER.replace("{body}", "adapter.eval()"))


@pytest.mark.parametrize("mode", ["torch.set_grad_enabled(True)", "torch.inference_mode(False).__enter__()"])
def test_a_hook_that_switches_gradients_on_for_validation(mode: str) -> None:
    program = """
    import lightning

    class Map(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.potential = nn.Linear(2, 1)

        def validation_step(self, batch, index):
            x = torch.ones(4, 2, requires_grad=True)
            return torch.autograd.grad(self.potential(x).sum(), x)[0]

        def {name}(self):
            {mode}
    """
    assert not reported("GRD308", program.replace("{name}", "on_validation_model_eval").replace("{mode}", mode))
    assert reported("GRD308", program.replace("{name}", "on_test_model_eval").replace("{mode}", mode))


def test_an_annotation_is_no_dtype() -> None:
    program = """
    class Modulation(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 6)

        def forward(self, x: torch.Tensor, c: torch.LongTensor):
            return x + self.linear(c)
    """
    assert not reported("GRD518", program)


def test_masks_that_a_context_puts_into_a_list() -> None:
    program = """
    class Masks:
        def __init__(self, model):
            self.model = model

        def __enter__(self):
            self.model.masks = [nn.Parameter(torch.randn(4)) for _ in range(self.model.layers)]

        def __exit__(self, *args):
            pass

    class Explainer(nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            with Masks(self):
                return [mask.sigmoid() for mask in self.masks]
    """
    assert not reported("GRD502", program)


def test_volatile_that_is_false_asks_for_what_happens_anyway() -> None:
    program = """
    from torch.autograd import Variable

    def batch(x, evaluation=False):
        return Variable(x, volatile={flag})
    """
    assert not reported("GRD902", program.replace("{flag}", "False"))
    assert [severity for severity, _ in reported("GRD902", program.replace("{flag}", "evaluation"))] == ["information"]
    assert [severity for severity, _ in reported("GRD902", program.replace("{flag}", "True"))] == ["warning"]


def test_parameters_that_are_told_apart_by_an_option() -> None:
    check_right("""
import json

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.weight = nn.Parameter(torch.ones(4, 3))


def half(parameter, options):
    if options["sharded"]:
        return parameter[:2]
    return parameter


net = Net()
table = json.loads('{"scale": {"sharded": false}, "weight": {"sharded": true}}')
for name, parameter in net.named_parameters():
    half(parameter, table[name])
""")


def test_a_return_of_a_backward_is_no_step_of_a_trainer() -> None:
    program = """
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    Twice.apply(torch.ones(3, requires_grad=True), 2.0).sum().backward()
    """
    source = Source.read(IMPORTS + textwrap.dedent(program), "twice.py")
    (found,) = (finding for finding in findings(analyze(source)) if finding.code == "GRD801")
    assert found.message.startswith("`return grad * 2` returns 1 gradient")


@pytest.mark.parametrize("call", ["torch.solve(b, a)", "b.solve(a)"])
def test_what_is_otherwise_in_place_of_what_was_removed(call: str) -> None:
    source = Source.read(f"{IMPORTS}a, b = torch.eye(3), torch.ones(3, 1)\nx = {call}\n", "solve.py")
    (found,) = findings(analyze(source))
    assert "takes the matrix first" in found.message


def test_autograd_calls_a_backward_with_gradients_off() -> None:
    """PyTorch warns of numbers of tensors that require grad only where gradients are on."""
    check_right("""
import warnings

import torch


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(factor)
        return x * factor

    @staticmethod
    def backward(ctx, grad):
        (factor,) = ctx.saved_tensors
        return grad * float(factor.view(-1)[0]), None


with warnings.catch_warnings():
    warnings.simplefilter("error")
    factor = torch.nn.Parameter(torch.ones(1))
    Scaled.apply(torch.ones(3, requires_grad=True), factor).sum().backward()
""")
    program = """
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.save_for_backward(factor)
            return x * factor

        @staticmethod
        def backward(ctx, grad):
            (factor,) = ctx.saved_tensors
            return grad * float(factor.view(-1)[0]), None

    factor = nn.Parameter(torch.ones(1))
    Scaled.apply(torch.ones(3, requires_grad=True), factor).sum().backward()
    """
    assert not reported("GRD319", program)
    assert reported("GRD319", "float(nn.Parameter(torch.ones(1)).view(-1)[0])\n")


def test_data_that_is_written_in_place_is_put_back_where_it_was() -> None:
    program = """
    import copy

    class Decoder(nn.Module):
        def __init__(self, layer, number):
            super().__init__()
            self.layers = nn.ModuleList([copy.deepcopy(layer) for _ in range(number)])
            for layer in self.layers:
                layer.weight.data /= 2 * number

    Decoder(nn.Linear(3, 3), 2)
    """
    assert not reported("GRD512", program)


def test_values_to_begin_with_are_computed_of_others() -> None:
    program = """
    class WeightNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 3))
            {made}

        def forward(self, x):
            {used}
            return x @ self.weight * self.scale
    """
    made = "self.scale = nn.Parameter(self.weight.norm(dim=1) + 1e-2)"
    assert not reported("GRD114", program.format(made=made, used="pass"))
    assert reported("GRD114", program.format(made="pass", used=made))


def test_what_a_sum_of_several_rounds_is_read_for() -> None:
    program = """
    weight = torch.ones(3, requires_grad=True)
    for step in range(6):
        (weight * torch.randn(3)).sum().backward()
        if step % 3 == 2:
            print(weight.grad)
            {clear}
    """
    assert not reported("GRD601", program.format(clear="weight.grad = None"))
    assert reported("GRD601", program.format(clear="pass"))


@pytest.mark.parametrize(("test", "found"), [("epoch > warmup", 0), ("cosine", 1)])
def test_a_schedule_that_waits_for_its_round(test: str, found: int) -> None:
    program = f"""
    def train(model, optimizer, scheduler, batches, warmup, cosine):
        for epoch in range(10):
            if {test}:
                scheduler.step()
            for x in batches:
                optimizer.zero_grad()
                model(x).sum().backward()
                optimizer.step()
    """
    assert len(reported("GRD606", program)) == found


@pytest.mark.parametrize(("end", "found"), [("return length.detach().numpy()", 0), ("return length", 1)])
def test_a_root_of_which_only_an_array_is_given_back(end: str, found: int) -> None:
    program = f"""
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def adjacency(self):
            length = torch.sum(self.linear.weight**2, dim=1).pow(0.5)
            {end}
    """
    assert len(reported("GRD119", program)) == found


def test_a_result_is_what_it_is_when_it_is_returned() -> None:
    """What is added to it in place is part of it, though the write is taken back when the function is left."""
    kept = """
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 3)
            self.distance = nn.L1Loss()

        def process(self, x, features):
            out = self.net(x)
            loss = 0
            loss += out.mean()
            matched = 0
            for i in range(len(features)):
                matched += self.distance(out[i], features[i])
            loss += matched * 10
            return out, loss, matched.item()
    """
    assert not reported("GRD701", kept)
    cut = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.second = nn.Linear(3, 3)

        def forward(self, x):
            seen = self.first(x).detach()
            out = self.second(x)
            {added}
            return out, seen
    """
    assert not reported("GRD101", cut.format(added="out += self.first(x)"))
    assert reported("GRD101", cut.format(added="pass"))


@pytest.mark.parametrize(("made", "fixes"), [("Scaled()", 1), ("Scaled(2)", 0), ("Scaled(factor=2)", 0)])
def test_apply_does_not_know_what_an_object_was_made_with(made: str, fixes: int) -> None:
    program = f"""
    class Scaled(torch.autograd.Function):
        def __init__(self, factor=1):
            self.factor = factor

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    {made}(torch.ones(3, requires_grad=True)).sum().backward()
    """
    source = Source.read(IMPORTS + textwrap.dedent(program), "scaled.py")
    (found,) = (finding for finding in findings(analyze(source)) if finding.code == "GRD803")
    assert len(found.fixes) == fixes


def test_what_a_branch_of_any_round_has_bound_is_not_what_the_last_round_made() -> None:
    check_right("""
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.blocks = nn.ModuleList([nn.Linear(3, 3) for _ in range(layers)])
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        for i in range(self.layers):
            x = self.blocks[i](x)
            if i == 2:
                early = x
        x -= self.scale * early
        return x


model = Net(6)
for batch in torch.randn(4, 4, 3):
    model(batch).sum().backward()
""")


def test_an_attribute_that_is_deleted_of_one_of_several_modules() -> None:
    check_right("""
import os

import torch
from torch import nn


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.mass = torch.ones(1)


class Robot(nn.Module):
    def __init__(self, names):
        super().__init__()
        self.bodies = nn.ModuleList()
        self.index = {}
        for i, name in enumerate(names):
            self.bodies.append(Body())
            self.index[name] = i

    def replace(self, name, attribute, module):
        parent = self.bodies[self.index[name]]
        parent.__delattr__(attribute)
        parent.add_module(attribute, module)


robot = Robot(os.environ.get("BODIES", "arm hand").split())
robot.replace("arm", "mass", nn.Linear(1, 1))
robot.replace("hand", "mass", nn.Linear(1, 1))
""")


def test_what_a_branch_of_an_earlier_round_put_into_an_attribute_is_not_carried_from_call_to_call() -> None:
    assert not reported(
        "GRD710",
        """
        class Net(nn.Module):
            def __init__(self, rounds):
                super().__init__()
                self.rounds = rounds
                self.layer = nn.Linear(3, 3)

            def forward(self, x, mask=None):
                for i in range(self.rounds):
                    self.assigned = self.layer(x).softmax(-1)
                    if mask is not None:
                        self.assigned = self.assigned * mask
                    x = self.assigned + x
                return x

            def penalty(self):
                return self.assigned.pow(2).mean()


        def main(batches, optimizer):
            net = Net(4)
            for x, mask in batches:
                loss = net(x, mask).sum() + net.penalty()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        """,
    )


def test_a_loss_for_each_round_is_differentiated_once() -> None:
    snippet = """
        critic, painter = nn.Linear(3, 1), nn.Linear(3, 3)
        optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (painter, critic)]
        for batch in torch.randn(4, 8, 3):
            fake = painter(batch)
            losses = [painter(fake).mean(), (critic(batch) - critic(fake.detach())).mean()]
            for optimizer, loss in {pairs}:
                optimizer.zero_grad()
                loss.backward(retain_graph=True)
                optimizer.step()
        """
    once, again = (reported("GRD711", snippet.format(pairs=f"zip(optimizers{n}, losses{n})")) for n in ("", " * 2"))
    assert "warning" not in dict(once)
    assert "warning" in dict(again)


def test_what_an_unknown_object_was_given_may_be_in_another_part_of_it() -> None:
    snippet = """
        from physics import make_world

        def infer(truth):
            speed = torch.tensor([1.0], requires_grad=True)
            optimizer = torch.optim.SGD([speed], lr=0.1)
            for i in range(100):
                world, ball = make_world()
                velocity = world.v.detach().clone()
                velocity[1:2] = speed * 3
                world.{given}(velocity)
                world.step(0.1)
                loss = F.mse_loss(torch.cat([torch.zeros(3), {part}]), truth)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        infer(torch.zeros(6))
        """
    assert not reported("GRD611", snippet.format(given="set_v", part="ball.p"))
    assert reported("GRD611", snippet.format(given="set_v", part="torch.ones(3, requires_grad=True)"))


def test_a_method_that_the_constructor_calls_may_set_the_module_up() -> None:
    snippet = """
        class Positions(nn.Embedding):
            def __init__(self, number, size, padding):
                self.make(number, size, padding)

            def make(self, number, size, padding):
                weight = torch.randn(number, size)
                if not hasattr(self, "weight"):
                    {first}
                else:
                    self.weight = nn.Parameter(weight.to(self.weight.device))
                self.weight.detach_()
                self.weight.requires_grad = False

            def forward(self, x):
                if x.max() > self.weight.size(0):
                    self.make(x.max() + 1, self.embedding_dim, self.padding_idx)
                return nn.Embedding.forward(self, x)


        class Net(nn.Module):
            def __init__(self, config, embedding):
                super().__init__()
                self.positions = Positions(config.number, 3, embedding.padding_idx)

            def forward(self, x):
                return self.positions(x)
        """
    assert not reported("GRD504", snippet.format(first="super().__init__(number, size, padding, _weight=weight)"))
    assert reported("GRD504", snippet.format(first="self.number = number"))


def test_each_round_may_step_another_optimizer() -> None:
    snippet = """
        def train(models, pairs, batches):
            optimizers = [torch.optim.Adam(model.parameters(), lr=0.1) for model in models]
            for x in batches:
                for optimizer in optimizers:
                    {each}
                outputs = [model(x) for model in models]
                for number, place in pairs:
                    loss = outputs[place].pow(2).mean()
                    loss.backward()
                    optimizers[number].step()


        train([nn.Linear(3, 1) for _ in range(int(input()))], [(0, 0), (1, 1)], torch.randn(4, 8, 3))
        """
    assert not reported("GRD601", snippet.format(each="optimizer.zero_grad()"))
    assert reported("GRD601", snippet.format(each="print(optimizer)"))


def test_leaves_that_a_method_gives_out_in_a_list_of_its_own() -> None:
    snippet = """
        class Search(nn.Module):
            def __init__(self, steps):
                super().__init__()
                self.layer = nn.Linear(3, 3)
                self.alphas = []
                for i in range(len(steps)):
                    if steps[i] > 1:
                        alpha = 1e-3 * torch.randn(steps[i])
                        alpha.requires_grad_(True)
                        self.alphas.append(alpha)
                    else:
                        self.alphas.append(None)

            def {method}(self, x=None):
                found = []
                for each in self.alphas:
                    if each is not None:
                        found.append(each)
                return found
        """
    assert not reported("GRD501", snippet.format(method="architecture"))
    assert reported("GRD501", snippet.format(method="forward"))


@pytest.mark.parametrize(
    "statement",
    [
        "print('a b'.split(''))",
        "class Sizes(torch.utils.data.Dataset):\n"
        "    def __getitem__(self, i):\n"
        "        return 2.5 if i % 2 else 1\n\n"
        "for size in torch.utils.data.DataLoader(Sizes()):\n"
        "    print(torch.cat([size, torch.ones(1)]))",
    ],
)
def test_no_program_ends_the_analysis(statement: str, caplog: pytest.LogCaptureFixture) -> None:
    findings(analyze(Source.read(f"import torch\n\n{statement}\n")))
    assert not caplog.records


def test_lines_are_not_words() -> None:
    check_right("""
import torch

flags = [line == "on and off" for line in "on and off\\non and off".splitlines()]
weight = torch.ones(3, requires_grad=flags[0])
assert len(flags) == 2
weight.sum().backward()
""")


def test_what_a_sum_of_losses_begins_with_is_not_asked_for_its_gradient() -> None:
    snippet = """
        class Trainer:
            def step(self, x, others):
                loss = torch.tensor([0.0], requires_grad=True).to(self.device)
                for other in others:
                    loss = loss + (x - other).pow(2).mean()
                self.optimizer.zero_grad()
                {use}
        """
    assert not reported("GRD318", snippet.format(use="loss.backward()"))
    assert reported("GRD318", snippet.format(use="(loss ** 2).backward()"))


def test_a_tensor_that_requires_grad_since_it_was_made_is_no_constant() -> None:
    found = reported(
        "GRD110",
        """
        def search(steps, anew, given):
            noise = torch.randn(4, 3, requires_grad=True)
            for _ in range(steps):
                if anew:
                    noise = torch.randn(4, 3)
                    if given:
                        noise = torch.tensor(given, dtype=torch.float32)
                        noise.requires_grad = True
                loss = ((noise ** 2).mean(dim=1) - 1) ** 2
                loss.sum(dim=0).backward()
        """,
    )
    assert found == [("information", "torch.randn(4, 3)")]


def test_the_argument_of_a_root_is_kept_away_from_zero_by_a_where_of_its_own() -> None:
    snippet = """
        def distance(diff):
            squared = torch.sum(diff * diff, dim=-1, keepdim=True)
            away = squared.squeeze(-1) > 0
            return torch.where(away.unsqueeze(-1), torch.sqrt({argument}), torch.zeros_like(squared))
        """
    safe = "torch.where(away.unsqueeze(-1), squared, torch.ones_like(squared))"
    assert not reported("GRD119", snippet.format(argument=safe))
    assert reported("GRD119", snippet.format(argument="squared"))
