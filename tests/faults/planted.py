"""A workspace that a stranger has prepared: whatever tools of Python are known to run, import, follow or read for ever.

Each planted piece of code writes its own name into a file, the marker, when it is run.
"""

from __future__ import annotations

import base64
import os
import pickle
import py_compile
import shlex
import shutil
import socket
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import libcst.native

TRAIN = """\
import torch
from torch import nn
from helpers import scaled
import json, ast, pygls, jedi, numpy, extension, compiled, numpy.random, outside, loop, trap_egg
from installed import f

model = nn.Linear(3, 1)
noise = numpy.made(extension.made(), compiled.made(), outside.made(), trap_egg.made(), jedi.Made(), scaled(f()))
loss = model(torch.randn(4, 3)).mean().detach()
loss.backward()
weights = torch.ones(3, requires_grad=True)
torch.tensor([(weights * k).sum() for k in range(3)]).mean().backward()
"""
"""What the user looks at: a detach in line 9, a backward() in line 10, a copy in line 12, imports of what is there."""

_LIBRARIES = """
    pygls lsprotocol jedi parso libcst rich pathspec platformdirs tomlkit tomli grandalf attr attrs cattrs cattr yaml
    markdown_it mdurl pygments typing_extensions torch numpy gi sitecustomize usercustomize conftest setup noxfile
    helpers_of_nobody pip setuptools pkg_resources distutils_hack
"""
_PROGRAMS = """
    python python3 python.exe python3.exe pythonw.exe dot dot.exe dot.bat git git.exe gradls gradls.exe uname ldconfig
    gcc cc ld ps node npm conda pyenv poetry uv ruff jupyter sh bash which file stty tput less man clear locale
"""
ENVIRONMENTS = (".venv", "venv", "env", "interpreter")

IGNORED = ("ignored/", "links/", "tools/", "cache/", "*.toml")


def code(marker: Path) -> str:
    """Python code that tells the marker that it was run."""
    return f"import os; open({str(marker)!r}, 'a').write(__file__ + '\\n')\n"


def plant(root: Path, marker: Path) -> None:
    """Fill the folder `root`, which is there, with everything that cannot block a reader."""
    _write(root, "train.py", TRAIN)
    _write(root, "helpers.py", f"{code(marker)}def scaled(x):\n    return x * 2\n")
    _modules(root, marker)
    _compiled(root, marker)
    _programs(root, marker)
    _environments(root, marker)
    _configurations(root, marker)
    _repository(root, marker)
    _caches(root, marker)
    _links(root)


def search_path(root: Path) -> str:
    """A PATH on which the folder is in several relative ways, before all that is really there."""
    return os.pathsep.join([".", "", "tools", f"..{os.sep}{root.name}", os.environ.get("PATH", os.defpath)])


def _modules(root: Path, marker: Path) -> None:
    """All that gradls, its libraries and the standard library have a name for, in the way of it."""
    text = f"{code(marker)}from torch import nn\nclass Net(nn.Module): ...\n"
    for name in sorted({*sys.stdlib_module_names, *_LIBRARIES.split()} - {"__main__"}):
        _write(root, f"{name}.py", text)
    for name in ("multiprocessing", "importlib", "encodings", "concurrent", "json", "logging", "pygls", "jedi", "rich"):
        _write(root, f"{name}/__init__.py", text)


def _compiled(root: Path, marker: Path) -> None:
    for name in ("compiled", "pickle", "helpers"):
        source = _write(root, f"ignored/{name}.py", code(marker))
        cached = root / "__pycache__" / f"{name}.{sys.implementation.cache_tag}.pyc"
        py_compile.compile(str(source), cfile=str(cached))
    shutil.copy(root / "__pycache__" / f"compiled.{sys.implementation.cache_tag}.pyc", root / "compiled.pyc")
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    # A real one: whoever loads it has it in its memory, though it has another name.
    for name in ("extension", "_json", "_bisect", "torch/_C", "math", "numpy/core/_multiarray_umath"):
        target = root / f"{name}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(libcst.native.__file__, target)


def _programs(root: Path, marker: Path) -> None:
    for folder in ("", "tools", "bin", "Scripts", "node_modules/.bin"):
        for name in _PROGRAMS.split():
            _program(root / folder / name, marker)


def _environments(root: Path, marker: Path) -> None:
    for name in ENVIRONMENTS:
        for python in ("bin/python", "bin/python3", "Scripts/python.exe", "bin/gradls"):
            _program(root / name / python, marker)
        _write(root, f"{name}/pyvenv.cfg", f"home = {root}/interpreter/bin\ninclude-system-site-packages = true\n")
        packages = root / name / f"lib/python3.{sys.version_info[1]}/site-packages"
        for module in ("sitecustomize", "usercustomize", "installed", "_virtualenv", "distutils-precedence"):
            _write(packages, f"{module}.py", code(marker) + "def f() -> int: ...\n")
        _write(packages, "trap.pth", code(marker).replace("__file__", "'trap.pth'") + f"{root}/ignored\n/etc\n..\n")
        _write(packages, "easy-install.pth", "./trap_egg.egg\n")
        with zipfile.ZipFile(packages / "trap_egg.egg", "w") as egg:
            egg.writestr("trap_egg.py", code(marker))
            egg.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.0\nName: trap_egg\nVersion: 1\n")
    shutil.copy(root / ".venv" / f"lib/python3.{sys.version_info[1]}/site-packages/trap_egg.egg", root / "trap_egg.egg")
    _write(root, "conda-meta/history", "")
    for name in (".python-version", ".tool-versions", "environment.yml", "pixi.toml", "uv.toml", "Pipfile"):
        _write(root, name, "../../ignored\n")


def _configurations(root: Path, marker: Path) -> None:
    """Files that name commands, interpreters and folders."""
    evil = f"{root}/interpreter/bin/python"
    table = (
        f'python = "{evil}"\ncommand = ["{evil}"]\ncache-dir = "{root}/cache"\nconfig = "{root}/other/gradls.toml"\n'
        f'plugins = ["helpers", "./tools/python"]\ndot = "./dot"\ntrusted = true\nextend = "/etc/passwd"\n'
        'exclude = ["ignored/", "links/"]\n'
    )
    backend = '[build-system]\nbackend-path = ["."]\nbuild-backend = "helpers"\n'
    _write(root, "pyproject.toml", f"{backend}[tool.gradls]\n{table}")
    _write(root, "other/gradls.toml", table)
    _write(root, "other/train.py", TRAIN)
    _write(root, ".jedi/project.json", f'[1, {{"path": ".", "environment_path": "{evil}", "sys_path": ["{root}"]}}]')
    settings = f'{{"gradls.path": "{root}/tools/gradls", "python.defaultInterpreterPath": "{evil}"}}'
    for name in ("trap-1.0.dist-info", "trap.egg-info"):
        _write(root, f"{name}/METADATA", "Metadata-Version: 2.1\nName: trap\nVersion: 1.0\n")
        _write(root, f"{name}/entry_points.txt", "[gradls.rules]\nhelpers = helpers\n")
    _write(root, ".vscode/settings.json", settings)
    _write(root, ".env", f"PYTHONPATH={root}\nPYTHONSTARTUP={root}/json.py\n")
    _write(root, ".envrc", f"touch {shlex.quote(str(marker))}\n")
    _write(root, "setup.cfg", "[options]\n")
    _write(root, ".gitattributes", "*.py filter=trap diff=trap merge=trap\n")


def _repository(root: Path, marker: Path) -> None:
    command = f"{root}/tools/git"
    for hook in ("pre-commit", "post-checkout", "fsmonitor-watchman", "post-index-change"):
        _program(root / ".git" / "hooks" / hook, marker)
    lines = "\n".join(f"{key} = {command}" for key in ("fsmonitor", "sshCommand", "pager", "editor", "askPass"))
    filters = f'[filter "trap"]\nclean = {command}\nsmudge = {command}\n[diff "trap"]\ncommand = {command}\n'
    _write(root, ".git/config", f"[core]\nrepositoryformatversion = 0\n{lines}\n{filters}")
    _write(root, ".git/HEAD", "ref: refs/heads/main\n")
    for folder in ("objects", "refs"):
        (root / ".git" / folder).mkdir()


class Bomb:
    """Writes the marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.marker)!r}, 'a').write('a pickle\\n')",)


def bombs(marker: Path) -> bytes:
    """A pickle that is to be left alone."""
    return pickle.dumps(Bomb(marker))


def _caches(root: Path, marker: Path) -> None:
    data = bombs(marker)
    for name in ("cache/gradls", ".gradls_cache", ".cache/gradls", ".cache/jedi", ".jedi"):
        for file in ("0.pkl", "jedi/0.pkl", "index.pickle", "entries.sqlite", "check.sqlite"):
            path = root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    _write(root, "ignored/data.b64", base64.b64encode(data).decode())


def _links(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir(exist_ok=True)
    _write(outside, "secret.py", "SECRET = 1\n")
    (root / "outside.py").symlink_to(outside / "secret.py")
    (root / "links").mkdir()
    (root / "links" / "up").symlink_to("..")
    (root / "links" / "top").symlink_to("/")
    (root / "loop").symlink_to(root)
    (root / "around").symlink_to("around")
    (root / "around.py").symlink_to("around.py")
    (root / "nowhere.py").symlink_to(root / "ignored" / "nobody.py")
    (root / "folder.py").mkdir()


def blocking(root: Path) -> Iterator[tuple[str, Path]]:
    """Make, in `root` beside a program that needs them, what never ends when it is read; each with its name."""
    for name in BLOCKING:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("zero"):
            path.symlink_to("/dev/zero")
        elif name.startswith("socket"):
            with socket.socket(socket.AF_UNIX) as bound:
                here = os.open(path.parent, os.O_RDONLY)
                bound.bind(f"/proc/self/fd/{here}/{path.name}")  # its path may be too long for a socket
                os.close(here)
        else:
            os.mkfifo(path)
        yield name, path


BLOCKING = (
    *("fifo_module.py", "fifo_stub.pyi", "fifo_package/__init__.py", "zero_module.py", "zero.pyi", "socket_module.py"),
    *("a/gradls.toml", "b/pyproject.toml", "c/.gitignore", "d/pyvenv.cfg", "e/.git", "fifo.ipynb", "zero.ipynb"),
    *(".venv/pyvenv.cfg", ".venv/lib/python3.11/site-packages/fifo.pth", "gradls.toml"),
)


def _program(path: Path, marker: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho program {shlex.quote(str(path))} >> {shlex.quote(str(marker))}\n")
    path.chmod(0o755)


def _write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file
