"""Notebook files: what is read of them, and that nothing but the texts changes in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.syntax.text import split_lines
from gradls.workspace.files import Unreadable
from gradls.workspace.notebook import Notebook

CODES = ["import torch\n", "x = '<é>' # 😀\n", "%time y = 1"]


def notebook(*sources: Any, **options: Any) -> str:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title"]},
        *(
            {
                "cell_type": "code",
                "execution_count": 1.50,
                "metadata": {"tags": ["source"]},
                "outputs": [{"output_type": "stream", "text": ["\u00e9\u001b[0m"]}],
                "source": source,
            }
            for source in sources
        ),
    ]
    metadata = {"kernelspec": {"name": "python3", "language": "python"}, "source": "no cell's"}
    return json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, **options)


def texts(read: Notebook) -> list[str]:
    return [cell.text for cell in read.cells.cells]


@pytest.mark.parametrize("indent", [None, 1, 2, "\t"])
@pytest.mark.parametrize("ascii", [True, False])
def test_one_line_changes(indent: int | str | None, ascii: bool):
    content = notebook(CODES, "a = 1\nb = 2", indent=indent, ensure_ascii=ascii) + "\n"
    read = Notebook.read(content.encode(), "a.ipynb")
    assert read.data == content.encode()
    assert texts(read) == ["".join(CODES), "a = 1\nb = 2"]
    assert read.numbers == (2, 3)
    made = read.with_texts(["".join(CODES).replace("import torch", "import numpy"), "a = 1\nb = 3"])
    assert made.stored == content.replace("import torch", "import numpy").replace("b = 2", "b = 3")


def test_lines_come_and_go():
    content = notebook(CODES, indent=1, ensure_ascii=False)
    read = Notebook.read(content.encode(), "a.ipynb")
    more = [CODES[0], "import numpy\n", *CODES[1:], "\n", "z = 1"]
    for new in (more, CODES[1:], CODES[:1], [], [CODES[0], *CODES[2:]], ["a\n", *CODES], [*CODES[:2], "q = 1"]):
        text = "".join(new)
        assert read.with_texts([text]).stored == notebook(split_lines(text), indent=1, ensure_ascii=False)


@pytest.mark.parametrize("spelled", [r"\u003ca\u003e", r"\/", r"\ud83d\ude00", "é", "\u2028"])
def test_escapes_stay_as_they_are_spelled(spelled: str):
    content = notebook(["X = 1 # Y"], "Y # X", indent=1).replace("X", f"x{spelled}")
    read = Notebook.read(content.encode(), "a.ipynb")
    made = read.with_texts([text.replace("Y", "y = 2") for text in texts(read)])
    assert made.stored == content.replace("Y", "y = 2")


@given(st.lists(st.text('ab\n\r"\\é😀\u2028\x07', max_size=12), min_size=1, max_size=4), st.booleans(), st.data())
def test_any_text_can_be_written(sources: list[str], as_list: bool, data: st.DataObject):
    content = notebook(
        *(split_lines(text) if as_list else text for text in sources), indent=1, ensure_ascii=not as_list
    )
    read = Notebook.read(content.encode(), "a.ipynb")
    assert texts(read) == sources
    new = [data.draw(st.sampled_from([text, text + "b\n", text[1:], "", "é😀\n" + text])) for text in sources]
    assert texts(read.with_texts(new)) == new


def test_the_line_in_the_file():
    content = notebook(CODES, "a = 1", indent=1, ensure_ascii=False)
    read = Notebook.read(content.encode(), "a.ipynb")
    lines = content.split("\n")
    assert [line for number in (1, 2, 3) if CODES[number - 1].rstrip() in (line := lines[read.line_of(0, number) - 1])]
    assert "time y" in lines[read.line_of(0, 3) - 1]
    assert "a = 1" in lines[read.line_of(1, 1) - 1]


def test_other_languages():
    content = notebook(["x = 1"])
    assert texts(Notebook.read(content.replace('"language": "python"', '"language": "R"').encode(), "a.ipynb")) == []
    sql = content.replace('"tags"', '"vscode": {"languageId": "sql"}, "tags"')
    assert texts(Notebook.read(sql.encode(), "a.ipynb")) == []


def test_a_notebook_of_2014():
    cell = {"cell_type": "code", "input": ["x = 1"], "language": "python", "outputs": []}
    content = json.dumps({"metadata": {}, "nbformat": 3, "worksheets": [{"cells": [cell, cell]}]})
    read = Notebook.read(content.encode(), "a.ipynb")
    assert texts(read) == ["x = 1", "x = 1"]
    assert texts(read.with_texts(["x = 1", "x = 2"])) == ["x = 1", "x = 2"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"import torch\n",
        b"[]",
        b"{}",
        b'{"cells": 3}',
        b'{"cells": [{"cell_type": "code", "source": 3}]}',
        b'{"cells": [3]}',
        b'{"cells": [',
        b'{"cells": [{"cell_type": "code", "source": ["x = 1\\n", ',
        b"\xff\xfe",
        b"[" * 5000,
        b'{"cells": ' + b"[" * 5000,
    ],
)
def test_what_is_no_notebook(data: bytes):
    with pytest.raises(Unreadable):
        Notebook.read(data, "a.ipynb")


def test_a_mark_at_the_start():
    content = b"\xef\xbb\xbf" + notebook("x = 1").encode()
    assert Notebook.read(content, "a.ipynb").with_texts(["x = 2"]).data == content.replace(b"x = 1", b"x = 2")
