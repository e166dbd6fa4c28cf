"""One question to jedi: a tiny text that imports the name, placed beside the file that asks.

Runs in the worker process. It uses jedi's internals for three things that the public interface does not tell: base
classes, the files that an answer rests on, and whether jedi understood every `return` of a function. Where they are not
as expected the answer is unknown, not wrong.
"""

from __future__ import annotations

import keyword
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from inspect import Parameter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jedi  # type: ignore[import-untyped]
from jedi.api.classes import Name  # type: ignore[import-untyped]
from jedi.inference import flow_analysis  # type: ignore[import-untyped]
from jedi.inference.arguments import TreeArguments  # type: ignore[import-untyped]

from gradls.flow.names import Answer, Question
from gradls.resolve.reader import ReadingEnvironment, ReadingProject
from gradls.resolve.search_path import module_files, project_folders

SCRIPT = "__gradls__"
"""The name of the text's file. It need not exist; no project has one of this name."""

UNKNOWN = """\
class _Unknown:
    def __getattr__(self, name) -> "_Unknown": ...
    def __call__(self, *a, **k) -> "_Unknown": ...
    def __getitem__(self, key) -> "_Unknown": ...
    def __iter__(self):
        yield _Unknown()
_u = _Unknown()
"""
"""Stands for an argument: what a function makes of its defaults says nothing about a call that passes other things."""

Kind = Literal["class", "instance", "function", "module"]
KINDS: dict[str, Kind] = {
    "class": "class",
    "instance": "instance",
    "function": "function",
    "module": "module",
    "namespace": "module",
}
ABSTRACT = {"Generator", "AsyncGenerator", "Iterator", "Iterable", "Sequence", "Mapping", "Coroutine", "Awaitable"}
NONE = {"builtins.NoneType", "types.NoneType", "_typeshed.NoneType"}
DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class Reply(NamedTuple):
    """`files` are those that the answer rests on, and those whose appearance would change it; `error` is jedi's."""

    answer: Answer | None
    files: tuple[str, ...] = ()
    error: str | None = None


class Place(NamedTuple):
    """Where imports lead besides the project: the `standard` library, installed `packages`, and `stubs` of torch, which
    come last unless `stubs_first`."""

    standard: tuple[str, ...]
    packages: tuple[str, ...]
    stubs: str
    stubs_first: bool = False


class Around(NamedTuple):
    """The project of the file that asks, its folder, and the folders that come before and after what is installed."""

    root: Path
    folder: Path
    before: tuple[str, ...]
    after: tuple[str, ...]


class Phrase(NamedTuple):
    """The import statement of a question, and the expression that it asks about."""

    statement: str
    expression: str


def answer(question: Question, root: Path, folder: Path, place: Place, environment: ReadingEnvironment) -> Reply:
    """What jedi says to `question`, asked by a file in `folder` of the project at `root`."""
    phrase = phrased(question)
    if phrase is None:
        return Reply(None)
    around = Around(root, folder, *project_folders(root, folder, question.module.startswith(".")))
    reply, complete = attempt(Asking(around, place, environment, place.stubs_first), phrase, question.called)
    if place.stubs_first and not complete and reply.answer is None:
        reply, _ = attempt(Asking(around, place, environment, False), phrase, question.called)
    return reply


def attempt(asking: Asking, phrase: Phrase, called: bool) -> tuple[Reply, bool]:
    """The reply, and whether all of torch that it took was there. jedi's own faults cost the answer only."""
    found, error = None, None
    try:
        found = asking.ask(phrase, called)
    except (MemoryError, jedi.InternalError):
        raise
    except Exception as fault:
        error = "".join(traceback.format_exception(fault))
    try:
        return Reply(found, tuple(asking.files()), error), not asking.torch_is_missing()
    except AttributeError as fault:
        # Another jedi. An answer that rests on nothing known would never be given up.
        return Reply(None, (), "".join(traceback.format_exception(fault))), True


def phrased(question: Question) -> Phrase | None:
    """How Python would say it; None if it could not."""
    dots = len(question.module) - len(question.module.lstrip("."))
    path = question.module[dots:]
    words = f"{path}.{question.name}".strip(".")
    if not DOTTED.fullmatch(words) or any(map(keyword.iskeyword, words.split("."))) or ".." in words:
        return None
    if question.name:
        first, _, rest = question.name.partition(".")
        return Phrase(f"from {question.module} import {first} as _a", f"_a.{rest}" if rest else "_a")
    above, _, last = path.rpartition(".")
    if dots or above:
        return Phrase(f"from {question.module[:dots]}{above} import {last} as _a", "_a")
    return Phrase(f"import {last} as _a", "_a")


class Asking:
    """One question's way through jedi. It has a state of its own, which tires after 300 steps at a node."""

    def __init__(self, around: Around, place: Place, environment: ReadingEnvironment, stubs_first: bool) -> None:
        self.folders = (*around.before, *around.after)
        # Where files change only with the environment.
        stable = (*place.standard, *place.packages, place.stubs, os.path.dirname(jedi.__file__))
        self.stable = tuple(path + os.sep for path in stable)
        paths = [*around.before, *place.standard, *place.packages, *around.after, place.stubs]
        self.project = ReadingProject(around.root, sys_path=list(dict.fromkeys(paths)), smart_sys_path=False)
        self.project.standard = place.standard
        self.path = around.folder / f"{SCRIPT}.py"
        self.environment = environment
        environment.torch_stubs = place.stubs if stubs_first else None
        self.state: Any = None

    def ask(self, phrase: Phrase, called: bool) -> Answer | None:
        """The one thing that `phrase` means, or that calling it gives."""
        text = f"{phrase.statement}\n_r = {phrase.expression}\n_r"
        names = self.infer(self.script(text))
        if not called or not names:
            return one_answer(names, called)
        text = f"{phrase.statement}\n{UNKNOWN}_r = {phrase.expression}({unknown_arguments(names)})\n_r"
        script = self.script(text)
        return one_answer(self.infer(script), called) if understands_returns(script, names) else None

    def script(self, text: str) -> jedi.Script:
        script = jedi.Script(text, path=self.path, project=self.project, environment=self.environment)
        # The second text needs the modules that the first has read.
        self.state = script._inference_state = self.state or script._inference_state
        return script

    def infer(self, script: jedi.Script) -> list[Name]:
        """What `_r`, the last line, can be."""
        return list(script.infer(len(script._code_lines), 1))

    def modules(self) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
        """The modules that jedi looked for by their names, and what it found."""
        if self.state is not None:
            for names, values in self.state.module_cache._name_cache.items():
                yield names, list(values)
            for names, stub in self.state.stub_module_cache.items():
                yield names, [stub] if stub is not None else []

    def torch_is_missing(self) -> bool:
        """Whether torch was asked for something that the stubs do not have."""
        found = {names for names, values in self.modules() if values}
        return any(names[0] == "torch" and names not in found for names, _ in self.modules())

    def files(self) -> Iterator[str]:
        """The project's files that the answer rests on, and those that would change it if they appeared."""
        wanted: dict[tuple[str, ...], bool] = {}
        for names, values in self.modules():
            if names[-1] == SCRIPT:
                continue
            paths = list(map(file_of, values))
            outside = [path for path in paths if path and path.startswith(self.stable)]
            yield from (path for path in paths if path and path not in outside)
            if names[0] not in ("builtins", "typing", "types"):
                wanted[names] = wanted.get(names, False) or bool(outside)
        # What is installed may be hidden by a file of the project, which has to have its first name.
        hidden = {names[:1] if installed else names for names, installed in wanted.items()}
        for names in hidden:
            for folder in self.folders:
                yield from module_files(folder, names)


def file_of(module: Any) -> str | None:
    path = getattr(module, "py__file__", lambda: None)()
    return os.fspath(path) if path is not None else None


def unknown_arguments(callees: list[Name]) -> str:
    """Arguments for every parameter of the one signature that there is; none where overloads choose."""
    signatures = [signature for callee in callees for signature in callee.get_signatures()]
    if len(signatures) != 1 or any(callee.type == "class" for callee in callees):
        return ""
    parts = []
    for parameter in signatures[0].params:
        if parameter.kind == Parameter.KEYWORD_ONLY:
            parts.append(f"{parameter.name}=_u")
        elif parameter.kind == Parameter.VAR_KEYWORD:
            parts.append("_gradls=_u")
        else:
            parts.append("_u")
    return ", ".join(parts)


def understands_returns(script: jedi.Script, callees: list[Name]) -> bool:
    """Whether jedi has an idea of each value that the called functions return: it leaves out those of which it has
    none, and then one of two would pass for the only one. Annotated functions say it themselves."""
    state = script._inference_state
    context = script._get_module_context()
    line = len(script._code_lines) - 1
    closing = script._module_node.get_leaf_for_position((line, len(script._code_lines[line - 1].rstrip())))
    trailer = closing.parent
    inside = trailer.children[1]
    arguments = TreeArguments(state, context, None if inside == ")" else inside, trailer)
    for callee in callees:
        for value in callee._name.infer():
            function: Any = getattr(value, "tree_node", None)
            if getattr(function, "type", "") != "funcdef" or function.annotation or value.is_stub():
                continue
            if not function.is_generator() and not all(returned_values(value.as_context(arguments), function)):
                return False
    return True


def returned_values(context: Any, function: Any) -> Iterator[Any]:
    """The values of each reachable `return` with one."""
    for statement in function.iter_return_stmts():
        if statement.type == "return_stmt":
            reachable = flow_analysis.reachability_check(context, function, statement)
            if reachable is not flow_analysis.UNREACHABLE:
                yield context.infer_node(statement.children[1])


def one_answer(names: Iterable[Name], called: bool) -> Answer | None:
    """The answer that all of `names` agree on: the same thing, or instances of a common base class."""
    answers = {(found.kind, found.name): found for found in map(described, names) if found}
    if len(answers) != len({(name.type, name.full_name) for name in names}) or not answers:
        return None
    first, *others = answers.values()
    if not others:
        # A None in a module is a place for something that comes later.
        return None if first.name in NONE and not called else first
    if any(found.kind != "instance" for found in answers.values()):
        return None
    lines = [(found.name, *found.bases) for found in others]
    common = [name for name in (first.name, *first.bases) if all(name in line for line in lines)]
    return Answer("instance", common[0], tuple(common[1:])) if common else None


def described(name: Name) -> Answer | None:
    """What jedi calls `name`, or None if that says nothing."""
    kind, full_name = KINDS.get(name.type), name.full_name
    if not kind or not full_name or f"{SCRIPT}." in full_name or full_name.endswith(".__get__"):
        return None
    if kind in ("function", "module"):
        return Answer(kind, full_name)
    if full_name.startswith("typing.") and full_name.removeprefix("typing.") not in ABSTRACT:
        return None
    return Answer(kind, full_name, tuple(bases_of(name)))


def bases_of(name: Name) -> list[str]:
    """The full names of the base classes, nearest first, without those that say nothing."""
    found: dict[str, None] = {}
    for value in name._name.infer():
        cls = value.py__class__() if value.is_instance() else value
        for base in cls.py__mro__() if hasattr(cls, "py__mro__") else ():
            full_name = Name(value.inference_state, base.name).full_name
            if full_name and full_name != "builtins.object" and not full_name.startswith("typing."):
                found[full_name] = None
    found.pop(name.full_name, None)
    return list(found)
