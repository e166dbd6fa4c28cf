"""Dtype, shape and view words of an operation, from what samples show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradls.autograd.generate.experiments import Experiment, Observation, bind, result_dtype
from gradls.autograd.generate.facts import Facts, silence
from gradls.autograd.generate.samples import Sample

INDEXING = ("gather", "index_select", "take", "take_along_dim", "masked_select", "select", "__getitem__")

FACTORY_DTYPES = {
    "randint": "int", "randperm": "int", "tril_indices": "int", "triu_indices": "int", "arange": "data",
    "range": "data", "full": "data", "scalar_tensor": "data",
}  # fmt: skip
"""The dtype of what a factory makes unless told; those with a tensor to go by take its, the rest are floating."""

Pairs = Sequence[tuple[Observation, Sample]]


def finish(call: Callable[..., Any], facts: Facts, pairs: Pairs) -> None:
    """Set the words that samples are needed for."""
    seen = [observation for observation, _ in pairs]
    if seen and not any(each.floating for each in seen):
        # Takes no floating tensors.
        silence(facts)
    for index, output in enumerate(facts.outputs):
        output[2] = dtype_word(call, facts, pairs, index)
        if output[2] in ("int", "bool"):
            output[1] = "none"
    facts.shape = shape_word(facts, seen)
    if facts.signature.variadic and facts.signature.variadic == "tensors" and len(facts.outputs) > 1:
        facts.sequence, facts.outputs = True, facts.outputs[:1]
    if facts.view == "no" and not facts.inplace and not facts.name.startswith("unsafe_"):
        words = {each.view for each in seen} or {"no"}
        if words != {"no"}:
            facts.view = words.pop() if len(words) == 1 and words != {"self"} else "maybe"


def dtype_word(call: Callable[..., Any], facts: Facts, pairs: Pairs, index: int) -> str:
    if facts.factory:
        like = facts.signature.types[:1] == ("tensor",)
        return "same" if like else FACTORY_DTYPES.get(facts.name, "float")
    if facts.inplace:
        return "same"
    usual = [(each, sample) for each, sample in pairs if index < len(each.dtypes)]
    words = {each.dtypes[index] for each, _ in usual}
    if words == {"bool"}:
        return "bool"
    if "dtype" in facts.signature.params:
        return "argument"
    floats = [(each, sample) for each, sample in usual if each.floating and each.parameters]
    words = {each.dtypes[index] for each, _ in floats}
    if words == {"float"}:
        return promotion(call, facts, floats[0][1], index)
    return words.pop() if len(words) == 1 else "same"


def promotion(call: Callable[..., Any], facts: Facts, sample: Sample, index: int) -> str:
    """Which of "same", "promote" and "float" a floating result is."""
    places = bind(facts.signature, sample)
    assert places is not None
    experiment = Experiment(call, places, sample)
    whole = result_dtype(experiment, whole=True)
    if whole is not None and index < len(whole) and whole[index].startswith("float"):
        return "float"
    mixed = result_dtype(experiment, whole=False)
    return "promote" if mixed is not None and index < len(mixed) and mixed[index] == "float64" else "same"


def shape_word(facts: Facts, seen: Sequence[Observation]) -> str:
    params = facts.signature.params
    if facts.inplace:
        return "same"
    if "reduction" in params:
        return "loss"
    if facts.name in INDEXING:
        return "index"
    words = {each.shape for each in seen}
    if "dim" in params and ("keepdim" in params or "scalar" in words):
        required = dict(zip(params, facts.signature.types, strict=True))["dim"]
        return "scalar" if required.endswith("=") else "reduce"
    if words == {"same", "broadcast"}:
        return "broadcast"
    return words.pop() if len(words) == 1 else "unknown"
