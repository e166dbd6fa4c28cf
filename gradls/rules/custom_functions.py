"""What the rules about custom autograd Functions have in common."""

from __future__ import annotations

from typing import NamedTuple

from gradls.flow.facts import Event, Facts
from gradls.flow.hierarchy import FUNCTION, library_bases
from gradls.flow.values import Class, Function


class Signature(NamedTuple):
    """How many positional arguments a method takes, its context not counted: at least and at most."""

    least: int
    most: int

    def accepts(self, count: int) -> bool:
        return self.least <= count <= self.most


ANY = 10_000
"""The most that a method with `*args` takes."""


def signature(function: Function, *, has_context: bool = True) -> Signature:
    """The signature of `forward` or `backward`."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    most = len(positional) - has_context - (function.kind == "class")
    least = most - len(arguments.defaults)
    return Signature(max(least, 0), ANY if arguments.vararg is not None or arguments.kwarg is not None else most)


def is_custom_function(cls: object) -> bool:
    return isinstance(cls, Class) and FUNCTION in library_bases(cls)


def class_of(facts: Facts, function: object) -> Class | None:
    """The custom Function that a method belongs to."""
    owner = function.owner if isinstance(function, Function) else None
    return as_defined(facts, owner) if isinstance(owner, Class) and is_custom_function(owner) else None


def as_defined(facts: Facts, cls: Class) -> Class:
    """The class as the module has it now: a chapter that was kept when its body was edited knows the one before."""
    known: dict[object, Class] | None = facts.memo.get("custom functions")
    if known is None:
        known = facts.memo["custom functions"] = {}
        for one in definitions(facts):
            known[one] = known[one.node] = one
    return known.get(cls) or known.get(cls.node, cls)


def definitions(facts: Facts) -> dict[Class, dict[str, Function]]:
    """The custom Functions of the program with their methods, also inherited ones."""
    found: dict[Class, dict[str, Function]] = {}
    for event in facts.of("class"):
        if isinstance(event.value, Class) and event.methods:
            found[event.value] = {name: value for name, value in event.methods.items() if isinstance(value, Function)}
    return found


def applications(facts: Facts) -> dict[Class, list[Event]]:
    """The calls of `apply`, by class."""
    found: dict[Class, list[Event]] = {}
    for event in facts.of("function-apply"):
        if isinstance(event.value, Class):
            found.setdefault(as_defined(facts, event.value), []).append(event)
    return found
