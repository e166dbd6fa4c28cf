"""Python's built-in functions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from gradls.autograd.modules import find_module
from gradls.autograd.ops import find_op
from gradls.autograd.optimizers import find_optimizer
from gradls.autograd.spelling import canonical
from gradls.autograd.versions import NEWEST
from gradls.flow import elements, elsewhere, entries, properties, truth
from gradls.flow.arguments import Call
from gradls.flow.class_text import is_never_set, is_set_by_init_alone
from gradls.flow.contents import host_history, tensors_in
from gradls.flow.graph import Edge
from gradls.flow.hierarchy import find_in_class, has_unknown_base, is_instance, library_bases, linearize
from gradls.flow.iterators import consume
from gradls.flow.join import MOST_KNOWN
from gradls.flow.models.containers import to_mapping
from gradls.flow.models.registry import function
from gradls.flow.operations import apply, cut_node, unknown_operation
from gradls.flow.values import (
    FALSE,
    NONE,
    TRUE,
    Bound,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
    computed,
    host,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


@function(
    "builtins.print", "builtins.format", "builtins.repr", "builtins.str", "builtins.hash",
    "builtins.ascii", "builtins.chr", "builtins.ord", "builtins.input", "builtins.open", "builtins.exit",
    "builtins.hex",
)  # fmt: skip
def harmless(run: Run, path: str, call: Call) -> Value:
    """Reads its arguments and gives no tensor."""
    name = path.removeprefix("builtins.")
    if name in ("str", "repr", "format", "ascii", "chr", "input", "hex"):
        value = call.get(0)
        if name == "str" and isinstance(value, Host) and value.known:
            return Host("str", str(value.value))
        if name in ("str", "repr") and isinstance(value, Lib) and value.path in _CLASSES:
            return Host("str", _CLASSES[value.path])
        return Host("str")
    return {"print": NONE}.get(name) or run.unknown("call", name)


@function("builtins.id")
def identity(run: Run, path: str, call: Call) -> Value:
    """A number that no other parameter has: `id(p) in {id(q) for q in head.parameters()}`."""
    value = call.get(0)
    is_one = isinstance(value, Tensor) and not value.node.several and "parts" not in value.fields
    if is_one and isinstance(value, Tensor) and value.is_parameter and value.leaf is True:
        return Host("int", _IDENTITIES + value.fields.born)
    return run.unknown("call", "id")


_IDENTITIES = 1 << 40


@function("builtins.len")
def length(run: Run, path: str, call: Call) -> Value:
    value = call.get(0)
    if isinstance(value, Sequence) and value.whole:
        return host(len(value.items))
    if isinstance(value, Mapping) and value.whole:
        return host(len(value.entries))
    if isinstance(value, Tensor) and value.shape and value.shape[0] is not None:
        return host(value.shape[0])
    if isinstance(value, Instance):
        from gradls.flow.models.modules import contents

        names = [name for name, _ in contents(value)]
        if names and "*" not in names:
            return host(len(names))
    return Host("int")


@function("builtins.dict")
def dictionary(run: Run, path: str, call: Call) -> Value:
    made = to_mapping(run, call.get(0), call.kwargs)
    if call.unsure:
        entries.put_anywhere(run, made, run.unknown("element"))
    return made


MOST_ADDED = 16
"""So many numbers are added up."""


@function("builtins.sum")
def sum_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.expressions import elements_of
    from gradls.flow.operators import binary

    value = call.get(0, "iterable")
    if isinstance(value, Tensor):
        return apply(run, "torch.Tensor.sum", _bare(call), value)
    if not isinstance(value, (Sequence, Mapping, Choice)):
        return run.unknown("call", "sum")
    total = call.get(1, "start") or host(0)
    items = elements_of(run, value)
    start = total
    for item in items[:MOST_ADDED]:
        total = binary(run, ast.Add, total, item, call.node)
    if isinstance(start, Tensor) and not elements.is_whole(value) and not getattr(value, "items", ()):
        # There may be nothing to be added.
        total = run.join.values([start, total])
    consume(run, value, call.node)
    if isinstance(total, Host) and (len(items) > MOST_ADDED or not elements.is_whole(value)):
        return Host("number" if total.kind == "int" and len(items) > MOST_ADDED else total.kind, node=total.node)
    return total


def _bare(call: Call) -> Call:
    return Call(call.node, [])


@function("builtins.max", "builtins.min")
def extreme(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.expressions import elements_of

    items = call.args if len(call.args) > 1 else elements_of(run, call.args[0]) if call.args else []
    if items and all(isinstance(item, Host) for item in items):
        whole = not call.unsure if len(call.args) > 1 else elements.is_whole(call.args[0])
        if whole and all(item.known for item in items):  # type: ignore[attr-defined]
            try:
                pick = max if path.endswith("max") else min
                return pick(items, key=lambda item: item.value)  # type: ignore[attr-defined]
            except TypeError:
                return run.unknown("call")
        kinds = {item.kind for item in items}  # type: ignore[attr-defined]
        history = [Edge(node, False) for item in items for node in host_history(item)]
        node = cut_node(run, "number", path.removeprefix("builtins."), history, run.at(call.node)) if history else None
        return Host("int" if kinds <= {"int", "bool"} else "float" if kinds == {"float"} else "number", node=node)
    return run.join.values(items) if items else run.unknown("call")


@function("builtins.abs")
def absolute(run: Run, path: str, call: Call) -> Value:
    value = call.get(0)
    if isinstance(value, Tensor):
        return apply(run, "torch.Tensor.abs", _bare(call), value)
    if isinstance(value, Host):
        known = value.known and isinstance(value.value, (int, float))
        return host(abs(value.value)) if known else Host(value.kind, node=value.node)
    if isinstance(value, Unknown):
        return unknown_operation(run, "abs", [value], call.node, pure=True)
    return run.unknown("call", "abs")


@function("builtins.pow")
def power(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.operators import binary

    return binary(run, ast.Pow, call.args[0], call.args[1], call.node) if len(call.args) == 2 else run.unknown("call")


_CONVERSIONS: dict[str, Callable[..., object]] = {"int": int, "float": float, "bool": bool, "round": round}


@function("builtins.round", "builtins.int", "builtins.float", "builtins.bool", "builtins.complex")
def number(run: Run, path: str, call: Call) -> Value:
    """A Python number: whatever was a tensor leaves the graph."""
    name = path.removeprefix("builtins.")
    value = call.get(0)
    kind = {"round": "number"}.get(name, name)
    if name == "round" and isinstance(value, Tensor):
        return apply(run, "torch.Tensor.round", _bare(call), value)
    if isinstance(value, Host):
        if value.known and isinstance(value.value, (int, float, str, bool)):
            try:
                return computed(_CONVERSIONS.get(name, float)(value.value), value.node)
            except (TypeError, ValueError, OverflowError):
                return Host(kind)
        return Host(kind, node=value.node)
    if name == "bool":
        verdict = truth.asked(run, value, call.node) if value is not None else False
        if verdict is not None:
            return TRUE if verdict else FALSE
        if isinstance(value, Unknown):
            return value
    edges = (
        [Edge(part.node, part.requires_grad) for part in tensors_in(value) if isinstance(part, Tensor)] if value else []
    )
    if not edges:
        return Host(kind)
    node = cut_node(run, "number", name, edges, run.at(call.node))
    run.event("to-number", call.node, value, node, name=name, apart=run.isolated > 0)
    return Host(kind, node=node)


@function("builtins.isinstance")
def isinstance_(run: Run, path: str, call: Call) -> Value:
    if len(call.args) == 2:
        verdict = is_instance(call.args[0], call.args[1])
        if verdict is not None:
            return TRUE if verdict else FALSE
        if isinstance(call.args[0], Unknown):
            return truth.derived(
                run,
                call.args[0],
                ("isinstance", _written(call.node.args[1]) if isinstance(call.node, ast.Call) else ""),
            )
    return Host("bool")


@function("inspect.isclass")
def is_class(run: Run, path: str, call: Call) -> Value:
    """Decorators ask it that take classes as well as functions."""
    value = call.get(0, "object")
    if isinstance(value, Class):
        return TRUE
    if isinstance(value, (Bound, Function, Host, Instance, Mapping, Sequence, Tensor)):
        return FALSE
    return truth.derived(run, value, "is a class") if isinstance(value, Unknown) else Host("bool")


@function("torch.is_tensor")
def is_tensor(run: Run, path: str, call: Call) -> Value:
    value = call.get(0, "obj")
    if value is None:
        return Host("bool")
    verdict = is_instance(value, run.lib("torch.Tensor"))
    if verdict is not None:
        return TRUE if verdict else FALSE
    return truth.derived(run, value, "is_tensor") if isinstance(value, Unknown) else Host("bool")


@function("torch.jit.is_scripting", "torch.jit.is_tracing")
def is_compiled(run: Run, path: str, call: Call) -> Value:
    """What is analysed is what Python does with the program."""
    return FALSE


def _written(node: ast.expr) -> object:
    """The same for expressions that are written alike; `ast.dump` takes long, and leaves garbage behind."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return _written(node.value), node.attr
    if isinstance(node, ast.Tuple):
        return "(", *(_written(element) for element in node.elts)
    return ast.dump(node)


@function("builtins.hasattr")
def hasattr_(run: Run, path: str, call: Call) -> Value:
    value, name = call.get(0), call.known(1)
    if isinstance(value, Instance) and isinstance(name, str) and name in value.fields:
        return TRUE
    cls = value.cls if isinstance(value, Instance) else value
    if isinstance(cls, Class) and isinstance(name, str) and find_in_class(cls, name)[0] is not None:
        return TRUE
    if isinstance(value, Tensor) and isinstance(name, str) and find_op(f"torch.Tensor.{name}") is not None:
        return TRUE
    if isinstance(value, Lib) and isinstance(name, str) and _is_offered(run, canonical(f"{value.path}.{name}")):
        return TRUE
    if isinstance(value, Unknown) and isinstance(name, str):
        return truth.derived(run, value, ("hasattr", name))
    if isinstance(value, Instance) and isinstance(name, str) and _was_left_out(run, value, name):
        return FALSE
    if isinstance(value, Instance) and name in ("weight", "bias") and _lacks(value, name):
        return FALSE
    return Host("bool")


def _is_offered(run: Run, path: str) -> bool:
    """Is it certain that the PyTorch of the program has something of this name? An older one may not have it yet."""
    return run.target == NEWEST and any(find(path) is not None for find in (find_op, find_module, find_optimizer))


def _lacks(module: Instance, name: str) -> bool:
    """Is it certain that a module has no weight, or no bias, of its own? Code that sorts parameters asks for these."""
    if module.open or module.fields.get("*escaped"):
        return False
    if isinstance(module.cls, Class):
        classes = [cls for cls in linearize(module.cls) if isinstance(cls, Class)]
        bases = library_bases(module.cls)
        known = not has_unknown_base(module.cls) and all(find_in_class(module.cls, hook)[0] is None for hook in _ASKED)
        return known and set(bases) <= {"torch.nn.Module", "builtins.object"} and is_never_set(classes, name)
    spec = find_module(module.path)
    return spec is not None and name not in spec.init and name not in spec.buffers


_ASKED = ("__getattr__", "__getattribute__", "__slots__")


def _was_left_out(run: Run, value: Instance, name: str) -> bool:
    """Is it certain that the constructor did not set an attribute, and that nothing else does?"""
    if run.alone or value.open or value.fields.get("*escaped"):
        return False
    if not isinstance(value.cls, Class) or has_unknown_base(value.cls):
        return False
    return is_set_by_init_alone([cls for cls in linearize(value.cls) if isinstance(cls, Class)], name)


@function("builtins.getattr")
def getattr_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.attributes import get_attribute

    name = call.known(1)
    if isinstance(name, str) and call.args:
        if run.caught and len(call.args) == 2 and _is_missing(call.args[0], name):
            return run.unknown("missing", name)
        return get_attribute(run, call.args[0], name, call.node)
    return _some_attribute(run, call.args[0]) if call.args else run.unknown("call", "getattr")


def _some_attribute(run: Run, value: Value) -> Unknown:
    """What an attribute is of which the name is not known: `getattr(self, f"layer{i}")` is any part of a module."""
    if not isinstance(value, Instance):
        return run.unknown("call", "getattr")
    found = run.unknown("element", "getattr")
    parts = [part for name, part in value.fields.items() if isinstance(name, str)]
    found.among = tuple(part for part in parts if isinstance(part, (Instance, Tensor)))[:MOST_KNOWN]
    return found


def _is_missing(value: Value, name: str) -> bool:
    """Is an attribute certainly not there? No layer of PyTorch has one named like its parameter with something added,
    such as `weight_u`, but what normalizes its weights adds some."""
    return (
        isinstance(value, Instance)
        and value.path.startswith("torch.nn.")
        and name not in value.fields
        and not value.open
        and not value.data.get("reparametrized")
        and any(name.startswith(f"{own}_") for own in value.data.get("parameters", ()))
    )


@function("builtins.setattr")
def setattr_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.attributes import set_attribute

    name = call.known(1)
    if len(call.args) == 3:
        if not isinstance(name, str) and isinstance(call.args[0], Instance):
            elsewhere.any_attribute(run, call.args[0])
        set_attribute(run, call.args[0], name if isinstance(name, str) else "*", call.args[2], call.node)
    return NONE


@function("builtins.delattr")
def delattr_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.attributes import delete_attribute

    name = call.known(1)
    if isinstance(name, str) and call.args:
        delete_attribute(run, call.args[0], name, call.node)
    return NONE


_CLASSES = {
    "torch.Tensor": "<class 'torch.Tensor'>",
    "torch.nn.Parameter": "<class 'torch.nn.parameter.Parameter'>",
    **{f"builtins.{kind}": f"<class '{kind}'>" for kind in ("int", "float", "bool", "str")},
}
"""How Python writes classes: `"torch" in str(type(x))`."""


@function("builtins.type")
def type_(run: Run, path: str, call: Call) -> Value:
    value = call.get(0)
    if isinstance(value, Tensor):
        return run.lib("torch.nn.Parameter" if value.is_parameter else "torch.Tensor")
    if isinstance(value, Host) and value.kind in ("int", "float", "bool", "str"):
        return run.lib(f"builtins.{value.kind}")
    return value.cls if isinstance(value, Instance) else run.unknown("type")


@function("builtins.any", "builtins.all")
def any_or_all(run: Run, path: str, call: Call) -> Value:
    value, wanted = call.get(0), path.endswith("any")
    if not isinstance(value, Sequence):
        return Host("bool")
    verdicts = [truth.truth(run, item) for item in value.items]
    whole = value.whole
    consume(run, value, call.node)
    if wanted in verdicts and not elements.is_doubted(value):
        return TRUE if wanted else FALSE
    if whole and all(verdict is (not wanted) for verdict in verdicts):
        return FALSE if wanted else TRUE
    return Host("bool")


@function("builtins.callable", "builtins.issubclass")
def boolean(run: Run, path: str, call: Call) -> Value:
    return Host("bool")


@function(
    "builtins.divmod",
    "builtins.slice",
    "builtins.dir",
    "builtins.globals",
    "builtins.locals",
    "builtins.eval",
    "builtins.__import__",
    "builtins.compile",
    "builtins.super",
)
def unknown(run: Run, path: str, call: Call) -> Value:
    return run.unknown("call", path.removeprefix("builtins."))


@function("builtins.vars")
def vars_(run: Run, path: str, call: Call) -> Value:
    value = call.get(0)
    if isinstance(value, Instance) and isinstance(call.node, ast.expr):
        elsewhere.note_namespace(run, value, call.node)
    return run.unknown("call", "vars")


@function("builtins.exec")
def exec_(run: Run, path: str, call: Call) -> Value:
    """It may give any name of the module another value: `exec(open("options.py").read())`. Of functions, modules and
    tensors it is taken that they stay."""
    scope = run.frame.scope
    if scope.kind == "module" or len(call.args) > 1:
        fields = scope.module.fields
        for name, value in list(fields.items()):
            if isinstance(value, Host) and not name.startswith("__"):
                run.state.set(fields, name, run.unknown("exec", name))
    return NONE


@function("builtins.staticmethod", "builtins.classmethod", "builtins.property")
def descriptor(run: Run, path: str, call: Call) -> Value:
    read = call.get(0, "fget")
    if path == "builtins.property" and isinstance(read, Function):
        return properties.made_of(run, read, call.get(1, "fset"))
    return read if read is not None else run.unknown("call", path)


@function(
    "builtins.object",
    "builtins.Exception",
    "builtins.ValueError",
    "builtins.RuntimeError",
    "builtins.TypeError",
    "builtins.NotImplementedError",
    "builtins.KeyError",
    "builtins.AssertionError",
    "builtins.IndexError",
)
def object_(run: Run, path: str, call: Call) -> Value:
    return run.unknown("object", path.removeprefix("builtins."))
