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
    return Signature(tuple(params), tuple(types), defaults, schema, positional, native)


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


def python_signature(function: Callable[..., Any]) -> Signature | None:
    """The signature of a Python function; its first parameter becomes "input" if it is "self"."""
    try:
        found = inspect.signature(function)
    except (ValueError, TypeError):
        return None
    params, types, defaults = [], [], {}
    positional = 0
    for parameter in found.parameters.values():
        if parameter.kind == parameter.VAR_KEYWORD:
            continue
        name = "input" if parameter.name == "self" else parameter.name
        params.append(name)
        word = annotation_word(parameter.annotation, parameter.kind == parameter.VAR_POSITIONAL)
        types.append(word + ("" if parameter.default is parameter.empty else "="))
        positional += parameter.kind != parameter.KEYWORD_ONLY
        if parameter.default is None or isinstance(parameter.default, (bool, int, float, str)):
            defaults[name] = parameter.default
    return Signature(tuple(params), tuple(types), defaults, {name: name for name in params}, positional)


def annotation_word(annotation: Any, variadic: bool) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    text = str(annotation) if "Optional" in str(annotation) or "|" in str(annotation) else text
    optional = "?" if "None" in text or "Optional" in text else ""
    bare = text.replace("typing.", "").replace("torch.", "").replace("Optional[", "").replace(" | None", "").rstrip("]")
    if variadic:
        return "any"
    words = {"Tensor": "tensor", "int": "int", "float": "float", "bool": "bool", "str": "str", "DType": "dtype"}
    return words.get(bare, "any") + optional
