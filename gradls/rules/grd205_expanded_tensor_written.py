"""GRD205."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Facts
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import new_tensor_instead, shown, statement_of
from gradls.rules.words import place

ACCEPTED = ("zero", "fill", "masked_fill", "copy_slices", "index_put", "index_fill", "masked_scatter", "scatter", "put")
"""Writes that are possible on a tensor whose elements overlap, or on a part of one."""


class ExpandedTensorWritten(Rule):
    """A tensor made by `expand` is written in place.

    ## What it finds
    An in-place operation on the result of `expand`, `expand_as` or `broadcast_to` that repeats a dimension of size 1.

    ## Why it matters
    `expand` copies nothing: all repetitions are the same memory. A write to one element would change the others, so
    there is no right result.

    ## What PyTorch does
    The write raises

        RuntimeError: unsupported operation: more than one element of the written-to tensor refers to a single memory
        location. Please clone() the tensor before performing the operation.

    ## Example
    ```python
    import torch

    start = torch.zeros(1, 3).expand(4, 3)
    start += torch.randn(4, 3)  # raises RuntimeError: more than one element of the written-to tensor
    ```

    ## Use instead
    An operation that makes a new tensor, or `clone()` first.

    ```python
    import torch

    start = torch.zeros(1, 3).expand(4, 3)
    start = start + torch.randn(4, 3)
    copy = torch.zeros(1, 3).expand(4, 3).clone()
    copy += 1
    assert copy.sum() == 12
    ```

    ## When it is silent
    Where it is not certain that a dimension is repeated, and for `zero_` and `fill_`, which PyTorch accepts.

    ```python
    import torch

    same = torch.zeros(4, 3).expand(4, -1)
    same += 1
    torch.zeros(1, 3).expand(4, 3).fill_(2.0)
    assert same.sum() == 12
    ```

    ## Fix safety
    Suggested: the new tensor takes more memory.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.expand.html
    """

    code, name, severity = "GRD205", "expanded-tensor-written", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("expanded-write"):
            if event.caught or event.op in ACCEPTED or not isinstance(event.value, Tensor):
                continue
            made = event.value.node.at
            what = f"`{event.value.name}`" if event.value.name else "a tensor"
            message = (
                f"{shown(facts, event.at)} writes in place to {what}, which `expand` made: its elements share memory, "
                f"so it raises. Use an operation that makes a new tensor, or `clone()` it first"
            )
            where = Place(event.at.source, statement_of(facts, event.at))
            fixes = new_tensor_instead(facts, where, Safety.SUGGESTED)
            if not fixes and made is not None and isinstance(made.node, ast.Call):
                fixes = [Fix("Clone what `expand` gives", Safety.SUGGESTED, edits.add_call(place(made), ".clone()"))]
            yield self.finding(where, message, [Step(place(made), "it is expanded here")] if made else [], fixes)
