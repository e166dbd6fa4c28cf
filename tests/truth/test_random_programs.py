"""Programs of tensors made at random: what gradls says of them, against what PyTorch does.

An error says that a line raises, so no line that was run without raising may have one. What is said of a tensor at the
end, it has to be whatever the command line is.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable
from random import Random
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from tests.truth.random_tensors import HEAD, Tensors

ENOUGH = 0.6
"""Of the programs that raise so many are told to, at least: what depends on the command line is not known."""


class Ran:
    """What running a program did."""

    def __init__(self, text: str, arguments: int) -> None:
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.lines: set[int] = set()
        self.raised = False
        with patch.object(sys, "argv", ["program", *["argument"] * arguments]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = sys.gettrace()
            sys.settrace(self._entered)
            try:
                exec(compile(text, "program", "exec"), self.names)
            except Exception:
                self.raised = True
            finally:
                sys.settrace(traced)
                torch.set_grad_enabled(True)

    def _entered(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        return self._reached if frame.f_code.co_filename == "program" else None

    def _reached(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        self.lines.add(frame.f_lineno)
        return self._reached

    def tensor(self, name: str) -> torch.Tensor | None:
        """What a name holds; None if it is no tensor, or one that PyTorch refuses to show after a write."""
        value = self.names.get(name)
        try:
            return value if isinstance(value, torch.Tensor) and value.is_leaf is not None else None
        except RuntimeError:
            return None


def program(seed: int) -> str:
    """A program which ends by naming its tensors once more, so that something is said of them there."""
    names = Tensors(Random(seed))
    return HEAD + names.text + "".join(f"end_{name} = {name}\n" for name in names.names["t"])


def errors(text: str) -> list[Finding]:
    found = findings(analyze(Source.read(text, "program.py")))
    return [finding for finding in found if finding.severity is Severity.ERROR]


def check(text: str) -> None:
    """Neither an error where none is raised, nor a state that is not so."""
    runs = [Ran(text, 0), Ran(text, 12)]
    if not any(run.raised for run in runs):
        wrong = [found for found in errors(text) if any(found.span.line in run.lines for run in runs)]
        assert not wrong, f"{wrong[0].code}, line {wrong[0].span.line}: {wrong[0].message}"
    facts = analyze(Source.read(text, "program.py"))
    states = {state.node: state for state in facts.states}
    for statement in facts.source.tree.body:
        if not isinstance(statement, ast.Assign) or not ast.unparse(statement.targets[0]).startswith("end_"):
            continue
        name, state = ast.unparse(statement.targets[0]), states.get(statement.value)
        really = [tensor for run in runs if not run.raised and (tensor := run.tensor(name)) is not None]
        if state is None or not really:
            continue
        assert state.requires_grad in (None, *_one({tensor.requires_grad for tensor in really})), name
        assert state.leaf in (None, *_one({tensor.is_leaf for tensor in really})), name


def check_ends(text: str) -> None:
    """The same of a program that raises nothing, for what its variables hold in the end."""
    run = Ran(text, 0)
    assert not run.raised
    tensors = [variable for variable, value in run.names.items() if isinstance(value, torch.Tensor)]
    check(text + "".join(f"end_{variable} = {variable}\n" for variable in tensors))


def _one(flags: set[bool]) -> set[bool]:
    return flags if len(flags) == 1 else set()


@settings(max_examples=120, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_what_is_said_is_so(seed: int) -> None:
    text = program(seed)
    try:
        check(text)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}\n{text}") from None


def test_most_that_raise_are_told_to() -> None:
    raising = [text for seed in range(100) if Ran(text := program(seed), 0).raised]
    told = [text for text in raising if errors(text)]
    assert len(raising) > 20
    assert len(told) > ENOUGH * len(raising), f"{len(told)} of {len(raising)}"


def test_an_error_where_none_is_raised_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEAD + "t1 = torch.ones(3)\nt1.numpy()\n"
    check(text)
    wrong = errors(text.replace("torch.ones(3)", "torch.ones(3, requires_grad=True)"))
    assert wrong
    monkeypatch.setattr(sys.modules[__name__], "errors", lambda _: wrong)
    with pytest.raises(AssertionError, match="GRD307"):
        check(text)
