"""The session: texts in; findings, facts and edits out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradls.flow.analyze import Interrupted
from gradls.flow.names import Answer, Question
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, TextEdit
from gradls.syntax.source import Span
from gradls.workspace.config import Config
from gradls.workspace.edits import apply_edits
from gradls.workspace.session import Session

LOST = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
loss = model(torch.randn(4, 3)).mean().detach()
loss.backward()
"""
FINE = LOST.replace(".detach()", "")


def opened(text: str, path: str = "a.py", **options: object) -> Session:
    session = Session(**options)  # type: ignore[arg-type]
    session.open(path, text)
    return session


def names(session: Session, path: str = "a.py") -> list[str]:
    return [finding.name for finding in session.findings(path)]


def test_findings_follow_the_text():
    session = opened(LOST)
    assert names(session) == ["detached-loss"]
    session.change("a.py", FINE)
    assert names(session) == []
    session.change("a.py", LOST)
    assert names(session) == ["detached-loss"]


def test_conclusions_are_kept_until_the_text_changes_or_they_are_forgotten():
    session = opened(LOST)
    facts, findings = session.facts("a.py"), session.findings("a.py")
    session.change("a.py", LOST)
    assert session.facts("a.py") is facts
    assert session.findings("a.py") is findings
    session.forget("a.py")
    assert session.facts("a.py") is not facts
    assert session.source("a.py") is facts.source


def test_what_is_interrupted_goes_on_where_it_was():
    text = LOST + "".join(f"\n\ndef f{n}(x):\n    x.detach().sum().backward()\n" for n in range(3))
    session, interrupted = Session(), 0

    def pause() -> None:
        raise Interrupted

    session.interrupt_by(pause)
    session.open("a.py", text)
    while interrupted < 50:
        try:
            found = names(session)
            break
        except Interrupted:
            interrupted += 1
    assert found == names(opened(text)) != []
    assert interrupted == 3 + 4  # the functions, and then the rules in them and in the module


def test_files_are_apart():
    session = opened(LOST)
    session.open("b.py", FINE)
    assert (names(session), names(session, "b.py")) == (["detached-loss"], [])
    session.close("a.py")
    session.close("a.py")
    session.forget("a.py")
    with pytest.raises(KeyError):
        session.findings("a.py")
    assert names(session, "b.py") == []


def test_half_typed_text_keeps_what_is_known_of_the_rest():
    session = opened(LOST)
    session.change("a.py", LOST + "x = (\n")
    assert names(session) == ["detached-loss"]
    assert [problem.line for problem in session.problems("a.py")]


def test_comments_and_configuration_apply():
    assert names(opened(LOST.replace("detach()", "detach()  # gradls: ignore[detached-loss]"))) == []
    assert names(opened(LOST, config=Config(ignore=("GRD1",)))) == []
    session = opened(LOST, config=Config(severity={"GRD101": Severity.HINT}))
    assert [finding.severity for finding in session.findings("a.py")] == [Severity.HINT]
    facts = session.facts("a.py")
    session.configure(Config(ignore=("detached-loss",)))
    assert names(session) == []
    assert session.facts("a.py") is facts


def test_the_target_decides_what_pytorch_does():
    text = (
        "import torch\nmodel = torch.nn.Linear(3, 1)\nmodel(torch.randn(8, 3)).mean().backward()\n"
        "model.zero_grad()\nprint(model.weight.grad.norm())\n"
    )
    session = opened(text)
    assert names(session) == ["gradient-not-there-yet"]
    session.configure(Config(target_torch=(1, 13)))
    assert names(session) == []


def test_configuration_is_found_from_the_root(tmp_path: Path):
    (tmp_path / "gradls.toml").write_text("ignore = ['GRD101']", encoding="utf-8")
    assert names(opened(LOST, root=tmp_path)) == []


class Answers:
    """A resolver that knows one name, once it has been told."""

    def __init__(self) -> None:
        self.known: dict[Question, Answer] = {}
        self.asked: list[str] = []

    def names_for(self, path: str) -> Answers:
        self.asked.append(path)
        return self

    def ask(self, question: Question) -> Answer | None:
        return self.known.get(question)


def test_questions_and_answers():
    resolver = Answers()
    session = opened("from layers import head\ny = head.bias\n", resolver=resolver)
    questions = session.questions("a.py")
    assert any(question.module == "layers" and question.name == "head" for question in questions)
    assert resolver.asked == ["a.py"]
    session.forget("a.py")
    session.questions("a.py")
    assert resolver.asked == ["a.py", "a.py"]


def fix_of(session: Session, *edits: TextEdit) -> Fix:
    return Fix("a title", Safety.SAFE, lambda: edits)


def test_edits_of_a_fix():
    session = opened("a = f(b)\n")
    good = TextEdit("a.py", Span(1, 5, 1, 9), "b")
    assert session.edits(fix_of(session, good)) == [good]
    assert session.edits(fix_of(session)) is None
    assert session.edits(fix_of(session, TextEdit("a.py", Span(1, 8, 1, 9), ""))) is None, "left text that is broken"
    other = TextEdit("elsewhere.py", Span(1, 8, 1, 9), "")
    assert session.edits(fix_of(session, other)) == [other]


def test_a_fix_that_fails_costs_itself_only(caplog: pytest.LogCaptureFixture):
    def build() -> list[TextEdit]:
        raise ValueError("no")

    assert opened("a = 1\n").edits(Fix("a title", Safety.SAFE, build)) is None
    assert "a fix failed on an open file; please report this: gradls" in caplog.text


def test_fix_all_makes_safe_fixes_that_do_not_overlap(monkeypatch: pytest.MonkeyPatch):
    session = opened("a = f(b)\nc = g(d)\n")
    source = session.source("a.py")

    def finding(line: int, safety: Safety, *edits: TextEdit) -> Finding:
        fix = Fix("a title", safety, lambda: edits)
        return Finding("GRD101", "x", Severity.ERROR, Place(source, source.tree.body[line]), "m", (), (fix,))

    importing = TextEdit("a.py", Span(1, 1, 1, 1), "import x\n")
    found = [
        finding(0, Safety.SAFE, TextEdit("a.py", Span(1, 5, 1, 9), "b"), importing),
        finding(0, Safety.SAFE, TextEdit("a.py", Span(1, 7, 1, 8), "e")),
        finding(1, Safety.SUGGESTED, TextEdit("a.py", Span(2, 5, 2, 9), "suggested")),
        finding(1, Safety.SAFE, TextEdit("a.py", Span(2, 5, 2, 9), "x.d"), importing),
        finding(1, Safety.SAFE, TextEdit("a.py", Span(2, 1, 2, 2), "z"), TextEdit("b.py", Span(1, 1, 1, 1), "z")),
    ]
    monkeypatch.setattr(session, "findings", lambda path: found)
    edits = session.fix_all("a.py")
    assert apply_edits(source.text, edits) == "import x\na = b\nc = x.d\n"
