"""GRD318."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import ADDITIVE, MOST_TERMS, SCALING
from gradls.flow.reach import walk
from gradls.flow.values import Tensor
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class LeafLeftBehind(Rule):
    """A tensor that was made to be trained, and is lost in the expression that made it.

    ## What it finds
    `w = torch.randn(3, requires_grad=True) * 0.01`, or the same with `.to(...)`, `.double()` or any other operation,
    where a `backward()` reaches the tensor that `randn` made, which has no name.

    ## Why it matters
    What has the name is the result of an operation, and no leaf. The gradient goes to the tensor behind it, which
    nobody can get at any more: `w.grad` stays None, and no optimizer accepts `w`.

    ## What PyTorch does
    Nothing, until `w.grad` is read

        UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.

    or `w` is given to an optimizer

        ValueError: can't optimize a non-leaf Tensor

    ## Example
    ```python
    import torch

    w = torch.randn(3, requires_grad=True) * 0.01
    w.sum().backward()
    assert not w.is_leaf
    assert w.grad is None  # warns UserWarning: The .grad attribute of a Tensor that is not a leaf
    ```

    ## Use instead
    The operation first, the flag last.

    ```python
    import torch

    w = (torch.randn(3) * 0.01).requires_grad_()
    w.sum().backward()
    assert w.is_leaf
    assert w.grad is not None
    ```

    ## When it is silent
    Where the leaf has a name or is kept somewhere, and for parameters of modules.

    ```python
    import torch

    raw = torch.zeros(3, requires_grad=True)
    scale = raw.exp()
    (scale * torch.ones(3)).sum().backward()
    assert raw.grad is not None
    ```

    Where an optimizer trains others, and nobody reads the gradient of the result: such data requires grad for the
    derivatives by what is computed from it.

    ```python
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    points = torch.rand(8, 2, requires_grad=True).to(torch.float64).to(torch.float32)
    x, t = points[:, :1], points[:, 1:]
    u = net(torch.cat([x, t], 1))
    u_t = torch.autograd.grad(u.sum(), t, create_graph=True)[0]
    (u_t + u).pow(2).mean().backward()
    optimizer.step()
    assert u_t.requires_grad
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.is_leaf.html
    """

    code, name, severity = "GRD318", "leaf-left-behind", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        backwards = list(facts.of("backward"))
        kept = _kept(facts) if backwards else set()
        trained = any(facts.of("optimizer-made"))
        read = {event.node for event in facts.of("grad-read")}
        retained = {event.node for event in facts.of("retain-grad", "hook")}
        told: set[ast.AST] = set()
        for event in backwards:
            for leaf in sorted(event.reached, key=lambda leaf: leaf.fields.born):
                at = leaf.node.at
                if leaf in kept or leaf.name or leaf.owner is not None or at is None or event.caught:
                    continue
                target = _target(facts, at.node) if leaf.requires_grad is True else None
                if target is None or at.node in told or _is_retained(event, leaf, retained):
                    continue
                result = _result(event, leaf, target)
                if result is not None:
                    asked = any(node is not None and node.name == target.id for node in read)
                    if not asked and (trained or _is_term(event.node, target.id)):
                        continue  # it is data, and others are trained; or what a sum of losses begins with
                    told.add(at.node)
                    yield self._report(facts, event, leaf, result, target)

    def _report(self, facts: Facts, event: Event, leaf: Tensor, result: Node, target: ast.Name) -> Finding:
        at = leaf.node.at
        assert at is not None
        if _is_maybe_the_leaf(result, leaf):
            message = (
                f"if `{result.op}()` changes anything, the gradient goes to {code(facts, at.node)}, which has no name, "
                f"and `{target.id}.grad` stays None: `{target.id}` is a result then. Write `.requires_grad_()` behind "
                "the whole value"
            )
            return self.finding(place(at), message, [Step(place(event.at), "the gradient is computed here")])
        message = (
            f"the gradient goes to {code(facts, at.node)}, which has no name: `{target.id}` is a result computed from "
            f"it, and `{target.id}.grad` stays None. Write `.requires_grad_()` behind the whole value"
        )
        return self.finding(place(at), message, [Step(place(event.at), "the gradient is computed here")])


def _is_term(root: Node | None, name: str) -> bool:
    """Is what goes by this name a term of the sum that is differentiated, whatever the terms are multiplied by?"""
    todo = [root] if root is not None else []
    seen = set(todo)
    while todo and len(seen) < MOST_TERMS:
        node = todo.pop()
        if node.kind != "phi" and node.op not in ADDITIVE | SCALING:
            continue
        for edge in node.edges:
            if edge.node.name == name and node.op in ADDITIVE:
                return True
            if edge.flows is not False and edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
    return False


def _kept(facts: Facts) -> set[object]:
    """Tensors that something else has, so that their gradient can be read."""
    found: set[object] = set()
    for event in facts.of("optimizer-made", "group-added"):
        found.update(event.parameters)
    for event in facts.of("grad-call"):
        found.update(event.targets)
    for event in facts.of("grad-read", "hook", "retain-grad", "grad-set"):
        found.add(event.value)
    for event in facts.of("unknown-call", "module-call", "forward"):
        found.update(event.arguments)
    for event in facts.of("attribute-set", "item-set"):
        found.add(event.assigned)
    for event in facts.of("append"):
        found.add(event.appended)
    return found


def _target(facts: Facts, node: ast.AST) -> ast.Name | None:
    """The one name that the statement around an expression binds to a value computed from it."""
    statement = facts.statement(node)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or statement.value is node:
        return None
    target = statement.targets[0]
    outer = facts.parent(node)
    while outer is not None and outer is not statement:
        if isinstance(outer, ast.Call) and node in (*outer.args, *(keyword.value for keyword in outer.keywords)):
            return None
        if not isinstance(outer, (ast.BinOp, ast.UnaryOp, ast.Call, ast.Attribute, ast.keyword)):
            return None
        node, outer = outer, facts.parent(outer)
    return target if isinstance(target, ast.Name) else None


def _result(event: Event, leaf: Tensor, target: ast.Name) -> Node | None:
    """The named result by way of which the gradient comes to the leaf."""
    if event.node is None:
        return None
    named = [part for part in walk(event.node, follow="flow") if part.name == target.id and part.leaf is None]
    return next((part for part in named if any(inner is leaf.node for inner in walk(part, follow="flow"))), None)


_CONVERSIONS = frozenset(("to", "type", "cuda", "cpu", "type_as"))


def _is_maybe_the_leaf(result: Node, leaf: Tensor) -> bool:
    """Is it nothing but a conversion of the leaf, which gives the leaf itself where there is nothing to convert?"""
    return result.op in _CONVERSIONS and any(edge.node is leaf.node for edge in result.edges)


def _is_retained(event: Event, leaf: Tensor, retained: set[Node | None]) -> bool:
    """Does something on the way to the leaf keep its gradient, or hand it to a hook?"""
    kept = [part for part in walk(event.node, follow="flow") if part in retained] if event.node is not None else []
    return any(inner is leaf.node for part in kept for inner in walk(part, follow="flow"))
