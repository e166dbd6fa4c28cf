"""What is fed with bad input, and what has to be true of it then. An execution raises if something is not."""

from __future__ import annotations

import ast
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, TextEdit
from gradls.rules.run import findings
from gradls.syntax.source import Source, Span
from gradls.syntax.text import split_lines
from gradls.workspace.config import Config
from gradls.workspace.edits import apply_edits
from gradls.workspace.session import Session
from tests.faults.mutations import Corpus, mutated, mutated_bytes
from tests.faults.rewrites import rewritten
from tests.syntax.editing import check

Target = Callable[[Corpus, random.Random], None]
TARGETS: dict[str, Target] = {}
MOST_EDITS = 3
MOST_CHARACTERS = 3000


def target(function: Target) -> Target:
    TARGETS[function.__name__] = function
    return function


class Logged(logging.Handler):
    """What gradls says of its own mistakes, as a failure of the execution."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def no_mistakes() -> Iterator[None]:
    """AssertionError if anything is logged as a mistake of gradls within."""
    logger, logged = logging.getLogger("gradls"), Logged()
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(logged)
    try:
        yield
    finally:
        logger.removeHandler(logged)
        logger.propagate = propagates
    for record in logged.records:
        raise AssertionError(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)


def is_inside(span: Span, lines: list[str]) -> bool:
    """Whether a span lies in a text, before the ends of its lines."""
    if not 1 <= span.line <= span.end_line <= len(lines):
        return False
    ends = [len(lines[line - 1].rstrip("\r\n")) + 1 for line in (span.line, span.end_line)]
    return (
        1 <= span.column <= ends[0]
        and 1 <= span.end_column <= ends[1]
        and (span.line < span.end_line or span.column <= span.end_column)
    )


def check_tree(source: Source) -> None:
    """That each node stands somewhere in the text."""
    for node in ast.walk(source.tree):
        if hasattr(node, "lineno"):
            assert is_inside(source.span(node), source.lines), (ast.dump(node)[:200], source.span(node))


def check_findings(found: list[Finding], session: Session | None = None) -> None:
    """That each stands in the text, with its story, and its fixes change what they say and nothing else."""
    for finding in found:
        places = [finding.place, *(step.place for step in finding.story)]
        for place in places:
            assert is_inside(place.span, place.source.lines), (finding.code, place.span)
        assert finding.message
        for fix in finding.fixes if session is not None else ():
            assert session is not None
            edits = session.edits(fix)
            if edits is not None:
                check_edits(session.source(finding.path), edits)


def check_edits(source: Source, edits: list[TextEdit]) -> None:
    """That edits lie in the text and leave one that parses, if it did."""
    for edit in edits:
        assert edit.path == source.path
        assert is_place(edit.span, source.lines), edit
    made = Source.read(apply_edits(source.text, edits), source.path)
    if not source.problems:
        assert not made.problems, (edits, made.problems)


def is_place(span: Span, lines: list[str]) -> bool:
    """Whether an edit of a text may have this span: it may also insert behind the last line."""
    for line, column in (span[:2], span[2:]):
        last = len(lines) + (not lines or lines[-1].endswith(("\n", "\r")))
        if not 1 <= line <= last or not 1 <= column <= (len(lines[line - 1]) if line <= len(lines) else 0) + 1:
            return False
    return span[:2] <= span[2:]


@target
def syntax(corpus: Corpus, chance: random.Random) -> None:
    """A text is read, and edited."""
    text = mutated(corpus.piece(chance) if chance.random() < 0.97 else corpus.whole(chance), chance)
    source = Source.read(text)
    assert source.text == text
    check_tree(source)
    check(source)
    for _ in range(chance.randint(0, MOST_EDITS)):
        new = split_lines(mutated(source.text, chance))
        source.edit(new)
        assert source.lines == new
        assert all(1 <= problem.line <= max(len(new), 1) for problem in source.problems)
        if check(source):
            check_tree(source)


@target
def joints(corpus: Corpus, chance: random.Random) -> None:
    """Texts of a few pieces are edited into others: all that may come to stand beside each other."""
    texts = ["".join(chance.choice(PIECES) for _ in range(chance.randint(0, 9))) for _ in range(chance.randint(2, 4))]
    if chance.random() < 0.5:
        for index in range(1, len(texts)):
            lines = split_lines(texts[index - 1])
            at = chance.randint(0, len(lines))
            new = [chance.choice(PIECES) + chance.choice(["\n", "\r\n", ""]) for _ in range(chance.randint(0, 2))]
            lines[at : at + chance.randint(0, 2)] = new
            texts[index] = "".join(lines)
    check_edited(texts)


def check_edited(texts: list[str]) -> None:
    """That a text, edited into others one after the other, has the tree of each of those that parse."""
    source = Source.read(texts[0])
    for text in texts:
        source.edit(split_lines(text))
        assert source.text == text
        assert all(1 <= problem.line <= max(len(source.lines), 1) for problem in source.problems)
        if check(source):
            check_tree(source)


PIECES = [
    *(
        "x",
        "\\",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "\f",
        " ",
        "    ",
        "\t",
        "#c",
        "\ufeff",
        "\0",
        "if x:",
        "else:",
        "class C:",
    ),
    *(
        "def f():",
        "pass",
        "(",
        ")",
        "[",
        "'''",
        '"',
        ";",
        "@d",
        "=",
        "\ud800",
        "é",
        "try:",
        "except A:",
        "finally:",
        "x;",
    ),
    *("f'{x}'", ",", "async ", "match x:", "case 1:", "return", "lambda:", "\n    ", " x\n"),
]


@target
def truncation(corpus: Corpus, chance: random.Random) -> None:
    """A text ends somewhere."""
    text = corpus.piece(chance, 25)
    source = Source.read(text[: chance.randint(0, len(text))])
    check_tree(source)
    check(source)


@target
def engine(corpus: Corpus, chance: random.Random) -> None:
    """A text is analysed, and all rules are asked."""
    source = Source.read(_program(corpus, chance))
    with no_mistakes():
        check_findings(findings(analyze(source)))


@target
def programs(corpus: Corpus, chance: random.Random) -> None:
    """A program whose statements stand elsewhere is analysed, and all rules are asked."""
    small = [text for text in corpus.texts if len(text) < MOST_CHARACTERS]
    text, other = chance.choice(small), chance.choice(small)
    try:
        text = rewritten(text, other, chance)
    except (SyntaxError, ValueError, RecursionError):
        return  # One of these is no program.
    with no_mistakes():
        check_findings(findings(analyze(Source.read(text))))


@target
def session(corpus: Corpus, chance: random.Random) -> None:
    """A text is opened, edited, and analysed in between; what is found in the end is what is found in a new one."""
    path, text = "train.py", _program(corpus, chance)
    config = Config(select=("ALL",))
    kept = Session(config=config)
    with no_mistakes():
        kept.open(path, text)
        for _ in range(chance.randint(1, MOST_EDITS)):
            check_findings(kept.findings(path), kept)
            kept.fix_all(path)
            text = mutated(text, chance)
            kept.change(path, text)
        found = kept.findings(path)
        check_findings(found, kept)
        if not kept.source(path).problems:
            fresh = Session(config=config)
            fresh.open(path, text)
            assert _told(fresh.findings(path)) == _told(found)


def _told(found: list[Finding]) -> list[object]:
    return [
        (finding.code, finding.span, finding.message, [(step.place.span, step.message) for step in finding.story])
        for finding in found
    ]


def _program(corpus: Corpus, chance: random.Random) -> str:
    """A text that has something to do with gradients more often than not."""
    text = corpus.whole(chance) if chance.random() < 0.3 else corpus.piece(chance, 120)
    if "import torch" not in text:
        text = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n" + text
    return mutated(text, chance)


@target
def encodings(corpus: Corpus, chance: random.Random) -> None:
    """Bytes are read as a Python file."""
    from gradls.workspace.files import Unreadable, decode

    text = corpus.piece(chance, 10)
    cookie = chance.choice(_COOKIES).replace("NAME", chance.choice(_ENCODINGS))
    stored = chance.choice(["utf-8", "utf-16", "utf-32", "latin-1", "utf-8-sig", "utf-7"])
    data = (cookie + text).encode(stored, "replace")
    data = mutated_bytes(data, chance) if chance.random() < 0.5 else data
    try:
        found = decode(data, "train.py")
    except Unreadable as error:
        if not 1 <= error.line <= data.count(b"\n") + 1:
            raise
        return
    with suppress(UnicodeError):
        found.data  # noqa: B018
    source = Source.read(found.text)
    assert source.text == found.text
    check_tree(source)


_COOKIES = [
    *("# -*- coding: NAME -*-\n", "#!/usr/bin/python\n# vim: set fileencoding=NAME :\n", "# coding=NAME\r\n"),
    *("\n# coding: NAME\n", ""),
]
_ENCODINGS = [
    *("utf-8", "utf8", "UTF_8_SIG", "latin-1", "cp1252", "ascii", "utf-16", "utf-16-le", "utf-32", "utf-7", "gbk"),
    *("shift_jis", "euc-kr", "iso-2022-jp", "hz", "cp037", "koi8-r", "mbcs", "oem", "undefined", "idna", "punycode"),
    *("rot13", "hex", "base64", "zip", "bz2", "quopri", "uu", "unicode_escape", "raw_unicode_escape", "string_escape"),
    *("palmos", "charmap", "nothing", "utf-8\0", "../../x", "%s", "\ufeff", "x" * 500, "utf-8-unix", "latin-1-dos"),
]
