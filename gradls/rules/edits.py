"""How fixes are made: each helper takes a place and returns a builder of text edits for `Fix`.

    Fix("remove `.detach()`", Safety.SAFE, edits.remove_call(place))

Nothing is computed until the builder is called, and only then is LibCST imported. An edit replaces the smallest range
of text that changes, so formatting, comments and line ends elsewhere stay as they are. A builder that cannot do its
job returns an empty list: inside f-strings, in statements that do not parse, in shapes that it does not know.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from gradls.rules.finding import Place, TextEdit

Edits: TypeAlias = Callable[[], Sequence[TextEdit]]


def remove_call(place: Place) -> Edits:
    """`x.detach()` becomes `x`; so do `x.data`, `x.item()`, `x.numpy()` and `x.detach().cpu().numpy()`.

    The node is the call, or the attribute if it is not called. Beneath `numpy`, `tolist` and `item` what was there
    only for their sake goes too. A statement that does nothing else (`x.detach_()`) is deleted.
    """
    return _later("edits_calls", "remove_call", place)


def unwrap_call(place: Place) -> Edits:
    """`Variable(h)`, `float(h)`, `torch.tensor(h, requires_grad=True)` become `h`: the call's first argument."""
    return _later("edits_calls", "unwrap_call", place)


def stack(place: Place, keep: Collection[str] = ("dtype", "device"), torch_name: str = "torch") -> Edits:
    """`torch.tensor(losses, device=d)` becomes `torch.stack(losses).to(device=d)`.

    The node is a call that copies a list of tensors: `tensor`, `as_tensor`, `asarray`, `FloatTensor`, `x.new_tensor`,
    `np.array`; `np.mean` and `np.sum` become `torch.stack(losses).mean()` and `.sum()`. `keep` names the keywords that
    move into `.to()`, `torch_name` is what torch is called in that file. A generator becomes a list; `.item()`,
    `.detach()` and the like are taken off the elements, and rows are stacked themselves. Lists with numbers in them are
    left alone.
    """
    return _later("edits_calls", "stack", place, keep, torch_name)


def swap_arguments(place: Place, first: int | str, second: int | str) -> Edits:
    """Swap two arguments of a call, each given by its index as written or by its keyword; keywords stay in place."""
    return _later("edits_calls", "swap_arguments", place, first, second)


def set_keyword(place: Place, name: str, value: str | None) -> Edits:
    """Give the call's keyword argument `name` the source `value`, adding it if need be; None takes it away."""
    return _later("edits_calls", "set_keyword", place, name, value)


def out_of_place(place: Place) -> Edits:
    """`x += y` becomes `x = x + y`, the statement `x.add_(y)` becomes `x = x.add(y)`; `relu_(x)` becomes `relu(x)`,
    and `inplace=True` is taken out of a call. A subscript as the target is left alone: it would stay an in-place write.
    """
    return _later("edits_calls", "out_of_place", place)


def replace_expression(place: Place, new: str) -> Edits:
    """Replace an expression by the source of another, in parentheses where the new one needs them."""
    return _later("edits_calls", "replace_expression", place, new)


def rename_attribute(place: Place, new: str) -> Edits:
    """`x.old` becomes `x.new`. The node is the attribute or a call of it; a bare name is renamed as well."""
    return _later("edits_calls", "rename_attribute", place, new)


def add_call(place: Place, suffix: str) -> Edits:
    """Put `suffix`, such as `.clone()`, behind an expression, which gets parentheses if it needs them."""
    return _later("edits_calls", "add_call", place, suffix)


def wrap_in_no_grad(place: Place, torch_name: str = "torch") -> Edits:
    """Put the statement that holds the node into a `with torch.no_grad():` block of its own."""
    return _later("edits_statements", "wrap_in_no_grad", place, torch_name)


def move_statement_out_of_with(statement: Place, block: Place) -> Edits:
    """Take a statement out of a `with` block (`block.node` is an `ast.With` of one item without a name).

    The first statement of the block moves before it, the last one after it, and the only one replaces it; with the
    `with` statement itself as `statement` the whole body takes its place. A statement in the middle stays.
    """
    return _later("edits_statements", "move_statement_out_of_with", statement, block)


def delete_statement(place: Place) -> Edits:
    """Delete the statement that holds the node; `pass` stands in for the only one of its block."""
    return _later("edits_statements", "delete_statement", place)


def insert_before(place: Place, new: str) -> Edits:
    """Put the source of one or more statements before the statement that holds the node, indented alike."""
    return _later("edits_statements", "insert_before", place, new)


def insert_after(place: Place, new: str) -> Edits:
    """Put the source of one or more statements after the statement that holds the node, indented alike."""
    return _later("edits_statements", "insert_after", place, new)


def _later(module: str, function: str, *arguments: object) -> Edits:
    def build() -> Sequence[TextEdit]:
        build_now = getattr(importlib.import_module(f"gradls.rules.{module}"), function)
        edits: Sequence[TextEdit] = build_now(*arguments)
        return edits

    return build
