"""Links into the playground, and its samples."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path

from gradls.picture.svg import STYLE
from gradls.rules.beliefs import all_beliefs
from gradls.rules.page import page
from gradls.rules.registry import rules_by_key
from gradls_site.files import ROOT

FOLDER = "assets/playground/"
RULES = ("GRD101", "GRD102", "GRD201", "GRD301", "GRD403", "GRD501", "GRD601", "GRD701")
"""The rules whose first examples are samples."""


def link(program: str) -> str:
    """The address of the playground with a program, from the root of the site. The program is in the fragment: no
    server gets to see it."""
    deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflated.compress(program.encode("utf-8")) + deflated.flush()
    return f"playground/#code={base64.urlsafe_b64encode(data).decode('ascii').rstrip('=')}"


def built() -> dict[str, bytes]:
    """The files of the playground by their addresses, as `docs/site/build_playground.py` has made them; none if it has
    not. `$GRADLS_PLAYGROUND` says where they are, by default in build/playground."""
    folder = Path(os.environ.get("GRADLS_PLAYGROUND") or ROOT / "build" / "playground")
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    found = {FOLDER + file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    if found:
        found[FOLDER + "samples.json"] = json.dumps(samples()).encode("utf-8")
        found[FOLDER + "picture.css"] = picture_style().encode("utf-8")
    return found


def picture_style() -> str:
    """The style of gradient pictures, dark where the page is and not where the system is."""
    light, dark = STYLE.split("@media (prefers-color-scheme: dark) {")
    return light + dark.strip().removesuffix("}").replace(".picture", '[data-md-color-scheme="slate"] .picture')


def samples() -> list[dict[str, str]]:
    """Programs to choose from, with titles."""
    first = (ROOT / "samples" / "lost_gradients.py").read_text(encoding="utf-8")
    found = [{"title": "Four lost gradients", "code": first}]
    for code in RULES:
        rule = rules_by_key()[code]
        found.append({"title": f"{code} {rule.name}", "code": page(type(rule)).examples[0]})
    belief = all_beliefs()[0]
    found.append({"title": "Right, whatever is said", "code": f"# {belief.claim}? No.\n{belief.program}"})
    return found
