"""tqdm: bars that show how far a loop is, and give what they go through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.iterators import SHOWN
from gradls.flow.models.iteration import range_
from gradls.flow.models.registry import function
from gradls.flow.values import Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

_MODULES = ("tqdm", "tqdm.auto", "tqdm.autonotebook", "tqdm.notebook", "tqdm.rich", "tqdm.std")


@function(*(f"{module}.tqdm" for module in _MODULES), "tqdm.tqdm_notebook")
def bar(run: Run, path: str, call: Call) -> Value:
    """`tqdm(loader)`: nothing is known of it but what a loop over it gives."""
    return _shown(run, call.get(0, "iterable") or run.unknown("call", "tqdm"))


@function(*(f"{module}.trange" for module in _MODULES), "tqdm.tnrange")
def trange(run: Run, path: str, call: Call) -> Value:
    return _shown(run, range_(run, path, call))


def _shown(run: Run, value: Value) -> Value:
    made = run.unknown("call", "tqdm")
    made.fields[SHOWN] = value
    return made
