"""Right programs of forms that were blamed once, in public code that nobody had read before."""

from __future__ import annotations

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.rules.reported import check_right, reported


def test_a_graph_that_the_caller_made_may_be_used_by_it_again() -> None:
    snippet = """
        def add_entropy({arguments}):
            loss = ({output} * torch.log({output} + 1e-6)).sum()
            loss.backward(retain_graph=True)
            return loss.item()
        """
    assert not reported("GRD711", snippet.format(arguments="weights", output="weights"))
    assert reported("GRD711", snippet.format(arguments="model, x", output="model(x)"))


def test_a_graph_is_kept_for_what_branches_return() -> None:
    snippet = """
        from layers import Experts

        class Select(Experts):
            def __init__(self, names):
                super().__init__(names)
                self.logits = nn.ModuleDict({{name: nn.Linear(3, 2) for name in names}})

            def forward(self, inputs):
                out = {{}}
                for name in self.names:
                    weights = torch.sigmoid(self.logits[name](inputs))
                    out[name] = self.decoders[name](self.prepare({argument}, name))
                (weights * torch.log(weights + 1e-6)).sum().backward(retain_graph=True)
                return {result}
        """
    assert not reported("GRD711", snippet.format(argument="weights", result="out"))
    assert reported("GRD711", snippet.format(argument="inputs", result="None"))


def test_a_linear_layer_of_which_only_the_bias_is_trained_keeps_nothing() -> None:
    program = """
import torch
from torch import nn

layer = nn.Linear(3, 2)
layer.weight.requires_grad_(False)
loss = layer(torch.randn(4, 3)).sum()
loss.backward()
loss.backward()
"""
    check_right(program)
    assert reported("GRD301", program.replace("Linear(3, 2)", "Conv1d(4, 2, 1)"))
    assert reported("GRD301", program.replace("weight", "bias"))


def test_what_is_none_is_named_without_the_sign_before_it() -> None:
    source = Source.read("def nothing():\n    pass\n\n\nloss = nothing()\n(-loss).backward()\n")
    found = [finding.message for finding in findings(analyze(source)) if finding.code == "GRD303"]
    assert len(found) == 1
    assert found[0].startswith("`loss` is None")


def test_a_scheduler_that_code_which_is_called_back_steps_in_each_round() -> None:
    snippet = """
        from ignite.engine import Engine, Events

        def train(data):
            net = nn.Linear(3, 1)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

            def step(engine, batch):
                optimizer.zero_grad()
                net(batch).mean().backward()
                optimizer.step()

            trainer = Engine(step)
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)

            @trainer.on(Events.EPOCH_COMPLETED)
            def finish(engine):
                {body}

            trainer.run(data, max_epochs=3)

        for data in (torch.randn(4, 2, 3), torch.randn(4, 2, 3)):
            train(data)
        """
    assert not reported("GRD613", snippet.format(body="scheduler.step()"))
    assert reported("GRD613", snippet.format(body="pass"))


def test_a_function_that_goes_on_into_the_parts_of_a_module_sets_what_they_hold() -> None:
    program = """
import torch
from torch import nn
import torch.nn.functional as F


class Meta(nn.Module):
    def named(self, module, prefix=""):
        for name in ("weight", "bias"):
            if hasattr(module, name):
                yield prefix + name, getattr(module, name)
        for name, part in module.named_children():
            yield from self.named(part, prefix + name + ".")

    def put(self, module, name, value):
        if "." in name:
            first, rest = name.split(".", 1)
            for own, part in module.named_children():
                if own == first:
                    self.put(part, rest, value)
        else:
            setattr(module, name, value)


class Linear(Meta):
    def __init__(self, *sizes):
        super().__init__()
        layer = nn.Linear(*sizes)
        self.register_buffer("weight", layer.weight.detach().requires_grad_())
        self.register_buffer("bias", layer.bias.detach().requires_grad_())

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Net(Meta):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(Linear(3, 3), nn.ReLU(), Linear(3, 1))

    def forward(self, x):
        return self.main(x)


net = Net()
cost = net(torch.randn(4, 3)) ** 2
weights = torch.zeros(4, 1, requires_grad=True)
own = list(net.named(net))
gradients = torch.autograd.grad((cost * weights).sum(), [value for _, value in own], create_graph=True)
for (name, value), gradient in zip(own, gradients):
    net.put(net, name, value - 0.1 * gradient)
(gradient,) = torch.autograd.grad(net(torch.randn(4, 3)).mean(), weights)
"""
    check_right(program)


@pytest.mark.parametrize("made", ["given", "given if given.sum() < 100 else x * 2"])
def test_a_custom_function_may_give_a_subclass_of_tensor(made: str) -> None:
    check_right(f"""
import torch


class Quantized(torch.Tensor):
    def dequantize(self):
        return self.as_subclass(torch.Tensor) * 2


class Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, make):
        return make(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


x = torch.randn(3, requires_grad=True)
given = Quantize.apply(x, lambda tensor: tensor.detach().clone().as_subclass(Quantized))
quantized = {made}
(quantized.dequantize() ** 2).sum().backward()
assert x.grad is not None
""")


def test_a_loop_over_many_things_does_something_else_with_the_last() -> None:
    given = ", ".join(f"term{number}=zero" for number in range(30))
    check_right(f"""
import torch


def total(**terms):
    loss = torch.tensor(0.0)
    for name, term in terms.items():
        if name == "first":
            loss = loss + 2 * term
        elif name == "last":
            loss = loss + 3 * term
    return loss


zero = torch.zeros(())
net = torch.nn.Linear(3, 1)
total(first=zero, {given}, last=net(torch.randn(2, 3)).mean()).backward()
assert net.weight.grad is not None
""")


def test_unknown_code_may_differentiate_through_what_it_was_given_before() -> None:
    snippet = """
        import solver

        def train(data):
            radius = nn.Parameter(torch.tensor([3.0]))
            optimizer = torch.optim.Adam([radius])
            for poses in data:
                {given}
                loss = torch.sum(solver.error(), dim=1) - 1
                optimizer.zero_grad()
                loss.mean(dim=0).backward()
                optimizer.step()

        train(torch.randn(3, 2))
        """
    assert not reported("GRD611", snippet.format(given="solver.update({'radius': radius.clone()})"))
    assert reported("GRD611", snippet.format(given="solver.update({'poses': poses})"))


def test_a_method_of_an_annotated_base_does_what_a_derived_class_says() -> None:
    snippet = """
        class Victim(nn.Module):
            def __init__(self):
                super().__init__()

            def forward(self, inputs):
                {body}

        class Defender:
            def construct(self, victim: Victim, batch):
                prob = torch.softmax(victim(batch).logits, dim=1)
                (prob[:, 0] - prob[:, 1]).mean().backward()
        """
    assert not reported("GRD110", snippet.format(body="pass"))


def test_a_backward_that_asserts_false_returns_nothing() -> None:
    snippet = """
        class Argmax(torch.autograd.Function):
            @staticmethod
            def forward(ctx, values, sizes):
                return values.argmax(), sizes

            @staticmethod
            def backward(ctx, *gradients):
                {body}
        """
    assert not reported("GRD801", snippet.format(body="assert False"))
    assert reported("GRD801", snippet.format(body="assert gradients"))


def test_what_is_marked_as_changed_is_returned_by_the_branch_that_changes_it() -> None:
    snippet = """
        class Round(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x, inplace):
                if inplace:
                    ctx.mark_dirty(x)
                return {result}

            @staticmethod
            def backward(ctx, gradient):
                return gradient, None

        class Layer(nn.Module):
            def __init__(self, inplace=False):
                super().__init__()
                self.inplace = inplace
                self.weight = nn.Parameter(torch.ones(3))

            def forward(self, x):
                return Round.apply(x * self.weight, self.inplace)
        """
    assert not reported("GRD804", snippet.format(result="x.round_() if inplace else x.round()"))
    assert reported("GRD804", snippet.format(result="x.round()"))


def test_the_name_of_an_attribute_that_is_set_is_tested() -> None:
    snippet = """
        class Quantizer(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("scale", torch.ones(1))

            def put(self, name, value):
                if {test}:
                    setattr(self, name, value)
                else:
                    getattr(self, name).fill_(value)

            def reset(self):
                self.put("scale", 1.0)
        """
    assert not reported("GRD508", snippet.format(test="name in self.clipping()"))
    assert reported("GRD508", snippet.format(test="self.clipping()"))


def test_tensors_in_a_list_that_are_no_parameters_may_be_given_to_an_optimizer_elsewhere() -> None:
    snippet = """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.weights = [{value}]

            def forward(self, x):
                return x * self.weights[0]
        """
    tensor = "torch.randn(3, requires_grad=True)"
    assert reported("GRD501", snippet.format(value=tensor)) == [("information", "self.weights")]
    optimizer = "\n        torch.optim.SGD([*Net().parameters(), torch.ones(1, requires_grad=True)], lr=0.1)\n"
    assert reported("GRD501", snippet.format(value=tensor) + optimizer) == [("warning", "self.weights")]
    assert reported("GRD501", snippet.format(value=f"nn.Parameter({tensor})")) == [("warning", "self.weights")]


def test_a_test_may_ask_whether_a_computed_tensor_has_no_gradient() -> None:
    snippet = """
        import unittest

        class Views(unittest.TestCase):
            def test(self):
                x = torch.randn(3, requires_grad=True)
                y = x * 2
                y.sum().backward()
                {asked}
        """
    assert not reported("GRD306", snippet.format(asked="self.assertIsNone(y.grad)"))
    assert reported("GRD306", snippet.format(asked="print(y.grad)"))


def test_a_model_in_distributed_training_is_evaluated() -> None:
    snippet = """
        from torch.nn.parallel import DistributedDataParallel

        def run(data, ddp):
            model = nn.Linear(3, 1)
            if ddp:
                model = DistributedDataParallel(model)
            model.eval()
            total = 0
            for x in data:
                total += model(x).sum().item()
            return total
        """
    reported("GRD709", snippet)  # It does not fail.


def test_what_a_backward_has_freed_may_be_overwritten_and_returned() -> None:
    snippet = """
        class Agent:
            def __init__(self):
                self.net, self.target = nn.Linear(3, 1), nn.Linear(3, 1)

            def update(self, x):
                loss = F.mse_loss(self.net(x), self.target(x * self.net.bias))
                {used}
                self.target.load_state_dict(self.net.state_dict())
                return loss
        """
    assert not reported("GRD201", snippet.format(used="loss.backward()"))
    assert reported("GRD201", snippet.format(used="print(loss)"))


def test_what_is_differentiated_is_put_into_lists_before() -> None:
    snippet = """
        def gather(x):
            w = torch.randn(3, requires_grad=True)
            outputs, gradients, inputs = [], [], []
            inputs.append(w)
            outputs.append(x * w)
            {given}
            {differentiated}
        """
    passes = (
        "torch.autograd.backward(outputs, gradients, inputs=inputs)",
        "torch.autograd.grad(outputs, inputs, gradients)",
    )
    for differentiated in passes:
        given = "gradients.append(torch.ones(3))"
        assert not reported("GRD312", snippet.format(given=given, differentiated=differentiated))
        assert reported("GRD312", snippet.format(given="pass", differentiated=differentiated))


def test_what_keeps_its_gradient_needs_no_leaf() -> None:
    snippet = """
        q = torch.randn(4, 3, requires_grad=True).cuda()
        {kept}
        loss = ({used} ** 2).sum()
        loss.backward()
        """
    assert reported("GRD318", snippet.format(kept="pass", used="q"))
    assert not reported("GRD318", snippet.format(kept="q.retain_grad()", used="q"))
    assert not reported("GRD318", snippet.format(kept="p = q.clone()\n        p.retain_grad()", used="p"))


def test_a_branch_is_for_callers_that_give_something_else() -> None:
    snippet = """
        from configuration import config

        class Decoder(nn.Module):
            def __init__(self, config):
                super().__init__()
                self.takes_tokens = config.takes_tokens
                self.embedding = nn.Embedding(10, 4)

            def forward(self, x):
                x = {prepared}
                if {test}:
                    x = self.embedding(x)
                return x

        Decoder(config)(torch.randn(2, 5, 4))
        """
    for prepared in ("x", "torch.relu(x)"):
        assert not reported("GRD518", snippet.format(prepared=prepared, test="self.takes_tokens"))
        assert reported("GRD518", snippet.format(prepared=prepared, test="True"))
    assert reported("GRD518", snippet.format(prepared="torch.randn(3, 4)", test="self.takes_tokens"))


def test_a_class_is_itself_and_no_other() -> None:
    snippet = """
        class Norm(nn.Module):
            def __init__(self, groups, channels):
                super().__init__()
                if channels % groups != 0:
                    raise ValueError(channels)

            def forward(self, x):
                return x

        def call(kind, x):
            if kind {test} Norm:
                return kind(1, 4)(x)
            return kind(x, 1)

        call(Norm, torch.randn(3, 4))
        """
    assert not reported("GRD316", snippet.format(test="is"))
    assert reported("GRD316", snippet.format(test="is not"))


def test_what_is_filled_is_no_output_of_a_layer_any_more() -> None:
    snippet = """
        class Smoothing(nn.Module):
            def forward(self, logits, target):
                with torch.no_grad():
                    wanted = logits.clone()
                    {filled}
                return F.kl_div(F.log_softmax(logits, dim=-1), wanted, reduction="batchmean")

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.out, self.criterion = nn.Linear(3, 5), Smoothing()

            def forward(self, x, y):
                return self.criterion(self.out(x), y)
        """
    filled = "wanted.fill_(0.1 / 4)\n                    wanted.scatter_(1, target.unsqueeze(1), 0.9)"
    assert not reported("GRD403", snippet.format(filled=filled))
    assert reported("GRD403", snippet.format(filled="pass"))


def test_a_tensor_without_elements_has_nothing_to_fill() -> None:
    snippet = """
        class Combiner(nn.Module):
            def __init__(self):
                super().__init__()
                self.nothing = torch.empty([1, {size}])

            def forward(self, x):
                return torch.cat([x, self.nothing], dim=1)
        """
    assert not reported("GRD528", snippet.format(size=0))
    assert reported("GRD528", snippet.format(size=2))


def test_a_custom_function_may_fill_the_gradients_of_the_module_that_it_is_given() -> None:
    snippet = """
        class Checkpoint(torch.autograd.Function):
            @staticmethod
            def forward(ctx, run, x):
                ctx.run = run
                ctx.save_for_backward(x)
                with torch.no_grad():
                    return net[1](x)

            @staticmethod
            def backward(ctx, gradient):
                x = ctx.saved_tensors[0].detach().requires_grad_()
                with torch.enable_grad():
                    y = ctx.run(x)
                torch.autograd.backward(y, gradient)
                return None, x.grad

        net = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3)])
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            Checkpoint.apply({given}, net[0](torch.randn(2, 3))).sum().backward()
            optimizer.step()
        """
    assert not reported("GRD520", snippet.format(given="net[1]"))
    assert reported("GRD520", snippet.format(given="None"))


def test_the_rate_of_a_dropout_depends_on_the_mode_or_on_the_caller() -> None:
    snippet = """
        class Attention(nn.Module):
            def __init__(self, rate):
                super().__init__()
                self.rate = rate

            def attend(self, x, p=0.0):
                rate = {local}
                return F.dropout(x, {rate})
        """
    for rate in ("self.rate if self.training else 0.0", "p=p"):
        assert not reported("GRD706", snippet.format(local="0.1", rate=rate))
    assert not reported("GRD706", snippet.format(local="self.rate if self.training else 0.0", rate="rate"))
    for rate in ("self.rate", "p=0.1", "rate"):
        assert reported("GRD706", snippet.format(local="0.1", rate=rate))


def test_a_base_of_which_nothing_is_known_calls_other_methods() -> None:
    snippet = """
        import graphs

        class Convolution(graphs.MessagePassing):
            def __init__(self):
                super().__init__()
                self.mlp = nn.Linear(3, 3)

            def forward(self, x, edges):
                return {result}

            def message(self, neighbours):
                return self.mlp(neighbours)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.convolution, self.out = Convolution(), nn.Linear(3, 2)

            def forward(self, x, edges):
                return self.out(self.convolution(x, edges))

        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            net(torch.randn(4, 3), torch.zeros(2, 5).long()).mean().backward()
            optimizer.step()
        """
    assert not reported("GRD520", snippet.format(result="self.propagate(edges, x=x)"))
    assert reported("GRD520", snippet.format(result="x"))
