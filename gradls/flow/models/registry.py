"""Where models are registered and found.

A model of a function takes (run, path, call); of a method (run, receiver, call); of an attribute (run, value, node); of
the assignment to an attribute (run, receiver, value, target).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from gradls.flow.values import Class, Host, Instance, Lib, Mapping, Sequence, Tensor, Unknown, Value

Model = Callable[..., Any]

FUNCTIONS: dict[str, Model] = {}
METHODS: dict[tuple[str, str], Model] = {}
ATTRIBUTES: dict[tuple[str, str], Model] = {}
SETTERS: dict[tuple[str, str], Model] = {}

MODULES = (
    "accelerators",
    "attributes",
    "autograd_functions",
    "builtins",
    "containers",
    "deepspeed",
    "derivatives",
    "distributions",
    "einops",
    "factories",
    "foreach",
    "forward_ad",
    "function_transforms",
    "functional",
    "grad_modes",
    "ignite",
    "iteration",
    "lightning",
    "loaders",
    "losses",
    "module_containers",
    "module_forward",
    "module_hooks",
    "module_methods",
    "numpy",
    "optimizers",
    "outside",
    "parallel",
    "progress",
    "removed",
    "strings",
    "tensors",
    "threads",
    "training",
    "unknowns",
    "utilities",
)


PARTLY_MODELLED = frozenset(
    ("accelerate", "apex", "deepspeed", "ignite", "lightning", "lightning_fabric", "pytorch_lightning", "tqdm")
)
"""Top-level packages of which a few functions and classes have models: the others are unknown code."""


def function(*paths: str) -> Callable[[Model], Model]:
    """Register a model of functions or classes by their canonical full names."""

    def register(model: Model) -> Model:
        for path in paths:
            FUNCTIONS[path] = model
        return model

    return register


def method(cls: str, *names: str) -> Callable[[Model], Model]:
    """Register a model of methods of a class: a full name, or list, tuple, set, iterator, sequence, dict, str, host."""

    def register(model: Model) -> Model:
        for name in names:
            METHODS[cls, name] = model
        return model

    return register


def attribute(cls: str, *names: str) -> Callable[[Model], Model]:
    """Register a model of attributes of a class; `unknown` for those of unknown values."""

    def register(model: Model) -> Model:
        for name in names:
            ATTRIBUTES[cls, name] = model
        return model

    return register


def setter(cls: str, *names: str) -> Callable[[Model], Model]:
    """Register a model of the assignment to attributes of a class."""

    def register(model: Model) -> Model:
        for name in names:
            SETTERS[cls, name] = model
        return model

    return register


@cache
def load() -> None:
    """Import every module with models."""
    for name in MODULES:
        importlib.import_module(f"gradls.flow.models.{name}")


def is_partly_modelled(path: str) -> bool:
    """Is this a name of a package of which a few names have models?"""
    return path.partition(".")[0] in PARTLY_MODELLED


@lru_cache(1 << 12)
def is_beside_models(path: str) -> bool:
    """Is this a name of a package of which only others have models?"""
    if not is_partly_modelled(path):
        return False
    load()
    known = (*FUNCTIONS, *(cls for cls, _ in METHODS))
    return not hierarchy.is_module_path(path) and not any(f"{one}.".startswith(f"{path}.") for one in known)


def find_function(path: str) -> Model | None:
    load()
    return FUNCTIONS.get(path)


@lru_cache(1 << 14)
def find_method_of_library(cls: str, name: str) -> Model | None:
    """The model of a method of a library class, or of the base class of its family."""
    return METHODS.get((cls, name)) or METHODS.get((family_of(cls), name))


def find_attribute(cls: str, name: str) -> Model | None:
    return ATTRIBUTES.get((cls, name))


def find_setter(cls: str, name: str) -> Model | None:
    return SETTERS.get((cls, name))


def find_method(receiver: Value, name: str) -> Model | None:
    """The model of the method `name` of a value."""
    load()
    if type(receiver) is Tensor:
        return METHODS.get(("torch.Tensor", name))
    if isinstance(receiver, Unknown):
        return METHODS.get(("unknown", name))
    if isinstance(receiver, (Sequence, Host)):
        other = "sequence" if isinstance(receiver, Sequence) else "host"
        return METHODS.get((receiver.kind, name)) or METHODS.get((other, name))
    if isinstance(receiver, Mapping):
        return METHODS.get(("dict", name))
    if isinstance(receiver, Lib):
        return find_method_of_library(receiver.path, name)
    if isinstance(receiver, Class):
        return next(filter(None, (METHODS.get((path, name)) for path in hierarchy.library_bases(receiver))), None)
    if not isinstance(receiver, Instance):
        return None
    paths = (receiver.cls.path,) if isinstance(receiver.cls, Lib) else hierarchy.library_bases(receiver.cls)
    for path in paths:
        model = find_method_of_library(path, name)
        if model is not None:
            return model
    if "." in name:
        return find_method_of_library(*name.rsplit(".", 1))
    return None


@lru_cache(1 << 12)
def family_of(path: str) -> str:
    """The base class that has the models of a whole family of library classes."""
    if hierarchy.is_module_path(path):
        return hierarchy.MODULE
    if path.startswith("torch.optim.lr_scheduler."):
        return "torch.optim.lr_scheduler.LRScheduler"
    if path.startswith("torch.optim."):
        return "torch.optim.Optimizer"
    if path.startswith("torch.distributions."):
        return "torch.distributions.Distribution"
    return path


# This begins the registry itself: it is needed only when everything is there.
from gradls.flow import hierarchy  # noqa: E402
