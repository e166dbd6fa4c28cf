"""What the text of a class says, whether or not its methods are run.

What was asked is kept with the class: after an edit of a method it may read otherwise.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from typing import TypeGuard

from gradls.flow.values import Class
from gradls.syntax.walk import walk


def registers(cls: Class) -> bool:
    """Does a method of it call `self.register_buffer` and the like?"""
    return "registers" in _uses(cls)


def makes_layers(cls: Class) -> bool:
    """Does it use a name such as `nn.Linear`?"""
    return "layers" in _uses(cls)


def fills(cls: Class) -> list[str]:
    """The attributes that its methods other than `__init__` put something into: `x` of `self.x.append(...)`, and `x.y`
    of `self.x.y.append(...)`."""
    return [word.removeprefix(_FILLS) for word in _uses(cls) if word.startswith(_FILLS)]


def binds(cls: Class) -> list[str]:
    """The attributes that its methods other than `__init__` give another value: `x` of `self.x = ...`."""
    return [word.removeprefix(_BINDS) for word in _uses(cls) if word.startswith(_BINDS)]


def rebinds(cls: Class) -> list[str]:
    """Those among them that it gives a value in other places, too, `__init__` included."""
    return [word.removeprefix(_REBINDS) for word in _uses(cls) if word.startswith(_REBINDS)]


def is_set_by_init_alone(classes: Iterable[Class], name: str) -> bool:
    """Does an `__init__` of these give `self` an attribute of this name, and does no other method, nor any way to give
    it one of which the name is not written there?"""
    uses = frozenset().union(*(_uses(cls) for cls in classes))
    return _SETS + name in uses and _BINDS + name not in uses and "any name" not in uses


def is_never_set(classes: Iterable[Class], name: str) -> bool:
    """Does no method of these give `self` an attribute of this name, nor in a way in which the name is not written?"""
    uses = frozenset().union(*(_uses(cls) for cls in classes))
    return uses.isdisjoint((_SETS + name, _BINDS + name, "any name", "registers"))


def has_hook_that_sets_mode(cls: Class, name: str) -> bool:
    """Does a hook that a trainer calls around the evaluation method `name` set the grad mode?"""
    return _HOOKS + name.partition("_")[0] in _uses(cls)


def declarations(cls: Class) -> dict[str, ast.expr]:
    """What a class declares its attributes to be: `actor: Actor` in its body, `self.actor: Actor = ...` in a method."""
    if cls.declarations is None:
        cls.declarations = cls.source.once(_declarations, cls.node)
    return cls.declarations


def reads_otherwise(cls: Class) -> bool:
    """Does the text say anything else by now than it did when it was asked?"""
    if cls.uses is not None and cls.uses != _read_uses(cls.node):
        return True
    if cls.declarations is None:
        return False
    before, now = cls.declarations, _declarations(cls.node)
    return before.keys() != now.keys() or any(ast.dump(before[name]) != ast.dump(now[name]) for name in now)


_BINDS = "binds "
_REBINDS = "rebinds "
_FILLS = "fills "
_SETS = "sets "
_HOOKS = "sets the grad mode around "
FILLING = frozenset(("append", "appendleft", "add", "extend", "insert", "update", "setdefault"))
"""Methods that put something into a container."""


def _uses(cls: Class) -> frozenset[str]:
    if cls.uses is None:
        cls.uses = cls.source.once(_read_uses, cls.node)
    return cls.uses


def _read_uses(cls: ast.ClassDef) -> frozenset[str]:
    found = set()
    for node in walk(cls):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "self" and node.attr in ("register_buffer", "register_parameter", "add_module"):
                found.add("registers")
            if node.value.id == "nn" and node.attr[:1].isupper():
                found.add("layers")
            if node.attr in ("__dict__", "__setattr__", "__setstate__"):
                found.add("any name")
        elif isinstance(node, ast.Name) and node.id in ("setattr", "vars"):
            found.add("any name")
    for method in cls.body:
        if isinstance(method, ast.FunctionDef) and method.name.startswith("on_") and _sets_mode(method):
            found.add(_HOOKS + method.name.split("_")[1])
        if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef)) and method.name != "__init__":
            found.update(_FILLS + name for node in walk(method) if (name := _filled(node)) is not None)
            found.update(_BINDS + node.attr for node in walk(method) if _is_bound(node))
        elif isinstance(method, ast.FunctionDef):
            found.update(_SETS + node.attr for node in walk(method) if _is_bound(node))
    counts = Counter(node.attr for method in cls.body for node in walk(method) if _is_bound(node))
    found.update(_REBINDS + name for name, count in counts.items() if count > 1 and _BINDS + name in found)
    return frozenset(found)


def _sets_mode(method: ast.FunctionDef) -> bool:
    names = (getattr(node, "attr", getattr(node, "id", "")) for node in walk(method))
    return any(name in ("set_grad_enabled", "enable_grad", "inference_mode") for name in names)


def _filled(node: ast.AST) -> str | None:
    """The attribute of `self`, or of one of those, that this puts something into."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FILLING:
        held: ast.AST = node.func.value
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        held = node.value
    elif isinstance(node, ast.AugAssign):
        held = node.target
    else:
        return None
    names: list[str] = []
    while isinstance(held, ast.Attribute):
        names.append(held.attr)
        held = held.value
    is_own = isinstance(held, ast.Name) and held.id == "self" and 0 < len(names) <= 2
    return ".".join(reversed(names)) if is_own else None


def _is_bound(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """Is this an attribute of `self` that gets a value?"""
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Store):
        return False
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _declarations(node: ast.ClassDef) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for part in walk(node):
        if isinstance(part, ast.AnnAssign):
            target = part.target
            if isinstance(target, ast.Name) and part in node.body:
                found[target.id] = part.annotation
            elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
                found.setdefault(target.attr, part.annotation)
    return found
