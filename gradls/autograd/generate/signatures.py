# mypy: disable-error-code="import-untyped"
"""Python signatures: of native functions from their schemas, of Python functions by inspection."""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from torchgen.api.python import PythonSignature, PythonSignatureNativeFunctionPair, signature
from torchgen.context import native_function_manager
from torchgen.gen import parse_native_yaml
from torchgen.model import BaseTy, BaseType, ListType, NativeFunction, OptionalType, Type
from torchgen.packaged.autograd.gen_python_functions import (
    group_filter_overloads,
    group_overloads,
    is_py_fft_function,
    is_py_linalg_function,
    is_py_nn_function,
    is_py_special_function,
    is_py_torch_function,
    is_py_variable_method,
    should_generate_py_binding,
)

from gradls.autograd.generate.natives import NATIVE, TAGS, natives


@dataclass(slots=True)
class Signature:
    """How Python calls one overload.

    `params`, `types`, `defaults` and `positional` are as in `Op`, but types end in "=" where there is a default;
    `schema` maps the schema's names to those of `params`.
    """

    params: tuple[str, ...]
    types: tuple[str, ...]
    defaults: dict[str, Any]
    schema: dict[str, str]
    positional: int
    variadic: str = ""
    native: str = ""
    """The native overload that is called ("add.Tensor"), if it is one."""


BASE_TYPES = {
    BaseTy.Tensor: "tensor",
    BaseTy.Scalar: "number",
    BaseTy.int: "int",
    BaseTy.SymInt: "int",
    BaseTy.float: "float",
    BaseTy.bool: "bool",
    BaseTy.str: "str",
    BaseTy.ScalarType: "dtype",
}


def type_word(kind: Type) -> str:
    if isinstance(kind, OptionalType):
        return type_word(kind.elem) + "?"
    if isinstance(kind, ListType):
        element = type_word(kind.elem).rstrip("?")
        if element == "int" and kind.size is not None:
            return "int|ints"
        return element + "s" if element in ("tensor", "int") else "any"
    if isinstance(kind, BaseType):
        return BASE_TYPES.get(kind.name, "any")
    return "any"


def default_value(text: str | None) -> tuple[bool, Any]:
    """Whether `text`, a default of the code generator, is a literal, and its value."""
    if text is None:
        return False, None
    if text in ("None", "nullptr", "{}", "::std::nullopt", "std::nullopt"):
        return True, None
    if text.startswith("at::Reduction::"):
        return True, text.rpartition(":")[2].lower()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False, None
    return isinstance(value, (bool, int, float, str)), value


def native_signature(python: PythonSignature, method: bool, has_out: bool, native: str) -> Signature:
    params, types, defaults, schema = [], [], {}, {}
    arguments = python.arguments(skip_outputs=True)
    if method:
        params, types, schema = ["input"], ["tensor"], {"self": "input"}
    for argument in arguments:
        name = argument.name
        if name == "self" and type_word(argument.type) in ("tensor", "number", "tensors"):
            name = "input"
        schema[argument.name] = name
        params.append(name)
        types.append(type_word(argument.type) + ("" if argument.default is None else "="))
        literal, value = default_value(argument.default)
        if literal:
            defaults[name] = value
    if has_out:
        params.append("out")
        types.append("any?=")
    positional = len(python.input_args) + (1 if method else 0)
    # As PyTorch's parser does: if the one positional argument is a list of ints, they may stand for themselves.
    variadic = (
        params[positional - 1] if len(python.input_args) == 1 and types[positional - 1].startswith("ints") else ""
    )
    return Signature(tuple(params), tuple(types), defaults, schema, positional, variadic, native)


KINDS: tuple[tuple[str, Callable[[NativeFunction], bool], bool], ...] = (
    ("torch", is_py_torch_function, False),
    ("torch.Tensor", is_py_variable_method, True),
    ("torch._C._nn", is_py_nn_function, False),
    ("torch.fft", is_py_fft_function, False),
    ("torch.linalg", is_py_linalg_function, False),
    ("torch.special", is_py_special_function, False),
)


def public_name(prefix: str, name: str) -> str:
    last = prefix.rpartition(".")[2]
    if prefix in ("torch.fft", "torch.linalg", "torch.special"):
        name = name.removeprefix(f"{last}_")
    return f"{prefix}.{name}"


@cache
def native_signatures() -> dict[str, list[Signature]]:
    """The overloads of every spelling that the code generator binds, in the order in which they are tried."""
    functions = [native.function for native in natives()]
    bound = [function for function in functions if should_generate_py_binding(function)]
    found: dict[str, list[Signature]] = defaultdict(list)
    pairs = {method: [_pair(function, method) for function in bound] for method in (False, True)}
    for prefix, wanted, method in KINDS:
        usual = [pair for pair in pairs[method] if not pair.function.func.is_out_fn()]
        for name, overloads in group_filter_overloads(usual, wanted).items():
            for group in group_overloads(overloads):
                native = str(group.base.func.name)
                has_out = not method and str(name) in _with_out()
                found[public_name(prefix, str(name))].append(native_signature(group.signature, method, has_out, native))
    return dict(found)


def _pair(function: NativeFunction, method: bool) -> PythonSignatureNativeFunctionPair:
    with native_function_manager(function):
        return PythonSignatureNativeFunctionPair(signature(function, method=method), function)


@cache
def _with_out() -> frozenset[str]:
    """The names of native functions that take `out=`."""
    functions = parse_native_yaml(str(NATIVE), str(TAGS)).native_functions
    return frozenset(str(function.func.name.name) for function in functions if function.func.is_out_fn())


def python_signature(function: Callable[..., Any], method: bool = False) -> Signature | None:
    """The signature of a Python function; of a method, self becomes "input"."""
    try:
        found = inspect.signature(function)
    except (ValueError, TypeError):
        return None
    params: list[str] = []
    types: list[str] = []
    defaults: dict[str, Any] = {}
    positional, variadic = 0, ""
    for parameter in found.parameters.values():
        if parameter.kind == parameter.VAR_KEYWORD:
            continue
        first = method and not params
        name = "input" if first else parameter.name
        params.append(name)
        word = "tensor" if first else annotation_word(parameter.annotation)
        if word == "any" and name in UNANNOTATED_TENSORS:
            word = "tensor"
        if parameter.kind == parameter.VAR_POSITIONAL:
            variadic, word = name, VARIADIC_TYPES.get(name, "any") + "="
        types.append(word + ("" if parameter.default is parameter.empty else "="))
        positional += parameter.kind != parameter.KEYWORD_ONLY
        if parameter.default is None or isinstance(parameter.default, (bool, int, float, str)):
            defaults[name] = parameter.default
    return Signature(tuple(params), tuple(types), defaults, {name: name for name in params}, positional, variadic)


UNANNOTATED_TENSORS = ("input", "x1", "x2", "a", "b")
VARIADIC_TYPES = {"tensors": "tensors", "operands": "tensors", "matrices": "tensors"}


def annotation_word(annotation: Any) -> str:
    """A type word for an annotation, which may be a string."""
    if annotation is inspect.Parameter.empty:
        return "any"
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    if not isinstance(annotation, (str, type)):
        text = str(annotation)
    text = text.replace("typing.", "").replace("torch.", "").replace(" ", "")
    parts = text.removeprefix("Optional[").rstrip("]").split("|")
    optional = "?" if "None" in parts or "Optional" in text or "NoneType" in text else ""
    parts = [part for part in parts if part not in ("None", "NoneType")]
    words = {"Tensor": "tensor", "int": "int", "float": "number", "bool": "bool", "str": "str", "dtype": "dtype"}
    return (words.get(parts[0], "any") if len(parts) == 1 else "any") + optional
