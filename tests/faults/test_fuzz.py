"""Some executions of each target of the fuzzer, and what it has found. `python -m tests.faults.fuzz` makes more."""

from __future__ import annotations

import json
import logging

import pytest

from gradls.syntax.source import Source
from gradls.workspace.files import Unreadable, decode
from gradls.workspace.notebook import Notebook
from tests.faults.fuzz import Failures, examples, run
from tests.faults.mutations import MUTATIONS, Corpus
from tests.faults.targets import TARGETS, check_edited, check_tree

SHARES = {"engine": 25, "programs": 150, "session": 12, "syntax": 80}
OTHER_SHARES = 150
SECONDS = 120.0


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return examples()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_bad_input_costs_nothing_else(name: str, corpus: Corpus, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    failures = Failures()
    run(name, corpus, 7, 0, SHARES.get(name, OTHER_SHARES), failures, SECONDS)
    assert not failures.places


def test_the_fuzzer_tells_what_fails(corpus: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(corpus: Corpus, chance: object) -> None:
        raise IndexError("planted")

    TARGETS["planted"] = fail
    try:
        failures = Failures()
        run("planted", corpus, 0, 5, 3, failures, SECONDS)
    finally:
        del TARGETS["planted"]
    assert list(failures.places.values()) == [3]
    assert "--target planted --seed 0 --first 5" in capsys.readouterr().err


def test_there_are_texts_and_mutations(corpus: Corpus) -> None:
    assert len(corpus.texts) > 100
    assert len(MUTATIONS) > 12


EDITS = {
    "the same lines at another depth": [
        "if a:\n if a:\n  if a:\n   if a:\n    if a:\n     pass\n",
        "if a:\n   if a:\n    if a:\n     pass\n",
    ],
    "a mark of the byte order before a comment": [
        'class Q\n  ""\n\n  \n   "  "\n   "  a  "\n   "  "\n\n  \n',
        '\ufeff#class C\n  ""\n\n  \n   "  "\n   "  a  "\n   "  "\n\n  \n',
        '\ufeff#class C\n"',
    ],
    "the comment above a broken line goes": [
        "class e\n    t\n            # x\n            assert x\n    x x\n",
        "            # x\n            assert x\n    x x\n",
        "            assert x\n    x x\n",
    ],
    "a line that goes on with nothing": ["", "\\\r\n", "\\\n\nx", "\\\n\n", "\\\n"],
    "the first line becomes a member of a class": [" x", ":\nclass C\n c\n :\n C\n :\n x"],
}


@pytest.mark.parametrize("texts", EDITS.values(), ids=EDITS.keys())
def test_edits(texts: list[str]) -> None:
    check_tree(Source.read(texts[0]))
    check_edited(texts)


@pytest.mark.parametrize("text", ["def f():\n  x(\n", "(\n", "if x:\n   $\n", "class C:\n def f(s):\n  [\n"])
def test_what_stands_in_for_broken_lines_lies_in_the_text(text: str) -> None:
    check_tree(Source.read(text))


@pytest.mark.parametrize("name", ["rot13", "hex", "undefined", "punycode", "idna", "zip", "nothing"])
def test_codecs_that_are_no_encodings(name: str) -> None:
    data = f"# coding: {name}\nx = 'caf\u00e9 {'#' * 80}'\n".encode()
    with pytest.raises(Unreadable):
        decode(data, "train.py")


@pytest.mark.parametrize("source", [[[], "x"], [None], {"a": 1}, 1, None, [["x"]]])
def test_cells_that_have_no_text(source: object) -> None:
    cell = {"cell_type": "code", "source": source, "metadata": {}, "outputs": []}
    data = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4}).encode()
    with pytest.raises(Unreadable):
        Notebook.read(data, "train.ipynb")
