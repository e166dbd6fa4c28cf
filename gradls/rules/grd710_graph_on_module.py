"""GRD710."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module
from gradls.flow.reach import walk
from gradls.flow.values import Class, Instance, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place

_HARMLESS = frozenset((
    "item", "shape", "size", "grad_fn", "is_leaf", "requires_grad", "dtype", "device", "numel", "dim", "ndim", "cpu",
))  # fmt: skip


class GraphOnModule(Rule):
    """An activation or a state that a module keeps as an attribute, together with its graph.

    ## What it finds
    In `forward`, an attribute that is set to a tensor which requires grad, and that nothing else in the file computes
    with; or that the next call of `forward` goes on from, without `detach()`.

    ## Why it matters
    As long as the attribute is there, so is the graph that the tensor came from. `copy.deepcopy()` of the module
    raises. A state that the next call goes on from connects the graphs of both calls: the second `backward()` raises,
    or, with `retain_graph=True`, goes back to the very first call.

    ## What PyTorch does
    Nothing at the assignment. Later it raises one of

        RuntimeError: Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol
        RuntimeError: Trying to backward through the graph a second time

    ## Example
    ```python
    import copy
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x):
            self.hidden = self.layer(x)
            return self.hidden.relu()


    net = Net()
    net(torch.randn(8, 3)).sum().backward()
    copy.deepcopy(net)  # raises RuntimeError: Only Tensors created explicitly by the user
    ```

    ## Use instead
    What is kept to look at it: without its history.

    ```python
    import copy
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x):
            hidden = self.layer(x)
            self.hidden = hidden.detach()
            return hidden.relu()


    net = Net()
    net(torch.randn(8, 3)).sum().backward()
    assert copy.deepcopy(net).hidden.shape == (8, 4)
    ```

    ## When it is silent
    Where the program computes with the attribute elsewhere, such as with a loss term that the training loop adds.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 4)

        def forward(self, x):
            hidden = self.layer(x)
            self.penalty = hidden.pow(2).mean()
            return hidden.relu()


    net = Net()
    (net(torch.randn(8, 3)).sum() + net.penalty).backward()
    assert net.layer.weight.grad is not None
    ```

    ## Fix safety
    Suggested: it puts `.detach()` behind what is kept.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/faq.html#my-model-reports-cuda-runtime-error-2-out-of-memory
    """

    code, name, severity = "GRD710", "graph-on-module", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        told: set[tuple[str, str]] = set()
        for event in facts.each(_keeping):
            assert isinstance(event.value, Instance)
            cls = getattr(event.value.cls, "name", "")
            if (cls, event.name) in told or _computed_with(facts, event) or _begins_anew(facts, event):
                continue
            told.add((cls, event.name))
            yield self._report(facts, event)

    def _report(self, facts: Facts, event: Event) -> Finding:
        what = code(facts, event.at.node)
        if _goes_on(facts, event):
            message = (
                f"{what} is carried from one call to the next with its graph, which grows with each: a `backward()` "
                "through it goes through all of them; `detach()` it first"
            )
        else:
            message = (
                f"{what} keeps the graph of the last call alive, and `copy.deepcopy()` of the module raises: keep "
                "`.detach()` of it, if it is only looked at"
            )
        node = event.assigned.node
        story = [Step(place(node.at), "its graph comes from here")] if node.at is not None else []
        statement = facts.statement(event.at.node)
        fixes = []
        own = isinstance(statement, ast.Assign) and statement.targets == [event.at.node]
        if (
            isinstance(statement, ast.Assign)
            and own
            and (isinstance(statement.value, ast.Name) or _goes_on(facts, event))
        ):
            kept = place(event.at)._replace(node=statement.value)
            fixes.append(Fix("Keep it without its graph", Safety.SUGGESTED, edits.add_call(kept, ".detach()")))
        return self.finding(place(event.at), message, story, fixes)


def _keeping(facts: Facts) -> Iterator[Event]:
    return (event for event in facts.of("attribute-set") if _keeps_graph(event))


def _keeps_graph(event: Event) -> bool:
    """Does `forward` put a computed tensor with a graph into an attribute of its module?"""
    module, calls = event.value, event.calls
    if calls is None or calls[1].name != "forward" or event.caught:
        return False
    if not isinstance(module, Instance) or is_module(module) is not True or module.path:
        return False
    if isinstance(event.old, Tensor) and event.old.is_parameter:
        return False  # it raises
    tensor = event.assigned
    return isinstance(tensor, Tensor) and tensor.requires_grad is True and tensor.leaf is False


def _goes_on(facts: Facts, event: Event) -> bool:
    """Is what was in the attribute before this call part of what is put there?"""
    old = event.old
    if not isinstance(old, Tensor) or not any(part is old.node for part in walk(event.assigned.node, follow="maybe")):
        return False
    own = {set_.assigned for set_ in facts.of("attribute-set") if set_.calls is event.calls}
    return not own.issuperset(old.fields.get("parts", (old,)))


def _begins_anew(facts: Facts, event: Event) -> bool:
    """Is the state of a recurrence made anew by another statement of the class, for the first step of each sequence?
    Then what goes on from call to call are the steps of one sequence."""
    cls = event.value.cls if isinstance(event.value, Instance) else None
    return _goes_on(facts, event) and isinstance(cls, Class) and any(_sets_anew(cls.node, event.name, event.at.node))


def _sets_anew(cls: ast.ClassDef, name: str, but: ast.AST) -> Iterator[bool]:
    """For each other statement that sets an attribute of a class, outside of its constructor: does it not read it?"""
    for method in cls.body:
        if isinstance(method, ast.FunctionDef) and method.name != "__init__":
            for part in ast.walk(method):
                if isinstance(part, ast.Assign) and but not in (inner := set(ast.walk(part))):
                    own = [node for node in inner if isinstance(node, ast.Attribute) and node.attr == name]
                    yield bool(own) and all(isinstance(node.ctx, ast.Store) for node in own)


def _is_detached(facts: Facts, node: ast.AST) -> bool:
    outer = facts.parent(node)
    return isinstance(outer, ast.Attribute) and outer.attr in ("detach", "detach_", "data")


def _computed_with(facts: Facts, event: Event) -> bool:
    """Does the file read the attribute, other than to look at it? What the same function reads after it is set is the
    value itself."""
    if _goes_on(facts, event):
        return False
    own = event.calls[1].node
    inside = set(ast.walk(own))
    line = facts.source.line
    first = line(event.at.node)
    for node in facts.reads(event.name):
        if node in inside and line(node) >= first and not _is_detached(facts, node):
            continue
        outer = facts.parent(node)
        if not (isinstance(outer, ast.Attribute) and outer.attr in _HARMLESS):
            return True
    return event.name in facts.source.index(_text)


def _text(node: ast.AST) -> Iterator[tuple[str, ast.Constant]]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value, node
