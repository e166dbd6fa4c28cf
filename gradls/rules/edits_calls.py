"""Edits of expressions, mostly calls. Imports LibCST, so only the builders in `edits` import this."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

import libcst as cst

from gradls.rules.edits_arguments import swapped, with_keyword, without_argument
from gradls.rules.edits_snippet import (
    Snippet,
    import_of_copy,
    import_of_torch,
    in_parentheses,
    line_starts,
    meaning,
    text_edit,
)
from gradls.rules.edits_statements import delete_statement
from gradls.rules.finding import Place, TextEdit
from gradls.rules.in_place_names import INSTEAD, ONLY_IN_PLACE

# Calls that give a host value, and what is written before them only because they need it.
_TO_HOST = {"numpy", "tolist", "item"}
_BEFORE_HOST = {"cpu", "detach", "data", "numpy"}
# What is taken off an element before it is stacked.
_CUTS = {"item", "detach", "data", "tolist", "numpy", "cpu"}
_REDUCTIONS = {"mean", "sum"}

# Where the `inplace` parameter of a function or module stands when it is given by position.
_INPLACE_POSITION = {
    **dict.fromkeys(["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid"], 0),
    **dict.fromkeys(["ELU", "CELU", "LeakyReLU"], 1),
    **dict.fromkeys(["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"], 1),
    **dict.fromkeys(["relu", "relu6", "selu", "silu", "mish", "hardswish", "hardsigmoid"], 1),
    **dict.fromkeys(["RReLU", "Threshold", "Hardtanh", "elu", "celu", "leaky_relu"], 2),
    **dict.fromkeys(["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"], 3),
    **dict.fromkeys(["threshold", "hardtanh"], 3),
    "rrelu": 4,
}


def _expression(source: str) -> cst.BaseExpression | None:
    try:
        return cst.parse_expression(source.strip())
    except (cst.ParserSyntaxError, cst.CSTValidationError, RecursionError):
        return None


def _located(place: Place) -> tuple[Snippet, cst.BaseExpression] | None:
    snippet = Snippet.holding(place.source, place.node)
    found = snippet.find(place.node) if snippet else None
    return (snippet, found) if snippet and found else None


def _located_call(place: Place) -> tuple[Snippet, cst.Call] | None:
    located = _located(place)
    return (located[0], located[1]) if located and isinstance(located[1], cst.Call) else None


def _last_name(function: cst.BaseExpression) -> str:
    """`detach` of `x.detach`, `relu` of `relu`."""
    if isinstance(function, cst.Attribute):
        return function.attr.value
    return function.value if isinstance(function, cst.Name) else ""


def _receiver(expression: cst.BaseExpression) -> tuple[str, cst.Attribute] | None:
    """The last link of `x.name` or `x.name()`."""
    link = expression.func if isinstance(expression, cst.Call) else expression
    return (link.attr.value, link) if isinstance(link, cst.Attribute) else None


def remove_call(place: Place) -> list[TextEdit]:
    located = _located(place)
    link = _receiver(located[1]) if located else None
    if not located or not link:
        return []
    snippet, whole = located
    name, attribute = link
    beneath = _receiver(attribute.value)
    while name in _TO_HOST and beneath and beneath[0] in _BEFORE_HOST:
        attribute = beneath[1]
        beneath = _receiver(attribute.value)
    kept = attribute.value
    parent = snippet.path[-2]
    if isinstance(parent, ast.Expr) and isinstance(kept, (cst.Name, cst.Attribute)):
        return delete_statement(place)
    # Cut the text from behind the value to the end of the call. A comment before the dot stays where it is.
    start, end = snippet.bounds(kept)[1], snippet.bounds(whole)[1]
    start = snippet.code.index(")", start) + 1 if kept.rpar else start
    for _ in kept.rpar[1:]:
        start = snippet.code.index(")", start) + 1
    code = snippet.code
    gap = re.match(r"(?:[ \t\f]*#[^\r\n]*|[ \t\f\\]*(?:\r\n|\r|\n))*[ \t\f]*(?=\.)", code[start:])
    if gap and "#" in gap[0]:
        dot = start + len(gap[0])
        rest = re.match(r"[ \t\f]*(?:\r\n|\r|\n)", code[end:])
        if rest:  # nothing else on that line
            return snippet.become(code[: start + len(gap[0].rstrip(" \t\f"))] + code[end + len(rest[0]) :])
        return snippet.become(code[:dot] + code[end:])
    return snippet.become(code[:start] + code[end:])


def unwrap_call(place: Place) -> list[TextEdit]:
    located = _located_call(place)
    if not located:
        return []
    snippet, call = located
    first = next((argument for argument in call.args if argument.keyword is None), None)
    first = first or next((a for a in call.args if a.keyword and a.keyword.value in ("data", "input", "obj")), None)
    if first is None or first.star:
        return []
    return snippet.put(call, first.value)


def stack(place: Place, keep: Collection[str], torch_name: str) -> list[TextEdit]:
    located = _located_call(place)
    if not located or not located[1].args:
        return []
    snippet, call = located
    if call.args[0].star or (call.args[0].keyword and call.args[0].keyword.value not in ("data", "obj", "object", "a")):
        return []
    tensors = _stackable(call.args[0].value, torch_name)
    if tensors is None:
        return []
    kept = [argument for argument in call.args[1:] if argument.keyword and argument.keyword.value in keep]
    code = snippet.module.code_for_node
    text = f"{torch_name}.stack({code(tensors)})"
    if _last_name(call.func) in _REDUCTIONS:
        text += f".{_last_name(call.func)}()"
    if kept:
        text += f".to({', '.join(f'{k.keyword.value}={code(k.value)}' for k in kept if k.keyword)})"
    new = _expression(text)
    made = snippet.put(call, new) if new else []
    return [*import_of_torch(place, torch_name), *made] if made else []


def _stackable(tensors: cst.BaseExpression, torch_name: str) -> cst.BaseExpression | None:
    """The argument for `torch.stack`, or None if it does not look like a list of tensors, or of lists of them."""
    if isinstance(tensors, (cst.GeneratorExp, cst.ListComp)):
        element = _bare(tensors.elt, torch_name)
        if element is None:
            return None
        return cst.ListComp(element, tensors.for_in)
    if isinstance(tensors, (cst.List, cst.Tuple)):
        elements = []
        for item in tensors.elements:
            bare = item.value if isinstance(item, cst.StarredElement) else _bare(item.value, torch_name)
            if bare is None:
                return None
            elements.append(item.with_changes(value=bare))
        if isinstance(tensors, cst.Tuple) and not tensors.lpar:
            return None
        return tensors.with_changes(elements=elements) if elements else None
    if isinstance(tensors, (cst.Name, cst.Attribute, cst.Subscript, cst.Call)):
        return tensors
    return None


def _bare(element: cst.BaseExpression, torch_name: str) -> cst.BaseExpression | None:
    """An element without what would cut its gradient, a row of its own stacked; None if it cannot be a tensor."""
    if isinstance(element, (cst.List, cst.Tuple)):
        row = _stackable(element, torch_name)
        stack_of = _expression(f"{torch_name}.stack")
        return cst.Call(stack_of, [cst.Arg(row)]) if row and stack_of else None
    link = _receiver(element)
    if link and link[0] in _CUTS and (isinstance(element, cst.Call) or link[0] == "data"):
        return _bare(link[1].value, torch_name)
    if isinstance(element, cst.Call) and _last_name(element.func) == "float" and len(element.args) == 1:
        return _bare(element.args[0].value, torch_name) if isinstance(element.func, cst.Name) else element
    literal = (cst.BaseNumber, cst.BaseString, cst.BaseList, cst.BaseDict, cst.BaseSet, cst.Tuple, cst.BaseComp)
    if isinstance(element, (cst.UnaryOperation, cst.BooleanOperation, cst.Comparison)):
        return None if isinstance(element, cst.BooleanOperation) or not _tensorish(element) else element
    return None if isinstance(element, literal) else element


def _tensorish(element: cst.BaseExpression) -> bool:
    return not (isinstance(element, cst.UnaryOperation) and isinstance(element.expression, cst.BaseNumber))


def swap_arguments(place: Place, first: int | str, second: int | str) -> list[TextEdit]:
    located = _located_call(place)
    new = swapped(located[1], first, second) if located else None
    return located[0].put(located[1], new) if located and new else []


def set_keyword(place: Place, name: str, value: str | None) -> list[TextEdit]:
    located = _located_call(place)
    expression = _expression(value) if value is not None else None
    if not located or (value is not None and expression is None):
        return []
    new = with_keyword(located[1], name, expression)
    return located[0].put(located[1], new) if new else []


def out_of_place(place: Place, torch_name: str) -> list[TextEdit]:
    if isinstance(place.node, ast.AugAssign):
        return _plain_assignment(place)
    located = _located_call(Place(place.source, place.node.value if isinstance(place.node, ast.Expr) else place.node))
    if not located:
        return []
    snippet, call = located
    name = _last_name(call.func)
    positions = [i for i, argument in enumerate(call.args) if argument.keyword and argument.keyword.value == "inplace"]
    position = positions[0] if positions else _INPLACE_POSITION.get(name, len(call.args))
    if position < len(call.args):
        if any(argument.star for argument in call.args):
            return []
        new = without_argument(call, position)
        # What came after it by position would be taken for it.
        after = new.args[position:]
        return snippet.put(call, new) if all(argument.keyword for argument in after) else []
    if not name.endswith("_") or name.endswith("__"):
        return []
    plain = _plain_form(place, snippet, call, name, torch_name)
    if plain is None:
        return []
    if isinstance(snippet.path[-2], ast.Expr):
        target = _receiver(call)
        first = call.args[0].value if call.args and not call.args[0].star else None
        # A function of a module (`F.relu_(x)`, `init.zeros_(w)`) writes to its first argument.
        written = first if target is None or _is_module_like(place, target[1].value) else target[1].value
        if not isinstance(written, (cst.Name, cst.Attribute)) or not _is_plain(written):
            return []
        assignment = cst.Assign([cst.AssignTarget(written.with_changes(lpar=[], rpar=[]))], plain)
        return snippet.become(snippet.replaced(_statement_of(snippet, call), assignment))
    return snippet.put(call, plain)


def _plain_form(
    place: Place, snippet: Snippet, call: cst.Call, name: str, torch_name: str
) -> cst.BaseExpression | None:
    """The expression that gives a new tensor with what an in-place call would leave behind; None if there is none."""
    if name not in ONLY_IN_PLACE:
        return call.with_changes(func=_renamed(call.func, name.removesuffix("_")))
    if name not in INSTEAD or not isinstance(call.func, cst.Attribute) or _is_module_like(place, call.func.value):
        return None
    if not _is_plain(call.func.value) or len(call.args) > 1 or any(a.star or a.keyword for a in call.args):
        return None
    code = snippet.module.code_for_node
    values = [code(argument.value) for argument in call.args]
    if len(values) != INSTEAD[name].count("{value}"):
        return None
    return _expression(INSTEAD[name].format(torch=torch_name, tensor=code(call.func.value), value="".join(values)))


def _plain_assignment(place: Place) -> list[TextEdit]:
    snippet = Snippet.holding(place.source, place.node)
    statement = next((node for node in snippet.ranges if isinstance(node, cst.AugAssign)), None) if snippet else None
    if not snippet or statement is None or not _is_plain(statement.target):
        return []
    target = snippet.module.code_for_node(statement.target)
    operator = snippet.module.code_for_node(statement.operator).strip().removesuffix("=")
    sum_of = cst.ensure_type(cst.parse_expression(f"{target} {operator} x"), cst.BinaryOperation)
    assign = cst.AssignTarget(statement.target)

    def code(right: cst.BaseExpression) -> str:
        value = sum_of.with_changes(right=right)
        return snippet.replaced(statement, cst.Assign([assign], value, semicolon=statement.semicolon))

    bare, wrapped = code(statement.value), code(in_parentheses(statement.value))
    return snippet.become(bare if meaning(bare) == meaning(wrapped) else wrapped)


def _is_plain(target: cst.BaseExpression | None) -> bool:
    """A name, or attributes of one: what can be assigned to without evaluating anything twice."""
    while isinstance(target, cst.Attribute):
        target = target.value
    return isinstance(target, cst.Name)


def _is_module_like(place: Place, receiver: cst.BaseExpression) -> bool:
    """Whether a name is bound by an import in that file."""
    while isinstance(receiver, cst.Attribute):
        receiver = receiver.value
    name = receiver.value if isinstance(receiver, cst.Name) else None
    return any(
        (alias.asname or alias.name.partition(".")[0]) == name
        for node in ast.walk(place.source.tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    )


def _statement_of(snippet: Snippet, call: cst.Call) -> cst.Expr:
    return next(node for node in snippet.ranges if isinstance(node, cst.Expr) and node.value is call)


def _renamed(function: cst.BaseExpression, new: str) -> cst.BaseExpression:
    if isinstance(function, cst.Attribute):
        return function.with_changes(attr=function.attr.with_changes(value=new))
    return function.with_changes(value=new)


def replace_expression(place: Place, new: str) -> list[TextEdit]:
    located = _located(place)
    expression = _expression(new)
    return located[0].put(located[1], expression) if located and expression else []


def rename_attribute(place: Place, new: str) -> list[TextEdit]:
    located = _located(place)
    if not located:
        return []
    snippet, found = located
    link = found.func if isinstance(found, cst.Call) else found
    if not isinstance(link, (cst.Attribute, cst.Name)):
        return []
    return snippet.become(snippet.replaced(link, _renamed(link, new)))


def add_call(place: Place, suffix: str) -> list[TextEdit]:
    located = _located(place)
    if not located or not isinstance(getattr(place.node, "ctx", None), (ast.Load, type(None))):
        return []
    snippet, found = located
    code = snippet.module.code_for_node(found)
    wrapped = _expression(f"({code}){suffix}")
    bare = _expression(code + suffix)
    if wrapped is None:
        return []
    if bare is None or meaning(code + suffix) != meaning(f"({code}){suffix}"):
        bare = wrapped
    return snippet.become(snippet.replaced(found, bare))


def copies(place: Place, entry: ast.expr | None, count: ast.expr | None) -> list[TextEdit]:
    source, first = place.source, entry if entry is not None else place.node
    text = source.segment(first)
    imported: list[TextEdit] | None = []
    if not isinstance(first, ast.Call):
        text, imported = f"copy.deepcopy({text})", import_of_copy(place)
    if imported is None:
        return []
    new = text if count is None else f"[{text} for _ in range({source.segment(count)})]"
    made = replace_expression(place, new)
    return [*imported, *made] if made else []


def keep_part(place: Place, part: ast.expr) -> list[TextEdit]:
    source, starts = place.source, line_starts(place.source)
    whole, inner = source.span(place.node), source.span(part)
    ends = [
        (starts[whole.line - 1] + whole.column - 1, starts[inner.line - 1] + inner.column - 1),
        (starts[inner.end_line - 1] + inner.end_column - 1, starts[whole.end_line - 1] + whole.end_column - 1),
    ]
    loose = not isinstance(part, (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant))
    brackets = ("(", ")") if loose else ("", "")
    if any("#" in source.text[start:end] for start, end in ends):
        return []
    return [
        text_edit(source, start, end, bracket)
        for (start, end), bracket in zip(ends, brackets, strict=True)
        if source.text[start:end] != bracket
    ]
