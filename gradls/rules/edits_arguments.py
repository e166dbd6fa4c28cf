"""Calls with other arguments, laid out as they were."""

from __future__ import annotations

import libcst as cst


def with_keyword(call: cst.Call, name: str, value: cst.BaseExpression | None) -> cst.Call | None:
    """The call with the keyword argument `name` set, added or, for None, taken away; None if that cannot be known."""
    for position, argument in enumerate(call.args):
        if argument.keyword and argument.keyword.value == name:
            if value is None:
                return without_argument(call, position)
            args = list(call.args)
            args[position] = argument.with_changes(value=value)
            return call.with_changes(args=args)
    if value is None or any(argument.star == "**" for argument in call.args):
        return None  # `**kwargs` may hold it already
    return _with_argument(
        call,
        cst.Arg(
            value,
            cst.Name(name),
            equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
        ),
    )


def _with_argument(call: cst.Call, new: cst.Arg) -> cst.Call:
    args = list(call.args)
    if not args:
        return call.with_changes(args=[new])
    last = args[-1]
    if isinstance(last.value, cst.GeneratorExp) and not last.value.lpar:
        last = last.with_changes(
            value=last.value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()]),
        )
    between = _space_between(call)
    if isinstance(last.comma, cst.Comma):
        new = new.with_changes(
            comma=last.comma.with_changes(whitespace_after=_uncommented(last.comma.whitespace_after))
        )
        comma = last.comma.with_changes(whitespace_after=_with_comment_of(between, last.comma.whitespace_after))
    else:
        # Whatever stands before the closing parenthesis stays there, but a comment stays with its argument.
        new = new.with_changes(whitespace_after_arg=_uncommented(last.whitespace_after_arg))
        comma = cst.Comma(whitespace_after=_with_comment_of(between, last.whitespace_after_arg))
    args[-1] = last.with_changes(comma=comma, whitespace_after_arg=cst.SimpleWhitespace(""))
    return call.with_changes(args=[*args, new])


def _space_between(call: cst.Call) -> cst.BaseParenthesizableWhitespace:
    """What stands between two arguments of this call, comments left out."""
    if len(call.args) > 1 and isinstance(call.args[-2].comma, cst.Comma):
        return _uncommented(call.args[-2].comma.whitespace_after)
    if isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        return _uncommented(call.whitespace_before_args)
    return cst.SimpleWhitespace(" ")


def _uncommented(space: cst.BaseParenthesizableWhitespace) -> cst.BaseParenthesizableWhitespace:
    if isinstance(space, cst.ParenthesizedWhitespace):
        first = space.first_line.with_changes(whitespace=cst.SimpleWhitespace(""), comment=None)
        return space.with_changes(first_line=first, empty_lines=[])
    return space


def _with_comment_of(
    space: cst.BaseParenthesizableWhitespace, commented: cst.BaseParenthesizableWhitespace
) -> cst.BaseParenthesizableWhitespace:
    if isinstance(commented, cst.ParenthesizedWhitespace) and commented.first_line.comment:
        if isinstance(space, cst.ParenthesizedWhitespace):
            return space.with_changes(first_line=commented.first_line, empty_lines=commented.empty_lines)
        return commented
    return space


def without_argument(call: cst.Call, position: int) -> cst.Call:
    """The call without one argument; what closed it closes the one before."""
    args = list(call.args)
    gone = args.pop(position)
    if position == len(args) and args:
        before = args[-1]
        comma: cst.Comma | cst.MaybeSentinel = cst.MaybeSentinel.DEFAULT
        after = gone.whitespace_after_arg
        if isinstance(gone.comma, cst.Comma):
            comma = gone.comma
            if isinstance(before.comma, cst.Comma):
                comma = comma.with_changes(
                    whitespace_after=_with_comment_of(
                        _uncommented(comma.whitespace_after), before.comma.whitespace_after
                    )
                )
        elif isinstance(before.comma, cst.Comma):
            after = _with_comment_of(_uncommented(after), before.comma.whitespace_after)
        args[-1] = before.with_changes(comma=comma, whitespace_after_arg=after)
    elif not args:
        return call.with_changes(args=[], whitespace_before_args=cst.SimpleWhitespace(""))
    return call.with_changes(args=args)


def swapped(call: cst.Call, first: int | str, second: int | str) -> cst.Call | None:
    """The call with the values of two arguments swapped; None if it has no such arguments."""
    positions = [_position(call, key) for key in (first, second)]
    one, other = positions
    if one is None or other is None or one == other:
        return None
    if any(argument.star for argument in call.args[: max(one, other) + 1]):
        return None
    args = list(call.args)
    args[one] = call.args[one].with_changes(value=call.args[other].value)
    args[other] = call.args[other].with_changes(value=call.args[one].value)
    return call.with_changes(args=args)


def _position(call: cst.Call, key: int | str) -> int | None:
    if isinstance(key, int):
        return key if 0 <= key < len(call.args) else None
    return next((i for i, argument in enumerate(call.args) if argument.keyword and argument.keyword.value == key), None)
