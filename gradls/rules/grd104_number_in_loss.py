"""GRD104."""

import ast
from collections.abc import Sequence

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.flow.reach import walk
from gradls.flow.values import Sequence as Items
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety, Severity
from gradls.rules.histories import history_between
from gradls.rules.lost_gradient import LostGradientRule, is_call_of
from gradls.rules.numbers_used import needs_number
from gradls.rules.words import place

_OF_TORCH = {
    **{name: name for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1",
        "lgamma", "log", "log10", "log1p", "log2", "sin", "sinh", "sqrt", "tan", "tanh",
    )},
    "fabs": "abs",
}  # fmt: skip
"""What functions of `math` are called in PyTorch."""
_COPIES = ("tensor", "as_tensor", "asarray", "FloatTensor", "Tensor", "new_tensor")


class NumberInLoss(LostGradientRule):
    """A number read out of a tensor, and put back into a loss.

    ## What it finds
    `.item()`, `.tolist()`, `float(t)` and `int(t)` between parameters and a loss on which `backward()` is called. As
    information, the same between a part of a module and what its `forward` returns, in a file that does not train it;
    and a number that is read out of a parameter before the loop that trains it, and used there.

    ## Why it matters
    The number has no history. What is computed from it is a constant for autograd: that term trains nothing, and a
    loss of such terms alone cannot be differentiated.

    ## What PyTorch does
    For a loss that is made of numbers only `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    A single term of a larger loss is lost silently.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    error = model(torch.randn(8, 3)).pow(2).mean().item()
    loss = torch.tensor(error)
    loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad
    ```

    ```python
    import torch

    model, other = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    x = torch.randn(8, 3)
    loss = model(x).pow(2).mean() + other(x).pow(2).mean().item()
    loss.backward()
    optimizer.step()
    assert other.weight.grad is None
    ```

    ## Use instead
    The tensor; `.item()` only for what is printed or stored.

    ```python
    import torch

    model, other = torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
    x = torch.randn(8, 3)
    loss = model(x).pow(2).mean() + other(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    assert other.weight.grad is not None
    print(loss.item())
    ```

    ## When it is silent
    For numbers that are logged, compared, or used as a factor of a loss that has its gradient otherwise.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = model(torch.randn(8, 3)).pow(2).mean()
    scaled = loss / loss.item()
    scaled.backward()
    optimizer.step()
    assert model.weight.grad is not None
    ```

    ## Fix safety
    Suggested: removing the call changes what is trained.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.item.html
    """

    code, name, severity = "GRD104", "number-in-loss", Severity.ERROR
    whole_file = True
    kinds = ("number",)
    does = "turns the value into a number without a gradient"

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        assert lost.cut.cut is not None
        node = lost.cut.cut.at.node
        if lost.why == "before":
            return []  # It is read in each round then, or is a tensor: that is for a person to say.
        if _weighs_a_score(facts, lost):
            # As a tensor it would be trained to make what was drawn more likely.
            return []
        at = place(lost.cut.cut.at)
        if not isinstance(node, ast.expr):
            return []
        spread = _spread(facts, node)
        if spread is not None:
            return [Fix("Stretch a fixed `linspace` instead", Safety.SUGGESTED, edits.replace_expression(*spread))]
        if needs_number(facts, node) or _goes_through_numpy(lost):
            return []
        if lost.cut.op.startswith("math."):
            return _function_of_torch(facts, lost.cut.op.removeprefix("math."), at)
        build = edits.unwrap_call if is_call_of(node, "float", "int") and _is_plain(node) else edits.remove_call
        kept = _with_copies(facts, lost, build(at))
        return [Fix("Keep the tensor", Safety.SUGGESTED, kept)] if kept is not None else []


def _goes_through_numpy(lost: Lost) -> bool:
    """Does NumPy, which takes no tensor with a gradient, compute something of the number?"""
    way = history_between(lost.backward.node, lost.cut) if lost.backward.node is not None else []
    return any((step.op or "").split(".")[0] == "numpy" for step in way)


def _function_of_torch(facts: Facts, name: str, at: Place) -> Sequence[Fix]:
    """`math.exp(x)` becomes `torch.exp(x)`."""
    if not isinstance(at.node, ast.Call) or name not in _OF_TORCH or len(at.node.args) != 1 or at.node.keywords:
        return []
    new = f"{facts.torch_name}.{_OF_TORCH[name]}"
    return [Fix(f"Use `{new}`", Safety.SUGGESTED, edits.replace_expression(Place(at.source, at.node.func), new))]


def _spread(facts: Facts, node: ast.expr) -> tuple[Place, str] | None:
    """For a number that is an end of a `linspace`, which gives no gradient to its ends: what does."""
    call = facts.parent(node)
    if not isinstance(call, ast.Call) or not is_call_of(call, "linspace") or len(call.args) < 2:
        return None
    if not any(end is node for end in call.args[:2]) or any(isinstance(part, ast.Starred) for part in call.args):
        return None
    ends = []
    for end in call.args[:2]:
        reads = isinstance(end, ast.Call) and isinstance(end.func, ast.Attribute) and end.func.attr == "item"
        plain = end.func.value if reads and isinstance(end, ast.Call) and isinstance(end.func, ast.Attribute) else end
        text = facts.segment(plain)
        ends.append(text if isinstance(plain, (ast.Name, ast.Attribute, ast.Constant, ast.Call)) else f"({text})")
    rest = [*call.args[2:], *(keyword.value for keyword in call.keywords)]
    names = [""] * len(call.args[2:]) + [f"{keyword.arg}=" if keyword.arg else "**" for keyword in call.keywords]
    given = "".join(f", {name}{facts.segment(value)}" for name, value in zip(names, rest, strict=True))
    function = facts.segment(call.func)
    return place_of(facts, call), f"{ends[0]} + ({ends[1]} - {ends[0]}) * {function}(0, 1{given})"


def place_of(facts: Facts, node: ast.AST) -> Place:
    return Place(facts.source_of(node), node)


def _with_copies(facts: Facts, lost: Lost, build: edits.Edits) -> edits.Edits | None:
    """The same edits, and those of the calls that copy the number into a tensor again on its way to the loss. None if
    that copies what a function makes of the numbers, such as their order."""
    if lost.backward.node is None or lost.cut.cut is None:
        return build
    node = lost.cut.cut.at.node
    builders, within = [build], set(facts.parents(node))
    for step in history_between(lost.backward.node, lost.cut):
        call = step.at.node if step.at is not None else None
        if not isinstance(call, ast.Call) or not is_call_of(call, *_COPIES):
            continue
        data = call.args[0] if call.args else None
        parts = [part for event in facts.of("copied") if event.at.node is call for part in event.parts]
        where = place_of(facts, call)
        several = isinstance(data, (ast.List, ast.ListComp, ast.GeneratorExp, ast.Tuple)) or len(parts) > 1
        several = several or (
            isinstance(data, (ast.Name, ast.Attribute)) and call not in within and _is_list(facts, call)
        )
        one = edits.stack(where, torch_name=facts.torch_name) if several else edits.unwrap_call(where)
        if data is node and isinstance(node, ast.Call):
            builders[0] = _without_both(where, node)
        elif call in within and isinstance(data, ast.Call) and not is_call_of(data, "float", "int"):
            return None
        elif call in within and several:
            builders[0] = one  # it takes the conversion off the elements
        elif call not in within:
            builders.append(one)
    return edits.together(*builders)


def _is_list(facts: Facts, call: ast.Call) -> bool:
    """Is what a call copies a list?"""
    return any(isinstance(given.args[0], Items) for _, given, _ in facts.evaluations(call) if given.args)


def _without_both(where: Place, node: ast.expr) -> edits.Edits:
    """`torch.tensor(x.tolist())` becomes `x`."""
    owner = node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    inner = owner if owner is not None else node
    return edits.replace_expression(where, where.source.segment(inner))


def _weighs_a_score(facts: Facts, lost: Lost) -> bool:
    """Is the number a factor of the logarithm of a probability, as the advantage of an action that was drawn?"""
    scores = {event.node for event in facts.of("log-prob") if event.node is not None}
    if not scores or lost.backward.node is None:
        return False
    for node in walk(lost.backward.node):
        if node.op in ("mul", "div", "truediv") and len(node.edges) == 2:
            for one, other in (node.edges, node.edges[::-1]):
                if one.flows and lost.cut in walk(other.node) and not scores.isdisjoint(walk(one.node, follow="flow")):
                    return True
    return False


def _is_plain(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
