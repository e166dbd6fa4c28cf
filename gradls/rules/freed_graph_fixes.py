"""How a graph that backward has freed is kept out of the next round: computed anew in each, or cut off."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.graph import Node
from gradls.flow.reach import leaves, walk
from gradls.flow.values import Tensor
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety
from gradls.rules.histories import comes_from_holder, holder_in
from gradls.rules.registration import optimized
from gradls.rules.scopes import mentions
from gradls.rules.statement_fixes import is_same_there, put
from gradls.syntax.walk import walk as walk_tree

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def computed_before(facts: Facts, event: Event, node: Node, closure: ast.AST | None) -> Sequence[Fix]:
    """The fixes for a value that was computed once, before the loop, or outside of the `closure`, in which backward
    goes through it again and again. What also gets its gradient in another way is only to be cut off."""
    statement = binding(facts, node)
    if statement is None or not isinstance(event.value, Tensor):
        return ()
    where = Place(facts.source_of(statement), statement)
    if any(leaf.node.at is not None and leaf.node.at.node in walk_tree(statement) for leaf in leaves(node)):
        return ()  # what is trained would be made anew, too
    target, method = statement.targets[0], facts.function(statement)
    if isinstance(target, ast.Attribute) and method is not None and _is_of_self(method, statement):
        title = f"Compute `{facts.segment(target)}` anew each time, in a property"
        return [Fix(title, Safety.SUGGESTED, edits.make_property(where))]
    if not _is_trained_only_there(facts, event.value.node, node):
        build = edits.add_call(Place(where.source, statement.value), ".detach()")
        return [Fix(f"Detach `{facts.segment(statement.targets[0])}`", Safety.SUGGESTED, build)]
    inside = closure or _loop_around(facts, event, statement)
    if inside is None or not isinstance(target, ast.Name):
        return ()
    place = "closure" if inside is closure else "loop"
    first = _first_of_graph(facts, node, statement)
    build = edits.move_into(Place(where.source, first), Place(where.source, inside))
    return [Fix(f"Compute `{target.id}` in the {place}", Safety.SUGGESTED, build)]


def carried_over(facts: Facts, event: Event, node: Node) -> Sequence[Fix]:
    """The fixes for a value that is carried from one round to the next with its graph."""
    if _is_rebound_leaf(facts, node):
        statement = facts.statement(node.at.node) if node.at is not None else None
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return ()
        build = edits.write_in_place(Place(facts.source_of(statement), statement), facts.torch_name)
        return [Fix(f"Write into `{facts.segment(statement.targets[0])}`", Safety.SUGGESTED, build)]
    for stored in facts.of("append", "attribute-set"):
        found = _stored(facts, stored, node)
        if found is not None:
            return [found]
    for at in (event.at, *(at for at, _ in event.callers())):
        fix = _of_name(facts, at.node, node)
        if fix is not None:
            return [fix]
    return ()


def differentiated_sum(facts: Facts, event: Event) -> Sequence[Fix]:
    """The fix for `total += loss; total.backward()`: `total += loss.detach(); loss.backward()`."""
    call = event.at.node
    root = call.func.value if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else None
    statement = facts.statement(call)
    if not isinstance(root, ast.Name) or statement is None or not isinstance(facts.parent(call), ast.Expr):
        return ()
    added = sum_before(facts, statement, root.id)
    if added is None:
        return ()
    source = facts.source_of(call)
    term = facts.segment(added.value)
    build = edits.together(
        edits.add_call(Place(source, added.value), ".detach()"),
        edits.replace_expression(Place(source, root), term),
    )
    return [Fix(f"Differentiate `{term}` alone", Safety.SUGGESTED, build)]


def sum_before(facts: Facts, statement: ast.stmt, name: str) -> ast.AugAssign | None:
    """`name += term` with a simple term, that stands before a statement in the same block, with nothing between them
    that binds either."""
    block = block_of(facts, statement)
    for other in reversed(block[: block.index(statement)] if statement in block else []):
        if (
            isinstance(other, ast.AugAssign)
            and isinstance(other.op, ast.Add)
            and isinstance(other.target, ast.Name)
            and other.target.id == name
        ):
            return other if isinstance(other.value, ast.Name) else None
        if any(isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load) for part in walk_tree(other)):
            return None
    return None


def block_of(facts: Facts, statement: ast.stmt) -> list[ast.stmt]:
    """The statements among which a statement stands."""
    outer = facts.parent(statement)
    for field in ("body", "orelse", "finalbody"):
        block = getattr(outer, field, None)
        if isinstance(block, list) and any(item is statement for item in block):
            return block
    return [statement]


def binding(facts: Facts, node: Node) -> ast.Assign | None:
    """The statement that gives the tensor of a node its name or makes it an attribute, and does nothing else."""
    for event in facts.of("attribute-set"):
        statement = facts.statement(event.at.node)
        if (
            isinstance(event.info.get("assigned"), Tensor)
            and event.assigned.node is node
            and isinstance(statement, ast.Assign)
            and statement.targets == [event.at.node]
        ):
            return statement
    statement = facts.statement(node.at.node) if node.at is not None else None
    if isinstance(statement, ast.Assign) and node.at is not None and statement.value is node.at.node:
        return statement if len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name) else None
    for call, records in facts.calls.items():
        above = facts.parent(call) if any(getattr(result, "node", None) is node for _, _, result in records) else None
        if isinstance(above, ast.Assign) and len(above.targets) == 1 and isinstance(above.targets[0], ast.Name):
            return above
    return None


def _is_trained_only_there(facts: Facts, root: Node, node: Node) -> bool:
    """Is there anything that an optimizer has, that gets its gradient from this root through this node only?"""
    given = optimized(facts)
    behind = {leaf for leaf in leaves(node) if leaf.requires_grad and (not given or leaf in given)}
    if root is node:
        return True
    seen, todo = {root, node}, [root]
    while todo and behind:
        for edge in todo.pop().edges:
            if edge.flows is not False and edge.node not in seen:
                seen.add(edge.node)
                todo.append(edge.node)
                if edge.node.leaf is not None:
                    behind.discard(edge.node.leaf)
    return bool(behind)


def _first_of_graph(facts: Facts, node: Node, statement: ast.stmt) -> ast.stmt:
    """The first statement of the same block that computes something of the graph behind a node, which it binds."""
    block = block_of(facts, statement)
    found = [statement]
    for part in walk(node, follow="flow"):
        other = binding(facts, part) if part.leaf is None else None
        if other is not None and any(item is other for item in block):
            found.append(other)
    return min(found, key=lambda item: next(n for n, one in enumerate(block) if one is item))


def _is_of_self(method: ast.FunctionDef | ast.AsyncFunctionDef, statement: ast.Assign) -> bool:
    """Is the value computed from attributes of the object and names of the module only?"""
    names = {argument.arg for argument in (*method.args.args, *method.args.kwonlyargs)}
    if method.args.vararg or method.args.kwarg or method.name != "__init__":
        return False
    for part in walk_tree(method):
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            names.add(part.id)
    own = method.args.args[0].arg if method.args.args else ""
    read = {part.id for part in walk_tree(statement.value) if isinstance(part, ast.Name)}
    return own in read and not (read & (names - {own}))


def _loop_around(facts: Facts, event: Event, statement: ast.stmt) -> ast.AST | None:
    """The innermost loop in which the backward is called, of the function of a statement that stands before it."""
    function = facts.function(statement)
    for at in (event.at, *(at for at, _ in event.callers())):
        if facts.function(at.node) is function:
            around = set(facts.loops(statement))
            return next((loop for loop in facts.loops(at.node) if loop not in around), None)
    return None


def _is_rebound_leaf(facts: Facts, node: Node) -> bool:
    """Does it take the name of something that an optimizer has, which is to be updated in place?"""
    statement = facts.statement(node.at.node) if node.at is not None else None
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    names = {facts.segment(target) for target in targets}
    return any(tensor.name in names for tensor in optimized(facts) if tensor.name)


def kept_for_all_rounds(facts: Facts, event: Event, node: Node) -> ast.Call | None:
    """Where what is carried over is appended to a list from which the backwards of all rounds get it: that is to be
    emptied, for what is detached in it has no gradient."""
    for stored in facts.of("append"):
        call, value = stored.at.node, stored.appended
        if not isinstance(call, ast.Call) or not isinstance(value, Tensor) or value.node is not node:
            continue
        roots = (one.node for one in facts.of("backward") if one.at == event.by.at and one.node is not None)
        if any(comes_from_holder(root, {node}, call) for root in roots):
            return call
    return None


def emptied(facts: Facts, event: Event, call: ast.Call) -> Sequence[Fix]:
    """The fix that empties the list behind the backward."""
    holder = holder_in(call)
    if holder is None or not is_same_there(facts, holder, event.at.node) or _is_read_besides(facts, holder, event):
        return ()
    return put(facts, event.at.node, f"{facts.segment(holder)}.clear()", behind=True)


def _is_read_besides(facts: Facts, holder: ast.expr, event: Event) -> bool:
    """Does anything read a list but what comes before a backward in its function, and what appends to it?"""
    written, around, source = ast.dump(holder), facts.function(event.at.node), facts.source
    inner, depth = holder, 0
    while isinstance(inner, ast.Subscript):
        inner, depth = inner.value, depth + 1
    if not isinstance(inner, (ast.Name, ast.Attribute)):
        return True
    for mention in mentions(source, inner.id if isinstance(inner, ast.Name) else inner.attr):
        part: ast.AST | None = mention
        for _ in range(depth):
            part = source.parent(part) if part is not None else None
        if isinstance(part, type(holder)) and ast.dump(part) == written:
            above = source.parent(part)
            adds = isinstance(above, ast.Attribute) and above.attr in ("append", "clear")
            before = facts.function(part) is around and source.span(part) < source.span(event.at.node)
            if not adds and not before:
                return True
    return False


def _stored(facts: Facts, event: Event, node: Node) -> Fix | None:
    """The fix for the statement that puts the tensor of a node into a list or an attribute for later rounds."""
    value = event.info.get("appended" if event.kind == "append" else "assigned")
    at = event.at
    if event.kind == "append":
        if not isinstance(value, Tensor) or value.node is not node:
            return None
        given = at.node.args[0] if isinstance(at.node, ast.Call) and at.node.args else None
        return _detached(facts, given) if given is not None else None
    statement = facts.statement(at.node)
    if (
        not isinstance(statement, ast.Assign)
        or statement.targets != [at.node]
        or not isinstance(at.node, ast.Attribute)
    ):
        return _behind(facts, event, statement, node)
    if not isinstance(value, Tensor) or value.node is not node:
        return None
    own = facts.segment(at.node)
    reads = [part for part in walk_tree(statement.value) if isinstance(part, ast.Attribute)]
    of_itself = [read for read in reads if facts.segment(read) == own]
    others = [read for read in facts.reads(at.node.attr) if read not in reads]
    if of_itself and (not others or _is_read_later(facts, statement, own)):
        source = facts.source_of(statement)
        build = edits.together(*(edits.add_call(Place(source, read), ".detach()") for read in of_itself))
        return Fix(f"Detach `{own}`", Safety.SUGGESTED, build)
    return None if _is_read_later(facts, statement, own) else _detached(facts, statement.value)


def _behind(facts: Facts, event: Event, statement: ast.stmt | None, node: Node) -> Fix | None:
    """`out, self.hidden = lstm(x, self.hidden)`: detach the attribute in a statement of its own."""
    if not isinstance(statement, ast.Assign) or not isinstance(event.at.node, ast.Attribute):
        return None
    value, name = event.info.get("assigned"), facts.segment(event.at.node)
    new = _detaching(value, name, node)
    if not new or _is_read_later(facts, statement, name):
        return None
    build = edits.insert_after(Place(facts.source_of(statement), statement), f"{name} = {new}")
    return Fix(f"Detach `{name}`", Safety.SUGGESTED, build)


def _detaching(value: object, name: str, node: Node) -> str:
    """The source that detaches what a name stands for, if the tensor of `node` is it or is in it."""
    if isinstance(value, Tensor):
        return f"{name}.detach()" if value.node is node else ""
    items = getattr(value, "items", None)
    if isinstance(items, (list, tuple)) and items and all(isinstance(item, Tensor) for item in items):
        kept = "tuple({})" if getattr(value, "kind", "tuple") == "tuple" else "[{}]"
        each = f"part.detach() for part in {name}"
        return kept.format(each) if any(item.node is node for item in items) else ""
    return ""


def _of_name(facts: Facts, at: ast.AST, node: Node) -> Fix | None:
    """A name that a loop binds, and reads in the next round: detach it at the end of the round."""
    loop = next((outer for outer in facts.parents(at) if isinstance(outer, _LOOPS)), None)
    if loop is None:
        return None
    bound = {part.id for part in walk_tree(loop) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    for call in (part for part in walk_tree(loop) if isinstance(part, ast.Call)):
        for _, given, _ in facts.evaluations(call):
            for argument, value in zip(call.args, given.args, strict=False):
                if not isinstance(argument, ast.Name) or argument.id not in bound:
                    continue
                name, last = facts.segment(argument), loop.body[-1]
                new = _detaching(value, name, node)
                if new and not isinstance(last, (ast.Return, ast.Break, ast.Continue, ast.Raise)):
                    where = Place(facts.source_of(loop), last)
                    build = edits.insert_after(where, f"{name} = {new}")
                    return Fix(f"Detach `{name}` at the end of the round", Safety.SUGGESTED, build)
    return None


def _detached(facts: Facts, node: ast.expr) -> Fix:
    build = edits.add_call(Place(facts.source_of(node), node), ".detach()")
    text = " ".join(facts.segment(node).split())
    return Fix(f"Detach `{text if len(text) <= 30 else text[:29] + '…'}`", Safety.SUGGESTED, build)


def _is_read_later(facts: Facts, statement: ast.stmt, name: str) -> bool:
    """Is an attribute read behind the statement that sets it, in the same function?"""
    function = facts.function(statement)
    line = facts.source_of(statement).span(statement).end_line
    return function is not None and any(
        isinstance(part, ast.Attribute)
        and isinstance(part.ctx, ast.Load)
        and facts.source_of(part).span(part).line > line
        and facts.segment(part) == name
        for part in walk_tree(function)
    )
