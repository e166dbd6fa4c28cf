"""Built-in functions that go through something, and what they give to go through."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from gradls.flow import elements, truth
from gradls.flow.arguments import Call
from gradls.flow.iterators import consume, exhausted
from gradls.flow.models.containers import to_sequence
from gradls.flow.models.registry import function
from gradls.flow.values import (
    NONE,
    Host,
    Instance,
    Sequence,
    Value,
    host,
)

if TYPE_CHECKING:
    from gradls.flow.run import Run


@function("builtins.range")
def range_(run: Run, path: str, call: Call) -> Value:
    numbers = [call.known(index) for index in range(len(call.args))]
    if numbers and all(isinstance(number, int) for number in numbers):
        try:
            values = range(*(number for number in numbers if isinstance(number, int)))
        except (TypeError, ValueError):
            return run.unknown("call", "range")
        if not values[64:]:
            return Sequence(run.state, "range", tuple(host(number) for number in values))
        long = Sequence(run.state, "range", (), Host("int"))
        # The length of a range is not what `len` can say of all.
        long.fields["count"] = (values[-1] - values[0]) // values.step + 1
        return long
    return Sequence(run.state, "range", (), Host("int"))


@function("builtins.enumerate")
def enumerate_(run: Run, path: str, call: Call) -> Value:
    """Pairs of number and element; numbers are known only where the elements are."""
    from gradls.flow.loops import rounds

    value = call.get(0, "iterable")
    if value is None:
        return run.unknown("call", "enumerate")
    items, exact = rounds(run, _iterated(run, value))
    start = call.known(1, "start", default=0)
    pairs = []
    for number, item in enumerate(items):
        counter = host(number + start) if exact and isinstance(start, int) else Host("int")
        pairs.append(Sequence(run.state, "tuple", (counter, item)))
    if exact:
        return elements.doubted(Sequence(run.state, "iterator", tuple(pairs)), value)
    return _of_some(run, tuple(pairs))


def _of_some(run: Run, items: tuple[Value, ...]) -> Sequence:
    """An iterator of which some elements are known, which need not be there, and the last stands for all others."""
    made = Sequence(run.state, "iterator", items, items[-1] if items else run.unknown("element"))
    made.fields["unsure"] = True
    return made


def _iterated(run: Run, value: Value) -> Value:
    from gradls.flow.models.modules import elements

    found = elements(value)
    if found is None:
        return value
    from gradls.flow.models.modules import contents, has_keys

    assert isinstance(value, Instance)
    if has_keys(value):
        return value.fields["*items"]
    items = [item for name, item in contents(value) if name != "*"]
    rest = [item for name, item in contents(value) if name == "*"]
    return Sequence(run.state, "list", tuple(items), rest[0] if rest else None)


@function("builtins.zip")
def zip_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.loops import rounds

    if not call.args:
        return Sequence(run.state, "iterator", (), run.unknown("element"))
    rows = [*call.args, call.rest]
    if call.unsure and all(isinstance(row, Sequence) and row.rest is None for row in rows):
        # zip(*rows), of any number of rows with known columns.
        turned = zip(*(row.items for row in rows), strict=False)  # type: ignore[union-attr]
        items = tuple(Sequence(run.state, "tuple", (), run.join.values(column)) for column in turned)
        return Sequence(run.state, "iterator", items)
    columns = [rounds(run, _iterated(run, value)) for value in call.args]
    # A column of which not all is known is taken to be as long as the others.
    count = min([len(items) for items, known in columns if known] or [len(items) for items, _ in columns])
    columns = [(items + items[-1:] * (count - len(items)), known) for items, known in columns]
    exact = all(known for _, known in columns) and not call.unsure
    exact = exact and not any(elements.is_doubted(value) for value in call.args)
    tuples = tuple(Sequence(run.state, "tuple", tuple(items[row] for items, _ in columns)) for row in range(count))
    if call.unsure:
        return Sequence(run.state, "iterator", (), Sequence(run.state, "tuple", (), run.unknown("element")))
    if exact:
        return Sequence(run.state, "iterator", tuples)
    return _of_some(run, tuples)


@function("builtins.list", "builtins.tuple", "builtins.set", "builtins.frozenset", "builtins.iter")
def sequence(run: Run, path: str, call: Call) -> Value:
    kind = {"builtins.iter": "iterator", "builtins.frozenset": "set"}.get(path, path.removeprefix("builtins."))
    value = call.get(0)
    result = to_sequence(run, kind, _iterated(run, value) if value is not None else None)
    if kind != "iterator":
        consume(run, value, call.node)
    return result


@function("builtins.sorted", "builtins.reversed")
def reordered(run: Run, path: str, call: Call) -> Value:
    value = call.get(0)
    result = to_sequence(run, "list", _iterated(run, value) if value is not None else None)
    if path.endswith("reversed") and result.rest is None:
        run.state.set(result.fields, "items", result.items[::-1])
        return result
    items = result.elements
    in_order = elements.in_order(call, items) if result.whole else None
    if in_order is not None:
        return Sequence(run.state, "list", in_order)
    return Sequence(run.state, "list", (), run.join.values(items) if items else None)


@function("builtins.map")
def map_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.calls import call_value

    if len(call.args) < 2 or isinstance(run.frame.file.source.parent(call.node), ast.Expr):
        return run.unknown("call", "map")  # What nobody goes through is not run.
    rows = zip_(run, path, Call(call.node, call.args[1:]))
    assert isinstance(rows, Sequence)
    items = tuple(
        call_value(run, call.args[0], Call(call.node, list(row.items)))
        for row in rows.items
        if isinstance(row, Sequence)
    )
    made = Sequence(run.state, "iterator", items, items[-1] if rows.rest is not None and items else None)
    return elements.doubted(made, rows)


@function("builtins.filter")
def filter_(run: Run, path: str, call: Call) -> Value:
    from gradls.flow.calls import call_value

    if len(call.args) < 2 or not isinstance(call.args[1], Sequence):
        return Sequence(run.state, "iterator", (), run.unknown("element"))
    value = call.args[1]
    kept: list[Value] = []
    maybe: list[Value] = [value.rest] if value.rest is not None else []
    for item in value.items:
        verdict = truth.truth(
            run, item if call.args[0] is NONE else call_value(run, call.args[0], Call(call.node, [item]))
        )
        if verdict is True:
            kept.append(item)
        elif verdict is None:
            maybe.append(item)
    made = Sequence(run.state, "iterator", tuple(kept), run.join.values(maybe) if maybe else None)
    return elements.doubted(made, value)


@function("builtins.next")
def next_(run: Run, path: str, call: Call) -> Value:
    value, default = call.get(0), call.get(1)
    if not isinstance(value, Sequence) or exhausted(value) is not None:
        return run.unknown("element")
    doubtful = not value.items or elements.is_doubted(value)
    if value.fields.get(elements.LOOSE):
        found: Value | None = run.join.values(value.elements)
    elif value.items:
        found = value.items[0]
        run.state.set(value.fields, "items", value.items[1:])
    else:
        found = value.rest
    if found is None:
        return run.unknown("element") if default is None else default
    return run.join.values([found, default]) if doubtful and default is not None else found
