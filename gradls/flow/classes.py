"""Classes of the program and their objects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from gradls.flow import class_text, truth
from gradls.flow.arguments import Call
from gradls.flow.models.registry import find_function, find_method, find_method_of_library
from gradls.flow.program import is_stub
from gradls.flow.run import Scope
from gradls.flow.state import empty_behind
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
    Tensor,
    Unknown,
    Value,
)
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run

MODULE = "torch.nn.Module"
FUNCTION = "torch.autograd.Function"
_MODULE_LIKE = (
    "torch.nn.",
    "torch.optim.swa_utils.AveragedModel",
    "einops.layers.torch.",
    "torch.jit.ScriptModule",
)
_LIGHTNING = ("lightning.", "pytorch_lightning.")


_MAY_BE_MODULES = ("torch.ao.", "torch.distributed.", "torch.fx.", "torch.jit.", *_LIGHTNING)
"""Packages with modules and with other classes, of which no list says which are which."""


def define_class(run: Run, node: ast.ClassDef) -> Class:
    """The class that a `class` statement makes."""
    from gradls.flow.expressions import eval_expr
    from gradls.flow.statements import exec_block

    bases = tuple(eval_expr(run, base) for base in node.bases)
    source = run.frame.file.source
    cls = Class(run.state, node.name, bases, node, source)
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


def linearize(cls: Class) -> tuple[Value, ...]:
    """The class and its bases, nearest first (depth first; a base met twice counts where it stands last)."""
    if cls.order is None:
        order: list[Value] = [cls]
        for base in cls.bases:
            order += linearize(base) if isinstance(base, Class) else [base]
        cls.order = tuple(dict.fromkeys(reversed(order)))[::-1]
        empty_behind(cls)
    return cls.order


def find_in_class(cls: Class, name: str, behind: Class | None = None) -> tuple[Value | None, Value | None]:
    """The attribute `name` of a class and the class that has it; with `behind`, what `super()` finds."""
    order = linearize(cls)
    start = order.index(behind) + 1 if behind is not None and behind in order else 0
    for index in range(start, len(order)):
        base = order[index]
        if isinstance(base, Class):
            if name in base.fields:
                return base.fields[name], base
        elif isinstance(base, Lib) and _has(base.path, name):
            return None, base
    return None, None


@lru_cache(1 << 14)
def _has(path: str, name: str) -> bool:
    """Is there a model of something in a library class? All modules are called by `nn.Module.__call__`."""
    if name == "__call__" and is_module_path(path):
        return True
    return find_function(f"{path}.{name}") is not None or find_method_of_library(path, name) is not None


def library_bases(cls: Class) -> tuple[str, ...]:
    """The full names of the library classes that a class derives from."""
    if cls.libraries is None:
        cls.libraries = tuple(base.path for base in linearize(cls) if isinstance(base, Lib))
    return cls.libraries


def has_unknown_base(cls: Class) -> bool:
    """Whether a class has more attributes and methods than its text tells."""
    if cls.unknown_base is None:
        cls.unknown_base = any(
            is_stub(base.source)
            if isinstance(base, Class)
            else not (isinstance(base, Lib) and is_module_class(base) is not None)
            for base in linearize(cls)
        )
    return cls.unknown_base


_OFF = frozenset(("no_grad", "inference_mode", "set_grad_enabled"))


def templates(cls: Class) -> Iterator[Function]:
    """The inherited methods that switch gradients off and call methods of this class."""
    for base in linearize(cls)[1:]:
        for method in _switching(base) if isinstance(base, Class) and base.switches is not False else ():
            names = method.source.once(_attributes, method.node)
            if not names.isdisjoint(cls.fields) and find_in_class(cls, method.name)[0] is method:
                yield method


def _switching(cls: Class) -> list[Function]:
    """The methods of a class that switch gradients off. That it has none is known from then on."""
    found = [
        method
        for method in cls.fields.values()
        if isinstance(method, Function)
        and not method.kind
        and not method.source.once(_attributes, method.node).isdisjoint(_OFF)
    ]
    cls.switches = bool(found)
    return found


def _attributes(node: ast.AST) -> frozenset[str]:
    return frozenset(part.attr for part in walk(node) if isinstance(part, ast.Attribute))


@lru_cache(4096)
def is_module_path(path: str) -> bool:
    """Is this library class an `nn.Module`?"""
    if path.startswith(_LIGHTNING):
        return path.endswith(".LightningModule")
    return (
        path.startswith(_MODULE_LIKE)
        and not path.startswith(("torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.parameter."))
        and path not in ("torch.nn.Parameter", "torch.nn.Buffer")
    )


def is_module_class(cls: Value) -> bool | None:
    """Is a class an `nn.Module`? A class whose base cannot be resolved counts as one when its body shows it."""
    if isinstance(cls, Class):
        cls.sort = cls.sort or _sort(cls)
        if cls.sort == "unknown":
            return True if _looks_like_module(cls) else None
        return cls.sort == "module"
    if isinstance(cls, Lib):
        return is_module_path(cls.path) or (None if cls.path.startswith(_MAY_BE_MODULES) else False)
    return None


_MODULE = "torch.nn.modules.module.Module"


def _sort(cls: Class) -> str:
    """module, unknown or other."""
    if any(is_module_path(path) for path in library_bases(cls)):
        return "module"
    for base in linearize(cls):
        answer = getattr(base, "answer", None)
        if answer is not None and (answer.name == _MODULE or _MODULE in answer.bases):
            return "module"
    return "unknown" if has_unknown_base(cls) else "other"


def _looks_like_module(cls: Class) -> bool:
    """Registration calls, or an attribute made from `nn` beside a `forward`."""
    forward = find_in_class(cls, "forward")[0] is not None
    return class_text.registers(cls) or (forward and class_text.makes_layers(cls))


def is_module(value: Value) -> bool | None:
    """Is `value` an object of an `nn.Module` class?"""
    if isinstance(value, Instance):
        return is_module_class(value.cls)
    return None if isinstance(value, Unknown) else False


_TUPLES = frozenset(("typing.NamedTuple", "enum.Enum"))


def instantiate(run: Run, cls: Class, call: Call) -> Value:
    """Make an object of a class of the program."""
    from gradls.flow.calls import call_function, escape

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
    if isinstance(init, Unknown):
        instance.open = True
    if isinstance(init, Function):
        call_function(run, init, call, instance)
    elif _is_dataclass(cls):
        _dataclass_fields(run, cls, instance, call)
    else:
        for base in linearize(cls):
            if isinstance(base, Lib) and is_module_path(base.path):
                from gradls.flow.models.modules import initialize

                initialize(run, instance, base.path, call)
                break
        else:
            if instance.open:
                for value in call.values:
                    escape(run, value)
    if is_module_class(cls):
        from gradls.flow.registration import plain_containers

        run.event("object-made", call.node, instance, containers=plain_containers(instance))
    return instance


def start_training(run: Run, instance: Instance) -> None:
    """A module is in train mode until somebody says otherwise; in code that nobody in the file calls, who knows."""
    if not run.alone and is_module_class(instance.cls):
        instance.fields["training"] = TRUE


def _is_dataclass(cls: Class) -> bool:
    names = (node for decorator in cls.node.decorator_list for node in walk(decorator))
    return any("dataclass" in str(getattr(node, "id", getattr(node, "attr", ""))) for node in names)


def _dataclass_fields(run: Run, cls: Class, instance: Instance, call: Call) -> None:
    names = [
        statement.target.id
        for statement in cls.node.body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]
    for index, name in enumerate(names):
        value = call.get(index, name)
        if value is None:
            default = cls.fields.get(name)
            value = default if default is not None else run.unknown("argument", name)
        instance.fields[name] = value


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
    hooks, around = instance.fields.get("*hooks"), instance.fields.get("*hooked")
    if not hooks and not around:
        return _call_noted(run, instance, call)
    from gradls.flow.models.module_hooks import BACKWARD, after_forward, before_forward, certain
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


def _call_noted(run: Run, instance: Instance, call: Call) -> Value:
    """Call an object. If it is a module that no other module calls, or a layer that depends on the mode or has running
    statistics, write down what came out and in which modes it was."""
    if not is_module(instance):
        return _call_instance(run, instance, call)
    training, outermost = instance.fields.get("training"), run.forwards == 0
    run.forwards += 1
    try:
        result = _call_instance(run, instance, call)
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
    from gradls.flow.calls import call_function, call_unknown
    from gradls.flow.models.module_forward import forward

    if isinstance(instance.cls, Lib):
        model = find_method(instance, "__call__")
        if model is not None:
            return model(run, instance, call)
        if is_module_path(instance.path):
            return forward(run, instance, instance.path, call)
        return call_unknown(run, instance, call)
    run.event("module-call", call.node, instance, arguments=call.values)
    for name in ("__call__", "forward"):
        function, owner = find_in_class(instance.cls, name)
        own = instance.fields.get(name)
        if own is not None:
            from gradls.flow.calls import call_value

            return call_value(run, own, call)
        if isinstance(function, Function):
            return call_function(run, function, call, instance)
        if isinstance(owner, Lib) and name == "forward":
            break
    bases = library_bases(instance.cls)
    for path in bases:
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
    hooks = receiver.fields.get("*hooks") or receiver.fields.get("*hooked")
    if hooks:
        from gradls.flow.models.module_hooks import is_there

        hooks = [hook for hook in hooks if is_there(run, hook)]
    if hooks or receiver.data.get("renormalized"):
        run.event("direct-forward", node, receiver, hooks=bool(hooks))


def super_of(run: Run, node: ast.Call) -> Value:
    """`super()` and `super(Class, self)`."""
    from gradls.flow.expressions import eval_expr

    frame = run.frame
    receiver = frame.receiver
    cls: Value | None = frame.function.owner if frame.function is not None else None
    if receiver is None and cls is not None and frame.function is not None and frame.function.kind == "":
        # `Base.__init__(self)`: the object is the first argument.
        first = next(iter((*frame.function.node.args.posonlyargs, *frame.function.node.args.args)), None)
        receiver = frame.scope.fields.get(first.arg) if first is not None else None
    if len(node.args) == 2:
        cls, receiver = eval_expr(run, node.args[0]), eval_expr(run, node.args[1])
    if receiver is not None and (isinstance(cls, Class) or (isinstance(cls, Lib) and is_module_path(cls.path))):
        return Super(cls, receiver)
    return run.unknown("super")


def super_attribute(run: Run, value: Super, name: str) -> Value:
    """An attribute looked up through `super()`."""
    receiver = value.receiver
    if isinstance(value.cls, Lib):
        # Behind a layer of the library there is only `nn.Module`.
        return Bound(receiver, None, f"{MODULE}.{name}")
    own = receiver.cls if isinstance(receiver, Instance) and isinstance(receiver.cls, Class) else value.cls
    found, owner = find_in_class(own, name, value.cls)
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


def is_instance(run: Run, value: Value, of: Value) -> bool | None:
    """`isinstance(value, of)` where it is known."""
    if isinstance(of, Sequence) and of.rest is None:
        verdicts = [is_instance(run, value, item) for item in of.items]
        if True in verdicts:
            return True
        return None if None in verdicts else False
    if isinstance(value, Choice):
        found = {is_instance(run, option, of) for option in value.options}
        return found.pop() if len(found) == 1 else None
    if isinstance(value, Instance):
        return _object_is(value, of)
    if isinstance(of, Class):
        return None if isinstance(value, Unknown) else False
    if not isinstance(of, Lib) or isinstance(value, (Unknown, Class, Function)):
        return None
    return _is_of_library(value, of.path)


def _object_is(value: Instance, of: Value) -> bool | None:
    if isinstance(value.cls, Lib):
        if isinstance(of, Class):
            return False
        if isinstance(of, Lib):
            if of.path == value.path or (of.path == MODULE and is_module_path(value.path)):
                return True
            return False if of.path.startswith(("torch.nn.", "builtins.", "torch.Tensor")) else None
        return None
    if of in linearize(value.cls):
        return True
    if isinstance(of, Lib):
        if of.path == MODULE and is_module_class(value.cls):
            return True
        if of.path.startswith(("builtins.", "torch.Tensor")) and of.path != "builtins.object":
            return None if has_unknown_base(value.cls) else False
    if has_unknown_base(value.cls) or "declared" in value.data:
        return None
    return False if isinstance(of, (Class, Lib)) else None


_NUMBERS = {
    **dict.fromkeys(("Integral", "Rational"), ("int", "bool")),
    **dict.fromkeys(("Number", "Complex", "Real"), ("int", "bool", "float")),
}
_BUILTIN = {"list": Sequence, "tuple": Sequence, "set": Sequence, "dict": Mapping}


def _is_of_library(value: Value, path: str) -> bool | None:
    kind = path.removeprefix("builtins.")
    if isinstance(value, Tensor):
        if path == "torch.Tensor":
            return True
        if path == "torch.nn.Parameter":
            return value.is_parameter
        return False if path.startswith(("builtins.", "torch.nn.", "numpy.", "numbers.")) else None
    if isinstance(value, Host) and path.startswith("numbers."):
        return value.kind in _NUMBERS.get(path.removeprefix("numbers."), ())
    if isinstance(value, Host):
        return value.kind == kind or (value.kind == "bool" and kind == "int") if path.startswith("builtins.") else False
    if isinstance(value, Sequence):
        return value.kind == kind if kind in _BUILTIN else (False if path.startswith(("builtins.", "torch.")) else None)
    if isinstance(value, Mapping):
        return kind == "dict" if path.startswith(("builtins.", "torch.")) else None
    return None


def iterator(run: Run, value: Value, node: ast.expr) -> Value:
    """What the `__iter__` of an object of the program gives; the object itself if that is not known."""
    from gradls.flow.calls import call_function

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
    return run.unknown("element", value.name)
