"""The comment that silences a finding: it does, and the program stays what it was."""

import ast

import pytest

from gradls.server.ignoring import ignore_edit
from gradls.workspace.edits import apply_edits
from gradls.workspace.session import Session

BEGIN = "import torch\nm = torch.nn.Linear(3, 1)\nx = torch.randn(8, 3)\n"
END = "\nloss.backward()\n"
COMMENT = "# gradls: ignore[detached-loss]"


@pytest.mark.parametrize(
    ("statement", "ignored"),
    [
        ("loss = m(x).sum().detach()", f"loss = m(x).sum().detach()  {COMMENT}"),
        ("loss = m(x).sum().detach() \t", f"loss = m(x).sum().detach() \t{COMMENT}"),
        ("loss = m(x).sum().detach();\r", f"loss = m(x).sum().detach();  {COMMENT}\r"),
        ("loss = m(x).sum().detach()  # TODO", f"loss = m(x).sum().detach()  # TODO  {COMMENT}"),
        (
            "loss = m(x).sum().detach()  # gradls: ignore[a-rule]",
            "loss = m(x).sum().detach()  # gradls: ignore[a-rule, detached-loss]",
        ),
        (
            "loss = m(x).sum().detach(); s = '# gradls: ignore[a]'",
            f"loss = m(x).sum().detach(); s = '# gradls: ignore[a]'  {COMMENT}",
        ),
        ("loss = (m(x)\n    .sum()\n    .detach())", f"loss = (m(x)  {COMMENT}\n    .sum()\n    .detach())"),
        ("loss = m(x) \\\n    .sum().detach()", f"loss = m(x) \\\n    .sum().detach()  {COMMENT}"),
        (
            'loss = m(x * len("""a\nb""")).sum().detach()',
            f'loss = m(x * len("""a\nb""")).sum().detach()  {COMMENT}',
        ),
        ('loss = m(x * len("""a\nb""")) \\\n.sum().detach(); s = """\n"""', None),
    ],
)
def test_a_comment_silences_and_changes_nothing_else(statement, ignored):
    session = Session()
    text = BEGIN + statement + END
    session.open("a.py", text)
    (finding,) = [finding for finding in session.findings("a.py") if finding.name == "detached-loss"]
    edit = ignore_edit(finding)
    if ignored is None:
        assert edit is None
        return
    after = apply_edits(text, [edit])
    assert after == BEGIN + ignored + END
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(text))
    session.change("a.py", after)
    assert "detached-loss" not in [finding.name for finding in session.findings("a.py")]
