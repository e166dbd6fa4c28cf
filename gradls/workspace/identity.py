"""What makes a finding the same one after edits elsewhere in its file: the code that it is about, and the function or
class that this code is in, but no line number."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import tokenize
from typing import NamedTuple

from gradls.rules.finding import Finding
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines

MOST_CHARACTERS = 160
"""So much of its code identifies a finding."""

_Scope = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SPACE = re.compile(r"\s+")
_NEEDLESS_SPACE = re.compile(r"(?<!\w) | (?!\w)")
_LAST_COMMA = re.compile(r",+(?=[)\]}])")


class Identity(NamedTuple):
    """`scope` is the function or class around a finding, as `Net.forward`, or empty. `snippet` is its code on one line,
    written in the way that no formatter changes, or the beginning of it."""

    scope: str
    snippet: str


def identity(finding: Finding) -> Identity:
    """What identifies `finding` in its file, besides its rule."""
    source, node = finding.place
    return Identity(_scope(source, node), plain(_code(source, node))[:MOST_CHARACTERS])


def plain(code: str) -> str:
    """`code` without what formatters change: line ends, blanks, comments, the kind of quotes, last commas."""
    if "#" in code:
        code = _without_comments(code)
    code = _SPACE.sub(" ", code.replace("\\\n", " ")).strip().replace("'", '"')
    return _LAST_COMMA.sub("", _NEEDLESS_SPACE.sub("", code))


def fingerprint(path: str, rule: str, identity: Identity, number: int) -> str:
    """A name of 32 hexadecimal digits for a finding of the code `rule` in the file `path`, which is the `number`th from
    0 of those that are identified equally."""
    parts = json.dumps([path, rule, *identity, number])
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def _scope(source: Source, node: ast.AST) -> str:
    names = [around.name for around in source.parents(node) if isinstance(around, _Scope)]
    return ".".join(reversed(names))


def _code(source: Source, node: ast.AST) -> str:
    """The text of a node; of a statement that has others in it, its header."""
    body = getattr(node, "body", None)
    if not isinstance(body, list) or not body or not hasattr(node, "lineno"):
        return source.segment(node)
    start, end = source.span(node), source.span(body[0])
    if start.line == end.line:
        return source.lines[start.line - 1][start.column - 1 : end.column - 1]
    return "".join([source.lines[start.line - 1][start.column - 1 :], *source.lines[start.line : end.line - 1]])


def _without_comments(code: str) -> str:
    lines = split_lines(f"({code}\n)")  # in brackets, so that it goes on after a line
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO("".join(lines)).readline))
    except (tokenize.TokenError, SyntaxError):
        return code
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column] + "\n"
    return "".join(lines)[1:-1]
