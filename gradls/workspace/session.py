"""What both front ends drive: texts go in, findings, facts and edits come out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gradls.autograd.versions import NEWEST
from gradls.flow.analyze import Analysis, analyze
from gradls.flow.facts import Facts
from gradls.flow.mistakes import tell
from gradls.flow.names import Question
from gradls.rules.abroad import told_here
from gradls.rules.finding import Finding, Fix, Safety, TextEdit
from gradls.rules.run import findings as run_rules
from gradls.syntax.edit import Edit
from gradls.syntax.parse import SyntaxProblem
from gradls.syntax.source import Source, Span
from gradls.syntax.text import split_lines
from gradls.workspace.config import Config, load_config
from gradls.workspace.edits import breaks_syntax, compatible
from gradls.workspace.looked import OPEN, Disk, Looked
from gradls.workspace.project import Answers, Project, kept_for_one_look, reread
from gradls.workspace.selection import Selection
from gradls.workspace.suppression import Suppressions

if TYPE_CHECKING:
    from gradls.syntax.cells import Cells

log = logging.getLogger(__name__)

_Alone = tuple[Source, Looked, set[tuple[str, Span]]]
"""A text, the files that its analysis looked at, and what is found in it."""


class NameSource(Protocol):
    """The part of a resolver that a session needs: answers known now for the imports of the file `path`."""

    def names_for(self, path: str) -> Answers: ...


@dataclass(slots=True)
class _Document:
    source: Source
    analysis: Analysis | None = None
    looked: Looked = field(default_factory=Looked)
    """The other files that the analysis rests on."""
    findings: list[Finding] | None = None
    failure: str | None = None
    cells: Cells | None = None


class Session:
    """The open files of one workspace. Not thread-safe.

    Files are known by `path`, which may be any label (an untitled buffer has no file); it is compared as a string, and
    matters only for `per-file-ignores`, for imports and for what the resolver says. The caller opens a path with its
    text; only the files that it imports are read here. Asking for a path that is not open is a KeyError.
    """

    def __init__(
        self,
        root: Path | None = None,
        config: Config | None = None,
        resolver: NameSource | None = None,
        looked: Looked | None = None,
        elsewhere: Callable[[str], Source | None] | None = None,
    ) -> None:
        """`config` defaults to what is found from `root` upwards, and to the defaults without a root. All that is
        looked at on disk is noted in `looked`, if that is given. `elsewhere` gives the text of an absolute path that is
        open in another session."""
        self.root = root
        self._elsewhere = elsewhere
        self.resolver = resolver
        self._documents: dict[str, _Document] = {}
        self._labels: dict[str, str] = {}
        """What the open files are known by, by their absolute paths."""
        self.config = config or (load_config(root) if root else Config())
        self._selection = Selection(self.config)
        self._project = Project(root, self._opened_source, resolver.names_for if resolver else None, looked)
        self._alone: dict[str, _Alone] = {}
        """By absolute path: what is found in a file that is analysed alone, of which text, and by which other files."""
        self._alone_for_all: dict[str, _Alone] | None = kept_for_one_look((root, self.config.target_torch))
        """The same, for all sessions that look at files of this project while nothing changes."""
        self._interrupt: Callable[[], None] | None = None

    def interrupt_by(self, pause: Callable[[], None]) -> None:
        """Have `pause` called now and then while a file is analysed: when it raises `flow.analyze.Interrupted`, that
        comes out of what was asked. What was found out is kept for when it is asked again."""
        self._interrupt = pause

    def configure(self, config: Config) -> None:
        """Use another configuration from now on. What is known of the texts is kept where it stays true."""
        if config.target_torch != self.config.target_torch:
            for path in self._documents:
                self.forget(path)
            self._alone.clear()
        self.config = config
        self._selection = Selection(config)
        for document in self._documents.values():
            document.findings = None

    def open(self, path: str, text: str, cells: Cells | None = None) -> list[str]:
        """Begin with `path`, with no history. Returns the open paths that this is news for, as those below do.

        `cells` are those whose module the text is, if it is a notebook's: only fixes within a cell are made then."""
        self._documents[path] = _Document(Source.read(text, path), cells=cells)
        self._labels[os.path.abspath(path)] = path
        self._project.changed()
        return self._replaced(path)

    def change(self, path: str, text: str | Sequence[str], cells: Cells | None = None) -> list[str]:
        """The whole new text of an open file, or its lines with their ends. What the change leaves alone is not parsed
        and not analysed again."""
        document = self._documents[path]
        document.cells = cells
        edit = document.source.edit(split_lines(text) if isinstance(text, str) else text)
        if not edit.blocks and not edit.moved:
            return []
        document.findings = document.failure = None
        if document.analysis is not None:
            document.analysis.edited(edit.blocks, edit.reworded)
        return self._edited(document.source, edit)

    def close(self, path: str) -> list[str]:
        """Drop all that is known of `path`; closing what is not open is fine."""
        if self._documents.pop(path, None) is None:
            return []
        self._labels.pop(os.path.abspath(path), None)
        self._project.changed()
        return self._replaced(path)

    def end(self) -> None:
        """Let go of all that is known, so that its memory is free at once. Nothing is to be asked any more."""
        for document in self._documents.values():
            if document.analysis is not None:
                document.analysis.end()
        self._documents.clear()
        self._alone.clear()
        del self._project

    def changed_on_disk(self, *paths: str) -> list[str]:
        """Files or folders were written, made, moved or removed. Returns the open paths that this is news for, of which
        all is forgotten that was concluded from these."""
        changed, now = set(map(os.path.abspath, paths)), Disk()
        self._project.changed()
        concerned = []
        for path in list(changed):
            again = reread(path) if any(document.looked.read(path) for document in self._documents.values()) else None
            if again is not None:
                source, edit, state = again
                changed.discard(path)
                concerned += self._edited(source, edit, state)
        return list(dict.fromkeys([*concerned, *self._outdate(changed, lambda looked: looked.differs(changed, now))]))

    def _replaced(self, path: str) -> list[str]:
        """What counts as the text of `path` is another one now."""
        changed = os.path.abspath(path)
        return self._outdate({changed}, lambda looked: looked.read(changed))

    def _outdate(self, changed: set[str], outdated: Callable[[Looked], bool]) -> list[str]:
        self._alone = {
            path: known for path, known in self._alone.items() if path not in changed and not outdated(known[1])
        }
        found = [label for label, document in self._documents.items() if outdated(document.looked)]
        for label in found:
            self.forget(label)
        return found

    def _edited(self, source: Source, edit: Edit, state: str | None = None) -> list[str]:
        """A text was edited, by somebody who has it open or on disk, which is in `state` now: which open files does
        that concern?"""
        changed = os.path.abspath(source.path)
        alone = {path: known for path, known in self._alone.items() if path != changed and not known[1].read(changed)}
        of_others, self._alone = len(alone) < len(self._alone), alone
        found = []
        for label, document in self._documents.items():
            if document.source is source or document.analysis is None or not document.looked.read(changed):
                continue
            if state is not None:
                document.looked.states[changed] = state
            told = any(step.place.source is source for finding in document.findings or () for step in finding.story)
            if document.analysis.edited_elsewhere(source, edit.blocks) or told or of_others:
                document.findings = None
                found.append(label)
        return found

    def learned(self, path: str) -> None:
        """The resolver may know more names by now: what was concluded about `path` without them is void."""
        document = self._documents.get(path)
        if document is None or document.analysis is None:
            self.forget(path)
        elif document.analysis.learned():
            document.findings = None

    def forget(self, path: str) -> None:
        """Drop conclusions about `path` (a name means something else, say), but neither its text nor its history."""
        document = self._documents.get(path)
        if document:
            document.analysis = document.findings = document.failure = None

    def opened(self) -> list[str]:
        """The open paths."""
        return list(self._documents)

    def looked_at(self) -> set[str]:
        """The absolute paths that the analyses of the open files rest on, whether there is a file or not."""
        return {path for document in self._documents.values() for path in document.looked.states}

    def source(self, path: str) -> Source:
        """The text of `path`, parsed. It is edited in place."""
        return self._documents[path].source

    def facts(self, path: str) -> Facts:
        """What is known about the gradients in `path`, until its text or what it imports changes."""
        document = self._documents[path]
        if document.failure is None:
            try:
                return self._analysis(path, document).facts
            except Exception as error:
                tell(log, "the analysis", path, error)
                document.failure = f"internal error: {type(error).__name__}: {error}"
                document.analysis = None
        return Facts(document.source)

    def _analysis(self, path: str, document: _Document) -> Analysis:
        if document.analysis is None:
            names = self._project.names_for(path)
            document.looked = names.looked
            document.analysis = Analysis(document.source, names, self.config.target_torch or NEWEST, self._interrupt)
        return document.analysis

    def findings(self, path: str) -> list[Finding]:
        """The findings in the order of the text that configuration and comments let through."""
        document = self._documents[path]
        if document.findings is None:
            facts = self.facts(path)
            found = self._told_here(document, facts, run_rules(facts, pause=self._interrupt))
            found = self._selection.apply(path, found)
            document.findings = Suppressions(facts.source).apply(found) if found else []
        return document.findings

    def _told_here(self, document: _Document, facts: Facts, findings: list[Finding]) -> list[Finding]:
        """Findings in other files are told at the call in this one that leads there; they are left out where the other
        file is wrong by itself, or says that it is to be left alone."""
        here = {(finding.code, finding.span): finding for finding in findings if finding.place.source is facts.source}
        for finding in findings:
            source = finding.place.source
            if source is facts.source:
                continue
            _, looked, wrong = self._wrong_by_itself(source)
            document.looked.include(looked)
            if (finding.code, finding.span) in wrong:
                continue
            kept = self._selection.apply(source.path, Suppressions(source).apply([finding]))
            told = told_here(facts, kept[0]) if kept else None
            if told is not None:
                here.setdefault((told.code, told.span), told)
        return sorted(here.values(), key=lambda finding: (finding.span, finding.code))

    def _wrong_by_itself(self, source: Source) -> _Alone:
        """What is found in a file that is analysed alone, as it is kept in `_alone`."""
        path = os.path.abspath(source.path)
        known = self._alone.get(path)
        if known is None and self._alone_for_all is not None:
            known = self._alone_for_all.get(path)
        if known is None or known[0] is not source:
            names = self._project.names_for(source.path)
            facts = analyze(source, names, self.config.target_torch or NEWEST)
            found = {(finding.code, finding.span) for finding in run_rules(facts) if finding.place.source is source}
            looked = Looked()
            looked.include(names.looked)
            known = self._alone[path] = source, looked, found
            if self._alone_for_all is not None and OPEN not in looked.states.values():
                self._alone_for_all[path] = known
        return known

    def _opened_source(self, path: str) -> Source | None:
        """The text of a file that is open, by whatever path."""
        if path not in self._labels:
            path = os.path.abspath(path)
        label = self._labels.get(path)
        if label is not None:
            return self.source(label)
        return self._elsewhere(path) if self._elsewhere else None

    def problems(self, path: str) -> list[SyntaxProblem]:
        """What kept parts of `path` from being checked: syntax errors, and an analysis that failed."""
        failure = self.failure(path)
        return [*self.source(path).problems, *([SyntaxProblem(1, failure)] if failure else [])]

    def failure(self, path: str) -> str | None:
        """Why the analysis of `path` failed, if it did: a mistake of gradls, not of the text."""
        self.facts(path)
        return self._documents[path].failure

    def questions(self, path: str) -> set[Question]:
        """What the analysis of `path` would like to know about imported names."""
        return set(self.facts(path).questions)

    def edits(self, fix: Fix) -> list[TextEdit] | None:
        """The edits of `fix`, or None if it cannot be made here or would leave text that does not parse."""
        try:
            edits = list(fix.build())
        except Exception as error:
            tell(log, "a fix", "an open file", error)
            return None
        if not edits or any(self._breaks(path, edits) for path in {edit.path for edit in edits}):
            return None
        return edits if self.are_within_cells(edits) else None

    def fix_all(self, path: str, code: str | None = None) -> list[TextEdit]:
        """The edits of all safe fixes in `path` that can be made together, in the order of the text; with a `code`, of
        all fixes of that rule, safe or not."""
        if code is None:
            return self.fixes_together(path)[0]
        return self.fixes_together(path, suggested=True, only=lambda finding: finding.code == code)[0]

    def fixes_together(
        self, path: str, suggested: bool = False, only: Callable[[Finding], bool] = lambda finding: True
    ) -> tuple[list[TextEdit], list[Finding]]:
        """The edits of all safe fixes in `path` that can be made together, in the order of the text, and the findings
        that they mend; where there is no safe one, also of `suggested` ones, if these are wanted. `only` says for which
        findings.

        Of two that overlap the first is made; the other one is found again in the text that results.
        """
        chosen: list[TextEdit] = []
        mended: list[Finding] = []
        for finding in filter(only, self.findings(path)):
            for fix in sorted(finding.fixes, key=lambda fix: fix.safety is not Safety.SAFE):
                if fix.safety is not Safety.SAFE and not suggested:
                    break
                edits = self.edits(fix)
                if edits and all(edit.path == path for edit in edits) and compatible(chosen, edits):
                    together = sorted({*chosen, *edits}, key=lambda edit: edit.span)
                    if not self._breaks(path, together):
                        chosen = together
                        mended.append(finding)
                    break
        return chosen, mended

    def are_within_cells(self, edits: Sequence[TextEdit]) -> bool:
        """Whether each of `edits`, if it is one of a notebook, changes nothing but the Python of one cell."""
        for edit in edits:
            document = self._documents.get(edit.path)
            if document and document.cells and document.cells.edit(edit.span, edit.text) is None:
                return False
        return True

    def _breaks(self, path: str, edits: list[TextEdit]) -> bool:
        return path in self._documents and breaks_syntax(self.source(path), [e for e in edits if e.path == path])
