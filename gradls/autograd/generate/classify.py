"""Dtype, shape and view words of an operation, from what samples show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gradls.autograd.generate.experiments import Experiment, Observation, bind, result_dtype
from gradls.autograd.generate.facts import Facts, silence
from gradls.autograd.generate.samples import Sample

INDEXING = ("gather", "index_select", "take", "take_along_dim", "masked_select", "select", "__getitem__")

SHAPES = {
    "dot": "scalar", "vdot": "scalar", "cosine_similarity": "reduce", "vecdot": "reduce", "slogdet": "unknown",
    "unbind": "unknown", "cov": "unknown", "hash_tensor": "unknown", "quantile": "unknown", "nanquantile": "unknown",
}  # fmt: skip
"""Shapes that typical samples do not tell."""

BROADCASTING = frozenset((
    "div", "divide", "max", "min", "lerp", "logaddexp2", "bitwise_and", "bitwise_or", "bitwise_xor",
    "bitwise_left_shift", "bitwise_right_shift", "__and__", "__or__", "__xor__", "__lshift__", "__rshift__",
    "__rand__", "__ror__", "__rxor__", "__rlshift__", "__rrshift__",
))  # fmt: skip
"""Operations on two tensors that fit each other, of which typical samples have the same shape."""

FACTORY_DTYPES = {
    "randint": "int", "randperm": "int", "tril_indices": "int", "triu_indices": "int", "arange": "data",
    "range": "data", "full": "data", "scalar_tensor": "data",
}  # fmt: skip
"""The dtype of what a factory makes unless told; those with a tensor to go by take its, the rest are floating."""

Pairs = Sequence[tuple[Observation, Sample]]


def finish(call: Callable[..., Any], facts: Facts, pairs: Pairs, more: Sequence[Observation] = ()) -> None:
    """Set the words that samples are needed for. `more` are observations of its shape."""
    seen = [observation for observation, _ in pairs]
    if seen and not any(each.floating for each in seen):
        # Takes no floating tensors.
        silence(facts)
    for index, output in enumerate(facts.outputs):
        output[2] = dtype_word(call, facts, pairs, index)
        if output[2] in ("int", "bool"):
            output[1] = "none"
    facts.shape = shape_word(facts, [*seen, *more])
    if facts.signature.variadic and facts.signature.variadic == "tensors" and len(facts.outputs) > 1:
        facts.sequence, facts.outputs = True, facts.outputs[:1]
    if facts.view == "multi" and seen and all(each.view == "view" for each in seen):
        # Several views, but each made for itself.
        facts.view = "view"
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
    if facts.name == "type_as":
        return "unknown"
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
    for whole, wanted, word in (
        ("all", "float", "float"),
        ("none", "float64", "promote"),
        ("tensors", "float", "promote"),
    ):
        dtypes = result_dtype(experiment, whole)
        if dtypes is not None and index < len(dtypes) and dtypes[index].startswith(wanted):
            return word
    return "same"


def shape_word(facts: Facts, seen: Sequence[Observation]) -> str:
    params = facts.signature.params
    if facts.inplace:
        return "same"
    if "reduction" in params:
        return "loss"
    if facts.name in INDEXING:
        return "index"
    if facts.name in SHAPES:
        return SHAPES[facts.name]
    if facts.name in BROADCASTING and facts.signature.types.count("tensor") > 1:
        return "broadcast"
    words = {each.shape for each in seen} - {""}
    if "dim" in params and "keepdim" in params:
        whole = facts.signature.defaults.get("dim", "") is None
        return "scalar" if whole else "reduce"
    for word in ("same", "scalar"):
        if words <= {word, f"{word}?"} and word in words:
            return word
    return "broadcast" if "broadcast" in words and words <= {"same", "same?", "broadcast"} else "unknown"
