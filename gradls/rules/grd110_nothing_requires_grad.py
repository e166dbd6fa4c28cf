"""GRD110."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Edge, Node
from gradls.flow.lost import ADDITIVE, backwards, without_gradient
from gradls.flow.paths import Path, Round
from gradls.flow.reach import frontier, walk
from gradls.flow.values import REFUSED, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.frozen_unknown import freezes
from gradls.rules.lost_gradient import frozen_since, without_flag
from gradls.rules.rule import Rule
from gradls.rules.training_order import is_on_the_way
from gradls.rules.words import backward_step, code, place


class NothingRequiresGrad(Rule):
    """A loss in which nothing requires grad.

    ## What it finds
    A `backward()` on a value that was computed from tensors of which none requires grad: plain data, frozen parameters,
    tensors with `requires_grad=False`; in a loop, also parameters that an earlier round has frozen. As information, one
    that is such a value on one of several branches, and one of a model of which nothing is known but that all of it is
    frozen and that only data go into it.

    ## Why it matters
    There is nothing to differentiate with respect to: autograd recorded no operation.

    ## What PyTorch does
    It raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch

    w = torch.randn(3)
    x = torch.randn(8, 3)
    loss = (x @ w).pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    critic = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        critic(torch.randn(8, 3)).mean().backward()  # raises RuntimeError: element 0 of tensors does not require grad
        optimizer.step()
        critic.requires_grad_(False)
    ```

    ```python
    import torch

    features = torch.nn.Linear(3, 2).requires_grad_(False)
    content = torch.randn(8, 3)
    image = content.clone()
    optimizer = torch.optim.SGD([image], lr=0.1)
    loss = (features(image) - features(content).detach()).pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ## Use instead
    ```python
    import torch

    w = torch.randn(3, requires_grad=True)
    x = torch.randn(8, 3)
    loss = (x @ w).pow(2).mean()
    loss.backward()
    assert w.grad is not None
    ```

    ## When it is silent
    Where it is not known whether a tensor requires grad, such as an argument of a function.

    ## Fix safety
    Suggested: which tensor is meant to be trained only the author knows.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
    """

    code, name, severity = "GRD110", "nothing-requires-grad", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in backwards(facts):
            assert event.node is not None
            if any(_is_undecided(node) for node in walk(event.node)):
                continue
            if event.alone and event.node.kind == "leaf" and _is_kept(facts, event):
                continue
            frozen = frozen_since(facts, event)
            if frozen is not None:
                message = (
                    f"what this loss is to train was frozen after an earlier step, and never thawed: "
                    f"{code(facts, event.at.node)} raises. Set `requires_grad` to True again before the forward"
                )
                yield self.finding(place(event.at), message, [Step(place(frozen.at), "it is frozen here")])
            elif (tensor := without_flag(facts, event)) is not None:
                yield self._of_optimized(facts, event, tensor)
            elif event.caught:
                continue
            elif without_gradient(event) and not frontier(event.node):
                yield self._report(facts, event)
            else:
                yield from self._of_branch(facts, event)
                yield from self._of_frozen(facts, event)
                yield from self._of_unknown(facts, event)

    def _of_unknown(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """A model of which nothing is known was frozen altogether, and given data only."""
        for freeze in freezes(facts, event)[:1] if event.requires_grad is None else ():
            what = code(facts, facts.statement(freeze.at.node) or freeze.at.node)
            raises = f"{code(facts, event.at.node)} raises"
            message = f"{what} freezes all of the model, and only data go into it: unless they require grad, {raises}"
            yield self.finding(place(freeze.at), message, [backward_step(facts, event)], (), Severity.INFORMATION)

    def _of_optimized(self, facts: Facts, event: Event, tensor: Tensor) -> Finding:
        name = f"`{tensor.name}`" if tensor.name else "a tensor"
        message = (
            f"{name}, which an optimizer is to change, does not require grad: {code(facts, event.at.node)} raises. "
            "Call `requires_grad_()` on it before the forward"
        )
        made = tensor.node.at
        story = [Step(place(made), "it is made here, without `requires_grad`")] if made is not None else []
        return self.finding(place(event.at), message, story)

    def _of_frozen(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """All that the loss was computed from is frozen on one of the branches that lead to this backward."""
        assert event.node is not None
        nodes = list(walk(event.node, follow="maybe"))
        leaves = {node.leaf for node in nodes if node.leaf is not None and node.leaf.requires_grad is not False}
        if not leaves or any(leaf.requires_grad for leaf in leaves) or any(node.kind == "opaque" for node in nodes):
            return
        frozen: dict[Tensor, Event] = {}
        for earlier in facts.of("requires-grad-set", "freeze"):
            if earlier.clock > event.clock:
                break
            concerned = earlier.parameters if earlier.kind == "freeze" else (earlier.value,)
            frozen.update({leaf: earlier for leaf in concerned if leaf in leaves})
        if len(frozen) < len(leaves) or any(earlier.flag is not False for earlier in frozen.values()):
            return
        if any(not is_on_the_way(event.path, earlier.path) for earlier in frozen.values()):
            return
        taken = {_decisions(earlier.path) - _decisions(event.path) for earlier in frozen.values()}
        last = list(frozen.values())[-1]
        if len(taken) == 1 and any(taken):
            message = (
                f"where this runs, everything that this loss is computed from is frozen, and "
                f"{code(facts, event.at.node)} raises: nothing is left to be trained"
            )
            yield self.finding(place(last.at), message, [backward_step(facts, event)], (), Severity.INFORMATION)

    def _of_branch(self, facts: Facts, event: Event) -> Iterator[Finding]:
        """The loss is a constant on one of the branches that lead to this backward."""
        assert event.node is not None
        edges = _choice(event.node)
        if not any(edge.flows for edge in edges):
            return
        # What requires grad only since it was made is no constant: the edge says what it was by then.
        for node in (_behind(edge.node) for edge in edges if edge.flows is False):
            constant = node.leaf is not None and node.leaf.requires_grad is False and node.kind == "leaf"
            if not constant or node.at is None:
                continue
            if is_on_the_way(event.path, node.path) and not is_on_the_way(node.path, event.path):
                comes = "is" if event.node.kind == "phi" and any(edge.node is node for edge in edges) else "comes from"
                message = (
                    f"where the loss {comes} {code(facts, node.at.node)}, it has no gradient, and "
                    f"{code(facts, event.at.node)} raises: leave that round out, or keep the graph, as `0 * loss` and "
                    "`torch.nan_to_num(loss)` do"
                )
                yield self.finding(place(node.at), message, [backward_step(facts, event)], (), Severity.INFORMATION)

    def _report(self, facts: Facts, event: Event) -> Finding:
        assert event.node is not None
        sources = [node for node in walk(event.node) if node.leaf is not None and node.at is not None]
        explicit = [node for node in sources if _explicit(node) is not None]
        message = f"nothing in this loss requires grad: {code(facts, event.at.node)} raises"
        if explicit:
            message += "; `requires_grad=False` is written here"
            fixes: Sequence[Fix] = [_set_true(facts, explicit[0])]
            story = [Step(place(node.at), "this tensor does not require grad") for node in explicit if node.at]
        else:
            message += ". Give what is to be trained `requires_grad=True`"
            fixes = ()
            story = [Step(place(node.at), "this tensor does not require grad") for node in sources[:3] if node.at]
        return self.finding(place(event.at), message, [*story, backward_step(facts, event)], fixes)


def _is_undecided(node: Node) -> bool:
    """Unknown code that was given a leaf may have told it to require grad; where integers are told to, that raises."""
    return REFUSED in node.fields or bool(node.leaf is not None and node.leaf.fields.get("*escaped"))


def _decisions(path: Path | None) -> frozenset[tuple[int, object]]:
    """What was decided on a path, and how."""
    found = set()
    while path is not None:
        if not isinstance(path[1], Round):
            found.add((id(path[1]), path[2]))
        path = path[0]
    return frozenset(found)


def _choice(node: Node) -> tuple[Edge, ...]:
    """What a loss may be, by branch."""
    node = _behind(node)
    return node.edges if node.kind == "phi" and not any(edge.node.kind == "phi" for edge in node.edges) else ()


def _behind(node: Node) -> Node:
    """What a tensor is a multiple of, or a view. What is added may have a gradient, even if nothing is known of it."""
    for _ in range(8):
        edges = [edge for edge in node.edges if edge.node.kind != "opaque" or node.op in ADDITIVE]
        if node.kind != "op" or len(edges) != 1:
            break
        node = edges[0].node
    return node


def _is_kept(facts: Facts, event: Event) -> bool:
    """Is the tensor an attribute, of an object whose method nobody is seen to call, that another method made? By the
    time of the call it may be another one."""
    assert event.node is not None
    at = event.node.at
    return at is not None and facts.function(at.node) is not facts.function(event.at.node)


def _explicit(node: Node) -> ast.keyword | None:
    """The `requires_grad=False` with which a tensor was made."""
    call = node.at.node if node.at is not None else None
    if isinstance(call, ast.Call):
        for keyword in call.keywords:
            if (
                keyword.arg == "requires_grad"
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value is False
            ):
                return keyword
    return None


def _set_true(facts: Facts, node: Node) -> Fix:
    assert node.at is not None
    build = edits.set_keyword(Place(facts.source_of(node.at.node), node.at.node), "requires_grad", "True")
    return Fix("Set `requires_grad=True`", Safety.SUGGESTED, build)
