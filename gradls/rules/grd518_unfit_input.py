"""GRD518."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_KINDS = {"int": "integers", "bool": "booleans", "float": "floating-point numbers"}


class UnfitInput(Rule):
    """An input that a layer refuses: of another dtype, or with too few values for its statistics.

    ## What it finds
    An input of another dtype than the parameters of the layer, such as the double precision of NumPy for the single
    precision of a layer; a matrix product of two dtypes; an index of an embedding that is not of integers, or
    beyond its rows; and batch norm in training mode on a single value per channel.

    ## Why it matters
    The call raises. NumPy makes double precision unless it is told otherwise, and the last batch of an epoch may hold
    one example only.

    ## What PyTorch does
    It raises one of

        RuntimeError: mat1 and mat2 must have the same dtype, but got Double and Float

        RuntimeError: Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int

        IndexError: index out of range in self

        ValueError: Expected more than 1 value per channel when training, got input size torch.Size([1, 3])

    ## Example
    ```python
    import numpy
    import torch

    model = torch.nn.Linear(2, 1)
    data = torch.from_numpy(numpy.random.rand(8, 2))
    prediction = model(data)  # raises RuntimeError: mat1 and mat2 must have the same dtype, but got Double and Float
    ```

    ```python
    import torch

    table = torch.nn.Embedding(5, 2)
    table(torch.tensor([0.0, 3.0]))  # raises RuntimeError: Expected tensor for argument #1 'indices'
    ```

    ```python
    import torch

    table = torch.nn.Embedding(5, 2)
    table(torch.tensor([1, 5]))  # raises IndexError: index out of range in self
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    model(torch.randn(1, 4))  # raises ValueError: Expected more than 1 value per channel when training
    ```

    ## Use instead
    Data of the dtype of the parameters; integers for an embedding; larger batches, or `eval()` for a single example.

    ```python
    import numpy
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    data = torch.from_numpy(numpy.random.rand(8, 2)).float()
    assert model(data).shape == (8, 3)
    assert model.eval()(data[:1]).shape == (1, 3)
    table = torch.nn.Embedding(5, 2)
    assert table(torch.tensor([0, 3])).shape == (2, 2)
    ```

    ## When it is silent
    Where a dtype or a shape is not known: for layers that were converted by unknown code, under autocast, which casts
    half and single precision, and for layers whose mode something else may have set.

    ```python
    import torch

    model = torch.nn.Linear(2, 1).double()
    assert model(torch.ones(3, 2, dtype=torch.float64)).dtype == torch.float64
    model.to(torch.float32)
    assert model(torch.ones(3, 2)).dtype == torch.float32
    torch.nn.BatchNorm2d(3)(torch.randn(1, 3, 4, 4))
    ```

    ## Fix safety
    There is no automatic fix: the data may be converted where they are made, or the model.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.from_numpy.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """

    code, name, severity = "GRD518", "unfit-input", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        for event in facts.of("unfit-input"):
            if not event.caught and isinstance(event.value, Tensor):
                yield self._report(facts, event, event.value)

    def _report(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        if event.why == "may-be":
            message = (
                f"the indices of {code(facts, event.at.node)} go up to {event.number}, and the embedding has "
                f"{event.rows} rows: where one is {event.rows} or more, it raises"
            )
            return self.finding(place(event.at), message, severity=Severity.INFORMATION)
        reasons = {"dtype": _of_dtype, "index": _of_index, "one-value": _of_statistics, "outside": _of_number}
        why = reasons[event.why](event)
        story = []
        if tensor.node.at is not None and tensor.node.at.node is not event.at.node:
            story.append(
                Step(place(tensor.node.at), f"the {event.role if event.why == 'dtype' else 'input'} comes from here")
            )
        if event.calls is not None and event.made is not None:
            story.append(Step(place(event.calls[0]), "it is called from here"))
        if event.made is not None:
            story.append(Step(place(event.made), "the layer is made here"))
        # What another file makes may be made for other layers: there it may ask first.
        made_elsewhere = tensor.node.at is not None and tensor.node.at.source is not event.at.source
        severity = Severity.INFORMATION if made_elsewhere else None
        return self.finding(place(event.at), f"{code(facts, event.at.node)} raises: {why}", story, severity=severity)


def _of_dtype(event: Event) -> str:
    own, other = event.dtypes
    given = own if event.dtype == "float" else _KINDS[event.dtype]
    wanted = other or "floating-point numbers"
    side = "the parameters are" if event.made is not None else "the other operand is"
    return f"the {event.role} is {given}, and {side} {wanted}. Convert one of them, with `.to(...)`"


def _of_index(event: Event) -> str:
    return f"an embedding takes indices of whole numbers, and the input holds {_KINDS[event.dtype]}. Use `.long()`"


def _of_number(event: Event) -> str:
    return f"the index {event.number} is outside of the {event.rows} rows of the embedding, 0 to {event.rows - 1}"


def _of_statistics(event: Event) -> str:
    shape = ", ".join("N" if size is None else str(size) for size in event.shape)
    if event.batch:
        return (
            f"batch norm needs more than one value of each channel in training, and the input has shape ({shape}). "
            "Use a larger batch, or `eval()`"
        )
    return f"instance norm needs more than one place in each channel, and the input has shape ({shape})"
