"""Programs that train, made at random: what gradls says of their parameters in the end, against what PyTorch made of
them."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.truth.random_training import HEAD, Training
from tests.truth.test_random_programs import Ran, check

MOST_QUESTIONS = 12


def program(seed: int) -> str:
    """A program which ends by naming its parameters and asking whether they have a gradient, if it comes so far."""
    text = HEAD + Training(Random(seed)).text
    run = Ran(text, 0)
    return text if run.raised else text + questions(run)


def questions(run: Ran) -> str:
    found = []
    for name, value in run.names.items():
        if isinstance(value, nn.Module):
            for path, _ in value.named_parameters():
                parts = [f"[{part}]" if part.isdigit() else f".{part}" for part in path.split(".")]
                found.append(name + "".join(parts))
    lines = []
    for number, path in enumerate(found[:MOST_QUESTIONS]):
        lines.append(f"end_parameter{number} = {path}\n")
        lines.append(f"end_lacks{number} = torch.ones(1, requires_grad={path}.grad is None)\n")
    return "".join(lines)


@settings(max_examples=120, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_what_is_said_is_so(seed: int) -> None:
    text = program(seed)
    try:
        check(text)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n{text}") from None


def test_most_of_them_do_not_raise() -> None:
    assert sum("end_" in program(seed) for seed in range(40)) > 15
