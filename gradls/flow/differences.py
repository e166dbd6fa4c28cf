"""What the module's statements do otherwise after an edit: which names mean something else.

What a chapter found out depends on the module through the names that the code which it ran mentions. Where none of them
means anything else, it is still true.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradls.flow import class_text
from gradls.flow.graph import Node
from gradls.flow.state import MISSING
from gradls.flow.values import (
    Bound,
    Choice,
    Class,
    Function,
    Host,
    Imported,
    Instance,
    Lib,
    Mapping,
    Sequence,
    Unknown,
    Value,
)
from gradls.syntax.source import Source

if TYPE_CHECKING:
    from gradls.flow.run import Run

_WORD = re.compile(r"[^\W\d]\w*")
_IMPLICIT = frozenset(("forward", "backward", "jvp", "vjp", "vmap", "setup_context", "run"))
"""Methods that are called without being mentioned, besides those with two underscores."""


def mentions(source: Source, node: ast.AST) -> frozenset[str]:
    """The names in the text of a node, and words that are none."""
    return frozenset(_WORD.findall(source.segment(node)))


def differences(old: Run, new: Run) -> frozenset[str] | None:
    """The names of the module, and those of members of its classes, that are not what they were after another run of
    its statements; None if anything else may be otherwise."""
    if dict(old.mode) != dict(new.mode) or old.outside["dtype"] != new.outside["dtype"]:
        return None
    compared = _Comparison()
    before, now = old.module.fields, new.module.fields
    for name in before.keys() | now.keys():
        if not compared.same(before.get(name, MISSING), now.get(name, MISSING)):
            compared.different.add(str(name))
    return frozenset(compared.different)


class _Comparison:
    """Of values of two runs. What is not certain to be the same is not."""

    def __init__(self) -> None:
        self.different: set[str] = set()
        """Members of classes that are otherwise the same."""
        self._known: dict[tuple[int, int], bool] = {}

    def same(self, old: object, new: object) -> bool:
        if old is new:
            return True
        if type(old) is not type(new):
            return False
        if not isinstance(old, (Value, Node)):
            # It may be made for this comparison only: another one may have its id before long.
            return self._compare(old, new)
        key = id(old), id(new)
        if key not in self._known:
            # Where it comes to itself again, the rest decides.
            self._known[key] = True
            self._known[key] = self._compare(old, new)
        return self._known[key]

    def _compare(self, old: object, new: object) -> bool:
        if isinstance(old, (tuple, list)) and isinstance(new, (tuple, list)):
            return len(old) == len(new) and all(map(self.same, old, new))
        if isinstance(old, dict) and isinstance(new, dict):
            return old.keys() == new.keys() and all(self.same(old[key], new[key]) for key in old)
        if not isinstance(old, (Value, Node)):
            return bool(old == new)
        compare = _COMPARE.get(type(old))
        return compare is not None and compare(self, old, new)

    def _hosts(self, old: Host, new: Host) -> bool:
        return (
            old.node is new.node is None
            and old.kind == new.kind
            and type(old.value) is type(new.value)
            and (old.value == new.value)
        )

    def _libs(self, old: Lib, new: Lib) -> bool:
        return old.path == new.path and self.same(dict(old.fields), dict(new.fields))

    def _imported(self, old: Imported, new: Imported) -> bool:
        named = (old.module, old.name) == (new.module, new.name) and old.names is new.names
        return named and self.same(old.options, new.options)

    def _unknown(self, old: Unknown, new: Unknown) -> bool:
        about = [
            (value.origin, value.name, value.question, value.plain, value.unrecorded, value.answer)
            for value in (old, new)
        ]
        # What somebody asked of the old one since counts for nothing.
        asked = {key: value for key, value in old.fields.items() if key in new.fields or not _is_question(key)}
        return about[0] == about[1] and self.same(old.among, new.among) and self.same(asked, dict(new.fields))

    def _nodes(self, old: Node, new: Node) -> bool:
        """Those of what is unknown: `label` and the value are known from whose they are."""
        return (
            old.kind == new.kind == "opaque"
            and (old.op, old.at, old.cut, old.saved, old.path) == (new.op, new.at, new.cut, new.saved, new.path)
            and [edge[1:] for edge in old.edges] == [edge[1:] for edge in new.edges]
            and all(self.same(one.node, other.node) for one, other in zip(old.edges, new.edges, strict=True))
            and self.same(dict(old.fields), dict(new.fields))
        )

    def _instances(self, old: Instance, new: Instance) -> bool:
        """An object of the program has methods that may change, and may hold tensors: these are never the same."""
        return (
            isinstance(old.cls, Lib)
            and self.same(old.cls, new.cls)
            and (old.at, old.name, old.open) == (new.at, new.name, new.open)
            and self.same(dict(old.fields), dict(new.fields))
            and self.same(old.data, new.data)
        )

    def _sequences(self, old: Sequence, new: Sequence) -> bool:
        return (old.kind, old.names) == (new.kind, new.names) and self.same(dict(old.fields), dict(new.fields))

    def _mappings(self, old: Mapping, new: Mapping) -> bool:
        return self.same(dict(old.fields), dict(new.fields)) and self.same(dict(old.entries), dict(new.entries))

    def _choices(self, old: Choice, new: Choice) -> bool:
        return self.same(old.options, new.options)

    def _bounds(self, old: Bound, new: Bound) -> bool:
        return old.name == new.name and all(
            map(self.same, (old.receiver, old.function, old.owner), (new.receiver, new.function, new.owner))
        )

    def _functions(self, old: Function, new: Function) -> bool:
        # A function that another one made has what that one was given.
        return (
            old.node is new.node
            and _is_of_module(old)
            and _is_of_module(new)
            and (old.kind, old.mode, old.decorated, old.casts) == (new.kind, new.mode, new.decorated, new.casts)
            and self.same(old.defaults, new.defaults)
            and self.same(old.wrapped, new.wrapped)
            and self.same(dict(old.fields), dict(new.fields))
        )

    def _classes(self, old: Class, new: Class) -> bool:
        if old.node is not new.node or not (_is_of_module(old) and _is_of_module(new)):
            return False
        if not self.same(old.bases, new.bases):
            return False
        if class_text.reads_otherwise(old):
            return False
        for name in old.fields.keys() | new.fields.keys():
            before, now = old.fields.get(name, MISSING), new.fields.get(name, MISSING)
            if not self.same(before, now):
                implicit = not isinstance(name, str) or name in _IMPLICIT or name.startswith("__")
                methods = isinstance(before, Function) or isinstance(now, Function)
                if implicit or not methods:
                    return False
                self.different.add(name)
        return True


def _is_question(key: object) -> bool:
    """Is this a slot of something unknown that is filled when somebody asks: an attribute, its node, a comparison?"""
    return isinstance(key, str) or (isinstance(key, tuple) and key[0] in ("node", "derived"))


def _is_of_module(value: Function | Class) -> bool:
    """Is it defined by the module or a class of it, and by no function?"""
    scope = value.scope
    while scope is not None and scope.kind == "class":
        scope = scope.parent
    return scope is not None and scope.kind == "module"


_COMPARE: dict[type, Callable[[_Comparison, Any, Any], bool]] = {
    Bound: _Comparison._bounds,
    Choice: _Comparison._choices,
    Class: _Comparison._classes,
    Function: _Comparison._functions,
    Host: _Comparison._hosts,
    Imported: _Comparison._imported,
    Instance: _Comparison._instances,
    Lib: _Comparison._libs,
    Mapping: _Comparison._mappings,
    Node: _Comparison._nodes,
    Sequence: _Comparison._sequences,
    Unknown: _Comparison._unknown,
}
