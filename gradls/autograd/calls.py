"""Which overload of an operation a call means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from gradls.autograd.ops import Op, Output, Saved

ACCEPTS = {
    "tensor": {"tensor"},
    "tensors": {"tensors"},
    "number": {"number", "int", "float", "bool"},
    "int": {"int", "number", "bool"},
    "ints": {"ints"},
    "int|ints": {"ints", "int"},
    "float": {"float", "int", "number"},
    "bool": {"bool"},
    "str": {"str"},
    "dtype": {"dtype"},
    "any": {"any"},
}
"""Which kinds of arguments a parameter type takes. "number" as a kind is an int or a float, not known which."""


def select(op: Op, positional: Sequence[str], keywords: Mapping[str, str]) -> Op:
    """The overload that a call with these arguments means; if that is not certain, what the possible ones agree on.

    Arguments are given by kind: "tensor", "tensors" (a list or tuple of them), "int", "float", "number", "bool", "str",
    "none", "ints" (a list or tuple of ints), "dtype", or "unknown" (also for anything else). For a method, the first
    positional argument is the tensor itself. In that answer the word "unknown" stands for what they
    do not agree on; without `outputs`, not even their number is certain.
    """
    if not op.overloads:
        return op
    for numbers in (False, True):
        chosen: list[int] = []
        for index, overload in enumerate(op.overloads):
            fit = fits(overload, positional, keywords, numbers)
            if fit != "no":
                chosen.append(index)
            if fit == "yes":
                # PyTorch takes the first that fits.
                break
        if chosen:
            return op.overloads[chosen[0]] if len(chosen) == 1 else _agreement(op, tuple(chosen))
    return op


def fits(overload: Op, positional: Sequence[str], keywords: Mapping[str, str], numbers: bool) -> str:
    """Whether an overload takes these arguments: "yes", "no" or "maybe". `numbers`: also in place of tensors."""
    types = dict(zip(overload.params, overload.types, strict=True))
    names = overload.params[: overload.positional]
    given = dict(keywords)
    for index, kind in enumerate(positional):
        if index >= len(names):
            return "no"
        if names[index] == overload.variadic:
            rest = set(positional[index:])
            word = types[names[index]].rstrip("?")
            if len(positional) == index + 1 and kind in (word, "unknown"):
                given[names[index]] = kind
            elif rest <= {"unknown", *ACCEPTS[word.rstrip("s")]}:
                given[names[index]] = "unknown" if "unknown" in rest else word
            else:
                return "no"
            break
        given[names[index]] = kind
    if not overload.required <= {*given, overload.variadic} or not given.keys() <= types.keys():
        return "no"
    answer = "yes"
    for name, kind in given.items():
        word, optional = types[name].rstrip("?"), types[name].endswith("?")
        if word == "any" or (kind == "none" and optional):
            continue
        if kind == "unknown":
            answer = "maybe"
        elif kind not in ACCEPTS[word] and not (numbers and word == "tensor" and kind in ACCEPTS["number"]):
            return "no"
    return answer


@cache
def _agreement(op: Op, chosen: tuple[int, ...]) -> Op:
    """What several overloads have in common; the parameters are those of the first."""
    every = [op.overloads[index] for index in chosen]
    first = every[0]
    differentiable = frozenset().union(*(each.differentiable for each in every))
    saved = []
    for what in sorted({entry.what for each in every for entry in each.saved}):
        gates = tuple(sorted(gate for gate in differentiable if all(_saved_under(each, what, gate) for each in every)))
        if gates:
            saved.append(Saved(what, () if len(gates) == len(differentiable) else gates))
    frees_when = frozenset(
        param for param in differentiable if all(param in each.frees_when or _absent(each, param) for each in every)
    )
    raises_when = frozenset(
        param for param in differentiable if all(param in each.raises_when or _absent(each, param) for each in every)
    )
    outputs = first.outputs
    if any(each.outputs != outputs for each in every):
        outputs = _common([each.outputs for each in every])
    return replace(
        first,
        outputs=outputs,
        differentiable=differentiable,
        saved=tuple(saved),
        frees=bool(frees_when),
        frees_when=frees_when,
        raises_when=raises_when,
        refuses=frozenset.intersection(*(each.refuses for each in every)),
        view=_same([each.view for each in every], op.view),
        shape=_same([each.shape for each in every], "unknown"),
        factory=all(each.factory for each in every),
        python=all(each.python for each in every),
        sequence=all(each.sequence for each in every),
        overloads=(),
    )


def _absent(op: Op, param: str) -> bool:
    return param not in op.differentiable


def _common(every: Sequence[tuple[Output, ...]]) -> tuple[Output, ...]:
    """Results of which it is not known what they are: "unknown" stands for what differs; no outputs at all if not even
    their number is known."""
    if len({len(outputs) for outputs in every}) > 1:
        return ()
    return tuple(
        Output(
            _same([output.name for output in column], ""),
            _same([output.gradient for output in column], "unknown"),
            _same([output.dtype for output in column], "unknown"),
        )
        for column in zip(*every, strict=True)
    )


def _same(values: Sequence[str], otherwise: str) -> str:
    return values[0] if len(set(values)) == 1 else otherwise


def _saved_under(op: Op, what: str, gate: str) -> bool:
    if _absent(op, gate):
        return True
    if not what.startswith("result") and "tensor" not in dict(zip(op.params, op.types, strict=True)).get(what, ""):
        return True
    return any(entry.what == what and (not entry.gates or gate in entry.gates) for entry in op.saved)
