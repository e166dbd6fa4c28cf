"""The schema says what the reader accepts, and the reference what both do."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pathspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from gradls.workspace.config import Config, config_in
from gradls.workspace.forms import IGNORED
from gradls.workspace.options import OPTIONS, read_options
from gradls.workspace.schema import schema
from tests.cli.command import gradls

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DOCS = Path(__file__).parents[2] / "docs"
VALIDATOR = Draft7Validator(schema())


def test_it_is_a_schema():
    Draft7Validator.check_schema(schema())


def test_every_key_sets_an_attribute():
    assert {option.attribute for option in OPTIONS} == set(Config.__slots__) - {"root", "file", "problems"}


WORDS = st.sampled_from(
    [
        *("GRD1", "GRD101", "grd101", "detached-loss", "Detached-Loss", "ALL", "all", "", "G", "GRD999", " GRD1"),
        *("2.1", "2.1\n", "2.13", "2.14", "1.13.1", "1.12", "2", "2.1.x", "٢.1", "02.1", "2.01", "0.4", "3.0"),
        *("hint", "warning", "Error", "fatal", "off", "cuts", "all"),
        *("a/*.py", "!", "!!", "a\\", "a\\ ", "\\\\", "\\", "a\n", "!\n", "\\\n"),
    ]
)
SCALARS = st.one_of(WORDS, st.integers(-3, 3), st.booleans(), st.floats(allow_nan=False), st.text(max_size=5))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(WORDS, st.one_of(SCALARS, st.lists(WORDS))))
KEYS = st.one_of(st.sampled_from([option.key for option in OPTIONS]), st.text(max_size=4))


@given(st.dictionaries(KEYS, VALUES, max_size=3))
def test_what_it_accepts_is_read_without_a_mistake(table: dict[str, Any]):
    _, mistakes = read_options(table)
    assert VALIDATOR.is_valid(table) is (not mistakes), mistakes


def likely(option_schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the schema accepts."""
    if "$ref" in option_schema:
        return st.sampled_from(schema()["definitions"]["rule"]["enum"])
    if "enum" in option_schema:
        return st.sampled_from(option_schema["enum"])
    if "pattern" in option_schema:
        return st.from_regex(option_schema["pattern"], fullmatch=True)
    if option_schema["type"] == "array":
        return st.lists(likely(option_schema["items"]), max_size=3)
    keys, values = likely(option_schema["propertyNames"]), likely(option_schema["additionalProperties"])
    return st.dictionaries(keys, values, max_size=3)


@given(st.data())
def test_all_of_it_can_be_used(data: st.DataObject):
    chosen = data.draw(
        st.lists(st.sampled_from(sorted(schema()["properties"].items(), key=lambda each: each[0])), max_size=4)
    )
    table = {key: data.draw(likely(of_key)) for key, of_key in chosen}
    VALIDATOR.validate(table)
    values, mistakes = read_options(table)
    assert mistakes == []
    config = Config(**values)
    pathspec.GitIgnoreSpec.from_lines([*config.exclude, *config.per_file_ignores])
    assert set(values) == {option.attribute for option in OPTIONS if option.key in table}


@given(st.text("!\\ /a*[]#\n\x00", max_size=6))
def test_every_pattern_that_is_accepted_can_be_used(text: str):
    mistakes: list = []
    if IGNORED.read(text, (), mistakes) is not None:
        pathspec.GitIgnoreSpec.from_lines([text])


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_the_examples(option: Any):
    config = config_in(f"{option.key} = {option.example}", Path("gradls.toml"))
    assert config.problems == ()
    assert getattr(config, option.attribute)


def test_the_command_prints_it(tmp_path: Path):
    assert json.loads(gradls("schema", cwd=tmp_path).stdout) == schema()


def update() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_configuration", DOCS / "update_configuration.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_as_it_would_be_written():
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert update().updated(page) == page, "run: python docs/update_configuration.py"
    written = (DOCS / "gradls.schema.json").read_text(encoding="utf-8")
    assert update().schema_text() == written, "run: python docs/update_configuration.py"


def test_what_the_page_shows_is_accepted():
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    shown = [
        text for text in re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "language" not in text
    ]
    assert len(shown) > len(OPTIONS)
    for text in shown:
        file = Path("pyproject.toml" if "[tool.gradls]" in text else "gradls.toml")
        assert config_in(text, file).problems == ()
        tomllib.loads(text)
