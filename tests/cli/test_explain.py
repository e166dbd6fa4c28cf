"""`gradls explain` and `gradls rules`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.rules.registry import all_rules
from tests.cli.command import as_json, gradls

SECTIONS = ["What it finds", "Why it matters", "What PyTorch does", "Example", "Use instead", "When it is silent"]


def test_a_rule_by_code_and_by_name(tmp_path: Path):
    by_code = gradls("explain", "GRD101", cwd=tmp_path)
    assert by_code.returncode == 0
    assert all(section in by_code.stdout for section in SECTIONS)
    name = next(rule.name for rule in all_rules() if rule.code == "GRD101")
    assert gradls("explain", name.upper(), cwd=tmp_path).stdout == by_code.stdout
    assert name in by_code.stdout


@pytest.mark.parametrize("topic", ["GRD999", "GRD10l1", "detached-los"])
def test_an_unknown_rule(tmp_path: Path, topic: str):
    run = gradls("explain", topic, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stdout == ""
    assert topic in run.stderr


def test_an_unknown_rule_with_close_matches(tmp_path: Path):
    name = all_rules()[0].name
    run = gradls("explain", name[:-1], cwd=tmp_path)
    assert run.returncode == 2
    assert f"did you mean {name}" in run.stderr


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("h * 2.0 detaches", "Not true: h * 2.0 detaches h"),
        ("does clone().mul_(2) break the graph?", "Not true: clone().mul_(2) detaches"),
        ("is relu_ after a Linear unsafe", "Not true: nn.ReLU(inplace=True) after Linear"),
        ("zero_grad must come first", "Not true: zero_grad() must come first"),
        ("model.eval disables gradients", "Not true: model.eval() switches gradients off"),
    ],
)
def test_a_belief_in_the_words_of_a_user(tmp_path: Path, question: str, answer: str):
    run = gradls("explain", question, cwd=tmp_path)
    assert run.returncode == 0
    assert answer in run.stdout.splitlines()[0]
    assert "import torch" in run.stdout, "no program that shows it"


def test_words_without_quotes(tmp_path: Path):
    assert "GRD1" in gradls("explain", "backward", "on", "a", "detached", "loss", cwd=tmp_path).stdout


def test_words_about_something_else(tmp_path: Path):
    run = gradls("explain", "sourdough bread", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, "")
    assert "sourdough bread" in run.stderr


@pytest.mark.parametrize(
    "message",
    [
        "element 0 of tensors does not require grad and does not have a grad_fn",
        "RuntimeError: element 0 of variables does not require grad and does not have a grad_fn",
    ],
)
def test_a_message_of_pytorch(tmp_path: Path, message: str):
    run = gradls("explain", message, cwd=tmp_path)
    assert run.returncode == 0
    assert "no graph to go back through" in run.stdout
    assert "gradls explain GRD101 (detached-loss)" in run.stdout
    assert "until about 0.4" in run.stdout
    assert "What to do" in run.stdout


def test_the_list_of_rules(tmp_path: Path):
    text = gradls("rules", cwd=tmp_path)
    rules = as_json(gradls("rules", "--format", "json", cwd=tmp_path))["rules"]
    assert [rule["code"] for rule in rules] == [rule.code for rule in all_rules()]
    assert all(rule["code"] in text.stdout and rule["name"] in text.stdout for rule in rules)
    assert all(rule["summary"] and rule["page"] for rule in rules)
