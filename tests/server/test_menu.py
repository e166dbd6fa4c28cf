"""Everything that is offered for the examples of all rules can be done, and what is done mends what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsprotocol import types

from gradls.rules.page import page
from gradls.rules.registry import all_rules
from gradls.server.action_edits import build
from gradls.server.actions import DISABLE, IGNORE, MEND_ALL, Menu, Offer
from gradls.server.analysis import Analyst
from gradls.server.documents import new_revision
from gradls.server.positions import Encoding, code_points
from gradls.server.settings import Abilities, Client, Settings
from gradls.server.snapshots import Snapshot
from gradls.syntax.text import split_lines

EXAMPLES = {
    f"{rule.code}-{number}": text
    for rule in all_rules()
    for number, text in enumerate(page(type(rule)).examples)
    if rule.name != "newer-than-target"  # nothing is newer than the newest
}
EVERYTHING = types.Range(types.Position(0, 0), types.Position(9999, 0))
INVOKED = types.CodeActionContext([], trigger_kind=types.CodeActionTriggerKind.Invoked)


class Editor:
    """One document and its analyst, without a server between."""

    def __init__(self, folder: Path, encoding: Encoding) -> None:
        self._client = Client(encoding, Abilities(), lambda label: f"file://{label}")
        self.label = str(folder / "train.py")
        self._settings = Settings(config={"select": ["ALL"]})
        self._folder = folder
        self._encoding = encoding
        self.text = ""
        self.begin()

    def begin(self) -> None:
        """With the configuration as it is now."""
        self.analyst = Analyst([self._folder], self._settings, self._client, lambda root: None)

    def type(self, text: str) -> None:
        self.text = text
        self._revision = new_revision()
        uri = f"file://{self.label}"
        self.analyst.analyse(Snapshot(self.label, uri, 1, self._revision, split_lines(text)))

    def menu(self) -> list[Offer]:
        params = types.CodeActionParams(types.TextDocumentIdentifier(f"file://{self.label}"), EVERYTHING, INVOKED)
        return Menu(self.analyst, self.label, f"file://{self.label}", self._revision, params, True, True).offers()

    def codes(self) -> list[str]:
        return [finding.code for finding in self.analyst.session_of(self.label, self._revision).findings(self.label)]

    def after(self, offer: Offer) -> str:
        """The text of the one file that is changed."""
        assert offer.choice is not None
        ((path, _, edits, _),) = build(self.analyst, offer.choice, {})
        text = self.text if path == self.label else ""
        lines = split_lines(text)

        def offset(place: types.Position) -> int:
            before = sum(map(len, lines[: place.line]))
            return before + (
                code_points(lines[place.line], place.character, self._encoding) if place.line < len(lines) else 0
            )

        for edit in sorted(edits, key=lambda each: offset(each.range.start), reverse=True):
            text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end) :]
        return text


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_offered_can_be_done(tmp_path: Path, name: str, encoding: Encoding):
    text = EXAMPLES[name].replace("\nimport torch", "\n'😀'; import torch", 1)
    editor = Editor(tmp_path, encoding)
    editor.type(text)
    before = editor.codes()
    offers = editor.menu()
    assert name[:6] in {offer.page for offer in offers}
    for offer in offers:
        if offer.choice is None or offer.obstacle is not None:
            continue
        editor.type(text)
        offer = next(each for each in editor.menu() if each.title == offer.title)
        after = editor.after(offer)
        if offer.choice.does == DISABLE:
            (tmp_path / "gradls.toml").write_text(after)
            settings = Settings().config_for(tmp_path)
            assert settings.problems == ()
            assert len(settings.ignore) == 1
            (tmp_path / "gradls.toml").unlink()
            continue
        editor.type(after)
        found = editor.codes()
        if offer.choice.does == IGNORE:
            assert len(found) < len(before)
        elif offer.choice.does != MEND_ALL:
            assert found.count(offer.choice.code) < before.count(offer.choice.code), offer.title
