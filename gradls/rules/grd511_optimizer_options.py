"""GRD511."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.optimizers import OptimizerSpec, find_optimizer
from gradls.flow.facts import Event, Facts
from gradls.flow.values import Host, Instance, Lib, Mapping, Sequence, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.scopes import is_looked_up
from gradls.rules.words import owners, place

_NOT_NEGATIVE = ("lr", "weight_decay", "eps", "momentum")


class OptimizerOptions(Rule):
    """Options of an optimizer that it refuses.

    ## What it finds
    Literal options out of their range, such as a negative learning rate; options that exclude each other, also a tensor
    as the learning rate with `foreach=True`; and an optimizer over an embedding with sparse gradients that it cannot
    apply, or decay, or one that applies no others. As a warning, a group of parameters with an option under another
    name than the optimizer has for it, such as `learning_rate`; and parameters in float16 for an optimizer that divides
    by the root of squares, whose `eps` is 0 there.

    ## Why it matters
    Making the optimizer raises; with sparse gradients, its first step does. A group may hold whatever the program wants
    to keep there, so an option that is written in another way changes nothing.

    ## What PyTorch does
    It raises one of

        ValueError: Invalid learning rate: -0.1
        ValueError: Nesterov momentum requires a momentum and zero dampening
        ValueError: lr as a Tensor is not supported for capturable=False and foreach=True

        RuntimeError: `fused` and `foreach` cannot be `True` together.
        RuntimeError: Adam does not support sparse gradients, please consider SparseAdam instead
        RuntimeError: add(sparse, dense) is not supported. Use add(dense, sparse) instead.
        RuntimeError: weight_decay option is not compatible with sparse gradients
        RuntimeError: SparseAdam does not support dense gradients, please consider Adam instead

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=-0.1)  # raises ValueError: Invalid learning rate: -0.1
    ```

    ```python
    import torch

    model = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.tensor([0])).sum().backward()
    optimizer.step()  # raises RuntimeError: Adam does not support sparse gradients
    ```

    ```python
    import torch

    model = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)
    model(torch.tensor([0])).sum().backward()
    optimizer.step()  # raises RuntimeError: add(sparse, dense) is not supported
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    groups = [{"params": [model.weight]}, {"params": [model.bias], "learning_rate": 1.0}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    assert optimizer.param_groups[1]["lr"] == 0.1
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1).half()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.tensor([[0.0, 1.0, 1.0]]).half()).sum().backward()
    optimizer.step()
    assert model.weight.isnan().any()
    ```

    ```python
    import torch

    model = torch.nn.Sequential(torch.nn.Embedding(5, 3, sparse=True), torch.nn.Linear(3, 1))
    optimizer = torch.optim.SparseAdam(model.parameters())
    model(torch.tensor([0])).sum().backward()
    optimizer.step()  # raises RuntimeError: SparseAdam does not support dense gradients
    ```

    ## Use instead
    Options that fit; `SparseAdam`, `SGD` or `Adagrad` for sparse gradients.

    ```python
    import torch

    model = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    model(torch.tensor([0])).sum().backward()
    optimizer.step()
    assert model.weight.grad.is_sparse
    ```

    ## When it is silent
    Where the values are not known; and for `maximize=True`, which is the way to climb.

    ```python
    import torch

    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, maximize=True)
    weight.sum().backward()
    optimizer.step()
    assert weight.item() > 0
    ```

    A larger `eps`, and bfloat16, are right.

    ```python
    import torch

    model = torch.nn.Linear(3, 1).half()
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-4)
    model(torch.tensor([[0.0, 1.0, 1.0]]).half()).sum().backward()
    optimizer.step()
    assert not model.weight.isnan().any()
    ```

    ## Fix safety
    Suggested: dense gradients for the embedding, the name that the optimizer has for an option, a larger `eps`. None
    for other options.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    - https://docs.pytorch.org/docs/stable/generated/torch.optim.SparseAdam.html
    """

    code, name, severity = "GRD511", "optimizer-options", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        made: dict[Instance, Event] = {}
        reached: set[Tensor] = set()
        told: set[Instance] = set()
        for event in facts.of("optimizer-made", "backward", "step"):
            if event.kind == "backward":
                reached |= event.reached if event.node is not None else set()
                continue
            spec = find_optimizer(event.value.path) if isinstance(event.value, Instance) else None
            if spec is None or not isinstance(event.value, Instance):
                continue
            if event.kind == "optimizer-made":
                made[event.value] = event
                yield from self._of_groups(facts, event, spec)
                yield from self._of_options(event, spec)
                continue
            if event.halves & reached and event.value not in told:
                found = list(self._of_halves(event, spec, made.get(event.value)))
                told.update(event.value for _ in found)
                yield from found
            if spec.sparse == "raises" or (spec.sparse == "works" and _decays(made.get(event.value), spec)):
                yield from self._of_sparse(event, spec, made.get(event.value), reached)
            elif spec.sparse == "needed":
                yield from self._of_dense(event, spec, made.get(event.value), reached)

    def _of_options(self, event: Event, spec: OptimizerSpec) -> Iterator[Finding]:
        given: dict[str, Value] = dict(zip(spec.init, event.call.args, strict=False)) | event.call.kwargs
        options = dict(spec.defaults) | {name: _known(value) for name, value in given.items()}
        name = spec.name.rpartition(".")[2]
        for option in _NOT_NEGATIVE:
            value = options.get(option)
            if option in given and isinstance(value, (int, float)) and value < 0:
                yield self.finding(place(event.at), f"`{name}` raises: `{option}` must not be negative, and is {value}")
                return
        rate = given.get("lr")
        if isinstance(rate, Tensor):
            refused = _of_tensor_rate(name, rate, options)
            if refused:
                yield self.finding(place(event.at), f"`{name}` raises: {refused}")
                return
        if options.get("fused") is True and options.get("foreach") is True:
            yield self.finding(place(event.at), f"`{name}` raises: `fused` and `foreach` exclude each other")
        elif options.get("nesterov") is True and (
            options.get("momentum") == 0 or _is_positive(options.get("dampening"))
        ):
            message = f"`{name}` raises: `nesterov` needs a `momentum` above zero and no `dampening`"
            yield self.finding(place(event.at), message)

    def _of_groups(self, facts: Facts, event: Event, spec: OptimizerSpec) -> Iterator[Finding]:
        """Options of a group that the optimizer does not look at, because it has another name for them."""
        given = event.call.args[0] if event.call.args else event.call.kwargs.get("params")
        groups = given.elements if isinstance(given, Sequence) else ()
        for group in groups:
            entries = group.entries if isinstance(group, Mapping) and "params" in group.entries else {}
            for key in entries:
                meant = _MEANT.get(key.lower().replace(" ", "_").replace("-", "_")) if isinstance(key, str) else None
                if meant is None or key == meant or meant in entries or meant not in spec.init[1:]:
                    continue
                if is_looked_up(facts.source, key):
                    continue  # The program reads it from its groups.
                name = spec.name.rpartition(".")[2]
                message = (
                    f"`{name}` knows no option {key!r}: the group keeps it, nobody reads it, and these parameters have "
                    f"the `{meant}` of the whole optimizer; write {meant!r}"
                )
                parts = ast.walk(event.at.node)
                written = next((part for part in parts if isinstance(part, ast.Constant) and part.value == key), None)
                at = Place(event.at.source, written) if written is not None else place(event.at)
                rename = edits.replace_expression(at, f'"{meant}"')
                fixes = [Fix(f"Write {meant!r}", Safety.SUGGESTED, rename)] if written is not None else []
                yield self.finding(at, message, (), fixes, Severity.WARNING)

    def _of_halves(self, event: Event, spec: OptimizerSpec, made: Event | None) -> Iterator[Finding]:
        """The number that keeps the optimizer from dividing by zero is itself zero in float16."""
        name = spec.name.rpartition(".")[2]
        if made is None or made.call.unsure or name not in _DIVIDING:
            return
        given: dict[str, Value] = dict(zip(spec.init, made.call.args, strict=False)) | made.call.kwargs
        options = dict(spec.defaults) | {key: _known(value) for key, value in given.items()}
        eps = options.get("eps")
        if not isinstance(eps, float) or eps > _VANISHES or options.get("fused") not in (None, False):
            return
        message = (
            f"`{name}` divides by zero: its parameters are in float16, where `eps={eps}` is 0, and so are the squares "
            "of small gradients. They become NaN; keep them in float32 and use autocast, or give a larger `eps`"
        )
        fixes = [Fix("Use a larger `eps`", Safety.SUGGESTED, edits.set_keyword(place(made.at), "eps", "1e-4"))]
        story = [Step(place(event.at), "this step")]
        yield self.finding(place(made.at), message, story, fixes, Severity.WARNING)

    def _of_sparse(
        self, event: Event, spec: OptimizerSpec, made: Event | None, reached: set[Tensor]
    ) -> Iterator[Finding]:
        for tensor in event.parameters:
            owner = tensor.owner
            if owner is None or tensor not in reached or not _is_sparse(owner):
                continue
            name = spec.name.rpartition(".")[2]
            message = (
                f"`{name}` cannot apply the sparse gradients of an embedding, and raises; "
                "use `SparseAdam` or `SGD` for it"
                if spec.sparse == "raises"
                else f"`{name}` cannot add `weight_decay` to the sparse gradients of an embedding, and raises; give "
                "the embedding a group without it"
            )
            story = [Step(place(owner.at), "the embedding is made sparse here")] if owner.at is not None else []
            story += [Step(place(made.at), "the optimizer is made here")] if made is not None else []
            layers = dict.fromkeys(one.owner for one in event.parameters if one.owner is not None)
            made_at = [one.at for one in layers if one.at is not None and _is_sparse(one)]
            dense = edits.together(*(edits.set_keyword(place(at), "sparse", "False") for at in dict.fromkeys(made_at)))
            fixes = [Fix("Make the gradients of the embedding dense", Safety.SUGGESTED, dense)] if made_at else []
            yield self.finding(place(event.at), message, story, fixes)
            return

    def _of_dense(
        self, event: Event, spec: OptimizerSpec, made: Event | None, reached: set[Tensor]
    ) -> Iterator[Finding]:
        """An optimizer that takes nothing but the gradients of sparse embeddings."""
        dense = next((t for t in event.parameters if t in reached and t.owner is not None and _is_dense(t.owner)), None)
        if dense is None:
            return
        name = spec.name.rpartition(".")[2]
        message = (
            f"`{name}` cannot apply the gradient of {owners([dense])}, which is not sparse, and raises; give it only "
            "the embeddings with `sparse=True`, and the rest to another optimizer"
        )
        story = [Step(place(made.at), "the optimizer is made here")] if made is not None else []
        yield self.finding(place(event.at), message, story)


_DIVIDING = frozenset(("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad"))
"""Optimizers that divide by what they remember of gradients, plus `eps`."""
_VANISHES = 2.9e-8
"""Less than half of the smallest number above zero in float16."""

_MEANT = {
    **dict.fromkeys(("learning_rate", "learningrate", "lrate", "l_r", "lr"), "lr"),
    **dict.fromkeys(("weightdecay", "weight_decay", "wd", "decay", "l2"), "weight_decay"),
    **dict.fromkeys(("moment", "momentum"), "momentum"),
    **dict.fromkeys(("epsilon",), "eps"),
}
"""The options of optimizers, under the names that they have in papers and in other libraries."""


def _of_tensor_rate(name: str, rate: Tensor, options: dict[str, object]) -> str:
    """Why a tensor is refused as the learning rate; empty if it is taken."""
    if rate.shape is not None and any(size not in (None, 1) for size in rate.shape):
        return "a tensor as `lr` must have one element"
    if name in ("Adam", "AdamW") and options.get("foreach") is True and options.get("capturable") is False:
        return "a tensor as `lr` needs `capturable=True` where `foreach=True` is set"
    return ""


def _decays(made: Event | None, spec: OptimizerSpec) -> bool:
    """Is certainly every parameter of an optimizer decayed, for no group has options of its own?"""
    if made is None or made.call.unsure:
        return False
    given: dict[str, Value] = dict(zip(spec.init, made.call.args, strict=False)) | made.call.kwargs
    first, decay = given.get("params"), given.get("weight_decay")
    groups = first.elements if isinstance(first, Sequence) else ()
    if any(not isinstance(part, Tensor) for part in groups) or isinstance(first, (Mapping, Unknown)):
        return False
    return decay is not None and _is_positive(_known(decay))


def _is_sparse(owner: Instance) -> bool:
    value = owner.data.get("options", {}).get("sparse")
    return isinstance(value, Host) and value.value is True


def _is_dense(owner: Instance) -> bool:
    """Is it a layer whose weights certainly get gradients that are not sparse?"""
    if not isinstance(owner.cls, Lib):
        return False
    sparse = owner.data.get("options", {}).get("sparse")
    return sparse is None or (isinstance(sparse, Host) and sparse.value is False)


def _known(value: Value) -> object:
    return value.value if isinstance(value, Host) and value.known else ...


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0
