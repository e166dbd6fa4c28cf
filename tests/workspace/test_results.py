"""Results on disk, as far as files do not come into it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gradls.workspace import results
from gradls.workspace.looked import ABSENT, OPEN, PRESENT, Disk
from gradls.workspace.results import Result, Results, key_of


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "project" / "pkg").mkdir(parents=True)
    return str(tmp_path / "project")


def find(kept: Results, key: str, root: str) -> object:
    return kept.find(key, root, Disk())


def test_a_result_holds_for_the_state_that_it_rests_on(tmp_path: Path, root: str):
    kept = Results(tmp_path)
    file = Path(root, "pkg", "a.py")
    key = key_of("a")
    file.write_text("1")
    one = Disk().state(str(file))
    file.write_text("2")
    two = Disk().state(str(file))
    kept.keep([Result(key, {"pkg/a.py": one}, "one"), Result(key, {"pkg/a.py": two}, "two")])
    assert find(kept, key, root) == "two"
    file.write_text("1")
    assert find(kept, key, root) == "one"
    file.write_text("3")
    assert find(kept, key, root) is None
    file.unlink()
    assert find(kept, key, root) is None
    kept.keep([Result(key, {"pkg/a.py": ABSENT}, "nothing")])
    assert find(kept, key, root) == "nothing"
    file.write_text("3")
    assert find(kept, key, root) is None
    kept.keep([Result(key, {"pkg/a.py": PRESENT}, "something")])
    assert find(kept, key, root) == "something"
    kept.close()
    assert find(Results(tmp_path), key, root) == "something"
    assert find(Results(tmp_path), key_of("b"), root) is None


def test_what_an_editor_had_is_not_kept(tmp_path: Path, root: str):
    kept = Results(tmp_path)
    kept.keep([Result(key_of("a"), {"a.py": OPEN}, "one")])
    assert find(kept, key_of("a"), root) is None


def test_what_is_used_least_goes_first(tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(results, "MOST_BYTES", 200_000)
    chance = random.Random(0)
    for day in range(10):
        kept = Results(tmp_path)
        kept._today = day
        assert day == 0 or find(kept, key_of("first"), root) == "first"
        kept.keep([Result(key_of("first"), {}, "first")] if day == 0 else [])
        kept.keep([Result(key_of(day, n), {}, chance.randbytes(1000).hex()) for n in range(50)])
        kept.close()
        assert (tmp_path / results.FILE).stat().st_size < 500_000
    kept = Results(tmp_path)
    assert find(kept, key_of(9, 49), root) is not None
    assert find(kept, key_of(1, 1), root) is None
