"""Where models are registered and found.

A model of a function takes (run, path, call); of a method (run, receiver, call); of an attribute (run, value, node); of
the assignment to an attribute (run, receiver, value, target).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

from gradls.flow.values import Class, Host, Instance, Lib, Mapping, Sequence, Tensor, Unknown, Value

Model = Callable[..., Any]

FUNCTIONS: dict[str, Model] = {}
METHODS: dict[tuple[str, str], Model] = {}
ATTRIBUTES: dict[tuple[str, str], Model] = {}
SETTERS: dict[tuple[str, str], Model] = {}

MODULES = (
    "attributes",
    "autograd_functions",
    "builtins",
    "containers",
    "derivatives",
    "distributions",
    "einops",
    "factories",
    "forward_ad",
    "function_transforms",
    "functional",
    "grad_modes",
    "loaders",
    "losses",
    "module_containers",
    "module_forward",
    "module_hooks",
    "module_methods",
    "numpy",
    "optimizers",
    "parallel",
    "removed",
    "tensors",
    "threads",
    "training",
    "unknowns",
    "utilities",
)


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


def find_function(path: str) -> Model | None:
    load()
    return FUNCTIONS.get(path)


def find_attribute(cls: str, name: str) -> Model | None:
    return ATTRIBUTES.get((cls, name))


def find_setter(cls: str, name: str) -> Model | None:
    return SETTERS.get((cls, name))


def find_method(receiver: Value, name: str) -> Model | None:
    """The model of the method `name` of a value."""
    load()
    for cls in _classes_of(receiver):
        model = METHODS.get((cls, name))
        if model is not None:
            return model
    if "." in name and isinstance(receiver, Instance):
        cls, _, short = name.rpartition(".")
        return METHODS.get((cls, short)) or METHODS.get((family_of(cls), short))
    return None


def _classes_of(value: Value) -> tuple[str, ...]:
    if isinstance(value, Tensor):
        return ("torch.Tensor",)
    if isinstance(value, Unknown):
        return ("unknown",)
    if isinstance(value, Sequence):
        return (value.kind, "sequence")
    if isinstance(value, Mapping):
        return ("dict",)
    if isinstance(value, Host):
        return (value.kind, "host")
    if isinstance(value, Lib):
        return (value.path, family_of(value.path))
    if isinstance(value, Instance):
        if isinstance(value.cls, Lib):
            return (value.path, family_of(value.path))
        from gradls.flow.classes import library_bases

        return tuple(cls for path in library_bases(value.cls) for cls in (path, family_of(path)))
    if isinstance(value, Class):
        from gradls.flow.classes import library_bases

        return tuple(library_bases(value))
    return ()


def family_of(path: str) -> str:
    """The base class that has the models of a whole family of library classes."""
    from gradls.flow.classes import MODULE, is_module_path

    if is_module_path(path):
        return MODULE
    if path.startswith("torch.optim.lr_scheduler."):
        return "torch.optim.lr_scheduler.LRScheduler"
    if path.startswith("torch.optim."):
        return "torch.optim.Optimizer"
    if path.startswith("torch.distributions."):
        return "torch.distributions.Distribution"
    return path
