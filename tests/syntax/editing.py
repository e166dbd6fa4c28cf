"""What has to be true of a text that is edited in place."""

from __future__ import annotations

import ast

from gradls.syntax.gaps import statements
from gradls.syntax.source import Source
from gradls.syntax.text import readable


def names(node: ast.AST) -> str:
    """A name for what may have another body."""
    return "module" if isinstance(node, ast.Module) else getattr(node, "name", "")


def body_of(node: ast.AST) -> list[ast.stmt] | None:
    return getattr(node, "body", None)


def check(source: Source) -> bool:
    """That the tree is that of the text if the text parses, and whether it does."""
    fresh = statements(readable(list(source.lines), True), False, 1)
    if isinstance(fresh, SyntaxError):
        assert source.problems
        assert all(1 <= problem.line <= len(source.lines) for problem in source.problems)
        return False
    assert not source.problems
    read = Source("<fresh>", source.lines, ast.Module(body=fresh, type_ignores=[]), [])
    assert told(source) == told(read)
    return True


def told(source: Source) -> list[object]:
    """All that there is to a tree, with the real lines."""
    found: list[object] = []
    stack: list[object] = [source.tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.AST):
            found.append(type(node).__name__)
            if hasattr(node, "lineno"):
                ends = (node.lineno, node.end_lineno)  # type: ignore[attr-defined]
                found.append([source._line(end) for end in ends])
                found.append((node.col_offset, node.end_col_offset))  # type: ignore[attr-defined]
            stack += [getattr(node, name, None) for name in node._fields]
        elif isinstance(node, list):
            found.append(len(node))
            stack += node
        else:
            found.append((type(node), repr(node)))
    return found
