"""Fixes of statements in the wrong order, and of calls that are missing between others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from gradls.flow.facts import Event, Facts
from gradls.flow.values import Value
from gradls.rules import edits
from gradls.rules.finding import Fix, Place, Safety, TextEdit
from gradls.rules.scopes import SCOPES, names_in
from gradls.rules.training_order import optimizer_in, receiver_of
from gradls.syntax.source import Source

_LOOPS = (ast.For, ast.AsyncFor, ast.While)


def block_of(source: Source, statement: ast.AST) -> list[ast.stmt]:
    """The statements among which one stands; none if it is not one of a block."""
    above = source.parent(statement)
    for _, value in ast.iter_fields(above) if above is not None else ():
        if isinstance(value, list) and any(item is statement for item in value):
            return value
    return []


def around(facts: Facts, *kinds: str) -> set[ast.AST]:
    """The statements around events of these kinds in the file, in the functions that they stand in."""
    known: set[ast.AST] | None = facts.memo.get(("around", kinds))
    if known is None:
        known = facts.memo["around", kinds] = set()
        for event in facts.of(*kinds):
            node: ast.AST | None = event.at.node
            while node is not None and node not in known and not isinstance(node, SCOPES):
                if isinstance(node, ast.stmt):
                    known.add(node)
                node = facts.source.parent(node)
    return known


def statement_in(source: Source, block: Sequence[ast.stmt], node: ast.AST) -> ast.stmt | None:
    """The statement of a block that holds a node, not in a function of its own."""
    while True:
        found = next((item for item in block if item is node), None)
        if found is not None:
            return found
        above = source.parent(node)
        if above is None or isinstance(above, SCOPES):
            return None
        node = above


def name_of(facts: Facts, value: Value | None, at: Place) -> str | None:
    """What the function around a place calls an object there: as it is written where something is done with it."""
    function = facts.function(at.node)
    for event in facts.of(*_NAMING):
        if event.value is value and event.at.source is at.source and facts.function(event.at.node) is function:
            written = optimizer_in(event) if event.kind == "step" else receiver_of(event.at.node)
            if isinstance(written, (ast.Name, ast.Attribute)):
                return at.source.segment(written)
    for event in facts.of("optimizer-made", "scheduler-made", "scaler-made"):
        name = _assigned(event)
        if event.value is value and name and event.at.source is at.source:
            where = facts.function(event.at.node)
            if where is function or (where is None and name.isidentifier() and not _binds(function, name)):
                return name
    return None


_NAMING = ("step", "zero-grad", "scheduler-step", "unknown-step", "unknown-zero-grad", "scaler-step", "scaler-update")


def _assigned(event: Event) -> str:
    """The name or attribute that the statement gives to what it makes; empty if there is none."""
    above = event.at.source.parent(event.at.node)
    targets = above.targets if isinstance(above, ast.Assign) and above.value is event.at.node else []
    plain = len(targets) == 1 and isinstance(targets[0], (ast.Name, ast.Attribute))
    return event.at.source.segment(targets[0]) if plain else ""


def is_same_there(facts: Facts, written: ast.expr, node: ast.AST) -> bool:
    """Does `written` mean the same where `node` stands: in the same function, as an attribute of `self` in another
    method of the class, or by a name of the module?"""
    one, other = facts.function(written), facts.function(node)
    root = written
    while isinstance(root, (ast.Attribute, ast.Subscript)):
        root = root.value
    if one is other or not isinstance(root, ast.Name):
        return one is other
    owners = [facts.parent(function) if function is not None else None for function in (one, other)]
    if owners[0] is owners[1] and isinstance(owners[0], ast.ClassDef):
        selves = {function.args.args[0].arg for function in (one, other) if function is not None and function.args.args}
        return selves == {root.id}
    return not _binds(one, root.id) and not _binds(other, root.id)


def _binds(function: ast.AST | None, name: str) -> bool:
    """Does a function have a variable of its own of this name?"""
    for part in ast.walk(function) if function is not None else ():
        if isinstance(part, ast.arg) and part.arg == name:
            return True
        if isinstance(part, ast.Name) and part.id == name and isinstance(part.ctx, ast.Store):
            return True
    return False


def moved(facts: Facts, event: Event, other: Event, *, behind: bool) -> list[Fix]:
    """The fix that moves the statement of an event before or behind that of another, or the one around that; none
    where something stands in between that it depends on."""
    if _statement(event) is None or event.at.source is not facts.source or other.at.source is not facts.source:
        return []
    return moved_statement(facts, event.at.node, other.at.node, behind=behind)


def moved_statement(facts: Facts, node: ast.AST, other: ast.AST, *, behind: bool, anew: str = "") -> list[Fix]:
    """The same for two nodes of the file. What is in between may give `anew` another meaning."""
    source, statement = facts.source, facts.statement(node)
    if not isinstance(statement, (ast.Expr, ast.Assign, ast.AugAssign)) or not (
        source.holds(node) and source.holds(other)
    ):
        return []
    block = block_of(source, statement)
    target = statement_in(source, block, other)
    if target is None or target is statement or not may_pass(block, statement, target, behind=behind, anew=anew):
        return []
    title = f"Move `{brief(statement)}` {'behind' if behind else 'before'} `{brief(other)}`"
    places = Place(source, statement), Place(source, target)
    return [Fix(title, Safety.SUGGESTED, edits.move_statement(*places, behind=behind))]


def may_pass(block: Sequence[ast.stmt], statement: ast.stmt, target: ast.stmt, *, behind: bool, anew: str = "") -> bool:
    """May a statement change places with those up to another one of its block: do these not change what it mentions,
    but for the name `anew`, and is it run whenever it was?"""
    one, other = (next(i for i, item in enumerate(block) if item is wanted) for wanted in (statement, target))
    passed = block[one + 1 : other + behind] if one < other else block[other + behind : one]
    if not passed:
        return False
    names = [part for part in ast.walk(statement) if isinstance(part, ast.Name)]
    read = {part.id for part in names} - {anew}
    stored = {part.id for part in names if isinstance(part.ctx, ast.Store)}
    for part in (part for item in passed for part in run_with(item)):
        if isinstance(part, ast.Name) and part.id in (stored if isinstance(part.ctx, ast.Load) else read):
            return False
    return not any(_may_leave(item) for item in passed)


def _may_leave(statement: ast.AST, *, in_loop: bool = False) -> bool:
    """May a statement end the block that it is in?"""
    if isinstance(statement, (ast.Return, ast.Raise)):
        return True
    if isinstance(statement, (ast.Break, ast.Continue)):
        return not in_loop
    inside = in_loop or isinstance(statement, _LOOPS)
    children = ast.iter_child_nodes(statement) if not isinstance(statement, SCOPES) else ()
    return any(_may_leave(child, in_loop=inside) for child in children if not isinstance(child, ast.expr))


def run_with(statement: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement, or of a module, that are run with it, not in a function of their own."""
    todo: list[ast.AST] = [statement]
    while todo:
        part = todo.pop()
        yield part
        if part is statement or not isinstance(part, SCOPES):
            todo += ast.iter_child_nodes(part)


def _statement(event: Event) -> ast.stmt | None:
    """The statement that does nothing but what happens in an event: a call, or an assignment."""
    above = event.at.source.parent(event.at.node)
    return above if isinstance(above, (ast.Expr, ast.Assign, ast.AugAssign)) else None


def put(facts: Facts, node: ast.AST, new: str, *, behind: bool, title: str = "") -> list[Fix]:
    """The fix that writes a statement before or behind the one that holds a node of the file."""
    statement = facts.statement(node)
    if statement is None or not facts.source.holds(node):
        return []
    try:
        written = brief(ast.parse(new))
    except SyntaxError:
        return []  # A name over several lines, which were in parentheses.
    at = Place(facts.source, statement)
    build = edits.insert_after(at, new) if behind else edits.insert_before(at, new)
    title = title or f"Write `{written}` {'behind' if behind else 'before'} `{brief(node)}`"
    return [Fix(title, Safety.SUGGESTED, build)]


def with_comment(facts: Facts, node: ast.AST) -> str:
    """The text of the statement that holds a node, to be written elsewhere, with the comment behind it."""
    source, statement = facts.source, facts.statement(node) or node
    span = source.span(statement)
    rest = source.lines[span.end_line - 1][span.end_column - 1 :].strip()
    return f"{source.segment(statement)}  {rest}" if rest.startswith("#") else source.segment(statement)


def brief(node: ast.AST, most: int = 50) -> str:
    """A node on one line, however it is laid out, for a title."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def deleted(facts: Facts, event: Event, *, title: str = "") -> list[Fix]:
    """The fix that takes away a statement which does nothing but make a call."""
    source, statement = event.at.source, _statement(event)
    if not isinstance(statement, ast.Expr) or source is not facts.source:
        return []
    title = title or f"Delete `{brief(event.at.node)}`"
    return [Fix(title, Safety.SUGGESTED, edits.delete_statement(Place(source, statement)))]


def all_of(title: str, *fixes: Sequence[Fix]) -> list[Fix]:
    """One fix that makes the edits of several; none if one of them is not to be had."""
    builds = [fix.build for found in fixes for fix in found[:1]]
    if len(builds) < len(fixes):
        return []

    def build() -> list[TextEdit]:
        made = [list(one()) for one in builds]
        return [edit for one in made for edit in one] if all(made) else []

    return [Fix(title, Safety.SUGGESTED, build)]


def replaced(facts: Facts, node: ast.expr, new: str, title: str) -> list[Fix]:
    """The fix that writes another expression in the place of one of the file."""
    source = facts.source
    return (
        [Fix(title, Safety.SUGGESTED, edits.replace_expression(Place(source, node), new))] if source.holds(node) else []
    )


def cleared_behind(facts: Facts, clear: Event, step: Event) -> list[Fix]:
    """The fix that clears gradients behind a step only, and not where they are cleared now."""
    statement = facts.statement(step.at.node)
    if (
        statement is None
        or clear.at.source is not facts.source
        or facts.function(clear.at.node) is not facts.function(step.at.node)
    ):
        return []
    title = f"Clear the gradients behind `{brief(step.at.node)}` only"
    block = block_of(facts.source, statement)
    later = block[[item is statement for item in block].index(True) + 1 :] if block else []
    others = [
        event for event in facts.of("zero-grad") if event.value is clear.value and event.at.node is not clear.at.node
    ]
    if any(statement_in(facts.source, later, event.at.node) for event in others):
        return all_of(title, deleted(facts, clear))
    return all_of(
        title, deleted(facts, clear), put(facts, step.at.node, with_comment(facts, clear.at.node), behind=True)
    )


def stepped_behind(facts: Facts, backward: Event, name: str) -> list[Fix]:
    """The fix that writes the step of an optimizer behind a backward, and behind what clips the gradients there."""
    source, statement = facts.source, facts.statement(backward.at.node)
    if f"{name}.step" in source.text or statement is None or backward.at.source is not source:
        return []  # It is written, and not run: something else is wrong.
    if any(True for _ in facts.of("scaler-made", "scale")):
        return []
    block = block_of(source, statement)
    at = start = next((i for i, item in enumerate(block) if item is statement), len(block))
    ends = around(facts, "backward", "zero-grad", "unknown-zero-grad")
    changes, steps = around(facts, "clip"), around(facts, "step", "unknown-step")
    for number in range(start + 1, len(block)):
        item = block[number]
        if item in ends:
            break
        if item in changes or (number == at + 1 and item in steps):
            at = number
    new = f"{name}.step()"
    title = f"Write `{new}` behind `{brief(backward.at.node)}`"
    return put(facts, block[at], new, behind=True, title=title) if block else []


def cleared_in_closure(facts: Facts, step: Event, backward: Event) -> list[Fix]:
    """The fix that clears the gradients in the closure of a step, before the backward there."""
    written, inner = receiver_of(step.at.node), facts.function(backward.at.node)
    root: ast.expr | None = written
    outer = facts.function(step.at.node)
    if not isinstance(written, (ast.Name, ast.Attribute)) or (
        outer is not None and outer not in facts.parents(inner or step.at.node)
    ):
        return []
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name) or _binds(inner, root.id):
        return []
    return put(facts, backward.at.node, f"{facts.segment(written)}.zero_grad()", behind=False)


def gradient_taken_away(facts: Facts, backward: Event, read: Event) -> list[Fix]:
    """The fix that takes away the gradient of a tensor before a backward that adds to it, or where a loop over several
    tensors has read it."""
    node, source = read.at.node, facts.source
    if not isinstance(node, ast.Attribute) or node.attr != "grad" or read.at.source is not source:
        return []
    root = node.value
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return []
    new = f"{source.segment(node.value)}.grad = None"
    loop = next((part for part in source.parents(node) if isinstance(part, (*_LOOPS, *SCOPES))), None)
    if isinstance(loop, ast.For) and any(
        isinstance(part, ast.Name) and part.id == root.id for part in ast.walk(loop.target)
    ):
        return put(facts, loop.body[-1], new, behind=True, title=f"Write `{new}` at the end of each round")
    function = facts.function(node)
    if function is not facts.function(backward.at.node) or backward.at.source is not source:
        return []
    stores = names_in(source, function or source.tree, root.id)
    first = source.span(backward.at.node)
    if any(isinstance(part.ctx, ast.Store) and source.span(part) >= first for part in stores):
        return []
    return put(facts, backward.at.node, new, behind=False)
