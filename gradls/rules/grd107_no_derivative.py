"""GRD107."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.ops import find_op
from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.flow.reach import walk
from gradls.flow.values import Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.histories import all_between
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.straight_through import straight_through
from gradls.rules.words import code, place

SURROGATES = {
    "argmax": "`softmax`, or `gumbel_softmax(hard=True)`, is differentiable",
    "argmin": "`softmax` of the negative is differentiable",
    "one_hot": "`softmax` instead of the hard choice is differentiable",
    "topk": "the values have a gradient, the indices have none",
    "sort": "the values have a gradient, the indices have none",
    "argsort": "a soft ranking would be differentiable",
}
COMPARISONS = ("gt", "lt", "ge", "le", "eq", "ne")
CASTS = ("long", "int", "short", "byte", "char", "bool", "to", "type")


class NoDerivative(LostGradientRule):
    """An operation without a derivative on the only way to the loss.

    ## What it finds
    `argmax`, comparisons, casts to integers, the indices of `topk`, `sort` and `max`, `one_hot`, `nonzero`, `bincount`
    and other operations whose result never has a gradient, between parameters and a loss. As information, wherever they
    stand: the smooth functions of `torch.special` for which PyTorch has no derivative, such as `bessel_j0`; and an
    operation without a derivative between a part of a module and what its `forward` returns, in a file that does not
    train it.

    ## Why it matters
    The result is a constant for autograd. A loss that is made of hard decisions only, such as an accuracy, cannot
    train a model.

    ## What PyTorch does
    If nothing else in the loss has a gradient, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    Otherwise the parameters behind the operation silently get none.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    labels = torch.randint(0, 4, (8,))
    predicted = model(torch.randn(8, 3)).argmax(dim=1)
    loss = (predicted != labels).float().mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    x = torch.rand(4, requires_grad=True)
    wave = torch.special.bessel_j0(x)
    assert not wave.requires_grad
    ```

    ```python
    import torch

    gate, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*gate.parameters(), *head.parameters()], lr=0.1)
    chosen = torch.sigmoid(gate(torch.randn(8, 3)))
    loss = head((chosen > 0.5).float()).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert gate.weight.grad is None
    ```

    ## Use instead
    A loss of the scores.

    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    labels = torch.randint(0, 4, (8,))
    scores = model(torch.randn(8, 3))
    loss = torch.nn.functional.cross_entropy(scores, labels)
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## When it is silent
    Where the result is a mask, an index or a metric beside a way that has a gradient.

    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    scores = model(torch.randn(8, 3))
    loss = (scores * (scores > 0).float()).sum()
    loss.backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested for a comparison that is turned into numbers, as `(x > 0.5).float()`: the same values, with the gradient
    of `x` passed straight through; and for the places of the largest numbers, where the numbers fit as well. None
    otherwise: which surrogate is right depends on what is meant.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions
    """

    code, name, severity = "GRD107", "no-derivative", Severity.ERROR
    whole_file = True
    kinds = ("integer", "no_derivative")
    does = "has no gradient"

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = list(super().check(facts))
        yield from found
        told = {finding.place.node for finding in found}
        for call in dict.fromkeys(facts.each(_constant)):
            results = [result for _, _, result in facts.evaluations(call)]
            if call not in told and all(map(_looks_differentiable, results)):
                yield self.constant(facts, call, results[0])

    def constant(self, facts: Facts, call: ast.Call, result: Value) -> Finding:
        """A function of real numbers without a derivative, whatever is made of its result."""
        message = f"{code(facts, call)} has no derivative in PyTorch: what it gives does not require grad"
        assert isinstance(result, Tensor)
        sources = [edge.node for edge in result.node.edges if edge.node.at is not None]
        story = [Step(place(node.at), "though this does") for node in sources[:1] if node.at is not None]
        return self.finding(Place(facts.source, call), message, story, severity=Severity.INFORMATION)

    def report(self, facts: Facts, lost: Lost) -> Finding:
        finding = super().report(facts, lost)
        message = f"{finding.message}. {surrogate(lost.cut.op)}"
        return self.finding(finding.place, message, finding.story, _fixes(facts, lost), finding.severity)


def _values(facts: Facts, call: ast.Call, lost: Lost) -> list[Fix]:
    """`x.max(1)[1].float()`, which makes numbers of places, becomes `x.max(1)[0].float()`."""
    place_of, root = facts.parent(call), lost.backward.node
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name not in ("max", "min") or not isinstance(place_of, ast.Subscript) or root is None:
        return []
    index, outer = place_of.slice, facts.parent(place_of)
    if not isinstance(index, ast.Constant) or index.value != 1 or getattr(outer, "attr", "") not in ("float", "to"):
        return []
    if any(_is_constant(node.op) for node in all_between(root, lost.cut)):
        return []
    build = edits.replace_expression(Place(facts.source_of(index), index), "0")
    return [Fix("Use the values, not their places", Safety.SUGGESTED, build)]


def _is_constant(name: str) -> bool:
    """Has an operation no gradient, whatever it is given?"""
    op = find_op(f"torch.{name}")
    return op is not None and all(output.gradient == "none" for output in op.outputs)


def _fixes(facts: Facts, lost: Lost) -> list[Fix]:
    """For a comparison that is turned into numbers: the gradient of what is compared passes straight through. Only
    where nothing else ends it on the way to the loss."""
    assert lost.cut.cut is not None
    at = lost.cut.cut.at.node
    root = lost.backward.node
    if isinstance(at, ast.Call):
        return _values(facts, at, lost)
    if (
        not isinstance(at, ast.Compare)
        or len(at.ops) != 1
        or lost.cut.op not in ("gt", "ge", "lt", "le")
        or root is None
    ):
        return []
    others = (node for node in all_between(root, lost.cut) if node.at is None or node.at.node is not at)
    if any(node.cut is not None or _is_constant(node.op) for node in others):
        return []
    outer = facts.parent(at)
    whole = facts.parent(outer) if isinstance(outer, ast.Attribute) else None
    if not isinstance(whole, ast.Call) or not isinstance(outer, ast.Attribute) or outer.attr not in ("float", "to"):
        return []
    falls = isinstance(at.ops[0], (ast.Lt, ast.LtE))
    if falls or isinstance(at.left, ast.Constant) or not facts.is_tensor(at.left):
        return []
    if not _is_behind_the_first(lost):
        return []
    fix = straight_through(facts, whole, at.left)
    return [fix] if fix is not None else []


def _is_behind_the_first(lost: Lost) -> bool:
    """Is what loses its gradient behind the first operand, where a straight gradient goes? A threshold is not."""
    first = next((edge.node for edge in lost.cut.edges), None)
    return first is not None and any(node.leaf in lost.leaves for node in walk(first) if node.leaf is not None)


def _constant(facts: Facts) -> Iterator[ast.Call]:
    """The calls of what looks differentiable and is not."""
    for call, results in facts.calls.items():
        if all(_looks_differentiable(result) for _, _, result in results):
            yield call


def _looks_differentiable(value: Value) -> bool:
    """Does this come from an element-wise function whose result is as smooth as its argument, but has no gradient?"""
    if not isinstance(value, Tensor) or value.node.cut is None or value.node.cut.kind != "no_derivative":
        return False
    op = find_op(f"torch.special.{value.node.op}")
    return op is not None and value.node.cut.certain


def surrogate(op: str) -> str:
    """What to use instead of an operation without a derivative."""
    name = op.strip("_")
    if name in SURROGATES:
        return f"Here {SURROGATES[name]}"
    if name in COMPARISONS:
        return "A steep `sigmoid` of the difference is differentiable"
    if name in CASTS:
        return "Without the cast to integers the gradient passes"
    return "Compute the loss from values that are differentiable"
