"""GRD508."""

import ast
from collections.abc import Iterable

from gradls.autograd.modules import find_module
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import walk
from gradls.flow.values import Function, Host, Instance, Mapping, Sequence, Tensor, Value, is_none
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_MAYBE_THE_SAME = frozenset(
    ("to", "float", "double", "half", "bfloat16", "type", "cpu", "cuda", "contiguous", "reshape")
)
"""Operations that may return the parameter that they are called on."""


class ParameterSlot(Rule):
    """A tensor assigned to an attribute that is registered as a parameter.

    ## What it finds
    `layer.weight = tensor` where `weight` is a parameter and the tensor is none; a tensor or function assigned in the
    place of a submodule, a number in that of a buffer; and `register_parameter` with a tensor that is no parameter.

    ## Why it matters
    A module keeps parameters and submodules apart from other attributes, and lets nothing else take their place.

    ## What PyTorch does
    It raises one of

        TypeError: cannot assign 'torch.FloatTensor' as parameter 'weight' (torch.nn.Parameter or None expected)
        TypeError: cannot assign 'torch.FloatTensor' object to parameter 'scale' (torch.nn.Parameter or None required)
        TypeError: cannot assign 'torch.FloatTensor' as child module 'layer' (torch.nn.Module or None expected)

    ## Example
    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    layer.weight = layer.weight * 0.5  # raises TypeError: cannot assign 'torch.FloatTensor' as parameter 'weight'
    ```

    ```python
    import torch

    module = torch.nn.Module()
    module.register_parameter("scale", torch.ones(3))  # raises TypeError: cannot assign 'torch.FloatTensor' object
    ```

    ## Use instead
    Write into the parameter, or assign a new one.

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    with torch.no_grad():
        layer.weight.mul_(0.5)
    layer.weight = torch.nn.Parameter(torch.ones(1, 3))
    layer.register_parameter("scale", torch.nn.Parameter(torch.ones(3)))
    assert len(list(layer.parameters())) == 3
    ```

    ## When it is silent
    For parameters, for None, after `del layer.weight`, and where the value may be the parameter itself, such as
    `layer.weight.to(device)`.

    ```python
    import torch

    layer = torch.nn.Linear(3, 1)
    weight = layer.weight
    del layer.weight
    layer.weight = weight * 0.5
    layer.bias = None
    assert layer(torch.randn(8, 3)).requires_grad
    ```

    ## Fix safety
    Suggested: what is computed from the parameter is written into it; anything else is made a parameter, where no
    optimizer was made before, which would have the old one.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.register_parameter
    """

    code, name, severity = "GRD508", "parameter-slot", Severity.ERROR

    def check(self, facts: Facts) -> Iterable[Finding]:
        for event in facts.of("attribute-set"):
            module = event.value
            if not isinstance(module, Instance) or event.caught or event.info.get("gone"):
                continue
            if event.old is None and not isinstance(event.assigned, Tensor):
                continue
            if is_module(module) is not True or module.data.get("reparametrized"):
                continue
            if isinstance(event.old, Tensor) and event.old.is_parameter and event.old.node.kind != "phi":
                kind, given = "a parameter", _is_no_parameter(event.assigned)
            elif isinstance(event.old, Instance) and is_module(event.old) is True:
                kind, given = "a submodule", isinstance(event.assigned, (Tensor, Function)) or _is_plain(event.assigned)
            elif isinstance(event.old, Tensor) and event.name in module.data.get("buffers", ()):
                kind, given = "a buffer", _is_plain(event.assigned)
            elif event.old is None and _is_empty_slot(module, event.name):
                kind, given = "the place of a parameter", _is_no_parameter(event.assigned)
            else:
                continue
            if given and not _is_chosen(facts, event.at.node):
                yield self._report(facts, event, kind)
        for event in facts.of("register-parameter"):
            if isinstance(event.assigned, Tensor) and _is_no_parameter(event.assigned):
                what = code(facts, event.at.node)
                message = f"{what} registers a tensor that is no parameter, and raises: wrap it in `nn.Parameter`"
                yield self.finding(place(event.at), message)

    def _report(self, facts: Facts, event: Event, kind: str) -> Finding:
        what = code(facts, event.at.node)
        if kind == "a submodule":
            message = f"{what} is a submodule, and only another module may take its place: it raises"
        elif kind == "a buffer":
            message = (
                f"{what} is a buffer, and only a tensor may take its place: it raises; wrap the value in "
                "`torch.tensor`, or write into the buffer with `fill_`"
            )
        else:
            message = (
                f"{what} is {kind}, and only a parameter may take its place: it raises; write into it under "
                "`torch.no_grad()`, or wrap the value in `nn.Parameter`"
            )
        return self.finding(place(event.at), message, (), _fixes(facts, event, kind))


def _fixes(facts: Facts, event: Event, kind: str) -> list[Fix]:
    """Write the values into the parameter that they were computed from; else make a parameter of them, as long as no
    optimizer has the old one."""
    statement = facts.statement(event.at.node)
    if kind not in ("a parameter", "the place of a parameter") or not isinstance(event.assigned, Tensor):
        return []
    if not isinstance(statement, ast.Assign) or statement.targets != [event.at.node]:
        return []
    where = Place(event.at.source, statement)
    old = event.old.node if isinstance(event.old, Tensor) else None
    if old is not None and any(node is old for node in walk(event.assigned.node)):
        build = edits.write_in_place(where, facts.torch_name)
        return [Fix("Write into the parameter", Safety.SUGGESTED, build)]
    if any(made.clock < event.clock for made in facts.of("optimizer-made")):
        return []
    new = f"{facts.torch_name}.nn.Parameter({facts.segment(statement.value)})"
    build = edits.replace_expression(Place(event.at.source, statement.value), new)
    return [Fix("Make it a parameter", Safety.SUGGESTED, build)]


def _is_chosen(facts: Facts, node: ast.AST) -> bool:
    """Is the name of the attribute a variable that a branch around this tests? `if name in own: setattr(m, name, 1)`"""
    if not isinstance(node, ast.Call) or len(node.args) < 2:
        return False
    names = {part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name)}
    outer = facts.parent(node)
    while outer is not None and not isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if isinstance(outer, ast.If) and any(isinstance(p, ast.Name) and p.id in names for p in ast.walk(outer.test)):
            return True
        outer = facts.parent(outer)
    return False


def _is_no_parameter(value: Value) -> bool:
    """Is it certain that this is no parameter?"""
    if not isinstance(value, Tensor):
        return _is_plain(value)
    return not value.is_parameter and value.node.kind != "phi" and value.node.op not in _MAYBE_THE_SAME


def _is_plain(value: Value) -> bool:
    return isinstance(value, (Sequence, Mapping)) or (isinstance(value, Host) and not is_none(value))


def _is_empty_slot(module: Instance, name: str) -> bool:
    """Is it a parameter that the layer could have, and was made without: `nn.Linear(3, 1, bias=False).bias`?"""
    spec = find_module(module.path)
    options = module.data.get("options", {})
    conditions = [condition for own, condition in spec.parameters if own == name] if spec is not None else []
    given = [options.get(part) for condition in conditions for part in condition.split(",")]
    return any(isinstance(value, Host) and value.value is False for value in given)
