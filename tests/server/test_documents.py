"""The document store holds the client's text, whatever the client edits and however it counts."""

import logging

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradls.server.documents import Document, Documents, label_of
from gradls.syntax.text import split_lines

# Line ends of all kinds, characters of one to four bytes in UTF-8, combining ones, and what only Python takes for a
# line end (form feed, U+2028, vertical tab, next line).
WIDE = ["é", "e\u0301", "\u4e2d", "😀", "👩\u200d🔬"]
ALPHABET = [
    *WIDE,
    "a",
    "b",
    " ",
    "\n",
    "\r\n",
    "\r",
    "é",
    "e\u0301",
    "\u4e2d",
    "😀",
    "👩\u200d🔬",
    "\f",
    "\u2028",
    "\x0b",
    "\x85",
]
TEXTS = st.lists(st.sampled_from(ALPHABET), max_size=24).map("".join)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-32"])
EDITS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), TEXTS), min_size=1, max_size=8)


def client_position(text, offset, encoding):
    """What an editor sends for `offset` in `text`, counted here in bytes; an editor never stands inside of \\r\\n."""
    before = text[:offset]
    line = before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    rest = before[max(before.rfind("\n"), before.rfind("\r")) + 1 :]
    codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]
    return {"line": line, "character": len(rest.encode(codec)) // size}


def cursor(text, fraction):
    offset = round(fraction * len(text))
    return offset - 1 if text[offset - 1 : offset + 1] == "\r\n" else offset


@settings(max_examples=600)
@given(TEXTS, EDITS, ENCODINGS)
@example("a\r", [(1, 1, "\n")], "utf-16")
@example("a\rb\n", [(0.5, 0.75, "")], "utf-16")
@example("a\n", [(0.5, 0.5, "\r")], "utf-8")
@example("", [(0, 0, "\n"), (1, 1, "b")], "utf-32")
def test_the_text_stays_the_clients(text, edits, encoding):
    document = Document("file:///a.py", 1, text)
    for one, other, new in edits:
        start, end = sorted((cursor(text, one), cursor(text, other)))
        area = {"start": client_position(text, start, encoding), "end": client_position(text, end, encoding)}
        document.change({"range": area, "text": new}, encoding)
        text = text[:start] + new + text[end:]
        assert document.text == text
        assert document.lines == split_lines(text)


def test_positions_past_the_end_mean_the_end():
    document = Document("file:///a.py", 1, "ab\r\ncd")
    document.change({"range": _range(0, 99, 0, 99), "text": "!"}, "utf-16")
    assert document.text == "ab!\r\ncd"
    document.change({"range": _range(7, 3, 9, 0), "text": "?"}, "utf-16")
    assert document.text == "ab!\r\ncd?"
    document.change({"range": _range(1, 0, 99, 0), "text": ""}, "utf-16")
    assert document.text == "ab!\r\n"
    document.change({"range": _range(1, 0, 1, 0), "text": "x"}, "utf-16")
    assert document.text == "ab!\r\nx"


def test_a_range_that_runs_backwards_is_the_same_range():
    document = Document("file:///a.py", 1, "abcd")
    document.change({"range": _range(0, 3, 0, 1), "text": "-"}, "utf-16")
    assert document.text == "a-d"


def test_a_change_without_a_range_is_the_whole_text():
    document = Document("file:///a.py", 1, "old\ntext")
    document.change({"text": "new\n"}, "utf-16")
    assert (document.text, document.lines) == ("new\n", ["new\n"])


@pytest.mark.parametrize(
    "change", [{}, {"text": 1}, {"text": "x", "range": {}}, {"text": "x", "range": []}, {"text": "x", "range": "0"}]
)
def test_a_malformed_change_is_refused_and_the_text_kept(change):
    document = Document("file:///a.py", 1, "text")
    revision = document.revision
    with pytest.raises(ValueError, match="it has no"):
        document.change(change, "utf-16")
    assert (document.text, document.revision) == ("text", revision)


def test_a_version_that_goes_back_is_logged_and_its_edit_made(caplog):
    documents = Documents()
    documents.open("file:///a.py", 5, "a")
    with caplog.at_level(logging.WARNING):
        documents.change("file:///a.py", 3, [{"range": _range(0, 1, 0, 1), "text": "b"}])
    assert documents.get("file:///a.py").text == "ab"
    assert "went back from 5 to 3" in caplog.text


def test_changing_or_closing_what_is_not_open_is_logged(caplog):
    documents = Documents()
    with caplog.at_level(logging.WARNING):
        assert documents.change("file:///a.py", 1, [{"text": "b"}]) is None
        assert documents.close("file:///a.py") is None
    assert caplog.text.count("is not open") == 2


def test_a_malformed_change_does_not_keep_the_next_from_being_made(caplog):
    documents = Documents()
    documents.open("file:///a.py", 1, "a")
    documents.change("file:///a.py", 2, [None, {"nonsense": True}, {"text": "b"}])
    assert documents.get("file:///a.py").text == "b"
    assert "could not be read" in caplog.text


@pytest.mark.parametrize(
    ("uri", "label"),
    [
        ("file:///home/me/a%20b/c%2Bd/%C3%BC.py", "/home/me/a b/c+d/ü.py"),
        ("file:///home/me/a%20b/c+d/%c3%bc.py", "/home/me/a b/c+d/ü.py"),
        ("file:///a%23b%3Fc%3Bd.py", "/a#b?c;d.py"),
        ("file:///a;b.py", "/a;b.py"),
        ("untitled:Untitled-1", "untitled:Untitled-1"),
    ],
)
def test_labels(uri, label):
    assert label_of(uri) == label
    documents = Documents()
    documents.open(uri, 1, "")
    assert documents.uri_of(label) == uri


def test_the_uri_of_a_file_that_is_not_open():
    assert label_of(Documents().uri_of("/home/me/a b/c+d/ü#?;.py")) == "/home/me/a b/c+d/ü#?;.py"


def _range(line, character, end_line, end_character):
    return {
        "start": {"line": line, "character": character},
        "end": {"line": end_line, "character": end_character},
    }
