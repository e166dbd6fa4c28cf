"""Python's operators."""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING, Any

from gradls.flow import calls, dtypes, elements, entries, iterators, lazies, nothing, texts, truth
from gradls.flow.arguments import Call
from gradls.flow.backward import may_be_gone
from gradls.flow.contents import host_history, is_plain, tensors_in
from gradls.flow.graph import Cut, Edge, Node
from gradls.flow.hierarchy import find_in_class
from gradls.flow.join import options
from gradls.flow.models.registry import find_method
from gradls.flow.nesting import all_held, held
from gradls.flow.operations import apply, cut_node, unknown_operation
from gradls.flow.paths import Path
from gradls.flow.values import (
    FALSE,
    LONGEST,
    TRUE,
    Again,
    Choice,
    Class,
    Function,
    Host,
    Instance,
    Lib,
    Mapping,
    MissingGrad,
    Sequence,
    Tensor,
    Unknown,
    Value,
    computed,
    host,
    is_none,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run

NAMES: dict[type, str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
_TEXTS = (str, bytes, tuple)
_OF_TENSOR = {kind: f"torch.Tensor.__{name}__" for kind, name in NAMES.items()}
_PLAIN_OPERANDS = frozenset((Tensor, Host, Unknown))
"""What is computed with as it stands: neither a None nor one of several values."""
_UNARY: dict[type, str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}
_PYTHON: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_COMPARISONS: dict[type, tuple[str, Any]] = {
    ast.Eq: ("eq", operator.eq),
    ast.NotEq: ("ne", operator.ne),
    ast.Lt: ("lt", operator.lt),
    ast.LtE: ("le", operator.le),
    ast.Gt: ("gt", operator.gt),
    ast.GtE: ("ge", operator.ge),
}


def binary(run: Run, kind: type, left: Value, right: Value, node: ast.AST) -> Value:
    """`left op right`."""
    if kind is ast.Sub and type(left) is Tensor and type(right) is Tensor:
        if is_same_memory(left, right):
            run.chapter.alike.add(node)
            run.event("self-comparison", node, left, left.node, other=right, name="sub")
        elif node in run.chapter.alike:
            run.event("other-comparison", node, left, left.node)
    elif kind is ast.Sub and type(left) is Unknown and type(right) is Unknown and _are_same_parameters(left, right):
        run.event("self-comparison", node, left, other=right, name="sub")
    if type(left) is Tensor and type(right) in _PLAIN_OPERANDS and not run.lazy:
        return _noted(kind, apply(run, _OF_TENSOR[kind], Call(_expr(node), [right]), left), right)
    note_missing_grad(run, node, left, right)
    if kind is not ast.Mod and not isinstance(left, _MAY_TAKE_NONE) and not isinstance(right, _MAY_TAKE_NONE):
        nothing.note_use(run, node, left, "it is computed with")
        nothing.note_use(run, node, right, "it is computed with")
    if run.lazy:
        lazies.note(run, (left, right), node)
    if isinstance(left, Choice) or isinstance(right, Choice):
        return _of_options(run, kind, left, right, node)
    if kind is ast.Mod and type(left) is Host and left.kind == "str" and type(right) is not Host:
        return texts.filled_in(run, left, right)
    name = NAMES[kind]
    if isinstance(left, Tensor):
        return _noted(kind, apply(run, _OF_TENSOR[kind], Call(_expr(node), [right]), left), right)
    if isinstance(right, Tensor):
        return _noted(kind, apply(run, f"torch.Tensor.__r{name}__", Call(_expr(node), [left]), right), left)
    if isinstance(left, Host) and isinstance(right, Host):
        return _of_hosts(run, kind, left, right, node)
    if isinstance(left, Sequence):
        _note_repetition(run, kind, left, right, node)
        return _of_sequence(run, kind, left, right)
    if isinstance(right, Sequence) and kind is ast.Mult:
        _note_repetition(run, kind, right, left, node)
        return _of_sequence(run, kind, right, left)
    if isinstance(left, Mapping):
        return entries.union(run, left, right)
    if (_is_array(left) or _is_array(right)) and not (_may_be_tensor(left) or _may_be_tensor(right)):
        from gradls.flow.models import numpy

        return numpy.operator(run, [left, right], _expr(node))
    if isinstance(left, Instance):
        found = _own_operator(run, left, f"__{name}__", right, node)
        if found is not None:
            return found
    if kind in _OF_NUMBERS and (_is_setting(left) or _is_setting(right)):
        history = [*host_history(left), *host_history(right)]
        if history:
            edges = [Edge(item, False) for item in history]
            return Host("number", node=cut_node(run, "number", name, edges, run.at(node)))
    return unknown_operation(run, name, [left, right], node, pure=True)


_OF_NUMBERS = frozenset((ast.Add, ast.Sub, ast.Mult, ast.Div))


def _is_setting(value: Value) -> bool:
    """Is it a number as far as it is computed with: an option of the program, or a size?"""
    return type(value) is Unknown and value.origin == "metadata" and value.plain


_ALIASES = frozenset(("data", "detach", "state_dict"))


def is_same_memory(one: Tensor, other: Tensor) -> bool:
    """Are these certainly the same tensor, or all of its memory without its history?"""
    if one is not other:
        one, other = original(one), original(other)
    return one is other and not one.node.several


def _are_same_parameters(one: Unknown, other: Unknown) -> bool:
    """Are both elements of the `parameters()` of the same thing, of which nothing else is known?"""
    models = []
    for value in (one, other):
        iterated = value.fields.get("iterated")
        if not isinstance(iterated, Unknown) or iterated.origin != "call" or iterated.name != "parameters":
            return False
        node = iterated.fields.get(("node",))
        if node is None or len(node.edges) != 1:
            return False
        models.append(node.edges[0].node)
    return models[0] is models[1]


def original(tensor: Tensor) -> Tensor:
    """The tensor whose memory `tensor` is, as `detach()` and `.data` give it."""
    while tensor.node.op in _ALIASES and isinstance(tensor.data, Tensor):
        tensor = tensor.data
    return tensor


def _noted(kind: type, result: Value, factor: Value) -> Value:
    """Note that a tensor is all zeros, for it is a product with the number zero."""
    if kind is not ast.Mult or not isinstance(factor, Host) or factor.kind not in ("int", "float"):
        return result
    if factor.known and factor.value == 0 and isinstance(result, Tensor):
        result.node.fields["zeros"] = True
    return result


def _is_array(value: Value) -> bool:
    return isinstance(value, Instance) and value.path == "numpy.ndarray"


def _may_be_tensor(value: Value) -> bool:
    """A tensor times an array is a tensor."""
    return isinstance(value, Unknown) and not is_plain(value)


_MAY_TAKE_NONE = (Instance, Unknown, Choice, Class)
"""Values whose own operators may accept None."""


def note_missing_grad(run: Run, node: ast.AST, *operands: Value) -> None:
    """Write down that a None which `.grad` gave is computed with, or a layer."""
    for value in operands:
        if type(value) is Instance and type(value.cls) is Lib:
            run.event("object-operand", node, value)
        if isinstance(value, MissingGrad):
            run.event("missing-grad-used", node, value.tensor, value.tensor.node, read=value.at, cleared=value.cleared)


def _expr(node: ast.AST) -> ast.expr:
    return node  # type: ignore[return-value]


def _of_options(run: Run, kind: type, left: Value, right: Value, node: ast.AST) -> Value:
    pairs = [(one, other) for one in options(left) for other in options(right)]
    pairs = [(one, other) for one, other in pairs if not is_none(one) and not is_none(other)]
    results = [
        Host("number") if _is_of_numbers(kind, one, other) else binary(run, kind, one, other, node)
        for one, other in pairs
    ]
    return _by_option(run, results, [truth.path_to(right, other, truth.path_to(left, one)) for one, other in pairs])


def _is_of_numbers(kind: type, left: Value, right: Value) -> bool:
    """Is it a number by a size: the 0 that a sum began with, where its loop has no rounds, `/ x.size(0)`?"""
    number, other = (left, right) if isinstance(left, Host) else (right, left)
    if kind is ast.Mult or not isinstance(number, Host) or number.kind not in ("int", "float", "number"):
        return False
    return type(other) is Unknown and other.origin == "metadata" and number.node is None


def _by_option(run: Run, results: list[Value], paths: list[Path | None]) -> Value:
    """What comes out of a choice, of which each option gives one of the results."""
    return run.join.on_paths(results, paths) if results else run.unknown("operator")


def _of_hosts(run: Run, kind: type, left: Host, right: Host, node: ast.AST) -> Value:
    history = [*host_history(left), *host_history(right)]
    graph = None
    if history:
        graph = cut_node(run, "number", NAMES[kind], [Edge(item, False) for item in history], run.at(node))
    if left.known and right.known and kind in _PYTHON and not _is_huge(kind, left.value, right.value):
        try:
            return computed(_PYTHON[kind](left.value, right.value), graph)
        except Exception:
            return run.unknown("operator")
    if left.kind == "str":
        return Host("str")
    kinds = {left.kind, right.kind}
    if kind is ast.Mod and kinds == {"int"} and right.known and not left.known and right.value > 1:
        return Again("int", node, graph)
    if kinds <= {"int", "bool"}:
        return Host("float" if kind is ast.Div else "int", node=graph)
    if kind is not ast.Div and "number" in kinds and "float" not in kinds:
        return Host("number", node=graph)
    return Host("float", node=graph)


def _is_huge(kind: type, left: Any, right: Any) -> bool:
    """Whether what an operator gives may be too much to be worked out."""
    if kind is ast.Pow:
        return not (isinstance(right, (int, float)) and abs(right) < 64)
    if kind is ast.Mod and isinstance(left, (str, bytes)):
        return texts.WIDE.search(left if isinstance(left, str) else left.decode("latin-1")) is not None
    if kind is ast.Mult:
        text, times = (left, right) if isinstance(left, _TEXTS) else (right, left)
        return isinstance(text, _TEXTS) and isinstance(times, int) and len(text) * times > LONGEST
    return False


def _of_sequence(run: Run, kind: type, left: Sequence, right: Value) -> Value:
    if kind is ast.Add and isinstance(right, Sequence):
        return elements.concatenated(run, left.kind, [left, right])
    times = right.value if isinstance(right, Host) and isinstance(right.value, int) else None
    if kind is ast.Mult and times is not None and left.rest is None and times * len(left.items) <= 64:
        return Sequence(run.state, left.kind, left.items * times)
    if kind is ast.Mult and left.elements:
        return Sequence(run.state, left.kind, (), run.join.values(left.elements))
    if kind is ast.Add and not isinstance(right, (Host, Tensor)):
        rest = run.join.values([*([left.rest] if left.rest is not None else []), run.unknown("element")])
        return Sequence(run.state, left.kind, left.items, rest)
    return run.unknown("operator")


def _note_repetition(run: Run, kind: type, sequence: Sequence, times: Value, node: ast.AST) -> None:
    """Write down `[layer] * n`, unless n is known to be less than two, as a boolean is."""
    if kind is not ast.Mult or (isinstance(times, Host) and times.kind == "bool"):
        return
    if isinstance(times, Host) and isinstance(times.value, int) and times.value < 2:
        return
    items = tuple(item for item in sequence.items if isinstance(item, (Instance, Tensor)))
    if items:
        # Whether they have parameters is known now: what a constructor did is undone when its chapter ends.
        run.event("repeated", node, sequence, items=items, trained=tuple(item for item in items if _is_trained(item)))


def _is_trained(item: Instance | Tensor) -> bool:
    from gradls.flow.models.modules import parameters_of

    if isinstance(item, Tensor):
        return item.leaf is True and item.requires_grad is True and item.is_parameter
    return any(tensor.requires_grad is True for _, tensor in parameters_of(item)[0])


def _own_operator(run: Run, left: Instance, name: str, right: Value, node: ast.AST) -> Value | None:
    if isinstance(left.cls, Class):
        function, _ = find_in_class(left.cls, name)
        if isinstance(function, Function):
            return calls.call_function(run, function, Call(_expr(node), [right]), left)
    model = find_method(left, name)
    return None if model is None else model(run, left, Call(_expr(node), [right]))


def augmented(run: Run, statement: ast.AugAssign, old: Value, new: Value) -> Value:
    """The value of `old += new` and the like; a tensor is written in place."""
    kind = type(statement.op)
    note_missing_grad(run, statement, old, new)
    if isinstance(old, Choice):
        given = [option for option in old.options if not is_none(option)]
        results = [augmented(run, statement, option, new) for option in given]
        return _by_option(run, results, [truth.path_to(old, option) for option in given])
    if isinstance(old, Tensor):
        if isinstance(new, Choice):
            kept = [option for option in new.options if not is_none(option)]
            new = kept[0] if len(kept) == 1 else new
        return apply(run, f"torch.Tensor.__i{NAMES[kind]}__", Call(_expr(statement), [new]), old)
    if isinstance(old, Sequence) and kind is ast.Add and old.kind == "list":
        added = _of_sequence(run, kind, old, new)
        if isinstance(added, Sequence):
            if elements.is_doubted(added):
                run.state.set(old.fields, "unsure", True)
            count = len(old.items)
            items = (*added.items[:count], *all_held(run, old, added.items[count:]))
            run.state.set(old.fields, "items", items)
            run.state.set(old.fields, "rest", added.rest if added.rest is None else held(run, old, added.rest))
            elements.grown(run, old)
        return old
    if isinstance(old, Instance):
        own = _own_operator(run, old, f"__i{NAMES[kind]}__", new, statement)
        if own is not None:
            return own
    if isinstance(old, Mapping) and isinstance(new, Mapping) and kind is ast.BitOr:
        entries.update(run, old, new, statement.target)
        return old
    value = binary(run, kind, old, new, statement)
    run.event("accumulate", statement, value, old=old, new=new)
    return value


def unary(run: Run, kind: type, operand: Value, node: ast.AST) -> Value:
    """`-x`, `+x` and `~x`."""
    note_missing_grad(run, node, operand)
    name = _UNARY[kind]
    if isinstance(operand, Choice):
        return run.join.values([unary(run, kind, option, node) for option in operand.options if not is_none(option)])
    if isinstance(operand, Tensor):
        return operand if kind is ast.UAdd else apply(run, f"torch.Tensor.__{name}__", Call(_expr(node), []), operand)
    if isinstance(operand, Host):
        if operand.known and isinstance(operand.value, (int, float)) and kind is not ast.Invert:
            return host(-operand.value if kind is ast.USub else operand.value, operand.node)
        return Host(operand.kind, node=operand.node)
    if _is_array(operand):
        from gradls.flow.models import numpy

        return numpy.operator(run, [operand], _expr(node))
    return unknown_operation(run, name, [operand], node, pure=True)


def compare(run: Run, kind: ast.cmpop, left: Value, right: Value, node: ast.AST) -> Value:
    """`left op right`, for one comparison."""
    sort = type(kind)
    if sort is ast.Is or sort is ast.IsNot:
        return _identity(run, left, right, sort is ast.Is)
    if sort is ast.In or sort is ast.NotIn:
        return _membership(run, left, right, sort is ast.In, node)
    name, function = _COMPARISONS[sort]
    if isinstance(left, Choice) or isinstance(right, Choice):
        pairs = [(one, other) for one in options(left) for other in options(right)]
        return run.join.values([compare(run, kind, one, other, node) for one, other in pairs])
    tensor, other = (left, right) if isinstance(left, Tensor) else (right, left)
    if isinstance(tensor, Tensor):
        if name in ("eq", "ne") and _is_no_number(other):
            # Tensors leave it to Python, which compares identities.
            return TRUE if name == "ne" else FALSE
        if name in ("eq", "ne") and type(left) is Tensor and type(right) is Tensor and is_same_memory(left, right):
            run.event("self-comparison", node, left, left.node, other=right, name=name)
        return apply(run, f"torch.Tensor.__{name}__", Call(_expr(node), [other]), tensor)
    if isinstance(left, Host) and isinstance(right, Host) and left.known and right.known:
        try:
            return TRUE if function(left.value, right.value) else FALSE
        except TypeError:
            return Host("bool")
    if isinstance(left, Again) and isinstance(right, Host) and right.known and name in ("eq", "ne"):
        return Again("bool", node)
    same = _same_lib(left, right) if name in ("eq", "ne") else None
    if same is not None:
        return TRUE if same == (name == "eq") else FALSE
    if name in ("eq", "ne") and isinstance(left, Sequence) and isinstance(right, Sequence):
        same = _same_elements(run, left, right, node)
        if same is not None:
            return TRUE if same == (name == "eq") else FALSE
    if isinstance(left, Unknown) and isinstance(right, Host) and right.known and elements.is_constant(right.value):
        found = truth.derived(run, left, (name, right.value))
        found.unrecorded = True
        return found
    if tensors_in(left) or tensors_in(right):
        # What is not known may be a tensor, and so may the result.
        result = unknown_operation(run, name, [left, right], node, pure=True)
        if isinstance(result, Unknown):
            result.unrecorded = True
            _cut_if_tensor(run, result, node)
        return result
    return Host("bool")


def _cut_if_tensor(run: Run, result: Unknown, node: ast.AST) -> None:
    """What a comparison of unknown values gives holds no gradient, if it is a tensor."""
    made = result.fields.get(("node",))
    if isinstance(made, Node) and made.cut is None and any(edge.flows is not False for edge in made.edges):
        made.cut = Cut("integer", run.at(node), False)


_TENSOR_CLASSES = frozenset(("torch.Tensor", "torch.nn.Parameter"))


def _same_lib(left: Value, right: Value) -> bool | None:
    """Are two dtypes the same, or two classes that are those of tensors or built in? A tensor may be a parameter."""
    if not isinstance(left, Lib) or not isinstance(right, Lib):
        return None
    same = dtypes.same(left, right)
    if same is not None:
        return same
    if not all(path in _TENSOR_CLASSES or path.startswith("builtins.") for path in (left.path, right.path)):
        return None
    if left.path != right.path and {left.path, right.path} == _TENSOR_CLASSES:
        return None
    return left.path == right.path


def _same_elements(run: Run, left: Sequence, right: Sequence, node: ast.AST) -> bool | None:
    """Whether two lists or tuples, such as a shape and `()`, are equal; None if that is not known."""
    if not left.whole or not right.whole or not {left.kind, right.kind} <= {"list", "tuple"}:
        return None
    if left.kind != right.kind or len(left.items) != len(right.items):
        return False
    found = [
        compare(run, ast.Eq(), one, other, node) if isinstance(one, Host) and isinstance(other, Host) else None
        for one, other in zip(left.items, right.items, strict=True)
    ]
    if any(value is FALSE for value in found):
        return False
    return True if all(value is TRUE for value in found) else None


def _is_no_number(value: Value) -> bool:
    return isinstance(value, Sequence) or (isinstance(value, Host) and value.kind in ("none", "str"))


def _identity(run: Run, left: Value, right: Value, positive: bool) -> Value:
    if isinstance(left, Choice):
        return run.join.values([_identity(run, option, right, positive) for option in left.options])
    same: bool | None = None
    if is_none(right) or is_none(left):
        other = left if is_none(right) else right
        if is_none(other):
            same = True
        elif isinstance(other, Tensor) and may_be_gone(run, other):
            same = None
        elif not isinstance(other, Unknown):
            same = False
        else:
            found = truth.derived(run, other, "is None")
            return found if positive else truth.derived(run, found, "not")
    elif isinstance(left, Host) and isinstance(right, Host) and left.known and right.known:
        same = left.value is right.value
    elif isinstance(left, Instance) and isinstance(right, Instance):
        same = left is right
    elif isinstance(left, (Class, Function)) and isinstance(right, (Class, Function)):
        same = _same_definition(left, right)
    else:
        same = _same_lib(left, right)
    if same is None:
        return Host("bool")
    return TRUE if same == positive else FALSE


def _same_definition(left: Class | Function, right: Class | Function) -> bool | None:
    """Are two classes or functions of the program the same? Of one definition there may be several."""
    return True if left is right else None if left.node is right.node else False


def _membership(run: Run, left: Value, right: Value, positive: bool, node: ast.AST) -> Value:
    if isinstance(right, Sequence) and right.kind == "iterator":
        found_in = iterators.search(run, right, left, node)
        return Host("bool") if found_in is None else TRUE if found_in == positive else FALSE
    if isinstance(left, Host) and left.known:
        found: bool | None = None
        if isinstance(right, Host) and isinstance(right.value, str) and isinstance(left.value, str):
            found = left.value in right.value
        elif isinstance(right, Mapping):
            found = left.value in right.entries or (None if right.rest is not None else False)
            found = None if left.value in right.unsure else found
        elif isinstance(right, Sequence) and right.whole and all(isinstance(x, Host) and x.known for x in right.items):
            found = any(x.value == left.value for x in right.items)  # type: ignore[attr-defined]
        if found is not None:
            return TRUE if found == positive else FALSE
    if isinstance(left, Lib) and isinstance(right, Sequence) and right.whole:
        verdicts = [dtypes.same(left, item) for item in right.items]
        if True in verdicts or None not in verdicts:
            return TRUE if (True in verdicts) == positive else FALSE
    if isinstance(left, Unknown) and isinstance(right, Host) and right.known and elements.is_constant(right.value):
        return truth.derived(run, left, ("in", right.value, positive))
    return Host("bool")
