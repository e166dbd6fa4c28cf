"""The fix toolkit: what each helper writes, and what it leaves alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from textwrap import dedent

import pytest

from gradls.rules import edits
from gradls.rules.finding import Place
from tests.rules.applying import fixed, place


def test_nothing_is_imported_or_done_before_the_edits_are_asked_for() -> None:
    program = dedent("""
        import ast, sys
        from gradls.rules import edits
        from gradls.rules.finding import Place
        from gradls.syntax.source import Source
        source = Source.read("y = x.detach()")
        build = edits.remove_call(Place(source, source.tree.body[0].value))
        assert "libcst" not in sys.modules
        assert build()
        assert "libcst" in sys.modules
    """)
    subprocess.run([sys.executable, "-c", program], check=True)


REMOVE_CALL = [
    ("y = x.detach()", "x.detach()", "y = x"),
    ("y = x.data", "x.data", "y = x"),
    ("y = x.detach().cpu().numpy()", "x.detach().cpu().numpy()", "y = x"),
    ("y = x.detach().cpu()", "x.detach()", "y = x.cpu()"),
    ("y = x.cpu().detach()", "x.cpu().detach()", "y = x.cpu()"),
    ("y = x.cpu().item() + 1", "x.cpu().item()", "y = x + 1"),
    ("y = (a + b).detach() * c", "(a + b).detach()", "y = (a + b) * c"),
    ("y = ( (a + b) ).detach() * c", "( (a + b) ).detach()", "y = ( (a + b) ) * c"),
    ("y = (x.detach())", "x.detach()", "y = (x)"),
    ("y = -x.detach()", "x.detach()", "y = -x"),
    ("y = [v.item() for v in (w := f(x))]", "v.item()", "y = [v for v in (w := f(x))]"),
    ("x.detach_()", "x.detach_()", ""),
    ("z = 1; x.detach_(); w = 2\n", "x.detach_()", "z = 1; w = 2\n"),
    ("z = 1; x.detach_()  # so\n", "x.detach_()", "z = 1  # so\n"),
    ("x.detach_(); w = 2\n", "x.detach_()", "w = 2\n"),
    ("if a:\n    x.detach_()  # so\nb\n", "x.detach_()", "if a:\n    pass  # so\nb\n"),
    ("if a: x.detach_()\nb\n", "x.detach_()", "if a: pass\nb\n"),
    ("if a:\n    x.detach_()\n    c\nb\n", "x.detach_()", "if a:\n    c\nb\n"),
    ("f(x).detach_()\n", "f(x).detach_()", "f(x)\n"),
    ("é = 'ü'; y = ß.detach() # ö\n", "ß.detach()", "é = 'ü'; y = ß # ö\n"),
    ("if a:\r\n\ty = x.detach()\r\n\tz\r\n", "x.detach()", "if a:\r\n\ty = x\r\n\tz\r\n"),
    (
        "loss = (\n    f(x)  # forward\n    .detach()  # cut\n)\n",
        "f(x)  # forward\n    .detach()",
        "loss = (\n    f(x)  # forward\n      # cut\n)\n",
    ),
    (
        "loss = (\n    f(x)  # forward\n    .detach()\n)\n",
        "f(x)  # forward\n    .detach()",
        "loss = (\n    f(x)  # forward\n)\n",
    ),
    (
        "loss = (\n    f(x)\n    .detach()\n    .mean()\n)\n",
        "f(x)\n    .detach()",
        "loss = (\n    f(x)\n    .mean()\n)\n",
    ),
    ("if 1:\n    y = x.detach(  # why\n    )\n", "x.detach(  # why\n    )", "if 1:\n    # why\n    y = x\n"),
    ("for a in x.detach():\n    b = '''\n  c'''\n", "x.detach()", "for a in x:\n    b = '''\n  c'''\n"),
    ("if a:\n    b\nelif x.item() > 0: c\n", "x.item()", "if a:\n    b\nelif x > 0: c\n"),
    (
        "if a:\n\tif a:\n\t\tb\n\telif x.item() > 0:\n\t\tc\n",
        "x.item()",
        "if a:\n\tif a:\n\t\tb\n\telif x > 0:\n\t\tc\n",
    ),
    ("class A:\n  @g\n  @f(x.detach())\n  def f(): pass\n", "x.detach()", "class A:\n  @g\n  @f(x)\n  def f(): pass\n"),
    ("def f(a=x.detach()):\n    @g\n    def h(): pass\n", "x.detach()", "def f(a=x):\n    @g\n    def h(): pass\n"),
    ("y = x \\\n    .detach() + 1\n", "x \\\n    .detach()", "y = x + 1\n"),
    ("y = x.detach()  # type: Tensor\n", "x.detach()", "y = x  # type: Tensor\n"),
    ("if 1:\n  match x.item():\n    case 1: pass\n", "x.item()", "if 1:\n  match x:\n    case 1: pass\n"),
    ("async def f():\n    return await x.detach()\n", "x.detach()", "async def f():\n    return await x\n"),
]


@pytest.mark.parametrize(("text", "node", "expected"), REMOVE_CALL)
def test_remove_call(text: str, node: str, expected: str) -> None:
    assert fixed(text, node, edits.remove_call) == expected


def test_no_edit_inside_an_f_string() -> None:
    text = 'print(f"{x.detach()} {y}")\n'
    source = place(text, text.strip(), ast.stmt).source
    call = next(n for n in ast.walk(source.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute))
    for helper in (edits.remove_call, edits.unwrap_call, edits.out_of_place):
        assert helper(place(text, text.strip(), ast.stmt)._replace(source=source, node=call))() == []


UNWRAP_CALL = [
    ("loss = torch.tensor(loss, requires_grad=True)", "torch.tensor(loss, requires_grad=True)", "loss = loss"),
    ("h = Variable(h)", "Variable(h)", "h = h"),
    ("y = float(a + b) * c", "float(a + b)", "y = (a + b) * c"),
    ("y = c + float(a * b)", "float(a * b)", "y = c + a * b"),
    ("y = float(x := f(a))", "float(x := f(a))", "y = (x := f(a))"),
    ("y = float((a, b))[0]", "float((a, b))", "y = (a, b)[0]"),
    ("f(float(lambda: x)(1))", "float(lambda: x)", "f((lambda: x)(1))"),
    ("y = float(*a)", "float(*a)", None),
    ("y = Variable(data=x)", "Variable(data=x)", "y = x"),
    ("y = Variable()", "Variable()", None),
    (
        "loss = torch.tensor(\n    a\n    + b,\n    requires_grad=True,\n)\n",
        "torch.tensor(\n    a\n    + b,\n    requires_grad=True,\n)",
        "loss = (a\n    + b)\n",
    ),
    (
        "def f():\n\tx = torch.tensor(a,  # one\n\t\trequires_grad=True)  # two\n",
        "torch.tensor(a,  # one\n\t\trequires_grad=True)",
        "def f():\n\t# one\n\tx = a  # two\n",
    ),
]


@pytest.mark.parametrize(("text", "node", "expected"), UNWRAP_CALL)
def test_unwrap_call(text: str, node: str, expected: str | None) -> None:
    assert fixed(text, node, edits.unwrap_call) == expected


STACK = [
    ("torch.tensor(losses)", "torch.stack(losses)"),
    (
        "torch.tensor(losses, dtype=torch.float64, device=d)",
        "torch.stack(losses).to(dtype=torch.float64, device=d)",
    ),
    ("torch.tensor([a, b], requires_grad=True)", "torch.stack([a, b])"),
    ("torch.tensor([a, *b])", "torch.stack([a, *b])"),
    ("torch.tensor([f(x) for x in xs if x])", "torch.stack([f(x) for x in xs if x])"),
    ("torch.tensor(f(x) for x in xs)", "torch.stack([f(x) for x in xs])"),
    ("torch.tensor((f(x) for x in xs))", "torch.stack([f(x) for x in xs])"),
    ("torch.tensor([l.item() for l in ls])", "torch.stack([l for l in ls])"),
    ("torch.tensor([a.detach().cpu(), float(b)])", "torch.stack([a, b])"),
    ("torch.tensor(data=losses)", "torch.stack(losses)"),
    ("torch.asarray(losses)", "torch.stack(losses)"),
    ("torch.FloatTensor(losses)", "torch.stack(losses)"),
    ("x.new_tensor(losses)", "torch.stack(losses)"),
    ("np.array(losses)", "torch.stack(losses)"),
    ("np.mean(losses)", "torch.stack(losses).mean()"),
    ("np.sum([a, b])", "torch.stack([a, b]).sum()"),
    ("torch.tensor([[a, b], [c, d]])", "torch.stack([torch.stack([a, b]), torch.stack([c, d])])"),
    ("torch.tensor([[a] for a in b])", "torch.stack([torch.stack([a]) for a in b])"),
    ("torch.tensor([[a, 1], [c, d]])", None),
    ("torch.tensor([a, 1.0])", None),
    ("torch.tensor([a, -1])", None),
    ("torch.tensor([])", None),
    ("torch.tensor(3.0)", None),
    ("torch.tensor(*a)", None),
    ("torch.tensor()", None),
]


@pytest.mark.parametrize(("text", "expected"), STACK)
def test_stack(text: str, expected: str | None) -> None:
    whole = f"def f():\n    return {text} * 2\n"
    assert fixed(whole, text, edits.stack) == (expected and f"def f():\n    return {expected} * 2\n")


def test_stack_uses_the_name_of_torch_and_what_is_to_be_kept() -> None:
    assert fixed("y = tt.tensor(x, device=d)", "tt.tensor(x, device=d)", edits.stack, (), "tt") == "y = tt.stack(x)"


SWAP = [
    ("f(a, b)", 0, 1, "f(b, a)"),
    ("f(a + 1,  # one\n  b, c)", 0, 2, "f(c,  # one\n  b, a + 1)"),
    ("f(input=y, target=p)", "input", "target", "f(input=p, target=y)"),
    ("f(y, target=p)", 0, "target", "f(p, target=y)"),
    ("f(*y, p)", 0, 1, None),
    ("f(y)", 0, 1, None),
    ("f(y, p)", "input", 1, None),
    ("f(a := 1, b)", 0, 1, "f(b, a := 1)"),
]


@pytest.mark.parametrize(("text", "first", "second", "expected"), SWAP)
def test_swap_arguments(text: str, first: int | str, second: int | str, expected: str | None) -> None:
    assert fixed(f"x = {text}\n", text, edits.swap_arguments, first, second) == (expected and f"x = {expected}\n")


SET_KEYWORD = [
    ("f(requires_grad=False)", "True", "f(requires_grad=True)"),
    ("f(requires_grad = False, a=1)", "True", "f(requires_grad = True, a=1)"),
    ("f()", "True", "f(requires_grad=True)"),
    ("f(a)", "True", "f(a, requires_grad=True)"),
    ("f(a, )", "True", "f(a, requires_grad=True, )"),
    ("f(*a)", "True", "f(*a, requires_grad=True)"),
    ("f(**a)", "True", None),
    ("f(x for x in y)", "True", "f((x for x in y), requires_grad=True)"),
    ("f(\n    a,\n    b,\n)", "True", "f(\n    a,\n    b,\n    requires_grad=True,\n)"),
    ("f(\n    a,\n)", "True", "f(\n    a,\n    requires_grad=True,\n)"),
    ("f(\n    a,\n    b  # two\n)", "True", "f(\n    a,\n    b,  # two\n    requires_grad=True\n)"),
    ("f(\n    a,\n    b,  # two\n)", "True", "f(\n    a,\n    b,  # two\n    requires_grad=True,\n)"),
    ("f(\n    a,  # one\n    b\n)", "True", "f(\n    a,  # one\n    b,\n    requires_grad=True\n)"),
    ("f(a, requires_grad=True)", None, "f(a)"),
    ("f(requires_grad=True, b=1)", None, "f(b=1)"),
    ("f(requires_grad=True)", None, "f()"),
    ("f(a)", None, None),
    ("f(\n    a,\n    requires_grad=True,\n)", None, "f(\n    a,\n)"),
    ("f(\n    a,  # one\n    requires_grad=True\n)", None, "f(\n    a  # one\n)"),
    ("f(a)", "no such", None),
]


@pytest.mark.parametrize(("text", "value", "expected"), SET_KEYWORD)
def test_set_keyword(text: str, value: str | None, expected: str | None) -> None:
    found = fixed(f"x = {text}\n", text, edits.set_keyword, "requires_grad", value)
    assert found == (expected and f"x = {expected}\n")


OUT_OF_PLACE = [
    ("x += y", "x = x + y"),
    ("x *= y + 1  # c", "x = x * (y + 1)  # c"),
    ("x += y + 1", "x = x + (y + 1)"),
    ("x //= y * 2", "x = x // (y * 2)"),
    ("x **= 2", "x = x ** 2"),
    ("a = 1; self.h @= y; b = 2", "a = 1; self.h = self.h @ y; b = 2"),
    ("x += (\n  y)", "x = x + (\n  y)"),
    ("x[i] += y", None),
    ("f().x += y", None),
    ("x.add_(y)", "x = x.add(y)"),
    ("self.x.mul_(2)  # c", "self.x = self.x.mul(2)  # c"),
    ("x[0].add_(y)", None),
    ("f(x).add_(y)", None),
    ("import torch.nn.functional as F\nF.relu_(x)", "import torch.nn.functional as F\nx = F.relu(x)"),
    ("relu_(x)", "x = relu(x)"),
    ("z = relu_(x) + 1", "z = relu(x) + 1"),
    ("z = x.relu_().add_(1)", "z = x.relu_().add(1)"),
    ("z = F.relu(x, inplace=True)", "z = F.relu(x)"),
    ("z = F.relu(x, True)", "z = F.relu(x)"),
    ("z = F.dropout(x, 0.5, self.training, True)", "z = F.dropout(x, 0.5, self.training)"),
    ("z = nn.ReLU(inplace=True)", "z = nn.ReLU()"),
    ("z = nn.ReLU(True)", "z = nn.ReLU()"),
    ("z = nn.LeakyReLU(0.1, inplace=True)", "z = nn.LeakyReLU(0.1)"),
    ("z = x.exp()", None),
    ("z = x.__f__()", None),
]


@pytest.mark.parametrize(("text", "expected"), OUT_OF_PLACE)
def test_out_of_place(text: str, expected: str | None) -> None:
    tree = ast.parse(text)
    kinds = (ast.AugAssign, ast.Call)
    node = next(n for n in ast.walk(tree) if isinstance(n, kinds))
    wanted = ast.get_source_segment(text, node)
    assert wanted
    assert fixed(text, wanted, edits.out_of_place, kind=type(node)) == expected


def test_the_table_of_inplace_positions_is_what_torch_says() -> None:
    import inspect

    import torch
    import torch.nn.functional as F

    from gradls.rules.edits_calls import _INPLACE_POSITION

    for name, position in _INPLACE_POSITION.items():
        if name[0].isupper():
            names = list(inspect.signature(getattr(torch.nn, name).__init__).parameters)[1:]
        else:
            names = list(inspect.signature(getattr(F, name)).parameters)
        assert names[position] == "inplace", name


def test_replace_expression() -> None:
    assert fixed("y = a * b.c\n", "b.c", edits.replace_expression, "d + e") == "y = a * (d + e)\n"
    assert fixed("y = f(b.c)\n", "b.c", edits.replace_expression, "d + e") == "y = f(d + e)\n"
    assert fixed("y = (a + b) * 2\n", "a + b", edits.replace_expression, "c") == "y = (c) * 2\n"
    assert fixed("y = (a, b)\n", "(a, b)", edits.replace_expression, "[a]") == "y = ([a])\n"
    assert fixed("y = f(a for a in b)\n", "(a for a in b)", edits.replace_expression, "[a]") == "y = f([a])\n"
    assert fixed("y = a\n", "a", edits.replace_expression, "b c") is None


def test_rename_attribute() -> None:
    assert fixed("y = a.b . c(1).d\n", "a.b . c(1)", edits.rename_attribute, "e") == "y = a.b . e(1).d\n"
    assert fixed("y = a.b.c\n", "a.b", edits.rename_attribute, "e") == "y = a.e.c\n"
    assert fixed("y = b(c)\n", "b(c)", edits.rename_attribute, "e") == "y = e(c)\n"


def test_add_call() -> None:
    assert fixed("y = x\n", "x", edits.add_call, ".clone()") == "y = x.clone()\n"
    assert fixed("y = a + b\n", "a + b", edits.add_call, ".clone()") == "y = (a + b).clone()\n"
    assert fixed("y = (a + b) * 2\n", "a + b", edits.add_call, ".clone()") == "y = (a + b).clone() * 2\n"
    assert fixed("y = -x\n", "-x", edits.add_call, ".clone()") == "y = (-x).clone()\n"
    assert fixed("y = a[b].c(d)\n", "a[b]", edits.add_call, ".clone()") == "y = a[b].clone().c(d)\n"
    assert fixed("y = 2\n", "2", edits.add_call, ".clone()") == "y = (2).clone()\n"
    assert fixed("y = x\n", "y", edits.add_call, ".clone()") is None


NO_GRAD = [
    ("w -= lr * g\n", "with torch.no_grad():\n    w -= lr * g\n"),
    ("w -= lr * g", "with torch.no_grad():\n    w -= lr * g"),
    ("if a:\n  w -= g  # c\n  b\n", "if a:\n  with torch.no_grad():\n    w -= g  # c\n  b\n"),
    ("if a:\r\n\tw -= g\r\n\tb\r\n", "if a:\r\n\twith torch.no_grad():\r\n\t\tw -= g\r\n\tb\r\n"),
    (
        "if a:\n    w -= f(\n        g,\n        '''x\n  y''',  # c\n    )\n",
        "if a:\n    with torch.no_grad():\n        w -= f(\n            g,\n"
        "            '''x\n  y''',  # c\n        )\n",
    ),
    (
        "w -= f(\n    g,\n    '''x\n  y''',  # c\n)\n",
        "with torch.no_grad():\n    w -= f(\n        g,\n        '''x\n  y''',  # c\n    )\n",
    ),
    ("a = 1; w -= g\n", None),
    ("if a: w -= g\n", None),
]


@pytest.mark.parametrize(("text", "expected"), NO_GRAD)
def test_wrap_in_no_grad(text: str, expected: str | None) -> None:
    node = next(n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.AugAssign))
    wanted = ast.get_source_segment(text, node)
    assert wanted
    assert fixed(text, wanted, edits.wrap_in_no_grad) == expected


def test_wrap_a_loop_in_no_grad() -> None:
    text = "def f():\n    for p in ps:  # all\n        # one\n        p -= 1\n\n        q\n    r\n"
    at = place(text, "for p in ps:  # all\n        # one\n        p -= 1\n\n        q", ast.For)
    found = fixed(text, at.source.segment(at.node), edits.wrap_in_no_grad, "th", kind=ast.For)
    assert found == (
        "def f():\n    with th.no_grad():\n        for p in ps:  # all\n            # one\n            p -= 1\n\n"
        "            q\n    r\n"
    )


MOVE_OUT = [
    ("with g:\n    a()\n", "a()", "a()\n"),
    ("with g:\n    a()", "a()", "a()"),
    (
        "with g:  # so\n    # and so\n    a(\n        1)  # c\nb\n",
        "a(\n        1)",
        "# so\n# and so\na(\n    1)  # c\nb\n",
    ),
    ("with g: a()\n", "a()", "a()\n"),
    ("with g: a(); b()\n", "a()", None),
    ("with g:\n    a()\n    b()\n    c()\n", "a()", "a()\nwith g:\n    b()\n    c()\n"),
    ("with g:\n    a()\n    b()\n    c()\n", "c()", "with g:\n    a()\n    b()\nc()\n"),
    ("with g:\n    a()\n    b()\n    c()\n", "b()", None),
    ("if x:\n\twith g:\n\t\tif y:\n\t\t\ta()\n\tb()\n", "a()", "if x:\n\tif y:\n\t\ta()\n\tb()\n"),
    ("with g as h:\n    a()\n", "a()", None),
    ("with g, h:\n    a()\n", "a()", None),
    ("with g:\n    a('''\n    x''')\n", "a('''\n    x''')", "a('''\n    x''')\n"),
]


@pytest.mark.parametrize(("text", "statement", "expected"), MOVE_OUT)
def test_move_statement_out_of_with(text: str, statement: str, expected: str | None) -> None:
    def move(at: Place) -> edits.Edits:
        block = next(node for node in ast.walk(at.source.tree) if isinstance(node, ast.With))
        return edits.move_statement_out_of_with(at, Place(at.source, block))

    assert fixed(text, statement, move) == expected


def test_unwrap_a_whole_with_block() -> None:
    text = "with g:\n    a()\n\n    b()  # c\nd\n"
    at = place(text, "with g:\n    a()\n\n    b()", ast.With)
    found = fixed(
        text, at.source.segment(at.node), lambda one: edits.move_statement_out_of_with(one, one), kind=ast.With
    )
    assert found == "a()\n\nb()  # c\nd\n"


INSERT = [
    ("if a:\n    b()\nc\n", "if a:\n    n()\n    b()\nc\n", "if a:\n    b()\n    n()\nc\n"),
    ("b()", "n()\nb()", "b()\nn()"),
    ("\tb()\r\n".join(["if a:\r\n", "c\r\n"]), "if a:\r\n\tn()\r\n\tb()\r\nc\r\n", "if a:\r\n\tb()\r\n\tn()\r\nc\r\n"),
    ("a; b(); c\n", "a; n(); b(); c\n", "a; b(); n(); c\n"),
    ("if a: b()\n", "if a: n(); b()\n", "if a: b(); n()\n"),
    ("b()  # so\n", "n()\nb()  # so\n", "b()  # so\nn()\n"),
    ("b(); c\n", "n()\nb(); c\n", "b(); n(); c\n"),
]


@pytest.mark.parametrize(("text", "before", "after"), INSERT)
def test_insert(text: str, before: str, after: str) -> None:
    assert fixed(text, "b()", edits.insert_before, "n()") == before
    assert fixed(text, "b()", edits.insert_after, "n()") == after


def test_insert_several_lines() -> None:
    text = "def f():\n  b()\n"
    new = "# why\nif x:\n    y('''\nz''')\n"
    assert fixed(text, "b()", edits.insert_after, new) == ("def f():\n  b()\n  # why\n  if x:\n    y('''\nz''')\n")
    assert fixed("a; b()\n", "b()", edits.insert_after, new) is None
    assert fixed("@d\ndef f(): pass\n", "def f(): pass", edits.insert_before, "n()") == "n()\n@d\ndef f(): pass\n"


DELETE = [
    ("a\nb()\nc\n", "a\nc\n"),
    ("b()", ""),
    ("a\nb()", "a"),
    ("def f():\n    b()\n", "def f():\n    pass\n"),
    ("try:\n    a\nexcept E:\n    b()\n", "try:\n    a\nexcept E:\n    pass\n"),
    ("if x:\n    a\nelse:\n    b()  # c\n", "if x:\n    a\nelse:\n    pass  # c\n"),
    ("a; b();\n", "a;\n"),
    ("if x: a; b()\n", "if x: a\n"),
    ("if x: b(); a\n", "if x: a\n"),
]


@pytest.mark.parametrize(("text", "expected"), DELETE)
def test_delete_statement(text: str, expected: str) -> None:
    assert fixed(text, "b()", edits.delete_statement) == expected
