"""GRD902."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.operators import original
from gradls.flow.paths import Round
from gradls.flow.values import Host, Lib, Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Tag
from gradls.rules.rule import Rule
from gradls.rules.training_order import gradient_of
from gradls.rules.words import code, place
from gradls.syntax.walk import walk


class RemovedApi(Rule):
    """Something that old tutorials use and that PyTorch no longer has.

    ## What it finds
    `Variable(x, volatile=True)`, `x.volatile = True` and `torch.autograd.variable(x)`; `loss.data[0]` of a single
    number; and operations such as `torch.symeig`, `torch.lstsq`, `torch.gesv` and `torch.rfft`.

    ## Why it matters
    `volatile` once kept operations from being recorded. Now it does nothing, so an evaluation that relies on it builds
    graphs. The others raise.

    ## What PyTorch does
    It warns

        UserWarning: volatile was removed and now has no effect. Use `with torch.no_grad():` instead.

    or raises

        RuntimeError: torch.autograd.variable(...) is deprecated, use torch.tensor(...) instead
        IndexError: invalid index of a 0-dim tensor. Use `tensor.item()` in Python
        RuntimeError: This function was deprecated since version 1.9 and is now removed.
        AttributeError: module 'torch' has no attribute 'gesv'

    ## Example
    ```python
    import torch
    from torch.autograd import Variable

    model = torch.nn.Linear(3, 1)
    inputs = Variable(torch.randn(8, 3), volatile=True)  # warns UserWarning: volatile was removed
    assert model(inputs).requires_grad
    ```

    ```python
    import torch

    inputs = torch.autograd.variable(torch.randn(8, 3))  # raises RuntimeError: is deprecated, use torch.tensor
    ```

    ```python
    import torch

    loss = torch.randn(8, requires_grad=True).pow(2).mean()
    total = loss.data[0]  # raises IndexError: invalid index of a 0-dim tensor
    ```

    ```python
    import torch

    matrix = torch.eye(3, requires_grad=True)
    values, vectors = torch.symeig(matrix, eigenvectors=True)  # raises RuntimeError: This function was deprecated
    ```

    ## Use instead
    `torch.no_grad()`, plain tensors, `item()`, and the functions of `torch.linalg` and `torch.fft`.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)
    with torch.no_grad():
        output = model(torch.randn(8, 3))
    assert not output.requires_grad
    ```

    ## When it is silent
    For `Variable(x)` around data, which is a tensor and harmless, and for old operations on a branch of their own, as
    after a test of the version.

    ```python
    import torch
    from torch.autograd import Variable

    model = torch.nn.Linear(3, 1)
    assert model(Variable(torch.randn(8, 3))).requires_grad
    ```

    ## Fix safety
    There is no automatic fix.

    ## References
    - https://docs.pytorch.org/docs/stable/autograd.html#variable-deprecated
    """

    code, name, severity = "GRD902", "removed-api", Severity.WARNING
    tag = Tag.DEPRECATED

    def check(self, facts: Facts) -> Iterable[Finding]:
        for node, records in facts.called("variable", "Variable"):
            paths = {function.path for function, _, _ in records if isinstance(function, Lib)}
            at = Place(facts.source_of(node), node)
            if "torch.autograd.variable" in paths:
                message = f"{code(facts, node.func)} was removed, and raises: a tensor needs no wrapper"
                yield self.finding(at, message, severity=Severity.ERROR)
            elif "torch.autograd.Variable" in paths:
                flags = [call.kwargs["volatile"] for _, call, _ in records if "volatile" in call.kwargs]
                yield from self._of_flags(at, [flag for flag in flags if not _is_false(flag)])
        yield from self._of_events(facts)

    def _of_flags(self, at: Place, flags: list[Value]) -> Iterator[Finding]:
        """What `volatile` is where it is not False: that asks for what happens anyway."""
        if not flags:
            return
        written = isinstance(at.node, ast.Call) and any(keyword.arg == "volatile" for keyword in at.node.keywords)
        name = "`volatile`" if written else "`volatile`, which this call passes on,"
        message = "has no effect: operations are recorded; put them into `with torch.no_grad():`"
        if any(isinstance(flag, Host) and flag.known for flag in flags):
            yield self.finding(at, f"{name} was removed and {message}")
        else:
            told = f"{name} was removed: if it is true here, it {message}"
            yield self.finding(at, told, severity=Severity.INFORMATION)

    def _of_events(self, facts: Facts) -> Iterator[Finding]:
        seen: set[ast.AST] = set()
        for event in facts.of("removed-operation", "index-of-number", "tensor-attribute"):
            if event.at.node in seen or event.caught:
                continue
            what = code(facts, event.at.node)
            if event.kind == "removed-operation":
                if _is_by_branch(event) or _may_be_other(event):
                    continue  # a branch for old versions, or an object that only looks like a tensor
                message = f"{what} raises: PyTorch has no `{event.name}` any more; use `{event.now}`{event.how}"
                yield self.finding(place(event.at), message, severity=Severity.ERROR)
            elif event.kind == "index-of-number":
                if _is_parameter(event.value) and _is_by_branch(event):
                    continue  # In a loop over parameters the branch may be for those of other shapes.
                if _is_for_old_versions(facts, event):
                    continue
                message = f"{what} raises: since PyTorch 0.4 a single number has no dimension to index; use `.item()`"
                yield self.finding(place(event.at), message, (), _item(facts, event), Severity.ERROR)
            elif event.name == "volatile":
                message = (
                    f"{what} is an attribute that PyTorch does not know any more: operations are recorded; put them "
                    "into `with torch.no_grad():`"
                )
                yield self.finding(place(event.at), message)
            else:
                continue
            seen.add(event.at.node)


def _is_false(flag: Value) -> bool:
    return isinstance(flag, Host) and flag.known and not flag.value


def _is_parameter(value: Value | None) -> bool:
    """Is it a parameter, or the gradient of one?"""
    if not isinstance(value, Tensor):
        return False
    return value.is_parameter or any(part.is_parameter for part in (original(value), gradient_of(value)) if part)


def _is_by_branch(event: Event) -> bool:
    path = event.path
    while path is not None:
        if not isinstance(path[1], Round):
            return True
        path = path[0]
    return False


def _is_for_old_versions(facts: Facts, event: Event) -> bool:
    """Does the other branch take the `item()` of the same number? Then somebody knows what each version has."""
    written = _number_in(event.at.node)
    if written is None or event.at.source is not facts.source:
        return False
    text, inner = ast.dump(written), event.at.node
    for outer in facts.parents(event.at.node):
        if isinstance(outer, ast.If):
            other = outer.body if inner in outer.orelse else outer.orelse
            calls = (part for statement in other for part in walk(statement) if isinstance(part, ast.Call))
            if any(_is_item_of(call, text) for call in calls):
                return True
        inner = outer
    return False


def _is_item_of(call: ast.Call, text: str) -> bool:
    function = call.func
    return isinstance(function, ast.Attribute) and function.attr == "item" and ast.dump(function.value) == text


def _number_in(node: ast.AST) -> ast.expr | None:
    """`loss` in `loss.data[0]` and in `loss[0]`."""
    value = node.value if isinstance(node, ast.Subscript) else None
    return value.value if isinstance(value, ast.Attribute) and value.attr == "data" else value


def _may_be_other(event: Event) -> bool:
    """Was it taken for a tensor only because something unknown has a `detach()`?"""
    made = event.value.node if isinstance(event.value, Tensor) else None
    return made is not None and any(edge.node.kind == "opaque" for edge in made.edges)


def _item(facts: Facts, event: Event) -> list[Fix]:
    """`loss.data[0]` becomes `loss.item()`."""
    node, value = event.at.node, _number_in(event.at.node)
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Constant) or node.slice.value != 0:
        return []
    assert value is not None
    build = edits.replace_expression(place(event.at), f"{facts.segment(value)}.item()")
    return [Fix("Use item()", Safety.SAFE, build)]
