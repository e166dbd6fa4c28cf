"""Which findings a baseline knows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradls.workspace.baseline import BadBaseline, Baseline, Known
from gradls.workspace.identity import Identity


def known(snippet: str = "loss.detach()", scope: str = "train", file: str = "a.py", code: str = "GRD101") -> Known:
    return Known(file, code, "detached-loss", Identity(scope, snippet))


def new(root: Path, listed: list[Known], found: list[Known]) -> list[Known]:
    """Those of `found` that are news where the baseline lists `listed`. There are files `a.py` and `b.py`."""
    for name in ("a.py", "b.py"):
        (root / name).touch()
    matched = Baseline(str(root / "baseline.json"), Counter(listed)).match(found)
    return [each for each, entry in zip(found, matched, strict=True) if entry is None]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (known(), known()),
        (known(scope="train"), known(scope="train_epoch")),
        (known(scope="Old.step"), known(scope="New.step")),
        (known("loss.detach()"), known("total.detach()")),
        (known("f(loss, x.detach())"), known("f(total, y.detach())")),
        (known(file="gone.py"), known(file="b.py")),
    ],
    ids=["same", "function renamed", "class renamed", "variable renamed", "variables renamed", "file renamed"],
)
def test_known(tmp_path: Path, listed: Known, found: Known):
    assert new(tmp_path, [listed], [found]) == []


@pytest.mark.parametrize(
    "found",
    [
        known(code="GRD102"),
        known(file="b.py"),
        known("loss.detach_()"),
        known("loss.data"),
        known("other.detach()", scope="test"),
        known("loss.detach().mean()"),
    ],
    ids=["rule", "file", "attribute", "code", "other code elsewhere", "more code"],
)
def test_news(tmp_path: Path, found: Known):
    assert new(tmp_path, [known()], [found]) == [found]


def test_what_is_the_same_counts_before_what_is_alike(tmp_path: Path):
    moved, same = known(scope="other"), known()
    assert new(tmp_path, [same], [moved, same]) == [moved]
    assert new(tmp_path, [same, known("a.detach()")], [known("b.detach()"), known("a.detach()"), same]) == [
        known("b.detach()")
    ]


def test_duplicates_are_counted(tmp_path: Path):
    assert new(tmp_path, [known(), known()], [known()] * 3) == [known()]


TEXTS = st.sampled_from(["a", "b.c()", 'd["é"]', "\ud800", ""])
FINDINGS = st.builds(
    known, TEXTS, TEXTS, st.sampled_from(["a.py", "sub/b.py", "../c d.py"]), st.sampled_from(["G", "H"])
)


@settings(derandomize=True)
@given(listed=st.lists(FINDINGS, max_size=8), found=st.lists(FINDINGS, max_size=8))
def test_each_entry_knows_one_finding_and_what_is_listed_is_known(listed: list[Known], found: list[Known]):
    baseline = Baseline("/nowhere/baseline.json", Counter(listed))
    matched = baseline.match(found)
    taken = Counter(entry for entry in matched if entry is not None)
    assert not taken - baseline.counts
    assert all(entry is None or entry.code == each.code for each, entry in zip(found, matched, strict=True))
    exact = Counter(found) & baseline.counts
    assert sum(taken.values()) >= sum(exact.values())
    assert None not in baseline.match(listed)


@settings(derandomize=True)
@given(listed=st.lists(FINDINGS, max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, listed: list[Known]):
    path = str(tmp_path_factory.mktemp("baseline") / "baseline.json")
    Baseline(path, Counter(listed)).write()
    text = Path(path).read_bytes()
    assert Baseline.read(path) == Baseline(path, Counter(listed))
    Baseline(path, Counter(reversed(listed))).write()
    assert Path(path).read_bytes() == text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        b'{"version": 2, "findings": {}}',
        b'{"version": 1, "findings": {"a.py": [{}]}}',
        b'{"version": 1, "findings": []}',
        b'{"version": 1, "findings": {"a.py": [{"code": "G", "name": "n", "scope": "", "snippet": "", "count": -1}]}}',
        b'<<<<<<< HEAD\n{"version": 1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_baseline(tmp_path: Path, content: bytes):
    (tmp_path / "baseline.json").write_bytes(content)
    with pytest.raises(BadBaseline):
        Baseline.read(str(tmp_path / "baseline.json"))


def test_paths_are_those_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    baseline = Baseline(str(tmp_path / "ci" / "baseline.json"))
    assert baseline.file_of("a.py") == "../src/a.py" == baseline.file_of(str(tmp_path / "src" / "a.py"))
    assert baseline.place_of("../src/a.py") == str(tmp_path / "src" / "a.py")
