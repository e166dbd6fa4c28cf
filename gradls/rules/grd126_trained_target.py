"""GRD126."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import SCALING, backwards
from gradls.flow.models.modules import parameters_of
from gradls.flow.reach import leaves, walk
from gradls.flow.sources import sources
from gradls.flow.values import Instance, Sequence, Tensor
from gradls.rules import edits
from gradls.rules.averages import average_of
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import Argument, called, history, prediction, target
from gradls.rules.rule import Rule
from gradls.rules.unused_gradients import cut_points, fates
from gradls.rules.words import code, owners, place

_RESHAPING = frozenset(("unsqueeze", "squeeze", "view", "reshape", "float", "to", "clone", "flatten"))


class TrainedTarget(Rule):
    """The target of a loss has a gradient.

    ## What it finds
    A loss on which `backward()` is called, whose target requires grad as well as its prediction, where the target
    - is a reward plus a discounted prediction, as in temporal-difference learning,
    - comes from a network that was given the weights of the predicting one by `load_state_dict()`, or
    - comes from other tensors than the prediction, in a program that has no optimizer to say which are trained.
    And, whatever the loss, a moving average of other parameters which backward reaches and an optimizer steps, too.

    ## Why it matters
    A target is what the prediction should move to. With a gradient it moves to the prediction as well, and the loss
    falls without anything being learned: values chase each other, representations collapse.

    ## What PyTorch does
    Nothing: losses such as `mse_loss` have a gradient for the target, the negative of that for the prediction.

    ## Example
    ```python
    import torch
    from torch.nn import functional as F

    network = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    state, following, reward = torch.randn(8, 4), torch.randn(8, 4), torch.randn(8)
    value = network(state).max(1).values
    wanted = reward + 0.9 * network(following).max(1).values
    F.mse_loss(value, wanted).backward()
    optimizer.step()
    assert wanted.requires_grad
    ```

    ```python
    import torch
    from torch.nn import functional as F

    one, other = torch.rand(3, requires_grad=True), torch.rand(3, requires_grad=True)
    F.mse_loss(one, other).backward()
    assert torch.equal(one.grad, -other.grad)
    ```

    ```python
    import copy
    import torch

    net = torch.nn.Linear(3, 3)
    average = copy.deepcopy(net)
    optimizer = torch.optim.SGD([*net.parameters(), *average.parameters()], lr=0.1)
    for x in torch.randn(4, 8, 3):
        optimizer.zero_grad()
        (net(x) - average(x + 0.1)).pow(2).mean().backward()
        optimizer.step()
        for mean, own in zip(average.parameters(), net.parameters()):
            mean.data = 0.9 * mean.data + 0.1 * own.data
    assert average.weight.grad is not None
    ```

    ## Use instead
    `torch.no_grad()` around the target, or `detach()`.

    ```python
    import torch
    from torch.nn import functional as F

    network = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    state, following, reward = torch.randn(8, 4), torch.randn(8, 4), torch.randn(8)
    value = network(state).max(1).values
    with torch.no_grad():
        wanted = reward + 0.9 * network(following).max(1).values
    F.mse_loss(value, wanted).backward()
    optimizer.step()
    assert not wanted.requires_grad
    ```

    ## When it is silent
    For two outputs of networks that are all trained, which may be meant to meet each other. Of networks that are given
    to a function, so that nothing is known of them, only the reward plus a prediction of the same network is told.

    ```python
    import torch
    from torch.nn import functional as F

    image, text = torch.nn.Linear(4, 2), torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD([*image.parameters(), *text.parameters()], lr=0.1)
    F.mse_loss(image(torch.randn(8, 4)), text(torch.randn(8, 3))).backward()
    optimizer.step()
    assert image.weight.grad is not None and text.weight.grad is not None
    ```

    ## Fix safety
    Suggested: it changes what is trained.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html
    """

    code, name, severity = "GRD126", "trained-target", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterator[Finding]:
        yield from self._of_averages(facts)
        yield from self._of_unknown(facts)
        losses = [event for event in facts.of("loss") if event.node is not None and _both_have_gradients(event)]
        if not losses:
            return
        differentiated = {node for event in backwards(facts) for node in walk(event.node, follow="flow")}  # type: ignore[arg-type]
        followers = _followers(facts)
        stepped = {tensor for event in facts.of("optimizer-made", "group-added") for tensor in event.parameters}
        optimized = any(_may_optimize(event) for event in facts.of("optimizer-made", "unknown-step", "unknown-call"))
        seen = {node.at.node for fate in fates(facts) for node, _ in cut_points(facts, fate) if node.at is not None}
        for event in losses:
            wanted = target(event)
            assert wanted is not None
            assert isinstance(wanted.value, Tensor)
            why = _why(event, wanted.value.node, followers, optimized, stepped)
            places = {node.at.node for node in walk(wanted.value.node) if node.at is not None}
            if why and event.node in differentiated and not places & seen:
                seen.add(wanted.value.node.at.node if wanted.value.node.at is not None else event.at.node)
                yield self.report(facts, event, wanted, why)

    def _of_averages(self, facts: Facts) -> Iterator[Finding]:
        """Parameters that are the moving average of others, and trained."""
        seen: set[object] = set()
        for event in facts.of("write", "data-set"):
            average = average_of(event)
            if average is None or average.owner in seen or event.at.node in seen:
                continue
            step = next((one for one in facts.of("step") if average in one.trained), None)
            backward = next((one for one in backwards(facts) if average in one.reached), None)
            if step is not None and backward is not None:
                seen.update((event.at.node, average.owner))
                what = code(facts, facts.statement(event.at.node) or event.at.node)
                message = (
                    f"{what} makes {owners([average])} follow other parameters, and "
                    f"{code(facts, backward.at.node)} trains them, too: compute what comes from them under "
                    f"`{facts.torch_name}.no_grad()`"
                )
                makers = facts.of("optimizer-made", "group-added")
                story = [
                    *(Step(place(one.at), "the optimizer gets it here") for one in makers if average in one.parameters),
                    Step(place(backward.at), "it reaches the average"),
                    Step(place(step.at), "the optimizer moves it here"),
                ]
                yield self.finding(place(event.at), message, story)

    def _of_unknown(self, facts: Facts) -> Iterator[Finding]:
        """A network of which nothing is known, compared with a reward plus what it says itself."""
        for event in facts.each(_following):
            wanted = target(event)
            if wanted is not None:
                what = code(facts, wanted.node) if wanted.node is not None else "the target"
                message = (
                    f"the target {what} of `{called(event)}` is itself a prediction of the same network, plus a "
                    "reward: if the network trains, the loss also moves it. Detach it"
                )
                yield self.finding(place(event.at), message, [], self._fixes(event, wanted))

    def report(self, facts: Facts, event: Event, wanted: Argument, why: str) -> Finding:
        assert isinstance(wanted.value, Tensor)
        node = wanted.value.node
        what = code(facts, wanted.node) if wanted.node is not None else "the target"
        message = f"the target {what} of `{called(event)}` has a gradient: {why.format(who=owners(leaves(node)))}"
        story = [Step(place(node.at), "the target is computed here")] if node.at is not None else []
        return self.finding(place(event.at), message, story, self._fixes(event, wanted))

    def _fixes(self, event: Event, wanted: Argument) -> list[Fix]:
        if wanted.node is None:
            return []
        edit = edits.add_call(Place(event.at.source, wanted.node), ".detach()")
        return [Fix("Detach the target", Safety.SUGGESTED, edit)]


def _both_have_gradients(event: Event) -> bool:
    one, other = prediction(event), target(event)
    pair = [part.value for part in (one, other) if part is not None and isinstance(part.value, Tensor)]
    return len(pair) == 2 and all(value.requires_grad is True for value in pair) and pair[0] is not pair[1]


def _why(
    event: Event, wanted: Node, followers: list[tuple[Instance, Instance]], optimized: bool, stepped: set[Tensor]
) -> str:
    """What is wrong with a target that has a gradient; an empty string where it may be meant."""
    guess = prediction(event)
    assert guess is not None
    assert isinstance(guess.value, Tensor)
    own, others = set(leaves(guess.value.node)), set(leaves(wanted))
    if any(part.op == "grad" for root in (guess.value.node, wanted) for part in walk(root)):
        return ""  # the two sides of a differential equation
    if any(_holds(one, others) and _holds(other, own) and not own & others for one, other in followers):
        return "{who} only follow those of the prediction, so compute it under `torch.no_grad()`"
    if _is_bootstrapped(wanted):
        if stepped and others and stepped.isdisjoint(others) and not stepped.isdisjoint(own):
            return "it is itself a prediction, plus a reward, and {who} get gradients that no optimizer uses. Detach it"
        return "it is itself a prediction, plus a reward, and the loss also moves it. Detach it"
    if not optimized and not own & others:
        return "the loss also trains {who}. Detach it if only the prediction is to be trained"
    return ""


def _is_bootstrapped(node: Node) -> bool:
    """Is it a sum of something without a gradient and of a prediction times something without one?"""
    for _ in range(4):
        if node.op not in _RESHAPING or not node.edges:
            break
        node = node.edges[0].node
    if node.op not in ("add", "radd") or {edge.flows for edge in node.edges} != {True, False}:
        return False
    term = next(edge.node for edge in node.edges if edge.flows)
    return term.op in SCALING and sum(edge.flows is not False for edge in term.edges) == 1


def _following(facts: Facts) -> Iterator[Event]:
    """The losses of a chapter that are differentiated, with a target that follows what it is the target of."""
    losses = [event for event in facts.of("loss") if event.node is not None and _follows_itself(event)]
    if losses:
        differentiated = {node for event in backwards(facts) for node in walk(event.node, follow="maybe")}  # type: ignore[arg-type]
        yield from (event for event in losses if event.node in differentiated)


def _follows_itself(event: Event) -> bool:
    """Is the target a sum of something that no network gave, and of a multiple of what the network gives elsewhere that
    also gives the prediction?"""
    guess, wanted = prediction(event), target(event)
    roots = [history(part.value) if part is not None else None for part in (guess, wanted)]
    if roots[0] is None or roots[1] is None or guess is None or guess.value is wanted.value:  # type: ignore[union-attr]
        return False
    node = roots[1]
    while node.kind == "opaque" and node.op in _RESHAPING and node.edges:
        node = node.edges[0].node
    terms = [(edge.node, sources(edge.node)) for edge in node.edges if edge.flows is not False]
    predicted = [(term, found.calls) for term, found in terms if found.calls]
    if node.op not in ("add", "radd") or len(node.edges) > 2 or len(predicted) != 1:
        return False
    term, calls = predicted[0]
    if term.op not in SCALING or sum(bool(sources(edge.node).calls) for edge in term.edges) != 1:
        return False
    own = sources(roots[0]).calls
    networks = {id(call.get("called")) for call in (*own, *calls)}
    return bool(own) and len(networks) == 1 and set(own).isdisjoint(calls)


def _may_optimize(event: Event) -> bool:
    """Does an optimizer, or unknown code, get what may be parameters?"""
    return event.kind != "unknown-call" or any(isinstance(value, (Instance, Sequence)) for value in event.arguments)


def _followers(facts: Facts) -> list[tuple[Instance, Instance]]:
    """The modules that were given the weights of another one, each with that."""
    given = [(event.result, event.value) for event in facts.of("state-dict")]
    return [
        (event.value, source)
        for event in facts.of("load-state-dict")
        for result, source in given
        if event.given is result and isinstance(event.value, Instance) and isinstance(source, Instance)
    ]


def _holds(module: Instance, tensors: set[Tensor]) -> bool:
    return bool(tensors) and any(tensor in tensors for _, tensor in parameters_of(module)[0])
