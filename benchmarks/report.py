"""Run the benchmarks and write the page: all that are about speed and memory, with peers.

    python -m benchmarks.report [--quick] [--write docs/benchmarks.md]

This takes about a quarter of an hour, with `--quick` some minutes. What fails costs its part of the page only: the
figures from before stay there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.setup import install

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
FULL = {
    "edits": ["--kind", "function", "--seconds", "15"],
    "kinds": ["--kind", "method,line,top", "--lines", "1000,4500", "--beside", "ruff,ty", "--seconds", "10"],
    "startup": ["--runs", "3"],
    "open": ["--runs", "2"],
    "memory": ["--seconds", "25"],
    "batch": ["--large", "--seconds", "60"],
    "growth": ["--seconds", "60"],
    "profile": ["--kind", "function,method"],
}
QUICK = {
    "edits": ["--lines", "1000,4500", "--edits", "12"],
    "startup": ["--lines", "1000", "--runs", "2"],
    "open": ["--runs", "1"],
    "memory": ["--edits", "1000", "--seconds", "10", "--own-seconds", "60"],
    "batch": ["--seconds", "60"],
    "growth": ["--lines", "500,2000,8000", "--files", "10,100,1000", "--seconds", "60"],
    "profile": ["--edits", "50"],
}
COMMANDS = {"kinds": "edits"}
"""The command of a part that does not have its name."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer sizes, edits and runs")
    parser.add_argument("--write", type=Path, default=PAGE, metavar="PAGE", help=f"default: {PAGE.name} in docs")
    parser.add_argument("--only", default="", metavar="PARTS", help=f"some of these: {', '.join(FULL)}")
    options = parser.parse_args()
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"not all could be installed, what is missing is left out: {error}", file=sys.stderr)
    failed = []
    for part, arguments in (QUICK if options.quick else FULL).items():
        if options.only and part not in options.only.split(","):
            continue
        command = [sys.executable, "-m", f"benchmarks.{COMMANDS.get(part, part)}", *arguments]
        print(f"{part}: {' '.join(command[1:])}", file=sys.stderr)
        start = time.perf_counter()
        done = subprocess.run([*command, "--write", str(options.write), "--part", part], check=False)
        print(f"{part}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        if done.returncode:
            failed.append(part)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
