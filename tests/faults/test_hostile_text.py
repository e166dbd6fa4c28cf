"""What comes from code reaches no terminal, page, report or editor as anything but text."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pygls.uris import from_fs_path

from gradls.explain.harmless import harmless
from tests.cli.command import gradls
from tests.lsp.clients import SECONDS, VSCODE
from tests.lsp.raw import Raw, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names of files")

PIECES = [
    "\x1b[31m\x1b]0;own\x07",
    "\x1b]8;;https://e.x\x1b\\\\",
    "\x9b31m\x08\x7f",
    "\u202ex\u2066\u200f",
    "</style><script>",
    "<img src=x onerror=a>",
    "![i](https://e.x/i)",
    "[l](command:evil)",
    "<https://e.x>",
    "`[l](command:evil)",
    "``` ![i](http://e)",
    "`` <b>",
    "::error file=x::y",
    "%0A::add-mask::x",
    "]]>&xxe;<!DOCTYPE a>",
    "];evil[label=<x>",
    "[red]x[/red][link=y]",
    "\u2028 \x85 \x0c",
    "**_b_**",
]
"""Short enough to be told whole in a message."""
NAME = "evil\x1b[31m\u202e<script>`![i](x)\n::error::&%0A.py"
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

HEAD = """\
import torch
from torch import nn

model = nn.Linear(3, 1)
x = torch.randn(4, 3)
"""


def program() -> str:
    """For each piece two findings, whose messages tell of expressions that hold it."""
    parts = [HEAD]
    for number, piece in enumerate(PIECES):
        parts.append(f'd{number} = {{"{piece}": model(x).mean()}}  # {piece}\n')
        parts.append(f'loss{number} = d{number}["{piece}"].detach()\nloss{number}.backward()\n')
        parts.append(f'm{number} = nn.ModuleDict({{"{piece}": nn.Linear(3, 1)}})\n')
        parts.append(f'other{number} = m{number}["{piece}"](x).mean().detach()\nother{number}.backward()\n')
    return "".join(parts)


CONFIGURATION = (
    "".join(f"{json.dumps(piece)} = 1\n" for piece in PIECES)
    + f"select = {json.dumps([*PIECES, 'GRD'])}\n[severity]\n"
    + "".join(f"{json.dumps(piece)} = 'x'\n" for piece in PIECES)
)


def steering(text: str, allowed: str = "\n") -> list[str]:
    """The characters in `text` that change what is around them."""
    return sorted({c for c in text if c not in allowed and (unicodedata.category(c) == "Cc" or c in BIDI)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / NAME).write_text(program(), encoding="utf-8")
    (tmp_path / f"broken{NAME}").write_text(f"def {PIECES[0]}(:\n", encoding="utf-8")
    (tmp_path / f"bytes{NAME}").write_bytes(b"x = '\xff'\n")
    (tmp_path / "gradls.toml").write_text(CONFIGURATION, encoding="utf-8")
    return tmp_path


def test_the_pieces_are_told(folder: Path):
    """Or there would be nothing to look at."""
    run = gradls("check", NAME, "--format", "json", cwd=folder)
    messages = " ".join(finding["message"] for finding in json.loads(run.stdout)["findings"])
    assert all(f"d{number}[" in messages for number in range(len(PIECES)))
    assert "evil" in messages


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "."],
        ["check", ".", "--no-cache", "--statistics"],
        ["check", ".", "--format", "concise"],
        ["check", ".", "--format", "github"],
        ["check", NAME, "--fix", "--unsafe-fixes"],
        ["inspect", NAME],
        ["explain", "".join(PIECES)],
        ["explain", PIECES[0]],
        ["why", "RuntimeError: " + "".join(PIECES)],
        [
            "why",
            f'Traceback (most recent call last):\n  File "{NAME}", line 6, in {PIECES[0]}\n    {PIECES[1]}\nE: x',
        ],
        ["graph", f"{NAME}:100000"],
        ["graph", f"{NAME}:1"],
        ["check", "".join(PIECES).replace("/", "")],
        ["check", ".", "--select", PIECES[0]],
        ["check", "--config", PIECES[0]],
    ],
    ids=lambda arguments: " ".join(map(ascii, arguments))[:40],
)
def test_nothing_steers_a_terminal(folder: Path, arguments: list[str]):
    run = gradls(*arguments, cwd=folder)
    assert run.returncode in (0, 1, 2)
    assert run.stdout or run.stderr
    assert not steering(run.stdout)
    assert not steering(run.stderr)
    assert "Traceback (most" not in run.stderr


def test_on_a_terminal(folder: Path):
    """With colours and links, of which the sequences are gradls' own."""
    run = gradls("check", ".", cwd=folder, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert not steering(re.sub(r"\x1b\[[0-9;]*m", "", run.stdout))


def test_commands_of_github_are_ours(folder: Path):
    run = gradls("check", ".", "--format", "github", cwd=folder)
    kinds = r"::(error|warning|notice) "
    assert all(re.match(kinds, line) or "::" not in line[:2] for line in run.stdout.split("\n"))
    assert sum(line.startswith("::") for line in run.stdout.split("\n")) >= 2 * len(PIECES)
    assert not re.search(r"^(?!::(error|warning|notice) ).*::(error|add-mask)", run.stdout, re.MULTILINE)


@pytest.mark.parametrize("form", ["json", "sarif", "gitlab"])
def test_reports_in_json(folder: Path, form: str):
    run = gradls("check", ".", "--format", form, cwd=folder)
    assert run.stdout.isascii()
    assert not steering(run.stdout)
    assert len(json.dumps(json.loads(run.stdout))) > 1000


def test_reports_in_xml(folder: Path):
    run = gradls("check", ".", "--format", "junit", cwd=folder)
    assert not steering(run.stdout)
    names = {element.tag for element in ElementTree.fromstring(run.stdout).iter()}
    assert names <= {"testsuites", "testsuite", "testcase", "failure", "error", "system-out"}


class Elements(HTMLParser):
    """The elements of a page with the names of their attributes, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name in ("href", "xlink:href", "src"):
                self.links.append(value or "")


HTML = (
    "html head meta title style body header h1 h2 p details summary dl dt dd main figure section ol li strong code a "
    "svg desc defs marker path g rect text"
)


def backward_lines() -> list[int]:
    return [number for number, line in enumerate(program().split("\n"), 1) if line.endswith(".backward()")]


@pytest.mark.parametrize("form", ["svg", "html"])
def test_pictures(folder: Path, form: str):
    for line in backward_lines()[::13]:
        run = gradls("graph", f"{NAME}:{line}", "--format", form, "--no-resolve", cwd=folder)
        assert run.returncode == 0, run.stderr
        check_page(run.stdout, form)


def check_page(page: str, form: str) -> None:
    assert not steering(page)
    elements = Elements(page)
    assert elements.found <= set(HTML.split())
    assert all(link.startswith(("file:", "#")) for link in elements.links), elements.links
    if form == "svg":
        ElementTree.fromstring(page)


def test_dot(folder: Path):
    run = gradls("graph", f"{NAME}:{backward_lines()[0]}", "--format", "dot", cwd=folder)
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', run.stdout)
    assert "evil" not in outside
    assert not steering(run.stdout)


# -- what editors get


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def markdown(value: Any) -> Iterator[str]:
    """All texts in a JSON value that are shown as Markdown."""
    if isinstance(value, dict):
        if value.get("kind") == "markdown":
            yield value["value"]
        for inner in value.values():
            yield from markdown(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from markdown(inner)


def tokens(text: str) -> Iterator[Any]:
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        yield token
        yield from token.children or ()


def check_markdown(text: str, allowed: tuple[str, ...]) -> None:
    """It holds no picture, no HTML, and links to these addresses only."""
    for token in tokens(text):
        assert token.type not in ("image", "html_block", "html_inline"), (token.content, text)
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith(allowed), (token.attrs, text)


def test_what_editors_are_told(folder: Path):
    uri = str(from_fs_path(str(folder / NAME)))
    address = from_fs_path(str(folder))
    given = {"rootUri": address, "capabilities": VSCODE, "processId": None}
    text, number = program(), 0
    lines = text.split("\n")
    document = {"textDocument": {"uri": uri}}
    with started(cwd=folder) as (raw, process):

        def ask(method: str, params: Any) -> Any:
            nonlocal number
            number += 1
            answer = raw.request(number, method, params)
            assert "error" not in answer, answer
            check(answer["result"])
            return answer["result"]

        def check(result: Any) -> None:
            for each in texts(result):
                # The text itself is given back in edits, and in addresses nothing stands as it is.
                assert not steering(each, "\n\t"), each
            for each in markdown(result):
                check_markdown(each, (str(address), "https://", "file:"))
                assert "https://e.x" not in [t.attrs.get("href") for t in tokens(each)]

        begin(raw, given)
        raw.open(uri, text)
        found = ask("textDocument/diagnostic", document)["items"]
        assert len(found) >= 2 * len(PIECES)
        told = 0
        for one in found:
            for place in (one["range"]["start"], one["range"]["end"]):
                told += bool(ask("textDocument/hover", {**document, "position": place}))
            context = {"diagnostics": [one], "triggerKind": 1}
            raw.seen.clear()
            ask("textDocument/codeAction", {**document, "range": one["range"], "context": context})
        assert told >= len(found)
        for line, content in enumerate(lines):
            ask("textDocument/hover", {**document, "position": {"line": line, "character": 0}})
            if "[" in content:
                position = {"line": line, "character": content.index("[")}
                ask("textDocument/hover", {**document, "position": position})
        whole = {"start": {"line": 0, "character": 0}, "end": {"line": len(lines), "character": 0}}
        assert ask("textDocument/inlayHint", {**document, "range": whole})
        assert ask("textDocument/codeLens", document)
        for line in backward_lines()[::7]:
            place = {"line": line - 1, "character": 0}
            arguments = [uri, place, {"show": False}]
            result = ask("workspace/executeCommand", {"command": "gradls.showPicture", "arguments": arguments})
            check_page(result["html"], "html")
            check_page(result["svg"], "part")
        table = str(from_fs_path(str(folder / "gradls.toml")))
        item = {"uri": table, "languageId": "toml", "version": 1, "text": CONFIGURATION}
        raw.notify("textDocument/didOpen", {"textDocument": item})
        published = raw.wait_for(
            lambda m: m.get("method") == "textDocument/publishDiagnostics" and m["params"]["uri"] == table
        )
        assert published["params"]["diagnostics"]
        check(published)
        check([message for message in raw.seen if message.get("method", "").startswith("window/")])
        ask("shutdown", None)
        raw.notify("exit", None)
        assert process.wait(SECONDS * 6) == 0


def begin(raw: Raw, given: Any) -> None:
    raw.request("begin", "initialize", given)
    raw.notify("initialized", {})


HOSTILE = st.lists(
    st.sampled_from([*PIECES, "`", "\\", "\n", "\n\n", "# ", "- ", "| a |\n|-|", "  ", "x"]) | st.text(max_size=4)
).map("".join)


@given(HOSTILE, HOSTILE)
def test_markdown_of_any_text_is_harmless(outside: str, inside: str):
    """Whatever stands in a message, within quotes that it may end, or without any."""
    for text in (outside, f"**`{inside}` requires grad.**\n\n- it: `{outside}`", f"{outside} `{inside}`"):
        made = harmless(text)
        check_markdown(made, ("nothing",))
        assert not steering(made, "\n\t")


@pytest.mark.parametrize(
    "text", ["**`x` requires grad.**", "- one: `a[0]`\n- two", "`f(x) < 3` & `y[1]`", "plain, words."]
)
def test_usual_words_stay(text: str):
    assert harmless(text) == text or harmless(text) == text.replace("&", "\\&")
