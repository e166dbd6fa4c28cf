"""A terminal in which an editor runs: what is typed there, what is seen."""

from __future__ import annotations

import io
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COLUMNS, LINES = 120, 36


class NotSeen(Exception):
    """What was waited for has not come to be seen; the message has the screen."""


@dataclass(frozen=True)
class Terminal:
    """A terminal of `COLUMNS` by `LINES`; `patience` is how many seconds it waits for anything."""

    socket: str
    patience: float

    def type(self, *keys: str) -> None:
        """Press keys as tmux calls them, such as `Enter`, `Escape` or `C-x`."""
        _tmux(self.socket, "send-keys", "-t", "editor", *keys)

    def write(self, text: str) -> None:
        """Type this text."""
        _tmux(self.socket, "send-keys", "-t", "editor", "-l", text)

    def screen(self) -> str:
        """What is seen."""
        return _tmux(self.socket, "capture-pane", "-p", "-t", "editor")

    def wait(self, text: str) -> str:
        """The screen as soon as it has `text`. NotSeen if that does not come."""
        return self.wait_until(lambda screen: text in screen, f"`{text}`")

    def wait_until(self, seen: Callable[[str], bool], what: str) -> str:
        """The screen as soon as `seen` says yes to it. NotSeen if it never does."""
        end = time.monotonic() + self.patience
        while True:
            screen = self.screen()
            if seen(screen):
                return screen
            if time.monotonic() > end:
                raise NotSeen(f"waited in vain for {what}:\n{screen}")
            time.sleep(0.05)

    def picture(self, path: Path, title: str) -> None:
        """Write the screen, with its colours, to an SVG file."""
        from rich.console import Console
        from rich.terminal_theme import MONOKAI
        from rich.text import Text

        coloured = _tmux(self.socket, "capture-pane", "-N", "-e", "-p", "-t", "editor")
        console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
        console.print(Text.from_ansi(coloured), end="", soft_wrap=True)
        path.write_text(console.export_svg(title=title, theme=MONOKAI, code_format=SVG))


@contextmanager
def terminal(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, patience: float, lines: int = LINES
) -> Iterator[Terminal]:
    """A terminal that runs `command` in `folder` until the block ends. Its server's socket is in `folder`."""
    socket = str(folder / "tmux")
    variables = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
    size = ("-x", str(COLUMNS), "-y", str(lines))
    subprocess.run(
        ["tmux", "-u", "-S", socket, "-f", os.devnull, "new-session", "-d", "-s", "editor", *size, *command],
        env=variables,
        cwd=folder,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        _tmux(socket, "set-option", "-g", "remain-on-exit", "on")
        yield Terminal(socket, patience)
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], stdin=subprocess.DEVNULL, capture_output=True)


def _tmux(socket: str, *arguments: str) -> str:
    done = subprocess.run(
        ["tmux", "-u", "-S", socket, *arguments],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px "DejaVu Sans Mono", monospace; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: arial; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
