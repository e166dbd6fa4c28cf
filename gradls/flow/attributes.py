"""Attributes: reading, writing and deleting them, and the names that values get from them."""

from __future__ import annotations

import ast
import math
from functools import partial
from typing import TYPE_CHECKING

from gradls.autograd.ops import find_op
from gradls.autograd.spelling import canonical
from gradls.flow import (
    classes,
    dtypes,
    elsewhere,
    fillings,
    hierarchy,
    imports,
    nothing,
    operations,
    properties,
    registries,
    truth,
)
from gradls.flow.arguments import Call
from gradls.flow.models.registry import family_of, find_attribute, find_method_of_library, find_setter
from gradls.flow.readings import note_numbers
from gradls.flow.state import Fields
from gradls.flow.values import (
    ESCAPED,
    HOLDER,
    ITEMS,
    NONE,
    Bound,
    Choice,
    Class,
    Function,
    Host,
    Imported,
    Instance,
    Lib,
    Mapping,
    MissingGrad,
    Nothing,
    Sequence,
    Super,
    Tensor,
    Unknown,
    Value,
    host,
    is_none,
)

if TYPE_CHECKING:
    from gradls.flow.run import Arm, Run


def get_attribute(run: Run, value: Value, name: str, node: ast.expr) -> Value:
    """`value.name`."""
    if type(value) is Instance:
        return _of_instance(run, value, name, node)
    if type(value) is Lib:
        return _of_library(run, value, name)
    if type(value) is Tensor:
        model = find_attribute("torch.Tensor", name)
        if model is not None:
            return model(run, value, node)
        return value.fields.get(("own", name)) or Bound(value, None, name)
    if isinstance(value, Unknown):
        if name == "backward":
            note_numbers(run, value, node)
        return _of_unknown(run, value, name, node)
    if isinstance(value, MissingGrad):
        run.event("missing-grad-used", node, value.tensor, value.tensor.node, read=value.at, cleared=value.cleared)
    if not name.startswith("__"):
        if type(value) is Nothing:
            nothing.note_use(run, node, value, f"its attribute `{name}` is read")
        nothing.note_call_of_keys(run, node, value, name)
    if isinstance(value, Class):
        return _of_class(run, value, name)
    if isinstance(value, Super):
        return classes.super_attribute(run, value, name)
    if isinstance(value, Choice):
        options = [option for option in value.options if not is_none(option)]
        objects = [option for option in options if not isinstance(option, Host)]
        if name == "backward" and objects:
            note_numbers(run, value, node)
        # What starts as the number 0 and is added to is the sum by the time that a method of it is called.
        options = objects or options
        if name in registries.NAMES and len(options) > 1:
            # Each is written to by itself: one that stood for all would be nobody's.
            return Choice(tuple(get_attribute(run, option, name, node) for option in options))
        found = run.join.values([get_attribute(run, option, name, node) for option in options])
        if isinstance(found, Choice) and all(getattr(option, "receiver", None) in options for option in found.options):
            found.of = value
        return found
    if isinstance(value, Sequence) and name in value.names:
        return value.items[value.names.index(name)]
    if value is NONE and isinstance(node, ast.Attribute) and elsewhere.is_global(run, node.value):
        return run.unknown("attribute", name)
    if value is NONE and run.alone and isinstance(node, ast.Attribute) and not name.startswith("__"):
        other = elsewhere.set_elsewhere(run, node.value)
        if other is not None:
            return _of_unknown(run, other, name, node)
    if isinstance(value, (Sequence, Mapping, Host)):
        return Bound(value, None, name)
    if isinstance(value, Function) and name in value.fields:
        return value.fields[name]
    return run.unknown("attribute", name)


_CONTEXT = "torch.autograd.function.FunctionCtx"
_DICTIONARIES = frozenset(("_modules", "_parameters", "_buffers", "__dict__"))


def _of_instance(run: Run, value: Instance, name: str, node: ast.expr) -> Value:
    if name in _DICTIONARIES:
        if name in registries.NAMES and name not in value.fields and hierarchy.is_module(value):
            return registries.read(run, value, name)
        # What is put in there is not followed.
        value.open = True
        if name == "__dict__":
            elsewhere.note_namespace(run, value, node)
    if name in value.fields:
        held = value.fields[name]
        if run.alone and type(held) is Unknown and isinstance(value.cls, Class) and not (held.plain or held.unrecorded):
            held = _declared(run, value, name) or held
        elif type(held) is Instance and "declared" in held.data:
            # What this chapter does rests on how that is made; an edit may have had it made anew.
            made = _declared(run, value, name)
            if made is not None and made.cls is held.cls:
                held = _memo(run, value.fields, name, made)
        elif type(held) is Choice and held.by:
            return truth.chosen(run, held)
        elif name in _METHODS_OF_MODULES and _is_registered(value, held):
            return Bound(value, None, name)
        return held
    if name == "__class__":
        return value.cls
    if isinstance(value.cls, Lib):
        return _of_object_of_library(run, value, name, node)
    found, owner = hierarchy.find_in_class(value.cls, name)
    if isinstance(found, Function):
        if found.kind == "property":
            from gradls.flow.calls import call_function

            return call_function(run, found, Call(node, []), value)
        return Bound(value.cls if found.kind == "class" else value, found, name)
    if found is not None:
        return found
    if owner is not None or _has_module_method(value, name):
        return Bound(value, None, name)
    declared = _declared(run, value, name) if run.alone else None
    if declared is not None:
        return _memo(run, value.fields, name, declared)
    if name == "training":
        return _memo(run, value.fields, "training", run.unknown("training", "training"))
    found = run.unknown("attribute", name)
    kept = value.fields.get(("kept",))
    if kept:
        return _memo(run, value.fields, name, operations.unknown_operation(run, name, kept, node))
    if name == "__dict__":
        found.fields["registry"] = value
    found.fields[HOLDER] = value
    return _memo(run, value.fields, name, found)


def _of_object_of_library(run: Run, value: Instance, name: str, node: ast.expr) -> Value:
    """An attribute that nobody has set, of an object of a library's class."""
    held = value.fields.get("*items")
    if isinstance(held, Mapping) and name in held.entries:
        return held.entries[name]
    model = find_attribute(value.path, name)
    if model is not None:
        return model(run, value, node)
    if name in ("weight", "bias") and _is_switched_off(value, name):
        return NONE
    family = family_of(value.path)
    model = find_attribute(family, name) if family != value.path else None
    if model is not None:
        return model(run, value, node)
    if value.path == _CONTEXT and find_method_of_library(_CONTEXT, name) is None:
        return _memo(run, value.fields, name, run.unknown("unknown", name))
    return Bound(value, None, name)


def _is_switched_off(value: Instance, name: str) -> bool:
    """Is this a parameter that the layer was made without, as `nn.Linear(2, 3, bias=False)` was?"""
    from gradls.autograd.modules import find_module

    spec = find_module(value.path)
    return spec is not None and any(parameter == name and condition for parameter, condition in spec.parameters)


def _declared(run: Run, value: Instance, name: str) -> Instance | None:
    from gradls.flow import declared

    return declared.of_attribute(run, value.cls, name) if isinstance(value.cls, Class) else None


def _memo(run: Run, fields: Fields, name: str, value: Value) -> Value:
    """Remember what an attribute that nobody set is; this is no write of the program."""
    fields[name] = value
    return value


_METHODS_OF_MODULES = frozenset(
    ("parameters", "named_parameters", "modules", "children", "buffers", "train", "eval", "apply", "to", "type", "half")
)
"""Methods of every module by whose names programs call layers and parameters, too."""


def _is_registered(value: Instance, held: Value) -> bool:
    """Is what was assigned to an attribute of a module registered? Then the attribute is what the class says, if that
    says something: `__getattr__`, which finds what is registered, is asked last."""
    if not hierarchy.is_module(value):
        return False
    if isinstance(held, Tensor):
        return held.is_parameter
    return isinstance(held, Instance) and hierarchy.is_module(held) is True


def _has_module_method(value: Instance, name: str) -> bool:
    from gradls.flow.models.registry import METHODS

    return bool(hierarchy.is_module(value)) and (hierarchy.MODULE, name) in METHODS


_OF_DTYPES = {"is_floating_point": "float", "is_complex": "complex"}
_CONSTANTS = {"inf": math.inf, "pi": math.pi, "e": math.e}


def _of_library(run: Run, value: Lib, name: str) -> Value:
    if name in value.fields:
        return value.fields[name]
    found = run.members.get((value.path, name))
    if found is not None:
        return found
    last = value.path.rpartition(".")[2]
    if name == "__name__" and last[:1].isupper():
        return host(last)
    model = find_attribute("", f"{value.path}.{name}")
    if model is not None:
        return model(run, value, ast.Constant(0))
    if name in _OF_DTYPES and dtypes.kind_of(value) is not None:
        return host(dtypes.kind_of(value) == _OF_DTYPES[name])
    if name in _CONSTANTS and value.path in ("math", "numpy", "torch"):
        return host(_CONSTANTS[name])
    found = run.members[value.path, name] = run.lib(canonical(f"{value.path}.{name}"))
    return found


_METADATA = frozenset(("shape", "ndim", "dtype", "device", "layout", "is_cuda", "requires_grad", "is_leaf", "grad_fn"))
"""Attributes of tensors that are no tensors."""
_DATA = frozenset(("grad", "T", "mT", "H", "mH", "real", "imag"))


def _of_unknown(run: Run, value: Unknown, name: str, node: ast.expr) -> Value:
    found = value.fields.get(name)
    if found is not None:
        return found
    if type(value) is Imported:
        found = value.fields[name] = imports.attribute(run, value, name)
        return found
    model = find_attribute("unknown", name)
    if model is not None:
        return model(run, value, node)
    question = value.question
    if question is not None:
        question = question._replace(name=f"{question.name}.{name}" if question.name else name)
    attribute = run.unknown("attribute", name, question)
    attribute.fields["of"] = value
    attribute.plain = value.plain and (ESCAPED not in value.fields or name in _DATA or _is_of_tensors(name))
    if name in _METADATA:
        attribute.origin, attribute.plain = "metadata", True
    elif name in _DATA:
        attribute.unrecorded = run.outside["graphs"] is False if name == "grad" else value.unrecorded
        if name == "grad":
            run.event("unknown-grad-read", node, value)
    value.fields[name] = attribute
    return attribute


def _is_of_tensors(name: str) -> bool:
    """Do tensors have a method of this name?"""
    return find_op(f"torch.Tensor.{name}") is not None


def _of_class(run: Run, value: Class, name: str) -> Value:
    if name == "__name__":
        return host(value.name)
    found, owner = hierarchy.find_in_class(value, name)
    if isinstance(found, Function):
        return Bound(value, found, name) if found.kind == "class" else found
    if found is not None:
        return found
    if isinstance(owner, Lib):
        return Bound(value, None, name)
    if hierarchy.FUNCTION in hierarchy.library_bases(value) and name == "apply":
        return Bound(value, None, "apply")
    return run.unknown("attribute", name)


def set_attribute(
    run: Run, receiver: Value, name: str, value: Value, target: ast.expr, augmented: bool = False
) -> None:
    """`receiver.name = value`."""
    if isinstance(receiver, Choice):
        options = [option for option in receiver.options if not isinstance(option, Host)]
        if len(options) > 1:
            arms: list[Arm] = [
                (receiver, option, partial(_set_of_option, run, option, name, value, target, augmented))
                for option in options
            ]
            run.fork(arms)
            return
        receiver = options[0] if options else receiver
    if isinstance(receiver, Tensor):
        setter = find_setter("torch.Tensor", name)
        if setter is not None:
            setter(run, receiver, value, target)
        else:
            run.event("tensor-attribute", target, receiver, name=name, assigned=value)
            run.state.set(receiver.fields, ("own", name), value)
        return
    fields = getattr(receiver, "fields", None)
    if isinstance(receiver, (Instance, Unknown, Class, Lib, Function)) and fields is not None:
        if name == "*":
            # A name that is not known: beside the others, not in the place of the last one.
            name = f"*{len(fields)}"
        if isinstance(receiver, Instance):
            if registries.replace(run, receiver, name) or properties.assign(run, receiver, name, value, target):
                return
            # A `__setattr__` of its own may do anything with the value.
            if isinstance(receiver.cls, Lib) or hierarchy.find_in_class(receiver.cls, "__setattr__")[0] is None:
                refused = type(value) is Tensor and _is_refused(receiver, name, value)
                _register(run, receiver, name, value, target, augmented)
                if refused:
                    return
                elsewhere.may_be_set(run, receiver, receiver.cls, name, value)
            elif isinstance(value, Host):
                value = run.unknown("attribute", name)
            else:
                # It may put other things into other places.
                run.state.set(receiver.fields, "*escaped", True)
        elif isinstance(receiver, (Class, Function)):
            elsewhere.may_be_set(run, receiver, receiver, name, value)
        elif isinstance(receiver, Unknown):
            if type(receiver) is Imported and not receiver.name:
                imports.replace(run, receiver, name, value)
            run.event("unknown-attribute-set", target, receiver, name=name, assigned=value)
            fillings.fill(run, receiver, [value])
            if name not in fields and find_attribute("unknown", name) is None:
                # It has some value on the branches that do not come here.
                _of_unknown(run, receiver, name, target)
            setter = find_setter("unknown", name)
            if setter is not None:
                setter(run, receiver, value, target)
        run.state.set(fields, name, value)


def _set_of_option(run: Run, option: Value, name: str, value: Value, target: ast.expr, augmented: bool) -> bool:
    set_attribute(run, option, name, value, target, augmented)
    return True


def _is_refused(receiver: Instance, name: str, value: Tensor) -> bool:
    """Is a result put in the place of a parameter of a module, which raises? The parameter stays what it was."""
    old = receiver.fields.get(name)
    return (
        isinstance(old, Tensor)
        and old.is_parameter
        and old.node.kind != "phi"
        and not value.is_parameter
        and value.leaf is False
        and not receiver.data.get("reparametrized")
        and ("deleted", name) not in receiver.fields
        and hierarchy.is_module(receiver) is True
    )


def _register(run: Run, receiver: Instance, name: str, value: Value, target: ast.expr, augmented: bool) -> None:
    """Write down what an assignment to an attribute of an object does, and name what it holds."""
    old = receiver.fields.get(name)
    prefix = f"{receiver.name}." if receiver.name and receiver.name != "self" else ""
    give_name(value, prefix + name)
    if isinstance(value, Tensor) and value.is_parameter and value.owner is None:
        value.owner = receiver
    gone = ("deleted", name) in receiver.fields
    if gone and isinstance(value, (Tensor, Instance)):
        run.state.drop(receiver.fields, ("deleted", name))
    run.event("attribute-set", target, receiver, name=name, assigned=value, old=old, augmented=augmented, gone=gone)
    if ITEMS in receiver.fields:
        if isinstance(value, Instance) and hierarchy.is_module(value):
            modules.hold(run, receiver, name, value)
        else:
            modules.let_go(run, receiver, name)


def delete_attribute(run: Run, receiver: Value, name: str, target: ast.AST) -> None:
    """`del receiver.name`."""
    if isinstance(receiver, Choice):
        for option in receiver.options:
            delete_attribute(run, option, name, target)
    fields = getattr(receiver, "fields", None)
    if fields is not None and not isinstance(receiver, Tensor):
        old = fields.get(name)
        run.state.drop(fields, name)
        if isinstance(receiver, Instance):
            # Behind branches of which one deletes it, it may still be there: that it may not is to be remembered.
            run.state.set(fields, ("deleted", name), True)
            run.event("attribute-deleted", target, receiver, name=name, old=old)
            modules.let_go(run, receiver, name)
    elif isinstance(receiver, Tensor) and name == "grad":
        run.state.set(receiver.fields, "grad", NONE)


def give_name(value: Value, name: str) -> None:
    """A tensor or object is known by the first name that it gets."""
    if type(value) is Tensor:
        node = value.node
        if not node.name:
            node.name = name
        if not value.name:
            value.name = name
    elif type(value) is Sequence and value.kind == "tuple":
        for item in value.items:
            if type(item) is Tensor and not item.node.name:
                item.node.name = name
    elif type(value) is Instance and not value.name:
        value.name = name
        for _, member in modules.contents(value):
            give_name(member, name)


_SCALARS = {"int": "int", "float": "float", "bool": "bool", "str": "str"}


def annotated(run: Run, parameter: ast.arg, function: Function) -> Value:
    """The value of a parameter of which only the annotation is known."""
    annotation = parameter.annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except SyntaxError:
            annotation = None
    if isinstance(annotation, ast.Name) and annotation.id in _SCALARS and function.scope.find(annotation.id) is None:
        if annotation.id in ("int", "float"):
            return Host(_SCALARS[annotation.id])
        return run.unknown("argument", parameter.arg)
    if isinstance(annotation, (ast.Name, ast.Attribute)):
        cls = _annotation_value(run, annotation, function)
        if isinstance(cls, Lib) and cls.path in ("torch.Tensor", "torch.FloatTensor"):
            tensor = run.leaf("argument", parameter, requires_grad=None, dtype=None)
            # A caller may pass anything, also something that was computed from the other arguments.
            tensor.node.kind = "opaque"
            tensor.fields["leaf"] = None
            tensor.name = parameter.arg
            return tensor
        if isinstance(cls, Lib) and cls.path in ("torch.LongTensor", "torch.BoolTensor", "torch.IntTensor"):
            # Programs run with what is annotated wrongly, so its dtype is not certain.
            given = run.unknown("argument", parameter.arg)
            given.holds_integers(run.state)
            return given
        if isinstance(cls, Lib) and cls.path in _INSTANCES:
            return Instance(run.state, cls)
    if annotation is not None:
        from gradls.flow import declared

        found = declared.of_annotation(run, annotation, function.scope)
        if found is not None:
            return found
    return run.unknown("argument", parameter.arg)


_INSTANCES = {
    "torch.nn.CrossEntropyLoss",
    "torch.nn.BCELoss",
    "torch.nn.BCEWithLogitsLoss",
    "torch.nn.NLLLoss",
    "torch.nn.MSELoss",
    "torch.nn.L1Loss",
    "torch.nn.SmoothL1Loss",
    "torch.nn.KLDivLoss",
}


def _annotation_value(run: Run, annotation: ast.expr, function: Function) -> Value | None:
    if isinstance(annotation, ast.Name):
        fields = function.scope.find(annotation.id)
        return fields[annotation.id] if fields is not None else None
    if isinstance(annotation, ast.Attribute):
        base = _annotation_value(run, annotation.value, function)
        if isinstance(base, Lib):
            return _of_library(run, base, annotation.attr)
    return None


# This begins attributes itself: it is needed only when everything is there.
from gradls.flow.models import modules  # noqa: E402
