"""What boxes say."""

from __future__ import annotations

import ast

from gradls.flow.graph import Node
from gradls.picture.model import State, plural

MOST_LABEL = 30
MOST_TEXT = 300

CUTS = {
    "detach": "the graph ends here",
    "data": "`.data` has no graph",
    "number": "a Python number has no graph",
    "numpy": "a NumPy array has no graph",
    "copy": "a new tensor has no graph",
    "rewrap": "a new tensor has no graph",
    "no_grad": "gradients are off here",
    "integer": "integers have no gradient",
    "no_derivative": "has no derivative",
    "sample": "a sample has no gradient",
    "state_dict": "a state dict has no graph",
    "parameter": "a new parameter has no graph",
    "grad": "this gradient has no graph",
    "constant": "this gradient is a constant",
    "checkpoint": "checkpoint passes none on",
}
"""Why gradient ends at a cut, by its kind."""

OWNED: dict[State, str] = {
    "reached": "✓ {}, gradient arrives",
    "lost": "✗ {}, gradient lost",
    "elsewhere": "– {}, another backward",
    "untrained": "– {}, in no optimizer",
    "frozen": "– {}, frozen",
    "unused": "✗ {}, not in this loss",
    "unknown": "? {}, depends on the run",
}
"""What is said of parameters, by their state."""

_OPERATORS = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}


def one_line(text: str, most: int) -> str:
    """Text on one line, shortened."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def owned(state: State, count: int, or_more: bool = False, word: str = "parameter") -> str:
    """What is said of so many parameters, `or_more` if some of them stand for several."""
    return OWNED[state].format(f"{count}+ {word}s" if or_more else plural(count, word))


def operation(node: Node, owner: tuple[str, ...] = ()) -> str:
    """An operation as people write it: `relu`, `conv1 (Conv2d)`, `a * b`, `loss = x + y`. `owner` is the path of the
    layer that it is."""
    if node.op[:1].isupper():
        name = ".".join(owner) or _layer(node)
        return f"{name} ({node.op})" if name and name != node.op else node.op
    if node.at is None:
        return node.op
    if node.layer is not None:
        return called(node.layer.node) or node.op
    written = node.at.node
    if isinstance(written, ast.Call):
        return called(written) or node.op
    named = not isinstance(written, ast.AugAssign)
    name = f"{node.name} = " if named and node.name.isidentifier() and node.name.strip("_") else ""
    text = " ".join(node.at.source.segment(written).split())
    if len(text) > MOST_LABEL:
        text = _shortened(written) or one_line(text, MOST_LABEL)
    return name + text if len(name + text) <= MOST_LABEL + 6 else text


def written(node: Node) -> str:
    """The code of an operation, if it is short."""
    text = " ".join(node.at.source.segment(node.at.node).split()) if node.at is not None else ""
    return text if 0 < len(text) <= MOST_LABEL else operation(node)


def short(node: Node) -> str:
    """An operation in a list of several."""
    if node.op[:1].isupper():
        return node.op
    called_here = called(node.at.node) if node.at is not None else ""
    return called(node.layer.node) if node.layer is not None else called_here or node.op


def _layer(node: Node) -> str:
    if node.layer is None and node.at is not None and isinstance(node.at.node, ast.Call):
        return called(node.at.node)
    return node.label


def called(call: ast.AST) -> str:
    """The last name of what is called; empty if it has none."""
    if not isinstance(call, ast.Call):
        return ""
    function = call.func
    while isinstance(function, ast.Subscript):
        function = function.value
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _shortened(node: ast.AST) -> str:
    """An operator between its operands, which are shortened."""
    if isinstance(node, ast.BinOp):
        return f"{_operand(node.left)} {_OPERATORS.get(type(node.op), '?')} {_operand(node.right)}"
    if isinstance(node, ast.AugAssign):
        return f"{_operand(node.target)} {_OPERATORS.get(type(node.op), '?')}= {_operand(node.value)}"
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return f"{_operand(node.left)} {_OPERATORS.get(type(node.ops[0]), '?')} {_operand(node.comparators[0])}"
    return _operand(node)


def _operand(node: ast.AST) -> str:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return f"-{_operand(node.operand)}"
    if isinstance(node, ast.Subscript):
        return f"{_operand(node.value)}[…]"
    if isinstance(node, ast.Call):
        return f"{called(node) or '…'}(…)"
    if isinstance(node, ast.BinOp):
        return "(…)"
    text = ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute, ast.Constant)) else "…"
    return text if len(text) <= 16 else text.rpartition(".")[2] if len(text.rpartition(".")[2]) <= 16 else "…"
