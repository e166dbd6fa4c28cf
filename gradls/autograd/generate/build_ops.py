"""The table of operations, put together."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gradls.autograd.calls import fits
from gradls.autograd.generate.catalogue import Entry, catalogue
from gradls.autograd.generate.classify import finish
from gradls.autograd.generate.experiments import Observation, Unusable, bind, observe
from gradls.autograd.generate.facts import Facts, apply_measured, apply_second, merge, native_facts, renamed
from gradls.autograd.generate.handwritten import DEVICES, EXTRA_OUTPUTS, FREES, GRADIENTS, VIEWS, handwritten
from gradls.autograd.generate.measure import version
from gradls.autograd.generate.natives import Native, natives
from gradls.autograd.generate.samples import Sample, base_name, samples
from gradls.autograd.generate.signatures import Signature

Seen = list[tuple[Observation, Sample]]


def kind_of(value: Any) -> str:
    """The kind of an argument, as `select` wants it."""
    if value is None:
        return "none"
    if isinstance(value, Tensor):
        return "tensor"
    for cls, word in ((bool, "bool"), (int, "int"), (float, "float"), (str, "str"), (torch.dtype, "dtype")):
        if isinstance(value, cls):
            return word
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, Tensor) for item in value):
            return "tensors"
        if all(isinstance(item, int) for item in value):
            return "ints"
    return "unknown"


def which(overloads: Sequence[Facts], sample: Sample) -> int | None:
    """The overload that a sample calls."""
    positional = [kind_of(value) for value in sample.args]
    keywords = {name: kind_of(value) for name, value in sample.kwargs.items()}
    for numbers in (False, True):
        for index, facts in enumerate(overloads):
            fit = fits(facts.op(), positional, keywords, numbers)
            if fit != "no" and bind(facts.signature, sample) is not None:
                return index
    return None


GENERIC = {"tensor": lambda: torch.rand(3, 4) + 0.1, "number": lambda: 0.5, "float": lambda: 0.5, "int": lambda: 1,
           "int|ints": lambda: 1, "ints": lambda: [0], "bool": lambda: False,
           "tensors": lambda: [torch.rand(3, 4) + 0.1, torch.rand(3, 4) + 0.1]}  # fmt: skip


def generic_sample(signature: Signature) -> Sample | None:
    """Something for every parameter that has no default."""
    torch.default_generator.manual_seed(0)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for index, (param, word) in enumerate(zip(signature.params, signature.types, strict=True)):
        if word.endswith("="):
            if index < signature.positional:
                break
            continue
        if word.rstrip("?") not in GENERIC:
            return None
        value = GENERIC[word.rstrip("?")]()
        if index < signature.positional:
            args.append(value)
        else:
            kwargs[param] = value
    return Sample(args, kwargs)


class Builder:
    """Describes spellings one after the other, and each native overload only once."""

    def __init__(self) -> None:
        self.natives = {str(native.function.func.name): native for native in natives()}
        self.known: dict[str, Facts] = {}

    def describe(self, entry: Entry) -> list[Facts]:
        """The facts of every overload of one spelling."""
        found = [self._schema_facts(entry, signature) for signature in entry.signatures]
        if any(facts is None for facts in found):
            self._look(entry, found)
        return [facts for facts in found if facts is not None]

    def _schema_facts(self, entry: Entry, signature: Signature) -> Facts | None:
        """What is known already: from another spelling of the same native overload."""
        known = self.known.get(signature.native)
        return None if known is None else renamed(known, signature)

    def _look(self, entry: Entry, found: list[Facts | None]) -> None:
        """Describe the overloads that are not known yet, in `found`."""
        drafts = [self._draft(entry, signature) for signature in entry.signatures]
        seen: dict[int, Seen] = {}
        for sample in samples(entry.spelling):
            index = which(drafts, sample)
            if index is not None and found[index] is None:
                self._try(entry, drafts[index], sample, seen.setdefault(index, []))
        for index, facts in enumerate(drafts):
            if found[index] is not None:
                continue
            pairs = seen.get(index, [])
            generic = generic_sample(facts.signature)
            if not pairs and generic is not None and not facts.factory:
                self._try(entry, facts, generic, pairs)
            native = self.natives.get(facts.signature.native)
            if pairs and (native is None or native.composite):
                apply_measured(facts, [observation for observation, _ in pairs])
            shapes: Seen = []
            if generic is not None and not facts.factory:
                self._try(entry, facts, generic, shapes, False)
            apply_second(facts, [observation for observation, _ in pairs])
            finish(entry.call, facts, pairs, [observation for observation, _ in shapes])
            correct(facts)
            if "inplace" in facts.signature.params:
                facts.written = self._written(entry, facts, [sample for _, sample in pairs])
            found[index] = facts
            if facts.signature.native and (pairs or entry.spelling.startswith("torch.Tensor.")):
                self.known[facts.signature.native] = facts

    def _draft(self, entry: Entry, signature: Signature) -> Facts:
        name = base_name(entry.spelling)
        native = self.natives.get(signature.native)
        if native is not None:
            return native_facts(name, signature, native)
        facts = Facts(name, signature, [["", "flows", "same"]])
        last = entry.spelling.rpartition(".")[2]
        facts.inplace = last.endswith("_") and not last.startswith("__")
        words = zip(signature.params, signature.types, strict=True)
        facts.differentiable = [param for param, word in words if word.startswith("tensor")]
        return facts

    def _written(self, entry: Entry, facts: Facts, tried: Sequence[Sample]) -> Facts:
        """The facts of the same function with `inplace=True`."""
        written = replace(facts, inplace=True, view="no", shape="same", outputs=[list(out) for out in facts.outputs])
        pairs: Seen = []
        for sample in tried:
            args = sample.args[: facts.signature.params.index("inplace")]
            self._try(entry, written, Sample(args, {**sample.kwargs, "inplace": True}), pairs)
        written.second, written.negative = {}, []
        apply_measured(written, [observation for observation, _ in pairs])
        apply_second(written, [observation for observation, _ in pairs])
        return written

    def _try(self, entry: Entry, facts: Facts, sample: Sample, pairs: Seen, gradients: bool = True) -> None:
        native: Native | None = self.natives.get(facts.signature.native)
        if adds_outputs(facts.signature, sample):
            return
        wanted = gradients and (native is None or native.composite)
        try:
            pairs.append((observe(entry.call, facts.signature, sample, facts.inplace, wanted), sample))
        except Unusable:
            return


def adds_outputs(signature: Signature, sample: Sample) -> bool:
    """Whether a sample asks for an output that is not usual."""
    given = dict(zip(signature.params, sample.args, strict=False)) | sample.kwargs
    return any(given.get(param) is True for param in EXTRA_OUTPUTS)


def correct(facts: Facts) -> None:
    """What neither schema nor samples say."""
    if facts.signature.native in GRADIENTS:
        for output in facts.outputs:
            output[1] = GRADIENTS[facts.signature.native]
        facts.differentiable = ["input"] if output[1] == "flows" else facts.differentiable
    if facts.signature.native in FREES:
        facts.frees = ["input"]
    if facts.name.startswith("resize"):
        facts.differentiable, facts.raises, facts.refuses = [], [], ["input"]
    if facts.name in DEVICES:
        facts.second = {}
    facts.view = VIEWS.get(facts.name, facts.view)
    facts.extra = {param: EXTRA_OUTPUTS[param] for param in facts.signature.params if param in EXTRA_OUTPUTS}


def build() -> dict[str, Any]:
    warnings.simplefilter("ignore")
    builder = Builder()
    found = {spelling: builder.describe(entry) for spelling, entry in catalogue().items()}
    found |= handwritten(found)
    records: list[dict[str, Any]] = []
    index: dict[str, int] = {}
    spellings: dict[str, int] = {}

    def store(record: dict[str, Any]) -> int:
        key = repr(record)
        if key not in index:
            index[key] = len(records)
            records.append(record)
        return index[key]

    def complete(facts: Facts) -> dict[str, Any]:
        written = {} if facts.written is None else {"written": store(facts.written.record())}
        return facts.record() | written

    for spelling, overloads in sorted(found.items()):
        every = [complete(facts) for facts in overloads]
        if len(every) == 1 or all(record == every[0] for record in every):
            spellings[spelling] = store(every[0])
        else:
            merged = merge(overloads).record()
            merged["overloads"] = [store(record) for record in every]
            spellings[spelling] = store(merged)
    return {"torch": version(), "ops": records, "spellings": spellings}
