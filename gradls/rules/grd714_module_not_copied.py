"""GRD714."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.arguments import Call
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.models.modules import parameters_of
from gradls.flow.paths import Round
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Instance, Tensor, Value
from gradls.rules.copy_fixes import (
    assignment_left_away,
    cloned_where_kept,
    copied,
    copied_where_assigned,
    copied_where_named,
    turned_round,
    written_into,
)
from gradls.rules.finding import Finding, Place, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.snapshots import is_chosen, is_used_after
from gradls.rules.training_order import loops_of, receiver_of, rounds_of
from gradls.rules.words import code, place


class ModuleNotCopied(Rule):
    """A second name for a module that is taken for a copy of it.

    ## What it finds
    A module that loads its own `state_dict()`, in a loop or under another name, which may be a `copy.copy` of it, or
    whose parameters are copied onto themselves, or averaged with themselves: `shadow.mul_(0.9).add_(parameter,
    alpha=0.1)`. An attribute that is given the module whose state was just loaded into the one that it had. As
    information, one that is trained and gets its weights from another that nothing changes. And a module that gets a
    second name on a branch of the training loop, as the best one so far, and is used under that name after the loop.
    Entries that are set in what `state_dict()` has just given: the dictionary is forgotten with its new entry.

    ## Why it matters
    An assignment copies nothing, and `copy.copy` not the parameters. The target network of a DQN that is the policy
    network itself moves with each step, and loading its state does nothing. What was kept as the best model is the last
    one.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best, best_loss, weights = model, 1e9, []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(torch.ones(8, 3)).mean()
        if loss.item() < best_loss:
            best, best_loss = model, loss.item()
            weights.append(model.weight.tolist())
        loss.backward()
        optimizer.step()
    assert best.weight.tolist() not in weights
    ```

    ```python
    import torch

    models = {"critic": torch.nn.Linear(3, 1)}
    critic, target = models["critic"].to("cpu"), models["critic"].to("cpu")
    for kept, parameter in zip(target.parameters(), critic.parameters()):
        kept.data.copy_(parameter.data)
    assert target is critic
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    shadow = {name: parameter.data for name, parameter in model.named_parameters()}
    model.weight.data.add_(1)
    before = model.weight.clone()
    for name, parameter in model.named_parameters():
        shadow[name].mul_(0.5).add_(parameter.data, alpha=0.5)
    assert shadow["weight"].data_ptr() == model.weight.data_ptr() and not torch.equal(before, model.weight)
    ```

    ```python
    import torch

    policy, target = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    before = target.weight.clone()
    for _ in range(3):
        target.load_state_dict(target.state_dict())
    assert torch.equal(before, target.weight) and not torch.equal(before, policy.weight)
    ```

    ## Use instead
    A deep copy.

    ```python
    import copy
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    best, best_loss, weights = model, 1e9, []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(torch.ones(8, 3)).mean()
        if loss.item() < best_loss:
            best, best_loss = copy.deepcopy(model), loss.item()
            weights.append(model.weight.tolist())
        loss.backward()
        optimizer.step()
    assert best.weight.tolist() in weights
    ```

    ## When it is silent
    Where the loop makes a new model in each round, is left with the assignment, or uses the second name itself.

    ```python
    import torch

    best, best_loss = None, float("inf")
    for rate in (0.1, 0.01):
        model = torch.nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        loss = model(torch.ones(8, 3)).pow(2).mean()
        loss.backward()
        optimizer.step()
        if loss.item() < best_loss:
            best, best_loss = model, loss.item()
    assert best(torch.ones(1, 3)).shape == (1, 1)
    ```

    ## Fix safety
    Suggested: it makes the copy with `copy.deepcopy`, and imports `copy`, where the second name is given; that costs
    the memory of one more model. What is loaded the wrong way round is turned, what is lost in a new dictionary is
    written into the tensor, and what makes a copy the same module again is left away.

    ## References
    - https://docs.python.org/3/library/copy.html
    """

    code, name, severity = "GRD714", "module-not-copied", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        yield from self._of_loads(facts)
        yield from self._of_entries(facts)
        yield from self._of_copies(facts)
        yield from self._of_averages(facts)
        yield from self._of_direction(facts)
        yield from self._of_replaced(facts)
        yield from self._of_kept(facts)

    def _of_loads(self, facts: Facts) -> Iterator[Finding]:
        taken = {event.at.node: event for event in facts.of("state-dict")}
        told: set[ast.AST] = set()
        for load in facts.of("load-state-dict"):
            given = load.at.node.args[0] if isinstance(load.at.node, ast.Call) and load.at.node.args else None
            state = taken.get(given) if given is not None else None
            if state is None or load.given is not state.result or given in told:
                continue
            same = state.value is load.value
            if not same and not _is_shallow_copy(load.value, state.value):
                continue
            one, other = (_receiver(event) for event in (load, state))
            if given is not None and one and one == other and same and rounds_of(load.path):
                told.add(given)
                message = (
                    f"{code(facts, load.at.node)} gives `{one}` its own state and changes nothing; it is the state of "
                    "another module that is meant"
                )
                yield self.finding(place(load.at), message)
            if one and other and one != other:
                told.add(state.at.node)
                what = (
                    "are one and the same module" if same else "share their parameters, which `copy.copy` does not copy"
                )
                message = (
                    f"`{one}` and `{other}` {what}, so this changes nothing, and each step moves both: make one "
                    "of them with `copy.deepcopy(...)`"
                )
                story = _named_so(facts, load, one)
                fixes = copied_where_named(facts, load.value, one, other) if same else []
                fixes = fixes or copied_where_assigned(facts, place(load.at), one, other)
                yield self.finding(place(load.at), message, story, fixes)

    def _of_entries(self, facts: Facts) -> Iterator[Finding]:
        """`model.state_dict()[name] = tensor`: the dictionary is made by this call, and nobody else has it."""
        taken = {event.at.node for event in facts.of("state-dict")}
        told: set[ast.AST] = set()
        for event in facts.of("item-set"):
            made = getattr(event.at.node, "value", None)
            plain = isinstance(made, ast.Call) and not made.args and not made.keywords
            if made not in taken or not plain or event.at.node in told or not isinstance(event.assigned, Tensor):
                continue
            told.add(event.at.node)
            message = (
                f"{code(facts, event.at.node)} is set in a dictionary that {code(facts, made)} has just made, and "
                "changes nothing in the module; write into the tensor with `copy_()`"
            )
            yield self.finding(place(event.at), message, (), written_into(facts, event))

    def _of_direction(self, facts: Facts) -> Iterator[Finding]:
        """`policy.load_state_dict(target.state_dict())` beside the steps of the policy; nothing changes the target."""
        taken = {event.at.node: event for event in facts.of("state-dict")}
        told: set[ast.AST] = set()
        for load in facts.of("load-state-dict"):
            node = load.at.node
            state = taken.get(node.args[0]) if isinstance(node, ast.Call) and node.args else None
            rounds = rounds_of(load.path)
            if state is None or state.value is load.value or not rounds or node in told:
                continue
            to, source = load.value, state.value
            if not isinstance(to, Instance) or not isinstance(source, Instance) or source.fields.get("*escaped"):
                continue
            trained, fixed = ({tensor for _, tensor in parameters_of(module)[0]} for module in (to, source))
            steps = [event for event in facts.of("step") if trained & set(event.parameters)]
            beside = [
                event for event in steps if [one.loop for one in rounds_of(event.path)] == [one.loop for one in rounds]
            ]
            if (
                not beside
                or not fixed
                or trained & fixed
                or _is_changed(facts, source, fixed)
                or _is_made_again(facts, source, load)
            ):
                continue
            told.add(node)
            one, other = (_receiver(event) or "the module" for event in (load, state))
            message = (
                f"{code(facts, node)} throws away what {code(facts, beside[0].at.node)} has trained: nothing changes "
                f"`{other}`, so `{one}` starts again each time. If `{other}` is to follow, load it the other way round"
            )
            story = [Step(place(at), "it is called here") for at, _ in [*load.callers()][:1]]
            story.append(Step(place(beside[0].at), "this trains what is overwritten"))
            fixes = turned_round(facts, node, one, other)
            yield self.finding(place(load.at), message, story, fixes, Severity.INFORMATION)

    def _of_replaced(self, facts: Facts) -> Iterator[Finding]:
        """`self.target.load_state_dict(self.policy.state_dict())`, and then `self.target = self.policy`."""
        taken = {event.at.node: event for event in facts.of("state-dict")}
        told: set[ast.AST] = set()
        loads: list[tuple[Event, Value]] = []
        for event in facts.of("load-state-dict", "attribute-set"):
            if event.kind == "load-state-dict":
                node = event.at.node
                state = taken.get(node.args[0]) if isinstance(node, ast.Call) and node.args else None
                if state is not None and state.value is not None and event.given is state.result:
                    loads.append((event, state.value))
                continue
            load = next((one for one, source in loads if one.value is event.old and source is event.assigned), None)
            if load is None or event.old is event.assigned or event.at.node in told:
                continue
            told.add(event.at.node)
            message = (
                f"{code(facts, event.at.node)} is one with the module that it was to be a copy of from here on, and "
                f"moves with it: {code(facts, load.at.node)} has copied all there is. Leave this assignment away"
            )
            story = [Step(place(load.at), "the state is copied here")]
            yield self.finding(place(event.at), message, story, assignment_left_away(facts, event))

    def _of_copies(self, facts: Facts) -> Iterator[Finding]:
        """`target.data.copy_(parameter.data)` for each parameter of two modules, which are one."""
        for node, records in facts.called("copy_"):
            pairs = [(getattr(function, "receiver", None), call.get(0, "src")) for function, call, _ in records]
            for one, other in pairs:
                if not isinstance(one, Tensor) or not isinstance(other, Tensor) or not _is_same_memory(one, other):
                    break
            else:
                owner = _source(one).owner if pairs and isinstance(one, Tensor) else None
                written = receiver_of(node)
                if owner is None or written is None or facts.segment(written) == facts.segment(node.args[0]):
                    continue
                message = (
                    f"{code(facts, node)} copies a parameter onto itself: what has two names is one and the same "
                    "module, and each step moves both. Make one of them with `copy.deepcopy(...)`"
                )
                fixes = copied_where_assigned(facts, Place(facts.source_of(node), node), *_looped(facts, node))
                yield self.finding(Place(facts.source_of(node), node), message, (), fixes)

    def _of_averages(self, facts: Facts) -> Iterator[Finding]:
        """`shadow.mul_(decay).add_(parameter, alpha=1 - decay)`, where the shadow is the parameter."""
        for node, records in facts.called("add_", "lerp_"):
            written = receiver_of(node)
            if (
                isinstance(written, ast.Call)
                and isinstance(written.func, ast.Attribute)
                and written.func.attr == "mul_"
            ):
                written = written.func.value
            elif not isinstance(node.func, ast.Attribute) or node.func.attr != "lerp_":
                continue
            given = node.args[0] if node.args else None
            if written is None or given is None or facts.segment(written) in facts.segment(given):
                continue
            if all(_is_average_with_itself(function, call) for function, call, _ in records):
                message = (
                    f"{code(facts, node)} averages a parameter with itself, and changes it: {code(facts, written)} is "
                    "no copy. Keep `detach().clone()` of it, or `copy.deepcopy(...)` of the module"
                )
                at = Place(facts.source_of(node), node)
                fixes = cloned_where_kept(facts, written) or copied_where_assigned(facts, at, *_looped(facts, node))
                yield self.finding(Place(facts.source_of(node), node), message, (), fixes)

    def _of_kept(self, facts: Facts) -> Iterator[Finding]:
        told: set[ast.AST] = set()
        for number, event in facts.numbered("named", "attribute-set"):
            module = event.assigned if event.kind == "attribute-set" else event.value
            target = event.at.node
            if target in told or not is_chosen(event) or not isinstance(module, Instance) or not is_module(module):
                continue
            if not isinstance(target, (ast.Name, ast.Attribute)):
                continue
            written = _written(event)
            step = _trained_on(facts, number, event, module) if written is not None else None
            if written is None or step is None or not is_used_after(event.at.source, target, step[1]):
                continue
            told.add(target)
            message = (
                f"`{event.at.source.segment(target)}` is `{event.at.source.segment(written)}` itself and no copy: "
                f"{code(facts, step[0].at.node)} trains it on, and its last state is what is used after the loop; keep "
                "`copy.deepcopy(...)` of it"
            )
            story = [Step(place(step[0].at), "this changes what was kept")]
            yield self.finding(place(event.at), message, story, copied(event.at, written))


def _looped(facts: Facts, node: ast.AST) -> list[str]:
    """What the loops around a node ask for their parameters: `teacher` and `student` of `zip(teacher.parameters(),
    student.parameters())`."""
    loops = [part for part in facts.parents(node) if isinstance(part, ast.For)]
    calls = [part for loop in loops for part in ast.walk(loop.iter) if isinstance(part, ast.Call)]
    written = [receiver_of(call) for call in calls]
    return [facts.segment(one) for one in written if isinstance(one, (ast.Name, ast.Attribute))]


def _is_same_memory(one: Tensor, other: Tensor) -> bool:
    """Have two tensors, of which one may have been written to since, all of the memory of one parameter?"""
    if one.base is not None or other.base is not None or _source(one) is not _source(other):
        return False
    return not _source(one).node.several and _memory(one) is _memory(other)


def _is_shallow_copy(one: object, other: object) -> bool:
    """Have two modules, of which `copy.copy` made one, the same parameters?"""
    if not isinstance(one, Instance) or not isinstance(other, Instance) or not is_module(one):
        return False
    if "shallow" not in one.data and "shallow" not in other.data:
        return False
    first, second = ({tensor for _, tensor in parameters_of(module)[0]} for module in (one, other))
    return bool(first) and first == second


def _is_average_with_itself(function: Value, call: Call) -> bool:
    """Is this written to a parameter under the name of a copy, and computed from nothing but that parameter?"""
    if not isinstance(function, Bound):
        return False
    one, other = function.receiver, call.get(0, "other" if function.name == "add_" else "end")
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.base is not None:
        return False
    source = _source(one)
    if not source.is_parameter or source.node.several or _memory(one) is not _memory(source):
        return False
    return _is_same_memory(one, other) or {node.leaf for node in walk(other.node) if not node.edges} == {source}


def _is_changed(facts: Facts, module: Instance, parameters: set[Tensor]) -> bool:
    """Does anything train, write or load the parameters of a module in a loop?"""
    for event in facts.of("step", "write", "load-state-dict", "data-set"):
        if event.kind == "step":
            found = not parameters.isdisjoint(event.parameters)
        elif event.kind == "load-state-dict":
            found = event.value is module and bool(rounds_of(event.path))
        else:
            found = isinstance(event.value, Tensor) and _source(event.value) in parameters
            found = found and bool(rounds_of(event.path))
        if found:
            return True
    return False


def _is_made_again(facts: Facts, module: Instance, load: Event) -> bool:
    """Does a loop around a load give the name of a module another one, as a copy that is the best one so far?"""
    around = loops_of(load.path)
    found = (event for event in facts.of("model-rebound") if event.value is module or event.old is module)
    return any(not around.isdisjoint(loops_of(event.path)) for event in found)


def _memory(tensor: Tensor) -> object:
    storage = tensor.storage
    while storage.behind is not None:
        storage = storage.behind
    return storage


def _source(tensor: Tensor) -> Tensor:
    """What a tensor was cut from."""
    while isinstance(tensor.data, Tensor):
        tensor = tensor.data
    return tensor


def _receiver(event: Event) -> str | None:
    """The text of what a method is called on."""
    written = receiver_of(event.at.node)
    return event.at.source.segment(written) if isinstance(written, (ast.Name, ast.Attribute)) else None


def _named_so(facts: Facts, load: Event, name: str) -> list[Step]:
    """Where the module got the attribute under which it is loaded."""
    last = name.rpartition(".")[2]
    sets = [event for event in facts.of("attribute-set") if event.assigned is load.value and event.name == last]
    return [Step(place(sets[0].at), "this is no copy")] if sets else []


def _written(event: Event) -> ast.expr | None:
    """The name that is given a second one here, if that is all that the statement says."""
    target = event.at.node
    above = event.at.source.parent(target)
    if isinstance(above, ast.Assign):
        return above.value if isinstance(above.value, (ast.Name, ast.Attribute)) else None
    if isinstance(above, ast.Tuple) and isinstance(whole := event.at.source.parent(above), ast.Assign):
        parts = whole.value.elts if isinstance(whole.value, ast.Tuple) else []
        places = [part for element, part in zip(above.elts, parts, strict=False) if element is target]
        return places[0] if places and isinstance(places[0], (ast.Name, ast.Attribute)) else None
    return None


def _trained_on(facts: Facts, number: int, event: Event, module: Instance) -> tuple[Event, Round] | None:
    """A later step that changes the module, and the loop that both are in."""
    parameters = {tensor for _, tensor in parameters_of(module)[0]}
    mine = rounds_of(event.path)
    for later, step in facts.numbered("step"):
        if later > number and parameters & set(step.parameters):
            common = [one for one, other in zip(mine, rounds_of(step.path), strict=False) if one is other]
            if common:
                return step, common[-1]
    return None
