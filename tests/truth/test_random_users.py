"""Programs made at random as users write them: what gradls says of every expression in them, and which of them raise,
against what PyTorch does."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.truth import recorder
from tests.truth.random_users import program as made
from tests.truth.test_random_programs import ENOUGH, Ran, errors


def program(seed: int) -> str:
    return made(Random(seed))


@settings(max_examples=50, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_what_is_said_of_those_that_run_is_so(seed: int) -> None:
    text = program(seed)
    if Ran(text, 0).raised or Ran(text, 12).raised:
        return
    found = errors(text)
    assert not found, f"seed {seed}: {found[0].code}, line {found[0].span.line}: {found[0].message}\n{text}"
    wrong = recorder.compare(text).wrong
    assert not wrong, f"seed {seed}: {wrong[0]}\n{text}"


def test_most_that_raise_are_told_to() -> None:
    raising = [text for seed in range(50) if Ran(text := program(seed), 0).raised]
    told = [text for text in raising if errors(text)]
    assert len(raising) > 8
    assert len(told) > ENOUGH * len(raising), f"{len(told)} of {len(raising)}"
