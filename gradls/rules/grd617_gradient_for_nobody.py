"""GRD617."""

import ast
from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.hierarchy import is_module
from gradls.flow.lost import ADDITIVE, SCALING
from gradls.flow.models.modules import parameters_of
from gradls.flow.reach import frontier, lost_leaves, walk
from gradls.flow.values import Instance, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.mixed_gradients import Left, Mixed, left_gradients, mixed_gradients
from gradls.rules.registration import leaves_of
from gradls.rules.rule import Rule
from gradls.rules.unused_gradients import Fate, cut_points, fates, is_outside
from gradls.rules.words import code, owners, place


class GradientForNobody(Rule):
    """Backward goes into a network whose gradients nobody applies.

    ## What it finds
    A value in a loss through which gradient goes only to parameters that are in no optimizer, or whose gradients are
    cleared before their optimizer steps: the target network of Q-learning, the generator in the step of the
    discriminator, the critic's value in the loss of the actor. Or, if the gradient would go on to something that this
    loss does train, the `detach()` or `sample()` that ends it. And a backward for one optimizer that also fills
    gradients of another, whose step applies them with those of a backward of its own, as nothing clears them before;
    so with a function that computes gradients to read them, the importance of parameters say, and leaves them there.

    ## Why it matters
    The value is meant to be a constant for this loss, and is not. Backward computes gradients for a whole network in
    vain, keeps its activations for that, and adds them up in `grad`, where they wait for a later `step()`.

    ## What PyTorch does
    Nothing: it fills the `grad` of all parameters that it reaches, whether an optimizer holds them or not.

    ## Example
    ```python
    import torch
    from torch.nn import functional as F

    online, target = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    state, following, reward = torch.randn(8, 4), torch.randn(8, 4), torch.randn(8)
    wanted = reward + 0.9 * target(following).max(1).values
    loss = F.mse_loss(online(state).max(1).values, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert target.weight.grad is not None
    ```

    ```python
    import torch

    generator, critic = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(3):
        fake = generator(torch.randn(8, 2))
        loss = critic(fake).mean() - critic(torch.randn(8, 3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert generator.weight.grad is not None
    ```

    ## Use instead
    `torch.no_grad()` around what is a constant, or `detach()`.

    ```python
    import torch
    from torch.nn import functional as F

    online, target = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    state, following, reward = torch.randn(8, 4), torch.randn(8, 4), torch.randn(8)
    with torch.no_grad():
        wanted = reward + 0.9 * target(following).max(1).values
    loss = F.mse_loss(online(state).max(1).values, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    assert target.weight.grad is None and online.weight.grad is not None
    ```

    ## When it is silent
    Where gradient has to go through a network to something that is trained, as through the critic to the actor; for
    gradients that the program reads; and where not all optimizers and their parameters are known.

    ```python
    import torch

    actor, critic = torch.nn.Linear(4, 2), torch.nn.Linear(6, 1)
    optimizer = torch.optim.SGD(actor.parameters(), lr=0.1)
    state = torch.randn(8, 4)
    loss = -critic(torch.cat([state, actor(state)], 1)).mean()
    loss.backward()
    optimizer.step()
    assert actor.weight.grad is not None
    ```

    ## Fix safety
    Suggested: perhaps the network is missing from the optimizer. None where that is likely: a term of the loss is
    about that network alone, or it is part of a module that is trained otherwise.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disabling-gradient-computation
    """

    code, name, severity = "GRD617", "gradient-for-nobody", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterator[Finding]:
        seen: set[ast.AST] = set()
        # A model that takes the place of the one that an optimizer was made from is to be trained.
        others = (event.value for event in facts.of("model-rebound"))
        replacing = {leaf for other in others if isinstance(other, Instance) for leaf in leaves_of(other)}
        for fate in fates(facts):
            for node, leaves in cut_points(facts, fate, within=True):
                ended = next((cut for cut in frontier(node) if fate.applied.intersection(lost_leaves(cut))), None)
                at = node.at if ended is None or ended.cut is None else ended.cut.at
                if at is not None and at.node not in seen and (ended is not None or is_outside(facts, node)):
                    seen.add(at.node)
                    if ended is None and replacing.issuperset(leaves):
                        continue
                    if ended is None:
                        yield self.report(facts, fate, node, leaves)
                    else:
                        yield self.report_end(facts, fate, node, ended)
        for mixed in {one.first.event.at.node: one for one in mixed_gradients(facts)}.values():
            if mixed.first.event.at.node not in seen:
                yield self.report_mixed(facts, mixed)
        for left in {one.first.event.at.node: one for one in left_gradients(facts)}.values():
            if left.first.event.at.node not in seen:
                yield self.report_left(facts, left)

    def report_left(self, facts: Facts, left: Left) -> Finding:
        """The gradient is only read, and a step applies it together with its own."""
        first, read, last, step = (one.event for one in left)
        message = (
            f"{code(facts, first.at.node)} fills gradients that are read here and never cleared: "
            f"{code(facts, step.at.node)} applies them together with those of {code(facts, last.at.node)}. Clear them, "
            f"or take them with `{facts.torch_name}.autograd.grad`, which leaves `grad` alone"
        )
        story = [Step(place(read.at), "they are read here"), Step(place(last.at), "these are added to them")]
        story.append(Step(place(step.at), "and applied here"))
        return self.finding(place(first.at), message, story, severity=Severity.INFORMATION)

    def report_mixed(self, facts: Facts, mixed: Mixed) -> Finding:
        """The gradient is for another optimizer, and a step applies it together with its own."""
        first, other, last, step = (one.event for one in mixed[:4])
        message = (
            f"{code(facts, first.at.node)}, for which {code(facts, other.at.node)} steps, also fills the gradients of "
            f"{owners(mixed.leaves)}, and {code(facts, step.at.node)} applies them together with those of "
            f"{code(facts, last.at.node)}: detach what they made for the first, or clear them in between"
        )
        story = [Step(place(last.at), "these are added to them"), Step(place(step.at), "and applied here")]
        return self.finding(place(first.at), message, story, severity=Severity.INFORMATION)

    def report_end(self, facts: Facts, fate: Fate, node: Node, ended: Node) -> Finding:
        """The gradient is for somebody, and is cut off on the way."""
        assert ended.cut is not None
        wanted = [leaf for leaf in lost_leaves(ended) if leaf in fate.applied]
        what = f"`{node.name}`" if node.name else code(facts, node.at.node) if node.at is not None else "it"
        message = (
            f"{code(facts, ended.cut.at.node)} ends the gradient of {what} on its way to {owners(wanted)}: all that it "
            "reaches is thrown away"
        )
        return self.finding(place(ended.cut.at), message, [Step(place(fate.events[0].at), "the gradient begins here")])

    def report(self, facts: Facts, fate: Fate, node: Node, leaves: list[Tensor]) -> Finding:
        assert node.at is not None
        backward = fate.events[0]
        stepped = {tensor for event in facts.of("step") for tensor in event.parameters}
        if any(leaf in stepped for leaf in leaves):
            why, otherwise = "whose gradients are cleared before their optimizer steps", ""
        else:
            why, otherwise = "which no optimizer steps", ". If they are to be trained, give them to an optimizer"
        what = f"`{node.name}`" if node.name else code(facts, node.at.node)
        message = (
            f"through {what} {code(facts, backward.at.node)} also computes gradients for {owners(leaves)}, {why}: "
            f"detach {what}, or compute it under `torch.no_grad()`{otherwise}"
        )
        at = place(node.at)
        fixes = []
        if isinstance(at.node, ast.expr) and not self.is_to_be_trained(facts, fate, node, leaves):
            fixes.append(Fix("Detach it", Safety.SUGGESTED, edits.add_call(at, ".detach()")))
        return self.finding(at, message, [Step(place(backward.at), "they are computed here")], fixes)

    def is_to_be_trained(self, facts: Facts, fate: Fate, node: Node, leaves: list[Tensor]) -> bool:
        """Does it look as if an optimizer should have these parameters: is a term of the loss about them alone, do
        they belong to a module of which it trains other parts, or to none at all?"""
        stepped = {tensor for event in facts.of("step") for tensor in event.parameters}
        if not _backwards_through(facts, node) <= set(fate.events):
            return True
        if all(leaf in stepped for leaf in leaves):
            return False
        concerned = set(leaves)
        root = fate.events[0].node
        if root is not None and any(other is not node and other.at == node.at for other in walk(root)):
            return True  # the same expression also computes what is trained
        cuts = [cut for cut, of in cut_points(facts, fate, within=True) if not concerned.isdisjoint(of)]
        if root is not None and any(self.is_term(root, cut) for cut in cuts):
            return True
        if any(leaf.owner is None for leaf in leaves):
            return True
        for event in facts.of("object-made"):
            if isinstance(event.value, Instance) and is_module(event.value):
                held = {leaf for _, leaf in parameters_of(event.value)[0]}
                if concerned & held and fate.applied & held:
                    return True
        return False

    @staticmethod
    def is_term(root: Node, node: Node) -> bool:
        """Is it a term of a loss, so that without its gradient it says nothing?"""
        todo, seen = [root], {root}
        while todo:
            for edge in todo.pop().edges:
                if edge.node is node:
                    return True
                if edge.node not in seen and edge.node.op in (ADDITIVE | SCALING | {"mean", "sum"}):
                    seen.add(edge.node)
                    todo.append(edge.node)
        return False


def _backwards_through(facts: Facts, node: Node) -> set[Event]:
    """The backwards whose gradients may flow through a node."""
    known: dict[Node, set[Event]] | None = facts.memo.get("backwards through")
    if known is None:
        known = facts.memo["backwards through"] = {}
        for event in facts.of("backward"):
            for part in walk(event.node, follow="flow") if event.node is not None else ():
                known.setdefault(part, set()).add(event)
    return known.get(node, set())
