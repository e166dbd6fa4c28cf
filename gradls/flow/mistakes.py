"""What gradls says of its own mistakes: a line that a user can send to somebody, with nothing of their code in it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from traceback import walk_tb

from gradls import __version__

PACKAGE = Path(__file__).parent.parent
MOST_FRAMES = 6


def tell(log: logging.Logger, who: str, where: str, error: BaseException, whom: str = "") -> None:
    """Log that `who` (a rule, or another part of gradls) has raised `error` for the file `where`; `whom` to report that
    to, if it is not gradls' own mistake.

    The record has an attribute `mistake`, which is the same for the same mistake. What the exception says of the code
    is left out; those who look for the cause find it in the log at level DEBUG.
    """
    python = ".".join(map(str, sys.version_info[:3]))
    line = f"{who} failed on {where}; please report this{whom}: gradls {__version__}, Python {python}, {_place(error)}"
    log.error("%s", line, extra={"mistake": (who, _place(error))})
    log.debug("%s failed", who, exc_info=error)


def _place(error: BaseException) -> str:
    """The kind of an exception, and where it was raised, innermost first."""
    calls = [f"{_file(frame.f_code.co_filename)}:{line}" for frame, line in walk_tb(error.__traceback__)]
    return f"{type(error).__name__} at {' < '.join(calls[: -MOST_FRAMES - 1 : -1])}"


def _file(name: str) -> str:
    path = Path(name)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else path.name
