"""Random programs about flags, numbers, texts, lists and dictionaries, which go through most that Python has."""

from __future__ import annotations

from random import Random

from tests.flow.random_programs import Program, Templates

HEAD = """\
import contextlib
import functools
import itertools
import sys

import torch

many = len(sys.argv) > 9
"""
EXPRESSIONS: Templates = {
    "b": (
        "True", "False", "many", "not <b>", "(<b> and <b>)", "(<b> or <b>)", "(<i> < <i>)", "(<i> == <i>)",
        "(<i> in <l>)", "(<b> if <b> else <b>)", "bool(<l>)", "(<s> == <s>)", "any(q > 1 for q in <l>)",
        "all(q != 2 for q in <l>)", "(<s> in <d>)", "(len(<l>) > 1)", "isinstance(<i>, (int, str))", "(<l> == <l>)",
        "(<d>.get(<s>) is None)", "<s>.startswith('a')", "(0 < <i> <= 2)", "(<d>.get(<s>) in <l>)",
    ),
    "i": (
        "-1", "0", "1", "2", "3", "(<i> + <i>)", "(<i> - <i>)", "(<i> // 2)", "(<i> % 3)", "len(<l>)", "sum(<l>)",
        "max(<i>, <i>)", "min([<i>, *<l>])", "(<i> if <b> else <i>)", "<d>.get(<s>, <i>)", "int(<b>)", "(<b> + <i>)",
        "sum(1 for q in <l> if q > 1)", "next((q for q in <l> if q != 1), <i>)", "(lambda q, w=<i>: q - w)(<i>)",
        "functools.reduce(lambda q, w: q * 2 + w, <l>, 0)", "(<i> or <i>)", "(<i> and <i>)", "len(set(<l>))",
    ),
    "s": (
        "'a'", "'b'", "''", "(<s> + <s>)", "<s>.upper()", "'{}-{}'.format(<i>, <i>)", "f'{many}'", "str(<i>)",
        "(<s> if <b> else <s>)", "'-'.join(str(q) for q in <l>)", "(<s> or <s>)",
    ),
    "l": (
        "[]", "[1, 2]", "[2]", "[<i>, <i>]", "list(range(3))", "sorted(<l>)", "sorted(<l>, reverse=True)",
        "[q + 1 for q in <l>]", "[q for q in <l> if <b>]", "[q for q in <l> if q > 1]", "(<l> + <l>)", "<l>[1:]",
        "<l>[::-1]", "list(reversed(<l>))", "list(<d>.values())", "[q + w for q, w in zip(<l>, <l>)]",
        "[q * w for q, w in enumerate(<l>)]", "list(map(lambda q: q - 1, <l>))", "list(filter(lambda q: q > 0, <l>))",
        "(<l> or <l>)", "list(itertools.chain(<l>, <l>))", "[len(q) for q in <d>]", "<l>.copy()",
    ),
    "d": (
        "{}", "{'a': 1}", "{'a': <i>, 'b': <i>}", "{**<d>, 'b': <i>}", "{str(q): q for q in <l>}",
        "dict(<d>, c=<i>)", "{q: w + 1 for q, w in <d>.items()}",
    ),
    "o": (),
}  # fmt: skip
_ON_LISTS = (
    "{}.append(<i>)", "{}.extend(<l>)", "{}.insert(0, <i>)", "{}.sort()", "{}.reverse()", "{}[:] = <l>", "{}.clear()",
    "if {}: {}.pop()", "if {}: {}[0] = <i>", "if {}: del {}[-1]", "if <b>: {}.append(<i>)",
)  # fmt: skip
_ON_DICTIONARIES = (
    "{}[<s>] = <i>", "{}.update(<d>)", "{}.pop(<s>, None)", "{}.setdefault(<s>, <i>)", "{}.clear()",
    "for q in list({}): {}[q] += 1",
)  # fmt: skip
_ON_OBJECTS = (
    "{}.held = <i>", "{}.on = <b>", "setattr({}, 'on', <b>)", "{}.held += 1", "{}.put(<i>)", "{}.turn()",
    "vars({}).update(held=<i>)", "{}.__dict__['on'] = <b>",
)  # fmt: skip
_CLASS = """\
class NAME:
    on = <b>
    def __init__(self, held=<i>):
        self.held = held
        if <b>:
            self.on = <b>
    def put(self, value):
        self.held = value if self.on else -value
    def turn(self):
        self.on = not self.on"""
_TRUTHS = ("    def __bool__(self):\n        return self.on", "    def __len__(self):\n        return abs(self.held)")
_GENERATOR = """\
def NAME(n):
    for q in range(n):
        if q == 1 and <b>:
            LEFT
        yield q
    yield from [5, 6]"""
_DECORATED = """\
def around_NAME(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        if <b>:
            return <i>
        return function(*args, **kwargs) + 1
    return inner
@around_NAME
def NAME(v, k=1):
    return v * k"""
_MAY_RAISE = ("if <b>: raise ValueError", "int(<s>)", "<d>['a']", "<l>[1]", "assert <b>", "1 // <i>")
_CAUGHT = "except (ValueError, LookupError, AssertionError, ArithmeticError):"


class Plain(Program):
    """One of them; `text` is complete when it is made."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, EXPRESSIONS)
        self.local: tuple[str, ...] | None = None
        """The names that may be given a value, within a function."""
        for _ in range(random.randint(4, 12)):
            self.statement()

    def statement(self) -> None:
        kinds = [self.assign] * 4
        if self.indent < 3:
            kinds += [self.branch, self.branch, self.loop, self.attempt, self.suppressed, self.choose, self.change]
        if self.indent == 0:
            kinds += [self.function, self.function, self.make_class, self.generator, self.decorated]
        self.random.choice(kinds)()

    def assign(self) -> None:
        sort = self.random.choice("bbiisld")
        name = self.known(sort)
        if name is None or (self.indent == 0 and self.random.random() < 0.5):
            if self.indent == 0:
                name = self.name(sort)
                self.write(f"{name} = {self.expression(sort)}")
                self.names[sort].append(name)
        elif self.local is None or name in self.local:
            self.write(f"{name} = {self.expression(sort)}")

    def branch(self) -> None:
        self.block(f"if {self.expression('b')}:", self.statement)
        if self.random.random() < 0.5:
            self.block("else:", self.statement)

    def loop(self) -> None:
        if self.random.random() < 0.3:
            count = self.name("k")
            self.write(f"{count} = 0")
            self.block(f"while {count} < {self.random.randint(0, 3)}:", self.statement)
            self.end_block(f"{count} += 1")
            return
        element = self.name("i")
        self.block(self.fill(f"for {element} in list(<l>):"), self.statement)
        if self.random.random() < 0.3:
            self.end_block(self.fill("if <b>: break"))

    def attempt(self) -> None:
        self.block("try:", self.statement)
        self.end_block(self.fill(self.random.choice(_MAY_RAISE)))
        self.block(_CAUGHT, self.statement)
        if self.random.random() < 0.3:
            self.block("finally:", self.statement)

    def suppressed(self) -> None:
        self.block("with contextlib.suppress(ValueError):", self.statement)
        self.indent += 1
        self.write(self.fill("if <b>: raise ValueError"))
        self.statement()
        self.indent -= 1

    def choose(self) -> None:
        self.write(f"match {self.expression(self.random.choice('is'))}:")
        self.indent += 1
        pattern = self.random.choice(("1", "0 | 'a'", "int()", "str()"))
        self.block(f"case {pattern}{self.random.choice(('', self.fill(' if <b>')))}:", self.statement)
        self.block("case _:", self.statement)
        self.indent -= 1

    def change(self) -> None:
        sort, changes = self.random.choice((("l", _ON_LISTS), ("d", _ON_DICTIONARIES), ("o", _ON_OBJECTS)))
        name = self.known(sort)
        if name is not None:
            self.write(self.fill(self.random.choice(changes).replace("{}", name)))

    def function(self) -> None:
        name, number, flag = self.name("function"), self.name("i"), self.name("b")
        self.local = (number, flag)
        shared = self.known("i")
        if shared is not None and self.random.random() < 0.4:
            self.local = (*self.local, shared)
        before = {sort: list(names) for sort, names in self.names.items()}
        self.write(f"def {name}({number}, {flag}={self.expression('b')}):")
        self.names["i"].append(number)
        self.names["b"].append(flag)
        self.indent += 1
        if len(self.local) > 2:
            self.write(f"global {shared}")
        for _ in range(self.random.randint(1, 3)):
            self.statement()
            if self.random.random() < 0.4:
                self.write(self.fill("if <b>: return <i>"))
        self.write(self.fill("return <i>"))
        self.indent -= 1
        self.local, self.names = None, before
        call = self.random.choice((f"{name}(<i>)", f"{name}(<i>, <b>)", f"functools.partial({name}, <i>)({flag}=<b>)"))
        result = self.name("i")
        self.write(f"{result} = {self.fill(call)}")
        self.names["i"].append(result)

    def make_class(self) -> None:
        name, made, truth = self.name("Class"), self.name("o"), self.name("b")
        self.write(self.fill(_CLASS.replace("NAME", name)))
        self.write(self.fill(self.random.choice(("", *_TRUTHS))))
        self.write(f"{made} = {name}({self.expression('i')})")
        self.write(f"{truth} = bool({made})")
        self.names["o"].append(made)
        self.names["b"].append(truth)

    def generator(self) -> None:
        name, made = self.name("generator"), self.name("l")
        left = self.random.choice(("return", "continue", "yield 7"))
        self.write(self.fill(_GENERATOR.replace("NAME", name).replace("LEFT", left)))
        self.write(f"{made} = list({name}({self.random.randint(0, 3)}))")
        self.names["l"].append(made)

    def decorated(self) -> None:
        name, made = self.name("function"), self.name("i")
        self.write(self.fill(_DECORATED.replace("NAME", name)))
        self.write(self.fill(f"{made} = {name}(<i>, k=<i>)"))
        self.names["i"].append(made)
