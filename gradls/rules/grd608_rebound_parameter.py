"""GRD608."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Lib, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.loss_arguments import element_of
from gradls.rules.rule import Rule
from gradls.rules.scopes import names_in, scope_of
from gradls.rules.training_order import gradient_of, loops_of, order_of
from gradls.rules.updates import update_of
from gradls.rules.words import code, place


class ReboundParameter(Rule):
    """An update written by hand that gives a name a new tensor, and leaves the parameter as it was.

    ## What it finds
    `p = p - lr * p.grad` in a loop, where `p` is the variable of the loop or another name for a leaf that requires
    grad. Outside of loops, as information, the same for a leaf that a list or an optimizer has too. Whatever a loop
    over parameters assigns to its own variable and does not use: `target = tau * source + (1 - tau) * target`. And a
    name for a gradient that gets another value, which nothing reads: `gradient = p.grad; gradient = gradient * mask`.

    ## Why it matters
    The assignment changes what the name means, not the tensor. The model, the list or the optimizer that holds the
    parameter keeps the old one, and nothing is trained. A name that is used again in the next round means the result of
    an operation then, which has no gradient of its own.

    ## What PyTorch does
    Nothing at the assignment. In the next round `grad` of the new tensor is None, with

        TypeError: unsupported operand type(s) for *: 'float' and 'NoneType'

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter = parameter - 0.1 * parameter.grad
    assert torch.equal(model.weight, before)
    ```

    ```python
    import copy
    import torch

    online = torch.nn.Linear(3, 1)
    average = copy.deepcopy(online)
    torch.nn.init.zeros_(online.weight)
    before = average.weight.clone()
    for mean, parameter in zip(average.parameters(), online.parameters()):
        mean = 0.9 * mean.data + 0.1 * parameter.data
    assert torch.equal(average.weight, before)
    ```

    ```python
    import torch

    weight, mask = torch.ones(2, requires_grad=True), torch.tensor([1.0, 0.0])
    weight.sum().backward()
    for parameter in [weight]:
        gradient = parameter.grad
        gradient = gradient * mask
    assert weight.grad[1] == 1
    ```

    ## Use instead
    Write into the parameter, without recording it.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    before = model.weight.clone()
    model(torch.randn(8, 3)).pow(2).mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    assert not torch.equal(model.weight, before)
    ```

    ```python
    import copy
    import torch

    online = torch.nn.Linear(3, 1)
    average = copy.deepcopy(online)
    torch.nn.init.zeros_(online.weight)
    before = average.weight.clone()
    with torch.no_grad():
        for mean, parameter in zip(average.parameters(), online.parameters()):
            mean.mul_(0.9).add_(parameter, alpha=0.1)
    assert not torch.equal(average.weight, before)
    ```

    ## When it is silent
    Where the new tensor is made a leaf again, or is used for more than the next round.

    ```python
    import torch

    weight = torch.randn(3, requires_grad=True)
    for _ in range(3):
        weight.pow(2).sum().backward()
        weight = (weight - 0.1 * weight.grad).detach().requires_grad_()
    assert weight.is_leaf
    ```

    ## Fix safety
    Suggested: the assignment becomes one in place, under `torch.no_grad()`; where nothing else clears the gradient,
    that is taken away, too.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#locally-disabling-gradient-computation
    """

    code, name, severity = "GRD608", "rebound-parameter", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        told: set[ast.AST] = set()
        for event in facts.of("unknown-rebound"):
            node = event.at.node
            if node not in told and _is_parameter_of_unknown(event.old) and _is_never_read(facts, node):
                told.add(node)
                yield self._report_unused(facts, event, None)
        for number, event in facts.numbered("rebound"):
            if not isinstance(event.value, Tensor):
                continue
            old = event.old
            if gradient_of(old) is not None and old.requires_grad is False and _is_lost(facts, event.at.node):
                yield self._report_gradient(facts, event)
                continue
            is_held = _is_data_of_parameter(old) or (old.is_parameter and old.leaf is True and old.node.leaf is old)
            if is_held and _is_never_read(facts, event.at.node):
                yield self._report_unused(facts, event, old)
                continue
            if old.leaf is not True or old.node.leaf is not old:
                continue
            if not _is_update(event.value.node, old):
                continue
            if (event.value.leaf is True and event.value.requires_grad is True) or _is_kept(facts, number, event.value):
                continue
            yield self._report(facts, event, old, _is_used_later(facts, number, event))

    def _report(self, facts: Facts, event: Event, old: Tensor, used: bool) -> Finding:
        statement = facts.statement(event.at.node)
        what = code(facts, statement if statement is not None else event.at.node)
        name = facts.segment(event.at.node)
        if used:
            message = (
                f"{what} makes `{name}` the result of an operation, with no gradient of its own in the next round; "
                f"write into it instead: `{name} -= ...` under `torch.no_grad()`"
            )
        elif not loops_of(event.path):
            message = (
                f"{what} only changes what `{name}` means: the list or optimizer that has the parameter keeps the old "
                f"one; write into it instead: `{name} -= ...` under `torch.no_grad()`"
            )
        else:
            message = (
                f"{what} only changes what `{name}` means in this round: the parameter itself stays as it was; write "
                f"into it instead: `{name} -= ...` under `torch.no_grad()`"
            )
        story = [Step(place(old.node.at), "this is the tensor that should change")] if old.node.at is not None else []
        severity = None if loops_of(event.path) else Severity.INFORMATION
        clears = any(m.kind == "clear" and (m.tensors is None or old in m.tensors) for m in order_of(facts).moments)
        return self.finding(place(event.at), message, story, _written_in_place(facts, event, not clears), severity)

    def _report_gradient(self, facts: Facts, event: Event) -> Finding:
        name = facts.segment(event.at.node)
        what = code(facts, facts.statement(event.at.node) or event.at.node)
        message = (
            f"{what} only changes what `{name}` means, and nothing reads it afterwards: the gradient stays as it was; "
            f"write into it instead: `{name}.copy_(...)`"
        )
        return self.finding(place(event.at), message, (), _written_in_place(facts, event, False))

    def _report_unused(self, facts: Facts, event: Event, old: Tensor | None) -> Finding:
        name = facts.segment(event.at.node)
        what = code(facts, facts.statement(event.at.node) or event.at.node)
        message = (
            f"{what} only changes what `{name}` means, and nothing reads it before the next round: the parameter stays "
            f"as it was; write into it instead: `{name}.copy_(...)` under `torch.no_grad()`"
        )
        made = old.node.at if old is not None else None
        story = [Step(place(made), "this is the tensor that should change")] if made is not None else []
        return self.finding(place(event.at), message, story, _written_in_place(facts, event, False))


def _written_in_place(facts: Facts, event: Event, cleared: bool) -> list[Fix]:
    """The fix that writes into the tensor, and takes its gradient away where nothing else does."""
    statement = facts.statement(event.at.node)
    if not isinstance(statement, ast.Assign) or statement.targets != [event.at.node]:
        return []
    title = f"Write into `{facts.segment(event.at.node)}` in place"
    at, bare = Place(event.at.source, statement), _is_without_grad(facts, statement)
    build = edits.assign_in_place(at, cleared=cleared, bare=bare, torch_name=facts.torch_name)
    if update_of(statement) is not None:
        build = edits.update_in_place(at, facts.torch_name, cleared)
    return [Fix(f"{title}, and clear its gradient" if cleared else title, Safety.SUGGESTED, build)]


def _is_without_grad(facts: Facts, statement: ast.AST) -> bool:
    """Does it stand in a `with torch.no_grad():` block, or in a function that is decorated so?"""
    for above in facts.parents(statement):
        modes = [item.context_expr for item in above.items] if isinstance(above, (ast.With, ast.AsyncWith)) else []
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            modes = above.decorator_list
        if any(facts.segment(mode).removesuffix("()").endswith(("no_grad", "inference_mode")) for mode in modes):
            return True
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
    return False


def _is_data_of_parameter(tensor: Tensor) -> bool:
    """Is it the data of a parameter, as an entry of a `state_dict()` is?"""
    return isinstance(tensor.data, Tensor) and tensor.data.is_parameter


def _is_parameter_of_unknown(value: Value) -> bool:
    """Is it an element of `parameters()` of something unknown, or of the `params` of a group in `param_groups`?"""
    element = element_of(value)
    iterated = element.fields.get("iterated") if element is not None else None
    if not isinstance(iterated, Unknown):
        return False
    if iterated.origin == "call":
        return iterated.name in ("parameters", "named_parameters")
    derived = iterated.fields.get("derived")
    group = element_of(derived[0]) if derived is not None and derived[1] == ("item", "params") else None
    return group is not None and group.name == "param_groups"


def _is_never_read(facts: Facts, target: ast.AST) -> bool:
    """Is this name the variable of the loop that the assignment stands in, and read by nothing after it?"""
    statement = facts.statement(target)
    if not isinstance(target, ast.Name) or not isinstance(statement, ast.Assign):
        return False
    after: list[ast.AST] = []
    inner: ast.AST = statement
    while (outer := facts.parent(inner)) is not None:
        for _, value in ast.iter_fields(outer):
            if isinstance(value, list) and inner in value:
                after += value[value.index(inner) + 1 :]
        if isinstance(outer, (ast.For, ast.AsyncFor)) and _names(outer.target, target.id):
            return not any(_names(later, target.id) for later in after)
        if isinstance(outer, (ast.For, ast.AsyncFor, ast.While, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return False
        inner = outer
    return False


def _is_lost(facts: Facts, target: ast.AST) -> bool:
    """Does this give a name another meaning that the same block has bound before, and does nothing read it then?"""
    statement = facts.statement(target)
    if not isinstance(target, ast.Name) or not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return False
    if any(_may_do_more(facts, part) for part in ast.walk(statement.value) if isinstance(part, ast.Call)):
        return False
    outer = facts.parent(statement)
    block = getattr(outer, "body", None)
    if not isinstance(block, list) or statement not in block:
        return False
    before = block[: block.index(statement)]
    bound = [number for number, one in enumerate(before) if isinstance(one, ast.Assign) and _binds(one, target.id)]
    if not bound:
        return False
    allowed = {id(node) for part in (*before[bound[-1] :], statement) for node in ast.walk(part)}
    names = names_in(facts.source_of(statement), scope_of(facts, statement), target.id)
    return not any(isinstance(node.ctx, ast.Load) and id(node) not in allowed for node in names)


def _may_do_more(facts: Facts, call: ast.Call) -> bool:
    """May a call do more than give a result? A function of the program may, and one that is told where to put it."""
    if any(keyword.arg in ("out", "inplace") for keyword in call.keywords):
        return True
    functions = [function for function, _, _ in facts.evaluations(call)]
    return not all(isinstance(one, Lib) or (isinstance(one, Bound) and one.function is None) for one in functions)


def _binds(statement: ast.Assign, name: str) -> bool:
    target = statement.targets[0]
    return len(statement.targets) == 1 and isinstance(target, ast.Name) and target.id == name


def _names(tree: ast.AST, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(tree))


def _is_update(node: Node, old: Tensor) -> bool:
    """Is it computed from a leaf and from its gradient, and from nothing else?"""
    parts = list(walk(node))
    if len(parts) > 12 or any(part.kind == "phi" for part in parts):
        return False
    leaves = [part.leaf for part in parts if part.leaf is not None]
    return old in leaves and any(gradient_of(leaf) is old for leaf in leaves if leaf is not old) and len(leaves) == 2


def _is_kept(facts: Facts, number: int, value: Tensor) -> bool:
    """Is the new tensor made a leaf, put somewhere, or handed to someone?"""
    for later in facts.events[number + 1 :]:
        if later.kind in ("requires-grad-set", "retain-grad", "return", "yield") and later.value is value:
            return True
        if later.kind == "rebound" and later.old is value and _is_new_leaf(later.value):
            return True
        if value in (later.info.get("assigned"), later.info.get("appended")):
            return True
        if later.kind == "unknown-call" and any(argument is value for argument in later.arguments):
            return True
    return False


def _is_new_leaf(value: Value | None) -> bool:
    return isinstance(value, Tensor) and value.leaf is True and value.requires_grad is not False


def _is_used_later(facts: Facts, number: int, event: Event) -> bool:
    """Does anything that happens in a later round come from the new tensor?"""
    assert isinstance(event.value, Tensor)
    for later in facts.events[number + 1 :]:
        if later.node is None or not loops_of(later.path) & loops_of(event.path):
            continue
        if later.kind in ("backward", "grad-read", "loss") and any(
            part is event.value.node for part in walk(later.node)
        ):
            return True
    return False
