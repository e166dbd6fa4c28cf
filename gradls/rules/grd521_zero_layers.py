"""GRD521."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.values import Instance, Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, owners, place
from gradls.rules.zero_products import is_handed, stuck_zeros

_WRITES = frozenset(("init", "write", "data-set", "leaf-write", "load-state-dict", "step", "copied", "data-write"))
_WITH_MATRIX = ("torch.nn.Linear", "torch.nn.Conv", "torch.nn.ConvTranspose")


class ZeroLayers(Rule):
    """Layers that begin with nothing but zeros, one behind the other.

    ## What it finds
    A `backward()` whose gradient can come to a layer of zeros only through another layer of zeros. As a warning,
    parameters of zeros that are multiplied with each other, so that none of them ever gets a gradient: both matrices of
    a low-rank update, say.

    ## Why it matters
    A layer passes its gradient on multiplied by its weight. Behind a weight of zeros there is none: the first layer
    stays as it is. It gives zeros, so the weight of the second gets no gradient either. With ReLU or tanh between them
    only the last bias is ever trained; with others, all units of a layer stay alike.

    ## What PyTorch does
    Nothing: the gradients are there, and are zero.

    ## Example
    ```python
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    model(torch.randn(8, 3)).sum().backward()
    assert not model[0].weight.grad.any()
    assert not model[2].weight.grad.any()
    ```

    ```python
    import torch
    from torch import nn

    down, up = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4, 2))
    (torch.randn(8, 3) @ down.T @ up.T).sum().backward()
    assert not down.grad.any() and not up.grad.any()
    ```

    ## Use instead
    The default initialization, or zeros in the last layer only.

    ```python
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    model(torch.randn(8, 3)).sum().backward()
    assert model[2].weight.grad.any()
    ```

    ## When it is silent
    For layers of zeros beside each other, for one whose bias is not zero, and where the weights are written again.

    ```python
    import torch
    from torch import nn

    first, second = nn.Linear(3, 1), nn.Linear(3, 1)
    for layer in (first, second):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    inputs = torch.ones(8, 3)
    (first(inputs) + second(inputs)).sum().backward()
    assert first.weight.grad.any()
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/nn.init.html
    """

    code, name, severity = "GRD521", "zero-layers", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from self._of_products(facts)
        if not any(event.info.get("zero") for event in facts.of("init")):
            return
        zero: dict[Tensor, Event] = {}
        told: set[object] = set()
        for event in facts.events:
            if event.kind == "init" and isinstance(event.value, Tensor) and event.info.get("zero"):
                zero[event.value] = event
            elif event.kind in _WRITES:
                _forget(zero, event)
            elif event.kind == "backward" and event.node is not None and zero:
                dead = [leaf for leaf in event.reached - _reached(event.node, zero) if _is_zero_layer(leaf, zero)]
                dead.sort(key=lambda leaf: leaf.fields.born)
                if dead and zero[dead[0]].at.node not in told:
                    told.add(zero[dead[0]].at.node)
                    yield self._report(facts, event, dead, zero[dead[0]])

    def _of_products(self, facts: Facts) -> Iterable[Finding]:
        """Parameters of zeros that are multiplied with each other."""
        zero: dict[Tensor, Event] = {}
        alive: set[Tensor] = set()
        found: list[tuple[Event, list[Tensor], dict[Tensor, Event]]] = []
        for event in facts.of("parameter", "backward", *_WRITES):
            if isinstance(event.value, Tensor) and _makes_zero(event):
                zero[event.value] = event
            elif event.kind in _WRITES:
                _forget(zero, event)
            elif event.kind == "backward" and event.node is not None and len(zero) > 1:
                held = {leaf for leaf in zero if leaf in event.reached and not is_handed(leaf)}
                stuck = sorted(stuck_zeros(event.node, held), key=lambda leaf: leaf.fields.born)
                alive.update(held.difference(stuck))
                if len(stuck) > 1 and not any(_is_matrix(leaf, zero) for leaf in stuck):
                    found.append((event, stuck, dict(zero)))
        for backward, stuck, made in found:
            if alive.isdisjoint(stuck):
                alive.update(stuck)  # told
                yield self._report_stuck(backward, stuck, made)

    def _report_stuck(self, backward: Event, stuck: list[Tensor], zero: dict[Tensor, Event]) -> Finding:
        message = (
            f"{owners(stuck)} begin as zeros and are multiplied with each other, so the gradient of each is zero, and "
            "they stay zeros. Leave only one of the factors at zero"
        )
        story = [
            *(Step(place(zero[leaf].at), "this one, too") for leaf in stuck[1:3]),
            Step(place(backward.at), "this computes gradients of zero"),
        ]
        return self.finding(place(zero[stuck[0]].at), message, story, severity=Severity.WARNING)

    def _report(self, facts: Facts, event: Event, dead: list[Tensor], by: Event) -> Finding:
        message = (
            f"{code(facts, by.at.node)}: the gradient of {owners(dead)} is zero, because it comes through another "
            "layer of zeros. Leave all but the last layer as they are initialized by default"
        )
        return self.finding(place(by.at), message, [Step(place(event.at), "this computes gradients of zero")])


def _makes_zero(event: Event) -> bool:
    """Does it make a parameter of zeros, or one that there is zero?"""
    if event.kind == "init":
        return bool(event.info.get("zero"))
    if event.kind != "parameter":
        return False
    data = event.info.get("data")
    if not isinstance(data, Tensor) or data.node.op not in ("zeros", "zeros_like") or event.flag is not True:
        return False
    return not any(write.clock <= event.clock for write in (*data.writes, *data.hidden))


def _forget(zero: dict[Tensor, Event], event: Event) -> None:
    """Something else than zeros may be written."""
    tensors = event.parameters if event.kind == "step" else [event.value]
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            zero.pop(tensor, None)
            zero.pop(tensor.data, None)
        elif event.kind == "load-state-dict":
            zero.clear()


def _reached(root: Node, zero: dict[Tensor, Event]) -> set[Tensor]:
    """The leaves that a gradient comes to which is not multiplied by a matrix of zeros."""
    found: set[Tensor] = set()
    seen, todo = {root}, [root]
    while todo:
        node = todo.pop()
        if node.leaf is not None:
            found.add(node.leaf)
        matrix = next((edge.node.leaf for edge in node.edges if _is_matrix(edge.node.leaf, zero)), None)
        for edge in node.edges:
            if edge.flows is False or edge.node in seen:
                continue
            leaf = edge.node.leaf
            if matrix is None or (leaf is not None and leaf.owner is matrix.owner):
                seen.add(edge.node)
                todo.append(edge.node)
    return found


def _is_matrix(leaf: Tensor | None, zero: dict[Tensor, Event]) -> bool:
    if leaf is None or leaf not in zero or leaf.name.rpartition(".")[2] != "weight":
        return False
    return leaf.owner is not None and leaf.owner.path.startswith(_WITH_MATRIX)


def _is_zero_layer(leaf: Tensor, zero: dict[Tensor, Event]) -> bool:
    """Is it the weight of a layer that has nothing but zeros?"""
    if not _is_matrix(leaf, zero):
        return False
    assert isinstance(leaf.owner, Instance)
    bias = leaf.owner.fields.get("bias")
    return not isinstance(bias, Tensor) or bias in zero
