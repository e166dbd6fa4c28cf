"""GRD520."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.hiding import may_hide
from gradls.flow.hierarchy import find_in_class, has_unknown_base, is_module, linearize
from gradls.flow.lost import backwards, lost_gradients, parts_of_unknown
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Class, Instance, Tensor, Unknown
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.freed_graph_fixes import block_of
from gradls.rules.holders import Holders
from gradls.rules.rule import Rule
from gradls.rules.words import code, place
from gradls.syntax.walk import walk as walk_tree


class UntouchedParameter(Rule):
    """A layer that is registered and optimized, and that no loss depends on.

    ## What it finds
    Parameters that an optimizer steps in a program whose every `backward()` is known, where none of the losses was
    computed with them: a layer that `__init__` makes and `forward` never uses, or a tensor that the optimizer was given
    beside others.

    ## Why it matters
    The layer keeps its random weights, and what it was made for is missing from the model. `DistributedDataParallel`
    raises over such parameters.

    ## What PyTorch does
    Nothing: their `grad` stays None, and the optimizer skips them.

    ## Example
    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 3)
            self.second = torch.nn.Linear(3, 3)
            self.head = torch.nn.Linear(3, 1)

        def forward(self, x):
            x = torch.relu(self.first(x))
            return self.head(x)


    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert net.second.weight.grad is None
    ```

    ## Use instead
    The layer in `forward`, or a model without it.

    ```python
    import torch


    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 3)
            self.second = torch.nn.Linear(3, 3)
            self.head = torch.nn.Linear(3, 1)

        def forward(self, x):
            x = torch.relu(self.second(torch.relu(self.first(x))))
            return self.head(x)


    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert net.second.weight.grad is not None
    ```

    ## When it is silent
    For frozen parameters, for layers that other code may use, and where anything that goes into a loss is not known.

    ```python
    import torch

    net = torch.nn.ModuleDict({"first": torch.nn.Linear(3, 1), "second": torch.nn.Linear(3, 1)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for name in ("first", "second"):
        optimizer.zero_grad()
        net[name](torch.randn(8, 3)).pow(2).mean().backward()
        optimizer.step()
    assert net["second"].weight.grad is not None
    ```

    ## Fix safety
    Suggested for a result that is overwritten before anything reads it, by what is computed from the same input: that
    is computed from the result. None otherwise.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html
    """

    code, name, severity = "GRD520", "untouched-parameter", Severity.INFORMATION
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        steps: dict[Tensor, Event] = {}
        for event in facts.of("step"):
            steps.update(dict.fromkeys(event.trained, event))
        if not steps or any(event.node is None for event in facts.of("backward")) or any(facts.of("grad-call")):
            return
        touched: set[Tensor] = set()
        for event in backwards(facts):
            nodes = list(walk(event.node))  # type: ignore[arg-type]
            leaves = {node.leaf for node in nodes if node.leaf is not None}
            given = any(node.kind == "opaque" for node in nodes)
            if any(map(may_hide, nodes)) or (given and not any(leaf.is_parameter or leaf in steps for leaf in leaves)):
                return  # What it goes through may have come from these modules.
            touched |= leaves
        if not touched:
            return
        touched |= parts_of_unknown(facts)
        touched.update(event.value for event in facts.of("grad-set") if isinstance(event.value, Tensor))
        holders = Holders(facts)
        touched |= _given_to_functions(facts, holders)
        for event in facts.of("object-made"):
            if isinstance(event.value, Instance) and _is_called_back(event.value):
                touched |= holders.own(event.value)
        left: dict[Instance, Tensor] = {}
        for tensor in sorted(steps, key=lambda tensor: tensor.fields.born):
            owner = tensor.owner
            if owner is None or tensor in touched or tensor.fields.get("*escaped") or owner.fields.get("*escaped"):
                continue
            left.setdefault(owner, tensor)
        used = _by_place(touched) if left else {}
        told: set[ast.AST] = set()
        told_wholes: set[Instance] = set()
        yield from self._of_tensors(facts, steps, touched)
        for owner, tensor in left.items():
            if owner.at is None or _is_in_part_used(owner, touched):
                continue
            around = [one for one in holders.called.get(tensor, ()) if touched.isdisjoint(holders.own(one))]
            if not _is_whole(around, owner) and _is_used_in_another(holders, tensor, used.get(owner.at.node, [])):
                continue
            if not around:
                whole = _outermost(holders, owner, tensor, touched)
                if whole not in told_wholes:
                    told_wholes.add(whole)
                    yield self._report(whole, tensor, steps[tensor], of_parts=whole is not owner)
                continue
            outer = max(around, key=lambda module: (len(holders.own(module)), module is not owner))
            call = holders.calls[outer]
            if call not in told:
                told.add(call)
                yield self._report_call(facts, outer, call, steps[tensor])

    def _of_tensors(self, facts: Facts, steps: dict[Tensor, Event], touched: set[Tensor]) -> Iterator[Finding]:
        """Parameters that are no layer's, and that an optimizer was given by themselves, beside others."""
        used = {leaf for lost in lost_gradients(facts) for leaf in lost.leaves}
        for tensor, step in steps.items():
            if tensor.owner is not None or tensor in touched or not tensor.name or tensor.fields.get("*escaped"):
                continue
            at = tensor.node.at
            if at is None or tensor in used or touched.isdisjoint(step.parameters):
                continue
            message = (
                f"no loss is computed with `{tensor.name}`: it is given to the optimizer, and keeps the values that it "
                "was made with"
            )
            yield self.finding(place(at), message, [Step(place(step.at), "the optimizer steps the others here")])

    def _report_call(self, facts: Facts, module: Instance, call: ast.Call, step: Event) -> Finding:
        what = f"`{module.name}`" if module.name else "this module"
        message = (
            f"{code(facts, call)} is computed, and no loss depends on it: the parameters of {what} are given to the "
            "optimizer, and keep the values that they were made with"
        )
        story = [Step(place(module.at), "the module is made here")] if module.at is not None else []
        story.append(Step(place(step.at), "the optimizer steps the others here"))
        return self.finding(Place(facts.source_of(call), call), message, story, _passed_on(facts, call))

    def _report(self, owner: Instance, tensor: Tensor, step: Event, of_parts: bool = False) -> Finding:
        single = not owner.path and not of_parts
        name = tensor.name if single else owner.name
        at = (tensor.node.at if single else None) or owner.at
        assert at is not None
        what = f"`{name}`" if name else "this layer"
        message = (
            f"no loss is computed with {what}: it is registered and given to the optimizer, and keeps the values that "
            "it was made with"
        )
        return self.finding(place(at), message, [Step(place(step.at), "the optimizer steps the others here")])


def _passed_on(facts: Facts, call: ast.Call) -> list[Fix]:
    """For a result that the next statement overwrites with one of the same input, or the next round of a loop does:
    what overwrites it is given it."""
    statement = facts.statement(call)
    name = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    if not isinstance(statement, ast.Assign) or not isinstance(name, ast.Name) or len(call.args) != 1:
        return []
    block, given = block_of(facts, statement), call.args[0]
    position = next(number for number, item in enumerate(block) if item is statement)
    source = facts.source_of(statement)
    following = block[position + 1] if position + 1 < len(block) else None
    if statement.value is call and isinstance(following, ast.Assign) and _names(following.targets) == [name.id]:
        again = following.value.args if isinstance(following.value, ast.Call) else []
        same = [part for part in again if ast.dump(part) == ast.dump(given)]
        if len(same) != 1 or _reads(following.value, name.id):
            return []
        build = edits.replace_expression(Place(source, same[0]), name.id)
        return [Fix(f"Pass `{name.id}` on", Safety.SUGGESTED, build)]
    loop = facts.parent(statement)
    if not isinstance(loop, ast.For) or not isinstance(given, ast.Name) or given.id in _names([loop]):
        return []
    if _reads(loop, name.id) or name.id in _names([item for item in loop.body if item is not statement]):
        return []
    build = edits.together(
        edits.insert_before(Place(source, loop), f"{name.id} = {given.id}"),
        edits.replace_expression(Place(source, given), name.id),
    )
    return [Fix(f"Pass `{name.id}` on from round to round", Safety.SUGGESTED, build)]


def _names(parts: Sequence[ast.AST]) -> list[str]:
    """The names that are bound in some nodes."""
    found = (node for part in parts for node in walk_tree(part))
    return [node.id for node in found if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)]


def _reads(part: ast.AST, name: str) -> bool:
    return any(
        isinstance(one, ast.Name) and one.id == name and isinstance(one.ctx, ast.Load) for one in walk_tree(part)
    )


def _given_to_functions(facts: Facts, holders: Holders) -> set[Tensor]:
    """The parameters of modules that custom Functions are given: their backward may call these again, and fill the
    gradients itself, as a checkpoint does."""
    found: set[Tensor] = set()
    for event in facts.of("function-apply"):
        for value in event.call.values:
            module = value.receiver if isinstance(value, Bound) else value
            if isinstance(module, Instance) and is_module(module):
                found |= holders.own(module)
    return found


def _is_called_back(module: Instance) -> bool:
    """Does a module call a method of a base of which nothing is known, which may call others of its methods?
    `self.propagate(...)` computes with what `message` does."""
    cls = module.cls
    if not isinstance(cls, Class) or not has_unknown_base(cls):
        return False
    called = {
        name for base in linearize(cls) if isinstance(base, Class) for name in base.source.once(_own_calls, base.node)
    }
    return any(
        isinstance(module.fields.get(name), (Unknown, type(None))) and find_in_class(cls, name) == (None, None)
        for name in called
    )


def _own_calls(cls: ast.AST) -> frozenset[str]:
    """The names of the methods that a class calls on `self`."""
    return frozenset(
        node.func.attr
        for node in ast.walk(cls)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    )


def _is_whole(around: list[Instance], owner: Instance) -> bool:
    """Is a module called of which this layer is a part, and nothing of it used? No option of it leaves this out."""
    return any(module is not owner for module in around)


def _outermost(holders: Holders, owner: Instance, tensor: Tensor, touched: set[Tensor]) -> Instance:
    """The largest module with a layer of which nothing is used: the call of that is what may be missing."""
    found = owner
    for module in holders.made.get(tensor, ()):
        own = holders.own(module)
        if len(own) > len(holders.own(found)) and is_module(module) and module.at is not None:
            found = module if touched.isdisjoint(own) else found
    return found


def _by_place(touched: set[Tensor]) -> dict[ast.AST, list[Tensor]]:
    """What is used, by where the layers of it are made."""
    found: dict[ast.AST, list[Tensor]] = {}
    for leaf in touched:
        if leaf.owner is not None and leaf.owner.at is not None:
            found.setdefault(leaf.owner.at.node, []).append(leaf)
    return found


def _is_used_in_another(holders: Holders, tensor: Tensor, same: list[Tensor]) -> bool:
    """Does another object of the same class use the layer that stands at this place? Then it is one that options leave
    out, and not forgotten. `same`: what is used of layers that are made there."""
    others = [_innermost(holders, leaf) for leaf in same if leaf.owner is not tensor.owner]
    holder = _innermost(holders, tensor) if others else None
    return any(holder and other and other is not holder and other.cls is holder.cls for other in others)


def _innermost(holders: Holders, tensor: Tensor) -> Instance | None:
    return min(holders.made.get(tensor, ()), key=lambda module: len(holders.own(module)), default=None)


def _is_in_part_used(owner: Instance, touched: set[Tensor]) -> bool:
    """Is another parameter of the same layer used? Then it is the option of a layer, such as a bias."""
    if not owner.path:
        return False
    return any(value in touched for value in owner.fields.values() if isinstance(value, Tensor))
