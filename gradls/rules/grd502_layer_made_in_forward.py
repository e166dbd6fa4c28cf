"""GRD502."""

import ast
from collections.abc import Iterable, Iterator

from gradls.autograd.modules import find_module
from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import is_module_class
from gradls.flow.join import options
from gradls.flow.models.modules import contents, parameters_of
from gradls.flow.values import Choice, Instance, Mapping, Sequence, Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.loss_arguments import of_call
from gradls.rules.registration import optimized
from gradls.rules.rule import Rule
from gradls.rules.words import code, place
from gradls.syntax.walk import walk

_CHANGING = frozenset(("load_state_dict", "requires_grad_", "parameters", "named_parameters", "apply", "state_dict"))
"""Methods after which a layer is no longer one with random weights, or is trained."""


class LayerMadeInForward(Rule):
    """A layer that is made anew at each call of `forward`.

    ## What it finds
    In the `forward` of a module, or in what it calls, a layer with parameters, or an `nn.Parameter`, that is
    made, used, and kept nowhere.

    ## Why it matters
    Each call has new random weights. No optimizer knows them, and they are gone after the call: the layer is noise that
    the rest of the model has to work around.

    ## What PyTorch does
    Nothing.

    ## Example
    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 4)

        def forward(self, x):
            return nn.Linear(4, 1)(torch.relu(self.body(x)))


    net, inputs = Net(), torch.randn(8, 3)
    assert len(list(net.parameters())) == 2
    assert not torch.equal(net(inputs), net(inputs))
    ```

    ## Use instead
    Make the layer in `__init__`.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(3, 4)
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            return self.head(torch.relu(self.body(x)))


    assert len(list(Net().parameters())) == 4
    ```

    ## When it is silent
    For layers without parameters, for layers that the module keeps (the first call may make them), and where their
    parameters are frozen or written: a filter with a given kernel. A normalization, whose new parameters change
    nothing, gives information.

    ```python
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = None

        def forward(self, x):
            if self.head is None:
                self.head = nn.Linear(x.shape[-1], 1)
            return self.head(nn.ReLU()(x))


    net = Net()
    net(torch.randn(8, 3))
    assert len(list(net.parameters())) == 2
    ```

    ## Fix safety
    Suggested: it is made at the end of `__init__`, where all that it is made of is known there. Its parameters then are
    in the state dictionary, too.

    ## References
    - https://docs.pytorch.org/docs/stable/notes/modules.html
    """

    code, name, severity = "GRD502", "layer-made-in-forward", Severity.WARNING

    def check(self, facts: Facts) -> Iterable[Finding]:
        made = [event for event in facts.of("module-made") if _in_forward(event)]
        parameters = [event for event in facts.of("parameter") if _in_forward(event) and _is_fresh(event)]
        if not made and not parameters:
            return
        kept = _kept(facts)
        returned = {one for event in facts.of("return") for one in _each(event.value)}
        for event in parameters:
            if event.value not in kept and event.value not in returned:
                message = (
                    f"{code(facts, event.at.node)} is made anew at each call of `forward`: no optimizer trains it; "
                    "make it in `__init__`"
                )
                yield self.finding(place(event.at), message, (), _fixes(facts, event))
        for event in made:
            layer = event.value
            assert isinstance(layer, Instance)
            own = [tensor for _, tensor in parameters_of(layer)[0]]
            if own and layer not in kept and not any(tensor in kept for tensor in own):
                yield self._report(facts, event, layer)

    def _report(self, facts: Facts, event: Event, layer: Instance) -> Finding:
        spec = find_module(layer.path)
        what = code(facts, event.at.node)
        if spec is not None and spec.kind == "norm":
            message = f"{what} is made anew at each call of `forward`: its parameters are never trained"
            return self.finding(place(event.at), message, (), _fixes(facts, event), Severity.INFORMATION)
        message = (
            f"{what} is made anew at each call of `forward`, with new random weights that no optimizer trains; "
            "make it in `__init__`"
        )
        return self.finding(place(event.at), message, (), _fixes(facts, event))


def _fixes(facts: Facts, event: Event) -> list[Fix]:
    """Make it at the end of `__init__`, if it is made of constants and of attributes that are set there."""
    call = event.at.node
    method = facts.function(call)
    cls = facts.parent(method) if method is not None else None
    if method is None or not isinstance(call, ast.Call) or not isinstance(cls, ast.ClassDef) or not method.args.args:
        return []
    init = next((item for item in cls.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
    own, function = method.args.args[0].arg, call.func
    if init is None or init is method or not init.args.args or init.args.args[0].arg != own:
        return []
    inner = {part.id for part in walk(method) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    inner |= {argument.arg for argument in (*method.args.args[1:], *method.args.kwonlyargs)}
    read = {part.id for part in walk(call) if isinstance(part, ast.Name)}
    given = {part.attr for part in walk(call) if isinstance(part, ast.Attribute) and _is_of(part, own)}
    stored = {
        part.attr
        for part in walk(init)
        if isinstance(part, ast.Attribute) and _is_of(part, own) and not isinstance(part.ctx, ast.Load)
    }
    kind = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    name = kind.lower()
    taken = {part.attr for part in walk(cls) if isinstance(part, ast.Attribute)}
    taken |= {item.name for item in cls.body if isinstance(item, ast.FunctionDef)}
    if read & inner or not given <= stored or not name.isidentifier() or name in taken:
        return []
    if isinstance(init.body[-1], (ast.Return, ast.Raise)):
        return []
    source = facts.source_of(call)
    build = edits.together(
        edits.insert_after(Place(source, init.body[-1]), f"{own}.{name} = {facts.segment(call)}"),
        edits.replace_expression(Place(source, call), f"{own}.{name}"),
    )
    return [Fix("Make it in `__init__`", Safety.SUGGESTED, build)]


def _is_of(part: ast.Attribute, own: str) -> bool:
    return isinstance(part.value, ast.Name) and part.value.id == own


def _is_fresh(event: Event) -> bool:
    """Is this a parameter of values that were made for it, and that wants a gradient?"""
    data = event.data
    return event.flag is True and isinstance(data, Tensor) and data.node.leaf is data and data.requires_grad is False


def _in_forward(event: Event) -> bool:
    """Is the innermost method of a module on the way here a `forward`?"""
    for _, function in event.callers():
        if function.name == "__init__":
            return False
        if function.name == "forward" and function.owner is not None and is_module_class(function.owner) is True:
            return True
    return False


def _is_for_forward(event: Event) -> bool:
    """Does a method or property return this to the `forward` that asked for it, and keep nothing by its decorators?"""
    functions = [function for _, function in event.callers()]
    if not any(function.name == "forward" for function in functions[1:]):
        return False
    decorators = getattr(functions[0].node, "decorator_list", [])
    return all(isinstance(one, ast.Name) and one.id == "property" for one in decorators)


def _kept(facts: Facts) -> set[Instance | Tensor]:
    """What is stored, returned, put into a container or an optimizer, or written to."""
    found: set[Instance | Tensor] = set(optimized(facts))
    for event in facts.of("attribute-set", "item-set", "register-parameter"):
        values = (*_held_by(event.assigned), event.value)
        found.update(value for value in values if isinstance(value, (Instance, Tensor)))
    for event in facts.of("unknown-call"):
        found.update(value for value in event.arguments if isinstance(value, (Instance, Tensor)))
    for _, records in facts.called(*_CHANGING):
        receivers = [of_call(function) for function, _, _ in records]
        found.update(value for value, name in receivers if isinstance(value, Instance) and name in _CHANGING)
    for event in facts.of("append"):
        if isinstance(event.appended, (Instance, Tensor)):
            found.add(event.appended)
    for event in facts.of("return"):
        if not _is_for_forward(event):
            found.update(one for one in _each(event.value) if isinstance(one, Instance))
    for event in facts.of("data-set", "init", "write", "freeze", "requires-grad-set"):
        if isinstance(event.value, (Instance, Tensor)):
            found.add(event.value)
            if isinstance(event.value, Tensor) and isinstance(event.value.data, Tensor):
                found.add(event.value.data)  # `layer.weight.data.fill_(...)`
    made = list(facts.of("module-made"))
    for event in (*made, *reversed(made)):  # what is kept may be in something that is kept only because of another
        inner = {one for _, member in contents(event.value) for one in _each(member) if isinstance(one, Instance)}  # type: ignore[arg-type]
        if inner & found or event.value in found:
            found |= inner
    return found


def _held_by(value: Value | None) -> Iterator[Value]:
    """A value, and what it holds if it is a list or a dictionary; by branch it is one of several."""
    todo, seen = list(_each(value)), 0
    while todo and seen < _MOST_HELD:
        one = todo.pop()
        seen += 1
        yield one
        if isinstance(one, Sequence):
            todo += one.elements
        elif isinstance(one, Mapping):
            todo += [*one.entries.values(), *_each(one.rest)]
        elif isinstance(one, Choice):
            todo += one.options
        elif isinstance(one, Tensor):
            yield from one.fields.get("parts", ())


_MOST_HELD = 200


def _each(value: Value | None) -> tuple[Value, ...]:
    """What a value may be."""
    return options(value) if value is not None else ()
