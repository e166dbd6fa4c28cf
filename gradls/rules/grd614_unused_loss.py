"""GRD614."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.reach import walk
from gradls.flow.values import Tensor, Unknown
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step, Tag
from gradls.rules.rule import Rule
from gradls.rules.statement_fixes import all_of, put
from gradls.rules.training_order import receiver_of
from gradls.rules.unused_sums import unused_sums
from gradls.rules.words import code, place


class UnusedLoss(Rule):
    """A term of a loss that is computed and goes into no loss.

    ## What it finds
    In a function or loop that calls `backward()`, or that returns a loss which is propagated, a single number that
    requires grad, is bound to a name, and is never used: a penalty or a regularizer that somebody forgot to add. One
    that the next statement replaces, as `loss =+ penalty` does, which adds nothing. And a loss that each round of a
    loop assigns without reading what it was, and that is propagated after the loop: one that begins as 0, or that is
    computed of the round's own data and of nothing that the rounds before have left. And a sum that is kept as an
    attribute and never read, if a backward propagates one of its terms, and none another one.

    ## Why it matters
    It costs time and memory, and trains nothing: in the second case, all but the last.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs = torch.randn(8, 3, requires_grad=True)
    output = model(inputs)
    (gradient,) = torch.autograd.grad(output.sum(), inputs, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    loss = output.mean()
    loss.backward()
    assert torch.allclose(model.weight.grad, inputs.mean(0))  # as if there were no penalty
    ```

    ```python
    import torch

    model, steps = torch.nn.Linear(3, 1), torch.randn(4, 8, 3)
    loss = 0
    for step in steps:
        loss = model(step).mean()
    loss.backward()
    assert torch.allclose(model.weight.grad, steps[-1].mean(0))  # as if there were one step
    ```

    ```python
    import torch

    first, second = torch.ones((), requires_grad=True), torch.ones((), requires_grad=True)
    loss = torch.square(first)
    loss =+ torch.square(second)
    loss.backward()
    assert first.grad is None
    ```

    ## Use instead
    Add it to the loss.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    inputs = torch.randn(8, 3, requires_grad=True)
    output = model(inputs)
    (gradient,) = torch.autograd.grad(output.sum(), inputs, create_graph=True)
    penalty = (gradient.norm(dim=1) - 1).pow(2).mean()
    loss = output.mean() + 10 * penalty
    loss.backward()
    assert model.weight.grad is not None
    ```

    ```python
    import torch

    model, steps = torch.nn.Linear(3, 1), torch.randn(4, 8, 3)
    loss = 0
    for step in steps:
        loss = loss + model(step).mean()
    loss.backward()
    assert torch.allclose(model.weight.grad, steps.mean(1).sum(0))
    ```

    ## When it is silent
    Where the number is used in any way, be it printed.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    output = model(torch.randn(8, 3))
    size = output.abs().mean()
    output.pow(2).mean().backward()
    print(size.item())
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: of a loss that each round overwrites, it adds up those of all rounds. Whether another is missing from the
    loss, is for the author to say.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.backward.html
    """

    code, name, severity = "GRD614", "unused-loss", Severity.INFORMATION
    tag = Tag.UNNECESSARY
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        for replaced, later in _unknown_replaced(facts):
            yield self._report_replaced(facts, replaced, later, is_known=False)
        for at, name, is_number, other in unused_sums(facts):
            what = f"`{name}` is read as a number only" if is_number else f"nothing reads `{name}`"
            message = (
                f"{what}, and a term of it has a gradient that no backward computes: is it meant to be propagated by "
                f"{code(facts, other.at.node)}, in the place of another term?"
            )
            yield self.finding(at, message, [Step(place(other.at), "only another term is propagated")])
        backwards = [event for event in facts.of("backward") if event.node is not None]
        places = [place(event.at) for event in backwards]
        # A trainer calls backward where it is told to.
        places += [Place(facts.source_of(node), node) for node, _ in facts.called("manual_backward")]
        if not places:
            return
        of_names: dict[tuple[ast.AST | None, str], list[Event]] = {}
        for event in backwards:
            receiver = receiver_of(event.at.node)
            if isinstance(receiver, ast.Name):
                of_names.setdefault((_function(facts, receiver), receiver.id), []).append(event)
        read = facts.source.index(_name_read)
        for node in dict.fromkeys(facts.each(_losses)):
            target = _target(facts, _scaled(facts, node))
            if target is None or target.id.startswith("_"):
                continue
            if target.id in read:
                new = _overwritten_by(facts, target)
                if new is not None and (values := _values(facts, node)) and not _is_differentiated(values, backwards):
                    yield self._report_replaced(facts, target, new)
                    continue
                of_name = of_names.get((_function(facts, target), target.id), ())
                last = _propagated_after(facts, target, of_name)
                if last is not None and _values(facts, node):
                    yield self._report_overwritten(facts, target, last)
                continue
            backward = _beside(facts, node, places) or _of_returned(facts, node, backwards)
            values = _values(facts, node) if backward is not None else []
            if backward is not None and values and not _is_differentiated(values, backwards):
                yield self._report(facts, target, backward)

    def _report(self, facts: Facts, target: ast.Name, backward: Place) -> Finding:
        message = f"`{target.id}` has a gradient and is used nowhere: it trains nothing; is it missing from the loss?"
        return self.finding(Place(facts.source_of(target), target), message, [Step(backward, "this goes without it")])

    def _report_replaced(self, facts: Facts, target: ast.Name, new: ast.Assign, *, is_known: bool = True) -> Finding:
        """A loss that the next statement to name it replaces, without a look at it."""
        name, signed = target.id, isinstance(new.value, ast.UnaryOp) and isinstance(new.value.op, ast.UAdd)
        wrong = "`=+` assigns: write `+=`" if signed else f"is it missing there, as in `{name} = {name} + ...`?"
        what = f"{code(facts, new)} replaces this `{name}`, which nothing has read"
        message = f"{what}: {'it trains' if is_known else 'if it is a loss, it trains'} nothing; {wrong}"
        at = Place(facts.source_of(new), new)
        value = new.value.operand if isinstance(new.value, ast.UnaryOp) and signed else new.value
        text = f"{facts.segment(target)} += {facts.segment(value)}"
        fix = Fix(f"Write `{name} += ...`", Safety.SUGGESTED, edits.replace_statement(at, text))
        story = [Step(at, "it is replaced here")]
        return self.finding(Place(facts.source_of(target), target), message, story, [fix])

    def _report_overwritten(self, facts: Facts, target: ast.Name, backward: Event) -> Finding:
        message = (
            f"each round of the loop overwrites `{target.id}`, which nothing reads before: only the last one is "
            f"propagated. Propagate it in the loop, or add them up: `{target.id} = {target.id} + ...`"
        )
        story = [Step(place(backward.at), "this is after the loop")]
        return self.finding(Place(facts.source_of(target), target), message, story, _summed_up(facts, target))


def _unknown_replaced(facts: Facts) -> Iterator[tuple[ast.Name, ast.Assign]]:
    """What something unknown computes of several arguments, and the next statement that names it replaces, before it is
    propagated in the same block."""
    seen: set[ast.AST] = set()
    for event in facts.of("backward"):
        receiver = receiver_of(event.at.node)
        statement = facts.statement(event.at.node)
        block = getattr(facts.parent(statement), "body", None) if statement is not None else None
        if not isinstance(receiver, ast.Name) or not isinstance(block, list) or statement not in block:
            continue
        for part in reversed(block[: block.index(statement)]):
            target = part.targets[0] if isinstance(part, ast.Assign) and len(part.targets) == 1 else None
            if not isinstance(target, ast.Name) or target.id != receiver.id:
                continue
            if part in seen:
                break  # An earlier backward of the name was asked about it and what is before.
            seen.add(part)
            call = part.value
            unknown = isinstance(call, ast.Call) and len(call.args) > 1 and _is_unknown(facts, call)
            new = _overwritten_by(facts, target, is_tensor=False) if unknown else None
            if new is not None:
                yield target, new


def _is_unknown(facts: Facts, call: ast.Call) -> bool:
    """Does something of the program's own, such as a criterion that it is given, give nothing that is known?"""
    given = facts.evaluations(call)
    return bool(given) and all(isinstance(function, Unknown) and type(one) is Unknown for function, _, one in given)


def _overwritten_by(facts: Facts, target: ast.Name, *, is_tensor: bool = True) -> ast.Assign | None:
    """The next statement of the same block that names what is assigned here, if that assigns it anew and reads nothing
    of it."""
    statement = facts.statement(target)
    outer = facts.parent(statement) if statement is not None else None
    blocks = [getattr(outer, field, None) for field in ("body", "orelse", "finalbody")]
    block = next((one for one in blocks if isinstance(one, list) and statement in one), [])
    for later in block[block.index(statement) + 1 :] if block else ():
        if any(_is_name(part, target.id) for part in ast.walk(later)):
            if (
                not isinstance(later, ast.Assign)
                or len(later.targets) != 1
                or not _is_name(later.targets[0], target.id)
            ):
                return None
            reads = any(_is_name(part, target.id) for part in ast.walk(later.value))
            return later if not reads and (not is_tensor or facts.is_tensor(later.value)) else None
    return None


def _of_returned(facts: Facts, node: ast.Call, backwards: list[Event]) -> Place | None:
    """The backward of a loss that the function around gives, as a whole or as a part of it."""
    function = _function(facts, node)
    if function is None or not backwards:
        return None
    returned = (event.value for event in facts.of("return") if event.function.node is function)
    given = {value.node for value in returned if isinstance(value, Tensor) and _is_loss(value)}
    found = (event for event in backwards if any(part in given for part in walk(event.node)))  # type: ignore[arg-type]
    backward = next(found, None) if given else None
    return place(backward.at) if backward is not None else None


def _summed_up(facts: Facts, target: ast.Name) -> list[Fix]:
    """The fix that adds the losses up, and begins with 0 where nothing does."""
    statement, name = facts.statement(target), facts.segment(target)
    loop = facts.parent(statement) if statement is not None else None
    if not isinstance(statement, ast.Assign) or not isinstance(loop, (ast.For, ast.While)):
        return []
    title = f"Add them up: `{name} = {name} + ...`"
    new = f"{name} = {name} + ({facts.segment(statement.value)})"
    if isinstance(statement.value, (ast.Call, ast.Name, ast.Attribute)):
        new = f"{name} = {name} + {facts.segment(statement.value)}"
    at = Place(facts.source_of(statement), statement)
    added = [Fix(title, Safety.SUGGESTED, edits.replace_statement(at, new))]
    begun = [] if _before(facts, loop, target.id) is not None else [put(facts, loop, f"{name} = 0", behind=False)]
    return all_of(title, *begun, added)


def _losses(facts: Facts) -> Iterator[ast.Call]:
    """The calls that give a loss."""
    for node, records in facts.calls.items():
        if any(isinstance(value, Tensor) and _is_loss(value) for _, _, value in records):
            yield node


def _name_read(node: ast.AST) -> Iterator[tuple[str, ast.Name]]:
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
        yield node.id, node


def _scaled(facts: Facts, node: ast.expr) -> ast.expr:
    """What a call's result is a factor or a term of, with numbers, or a term of with other losses: `0.01 *
    weight.abs().sum()`, `criterion(real, ones) + criterion(fake, zeros)`."""
    outer = facts.parent(node)
    while isinstance(outer, ast.BinOp):
        other = outer.left if outer.right is node else outer.right
        is_term = isinstance(outer.op, (ast.Add, ast.Sub)) and _gives_loss(facts, other)
        if not is_term and any(isinstance(part, ast.Call) or facts.is_tensor(part) for part in ast.walk(other)):
            return node
        node, outer = outer, facts.parent(outer)
    return node


def _gives_loss(facts: Facts, node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and bool(_values(facts, node))


def _target(facts: Facts, node: ast.expr) -> ast.Name | None:
    """The one name that the value of an expression is bound to."""
    statement = facts.parent(node)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0]
    return None


def _values(facts: Facts, node: ast.Call) -> list[Tensor]:
    """What a call gave each time, if that was a loss every time."""
    given = [value for _, _, value in facts.evaluations(node)]
    losses = [value for value in given if isinstance(value, Tensor) and _is_loss(value)]
    return losses if len(losses) == len(given) else []


def _is_loss(value: Tensor) -> bool:
    """A single number with a graph of its own."""
    return value.requires_grad is True and value.leaf is False and value.node.scalar is True


def _beside(facts: Facts, node: ast.Call, places: list[Place]) -> Place | None:
    """A backward in the same function, or in the same part of the script."""
    around = _function(facts, node)
    return next((one for one in places if _function(facts, one.node) is around), None)


def _propagated_after(facts: Facts, target: ast.Name, backwards: Sequence[Event]) -> Event | None:
    """The one of a name's backwards in its function that is behind the loop of which each round assigns to the name and
    does not read it: what began as 0, or is computed of the round's own data."""
    loop = facts.parent(facts.statement(target) or target)
    while isinstance(loop, ast.With):
        loop = facts.parent(loop)
    if not isinstance(loop, (ast.For, ast.While)):
        return None
    found = next((one for one in backwards if all(outer is not loop for outer in facts.parents(one.at.node))), None)
    began = _before(facts, loop, target.id) if found is not None else None
    if found is None or (began is None and not _is_of_each_round(facts, loop, target)):
        return None
    if began is not None and (not isinstance(began, ast.Constant) or began.value not in (0, 0.0)):
        return None  # Such as None, where the last one is meant.
    return None if any(name == target.id for node in ast.walk(loop) for name, _ in _name_read(node)) else found


def _before(facts: Facts, loop: ast.For | ast.While, name: str) -> ast.expr | None:
    """What the statements before a loop assign to a name last."""
    outer = facts.parent(loop)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(outer, field, None)
        if isinstance(block, list) and loop in block:
            for statement in reversed(block[: block.index(loop)]):
                if isinstance(statement, ast.Assign) and any(_is_name(one, name) for one in statement.targets):
                    return statement.value
    return None


def _is_of_each_round(facts: Facts, loop: ast.For | ast.While, target: ast.Name) -> bool:
    """Is a loss computed of what the loop goes through, and of nothing that the rounds before have left? Where rounds
    lead to the result of the last one, that is all that counts."""
    statement = facts.statement(target)
    if not isinstance(loop, ast.For) or not isinstance(statement, ast.Assign):
        return False
    within = [node for part in loop.body for node in ast.walk(part)]
    if any(isinstance(node, (ast.Break, ast.Return, ast.Yield, ast.If, ast.Try)) for node in within):
        return False
    given = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
    made: dict[str, list[ast.Assign]] = {}
    others: set[str] = set()
    for part in loop.body:
        for name in (node.id for node in ast.walk(part) if isinstance(node, ast.Name) and not _is_read(node)):
            if isinstance(part, ast.Assign):
                made.setdefault(name, []).append(part)
            else:
                others.add(name)
    found: set[str] = set()
    # The loss may be computed in a `with` block.
    places = {node: number for number, part in enumerate(loop.body) for node in (part, *ast.walk(part))}
    todo = [statement]
    while todo:
        now = todo.pop()
        for name in (node.id for node in ast.walk(now.value) if isinstance(node, ast.Name)):
            before = [one for one in made.get(name, ()) if places[one] < places[now]]
            if name in others or (name in made and not before):
                return False
            if name not in found:
                found.add(name)
                todo += before
    return not found.isdisjoint(given)


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _function(facts: Facts, node: ast.AST) -> ast.AST | None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return next((outer for outer in facts.parents(node) if isinstance(outer, functions)), None)


def _is_differentiated(values: list[Tensor], backwards: list[Event]) -> bool:
    nodes = {value.node for value in values}
    return any(part in nodes for event in backwards for part in walk(event.node))  # type: ignore[arg-type]
