"""GRD112."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.autograd.distributions import find_distribution
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import At, Node
from gradls.flow.lost import Lost, backwards
from gradls.flow.reach import frontier, lost_leaves, walk
from gradls.flow.values import Lib, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.grd108_zero_gradient import split
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.words import backward_step, code, owners, place


class SampleWithoutGradient(LostGradientRule):
    """A sample through which no gradient goes back to the distribution.

    ## What it finds
    `distribution.sample()` between the parameters of the distribution and a loss, as the only way. And one whose values
    a loss goes through, when the parameters are reached by another term of that loss only, such as the divergence in
    a variational autoencoder; so with `torch.normal(mean, std)`, whose gradient is zero.

    ## Why it matters
    `sample()` draws under `no_grad`. The parameters that made the mean or the scale get no gradient from the sample;
    `rsample()` draws the same values by a formula that autograd records.

    ## What PyTorch does
    If nothing else in the loss has a gradient, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    Otherwise the parameters silently get none.

    ## Example
    ```python
    import torch

    encoder = torch.nn.Linear(3, 2)
    distribution = torch.distributions.Normal(encoder(torch.randn(8, 3)), 1.0)
    loss = distribution.sample().pow(2).mean()
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    encoder, decoder = torch.nn.Linear(3, 2), torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
    data = torch.randn(8, 3)
    mean = encoder(data)
    code = torch.distributions.Normal(mean, torch.ones(8, 2)).sample()
    reconstruction = (decoder(code) - data).pow(2).sum()
    (reconstruction + mean.pow(2).sum()).backward()
    optimizer.step()
    assert not code.requires_grad
    ```

    ## Use instead
    ```python
    import torch

    encoder = torch.nn.Linear(3, 2)
    distribution = torch.distributions.Normal(encoder(torch.randn(8, 3)), 1.0)
    loss = distribution.rsample().pow(2).mean()
    loss.backward()
    assert encoder.weight.grad is not None
    ```

    ## When it is silent
    For policy gradients: there the gradient goes through `log_prob`.

    ```python
    import torch

    policy = torch.nn.Linear(3, 4)
    distribution = torch.distributions.Categorical(logits=policy(torch.randn(8, 3)))
    action = distribution.sample()
    loss = -(distribution.log_prob(action) * torch.randn(8)).mean()
    loss.backward()
    assert policy.weight.grad is not None
    ```

    ## Fix safety
    Suggested. Discrete distributions have no `rsample()`, so none for them, but for `OneHotCategorical`, of which
    there is a variant that passes the gradient straight through. For `torch.normal(mean, std)` it writes
    `mean + std * torch.randn_like(std)`.

    ## References
    - https://docs.pytorch.org/docs/stable/distributions.html#pathwise-derivative
    """

    code, name, severity = "GRD112", "sample-without-gradient", Severity.ERROR
    whole_file = True
    kinds = ("sample",)
    does = "draws without a gradient"

    def check(self, facts: Facts) -> Iterable[Finding]:
        told = set()
        for finding in super().check(facts):
            told.add(finding.place.node)
            yield finding
        for event in backwards(facts):
            assert event.node is not None
            trained = {leaf for leaf in event.reached if leaf.requires_grad}
            for node in _drawn(event.node) if event.requires_grad is not False else ():
                if node.at is None or node.at.node in told:
                    continue
                others = trained if node.cut is not None else split(event.node, set())[0]
                beside = [leaf for leaf in lost_leaves(node) if leaf in trained and leaf in others]
                if beside and _is_input(event.node, node):
                    told.add(node.at.node)
                    yield self.report_beside(facts, event, node, beside)

    def report_beside(self, facts: Facts, event: Event, node: Node, beside: list[Tensor]) -> Finding:
        at = node.cut.at if node.cut is not None else node.at
        assert at is not None
        message = (
            f"{code(facts, at.node)} {self.does}: what is computed from it does not train {owners(beside)}, only other "
            "terms of this loss do"
        )
        fixes = [_by_formula(facts, at)]
        if node.cut is not None:
            fixes = [Fix("Use `rsample()`", Safety.SUGGESTED, edits.rename_attribute(place(at), "rsample"))]
        found = [fix for fix in fixes if fix is not None]
        return self.finding(place(at), message, [backward_step(facts, event)], found, Severity.INFORMATION)

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        spec = find_distribution(lost.cut.label)
        if spec is not None and spec.has_rsample == "no":
            return _straight_through(facts, lost) if spec.name.endswith(".OneHotCategorical") else []
        build = edits.rename_attribute(place(lost.cut.cut.at), "rsample")
        return [Fix("Use `rsample()`", Safety.SUGGESTED, build)]


def _drawn(root: Node) -> Iterator[Node]:
    """The samples before a loss of which there is a formula that has a gradient: those of `sample()`, and what
    `torch.normal` gives, whose gradient is zero."""
    for node in frontier(root):
        spec = find_distribution(node.label)
        smooth = spec is not None and spec.has_rsample == "yes"
        if smooth and node.cut is not None and node.cut.kind == "sample" and node.cut.certain:
            yield node
    yield from (node for node in walk(root, follow="flow") if node.zero and node.op == "normal")


def _by_formula(facts: Facts, at: At) -> Fix | None:
    """`mean + std * torch.randn_like(std)` for `torch.normal(mean, std)`."""
    call = at.node
    if not isinstance(call, ast.Call) or len(call.args) != 2 or call.keywords or not facts.is_tensor(call.args[1]):
        return None
    mean, std = (facts.segment(part) for part in call.args)
    if not isinstance(call.args[1], (ast.Name, ast.Attribute, ast.Call)):
        return None
    new = f"{mean} + {std} * {facts.torch_name}.randn_like({std})"
    return Fix("Draw by a formula that has a gradient", Safety.SUGGESTED, edits.replace_expression(place(at), new))


def _straight_through(facts: Facts, lost: Lost) -> Sequence[Fix]:
    """The class of which `rsample()` passes the gradient to the probabilities, in the place of `OneHotCategorical`."""
    assert lost.cut.cut is not None
    at = place(lost.cut.cut.at)
    drawn = at.node.func.value if isinstance(at.node, ast.Call) and isinstance(at.node.func, ast.Attribute) else None
    made = {
        call
        for call, records in facts.called("OneHotCategorical")
        for function, _, _ in records
        if isinstance(function, Lib) and function.path.endswith(".OneHotCategorical")
    }
    if drawn is None or len(made) != 1:
        return []
    call = made.pop()
    new = f"{facts.torch_name}.distributions.OneHotCategoricalStraightThrough"
    build = edits.together(
        edits.replace_expression(Place(facts.source_of(call), call.func), new),
        edits.rename_attribute(at, "rsample"),
    )
    return [Fix("Draw with the gradient passed straight through", Safety.SUGGESTED, build)]


def _is_input(root: Node, sample: Node) -> bool:
    """Does a loss go through something that is computed from a sample, and use no log-probability of it, by which its
    distribution would get a gradient?"""
    users = [
        node
        for node in walk(root, follow="flow")
        if any(edge.node is sample or sample in _constant(edge.node) for edge in node.edges)
    ]
    return bool(users) and all(node.op != "log_prob" for node in users)


def _constant(node: Node) -> list[Node]:
    """A node and those before it, as long as no gradient flows."""
    if any(edge.flows for edge in node.edges) or node.leaf is not None:
        return []
    return list(walk(node))
