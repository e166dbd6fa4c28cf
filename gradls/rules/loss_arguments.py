"""What the rules about losses have in common: which argument is which, and what is known of each."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Host, Instance, Tensor, Unknown, Value
from gradls.flow.wholes import loop_element_of


class Argument(NamedTuple):
    """An argument of a loss: the parameter's name, the value, the expression where it was written out, and the node
    that a tensor had then."""

    name: str
    value: Value
    node: ast.expr | None
    then: Node | None = None


def prediction(event: Event) -> Argument | None:
    """The argument of a `loss` event in the place of the prediction."""
    return argument(event, event.spec.prediction)


def target(event: Event) -> Argument | None:
    """The argument in the place of the target; None for losses without one."""
    return argument(event, event.spec.target)


def argument(event: Event, name: str) -> Argument | None:
    """The argument that the function of the loss calls `name`."""
    spec = event.spec
    if event.criterion is not None and name in spec.inputs and len(spec.inputs) == len(spec.module_inputs):
        name = spec.module_inputs[spec.inputs.index(name)]
    value = event.bound.get(name)
    return None if value is None else Argument(name, value, event.nodes.get(name), event.then.get(name))


def called(event: Event) -> str:
    """The name by which people know the loss: `CrossEntropyLoss` or `cross_entropy`."""
    spec = event.spec
    return (spec.module if event.criterion is not None else spec.function).rpartition(".")[2] or spec.name


def option(event: Event, name: str, default: object) -> object:
    """The Python value of an option of a loss: `default` if it is not given, None if it is not known."""
    value = event.options.get(name)
    if value is None:
        return None if event.criterion is not None and event.criterion.open else default
    return value.value if isinstance(value, Host) and value.known else None


# What a value is


def history(value: Value) -> Node | None:
    """The node of a tensor, or of something unknown that tensors went into."""
    if isinstance(value, Tensor):
        return value.node
    return value.fields.get(("node",)) if isinstance(value, Unknown) else None


def is_computed(facts: Facts, value: Value) -> bool:
    """Did parameters take part in it: is it the output of a model, with or without its gradient?"""
    node = history(value)
    if isinstance(value, Tensor) and value.requires_grad is True:
        return True
    if node is None:
        return False
    return any(_is_trained(part) or _is_of_model(facts, part) for part in walk(node))


def _is_trained(node: Node) -> bool:
    return node.leaf is not None and (node.leaf.is_parameter or node.leaf.requires_grad is True)


def _is_of_model(facts: Facts, node: Node) -> bool:
    """Is this the result of calling something unknown that is used as a module?"""
    if node.kind != "opaque" or node.at is None or not isinstance(node.at.node, ast.Call):
        return False
    return any(is_used_as_module(facts, function) for function, _, _ in facts.evaluations(node.at.node))


_OF_MODULES = frozenset(
    ("parameters", "named_parameters", "train", "eval", "state_dict", "load_state_dict", "zero_grad")
)


def is_used_as_module(facts: Facts, value: Value) -> bool:
    """Is `value`, of which the class is not known, an `nn.Module` for all that is done with it?"""
    if isinstance(value, Instance):
        return False
    if not isinstance(value, Unknown):
        return False
    answer = value.answer
    if answer is not None and "torch.nn.modules.module.Module" in (
        getattr(answer, "name", ""),
        *getattr(answer, "bases", ()),
    ):
        return True
    used = used_as_module(value)
    return bool(used & {"parameters", "named_parameters"}) or len(used) >= 2


def used_as_module(value: Value) -> set[str]:
    """The methods of modules that the program asks something unknown for."""
    return {name for name in _OF_MODULES if name in value.fields} if isinstance(value, Unknown) else set()


_KEEP = frozenset((
    "to", "cuda", "cpu", "float", "double", "half", "long", "int", "type", "view", "reshape", "squeeze",
    "unsqueeze", "flatten", "contiguous", "clone", "detach", "t", "transpose", "permute", "expand", "repeat",
    "select", "index", "requires_grad_", "pin_memory", "item",
))  # fmt: skip


def is_data(value: Value, other: Value) -> bool:
    """Is it certain that no model had a part in `value`: made from nothing, or an element of what a loop goes through?

    What a loop goes through may be the outputs of a model. It is a loader if it is no result of a call, or if `other`,
    the other argument of the loss, was computed from the same element.
    """
    node = history(value)
    if node is None:
        return isinstance(value, Unknown) and _is_from_loader(value, other)
    if isinstance(value, Tensor) and value.requires_grad is not False:
        return False
    for part in walk(node):
        if _is_trained(part):
            return False
        if part.leaf is not None and part.leaf.requires_grad is not False:
            return False
        if part.kind == "opaque":
            source = part.fields.get("value")
            if source is not None:
                if not (isinstance(source, Unknown) and _is_from_loader(source, other)):
                    return False
            elif not keeps(part):
                return False
    return True


def keeps(node: Node) -> bool:
    """Is it a method such as `to`, called on something unknown, or calculated from its inputs alone?"""
    made = node.at.node if node.at is not None else None
    if isinstance(made, (ast.BinOp, ast.UnaryOp)):
        return True
    return isinstance(made, ast.Call) and isinstance(made.func, ast.Attribute) and made.func.attr in _KEEP


_RESULTS = frozenset(("call", "recursion", "decorated", "never", "super", "operator", "branches", "either"))
"""Origins of what something gave that was called and not followed."""


def _is_from_loader(value: Unknown, other: Value) -> bool:
    element = loop_element_of(value)
    if element is None:
        return False
    iterated = element.fields.get("iterated")
    if isinstance(iterated, Unknown) and iterated.origin not in _RESULTS and ("node",) not in iterated.fields:
        return True
    node = history(other)
    sources = [part.fields.get("value") for part in walk(node)] if node is not None else []
    return any(isinstance(source, Unknown) and loop_element_of(source) is element for source in sources)


def element_of(value: Value) -> Unknown | None:
    """The element of a loop that an unknown value is, or is a part of."""
    for _ in range(16):
        if not isinstance(value, Unknown):
            return None
        if value.origin == "data":
            return value
        origin = value.fields.get("derived")
        if origin is None:
            return None
        value = origin[0]
    return None


# What an expression is called

_TARGETS = frozenset((
    "target", "targets", "tgt", "label", "labels", "lbl", "gt", "truth", "true", "gold", "annotation",
    "annotations",
))  # fmt: skip
_WHOLE_TARGETS = frozenset(("y", "ys", "yb", "y_batch", "batch_y", "y_train", "train_y"))
_PREDICTIONS = frozenset((
    "pred", "preds", "prediction", "predictions", "predicted", "output", "outputs", "out", "outs", "logit",
    "logits", "hat", "yhat", "prob", "probs", "scores",
))  # fmt: skip


def named_like(node: ast.AST | None) -> str:
    """ "target" or "prediction" if the name of an expression says that it is one; otherwise an empty string."""
    while isinstance(node, (ast.Call, ast.Subscript)):
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
            return ""
        node = (
            node.func.value
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            else getattr(node, "value", None)
        )
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return word_for(name)


def word_for(name: str) -> str:
    """The same for a name."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = {word.rstrip("0123456789") for word in name.split("_")}
    is_target = bool(words & _TARGETS) or name.rstrip("0123456789") in _WHOLE_TARGETS
    is_prediction = bool(words & _PREDICTIONS)
    return "" if is_target == is_prediction else "target" if is_target else "prediction"


def of_call(function: Value) -> tuple[Value | None, str]:
    """The receiver and the name of a method that was called."""
    if isinstance(function, Bound):
        return function.receiver, function.name
    if isinstance(function, Unknown):
        return function.fields.get("of"), function.name
    return None, ""
