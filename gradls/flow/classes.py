"""Classes of the program and their objects."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gradls.autograd.optimizers import find_optimizer
from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.dataclass_fields import constructing, fill_fields
from gradls.flow.hierarchy import (
    FUNCTION,
    INIT_ALONE,
    MODULE,
    WRAPPERS,
    find_in_class,
    has_unknown_base,
    is_module,
    is_module_class,
    is_module_path,
    library_bases,
    linearize,
)
from gradls.flow.hooks import BACKWARD, HOOKS, certain, is_there
from gradls.flow.models.registry import find_method, find_method_of_library
from gradls.flow.run import Scope
from gradls.flow.values import (
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
    Super,
    Value,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


def define_class(run: Run, node: ast.ClassDef) -> Class:
    """The class that a `class` statement makes."""
    from gradls.flow.expressions import eval_expr
    from gradls.flow.statements import exec_block

    bases = tuple(eval_expr(run, base) for base in node.bases)
    source = run.frame.file.source
    cls = Class(run.state, node.name, bases, node, source)
    cls.metaclass = any(keyword.arg == "metaclass" and not _is_plain(run, keyword.value) for keyword in node.keywords)
    scope = Scope(cls.fields, run.frame.scope, "class")
    cls.scope = run.frame.scope
    outer = run.frame.scope
    outer.held = True
    run.frame.scope = scope
    try:
        exec_block(run, node.body)
    finally:
        run.frame.scope = outer
    for value in cls.fields.values():
        while isinstance(value, Function):
            if value.owner is None:
                value.owner = cls
            value = value.wrapped
    methods = {}
    if FUNCTION in library_bases(cls):
        # What a custom Function defines or inherits: fields of a class that a function defines are gone afterwards.
        nearest_last = linearize(cls)[::-1]
        methods = {name: value for base in nearest_last for name, value in getattr(base, "fields", {}).items()}
    run.event("class", node, cls, methods=methods)
    if run.frame.scope.kind == "module":
        run.classes.append(cls)
    return cls


def _is_plain(run: Run, node: ast.expr) -> bool:
    """Does a metaclass make objects as `type` does?"""
    from gradls.flow.expressions import eval_expr

    value = eval_expr(run, node)
    if isinstance(value, Class):
        return not any(isinstance(find_in_class(value, name)[0], Value) for name in ("__call__", "__new__", "__init__"))
    return isinstance(value, Lib) and value.path in ("abc.ABCMeta", "builtins.type", "enum.EnumMeta")


_TUPLES = frozenset(("typing.NamedTuple", "enum.Enum"))


def instantiate(run: Run, cls: Class, call: Call) -> Value:
    """Make an object of a class of the program."""
    from gradls.flow.calls import call_function, call_value, escape

    run.executed[cls.node] = None
    if not _TUPLES.isdisjoint(library_bases(cls)):
        return _named_tuple(run, cls, call)
    if isinstance(find_in_class(cls, "__new__")[0], Function):
        # It may make anything.
        for value in call.values:
            escape(run, value)
        return run.unknown("call", cls.name)
    instance = Instance(run.state, cls, run.at(call.node))
    instance.open = has_unknown_base(cls)
    start_training(run, instance)
    init, _ = find_in_class(cls, "__init__")
    of_dataclass = constructing(cls)
    if of_dataclass is not None:
        fill_fields(run, of_dataclass, instance, call)
    elif isinstance(init, Function):
        # A function that a decorator has put there may be in a file that is not followed.
        instance.open = instance.open or init.name != "__init__"
        derived = _may_be_derived(run, cls)
        run.expected += derived
        try:
            call_function(run, init, call, instance)
        finally:
            run.expected -= derived
    elif init is not None:
        # By branch, a decorator has put another constructor into the class.
        instance.open = True
        call_value(run, init, Call(call.node, [instance, *call.args], call.kwargs, call.unsure))
    else:
        for base in linearize(cls):
            if isinstance(base, Lib) and is_module_path(base.path):
                from gradls.flow.models.modules import initialize

                initialize(run, instance, base.path, call)
                break
            if isinstance(base, Lib) and find_optimizer(base.path) and not instance.open:
                from gradls.flow.models.optimizers import initialize as hold

                hold(run, instance, call)
                break
        else:
            if instance.open:
                for value in call.values:
                    escape(run, value)
            if call.values and library_bases(cls):
                # A constructor that is not known may keep what it is given.
                instance.fields[("kept",)] = list(call.values)
    if is_module_class(cls):
        from gradls.flow.registration import plain_containers

        run.event("object-made", call.node, instance, containers=plain_containers(instance))
    return instance


def _may_be_derived(run: Run, cls: Class) -> bool:
    """Is it the `cls` of a class method that nobody in the file calls? Derived classes may have other constructors, and
    it is for these."""
    function = run.frame.function
    return run.alone and run.frame.receiver is cls and function is not None and function.kind == "class"


def start_training(run: Run, instance: Instance) -> None:
    """A module is in train mode until somebody says otherwise; in code that nobody in the file calls, who knows."""
    if not run.alone and is_module_class(instance.cls):
        instance.fields["training"] = TRUE


def _named_tuple(run: Run, cls: Class, call: Call) -> Value:
    names = [
        statement.target.id
        for statement in cls.node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
    items = []
    for index, name in enumerate(names):
        value = call.get(index, name)
        items.append(value if value is not None else cls.fields.get(name) or run.unknown("argument", name))
    return Sequence(run.state, "tuple", tuple(items), None, tuple(names))


def call_instance(run: Run, instance: Instance, call: Call) -> Value:
    """Call an object: `forward` of a module and its hooks, `__call__` of others."""
    hooks, around = instance.fields.get(HOOKS), instance.fields.get(BACKWARD)
    if not hooks and not around:
        return _call_noted(run, instance, call)
    from gradls.flow.models.module_hooks import after_forward, before_forward
    from gradls.flow.writes import as_hooked

    around = certain(run, instance, BACKWARD)
    call = before_forward(run, instance, call)
    if around:
        # A full backward hook puts a custom Function around the module: its tensors are views of what goes in and out.
        call = Call(call.node, [as_hooked(run, value) for value in call.args], call.kwargs, call.unsure)
    result = after_forward(run, instance, call, _call_noted(run, instance, call))
    if around and isinstance(result, (Mapping, Sequence)) and getattr(result, "kind", "dict") != "tuple":
        run.event("hooked-no-tensor", call.node, result, hooks=[hook.handle.at for hook in around])
    return as_hooked(run, result) if around else result


_MOST_FORWARDS = 60
"""Modules that call each other are followed so deep: a `forward` that is assigned may be the module itself."""


def _call_noted(run: Run, instance: Instance, call: Call) -> Value:
    """Call an object. If it is a module that no other module calls, or a layer that depends on the mode or has running
    statistics, write down what came out and in which modes it was."""
    if not is_module(instance):
        return _call_instance(run, instance, call)
    if run.forwards >= _MOST_FORWARDS:
        from gradls.flow.calls import call_unknown

        return call_unknown(run, instance, call)
    return _noted(run, instance, call, partial(_call_instance, run, instance, call))


def call_forward(run: Run, function: Bound, call: Call) -> Value:
    """`model.forward(x)`, which computes what `model(x)` does."""
    from gradls.flow.calls import call_value

    body = partial(call_value, run, function, call)
    instance = function.receiver
    return _noted(run, instance, call, body) if isinstance(instance, Instance) and is_module(instance) else body()


def _noted(run: Run, instance: Instance, call: Call, body: Callable[[], Value]) -> Value:
    training, outermost = instance.fields.get("training"), run.forwards == 0
    run.forwards += 1
    try:
        result = body()
    finally:
        run.forwards -= 1
    if outermost or instance.path.startswith(_WITH_MODE):
        run.event(
            "forward",
            call.node,
            instance,
            result=result,
            arguments=call.values,
            grad=run.mode["grad"],
            training=truth.truth(run, training) if training is not None else None,
            outermost=outermost,
        )
    return result


_WITH_MODE = tuple(f"torch.nn.{name}" for name in ("BatchNorm", "SyncBatchNorm", "LazyBatchNorm", "InstanceNorm"))


def _call_instance(run: Run, instance: Instance, call: Call) -> Value:
    from gradls.flow.calls import call_function, call_unknown, call_value
    from gradls.flow.models.module_forward import forward

    if isinstance(instance.cls, Lib):
        own = instance.fields.get("forward") if is_module_path(instance.path) else None
        if own is not None:
            return call_value(run, own, call)
        model = find_method(instance, "__call__")
        if model is not None:
            return model(run, instance, call)
        if is_module_path(instance.path):
            return forward(run, instance, instance.path, call)
        return call_unknown(run, instance, call)
    run.event("module-call", call.node, instance, arguments=call.values)
    bases = library_bases(instance.cls)
    # An object of a custom Function cannot be called: its `forward` is for `apply`.
    for name in ("__call__",) if FUNCTION in bases else ("__call__", "forward"):
        function, owner = find_in_class(instance.cls, name)
        own = instance.fields.get(name)
        if own is not None:
            return call_value(run, own, call)
        if isinstance(function, Function):
            return call_function(run, function, call, instance)
        if isinstance(owner, Lib) and name == "forward":
            break
    for path in bases:
        if path in WRAPPERS and (wrapping := find_method_of_library(path, "__call__")) is not None:
            return wrapping(run, instance, call)
        if is_module_path(path) and path != MODULE:
            return forward(run, instance, path, call)
    if bases == (MODULE,) and not instance.open and function is None:
        run.event("no-forward", call.node, instance)
    return call_unknown(run, instance, call)


def note_direct_forward(run: Run, node: ast.Call, function: Bound) -> None:
    """Write down a call of `forward` itself, of a module with hooks: these run only where the module is called."""
    receiver, written = function.receiver, node.func
    through_super = isinstance(written, ast.Attribute) and isinstance(written.value, ast.Call)
    if not isinstance(receiver, Instance) or not isinstance(written, ast.Attribute) or through_super:
        return
    hooks = receiver.fields.get(HOOKS) or receiver.fields.get(BACKWARD)
    if hooks:
        hooks = [hook for hook in hooks if is_there(run, hook)]
    if hooks or receiver.data.get("renormalized"):
        run.event("direct-forward", node, receiver, hooks=bool(hooks))


def super_of(run: Run, node: ast.Call) -> Value:
    """`super()` and `super(Class, self)`."""
    from gradls.flow.expressions import eval_expr

    frame = run.frame
    receiver = frame.receiver
    own: Value | None = frame.function.owner if frame.function is not None else None
    cls = own
    if receiver is None and cls is not None and frame.function is not None and frame.function.kind == "":
        # `Base.__init__(self)`: the object is the first argument.
        first = next(iter((*frame.function.node.args.posonlyargs, *frame.function.node.args.args)), None)
        receiver = frame.scope.fields.get(first.arg) if first is not None else None
    if len(node.args) == 2:
        cls, receiver = eval_expr(run, node.args[0]), eval_expr(run, node.args[1])
        if isinstance(cls, Choice) and own in cls.options:
            # Branches define classes of one name: a method says that of its own.
            cls = own
    if receiver is not None and (isinstance(cls, Class) or (isinstance(cls, Lib) and is_module_path(cls.path))):
        return Super(cls, receiver)
    return run.unknown("super")


def super_attribute(run: Run, value: Super, name: str) -> Value:
    """An attribute looked up through `super()`."""
    receiver = value.receiver
    if isinstance(value.cls, Lib):
        return _behind_library(receiver, value.cls, name)
    own = receiver.cls if isinstance(receiver, Instance) and isinstance(receiver.cls, Class) else value.cls
    found, owner = find_in_class(own, name, value.cls)
    if name == "__init__" and not isinstance(found, Function) and _is_behind_layers(own, value.cls):
        return Bound(receiver, None, f"{MODULE}.{INIT_ALONE}")
    if isinstance(found, Function):
        return Bound(receiver, found, name)
    if found is not None:
        return found
    if isinstance(owner, Lib):
        return Bound(receiver, None, f"{owner.path}.{name}")
    if name == "forward" and isinstance(receiver, Instance):
        for path in library_bases(own):
            if is_module_path(path) and path != MODULE:
                return Bound(receiver, None, f"{path}.forward")
    if name in ("__init__", "__setattr__", "train", "eval"):
        path = next((path for path in library_bases(own) if is_module_path(path)), "")
        return Bound(receiver, None, f"{path}.{name}" if path else name)
    return run.unknown("super", name)


def _behind_library(receiver: Value, cls: Lib, name: str) -> Bound:
    """What `super(nn.Linear, self)` finds: something of a base of the program that comes later, if that is a module
    itself, or of `nn.Module`, which comes before all that are none."""
    if isinstance(receiver, Instance) and isinstance(receiver.cls, Class):
        order = linearize(receiver.cls)
        start = next((index for index, base in enumerate(order) if isinstance(base, Lib) and base.path == cls.path), -1)
        for base in order[start + 1 :]:
            found = base.fields.get(name) if isinstance(base, Class) else None
            if isinstance(found, Function) and is_module_class(base) is not False:
                return Bound(receiver, found, name)
    return Bound(receiver, None, f"{MODULE}.{INIT_ALONE if name == '__init__' else name}")


def _is_behind_layers(own: Class, cls: Class) -> bool:
    """Does a class stand behind all layers of the library that another one derives from? What it calls as its base's
    constructor is none of theirs."""
    order = linearize(own)
    layers = [index for index, base in enumerate(order) if isinstance(base, Lib) and base.path != MODULE]
    return bool(layers) and cls in order and order.index(cls) > layers[-1]


def iterator(run: Run, value: Value, node: ast.expr) -> Value:
    """What the `__iter__` of an object of the program gives; the object itself if that is not known."""
    from gradls.flow.calls import call_function
    from gradls.flow.iterators import shown

    value = shown(value)
    if isinstance(value, Instance) and isinstance(value.cls, Class) and is_module(value) is False:
        function, _ = find_in_class(value.cls, "__iter__")
        if isinstance(function, Function):
            found = call_function(run, function, Call(node, []), value)
            if isinstance(found, Sequence):
                return found
    return value


def iterate(run: Run, value: Instance) -> Value:
    """An element of an object that is iterated over."""
    from gradls.flow.calls import call_function
    from gradls.flow.models.loaders import element as batch_of
    from gradls.flow.models.loaders import is_loader

    if isinstance(value.cls, Class):
        function, _ = find_in_class(value.cls, "__getitem__")
        if isinstance(function, Function):
            return call_function(run, function, Call(ast.Constant(0), [Host("int")]), value)
    if is_loader(value):
        return batch_of(run, value)
    if value.path == "numpy.ndarray" and "node" in value.data:
        part = Instance(run.state, value.cls, value.at)
        part.data["node"] = value.data["node"]
        return part
    return run.unknown("element", value.name)
