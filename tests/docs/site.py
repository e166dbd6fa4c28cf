"""The documentation site, built once for all tests of a run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "docs" / "site"
if str(SOURCES) not in sys.path:
    sys.path.append(str(SOURCES))  # for `links` and `gradls_site`


def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the built site. The first worker of the run builds it, the others wait."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with open(shared / "site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        site = shared / "site"
        if not (site / "built").exists():
            build(site)
            (site / "built").touch()
    return site


def build(site: Path, playground: Path | None = None) -> None:
    """Build as a developer does, with the files of the playground if these are given. Fails the test with what MkDocs
    says."""
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "GRADLS_PLAYGROUND": str(playground or site / "none")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if run.returncode:
        pytest.fail(f"the site cannot be built:\n{run.stderr[-3000:]}", pytrace=False)
