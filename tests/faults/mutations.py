"""Texts as no editor, no keyboard and no disk should leave them: mutations of real ones."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

TOKEN = re.compile(r"\w+|\s+|'''|\"\"\"|[^\w\s]")

STRANGE = [
    *("\0", "\ufeff", "\r", "\r\n", "\n\r", "\f", "\v", "\x1c", "\x1d", "\x85", "\u2028", "\u2029", "\xa0", "\u3000"),
    *("\ud800", "\udfff", "\ud83d\ude00", "😀", "𝕏", "é", "e\u0301", "\u202e", "\u200b", "\x1a", "\x7f", "ﬁ", "İ", "ß"),
    *("\\", "\\\n", "\\\r\n", "\t", " \t", "\t ", "#", "'", '"', "'''", '"""', "f'{", "f'''{", "rb'", "{", "}", "("),
    *(
        ")",
        "[",
        "]",
        ":",
        ";",
        ",",
        "=",
        ":=",
        "->",
        "@",
        "**",
        "*",
        "...",
        "!",
        "$",
        "?",
        "`",
        "lambda",
        "yield",
        "await",
    ),
    *("0x", "1e9999", "9" * 400, "1_", "0o9", "1if 1else 2", "async", "match", "case", "type", "lazy", "not", "del"),
]

NEWER = [
    "type X = int\n",
    "type Y[T: int = str, *Ts, **P] = dict[T, Y]\n",
    "def newer[T: (int, str), *Ts, **P](x: T, *args: *Ts) -> T:\n    return x.detach()\n",
    "class Newer[T = int](Base[T]):\n    def f[U](self, x: U) -> T: return x\n",
    "s = f'{'a' + f'{x!r:>{10}}' + \"b\"}'\n",
    "s = f'{\n  x  # why\n  + 1\n}'\n",
    "s = f'''{'\\n'.join(a)} {f\"{f'{1}'}\"}'''\n",
    "try:\n    x()\nexcept A, B:\n    pass\n",
    "try:\n    x()\nexcept* A, B:\n    pass\n",
    "try:\n    x()\nfinally:\n    return 1\n",
    "s = t'{x!r:>{w}} and {t'{y}'}'\n",
    "lazy import torch\n",
    "lazy from torch import nn as n\n",
    "with (open(a) as b, open(c) as d,):\n    pass\n",
    "x = [*a for a in b]\ny = {**a for a in b}\n",
    "for x in *a, *b: pass\n",
    "def f(x, /, y, *, z): return x[*y, 1:2]\n",
    "match x:\n    case {'a': [1, *_], **rest} if rest: pass\n    case A(b=1) | None as z: pass\n",
    "async def f():\n    async with a as b, c: pass\n    return [await x async for x in y]\n",
    "print 'old'\nexec 'x' in y\nraise A, 'b'\nx = 0777 <> 1L\n",
    "@(yield x)\n@a[b](c).d\ndef f(): pass\n",
]

BLOCKS = ["if x:", "for x in y:", "while x:", "with x:", "try:", "def f(x):", "class C(C):", "else:", "match x:"]
BRACKETS = [
    *(("(", ")"), ("[", "]"), ("{", "}"), ("f(", ")"), ("x[", "]"), ("-", ""), ("not ", ""), ("x.", ""), ("a+", "")),
    *(("", ".a"), ("", "()"), ("", "[0]"), ("lambda:", ""), ("x if y else ", ""), ("*", ""), ("await ", "")),
    ("{0:", "}"),
]


class Corpus:
    """Real texts, and pieces of them."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = [text for text in texts if text]

    @classmethod
    def of(cls, paths: list[Path], ending: str = ".py", most: int = 400_000) -> Corpus:
        """The files with an ending that `paths` are or hold."""
        files = [file for path in paths for file in (sorted(path.rglob(f"*{ending}")) if path.is_dir() else [path])]
        sizes = [file for file in files if file.name.endswith(ending) and file.is_file() and file.stat().st_size < most]
        return cls([file.read_text("utf-8", "replace") for file in sizes])

    def whole(self, chance: random.Random) -> str:
        return chance.choice(self.texts)

    def piece(self, chance: random.Random, most: int = 60) -> str:
        """Some lines of a text, from where one is not indented."""
        lines = self.whole(chance).splitlines(keepends=True)
        start = chance.randrange(len(lines))
        while start > 0 and lines[start][:1].isspace():
            start -= 1
        return "".join(lines[start : start + chance.randint(1, most)])


Mutation = Callable[[str, random.Random], str]
MUTATIONS: list[Mutation] = []


def _mutation(function: Mutation) -> Mutation:
    MUTATIONS.append(function)
    return function


def _tokens(text: str, chance: random.Random) -> tuple[list[str], int]:
    found = TOKEN.findall(text) or [""]
    return found, chance.randrange(len(found))


@_mutation
def token_deleted(text: str, chance: random.Random) -> str:
    tokens, at = _tokens(text, chance)
    del tokens[at : at + chance.choice([1, 1, 1, 2, 5])]
    return "".join(tokens)


@_mutation
def token_doubled(text: str, chance: random.Random) -> str:
    tokens, at = _tokens(text, chance)
    tokens[at:at] = tokens[at : at + chance.choice([1, 1, 3, 20])] * chance.choice([1, 1, 2])
    return "".join(tokens)


@_mutation
def tokens_swapped(text: str, chance: random.Random) -> str:
    tokens, at = _tokens(text, chance)
    other = chance.randrange(len(tokens))
    tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens)


@_mutation
def truncated(text: str, chance: random.Random) -> str:
    return text[: chance.randint(0, len(text))]


@_mutation
def beginning_lost(text: str, chance: random.Random) -> str:
    return text[chance.randint(0, len(text)) :]


@_mutation
def something_strange(text: str, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(STRANGE) * chance.choice([1, 1, 1, 3]) + text[at:]


@_mutation
def something_random(text: str, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    most = chance.choice([0x80, 0x100, 0x3000, 0x11_0000])
    return text[:at] + "".join(chr(chance.randrange(most)) for _ in range(chance.randint(1, 6))) + text[at:]


@_mutation
def something_newer(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at = chance.randint(0, len(lines))
    margin = re.match(r"\s*", lines[at])[0].rstrip("\r\n") if at < len(lines) and chance.random() < 0.7 else ""  # type: ignore[index]
    lines[at:at] = [margin + line for line in chance.choice(NEWER).splitlines(keepends=True)]
    return "".join(lines)


@_mutation
def line_ends(text: str, chance: random.Random) -> str:
    end = chance.choice(["\r\n", "\r", "\n\n", "\n\r", "\f\n", "\x0b\n"])
    if chance.random() < 0.5:
        return text.replace("\n", end)
    lines = text.splitlines(keepends=True)
    return "".join(line.replace("\n", end) if chance.random() < 0.2 else line for line in lines)


@_mutation
def byte_order_mark(text: str, chance: random.Random) -> str:
    return "\ufeff" * chance.choice([1, 1, 2]) + text


@_mutation
def lines_moved(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at, count = chance.randint(0, len(lines)), chance.randint(1, 6)
    block = lines[at : at + count]
    if chance.random() < 0.7:
        del lines[at : at + count]
    to = chance.randint(0, len(lines))
    lines[to:to] = block
    return "".join(lines)


@_mutation
def indentation_changed(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if not lines:
        return " "
    at = chance.randrange(len(lines))
    margin = chance.choice([" ", "\t", "    ", "\f", " \t ", ""])
    for index in range(at, min(len(lines), at + chance.choice([1, 1, 4]))):
        lines[index] = margin + (lines[index] if margin else lines[index].lstrip(" \t"))
    return "".join(lines)


@_mutation
def deeply_nested(text: str, chance: random.Random) -> str:
    depth = chance.choice([5, 30, 95, 105, 250])
    opening, closing = chance.choice(BRACKETS)
    inner = opening * depth + "x" + closing * chance.choice([depth, depth, depth - 1, depth + 1])
    at = chance.randint(0, len(text))
    return text[:at] + inner + text[at:]


@_mutation
def blocks_within_blocks(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at = chance.randint(0, len(lines))
    depth = chance.choice([5, 15, 25, 60, 99, 101])
    block = chance.choice(BLOCKS)
    nested = [f"{' ' * n}{block if chance.random() < 0.9 else chance.choice(BLOCKS)}\n" for n in range(depth)]
    lines[at:at] = [*nested, f"{' ' * depth}pass\n"]
    return "".join(lines)


@_mutation
def strings_within_strings(text: str, chance: random.Random) -> str:
    at = chance.randint(0, len(text))
    depth = chance.choice([2, 5, 60, 200])
    quotes = chance.choice(["'", '"', "'''"])
    return text[:at] + f"f{quotes}{{" * depth + "x" + f"}}{quotes}" * depth + text[at:]


@_mutation
def of_another(text: str, chance: random.Random) -> str:
    at, end = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
    return text[:at] + text[end:] + text[at:end]


def mutated(text: str, chance: random.Random) -> str:
    """`text` after one to four mutations."""
    for _ in range(chance.choice([1, 1, 1, 2, 2, 4])):
        text = chance.choice(MUTATIONS)(text, chance)
    return text


STRANGE_BYTES = [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\xed\xa0\x80", b"[" * 3000, b"1e999"]


def mutated_bytes(data: bytes, chance: random.Random) -> bytes:
    """`data` after one to four mutations of bytes."""
    found = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at, how = chance.randint(0, len(found)), chance.randrange(6)
        if how == 0:
            del found[at : at + chance.choice([1, 1, 2, 9])]
        elif how == 1:
            found[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
        elif how == 2:
            del found[at:]
        elif how == 3:
            found[at:at] = found[at : at + chance.randint(1, 40)]
        elif how == 4 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        else:
            found[at:at] = chance.choice(STRANGE_BYTES)
    return bytes(found)
