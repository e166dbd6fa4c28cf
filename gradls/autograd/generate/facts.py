# mypy: disable-error-code="import-untyped"
"""The facts of one overload under one spelling, in the names of its Python signature."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchgen.model import SchemaKind

from gradls.autograd.generate.experiments import Observation
from gradls.autograd.generate.natives import Native
from gradls.autograd.generate.signatures import Signature
from gradls.autograd.ops import Op, op_of


@dataclass(slots=True)
class Facts:
    """As `Op`. `outputs` are [name, gradient, dtype]; `saved` maps what is saved to its gates, None for no gates."""

    name: str
    signature: Signature
    outputs: list[list[str]]
    differentiable: list[str] = field(default_factory=list)
    saved: dict[str, list[str] | None] = field(default_factory=dict)
    frees: list[str] = field(default_factory=list)
    raises: list[str] = field(default_factory=list)
    refuses: list[str] = field(default_factory=list)
    second: dict[str, str] = field(default_factory=dict)
    negative: list[str] = field(default_factory=list)
    view: str = "no"
    inplace: bool = False
    shape: str = "unknown"
    sequence: bool = False
    extra: dict[str, str] = field(default_factory=dict)
    factory: bool = False
    python: bool = False
    written: Facts | None = None
    """The facts with `inplace=True`."""

    def record(self) -> dict[str, Any]:
        """As stored: without defaults."""
        signature = self.signature
        found: dict[str, Any] = {
            "name": self.name,
            "params": " ".join(signature.params),
            "types": " ".join(signature.types),
        }
        if signature.positional != len(signature.params):
            found["positional"] = signature.positional
        outputs = ["/".join(output) for output in self.outputs]
        if outputs != ["/flows/same"]:
            found["outputs"] = outputs
        saved = [what + (":" + ",".join(gates) if gates else "") for what, gates in sorted(self.saved.items())]
        optional = {
            "variadic": signature.variadic,
            "defaults": signature.defaults,
            "differentiable": " ".join(self.differentiable),
            "saved": " ".join(saved),
            "frees": " ".join(self.frees),
            "raises": " ".join(self.raises),
            "refuses": " ".join(self.refuses),
            "second": " ".join(f"{param}:{word}" for param, word in sorted(self.second.items())),
            "negative": " ".join(self.negative),
            "view": self.view if self.view != "no" else "",
            "inplace": self.inplace,
            "shape": self.shape if self.shape != "unknown" else "",
            "sequence": self.sequence,
            "extra": self.extra,
            "factory": self.factory,
            "python": self.python,
        }
        return found | {key: value for key, value in optional.items() if value}

    def op(self) -> Op:
        return op_of(self.record(), lambda index: Op(""))


def native_facts(name: str, signature: Signature, native: Native) -> Facts:
    """What the schema and the derivative formulas say. For a composite: everything flows, nothing is saved."""
    words = signature.schema
    function = native.function
    inplace = function.func.kind() == SchemaKind.inplace
    returns = function.func.returns
    fields = [item.name or "" for item in returns] if len(returns) > 1 else [""] * len(returns)
    saved = {
        words.get(what, what): None if gates is None else [words[gate] for gate in gates]
        for what, gates in native.saved.items()
        # A function in place keeps a copy of self where its formula needs the old value.
        if (what.startswith("result") or what in words) and not (inplace and what == "self")
    }
    tensors = any(argument.type.is_tensor_like() for argument in function.func.arguments.flat_non_out)
    gives_tensors = any(item.type.is_tensor_like() for item in returns)
    base = function.func.name.name.base
    fresh = gives_tensors and (not tensors or base.endswith("_like") or base.startswith("new_"))
    tensor_outputs = [
        [label, gradient, "same"]
        for label, gradient, item in zip(fields, native.gradients, returns, strict=True)
        if item.type.is_tensor_like()
    ]
    facts = Facts(
        name=name,
        signature=signature,
        outputs=tensor_outputs or [["", "none", "same"]],
        differentiable=[words[param] for param in native.differentiable if param in words],
        saved=saved,
        frees=[words[param] for param in native.frees if param in words],
        raises=[words[param] for param in native.raises if param in words],
        refuses=[words[param] for param in native.refuses if param in words],
        view=native.view,
        inplace=inplace,
        sequence=len(returns) == 1 and returns[0].type.is_list_like() is not None,
        factory=fresh and not inplace,
        python=not gives_tensors,
    )
    if facts.factory or facts.python:
        silence(facts)
    return facts


def silence(facts: Facts) -> None:
    """No gradient comes through here."""
    facts.differentiable, facts.saved, facts.frees, facts.raises = [], {}, [], []
    for output in facts.outputs:
        output[1] = "none"


def apply_measured(facts: Facts, seen: Sequence[Observation]) -> None:
    """Replace what is said about gradients by what the samples show: what all of them agree on."""
    params = [param for param in facts.signature.params if any(param in each.gradients for each in seen)]
    flows = ("flows", "zero", "raises")
    facts.differentiable = [
        param for param in params if any(word in flows for each in seen for word in each.gradients.get(param, ()))
    ]
    facts.raises = [
        param
        for param in facts.differentiable
        if always("raises" in each.gradients[param] for each in seen if param in each.gradients)
    ]
    facts.refuses = [
        param
        for param in params
        if always(each.gradients[param] == ("refused",) for each in seen if param in each.gradients)
    ]
    first = seen[0]
    if not first.tensors:
        facts.python = True
        silence(facts)
        return
    facts.sequence = first.sequence and (
        any(len(each.dtypes) != len(first.dtypes) for each in seen) or facts.sequence or len(first.dtypes) == 1
    )
    count = 1 if facts.sequence else len(first.dtypes)
    alike = [each for each in seen if len(each.dtypes) == len(first.dtypes)]
    facts.outputs = [
        [first.fields[index] if index < len(first.fields) else "", gradient(alike, index, facts.sequence), "same"]
        for index in range(count)
    ]
    facts.saved = {}
    for what in sorted({label for each in seen for label, _ in each.saved}):
        gates = [gate for gate in facts.differentiable if always(each.saved.get((what, gate)) for each in seen)]
        if gates:
            facts.saved[what] = None if gates == facts.differentiable else gates
    facts.frees = [gate for gate in facts.differentiable if always(each.frees.get(gate) for each in seen)]


def apply_second(facts: Facts, seen: Sequence[Observation]) -> None:
    """What the samples show about second derivatives, where they agree, and about numbers that may not be negative."""
    for param in facts.differentiable:
        words = {each.again[param] for each in seen if param in each.again}
        if words == {"additive", "linear"}:
            words = {"linear"}
        if len(words) == 1:
            facts.second[param] = words.pop()
    facts.negative = sorted({name for each in seen for name in each.negative})


def gradient(seen: Iterable[Observation], index: int, sequence: bool) -> str:
    """The gradient word of one output: the strongest that any sample and parameter shows."""
    words = {
        word
        for each in seen
        for found in each.gradients.values()
        for place, word in enumerate(found)
        if sequence or place == index
    }
    return next((word for word in ("flows", "raises", "zero") if word in words), "none")


def always(answers: Iterable[bool | None]) -> bool:
    """Whether every sample that says something says yes, and one does."""
    known = [answer for answer in answers if answer is not None]
    return bool(known) and all(known)


def merge(overloads: Sequence[Facts]) -> Facts:
    """What all overloads agree on."""
    longest = max(overloads, key=lambda facts: len(facts.signature.params))
    first = overloads[0]
    merged = Facts(first.name, longest.signature, common_outputs(overloads), inplace=first.inplace)
    every = [param for facts in overloads for param in facts.differentiable]
    merged.differentiable = list(dict.fromkeys(every))
    for what in sorted({name for facts in overloads for name in facts.saved}):
        gates = [gate for gate in merged.differentiable if all(saved_under(facts, what, gate) for facts in overloads)]
        if gates:
            merged.saved[what] = None if gates == merged.differentiable else gates
    merged.frees = [gate for gate in merged.differentiable if all(_agrees(f, gate, f.frees) for f in overloads)]
    merged.raises = [
        param for param in merged.differentiable if all(_agrees(facts, param, facts.raises) for facts in overloads)
    ]
    merged.second = {
        param: words.pop()
        for param in merged.differentiable
        if len(words := {facts.second.get(param, "") for facts in overloads if param in facts.differentiable}) == 1
    }
    merged.second = {param: word for param, word in merged.second.items() if word}
    merged.refuses = [param for param in longest.signature.params if all(param in facts.refuses for facts in overloads)]
    for attribute in ("view", "shape", "factory", "python", "sequence"):
        values = {getattr(facts, attribute) for facts in overloads}
        setattr(merged, attribute, values.pop() if len(values) == 1 else getattr(first, attribute))
    return merged


def common_outputs(overloads: Sequence[Facts]) -> list[list[str]]:
    """The outputs of all overloads, "unknown" where words differ; those of the first if their numbers differ."""
    first = overloads[0].outputs
    if any(len(facts.outputs) != len(first) for facts in overloads):
        return first
    merged = []
    for index, output in enumerate(first):
        words = [{facts.outputs[index][place] for facts in overloads} for place in range(3)]
        merged.append([word if len(found) == 1 else "unknown" for word, found in zip(output, words, strict=True)])
        if len(words[0]) > 1:
            merged[-1][0] = ""
    return merged


def _agrees(facts: Facts, param: str, words: list[str]) -> bool:
    return param in words or param not in facts.differentiable


def saved_under(facts: Facts, what: str, gate: str) -> bool:
    """Whether, under this overload, `what` is saved whenever `gate` requires grad, or neither can arise."""
    if gate not in facts.differentiable:
        return True
    types = dict(zip(facts.signature.params, facts.signature.types, strict=True))
    if not what.startswith("result") and not types.get(what, "").startswith("tensor"):
        return True
    if what not in facts.saved:
        return False
    gates = facts.saved[what]
    return gates is None or gate in gates


def renamed(facts: Facts, signature: Signature) -> Facts:
    """The same native overload in the words of another signature."""
    words = {word: signature.schema[name] for name, word in facts.signature.schema.items() if name in signature.schema}
    return Facts(
        name=facts.name,
        signature=signature,
        outputs=[list(output) for output in facts.outputs],
        differentiable=[words[param] for param in facts.differentiable if param in words],
        saved={
            words.get(what, what): None if gates is None else [words[gate] for gate in gates]
            for what, gates in facts.saved.items()
        },
        frees=[words[param] for param in facts.frees if param in words],
        raises=[words[param] for param in facts.raises if param in words],
        refuses=[words[param] for param in facts.refuses if param in words],
        second={words[param]: word for param, word in facts.second.items() if param in words},
        negative=[words.get(param, param) for param in facts.negative],
        view=facts.view,
        inplace=facts.inplace,
        shape=facts.shape,
        sequence=facts.sequence,
        extra=dict(facts.extra),
        factory=facts.factory,
        python=facts.python,
    )
