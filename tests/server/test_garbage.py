"""What is dropped is given back."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest

from gradls.server import garbage
from gradls.server.analysis import Analyst
from gradls.server.documents import Document, uri_of
from gradls.server.garbage import Garbage
from gradls.server.settings import Abilities, Client, Settings
from tests.lsp.programs import DETACHED

FUNCTION = (
    "def f{0}(x):\n    y = x * {0}\n    loss = (model(y) - x).pow(2).sum()\n    loss.backward()\n    return loss\n"
)


def test_an_analyst_that_is_replaced_gives_most_back_at_once():
    """Nobody has to look for it: garbage that is frozen would stay until there is time for that."""
    text = DETACHED + "".join(FUNCTION.format(number) for number in range(200))
    analyst = Analyst([], Settings(), Client("utf-16", Abilities(), uri_of), lambda root: None)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        analyst.analyse(Document("file:///t/train.py", 1, text).snapshot())
        made = len(gc.get_objects()) - before
        analyst.end()
        left = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert left < made / 2


def test_in_a_pause_is_collected_what_has_grown(monkeypatch: pytest.MonkeyPatch):
    collected: list[int] = []
    frozen = [1_000_000]
    about = SimpleNamespace(
        get_count=lambda: (0, 0, 0),
        get_freeze_count=lambda: frozen[0],
        freeze=lambda: None,
        unfreeze=lambda: None,
        collect=lambda: collected.append(frozen[0]),
    )
    monkeypatch.setattr(garbage, "gc", about)
    one = Garbage()
    assert one.any(0.5) is None
    first = one.any(2.5)
    assert first is not None
    first()
    frozen[0] = 1_200_000
    assert one.any(2.5) is None
    frozen[0] = 1_300_000
    second = one.any(2.5)
    assert second is not None
    second()
    assert collected == [1_000_000, 1_300_000]
