"""The table of aliases: every other name of a public class, function or module of PyTorch."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import types
import warnings
from typing import Any

import torch

_PUBLIC = """
    torch.amp torch torch.nn torch.nn.functional torch.nn.init torch.nn.utils torch.nn.utils.rnn
    torch.nn.utils.parametrize torch.nn.utils.parametrizations torch.nn.utils.prune torch.nn.utils.stateless
    torch.nn.parallel torch.nn.attention torch.nn.attention.flex_attention torch.optim torch.optim.lr_scheduler
    torch.optim.swa_utils torch.autograd torch.autograd.functional torch.autograd.forward_ad
    torch.autograd.graph torch.autograd.profiler torch.distributions torch.distributions.constraints
    torch.distributions.transforms torch.distributions.kl torch.linalg torch.special torch.fft torch.func
    torch.cuda torch.cuda.amp torch.cpu torch.cpu.amp torch.utils torch.utils.checkpoint torch.utils.data
    torch.utils.data.distributed torch.utils.hooks torch.utils.dlpack torch.sparse torch.masked torch.nested
    torch.signal.windows torch.jit torch.compiler torch.distributed torch.distributed.optim
    torch.distributed.fsdp torch.distributed.algorithms.join torch.random torch.library torch.hub torch.export
    torch.profiler torch.testing torch.overrides torch.backends.cudnn torch.mps torch.xpu torch.futures
    torch.multiprocessing torch.types torch.ao.quantization
"""
PUBLIC = tuple(_PUBLIC.split())
"""Modules whose names are public, the better name first where one thing has several."""

_SEARCHED = """
    torch.nn torch.optim torch.autograd torch.distributions torch.amp torch.cuda.amp torch.cpu.amp
    torch.utils.data torch.utils.checkpoint torch.func torch._functorch.apis torch._functorch.eager_transforms
    torch._functorch.functional_call torch._functorch.vmap torch.functional torch._tensor torch.random
    torch.serialization torch._jit_internal torch.distributed.fsdp torch.signal torch.sparse torch.masked
    torch._linalg_utils torch._lowrank torch._lobpcg torch.storage torch._tensor_str torch.utils.hooks torch.jit
    torch.overrides torch._utils
"""
SEARCHED = tuple(_SEARCHED.split())
"""Packages in whose modules other names of the same things are looked for."""


_FORGOTTEN = {"torch": ("set_grad_enabled",)}
"""Names that their module offers and documents, and that its `__all__` does not have."""


def is_named(value: Any) -> bool:
    return isinstance(value, type) or callable(value) or isinstance(value, types.ModuleType)


def public_names() -> dict[int, str]:
    """From the identity of every public object to its best name."""
    names: dict[int, str] = {}
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        exported = getattr(module, "__all__", None)
        for name in (*(exported or dir(module)), *_FORGOTTEN.get(module_name, ())):
            value = getattr(module, name, None)
            if name.startswith("_") or not is_named(value) or not str(_home(value)).startswith("torch"):
                continue
            if isinstance(value, types.ModuleType):
                names.setdefault(id(value), value.__name__)
            elif _belongs(value, module_name, exported):
                names.setdefault(id(value), f"{module_name}.{name}")
    return names


def _home(value: Any) -> str:
    return value.__name__ if isinstance(value, types.ModuleType) else (getattr(value, "__module__", None) or "torch")


def _belongs(value: Any, module_name: str, exported: Any) -> bool:
    """Whether a module without `__all__` offers `value` rather than only using it."""
    if exported:
        return True
    home = _home(value)
    return home.startswith((module_name, "torch._")) or module_name in ("torch", "torch.nn")


def modules() -> list[types.ModuleType]:
    """The modules of the searched packages, as far as they can be imported."""
    for name in SEARCHED:
        try:
            package = importlib.import_module(name)
        except ImportError:
            continue
        if (
            "." in name
            and hasattr(package, "__path__")
            and name not in ("torch.nn", "torch.jit", "torch.sparse", "torch._functorch")
        ):
            _import_all(package)
    _import_all(importlib.import_module("torch.nn.modules"))
    _import_all(importlib.import_module("torch.nn.utils"))
    found = [module for name, module in sorted(sys.modules.items()) if _searched(name) and module is not None]
    return [module for module in found if isinstance(module, types.ModuleType)]


def _import_all(package: types.ModuleType) -> None:
    for item in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if "test" in item.name or "._" in item.name.removeprefix("torch._"):
            continue
        try:
            importlib.import_module(item.name)
        except Exception:  # an optional dependency is missing
            continue


def _searched(name: str) -> bool:
    return name == "torch" or any(name == root or name.startswith(root + ".") for root in SEARCHED)


def build() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = public_names()
        aliases: dict[str, str] = {}
        for module in modules():
            for attribute, value in list(vars(module).items()):
                public = names.get(id(value))
                if public is None or isinstance(value, types.ModuleType) or attribute.startswith("__"):
                    continue
                spelling = f"{module.__name__}.{attribute}"
                home = f"{_home(value)}.{getattr(value, '__qualname__', attribute)}"
                if spelling != public and (
                    spelling == home or _reexported(module, attribute, value) or _written_in(module, value)
                ):
                    aliases[spelling] = public
                if home != public and not inspect.isbuiltin(value):
                    aliases.setdefault(home, public)
    aliases |= {
        "torch._C.TensorBase": "torch.Tensor",
        "torch._C._TensorBase": "torch.Tensor",
        "torch.autograd.variable.Variable": "torch.autograd.Variable",
        "torch._tensor.Tensor": "torch.Tensor",
    }
    aliases = {alias: public for alias, public in aliases.items() if not _redundant(alias, public, aliases)}
    return {"torch": torch.__version__.partition("+")[0], "aliases": dict(sorted(aliases.items()))}


def _reexported(module: types.ModuleType, attribute: str, value: Any) -> bool:
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return attribute in exported
    return hasattr(module, "__path__") and _home(value).startswith(module.__name__)


def _written_in(module: types.ModuleType, value: Any) -> bool:
    """Whether this is the module where a function stands that claims to belong to another."""
    code = getattr(inspect.unwrap(value), "__code__", None)
    return code is not None and code.co_filename == getattr(module, "__file__", None)


def _redundant(alias: str, public: str, aliases: dict[str, str]) -> bool:
    """Whether the alias of a prefix already says this."""
    head, _, last = alias.rpartition(".")
    return aliases.get(head, "") + "." + last == public
