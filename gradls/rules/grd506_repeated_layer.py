"""GRD506."""

import ast
from collections.abc import Iterable

from gradls.flow.facts import Event, Facts
from gradls.flow.models.modules import parameters_of
from gradls.flow.values import Instance, Lib, Sequence, Tensor
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.words import code, place


class RepeatedLayer(Rule):
    """A list that holds one layer several times.

    ## What it finds
    `[layer] * n` with a layer, or a parameter, that has something to train, and `[layer for _ in range(n)]` in
    a container of modules.

    ## Why it matters
    The list has n entries and one layer: all of them share the same weights, and the model is much smaller than it
    looks. Where that is meant, as in some recurrent or recursive models, a loop that calls the layer n times says so.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch

    layers = torch.nn.Sequential(*[torch.nn.Linear(4, 4)] * 3)
    assert len(layers) == 3
    assert len(list(layers.parameters())) == 2
    ```

    ## Use instead
    A comprehension makes a layer for each entry.

    ```python
    import torch

    layers = torch.nn.Sequential(*[torch.nn.Linear(4, 4) for _ in range(3)])
    assert len(list(layers.parameters())) == 6
    ```

    ## When it is silent
    For layers without parameters.

    ```python
    import torch

    activations = torch.nn.ModuleList([torch.nn.ReLU()] * 3)
    assert len(activations) == 3
    ```

    ## Fix safety
    Suggested: sharing may be meant. The copies begin with the same values.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    """

    code, name, severity = "GRD506", "repeated-layer", Severity.INFORMATION

    def check(self, facts: Facts) -> Iterable[Finding]:
        told: set[Instance | Tensor] = set()
        for event in facts.of("repeated"):
            # A helper in another file that repeats what it is given may be told to share.
            if event.trained and event.at.source is facts.source and not _by_a_flag(facts, event):
                if _is_joined(facts, event):
                    continue
                told.update(event.trained)
                yield self._report(facts, event, event.trained[0])
        for event in facts.of("container-filled"):
            layer = _only_layer(event)
            if layer is not None and layer not in told and _is_trained(layer):
                told.add(layer)
                yield self._report(facts, event, layer)

    def _report(self, facts: Facts, event: Event, layer: "Instance | Tensor") -> Finding:
        what = "layer" if isinstance(layer, Instance) else "parameter"
        message = (
            f"{code(facts, event.at.node)} holds one {what} several times, and all entries share its weights; if "
            "each entry should have its own, use a comprehension"
        )
        at = layer.at if isinstance(layer, Instance) else layer.node.at
        story = [] if at is None else [Step(place(at), f"the {what} is made once, here")]
        return self.finding(place(event.at), message, story, _fixes(event))


def _fixes(event: Event) -> list[Fix]:
    """A layer of its own for each entry: made anew where it is written there, a copy of it otherwise."""
    node = event.at.node
    listed = next((part for part in ast.walk(node) if isinstance(part, ast.BinOp)), None)
    if listed is None or not isinstance(listed.op, ast.Mult):
        repeated = next((part for part in ast.walk(node) if isinstance(part, (ast.ListComp, ast.GeneratorExp))), None)
        elt = repeated.elt if repeated is not None else None
        return [_copies(Place(event.at.source, elt))] if isinstance(elt, ast.Name) else []
    entries, count = (listed.left, listed.right) if isinstance(listed.left, ast.List) else (listed.right, listed.left)
    if not isinstance(entries, ast.List) or len(entries.elts) != 1:
        return []
    return [_copies(Place(event.at.source, listed), entries.elts[0], count)]


def _copies(where: Place, entry: ast.expr | None = None, count: ast.expr | None = None) -> Fix:
    title = "Make a new one for each entry" if isinstance(entry, ast.Call) else "Copy it for each entry"
    return Fix(title, Safety.SUGGESTED, edits.copies(where, entry, count))


def _is_joined(facts: Facts, event: Event) -> bool:
    """Is one tensor made of the copies at once: `torch.cat([weight] * count)`?"""
    outer = facts.parent(event.at.node)
    if not isinstance(outer, ast.Call):
        return False
    return any(isinstance(called, Lib) and called.path in _JOINING for called, _, _ in facts.evaluations(outer))


_JOINING = frozenset(f"torch.{name}" for name in ("cat", "concat", "stack", "hstack", "vstack"))


def _by_a_flag(facts: Facts, event: Event) -> bool:
    """Is the number of times a test, or a parameter of the function around that is a boolean by default?"""
    if not isinstance(event.at.node, ast.BinOp):
        return False
    parts, function = (event.at.node.left, event.at.node.right), facts.function(event.at.node)
    if any(isinstance(getattr(part, "op", None), ast.Not) or isinstance(part, ast.Compare) for part in parts):
        return True
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    given, last = function.args, [*function.args.posonlyargs, *function.args.args]
    flags = [name.arg for name, value in zip(last[::-1], given.defaults[::-1], strict=False) if _is_flag(value)]
    flags += [name.arg for name, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if _is_flag(value)]
    return any(name in flags for name in names)


def _is_flag(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, bool)


def _only_layer(event: Event) -> Instance | None:
    """The one layer that a container is made of, several times over, where a comprehension repeats it."""
    node = event.at.node
    if event.how != "init" or event.call.unsure or not isinstance(node, ast.Call) or len(node.args) != 1:
        return None
    written = node.args[0].value if isinstance(node.args[0], ast.Starred) else node.args[0]
    if not isinstance(written, (ast.ListComp, ast.GeneratorExp)) or not isinstance(written.elt, ast.Name):
        return None
    first = event.call.args[0] if event.call.args else None
    items = first.items if isinstance(first, Sequence) else tuple(event.call.args)
    layer = items[0] if len(items) > 1 else None
    return layer if isinstance(layer, Instance) and all(item is layer for item in items) else None


def _is_trained(item: object) -> bool:
    return isinstance(item, Instance) and any(tensor.requires_grad is True for _, tensor in parameters_of(item)[0])
