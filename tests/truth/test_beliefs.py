"""The false beliefs, refuted by PyTorch itself; gradls must not repeat one of them."""

from __future__ import annotations

import warnings

import pytest

from gradls.rules.beliefs import Belief, all_beliefs
from gradls.rules.finding import Severity
from gradls.workspace.session import Session

BELIEFS = all_beliefs()
LOUD = (Severity.ERROR, Severity.WARNING)


def test_each_claim_is_there_once():
    claims = [belief.claim for belief in BELIEFS]
    assert len(claims) == len(set(claims))
    assert len(claims) >= 70


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.claim)
def test_program_shows_the_truth(belief: Belief):
    assert "assert" in belief.program
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(belief.program, belief.claim, "exec"), {"__name__": "belief"})


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.claim)
def test_gradls_does_not_share_it(belief: Belief):
    session = Session()
    session.open("belief.py", belief.program)
    assert not session.problems("belief.py")
    loud = [finding for finding in session.findings("belief.py") if finding.severity in LOUD]
    assert not loud, [(finding.name, finding.message) for finding in loud]
