"""Cells as one module: what of IPython is masked, and positions there and back."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.syntax.cells import Cell, Cells
from gradls.syntax.magics import masked
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines


def made(text: str) -> str:
    """A cell's text as Python."""
    return "".join(masked(split_lines(text))[0])


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("!pip install torch\n", "\n"),
        ("!pip install a \\\n   b \\\n   c\nx = 1", "\n\n\nx = 1"),
        ("if colab:\n    !pip install torch\n    %cd x\ny = 1", "if colab:\n    pass\n    pass\ny = 1"),
        ("files = !ls -l\n", "files = get_ipython()\n"),
        ("a, b['x'] = %sql select 1\n", "a, b['x'] = get_ipython()\n"),
        ("torch.nn?\n", "\n"),
        ("x = 1\nx??", "x = 1\n\n"),
        ("?print\n", "\n"),
        (",f a b\n/g x\n;h y\n", "\n\n\n"),
        ("%time loss = f(x)\n", "pass; loss = f(x)\n"),
        ("%timeit -n 10 f(x)", "_ =           f(x)\n"),
        ("%time for i in y: f(i)\n", "\n"),
        ("%%time\nx = 1\n", "\nx = 1\n"),
        ("\n%%timeit -n 1\nx = 1\n!ls\n", "\n\nx = 1\n\n"),
        ("%%bash\nls | grep x\n", "\n\n"),
        ("%%html\n<b>\n", "\n\n"),
        ("%%writefile a.py\nx = 1\n", "\n\n"),
        ("%%time?\n", "\n"),
        ("pip install torch\n", "\n"),
        ("cd ../x\n", "\n"),
        ("x = await f()\n", "x = await f()\n"),
    ],
)
def test_what_is_no_python_is_masked(text: str, python: str):
    assert made(text) == python
    ast.parse(made(text))


@pytest.mark.parametrize(
    "text",
    [
        "x = (a\n% b)\n",
        "x = [\n  a\n  !=\n  b]\n",
        's = """\n%matplotlib inline\n!ls\nwhat?\n"""\n',
        "y = a \\\n  % b\n",
        "x = 1 # why?\n",
        "s = 'what?'\n",
        "s = 'a %s' % x\n",
        'f"{x = !r}"\n',
        "x %= 3\n",
        "cat = 1\nls = cat\nls -l\npip in x\n",
        "def f():\n    '''what?\n    !ls\n    '''\n",
        "r'\\'\n% x if 0 else 1\n"[:5] + "\n",
    ],
)
def test_python_stays_as_it_is(text: str):
    assert made(text) == text


def test_what_is_half_typed_costs_its_own_cell_only():
    cells = Cells([Cell.read("x = foo(\n"), Cell.read("%time y = 1")])
    assert cells.cells[1].lines == ("pass; y = 1\n",)


def test_a_cell_that_is_indented_as_a_whole():
    cells = Cells([Cell.read("    x = 1\n    y = 2"), Cell.read("z = 3")])
    assert len(ast.parse(cells.text).body) == 2


def test_a_cell_in_another_language_is_blank():
    assert Cell.read("SELECT *\nFROM x", python=False).lines == ("\n", "\n")


TEXTS = st.lists(
    st.lists(st.sampled_from(["x = 1", "", "é = '😀'", "%time f(x)", "!ls", "    y"]), max_size=4).map("\n".join),
    max_size=5,
)


@given(TEXTS)
def test_lines_there_and_back(texts: list[str]):
    cells = Cells(map(Cell.read, texts))
    seen = set()
    for cell, text in enumerate(texts):
        for line in range(1, len(split_lines(text)) + 2):
            module = cells.line(cell, line)
            assert cells.place(module) == (cell, line)
            seen.add(module)
    assert len(seen) == sum(len(split_lines(text)) + 1 for text in texts)
    for cell, text in enumerate(texts):
        for line, own in enumerate(split_lines(text), 1):
            if line - 1 not in cells.cells[cell].hidden:
                assert cells.lines[cells.line(cell, line) - 1].rstrip("\n") == own.rstrip("\n")


@given(TEXTS, st.data())
def test_an_edit_of_the_module_is_one_of_a_cell_or_none(texts: list[str], data: st.DataObject):
    """Made in the cell, it gives the module that it gives made in the module, but for what ends a cell."""
    cells = Cells(map(Cell.read, texts))
    lines = cells.lines
    line = data.draw(st.integers(1, len(lines)))
    end_line = data.draw(st.integers(line, min(line + 2, len(lines))))
    column = data.draw(st.integers(1, len(lines[line - 1])))
    end_column = data.draw(st.integers(column if line == end_line else 1, len(lines[end_line - 1])))
    new = data.draw(st.sampled_from(["", "z = 1\n", "a", "\n"]))
    edit = cells.edit(Span(line, column, end_line, end_column), new)
    if edit is None:
        return
    after = list(texts)
    after[edit.cell] = applied(after[edit.cell], edit.span, edit.text)
    for cell, text in enumerate(texts):
        assert cell == edit.cell or after[cell] == text
    whole = applied(cells.text, Span(line, column, end_line, end_column), new)
    assert code_of("".join(Cells(map(Cell.read, after)).lines)) == code_of(whole)


def applied(text: str, span: Span, new: str) -> str:
    lines = split_lines(text) or [""]

    def offset(line: int, column: int) -> int:
        return sum(map(len, lines[: line - 1])) + column - 1

    return text[: offset(span.line, span.column)] + new + text[offset(span.end_line, span.end_column) :]


def code_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.split("\n") if line.strip() and not line.startswith(("# %%", "if 1:"))]
