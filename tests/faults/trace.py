"""Runs a command and writes down each program that it starts, however deep, and each file mapped into their memory.

    python -m tests.faults.trace RECORD COMMAND...

RECORD gets a JSON object a line: `{"exe", "argv"}` for a program that was begun, `{"mapped"}` for the files that a
process had mapped when it ended (libraries, extension modules). Linux only: it is done with ptrace, so that nothing has
to be installed. The status is that of the command; 77 if processes cannot be traced here.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any, TextIO

CANNOT = 77
SEIZE, CONTINUE, LISTEN = 0x4206, 7, 0x4208
FORK, VFORK, CLONE, EXEC, EXIT, STOP = 1, 2, 3, 4, 6, 128
OPTIONS = 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXEC | 1 << EXIT | 1 << 20
"""With the last one, what is traced ends with the tracer."""
ALL_THREADS = 0x40000000
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


def _ptrace() -> Any:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    function.restype = ctypes.c_long
    return function


def main(record: str, command: list[str]) -> int:
    ptrace = _ptrace()
    ready, go = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(go)
        if not os.read(ready, 1):
            os._exit(CANNOT)
        os.close(ready)
        os.execvp(command[0], command)
    os.close(ready)
    if ptrace(SEIZE, first, None, OPTIONS) != 0:
        return CANNOT
    os.write(go, b"x")
    os.close(go)
    with open(record, "w", encoding="utf-8") as out:
        return _follow(ptrace, first, out)


def _follow(ptrace: Any, first: int, out: TextIO) -> int:
    result = 0
    while True:
        try:
            pid, status = os.waitpid(-1, ALL_THREADS)
        except ChildProcessError:
            return result
        if not os.WIFSTOPPED(status):
            if pid == first:
                result = os.waitstatus_to_exitcode(status)
            continue
        event, number = status >> 16, os.WSTOPSIG(status)
        if event == EXEC:
            _note(out, exe=_link(pid), argv=_read(pid, "cmdline").split("\0")[:-1])
        elif event == EXIT:
            lines = (line.split(None, 5) for line in _read(pid, "maps").splitlines())
            _note(out, mapped=sorted({line[5] for line in lines if len(line) == 6 and line[5].startswith("/")}))
        if event == STOP and number in STOPPING:
            ptrace(LISTEN, pid, None, None)
        else:
            ptrace(CONTINUE, pid, None, None if event else number)


def _note(out: TextIO, **what: object) -> None:
    out.write(json.dumps(what) + "\n")
    out.flush()


def _read(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _link(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
