"""A short day of work. `python -m tests.faults.soak` is a long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.rules.page import page
from gradls.rules.registry import all_rules
from tests.faults.soak import figures, soak


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples of all rules, each three times in a file: there are findings in every one, and something to edit."""
    folder = tmp_path_factory.mktemp("programs")
    for rule in all_rules():
        for number, example in enumerate(page(type(rule)).examples):
            (folder / f"{rule.code.lower()}_{number}.py").write_text(example * 3, encoding="utf-8")
    return folder


@pytest.mark.parametrize("pulls", [False, True], ids=["published", "pulled"])
def test_the_end_is_like_the_beginning(programs: Path, pulls: bool):
    course = soak(programs, 150, 12, 60, 1, pulls)
    assert not course.drifts, course.drifts[0]
    assert course.compared >= 12
    warm, last = course.samples[len(course.samples) // 3], course.samples[-1]
    assert last.files <= warm.files
    assert last.threads <= warm.threads
    assert last.processes <= warm.processes
    assert figures(course, 50)["edits"] == 150
