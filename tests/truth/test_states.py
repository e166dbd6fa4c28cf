"""What gradls says of the tensors in a program, against what they are when it runs on PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradls.rules.beliefs import all_beliefs
from gradls.rules.page import page
from gradls.rules.registry import all_rules
from tests.truth import recorder


def _programs() -> Iterator[tuple[str, str]]:
    """Every program of the rule pages and of the list of false beliefs, with a name."""
    for rule in all_rules():
        found = page(type(rule))
        for number, program in enumerate([*found.examples, *found.uses, *found.silent], 1):
            yield f"{rule.code}-{number}", program
    for number, belief in enumerate(all_beliefs(), 1):
        yield f"belief-{number}", belief.program


PROGRAMS = list(_programs())


@pytest.mark.parametrize("program", [program for _, program in PROGRAMS], ids=[name for name, _ in PROGRAMS])
def test_states_are_what_they_are(program: str) -> None:
    score = recorder.compare(program)
    assert not score.wrong, "\n".join(score.wrong)


def test_nearly_every_state_is_known() -> None:
    scores = [recorder.compare(program) for _, program in PROGRAMS[::4]]
    expressions = sum(score.expressions for score in scores)
    assert sum(score.stated for score in scores) / expressions > 0.95


def test_the_recorder_sees_every_kind_of_expression() -> None:
    program = (
        "import torch\n"
        "x = torch.ones(2, requires_grad=True)\n"
        "class A:\n"
        "    def f(self, é):\n"
        "        return é.detach() if é.sum() > 0 else -é[0]\n"
        "y = [A().f(v) for v in (x, x * 2)]\n"
        "print(f'{x}', *y)\n"
        "y[0][0] += 1\n"
        "for i in range(2):\n"
        "    z = x if i else x.bool()\n"
        "z.no_such_thing\n"
        "x.exp()\n"
    )
    lines = program.splitlines()
    seen = {
        (span.line, lines[span.line - 1][span.column - 1 : span.end_column - 1]): found
        for span, found in recorder.record(program).items()
    }
    assert seen[2, "torch.ones(2, requires_grad=True)"].leaf == {True}
    product = seen[6, "x * 2"]
    assert (product.requires_grad, product.leaf, product.dtype) == ({True}, {False}, {"float"})
    assert seen[5, "é.detach()"].requires_grad == {False}
    assert seen[5, "é"].leaf == {True, False}
    assert seen[10, "x if i else x.bool()"].dtype == {"float", "bool"}
    assert (11, "z") in seen
    assert (11, "z.no_such_thing") not in seen
    assert (12, "x") not in seen  # never reached


def test_a_wrong_statement_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import torch\nx = torch.ones(2, requires_grad=True)\ny = x.detach()\n"
    assert not recorder.compare(program).wrong
    real = recorder.analyze

    def turned(source: object) -> object:
        facts = real(source)  # type: ignore[arg-type]
        for state in facts.states:
            state.requires_grad = not state.requires_grad
        return facts

    monkeypatch.setattr(recorder, "analyze", turned)
    assert len(recorder.compare(program).wrong) == 3
