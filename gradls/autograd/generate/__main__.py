"""Writes every table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from gradls.autograd.data import DIRECTORY
from gradls.autograd.generate import build_losses, build_modules, build_ops, build_optimizers, build_spelling


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def text(table: dict[str, Any]) -> str:
    """A table as JSON with one entry a line, so that a diff shows what changed."""
    parts = []
    for key, value in table.items():
        if isinstance(value, dict) and value:
            entries = [f"{dump(name)}:{dump(entry)}" for name, entry in value.items()]
            parts.append(f"{dump(key)}:{{\n" + ",\n".join(entries) + "\n}")
        else:
            parts.append(f"{dump(key)}:{dump(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def lines(table: dict[str, Any], records: str) -> str:
    """A table as lines: first all but `records`, then each of those."""
    head = {key: value for key, value in table.items() if key != records}
    return "".join(dump(value) + "\n" for value in (head, *table[records]))


def files() -> dict[str, str]:
    """The text of every file, made anew."""
    # First, because it looks at which modules have been imported.
    found = {"spelling.json": text(build_spelling.build())}
    found["modules.json"] = text(build_modules.build())
    found["losses.json"] = text(build_losses.build())
    found["optimizers.json"] = text(build_optimizers.build())
    found["distributions.json"] = text(build_optimizers.build_distributions())
    found["ops.jsonl"] = lines(build_ops.build(), "ops")
    return found


def main(directory: Path) -> None:
    """Write the tables to `directory`."""
    directory.mkdir(exist_ok=True)
    for name, content in files().items():
        (directory / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else DIRECTORY))
