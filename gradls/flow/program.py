"""The files of the program: the one under analysis, and those that it imports, as far as their names are looked at."""

from __future__ import annotations

import ast
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from gradls.flow.names import ImportedFile, Names
from gradls.flow.outline import names_of, outline
from gradls.flow.state import Fields
from gradls.flow.values import Value, host
from gradls.syntax.source import Source

if TYPE_CHECKING:
    from gradls.flow.run import Run, Scope

MOST_STEPS_A_NAME = 4_000
"""Statements and expressions that finding out about one name of an imported file may take."""


class Seen:
    """What was looked at in a file that is imported."""

    __slots__ = ("asked", "read", "run")

    def __init__(self) -> None:
        self.run: set[ast.stmt] = set()
        """The statements that were run."""
        self.asked: dict[str, tuple[ast.stmt, ...] | tuple[str, ...]] = {}
        """The names that somebody wanted, each with the statements that make it; `*`: the names that there are."""
        self.read: dict[ast.AST, Source] = {}
        """The functions of which the bodies were seen when statements were run."""

    def add(self, other: Seen) -> None:
        """Add what was looked at at another time."""
        self.run |= other.run
        self.asked.update(other.asked)
        self.read.update(other.read)

    def may_differ(self, source: Source, blocks: Collection[ast.AST]) -> bool:
        """After other statements have come into `blocks` of the tree of `source`, or of the tree of another file: may
        what was found out about `source` be otherwise?"""
        if any(block in self.read or block in self.run for block in blocks):
            return True
        return source.tree in blocks and any(asked != behind(source, name) for name, asked in self.asked.items())


def behind(source: Source, name: str) -> tuple[ast.stmt, ...] | tuple[str, ...]:
    """The statements of a file that make a name what it is; for `*` the names that it gives, for a name that it
    does not make the modules of which it imports all names."""
    if name == "*":
        return tuple(names_of(source))
    return tuple(source.tree.body[number] for number in outline(source).behind(name)) or outline(source).stars


class File:
    """A file of the program: its names, and what it knows about those that it imports."""

    __slots__ = ("about_tensors", "imported", "names", "scope", "seen", "source")

    def __init__(self, source: Source, names: Names, scope: Scope, imported: bool = False) -> None:
        self.source = source
        self.names = names
        self.scope = scope
        self.imported = imported
        """It is not the file under analysis, which runs from its first line on."""
        self.about_tensors = "torch" in source.text
        self.seen = Seen()


def is_stub(source: Source) -> bool:
    """Whether a file says what there is, and not what that does."""
    return source.path.endswith(".pyi")


def file_of(run: Run, imported: ImportedFile) -> File:
    """The file that an import names."""
    from gradls.flow.run import Scope

    if imported.path == run.source.path:
        return run.file
    file = run.files.get(imported.source)
    if file is None:
        fields = Fields(run.state, {"__name__": host("imported")})
        scope = Scope(fields, None, "module")
        file = File(imported.source, imported.names, scope, imported=True)
        scope.pending = partial(_bind, run, file)
        run.files[imported.source] = file
    return file


def member(run: Run, file: File, name: str) -> Value | None:
    """What `name` is in a file; None if nothing there binds it, or its value is being found out just now."""
    if not file.imported:
        return file.scope.fields.get(name)
    return file.scope.fields[name] if file.scope.find(name) is not None else None


def names_in(run: Run, file: File, seen: tuple[File, ...] = ()) -> list[str]:
    """The names that `from file import *` gives."""
    names = names_of(file.source)
    file.seen.asked["*"] = tuple(names)
    if outline(file.source).public is None and file not in seen:
        for star in outline(file.source).stars:
            found = file.names.find(star)
            if found is not None:
                names += names_in(run, file_of(run, found), (*seen, file))
    return names


def _bind(run: Run, file: File, name: str) -> bool:
    """Run what makes a name of an imported file what it is; whether there is such a name."""
    if file.seen.asked.get(name) == ():
        return False
    body = file.source.tree.body
    makes = tuple(body[number] for number in outline(file.source).behind(name))
    file.seen.asked[name] = makes or outline(file.source).stars
    todo = [statement for statement in makes if statement not in file.seen.run]
    if todo:
        _run_statements(run, file, todo)
        return name in file.scope.fields
    for star in outline(file.source).stars:
        imported = file.names.find(star)
        if imported is None:
            continue
        other = file_of(run, imported)
        found = member(run, other, name) if other is not file else None
        if found is not None:
            file.scope.fields[name] = found
            return True
    return False


def _run_statements(run: Run, file: File, statements: list[ast.stmt]) -> None:
    """Run statements of another file, as the import of it did before anything here: nothing here is their doing, and
    no branch taken here undoes them."""
    from gradls.flow.beforehand import beforehand
    from gradls.flow.run import Frame
    from gradls.flow.statements import exec_block

    file.seen.run.update(statements)
    read, run.read = run.read, file.seen.read
    # A frame of its own: one statement may ask for another while it is in the middle of a class.
    try:
        with beforehand(run, MOST_STEPS_A_NAME, Frame(file.scope, run.state.mark(), file)):
            exec_block(run, statements)
    finally:
        run.read = read
