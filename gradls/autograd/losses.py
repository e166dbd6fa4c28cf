"""The loss functions and criteria of PyTorch: what they expect, and of which argument."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from gradls.autograd.data import table


@dataclass(frozen=True, slots=True)
class LossSpec:
    """A loss.

    - `function` and `module`: the spellings of both forms; empty if there is no such form.
    - `inputs`: the function's tensor arguments in order; `module_inputs` those of the module's forward.
    - `prediction`: which of `inputs` the model computes; `target`: which holds the truth, empty if none does (triplet
      losses).
    - `symmetric`: swapping the first two changes neither the value nor a gradient.
    - `expects`: what the prediction must be: "any", "logits", "log-probabilities" or "probabilities".
    - `target_dtype`: "any", "int", "float" or "int or probabilities".
    - `swapped`: what happens on typical inputs if prediction and target change places: "same value", "raises" or
      "wrong value"; empty without a target.
    - `refuses`: (argument, condition): the arguments that must not require grad, else the call itself raises. The
      condition is "int" if that is so only where the target holds class numbers, else empty.
    """

    name: str
    function: str
    module: str
    inputs: tuple[str, ...]
    module_inputs: tuple[str, ...]
    prediction: str
    target: str
    symmetric: bool
    expects: str
    target_dtype: str
    swapped: str
    refuses: tuple[tuple[str, str], ...]


def loss_spellings() -> Collection[str]:
    """All that `find_loss` knows."""
    found: dict[str, str] = table("losses")["spellings"]
    return found.keys()


@cache
def find_loss(name: str) -> LossSpec | None:
    """The loss with this canonical name, of the function or of the class; None if there is none."""
    stored = table("losses")
    record = stored["losses"].get(stored["spellings"].get(name, ""))
    if record is None:
        return None
    words = {key: record[key] for key in ("function", "module", "prediction", "target", "symmetric", "expects")}
    return LossSpec(
        name=stored["spellings"][name],
        inputs=tuple(record["inputs"].split()),
        module_inputs=tuple(record["module_inputs"].split()),
        target_dtype=record["target_dtype"],
        swapped=record["swapped"],
        refuses=tuple((name, word) for name, _, word in (entry.partition(":") for entry in record["refuses"].split())),
        **words,
    )
