"""The pictures in the READMEs of terminal editors: `python -m tests.editors.screens` makes them anew."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.editors import programs, test_helix, test_neovim, test_vim
from tests.editors.installed import editor, server_on_path
from tests.editors.programs import ROOT, SHIPPED
from tests.editors.terminal import terminal

LINE, LINES = 23, 22
SECONDS = 30


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for make in (helix, neovim, vim, emacs):
            make(project(Path(folder) / make.__name__), SHIPPED / make.__name__ / "screen.svg")


def project(home: Path) -> Path:
    made = programs.project(home / "project")
    (made / "train.py").write_text((ROOT / "samples" / "lost_gradients.py").read_text())
    return made


def helix(project: Path, picture: Path) -> None:
    environment = test_helix.environment(project.parent)
    (project.parent / "bin" / "pylsp").unlink()
    take([*editor("helix-25").command, f"train.py:{LINE}"], environment, project, "zz", picture)


def neovim(project: Path, picture: Path) -> None:
    home, found = project.parent, editor(test_neovim.NEWEST)
    plugins = home / "config" / "nvim" / "pack" / "gradls" / "start"
    plugins.mkdir(parents=True)
    (plugins / "gradls").symlink_to(test_neovim.PLUGIN)
    shown = "vim.diagnostic.config({ virtual_text = true })\nvim.o.number = true\nvim.o.termguicolors = true\n"
    (home / "config" / "nvim" / "init.lua").write_text(test_neovim.configuration(test_neovim.NEWEST) + shown)
    folders = {f"XDG_{kind.upper()}_HOME": str(home / kind) for kind in ("config", "data", "state", "cache")}
    environment = {**os.environ, **folders, "PATH": server_on_path(home / "bin")}
    take([*found.command, f"+{LINE}", "train.py"], environment, project, "zz", picture)


def vim(project: Path, picture: Path) -> None:
    home = project.parent
    (configured,) = programs.blocks(test_vim.PLUGIN / "README.md", "vim")
    configured = configured.replace("~/gradls/editors/vim", str(test_vim.PLUGIN))
    (home / "vimrc").write_text(f"{test_vim.ALE}syntax on\nset number termguicolors\n{configured}")
    environment = {**os.environ, "HOME": str(home), "PATH": server_on_path(home / "bin")}
    command = [*editor(test_vim.NAME).command, "-u", str(home / "vimrc"), "-i", "NONE", "-n", f"+{LINE}", "train.py"]
    take(command, environment, project, "zzlh", picture)


def emacs(project: Path, picture: Path) -> None:
    home = project.parent
    (configured,) = programs.blocks(SHIPPED / "emacs" / "README.md", "elisp")[:1]
    configured = configured.replace("~/gradls/editors/emacs", str(SHIPPED / "emacs"))
    (home / "init.el").write_text(f"(menu-bar-mode -1)\n{configured}(require 'eglot)\n")
    found = editor("emacs-30")
    environment = {**os.environ, **found.environment, "HOME": str(home), "PATH": server_on_path(home / "bin")}
    command = [*found.command, "-nw", "-Q", "-l", str(home / "init.el"), f"+{LINE}:13", "train.py"]
    take(command, environment, project, "\x06\x06", picture)  # C-f C-f


def take(command: Sequence[str], environment: Mapping[str, str], folder: Path, keys: str, picture: Path) -> None:
    """Start an editor, wait until the cursor's line is underlined or marked, type `keys`, and take the picture."""
    with terminal(command, environment, folder, SECONDS, lines=LINES) as shown:
        shown.wait("distance")
        # Different editors show a finding in different ways, at the latest then.
        time.sleep(4)
        shown.write(keys)
        time.sleep(2)
        shown.picture(picture, "train.py")
        print(shown.screen())


if __name__ == "__main__":
    main()
