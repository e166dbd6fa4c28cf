"""The tables of optimizers, schedulers and distributions."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import torch
from torch import Tensor, distributions, nn, optim
from torch.optim import lr_scheduler

from gradls.autograd.generate.measure import literal_defaults, parameter_names, version


def _matrix(sparse: bool) -> nn.Parameter:
    parameter = nn.Parameter(torch.ones(3, 2))
    gradient = torch.full((3, 2), 0.5)
    parameter.grad = gradient.to_sparse() if sparse else gradient
    return parameter


def _works(cls: Any, sparse: bool, closure: Any = None) -> bool:
    parameter = _matrix(sparse)
    try:
        optimizer = cls([parameter], lr=0.1)
        optimizer.step(closure) if closure is not None else optimizer.step()
    except (RuntimeError, ValueError, TypeError):
        return False
    return True


def _closure_calls(cls: Any) -> str:
    parameter = nn.Parameter(torch.full((3, 2), 2.0))
    optimizer = cls([parameter], lr=0.1)
    calls = []

    def closure() -> Tensor:
        calls.append(1)
        optimizer.zero_grad()
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return "once" if len(calls) == 1 else "many"


def _groups(cls: Any) -> bool:
    try:
        cls([{"params": [_matrix(False)]}, {"params": [_matrix(False)], "lr": 0.2}], lr=0.1)
    except ValueError:
        return False
    return True


def _dimensions(cls: Any) -> int:
    """The one number of dimensions that parameters may have, 0 if any."""
    possible = []
    for dimensions in (1, 2, 3):
        try:
            cls([nn.Parameter(torch.ones((2,) * dimensions))], lr=0.1)
            possible.append(dimensions)
        except ValueError:
            continue
    return possible[0] if len(possible) == 1 else 0


def optimizer_record(cls: Any) -> dict[str, Any]:
    record: dict[str, Any] = {"init": " ".join(parameter_names(cls.__init__)), "defaults": literal_defaults(cls)}
    calls = _closure_calls(cls)
    dense = _works(cls, False)
    if not dense and _works(cls, False, lambda: torch.ones(())):
        record["needs_closure"] = True
    if calls != "once":
        record["closure_calls"] = calls
    if _works(cls, True):
        record["sparse"] = "works" if dense else "needed"
    if not _groups(cls):
        record["groups"] = False
    if dimensions := _dimensions(cls):
        record["dimensions"] = dimensions
    return record


def optimizers() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(vars(optim)):
        cls = getattr(optim, name)
        if not isinstance(cls, type) or not issubclass(cls, optim.Optimizer) or cls is optim.Optimizer:
            continue
        # SparseAdam takes no dense gradient, which the experiment with a closure needs.
        if cls is optim.SparseAdam:
            init = " ".join(parameter_names(cls.__init__))
            works = {(True, False): "needed", (True, True): "works"}[_works(cls, True), _works(cls, False)]
            found[f"torch.optim.{name}"] = {"init": init, "defaults": literal_defaults(cls), "sparse": works}
        else:
            found[f"torch.optim.{name}"] = optimizer_record(cls)
    return found


def schedulers() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(vars(lr_scheduler)):
        cls = getattr(lr_scheduler, name)
        if name.startswith("_") or not isinstance(cls, type) or not issubclass(cls, lr_scheduler.LRScheduler):
            continue
        init = parameter_names(cls.__init__)
        step = inspect.signature(cls.step).parameters
        record: dict[str, Any] = {"init": " ".join(init), "step": " ".join(parameter_names(cls.step))}
        if any(item.default is item.empty and key != "self" for key, item in step.items()):
            record["needs_metric"] = True
        if "schedulers" in init:
            record["wraps"] = True
        found[f"torch.optim.lr_scheduler.{name}"] = record
    swa = optim.swa_utils.SWALR
    record = {"init": " ".join(parameter_names(swa.__init__)), "step": " ".join(parameter_names(swa.step))}
    found["torch.optim.swa_utils.SWALR"] = record
    return found


def build() -> dict[str, Any]:
    warnings.simplefilter("ignore")
    return {"torch": version(), "optimizers": optimizers(), "schedulers": schedulers()}


DISCRETE = (
    "Bernoulli", "Binomial", "Categorical", "Geometric", "Multinomial", "NegativeBinomial", "OneHotCategorical",
    "OneHotCategoricalStraightThrough", "Poisson",
)  # fmt: skip


def build_distributions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(distributions.__all__):
        cls = getattr(distributions, name)
        if not isinstance(cls, type) or not issubclass(cls, distributions.Distribution):
            continue
        # A property asks the base distribution, which these four make themselves.
        own = name in ("Gumbel", "Pareto", "Weibull", "LogNormal")
        word = "base" if isinstance(cls.has_rsample, property) and not own else "yes" if cls.has_rsample else "no"
        record: dict[str, Any] = {"init": " ".join(parameter_names(cls.__init__)), "has_rsample": word}
        if name in DISCRETE:
            record["discrete"] = True
        found[f"torch.distributions.{name}"] = record
    return {"torch": version(), "distributions": found}
