"""What the way to the first findings takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.lsp.programs import DETACHED
from tests.lsp.raw import Raw, started

URI = "file:///t/train.py"
HOVER = {"textDocument": {"uri": URI}, "position": {"line": 5, "character": 8}}
# What each of these takes is felt: none is needed for a finding.
RARE = {"torch", "jedi", "parso", "libcst", "lsprotocol", "asyncio", "subprocess", "sqlite3", "rich"}
PROGRAM = """\
import json, sys
from gradls.server.server import Server
publish = Server._publish
def watched(self, *arguments):
    print(json.dumps(sorted(sys.modules)), file=sys.stderr, flush=True)
    publish(self, *arguments)
Server._publish = watched
from gradls.cli.main import main
sys.exit(main(["server"]))
"""


def imported(raw: Raw, process: subprocess.Popen[bytes]) -> set[str]:
    """The top-level modules that are imported when the next diagnostics are published."""
    assert process.stderr is not None
    return {name.partition(".")[0] for name in json.loads(process.stderr.readline())}


def test_the_first_findings_need_few_modules(tmp_path: Path):
    """In a project with a configuration of its own."""
    (tmp_path / "pyproject.toml").write_text('[tool.gradls]\nignore = ["GRD102"]\n')
    uri = (tmp_path / "train.py").as_uri()
    with started([sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE) as (raw, process):
        raw.begin(rootUri=tmp_path.as_uri())
        raw.open(uri, DETACHED)
        modules = imported(raw, process)
        assert {"gradls", "json"} <= modules
        assert not RARE & modules
        assert len(raw.published(1)["diagnostics"]) == 1


def test_requests_that_come_while_pygls_is_not_there_yet():
    """They are answered in order, and a cancelled one not at all."""
    with started([sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE) as (raw, process):
        raw.begin()
        raw.open(URI, DETACHED)
        hovers = [{"jsonrpc": "2.0", "id": n, "method": "textDocument/hover", "params": HOVER} for n in (1, 2, 3)]
        raw.send(*hovers, {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 2}})
        assert raw.answer(1)["result"] is not None
        assert raw.answer(2)["error"]["code"] == -32800
        assert raw.answer(3)["result"] is not None
        imported(raw, process)
        raw.notify(
            "textDocument/didChange", {"textDocument": {"uri": URI, "version": 2}, "contentChanges": [{"text": "\n"}]}
        )
        assert {"lsprotocol", "asyncio"} <= imported(raw, process)
