"""Classes of the program and of libraries: what each derives from, what is found in it, and what is an object of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from gradls.flow import class_text
from gradls.flow.models.registry import find_function, find_method_of_library
from gradls.flow.program import is_stub
from gradls.flow.state import empty_behind
from gradls.flow.values import Choice, Class, Function, Host, Instance, Lib, Mapping, Sequence, Tensor, Unknown, Value
from gradls.syntax.walk import walk

MODULE = "torch.nn.Module"
DEEPSPEED_ENGINE = "deepspeed.DeepSpeedEngine"
WRAPPERS = (
    "torch.nn.DataParallel",
    "torch.nn.parallel.DataParallel",
    "torch.nn.parallel.DistributedDataParallel",
    DEEPSPEED_ENGINE,
)
"""Modules that hold another one as `module`, and call it."""
FUNCTION = "torch.autograd.Function"
_MODULE_LIKE = (
    "torch.nn.",
    "torch.optim.swa_utils.AveragedModel",
    "einops.layers.torch.",
    "torch.jit.ScriptModule",
    DEEPSPEED_ENGINE,
)
_LIGHTNING = ("lightning.", "pytorch_lightning.")


_MAY_BE_MODULES = ("torch.ao.", "torch.distributed.", "torch.fx.", "torch.jit.", *_LIGHTNING)
"""Packages with modules and with other classes, of which no list says which are which."""


def linearize(cls: Class) -> tuple[Value, ...]:
    """The class and its bases, nearest first (depth first; a base met twice counts where it stands last)."""
    if cls.order is None:
        order: list[Value] = [cls]
        for base in cls.bases:
            order += linearize(base) if isinstance(base, Class) else [base]
        cls.order = tuple(dict.fromkeys(reversed(order)))[::-1]
        empty_behind(cls)
    return cls.order


def find_in_class(cls: Class, name: str, behind: Class | None = None) -> tuple[Value | None, Value | None]:
    """The attribute `name` of a class and the class that has it; with `behind`, what `super()` finds."""
    order = linearize(cls)
    start = order.index(behind) + 1 if behind is not None and behind in order else 0
    for index in range(start, len(order)):
        base = order[index]
        if isinstance(base, Class):
            if name in base.fields:
                return base.fields[name], base
        elif isinstance(base, Lib) and _has(base.path, name):
            return None, base
    return None, None


@lru_cache(1 << 14)
def _has(path: str, name: str) -> bool:
    """Is there a model of something in a library class? All modules are called by `nn.Module.__call__`."""
    if name == "__call__" and is_module_path(path):
        return True
    return find_function(f"{path}.{name}") is not None or find_method_of_library(path, name) is not None


def library_bases(cls: Class) -> tuple[str, ...]:
    """The full names of the library classes that a class derives from."""
    if cls.libraries is None:
        cls.libraries = tuple(base.path for base in linearize(cls) if isinstance(base, Lib))
    return cls.libraries


_EVALUATION = frozenset(("validation_step", "test_step", "predict_step"))
"""Methods of a LightningModule that its trainer calls with gradients switched off."""


def is_lightning(cls: Class) -> bool:
    """Is it a LightningModule?"""
    return any(path.endswith(".LightningModule") for path in library_bases(cls))


def is_evaluation(cls: Class, name: str) -> bool:
    """Is a method one that Lightning calls with gradients switched off? A hook before it may switch them on again."""
    if name not in _EVALUATION or not is_lightning(cls):
        return False
    return not any(class_text.has_hook_that_sets_mode(base, name) for base in linearize(cls) if isinstance(base, Class))


def has_unknown_base(cls: Class) -> bool:
    """Whether a class has more attributes and methods than its text tells."""
    if cls.unknown_base is None:
        cls.unknown_base = any(
            is_stub(base.source) or base.metaclass
            if isinstance(base, Class)
            else not (isinstance(base, Lib) and is_module_class(base) is not None)
            for base in linearize(cls)
        )
    return cls.unknown_base


def lacks_forward(value: Value) -> bool:
    """Is it a module that nobody can call, as one that only keeps a place in a list?"""
    if not isinstance(value, Instance) or not isinstance(value.cls, Class) or value.open:
        return False
    if "forward" in value.fields or library_bases(value.cls) != (MODULE,):
        return False
    return not any(isinstance(find_in_class(value.cls, name)[0], Value) for name in ("__call__", "forward"))


INIT_ALONE = "__init__ alone"
"""How the constructor of `nn.Module` is called that is found behind that of a layer of the library."""
_OFF = frozenset(("no_grad", "inference_mode", "set_grad_enabled"))


def templates(cls: Class) -> Iterator[Function]:
    """The inherited methods that switch gradients off and call methods of this class."""
    for base in linearize(cls)[1:]:
        for method in _switching(base) if isinstance(base, Class) and base.switches is not False else ():
            names = method.source.once(_attributes, method.node)
            if not names.isdisjoint(cls.fields) and find_in_class(cls, method.name)[0] is method:
                yield method


def _switching(cls: Class) -> list[Function]:
    """The methods of a class that switch gradients off. That it has none is known from then on."""
    found = [
        method
        for method in cls.fields.values()
        if isinstance(method, Function)
        and not method.kind
        and not method.source.once(_attributes, method.node).isdisjoint(_OFF)
    ]
    cls.switches = bool(found)
    return found


def _attributes(node: ast.AST) -> frozenset[str]:
    return frozenset(part.attr for part in walk(node) if isinstance(part, ast.Attribute))


_TENSORS = tuple(
    f"torch.nn.{name}" for name in ("Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer")
)


@lru_cache(4096)
def is_module_path(path: str) -> bool:
    """Is this library class an `nn.Module`?"""
    if path.startswith(_LIGHTNING):
        return path.endswith(".LightningModule")
    return (
        path.startswith(_MODULE_LIKE)
        and not path.startswith(("torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.parameter."))
        and path not in _TENSORS
    )


def is_module_class(cls: Value) -> bool | None:
    """Is a class an `nn.Module`? A class whose base cannot be resolved counts as one when its body shows it."""
    if isinstance(cls, Class):
        cls.sort = cls.sort or _sort(cls)
        if cls.sort == "unknown":
            return True if _looks_like_module(cls) else None
        return cls.sort == "module"
    if isinstance(cls, Lib):
        return is_module_path(cls.path) or (None if cls.path.startswith(_MAY_BE_MODULES) else False)
    return None


_MODULE = "torch.nn.modules.module.Module"


def _sort(cls: Class) -> str:
    """module, unknown or other."""
    if any(is_module_path(path) for path in library_bases(cls)):
        return "module"
    for base in linearize(cls):
        answer = getattr(base, "answer", None)
        if answer is not None and (answer.name == _MODULE or _MODULE in answer.bases):
            return "module"
    return "unknown" if has_unknown_base(cls) else "other"


def _looks_like_module(cls: Class) -> bool:
    """Registration calls, or an attribute made from `nn` beside a `forward`."""
    forward = find_in_class(cls, "forward")[0] is not None
    return class_text.registers(cls) or (forward and class_text.makes_layers(cls))


def is_module(value: Value) -> bool | None:
    """Is `value` an object of an `nn.Module` class?"""
    if isinstance(value, Instance):
        return is_module_class(value.cls)
    return None if isinstance(value, Unknown) else False


def is_instance(value: Value, of: Value) -> bool | None:
    """`isinstance(value, of)` where it is known."""
    if isinstance(of, Sequence) and of.rest is None:
        verdicts = [is_instance(value, item) for item in of.items]
        if True in verdicts:
            return True
        return None if None in verdicts else False
    if isinstance(value, Choice):
        found = {is_instance(option, of) for option in value.options}
        return found.pop() if len(found) == 1 else None
    if isinstance(value, Instance):
        return _object_is(value, of)
    if isinstance(of, Class):
        return None if isinstance(value, Unknown) else False
    if not isinstance(of, Lib) or isinstance(value, (Unknown, Class, Function)):
        return None
    return _is_of_library(value, of.path)


def _object_is(value: Instance, of: Value) -> bool | None:
    if isinstance(value.cls, Lib):
        if isinstance(of, Class):
            return False
        if isinstance(of, Lib):
            if of.path == value.path or (of.path == MODULE and is_module_path(value.path)):
                return True
            return False if of.path.startswith(("torch.nn.", "builtins.", "torch.Tensor")) else None
        return None
    if of in linearize(value.cls):
        return True
    if isinstance(of, Lib):
        if of.path == MODULE and is_module_class(value.cls):
            return True
        if of.path.startswith(("builtins.", "torch.Tensor")) and of.path != "builtins.object":
            return None if has_unknown_base(value.cls) else False
    if has_unknown_base(value.cls) or "declared" in value.data:
        return None
    return False if isinstance(of, (Class, Lib)) else None


_NUMBERS = {
    **dict.fromkeys(("Integral", "Rational"), ("int", "bool")),
    **dict.fromkeys(("Number", "Complex", "Real"), ("int", "bool", "float")),
}
_BUILTIN = {"list": Sequence, "tuple": Sequence, "set": Sequence, "dict": Mapping}


def _is_of_library(value: Value, path: str) -> bool | None:
    kind = path.removeprefix("builtins.")
    if isinstance(value, Tensor):
        if path == "torch.Tensor":
            return True
        if path == "torch.nn.Parameter":
            return value.is_parameter
        return False if path.startswith(("builtins.", "torch.nn.", "numpy.", "numbers.")) else None
    if isinstance(value, Host) and path.startswith("numbers."):
        return value.kind in _NUMBERS.get(path.removeprefix("numbers."), ())
    if isinstance(value, Host):
        return value.kind == kind or (value.kind == "bool" and kind == "int") if path.startswith("builtins.") else False
    if isinstance(value, Sequence):
        return value.kind == kind if kind in _BUILTIN else (False if path.startswith(("builtins.", "torch.")) else None)
    if isinstance(value, Mapping):
        return kind == "dict" if path.startswith(("builtins.", "torch.")) else None
    return None
