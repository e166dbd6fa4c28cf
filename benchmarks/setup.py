"""Install what gradls is measured beside, and the code that it is measured on, into a folder of their own.

    python -m benchmarks.setup

What is installed stands in `pyproject.toml` under `[dependency-groups]`. The peers get an environment of their own:
TorchFix needs an older libcst than gradls. The code is only laid out, without what it depends on: nobody runs it.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CACHE = platformdirs.user_cache_path("gradls-benchmarks", appauthor=False)
PEERS = CACHE / "peers"
SOURCES = CACHE / "sources"


def install() -> None:
    """Install what is not there yet. subprocess.CalledProcessError if pip cannot."""
    groups = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = groups["dependency-groups"]
    python = PEERS / "bin" / "python"
    if not python.exists():
        venv.create(PEERS, with_pip=True)
    _install(python, PEERS, wanted["benchmark-peers"], [])
    _install(python, SOURCES, wanted["benchmark-sources"], ["--no-deps", "--upgrade", "--target", str(SOURCES)])


def _install(python: Path, folder: Path, wanted: list[str], options: list[str]) -> None:
    done = folder / "installed.txt"
    if done.exists() and done.read_text(encoding="utf-8").splitlines() == wanted:
        return
    print(f"installing {', '.join(wanted)} into {folder}", file=sys.stderr)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *options, *wanted], check=True)
    done.write_text("".join(f"{line}\n" for line in wanted), encoding="utf-8")


if __name__ == "__main__":
    install()
