"""Programs made at random of custom Functions, checkpoints, hooks and gradients of gradients, and of states that are
carried through loops: what gradls says of them, against what PyTorch does."""

from __future__ import annotations

import ast
import contextlib
import io
import warnings
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.truth import random_states
from tests.truth.random_functions import HEAD, Functions
from tests.truth.test_random_programs import ENOUGH, Ran, check, errors

_LESS = settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))


def program(seed: int) -> str:
    """A program which ends by naming its tensors once more; it may raise."""
    functions = Functions(Random(seed))
    return HEAD + functions.text + "".join(f"end_{name} = {name}\n" for name in functions.names["t"])


def running(text: str) -> str:
    """A program without those of its statements that raise."""
    kept: list[ast.stmt] = []
    names: dict[str, object] = {"__name__": "__main__"}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for statement in ast.parse(text).body:
            try:
                exec(compile(ast.Module([statement], []), "program", "exec"), names)
            except Exception:
                continue
            kept.append(statement)
    return ast.unparse(ast.Module(kept, [])) + "\n"


@_LESS
@given(st.integers(0, 10**9))
def test_what_is_said_of_functions_is_so(seed: int) -> None:
    text = running(program(seed))
    try:
        check(text)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n{text}") from None


def test_most_that_raise_are_told_to() -> None:
    raising = [text for seed in range(60) if Ran(text := program(seed), 0).raised]
    told = [text for text in raising if errors(text)]
    assert len(raising) > 20
    assert len(told) > ENOUGH * len(raising), f"{len(told)} of {len(raising)}"


def test_a_state_with_its_graph_is_told_and_no_other() -> None:
    raising, told = 0, 0
    for seed in range(40):
        text = random_states.program(Random(seed))
        raises, found = Ran(text, 0).raised, errors(text)
        assert raises or not found, f"seed {seed}: {found[0].code}, line {found[0].span.line}\n{text}"
        raising += raises
        told += raises and bool(found)
    assert raising > 10
    assert told > ENOUGH * raising, f"{told} of {raising}"
