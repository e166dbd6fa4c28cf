"""Loops: element by element where the elements are known, otherwise a first and a later round."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from gradls.flow import classes, contexts, doubts, first_rounds, nothing, repeated, truth
from gradls.flow.class_text import FILLING
from gradls.flow.elements import is_doubted
from gradls.flow.iterators import consume, exhausted, shown
from gradls.flow.loop import Loop
from gradls.flow.paths import Round
from gradls.flow.state import MISSING, Changes
from gradls.flow.values import ITEMS, Choice, Class, Host, Instance, Mapping, Sequence, Tensor, Value, host
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run

MOST_ROUNDS = 24
"""Loops over at most so many known elements are unrolled."""
MOST_OBJECTS = 100
"""The same for modules and parameters, where a round does little: `for m in self.modules(): nn.init.zeros_(m.bias)`."""
SMALL = 40
"""Parts of a body that does little."""
MOST_PARTS = 1000
"""Over more objects than those a loop is unrolled where its rounds have no more parts than that together, as where each
parameter of a large model is frozen."""
MOST_ELEMENTS = 200
"""The same for comprehensions."""
MOST_NUMBERS = 4
"""The same for ranges."""
MOST_UNROLLED = 48
"""Nested loops over constants run what is in all of them so many times: a search over settings tries more of them."""
MOST_NESTED = 4
"""Loops nested deeper run one round only."""


def rounds(
    run: Run, value: Value, most_rounds: int = MOST_ROUNDS, most_objects: int = 0, most_numbers: int = MOST_NUMBERS
) -> tuple[list[Value], bool]:
    """The elements that a loop over `value` goes through, and whether these are really all. It may be more rounds for
    modules and parameters: `most_objects`."""
    value = shown(value)
    if isinstance(value, Choice):
        return _rounds_of_any(run, [option for option in value.options if isinstance(option, (Sequence, Mapping))])
    held = container_elements(run, value)
    if held is not None:
        value = held
    if isinstance(value, Mapping):
        keys: list[Value] = [host(key) for key in value.entries]
        if value.rest is None:
            if len(keys) > most_rounds:
                return [*keys[: most_rounds - 1], run.unknown("key")], False
            return keys, True
        return keys[:most_rounds] or [run.unknown("key")], False
    if exhausted(value) is not None or (isinstance(value, Tensor) and value.shape and value.shape[0] == 0):
        return [], True
    if isinstance(value, Sequence):
        items = list(value.items)
        most = most_numbers if value.kind == "range" else most_rounds
        if most < len(items) <= most_objects and value.rest is None and all(_is_of_model(item) for item in items):
            return items, True
        if value.rest is None and len(items) <= most:
            return items, True
        if value.kind == "range":
            return [Host("int"), Host("int")], False
        if len(items) >= 2 and all(isinstance(item, Host) for item in value.elements):
            return [run.join.values(value.elements)] * 2, False
        if len(items) >= 2:
            if len(items) > most_rounds and not all(_is_of_model(item) for item in items):
                # The second stands for all others: what is done with one of them need not be done with the next.
                return [items[0], run.join.values(items[1:])], False
            return items if len(items) <= most and _are_objects(items) else items[:2], False
        return [*items, *([value.rest] * 2 if value.rest is not None else [])][:2], False
    return [expressions.element(run, value), expressions.element(run, value)], False


def _is_of_indices(iterated: ast.expr) -> bool:
    """Is it `range(len(layers))`? Then it is gone through as `layers` themselves would be."""
    calls = [iterated, iterated.args[0] if isinstance(iterated, ast.Call) and len(iterated.args) == 1 else iterated]
    return [getattr(getattr(call, "func", None), "id", "") for call in calls] == ["range", "len"]


def _most_objects(loop: ast.For | ast.AsyncFor) -> int:
    """Over how many modules or parameters a loop is unrolled, for what a round of it does."""
    parts = [part for statement in loop.body for part in walk(statement)]
    size = sum(isinstance(part, (ast.stmt, ast.Call)) for part in parts)
    if size > SMALL or any(isinstance(part, (ast.For, ast.AsyncFor, ast.While)) for part in parts):
        return 0
    return max(MOST_OBJECTS, MOST_PARTS // size)


def _rounds_of_any(run: Run, options: list[Sequence | Mapping]) -> tuple[list[Value], bool]:
    """The same for something that is one of these, or unknown if there is none: the longest stands for all."""
    found = [rounds(run, option) for option in options]
    if not found:
        return rounds(run, run.unknown("element"))
    elements, exact = max(found, key=lambda one: len(one[0]))
    return elements, exact and all(len(others) == len(elements) for others, _ in found)


def _is_of_model(value: Value) -> bool:
    """Is it a module or a parameter, or a tuple with one, such as `named_parameters()` gives?"""
    if isinstance(value, Sequence):
        return any(_is_of_model(item) for item in value.items)
    return isinstance(value, Instance) or (isinstance(value, Tensor) and value.is_parameter)


def _are_objects(items: list[Value]) -> bool:
    """Are these modules, tensors, dictionaries, or tuples with one, such as `named_parameters()` gives? What is done to
    one of them is not done to the next."""
    return all(
        isinstance(item, (Instance, Tensor, Mapping))
        or (isinstance(item, Sequence) and any(isinstance(part, (Instance, Tensor, Mapping)) for part in item.items))
        for item in items
    )


def container_elements(run: Run, value: Value) -> Value | None:
    """What a container module holds, as a list; None if `value` is none."""
    from gradls.flow.models.modules import has_keys

    held = value.fields.get(ITEMS) if isinstance(value, Instance) else None
    if isinstance(held, Mapping) and not has_keys(value):
        return Sequence(run.state, "list", tuple(held.entries.values()), held.rest)
    return held


def exec_for(run: Run, statement: ast.For | ast.AsyncFor) -> bool:
    """`for`: whether it comes to its end."""
    from gradls.flow.statements import exec_block

    iterated = classes.iterator(run, expressions.eval_expr(run, statement.iter), statement.iter)
    run.event("loop", statement, iterated, exhausted=exhausted(iterated))
    nothing.note_use(run, statement.iter, iterated, "it is gone through")
    numbers = MOST_ROUNDS if _is_of_indices(statement.iter) else MOST_NUMBERS
    most = run.frame.file.source.once(_most_objects, statement)
    elements, exact = rounds(run, iterated, most_objects=most, most_numbers=numbers)
    tries = len(elements) if exact and all(isinstance(element, Host) for element in elements) else 1
    if tries > 1 and run.unrolled * tries > MOST_UNROLLED:
        elements, exact, tries = [run.join.values(elements)], False, 1
    if not exact:
        leave_out(run, iterated, elements, run.frame.file.source.once(_set_on_elements, statement))
    if not elements:
        return exec_block(run, statement.orelse)
    if not exact:
        elements = [_of_its_own(run, value) for value in elements]
        if run.later and not _has_known_elements(run, iterated):
            # The rounds of an earlier round have shown what one does to the next.
            elements = elements[:1]
    bodies = _bodies(run, statement, iterated, elements, exact)
    leave = contexts.take_over(run, iterated)
    unrolled, run.unrolled = run.unrolled, run.unrolled * max(tries, 1)
    try:
        counted = statement, _count(run, iterated, statement)
        held = container_elements(run, iterated) or iterated
        may_be_none = is_doubted(held) or not (exact or truth.truth(run, held) is True)
        completes = _loop(run, bodies, exact, statement.orelse, counted=counted, may_be_none=may_be_none)
    finally:
        run.unrolled = unrolled
        if leave is not None:
            leave()
            leak = iterated.fields["left"]  # type: ignore[attr-defined]
            run.event("generator-leak", statement.iter, iterated, leak=leak)
    if not exact:
        _open_containers(run, statement, _sampled(iterated, elements))
    if not run.frame.file.source.once(_may_break, statement):
        consume(run, iterated, statement.iter)
    return completes


def _bodies(
    run: Run, statement: ast.For | ast.AsyncFor, iterated: Value, elements: list[Value], exact: bool
) -> list[Callable[[], bool]]:
    """The rounds of a loop. Where tests tell the first from the others, it needs one more to show what one of these
    does to the next."""
    tests = run.frame.file.source.once(first_rounds.of_loop, statement)
    if exact or not tests or not first_rounds.is_counted(iterated, elements[0]):
        of_others = [repeated.NONE] * len(elements) if exact else repeated.shared(elements)
        return [partial(_with_element, run, statement, *one) for one in zip(elements, of_others, strict=True)]
    later = [*elements[1:], elements[-1]]
    bodies: list[Callable[[], bool]] = [partial(_told_round, run, statement, elements[0], tests, True)]
    return bodies + [partial(_told_round, run, statement, value, tests, False) for value in later]


def _told_round(
    run: Run, statement: ast.For | ast.AsyncFor, value: Value, tests: tuple[tuple[ast.expr, bool], ...], first: bool
) -> bool:
    before = run.told
    run.told = before | {test: known is first for test, known in tests}
    try:
        return _with_element(run, statement, value)
    finally:
        run.told = before


def _has_known_elements(run: Run, iterated: Value) -> bool:
    """Is one element perhaps not like the next?"""
    if isinstance(iterated, Choice):
        return any(_has_known_elements(run, option) for option in iterated.options)
    held = container_elements(run, iterated) or iterated
    if isinstance(held, Sequence):
        return held.kind != "range" and bool(held.items)
    return isinstance(held, Mapping) and bool(held.entries)


def _with_element(
    run: Run, statement: ast.For | ast.AsyncFor, value: Value, of_others: repeated.Storages = repeated.NONE
) -> bool:
    from gradls.flow.statements import assign, exec_block

    assign(run, statement.target, value)
    with repeated.as_another(run, of_others):
        return exec_block(run, statement.body)


def _count(run: Run, iterated: Value, statement: ast.For | ast.AsyncFor) -> int | None:
    """How many rounds a loop has, if nothing in it leaves it early."""
    if not isinstance(iterated, Sequence) or run.frame.file.source.once(_may_be_left, statement):
        return None
    known = iterated.fields.get("count")
    return len(iterated.items) if known is None and iterated.rest is None else known


MOST_CERTAIN_ROUNDS = 3
"""Of a `while` of which the test stays true for certain, besides the two of any loop."""


def exec_while(run: Run, statement: ast.While) -> bool:
    """`while`: whether it comes to its end."""
    from gradls.flow.statements import exec_block

    known = truth.asked(run, expressions.eval_expr(run, statement.test), statement.test)
    run.event("loop", statement)
    if known is False:
        return exec_block(run, statement.orelse)
    endless = isinstance(statement.test, ast.Constant) and bool(statement.test.value)
    asked: list[bool | None] = [known]
    rounds_of_any = 1 if run.later else 2
    bodies: list[Callable[[], bool]] = [partial(_while_round, run, statement, asked, False)] * rounds_of_any
    if isinstance(statement.test, ast.Compare):
        bodies += [partial(_while_round, run, statement, asked, True)] * MOST_CERTAIN_ROUNDS
    completes = _loop(run, bodies, False, statement.orelse, endless, may_be_none=known is None)
    _open_containers(run, statement)
    return completes


def _while_round(run: Run, statement: ast.While, asked: list[bool | None], more: bool) -> bool:
    """A round, unless the test is false by now. One `more` than two is for those of which it is certain that they are
    run: `while x.dim() < 4: x = x.unsqueeze(0)`. `asked` is what the test gave until now."""
    from gradls.flow.statements import exec_block

    if asked[-1] is False or (more and asked[-1] is None):
        return True
    asked.append(truth.truth(run, expressions.eval_expr(run, statement.test)))
    if asked[-1] is False or (more and asked[-1] is None):
        return True
    return exec_block(run, statement.body)


def _may_break(loop: ast.stmt) -> bool:
    return any(isinstance(part, ast.Break) for part in walk(loop))


def _may_be_left(loop: ast.stmt) -> bool:
    return any(isinstance(part, (ast.Break, ast.Return, ast.Raise)) for part in walk(loop))


def _filled_in(loop: ast.stmt) -> tuple[ast.expr, ...]:
    """The expressions that the body of a loop fills: `x` of `x.append(...)` and `x[...] = ...`."""
    found: list[ast.expr] = []
    for node in walk(loop):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FILLING:
            found.append(node.func.value)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            found.append(node.value)
    return tuple(node for node in found if isinstance(node, (ast.Name, ast.Attribute)))


def _of_its_own(run: Run, value: Value) -> Value:
    """An element that stands for several, for one round: an iterator in it is another one in each round."""
    if not isinstance(value, Sequence) or value.kind not in ("iterator", "tuple"):
        return value
    if value.kind == "iterator":
        return Sequence(run.state, "iterator", value.items, value.rest)
    items = tuple([_of_its_own(run, item) for item in value.items])
    if all(new is old for new, old in zip(items, value.items, strict=True)):
        return value
    return Sequence(run.state, "tuple", items, value.rest, value.names)


def leave_out(run: Run, iterated: Value, elements: list[Value], names: tuple[str, ...]) -> None:
    """The modules and parameters for which no round is run: what those do with them is not known, and what attributes
    with these names are."""
    from gradls.flow.escapes import forget
    from gradls.flow.models.attributes import change_flag
    from gradls.flow.models.modules import modules_of, parameters_of

    items = container_elements(run, iterated) if isinstance(iterated, Instance) else iterated
    held = items.items if isinstance(items, Sequence) else ()
    ran = {id(part) for part in _parts(elements)}
    for part in _parts(held) if names else ():
        if isinstance(part, Instance) and id(part) not in ran:
            for name in names:
                run.state.set(part.fields, name, run.unknown("attribute", name))
    for item in _parts(held):
        if isinstance(item, Tensor) and item.leaf is True and "requires_grad" in names and id(item) not in ran:
            change_flag(run, item, None)
        if isinstance(item, Instance) and id(item) not in ran:
            for module in modules_of(item)[0]:
                run.state.set(module.fields, "*escaped", True)
                if isinstance(module.cls, Class):
                    forget(run, module, module.cls)
            for _, parameter in parameters_of(item)[0]:
                run.state.set(parameter.fields, "*escaped", True)


def _parts(values: Iterable[Value]) -> list[Value]:
    """These, and what is in the tuples among them, such as `named_modules()` gives."""
    found = list(values)
    return [*found, *(part for value in found if isinstance(value, Sequence) for part in value.items)]


def _set_on_elements(loop: ast.For | ast.AsyncFor) -> tuple[str, ...]:
    """The attributes that the body of a loop sets on what it goes through."""
    targets = {node.id for node in walk(loop.target) if isinstance(node, ast.Name)}
    found = {
        node.attr.removesuffix("_"): None
        for node in walk(loop)
        if isinstance(node, ast.Attribute)
        and (isinstance(node.ctx, ast.Store) or node.attr == "requires_grad_")
        and isinstance(node.value, ast.Name)
        and node.value.id in targets
    }
    return tuple(found)


def _sampled(iterated: Value, elements: list[Value]) -> list[Value]:
    """The known elements with which a loop was run, if others, with which it was not, are known to be there."""
    if not isinstance(iterated, Sequence) or len(iterated.items) <= len(elements):
        return []
    return [part for value in elements for part in (value.items if isinstance(value, Sequence) else (value,))]


def _open_containers(run: Run, loop: ast.stmt, sampled: Iterable[Value] = ()) -> None:
    """Rounds that were not run may have filled containers that the rounds which were run left alone, and have filled
    others with what is none of the `sampled` elements."""
    for node in run.frame.file.source.once(_filled_in, loop):
        slot = truth.slot(run, node)
        value = slot[0].get(slot[1]) if slot is not None else None
        if not isinstance(value, (Sequence, Mapping)):
            continue
        held = value.fields["rest"]
        if held is None or any(held is element for element in sampled):
            run.state.set(value.fields, "rest", run.unknown("element"))


def _loop(
    run: Run,
    bodies: list[Callable[[], bool]],
    exact: bool,
    orelse: list[ast.stmt],
    endless: bool = False,
    counted: tuple[ast.AST | None, int | None] = (None, None),
    may_be_none: bool = False,
) -> bool:
    """`may_be_none`: perhaps no round is run."""
    from gradls.flow.statements import exec_block

    loop = Loop(run.state.mark(), len(run.frame.modes), len(run.frame.leaving))
    loop.statement, loop.count = counted
    path, later, apart = run.path, run.later, len(run.state.apart)
    run.frame.loops.append(loop)
    run.frame.forks += 1
    if not exact:
        run.rough += 1
        if run.rough > MOST_NESTED:
            bodies = bodies[:1]
    changed: tuple[int, int] | None = None
    try:
        completes = True
        for body in bodies:
            completes = _round(run, loop, body)
            if not completes:
                break
            if not exact:
                if len(run.state.trail) > loop.round_mark[0]:
                    changed = loop.round_mark
                forget_counters(run, loop.round_mark)
                run.later = True
        if not exact and completes and (loop.late if len(bodies) > 1 else loop.partly and run.rough <= MOST_NESTED):
            # What a branch of the last of these rounds has left, one more meets.
            completes = _round(run, loop, bodies[-1])
        if not exact and completes and changed is not None:
            # What the last of these rounds has changed, the next one may change again: `on = not on`.
            doubts.doubt_flags(run, changed)
    finally:
        run.later = later
        run.frame.loops.pop()
        run.frame.forks -= 1
        if not exact:
            run.rough -= 1
    run.path = path
    if may_be_none and completes:
        doubts.doubt(run, doubts.written(run, loop.mark), whole_rounds=True)
    if completes and orelse and not endless:
        completes = exec_block(run, orelse)
    if not loop.breaks:
        return completes
    _join_breaks(run, loop, apart, ends=completes and not endless)
    if may_be_none:
        doubts.doubt(run, doubts.written(run, loop.mark), whole_rounds=True)
    return True


def _join_breaks(run: Run, loop: Loop, apart: int, *, ends: bool) -> None:
    """Join what the breaks of a loop have left, and the end of its last round if that `ends` it, too."""
    outcomes: list[Changes] = [changes for changes, _ in loop.breaks]
    ways = [way for _, way in loop.breaks]
    if ends:
        outcomes.append(run.state.peek(loop.mark))
        ways.append(run.state.way())
    run.state.undo(loop.mark)
    run.state.merge(loop.mark, outcomes, run.join.slot, ways=ways)
    del run.state.apart[apart:]


def repeat(run: Run, statement: ast.AST, body: Callable[[], bool]) -> None:
    """A first and a later round of something that a library does in a loop: `statement` stands for the loop."""
    _loop(run, [body, body], False, [], counted=(statement, None))


def _round(run: Run, loop: Loop, body: Callable[[], bool]) -> bool:
    """One round; False if it never comes to the next (it returned, raised or broke out on every way)."""
    run.breathe()
    loop.round_mark = run.state.mark()
    loop.continues = []
    apart = len(run.state.apart)
    # What a round decided for good (`if done: break`) holds in the next one too.
    run.path = path = (run.path, Round(loop), True)
    completes = body()
    if loop.continues:
        run.path = path
        outcomes = [changes for changes, _ in loop.continues]
        ways = [way for _, way in loop.continues]
        if completes:
            outcomes.append(run.state.peek(loop.round_mark))
            ways.append(run.state.way())
        run.state.undo(loop.round_mark)
        run.state.merge(loop.round_mark, outcomes, run.join.slot, ways=ways)
        del run.state.apart[apart:]
        return True
    return completes


def forget_counters(run: Run, mark: tuple[int, int]) -> None:
    """After a round of a loop of unknown length, numbers that it changed may be any, and lists that it filled may be
    of any length."""
    _forget_lengths(run, mark)
    for fields, key, value in list(run.state.peek(mark).values()):
        if isinstance(value, Host) and value.known and value.kind in ("int", "float") and fields.born <= mark[1]:
            run.state.set(fields, key, Host(value.kind, MISSING, value.node))
        elif (
            key == "items"
            and isinstance(value, tuple)
            and value
            and fields.born <= mark[1]
            and fields.get("rest") is None
        ):
            last = value[-1]
            if isinstance(last, (Tensor, Value)):
                run.state.set(fields, "rest", last)


def _forget_lengths(run: Run, mark: tuple[int, int]) -> None:
    """The same for tuples and lists that a round put in the place of shorter or longer ones."""
    before: dict[tuple[int, object], object] = {}
    for fields, key, old in run.state.trail[mark[0] :]:
        if isinstance(old, Sequence) and fields.born <= mark[1]:
            before.setdefault((id(fields), key), old)
    for fields, key, value in list(run.state.peek(mark).values()) if before else ():
        old = before.get((id(fields), key))
        if not isinstance(value, Sequence) or not isinstance(old, Sequence) or value.kind not in ("tuple", "list"):
            continue
        if value.items and value.rest is None and old.rest is None and len(value.items) != len(old.items):
            rest = run.join.values(list(dict.fromkeys(value.items)))
            run.state.set(fields, key, Sequence(run.state, value.kind, value.items, rest, value.names))


# This begins loops itself: it is needed only when everything is there.
from gradls.flow import expressions  # noqa: E402
