"""Expressions: what value each has."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from gradls.autograd.ops import find_op
from gradls.flow import attributes, calls, contexts, elements, entries, nothing, operators, repeated, subscripts, truth
from gradls.flow.graph import Edge, Node
from gradls.flow.imports import builtin, load
from gradls.flow.iterators import consume, give
from gradls.flow.join import options
from gradls.flow.models.registry import find_method
from gradls.flow.state import Fields
from gradls.flow.values import (
    FALSE,
    LONGEST,
    NONE,
    TRUE,
    Bound,
    Choice,
    Host,
    Imported,
    Instance,
    Mapping,
    Sequence,
    Tensor,
    Unknown,
    Value,
    computed,
    host,
    is_none,
)
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run


_NAME: Final = ast.Name


def eval_expr(run: Run, node: ast.expr) -> Value:
    """The value of an expression."""
    run.steps += 1
    kind = type(node)
    # A third of all expressions, and more, are names.
    value = _name(run, node) if kind is _NAME else EVAL[kind](run, node)  # type: ignore[arg-type]
    if type(value) is Unknown:
        run.observe_unknown(node, value)
    elif type(value) is Tensor:
        run.observe(node, value)
    elif type(value) is Choice:
        for option in value.options:
            if type(option) is Tensor:
                run.observe(node, option)
    return value


def as_load(target: ast.expr) -> ast.expr:
    """The target of an augmented assignment, read. Evaluation does not look at the context of a node."""
    return target


def _constant(run: Run, node: ast.Constant) -> Value:
    return host(node.value)


def _name(run: Run, node: ast.Name) -> Value:
    name = node.id
    fields = run.frame.scope.find(name)
    if fields is not None:
        value = fields[name]
        if type(value) is Choice and value.by:
            return truth.chosen(run, value)
        return load(run, value) if type(value) is Imported else value
    return builtin(run, name)


def _attribute(run: Run, node: ast.Attribute) -> Value:
    found = attributes.get_attribute(run, eval_expr(run, node.value), node.attr, node)
    if type(found) is Bound and type(found.receiver) is Tensor and not _is_method(run, found, node):
        return run.unknown("unknown", node.attr)  # whoever hung it there knows what it depends on
    return found


def _is_method(run: Run, found: Bound, node: ast.Attribute) -> bool:
    """Is this a method that tensors have, or at least called like one?"""
    if find_op(f"torch.Tensor.{found.name}") is not None or find_method(found.receiver, found.name) is not None:
        return True
    around = run.frame.file.source.parent(node)
    return type(around) is ast.Call and around.func is node


def _call(run: Run, node: ast.Call) -> Value:
    return calls.eval_call(run, node)


def _binary(run: Run, node: ast.BinOp) -> Value:
    left = eval_expr(run, node.left)
    return operators.binary(run, type(node.op), left, eval_expr(run, node.right), node)


def _unary(run: Run, node: ast.UnaryOp) -> Value:
    operand = eval_expr(run, node.operand)
    if isinstance(node.op, ast.Not):
        known = truth.asked(run, operand, node.operand)
        if known is not None:
            return FALSE if known else TRUE
        if isinstance(operand, Unknown):
            return truth.derived(run, operand, "not")
        return Host("bool")
    return operators.unary(run, type(node.op), operand, node)


def _compare(run: Run, node: ast.Compare) -> Value:
    left = eval_expr(run, node.left)
    if len(node.ops) > 1:
        # All but the last comparison are asked whether they are true.
        known: list[bool | None] = []
        for number, (kind, comparator) in enumerate(zip(node.ops, node.comparators, strict=True)):
            right = eval_expr(run, comparator)
            verdict = operators.compare(run, kind, left, right, node)
            if (isinstance(left, Tensor) or isinstance(right, Tensor)) and number < len(node.ops) - 1:
                truth.asked(run, verdict, node)
            known.append(truth.truth(run, verdict) if isinstance(verdict, Host) else None)
            left = right
        return FALSE if False in known else (TRUE if all(known) else Host("bool"))
    right = eval_expr(run, node.comparators[0])
    if run.told and node in run.told:
        return TRUE if run.told[node] else FALSE
    return operators.compare(run, node.ops[0], left, right, node)


def _bool_op(run: Run, node: ast.BoolOp) -> Value:
    wanted = isinstance(node.op, ast.Or)
    results: list[Value] = []
    known: bool | None = None
    for number, operand in enumerate(node.values):
        mark = run.state.mark()
        value = eval_expr(run, operand)
        if results:
            run.may_not_have_been(mark)
        last = number == len(node.values) - 1
        known = truth.truth(run, value) if last else truth.asked(run, value, operand)
        if known is wanted or last:
            results.append(value)
            break
        if known is None:
            results.append(value)
    if len(results) == 1:
        return results[0]
    if all((isinstance(value, Host) and value.kind == "bool") or truth.is_condition(value) for value in results):
        # Whatever the others are, one decides.
        if known is wanted:
            return host(wanted)
        return truth.combined(run, results, wanted) or Host("bool")
    joined = truth.combined(run, results, wanted) or run.join.values(results)
    if known is wanted and isinstance(joined, Unknown):
        run.state.set(run.assumed, joined, wanted)
    return joined


def _if_exp(run: Run, node: ast.IfExp) -> Value:
    test = eval_expr(run, node.test)
    known = truth.asked(run, test, node.test)
    if known is not None:
        return eval_expr(run, node.body if known else node.orelse)
    results: list[Value] = []
    run.fork(
        [
            (test, True, partial(_alternative, run, node.test, True, node.body, results)),
            (test, False, partial(_alternative, run, node.test, False, node.orelse, results)),
        ]
    )
    return run.join.on_paths(results, [(None, *next(truth.decisions(test, answer))) for answer in (True, False)])


def _alternative(run: Run, test: ast.expr, taken: bool, node: ast.expr, results: list[Value]) -> bool:
    truth.narrow(run, test, taken)
    results.append(eval_expr(run, node))
    return True


def _tuple(run: Run, node: ast.Tuple | ast.List | ast.Set) -> Value:
    kind = _KINDS[type(node)]
    items: list[Value] = []
    rest: list[Value] = []
    unsure = loose = False
    for element_node in node.elts:
        loose = loose or bool(rest)
        if isinstance(element_node, ast.Starred):
            starred = eval_expr(run, element_node.value)
            if isinstance(starred, Sequence) and starred.whole:
                items += starred.items
            elif isinstance(starred, Sequence) and not any(isinstance(item, Host) for item in starred.items):
                # They are in it, whatever else is.
                items += starred.items
                rest += [starred.rest] if starred.rest is not None else []
                unsure = unsure or elements.is_doubted(starred)
            else:
                rest += elements_of(run, starred)
        else:
            items.append(eval_expr(run, element_node))
    if kind == "set":
        return elements.distinct(run, tuple(items), run.join.values(rest) if rest else None)
    made = elements.bounded(run, kind, tuple(items), run.join.values(rest) if rest else None)
    if unsure:
        made.fields["unsure"] = True
    if loose:
        made.fields[elements.LOOSE] = True
    return made


def elements_of(run: Run, value: Value) -> list[Value]:
    """One value for each known element of a container, and one for the unknown ones."""
    if isinstance(value, Sequence):
        return list(value.elements)
    if isinstance(value, Mapping):
        return [*[host(key) for key in value.entries], *([Host("str")] if value.rest is not None else [])]
    if isinstance(value, Choice):
        return [part for option in value.options if not is_none(option) for part in elements_of(run, option)]
    return [element(run, value)]


def _dict(run: Run, node: ast.Dict) -> Value:
    gathered = entries.Gathered(run)
    for key_node, value_node in zip(node.keys, node.values, strict=True):
        value = eval_expr(run, value_node)
        if key_node is None:
            if isinstance(value, Mapping):
                gathered.put_all(value)
            else:
                gathered.put_anywhere(run.unknown("element"))
            continue
        key = eval_expr(run, key_node)
        if isinstance(key, Host) and key.known:
            gathered.put(key.value, value)
        else:
            gathered.put_anywhere(value)
    result = gathered.mapping()
    result.fields["plain"] = True
    return result


def _subscript(run: Run, node: ast.Subscript) -> Value:
    receiver = eval_expr(run, node.value)
    return subscripts.get_item(run, receiver, eval_expr(run, node.slice), node)


def _slice(run: Run, node: ast.Slice) -> Value:
    parts = [eval_expr(run, part) if part is not None else NONE for part in (node.lower, node.upper, node.step)]
    if all(isinstance(part, Host) and part.known for part in parts):
        return Host("slice", slice(*(part.value for part in parts)))  # type: ignore[attr-defined]
    read = list(
        dict.fromkeys(part.node for part in parts if isinstance(part, (Host, Tensor)) and part.node is not None)
    )
    if len(read) < 2:
        return Host("slice", node=read[0] if read else None)
    # Numbers that were computed say where the slice begins and ends.
    edges = tuple(Edge(bound, False) for bound in read)
    return Host("slice", node=Node(run.state, "slice", run.at(node), edges, path=run.path))


def _starred(run: Run, node: ast.Starred) -> Value:
    return eval_expr(run, node.value)


def _lambda(run: Run, node: ast.Lambda) -> Value:
    return calls.define_function(run, node)


def _joined_str(run: Run, node: ast.JoinedStr) -> Value:
    text = ""
    known = True
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            value = eval_expr(run, part.value)
            plain = isinstance(value, Host) and value.kind in ("int", "str") and part.format_spec is None
            if plain and value.known and part.conversion == -1 and len(text) < LONGEST:  # type: ignore[attr-defined]
                text += str(value.value)  # type: ignore[attr-defined]
            else:
                known = False
    return computed(text) if known else Host("str")


class _Elements:
    """What a comprehension gives, as far as it was run."""

    __slots__ = ("exact", "gone_through", "items", "keys", "left_out", "node", "of")

    def __init__(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.node = node
        self.items: list[Value] = []
        self.keys: list[Value] = []
        self.exact = True
        """These are all elements, and not only some."""
        self.left_out = False
        """Nobody looked at some that are other ones."""
        self.of: Sequence | None = None
        """What has an element for each of these, and others besides."""
        self.gone_through: list[Value] = []


def _comprehension(run: Run, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
    from gradls.flow.run import Scope

    frame = run.frame
    outer = frame.scope
    frame.scope = scope = Scope(Fields(run.state), outer, "comprehension")
    mark = run.state.mark()
    for generator in node.generators:
        for target in walk(generator.target):
            if isinstance(target, ast.Name):
                frame.scope.fields[target.id] = NONE
    found = _Elements(node)
    run.rough += 1
    try:
        _go_through(run, found, 0)
        for iterated in found.gone_through:
            consume(run, iterated, node)
    finally:
        frame.scope = outer
        run.rough -= 1
    if not scope.held:
        run.state.forget(mark, scope.fields)
    items = found.items
    doubtful = any(elements.is_doubted(one) for one in found.gone_through)
    if isinstance(node, ast.DictComp):
        dictionary = _dictionary(run, found.keys, items, found.exact)
        if doubtful:
            entries.may_miss(run, dictionary)
        return dictionary
    kind = _KINDS[type(node)]
    if found.exact:
        made = elements.distinct(run, tuple(items)) if kind == "set" else Sequence(run.state, kind, tuple(items))
        if doubtful:
            made.fields["unsure"] = True
        return made
    rest = run.join.values([*items, run.unknown("element")] if found.left_out or not items else items)
    return elements.like(run, kind, found.of, items, rest)


_KINDS: dict[type, str] = {
    ast.Tuple: "tuple",
    ast.List: "list",
    ast.Set: "set",
    ast.ListComp: "list",
    ast.SetComp: "set",
    ast.GeneratorExp: "iterator",
}


def _go_through(run: Run, found: _Elements, depth: int) -> None:
    """Run the `for` number `depth` of a comprehension, and those inside it."""
    from gradls.flow import loops, statements

    node = found.node
    if depth == len(node.generators):
        if isinstance(node, ast.DictComp):
            found.keys.append(eval_expr(run, node.key))
            found.items.append(eval_expr(run, node.value))
        else:
            found.items.append(eval_expr(run, node.elt))
        return
    generator = node.generators[depth]
    iterated = eval_expr(run, generator.iter)
    nothing.note_use(run, generator.iter, iterated, "it is gone through")
    values, all_of_them = loops.rounds(run, iterated, loops.MOST_ELEMENTS)
    found.gone_through.append(iterated)
    if not all_of_them:
        found.exact = False
        most = 1 if run.rough + depth >= loops.MOST_NESTED else loops.MOST_ROUNDS
        if any(value is not values[0] for value in values[most:]):
            # What would be made of the others.
            found.left_out = True
        values = values[:most]
        if depth == len(node.generators) - 1 == 0 and not generator.ifs and elements.begins(iterated, values):
            found.of = iterated if isinstance(iterated, Sequence) else None
        loops.leave_out(run, iterated, values, ())
    of_others = [repeated.NONE] * len(values) if all_of_them else repeated.shared(values)
    for value, storages in zip(values, of_others, strict=True):
        statements.assign(run, generator.target, value)
        verdicts = [truth.asked(run, eval_expr(run, test), test) for test in generator.ifs]
        if False in verdicts:
            continue
        if None in verdicts:
            found.exact = False
        mark = run.state.mark()
        for test in generator.ifs:
            truth.narrow(run, test, True)
        with repeated.as_another(run, storages):
            _go_through(run, found, depth + 1)
        if None in verdicts:
            run.may_not_have_been(mark)


def _dictionary(run: Run, keys: list[Value], items: list[Value], exact: bool) -> Mapping:
    known = {}
    rest = []
    for key, value in zip(keys, items, strict=True):
        if exact and isinstance(key, Host) and key.known:
            known[key.value] = value
        else:
            rest.append(value)
    if not exact and not rest:
        rest.append(run.unknown("element"))
    return Mapping(run.state, known, run.join.values(rest) if rest else None)


def _named(run: Run, node: ast.NamedExpr) -> Value:
    from gradls.flow import statements

    value = eval_expr(run, node.value)
    statements.assign(run, node.target, value)
    return value


def _yield(run: Run, node: ast.Yield) -> Value:
    value = eval_expr(run, node.value) if node.value is not None else NONE
    give(run, node, value)
    return run.unknown("sent")


def _yield_from(run: Run, node: ast.YieldFrom) -> Value:
    run.frame.yields += elements_of(run, eval_expr(run, node.value))
    run.frame.left.append(contexts.left_open(run, node))
    return run.unknown("sent")


def _await(run: Run, node: ast.Await) -> Value:
    return eval_expr(run, node.value)


def element(run: Run, value: Value) -> Value:
    """An element of something that is iterated over."""
    if isinstance(value, Sequence):
        parts = value.elements
        return run.join.values(parts) if parts else run.unknown("element")
    if isinstance(value, Mapping):
        return Host("str")
    if isinstance(value, Tensor):
        return subscripts.row(run, value)
    if isinstance(value, Choice):
        return run.join.values([element(run, option) for option in options(value) if not is_none(option)])
    if isinstance(value, Instance):
        return calls.iterate(run, value)
    found = run.unknown("data", getattr(value, "name", ""))
    found.plain = isinstance(value, Unknown) and value.plain
    found.fields["iterated"] = value
    return found


def unpack(run: Run, value: Value, targets: list[ast.expr]) -> list[Value]:
    """The values of the targets of an unpacking assignment."""
    from gradls.flow import loops

    count = len(targets)
    starred = next((index for index, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
    if isinstance(value, Choice):
        sequences = [option for option in value.options if isinstance(option, Sequence)]
        if sequences:
            value = run.join.values(sequences)
    held = loops.container_elements(run, value)
    if isinstance(held, Sequence):
        value = held
    if isinstance(value, Sequence):
        items = list(value.items)
        if starred is not None:
            after = count - starred - 1
            if value.rest is None and len(items) >= count - 1:
                middle = Sequence(run.state, "list", tuple(items[starred : len(items) - after]))
                return [*items[:starred], middle, *(items[len(items) - after :] if after else [])]
            rest = element(run, value)
            return [Sequence(run.state, "list", (), rest) if index == starred else rest for index in range(count)]
        if value.rest is not None:
            items += [value.rest] * (count - len(items))
        if len(items) >= count:
            return items[:count]
    if isinstance(value, Tensor) and starred is None:
        return [subscripts.row(run, value) for _ in targets]
    if isinstance(value, Unknown):
        return [truth.derived(run, value, index) for index in range(count)]
    return [element(run, value) for _ in targets]


EVAL: dict[type, Callable[..., Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.Compare: _compare,
    ast.BoolOp: _bool_op,
    ast.IfExp: _if_exp,
    ast.Tuple: _tuple,
    ast.List: _tuple,
    ast.Set: _tuple,
    ast.Dict: _dict,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Starred: _starred,
    ast.Lambda: _lambda,
    ast.JoinedStr: _joined_str,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _comprehension,
    ast.NamedExpr: _named,
    ast.Yield: _yield,
    ast.YieldFrom: _yield_from,
    ast.Await: _await,
}
if hasattr(ast, "TemplateStr"):
    EVAL[ast.TemplateStr] = _joined_str
