"""Looks at a built site for links that lead nowhere, and for what would be loaded from other servers.

    python docs/site/links.py build/site

prints them, and ends with status 1 if there are any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

# Attributes whose address a browser loads by itself; of <link> some kinds.
LOADED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("object", "data"), ("video", "src")}
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch"}
_URL = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")


class _Reader(HTMLParser):
    """What a page links to, what it loads, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.twice: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if given.get("id") in self.anchors:
            self.twice.add(given["id"])
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and LOADED_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        self.loads += [given[name] for name in given if (tag, name) in LOADED]


def faults(site: Path) -> Iterator[str]:
    """What is wrong with the links of a site, a sentence each."""
    pages: dict[Path, _Reader] = {}
    for file in sorted(site.rglob("*.html")):
        pages[file] = _Reader()
        pages[file].feed(file.read_text(encoding="utf-8"))
    for file, page in pages.items():
        name = file.relative_to(site)
        for anchor in sorted(page.twice):
            yield f"{name} has the anchor {anchor} twice"
        for address in page.loads:
            if _is_elsewhere(address):
                yield f"{name} loads {address} from elsewhere"
            elif not address.startswith("data:"):
                page.links.append(address)
        # Whatever cannot be found gets this page, at any depth, so its addresses are those from the root.
        folder = site if name.name == "404.html" else file.parent
        for address in dict.fromkeys(page.links):
            if fault := _fault(address, file, folder, site, pages):
                yield f"{name}: {fault}"
    for file in sorted(site.rglob("*.css")):
        for found in _URL.finditer(file.read_text(encoding="utf-8")):
            if _is_elsewhere(found[1] or found[2]):
                yield f"{file.relative_to(site)} loads {found[1] or found[2]} from elsewhere"


def _is_elsewhere(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme in ("http", "https")


def _fault(address: str, file: Path, folder: Path, site: Path, pages: dict[Path, _Reader]) -> str | None:
    if _is_elsewhere(address) or address.startswith("mailto:"):
        return None
    where, anchor = urldefrag(address)
    path = unquote(urlsplit(where).path)
    if not path:
        target = file
    else:
        base = site / path.lstrip("/") if path.startswith("/") else folder / path
        target = Path(str(base.resolve()))
        if target.is_dir():
            target /= "index.html"
    if not target.is_file():
        return f"{address} leads nowhere"
    if anchor.startswith("code="):
        return None  # a program for the playground
    if anchor and target in pages and unquote(anchor) not in pages[target].anchors:
        return f"{address} has an anchor that is not there"
    return None


def main() -> int:
    found = list(faults(Path(sys.argv[1]).resolve()))
    print("\n".join(found) or "all links lead somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
