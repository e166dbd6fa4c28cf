"""Coverage-guided fuzzing of what reads: texts that are edited, messages, configuration, notebooks, tracebacks.

`pip install 'gradls[fuzz]'`, then `python -m tests.faults.guided edits -runs=100000 FOLDER`: what is interesting is
kept in FOLDER, and what fails in the folder that the command runs in. libFuzzer's other options may follow.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gradls"]):
    from gradls.errors.trace import read_trace
    from gradls.server.connection import Connection
    from gradls.server.documents import Document
    from gradls.server.transport import Unframed, Writer, frame
    from gradls.syntax.magics import masked
    from gradls.syntax.text import split_lines
    from gradls.workspace.config import config_in
    from gradls.workspace.files import Unreadable, decode
    from gradls.workspace.notebook import Notebook
    from tests.faults.targets import check_edited

ENDS = "\n\0\n"
"""What stands between the texts that one input holds."""


def edits(data: bytes) -> None:
    """Texts, one edited into the next."""
    try:
        text = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    check_edited(text.split(ENDS)[:5])


def stored(data: bytes) -> None:
    """The bytes of a Python file."""
    try:
        text = decode(data, "train.py").text
    except Unreadable:
        return
    masked(split_lines(text))


def messages(data: bytes) -> None:
    """The bytes of a client, as they are and as the content of a message."""
    connection = Connection(Writer(_Nowhere(), lambda: None), lambda message: None, [])  # type: ignore[arg-type]
    document = Document("file:///t.py", 1, "x = 1\ny = 2\n")
    connection.is_initialized = True
    connection.notifications["c"] = lambda params: document.edit(1, params["changes"], "utf-16")
    for stream in (data, frame(data), frame(b'{"method":"c","params":{"changes":%b}}' % data)):
        connection.receive(list(Unframed().feed(stream)))
    assert split_lines(document.text) == document.lines


def configuration(data: bytes) -> None:
    """The text of a pyproject.toml."""
    config_in("[tool.gradls]\n" + data.decode("utf-8", "replace"), Path("/nowhere/pyproject.toml"))


def notebooks(data: bytes) -> None:
    """The bytes of a notebook, and a cell with them as its source."""
    for content in (data, b'{"cells":[{"cell_type":"code","source":%b}]}' % data):
        try:
            notebook = Notebook.read(content, "train.ipynb")
        except Unreadable:
            continue
        texts = [f"{cell.text}# more" for cell in notebook.cells.cells]
        try:
            json.dumps(texts).encode()
            notebook.with_texts(texts)
        except ValueError:
            # Halves of characters that come together cannot be told from the character.
            assert any("\ud800" <= character <= "\udfff" for text in texts for character in text)


def tracebacks(data: bytes) -> None:
    """What somebody pastes."""
    read_trace(data.decode("utf-8", "replace"))


class _Nowhere:
    def write(self, data: bytes) -> None:
        pass

    def flush(self) -> None:
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (edits, stored, messages, configuration, notebooks, tracebacks)
}


def main() -> None:
    """Run the command; libFuzzer ends the process."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\nTargets: {', '.join(TARGETS)}")
    import logging

    logging.disable(logging.CRITICAL)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
