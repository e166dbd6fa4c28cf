"""Rules of others that are broken, and such that nobody has installed."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import LOST
from tests.plugins.environments import Environment

RULE = """\
from gradls.plugin import Rule, Severity, place

class Made(Rule):
    \"\"\"Optimizers.\"\"\"
    code, name, severity = "{code}", "{name}", Severity.WARNING

    def check(self, facts):
        for event in facts.of("backward"):
            {act}
"""
REPORT = 'yield self.finding(place(event.at), "found by {code}")'


def rule(code: str, name: str, act: str = REPORT) -> str:
    return RULE.format(code=code, name=name, act=act.format(code=code))


def entry(module: str) -> str:
    return f"[gradls.rules]\nit = {module}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def environment(made: Environment) -> Iterator[Environment]:
    """An environment without plugins: what a test installs goes with it."""
    before = set(made.packages.iterdir())
    yield made
    for path in set(made.packages.iterdir()) - before:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "train.py").write_text(LOST, encoding="utf-8")
    return folder


BROKEN = {
    "a-raises": ("raise RuntimeError('no licence')", "a_raises cannot be loaded: RuntimeError: no licence"),
    "b-exits": ("import sys; sys.exit(3)", "b_exits cannot be loaded: SystemExit: 3"),
    "c-text": ("def (", "c_text cannot be loaded: SyntaxError"),
    "d-needs": ("import not_installed", "No module named 'not_installed'"),
    "e-empty": ("x = 1", "e_empty has no rules"),
    "f-reserved": (rule("GRD999", "new-one"), "Made has the code GRD999: those that begin with GRD are gradls' own"),
    "g-name": (rule("GG101", "detached-loss"), "Made is called detached-loss, as is a rule of gradls"),
    "h-first": (rule("TWICE101", "first"), ""),
    "i-second": (rule("TWICE101", "second"), "Made is called TWICE101, as is a rule of h-first 1.0"),
    "j-code": (rule("lower1", "lower"), "Made has the code 'lower1'"),
    "k-making": (
        rule("KK101", "making") + "\n    def __init__(self):\n        raise ValueError('not today')",
        "Made cannot be made: ValueError: not today",
    ),
    "l-loud": ("print('I am here')\n" + rule("LL101", "loud"), ""),
}


def test_each_costs_itself_only(environment: Environment, program: Path):
    for name, (text, _) in BROKEN.items():
        module = name.replace("-", "_")
        environment.write(name, entry(module), **{module: text})
    environment.write("m-absent", entry("m_absent:Rule"))
    run = environment.gradls("check", "--format", "json", cwd=program)
    codes = [finding["code"] for finding in json.loads(run.stdout)["findings"]]
    assert sorted(codes) == ["GRD101", "LL101", "TWICE101"]
    for name, (_, message) in BROKEN.items():
        told = [
            line for line in run.stderr.splitlines() if line.startswith(f"gradls: a plugin is left out: {name} 1.0: ")
        ]
        assert len(told) == bool(message), run.stderr
        assert all(message in line for line in told)
    assert "m-absent 1.0: m_absent:Rule cannot be loaded" in run.stderr
    assert run.returncode == 2


FAILING = {
    "raises": 'raise KeyError("what")',
    "exits": "raise SystemExit(4)",
    "yields text": 'yield "text"',
    "yields another's": 'import dataclasses as d; yield d.replace(self.finding(place(event.at), ""), code="GRD101")',
    "yields nowhere": 'yield self.finding(place(event.at)._replace(node=None), "nowhere")',
}


def test_rules_that_fail_cost_themselves_only(environment: Environment, program: Path):
    for number, act in enumerate(FAILING.values()):
        text = rule(f"SOME{number}0", f"some-{number}", act)
        environment.write(f"some{number}-rules", entry(f"some{number}"), **{f"some{number}": text})
    environment.write("other-rules", entry("other_rules"), other_rules=rule("OTHER101", "other"))
    run = environment.gradls("check", "--format", "json", "--no-cache", cwd=program)
    document = json.loads(run.stdout)
    assert sorted(finding["code"] for finding in document["findings"]) == ["GRD101", "OTHER101"]
    told = [error["message"] for error in document["errors"]]
    assert len(told) == len(FAILING)
    for number, message in enumerate(told):
        words = f"rule some-{number} of some{number}-rules 1.0 failed on train.py; please report this to its authors"
        assert words in message
    assert run.returncode == 2


def test_the_server_goes_on_and_says_why(environment: Environment, program: Path):
    environment.write("some-rules", entry("some_rules"), some_rules="print('noise')\nraise RuntimeError('no licence')")
    environment.write("more-rules", entry("more_rules"), more_rules=rule("MORE101", "more", "raise KeyError('what')"))
    with environment.server(cwd=program) as raw:
        raw.begin(rootUri=program.as_uri())
        raw.open((program / "train.py").as_uri(), LOST)
        assert [each["code"] for each in raw.published(1)["diagnostics"]] == ["GRD101"]
        told = "a plugin is left out: some-rules 1.0: some_rules cannot be loaded: RuntimeError: no licence"
        raw.wait_for(lambda message: _logged(message, told))
        raw.wait_for(lambda message: _logged(message, "rule more of more-rules 1.0 failed"))


def _logged(message: dict, words: str) -> bool:
    return message.get("method") == "window/logMessage" and words in message["params"]["message"]


PLANTED = """\
import pathlib
pathlib.Path(__file__).with_name("ran").touch()
"""


def test_nothing_of_the_workspace_is_loaded(environment: Environment, program: Path):
    """Neither a package that lies there as if it were installed, nor a module with the name of one that is."""
    environment.write("real-rules", entry("real_rules"), real_rules=rule("REAL101", "real"))
    (program / "planted.py").write_text(PLANTED, encoding="utf-8")
    (program / "real_rules.py").write_text(PLANTED, encoding="utf-8")
    for suffix in (".dist-info", ".egg-info"):
        info = program / f"planted-1.0{suffix}"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(entry("planted"), encoding="utf-8")
    run = environment.gradls("check", "--format", "json", "--no-cache", "train.py", cwd=program)
    assert [finding["code"] for finding in json.loads(run.stdout)["findings"]] == ["GRD101", "REAL101"], run.stderr
    with environment.server(cwd=program) as raw:
        raw.begin(rootUri=program.as_uri())
        raw.open((program / "train.py").as_uri(), LOST)
        assert [each["code"] for each in raw.published(1)["diagnostics"]] == ["GRD101", "REAL101"]
    assert not (program / "ran").exists()


def test_what_is_kept_is_of_the_plugins_that_there_are(environment: Environment, program: Path):
    def found() -> list[str]:
        run = environment.gradls("check", "--format", "json", cwd=program)
        return [finding["message"] for finding in json.loads(run.stdout)["findings"] if finding["code"] == "OWN101"]

    assert found() == []
    environment.write("own-rules", entry("own_rules"), own_rules=rule("OWN101", "own"))
    assert found() == ["found by OWN101"]
    text = rule("OWN101", "own").replace("found by", "seen by")
    (environment.packages / "own_rules.py").write_text(text, encoding="utf-8")
    assert found() == ["seen by OWN101"]
    (environment.packages / "own_rules-1.0.dist-info" / "entry_points.txt").unlink()
    assert found() == []


def test_one_class_of_a_module(environment: Environment, program: Path):
    both = rule("ONE101", "one") + rule("TWO101", "two").replace("class Made", "class Other")
    environment.write("some-rules", entry("some_rules:Other"), some_rules=textwrap.dedent(both))
    run = environment.gradls("rules", "--format", "json", cwd=program)
    rules = {each["code"]: each for each in json.loads(run.stdout)["rules"]}
    assert "ONE101" not in rules
    assert rules["TWO101"]["plugin"] == "some-rules 1.0"
    assert "plugin" not in rules["GRD101"]
