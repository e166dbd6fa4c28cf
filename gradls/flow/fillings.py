"""What programs put into data of which nothing is known: `batch["out"] = model(batch["x"])`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradls.flow import truth
from gradls.flow.contents import MOST_NESTED, is_plain, opaque, tensors_in
from gradls.flow.graph import Edge, Node, edge
from gradls.flow.values import ESCAPED, FILLED, Host, Instance, Mapping, Sequence, Tensor, Unknown, Value
from gradls.flow.wholes import PART, VIEWED, whole_of

if TYPE_CHECKING:
    from gradls.flow.arguments import Call
    from gradls.flow.run import Run

_NODE = ("node",)


def put(run: Run, receiver: Unknown, index: Value, value: Value) -> None:
    """`receiver[index] = value`. What has keys that are text is no tensor: there it is what was put in."""
    if not receiver.was_quiet:
        if isinstance(value, Tensor) and not (isinstance(index, Host) and index.kind == "str"):
            _write(run, receiver, value)
        return
    key = index.value if isinstance(index, Host) and index.known else None
    if isinstance(key, str):
        truth.item(run, receiver, key)
        run.state.set(receiver.fields, ("derived", ("item", key)), value)
    elif not _is_quiet(value):
        _put_anywhere(run, receiver, value)
    fill(run, receiver, [value])


def _write(run: Run, receiver: Unknown, value: Tensor) -> None:
    """What comes of something that may be a tensor depends on what is written into it."""
    if value.requires_grad is not False:
        _depends(run, receiver, [edge(value.node, None)])


def put_by_method(run: Run, receiver: Unknown, name: str, call: Call) -> None:
    """A method of data, which may keep what it is given: `batch.update(out=out)`, `batch.append(out)`."""
    if not receiver.was_quiet:
        return
    given = call.values
    if name == "update" and not call.unsure and all(isinstance(value, Mapping) for value in call.args):
        entries = [
            (key, item) for value in call.args if isinstance(value, Mapping) for key, item in value.entries.items()
        ]
        for key, item in [*entries, *call.kwargs.items()]:
            put(run, receiver, Host("str", key) if isinstance(key, str) else Host("int"), item)
        given = [value.rest for value in call.args if isinstance(value, Mapping) and value.rest is not None]
    for value in given:
        if not _is_quiet(value):
            _put_anywhere(run, receiver, value)
    fill(run, receiver, given)


def part_of(run: Run, receiver: Unknown, index: Value) -> Unknown | None:
    """A part of data, by a slice or by what is not known; None if it may be more than data."""
    by_place = isinstance(index, Sequence) or (isinstance(index, Host) and index.kind in ("slice", "int"))
    if not receiver.plain or (ESCAPED in receiver.fields and not by_place):
        return None
    part = run.unknown("derived", receiver.name)
    part.plain = True
    part.fields[VIEWED] = receiver
    return part


def item_of(run: Run, receiver: Unknown) -> Unknown:
    """An item of something that may be more than data."""
    item = run.unknown("item", receiver.name)
    item.fields[PART] = receiver
    return item


def fill(run: Run, receiver: Unknown, values: Iterable[Value]) -> None:
    """From here on these are part of data, or went into it, wherever they were put; and of what it is a part of."""
    if not receiver.was_quiet:
        return
    edges: list[Edge] = []
    loud = [value for value in values if not _is_quiet(value)]
    for value in loud:
        for part in tensors_in(value):
            edges.append(edge(part.node if isinstance(part, Tensor) else opaque(run, part), None))
    whole: Value | None = receiver if loud else None
    for _ in range(MOST_NESTED):
        if not isinstance(whole, Unknown) or not whole.was_quiet or _is_data(whole):
            return
        run.state.set(whole.fields, FILLED, True)
        _depends(run, whole, edges)
        whole = whole_of(whole)


def _depends(run: Run, value: Unknown, edges: list[Edge]) -> None:
    """From here on something unknown depends on these, too."""
    before = opaque(run, value)
    node = Node(run.state, before.op, before.at, (edge(before, None), *edges), kind="opaque", path=run.path)
    node.label = before.label
    node.fields["value"] = value
    run.state.set(value.fields, _NODE, node)


def _is_data(value: Unknown) -> bool:
    """Is it what `.data` gives, which is another tensor each time?"""
    return value.origin == "attribute" and value.name == "data"


def _put_anywhere(run: Run, receiver: Unknown, value: Value) -> None:
    """What was read out of it before may be another thing now."""
    for key, held in list(receiver.fields.items()):
        is_item = isinstance(key, tuple) and key[0] == "derived" and isinstance(key[1], tuple) and key[1][0] == "item"
        if is_item and isinstance(held, Value):
            run.state.set(receiver.fields, key, run.join.values([held, value]))


def _is_quiet(value: Value) -> bool:
    """Is there no tensor in it that may require grad, and no module?"""
    if isinstance(value, Instance):
        return False
    return all(
        part.requires_grad is False if isinstance(part, Tensor) else is_plain(part) for part in tensors_in(value)
    )
