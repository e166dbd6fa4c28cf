"""What is trained depends on a flag, and that on how Python goes through the program: all of these are right."""

from __future__ import annotations

import pytest

from tests.rules.reported import check_right, reported

HEAD = """
import sys

import torch
import torch.nn.functional as F
from torch import nn

many = len(sys.argv) > 9
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
"""
TRAIN = """
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
optimizer.zero_grad()
F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)).backward()
optimizer.step()
"""
FLAG = """
torch.ones(3, requires_grad=trained).sum().backward()
"""
NOT_FROZEN = {
    "the second part of `and`": "many and net.requires_grad_(False)",
    "the second part of `or`": "not many or net.requires_grad_(False)",
    "the third part": "len(sys.argv) and many and net.requires_grad_(False)",
    "a conditional expression": "net.requires_grad_(False) if many else None",
    "a generator that nobody goes through": "(p.requires_grad_(False) for p in net.parameters())",
    "a map that nobody goes through": "map(lambda p: p.requires_grad_(False), net.parameters())",
    "the condition of a comprehension": "[p.requires_grad_(False) for p in net.parameters() if many]",
    "the condition of a dictionary": "{n: p.requires_grad_(False) for n, p in net.named_parameters() if many}",
    "what stands behind an error": "try:\n    int('x')\n    net.requires_grad_(False)\nexcept ValueError:\n    pass",
    "a default": "def f(freeze=many):\n    if freeze:\n        net.requires_grad_(False)\nf()",
    "one of two functions": "def a():\n    net.requires_grad_(False)\ndef b():\n    pass\n(b, a)[many]()",
    "what an attribute is called": (
        "class O:\n    def a(self):\n        net.requires_grad_(False)\n    def b(self):\n        pass\n"
        "getattr(O(), 'a' if many else 'b')()"
    ),
}
TRAINED = {
    "a loop over nothing": "trained = True\nfor a in sys.argv[9:]:\n    trained = False",
    "a `while` that does not begin": "trained, n = True, len(sys.argv)\nwhile n > 9:\n    trained = False\n    n -= 1",
    "a name by `while`": "m, n = 'fit', len(sys.argv)\nwhile n > 9:\n    m, n = 'test', n - 1\ntrained = m == 'fit'",
    "an order": "trained = sorted([True, False])[-1] and sorted([1, 3, 2], reverse=True)[0] == 3",
    "an order by a key": "trained = sorted([3, 1, 2], key=lambda v: -v)[0] == 3",
    "code in a string": "trained = False\nexec('trained = True')",
    "an object that is false": "class O:\n    def __bool__(self):\n        return False\ntrained = not O()",
    "an object without elements": "class O:\n    def __len__(self):\n        return 0\ntrained = not O()",
    "no layers": "class O(nn.ModuleList):\n    pass\ntrained = not O()",
    "an assignment that does something else": (
        "class O:\n    def __setattr__(self, name, value):\n        object.__setattr__(self, name, not value)\n"
        "o = O()\no.trained = False\ntrained = o.trained"
    ),
    "a property": (
        "class O:\n    @property\n    def t(self):\n        return self._t\n    @t.setter\n    def t(self, v):\n"
        "        self._t = not v\no = O()\no.t = False\ntrained = o.t"
    ),
    "what a base has": "class A:\n    t = True\nclass B(A):\n    pass\nif many:\n    B.t = False\ntrained = B().t",
    "a key": "d = {}\nif many:\n    d['k'] = False\ntrained = d.get('k', True) and d.setdefault('k', True) and d['k']",
    "a list by default": "def f(v, acc=[]):\n    acc.append(v)\n    return acc\nf(False)\ntrained = f(True)[-1]",
    "a generator": "def g():\n    yield False\n    yield True\nit = g()\nnext(it)\ntrained = next(it)",
    "a loop that is left": "trained = False\nfor i in range(3):\n    if i == 1:\n        trained = True\n        break",
    "`finally`": "def f():\n    try:\n        return False\n    finally:\n        return True\ntrained = f()",
    "an order of bases": (
        "class A:\n    t = False\nclass B(A): pass\nclass C(A):\n    t = True\nclass D(B, C): pass\ntrained = D().t"
    ),
    "a decorator": (
        "def other(f):\n    def g(*a):\n        return not f(*a)\n    return g\n@other\ndef t():\n    return False\n"
        "trained = t()"
    ),
    "the dictionary of an object": "class O: pass\no = O()\nvars(o)['t'] = True\ntrained = o.t",
    "a list with two names": "a = [False]\nb = a\nb[0] = True\ntrained = a[0]",
}


@pytest.mark.parametrize("written", NOT_FROZEN.values(), ids=list(NOT_FROZEN))
def test_what_is_not_frozen_in_this_run(written: str) -> None:
    check_right(f"{HEAD}{written}\n{TRAIN}")


@pytest.mark.parametrize("written", TRAINED.values(), ids=list(TRAINED))
def test_a_flag_that_is_true_in_this_run(written: str) -> None:
    check_right(f"{HEAD}{written}\n{FLAG}")


@pytest.mark.parametrize(
    "written",
    [
        "trained = False\nfor a in [1, 2]:\n    trained = False",
        "trained = True\nfor a in [1, 2]:\n    trained = False",
        "trained, n = True, 1\nwhile n:\n    trained, n = False, 0",
        "trained = sorted([False, False])[0]",
        "len(sys.argv) and len(sys.argv)\ntrained = False",
        "class O:\n    pass\ntrained = not O()",
    ],
)
def test_a_flag_that_is_certainly_false(written: str) -> None:
    assert [severity for severity, _ in reported("GRD110", f"{HEAD}{written}\n{FLAG}")] == ["error"]
