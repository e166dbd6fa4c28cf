"""GRD118."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Edge, Node
from gradls.flow.lost import backwards
from gradls.flow.reach import leaves, walk
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, owners, place

_DRAWN = frozenset(("sample", "multinomial"))


class TrainedAdvantage(Rule):
    """The weight of a log-probability has a gradient of its own.

    ## What it finds
    In a loss on which `backward()` is called, the product of the `log_prob` of an action and a factor that requires
    grad: a policy gradient whose advantage or return was computed by a critic and not detached.

    ## Why it matters
    The policy gradient is the gradient of the log-probability, weighted by a number. If the number has a gradient, the
    same loss also trains the critic: to predict what makes the loss of the actor small, not what the return will be.

    ## What PyTorch does
    Nothing: a product has a gradient for both factors.

    ## Example
    ```python
    import torch

    policy, critic = torch.nn.Linear(4, 2), torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam([*policy.parameters(), *critic.parameters()])
    state, returns = torch.randn(8, 4), torch.randn(8)
    distribution = torch.distributions.Categorical(logits=policy(state))
    action = distribution.sample()
    advantage = returns - critic(state).squeeze(1)
    policy_loss = -(distribution.log_prob(action) * advantage).mean()
    policy_loss.backward()
    optimizer.step()
    assert critic.weight.grad is not None
    ```

    ## Use instead
    `detach()` on the factor; the critic has a loss of its own.

    ```python
    import torch

    policy, critic = torch.nn.Linear(4, 2), torch.nn.Linear(4, 1)
    optimizer = torch.optim.Adam([*policy.parameters(), *critic.parameters()])
    state, returns = torch.randn(8, 4), torch.randn(8)
    distribution = torch.distributions.Categorical(logits=policy(state))
    action = distribution.sample()
    advantage = returns - critic(state).squeeze(1)
    policy_loss = -(distribution.log_prob(action) * advantage.detach()).mean()
    (policy_loss + 0.5 * advantage.pow(2).mean()).backward()
    optimizer.step()
    assert critic.weight.grad is not None
    ```

    ## When it is silent
    Where the action has a gradient itself (`rsample()`), and for factors such as a learned temperature that are no
    result of a network.

    ```python
    import torch

    policy, log_alpha = torch.nn.Linear(4, 2), torch.zeros(1, requires_grad=True)
    distribution = torch.distributions.Normal(policy(torch.randn(8, 4)), 1.0)
    action = distribution.rsample()
    (log_alpha.exp() * distribution.log_prob(action).sum(1)).mean().backward()
    assert policy.weight.grad is not None
    ```

    ## Fix safety
    Suggested: it changes what is trained.

    ## References
    - https://docs.pytorch.org/docs/stable/distributions.html#score-function
    """

    code, name, severity = "GRD118", "trained-advantage", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterator[Finding]:
        given = {event.node: event for event in facts.of("log-prob") if event.node is not None}
        if not given:
            return
        seen: set[ast.AST] = set()
        for backward in backwards(facts):
            assert backward.node is not None
            for node in walk(backward.node, follow="flow"):
                if node.op == "mul" and node.at is not None and node.at.node not in seen and len(node.edges) == 2:
                    factor = _factor(node, given)
                    if factor is not None and (factor.at is None or factor.at.node not in seen):
                        seen.update(at.node for at in (node.at, factor.at) if at is not None)
                        yield self.report(facts, node, factor)

    def report(self, facts: Facts, node: Node, factor: Node) -> Finding:
        assert node.at is not None
        product = node.at.node
        operand: ast.AST | None = None
        if isinstance(product, ast.BinOp):
            operand = product.left if node.edges[0].node is factor else product.right
        what = code(facts, operand) if operand is not None else f"`{factor.name or factor.op}`"
        trained = [leaf for leaf in leaves(factor) if leaf.is_parameter]
        message = (
            f"the log-probability is weighted by {what}, which has a gradient: this loss also trains "
            f"{owners(trained)}. If {what} is only meant as a weight, detach it"
        )
        story = [Step(place(factor.at), "the weight is computed here")] if factor.at is not None else []
        fixes = []
        if operand is not None and isinstance(operand, ast.expr):
            edit = edits.add_call(Place(node.at.source, operand), ".detach()")
            fixes.append(Fix("Detach the weight", Safety.SUGGESTED, edit))
        return self.finding(place(node.at), message, story, fixes)


def _factor(product: Node, given: dict[Node, Event]) -> Node | None:
    """The factor of a log-probability, if it has a gradient that it should not have."""
    for score, other in (product.edges, product.edges[::-1]):
        if not score.flows or not other.flows or not _is_network(other):
            continue
        scores = [part for part in walk(score.node, follow="flow") if part in given]
        if not scores or any(part in given for part in walk(other.node, follow="flow")):
            continue
        actions = [given[part].given for part in scores]
        if any(not isinstance(action, Tensor) or action.requires_grad is not False for action in actions):
            continue
        drawn = all(any(part.op in _DRAWN for part in walk(action.node)) for action in actions)
        if drawn or _is_difference(other.node):
            return other.node
    return None


def _is_network(edge: Edge) -> bool:
    """Is the factor computed from data by something that is trained?"""
    parts = list(walk(edge.node, follow="flow"))
    trained = any(part.leaf is not None and part.leaf.is_parameter for part in parts)
    every = list(walk(edge.node))
    if trained and any(part.leaf is not None and not part.leaf.is_parameter for part in every):
        return True
    return trained and any(_is_layer_of_unknown(part) for part in every)


def _is_layer_of_unknown(node: Node) -> bool:
    """Is it what a weight makes of data of which nothing is known, as those of an environment are?"""
    if node.op.lower() not in _LAYERS:
        return False
    weighted = any(edge.node.leaf is not None and edge.node.leaf.is_parameter for edge in node.edges)
    return weighted and any(edge.flows is not True and edge.node.leaf is None for edge in node.edges)


_LAYERS = frozenset(("linear", "conv1d", "conv2d", "conv3d", "embedding", "lstm", "gru", "lstmcell", "grucell"))
"""Layers that data go into, by the names of their classes and functions in small letters."""


def _is_difference(node: Node, depth: int = 4) -> bool:
    """Is it the difference, however scaled, of something without a gradient and something with one?"""
    if node.op in ("sub", "rsub", "add") and {edge.flows for edge in node.edges} == {True, False}:
        return True
    return depth > 0 and any(edge.flows and _is_difference(edge.node, depth - 1) for edge in node.edges)
