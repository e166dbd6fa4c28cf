"""GRD119."""

from collections.abc import Iterator
from typing import Any

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Function, Instance, Tensor, Value
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.infinite_fixes import away_from_point, shielded_argument
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_WHY = {
    "square": "squares are 0 where what is squared is 0",
    "squares": "a sum of squares is 0 where all that is squared is 0",
    "abs": "an absolute value is 0 there",
    "relu": "a `relu` is 0 for everything negative",
    "clamp": "a `clamp` gives its bound for everything beyond it",
    "sigmoid": "a `sigmoid` rounds to 0 and to 1 for inputs far from 0",
    "tanh": "a `tanh` rounds to -1 and 1 for inputs far from 0",
    "softmax": "a `softmax` rounds to 0 for inputs far below the largest",
    "cosine_similarity": "a cosine is 1 or -1 for parallel vectors",
}
_LOGS = ("log", "log2", "log10", "log1p")


class InfiniteGradient(Rule):
    """An operation whose gradient is infinite at a number that its argument comes to.

    ## What it finds
    A root, logarithm or inverse trigonometric function of something that is 0 (or 1) for inputs which do occur: the
    root of a sum of squares, the logarithm of a softmax or sigmoid, the arc cosine of a cosine. The same operations
    behind `torch.where(x > 0, ..., 0)`, which does not keep their gradients away from 0, and a division by `x` there. A
    softmax over a row that is masked with minus infinity from end to end; and the product or quotient of something
    masked with infinity and of something that is trained.

    ## Why it matters
    The gradient there is infinite. Multiplied by the zero that comes from the other operations it is NaN, and one NaN
    makes every parameter NaN at the next step. It happens late: when two points are equal, a feature is dead, or the
    model has become sure. A small number added to the result, behind the root, does not help.

    ## What PyTorch does
    Nothing. The loss may be finite and the gradient NaN.

    ## Example
    ```python
    import torch

    features = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    length = torch.sqrt((features**2).sum(dim=1, keepdim=True))
    (features / (length + 1e-8)).sum().backward()
    assert features.grad[1].isnan().all()
    ```

    ```python
    import torch

    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = -logits.softmax(dim=1).log()[0, 1]
    loss.backward()
    assert loss.isinf() and logits.grad.isnan().any()
    ```

    ```python
    import torch

    x = torch.tensor([0.0, 4.0], requires_grad=True)
    torch.where(x > 0, x.sqrt() * x, torch.zeros_like(x)).sum().backward()
    assert x.grad.isnan().any()
    ```

    ```python
    import torch

    scores = torch.randn(3, 3, requires_grad=True)
    mask = torch.triu(torch.ones(3, 3), diagonal=0).bool()  # masks the whole first row
    scores.masked_fill(mask, float("-inf")).softmax(dim=-1).sum().backward()
    assert scores.softmax(dim=-1).isfinite().all() and scores.masked_fill(mask, -torch.inf).softmax(-1).isnan().any()
    ```

    ```python
    import torch

    temperature = torch.tensor(0.5, requires_grad=True)
    masked = torch.randn(3, 3).masked_fill(torch.eye(3).bool(), -torch.inf)
    loss = (masked / temperature).log_softmax(dim=-1)[:, 0].logsumexp(dim=0)
    loss.backward()
    assert loss.isfinite() and temperature.grad.isnan()
    ```

    ```python
    import torch

    total = torch.randn(3, requires_grad=True)
    count = torch.tensor([2.0, 0.0, 1.0])
    torch.where(count > 0, total / count, torch.zeros(3)).sum().backward()
    assert total.grad[1].isnan()
    ```

    ## Use instead
    A small number inside the root, `torch.linalg.norm` (whose gradient at 0 is 0), `log_softmax`, `logsigmoid`, or a
    `clamp` that stays clear of the point. For `torch.where`, an argument that is harmless on both sides.
    Scale first, and mask last.

    ```python
    import torch

    features = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    torch.sqrt((features**2).sum(dim=1) + 1e-12).sum().backward()
    torch.linalg.norm(features, dim=1).sum().backward()
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    logits.log_softmax(dim=1).sum().backward()
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    safe = torch.where(x > 0, x, torch.ones_like(x))
    torch.where(x > 0, safe.sqrt() * x, torch.zeros_like(x)).sum().backward()
    assert not any(leaf.grad.isnan().any() for leaf in (features, logits, x))
    ```

    ```python
    import torch

    temperature = torch.tensor(0.5, requires_grad=True)
    masked = (torch.randn(3, 3) / temperature).masked_fill(torch.eye(3).bool(), -torch.inf)
    masked.log_softmax(dim=-1)[:, 0].logsumexp(dim=0).backward()
    total = torch.randn(3, requires_grad=True)
    count = torch.tensor([2.0, 0.0, 1.0])
    (total / count.clamp(min=1)).sum().backward()
    assert temperature.grad.isfinite() and total.grad.isfinite().all()
    ```

    ## When it is silent
    Where nothing tells that the argument comes to such a number, and where no gradient flows.

    ```python
    import torch

    x = torch.rand(8, requires_grad=True)
    (x + 1).sqrt().sum().backward()
    (x.pow(2).mean() + 1).log().backward()
    with torch.no_grad():
        length = x.pow(2).sum(dim=0).sqrt()
    assert length > 0 and not x.grad.isnan().any()
    ```

    ## Fix safety
    Suggested: how small a number may be, only the author knows. The one that is added under a root is the square of the
    smallest that matters. None for masks, divisions and inverse trigonometric functions.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#gradients-for-non-differentiable-functions
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html
    - https://docs.pytorch.org/docs/stable/generated/torch.linalg.norm.html
    """

    code, name, severity = "GRD119", "infinite-gradient", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterator[Finding]:
        judges = {
            "steep": self._of_point,
            "shielded": self._of_where,
            "masked-out": self._of_mask,
            "infinite-factor": self._of_factor,
        }
        for event in facts.of(*judges):
            if not event.caught and not _is_read_only(facts, event) and not _ends_here(facts, event):
                yield judges[event.kind](facts, event)

    def _of_point(self, facts: Facts, event: Event) -> Finding:
        point = f"{event.point:g}"
        why = (
            f"its argument holds {point}" if event.certain else _WHY.get(event.source, f"its argument comes to {point}")
        )
        message = (
            f"the gradient of {code(facts, event.at.node)} is infinite where the argument of `{event.op}` is {point}, "
            f"and {why}. {_instead(event)}{_condition(event)}"
        )
        made = event.value.node.at if isinstance(event.value, Tensor) else None
        elsewhere = made is not None and made.node is not event.at.node
        story = [Step(place(made), "the argument comes from here")] if made is not None and elsewhere else []
        return self.finding(place(event.at), message, story, away_from_point(facts, event))

    def _of_mask(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} is NaN in a row of which every element is masked with minus infinity, and "
            "so are all gradients that come through it. Leave one element, or mask with a large finite number"
        )
        made = event.value.node.at if isinstance(event.value, Tensor) else None
        story = [Step(place(made), "a whole row is masked here")] if made is not None else []
        return self.finding(place(event.at), message, story)

    def _of_factor(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} takes in what was masked with infinity: where the mask is set, the gradient "
            "of the other side is infinite, and times the zero of a softmax it is NaN. Mask afterwards"
        )
        made = event.value.node.at if isinstance(event.value, Tensor) else None
        story = [Step(place(made), "the mask is put on here")] if made is not None else []
        return self.finding(place(event.at), message, story)

    def _of_where(self, facts: Facts, event: Event) -> Finding:
        message = (
            f"{code(facts, event.at.node)} computes both sides everywhere: where it takes the other one, the gradient "
            f"of `{event.op}` at 0 is infinite, and times zero it is NaN. Replace the argument of `{event.op}` by a "
            f"harmless number there, with a `torch.where` of its own{_condition(event)}"
        )
        story = [Step(place(event.node.at), "its gradient is not kept away")] if event.node and event.node.at else []
        return self.finding(place(event.at), message, story, shielded_argument(facts, event))


def _is_read_only(facts: Facts, event: Event) -> bool:
    """Does a program that runs here, and that computes gradients elsewhere, compute none of this, as of a measure that
    it prints?"""
    if event.alone or event.node is None or facts.unfinished:
        return False
    roots: list[Any] = [
        root
        for backward in facts.of("backward", "grad-call")
        for root in ([backward.node] if backward.kind == "backward" else backward.nodes)
    ]
    if not roots or None in roots:
        return False
    return not any(node is event.node for root in roots for node in walk(root, follow="maybe"))


def _ends_here(facts: Facts, event: Event) -> bool:
    """Does what a function computes go nowhere in it but into a test, an index or a number? It has no gradient."""
    if not event.alone or event.node is None or facts.unfinished:
        return False
    if "leaving" not in facts.memo:
        facts.memo["leaving"] = _leaving(facts)
    reached: frozenset[Node] | None = facts.memo["leaving"]
    return reached is not None and event.node not in reached


def _leaving(facts: Facts) -> frozenset[Node] | None:
    """All that others may get a gradient through of what a function computes; None if that is not known."""
    found: set[Node] = set()
    for event in facts.of(*_OUT):
        given_back = event.kind in ("return", "yield")
        if given_back and len(list(event.callers())) > 1:
            continue
        values = [event.info.get(name) for name in ("assigned", "appended")] + list(event.info.get("arguments", ()))
        if event.kind != "unknown-call":
            values.append(event.value)
        if given_back and isinstance(event.value, Instance) and event.value.path == "numpy.ndarray":
            continue
        if given_back and isinstance(event.value, (Instance, Function, Bound)):
            return None
        nodes = [event.node, *event.info.get("nodes", ())]
        for part in (part for value in values if isinstance(value, Value) for part in tensors_in(value)):
            nodes.append(part.node if isinstance(part, Tensor) else getattr(part, "fields", {}).get(("node",)))
        for node in nodes:
            if node is not None and node not in found:
                found.update(walk(node, follow="maybe"))
    return frozenset(found)


_OUT = (
    "return", "yield", "unknown-call", "append", "attribute-set", "item-set", "unknown-attribute-set", "write",
    "backward", "grad-call",
)  # fmt: skip


def _condition(event: Event) -> str:
    return "" if event.flows is True else ", if a gradient flows here"


def _instead(event: Event) -> str:
    if event.op in _LOGS and event.source in ("softmax", "sigmoid"):
        name = "log_softmax" if event.source == "softmax" else "logsigmoid"
        return f"Use `{name}`, or add a small number to the argument"
    if event.op in ("sqrt", "rsqrt", "pow"):
        return "Add a small number to the argument, not to the result"
    return "Keep the argument away from it, with a `clamp` or a small number added"
