"""What is measured on is what it is said to be."""

from __future__ import annotations

import ast
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import inputs
from benchmarks.lsp import Change
from benchmarks.memory import Typing

PROGRAM = '''"""A program."""
import math


def half(x, scale=1):
    y = x * 0.5 * scale
    return y


class Läufer:
    """Größer."""

    def run(self, half_of):
        größe = half(half_of, scale=2)
        return größe + 1


def main():
    runner = Läufer()
    value = runner.run(half_of=math.pi)
    print(value)
'''


def edited(text: str, change: Change) -> str:
    lines = text.split("\n")
    (line, column), (end_line, end_column) = change.start, change.end
    before = "\n".join([*lines[:line], lines[line][:column]])
    after = "\n".join([lines[end_line][end_column:], *lines[end_line + 1 :]])
    return before + change.text + after


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_the_changes_of_a_probe_lead_from_one_state_to_the_other(kind: str):
    probe = inputs.probe(PROGRAM, kind)
    for state in (0, 1):
        ast.parse(probe.states[state].text)
        assert edited(probe.states[state].text, probe.changes[state]) == probe.states[1 - state].text
    assert {probe.has_fault("gradient", state) for state in (0, 1)} == {True, False}
    assert {probe.has_fault("undefined", state) for state in (0, 1)} == {True, False}


@given(st.integers(min_value=5, max_value=300))
def test_a_text_of_a_size_can_be_parsed_and_has_it(lines: int):
    text = inputs.sized(PROGRAM, lines)
    ast.parse(text)
    assert text.count("\n") <= max(lines + 10, PROGRAM.count("\n") + 1)
    if lines > 50:
        assert text.count("\n") >= lines - 10


def test_copies_use_each_other_and_leave_parameters_alone():
    copied = "".join(inputs.copies(PROGRAM, "_1"))
    assert "runner = Läufer_1()" in copied
    assert "half_1(half_of, scale=2)" in copied
    assert "run(half_of=math.pi)" in copied


@given(st.integers())
def test_whoever_types_can_take_it_all_back(seed: int):
    typing = Typing(PROGRAM, seed)
    text = PROGRAM
    for change in islice(typing.edits(), 200):
        text = edited(text, change)
    assert text == "\n".join(typing.lines)
    while typing._undo:
        for change in typing._undo.pop():
            typing._apply(change)
    assert "\n".join(typing.lines) == PROGRAM


def test_a_project_has_nothing_in_it_but_its_settings():
    with inputs.project() as folder:
        assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]
        assert not list(inputs.cache_of(folder).iterdir())
    assert not folder.exists()


def test_a_file_is_copied_with_its_package(tmp_path: Path):
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "inner" / "a.py").write_text("x = 1\ny = 2\n")
    (package / "data.txt").write_text("no code\n")
    target = tmp_path / "copy"
    assert inputs.copy_python(package, target) == (1, 2)
    assert (target / "package" / "inner" / "a.py").exists()
