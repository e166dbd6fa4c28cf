"""Swapped arguments of losses: what proves them, what does not, and criteria that another file makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.resolve.resolver import Resolver
from gradls.workspace.session import Session
from tests.rules.reported import reported

MODEL = """
net = nn.Linear(3, 1)
x, y = torch.randn(8, 3), torch.ones(8, 1)
"""


@pytest.mark.parametrize(
    ("snippet", "severity"),
    [
        ("F.binary_cross_entropy_with_logits(y, net(x))", "warning"),
        ("F.binary_cross_entropy_with_logits(input=y, target=net(x))", "warning"),
        ("nn.BCEWithLogitsLoss()(target=net(x), input=y)", "warning"),
        ("F.binary_cross_entropy_with_logits(y.long(), net(x))", "error"),
        ("F.nll_loss(torch.rand(8, 1), net(x).log_softmax(1))", "error"),
        ("F.soft_margin_loss(y, net(x))", "error"),
        ("F.huber_loss(y.long(), net(x))", "error"),
        ("F.poisson_nll_loss(y.long(), net(x))", "warning"),
        ("with torch.no_grad():\n    F.binary_cross_entropy_with_logits(y, net(x))", "warning"),
        ("F.kl_div(torch.softmax(torch.randn(8, 4), 1), F.log_softmax(nn.Linear(3, 4)(x), 1))", "warning"),
        ("F.mse_loss(y, net(x))", "information"),
        ("F.l1_loss(target=net(x), input=y)", "information"),
        ("F.smooth_l1_loss(x, net(x))", "information"),
    ],
)
def test_found(snippet: str, severity: str) -> None:
    assert [found for found, _ in reported("GRD401", MODEL + snippet)] == [severity]


@pytest.mark.parametrize(
    "snippet",
    [
        "F.binary_cross_entropy_with_logits(net(x), y)",
        "F.mse_loss(net(x), x)",
        "F.mse_loss(net(x), net(2 * x))",
        "F.kl_div(torch.randn(8, 4).log_softmax(1), F.softmax(nn.Linear(3, 4)(x), 1))",
        "F.kl_div(torch.randn(8, 4).log_softmax(1), F.log_softmax(nn.Linear(3, 4)(x), 1), log_target=True)",
        "teacher = nn.Linear(3, 1)\nF.binary_cross_entropy_with_logits(teacher(x).detach(), net(x).sigmoid())",
        "F.triplet_margin_loss(x, net(x), net(x))",
        "F.margin_ranking_loss(x[:, :1], net(x), y)",
        "F.cosine_embedding_loss(x, net(x), y)",
        "F.binary_cross_entropy_with_logits(torch.load('logits.pt'), net(x))",
        "def loss(a, b):\n    return F.binary_cross_entropy(a, b)",
        "def loss(a, b):\n    return F.binary_cross_entropy(a, torch.sigmoid(b))",
    ],
)
def test_silent(snippet: str) -> None:
    assert reported("GRD401", MODEL + snippet) == []


TRAIN = """
def train(model, loader, criterion=nn.CrossEntropyLoss()):
    optimizer = torch.optim.Adam(model.parameters())
    for images, labels in loader:
        images, labels = images.cuda(), labels.cuda()
        loss = criterion({arguments})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def test_the_loader_and_the_model_may_be_arguments() -> None:
    assert reported("GRD401", TRAIN.format(arguments="labels, model(images)")) == [
        ("warning", "criterion(labels, model(images))")
    ]
    assert reported("GRD401", TRAIN.format(arguments="model(images), labels")) == []


def test_a_name_alone_is_information() -> None:
    snippet = "def loss(outputs, labels):\n    return F.cross_entropy(labels, outputs)"
    assert reported("GRD401", snippet) == [("information", "F.cross_entropy(labels, outputs)")]
    assert reported("GRD401", snippet.replace("labels, outputs)", "outputs, labels)")) == []
    assert reported("GRD401", snippet.replace("cross_entropy", "mse_loss")) == []


HELPER = MODEL + "def loss(prediction, wanted):\n    return F.binary_cross_entropy_with_logits(prediction, wanted)\n"


def test_the_caller_is_blamed_where_the_helper_is_right() -> None:
    assert reported("GRD401", HELPER + "loss(y, net(x))") == [("warning", "loss(y, net(x))")]
    assert reported("GRD401", HELPER + "loss(net(x), y)\nloss(wanted=net(x), prediction=y)") == [
        ("warning", "loss(wanted=net(x), prediction=y)")
    ]


def test_the_helper_is_blamed_where_it_swaps() -> None:
    helper = HELPER.replace("(prediction, wanted)\n", "(wanted, prediction)\n")
    assert reported("GRD401", helper + "loss(net(x), y)") == [
        ("warning", "F.binary_cross_entropy_with_logits(wanted, prediction)")
    ]


LOSSES = "from torch import nn\n\n\ndef build_criterion():\n    return nn.BCEWithLogitsLoss()\n"
USE = """
import torch
from losses import build_criterion

net = torch.nn.Linear(3, 1)
criterion = build_criterion()
x, y = torch.randn(8, 3), torch.ones(8, 1)
loss = criterion(y, net(x))
loss = criterion(net(x), y)
"""


def test_the_criterion_may_come_from_another_file(tmp_path: Path) -> None:
    (tmp_path / "losses.py").write_text(LOSSES)
    path = str(tmp_path / "train.py")
    resolver = Resolver(tmp_path, timeout=600.0, cache=tmp_path / "cache", stubs_first=True)
    try:
        session = Session(tmp_path, resolver=resolver)
        session.open(path, USE)
        for _ in range(3):
            questions = session.facts(path).questions
            if not questions or not resolver.resolve_now(questions, path):
                break
            session.forget(path)
        found = [finding for finding in session.findings(path) if finding.code == "GRD401"]
    finally:
        resolver.close()
    assert [(finding.severity.value, finding.span.line) for finding in found] == [("warning", 8)]
    fix = found[0].fixes[0]
    assert fix.safety.value == "safe"
    assert fix.build()
