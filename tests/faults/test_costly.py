"""Programs that are built to cost too much: what stands beside them is found all the same.

`python -m tests.faults.costly` measures all of them; here are those that a mistake in a budget would let run for ever.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from gradls.workspace.session import Session
from tests.faults.costly import FINDING, files_of
from tests.faults.targets import check_findings
from tests.lsp.raw import Raw, started

NAMES = [
    *("huge_numbers", "numbers_that_grow", "a_model_within_itself", "powers", "loops_within_loops"),
    *("lambdas_within_lambdas", "closures_within_closures", "classes_that_are_their_own_base", "tries_within_tries"),
    *("calls_that_double_and_branch", "imports_in_a_circle"),
]


def write(name: str, folder: Path) -> tuple[str, str]:
    """The path and the text of the program's `main.py`, with its other files in the folder."""
    files = files_of(name)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return os.fspath(folder / "main.py"), files["main.py"]


@pytest.mark.parametrize("name", NAMES)
def test_the_mistake_beside_it_is_found(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, text = write(name, tmp_path)
    session = Session(tmp_path)
    with caplog.at_level(logging.ERROR):
        session.open(path, text)
        found = session.findings(path)
    check_findings(found, session)
    last = len(text.splitlines()) - 1
    assert (FINDING, last) in [(finding.code, finding.span.line) for finding in found]
    assert not caplog.records


def test_the_loop_of_the_server_does_not_wait(tmp_path: Path) -> None:
    path, text = write("sums_of_hundreds", tmp_path)
    with started() as (raw, _):
        raw.begin()
        raw.open(Path(path).as_uri(), text)
        # The loop answers this by itself, while the worker is busy with the text.
        assert raw.request(1, "initialize", {"capabilities": {}})["error"]
        assert not _is_published(raw, path)
        raw.open((tmp_path / "small.py").as_uri(), "x = 1\n")
        raw.wait_for(lambda message: _is_published(raw, path) and _is_published(raw, os.fspath(tmp_path / "small.py")))


def _is_published(raw: Raw, path: str) -> bool:
    return any(
        message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == Path(path).as_uri()
        for message in raw.seen
    )
