"""Fixes that keep a computation in PyTorch which goes through NumPy."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.lost import Lost
from gradls.flow.reach import walk
from gradls.flow.values import Bound, Function, Instance
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.histories import all_between

_SAME = {
    **{name: name for name in (
        "exp", "log", "sqrt", "tanh", "sin", "cos", "tan", "abs", "square", "log1p", "expm1", "sinh", "cosh", "sum",
        "mean", "maximum", "minimum", "where", "stack", "concatenate", "dot", "matmul", "clip", "outer", "sign",
        "log2", "log10", "exp2", "quantile", "arctan", "arcsin", "arccos", "vstack", "hstack",
    )},
    "absolute": "abs", "power": "pow", "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div",
}  # fmt: skip
"""What functions of NumPy are called in PyTorch, where they take the same arguments."""
_METHODS = ("mean", "sum", "reshape", "squeeze", "flatten", "ravel", "clip", "prod", "cumsum", "dot")
_BACK = ("from_numpy", "tensor", "as_tensor", "asarray", "FloatTensor", "Tensor")
"""Functions that make a tensor of an array."""


def in_pytorch(facts: Facts, lost: Lost, call: ast.AST) -> Sequence[Fix]:
    """The tensor itself where a `call` turns it into an array, the functions of PyTorch in the place of those of NumPy,
    and nothing where the array is turned into a tensor again; if all that lies between is known."""
    if lost.backward.node is None or not isinstance(call, ast.Call) or not _is_array_of_tensor(call):
        return ()
    builders = [edits.keep_part(Place(facts.source_of(call), call), _tensor_of(call))]
    done: set[ast.AST] = set()
    ended = False
    for node in sorted(all_between(lost.backward.node, lost.cut), key=lambda one: one.fields.born):
        at = node.at.node if node.at is not None else None
        arrays = any(edge.node.op == "numpy" or edge.node.op.startswith("numpy.") for edge in node.edges)
        if at is None or at in done or at is call or _is_within(facts, at, call) or (ended and not arrays):
            continue
        done.add(at)
        if isinstance(at, ast.BinOp) and len(node.edges) == 1 and not _is_with_number(at):
            return ()  # The other operand may be an array, with which tensors that require grad cannot be combined.
        if isinstance(at, (ast.BinOp, ast.UnaryOp, ast.Subscript, ast.Compare)) or _is_alike(at):
            continue
        build = _mended(facts, at)
        if build is None:
            return ()
        builders.append(build)
        ended = ended or _name(at) in _BACK
    for at in _with_such_arrays(facts, lost.cut):
        build = _mended(facts, at) if at not in done and not _is_alike(at) else None
        if build is not None:
            builders.append(build)
        elif at not in done and not _is_alike(at) and not _takes_both(facts, at):
            return ()
    return [Fix("Compute it in PyTorch", Safety.SUGGESTED, edits.together(*builders))] if ended else ()


def _with_such_arrays(facts: Facts, cut: Node) -> Iterator[ast.Call]:
    """The calls that get an array which is computed from what is cut off: it will be a tensor."""
    for call, nodes in facts.each(_calls_with_arrays):
        if any(part is cut for node in nodes for part in walk(node)):
            yield call


def _calls_with_arrays(facts: Facts) -> Iterator[tuple[ast.Call, list[Node]]]:
    """The calls that get arrays with a history, and these histories."""
    for call, records in facts.calls.items():
        values = [value for _, given, _ in records for value in given.values]
        nodes = [value.data["node"] for value in values if isinstance(value, Instance) and "node" in value.data]
        nodes = [node for node in nodes if isinstance(node, Node)]
        if nodes:
            yield call, nodes


def _takes_both(facts: Facts, call: ast.Call) -> bool:
    """Is it a function of the program, or one that only shows what it is given?"""
    if _name(call) in ("print", "len", "append"):
        return True
    return all(
        isinstance(function, Function) or (isinstance(function, Bound) and function.function is not None)
        for function, _, _ in facts.evaluations(call)
    )


def _tensor_of(call: ast.Call) -> ast.expr:
    """What is turned into an array, without what only makes it ready for that."""
    node: ast.expr = call
    while True:
        link = node.func if isinstance(node, ast.Call) else node
        if not isinstance(link, ast.Attribute) or link.attr not in ("numpy", "cpu", "detach", "data"):
            return node
        node = link.value


def _is_within(facts: Facts, node: ast.AST, call: ast.Call) -> bool:
    """Is it part of the call, which loses all that only made a tensor ready for it?"""
    return any(outer is call for outer in facts.parents(node))


def _is_array_of_tensor(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "numpy" and not call.args


def _mended(facts: Facts, at: ast.AST) -> edits.Edits | None:
    """The edit of what is done with an array, so that it is done with a tensor."""
    if not isinstance(at, ast.Call) or any(isinstance(part, ast.Starred) for part in at.args):
        return None
    where = Place(facts.source_of(at), at)
    if _name(at) in _BACK:
        return edits.keep_part(where, at.args[0]) if len(at.args) == 1 and not at.keywords else None
    if not isinstance(at.func, ast.Attribute) or any(key.arg not in ("axis", "keepdims") for key in at.keywords):
        return None
    name = at.func.attr
    owner = at.func.value
    if _is_numpy(owner) and name in _SAME:
        new = f"{facts.torch_name}.{_SAME[name]}"
        return edits.replace_expression(Place(where.source, at.func), new)
    return None


def _is_with_number(at: ast.BinOp) -> bool:
    """Is one operand a number that is written there?"""
    operands = (part.operand if isinstance(part, ast.UnaryOp) else part for part in (at.left, at.right))
    return any(isinstance(part, ast.Constant) for part in operands)


def _is_alike(at: ast.AST) -> bool:
    """Is it a method that arrays and tensors have in common?"""
    if not isinstance(at, ast.Call) or not isinstance(at.func, ast.Attribute) or _is_numpy(at.func.value):
        return False
    return at.func.attr in _METHODS and all(key.arg in ("axis", "keepdims") for key in at.keywords)


def _is_numpy(owner: ast.expr) -> bool:
    return isinstance(owner, ast.Name) and owner.id in ("np", "numpy")


def _name(at: ast.AST) -> str:
    function = at.func if isinstance(at, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
