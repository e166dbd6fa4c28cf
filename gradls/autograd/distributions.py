"""The classes of torch.distributions: whose samples carry a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from gradls.autograd.data import table


@dataclass(frozen=True, slots=True)
class DistributionSpec:
    """A distribution. `sample()` never carries a gradient. `has_rsample`: "yes"; "no", `rsample()` raises; "base", it
    depends on the distributions that it is made of. `init`: constructor parameters in order. `discrete`: its samples
    are counts, labels or 0 and 1."""

    name: str
    init: tuple[str, ...]
    has_rsample: str
    discrete: bool


@cache
def find_distribution(name: str) -> DistributionSpec | None:
    """The distribution with this canonical name ("torch.distributions.Normal"); None if there is none."""
    record = table("distributions")["distributions"].get(name)
    if record is None:
        return None
    init = tuple(record["init"].split())
    return DistributionSpec(name, init, record["has_rsample"], record.get("discrete", False))


DISTRIBUTIONS: tuple[str, ...] = tuple(table("distributions")["distributions"])
"""The canonical names of all."""
