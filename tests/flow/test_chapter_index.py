"""The index of chapters says the same, however it came about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gradls.flow.analyze import analyze
from gradls.flow.chapter_index import ChapterIndex
from gradls.syntax.source import Source

PROGRAM = """
import torch

def forward(x):
    return torch.relu(x)

def learn(x):
    x.sum().backward()

def learn_more(x):
    torch.relu(x).detach().sum().backward()

def stop(x):
    return x.detach()
"""
CHAPTERS = analyze(Source.read(PROGRAM)).chapters
KINDS = sorted({kind for chapter in CHAPTERS for kind in chapter.kinds})
NAMES = sorted({name for chapter in CHAPTERS for name in chapter.names})
some_chapters = st.lists(st.sampled_from(CHAPTERS), unique=True)


@given(st.lists(some_chapters, min_size=1), st.lists(st.sampled_from(KINDS)), st.lists(st.sampled_from(NAMES)))
def test_what_is_taken_over(steps: list, kinds: list[str], names: list[str]) -> None:
    """Also by one from which all was taken in between."""
    made: list[ChapterIndex] = []
    for chapters in steps:
        made.append(ChapterIndex(chapters, made[-1] if made else None))
        made[-1].having(kinds, names)
    for chapters, index in zip(steps, made, strict=True):
        expected = [
            chapter
            for chapter in chapters
            if not chapter.kinds.isdisjoint(kinds) or not chapter.names.isdisjoint(names)
        ]
        assert index.having(kinds, names) == expected
