"""Search in words over rule pages, beliefs and messages: BM25 over stems, with typing errors forgiven."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

T = TypeVar("T")

_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?|[*+\-/@=<>]+")
_IDENTIFIER = re.compile(r"[a-z]+(?:_[a-z]+)+")
_IN_PLACE = re.compile(r"\bin[- ]?place\b")
_ENDINGS = ("ing", "es", "ed", "s", "e")
_EMPTY = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "if", "in"),
        *("is", "it", "my", "not", "of", "on", "or", "that", "the", "to", "what", "when", "why", "will", "with", "-"),
        *("doesn", "t", "s", "there", "this", "was", "has", "have", "should", "need", "you", "me", "true", "really"),
    }
)
_ALIKE = {
    **dict.fromkeys(("break", "broken", "los", "lost", "cut", "drop", "remov", "stop", "disconnect"), "detach"),
    **dict.fromkeys(("gradient", "derivativ"), "grad"),
    **dict.fromkeys(("overwrit", "overwritten", "modif", "mutat", "written"), "inplac"),
    **dict.fromkeys(("param", "weight"), "parameter"),
    **dict.fromkeys(("disabl", "turn", "deactivat"), "switch"),
    **dict.fromkeys(("optim", "optimiser"), "optimizer"),
}
"""Stems that users say one for the other; each stands for itself, too."""
_TITLE = 4
"""What a word in the title counts for."""
_ALIKE_WEIGHT, _TYPO_WEIGHT = 0.4, 0.65
_SATURATION, _LENGTH = 1.2, 0.6
"""The constants k1 and b of BM25."""
_SENTENCE = re.compile(r"(?<=[.:?!])\s+|\n\s*\n|\n(?=[-|#])")
_NO_WORDS = re.compile(r"^ *```(?s:.*?)^ *```$|^ {4}.*$|^- https?://.*$", re.MULTILINE)
MOST_OF_AN_EXCERPT = 160
SHORTEST_TYPO = 4
"""In shorter words typing errors cannot be told from other words."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """Something to be found by the words of its title and its body, which is Markdown."""

    item: T
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """`share` is the part of the query's weight that the item answers, from 0 to 1; `excerpt` a sentence of it that
    does."""

    item: T
    share: float
    score: float
    excerpt: str


def words(text: str) -> list[str]:
    """The words, numbers and operators of `text`, without the endings that English and Python users vary; a name with
    underscores is its parts and the whole."""
    text = _IN_PLACE.sub("inplace", text.lower())
    found = [_stem(word) for word in _WORD.findall(text.replace("_", " ")) if word not in _EMPTY]
    return found + _IDENTIFIER.findall(text)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


class Index(Generic[T]):
    """Entries that can be searched."""

    def __init__(self, entries: Sequence[Entry[T]]) -> None:
        self._entries = entries
        self._counts = [_counts(entry) for entry in entries]
        among = Counter(word for count in self._counts for word in count)
        self._weight = {word: math.log(1 + (len(entries) - n + 0.5) / (n + 0.5)) for word, n in among.items()}
        self._rarest = math.log(2 * len(entries) + 2)
        self._length = max(sum(count.total() for count in self._counts), 1) / max(len(entries), 1)

    def search(self, query: str, most: int = 10) -> list[Hit[T]]:
        """The entries that share words with `query`, best first, `most` of them."""
        weight = self._weight
        asked = dict.fromkeys(words(query))
        wanted = [_forms(word, weight) for word in asked if word in weight or len(word) >= SHORTEST_TYPO]
        total = sum(max((weight[form] for form in forms), default=self._rarest) for forms in wanted)
        hits: list[tuple[float, float, Entry[T]]] = []
        for entry, count in zip(self._entries, self._counts, strict=True):
            length = _SATURATION * (1 - _LENGTH + _LENGTH * count.total() / self._length)
            score = share = 0.0
            for forms in wanted:
                found = [(weight[form] * factor, form) for form, factor in forms.items() if form in count]
                if found:
                    best, form = max(found)
                    share += best
                    score += best * count[form] * (_SATURATION + 1) / (count[form] + length)
            if score:
                hits.append((score, min(share / total, 1.0), entry))
        value = {form: weight[form] for forms in wanted for form in forms}
        hits.sort(key=lambda hit: -hit[0])
        return [Hit(entry.item, share, score, _excerpt(entry.body, value)) for score, share, entry in hits[:most]]


def _counts(entry: Entry[T]) -> Counter[str]:
    count = Counter(words(entry.body))
    for word in words(entry.title):
        count[word] += _TITLE
    return count


def _forms(word: str, known: Mapping[str, float]) -> dict[str, float]:
    """The words of the entries that `word` stands for, with what a match of each counts."""
    meant = {word: 1.0}
    if word not in known and word not in _ALIKE:
        spelled = get_close_matches(word, [*known, *_ALIKE], n=2, cutoff=0.75) if len(word) >= SHORTEST_TYPO else []
        meant = dict.fromkeys(spelled, _TYPO_WEIGHT)
    forms = {form: factor for form, factor in meant.items() if form in known}
    for form, factor in meant.items():
        concept = _ALIKE.get(form, form)
        for other in (concept, *(alike for alike, of in _ALIKE.items() if of == concept)):
            if other in known:
                forms.setdefault(other, factor * _ALIKE_WEIGHT)
    return forms


def _excerpt(body: str, weight: Mapping[str, float]) -> str:
    """The sentence in which most of what was asked for stands."""
    best, most = "", 0.0
    for sentence in _SENTENCE.split(_NO_WORDS.sub("", body)):
        if sentence.lstrip().startswith("#") or sentence.endswith(":"):
            continue
        value = sum(weight.get(word, 0) for word in set(words(sentence)))
        if value > most:
            best, most = sentence, value
    return shortened(best)


def shortened(text: str) -> str:
    """`text` on one line of at most a line and a half."""
    text = " ".join(text.split())
    if len(text) <= MOST_OF_AN_EXCERPT:
        return text
    cut = text[:MOST_OF_AN_EXCERPT].rsplit(" ", 1)[0]
    return f"{cut.rstrip('`,;')} ..." if cut.count("`") % 2 == 0 else f"{cut.rsplit('`', 1)[0].rstrip()} ..."
