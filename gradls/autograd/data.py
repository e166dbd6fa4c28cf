"""The generated tables: JSON files beside this module, each read when first asked for."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).with_name("data")


@cache
def table(name: str) -> dict[str, Any]:
    """The table `name` ("ops", "modules", ...). Its "torch" entry is the version of PyTorch that it describes."""
    loaded: dict[str, Any] = json.loads((DIRECTORY / f"{name}.json").read_bytes())
    return loaded
