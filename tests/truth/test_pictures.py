"""Gradient pictures say of how many parameters the gradient arrives: as many as PyTorch fills."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from gradls.picture.choose import NothingToDraw
from gradls.picture.draw import picture
from gradls.workspace.session import Session
from tests.truth import programs

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


def drawn(text: str, line: int) -> int | None:
    """How many parameters are drawn as reached; None if that is not known."""
    session = Session()
    session.open("program.py", text)
    try:
        boxes = picture(session, "program.py", line, 10_000).boxes
    except NothingToDraw:
        return None
    owners = [box for box in boxes if "parameter" in box.note or "tensor" in box.note]
    if any("+" in box.note or box.state == "unknown" for box in owners):
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
