"""GRD507."""

import ast
import re
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import walk
from gradls.flow.values import Instance, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.registration import asked_for_parameters, has_own_ways, made_in, nn_prefix, optimized, parts_of
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_MAYBE_THE_SAME = frozenset(("to", "float", "double", "half", "bfloat16", "type", "cpu", "cuda", "contiguous"))


class TensorAttribute(Rule):
    """A tensor that should be trained, kept as a plain attribute of a module.

    ## What it finds
    In the `__init__` of an `nn.Module`, an attribute set to a tensor with `requires_grad=True` that is no
    `nn.Parameter`, or to the result of an operation on a parameter, such as `nn.Parameter(torch.randn(3)) * 0.1`.

    ## Why it matters
    Only an `nn.Parameter` is registered when it is assigned. Such a tensor gets a gradient, and is missing from
    `parameters()`: no optimizer applies it.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.ones(1, requires_grad=True)
            self.shift = nn.Parameter(torch.randn(1)) * 0.1
            self.layer = nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x) * self.scale + self.shift


    assert len(list(Net().parameters())) == 2
    ```

    ## Use instead
    `nn.Parameter`, around the whole initial value.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))
            self.shift = nn.Parameter(torch.randn(1) * 0.1)
            self.layer = nn.Linear(3, 1)

        def forward(self, x):
            return self.layer(x) * self.scale + self.shift


    assert len(list(Net().parameters())) == 4
    ```

    ## When it is silent
    Where the tensor is given to an optimizer, and for tensors that need no gradient, such as buffers.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.ones(1, requires_grad=True)
            self.layer = nn.Linear(3, 1)


    net = Net()
    optimizer = torch.optim.SGD([*net.parameters(), net.scale], lr=0.1)
    assert len(optimizer.param_groups[0]["params"]) == 3
    ```

    ## Fix safety
    Suggested: a parameter appears in the state dictionary, and in `parameters()`.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.parameter.Parameter.html
    """

    code, name, severity = "GRD507", "tensor-attribute", Severity.WARNING
    whole_file = True
    of_absence = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        found = list(facts.each(_kept))
        if not found:
            return
        known = optimized(facts)
        asked = {part for module in asked_for_parameters(facts) for part in parts_of(module)}
        for event, module, tensor in found:
            if tensor in known:
                continue
            if tensor.leaf is True:
                certain = module in asked
                yield self._of_leaf(facts, event, Severity.WARNING if certain else Severity.INFORMATION)
            else:
                made = _leaf_of_statement(facts, event, tensor)
                if made is not None and made not in known:
                    yield self._of_result(facts, event, tensor, made)

    def _of_leaf(self, facts: Facts, event: Event, severity: Severity) -> Finding:
        certain = severity is Severity.WARNING
        end = "and no optimizer trains it" if certain else "and only an optimizer that is given it by itself trains it"
        message = (
            f"{code(facts, event.at.node)} is a tensor that requires grad, and no parameter: `parameters()` does not "
            f"list it {end}; use `nn.Parameter`"
        )
        return self.finding(place(event.at), message, (), _fixes(facts, event), severity)

    def _of_result(self, facts: Facts, event: Event, tensor: Tensor, made: Tensor) -> Finding:
        what = "parameter" if made.is_parameter else "tensor"
        name = tensor.node.op
        story = [] if made.node.at is None else [Step(place(made.node.at), f"the {what} is made here, and forgotten")]
        if tensor.leaf is None or name in _MAYBE_THE_SAME:
            message = (
                f"if `{name}()` changes anything, {code(facts, event.at.node)} is not the {what} but a result "
                f"computed from it, which nobody trains; put `nn.Parameter` around the whole value"
            )
            return self.finding(place(event.at), message, story, _fixes(facts, event, made), Severity.INFORMATION)
        message = (
            f"{code(facts, event.at.node)} is not the {what} but a result computed from it: the {what} itself is "
            "kept nowhere and no optimizer trains it; put `nn.Parameter` around the whole value"
        )
        return self.finding(place(event.at), message, story, _fixes(facts, event, made))


def _fixes(facts: Facts, event: Event, made: Tensor | None = None) -> list[Fix]:
    """`nn.Parameter` around the whole value. `made`: the leaf in it, which is the parameter then."""
    statement = facts.statement(event.at.node)
    prefix = nn_prefix(facts, event.value) if isinstance(event.value, Instance) else ""
    if not prefix or not isinstance(statement, ast.Assign) or statement.targets != [event.at.node]:
        return []
    text = facts.segment(statement.value)
    if made is not None:
        inner = made.node.at.node if made.node.at is not None else None
        plain = _plain(facts, inner, made)
        if inner is None or not plain or text.count(facts.segment(inner)) != 1:
            return []
        text = text.replace(facts.segment(inner), plain, 1)
    elif text.count("requires_grad") == 1:
        text = re.sub(r",\s*requires_grad\s*=\s*True\s*(?=\))|\.requires_grad_\((?:True)?\)$", "", text)
        # In lines of their own, the arguments before it keep their comma, and the comment behind that.
        text = re.sub(r"requires_grad\s*=\s*True\s*,?\s*(?=\))", "", text)
    build = edits.replace_expression(Place(event.at.source, statement.value), f"{prefix}Parameter({text})")
    return [Fix("Make it a parameter", Safety.SUGGESTED, build)]


def _plain(facts: Facts, made: ast.AST | None, leaf: Tensor) -> str:
    """The source of the value of a leaf, in parentheses if need be: what `nn.Parameter` was given, or what was made to
    require grad."""
    if not isinstance(made, ast.Call):
        return ""
    if not leaf.is_parameter:
        return re.sub(r",\s*requires_grad\s*=\s*True\s*(?=\))|\.requires_grad_\((?:True)?\)$", "", facts.segment(made))
    if len(made.args) != 1 or made.keywords or isinstance(made.args[0], ast.Starred):
        return ""
    text = facts.segment(made.args[0])
    return text if isinstance(made.args[0], (ast.Call, ast.Name, ast.Attribute, ast.Subscript)) else f"({text})"


def _kept(facts: Facts) -> Iterator[tuple[Event, Instance, Tensor]]:
    """Tensors that require grad and are no parameters, which modules keep when they are made."""
    registered = {
        (event.value, event.name, event.old)
        for event in facts.of("attribute-set")
        if isinstance(event.assigned, Tensor) and event.assigned.is_parameter
    }
    for event in facts.of("attribute-set"):
        module = event.value
        if not isinstance(module, Instance) or (module, event.name, event.assigned) in registered:
            continue
        tensor = event.assigned
        if not isinstance(tensor, Tensor) or tensor.is_parameter or tensor.requires_grad is not True:
            continue
        if not made_in(event, "__init__"):
            continue
        if is_module(module) is True and not has_own_ways(module):
            yield event, module, tensor


def _leaf_of_statement(facts: Facts, event: Event, tensor: Tensor) -> Tensor | None:
    """The leaf that a value was computed from, if the same statement made it: nothing else can know it."""
    statement = facts.statement(event.at.node)
    leaves = [node.leaf for node in walk(tensor.node, follow="flow") if node.leaf is not None]
    if len(leaves) != 1 or statement is None:
        return None
    at = leaves[0].node.at
    return leaves[0] if at is not None and facts.statement(at.node) is statement else None
