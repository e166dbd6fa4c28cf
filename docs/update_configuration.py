"""Write what follows from gradls/workspace/options.py: the reference in docs/configuration.md, docs/gradls.schema.json.

Run `python docs/update_configuration.py` when the keys of the configuration or the rules have changed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from gradls.workspace.options import OPTIONS
from gradls.workspace.schema import schema

DOCS = Path(__file__).resolve().parent


def reference() -> str:
    """The keys: a table, and a section for each."""
    rows = ["| key | value | default |", "|---|---|---|"]
    rows += [f"| [`{option.key}`](#{option.key}) | {option.form.words} | {option.default} |" for option in OPTIONS]
    sections = [
        f"### {option.key}\n\n{option.about}\n\n```toml\n{option.key} = {option.example}\n```" for option in OPTIONS
    ]
    return "\n\n".join(["\n".join(rows), *sections])


def updated(page: str) -> str:
    """`page` with the reference as it must be."""
    mark = re.compile(r"(<!-- options -->\n).*?(<!-- /options -->)", re.DOTALL)
    return mark.sub(lambda found: f"{found[1]}{reference()}\n{found[2]}", page)


def schema_text() -> str:
    """The content of the schema file."""
    return json.dumps(schema(), indent=2) + "\n"


def main() -> None:
    page = DOCS / "configuration.md"
    page.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")
    (DOCS / "gradls.schema.json").write_text(schema_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
