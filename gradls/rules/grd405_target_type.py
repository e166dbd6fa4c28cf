"""GRD405."""

from collections.abc import Iterable
from typing import NamedTuple

from gradls.autograd.versions import MSE_PROMOTES, Version, since
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.values import Tensor, Unknown
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.loss_arguments import Argument, called, history, is_computed, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class _Wrong(NamedTuple):
    what: str
    wanted: str
    suffix: str
    safety: Safety


_NEEDS_FLOAT = frozenset(("binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"))
_FLOAT_INPUT = frozenset(("cross_entropy", "nll_loss", *_NEEDS_FLOAT))
_NEEDS_INT = frozenset(("nll_loss", "multi_margin_loss"))


class TargetType(Rule):
    """A target whose dtype or shape the loss does not take.

    ## What it finds
    Integer or boolean targets for `BCELoss`, `BCEWithLogitsLoss`, `KLDivLoss` and `HuberLoss`, and with
    a `target-torch` before 2.12 for `MSELoss`; floating point labels for `NLLLoss`; and for `CrossEntropyLoss` floating
    point labels where it expects classes, integer one-hot vectors, and labels of shape (N, 1). Instead of scores, the
    indices that `argmax` makes of something unknown.

    ## Why it matters
    The call raises, or, with `HuberLoss` and an old `MSELoss`, the backward. `L1Loss` would take any of these, so
    a model that is changed from one loss to another stops working.

    ## What PyTorch does
    It raises one of

        RuntimeError: Found dtype Long but expected Float
        RuntimeError: result type Float can't be cast to the desired output type Long
        RuntimeError: expected target dtype to be Long or Byte, but got Float
        RuntimeError: Expected floating point type for target with class probabilities, got Long
        RuntimeError: 0D or 1D target tensor expected, multi-target not supported

    ## Example
    ```python
    import torch

    outputs = torch.nn.Linear(3, 1)(torch.randn(8, 3))
    labels = torch.randint(0, 2, (8, 1))
    torch.nn.BCEWithLogitsLoss()(outputs, labels)  # raises RuntimeError: result type Float can't be cast
    ```

    ```python
    import torch

    outputs = torch.nn.Linear(3, 5)(torch.randn(8, 3))
    labels = torch.nn.functional.one_hot(torch.randint(0, 5, (8,)), 5)
    torch.nn.CrossEntropyLoss()(outputs, labels)  # raises RuntimeError: Expected floating point type for target
    ```

    ```python
    import torch

    outputs = torch.nn.Linear(3, 5)(torch.randn(8, 3))
    labels = torch.randint(0, 5, (8, 1))
    torch.nn.CrossEntropyLoss()(outputs, labels)  # raises RuntimeError: 0D or 1D target tensor expected
    ```

    ## Use instead
    Convert the target.

    ```python
    import torch

    outputs = torch.nn.Linear(3, 5)(torch.randn(8, 3))
    labels = torch.randint(0, 5, (8, 1))
    one_hot = torch.nn.functional.one_hot(labels.squeeze(1), 5).float()
    first = torch.nn.functional.cross_entropy(outputs, labels.squeeze(1))
    second = torch.nn.functional.cross_entropy(outputs, one_hot)
    third = torch.nn.functional.binary_cross_entropy_with_logits(outputs, one_hot)
    assert torch.allclose(first, second) and third > 0
    ```

    ## When it is silent
    Where the dtype or the number of dimensions is not known; and for probabilities of classes, which
    `CrossEntropyLoss` takes as floating point numbers.

    ```python
    import torch

    outputs = torch.nn.Linear(3, 5)(torch.randn(8, 3))
    probabilities = torch.rand(8, 5).softmax(dim=1)
    assert torch.nn.functional.cross_entropy(outputs, probabilities) > 0
    ```

    ## Fix safety
    Safe for `.float()`; `.long()` and `.squeeze()` are suggested.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    code, name, severity = "GRD405", "target-type", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("loss"):
            given, wanted = prediction(event), target(event)
            chosen = _index(given) if given is not None and event.spec.name in _FLOAT_INPUT else None
            if given is not None and chosen is not None and not event.caught:
                if wanted is None or not is_computed(facts, wanted.value):  # otherwise the arguments are swapped
                    yield self._report_input(facts, event, given, chosen)
                continue
            if given is None or wanted is None or not isinstance(wanted.value, Tensor) or event.caught:
                continue
            if isinstance(given.value, Tensor) and given.value.dtype == "int":
                continue  # then the arguments are swapped
            wrong = _wrong(event.spec.name, given, wanted.value, facts.target)
            if wrong is not None and not is_computed(facts, wanted.value):
                yield self._report(facts, event, wanted, wrong)

    def _report_input(self, facts: Facts, event: Event, given: Argument, chosen: Node) -> Finding:
        what = code(facts, given.node) if given.node is not None else "the input"
        message = (
            f"{what} holds integers, and `{called(event)}` raises: it takes floating point numbers. `{chosen.op}` has "
            "no derivative: give the scores, which it was computed from"
        )
        return self.finding(place(event.at), message)

    def _report(self, facts: Facts, event: Event, wanted: Argument, wrong: _Wrong) -> Finding:
        what = code(facts, wanted.node) if wanted.node is not None else "the target"
        message = f"{what} {wrong.what}, and `{called(event)}` raises: {wrong.wanted}"
        fixes = []
        if wanted.node is not None:
            edit = edits.add_call(Place(event.at.source, wanted.node), wrong.suffix)
            fixes.append(Fix(f"Add `{wrong.suffix}`", wrong.safety, edit))
        return self.finding(place(event.at), message, (), fixes)


def _index(given: Argument) -> Node | None:
    """What gave the integers that a loss is to be computed from: indices, or what it cut off may have a gradient. If
    it had one for certain, it is told there."""
    node = history(given.value)
    known = isinstance(given.value, Unknown) or (isinstance(given.value, Tensor) and given.value.dtype == "int")
    if node is None or not known:
        return None
    if node.cut is None:
        return node if node.op in ("argmax", "argmin") and isinstance(given.value, Tensor) else None
    return node if node.cut.kind == "integer" and not node.cut.certain else None


def _wrong(name: str, given: Argument, wanted: Tensor, torch: Version) -> _Wrong | None:
    dtype = wanted.dtype
    kind = {"int": "holds integers", "bool": "holds booleans"}.get(dtype or "", "")
    backward = name == "huber_loss" or (name == "mse_loss" and not since(torch, MSE_PROMOTES))
    requires_grad = isinstance(given.value, Tensor) and given.value.requires_grad is True
    if backward and kind and requires_grad:
        return _Wrong(kind, "its backward takes floating point numbers", ".float()", Safety.SAFE)
    if name in _NEEDS_FLOAT and kind:
        return _Wrong(kind, "it takes floating point numbers", ".float()", Safety.SAFE)
    if name in _NEEDS_INT and dtype == "float":
        return _Wrong("holds floating point numbers", "it takes classes, as integers", ".long()", Safety.SUGGESTED)
    if name == "cross_entropy":
        return _of_cross_entropy(given, wanted)
    return None


def _of_cross_entropy(given: Argument, wanted: Tensor) -> _Wrong | None:
    if wanted.node.op == "one_hot" and wanted.dtype == "int":
        return _Wrong("holds integers", "one-hot vectors are floating point numbers", ".float()", Safety.SAFE)
    outputs = given.value.shape if isinstance(given.value, Tensor) else None
    if outputs is None or wanted.shape is None or len(outputs) < 2:
        return None
    if wanted.dtype == "float" and len(wanted.shape) == len(outputs) - 1:
        return _Wrong("holds floating point numbers", "it takes classes, as integers", ".long()", Safety.SUGGESTED)
    if wanted.dtype != "int" or len(wanted.shape) != len(outputs):
        return None
    if wanted.shape[1] == 1 and outputs[1] != 1:
        return _Wrong(
            "has a dimension of 1 for the classes", "labels have no such dimension", ".squeeze(1)", Safety.SUGGESTED
        )
    if wanted.shape[1] is not None and wanted.shape[1] == outputs[1]:
        return _Wrong("holds integers", "probabilities are floating point numbers", ".float()", Safety.SAFE)
    return None
