"""The JSON schema of a configuration, for editors: made from `options.py`, as is the reader."""

from __future__ import annotations

import sys
from typing import Any

from gradls.workspace.forms import RULE, RuleName, Schema
from gradls.workspace.options import OPTIONS, Option

DRAFT = "http://json-schema.org/draft-07/schema#"


def schema() -> Schema:
    """A schema (draft 7) of a gradls.toml, and of the table `[tool.gradls]` of a pyproject.toml: it accepts what can be
    read without a mistake."""
    return {
        "$schema": DRAFT,
        "title": "gradls",
        "description": "What gradls reports, and where: gradls.toml, or [tool.gradls] of a pyproject.toml.",
        "type": "object",
        "properties": {option.key: _property(option) for option in OPTIONS},
        "additionalProperties": False,
        "definitions": {RULE: RuleName.definition()},
    }


def _property(option: Option) -> Schema:
    described = {"description": option.about.replace("`", ""), "examples": [_value(option.example)]}
    return {**described, **option.form.schema()}


def _value(toml: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(f"value = {toml}")["value"]
