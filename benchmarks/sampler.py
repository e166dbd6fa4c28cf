"""Looks into the server while it runs: which part of gradls each of its threads is in, by the CPU time they take."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

SECONDS_BETWEEN_LOOKS = 0.001

IMPORTS = "importing Python modules"
GARBAGE = "collecting garbage"
OTHERS = "reading and parsing other files"
BETWEEN = "flow: between runs, what can be kept of the last ones"
ROOTS = {"run_module": "flow: the module's statements", "_run_alone": "flow: functions that nobody calls"}
"""What the engine's runs are called, by the functions of `gradls/flow/roots.py` that begin them."""
LAYERS = {
    "rules": "rules",
    "flow": BETWEEN,
    "autograd": BETWEEN,
    "syntax": "parsing",
    "workspace": "workspace: comments, configuration",
    "resolve": "names of other packages",
    "server": "messages, encoding, scheduling",
    "cli": "messages, encoding, scheduling",
}
"""What the time of each layer is called, the caller before the called."""


def start(report: Path) -> None:
    """Look from now on. At each SIGUSR1, write into `report` what has been seen since the last one: seconds of CPU by
    phase and by module of gradls, as JSON."""
    sampler = _Sampler(report)
    signal.signal(signal.SIGUSR1, lambda *_: sampler.asked.set())
    # A thread that computes keeps others waiting for so long.
    sys.setswitchinterval(SECONDS_BETWEEN_LOOKS / 2)
    sampler.start()


class _Sampler(threading.Thread):
    def __init__(self, report: Path) -> None:
        super().__init__(name="sampler", daemon=True)
        self.report = report
        self.asked = threading.Event()
        self.phases: Counter[str] = Counter()
        self.modules: Counter[str] = Counter()

    def run(self) -> None:
        before: dict[int, float] = {}
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            now: dict[int, float] = {}
            for thread, frame in sys._current_frames().items():
                if thread == self.ident:
                    continue
                now[thread] = time.clock_gettime(time.pthread_getcpuclockid(thread))
                # A thread that waits takes no time, wherever it stands.
                taken = now[thread] - before.get(thread, now[thread])
                if taken > 0:
                    phase, module = where(frame)
                    self.phases[phase] += taken  # type: ignore[assignment]
                    self.modules[module] += taken  # type: ignore[assignment]
            before = now
            if self.asked.is_set():
                self.asked.clear()
                self._write()

    def _write(self) -> None:
        half_written = self.report.with_suffix(".tmp")
        half_written.write_text(json.dumps({"phases": self.phases, "modules": self.modules}), encoding="utf-8")
        half_written.rename(self.report)
        self.phases.clear()
        self.modules.clear()


def where(frame: FrameType | None) -> tuple[str, str]:
    """The phase that a stack is in, and the innermost module of gradls in it."""
    layers: set[str] = set()
    module, root, importing = "", "", False
    while frame is not None:
        code = frame.f_code
        _, found, inside = code.co_filename.replace("\\", "/").rpartition("/gradls/")
        if found:
            module = module or inside
            layers.add(inside.partition("/")[0])
            importing |= code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__"
            if inside == "flow/roots.py":
                root = ROOTS.get(code.co_name, root)
        frame = frame.f_back
    if importing:
        return IMPORTS, module
    if module == "server/garbage.py":
        return GARBAGE, module
    layer = next((layer for layer in LAYERS if layer in layers), "server")
    if layer == "flow" and module.startswith(("workspace/", "syntax/parse", "syntax/recover")):
        return OTHERS, module
    return root if root and layer != "rules" else LAYERS[layer], module or "Python"
