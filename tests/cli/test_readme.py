"""What the README shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

from gradls.rules.beliefs import all_beliefs
from gradls.rules.registry import rules_by_key
from tests.cli.command import gradls

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_sample_prints_what_is_shown():
    command = re.search(r"gradls (check .*)$", README, re.MULTILINE)
    shown = re.search(r"<!-- sample -->\n```text\n(.*?)```\n<!-- /sample -->", README, re.DOTALL)
    assert command is not None
    assert shown is not None
    run = gradls(*command[1].split(), cwd=ROOT)
    assert run.returncode == 0
    assert run.stdout == shown[1], "run: python docs/update_readme.py"
    assert run.stdout.count("\n  1. ") >= 3, "the sample has too few findings with a story"


def test_the_error_is_explained_as_shown():
    command = re.search(r"gradls (why samples.*)$", README, re.MULTILINE)
    shown = re.search(r"<!-- why -->\n```text\n(.*?)```\n<!-- /why -->", README, re.DOTALL)
    assert command is not None
    assert shown is not None
    run = gradls(*command[1].split(), cwd=ROOT)
    assert run.returncode == 0
    assert run.stdout == shown[1], "run: python docs/update_readme.py"


def test_the_page_of_beliefs_has_all_of_them():
    shown = (ROOT / "docs" / "beliefs.md").read_text(encoding="utf-8")
    assert shown.count("\n## ") == len(all_beliefs()), "run: python docs/update_readme.py"
    for belief in all_beliefs():
        assert f"?\n\nNo. {belief.truth}\n\n```python\n{belief.program}```\n" in shown


def test_the_reports_shown_are_written(tmp_path: Path):
    page = (ROOT / "docs" / "check.md").read_text(encoding="utf-8")
    program = re.search(r"<!-- program -->\n```python\n(.*?)```", page, re.DOTALL)
    assert program is not None
    (tmp_path / "train.py").write_text(program[1], encoding="utf-8")
    (tmp_path / ".git").mkdir()
    shown = re.findall(r"<!-- output: (\w+) -->\n```\w+\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 4
    for kind, output in shown:
        run = gradls("check", "train.py", "--no-resolve", "--format", kind, cwd=tmp_path)
        assert run.stdout == output, kind


def test_the_rules_listed_exist():
    listed = re.findall(r"`([a-z0-9-]+)` \((GRD\d+)\)", README)
    assert len(listed) > 30
    rules = rules_by_key()
    assert [(name, code) for name, code in listed if code not in rules or rules[code].name != name] == []


def test_the_settings_shown_are_accepted(tmp_path: Path):
    settings = re.search(r"^```toml\n(\[tool\.gradls\].*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert settings is not None
    (tmp_path / "pyproject.toml").write_text(settings[1], encoding="utf-8")
    (tmp_path / "a.py").write_text("", encoding="utf-8")
    run = gradls("check", ".", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
