"""Run a program on real PyTorch, and hold it against what it states.

A program states what happens in comments, `# raises RuntimeError: words` and `# warns UserWarning: words`, on the
statement that does it, and in `assert` statements.
"""

from __future__ import annotations

import ast
import io
import os
import random
import re
import sys
import tempfile
import tokenize
import types
import unittest
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

_STATEMENT = re.compile(r"#\s*(raises|warns)\s+(\w+)(?::\s*(.*?))?\s*$")


class Stated(NamedTuple):
    """`kind` is `raises` or `warns`; `line` counts from 1; `words` are part of the message."""

    kind: str
    line: int
    exception: str
    words: str


class Outcome(NamedTuple):
    """How a program ended: what it raised, on which of its lines, and what it warned of."""

    error: BaseException | None
    line: int
    warned: list[warnings.WarningMessage]


def stated(program: str) -> list[Stated]:
    """What the comments of a program state."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        match = _STATEMENT.match(token.string) if token.type == tokenize.COMMENT else None
        if match:
            found.append(Stated(match[1], token.start[0], match[2], match[3] or ""))
    return found


def has_assert(program: str) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(program)))


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Everything global that a program may turn is turned back."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    threads, main = torch.get_num_threads(), sys.modules["__main__"]
    anomaly, often = torch.is_anomaly_enabled(), torch.is_warn_always_enabled()
    folder, path, arguments = os.getcwd(), list(sys.path), sys.argv
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        sys.argv = ["program.py"]
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                random.seed(0)
                torch.set_warn_always(True)
                yield
        finally:
            os.chdir(folder)
            sys.path[:], sys.argv = path, arguments
            sys.modules["__main__"] = main
            torch.set_grad_enabled(grad)
            torch.set_default_dtype(dtype)
            torch.set_default_device(None)
            torch.set_num_threads(threads)
            torch.autograd.set_detect_anomaly(anomaly)
            torch.set_warn_always(often)
            torch.use_deterministic_algorithms(False)


def run(program: str) -> Outcome:
    """Run a program as a script of its own. A package that is not installed here skips the test."""
    return run_code(compile(program, "<program>", "exec"), {})


def run_code(code: types.CodeType, more: dict[str, object]) -> Outcome:
    """Run a compiled program that also knows the names in `more`."""
    name = code.co_filename
    module = types.ModuleType("__main__")
    module.__dict__.update(more)
    with _as_it_was(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        sys.modules["__main__"] = module
        try:
            exec(code, module.__dict__)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in ("torch", "numpy"):
                return Outcome(error, 0, warned)
            raise unittest.SkipTest(f"{error.name} is not installed") from None
        except (Exception, SystemExit) as error:
            return Outcome(error, _line(error, name), warned)
    return Outcome(None, 0, warned)


def _line(error: BaseException, name: str) -> int:
    """The line of the program's top level on which it stopped."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            return trace.tb_lineno
        trace = trace.tb_next
    return 0


def _lines_in(error: BaseException, name: str = "<program>") -> set[int]:
    """Every line of the program on the way to the error."""
    lines, trace = set(), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            lines.add(trace.tb_lineno)
        trace = trace.tb_next
    return lines


def check(program: str) -> Outcome:
    """Run a program; what it states must be what happens."""
    outcome = run(program)
    raises = [claim for claim in stated(program) if claim.kind == "raises"]
    if not raises:
        assert outcome.error is None, f"raised {outcome.error!r} on line {outcome.line}"
    for claim in raises:
        assert outcome.error is not None, f"did not raise {claim.exception} on line {claim.line}"
        names = {cls.__name__ for cls in type(outcome.error).__mro__}
        assert claim.exception in names, f"raised {outcome.error!r} on line {outcome.line}"
        assert _squeezed(claim.words) in _squeezed(str(outcome.error)), f"raised {outcome.error!r}"
        statement = _statement_lines(program, claim.line)
        assert statement & _lines_in(outcome.error), f"raised on line {outcome.line}, not on line {claim.line}"
    for claim in stated(program):
        if claim.kind == "warns":
            fitting = [
                warning
                for warning in outcome.warned
                if claim.exception in {cls.__name__ for cls in warning.category.__mro__}
                and _squeezed(claim.words) in _squeezed(str(warning.message))
            ]
            assert fitting, f"did not warn so: {[str(warning.message) for warning in outcome.warned]}"
    return outcome


def _squeezed(words: str) -> str:
    return " ".join(words.split())


def _statement_lines(program: str, line: int) -> set[int]:
    """The lines of the smallest statement that stands on a line."""
    statements = [
        node
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    smallest = min(statements, key=lambda node: (node.end_lineno or 0) - node.lineno, default=None)
    return set(range(smallest.lineno, (smallest.end_lineno or 0) + 1)) if smallest else {line}


def without_asserts(program: str) -> str:
    """The program with `pass` for every `assert`."""

    class Strip(ast.NodeTransformer):
        def visit_Assert(self, node: ast.Assert) -> ast.AST:
            return ast.copy_location(ast.Pass(), node)

    return ast.unparse(Strip().visit(ast.parse(program)))
