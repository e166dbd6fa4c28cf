"""Which findings the configuration lets through."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.rules.finding import Severity
from gradls.syntax.source import Source
from gradls.workspace.config import Config
from gradls.workspace.selection import Selection, unknown_selectors
from tests.workspace.findings import finding_at

SOURCE = Source.read("f(x)\n", "a.py")


def passes(config: Config, path: str = "a.py") -> bool:
    return bool(Selection(config).apply(path, [finding_at(SOURCE, 1)]))


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ((), (), True),
        (("GRD101",), (), True),
        (("grd101",), (), True),
        (("detached-loss",), (), True),
        (("GRD1",), (), True),
        (("GRD2", "ALL"), (), True),
        (("GRD2",), (), False),
        (("GRD1011",), (), False),
        ((), ("GRD101",), False),
        ((), ("GRD1",), False),
        ((), ("detached-loss",), False),
        ((), ("GRD2",), True),
        (("ALL",), ("GRD1",), False),
        (("GRD101",), ("GRD1",), True),
        (("GRD1",), ("GRD101",), False),
        (("GRD101",), ("detached-loss",), False),
    ],
)
def test_select_and_ignore(select: tuple[str, ...], ignore: tuple[str, ...], expected: bool):
    assert passes(Config(select=select, ignore=ignore)) is expected


def test_per_file_ignores(tmp_path: Path):
    config = Config(per_file_ignores={"tests/*.py": ("GRD1",), "**/gen_*.py": ("GRD1",)}, root=tmp_path)
    assert not passes(config, str(tmp_path / "tests" / "a.py"))
    assert not passes(config, str(tmp_path / "src" / "deep" / "gen_a.py"))
    assert passes(config, str(tmp_path / "src" / "a.py"))
    assert passes(config, "untitled:Untitled-1")


def test_per_file_ignores_with_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    config = Config(per_file_ignores={"/tests/": ("GRD101",)}, root=tmp_path)
    assert not passes(config, "tests/a.py")
    assert passes(config, "src/tests.py")


def test_the_closest_severity_wins():
    severity = {"GRD1": Severity.HINT, "detached-loss": Severity.INFORMATION, "ALL": Severity.ERROR}
    (finding,) = Selection(Config(severity=severity)).apply("a.py", [finding_at(SOURCE, 1)])
    assert finding.severity is Severity.INFORMATION


def test_unknown_selectors():
    assert unknown_selectors(["ALL", "all", "GRDX", "no-such-rule"]) == ["GRDX", "no-such-rule"]
