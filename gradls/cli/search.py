"""Search in words over rule pages and beliefs."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?|[*+\-/@=<>]+")
_ENDINGS = ("ing", "es", "ed", "s")
_EMPTY = frozenset(
    {
        *("a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how", "i", "if", "in"),
        *("is", "it", "my", "not", "of", "on", "or", "that", "the", "to", "what", "when", "why", "will", "with"),
    }
)
_WEIGHT_OF_TITLE = 3


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """Something to be found by the words of its title and its body."""

    item: T
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Hit(Generic[T]):
    """`share` is the part of the query's weight that the item answers, from 0 to 1."""

    item: T
    share: float


def words(text: str) -> list[str]:
    """The words, numbers and operators of `text`, without the endings that English and Python users vary."""
    return [_stem(word) for word in _WORD.findall(text.lower().replace("_", " ")) if word not in _EMPTY]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def search(query: str, entries: Sequence[Entry[T]]) -> list[Hit[T]]:
    """The entries that share words with `query`, best first. Rare words count for more, and those of a title too."""
    wanted = set(words(query))
    titles = [set(words(entry.title)) for entry in entries]
    bodies = [set(words(entry.body)) for entry in entries]
    weight = _weights(wanted, [title | body for title, body in zip(titles, bodies, strict=True)])
    best = sum(weight.values()) * _WEIGHT_OF_TITLE
    hits = []
    for entry, title, body in zip(entries, titles, bodies, strict=True):
        score = sum(weight[w] * (_WEIGHT_OF_TITLE if w in title else 1) for w in wanted if w in title or w in body)
        if score:
            hits.append(Hit(entry.item, score / best))
    return sorted(hits, key=lambda hit: -hit.share)


def _weights(wanted: Iterable[str], documents: Sequence[set[str]]) -> dict[str, float]:
    counts = Counter(word for document in documents for word in document)
    return {word: math.log(1 + len(documents) / (1 + counts[word])) for word in wanted}
