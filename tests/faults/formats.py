"""Targets that are no Python: messages, configuration, notebooks, tracebacks."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

from gradls.errors.details import details
from gradls.errors.table import all_messages, messages_in
from gradls.errors.trace import read_trace
from gradls.rules.finding import TextEdit
from gradls.server.connection import Connection
from gradls.server.documents import Document, Documents
from gradls.server.transport import Unframed, Unparseable, Writer, frame
from gradls.syntax.source import Span
from gradls.syntax.text import split_lines
from gradls.workspace.config import config_in
from gradls.workspace.config_edits import NotPossible, ignoring
from gradls.workspace.files import Unreadable
from gradls.workspace.notebook import Notebook
from tests.faults.mutations import STRANGE, Corpus, mutated, mutated_bytes
from tests.faults.targets import check_tree, is_inside, no_mistakes, target

URI = "file:///t/train.py"
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 2**31, 2**63, -(2**70), 0.5, 1e308, float("nan"), "", "x", "\0", "\ud800", "é😀"),
    *([], {}),
    *([[]], [None], {"": {}}, {"line": 0, "character": 0}, URI, "file://", "http://[", "untitled:a", "//", "utf-16"),
    *("textDocument/didChange", "2.0", {"uri": URI}, "x" * 5000),
]


def _position(chance: random.Random) -> dict[str, Any]:
    return {"line": chance.choice([0, 1, 5, 99, 10**6]), "character": chance.choice([0, 1, 7, 80, 10**6])}


def _messages(corpus: Corpus, chance: random.Random) -> list[dict[str, Any]]:
    """A conversation as a client has it."""
    item = {"uri": URI, "languageId": "python", "version": 1, "text": corpus.piece(chance, 20)}
    found: list[dict[str, Any]] = [
        {"id": 1, "method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}},
        {"method": "initialized", "params": {}},
        {"method": "textDocument/didOpen", "params": {"textDocument": item}},
    ]
    for version in range(2, 2 + chance.randint(0, 4)):
        area = {"start": _position(chance), "end": _position(chance)}
        changes = [{"range": area, "text": chance.choice([*STRANGE, "x = 1\n", ""])}]
        document = {"uri": URI, "version": version}
        params = {"textDocument": document, "contentChanges": changes}
        found.append({"method": "textDocument/didChange", "params": params})
    params = {"textDocument": {"uri": URI}, "position": _position(chance)}
    found.append({"id": "h", "method": "textDocument/hover", "params": params})
    found.append({"method": "$/cancelRequest", "params": {"id": chance.choice(["h", 1, 2.5, None])}})
    found.append({"id": "gradls-1", "result": None})
    found.append({"method": "textDocument/didClose", "params": {"textDocument": {"uri": URI}}})
    return [{"jsonrpc": "2.0", **message} for message in found]


def _shaken(value: Any, chance: random.Random) -> Any:
    """JSON with some of its values, keys or items replaced."""
    if chance.random() < 0.04:
        return chance.choice(VALUES)
    if isinstance(value, dict):
        return {
            (chance.choice(["", "x", "id", "method"]) if chance.random() < 0.01 else key): _shaken(item, chance)
            for key, item in value.items()
            if chance.random() > 0.02
        }
    if isinstance(value, list):
        return [_shaken(item, chance) for item in value for _ in range(chance.choice([1] * 30 + [0, 2]))]
    return value


class _Stream:
    """A stream that keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def flush(self) -> None:
        pass


@target
def framing(corpus: Corpus, chance: random.Random) -> None:
    """Bytes are taken apart into messages: the same ones in whatever pieces they come."""
    bodies = [json.dumps(message).encode() for message in _messages(corpus, chance)]
    data = b"".join(map(frame, bodies))
    if chance.random() < 0.8:
        data = mutated_bytes(data, chance)
    at_once = [_comparable(message) for message in Unframed().feed(data)]
    in_pieces: list[str] = []
    unframed, start = Unframed(), 0
    while start < len(data):
        end = start + chance.choice([1, 2, 17, 400, 9000])
        in_pieces += [_comparable(message) for message in unframed.feed(data[start:end])]
        start = end
    assert in_pieces == at_once


def _comparable(message: Any) -> str:
    return f"unparseable {message.reason}" if isinstance(message, Unparseable) else repr(message)


@target
def conversation(corpus: Corpus, chance: random.Random) -> None:
    """Messages of the wrong form reach the texts: nothing is raised, each request is answered."""
    stream, documents = _Stream(), Documents()
    connection = Connection(Writer(stream, lambda: None), lambda message: None, ["x"])  # type: ignore[arg-type]

    def initialize(params: Any) -> Any:
        connection.is_initialized = True
        return {}

    connection.requests["initialize"] = initialize
    connection.notifications.update(
        {
            "initialized": lambda params: None,
            "textDocument/didOpen": lambda params: _opened(documents, params),
            "textDocument/didChange": lambda params: _changed(documents, params),
            "textDocument/didClose": lambda params: _closed(documents, params),
        }
    )
    sent = [message if chance.random() < 0.3 else _shaken(message, chance) for message in _messages(corpus, chance)]
    data = b"".join(frame(json.dumps(message).encode()) for message in sent)
    for message in Unframed().feed(data):
        connection.receive([message])
    answers = list(Unframed().feed(bytes(stream.written)))
    assert all(isinstance(answer, dict) and ("result" in answer or "error" in answer) for answer in answers)
    for document in documents:
        assert split_lines(document.text) == document.lines


def _opened(documents: Documents, params: Any) -> None:
    item = params["textDocument"]
    if isinstance(item["uri"], str) and isinstance(item["text"], str):
        documents.open(item["uri"], item.get("version"), item["text"])


def _changed(documents: Documents, params: Any) -> None:
    if isinstance(params["textDocument"]["uri"], str) and isinstance(params["contentChanges"], list):
        documents.change(params["textDocument"]["uri"], params["textDocument"].get("version"), params["contentChanges"])


def _closed(documents: Documents, params: Any) -> None:
    if isinstance(params["textDocument"]["uri"], str):
        documents.close(params["textDocument"]["uri"])


@target
def typing(corpus: Corpus, chance: random.Random) -> None:
    """A text is edited by ranges: it is what a client that counts in UTF-16 has."""
    text = mutated(corpus.piece(chance, 20), chance)
    document = Document(URI, 1, text)
    for _ in range(6):
        start, end = sorted((chance.randint(0, len(text)), chance.randint(0, len(text))))
        new = chance.choice([*STRANGE, "x = 1\n", "", "\r", "\n", "\r\n", "a\rb\nc\r\nd"])
        if any(text[at - 1 : at + 1] == "\r\n" for at in (start, end)):
            continue  # no place for a cursor
        area = {"start": _in_utf_16(text, start), "end": _in_utf_16(text, end)}
        document.change({"range": area, "text": new}, "utf-16")
        assert _whole(document.text) == _whole(text[:start] + new + text[end:])
        text = document.text
        assert document.lines == split_lines(text)


def _whole(text: str) -> str:
    """The text without halves of characters that stand together: for a client they are one."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _in_utf_16(text: str, offset: int) -> dict[str, int]:
    lines = split_lines(text[:offset])
    if lines and not lines[-1].endswith(("\r", "\n")):
        return {"line": len(lines) - 1, "character": len(lines[-1].encode("utf-16-le", "surrogatepass")) // 2}
    return {"line": len(lines), "character": 0}


CONFIGURATION = """\
[tool.other]
x = 1

[tool.gradls]
select = ["ALL", "GRD1", "detached-loss"]
ignore = [
  "GRD6",  # why
]
exclude = ["build/", "*_old.py"]
target-torch = "2.1"
hints = "cuts"

[tool.gradls.severity]
GRD101 = "hint"

[tool.gradls.per-file-ignores]
"tests/**" = ["GRD7"]
"""


@target
def configuration(corpus: Corpus, chance: random.Random) -> None:
    """A configuration is read, and a rule is added to what it ignores."""
    text = mutated(CONFIGURATION, chance).replace("\r\n", "\n")
    if chance.random() < 0.2:
        text = text.replace("GRD6", "'" * chance.randint(1, 4))
    file = Path("/nowhere/at/all/pyproject.toml")
    config = config_in(text, file)
    lines = text.split("\n")
    for problem in config.problems if config is not None else ():
        assert problem.message
        assert problem.span is not None
        line, column, end_line, end_column = problem.span
        # An error may be that there is nothing more.
        assert is_inside(Span(line, column, end_line, end_column - (end_column > column)), lines or [""]), problem
    with contextlib.suppress(NotPossible):
        ignoring(text, file, "GRD101")


@target
def notebooks(corpus: Corpus, chance: random.Random) -> None:
    """Bytes are read as a notebook; what is not changed stays as it is."""
    cells = []
    for _ in range(chance.randint(0, 4)):
        text = mutated(corpus.piece(chance, 12), chance)
        magic = chance.choice(["", "%%bash\n", "!ls\n", "%time "])
        source: Any = text if chance.random() < 0.4 else split_lines(magic + text)
        kind = chance.choice(["code", "code", "markdown"])
        cells.append({"cell_type": kind, "source": source, "metadata": {}, "outputs": []})
    content: Any = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}
    if chance.random() < 0.5:
        content = _shaken(content, chance)
    data = json.dumps(content, indent=chance.choice([None, 1]), ensure_ascii=True).encode()
    if chance.random() < 0.5:
        data = mutated_bytes(data, chance)
    try:
        notebook = Notebook.read(data, "train.ipynb")
    except Unreadable as error:
        if not 1 <= error.line <= data.count(b"\n") + 1 + data.count(b"\r"):
            raise
        return
    assert notebook.data == data
    texts = [cell.text for cell in notebook.cells.cells]
    assert notebook.splices(texts) == []
    from gradls.syntax.source import Source

    check_tree(Source.read(notebook.text))
    if texts:
        number = chance.randrange(len(texts))
        # Two halves of one character cannot be told from it in JSON.
        texts[number] = mutated(texts[number], chance).replace("\ud83d\ude00", "")
        made = notebook.with_texts(texts)
        assert [cell.text for cell in made.cells.cells] == texts
        lines = notebook.cells.lines
        line = chance.randint(1, len(lines))
        edit = TextEdit("train.ipynb", Span(line, 1, line, len(lines[line - 1].rstrip("\r\n")) + 1), "x")
        if notebook.cells.edit(edit.span, edit.text) is not None:
            notebook.edited([edit])
            notebook.file_edits([edit])


TRACEBACK = """\
Traceback (most recent call last):
  File "/home/me/train.py", line 12, in <module>
    main()
  File "/home/me/train.py", line 9, in main
    loss.backward()
    ~~~~~~~~~~~~~^^
  File "/usr/lib/python3/site-packages/torch/_tensor.py", line 521, in backward
    torch.autograd.backward(
RuntimeError: MESSAGE

During handling of the above exception, another exception occurred:

---------------------------------------------------------------------------
RuntimeError                              Traceback (most recent call last)
Cell In[3], line 4
      2 x = 1
----> 4 loss.backward()

File ~/x.py:12, in f(x)
RuntimeError: MESSAGE
[rank0]: Traceback (most recent call last):
[rank0]:   File "a.py", line 1, in <module>
[rank0]: RuntimeError: one of the variables: [torch.FloatTensor [3]], is at version 2; expected version 1 instead.
"""


@target
def tracebacks(corpus: Corpus, chance: random.Random) -> None:
    """A text is read as a traceback."""
    message = chance.choice(all_messages()).wordings[0].says
    text = mutated(mutated(TRACEBACK.replace("MESSAGE", message), chance), chance)
    if chance.random() < 0.02:
        text *= chance.choice([2, 50])
    with no_mistakes():
        trace = read_trace(text)
        for raised in trace.raised:
            messages_in(raised.text, [frame.text for frame in raised.frames])
            details(raised.message)
            for frame_ in [*raised.frames, *trace.forward]:
                assert frame_.line > 0
