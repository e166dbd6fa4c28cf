"""What differs between versions of PyTorch, as far as a user of autograd sees it.

The rest of this package speaks of `NEWEST`. Where an older version does otherwise, and a rule or a model cares, the
difference is a `Change` here, and they ask `since(target, CHANGE)`. Every change was seen by running programs on the
versions before and after it; the source is where PyTorch says so.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Version: TypeAlias = tuple[int, int]
"""Major and minor version: (2, 1)."""

OLDEST: Version = (1, 13)
NEWEST: Version = (2, 13)


class Change(NamedTuple):
    """From `version` on it is as `what` says; before, it was otherwise."""

    version: Version
    what: str
    source: str


ZERO_GRAD_TO_NONE = Change(
    (2, 0),
    "`zero_grad()` of optimizers and modules sets gradients to None unless told otherwise; before, to zeros",
    "https://github.com/pytorch/pytorch/pull/92731",
)


def since(target: Version, change: Change) -> bool:
    """Does `change` hold in the version `target`?"""
    return target >= change.version


def shown(version: Version) -> str:
    """`2.1` for (2, 1)."""
    return ".".join(map(str, version))
