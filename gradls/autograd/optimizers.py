"""The optimizers and learning rate schedulers of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from gradls.autograd.data import table


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """A class of torch.optim.

    `init` are its constructor parameters in order ("params" first), `defaults` their literal default values.
    `needs_closure`: `step()` without a closure raises. `closure_calls`: how often one step calls the closure, "once" or
    "many". `sparse`: what a sparse gradient does in `step()`, "works", "raises" or "needed" (a dense one raises).
    `groups`: takes more than one parameter group. `dimensions`: the number of dimensions that a parameter must have, 0
    for any.
    """

    name: str
    init: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict, hash=False)
    needs_closure: bool = False
    closure_calls: str = "once"
    sparse: str = "raises"
    groups: bool = True
    dimensions: int = 0


@dataclass(frozen=True, slots=True)
class SchedulerSpec:
    """A class of torch.optim.lr_scheduler. `step`: the parameters of its step. `needs_metric`: step without one raises.
    `wraps`: it takes schedulers and steps them."""

    name: str
    init: tuple[str, ...] = ()
    step: tuple[str, ...] = ()
    needs_metric: bool = False
    wraps: bool = False


@cache
def find_optimizer(name: str) -> OptimizerSpec | None:
    """The optimizer class with this canonical name ("torch.optim.Adam"); None if there is none."""
    record = table("optimizers")["optimizers"].get(name)
    if record is None:
        return None
    words = {key: value for key, value in record.items() if key not in ("init", "defaults")}
    init = tuple(record["init"].split())
    return OptimizerSpec(name=name, init=init, defaults=MappingProxyType(record.get("defaults", {})), **words)


@cache
def find_scheduler(name: str) -> SchedulerSpec | None:
    """The scheduler class with this canonical name ("torch.optim.lr_scheduler.StepLR"); None if there is none."""
    record = table("optimizers")["schedulers"].get(name)
    if record is None:
        return None
    return SchedulerSpec(
        name=name,
        init=tuple(record["init"].split()),
        step=tuple(record["step"].split()),
        needs_metric=record.get("needs_metric", False),
        wraps=record.get("wraps", False),
    )


def is_scheduler(name: str) -> bool:
    """Whether this canonical name is that of a learning rate scheduler."""
    return name in table("optimizers")["schedulers"]
