"""Random edits of a text.

`python -m tests.syntax.random_edits 50000` makes so many of them, and checks the tree after each.
"""

from __future__ import annotations

import random
import sys

from gradls.syntax.source import Source
from gradls.syntax.text import split_lines
from tests.syntax.editing import check
from tests.syntax.typing_simulation import TORCH

MIXED = '''"""doc"""
import x
from y import (a,
   b)

X = [1,
     2]; Y = 3

@deco
def f(a, b=1):
    """doc"""
    if a:
        return 1
    else:
        return 2

class A(B):
    """docs
    more
    """
    # c
    y = 1; z = 2

    @prop
    def f(self):
        return f"{self.a} {self.b!r}"

    @a.b
    # between
    async def g(self, *, k):
        for i in k:
            x = """
  text # no
"""
        else:
            pass
        return x
    class I:
        w = 1

class E: pass

if X:
    def q(): pass
else:
    q = 1
class Z(object):
    def a(self): return 1
    def b(self): return (1,
  2)

try:
    pass
except E:
    pass
finally: pass
'''
FILES = ["nn/modules/pixelshuffle.py", "nn/modules/flatten.py", "nn/modules/distance.py", "nn/modules/linear.py"]

PIECES = [
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        "'''",
        '"""',
        ":",
        "=",
        "x",
        " ",
        "#",
        ";",
        ",",
        "\\",
        "\t",
        "1",
        ".",
        "é",
    ),
    *("@", " if ", "not ", "\x0c", "\0"),
]
LINES = [
    *(
        "x = 1\n",
        "    y = 2\n",
        "        return x\n",
        "else:\n",
        "    else:\n",
        "(\n",
        ")\n",
        "'''\n",
        '"""\n',
        "@deco\n",
    ),
    *("    @deco\n", "def f(a):\n    return a\n", "    def g(self):\n        return 1\n", "class K:\n", "# comment\n"),
    *(
        "class K(A):\n    z = 1\n",
        "    # comment\n",
        "\n",
        "   \n",
        "x = \\\n",
        "\\\n",
        "if x:\n",
        "try:\n",
        "\f\n",
        "\tx\n",
    ),
    *("    if x:\n        pass\n", "except E:\n    pass\n", "a; b; c\n", "a = '''x\n  y\n''' ; b\n", "for i in y\n"),
    *("    for i in y:\n        z\n", "    x = foo(\n", "é = 'ü€'  # ä\n", "f'{a}{b!r:>{w}}'\n", "f'''{\na}\n{b}'''\n"),
    *(
        "\x0cdef ff(): pass\n",
        "async def h():\n    await x\n",
        "match a:\n    case 1:\n        pass\n",
        "    case 2:\n",
    ),
    *("lambda: (yield)\n", "\ufeffx\n", "a\0b\n", "'\ud800'\n", "print 1\n", "if 1: x\n", "class Q: y = 1\n"),
    *(
        "class W: pass;\n",
        "    u = 1;\n",
        "    u = 1; v = 2\n",
        "    x = 1; \\\n\n",
        "class V(\n    B,\n):\n    # c\n    n = 1\n",
    ),
]


def changed_line(line: str, chance: random.Random) -> str:
    core = line.rstrip("\r\n")
    end = line[len(core) :]
    column = chance.randint(0, len(core))
    how = chance.randrange(10)
    if how < 4:
        return core[:column] + chance.choice(PIECES) + core[column:] + end
    if how < 7:
        return core[:column] + core[column + chance.randint(1, 4) :] + end
    if how == 7:
        return core[:column] + end
    if how == 8:
        return chance.choice([" ", "    ", "\t", "  "]) + line
    return line[chance.randint(1, 4) :] if line[:1] == " " else line


def edited(lines: list[str], chance: random.Random, history: list[list[str]]) -> list[str]:
    """The lines after something that a user might do."""
    lines = list(lines)
    at = chance.randrange(len(lines)) if lines else 0
    some = chance.randint(1, 12)

    def type_() -> None:
        lines[at : at + 1] = [changed_line(line, chance) for line in lines[at : at + 1]]

    def insert() -> None:
        lines[at:at] = [chance.choice(LINES)]

    def delete() -> None:
        del lines[at : at + chance.choice([1, 1, 1, 2, 3, 8])]

    def move() -> None:
        block = lines[at : at + some]
        del lines[at : at + some]
        to = chance.randint(0, len(lines))
        lines[to:to] = block

    def paste() -> None:
        to = chance.randint(0, len(lines))
        lines[to:to] = lines[at : at + some]

    def rename() -> None:
        lines[:] = [line.replace("self", "this", 1) if chance.random() < 0.1 else line for line in lines]

    def scatter() -> None:
        for index in sorted(chance.sample(range(len(lines)), min(3, len(lines))), reverse=True):
            lines[index : index + 1] = chance.choice([[], ["# new\n"], [changed_line(lines[index], chance)]])

    def comment() -> None:
        lines[at : at + 1] = [line.rstrip("\r\n") + "  # c\n" for line in lines[at : at + 1]]

    def ends() -> None:
        end = chance.choice(["\r\n", "\r", "\n"])
        lines[at : at + some] = [line.rstrip("\r\n") + end for line in lines[at : at + some]]

    def indent() -> None:
        lines[at : at + some] = ["    " + line for line in lines[at : at + some]]

    def cut_off() -> None:
        lines[-1:] = [line.rstrip("\r\n") for line in lines[-1:]]

    def undo() -> None:
        lines[:] = chance.choice(history)

    actions = {type_: 40, insert: 18, delete: 10, move: 5, paste: 5, rename: 2, scatter: 8, comment: 8}
    actions |= {ends: 2, indent: 2, cut_off: 1, undo: 5}
    chance.choices(list(actions), list(actions.values()))[0]()
    return split_lines("".join(lines))


def session(text: str, seed: int, count: int) -> int:
    """Edit a text so many times, with a check after each; how many of the texts parsed."""
    chance = random.Random(seed)
    source = Source.read(text)
    first = whole = list(source.lines)
    history = [first]
    parsed = 0
    for _ in range(count):
        new = whole if chance.random() < 0.25 else edited(source.lines, chance, history)
        if len(new) > 1.5 * len(first) + 60:
            new = first
        if chance.random() < 0.02:
            source = Source.read(source.text)  # it may be broken
        tree = source.tree
        source.edit(new)
        assert source.lines == new
        assert source.tree is tree
        history = [*history[-8:], new]
        if check(source):
            parsed += 1
            whole = new if chance.random() < 0.7 else whole
    return parsed


def texts(seed: int) -> str:
    """One of several texts, with one of the ways in which lines may end, and begin."""
    chosen = [MIXED, *FILES][seed % (len(FILES) + 1)]
    text = chosen if chosen is MIXED else (TORCH / chosen).read_text(encoding="utf-8")
    if seed % 7 == 6:
        text = text.replace("\n", "\r\n")
    return "\ufeff" + text if seed % 11 == 10 else text


def main() -> None:
    wanted = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    done = parsed = 0
    while done < wanted:
        try:
            parsed += session(texts(seed), seed, 200)
        except BaseException:
            print(f"after {done} edits, with seed {seed}:")
            raise
        done += 200
        seed += 1
    print(f"{done} edits; {parsed} of the texts parsed")


if __name__ == "__main__":
    main()
