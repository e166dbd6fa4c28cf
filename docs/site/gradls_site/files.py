"""Files of the repository that are pages of the site, with links between them as the site has them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from gradls_site.markdown import for_mkdocs, raised, section

ROOT = Path(__file__).resolve().parents[3]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/beliefs.md": "beliefs.md",
    "docs/configuration.md": "configuration.md",
    "docs/lsp.md": "lsp.md",
    "docs/benchmarks.md": "benchmarks.md",
    "benchmarks/README.md": "measuring.md",
    "docs/architecture.md": "architecture.md",
    "docs/check.md": "reports.md",  # check.md is a section of the README
    "docs/rules.md": "writing-rules.md",  # rules/ is the list of them
}
"""Files that are pages, with the pages' names. Other ones in docs/, and those of editors, are pages, too."""
SECTIONS = {
    "On the command line": ("check.md", "On the command line"),
    "In an editor": ("editors/index.md", "In an editor"),
    "Limits": ("limits.md", "Limits"),
}
"""Sections of the README that are pages."""
PART = {"When it has already failed": ("why.md", "When it has already failed")}
"""The same a level below."""
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")


class Pages:
    """The pages that are files. `assets` are the files that they need, by their addresses, once they were written."""

    def __init__(self) -> None:
        self.assets: dict[str, bytes] = {}
        self._uris = dict(_files())

    def titles(self, folder: str) -> list[tuple[str, str]]:
        """The headings and the names of the pages from a folder of the repository."""
        return [
            (self._title((ROOT / file).read_text(encoding="utf-8")), uri)
            for file, uri in self._uris.items()
            if posixpath.dirname(file) == folder or (folder.endswith("*") and file.startswith(folder[:-1]))
        ]

    def all(self) -> dict[str, str]:
        """The pages in Markdown, by name."""
        found: dict[str, str] = {}
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        for level, sections in ((2, SECTIONS), (3, PART)):
            for heading, (uri, title) in sections.items():
                text = section(readme, heading, level)
                for part in PART if level == 2 else ():
                    text = _without(text, part)
                text = raised(text) if level == 2 else raised(raised(text))
                found[uri] = self._page(f"# {title}\n\n{text}", "README.md", uri)
        done: set[str] = set()
        while remaining := [file for file in self._uris if file not in done]:  # a page may lead to more of them
            for file in remaining:
                done.add(file)
                uri = self._uris[file]
                found[uri] = self._page((ROOT / file).read_text(encoding="utf-8"), file, uri)
        return found

    def _page(self, text: str, file: str, uri: str) -> str:
        def link(found: re.Match[str]) -> str:
            return f"{found[1]}{self._target(found[2], file, uri)}{found[3] or ''})"

        return for_mkdocs(_LINK.sub(link, text)) + "\n"

    def _target(self, address: str, file: str, uri: str) -> str:
        """What a link in `file` to `address` is on the page `uri`."""
        if re.match(r"[a-z]+:", address):
            return address
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), address))
        if not (ROOT / path).is_file():
            raise LookupError(f"{file} has a link to {address}, which is not there")
        if path == "README.md":
            target = "index.md"
        elif path.endswith(".md"):
            target = self._uris.setdefault(path, path.lower())
        else:
            target = f"files/{path}"
            self.assets[target] = (ROOT / path).read_bytes()
        return posixpath.relpath(target, posixpath.dirname(uri) or ".")

    @staticmethod
    def _title(text: str) -> str:
        return next(line[2:] for line in text.splitlines() if line.startswith("# "))


def _files() -> Iterator[tuple[str, str]]:
    for file in sorted((ROOT / "docs").glob("*.md")):
        path = f"docs/{file.name}"
        yield path, PAGES.get(path, file.name)
    for readme in sorted((ROOT / "editors").glob("*/README.md")):
        yield f"editors/{readme.parent.name}/README.md", f"editors/{readme.parent.name}.md"
    for path, uri in PAGES.items():
        if not path.startswith("docs/") and (ROOT / path).exists():
            yield path, uri


def _without(text: str, heading: str) -> str:
    try:
        part = section(text, heading, 3)
    except LookupError:
        return text
    return text.replace(f"### {heading}\n\n{part}", "")
