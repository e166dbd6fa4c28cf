"""What the playground asks gradls, without a browser."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradls.workspace.session import Session
from tests.docs.site import ROOT, SOURCES

ENGINE = SOURCES / "playground" / "engine.py"
SAMPLE = (ROOT / "samples" / "lost_gradients.py").read_text(encoding="utf-8")
TEXTS = st.text(st.sampled_from(["a", "é", "😀", "\n", "\t", " ", "漢", "\x0c", "\u2028"]), max_size=30)


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("playground_engine", ENGINE)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def engine() -> Any:
    return module().Engine()


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


def cut(text: str, at: dict[str, int]) -> str:
    return utf16(text)[2 * at["from"] : 2 * at["to"]].decode("utf-16-le")


def edited(text: str, edits: list[dict[str, Any]]) -> str:
    data = utf16(text)
    for edit in sorted(edits, key=lambda edit: -edit["from"]):
        data = data[: 2 * edit["from"]] + utf16(edit["insert"]) + data[2 * edit["to"] :]
    return data.decode("utf-16-le")


def test_it_finds_what_a_session_finds(engine: Any):
    session = Session(None)
    session.open("sample.py", SAMPLE)
    found = json.loads(engine.check(SAMPLE, "cuts"))
    wanted = [(each.code, each.message, len(each.story)) for each in session.findings("sample.py")]
    assert [(each["code"], each["message"], len(each["story"])) for each in found["findings"]] == wanted
    assert [cut(SAMPLE, each) for each in found["findings"]][1] == "h += 1"
    assert {lens["kind"] for lens in found["lenses"]} == {"backward", "step"}
    assert any(each["code"] == "self.last(h)" and each["requiresGrad"] for each in found["tensors"])


def test_places_count_as_the_editor_does(engine: Any):
    text = 'import torch\nname = "😀😀"; w = torch.ones(2, requires_grad=True); é = w.detach()\né.sum().backward()\n'
    found = json.loads(engine.check(text, "all"))
    (finding,) = [each for each in found["findings"] if each["severity"] == "error"]
    assert cut(text, finding) == "w.detach()"
    (fixed,) = [
        edited(text, edits)
        for number in range(len(finding["fixes"]))
        if (edits := json.loads(engine.fix(found["findings"].index(finding), number)))
    ]
    assert "é = w\n" in fixed
    assert utf16(text[: text.index(" = w.detach")]) in {utf16(text)[: 2 * hint["at"]] for hint in found["hints"]}
    about = json.loads(engine.about(len(utf16(text[: text.index("é")])) // 2))
    assert cut(text, about) == "é"
    assert "does not require grad" in about["text"]


def test_an_edit_is_seen(engine: Any):
    engine.check(SAMPLE, "cuts")
    mended = edited(SAMPLE, json.loads(engine.fix_all()))
    assert "h = h + 1" in mended
    assert "GRD201" not in [each["code"] for each in json.loads(engine.check(mended, "cuts"))["findings"]]
    assert json.loads(engine.check("", "all"))["findings"] == []
    assert json.loads(engine.check("def f(:\n", "all"))["problems"][0]["line"] == 1


def test_pictures(engine: Any):
    engine.check(SAMPLE, "off")
    line = SAMPLE.count("\n", 0, SAMPLE.rindex("loss.backward()")) + 1
    drawn = json.loads(engine.picture(line))
    assert drawn["svg"].startswith("<svg")
    assert "0 of 10 parameters" in " ".join(drawn["summary"])
    assert "reason" in json.loads(engine.picture(3))


@given(TEXTS)
def test_every_place_has_an_offset_and_back(text: str):
    places = module().Places(text)
    assert places.starts[-1] == len(utf16(text)) // 2
    for line, content in enumerate(places.lines, 1):
        for column in range(1, len(content) + 1):
            assert places.place(places.offset(line, column)) == (line, column)


def test_findings_hints_and_tensors_need_no_other_package():
    """As in the browser, before LibCST and grandalf are loaded."""
    blocked = ["pygls", "lsprotocol", "jedi", "libcst", "rich", "grandalf", "pathspec", "platformdirs", "tomlkit"]
    program = (
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(ENGINE.parent)!r})\nfrom engine import Engine\nengine = Engine()\n"
        f"print(len(engine.check({SAMPLE!r}, 'all')), engine.about(40))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(ROOT), timeout=120)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[0]) > 1000
