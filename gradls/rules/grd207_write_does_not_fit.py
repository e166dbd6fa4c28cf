"""GRD207."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import new_tensor_instead, shown, statement_of
from gradls.rules.words import place

KINDS = {"int": "integers", "bool": "booleans", "float": "floating-point numbers"}


class WriteDoesNotFit(Rule):
    """An in-place operation has a result that does not fit into its tensor.

    ## What it finds
    An in-place operation whose result is of another kind than the tensor that it is to be written to (floating-point
    numbers into integers, integers into booleans), or is larger.

    ## Why it matters
    An in-place operation cannot change the dtype or the shape of its tensor. Counters made of whole numbers and sums
    that begin as `torch.zeros(())` are where it happens.

    ## What PyTorch does
    It raises one of

        RuntimeError: result type Float can't be cast to the desired output type Long

        RuntimeError: output with shape [3] doesn't match the broadcast shape [2, 3]

    ## Example
    ```python
    import torch

    position = torch.arange(4)
    position *= 0.5  # raises RuntimeError: result type Float can't be cast to the desired output type Long
    ```

    ```python
    import torch

    total = torch.zeros(())
    total += torch.ones(3)  # raises RuntimeError: doesn't match the broadcast shape [3]
    ```

    ## Use instead
    The operation that makes a new tensor, or a tensor that has the right dtype and shape from the start.

    ```python
    import torch

    position = torch.arange(4) * 0.5
    total = torch.zeros(3)
    total += torch.ones(3)
    assert position.dtype == torch.float32
    ```

    ## When it is silent
    For operations that convert (`copy_`, `fill_`, an assignment to `x[i]`), and where dtype or shape is not known.

    ```python
    import torch

    count = torch.zeros(3, dtype=torch.long)
    count += 1
    count[0] = 2.5
    count.fill_(1.5)
    grid = torch.ones(2, 3)
    grid += torch.ones(3)
    assert count.tolist() == [1, 1, 1]
    ```

    ## Fix safety
    Suggested: the new tensor has another dtype or shape, and other names of the old one do not see it.

    ## References
    - https://docs.pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc
    - https://docs.pytorch.org/docs/stable/notes/broadcasting.html#in-place-semantics
    """

    code, name, severity = "GRD207", "write-does-not-fit", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("unfit-write"):
            if not event.caught and isinstance(event.value, Tensor):
                yield self.report(facts, event, event.value)

    def report(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        what = f"`{tensor.name}`" if tensor.name else "the tensor"
        if "dtype" in event.info:
            why = f"its result is of {KINDS[event.dtype]}, and {what} holds {KINDS[event.target]}"
        else:
            why = f"its result has the shape {_shape(event.shape)}, and {what} has {_shape(event.target)}"
        where = Place(event.at.source, statement_of(facts, event.at))
        message = f"{shown(facts, event.at)} raises: {why}. Make a new tensor, or one that fits from the start"
        made = event.node.at if event.node is not None else None
        fixes = new_tensor_instead(facts, where, Safety.SUGGESTED)
        return self.finding(where, message, [Step(place(made), "it is made here")] if made is not None else [], fixes)


def _shape(sizes: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"
