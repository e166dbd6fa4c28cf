"""Objects of which only the class is known, by an annotation: `actor: Actor` in a class, or `def f(net: Net)`."""

from __future__ import annotations

import ast
from collections.abc import Set
from typing import TYPE_CHECKING

from gradls.flow import class_text, classes, hierarchy
from gradls.flow.beforehand import beforehand
from gradls.flow.imports import attribute, looked_at
from gradls.flow.run import Scope
from gradls.flow.values import Class, Function, Imported, Instance, Value

if TYPE_CHECKING:
    from gradls.flow.chapters import Chapter
    from gradls.flow.run import Run

MOST_STEPS = 3_000
"""What making one such object may take."""


def of_attribute(run: Run, cls: Class, name: str) -> Instance | None:
    """The object that the attribute `name` of an object holds, as the class or a base declares it."""
    for base in hierarchy.linearize(cls):
        if isinstance(base, Class):
            annotation = class_text.declarations(base).get(name)
            if annotation is not None:
                return of_annotation(run, annotation, base.scope)
    return None


def of_annotation(run: Run, annotation: ast.expr, scope: Scope) -> Instance | None:
    """An object of the class of the program that an annotation names; `None` beside it does not count."""
    if not run.alone:
        return None
    cls = _named(run, _plain(annotation), scope)
    return _made(run, cls) if isinstance(cls, Class) else None


def _plain(annotation: ast.expr | None) -> ast.expr | None:
    """`C` of `C | None`, `Optional[C]` and `"C"`."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return _plain(ast.parse(annotation.value, mode="eval").body)
        except SyntaxError:
            return None
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        parts = [part for part in (annotation.left, annotation.right) if not _is_none(part)]
        return _plain(parts[0]) if len(parts) == 1 else None
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        return _plain(annotation.slice) if annotation.value.id == "Optional" else None
    return annotation


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _named(run: Run, annotation: ast.expr | None, scope: Scope) -> Value | None:
    if isinstance(annotation, ast.Name):
        fields = scope.find(annotation.id)
        return looked_at(run, fields[annotation.id]) if fields is not None else None
    if isinstance(annotation, ast.Attribute):
        module = _named(run, annotation.value, scope)
        return attribute(run, module, annotation.attr) if type(module) is Imported else None
    return None


def _made(run: Run, cls: Class) -> Instance | None:
    """The one object that stands for all of a class: made with arguments of which nothing is known."""
    if cls not in run.declared:
        run.declared[cls] = None, run.chapter
        if _has_state(cls) and run.files[cls.source].about_tensors:
            run.declared[cls] = _make(run, cls)
    instance, making = run.declared[cls]
    run.read.update(making.read)
    run.chapter.asked |= making.asked
    run.chapter.switched_off |= making.switched_off
    return instance


def forget(run: Run, edited: Set[ast.AST]) -> None:
    """Other statements have come into `edited`: objects that were made by running these are to be made anew."""
    for cls in [cls for cls, (_, making) in run.declared.items() if not edited.isdisjoint(making.read)]:
        del run.declared[cls]


def _has_state(cls: Class) -> bool:
    """Is there an `__init__` to say what the object holds? The class may be an interface or a record."""
    return isinstance(hierarchy.find_in_class(cls, "__init__")[0], Function)


def _make(run: Run, cls: Class) -> tuple[Instance, Chapter]:
    """Make the object as if that was done before anything else: what happens on the way is told elsewhere.

    Also what was found out on the way.
    """
    from gradls.flow.roots import arguments

    init, _ = hierarchy.find_in_class(cls, "__init__")
    assert isinstance(init, Function)
    made: Value | None = None
    chapter = run.chapter
    run.begin(cls.node)
    try:
        with beforehand(run, MOST_STEPS, alone=run.alone):
            made = classes.instantiate(run, cls, arguments(run, init, True))
    finally:
        making = run.end()
        run.resume(chapter)
    instance = made if isinstance(made, Instance) else Instance(run.state, cls)
    # It may be an object of a class that derives from this one, and anybody may have changed it.
    instance.open = True
    instance.data["declared"] = True
    instance.fields["*escaped"] = True
    return instance, making
