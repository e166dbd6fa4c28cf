# ruff: noqa: E501  (each program in as few lines as it takes)
"""Programs built to cost an analysis all its time, its stack or its memory.

`python -m tests.faults.costly` checks each of them in a process of its own and tells the CPU seconds and the memory
that this took. Every one that parses ends with a function in which gradients are lost, which has to be found.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\n"
MISTAKE = """

def mistake_of_its_own(net, x):
    loss = net(x).sum().detach()
    loss.backward()
"""
FINDING = "GRD101"

_programs: dict[str, Callable[[], dict[str, str]]] = {}
Make = Callable[[], "str | dict[str, str]"]


def _program(make: Make) -> Make:
    def files() -> dict[str, str]:
        made = make()
        files = made if isinstance(made, dict) else {"main.py": made}
        return {**files, "main.py": HEAD + files["main.py"] + MISTAKE}

    _programs[make.__name__] = files
    return make


def names() -> list[str]:
    """What the programs are called."""
    return list(_programs)


def files_of(name: str) -> dict[str, str]:
    """The files of a program by their names; `main.py` is the one with the mistake."""
    return _programs[name]()


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


# -- ways through a program


@_program
def branches_one_after_the_other() -> str:
    body = _lines(f"    if a{n}:\n        x = x * {n}\n    else:\n        x = x.detach() + {n}" for n in range(3000))
    return f"def f(x, {', '.join(f'a{n}=None' for n in range(3000))}):\n{body}    return x\n"


@_program
def branches_within_branches() -> str:
    def block(depth: int, margin: str) -> Iterator[str]:
        if depth == 0:
            yield f"{margin}x = x.relu()"
            return
        yield f"{margin}if c({depth}):"
        yield from block(depth - 1, margin + " ")
        yield f"{margin}else:"
        yield from block(depth - 1, margin + " ")

    return f"def f(x, c):\n{_lines(block(12, ' '))}    x.sum().backward()\n".replace("    x.sum", " x.sum")


@_program
def returns_out_of_branches() -> str:
    return f"def f(x, c):\n{_lines(f'    if c({n}): return x * {n}' for n in range(5000))}    return x\n"


@_program
def calls_that_double() -> str:
    functions = _lines(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x * 2)" for n in range(60))
    return f"{functions}def f60(x):\n    return x.relu()\nf0(torch.ones(3, requires_grad=True)).sum().backward()\n"


@_program
def calls_that_double_and_branch() -> str:
    functions = _lines(
        f"def f{n}(x, c):\n    if c:\n        y = f{n + 1}(x, c > 1)\n    else:\n        y = f{n + 1}(x.detach(), not c)\n"
        f"    return y + f{n + 1}(y, c)"
        for n in range(40)
    )
    return f"{functions}def f40(x, c):\n    return x.relu()\ndef g(x, c):\n    f0(x, c).sum().backward()\n"


@_program
def functions_that_call_each_other() -> str:
    count = 300
    return _lines(
        f"def f{n}(x, k):\n    if k:\n        x = f{(n * 7 + 1) % count}(x, k - 1)\n"
        f"    return f{(n + 1) % count}(x, k) + f{(n * 3 + 2) % count}(x, k)"
        for n in range(count)
    )


@_program
def methods_that_call_each_other() -> str:
    count = 200
    methods = _lines(
        f"    def m{n}(self, x):\n        self.h{n} = self.m{(n + 1) % count}(x)\n        return self.m{(n * 5 + 3) % count}(self.h{n})"
        for n in range(count)
    )
    return f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.l = nn.Linear(3, 3)\n{methods}    def forward(self, x):\n        return self.m0(self.l(x))\n"


@_program
def loops_within_loops() -> str:
    head = "".join(f"{'    ' * (n + 1)}for i{n} in a[{n}]:\n" for n in range(18))
    return f"def f(x, a):\n{head}{'    ' * 19}x = x * i17\n    x.sum().backward()\n"


@_program
def loops_of_many_rounds() -> str:
    body = _lines(f"{'    ' * 4}x = x.relu() + {n}" for n in range(100))
    return f"def f(x):\n    for i in range(1000):\n        for j in range(1000):\n            for k in range(1000):\n{body}    x.sum().backward()\n"


@_program
def tries_within_tries() -> str:
    head = "".join(f"{' ' * (n + 1)}try:\n{' ' * (n + 2)}x = g(x, {n})\n" for n in range(19))
    tail = "".join(
        f"{' ' * (n + 1)}except E{n}:\n{' ' * (n + 2)}x = h(x)\n{' ' * (n + 1)}finally:\n{' ' * (n + 2)}x = k(x)\n"
        for n in reversed(range(19))
    )
    return f"def f(x, g, h, k):\n{head}{tail} x.sum().backward()\n"


@_program
def tries_one_after_the_other() -> str:
    return "def f(x, g):\n" + _lines(
        f"    try:\n        x = g(x)\n    except ValueError:\n        continue_{n} = x\n    else:\n        x = x + 1\n    finally:\n        y{n} = x"
        for n in range(2000)
    )


@_program
def elif_for_ever() -> str:
    arms = _lines(f"    elif k == {n}:\n        y = x * {n}" for n in range(2500))
    return f"def f(x, k):\n    if k < 0:\n        y = x\n{arms}    y.sum().backward()\n"


@_program
def cases_for_ever() -> str:
    arms = _lines(f"        case [{n}, *rest] if rest:\n            y = x * {n}" for n in range(4000))
    return f"def f(x, k):\n    match k:\n{arms}    y.sum().backward()\n"


# -- long and deep expressions


@_program
def a_sum_of_many() -> str:
    return f"def f(x):\n    y = {' + '.join(['x'] * 50_000)}\n    y.sum().backward()\n"


@_program
def sums_of_hundreds() -> str:
    return _lines(f"def f{n}(x):\n    y = {' + '.join(['x.relu()'] * 400)}\n    y.sum().backward()" for n in range(50))


@_program
def a_chain_of_methods() -> str:
    return f"def f(x):\n    y = x{'.relu()' * 900}\n    y.sum().backward()\n"


@_program
def a_very_long_chain_of_methods() -> str:
    return f"def f(x):\n    y = x{'.relu()' * 60_000}\n    y.sum().backward()\n"


@_program
def a_chain_of_attributes() -> str:
    return f"def f(x):\n    y = x{'.a' * 4000}\n    y.sum().backward()\n"


@_program
def calls_within_calls() -> str:
    return f"def f(x):\n    y = {'torch.relu(' * 90}x{')' * 90}\n    y.sum().backward()\n"


@_program
def parentheses() -> str:
    return f"def f(x):\n    y = {'(' * 5000}x{')' * 5000}\n    y.sum().backward()\n"


@_program
def brackets() -> str:
    return f"def f(x):\n    y = {'[' * 190}x{']' * 190}\n    y.sum().backward()\n"


@_program
def minus_signs() -> str:
    return f"def f(x):\n    y = {'-' * 5000}x\n    z = {'not ' * 5000}x\n    y.sum().backward()\n"


@_program
def powers() -> str:
    return f"def f(x):\n    y = {' ** '.join(['x'] * 2500)}\n    y.sum().backward()\n"


@_program
def huge_numbers() -> str:
    return f"import math\nN = 9 ** 9 ** 9 ** 9\nM = 10 ** 1_000_000 ** 2\nS = 'x' * 10 ** 12\nL = [0] * 10 ** 12\nK = 1 << (1 << 60)\nZ = {'9' * 4000} ** {'9' * 4000}\nR = range(10 ** 30)\nT = torch.zeros(N, M)\nx = torch.zeros(10 ** 400)\nfor i in range(K): x = x + i\nx.sum().backward()\nF = math.factorial(999_999), math.comb(999_999, 400_000), math.perm(999_999, 500_000)\nA = -7 % M, 10 ** -5000, 2.0 ** 100000, N // M, N % 7, (-1) ** 0.5, 1 / 0, 1 % 0, '%d' % N, f'{{N:{10**9}}}'\n"


@_program
def numbers_that_grow() -> str:
    return (
        "n = 3\n"
        + "n = n * n\n" * 200
        + "s = 'ab'\n"
        + "s = s + s\n" * 200
        + "l = [1, 2]\n"
        + "l = l + l\n" * 200
        + "t = (1,)\n"
        + "t = (*t, *t)\n" * 100
        + "t = (t, t)\n" * 200
        + "d = {}\n"
        + "d = {1: d, 2: d}\n" * 200
        + "x = torch.zeros(n)\nx = torch.cat([x] * n)\n"
        + "x = torch.cat([x, x])\n" * 200
    )


@_program
def a_huge_list() -> str:
    return f"DATA = [{', '.join(map(str, range(200_000)))}]\nx = torch.tensor(DATA, requires_grad=True)\nfor i in DATA: x = x + i\n(x * 2).sum().backward()\n"


@_program
def a_huge_dictionary() -> str:
    items = ", ".join(f"'key{n}': {{'a': {n}, 'b': [{n}, {n}]}}" for n in range(40_000))
    return f"DATA = {{{items}}}\nfor key, value in DATA.items(): print(key, value)\n"


@_program
def lists_of_lists() -> str:
    rows = ",\n".join("[" + ", ".join("0.5" for _ in range(300)) + "]" for _ in range(1000))
    return f"DATA = torch.tensor([{rows}], requires_grad=True)\nDATA.sum().backward()\n"


@_program
def a_call_with_many_arguments() -> str:
    return f"def g(*args): return sum(args)\ndef f(x):\n    y = g({', '.join(['x'] * 50_000)})\n    z = torch.stack([{', '.join(['x * 2'] * 5_000)}])\n    print({', '.join(f'a{n}=x' for n in range(50_000))})\n    (y + z.sum()).backward()\n"


@_program
def a_function_of_many_parameters() -> str:
    names = ", ".join(f"a{n}" for n in range(20_000))
    return f"def f({names}):\n    return a0 + a19999\nf({', '.join('1' for _ in range(20_000))})\n"


@_program
def a_long_string() -> str:
    lines = "a line of text\n" * 100_000
    return f"TEXT = '{'x ' * 5_000_000}'\nLINES = '''\n{lines}'''\nWORDS = TEXT.split()\nprint(len(TEXT), TEXT * 100, TEXT.upper(), TEXT[1:])\n"


@_program
def a_long_comment() -> str:
    return f"# {'é ' * 3_000_000}\n" + "#\n" * 300_000


@_program
def strings_side_by_side() -> str:
    return "TEXT = (" + "\n".join(f"'part {n}'" for n in range(50_000)) + ")\n"


@_program
def f_strings() -> str:
    return "def f(x):\n    s = f'" + "{x.relu()}" * 20_000 + '\'\n    y = f"{x!r:{x}{x}}"\n    x.sum().backward()\n'


@_program
def comprehension_towers() -> str:
    clauses = " ".join(f"for a{n} in b{n} if a{n}" for n in range(150))
    nested = "x"
    for n in range(60):
        nested = f"[{nested} for i{n} in range(100)]"
    return f"def f(x, b0, b1):\n    y = [x * a0 {clauses}]\n    z = {nested}\n    torch.stack(y).sum().backward()\n"


@_program
def lambdas_within_lambdas() -> str:
    return (
        f"f = {'lambda x: ' * 180}x\ny = f{'(1)' * 180}\n"
        + "g = lambda x: g(g(g(x)))\ng(torch.ones(1))\nY = lambda h: (lambda x: h(lambda v: x(x)(v)))(lambda x: h(lambda v: x(x)(v)))\nY(lambda r: lambda n: r(r)(n))(1)\n(lambda x: x(x))(lambda x: x(x)(x(x)))\n"
    )


@_program
def conditions_within_conditions() -> str:
    expression = "x"
    for n in range(80):
        expression = f"({expression} if c{n} else x * {n})"
    return f"def f(x, {', '.join(f'c{n}' for n in range(80))}):\n    y = {expression}\n    z = {' and '.join(f'c{n % 80}' for n in range(20_000))}\n    w = {' < '.join(['x'] * 20_000)}\n    y.sum().backward()\n"


# -- many definitions


@_program
def a_line_of_classes() -> str:
    return (
        "class C0(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.l = nn.Linear(2, 2)\n    def forward(self, x):\n        return self.l(x)\n"
        + _lines(
            f"class C{n}(C{n - 1}):\n    def __init__(self):\n        super().__init__()\n        self.l{n} = nn.Linear(2, 2)\n    def forward(self, x):\n        return super().forward(self.l{n}(x))"
            for n in range(1, 2000)
        )
    )


@_program
def diamonds() -> str:
    return "class A0(nn.Module): pass\nclass B0(nn.Module): pass\n" + _lines(
        f"class A{n}(A{n - 1}, B{n - 1}):\n    def f(self): return super().f()\nclass B{n}(A{n - 1}, B{n - 1}):\n    def f(self): return super().f()"
        for n in range(1, 300)
    )


@_program
def a_class_of_many_bases() -> str:
    return (
        _lines(f"class B{n}(nn.Module):\n    def m{n}(self): return {n}" for n in range(2000))
        + f"class C({', '.join(f'B{n}' for n in range(2000))}):\n    def forward(self, x): return x\nC()\n"
    )


@_program
def classes_within_classes() -> str:
    return "".join(f"{' ' * n}class C{n}(nn.Module):\n{' ' * n} x = {n}\n" for n in range(90))


@_program
def classes_that_are_their_own_base() -> str:
    return "class A(B): pass\nclass B(A): pass\nclass A(B):\n    def f(self): return super().f()\nclass C(C): pass\nA().f()\nB().f()\nC()\n"


@_program
def closures_within_closures() -> str:
    count = 90
    head = "".join(f"{' ' * (n + 1)}def f{n}(a{n}):\n" for n in range(count))
    tail = "".join(f"{' ' * (n + 2)}return f{n + 1}(a{n}), f{n + 1}\n" for n in reversed(range(count - 1)))
    return f"def outer(x):\n{head}{' ' * (count + 1)}return x\n{tail} return f0(x)\nouter(torch.ones(1))\n"


@_program
def decorators() -> str:
    return (
        "def d(f):\n    def g(*a): return f(*a)\n    return g\n"
        + "@d\n" * 3000
        + "def f(x):\n    x.sum().backward()\nf(torch.ones(1))\n"
    )


@_program
def many_functions() -> str:
    return _lines(
        f"def f{n}(x, y=1):\n    z = x.relu() * y\n    z.sum().backward()\n    return z" for n in range(10_000)
    )


@_program
def many_names() -> str:
    return (
        "x0 = torch.ones(3, requires_grad=True)\n"
        + _lines(f"x{n} = x{n - 1}" for n in range(1, 30_000))
        + "x29999.sum().backward()\n"
    )


@_program
def many_views() -> str:
    return (
        "def f(x):\n    x0 = x.clone()\n"
        + _lines(f"    x{n} = x{n - 1}.view(-1)\n    x{n}.add_(1)" for n in range(1, 4000))
        + "    x3999.sum().backward()\n"
    )


@_program
def many_views_of_one() -> str:
    return (
        "x = torch.ones(9, requires_grad=True) * 2\n"
        + _lines(f"x{n} = x[{n}:]" for n in range(1, 5000))
        + "x.add_(1)\n" * 300
        + "x.sum().backward()\n"
    )


@_program
def many_operations() -> str:
    return "x = torch.ones(9, requires_grad=True)\n" + "x = x.relu() * x + x.exp()\n" * 20_000 + "x.sum().backward()\n"


@_program
def many_backwards() -> str:
    return (
        "net = nn.Linear(2, 2)\nopt = torch.optim.SGD(net.parameters(), 0.1)\nloss = net(torch.ones(2)).sum()\n"
        + "loss.backward(retain_graph=True)\nopt.step()\n" * 5000
    )


@_program
def a_graph_of_doublings() -> str:
    return "def f(x):\n" + "    x = x + x\n" * 3000 + "    x.sum().backward()\n    x.sum().backward()\n"


@_program
def a_graph_of_crossings() -> str:
    return (
        "a = torch.ones(2, requires_grad=True)\nb = a * 2\n"
        + "a, b = a + b, a * b\n" * 4000
        + "(a + b).sum().backward()\nb.sum().backward()\n"
    )


# -- huge models


@_program
def a_model_of_many_layers() -> str:
    made = _lines(f"        self.l{n} = nn.Linear(8, 8)" for n in range(10_000))
    used = _lines(f"        x = self.l{n}(x)" for n in range(10_000))
    return f"class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n{made}    def forward(self, x):\n{used}        return x\nnet = Net()\nopt = torch.optim.SGD(net.parameters(), 0.1)\nfor i in range(9):\n    opt.zero_grad()\n    net(torch.ones(8)).sum().backward()\n    opt.step()\n"


@_program
def a_sequential_of_many_layers() -> str:
    return f"net = nn.Sequential({', '.join(['nn.Linear(8, 8), nn.ReLU()'] * 5000)})\nopt = torch.optim.SGD(net.parameters(), 0.1)\nnet(torch.ones(8)).sum().backward()\nopt.step()\n"


@_program
def a_list_of_many_layers() -> str:
    return "net = nn.ModuleList([nn.Linear(8, 8) for _ in range(10_000)])\nbig = nn.Sequential(*[nn.Sequential(*[nn.Sequential(*[nn.Linear(8, 8) for _ in range(1000)]) for _ in range(1000)]) for _ in range(1000)])\nx = torch.ones(8)\nfor layer in net: x = layer(x)\nfor layer in big: x = layer(x)\nx.sum().backward()\n"


@_program
def models_within_models() -> str:
    return (
        "class N0(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.l = nn.Linear(2, 2)\n    def forward(self, x):\n        return self.l(x)\n"
        + _lines(
            f"class N{n}(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.a = N{n - 1}()\n        self.b = N{n - 1}()\n    def forward(self, x):\n        return self.a(x) + self.b(x)"
            for n in range(1, 60)
        )
        + "net = N59()\nnet(torch.ones(2)).sum().backward()\nlist(net.parameters())\n"
    )


@_program
def a_model_within_itself() -> str:
    return "class Net(nn.Module):\n    def __init__(self, depth=5):\n        super().__init__()\n        self.a = Net(depth - 1)\n        self.b = Net(depth - 1) if depth else None\n        self.me = self\n        self.all = [self.all, self]\n    def forward(self, x):\n        return self.forward(self.a(self.me(self(x))))\nnet = Net()\nnet.net = net\nnet(torch.ones(2)).sum().backward()\nlist(net.parameters())\nl = []\nl.append(l)\nd = {}\nd['d'] = d\nd = {'d': d, 'l': l}\ntorch.stack(l)\nx = torch.stack([*l, *l])\nx.sum().backward()\n"


# -- other files


@_program
def imports_in_a_circle() -> dict[str, str]:
    modules = {
        f"m{n}.py": f"import torch\nfrom m{(n + 1) % 500} import f{(n + 1) % 500}\nfrom m{(n * 7 + 1) % 500} import *\n\ndef f{n}(x):\n    return f{(n + 1) % 500}(x).relu()\n"
        for n in range(500)
    }
    return {
        **modules,
        "main.py": "from m0 import f0\nimport m1, m2\nx = f0(torch.ones(2, requires_grad=True))\nx.sum().backward()\n",
    }


@_program
def names_of_huge_modules() -> dict[str, str]:
    text = "import torch\n" + _lines(
        f"def f{n}(x):\n    return x * {n}\nN{n} = f{n}(torch.ones({n % 9 + 1}))" for n in range(10_000)
    )
    return {
        "big.py": text,
        "middle.py": "from big import *\n",
        "main.py": "from middle import *\nfrom big import *\n" + _lines(f"x{n} = f{n}(N{n})" for n in range(5000)),
    }


@_program
def a_chain_of_packages() -> dict[str, str]:
    return {"a/" * n + "__init__.py": "from .a import *\nfrom . import a\n" for n in range(1, 40)} | {
        "main.py": f"import {'.'.join('a' * 39)}\nfrom {'.'.join('a' * 39)} import *\nx = {'.'.join('a' * 39)}.y\nfrom {'.' * 3000} import z\n"
    }


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def main() -> None:
    """Check each program, or those named, in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    slow = 0
    for name in parser.parse_args().names or names():
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files_of(name).items():
                (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / path).write_text(text, encoding="utf-8")
            command = [
                sys.executable,
                "-m",
                "gradls",
                "check",
                "--no-cache",
                "--format",
                "concise",
                f"{folder}/main.py",
            ]
            with open(f"{folder}/out", "w+") as out, open(f"{folder}/err", "w+") as err:
                process = subprocess.Popen(command, stdout=out, stderr=err, preexec_fn=_limit)
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                out.seek(0)
                err.seek(0)
                lines, errors = out.read().splitlines(), err.read().strip().replace("\n", " | ")
        seconds = used.ru_utime + used.ru_stime
        slow += seconds > 5
        found = sum(FINDING in line for line in lines)
        print(
            f"{seconds:7.2f} s {used.ru_maxrss // 1024:6} MB  {process.returncode:3} {len(lines):5} {found:5} {name}",
            errors[:300],
            flush=True,
        )
    print(f"{slow} above 5 s")


if __name__ == "__main__":
    main()
