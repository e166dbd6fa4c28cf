"""Feeds the parts of gradls with bad input, again and again.

`python -m tests.faults.fuzz --executions 100000 --target syntax PATH...` makes so many executions of one target, on
mutations of the Python files that are or lie in PATH (without one: the examples of the rules and the samples of the
tests). Without `--target` all of them get their share. An execution is known by its target, its seed and its number:
`--seed 3 --first 1234 --executions 1` makes one again, with the same files.

What fails is told once for each place that it fails at; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import gc
import logging
import random
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

from tests.faults import formats  # noqa: F401
from tests.faults.mutations import Corpus
from tests.faults.targets import TARGETS

SECONDS = 2.0
"""An execution that takes more CPU time than this hangs, unless somebody says otherwise."""
LIMITS = {"session": 4 * SECONDS}
"""The same for targets that analyse a text several times."""
SHARES = {"engine": 2, "programs": 10, "session": 1, "syntax": 25, "joints": 25, "truncation": 15, "encodings": 15}
OTHER_SHARES = 20
HERE = Path(__file__).parent


class Hang(BaseException):
    """An execution takes too long."""


def examples() -> Corpus:
    """Texts that come with the project."""
    from gradls.rules.registry import all_rules

    pages = [type(rule).__doc__ or "" for rule in all_rules()]
    blocks = [block.partition("\n")[2] for page in pages for block in page.split("```")[1::2]]
    lines = (block.splitlines(keepends=True) for block in blocks)
    margins = ([line for line in block if line.strip()] for block in lines)
    texts = ["".join(line[len(block[0]) - len(block[0].lstrip()) :] for line in block) for block in margins if block]
    return Corpus([*texts, *Corpus.of([HERE.parent / "syntax", HERE.parent / "rules"]).texts])


class Failures:
    """What went wrong, each place once."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.slowest: list[tuple[float, str]] = []

    def add(self, which: str, error: BaseException) -> None:
        innermost = error
        while innermost.__cause__ is not None:
            innermost = innermost.__cause__
        frames = traceback.extract_tb(innermost.__traceback__)
        own = [frame for frame in frames if "gradls" in frame.filename] or frames
        place = f"{type(innermost).__name__} at {own[-1].filename}:{own[-1].lineno}"
        self.places[place] += 1
        if self.places[place] == 1:
            print(f"\n{which}: {place}", file=sys.stderr)
            traceback.print_exception(error)
            sys.stderr.flush()

    def took(self, which: str, seconds: float) -> None:
        if seconds > 0.2:
            self.slowest = sorted([*self.slowest, (seconds, which)], reverse=True)[:5]


def run(
    name: str, corpus: Corpus, seed: int, first: int, count: int, failures: Failures, limit: float = SECONDS
) -> None:
    """Make `count` executions of a target; one that takes more seconds of CPU time than `limit` hangs."""

    def hang(signal_number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {limit} s")

    before = signal.signal(signal.SIGPROF, hang)
    try:
        for number in range(first, first + count):
            which = f"--target {name} --seed {seed} --first {number}"
            chance = random.Random(f"{name} {seed} {number}")
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, limit)
            try:
                TARGETS[name](corpus, chance)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                signal.setitimer(signal.ITIMER_PROF, 0)
                failures.add(which, error)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            failures.took(which, time.process_time() - start)
            if number % 1000 == 0:
                gc.collect()
    finally:
        signal.signal(signal.SIGPROF, before)


def main() -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH")
    parser.add_argument("--target", choices=sorted(TARGETS))
    parser.add_argument("--executions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    corpus = Corpus.of(arguments.paths) if arguments.paths else examples()
    names = [arguments.target] if arguments.target else sorted(TARGETS)
    shares = {name: SHARES.get(name, OTHER_SHARES) for name in names}
    failures = Failures()
    # The log of what is wrong with the input.
    logging.getLogger("gradls").addHandler(logging.NullHandler())
    logging.getLogger("gradls").propagate = False
    for name in names:
        count = max(1, arguments.executions * shares[name] // sum(shares.values()))
        start = time.process_time()
        limit = LIMITS.get(name, SECONDS)
        run(name, corpus, arguments.seed, arguments.first, count, failures, limit)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        took = time.process_time() - start
        print(f"{name}: {count} executions, {took:.0f} s of CPU, {memory} MB at most", flush=True)
    for seconds, which in failures.slowest:
        print(f"{seconds:6.2f} s  {which}")
    for place, count in failures.places.most_common():
        print(f"{count:6}  {place}")
    return 1 if failures.places else 0


if __name__ == "__main__":
    sys.exit(main())
