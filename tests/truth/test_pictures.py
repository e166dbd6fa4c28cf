"""Gradient pictures say of how many parameters the gradient arrives: as many as PyTorch fills, and as lenses say."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from gradls.explain.lenses import lenses
from gradls.flow.analyze import analyze
from gradls.picture.choose import NothingToDraw
from gradls.picture.draw import picture
from gradls.syntax.source import Source
from gradls.testing import programs
from gradls.workspace.session import Session
from tests.truth.test_seeing import PROGRAMS

FILES = sorted(Path(__file__).with_name("training").glob("*.py"))
LEAST_DRAWN = 0.8


def leaves(tensors: Any) -> int:
    """How many leaves get a gradient from a backward of these tensors."""
    found, seen = set(), set()
    todo = [tensor.grad_fn for tensor in ([tensors] if isinstance(tensors, torch.Tensor) else tensors)]
    while todo:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        todo += [following for following, _ in node.next_functions]
    return len(found)


def filled(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """By the line that calls `backward()`, how many leaves get a gradient when the program runs."""
    counts: dict[int, set[int]] = defaultdict(set)

    def watched(function: Any) -> Any:
        def backward(tensors: Any, *arguments: Any, **options: Any) -> Any:
            frame = sys._getframe(1)
            while frame is not None and "torch" in frame.f_code.co_filename:
                frame = frame.f_back  # type: ignore[assignment]
            watched_itself = frame is not None and frame.f_code.co_filename == __file__
            if frame is not None and not watched_itself and options.get("inputs") is None:
                counts[frame.f_lineno].add(leaves(tensors))
            return function(tensors, *arguments, **options)

        return backward

    with monkeypatch.context() as patches:
        patches.setattr(torch.Tensor, "backward", watched(torch.Tensor.backward))
        patches.setattr(torch.autograd, "backward", watched(torch.autograd.backward))
        assert programs.run(text).error is None
    return counts


def drawn(text: str, line: int, tensors: bool = True) -> int | None:
    """How many leaves are drawn as reached; None if that is not known, without `tensors` of a parameter."""
    session = Session()
    session.open("program.py", text)
    try:
        boxes = picture(session, "program.py", line, 10_000).boxes
    except NothingToDraw:
        return None
    owners = [box for box in boxes if "parameter" in box.note or "tensor" in box.note]
    if any("+" in box.note or (box.state == "unknown" and (tensors or "parameter" in box.note)) for box in owners):
        return None
    notes = [box.note.split() for box in owners if box.note.startswith("✓")]
    return sum(int(words[1]) for words in notes)


def test_as_many_parameters_are_reached_as_pytorch_fills(monkeypatch: pytest.MonkeyPatch):
    wrong, known, calls = [], 0, 0
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for line, counts in sorted(filled(text, monkeypatch).items()):
            calls += 1
            count = drawn(text, line)
            if count is not None:
                known += 1
                if count not in counts:
                    wrong.append(f"{path.stem}:{line} {count} of {counts}")
    assert not wrong
    assert calls > 30
    assert known >= LEAST_DRAWN * calls, f"{known} of {calls}"


_PARAMETERS = re.compile(r"gradient reaches (?:(\d+) of )?(\d+) parameters?")
_OTHERS = re.compile(r"(\d+) leaf tensor")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_pictures_and_lenses_agree(program: str):
    for lens in lenses(analyze(Source.read(program, "program.py"))):
        counts = {int(found[1] or found[2]) for found in _PARAMETERS.finditer(lens.title)}
        others = {int(found[1]) for found in _OTHERS.finditer(lens.title)}
        if lens.kind == "backward" and (counts or others):
            count = drawn(program, lens.span.line, tensors=False)
            counts |= {0} if "no gradient" in lens.title else set()  # in one of its rounds
            assert count in {a + b for a in counts or {0} for b in others or {0}}, f"{lens.title}, but drawn {count}"
