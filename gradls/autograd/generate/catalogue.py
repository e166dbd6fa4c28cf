"""Which operations there are: every public function of torch and its function modules, and every method of Tensor."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F

from gradls.autograd.generate.samples import DUNDERS
from gradls.autograd.generate.signatures import Signature, native_signatures, python_signature


@dataclass(slots=True)
class Entry:
    """A spelling, what it calls, and the ways to call it in the order in which they are tried."""

    spelling: str
    call: Callable[..., Any]
    signatures: list[Signature]

    @property
    def is_python(self) -> bool:
        return not self.signatures[0].native


PLACES: tuple[tuple[str, Any], ...] = (
    ("torch", torch),
    ("torch.nn.functional", F),
    ("torch.linalg", torch.linalg),
    ("torch.special", torch.special),
    ("torch.fft", torch.fft),
    ("torch.Tensor", torch.Tensor),
)

OTHER_BACKENDS = ("cudnn_", "miopen_", "mkldnn_", "fbgemm_", "quantized_", "sym_", "to_mkldnn")
"""Beginnings of names that serve other devices or PyTorch's own machinery."""

_NO_TENSORS = """
    Optional assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function
    has_torch_function_unary has_torch_function_variadic are_deterministic_algorithms_enabled classproperty
    compile compiled_with_cxx11_abi cond export fork get_default_device get_deterministic_debug_mode
    get_device_module get_file_path get_float32_matmul_precision get_rng_state initial_seed load lstsq
    manual_seed matrix_rank prepare_multiprocessing_environment
    profiler_allow_cudagraph_cupti_lazy_reinit_cuda12 save seed set_default_device set_default_dtype
    set_default_tensor_type set_deterministic_debug_mode set_float32_matmul_precision set_printoptions
    set_rng_state set_warn_always solve symeig eig typename use_deterministic_algorithms vmap wait while_loop
    is_deterministic_algorithms_warn_only_enabled is_storage is_warn_always_enabled backward register_hook
    register_post_accumulate_grad_hook reinforce module_load storage storage_type is_shared dim_order resize
    resize_as to_padded_tensor index
"""
NO_TENSORS = frozenset(_NO_TENSORS.split())
"""Python functions that take or return no tensors, which are gone, or which the flow engine knows by itself."""

DISPATCHED = {
    **{
        f"torch.nn.functional.{name}": getattr(F, f"_{name}")
        for name in (
            "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
            "adaptive_max_pool3d", "fractional_max_pool2d", "fractional_max_pool3d",
        )
    },
    "torch.unique": torch.functional._unique_impl,
    "torch.unique_consecutive": torch.functional._unique_consecutive_impl,
    "torch.lu": torch.functional._lu_impl,
}  # fmt: skip
"""Functions that hide their signature, and one that has it."""


def catalogue() -> dict[str, Entry]:
    """Every operation but those that are written down by hand."""
    found: dict[str, Entry] = {}
    natives = native_signatures()
    by_identity: dict[int, list[Signature]] = {}
    for name in dir(torch._C._nn):
        if f"torch._C._nn.{name}" in natives:
            by_identity[id(getattr(torch._C._nn, name))] = natives[f"torch._C._nn.{name}"]
    for prefix, place in PLACES:
        for name in dir(place):
            if is_public(name, prefix):
                member = inspect.getattr_static(place, name) if prefix == "torch.Tensor" else getattr(place, name)
                signatures = signatures_of(f"{prefix}.{name}", member, natives, by_identity)
                if signatures:
                    found[f"{prefix}.{name}"] = Entry(f"{prefix}.{name}", getattr(place, name), signatures)
                    by_identity.setdefault(id(member), signatures)
    return found | operators(found)


def is_public(name: str, prefix: str) -> bool:
    if name.startswith(("_", *OTHER_BACKENDS)):
        return False
    return prefix in ("torch.linalg", "torch.special", "torch.fft") or name not in NO_TENSORS


def signatures_of(
    spelling: str, member: Any, natives: dict[str, list[Signature]], by_identity: dict[int, list[Signature]]
) -> list[Signature]:
    """The ways to call a member of torch; none if it is no operation."""
    prefix = spelling.rpartition(".")[0]
    if isinstance(member, (type, types.ModuleType)) or not callable(member):
        return []
    if spelling == "torch.einsum":
        return [Signature(("equation", "operands"), ("str", "tensors="), {}, {}, 2, "operands")]
    if spelling in DISPATCHED:
        made = python_signature(DISPATCHED[spelling])
        return [made] if made else []
    if inspect.isfunction(member):
        made = python_signature(member, method=prefix == "torch.Tensor")
        if made is None or (prefix == "torch" and not _is_operation(member)):
            return []
        return [made]
    return natives.get(spelling) or by_identity.get(id(member)) or []


def _is_operation(function: Callable[..., Any]) -> bool:
    return function.__module__ in ("torch.functional", "torch._lowrank", "torch._lobpcg", "torch.nn.functional")


def operators(found: dict[str, Entry]) -> dict[str, Entry]:
    """Python's operators on tensors."""
    made: dict[str, Entry] = {}

    def add(operator: str, method: str, fallback: str = "") -> None:
        spelling = f"torch.Tensor.__{operator}__"
        like = found.get(f"torch.Tensor.{method}") or found.get(f"torch.Tensor.{fallback}")
        call = getattr(torch.Tensor, f"__{operator}__", None)
        if like is not None and call is not None:
            made[spelling] = Entry(spelling, call, [replace(s, params=s.params) for s in like.signatures])

    for operator, method in DUNDERS.items():
        add(operator, method)
        if operator not in ("neg", "pos", "abs", "invert", "eq", "ne", "lt", "le", "gt", "ge"):
            add(f"i{operator}", f"{method}_", method)
        if operator in ("add", "mul", "and", "or", "xor"):
            add(f"r{operator}", method)
    for operator in ("rsub", "rtruediv", "rdiv", "rfloordiv", "rmod", "rpow", "rmatmul", "rlshift", "rrshift"):
        call = getattr(torch.Tensor, f"__{operator}__")
        signature = Signature(("input", "other"), ("tensor", "tensor"), {}, {}, 2)
        made[f"torch.Tensor.__{operator}__"] = Entry(f"torch.Tensor.__{operator}__", call, [signature])
    getitem = Signature(("input", "index"), ("tensor", "any"), {}, {}, 2)
    made["torch.Tensor.__getitem__"] = Entry("torch.Tensor.__getitem__", torch.Tensor.__getitem__, [getitem])
    setitem = Signature(("input", "index", "value"), ("tensor", "any", "any"), {}, {}, 3)
    made["torch.Tensor.__setitem__"] = Entry("torch.Tensor.__setitem__", torch.Tensor.__setitem__, [setitem])
    return made
