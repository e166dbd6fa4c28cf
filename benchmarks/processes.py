"""What processes take: memory and CPU time, theirs and that of the processes which they started. Linux only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
HELPERS = re.compile(r"gradls\.resolve")
"""The command line of the process in which gradls looks names up; those that it starts, as jedi does, belong to it."""


class Failed(Exception):
    """Something could not be measured; the sentence goes into the table."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Megabytes resident, and seconds of CPU so far, of a process and those below it."""

    memory: float
    helpers: float
    """Megabytes of the processes that look names up, which are not in `memory`."""
    cpu: float


def usage(process: int) -> Usage:
    """What `process` and those below it take now. Those which have ended count with their CPU time only."""
    memory = helpers = cpu = 0.0
    looking_up: set[int] = set()
    for number in _tree(process):
        try:
            fields = _fields(number)
            resident = int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
            command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        cpu += sum(int(ticks) for ticks in fields[11:15]) / TICKS
        # Who started a process comes before it.
        if int(fields[1]) in looking_up or HELPERS.search(command):
            looking_up.add(number)
            helpers += resident
        else:
            memory += resident
    return Usage(memory, helpers, cpu)


def _fields(number: int) -> list[str]:
    """What /proc/N/stat says after the name of the command, which may hold spaces."""
    return Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(int(_fields(int(name))[1]), []).append(int(name))
            except OSError:
                continue
    found, waiting = [], [root]
    while waiting:
        number = waiting.pop()
        found.append(number)
        waiting += children.get(number, [])
    return found


def environment(cache: Path) -> dict[str, str]:
    """The environment of what is measured: the Python that runs this is the project's, and what tools keep for their
    next run goes into `cache`."""
    return {
        **os.environ,
        "VIRTUAL_ENV": sys.prefix,
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]),
        "XDG_CACHE_HOME": str(cache),
        "NO_COLOR": "1",
    }


@dataclass(frozen=True, slots=True)
class Run:
    """A command that has been run: seconds and, at its peak, megabytes (pages that processes share count once)."""

    wall: float
    cpu: float
    peak: float


def run(command: list[str], folder: Path, cache: Path, limit: float) -> Run:
    """Run `command` in `folder`. Failed if it takes more than `limit` seconds, or ends with more than 1 (findings)."""
    start = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(cache),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        watch = _Watch(process.pid, start + limit)
        watch.start()
        _, status, resources = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        watch.over.set()
        watch.join()
        process.returncode = os.waitstatus_to_exitcode(status)
    if watch.killed:
        raise Failed(f"not done after {limit:.0f} s")
    if process.returncode not in (0, 1):
        raise Failed(f"exit status {process.returncode}")
    return Run(wall, resources.ru_utime + resources.ru_stime, max(watch.peak, resources.ru_maxrss * 1024 / 1e6))


class _Watch(threading.Thread):
    """Looks at the memory of a process and those below it now and then, and ends them when their time is over."""

    def __init__(self, process: int, end: float) -> None:
        super().__init__(daemon=True)
        self.process, self.end = process, end
        self.over = threading.Event()
        self.peak, self.killed = 0.0, False

    def run(self) -> None:
        while not self.over.wait(0.2):
            self.peak = max(self.peak, sum(_shared_once(number) for number in _tree(self.process)))
            if time.perf_counter() > self.end:
                self.killed = True
                os.killpg(self.process, signal.SIGKILL)
                return


def _shared_once(number: int) -> float:
    """Megabytes of a process, a page that N processes share counting as the Nth part of one."""
    try:
        for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0
