"""Numbers that a program gives, or leaves to the default of an option of its command line."""

from __future__ import annotations

from typing import NamedTuple

from gradls.flow.models.outside import DEFAULT
from gradls.flow.paths import Path, Round
from gradls.flow.values import Host, Unknown, Value


class Given(NamedTuple):
    """A number, None if it is not known; by default, if it is that of an option that nobody may have given."""

    number: float | None
    is_default: bool


def given_number(value: Value | None, path: Path | None) -> Given:
    """The number that something is on a path. Where a branch leads there, that may have asked for the option."""
    default = value.fields.get(DEFAULT) if isinstance(value, Unknown) else None
    if isinstance(default, Host):
        return Given(_number(default) if _is_unconditional(path) else None, True)
    return Given(_number(value), False)


def _number(value: Value | None) -> float | None:
    return value.value if isinstance(value, Host) and type(value.value) in (int, float) else None


def _is_unconditional(path: Path | None) -> bool:
    while path is not None:
        if not isinstance(path[1], Round):
            return False
        path = path[0]
    return True
