"""Edits change what they are to change and nothing else, whatever form the text has.

    python -m tests.faults.text_safety [--encoding utf-8]

takes each program in the pages of the rules, has the real server make each edit that it offers, in the program as it
is and in all of its VARIANTS, and compares: an edit of the changed program has to give the changed edited program, byte
for byte. Prints what differs, and counts.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from pygls.uris import from_fs_path

from gradls.rules.page import page
from gradls.rules.registry import all_rules
from gradls.syntax.text import split_lines
from tests.lsp.clients import SECONDS, UNITS
from tests.lsp.raw import Raw, started

CAPABILITIES = {
    "workspace": {"workspaceEdit": {"documentChanges": True}},
    "textDocument": {
        "diagnostic": {},
        "codeAction": {
            "dataSupport": True,
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "source"]}},
            "resolveSupport": {"properties": ["edit"]},
        },
    },
}
ODD = '# e\u0301 \U0001d4b3 \u202e \u2028 \x85 \x0b \x1c \xa0\n"""\u2029 \x0c \U0001f600 e\u0301"""\n'
"""Characters that some take for the end of a line, some for two, and some for none."""

Change = Callable[[str], str]


def programs() -> dict[str, str]:
    """The programs that show a mistake, by the rule's code and a number."""
    return {
        f"{rule.code}_{number}": text for rule in all_rules() for number, text in enumerate(page(type(rule)).examples)
    }


def variants(program: str) -> dict[str, Change]:
    """Ways to change a program, all of which may be done before or after an edit of it."""
    names = _names(program)
    # In a program without any indentation nothing says how it is to be indented.
    tabbed = _tabbed if "\n    " in program else str
    return {
        "CRLF": lambda text: text.replace("\n", "\r\n"),
        "CR": lambda text: text.replace("\n", "\r"),
        "mixed": _mixed,
        "tabs": tabbed,
        "BOM": lambda text: "\ufeff" + text,
        "no end": lambda text: text.removesuffix("\n"),
        "blank end": lambda text: text + "\n \n\t\n",
        "form feed": lambda text: "\x0c\n" + text,
        "form feed and code": lambda text: "\x0c" + text,
        "odd": lambda text: ODD + text,
        "non-BMP": _renamed(names, "{}\U00010400"),
        "combining": _renamed(names, "{}e\u0301"),
        "all": lambda text: (
            "\ufeff" + (ODD + _renamed(names, "\U00010400{}e\u0301")(tabbed(text))).replace("\n", "\r\n")
        ).removesuffix("\r\n"),
    }


def _mixed(text: str) -> str:
    ends = ("\n", "\r\n", "\r", "\r\n")
    lines = text.splitlines(keepends=True)
    return "".join(line.rstrip("\n") + ends[number % len(ends)] for number, line in enumerate(lines))


def keeps_ends(before: str, after: str) -> bool:
    """Whether each line that is in both texts, or that another one replaces, ends as it did."""
    old, new = split_lines(before), split_lines(after)
    plain = [[line.rstrip("\r\n") for line in lines] for lines in (old, new)]
    for tag, start, end, new_start, new_end in SequenceMatcher(None, *plain, autojunk=False).get_opcodes():
        if tag == "equal" or (tag == "replace" and end - start == new_end - new_start):
            pairs = zip(range(start, end), range(new_start, new_end), strict=True)
            if any(_end(old[a]) != _end(new[b]) for a, b in pairs):
                return False
    return True


def _end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _tabbed(text: str) -> str:
    return re.sub(r"^(?:    )+", lambda found: "\t" * (len(found[0]) // 4), text, flags=re.MULTILINE)


def _names(program: str) -> list[str]:
    """Names that the program gives to values, and uses for nothing else."""
    try:
        tree = ast.parse(program)
    except SyntaxError:
        return []
    own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    other = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    other |= {node.arg for node in ast.walk(tree) if isinstance(node, (ast.keyword, ast.arg)) and node.arg}
    other |= {
        name for node in ast.walk(tree) if isinstance(node, ast.Constant) for name in own if name in str(node.value)
    }
    return sorted(own - other)


def _renamed(names: list[str], form: str) -> Change:
    if not names:
        return lambda text: text
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(names)})(?!\w)")

    def renamed(text: str) -> str:
        parts = re.split(r"(gradls: ignore\[.*?\])", text)
        parts[::2] = [pattern.sub(lambda found: form.format(found[0]), part) for part in parts[::2]]
        return "".join(parts)

    return renamed


VARIANTS = tuple(variants(""))


class Editor:
    """A client that applies what it is offered, as the protocol says."""

    def __init__(self, raw: Raw, folder: Path, encoding: str) -> None:
        self.raw, self.folder, self.encoding = raw, folder, encoding
        self.numbers = itertools.count(1)

    def begin(self) -> None:
        uri = from_fs_path(str(self.folder))
        given = {**CAPABILITIES, "general": {"positionEncodings": [self.encoding]}}
        options = {"config": {"select": ["ALL"]}}
        params = {"processId": None, "rootUri": uri, "capabilities": given, "initializationOptions": options}
        assert self.ask("initialize", params)["capabilities"]["positionEncoding"] == self.encoding
        self.raw.notify("initialized", {})

    def ask(self, method: str, params: Any) -> Any:
        answer = self.raw.request(next(self.numbers), method, params)
        self.raw.seen.clear()
        assert "error" not in answer or method == "codeAction/resolve", answer
        return answer.get("result")

    def edited(self, name: str, text: str) -> list[str | None]:
        """The text after each edit that is offered for its findings, made alone; None for one that cannot be made."""
        uri = from_fs_path(str(self.folder / f"{name}.py"))
        version = next(self.numbers)
        item = {"uri": uri, "languageId": "python", "version": version, "text": text}
        self.raw.notify("textDocument/didOpen", {"textDocument": item})
        document = {"textDocument": {"uri": uri}}
        found = self.ask("textDocument/diagnostic", document)["items"]
        offered = []
        for one in found:
            context = {"diagnostics": [one], "triggerKind": 2}
            actions = self.ask("textDocument/codeAction", {**document, "range": one["range"], "context": context})
            offered += [
                action for action in actions or () if "command" not in action and "Disable" not in action["title"]
            ]
        results: list[str | None] = []
        for action in offered:
            edit = (self.ask("codeAction/resolve", action) or {}).get("edit")
            if edit is None:
                results.append(None)
                continue
            (change,) = edit["documentChanges"]
            assert change["textDocument"] == {"uri": uri, "version": version}
            results.append(applied(text, change["edits"], self.encoding))
        self.raw.notify("textDocument/didClose", document)
        return results


def applied(text: str, edits: list[Any], encoding: str) -> str:
    """`text` after the edits of the protocol."""
    lines = split_lines(text)
    starts = [0, *itertools.accumulate(map(len, lines))]
    codec, size = UNITS[encoding]

    def offset(position: dict[str, int]) -> int:
        if position["line"] >= len(lines):
            assert position == {"line": len(lines), "character": 0}, position
            return len(text)
        line = lines[position["line"]].rstrip("\r\n").encode(codec)
        assert position["character"] * size <= len(line), "past the end of the line"
        return starts[position["line"]] + len(line[: position["character"] * size].decode(codec))

    places = sorted(
        ((offset(e["range"]["start"]), offset(e["range"]["end"]), e["newText"]) for e in edits), reverse=True
    )
    for start, end, new in places:
        text = text[:start] + new + text[end:]
    return text


@contextmanager
def editor(folder: Path, encoding: str) -> Iterator[Editor]:
    """An editor with a server in `folder`."""
    with started(cwd=folder) as (raw, process):
        made = Editor(raw, folder, encoding)
        made.begin()
        yield made
        made.ask("shutdown", None)
        raw.notify("exit", None)
        assert process.wait(SECONDS * 6) == 0


def differences(of: Editor, name: str, program: str, wanted: Iterable[str]) -> tuple[int, list[str]]:
    """How many edits were compared, and what differs, for the variants that are `wanted` of a program."""
    plain = of.edited(name, program)
    changes = variants(program)
    count, found = 0, []
    for variant in wanted:
        change = changes[variant]
        changed = change(program)
        expected = [text if text is None else change(text) for text in plain]
        made = of.edited(name, changed)
        count += len(expected)
        if variant == "mixed":
            found += [
                f"{name}, mixed, edit {index}, line ends:\n  {text!r}"
                for index, text in enumerate(made)
                if text is not None and not keeps_ends(changed, text)
            ]
            expected, made = [[with_plain_ends(text) for text in texts] for texts in (plain, made)]
        if len(made) != len(expected):
            found.append(f"{name}, {variant}: {len(made)} edits instead of {len(expected)}")
        found += [
            f"{name}, {variant}, edit {index}:\n  {one!r}\ninstead of\n  {other!r}"
            for index, (one, other) in enumerate(zip(made, expected, strict=False))
            if one != other
        ]
    return count, found


def with_plain_ends(text: str | None) -> str | None:
    return text if text is None else "".join(line.rstrip("\r\n") + "\n" for line in split_lines(text))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoding", choices=list(UNITS), default="utf-16")
    parser.add_argument("--rule", default="")
    arguments = parser.parse_args()
    total, wrong = 0, 0
    with tempfile.TemporaryDirectory() as folder, editor(Path(folder), arguments.encoding) as client:
        for name, program in programs().items():
            if name.startswith(arguments.rule):
                count, found = differences(client, name, program, VARIANTS)
                total, wrong = total + count, wrong + len(found)
                for line in found:
                    print(line)
    print(f"{total} edits compared, {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
