"""The table of operations, put together."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torchgen.model import SchemaKind

from gradls.autograd.generate.natives import Native, natives
from gradls.autograd.generate.signatures import Signature, native_signatures, python_signature


@dataclass(slots=True)
class Facts:
    """What is known of one overload under one spelling, in the names of its Python signature."""

    name: str
    signature: Signature
    outputs: list[tuple[str, str, str]]
    differentiable: list[str] = field(default_factory=list)
    saved: dict[str, list[str] | None] = field(default_factory=dict)
    frees: list[str] = field(default_factory=list)
    view: str = "no"
    inplace: bool = False
    shape: str = "unknown"
    factory: bool = False
    python: bool = False

    def record(self) -> dict[str, Any]:
        """As stored: defaults left out."""
        found: dict[str, Any] = {"name": self.name}
        found["params"] = " ".join(self.signature.params)
        found["types"] = " ".join(self.signature.types)
        outputs = ["/".join(output) for output in self.outputs]
        if outputs != ["/flows/same"]:
            found["outputs"] = outputs
        saved = [what + (":" + ",".join(gates) if gates else "") for what, gates in sorted(self.saved.items())]
        optional = {
            "defaults": self.signature.defaults,
            "differentiable": " ".join(self.differentiable),
            "saved": " ".join(saved),
            "frees": " ".join(self.frees),
            "inplace": self.inplace,
            "factory": self.factory,
            "python": self.python,
        }
        if self.signature.positional != len(self.signature.params):
            found["positional"] = self.signature.positional
        found |= {key: value for key, value in optional.items() if value}
        if self.view != "no":
            found["view"] = self.view
        if self.shape != "unknown":
            found["shape"] = self.shape
        return found


def native_facts(spelling: str, signature: Signature, native: Native) -> Facts:
    """The facts of a native overload in the words of its Python signature."""
    words = signature.schema
    function = native.function
    inplace = function.func.kind() == SchemaKind.inplace
    names = function.func.returns
    field_names = [item.name or "" for item in names] if len(names) > 1 else [""] * len(names)
    outputs = [(label, gradient, "same") for label, gradient in zip(field_names, native.gradients, strict=True)]
    saved = {
        words.get(what, what): None if gates is None else [words[gate] for gate in gates]
        for what, gates in native.saved.items()
        # A native function in place saves a clone of self where its formula needs the old value.
        if (what.startswith("result") or what in words) and not (inplace and what == "self")
    }
    tensors = any(argument.type.is_tensor_like() for argument in function.func.arguments.flat_non_out)
    returns_tensors = any(item.type.is_tensor_like() for item in names)
    base = function.func.name.name.base
    makes = returns_tensors and (not tensors or base.endswith("_like") or base.startswith("new_"))
    return Facts(
        name=base,
        signature=signature,
        outputs=outputs,
        differentiable=[words[name] for name in native.differentiable if name in words],
        saved=saved,
        frees=[words[name] for name in native.frees],
        view=native.view,
        inplace=inplace,
        factory=makes and not inplace,
        python=not returns_tensors and bool(names),
    )


def public_spellings() -> dict[str, list[Facts]]:
    by_name = {str(native.function.func.name): native for native in natives()}
    found: dict[str, list[Facts]] = {}
    for spelling, signatures in native_signatures().items():
        last = spelling.rpartition(".")[2]
        if last.startswith("_") and not (last.startswith("__") and last.endswith("__")):
            continue
        found[spelling] = [native_facts(spelling, signature, by_name[signature.native]) for signature in signatures]
    for name in dir(F):
        function = getattr(F, name)
        if name.startswith("_") or not callable(function) or isinstance(function, type):
            continue
        native = found.get(f"torch._C._nn.{name}") or found.get(f"torch.{name}")
        if not inspect.isfunction(function):
            if native:
                found[f"torch.nn.functional.{name}"] = native
            continue
        signature = python_signature(function)
        if signature is None or "Tensor" not in str(inspect.signature(function)):
            continue
        base = native[-1] if native else None
        facts = Facts(name, signature, [("", "flows", "same")])
        if base is not None:
            known = set(signature.params)
            facts.outputs = base.outputs
            facts.differentiable = [param for param in base.differentiable if param in known]
            facts.saved = {what: gates for what, gates in base.saved.items() if what in known or what == "result"}
            facts.frees = [param for param in base.frees if param in known]
            facts.view = base.view
        else:
            facts.differentiable = [
                p for p, t in zip(signature.params, signature.types, strict=True) if t.startswith("tensor")
            ]
        found[f"torch.nn.functional.{name}"] = [facts]
    for name in dir(torch.Tensor):
        spelling = f"torch.Tensor.{name}"
        member = getattr(torch.Tensor, name)
        if name.startswith("_") or spelling in found or not callable(member):
            continue
        other = found.get(f"torch.{name}")
        if other:
            found[spelling] = other
    return {name: facts for name, facts in found.items() if not name.startswith("torch._C")}


OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "div": "div", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "pow", "matmul": "matmul", "neg": "neg", "pos": "positive", "abs": "abs",
    "invert": "bitwise_not", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge",
}  # fmt: skip


def operators(found: dict[str, list[Facts]]) -> None:
    for word, method in OPERATORS.items():
        found[f"torch.Tensor.__{word}__"] = found[f"torch.Tensor.{method}"]
        if f"torch.Tensor.{method}_" in found:
            found[f"torch.Tensor.__i{word}__"] = found[f"torch.Tensor.{method}_"]
    for word in ("add", "mul"):
        found[f"torch.Tensor.__r{word}__"] = found[f"torch.Tensor.{word}"]


def build() -> dict[str, Any]:
    found = public_spellings()
    operators(found)
    records: list[dict[str, Any]] = []
    index: dict[str, int] = {}
    spellings: dict[str, int] = {}

    def store(record: dict[str, Any]) -> int:
        key = repr(record)
        if key not in index:
            index[key] = len(records)
            records.append(record)
        return index[key]

    for spelling, overloads in sorted(found.items()):
        if not overloads:
            continue
        if len(overloads) == 1:
            spellings[spelling] = store(overloads[0].record())
        else:
            merged = merge(overloads).record()
            merged["overloads"] = [store(facts.record()) for facts in overloads]
            spellings[spelling] = store(merged)
    return {"torch": torch.__version__.partition("+")[0], "ops": records, "spellings": spellings}


def merge(overloads: Iterable[Facts]) -> Facts:
    """What all overloads agree on."""
    every = list(overloads)
    longest = max(every, key=lambda facts: len(facts.signature.params))
    first = every[0]
    merged = Facts(first.name, longest.signature, first.outputs, inplace=first.inplace)
    merged.differentiable = [p for p in longest.signature.params if any(p in facts.differentiable for facts in every)]
    for what in {name for facts in every for name in facts.saved}:
        gates = [gate for gate in merged.differentiable if all(_saved_under(facts, what, gate) for facts in every)]
        if gates:
            merged.saved[what] = None if gates == merged.differentiable else gates
    merged.frees = [
        gate
        for gate in merged.differentiable
        if all(gate in facts.frees or gate not in facts.differentiable for facts in every)
    ]
    for attribute in ("view", "shape", "factory", "python"):
        values = {getattr(facts, attribute) for facts in every}
        setattr(merged, attribute, values.pop() if len(values) == 1 else getattr(first, attribute))
    return merged


def _saved_under(facts: Facts, what: str, gate: str) -> bool:
    """Whether, under this overload, `what` is saved whenever `gate` requires grad (or neither can arise)."""
    if gate not in facts.differentiable:
        return True
    types = dict(zip(facts.signature.params, facts.signature.types, strict=True))
    if not what.startswith("result") and "tensor" not in types.get(what, ""):
        return True
    if what not in facts.saved:
        return False
    gates = facts.saved[what]
    return gates is None or gate in gates
