"""What both front ends drive: texts go in, findings, facts and edits come out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gradls.autograd.versions import NEWEST
from gradls.flow.analyze import analyze
from gradls.flow.facts import Facts
from gradls.flow.names import Names, Question
from gradls.rules.finding import Finding, Fix, Safety, TextEdit
from gradls.rules.run import findings as run_rules
from gradls.syntax.parse import SyntaxProblem
from gradls.syntax.source import Source
from gradls.workspace.config import Config, load_config
from gradls.workspace.edits import breaks_syntax, compatible
from gradls.workspace.selection import Selection
from gradls.workspace.suppression import Suppressions

log = logging.getLogger(__name__)


class NameSource(Protocol):
    """The part of a resolver that a session needs: answers known now for the imports of the file `path`."""

    def names_for(self, path: str) -> Names: ...


@dataclass(slots=True)
class _Document:
    text: str
    source: Source | None = None
    facts: Facts | None = None
    findings: list[Finding] | None = None
    failure: str | None = None


class Session:
    """The open files of one workspace. Not thread-safe.

    Files are known by `path`, which may be any label (an untitled buffer has no file); it is compared as a string, and
    matters only for `per-file-ignores` and for what the resolver says. Nothing here reads a source file: the caller
    opens a path with its text. Asking for a path that is not open is a KeyError.
    """

    def __init__(
        self, root: Path | None = None, config: Config | None = None, resolver: NameSource | None = None
    ) -> None:
        """`config` defaults to what is found from `root` upwards, and to the defaults without a root."""
        self.root = root
        self.resolver = resolver
        self._documents: dict[str, _Document] = {}
        self.config = config or (load_config(root) if root else Config())
        self._selection = Selection(self.config)

    def configure(self, config: Config) -> None:
        """Use another configuration from now on. What is known of the texts is kept where it stays true."""
        if config.target_torch != self.config.target_torch:
            for path in self._documents:
                self.forget(path)
        self.config = config
        self._selection = Selection(config)
        for document in self._documents.values():
            document.findings = None

    def open(self, path: str, text: str) -> None:
        """Begin with `path`, with no history."""
        self._documents[path] = _Document(text)

    def change(self, path: str, text: str) -> None:
        """The whole new text of an open file. Its last version helps to read what is half typed."""
        document = self._documents[path]
        if text != document.text:
            document.text = text
            self.forget(path)

    def close(self, path: str) -> None:
        """Drop all that is known of `path`; closing what is not open is fine."""
        self._documents.pop(path, None)

    def forget(self, path: str) -> None:
        """Drop conclusions about `path` (a name's answer arrived, say), but neither its text nor its history."""
        document = self._documents.get(path)
        if document:
            document.facts = document.findings = document.failure = None

    def opened(self) -> list[str]:
        """The open paths."""
        return list(self._documents)

    def source(self, path: str) -> Source:
        """The text of `path`, parsed."""
        document = self._documents[path]
        last = document.source
        if last is None or last.text != document.text:
            document.source = last = Source.read(document.text, path, previous=last)
        return last

    def facts(self, path: str) -> Facts:
        """What is known about the gradients in `path`."""
        document = self._documents[path]
        if document.facts is None:
            source = self.source(path)
            try:
                document.facts = analyze(
                    source,
                    self.resolver.names_for(path) if self.resolver else None,
                    self.config.target_torch or NEWEST,
                )
            except Exception as error:
                log.exception("the analysis of %s failed; please report this", path)
                document.failure = f"internal error: {type(error).__name__}: {error}"
                document.facts = Facts(source)
        return document.facts

    def findings(self, path: str) -> list[Finding]:
        """The findings in the order of the text that configuration and comments let through."""
        document = self._documents[path]
        if document.findings is None:
            found = self._selection.apply(path, run_rules(self.facts(path)))
            document.findings = Suppressions(self.source(path)).apply(found) if found else []
        return document.findings

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
        except Exception:
            log.exception("the fix %r failed; please report this", fix.title)
            return None
        if not edits or any(self._breaks(path, edits) for path in {edit.path for edit in edits}):
            return None
        return edits

    def fix_all(self, path: str) -> list[TextEdit]:
        """The edits of all safe fixes in `path` that can be made together, in the order of the text.

        Of two that overlap the first is made; the other one is found again in the text that results.
        """
        chosen: list[TextEdit] = []
        for finding in self.findings(path):
            for fix in finding.fixes:
                if fix.safety is not Safety.SAFE:
                    continue
                edits = self.edits(fix)
                if edits and all(edit.path == path for edit in edits) and compatible(chosen, edits):
                    together = sorted({*chosen, *edits}, key=lambda edit: edit.span)
                    if not self._breaks(path, together):
                        chosen = together
                    break
        return chosen

    def _breaks(self, path: str, edits: list[TextEdit]) -> bool:
        return path in self._documents and breaks_syntax(self.source(path), [e for e in edits if e.path == path])
