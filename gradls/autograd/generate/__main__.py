"""Writes every table."""

from __future__ import annotations

import json
from typing import Any

from gradls.autograd.data import DIRECTORY
from gradls.autograd.generate import build_losses, build_modules, build_ops, build_optimizers, build_spelling


def text(table: dict[str, Any]) -> str:
    """A table as JSON with one entry a line, so that a diff shows what changed."""
    parts = []
    for key, value in table.items():
        if isinstance(value, dict) and value:
            entries = [f"{json.dumps(name)}:{dump(entry)}" for name, entry in value.items()]
            parts.append(f"{json.dumps(key)}:{{\n" + ",\n".join(entries) + "\n}")
        elif isinstance(value, list) and value:
            parts.append(f"{json.dumps(key)}:[\n" + ",\n".join(dump(entry) for entry in value) + "\n]")
        else:
            parts.append(f"{json.dumps(key)}:{dump(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def tables() -> dict[str, dict[str, Any]]:
    """Every table, made anew."""
    return {
        "ops": build_ops.build(),
        "spelling": build_spelling.build(),
        "modules": build_modules.build(),
        "losses": build_losses.build(),
        "optimizers": build_optimizers.build(),
        "distributions": build_optimizers.build_distributions(),
    }


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for name, table in tables().items():
        (DIRECTORY / f"{name}.json").write_text(text(table), encoding="utf-8")


if __name__ == "__main__":
    main()
