"""What differs between versions of PyTorch, as far as a user of autograd sees it.

The rest of this package speaks of `NEWEST`. Where an older version does otherwise, and a rule or a model cares, the
difference is a `Change` here, and they ask `since(target, CHANGE)`. Each was seen by running programs on the versions
before and after it; the source is where PyTorch says so.
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


_PULL = "https://github.com/pytorch/pytorch/pull/"

ZERO_GRAD_TO_NONE = Change(
    (2, 0),
    "`zero_grad()` of optimizers and modules sets gradients to None unless told otherwise; before, to zeros",
    _PULL + "92731",
)
COMPLEX_LOSS_RAISES = Change(
    (2, 1), "`backward()` of a complex number raises; before, it took the real part", _PULL + "92753"
)
FUSED_LSTM = Change(
    (2, 0),
    "LSTM on CPU runs in one kernel, which keeps its output and all weights for backward; before, step by step",
    _PULL + "91158",
)
CHECKPOINT_WARNS = Change(
    (2, 1), "`checkpoint` without `use_reentrant` warns; before, it said nothing", _PULL + "100551"
)
BARE_MODE_DECORATES = Change(
    (2, 1),
    "`no_grad` and `enable_grad` are decorators without parentheses too; before, that raised",
    _PULL + "107086",
)
NAMED_PARAMETERS = Change((2, 6), "optimizers take `named_parameters()`; before, they raised", _PULL + "134107")
DEVICE_AMP_DEPRECATED = Change(
    (2, 4), "`torch.cuda.amp` and `torch.cpu.amp` are deprecated in favour of `torch.amp`", _PULL + "126527"
)
WEIGHT_NORM_DEPRECATED = Change(
    (2, 1),
    "`weight_norm` is deprecated in favour of the one in `torch.nn.utils.parametrizations`, which came then",
    _PULL + "103001",
)
MSE_PROMOTES = Change(
    (2, 12),
    "the backward of `mse_loss` takes a prediction and a target of different types; before, it raised",
    _PULL + "175743",
)

ADDED: dict[str, Version] = {
    "torch.func": (2, 0),
    "torch.vmap": (2, 0),
    "torch.amp.GradScaler": (2, 3),
    "torch.nn.utils.parametrizations.weight_norm": (2, 1),
    "torch.Tensor.register_post_accumulate_grad_hook": (2, 1),
    "torch.autograd.grad(materialize_grads)": (2, 1),
    "torch.utils.checkpoint.checkpoint(context_fn)": (2, 1),
    "torch.utils.checkpoint.checkpoint(determinism_check)": (2, 1),
    "torch.utils.checkpoint.checkpoint(debug)": (2, 1),
}
"""Since when there are modules, functions and `function(argument)`, by full name."""


def since(target: Version, change: Change) -> bool:
    """Does `change` hold in the version `target`?"""
    return target >= change.version


def added(name: str) -> Version | None:
    """The version that came with `name`, such as "torch.func.grad"; None if it is older, or not known here."""
    return next((version for known, version in ADDED.items() if name == known or name.startswith(f"{known}.")), None)


def shown(version: Version) -> str:
    """`2.1` for (2, 1)."""
    return ".".join(map(str, version))
