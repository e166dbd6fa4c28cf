"""Programs that Python parses and nobody would write: statements of real ones in branches and loops, expressions in the
place of others. `mutations` makes bad texts; these are bad programs."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator

BLOCKS = (
    "if unknown(): pass",
    "if settings.flag: pass\nelse: pass",
    "for _ in range(3): pass",
    "for _ in unknown(): pass",
    "while unknown(): pass",
    "try: pass\nexcept Exception: pass",
    "with unknown(): pass",
)
VALUES = (
    "unknown", "unknown()", "None", "[]", "{}", "0", "1.5", "'a'", "(1, 2)", "[unknown()]", "lambda *a: a[0]", "torch",
    "self", "torch.ones(2)", "torch.ones(0)", "torch.nn.Linear(2, 2)", "x", "model",
)  # fmt: skip
_WHOLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def rewritten(text: str, other: str, chance: random.Random) -> str:
    """`text` with some of its statements and expressions elsewhere, or with those of another text among them; the text
    itself if that makes none that Python parses. Both have to parse."""
    tree, others = ast.parse(text), ast.parse(other)
    for _ in range(chance.choice((1, 2, 3, 5, 8))):
        chance.choice((_wrap, _wrap, _replace, _insert, _remove, _swap))(tree, others, chance)
    try:
        made = ast.unparse(ast.fix_missing_locations(tree))
        ast.parse(made)
    except (SyntaxError, ValueError, RecursionError, AttributeError):
        return text
    return made


def _wrap(tree: ast.AST, others: ast.AST, chance: random.Random) -> None:
    """Put one to three statements into a block, the other arm of which may be other ones."""
    body = chance.choice(list(_bodies(tree)))
    first = chance.randrange(len(body))
    inner = body[first : first + chance.randint(1, 3)]
    if any(isinstance(statement, _WHOLE) for statement in inner):
        return
    block = ast.parse(chance.choice(BLOCKS)).body[0]
    block.body = inner  # type: ignore[attr-defined]
    if getattr(block, "orelse", None):
        block.orelse = [copy.deepcopy(chance.choice(chance.choice(list(_bodies(tree)))))]  # type: ignore[attr-defined]
    body[first : first + len(inner)] = [block]


def _replace(tree: ast.AST, others: ast.AST, chance: random.Random) -> None:
    """Put another expression in the place of one."""
    places = list(_expressions(tree))
    if not places:
        return
    parent, field, index = chance.choice(places)
    elsewhere = [_at(*place) for place in _expressions(others)]
    if elsewhere and chance.random() < 0.5:
        new = copy.deepcopy(chance.choice(elsewhere))
    else:
        new = ast.parse(chance.choice(VALUES), mode="eval").body
    if index is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[index] = new


def _insert(tree: ast.AST, others: ast.AST, chance: random.Random) -> None:
    body = chance.choice(list(_bodies(tree)))
    body.insert(chance.randrange(len(body)), copy.deepcopy(chance.choice(chance.choice(list(_bodies(others))))))


def _remove(tree: ast.AST, others: ast.AST, chance: random.Random) -> None:
    body = chance.choice(list(_bodies(tree)))
    if len(body) > 1:
        del body[chance.randrange(len(body))]


def _swap(tree: ast.AST, others: ast.AST, chance: random.Random) -> None:
    body = chance.choice(list(_bodies(tree)))
    one, other = chance.randrange(len(body)), chance.randrange(len(body))
    body[one], body[other] = body[other], body[one]


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
                yield body


def _expressions(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Where expressions stand that are read: the node around one, its field, and the index in that if it is a list."""
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            for index, part in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(part, ast.expr) and isinstance(getattr(part, "ctx", ast.Load()), ast.Load):
                    yield node, field, index


def _at(parent: ast.AST, field: str, index: int | None) -> ast.AST:
    found: ast.AST = getattr(parent, field) if index is None else getattr(parent, field)[index]
    return found
