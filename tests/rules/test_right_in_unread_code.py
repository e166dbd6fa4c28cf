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
