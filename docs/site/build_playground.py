"""Makes the files of the playground, which the site takes up when it is built afterwards.

    python docs/site/build_playground.py [FOLDER]     # default: build/playground

Needs npm, for the editor and for Pyodide, and pip. Nothing of it is kept in the repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
SOURCES = SITE / "playground"
DEFAULT = ROOT / "build" / "playground"
# The last release with a parser in Python beside the compiled one, which a browser cannot load. Its wheels hold both.
LIBCST = "libcst==1.8.2"
PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")


def build(into: Path = DEFAULT, environment: Mapping[str, str] | None = None) -> None:
    """Write the files into a folder. CalledProcessError, with what it said, if a command fails. `environment` is that
    in which npm is found."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    _libraries(environment)
    _run(["node", "build.mjs", str(into)], SOURCES, environment)
    _copy_pyodide(into / "pyodide")
    shutil.copy(SOURCES / "engine.py", into)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, str(ROOT)], ROOT)
        (wheel,) = Path(folder).glob("gradls-*.whl")
        shutil.copy(wheel, into / "gradls.whl")
        platform = ["--only-binary=:all:", "--python-version=3.12", "--platform=manylinux_2_28_x86_64"]
        _run(
            [*pip, "download", "--no-deps", *platform, "--platform=manylinux2014_x86_64", "--dest", folder, LIBCST],
            ROOT,
        )
        (wheel,) = Path(folder).glob("libcst-*.whl")
        _zip_without_compiled(wheel, into / "libcst.zip")
    _zip_installed("grandalf", into / "grandalf.zip")


def _libraries(environment: Mapping[str, str] | None) -> None:
    have, want = SOURCES / "node_modules" / ".package-lock.json", SOURCES / "package-lock.json"
    if not have.exists() or have.stat().st_mtime < want.stat().st_mtime:
        _run(["npm", "ci", "--ignore-scripts", "--no-fund", "--no-audit", "--loglevel=error"], SOURCES, environment)


def _copy_pyodide(into: Path) -> None:
    source = SOURCES / "node_modules" / "pyodide"
    into.mkdir()
    for name in PYODIDE:
        shutil.copy(source / name, into / name)
    # It lists packages that could be loaded from elsewhere; none is.
    lock = json.loads((source / "pyodide-lock.json").read_text(encoding="utf-8"))
    (into / "pyodide-lock.json").write_text(json.dumps({**lock, "packages": {}}), encoding="utf-8")


def _zip_without_compiled(wheel: Path, into: Path) -> None:
    """The Python files of a wheel, but for its tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith((".py", "LICENSE")) and "/tests/" not in name]
        names = [name for name in names if not name.startswith(("libcst/codemod/", "libcst/tool"))]
        _zip(into, {name: archive.read(name) for name in names})


def _zip_installed(name: str, into: Path) -> None:
    files = distribution(name).files or []
    kept = [file for file in files if file.suffix == ".py" or file.name == "LICENSE"]
    _zip(into, {str(file): Path(str(file.locate())).read_bytes() for file in kept})


def _zip(into: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    ended = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
    )
    if ended.returncode:
        raise subprocess.CalledProcessError(ended.returncode, command, ended.stdout, ended.stdout + ended.stderr)


def main() -> int:
    into = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else DEFAULT
    try:
        build(into)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"{error}\n{getattr(error, 'stderr', None) or ''}", file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in into.rglob("*") if file.is_file())
    print(f"{into}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
