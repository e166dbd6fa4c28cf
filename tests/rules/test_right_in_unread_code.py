"""Right programs of forms that were blamed once, in public code that nobody had read before."""

from __future__ import annotations

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


def test_a_custom_function_may_give_a_subclass_of_tensor() -> None:
    check_right("""
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
quantized = Quantize.apply(x, lambda tensor: tensor.detach().clone().as_subclass(Quantized))
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
