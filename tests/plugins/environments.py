"""An environment of its own that has gradls as this one has it, and in which packages can be installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradls
from tests.lsp.raw import Raw, started

HERE = sysconfig.get_paths()["purelib"]


class Environment:
    """Made in `folder`. Nothing of it comes from the network."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, symlinks=os.name != "nt")
        self.python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.packages = Path(self.run("-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").stdout.strip())
        # With what is installed here, and with this gradls, but as packages of another environment.
        lines = [str(Path(gradls.__file__).parents[1]), f"import site; site.addsitedir({HERE!r})"]
        (self.packages / "beside.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(
        self, *arguments: str, cwd: Path | None = None, check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python there, isolated from what this one's environment says."""
        run = subprocess.run(
            [self.python, *arguments],
            cwd=cwd or self.python.parent,
            env={**_clean(), **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
        )
        if check:
            assert run.returncode == 0, run.stdout + run.stderr
        return run

    def gradls(self, *arguments: str, cwd: Path, check: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `gradls` there; what it keeps stays there."""
        kept = str(self.packages / "kept")
        return self.run("-m", "gradls", *arguments, cwd=cwd, check=check, GRADLS_CACHE_DIR=kept, COLUMNS="200")

    @contextmanager
    def server(self, cwd: Path | None = None) -> Iterator[Raw]:
        """The server there."""
        with started([str(self.python), "-m", "gradls", "server"], env=_clean(), cwd=cwd) as (raw, _):
            yield raw

    def install(self, package: Path) -> None:
        """Install a package from its folder, editable, with what is at hand."""
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", *options, "--editable"]
        run = subprocess.run([*command, str(package)], capture_output=True, text=True, env=_clean(), timeout=300)
        assert run.returncode == 0, run.stderr

    def write(self, name: str, entry_points: str, version: str = "1.0", **modules: str) -> None:
        """Have a package as an installer leaves it: `modules` by name, and what they offer."""
        for module, text in modules.items():
            (self.packages / f"{module}.py").write_text(text, encoding="utf-8")
        info = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV", "FORCE_COLOR", "NO_COLOR")}
