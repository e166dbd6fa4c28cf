"""GRD525."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.ops import find_op
from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.paths import from_earlier_round, meets
from gradls.flow.reach import leaves, walk
from gradls.flow.values import Bound, Choice, Function, Instance, Tensor, Value
from gradls.rules.bypassed_wrappers import Bypass, bypasses
from gradls.rules.finding import Finding, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.training_order import is_handed_out, is_on_the_way
from gradls.rules.words import code, owners, place


class DistributedParameters(Rule):
    """DistributedDataParallel around parameters that get no gradient.

    ## What it finds
    A `DistributedDataParallel` whose next forward comes after a backward that reached some of the parameters of the
    module and not others: a layer that `forward` does not use, or an output that no loss is computed from. And one
    around a module without any parameter that requires grad. And one that is trained through its `module` only, without
    a call of itself, or only inside `no_sync()`. As information, the same of something unknown, if it is one.

    ## Why it matters
    The processes wait for each other until the gradients of all parameters that required grad when the module was
    wrapped are there. If one never comes, the next forward raises. Without that forward nobody waits or sends: each
    process trains a model of its own.

    ## What PyTorch does
    It raises

        RuntimeError: Expected to have finished reduction in the prior iteration before starting a new one. This error
        indicates that your module has parameters that were not used in producing loss.

        RuntimeError: DistributedDataParallel is not needed when a module doesn't have any parameter that requires a
        gradient.

    ## Example
    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Linear(3, 1)
            self.extra = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.body(x)


    def main():
        model = DistributedDataParallel(Net())
        for _ in range(2):
            y = model(torch.randn(8, 3))  # raises RuntimeError: Expected to have finished reduction in the prior
            y.pow(2).mean().backward()


    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        main()
    finally:
        dist.destroy_process_group()
    ```

    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    teacher = torch.nn.Linear(3, 1).requires_grad_(False)
    try:
        model = DistributedDataParallel(teacher)  # raises RuntimeError: DistributedDataParallel is not needed
    finally:
        dist.destroy_process_group()
    ```

    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    sent = []


    def send(state, bucket):
        sent.append(bucket)
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future


    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    model = DistributedDataParallel(torch.nn.Linear(3, 1))
    model.register_comm_hook(None, send)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.module(torch.randn(8, 3)).pow(2).mean().backward()
    optimizer.step()
    dist.destroy_process_group()
    assert not sent
    ```

    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    sent = []


    def send(state, bucket):
        sent.append(bucket)
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future


    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    model = DistributedDataParallel(torch.nn.Linear(3, 1))
    model.register_comm_hook(None, send)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        with model.no_sync():
            for x in torch.randn(4, 8, 3):
                model(x).pow(2).mean().backward()
        optimizer.step()
    dist.destroy_process_group()
    assert not sent
    ```

    ## Use instead
    A loss that is computed with all parameters; `requires_grad_(False)`, before the module is wrapped, for those that
    are not to be trained; or `find_unused_parameters=True`.

    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Linear(3, 1)
            self.extra = torch.nn.Linear(3, 1)

        def forward(self, x):
            return self.body(x)


    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    model = DistributedDataParallel(Net(), find_unused_parameters=True)
    for _ in range(2):
        model(torch.randn(8, 3)).pow(2).mean().backward()
    part = Net()
    part.extra.requires_grad_(False)
    model = DistributedDataParallel(part)
    for _ in range(2):
        model(torch.randn(8, 3)).pow(2).mean().backward()
    teacher = torch.nn.Linear(3, 1).requires_grad_(False)
    assert model(torch.randn(8, 3)).shape == teacher(torch.randn(8, 3)).shape
    dist.destroy_process_group()
    ```

    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    sent = []


    def send(state, bucket):
        sent.append(bucket)
        future = torch.futures.Future()
        future.set_result(bucket.buffer())
        return future


    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    model = DistributedDataParallel(torch.nn.Linear(3, 1))
    model.register_comm_hook(None, send)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    *first, last = torch.randn(4, 8, 3)
    with model.no_sync():
        for x in first:
            model(x).pow(2).mean().backward()
    model(last).pow(2).mean().backward()
    optimizer.step()
    dist.destroy_process_group()
    assert sent
    ```

    ## When it is silent
    For models that are not known to the last parameter, and where other code may compute the missing gradients.

    ```python
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    layers = torch.nn.ModuleDict({"first": torch.nn.Linear(3, 1), "second": torch.nn.Linear(3, 1)})


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, x, name):
            return self.layers[name](x)


    model = DistributedDataParallel(Net())
    for _ in range(2):
        loss = model(torch.randn(8, 3), "first").mean() + model(torch.randn(8, 3), "second").mean()
        loss.backward()
        with torch.no_grad():
            model(torch.randn(8, 3), "first")
    assert layers["second"].weight.grad is not None
    dist.destroy_process_group()
    ```

    ## Fix safety
    There is none: whether a part is to be used, frozen or left out is for a person to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
    """

    code, name, severity = "GRD525", "distributed-parameters", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("distributed-made"):
            if event.idle and not event.caught:
                why = "all parameters of the module are frozen" if event.parameters else "the module has no parameters"
                message = f"{code(facts, event.at.node)} raises: {why}. Use the module as it is, without the wrapper"
                yield self.finding(place(event.at), message)
        yield from self._unfinished(facts)
        yield from self._bypassed(facts)
        for found in bypasses(facts):
            yield self._report_bypass(facts, found)

    def _bypassed(self, facts: Facts) -> Iterator[Finding]:
        """Its module is trained, and it is never called itself."""
        for made in facts.of("distributed-made"):
            model = made.value
            if not isinstance(model, Instance):
                continue
            own = made.parameters
            if model.fields.get("*escaped") or is_handed_out(facts, model):
                continue
            alone = [event for event in facts.of("distributed-called") if event.value is model]
            if any(event.synchronized is not False for event in alone) or _may_be_called(facts, model, alone):
                continue
            if any(event.value in own for event in facts.of("grad-read", "grad-set")):
                continue  # They may be sent by hand.
            backward = next((e for e in facts.of("backward") if e.clock > made.clock and own & e.reached), None)
            step = next(
                (e for e in facts.of("step") if backward and e.clock > backward.clock and own & e.trained), None
            )
            if backward is not None and step is not None and is_on_the_way(made.path, backward.path):
                yield self._report_bypassed(facts, made, alone, backward, step)

    def _report_bypassed(self, facts: Facts, made: Event, alone: list[Event], backward: Event, step: Event) -> Finding:
        name = made.value.name if isinstance(made.value, Instance) and made.value.name else "the wrapper"
        what = "only called inside `no_sync()`" if alone else "never called, only what it wraps"
        instead = "Leave the block for the last batch before each step" if alone else f"Call `{name}` itself"
        message = (
            f"`{name}` is {what}: {code(facts, backward.at.node)} sends no gradients to the other processes, and "
            f"{code(facts, step.at.node)} trains a model of its own in each. {instead}"
        )
        story = [Step(place(made.at), "the module is wrapped here")]
        calls = facts.of("forward", "module-call")
        call = next((e for e in calls if e.clock > made.clock and e.value in made.modules), None)
        if alone:
            story.append(Step(place(alone[0].at), "it is called inside `no_sync()` here"))
        elif call is not None:
            story.append(Step(place(call.at), "what it wraps is called here"))
        story.append(Step(place(step.at), "each process steps alone"))
        return self.finding(place(backward.at), message, story, severity=Severity.WARNING)

    def _report_bypass(self, facts: Facts, found: Bypass) -> Finding:
        """Of a wrapper, or a module, of which nothing is known."""
        name = code(facts, found.written)
        condition = "" if isinstance(found.wrapper, Instance) else f"if {name} is a DistributedDataParallel, "
        message = (
            f"{condition}{code(facts, found.call.at.node)} bypasses it: {code(facts, found.backward.at.node)} sends no "
            f"gradients to the other processes, and each trains a model of its own. Call {name} itself"
        )
        story = [
            Step(place(found.backward.at), "the gradients are computed here"),
            Step(place(found.step.at), "each process steps alone"),
        ]
        return self.finding(place(found.call.at), message, story, severity=Severity.INFORMATION)

    def _unfinished(self, facts: Facts) -> Iterator[Finding]:
        if not any(facts.of("distributed-made")) or facts.unfinished:
            return
        made: dict[Instance, int] = {}
        called: dict[Instance, list[tuple[int, Event]]] = {}
        past: list[tuple[int, Event]] = []
        told = set()
        for number, event in enumerate(facts.events):
            model = event.value
            if event.kind in ("backward", "unknown-call"):
                past.append((number, event))
            elif event.kind == "distributed-made" and isinstance(model, Instance):
                made[model] = number
            elif event.kind == "distributed-forward" and event.grad is True and isinstance(model, Instance):
                before = called.setdefault(model, [])
                if before and model not in told and not event.caught:
                    since = [(when, other) for when, other in past if when > made[model]]
                    found = _missing(before, since, event)
                    if found is not None:
                        told.add(model)
                        yield self._report(facts, event, *found)
                before.append((number, event))

    def _report(self, facts: Facts, event: Event, backward: Event, missing: list[Tensor]) -> Finding:
        again = " when it is called again" if from_earlier_round(event.path, backward.path) else ""
        message = (
            f"{code(facts, event.at.node)} raises{again}: the backward before it gave no gradient to "
            f"{owners(missing)}, and DistributedDataParallel waits for all parameters. Use them in the loss, freeze "
            "them before the module is wrapped, or pass `find_unused_parameters=True`"
        )
        return self.finding(place(event.at), message, [Step(place(backward.at), "this backward does not reach them")])


def _may_be_called(facts: Facts, model: Instance, known: list[Event]) -> bool:
    """Is the wrapper called in another place than those that are known?"""
    calls: dict[Value, set[ast.AST]] | None = facts.memo.get("calls of objects")
    if calls is None:
        calls = facts.memo["calls of objects"] = {}
        for node, records in facts.calls.items():
            for called in {one for function, _, _ in records for one in _called(function)}:
                calls.setdefault(called, set()).add(node)
    return not calls.get(model, set()) <= {event.at.node for event in known}


def _called(function: Value) -> Iterator[Value]:
    """The objects of which one is called, itself or its `forward`."""
    if isinstance(function, Choice):
        for option in function.options:
            yield from _called(option)
    elif not isinstance(function, Bound):
        yield function
    elif function.name in ("forward", "__call__"):
        yield function.receiver


def _missing(
    before: list[tuple[int, Event]], past: list[tuple[int, Event]], event: Event
) -> tuple[Event, list[Tensor]] | None:
    """A backward between two calls that certainly reached some awaited parameters, and those that none reached."""
    missing = set(event.own)
    awaited = set(event.awaited)
    last: Event | None = None
    for number, other in past:
        if other.kind == "unknown-call":
            known = _known_to(other)
            if known is None or not missing.isdisjoint(known):
                return None
        elif other.node is None or any(_may_hide(node) for node in walk(other.node, follow="maybe")):
            return None
        else:
            missing -= other.reached
            calls = [call for earlier, call in before if earlier < number and meets(other.path, call.path)]
            plain = other.requires_grad is True and not other.inputs and meets(event.path, other.path)
            if plain and calls and awaited.intersection(leaves(other.node)):
                last = other
    return (last, [tensor for tensor in event.awaited if tensor in missing]) if last and missing else None


_DATA = ("argument", "derived", "batch")


def _may_hide(node: Node) -> bool:
    """Is it something unknown that could have been computed with parameters of the program? Data from outside is not,
    nor is what methods of tensors make of it."""
    return node.kind == "opaque" and node.op not in _DATA and find_op(f"torch.Tensor.{node.op}") is None


def _known_to(event: Event) -> set[Tensor] | None:
    """The parameters that what unknown code is given was computed with; None if that may be any."""
    found: set[Tensor] = set()
    for value in event.arguments:
        function = value.function if isinstance(value, Bound) else value
        if isinstance(function, Function):
            return None
        for part in tensors_in(value):
            if isinstance(part, Tensor):
                found.update(leaves(part.node, follow="maybe"))
    return found
