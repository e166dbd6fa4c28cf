"""The picture in the README is what is drawn of the sample."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]


def texts(svg: str) -> list[str]:
    return [text for text in ElementTree.fromstring(svg).itertext() if text.strip()]


def test_the_picture_in_the_readme_is_up_to_date():
    spec = importlib.util.spec_from_file_location("update_readme", ROOT / "docs" / "update_readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = (ROOT / "docs" / "gradient.svg").read_text(encoding="utf-8")
    assert texts(committed) == texts(module.gradient_picture()), "run python docs/update_readme.py"
    assert "file:" not in committed
