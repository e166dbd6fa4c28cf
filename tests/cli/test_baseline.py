"""`gradls check` beside known findings."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import FINE, LOST, as_json
from tests.cli.command import gradls as run_gradls

OLD = "def step(model, x):\n    loss = model(x).mean().detach()\n    loss.backward()\n"
LEGACY = f"import torch\nfrom torch import nn\n\n\n{OLD}\n\nstep(nn.Linear(3, 1), torch.randn(4, 3))\n"
"""One mistake, in a function."""
ANOTHER = LEGACY.replace("\n\nstep(", f"\n\n{OLD.replace('step', 'again').replace('mean()', 'sum()')}\n\nstep(")
ANOTHER += "again(nn.Linear(3, 1), torch.randn(4, 3))\n"
"""With a second one."""


def gradls(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_gradls("check", "--no-resolve", *arguments, cwd=cwd)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a finding in `old.py`, which the baseline lists."""
    (tmp_path / "old.py").write_text(LEGACY, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.gradls]\nbaseline = "known.json"\n', encoding="utf-8")
    run = gradls(".", "--write-baseline", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, "Nothing new found in 1 file. 1 more in the baseline.\n")
    assert run.stderr == "gradls: wrote 1 finding to known.json\n"
    return tmp_path


def listed(folder: Path, name: str = "known.json") -> dict[str, list[Any]]:
    content: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    found: dict[str, list[Any]] = content["findings"]
    return found


def test_only_what_is_new_is_told_and_counts(folder: Path):
    (folder / "old.py").write_text(f'"""Moved."""\n\n{ANOTHER}', encoding="utf-8")
    (folder / "new.py").write_text(LOST, encoding="utf-8")
    document = as_json(gradls(".", "--format", "json", cwd=folder))
    assert [(each["path"], each["snippet"][-14:]) for each in document["findings"]] == [
        ("new.py", "mean().detach()"[-14:]),
        ("old.py", "sum().detach()"),
    ]
    assert document["baseline"] == {"known": 1, "gone": 0}
    run = gradls(".", cwd=folder)
    assert run.returncode == 1
    assert "1 more in the baseline." in run.stdout
    (folder / "new.py").unlink()
    (folder / "old.py").write_text(LEGACY, encoding="utf-8")
    assert gradls(".", cwd=folder).returncode == 0


def test_without_it_all_is_told(folder: Path):
    assert gradls(".", "--no-baseline", cwd=folder).returncode == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def step(", "\n\n\ndef step("),
        ("step", "train_step"),
        ("model", "net"),
        ("model(x).mean().detach()", "(\n        model(x).mean(  # of all\n        ).detach()\n    )"),
    ],
    ids=["lines", "function", "variable", "formatter"],
)
def test_it_survives_what_does_not_matter(folder: Path, old: str, new: str):
    (folder / "old.py").write_text(LEGACY.replace(old, new), encoding="utf-8")
    run = gradls(".", cwd=folder)
    assert run.returncode == 0, run.stdout
    assert run.stdout == "Nothing new found in 1 file. 1 more in the baseline.\n"


def test_it_survives_a_new_name_of_the_file_and_of_the_folder(folder: Path, tmp_path: Path):
    (folder / "old.py").rename(folder / "older.py")
    assert gradls(".", cwd=folder).returncode == 0
    shutil.copytree(folder, tmp_path / "copy")
    assert gradls(str(tmp_path / "copy"), cwd=Path("/")).returncode == 0


def test_what_is_gone_is_said_and_removed_on_request(folder: Path):
    (folder / "old.py").write_text(FINE, encoding="utf-8")
    run = gradls(".", cwd=folder)
    told = "Nothing found in 1 file. 1 in the baseline is gone: --prune-baseline removes it.\n"
    assert (run.returncode, run.stdout) == (0, told)
    (folder / "new.py").write_text(LOST, encoding="utf-8")
    run = gradls(".", "--prune-baseline", cwd=folder)
    assert run.returncode == 1, "what is new was taken up"
    assert run.stderr == "gradls: removed 1 finding from known.json\n"
    assert listed(folder) == {}


@pytest.mark.parametrize("change", ["--write-baseline", "--prune-baseline"])
def test_what_was_not_looked_at_stays(folder: Path, change: str):
    (folder / "other.py").write_text(LOST, encoding="utf-8")
    gradls(".", "--write-baseline", cwd=folder)
    both = listed(folder)
    assert set(both) == {"old.py", "other.py"}
    gradls("other.py", change, cwd=folder)
    assert listed(folder) == both, "the other file was not looked at"
    gradls(".", change, "--select", "GRD6", cwd=folder)
    assert listed(folder) == both, "the rule was not asked about"
    (folder / "old.py").write_text(f"{LEGACY}x = (\n", encoding="utf-8")
    gradls(".", change, cwd=folder)
    assert listed(folder) == both, "the file could not be parsed"
    (folder / "old.py").unlink()
    gradls("other.py", change, cwd=folder)
    assert set(listed(folder)) == {"other.py"}, "the file is not there any more"


def test_each_configuration_has_its_own(folder: Path):
    inner = folder / "inner"
    inner.mkdir()
    (inner / "a.py").write_text(LOST, encoding="utf-8")
    (inner / "gradls.toml").write_text('baseline = "sub/mine.json"\n', encoding="utf-8")
    (inner / "sub").mkdir()
    run = gradls(".", cwd=folder)
    assert (run.returncode, run.stdout) == (2, "")
    mine = Path("inner", "sub", "mine.json")
    assert run.stderr == f"gradls: there is no baseline {mine}: --write-baseline makes it\n"
    gradls(".", "--write-baseline", cwd=folder)
    assert list(listed(folder)) == ["old.py"]
    assert list(listed(folder, str(mine))) == ["../a.py"]
    assert gradls(".", cwd=folder).returncode == 0


def test_the_arguments_say_which(tmp_path: Path):
    (tmp_path / "a.py").write_text(LOST, encoding="utf-8")
    run = gradls(".", "--write-baseline", cwd=tmp_path)
    assert "gradls-baseline.json" in run.stderr
    assert "[tool.gradls]" in run.stderr, "how it is used is not said"
    assert gradls(".", cwd=tmp_path).returncode == 1
    assert gradls(".", "--baseline", "gradls-baseline.json", cwd=tmp_path).returncode == 0
    assert gradls("a.py", "--write-baseline", "--baseline", "b.json", "--format", "json", cwd=tmp_path).returncode == 0
    assert listed(tmp_path, "b.json") == listed(tmp_path, "gradls-baseline.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--baseline", "missing.json"],
        ["--baseline", "broken.json"],
        ["--baseline", "broken.json", "--write-baseline"],
        ["--prune-baseline"],
        ["--write-baseline", "--prune-baseline"],
        ["--write-baseline", "--no-baseline"],
        ["--write-baseline", "--baseline", "no-such-folder/a.json"],
    ],
)
def test_what_makes_no_sense(tmp_path: Path, arguments: list[str]):
    (tmp_path / "a.py").write_text(LOST, encoding="utf-8")
    (tmp_path / "broken.json").write_text("<<<<<<<\n", encoding="utf-8")
    run = gradls(".", *arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert "gradls" in run.stderr
    assert "Traceback" not in run.stderr
    assert (tmp_path / "broken.json").read_text(encoding="utf-8") == "<<<<<<<\n"


def test_the_diff_and_its_status_are_about_all_and_what_is_new(folder: Path):
    run = gradls(".", "--diff", "--unsafe-fixes", cwd=folder)
    assert run.returncode == 0
    assert "+    loss = model(x).mean()\n" in run.stdout
