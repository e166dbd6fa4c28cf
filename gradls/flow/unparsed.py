"""Statements that do not parse, such as `loss = <YOUR CODE>`: nobody knows what will stand there.

A `pass` stands in for them in the tree. What they seem to bind is unknown from there on, what they mention may have
been changed; and if they mention nothing that is known they may do anything to the names around them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from gradls.flow import calls
from gradls.flow.hierarchy import is_module_path
from gradls.flow.run import Run, Scope
from gradls.flow.values import Choice, Host, Instance, Mapping, Sequence, Tensor, Value
from gradls.syntax.walk import walk

_OBJECTS = (Tensor, Instance, Host, Sequence, Mapping, Choice)

_STRING_OR_COMMENT = re.compile(r"#[^\n]*|'[^'\n]*'|\"[^\"\n]*\"")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_DEFINED = re.compile(r"\s*(?:@[^\n]*\n\s*)*(?:async\s+def|def|class)\s+(\w+)")
_TARGET = r"[A-Za-z_][\w.]*"
_ASSIGNED = re.compile(rf"\s*\(?({_TARGET}(?:\s*,\s*{_TARGET})*),?\)?\s*(?::[^=]*)?[-+*/%@&|^<>]*=(?!=)")
_LOOPED = re.compile(rf"\s*(?:async\s+)?for\s+\(?({_TARGET}(?:\s*,\s*{_TARGET})*)")
_NAMED = re.compile(r"\bas\s+(\w+)")
_HARMLESS = re.compile(r"\s*(?:(?:print|import|from|assert|global|nonlocal)\b|>>>|<<<<<<< |=======\s*$|>>>>>>> )")
_OF_BASE = re.compile(r"\bsuper\b|\b__init__\b")
_BEGINNING = re.compile(r"\s*[\w\"'(\[{)\]}@*.~-]")


def written_instead(run: Run, statement: ast.Pass) -> str:
    """The text that a `pass` stands in for; empty if it is one, here or in an older text that stands in for a broken
    one."""
    source = run.frame.file.source
    problems = source.problems
    if not problems or source.segment(statement) == "pass":
        return ""
    line = source.line(statement)
    for problem in problems:
        gap = problem.gap
        if gap is not None and gap.start < line <= gap.end and "".join(gap.lines).strip() == "pass":
            return "".join(source.lines[gap.start : gap.end])
    return ""


def execute(run: Run, statement: ast.Pass, text: str) -> bool:
    """What a statement with this text may do; False if it does not come to its end."""
    code = _STRING_OR_COMMENT.sub("", text)
    if not _HARMLESS.match(code):
        # Whatever is not seen to happen may happen here.
        run.chapter.unfinished = True
    defined = _DEFINED.match(code.lstrip("\n"))
    if defined:
        _forget(run, defined[1])
        return True
    if _HARMLESS.match(code):
        return True
    known = any(run.frame.scope.find(name) is not None for name in _NAME.findall(code))
    receiver = run.frame.receiver
    if isinstance(receiver, Instance) and (not known or _OF_BASE.search(code)):
        # Nobody knows what a base class makes of it.
        receiver.open = True
        known = known or bool(_OF_BASE.search(code))
    _hand_over(run)
    targets = list(_targets(code))
    for target in targets:
        _forget(run, target)
    if "yield" in code:
        run.frame.yields.append(run.unknown("syntax"))
    if code.lstrip().startswith("return"):
        return _leave(run)
    if targets or (known and all(map(_BEGINNING.match, filter(str.strip, code.split("\n"))))):
        return True
    return _anything(run, statement)


def _targets(code: str) -> Iterator[str]:
    for line in code.split("\n"):
        found = _LOOPED.match(line) or _ASSIGNED.match(line)
        if found:
            yield from re.findall(_TARGET, found[1])
        yield from _NAMED.findall(line)


def _forget(run: Run, target: str) -> None:
    """What a name, or an attribute of what has a name, is from here on is not known."""
    first, *rest = target.split(".")
    scope = run.frame.scope
    if not rest:
        run.state.set(scope.redirect.get(first, scope).fields, first, run.unknown("syntax", first))
        return
    fields = scope.find(first)
    if fields is not None and isinstance(fields[first], Instance) and len(rest) == 1:
        run.state.set(fields[first].fields, rest[0], run.unknown("syntax", rest[0]))
    elif fields is not None and isinstance(fields[first], Tensor):
        run.state.set(fields[first].fields, "requires_grad", None)
        run.state.set(fields, first, run.unknown("syntax", first))


def _hand_over(run: Run) -> None:
    """Code that may use every name that is visible has all that these are."""
    scope: Scope | None = run.frame.scope
    while scope is not None:
        for value in list(scope.fields.values()):
            if isinstance(value, _OBJECTS):
                calls.escape(run, value)
        scope = scope.parent


def _anything(run: Run, statement: ast.Pass) -> bool:
    """It may change what every name is, and return."""
    _shake_all(run)
    scope = run.frame.scope
    if scope.kind != "function":
        return True
    return run.fork([(statement, True, lambda: _leave(run)), (statement, False, lambda: True)])


def anything(run: Run, statement: ast.stmt) -> None:
    """A statement of the module does what nobody knows."""
    run.chapter.unfinished = True
    _hand_over(run)
    _shake_all(run)
    forget_targets(run, statement)


def forget_targets(run: Run, statement: ast.stmt) -> None:
    """What the names are that a statement binds, or sets attributes of, is not known."""
    for node in walk(statement):
        if isinstance(node, (ast.Name, ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            inner: ast.AST = node
            while isinstance(inner, (ast.Attribute, ast.Subscript)):
                inner = inner.value
            if isinstance(inner, ast.Name):
                _forget(run, inner.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _forget(run, node.name)
        elif isinstance(node, ast.alias):
            _forget(run, node.asname or node.name.partition(".")[0])


def _shake_all(run: Run) -> None:
    """What the names around a statement are is not known."""
    scope, seen = run.frame.scope, set[int]()
    for name, value in list(scope.fields.items()):
        if isinstance(name, str) and isinstance(value, _OBJECTS):
            _shake(run, value, seen)
            run.state.set(scope.fields, name, run.unknown("syntax", name))


def _shake(run: Run, value: Value, seen: set[int], within_layer: bool = False) -> None:
    """Of the lists and dictionaries that an object holds nobody knows what is in them, and whether leaves require grad.
    What layers of PyTorch consist of is not changed that easily."""
    if id(value) in seen:
        return
    seen.add(id(value))
    held: list[object] = []
    if isinstance(value, Tensor):
        if value.leaf is True:
            run.state.set(value.fields, "requires_grad", None)
    elif isinstance(value, Instance):
        within_layer = is_module_path(value.path)
        held = list(value.fields.values())
    elif isinstance(value, Sequence):
        held = list(value.items)
        if value.kind == "list" and not within_layer:
            run.state.set(value.fields, "items", ())
            run.state.set(value.fields, "rest", run.unknown("element"))
    elif isinstance(value, Mapping):
        held = list(value.entries.values())
        for key in list(value.entries) if not within_layer else ():
            run.state.drop(value.entries, key)
            run.state.set(value.fields, "rest", run.unknown("element"))
    for part in held:
        if isinstance(part, _OBJECTS):
            _shake(run, part, seen, within_layer)


def _leave(run: Run) -> bool:
    frame = run.frame
    frame.ends.append(run.path)
    frame.exits.append((run.state.peek(frame.mark) if frame.forks else None, run.unknown("syntax")))
    frame.ways.append(run.state.way())
    return False
