"""With torch installed, the answers are those that our stubs give."""

from __future__ import annotations

from collections.abc import Callable

from gradls.flow.names import Answer, Question
from tests.resolve.conftest import MODULE, Project

LOSSES = """
    from torch import nn, optim
    class Net(nn.Module): ...
    def build_criterion(): return nn.CrossEntropyLoss()
    def build_optimizer(net): return optim.SGD(net.parameters())
    def net(): return Net().to("cuda")
"""
QUESTIONS = [
    Question("losses", "build_criterion", True),
    Question("losses", "build_optimizer", True),
    Question("losses", "Net", False),
    Question("torch.nn", "Parameter", False),
    Question("torch", "Tensor", False),
    Question("torch.optim.lr_scheduler", "StepLR", True),
    Question("torch.distributions", "Normal", True),
    Question("torch.cuda.amp", "GradScaler", True),
]


def answers(project: Project) -> list[Answer | None]:
    project.write("losses.py", LOSSES)
    return [project.ask(*question) for question in QUESTIONS]


def test_the_same_with_torch_and_with_stubs(projects: Callable[..., Project]) -> None:
    installed = answers(projects(bare=False))
    assert installed[0] == Answer(
        "instance",
        "torch.nn.modules.loss.CrossEntropyLoss",
        ("torch.nn.modules.loss._WeightedLoss", "torch.nn.modules.loss._Loss", MODULE),
    )
    assert all(installed)
    project = projects(bare=False, stubs_first=True)
    assert answers(project) == installed
    # The stubs know what jedi cannot read out of torch, and torch is there for what they lack.
    assert project.ask("losses", "net", True) == Answer("instance", "losses.Net", (MODULE,))
    rare = project.ask("torch.nn.utils.stateless", "functional_call")
    assert rare == Answer("function", "torch.nn.utils.stateless.functional_call")
