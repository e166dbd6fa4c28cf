"""Statements about autograd that are often read and are false, each with what is true and a program that shows it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Belief:
    """`claim` is the false statement; `truth` what holds, in Markdown; `program` asserts it on PyTorch."""

    claim: str
    truth: str
    program: str


@cache
def all_beliefs() -> tuple[Belief, ...]:
    """The list that comes with the package."""
    text = files("gradls.rules").joinpath("beliefs.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["belief"]
    return tuple(Belief(entry["claim"], entry["truth"].strip(), entry["program"].strip() + "\n") for entry in entries)
