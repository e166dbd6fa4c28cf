"""The playground, and the rest of the site, in the real Chromium."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.docs.site import ROOT, SOURCES, build
from tests.editors.vscode.host import Host, NotInstalled, installed

PLAYGROUND = SOURCES / "playground"
DRIVER = Path(__file__).with_name("drive.mjs")
SECONDS = 900


@pytest.fixture(scope="module")
def host() -> Host:
    """Node and Chromium, where the test of VS Code has them."""
    if {each.strip() for each in os.environ.get("GRADLS_WITHOUT_EDITORS", "").split(",")} & {"all", "vscode"}:
        pytest.skip("$GRADLS_WITHOUT_EDITORS leaves vscode out, and with it the browser")
    try:
        return installed()
    except NotInstalled as error:
        pytest.fail(str(error), pytrace=False)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that closes a page breaks connections off."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder is served."""
    server = _Server(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run(host: Host, *command: str) -> str:
    ended = subprocess.run(
        command,
        cwd=PLAYGROUND,
        env=host.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
    return ended.stdout


def made(host: Host, into: Path) -> None:
    """The files of the playground; whoever else makes them waits."""
    with open(PLAYGROUND / "package.json") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(host, sys.executable, str(SOURCES / "build_playground.py"), str(into))
        run(host, "npm", "run", "--silent", "check")


def test_the_lock_file_names_no_registry():
    assert "resolved" not in (PLAYGROUND / "package-lock.json").read_text(encoding="utf-8")


def test_a_visitor_reads_the_site_and_plays(host: Host, tmp_path: Path):
    made(host, tmp_path / "playground")
    build(tmp_path / "site", tmp_path / "playground")
    report = tmp_path / "report.json"
    with served(tmp_path / "site") as address:
        environment = {
            **host.environment,
            "HOST": str(host.folder),
            "CHROMIUM": host.chromium,
            "SITE": address,
            "SHOTS": str(tmp_path),
            "REPORT": str(report),
        }
        ended = subprocess.run(
            [str(host.node / "node"), str(DRIVER)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    print(ended.stdout)
    assert report.exists(), ended.stderr
    said = json.loads(report.read_text(encoding="utf-8"))
    failed = {name: failure for name, failure in said["report"].items() if failure}
    assert not failed, f"{failed}\n{said['errors']}\nsee {tmp_path}"
    assert list(said["report"]) == said["steps"]
