"""GRD706."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.modules import find_module
from gradls.flow.facts import Facts
from gradls.flow.hierarchy import is_module_class
from gradls.flow.values import Class, Host, Instance, Lib
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.rule import Rule
from gradls.rules.words import code
from gradls.syntax.walk import walk

_NAMES = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
_POSITION = {f"torch.nn.functional.{name}": 2 for name in _NAMES}
_ATTENTION = "scaled_dot_product_attention"


class FunctionalDropout(Rule):
    """A functional dropout that is not told whether the model trains.

    ## What it finds
    `F.dropout(x)` without `training`, in a method of a module; `F.scaled_dot_product_attention` with a constant or an
    attribute for `dropout_p`; a layer such as `nn.Dropout(0.5)(x)` that is made and called in one go.

    ## Why it matters
    The function cannot know the mode of the model, and drops by default: also in evaluation, after `model.eval()`. Each
    prediction is a different one. A layer that was just made is in training mode, too: `eval()` does not reach it.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch
    import torch.nn.functional as F


    class Net(torch.nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.9)


    output = Net().eval()(torch.ones(64))
    assert (output == 0).any()
    ```

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def forward(self, x):
            return nn.Dropout(0.9)(x)


    output = Net().eval()(torch.ones(64))
    assert (output == 0).any()
    ```

    ## Use instead
    `training=self.training`, or the module `nn.Dropout`.

    ```python
    import torch
    import torch.nn.functional as F


    class Net(torch.nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.9, training=self.training)


    output = Net().eval()(torch.ones(64))
    assert not (output == 0).any()
    ```

    ## When it is silent
    Where `training` is given, be it `True`, as for sampling several predictions on purpose; and under a test of
    `self.training`.

    ```python
    import torch
    import torch.nn.functional as F


    class Net(torch.nn.Module):
        def forward(self, x):
            return torch.stack([F.dropout(x, 0.5, training=True) for _ in range(10)]).mean(0)


    assert Net().eval()(torch.ones(64)).shape == (64,)
    ```

    ## Fix safety
    Suggested: it adds `training=self.training`.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
    """

    code, name, severity = "GRD706", "functional-dropout", Severity.INFORMATION
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        for node in dict.fromkeys(facts.each(_drops)):
            receiver = _receiver(facts, node)
            if receiver:
                yield self._report(facts, node, receiver)

        for node, rate in dict(facts.each(_attends)).items():
            receiver = _receiver(facts, node)
            if receiver:
                yield self._report_rate(facts, node, rate, receiver)

        for node in dict.fromkeys(facts.each(_made_for_one_call)):
            if _receiver(facts, node):
                message = (
                    f"{code(facts, node)} is in training mode, as each new layer is, and drops in evaluation too: make "
                    "the layer in `__init__`"
                )
                yield self.finding(Place(facts.source_of(node), node), message)

    def _report_rate(self, facts: Facts, node: ast.Call, rate: ast.expr, receiver: str) -> Finding:
        at = Place(facts.source_of(node), node)
        written = f"{facts.segment(rate)} if {receiver}.training else 0.0"
        message = (
            f"`{_ATTENTION}` does not know the mode of the model and drops in evaluation too: write "
            f"`dropout_p={written}`"
        )
        fix = edits.set_keyword(at, "dropout_p", written)
        return self.finding(at, message, (), [Fix("Drop only in training", Safety.SUGGESTED, fix)])

    def _report(self, facts: Facts, node: ast.Call, receiver: str) -> Finding:
        at = Place(facts.source_of(node), node)
        message = f"{code(facts, node)} drops in evaluation too: give it `training={receiver}.training`"
        fix = edits.set_keyword(at, "training", f"{receiver}.training")
        return self.finding(at, message, (), [Fix("Drop only in training", Safety.SUGGESTED, fix)])


def _drops(facts: Facts) -> Iterator[ast.Call]:
    """The calls of a dropout that are not told whether it is training."""
    for node, records in facts.called(*_NAMES):
        function, call, _ = records[0]
        position = _POSITION.get(function.path) if isinstance(function, Lib) else None
        told = call.unsure or call.get(position, "training") is not None if position is not None else True
        if not told and not _is_told_by_rate(facts, node):
            yield node


def _is_told_by_rate(facts: Facts, node: ast.Call) -> bool:
    """Does the rate depend on the mode, or does the caller of the function give it?"""
    rate = next((keyword.value for keyword in node.keywords if keyword.arg == "p"), None)
    rate = rate if rate is not None else node.args[1] if len(node.args) > 1 else None
    if rate is None or _asks_for_mode(rate):
        return rate is not None
    function = facts.function(node)
    if not isinstance(rate, ast.Name) or function is None:
        return False
    arguments = function.args
    names = {given.arg for given in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return rate.id in names or any(
        isinstance(part, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == rate.id for target in part.targets)
        and _asks_for_mode(part.value)
        for part in walk(function)
    )


def _made_for_one_call(facts: Facts) -> Iterator[ast.Call]:
    """The calls that make a layer of dropout which is called right there, as `nn.Dropout(0.5)(x)` does."""
    for event in facts.of("module-made"):
        node, layer = event.at.node, event.value
        spec = find_module(layer.path) if isinstance(layer, Instance) else None
        above = facts.parent(node) if spec is not None and spec.kind == "dropout" else None
        if isinstance(node, ast.Call) and isinstance(above, ast.Call) and above.func is node:
            rate = layer.data.get("options", {}).get("p")  # type: ignore[union-attr]
            if not (isinstance(rate, Host) and rate.known and not rate.value):
                yield node


def _attends(facts: Facts) -> Iterator[tuple[ast.Call, ast.expr]]:
    """The calls of attention with a rate that is the same in each mode, and that rate."""
    for node, records in facts.called(_ATTENTION):
        function, call, _ = records[0]
        rate = call.get(4, "dropout_p")
        if not isinstance(function, Lib) or function.path != f"torch.nn.functional.{_ATTENTION}" or rate is None:
            continue
        if isinstance(rate, Host) and rate.known and not rate.value:
            continue
        written = [keyword.value for keyword in node.keywords if keyword.arg == "dropout_p"] or node.args[4:5]
        if written and isinstance(written[0], (ast.Constant, ast.Attribute)):
            yield node, written[0]


def _receiver(facts: Facts, node: ast.AST) -> str:
    """What the method around a call names its object; empty outside methods of modules."""
    outer: ast.AST | None = node
    while outer is not None and not isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if isinstance(outer, (ast.If, ast.IfExp)) and _asks_for_mode(outer.test):
            return ""
        outer = facts.parent(outer)
    around = facts.parent(outer) if outer is not None else None
    cls = next((event.value for event in facts.of("class") if event.at.node is around), None)
    if outer is None or not isinstance(cls, Class) or not _may_be_module(cls):
        return ""
    arguments = [*outer.args.posonlyargs, *outer.args.args]
    return arguments[0].arg if arguments and not outer.decorator_list else ""


def _may_be_module(cls: Class) -> bool:
    """A class whose base is not known counts if it has a forward: only modules have the attribute `training`."""
    known = is_module_class(cls)
    return "forward" in cls.fields if known is None else known


def _asks_for_mode(test: ast.expr) -> bool:
    return any(getattr(node, "attr", getattr(node, "id", "")) == "training" for node in walk(test))
