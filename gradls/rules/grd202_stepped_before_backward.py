"""GRD202."""

from collections.abc import Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.paths import from_earlier_round
from gradls.rules.finding import Finding, Fix, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.saved_tensors import shown
from gradls.rules.statement_fixes import all_of, brief, deleted, moved_statement
from gradls.rules.training_order import rounds_of
from gradls.rules.words import code, owners, place


class SteppedBeforeBackward(Rule):
    """An optimizer changes weights that a backward still to come needs.

    ## What it finds
    A call of an optimizer's `step()` between a forward and a backward of that forward, where the forward keeps weights
    that the optimizer changes. Three orders lead there: the discriminator's step before the generator's backward, one
    of two losses stepped before the other is propagated, and a state carried from batch to batch with its graph, which
    the next backward enters again.

    ## Why it matters
    `step()` writes to the weights in place. A backward through the forward that used the old weights would give
    a wrong gradient, so autograd refuses.

    ## What PyTorch does
    The backward raises

        RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation

    ## Example
    ```python
    import torch

    G, D = torch.nn.Linear(3, 3), torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    opt_g, opt_d = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
    score = D(G(torch.randn(8, 3)))
    d_loss, g_loss = score.mean(), -score.mean()
    d_loss.backward(retain_graph=True)
    opt_d.step()
    g_loss.backward()  # raises RuntimeError: modified by an inplace operation
    ```

    ```python
    import torch

    cell = torch.nn.GRUCell(3, 4)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    state = torch.zeros(8, 4)
    for _ in range(3):
        optimizer.zero_grad()
        state = cell(torch.randn(8, 3), state)
        state.sum().backward(retain_graph=True)  # raises RuntimeError: modified by an inplace operation
        optimizer.step()
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    policy, value = model(torch.randn(8, 3)).unbind(1)
    optimizer.zero_grad()
    policy.mean().backward(retain_graph=True)
    optimizer.step()
    optimizer.zero_grad()
    value.mean().backward()  # raises RuntimeError: modified by an inplace operation
    optimizer.step()
    ```

    ## Use instead
    Every loss with a forward after the step before it; or all backwards first, then all steps. A state that is carried
    along is detached.

    ```python
    import torch

    G, D = torch.nn.Linear(3, 3), torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    opt_g, opt_d = torch.optim.Adam(G.parameters()), torch.optim.Adam(D.parameters())
    fake = G(torch.randn(8, 3))
    opt_d.zero_grad()
    D(fake.detach()).mean().backward()
    opt_d.step()
    opt_g.zero_grad()
    (-D(fake).mean()).backward()
    opt_g.step()
    assert G.weight.grad is not None
    ```

    ```python
    import torch

    cell = torch.nn.GRUCell(3, 4)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
    state = torch.zeros(8, 4)
    for _ in range(3):
        optimizer.zero_grad()
        state = cell(torch.randn(8, 3), state.detach())
        state.sum().backward()
        optimizer.step()
    assert cell.weight_hh.grad is not None
    ```

    ## When it is silent
    Where the weights that were changed are not needed: those of a first linear layer whose input needs no gradient are
    not kept, and parameters behind a `detach()` are not reached.

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    out = layer(torch.randn(8, 3))
    out.mean().backward(retain_graph=True)
    optimizer.step()
    out.pow(2).mean().backward()
    assert layer.weight.grad is not None
    ```

    ## Fix safety
    Suggested, where nothing needs the forward before the step: the forward moves behind the step. Where the same
    optimizer steps again behind the backward, the first step goes, so that both losses are applied together. Otherwise
    there is none: which order is meant is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-correctness-checks
    - https://docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html
    """

    code, name, severity = "GRD202", "stepped-before-backward", Severity.ERROR

    def check(self, facts: Facts) -> Iterator[Finding]:
        weights: dict[object, dict[object, None]] = {}
        stale = [event for event in facts.of("stale-saved") if event.write.stepper is not None]
        events = [event for event in stale if event.write.certain and not event.caught]
        for event in events:
            weights.setdefault((event.at, event.write.at), {})[event.saved.tensor] = None
        for event in events:
            changed = weights.pop((event.at, event.write.at), None)
            if changed is not None:
                yield self.report(facts, event, [tensor for tensor in changed if tensor is not None])

    def report(self, facts: Facts, event: Event, changed: list) -> Finding:
        write, node = event.write, event.node
        assert node is not None
        backward, step = code(facts, event.at.node), shown(facts, write.at)
        carried = from_earlier_round(event.path, node.path)
        forward = shown(facts, node.at) if node.at is not None else "the forward"
        start = f"{backward} needs {owners(changed)} as {forward} used them, but {step} has changed them since"
        if carried:
            message = f"{start}: the graph of an earlier round hangs on it. Detach what is carried from round to round"
            used = "a value from an earlier round, with its graph"
        else:
            message = f"{start}: it raises. Step after this backward, or run the forward again after the step"
            used = "the forward that this backward goes through"
        story = [Step(place(node.at), used)] if node.at is not None else []
        story.append(Step(place(write.at), "the weights are changed here"))
        fixes = [] if carried else _step_later(facts, event) or _forward_later(facts, event)
        return self.finding(place(event.at), message, story, fixes)


def _step_later(facts: Facts, backward: Event) -> list[Fix]:
    """Where the same optimizer steps again behind the backward: the fix that leaves the first step away, and what
    clears its gradients in between, so that both losses are applied together."""
    write = backward.write
    steps = [event for event in facts.of("step", "zero-grad") if event.value is write.stepper]
    mine = [event for event in steps if event.calls == backward.calls and event.at.source is backward.at.source]
    first = [event for event in mine if event.kind == "step" and event.at.node is write.at.node]
    rounds, at = rounds_of(backward.path), backward.at.source.span
    start, end = at(write.at.node), at(backward.at.node)
    first = [event for event in first if rounds_of(event.path) == rounds and event.clock <= backward.clock]
    if not first or not start < end or not any(event.kind == "step" and at(event.at.node) > end for event in mine):
        return []
    between = {event.at.node: event for event in mine if event.kind == "zero-grad" and start < at(event.at.node) < end}
    title = f"Step once, behind `{brief(backward.at.node)}`"
    return all_of(title, deleted(facts, first[-1]), *(deleted(facts, event) for event in between.values()))


def _forward_later(facts: Facts, backward: Event) -> list[Fix]:
    """Where nothing uses the forward before the step: the fix that moves it behind that."""
    at = backward.node.at if backward.node is not None else None
    return moved_statement(facts, at.node, backward.write.at.node, behind=True) if at is not None else []
