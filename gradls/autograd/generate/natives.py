# mypy: disable-error-code="import-untyped"
"""Autograd facts of every native function, from the two YAML files that ship with torchgen and with its own parser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torchgen
from torchgen.api.autograd import DifferentiabilityInfo, SavedAttribute, match_differentiability_info
from torchgen.api.types import BaseCType, tensorT
from torchgen.gen import get_grouped_by_view_native_functions, parse_native_yaml
from torchgen.model import NativeFunction, NativeFunctionsViewGroup, SchemaKind
from torchgen.packaged.autograd.gen_inplace_or_view_type import VIEW_FUNCTIONS
from torchgen.packaged.autograd.gen_variable_type import DONT_REQUIRE_DERIVATIVE
from torchgen.packaged.autograd.load_derivatives import load_derivatives

PACKAGED = Path(torchgen.__file__).parent / "packaged"
DERIVATIVES = PACKAGED / "autograd" / "derivatives.yaml"
NATIVE = PACKAGED / "ATen" / "native" / "native_functions.yaml"
TAGS = PACKAGED / "ATen" / "native" / "tags.yaml"

ZERO = re.compile(r"(at::)?zeros_like\(\w+\)|\w+\.zeros_like\(.*\)|(at::)?zeros\(.*\)|0 ?\* ?grad")


@dataclass(slots=True)
class Native:
    """What autograd does at one native overload. Names are those of the schema ("self")."""

    function: NativeFunction
    composite: bool
    differentiable: list[str] = field(default_factory=list)
    gradients: list[str] = field(default_factory=list)
    """One of "flows", "none", "zero", "raises" for each output."""
    saved: dict[str, list[str] | None] = field(default_factory=dict)
    """A saved parameter, "result" or "result0"... to the parameters that gate it; None, saved with every node."""
    frees: list[str] = field(default_factory=list)
    """The parameters of which one must require grad for backward to free something."""
    raises: list[str] = field(default_factory=list)
    """The parameters whose derivative is not implemented: backward raises if they require grad."""
    refuses: list[str] = field(default_factory=list)
    """The parameters that must not require grad: the call itself raises."""
    view: str = "no"


def name_of(thing: object) -> str:
    return str(getattr(thing, "name", thing))


def is_tensor_attribute(attribute: SavedAttribute) -> bool:
    return re.search(r"at::(Tensor|TensorList|ITensorListRef)\b", attribute.nctype.cpp_type()) is not None


def gates(info: DifferentiabilityInfo, saved: SavedAttribute) -> list[str] | None:
    """The parameters of which one must require grad for `saved` to be saved, as PyTorch's code generator decides it
    (`guard_for` in gen_variable_type.py)."""
    with_derivative = info.args_with_derivatives
    if any("Tensor[]" in str(binding.argument.type) for binding in with_derivative):
        return None
    if "backward" in info.name or len(with_derivative) <= 1 or saved.nctype.type != BaseCType(tensorT):
        return None
    used = [derivative for derivative in info.derivatives if saved in derivative.saved_inputs]
    if len(used) != 1:
        return None
    derivative = used[0]
    if len(derivative.var_names) == 1:
        return [derivative.var_names[0]]
    name = re.escape(name_of(saved.nctype.name))
    guard = re.search(rf"wrap_opt_if\({name},([^)]*)\)", derivative.formula)
    if guard is None:
        return None
    return [derivative.var_names[int(index)] for index in re.findall(r"grad_input_mask\[(\d+)\]", guard.group(1))]


def output_gradients(function: NativeFunction, info: DifferentiabilityInfo | None) -> list[bool]:
    """Which outputs can require grad."""
    returns = function.func.returns
    tensors = [item.type.is_tensor_like() for item in returns]
    if info is None or not info.has_derivatives:
        declared = info.output_differentiability if info is not None else None
        return [bool(flag) for flag in declared] if declared is not None else tensors
    if info.output_differentiability is not None:
        declared = [bool(flag) for flag in info.output_differentiability]
        return declared + [False] * (len(returns) - len(declared))
    formulas = " ".join(derivative.original_formula for derivative in info.derivatives)
    if len(returns) > 1 and not re.search(r"\bgrads\b", formulas) and not info.used_named_gradients:
        return [tensor and index == 0 for index, tensor in enumerate(tensors)]
    return tensors


def saved_output_name(function: NativeFunction, name: str) -> str:
    """A saved output as "result" or "result0", "result1", ..."""
    returns = function.func.returns
    if len(returns) == 1:
        return "result"
    if re.fullmatch(r"result\d+", name):
        return name
    for index, item in enumerate(returns):
        if item.name == name:
            return f"result{index}"
    return "result0"


def view_kind(function: NativeFunction) -> str:
    base = function.func.name.name.base
    if function.func.kind() == SchemaKind.inplace:
        return "no"
    aliases = any(item.annotation is not None and not item.annotation.is_write for item in function.func.returns)
    if not aliases and base not in VIEW_FUNCTIONS:
        return "no"
    if base in ("expand", "expand_as", "broadcast_to"):
        return "expand"
    if any("Tensor" in str(item.type) and "[]" in str(item.type) for item in function.func.returns):
        return "multi"
    # "Tensor(a)" but not "Tensor(a|b)" or a composite that decides at run time.
    maybe = {"contiguous", "reshape", "reshape_as", "to", "flatten", "ravel", "conj", "real", "resolve_conj"}
    maybe |= {"resolve_neg", "positive", "data", "expand_as", "coalesce", "_autocast_to_full_precision", "type_as"}
    return "maybe" if base in maybe else "view"


def describe(function: NativeFunction, info: DifferentiabilityInfo | None) -> Native:
    base = function.func.name.name.base
    if function.func.name.name.dunder_method:
        base = f"__{'i' if function.func.name.name.inplace else ''}{base}__"
    has_derivatives = info is not None and info.has_derivatives
    composite = function.has_composite_implicit_autograd_kernel or not (function.is_abstract or has_derivatives)
    native = Native(function, composite, view=view_kind(function))
    tensors = [argument.name for argument in function.func.arguments.flat_non_out if argument.type.is_tensor_like()]
    if composite:
        native.differentiable = tensors
        native.gradients = ["flows"] * len(function.func.returns)
        return native
    assert info is None or info.has_derivatives == has_derivatives
    flags = output_gradients(function, info)
    ignored = list(info.non_differentiable_arg_names) if info else []
    if base in DONT_REQUIRE_DERIVATIVE or (not has_derivatives and set(tensors) <= set(ignored)):
        flags = [False] * len(flags)
    if not any(flags):
        native.gradients = ["none"] * len(flags)
        return native
    if not has_derivatives:
        native.differentiable = native.raises = [name for name in tensors if name not in ignored]
        native.gradients = ["raises" if flag else "none" for flag in flags]
        return native
    assert info is not None
    _formulas(native, info, flags)
    native.refuses = [name for name in tensors if name not in native.differentiable and name not in ignored]
    return native


def _formulas(native: Native, info: DifferentiabilityInfo, flags: list[bool]) -> None:
    """The facts of an overload that has derivative formulas."""
    function = native.function
    native.differentiable = [binding.name for binding in info.args_with_derivatives]
    formulas = [derivative.original_formula.strip() for derivative in info.derivatives]
    missing = [derivative for derivative in info.derivatives if "not_implemented" in derivative.original_formula]
    native.raises = [name for derivative in missing for name in derivative.var_names]
    if len(missing) == len(info.derivatives):
        kind = "raises"
        if info.output_differentiability is None:
            flags = [item.type.is_tensor_like() for item in function.func.returns]
    elif all(ZERO.fullmatch(formula) for formula in formulas):
        kind = "zero"
    else:
        kind = "flows"
    native.gradients = [kind if flag else "none" for flag in flags]
    anything: list[str] = []
    for attribute in info.all_saved_inputs:
        if not is_tensor_attribute(attribute):
            continue
        condition = gates(info, attribute)
        anything += native.differentiable if condition is None else condition
        name = name_of(attribute.nctype.name)
        if attribute.expr == name:
            native.saved[name] = condition
    for attribute in info.all_saved_outputs:
        if is_tensor_attribute(attribute):
            anything += native.differentiable
            native.saved[saved_output_name(function, name_of(attribute.nctype.name))] = None
    native.frees = [name for name in native.differentiable if name in anything]


@cache
def natives() -> tuple[Native, ...]:
    """All native overloads except out= variants."""
    infos, _ = load_derivatives(str(DERIVATIVES), str(NATIVE), str(TAGS))
    functions = parse_native_yaml(str(NATIVE), str(TAGS)).native_functions
    flat: list[NativeFunction] = []
    for group in get_grouped_by_view_native_functions(functions):
        if isinstance(group, NativeFunctionsViewGroup):
            flat += group.functions(include_copy=True)
        else:
            flat.append(group)
    found = []
    for matched in match_differentiability_info(flat, infos):
        if matched.func.func.kind() != SchemaKind.out:
            found.append(describe(matched.func, matched.info.get("Default") if matched.info else None))
    return tuple(found)
