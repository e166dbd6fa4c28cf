"""What the engine takes for known of flags and numbers is what Python makes of them, in programs made at random.

Each program ends with tensors that require grad if a value is what it was when the program ran. What the engine says of
these tensors has to hold whatever the command line is.
"""

from __future__ import annotations

import ast
import sys
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gradls.flow.analyze import analyze
from gradls.syntax.source import Source
from tests.flow.plain_programs import HEAD, Plain

_COMPARED = (bool, int, str, list, dict)


def executed(text: str, arguments: int) -> dict[str, Any] | None:
    """The names that a program leaves behind; None if it raises."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with patch.object(sys, "argv", ["program", *["argument"] * arguments]):
        try:
            exec(compile(text, "program", "exec"), names)
        except Exception:
            return None
    return names


def questions(names: dict[str, Any]) -> str:
    """Statements that ask what the names hold."""
    lines = []
    for name, value in names.items():
        if name[:1] in "bisld" and name[1:].isdigit() and isinstance(value, _COMPARED) and len(repr(value)) < 60:
            lines.append(f"asked_{name} = torch.ones(3, requires_grad={name} == {value!r})\n")
        elif name[:1] == "o" and name[1:].isdigit():
            lines.append(f"asked_{name} = torch.ones(3, requires_grad=bool({name}.on))\n")
    return "".join(lines)


def said(text: str) -> dict[str, bool]:
    """What the engine knows of the answers."""
    facts = analyze(Source.read(text, "program.py"))
    states = {state.node: state.requires_grad for state in facts.states}
    found = {}
    for statement in facts.source.tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).startswith("asked_"):
            flag = states.get(statement.value)
            if flag is not None:
                found[ast.unparse(statement.targets[0])] = flag
    return found


@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9))
def test_what_is_known_is_so(seed: int) -> None:
    text = HEAD + Plain(Random(seed)).text
    names = executed(text, 0)
    assume(names is not None)
    assert names is not None
    text += questions(names)
    runs = [run for run in (executed(text, 0), executed(text, 12)) if run is not None]
    for name, flag in said(text).items():
        assert {run[name].requires_grad for run in runs} == {flag}, f"{name} of seed {seed}\n{text}"


def test_something_is_known() -> None:
    program = "i1 = sum(q for q in [1, 2] if q > 1)\nb2 = i1 == 2 and not many\n"
    text = HEAD + program + questions({"i1": 2, "b2": True})
    assert said(text) == {"asked_i1": True}
