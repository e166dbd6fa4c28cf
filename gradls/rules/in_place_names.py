"""What stands for in-place methods that have no out-of-place form of the same name."""

from __future__ import annotations

ONLY_IN_PLACE = frozenset((
    "apply_", "bernoulli_", "cauchy_", "copy_", "exponential_", "fill_", "fill_diagonal_", "geometric_",
    "log_normal_", "map2_", "map_", "normal_", "random_", "requires_grad_", "resize_", "resize_as_",
    "resize_as_sparse_", "set_", "share_memory_", "sparse_resize_", "sparse_resize_and_clear_", "uniform_", "zero_",
    "embedding_renorm_",
))  # fmt: skip
"""Methods and functions `name_` for which `name` is missing or is something else."""

INSTEAD = {
    "zero_": "{torch}.zeros_like({tensor})",
    "fill_": "{torch}.full_like({tensor}, {value})",
    "fill_diagonal_": (
        "{tensor}.masked_fill({torch}.eye(*{tensor}.shape, dtype={torch}.bool, device={tensor}.device), {value})"
    ),
}
"""What makes a new tensor with the same content as some of these leave behind."""


def has_other_form(name: str) -> bool:
    """Is there a function or method that does the same as the in-place one of this name, and gives a new tensor?"""
    return name in INSTEAD or (name.endswith("_") and not name.endswith("__") and name not in ONLY_IN_PLACE)
