"""Lines per second on the command line: gradls beside ruff, in one run.

python -m benchmarks.batch FOLDER [--runs N]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "gradls": [sys.executable, "-m", "gradls", "check", "--exit-zero", "--no-resolve", "--format", "json"],
    "ruff": [sys.executable, "-m", "ruff", "check", "--exit-zero", "--no-cache", "--select", "ALL", "--quiet"],
}


def measure(command: list[str], folder: str) -> tuple[float, float]:
    """Wall and CPU seconds of one run of a command on a folder, its processes included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([*command, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    files = list(Path(options.folder).rglob("*.py"))
    lines = sum(path.read_bytes().count(b"\n") for path in files)
    print(f"{len(files)} files, {lines} lines")
    cpu: dict[str, float] = {}
    for name, command in COMMANDS.items():
        figures = [measure(command, options.folder) for _ in range(options.runs)]
        wall = statistics.median(figure[0] for figure in figures)
        cpu[name] = statistics.median(figure[1] for figure in figures)
        print(f"{name:8} {wall:8.2f} s wall {cpu[name]:8.2f} s CPU {lines / cpu[name]:10.0f} lines per CPU second")
    print(f"gradls takes {cpu['gradls'] / cpu['ruff']:.1f} times the CPU time of ruff")


if __name__ == "__main__":
    main()
