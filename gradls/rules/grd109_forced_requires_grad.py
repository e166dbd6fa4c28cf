"""GRD109."""

from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.lost import backwards
from gradls.flow.reach import frontier, walk
from gradls.flow.values import Tensor, Value
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.registration import optimized
from gradls.rules.rule import Rule
from gradls.rules.training_order import gradient_of
from gradls.rules.words import backward_step, code, place


class ForcedRequiresGrad(Rule):
    """A loss without a graph that is told to require grad, so that `backward()` does not raise.

    ## What it finds
    `loss.requires_grad_(True)`, `loss.requires_grad = True` or `torch.tensor(value, requires_grad=True)` on something
    that was computed, but has no history, and is then the root of `backward()`: a gradient that was stored in `grad`,
    too. As information, the same on what a criterion gave, if a function returns it.

    ## Why it matters
    The flag silences the error and mends nothing. The loss becomes a leaf of its own: `backward()` runs, fills
    `loss.grad`, and reaches no parameter.

    ## What PyTorch does
    It says nothing. Without the flag it would raise

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    labels = torch.randint(0, 4, (8,))
    loss = (model(torch.randn(8, 3)).argmax(1) != labels).float().mean()
    loss.requires_grad_(True)
    loss.backward()
    assert model.weight.grad is None
    ```

    ```python
    import torch

    x = torch.tensor(2.0, requires_grad=True)
    x.pow(3).backward()
    first = x.grad
    first.requires_grad_(True)
    first.backward()
    assert x.grad == 12  # the first derivative, still
    ```

    ## Use instead
    A loss that keeps its history; no flag is needed. For a second derivative, a first that has a graph.

    ```python
    import torch

    model = torch.nn.Linear(3, 4)
    labels = torch.randint(0, 4, (8,))
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 3)), labels)
    loss.backward()
    assert model.weight.grad is not None
    ```

    ```python
    import torch

    x = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(x.pow(3), x, create_graph=True)
    first.backward()
    assert x.grad == 12  # the second derivative
    ```

    ## When it is silent
    For inputs that are meant to be leaves, such as an image that is optimized: there the flag comes before the
    computation. For a tensor that an optimizer steps, and for a backward that is given the gradient.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    image = torch.randn(8, 3).clamp(0, 1).requires_grad_(True)
    model(image).sum().backward()
    assert image.grad is not None
    ```

    ## Fix safety
    There is no automatic fix: the place to mend is the cut that the finding points at.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.requires_grad_.html
    """

    code, name, severity = "GRD109", "forced-requires-grad", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        trained = optimized(facts)
        read = {event.value for event in facts.of("grad-read")}
        for event in backwards(facts):
            root = event.node
            if root is None or root.leaf is None or event.gradient or root.leaf in trained:
                continue
            stored = gradient_of(root.leaf) is not None
            if not root.edges and not stored:
                continue
            cuts = [node for node in frontier(root) if node is not root]
            computed = stored or any(node.kind == "op" for node in walk(root.edges[0].node))
            forced = _forced_at(facts, event)
            if forced is None:
                continue
            # Made of nothing but known numbers it is an input, and where its own gradient is read, that is meant.
            meant = bool(forced.info.get("numbers")) or root.leaf in read
            if cuts or (computed and not meant):
                yield self._report(facts, event, forced, cuts)

        # A hook may hand the gradient on to what was computed before.
        hooked = {event.value for event in facts.of("hook")}
        yield from self._of_returned(facts, trained | read | hooked)

    def _of_returned(self, facts: Facts, used: set[Value | None]) -> Iterable[Finding]:
        """A value of a criterion that a function makes a new leaf of, and returns."""
        returned = {event.value for event in facts.of("return") if event.alone}
        rooted = {event.value for event in backwards(facts)}
        for event in facts.of("requires-grad-set", "created"):
            value = event.value
            if not isinstance(value, Tensor) or event.flag is not True or value in used or value in rooted:
                continue
            cuts = [cut for cut in frontier(value.node) if any(node.label == "loss" for node in walk(cut))]
            if value not in returned or not cuts or cuts[0].cut is None:
                continue
            message = (
                f"{code(facts, event.at.node)} only looks as if it had a gradient: its history ends at "
                f"{code(facts, cuts[0].cut.at.node)}, so a backward of what is returned reaches no parameter"
            )
            story = [Step(place(cuts[0].cut.at), "the gradient is lost here")]
            yield self.finding(place(event.at), message, story, severity=Severity.INFORMATION)

    def _report(self, facts: Facts, event: Event, forced: Event, cuts: list[Node]) -> Finding:
        what = code(facts, forced.at.node)
        end = f"{code(facts, event.at.node)} runs and reaches no parameter"
        story = []
        stored = isinstance(event.value, Tensor) and gradient_of(event.value) is not None
        reason = "the gradient was stored without a history" if stored else "the value has no history"
        for cut in cuts[:1]:
            if cut.cut is not None and cut.cut.at.node is not forced.at.node:
                reason = f"its history ends at {code(facts, cut.cut.at.node)}"
                story.append(Step(place(cut.cut.at), "the gradient is lost here"))
        story.append(backward_step(facts, event))
        return self.finding(place(forced.at), f"{what} only silences the error: {reason}, so {end}", story)


def _forced_at(facts: Facts, backward: Event) -> Event | None:
    """Where the root of a backward was made to require grad."""
    for event in facts.of("requires-grad-set", "created"):
        if event.value is backward.value and event.flag is True:
            return event
    return None
