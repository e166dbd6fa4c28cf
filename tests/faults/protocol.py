"""A client that sends a server valid and invalid messages in any order, and looks whether it still knows its texts.

python -m tests.faults.protocol --seconds 600 --seed 1
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from typing import Any

from tests.faults.texts import applied, place
from tests.faults.wire import Wire, end, framed, served
from tests.lsp.programs import DETACHED, STACKED

FRAGMENTS = [
    *(
        "loss.backward()\n",
        "x = x.detach()\n",
        "with torch.no_grad():\n    ",
        "def f(x):\n    return x\n",
        "\n",
        "\r\n",
    ),
    *("\r", "😀", "é", "漢字", "\ud83d", "\udc00", "\x00", "\f", "\u2028", "\ufeff", "  ", "\t", "(", ")", '"""', "#"),
    *(
        "torch.",
        "x",
        "1",
        "",
        "# gradls: ignore\n",
        "import torch\n",
        "x" * 2000,
        "(" * 300,
        "class A:\n  def f(self): ...",
    ),
]
JUNK: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**30, float("inf"), float("nan"), "", "text", "\ud800", [], [1]),
    *({}, {"uri": 1}, {"line": -1, "character": -1}, [[[]]], [None]),
]
POSITIONS = "textDocument/hover", "textDocument/documentHighlight"
REQUESTS = [
    *(*POSITIONS, "textDocument/inlayHint", "textDocument/codeLens", "textDocument/codeAction"),
    *("workspace/executeCommand", "codeAction/resolve", "textDocument/diagnostic", "workspace/diagnostic"),
    *("gradls/nothing", "$/nothing", "textDocument/definition", "initialize", "tests/text"),
]
COMMANDS = "gradls.explain", "gradls.showGradients", "gradls.applyEdit", "gradls.explainError", "none"
BAD_FRAMES = [
    framed([]),
    framed([{"jsonrpc": "2.0", "id": 1, "method": "textDocument/hover"}]),
    framed(1),
    framed(None),
    framed({"jsonrpc": "2.0"}),
    framed({"jsonrpc": "2.0", "id": None, "method": "textDocument/hover"}),
    framed({"jsonrpc": "2.0", "id": {"a": 1}, "method": "textDocument/hover"}),
    framed({"jsonrpc": "2.0", "id": "never asked", "result": 1}),
    framed({"jsonrpc": "2.0", "id": "never asked", "error": []}),
    framed({"jsonrpc": "2.0", "method": 7}),
    framed({"jsonrpc": "1.0", "method": "$/whatever"}),
    b"Content-Length: 1\r\n\r\n{",
    b"Content-Length: 3\r\n\r\n\xff\xfe{",
    b"Content-Length: 0\r\n\r\n",
    b"Content-Length: -5\r\n\r\n",
    b"Content-Length: x\r\nContent-Type: nothing\r\n\r\n",
    b"Content-Length: 99999999999999\r\n\r\n",
    b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n{}",
    b"\r\n\r\n\n\n",
    b"garbage without an end",
    b"garbage\r\n",
    b'{"jsonrpc": "2.0", "method": "exit"}',
    b'Content-Length: 500\r\n\r\n{"jsonrpc": "2.0", "method": "$/too/short"}',
    b'Content-Length: 5\r\n\r\n{"jsonrpc": "2.0", "method": "$/too/long"}',
]
REFUSALS = {-32700, -32600, -32601, -32602, -32800, -32801, -32802, -32803}
ABILITIES = {
    "textDocument": {
        "codeAction": {
            "dataSupport": True,
            "resolveSupport": {"properties": ["edit"]},
            "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix"]}},
        },
        "hover": {"contentFormat": ["markdown"]},
    },
    "workspace": {"applyEdit": True, "inlayHint": {"refreshSupport": True}, "configuration": True},
}


class Client:
    """One conversation. `texts` and `versions` are what this client has open."""

    def __init__(self, wire: Wire, chance: random.Random, encoding: str, pulls: bool) -> None:
        self.wire, self.chance, self.encoding = wire, chance, encoding
        self.texts: dict[str, str] = {}
        self.versions: dict[str, int | None] = {}
        self.done: Counter[str] = Counter()
        self._asked: dict[int, str] = {}
        self._patient: list[int] = []
        """Those that are answered when there is news."""
        self._count = 0
        abilities: dict[str, Any] = {**ABILITIES, "general": {"positionEncodings": [encoding]}}
        if pulls:
            abilities["textDocument"] = {**abilities["textDocument"], "diagnostic": {}}
        wire.answers["workspace/configuration"] = [None]
        wire.begin(capabilities=abilities)

    def step(self) -> None:
        """Do something, whatever."""
        actions = [
            *(self.edit,) * 12,
            *(self.open,) * 3,
            *(self.request,) * 6,
            *(self.malformed_request,) * 3,
            *(self.malformed_notification,) * 3,
            *(self.bad_frame,) * 2,
            self.close,
            self.cancel,
            self.burst,
            self.other_notification,
        ]
        action = self.chance.choice(actions)
        self.done[action.__name__] += 1
        action()

    # -- what is in order

    def open(self) -> None:
        """A text is opened, perhaps once more than it should be."""
        uri = self._uri()
        if uri in self.texts and self.chance.random() < 0.7:
            return
        text = self.chance.choice([DETACHED, STACKED, "", DETACHED.replace("\n", "\r\n"), "😀 = 1\n" + DETACHED])
        self.texts[uri], self.versions[uri] = text, self.chance.choice([0, 1, 1, 1, 7, -3])
        self.wire.open(uri, text, self.versions[uri])

    def edit(self) -> None:
        """A few changes in one message; a text that is not open is left alone."""
        uri = self._uri()
        text = self.texts.get(uri, "")
        changes = [self._change(text) for _ in range(self.chance.choice([1, 1, 1, 2, 5]))]
        version = (self.versions.get(uri) or 0) + self.chance.choice([1, 1, 1, 1, 0, 5, -2, 1000])
        self.wire.change(uri, version, *changes)
        self._applied(uri, version, changes)

    def close(self) -> None:
        """A text is closed, perhaps one that is not open."""
        uri = self._uri()
        self.texts.pop(uri, None)
        self.versions.pop(uri, None)
        self.wire.notify("textDocument/didClose", {"textDocument": {"uri": uri}})

    def request(self) -> None:
        """A question that makes sense, perhaps about a place that does not exist."""
        method = self.chance.choice(REQUESTS)
        self._ask(method, self._params(method))

    def burst(self) -> None:
        """Many edits and questions in one write, of which some are cancelled at once."""
        uri, messages = self._uri(), []
        for _ in range(self.chance.randrange(5, 60)):
            if self.chance.random() < 0.7:
                change = self._change(self.texts.get(uri, ""))
                version = (self.versions.get(uri) or 0) + 1
                self._applied(uri, version, [change])
                params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]}
                messages.append({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params})
            else:
                method = self.chance.choice(POSITIONS)
                messages.append(self._message(method, self._params(method)))
                if self.chance.random() < 0.5:
                    params = {"id": self._count}
                    messages.append({"jsonrpc": "2.0", "method": "$/cancelRequest", "params": params})
        self._in_pieces(b"".join(map(framed, messages)))

    def cancel(self) -> None:
        """A question is taken back, perhaps one that is answered or was never asked."""
        self.wire.notify("$/cancelRequest", {"id": self.chance.choice([*self._asked, 10**9, "nothing"])})

    def other_notification(self) -> None:
        """What is not about a text."""
        kind = self.chance.choice([1, 2, 3, 99])
        method, params = self.chance.choice(
            [
                ("textDocument/didSave", {"textDocument": {"uri": self._uri()}}),
                ("workspace/didChangeWatchedFiles", {"changes": [{"uri": self._uri(), "type": kind}]}),
                ("workspace/didChangeConfiguration", {"settings": {"gradls": {"hints": self.chance.choice(JUNK)}}}),
                ("workspace/didChangeConfiguration", {"settings": None}),
                ("$/setTrace", {"value": "verbose"}),
                ("$/unheard/of", {"any": "thing"}),
                ("unheard/of", None),
                ("initialized", {}),
            ]
        )
        self.wire.notify(method, params)

    # -- what is not

    def malformed_request(self) -> None:
        """A question with something wrong in it."""
        method = self.chance.choice([*REQUESTS[:-2], "shutdown?"])
        self._ask(method, self._spoiled(self._params(method)))

    def malformed_notification(self) -> None:
        """An edit with something wrong in it. What can be read of its changes counts."""
        uri = self._uri()
        change = self._change(self.texts.get(uri, ""))
        version = (self.versions.get(uri) or 0) + 1
        params = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [change]}
        method = "textDocument/didChange"
        if self.chance.random() < 0.3:
            method = self.chance.choice(["textDocument/didSave", "workspace/didChangeWatchedFiles", "$/cancelRequest"])
        if self.chance.random() < 0.5:
            params = self._spoiled(params)
        else:
            params["contentChanges"] = [change, self._spoiled(change), self.chance.choice(JUNK)]
        self.wire.notify(method, params)
        if method == "textDocument/didChange" and isinstance(params, dict):
            item = params.get("textDocument")
            if isinstance(item, dict) and isinstance(item.get("uri"), str):
                self._applied(item["uri"], item.get("version"), params.get("contentChanges"))

    def bad_frame(self) -> None:
        """Bytes that are no message. The one after them is read all the same."""
        self._in_pieces(self.chance.choice(BAD_FRAMES))

    # -- how

    def _uri(self) -> str:
        return self.chance.choice(
            [
                *(
                    "file:///t/a.py",
                    "file:///t/a.py",
                    "file:///t/b.py",
                    "file:///t/%C3%A9%20c.py",
                    "untitled:Untitled-1",
                ),
                *("vscode-notebook-cell:/t/n.ipynb#1", "file:///t/pyproject.toml"),
            ]
        )

    def _change(self, text: str) -> dict[str, Any]:
        new = "".join(self.chance.choices(FRAGMENTS, k=self.chance.choice([1, 1, 2])))
        if len(text) > 20_000 or self.chance.random() < 0.05:
            return {"text": self.chance.choice([DETACHED, STACKED, new])}
        if self.chance.random() < 0.15:
            ends = [{"line": self.chance.randrange(30), "character": self.chance.randrange(40)} for _ in range(2)]
        else:
            start = self.chance.randrange(len(text) + 1)
            stop = min(start + self.chance.choice([0, 0, 0, 1, 2, 40]), len(text))
            ends = [place(text, offset, self.encoding) for offset in (start, stop)]
            ends[0]["character"] += self.chance.choice([0, 0, 0, 0, 1, 10**6])
        return {"range": {"start": ends[0], "end": ends[1]}, "text": new}

    def _applied(self, uri: str, version: Any, changes: Any) -> None:
        if uri in self.texts and isinstance(changes, list):
            self.texts[uri] = applied(self.texts[uri], changes, self.encoding)
            self.versions[uri] = version if type(version) is int else None

    def _params(self, method: str) -> Any:
        uri = self._uri()
        at = {"line": self.chance.randrange(12), "character": self.chance.choice([0, 4, 8, 10**6])}
        area = {"start": at, "end": {"line": at["line"] + self.chance.randrange(3), "character": 9}}
        params: dict[str, Any] = {"textDocument": {"uri": uri}}
        if method in POSITIONS:
            params["position"] = at
        elif method == "textDocument/inlayHint":
            params["range"] = area
        elif method == "textDocument/codeAction":
            params |= {"range": area, "context": {"diagnostics": [], "triggerKind": self.chance.choice([1, 2, 9])}}
        elif method == "workspace/executeCommand":
            arguments = [uri, at] if self.chance.random() < 0.5 else [self.chance.choice(JUNK)]
            params = {"command": self.chance.choice(COMMANDS), "arguments": arguments}
        elif method == "codeAction/resolve":
            data = {"does": "mend", "uri": uri, "revision": 3, "code": "GRD101", "span": [6, 1, 6, 2], "fix": 0}
            params = {"title": "", "data": self.chance.choice([data, self._spoiled(data), *JUNK])}
        elif method == "workspace/diagnostic":
            params = {"previousResultIds": [{"uri": uri, "value": "x"}]}
        elif method == "tests/text":
            params = {"uri": uri}
        return params

    def _spoiled(self, value: Any) -> Any:
        """`value` with junk somewhere in it."""
        if not value or not isinstance(value, (dict, list)) or self.chance.random() < 0.2:
            return self.chance.choice(JUNK)
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = self.chance.choice(keys)
        if isinstance(value, dict):
            spoiled = {**value, key: self._spoiled(value[key])}
            return spoiled if self.chance.random() < 0.8 else {each: value[each] for each in value if each != key}
        return [*value[:key], self._spoiled(value[key]), *value[key + 1 :]]

    def _message(self, method: str, params: Any) -> dict[str, Any]:
        self._count += 1
        self._asked[self._count] = f"{method} {params}"
        if method == "workspace/diagnostic":
            self._patient.append(self._count)
        return {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}

    def _ask(self, method: str, params: Any) -> None:
        self._in_pieces(framed(self._message(method, params)))

    def _in_pieces(self, data: bytes) -> None:
        if self.chance.random() < 0.3 and len(data) > 2:
            cut = self.chance.randrange(1, len(data))
            self.wire.write(data[:cut], data[cut:])
        else:
            self.wire.write(data)

    # -- what is looked at

    def check(self) -> None:
        """Every question has one answer, every text is what it is here, and gradls has made no mistake."""
        for identifier in self._patient:
            self.wire.notify("$/cancelRequest", {"id": identifier})
        for uri, text in self.texts.items():
            said = self.wire.text(uri)
            assert said is not None, f"{uri} is not open there"
            assert said["text"] == text, f"{uri} is another text there: {difference(said['text'], text)}"
            assert said["version"] == self.versions[uri], (uri, said["version"], self.versions[uri])
            if "analysed" in said and not uri.startswith("vscode-notebook-cell"):
                assert said["analysed"] == text, f"{uri} is analysed as {difference(said['analysed'], text)}"
                assert said["sound"], uri
        for identifier, asked in self._asked.items():
            answers = self.wire.wait(lambda i=identifier: self.wire.answered.get(i), f"an answer to {asked}")
            assert len(answers) == 1, answers
            error = answers[0].get("error")
            assert error is None or error["code"] in REFUSALS, answers
            self.done["refused" if error else "answered"] += 1
            del self.wire.answered[identifier]
        self._asked.clear()
        self._patient.clear()
        assert not self.wire.mistakes, self.wire.mistakes[0]


def difference(theirs: str, ours: str) -> str:
    """Where two texts differ first."""
    at = next((n for n, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), len(ours))
    return f"at {at} of {len(theirs)} and {len(ours)}: {theirs[at - 20 : at + 60]!r}, {ours[at - 20 : at + 60]!r}"


def diagnostics(wire: Wire, texts: dict[str, str]) -> dict[str, list[Any]]:
    """What is published for these texts, which are opened as another version once more if they are open."""
    for uri, text in texts.items():
        wire.change(uri, 10**6, {"text": text})
        wire.known(uri, 10**6)
    return {uri: wire.published[uri][1] for uri in texts}


def conversation(seed: int, steps: int, every: int = 50) -> Counter[str]:
    """One client and one server; what was done in so many steps. AssertionError if anything is wrong, which is looked
    at after each `every` of them."""
    chance = random.Random(seed)
    encoding, pulls = chance.choice(["utf-8", "utf-16", "utf-32"]), seed % 3 == 2
    with served() as (wire, process):
        client = Client(wire, chance, encoding, pulls)
        for count in range(1, steps + 1):
            client.step()
            if count % every == 0:
                client.check()
        client.check()
        if not pulls:
            compare(client)
        end(wire, process)
    return client.done


def compare(client: Client) -> None:
    """What the server says of its texts in the end is what one says that has just begun."""
    client.wire.notify("workspace/didChangeConfiguration", {"settings": {"gradls": {"hints": "all"}}})
    texts = {uri: text for uri, text in client.texts.items() if uri.endswith(".py")}
    for uri in client.texts.keys() - texts.keys():
        client.wire.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    found = diagnostics(client.wire, texts)
    with served() as (fresh, process):
        fresh.begin(capabilities={**ABILITIES, "general": {"positionEncodings": [client.encoding]}})
        for uri, text in texts.items():
            fresh.open(uri, text, 10**6)
            assert fresh.known(uri, 10**6) == found[uri], (uri, text)
        end(fresh, process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2000, help="of each conversation")
    parser.add_argument("--every", type=int, default=50, help="so many steps everything is looked at")
    given = parser.parse_args()
    until, seed, done = time.monotonic() + given.seconds, given.seed, Counter[str]()
    while time.monotonic() < until:
        try:
            done += conversation(seed, given.steps, given.every)
        except BaseException:
            print(f"the conversation with --seed {seed} --steps {given.steps}:", flush=True)
            raise
        done["conversations"] += 1
        seed += 1
    print(json.dumps(done, indent=1))


if __name__ == "__main__":
    main()
