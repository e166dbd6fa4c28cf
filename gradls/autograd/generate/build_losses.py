"""The table of losses: names and roles by hand, behaviour measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradls.autograd.generate.measure import parameter_names, version

Maker = Callable[[], Tensor]


def scores() -> Tensor:
    return torch.tensor([[0.3, -0.8, 1.2], [0.9, 0.1, -0.4]])


def shares() -> Tensor:
    return scores().softmax(1)


def log_shares() -> Tensor:
    return scores().log_softmax(1)


def labels() -> Tensor:
    return torch.tensor([2, 0])


def bits() -> Tensor:
    return torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])


def signs() -> Tensor:
    return bits() * 2 - 1


def values() -> Tensor:
    return torch.tensor([[0.5, 0.2, 1.1], [0.7, 0.3, 0.4]])


def other_shares() -> Tensor:
    return values().softmax(1)


@dataclass(frozen=True, slots=True)
class Loss:
    """`makers` give typical inputs in the function's order; `roles` name what is predicted and what is true."""

    function: str
    module: str
    makers: tuple[Maker, ...]
    roles: tuple[str, str]
    expects: str = "any"
    target_dtype: str = "any"


def sign_row() -> Tensor:
    return torch.tensor([1.0, -1.0])


def row() -> Tensor:
    return torch.tensor([0.4, 0.9])


def other_row() -> Tensor:
    return torch.tensor([0.6, 0.1])


def ctc_log_shares() -> Tensor:
    return torch.linspace(-1, 1, 24).reshape(4, 2, 3).log_softmax(2)


USUAL = ("input", "target")
PAIR = ("input1", "target")
LOSSES = (
    Loss("l1_loss", "L1Loss", (scores, values), USUAL),
    Loss("mse_loss", "MSELoss", (scores, values), USUAL),
    Loss("smooth_l1_loss", "SmoothL1Loss", (scores, values), USUAL),
    Loss("huber_loss", "HuberLoss", (scores, values), USUAL),
    Loss("cross_entropy", "CrossEntropyLoss", (scores, labels), USUAL, "logits", "int or probabilities"),
    Loss("nll_loss", "NLLLoss", (log_shares, labels), USUAL, "log-probabilities", "int"),
    Loss("binary_cross_entropy", "BCELoss", (shares, bits), USUAL, "probabilities", "float"),
    Loss("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", (scores, bits), USUAL, "logits", "float"),
    Loss("kl_div", "KLDivLoss", (log_shares, other_shares), USUAL, "log-probabilities", "float"),
    Loss("poisson_nll_loss", "PoissonNLLLoss", (scores, values), USUAL),
    Loss("gaussian_nll_loss", "GaussianNLLLoss", (scores, values, values), USUAL),
    Loss("soft_margin_loss", "SoftMarginLoss", (scores, signs), USUAL, "logits"),
    Loss("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", (scores, bits), USUAL, "logits"),
    Loss("multi_margin_loss", "MultiMarginLoss", (scores, labels), USUAL, "any", "int"),
    Loss(
        "multilabel_margin_loss",
        "MultiLabelMarginLoss",
        (scores, lambda: torch.tensor([[2, 0, -1], [1, -1, 0]])),
        USUAL,
        "any",
        "int",
    ),
    Loss("hinge_embedding_loss", "HingeEmbeddingLoss", (scores, signs), USUAL),
    Loss("cosine_embedding_loss", "CosineEmbeddingLoss", (scores, values, sign_row), PAIR),
    Loss("margin_ranking_loss", "MarginRankingLoss", (row, other_row, sign_row), PAIR),
    Loss("triplet_margin_loss", "TripletMarginLoss", (scores, values, signs), ("anchor", "")),
    Loss("triplet_margin_with_distance_loss", "TripletMarginWithDistanceLoss", (scores, values, signs), ("anchor", "")),
    Loss(
        "ctc_loss",
        "CTCLoss",
        (
            ctc_log_shares,
            lambda: torch.tensor([[1, 2], [2, 1]]),
            lambda: torch.tensor([4, 4]),
            lambda: torch.tensor([2, 2]),
        ),
        ("log_probs", "targets"),
        "log-probabilities",
        "int",
    ),
    Loss(
        "linear_cross_entropy",
        "LinearCrossEntropyLoss",
        (scores, lambda: torch.linspace(-1, 1, 12).reshape(4, 3), labels),
        USUAL,
        "any",
        "int or probabilities",
    ),
)


def outcome(function: Callable[..., Tensor], arguments: list[Tensor], prediction: int) -> tuple[float, Tensor] | None:
    """The value and the gradient of the prediction; None if something raises."""
    leaf = arguments[prediction].clone().requires_grad_()
    arguments = [leaf if index == prediction else argument for index, argument in enumerate(arguments)]
    try:
        value = function(*arguments)
        (gradient,) = torch.autograd.grad(value, leaf)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None
    return value.item(), gradient


def swapped(loss: Loss, names: list[str]) -> tuple[str, bool]:
    """What swapping prediction and target does, and whether the loss is symmetric in its first two arguments."""
    function = getattr(F, loss.function)
    arguments = [make() for make in loss.makers]
    first = names.index(loss.roles[0])
    plain = outcome(function, arguments, first)
    assert plain is not None, loss.function

    def exchange(other: int) -> str:
        swap = list(arguments)
        swap[first], swap[other] = swap[other], swap[first]
        result = outcome(function, swap, other)
        if result is None:
            return "raises"
        same = abs(result[0] - plain[0]) < 1e-6 and torch.allclose(result[1], plain[1], atol=1e-6)
        return "same value" if same else "wrong value"

    target = loss.roles[1]
    word = exchange(names.index(target)) if target else ""
    symmetric = word == "same value" and names.index(target) == 1
    return word, symmetric


def accepts(loss: Loss, names: list[str], dtype: torch.dtype) -> bool:
    """Whether forward and backward work with a target of this dtype."""
    arguments = [make() for make in loss.makers]
    place = names.index(loss.roles[1])
    arguments[place] = arguments[place].to(dtype)
    return outcome(getattr(F, loss.function), arguments, names.index(loss.roles[0])) is not None


def target_dtype(loss: Loss, names: list[str]) -> str:
    """The declared word, checked against what PyTorch takes; "int or probabilities" is a matter of shape too."""
    if not loss.roles[1] or loss.target_dtype == "int or probabilities":
        return loss.target_dtype
    whole, floating = accepts(loss, names, torch.long), accepts(loss, names, torch.float32)
    measured = {(True, True): "any", (True, False): "int", (False, True): "float"}[whole, floating]
    return loss.target_dtype if measured == "any" and loss.target_dtype == "int" else measured


def refused(loss: Loss, names: list[str]) -> str:
    """The arguments that must not require grad: "weight", or "weight:int" if that is so for class numbers only."""
    function = getattr(F, loss.function)
    given = [make() for make in loss.makers]
    first = given[names.index(loss.roles[0])]
    # The classes as probabilities.
    soft = [other_shares() if name == loss.roles[1] else value for name, value in zip(names, given, strict=True)]
    found = []
    for name in ("weight", "pos_weight"):
        if name not in parameter_names(function):
            continue
        # One weight for each class, or one for each element.
        weights = [torch.ones(shape).requires_grad_() for shape in (first.shape[-1:], first.shape)]
        if not any(_refuses(function, given, {name: weight}) for weight in weights):
            continue
        open_ = loss.target_dtype == "int or probabilities" and not _refuses(function, soft, {name: weights[0]})
        found.append(f"{name}:int" if open_ else name)
    if loss.roles[1] and given[names.index(loss.roles[1])].is_floating_point():
        place = names.index(loss.roles[1])
        changed = [value.clone().requires_grad_() if index == place else value for index, value in enumerate(given)]
        if _refuses(function, changed, {}):
            found.append(loss.roles[1])
    return " ".join(found)


def _refuses(function: Callable[..., Tensor], arguments: list[Tensor], keywords: dict[str, Tensor]) -> bool:
    try:
        function(*arguments, **keywords)
    except (RuntimeError, ValueError) as error:
        return "cannot have requires_grad True" in str(error)
    return False


def build() -> dict[str, Any]:
    warnings.simplefilter("ignore")
    records: dict[str, Any] = {}
    spellings: dict[str, str] = {}
    for loss in LOSSES:
        names = parameter_names(getattr(F, loss.function))[: len(loss.makers)]
        word, symmetric = swapped(loss, names)
        records[loss.function] = {
            "function": f"torch.nn.functional.{loss.function}",
            "module": f"torch.nn.{loss.module}",
            "inputs": " ".join(names),
            "module_inputs": " ".join(parameter_names(getattr(nn, loss.module).forward)),
            "prediction": loss.roles[0],
            "target": loss.roles[1],
            "symmetric": symmetric,
            "expects": loss.expects,
            "target_dtype": target_dtype(loss, names),
            "swapped": word,
            "refuses": refused(loss, names),
        }
        spellings[f"torch.nn.functional.{loss.function}"] = loss.function
        spellings[f"torch.nn.{loss.module}"] = loss.function
        for prefix in ("torch", "torch.special"):
            alike = getattr(torch, loss.function, None) if prefix == "torch" else None
            if alike is not None:
                spellings[f"{prefix}.{loss.function}"] = loss.function
    spellings["torch.nn.NLLLoss2d"] = "nll_loss"
    return {"torch": version(), "losses": records, "spellings": spellings}
