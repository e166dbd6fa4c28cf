"""GRD616."""

import ast
from collections.abc import Iterable

from gradls.autograd.modules import find_module
from gradls.autograd.ops import find_op
from gradls.flow.facts import Facts
from gradls.flow.hooks import HOOKS
from gradls.flow.values import Bound, Instance, Lib, Sequence, Tensor, Unknown, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Tag
from gradls.rules.rule import Rule
from gradls.rules.scopes import is_run_with, names_in
from gradls.rules.statement_fixes import brief
from gradls.rules.words import code, place

_WITH_EFFECT = frozenset((
    "cuda", "cpu", "item", "numpy", "tolist", "backward", "retain_grad", "pin_memory", "share_memory_", "data_ptr",
))  # fmt: skip
"""Methods that are called for another reason than their result: to wait, or to see whether they raise."""


class ResultThrownAway(Rule):
    """The result of an operation that changes nothing, and is not used.

    ## What it finds
    A statement that only calls an operation which returns a new tensor and leaves its input alone: `x.detach()`,
    `loss.to(device)`, `torch.clamp(weight, -1, 1)`, `F.relu(x)`, or an activation or dropout layer. As a warning, a
    flag or a part of a tensor that is compared instead of set, `parameter.requires_grad == False` or
    `gradient[mask] == 0`, and parameters that are added to a list which nobody gets:
    `trained + list(model.parameters())`.

    ## Why it matters
    The statement does nothing. What it was meant to do, to detach, to move, to clamp, to activate, does not happen.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    hidden = model(torch.randn(8, 3))
    hidden.detach()
    torch.relu(hidden)
    assert hidden.requires_grad and hidden.min() < 0
    ```

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    for parameter in model.parameters():
        parameter.requires_grad == False
    assert model.weight.requires_grad
    ```

    ```python
    import torch

    gradient = torch.ones(3)
    gradient[1:] == 0
    assert gradient.sum() == 3
    ```

    ```python
    import torch

    encoder, decoder = torch.nn.Linear(3, 2), torch.nn.Linear(2, 3)
    trained = list(encoder.parameters())
    trained + list(decoder.parameters())
    optimizer = torch.optim.SGD(trained, lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 2
    ```

    ## Use instead
    The result, or the operation that works in place.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    hidden = model(torch.randn(8, 3))
    hidden = hidden.detach()
    hidden.relu_()
    assert not hidden.requires_grad and hidden.min() >= 0
    ```

    ## When it is silent
    For operations in place, for calls with `out=`, for modules with parameters, which may be called for what their
    hooks do, for what is computed of something new, such as `torch.rand(3).sum()`, and where an error is expected.

    ```python
    import torch

    model, result = torch.nn.Linear(3, 1), torch.empty(3)
    model(torch.randn(8, 3))
    torch.add(torch.ones(3), 1, out=result)
    result.clamp_(0, 1)
    assert result.sum() == 3
    ```

    ## Fix safety
    Suggested: the result gets the name of what it is computed from, if that is read later; a gradient is written in
    place; a comparison becomes an assignment.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/autograd.html#in-place-operations-with-autograd
    """

    code, name, severity = "GRD616", "result-thrown-away", Severity.INFORMATION
    tag = Tag.UNNECESSARY
    of_value = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen: set[ast.AST] = set()
        for event in facts.of("statement"):
            node = event.at.node
            if not isinstance(node, ast.Expr) or event.caught or node in seen:
                continue
            flag = _compared(node.value)
            if flag is not None and not _is_tried(facts, node):
                seen.add(node)
                message = (
                    f"{code(facts, node)} only compares, and nothing uses the result: `{facts.segment(flag)}` stays "
                    f"what it is. {_ONE}"
                )
                compared = node.value
                assert isinstance(compared, ast.Compare)
                new = f"{facts.segment(flag)} = {facts.segment(compared.comparators[0])}"
                fix = Fix(f"Write `{new}`", Safety.SUGGESTED, edits.replace_statement(place(event.at), new))
                yield self.finding(place(event.at), message, (), [fix], Severity.WARNING)
            yield from self._of_operator(facts, node)
            if not isinstance(node.value, ast.Call):
                continue
            records = facts.calls.get(node.value, ())
            if not records or _is_tried(facts, node) or _is_of_something_new(facts, node.value):
                continue
            nothing = all(_does_nothing(*record) or _is_of_unknown(node.value, record[0]) for record in records)
            if nothing and not _is_timed(facts, node.value):
                seen.add(node)
                written = all(_has_grad(record[0]) for record in records) and isinstance(node.value.func, ast.Attribute)
                what = f"write in place, with `{node.value.func.attr}_`" if written else "assign it"  # type: ignore[attr-defined]
                message = f"{code(facts, node)} changes nothing, and its result is not used: {what}"
                yield self.finding(place(event.at), message, (), _used(facts, node, node.value))

    def _of_operator(self, facts: Facts, node: ast.Expr) -> Iterable[Finding]:
        """Elements that are compared and not set, and parameters that are added to a list which nobody gets."""
        value, at = node.value, Place(facts.source_of(node), node)
        if _is_tried(facts, node) or _is_timed(facts, value):
            return
        if isinstance(value, ast.Compare) and _is_compared_part(facts, value):
            part, new = facts.segment(value.left), facts.segment(value.comparators[0])
            message = (
                f"{code(facts, node)} only compares, and nothing uses the result: `{part}` stays what it is. {_ONE}"
            )
            fix = Fix(f"Write `{part} = {new}`", Safety.SUGGESTED, edits.replace_statement(at, f"{part} = {new}"))
            yield self.finding(at, message, (), [fix], Severity.WARNING)
        elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add) and _holds_parameters(facts, value):
            owner = facts.segment(value.left)
            message = f"{code(facts, node)} makes a new list that nobody gets: `{owner}` stays as it is. Write `+=`"
            new = f"{owner} += {facts.segment(value.right)}"
            fixes = [Fix(f"Write `{new}`", Safety.SUGGESTED, edits.replace_statement(at, new))]
            fixes = fixes if isinstance(value.left, (ast.Name, ast.Attribute)) else []
            yield self.finding(at, message, (), fixes, Severity.WARNING)


_ONE = "An assignment has one `=`"


def _is_compared_part(facts: Facts, value: ast.Compare) -> bool:
    """`gradient[mask] == 0`, where that is a tensor."""
    single = len(value.ops) == 1 and isinstance(value.ops[0], ast.Eq)
    return single and isinstance(value.left, ast.Subscript) and facts.is_tensor(value.left)


def _holds_parameters(facts: Facts, value: ast.BinOp) -> bool:
    """Is one side a list of parameters that is made here? Then the other is a list, too."""
    for side in (value.left, value.right):
        call = side
        if isinstance(side, ast.ListComp):
            call = side.generators[0].iter
        elif not isinstance(side, ast.Call) or getattr(side.func, "id", "") != "list":
            continue
        for function, _, result in facts.evaluations(call):
            is_list = isinstance(function, Lib) and function.path == "builtins.list"
            if isinstance(result, Sequence) and (is_list or call is not side):
                return any(isinstance(part, Tensor) and part.is_parameter for part in result.items)
    return False


def _used(facts: Facts, statement: ast.Expr, call: ast.Call) -> list[Fix]:
    """The fix that gives the result the name of what it is computed from, or writes a gradient in place."""
    functions = [record[0] for record in facts.evaluations(call)]
    of_tensor = isinstance(call.func, ast.Attribute) and all(isinstance(one, (Bound, Unknown)) for one in functions)
    at = Place(facts.source_of(statement), statement)
    if of_tensor:
        assert isinstance(call.func, ast.Attribute)
        target, name = call.func.value, call.func.attr
    else:
        target, name = (call.args[0] if call.args else call.func), ""
    part = isinstance(target, ast.Attribute) and target.attr in ("grad", "data")
    if part or (of_tensor and functions and all(map(_has_grad, functions))):
        if not name or find_op(f"torch.Tensor.{name}_") is None:
            return []
        build = edits.rename_attribute(at._replace(node=call), f"{name}_")
        return [Fix(f"Write into it: `{name}_`", Safety.SUGGESTED, build)]
    written = facts.segment(target)
    if not isinstance(target, (ast.Name, ast.Attribute)) or (not of_tensor and target is call.func):
        return []
    given = [
        getattr(one, "receiver", None) if of_tensor else r.get(0, "input") for one, r, _ in facts.evaluations(call)
    ]
    if any(isinstance(one, Tensor) and one.is_parameter for one in given) or not _is_read_later(
        facts, statement, target
    ):
        return []
    title = f"Assign it: `{written} = {brief(call)}`"
    return [Fix(title, Safety.SUGGESTED, edits.replace_statement(at, f"{written} = {facts.segment(call)}"))]


def _is_read_later(facts: Facts, statement: ast.Expr, target: ast.Name | ast.Attribute) -> bool:
    """Is the name read behind the statement, or in a later round of a loop around it, in the same function?"""
    if isinstance(target, ast.Attribute):
        return True
    source = facts.source_of(statement)
    start = source.span(statement)
    around: ast.AST = source.tree
    for above in source.parents(statement):
        if isinstance(above, (ast.For, ast.AsyncFor, ast.While)):
            start = min(start, source.span(above))
        around = above
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
    own = set(ast.walk(statement))
    return any(
        isinstance(part.ctx, ast.Load)
        and source.span(part) >= start
        and part not in own
        and is_run_with(source, part, around)
        for part in names_in(source, around, target.id)
    )


def _compared(node: ast.expr) -> ast.Attribute | None:
    """The flag or gradient of `p.requires_grad == False`."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq):
        left, right = node.left, node.comparators[0]
        if isinstance(left, ast.Attribute) and left.attr in ("requires_grad", "grad", "training"):
            return left if isinstance(right, ast.Constant) else None
    return None


_TELLING = frozenset((
    "torch.rand", "torch.randn", "torch.randint", "torch.randperm", "torch.normal", "torch.cholesky",
    "torch.linalg.cholesky",
))  # fmt: skip
"""Functions that are called for something else than what they give: for the next random numbers to be others, or to
raise where a matrix is not positive definite."""


def _is_of_something_new(facts: Facts, call: ast.Call) -> bool:
    """Is it computed of a tensor that nobody has, `torch.rand(3).sum()`? That is done to show it, or to make work."""
    functions = [record[0] for record in facts.evaluations(call)]
    if any(isinstance(function, Bound) for function in functions):
        return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Call)
    if not call.args or not isinstance(call.args[0], ast.Call) or any(isinstance(one, Instance) for one in functions):
        return False
    return all(isinstance(record[2], Tensor) for record in facts.evaluations(call.args[0]))


_CLOCKS = frozenset((
    "time.time", "time.time_ns", "time.perf_counter", "time.perf_counter_ns", "time.monotonic", "time.process_time",
    "timeit.default_timer", "torch.cuda.Event", "torch.cuda.synchronize",
))  # fmt: skip
_CLOCK_NAMES = tuple(sorted({path[path.rfind(".") + 1 :] for path in _CLOCKS}))


def _is_timed(facts: Facts, value: ast.expr) -> bool:
    """Does the function around look at a clock before and after it? Then the time that it takes is what is wanted."""
    function, at = facts.function(value), facts.source_of(value).span(value)
    looks = {
        facts.source_of(node).span(node) < at
        for node, records in facts.called(*_CLOCK_NAMES)
        if any(isinstance(one, Lib) and one.path in _CLOCKS for one, _, _ in records)
        and facts.function(node) is function
    }
    return len(looks) == 2


def _is_tried(facts: Facts, node: ast.AST) -> bool:
    """Does this stand in a `try` block, which may be about whether it raises?"""
    outer = facts.parent(node)
    while outer is not None and not isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if isinstance(outer, ast.Try) and node in outer.body:
            return True
        node, outer = outer, facts.parent(outer)
    return False


def _is_of_unknown(call: ast.Call, function: Value) -> bool:
    """Is it a method of the `data` or the `grad` of something unknown, or of what has a `grad`, which tensors have, and
    have another for writing in place? A set that is called `data` is added to, too, but one thing at a time."""
    written = call.func
    if not isinstance(function, Unknown) or not isinstance(written, ast.Attribute):
        return False
    of_part = isinstance(written.value, ast.Attribute) and written.value.attr in ("data", "grad")
    if not of_part and not _has_grad(function):
        return False
    name = written.attr
    plain, inplace = find_op(f"torch.Tensor.{name}"), find_op(f"torch.Tensor.{name}_")
    if plain is None or plain.inplace or inplace is None or not inplace.inplace:
        return False
    of_grad = isinstance(written.value, ast.Attribute) and written.value.attr == "grad"
    return name != "add" or of_grad or len(call.args) + len(call.keywords) == 2


def _has_grad(function: Value) -> bool:
    """Is it a method of something of which only its gradient is known, as of the parameters of a group?"""
    owner = function.fields.get("of") if isinstance(function, Unknown) else None
    return isinstance(owner, Unknown) and "grad" in owner.fields


def _does_nothing(function: Value, call: object, result: Value) -> bool:
    """Does a call only compute something?"""
    if not isinstance(result, Tensor) or getattr(call, "kwargs", {}).get("out") is not None:
        return False
    if isinstance(function, Bound):
        name, receiver = function.name, function.receiver
        op = find_op(f"torch.Tensor.{name}") if isinstance(receiver, Tensor) else None
        return op is not None and not op.inplace and not name.endswith("_") and name not in _WITH_EFFECT
    if isinstance(function, Lib):
        if function.path in _TELLING:
            return False
        op = find_op(function.path)
        inplace = getattr(call, "kwargs", {}).get("inplace")
        return op is not None and not op.inplace and not function.path.endswith("_") and inplace is None
    spec = find_module(function.path) if isinstance(function, Instance) else None
    if spec is None or not isinstance(function, Instance) or function.fields.get(HOOKS):
        return False
    inplace = function.data.get("options", {}).get("inplace")
    return spec.kind in ("activation", "dropout") and (inplace is None or getattr(inplace, "value", None) is False)
