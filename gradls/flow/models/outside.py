"""What comes from outside of the program and carries no gradient: the command line, files with settings, random numbers
and the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradls.flow.arguments import Call
from gradls.flow.contents import is_plain
from gradls.flow.models.registry import function, method
from gradls.flow.operations import unknown_operation
from gradls.flow.values import NONE, Host, Instance, Lib, Sequence, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

PARSER = "argparse.ArgumentParser"
DEFAULT = ("default",)
"""The slot of the value of an option with what it is if nobody gives it."""
_TYPES = frozenset(("builtins.int", "builtins.float", "builtins.str", "builtins.bool"))
_ACTIONS = frozenset(("store", "store_true", "store_false", "count", "append", "extend"))


_CLOCKS = ("time", "perf_counter", "monotonic", "process_time", "thread_time")


@function(*(f"time.{name}{unit}" for name in _CLOCKS for unit in ("", "_ns")))
def clock(run: Run, path: str, call: Call) -> Value:
    return run.setting(path)


_NUMBERS = (
    "random", "uniform", "triangular", "gauss", "normalvariate", "lognormvariate", "expovariate", "betavariate",
    "gammavariate", "paretovariate", "vonmisesvariate", "weibullvariate", "randint", "randrange", "getrandbits",
)  # fmt: skip
_ARRAYS = (
    "randint", "integers", "permutation", "choice", "binomial", "beta", "gamma", "exponential", "poisson", "laplace",
    "lognormal", "dirichlet", "multinomial", "multivariate_normal", "geometric", "standard_gamma",
)  # fmt: skip


@function(*(f"random.{name}" for name in _NUMBERS), *(f"numpy.random.{name}" for name in _ARRAYS))
@method("numpy.random.Generator", *_ARRAYS)
def drawn(run: Run, path: str | Instance, call: Call) -> Value:
    """Random numbers, and arrays of these: of numbers they are numbers."""
    name = path if isinstance(path, str) else "numpy.random"
    if call.unsure or not all(_is_number(value) for value in call.values):
        return unknown_operation(run, name, call.values, call.node)
    return run.setting(name)


def _is_number(value: Value) -> bool:
    """Is it a number, a list of numbers, or an array?"""
    if isinstance(value, Sequence):
        return all(_is_number(item) for item in value.elements)
    return (
        isinstance(value, (Host, Lib))
        or is_plain(value)
        or (isinstance(value, Instance) and value.path == "numpy.ndarray")
    )


@function("json.load", "json.loads", "tomllib.load", "tomllib.loads", "yaml.safe_load")
def read(run: Run, path: str, call: Call) -> Value:
    """Numbers and texts out of a file, unless a function of the program makes something else of them."""
    if call.unsure or any(key not in ("fp", "s", "stream", "encoding") for key in call.kwargs):
        return unknown_operation(run, path, call.values, call.node)
    return run.setting(path)


@function("os.getenv", "os.environ.get", "os.cpu_count")
def of_environment(run: Run, path: str, call: Call) -> Value:
    """What the environment says, or the default."""
    if call.unsure or not all(_is_number(value) for value in call.values):
        return unknown_operation(run, path, call.values, call.node)
    return run.setting(path)


@function(PARSER)
def parser(run: Run, path: str, call: Call) -> Value:
    """A parser of the command line. `fields["options"]` are those of which the values are plain for certain,
    `fields["defaults"]` what they are if nobody gives them."""
    made = Instance(run.state, run.lib(PARSER), run.at(call.node))
    made.fields["options"] = frozenset()
    made.fields["defaults"] = {}
    return made


@method(PARSER, "add_argument_group", "add_mutually_exclusive_group")
def group(run: Run, receiver: Instance, call: Call) -> Value:
    return receiver


@method(PARSER, "add_argument")
def add_argument(run: Run, receiver: Instance, call: Call) -> Value:
    name = _destination(call)
    if name and _is_plain_option(call):
        run.state.set(receiver.fields, "options", (receiver.fields.get("options") or frozenset()) | {name})
        defaults = {**(receiver.fields.get("defaults") or {}), name: call.kwargs.get("default")}
        run.state.set(receiver.fields, "defaults", defaults)
    return run.unknown("call", "add_argument")


@method(PARSER, "set_defaults")
def set_defaults(run: Run, receiver: Instance, call: Call) -> Value:
    """What is set here may be anything, such as a function."""
    others = frozenset() if call.unsure else (receiver.fields.get("options") or frozenset()).difference(call.kwargs)
    run.state.set(receiver.fields, "options", others)
    return NONE


def _destination(call: Call) -> str:
    """The attribute in which an option ends up; an empty string if that is not known."""
    given = call.known(99, "dest", default=None)
    if given is not None:
        return given if isinstance(given, str) else ""
    names = [value.value for value in call.args if isinstance(value, Host) and isinstance(value.value, str)]
    if call.unsure or not names or len(names) < len(call.args):
        return ""
    name = next((name for name in names if name.startswith("--")), names[0])
    return name.lstrip("-").replace("-", "_") if name.startswith("-") else name


def _is_plain_option(call: Call) -> bool:
    """Is its value a number, a text, a flag, None, or a list of these?"""
    kind = call.kwargs.get("type")
    defaults = [call.kwargs[key] for key in ("default", "const") if key in call.kwargs]
    return (
        not call.unsure
        and (kind is None or (isinstance(kind, Lib) and kind.path in _TYPES))
        and call.known(99, "action", default="store") in _ACTIONS
        and all(_is_number(value) for value in defaults)
    )


@method(PARSER, "parse_args", "parse_known_args")
def parse(run: Run, receiver: Instance, call: Call) -> Value:
    name = getattr(getattr(call.node, "func", None), "attr", "parse_args")
    found = run.unknown("call", name)
    if call.get(1, "namespace") is None and not call.unsure:
        defaults = receiver.fields.get("defaults") or {}
        for option in receiver.fields.get("options") or ():
            found.fields[option] = setting = run.setting(option)
            setting.fields[DEFAULT] = defaults.get(option)
    return found if name == "parse_args" else Sequence(run.state, "tuple", (found, run.setting(name)))
