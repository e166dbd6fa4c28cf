"""GRD701."""

import ast
from collections.abc import Iterable

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.hierarchy import is_module_class
from gradls.flow.reach import leaves, walk
from gradls.flow.values import Class, Function, Mapping, Sequence, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.conditions import UNLESS
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.freed_graph_fixes import differentiated_sum, sum_before
from gradls.rules.histories import comes_from_holder
from gradls.rules.kept_graphs import Keeping, kept_graphs
from gradls.rules.loss_arguments import history
from gradls.rules.rule import Rule
from gradls.rules.training_order import is_on_the_way, loops_of, receiver_of, rounds_of
from gradls.rules.words import code, place
from gradls.syntax.walk import walk as walk_tree


class KeptGraph(Rule):
    """A tensor that is kept from round to round, together with the graph that it came from.

    ## What it finds
    In a loop, a loss or an output that is added up (`total += loss`), put behind what there was (`torch.cat`), appended
    to a list, or written into a buffer, while no `backward()` goes through what is kept.

    ## Why it matters
    A tensor that requires grad holds its history. As long as it is kept, so is the graph of its round, and with it
    every activation that `backward()` has not freed: memory grows until it runs out.

    ## What PyTorch does
    Nothing, until

        torch.OutOfMemoryError: CUDA out of memory.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0
    for _ in range(5):
        loss = model(torch.randn(8, 3)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss
    assert total.requires_grad
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    outputs = []
    for _ in range(5):
        output = model(torch.randn(8, 3))
        optimizer.zero_grad()
        output.pow(2).mean().backward()
        optimizer.step()
        outputs.append(output)
    assert torch.cat(outputs).requires_grad
    ```

    ## Use instead
    The number, with `item()`, or the tensor without its history, with `detach()`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total, outputs = 0.0, []
    for _ in range(5):
        output = model(torch.randn(8, 3))
        loss = output.pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        outputs.append(output.detach())
    assert not torch.cat(outputs).requires_grad
    ```

    ## When it is silent
    Where `backward()` is called on what is kept, or it is returned, or handed on.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    losses = []
    for _ in range(5):
        losses.append(model(torch.randn(8, 3)).pow(2).mean())
    torch.stack(losses).mean().backward()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: it puts `.detach()` behind what is kept.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/faq.html#my-model-reports-cuda-runtime-error-2-out-of-memory
    """

    code, name, severity = "GRD701", "kept-graph", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        by_place: dict[ast.AST, list[Keeping]] = {}
        for keeping in kept_graphs(facts):
            by_place.setdefault(keeping.event.at.node, []).append(keeping)
        for found in by_place.values():
            found = _one_each_round(found)
            if not (found[0].again if len(found) == 1 else len(found := _same_place(facts, found)) > 1):
                continue
            spent = _is_spent(facts, found[0])
            if found[0].guessed and _has_other_backwards(facts):
                continue
            if not spent and (found[0].guessed or not (_is_training(facts, found) or _are_numbers(found))):
                continue
            if not _is_used(facts, found, spent) and _is_new(found):
                yield self._report(facts, found[0])

    def _report(self, facts: Facts, keeping: Keeping) -> Finding:
        what = code(facts, keeping.written)
        statement = facts.statement(keeping.event.at.node) or keeping.event.at.node
        unless = UNLESS if keeping.event.hypothetical else ""
        unread = _is_never_read(facts, keeping)
        message = (
            f"{code(facts, statement)} keeps {what} together with its graph, in every round, and nothing "
            f"differentiates it later{unless}: "
        )
        if unread:
            message += f"`{unread}` is not read anywhere. Is it missing in a loss?"
        else:
            message += "detach it, or take `.item()` of a single number"
        story = []
        if keeping.node.at is not None:
            story.append(Step(place(keeping.node.at), "its graph begins here"))
        fixes = []
        mend = _of_differentiated_sum(facts, keeping)
        if mend:
            fixes.append(mend)
        elif isinstance(keeping.written, (ast.Name, ast.Attribute, ast.Call)) and not unread:
            detach = edits.add_call(Place(keeping.event.at.source, keeping.written), ".detach()")
            fixes.append(Fix("Detach what is kept", Safety.SUGGESTED, detach))
        return self.finding(place(keeping.event.at), message, story, fixes)


def _of_differentiated_sum(facts: Facts, keeping: Keeping) -> Fix | None:
    """The fix for a sum that `backward()` is called on itself: detached, it would have nothing to differentiate."""
    sums: dict[ast.AST, Event] | None = facts.memo.get("differentiated sums")
    if sums is None:
        sums = facts.memo["differentiated sums"] = {}
        for event in facts.of("backward"):
            root, statement = receiver_of(event.at.node), facts.statement(event.at.node)
            added = sum_before(facts, statement, root.id) if statement and isinstance(root, ast.Name) else None
            if added is not None:
                sums.setdefault(added, event)
    statement = facts.statement(keeping.event.at.node)
    differentiated = sums.get(statement) if statement is not None else None
    return next(iter(differentiated_sum(facts, differentiated)), None) if differentiated is not None else None


def _is_never_read(facts: Facts, keeping: Keeping) -> str:
    """The name of the list that something is appended to, if nothing else is done with it in its function."""
    node = keeping.event.at.node
    held = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    around = facts.function(node)
    if not isinstance(held, ast.Name) or around is None or keeping.event.at.source is not facts.source:
        return ""
    appended, others = set(), 0
    for part in walk_tree(around):
        if isinstance(part, ast.Attribute) and part.attr == "append":
            appended.add(part.value)
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load) and part.id == held.id:
            others += part not in appended
    return "" if others else held.id


def _has_other_backwards(facts: Facts) -> bool:
    """Does the file define a `backward` of its own, or is it about another library, so that having one does not make
    a tensor?"""
    return "torch" not in facts.source.text or any(
        isinstance(node, ast.ClassDef)
        and any(isinstance(part, ast.FunctionDef) and part.name == "backward" for part in node.body)
        for node in facts.source.tree.body
    )


def _one_each_round(found: list[Keeping]) -> list[Keeping]:
    """The first thing that is kept and the first in another round: a hook may keep several in one."""
    rounds = rounds_of(found[0].event.path)
    return [found[0], *(other for other in found[1:] if rounds_of(other.event.path) != rounds)]


def _is_training(facts: Facts, found: list[Keeping]) -> bool:
    """Does the loop over whose rounds it is kept compute gradients, so that each round has a graph of its own? What a
    hook keeps, it keeps in whatever loop the module is called."""
    function = found[0].event.calls[1] if found[0].event.calls is not None else None
    for event in facts.of("module-hook"):
        if function is not None and function in (event.hook, getattr(event.hook, "function", None)):
            return True
    if len(found) > 1:
        first, second = rounds_of(found[0].event.path), rounds_of(found[1].event.path)
        loops = {id(one.loop) for one in second if one not in first}
    else:
        loops = loops_of(found[0].event.path)
    return not loops.isdisjoint(_loops_with_gradients(facts))


def _loops_with_gradients(facts: Facts) -> set[int]:
    """The loops in which something is differentiated."""
    found: set[int] | None = facts.memo.get("loops with gradients")
    if found is None:
        events = facts.of("backward", "grad-call")
        found = facts.memo["loops with gradients"] = {loop for event in events for loop in loops_of(event.path)}
    return found


def _is_new(found: list[Keeping]) -> bool:
    """Is it computed when there is already a list to keep it in? What was there before is kept anyway: `for x in
    parts.values(): found.append(x)` makes no graph live longer."""
    lists = [keeping.holder for keeping in found if keeping.event.kind == "append"]
    made = [held.fields.born for held in lists if isinstance(held, Sequence)]
    return not made or any(term.fields.born > max(made) for keeping in found for term in keeping.terms)


def _are_numbers(found: list[Keeping]) -> bool:
    """Are single numbers kept, each with a graph of its own over the same parameters, as losses are?"""
    if found[0].event.kind == "write" or any(term.scalar is not True for one in found[:2] for term in one.terms):
        return False
    old = found[0].event.info.get("old")
    before = old.node if len(found) < 2 and isinstance(old, Tensor) else found[0].node
    own = {leaf for term in found[:2][-1].terms for leaf in leaves(term) if leaf.requires_grad}
    return bool(own & set(leaves(before)))


def _is_spent(facts: Facts, keeping: Keeping) -> bool:
    """Was `backward()` called before on what is kept, so that nobody can differentiate it again?"""
    roots: dict[Node, list[Event]] | None = facts.memo.get("roots that are freed")
    if roots is None:
        roots = facts.memo["roots that are freed"] = {}
        for event in facts.of("backward"):
            root = event.node or (history(event.value) if event.value is not None else None)
            if event.retain is False and root is not None:
                roots.setdefault(root, []).append(event)
    spent = (event for term in keeping.terms for event in roots.get(term, ()))
    return any(is_on_the_way(event.path, keeping.event.path) for event in spent)


def _same_place(facts: Facts, found: list[Keeping]) -> list[Keeping]:
    """The first, and the first of another round that fills the same list, sum or buffer: a dictionary has many. One
    after another backward, if there is: a loop over the parts of a loss is within the one that trains."""
    others = [other for other in found[1:] if _goes_on(found[0], other)]
    return [found[0], *([other for other in others if _is_training(facts, [found[0], other])] or others)[:1]]


def _goes_on(first: Keeping, second: Keeping) -> bool:
    """Do both fill the same list, sum or buffer?"""
    if first.event.kind in ("append", "write"):
        held = second.event.info.get("held")
        return first.holder is second.holder and (held is None or any(part is first.part for part in _flat(held)))
    return any(part is first.node for part in walk(second.node, follow="maybe"))


def _flat(held: tuple[Value, ...]) -> list[Value]:
    """What a list holds, and what is in its elements."""
    return [part for value in held for part in (value, *tensors_in(value))]


def _is_used(facts: Facts, found: list[Keeping], spent: bool) -> bool:
    """Does anything go through what the first round kept after a later round has kept more: a backward, a caller, or
    unknown code? What is `spent` can be given to anyone. What a module computes in a loop without a backward, other
    files train with, whatever is done with it where it is tried out."""
    if spent:
        return False
    loops = {loop for one in found for loop in loops_of(one.event.path)}
    computes = not any(loops & loops_of(other.path) for other in facts.of("backward"))
    kept, later = set(found[0].whole), found[:2][-1].event
    start = next(number for number, event in enumerate(facts.events) if event is later)
    before = facts.events[facts.events.index(found[0].event) : start]
    if any(event.kind == "backward" and _goes_through(facts, event, found[0]) for event in before):
        return True
    for event in facts.events[start:]:
        roots: list[Node] = []
        if event.kind == "backward":
            roots = [event.node] if event.node is not None else []
        elif event.kind == "grad-call":
            roots = [root.node for root in event.roots if isinstance(root, Tensor)]
        elif event.kind in ("return", "yield") and (
            event.alone or (computes and _is_of_module(event.info.get("function")))
        ):
            if _holds(event.value, found[0].holder):
                return True
            # What the tensors were then: writes to them are taken back when the function comes to its end.
            roots = [node for part in event.info.get("parts", (event.value,)) for node in _nodes(part)]
            roots += event.info.get("nodes", ())
        elif event.kind == "unknown-call":
            if any(_holds(value, found[0].holder) for value in event.arguments):
                return True
            roots = [node for value in event.arguments for node in _nodes(value)]
        if any(part in kept or _is_of_branches(part) for root in roots for part in walk(root)):
            return True
    return False


def _goes_through(facts: Facts, backward: Event, keeping: Keeping) -> bool:
    """Does a backward of the same round get what is kept from where it is kept: `loss = loss + kept[-1]`?"""
    node = backward.node
    return node is not None and comes_from_holder(node, set(keeping.whole), keeping.event.at.node)


def _is_of_module(function: Function | None) -> bool:
    """Is it a method of a module?"""
    return function is not None and isinstance(function.owner, Class) and is_module_class(function.owner) is True


def _is_of_branches(node: Node) -> bool:
    """Is it one of so many values, by branch, that it is not known of which?"""
    return node.kind == "opaque" and node.op == "branches"


def _holds(value: Value | None, holder: Value, depth: int = 0) -> bool:
    """Is `holder` the value, or an element of it? Lists that another function made are empty by now, but the same."""
    if value is holder:
        return True
    items = value.elements if isinstance(value, Sequence) else ()
    items = tuple(value.entries.values()) if isinstance(value, Mapping) else items
    return depth < 4 and any(_holds(item, holder, depth + 1) for item in items)


def _nodes(value: Value | None) -> list[Node]:
    parts = tensors_in(value) if value is not None else ()
    among = [one for part in parts if isinstance(part, Unknown) for one in part.among]
    found = [history(part) for part in (*parts, *among)]
    return [node for node in found if node is not None]
