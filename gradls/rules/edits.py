"""How fixes are made: each helper takes a place and returns a builder of text edits for `Fix`.

    Fix("remove `.detach()`", Safety.SAFE, edits.remove_call(place))

Nothing is computed until the builder is called, and only then is LibCST imported. An edit replaces the smallest range
of text that changes, so formatting, comments and line ends elsewhere stay as they are. A builder that cannot do its
job returns an empty list: inside f-strings, in statements that do not parse, in shapes that it does not know.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
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


def out_of_place(place: Place, torch_name: str = "torch") -> Edits:
    """`x += y` becomes `x = x + y`, the statement `x.add_(y)` becomes `x = x.add(y)`; `relu_(x)` becomes `relu(x)`,
    and `inplace=True` is taken out of a call. A subscript as the target is left alone: it would stay an in-place write.
    Methods of which there is no such form, as `copy_`, are left alone; `zero_()` becomes `zeros_like`.
    """
    return _later("edits_calls", "out_of_place", place, torch_name)


def replace_expression(place: Place, new: str) -> Edits:
    """Replace an expression by the source of another, in parentheses where the new one needs them."""
    return _later("edits_calls", "replace_expression", place, new)


def rename_attribute(place: Place, new: str) -> Edits:
    """`x.old` becomes `x.new`. The node is the attribute or a call of it; a bare name is renamed as well."""
    return _later("edits_calls", "rename_attribute", place, new)


def add_call(place: Place, suffix: str) -> Edits:
    """Put `suffix`, such as `.clone()`, behind an expression, which gets parentheses if it needs them."""
    return _later("edits_calls", "add_call", place, suffix)


def wrap_in_no_grad(place: Place, torch_name: str = "torch", mode: str = "no_grad", last: Place | None = None) -> Edits:
    """Put the statement that holds the node into a `with torch.no_grad():` block of its own, or of another `mode`; with
    those behind it up to the `last` one, which stands in the same block."""
    return _later("edits_statements", "wrap_in_no_grad", place, torch_name, mode, last)


def move_statement(place: Place, other: Place, *, behind: bool) -> Edits:
    """Move the statement that holds the node, with the comments right above it, before or behind another statement of
    its block."""
    return _later("edits_blocks", "move_statement", place, other, behind)


def move_out(place: Place, block: Place) -> Edits:
    """Move the last of several statements of a block behind the loop or branch that the block is the body of."""
    return _later("edits_blocks", "move_out", place, block)


def open_block(place: Place, header: str) -> Edits:
    """Put `header`, such as `with torch.no_grad():`, in the place of a statement, and what follows in its block
    under it."""
    return _later("edits_blocks", "open_block", place, header)


def decorate(place: Place, decorator: str, torch_name: str = "") -> Edits:
    """Put a decorator, `torch.no_grad()` say, above a function, under the others that it has, and an import of torch by
    this name where there is none."""
    return _later("edits_blocks", "decorate", place, decorator, torch_name)


def assign_in_place(place: Place, *, cleared: bool, bare: bool, torch_name: str = "torch") -> Edits:
    """`w = w - g` becomes `w -= g`, any other value `w.copy_(value)`, in a `with torch.no_grad():` block unless it is
    `bare`, with `w.grad = None` behind it if that is to be `cleared`."""
    return _later("edits_blocks", "assign_in_place", place, cleared, bare, torch_name)


def replace_statement(place: Place, new: str) -> Edits:
    """Replace a statement that has no body by the source of another."""
    return _later("edits_blocks", "replace_statement", place, new)


def copy_expression(place: Place) -> Edits:
    """`model` becomes `copy.deepcopy(model)`, and `copy` is imported."""
    return _later("edits_blocks", "copy_expression", place)


def move_statement_out_of_with(statement: Place, block: Place, last: Place | None = None) -> Edits:
    """Take a statement out of a `with` block (`block.node` is an `ast.With` of one item without a name), and those
    behind it up to the `last` one.

    The first statements of the block move before it, the last ones after it, and all of them replace it; with the
    `with` statement itself as `statement` the whole body takes its place. Statements in the middle stay.
    """
    return _later("edits_statements", "move_statement_out_of_with", statement, block, last)


def delete_statement(place: Place) -> Edits:
    """Delete the statement that holds the node; `pass` stands in for the only one of its block."""
    return _later("edits_statements", "delete_statement", place)


def remove_decorator(place: Place) -> Edits:
    """Take the line away on which a decorator stands; the node is its expression."""
    return _later("edits_statements", "remove_decorator", place)


def add_decorator(place: Place, new: str) -> Edits:
    """Put `@new` above the function that is the node, beneath its other decorators."""
    return _later("edits_statements", "add_decorator", place, new)


def insert_before(place: Place, new: str) -> Edits:
    """Put the source of one or more statements before the statement that holds the node, indented alike."""
    return _later("edits_statements", "insert_before", place, new)


def insert_after(place: Place, new: str) -> Edits:
    """Put the source of one or more statements after the statement that holds the node, indented alike."""
    return _later("edits_statements", "insert_after", place, new)


def update_in_place(place: Place, torch_name: str = "torch", clear: bool = False) -> Edits:
    """`w = w - lr * w.grad` becomes `w -= lr * w.grad` under `torch.no_grad()`, together with the updates of the same
    shape next to it; if there is a `with` block around them already, it stays. `clear`: then `w.grad = None` follows.
    """
    return _later("edits_updates", "update_in_place", place, torch_name, clear)


def write_in_place(place: Place, torch_name: str = "torch") -> Edits:
    """The statement `x = value` becomes `x.copy_(value)` under `torch.no_grad()`."""
    return assign_in_place(place, cleared=False, bare=False, torch_name=torch_name)


def set_in_groups(place: Place, name: str) -> Edits:
    """The statement `optimizer.lr = value` becomes a loop that sets `name` in each group of the optimizer."""
    return _later("edits_updates", "set_in_groups", place, name)


def move_into(place: Place, block: Place) -> Edits:
    """Move a statement, and those behind it that use the names that it binds, to the start of the body of a loop or a
    function that follows in the same block. Nothing where that would leave a name without a value."""
    return _later("edits_moves", "move_into", place, block)


def make_property(place: Place) -> Edits:
    """`self.x = f(self.y)` in `__init__` becomes a property of the class that computes it each time."""
    return _later("edits_moves", "make_property", place)


def keep_part(place: Place, part: ast.expr) -> Edits:
    """An expression becomes a part of it: `f(x)` becomes `x`, `x.a().b()` too. What is within the part may be edited by
    others at once."""
    return _later("edits_calls", "keep_part", place, part)


def copies(place: Place, entry: ast.expr | None = None, count: ast.expr | None = None) -> Edits:
    """`[entry] * count` becomes `[copy.deepcopy(entry) for _ in range(count)]`, without the copy for a call; without
    them, the node itself becomes its copy."""
    return _later("edits_calls", "copies", place, entry, count)


def together(*builders: Edits) -> Edits:
    """All of these edits at once; none if one of the builders makes none, or if two touch the same place."""

    def build() -> Sequence[TextEdit]:
        made = [list(build()) for build in builders]
        every = list(dict.fromkeys(edit for edits in made for edit in edits))
        spans = sorted((edit.path, edit.span) for edit in every)
        apart = all(one[0] != other[0] or one[1][2:] <= other[1][:2] for one, other in pairwise(spans))
        return every if all(made) and apart else []

    return build


def _later(module: str, function: str, *arguments: object) -> Edits:
    def build() -> Sequence[TextEdit]:
        build_now = getattr(importlib.import_module(f"gradls.rules.{module}"), function)
        edits: Sequence[TextEdit] = build_now(*arguments)
        return edits

    return build
