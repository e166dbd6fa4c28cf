"""The generated tables: files beside this module, each read when first asked for."""

from __future__ import annotations

import json
import os.path
from functools import cache
from typing import Any

DIRECTORY = os.path.join(os.path.dirname(__file__), "data")


@cache
def table(name: str) -> dict[str, Any]:
    """The table `name` ("modules", "losses", ...). Its "torch" entry is the version of PyTorch that it describes."""
    return json.loads(_read(f"{name}.json"))


@cache
def records(name: str) -> tuple[dict[str, Any], list[bytes]]:
    """A table of which few entries are needed at a time: its head, and its records as JSON texts."""
    head, *lines = _read(f"{name}.jsonl").splitlines()
    return json.loads(head), lines


def _read(name: str) -> bytes:
    with open(os.path.join(DIRECTORY, name), "rb") as file:
        return file.read()
