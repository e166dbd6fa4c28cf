"""What imports bind, and what names are that nothing binds."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from gradls.autograd.spelling import canonical
from gradls.flow.models.registry import PARTLY_MODELLED, find_function, is_beside_models
from gradls.flow.names import Answer, Names, Question
from gradls.flow.program import file_of, member, names_in
from gradls.flow.values import Imported, Instance, Lib, Unknown, Value, host

if TYPE_CHECKING:
    from gradls.flow.run import Run

MODELLED = {
    "torch", "numpy", "math", "copy", "itertools", "functools", "collections", "contextlib", "typing", "dataclasses",
    "operator", "random", "enum", "abc", "typing_extensions", "einops", *PARTLY_MODELLED,
}  # fmt: skip
"""Top-level packages whose names have models, or of which it is enough to know the name."""
SOME_SUBCLASS = frozenset(("torch.nn.Module", "torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler"))


def plain(run: Run, alias: ast.alias) -> tuple[str, Value]:
    """`import a.b as c`: the name bound, and its value."""
    root = alias.name.partition(".")[0]
    path = alias.name if alias.asname else root
    name = alias.asname or root
    if path == "torch":
        run.torch_name = name
    if root in MODELLED or root in sys.stdlib_module_names:
        return name, run.lib(canonical(path))
    names = run.frame.file.names
    if names.find(alias.name) is not None:
        return name, Imported(run.state, path, "", names)
    return name, run.unknown("import", name, Question(path, "", False))


def names_from(run: Run, statement: ast.ImportFrom, alias: ast.alias) -> Iterator[tuple[str, Value]]:
    """`from a import b as c`: the names bound, and their values."""
    module = "." * statement.level + (statement.module or "")
    name = alias.asname or alias.name
    if alias.name == "*":
        if module == "torch" or module.startswith("torch."):
            yield from _star(run, module)
        elif run.frame.file is run.file:
            yield from _star_of_program(run, module)
        return
    root = module.partition(".")[0]
    path = canonical(f"{module}.{alias.name}")
    if (root in MODELLED or root in sys.stdlib_module_names) and not is_beside_models(path):
        yield name, run.lib(path)
        return
    names = run.frame.file.names
    if names.find(module) is not None or names.find(_inside(module, alias.name)) is not None:
        yield name, Imported(run.state, module, alias.name, names)
        return
    yield name, _outside(run, module, alias.name, names)


def load(run: Run, value: Imported) -> Value:
    """What an imported name stands for: run the statements of its file that make it."""
    if value.loaded is None:
        if value.loading:
            return run.unknown("import", value.name)
        value.loading = True
        try:
            value.loaded = _load(run, value)
        finally:
            value.loading = False
    elif type(value.loaded) is Unknown and value.loaded.question in run.questions:
        run.miss(value.loaded.question)
    return value.loaded


def looked_at(run: Run, value: Value) -> Value:
    """What a name of a scope stands for that has this value: an imported one is found out."""
    return load(run, value) if type(value) is Imported else value


def _load(run: Run, value: Imported) -> Value:
    if value.options:
        return run.join.values([looked_at(run, one) for one in value.options])
    if not value.name:
        return value
    imported = value.names.find(value.module)
    found = member(run, file_of(run, imported), value.name) if imported is not None else None
    if found is not None:
        return looked_at(run, found)
    module = _inside(value.module, value.name)
    if value.names.find(module) is not None:
        return Imported(run.state, module, "", value.names)
    return _outside(run, value.module, value.name, value.names)


def _inside(module: str, name: str) -> str:
    """The full name of the module `name` of a package, as an import statement has it."""
    return f"{module}{name}" if module.endswith(".") else f"{module}.{name}"


def _outside(run: Run, module: str, name: str, names: Names) -> Value:
    """A name that no file of the program makes."""
    question = Question(module, name, False)
    answer = names.ask(question)
    if answer is not None:
        return value_of_answer(run, answer, question)
    if names is run.file.names:
        run.miss(question)
    return run.unknown("import", name, question)


def attribute(run: Run, module: Imported, name: str) -> Value:
    """`module.name`, where `module` is another file of the program."""
    return load(run, Imported(run.state, module.module, name, module.names))


def replace(run: Run, module: Imported, name: str, value: Value) -> None:
    """`module.name = value`: the code of that file finds it under this name, too, until it is put back: either."""
    imported = module.names.find(module.module)
    if imported is not None:
        file = file_of(run, imported)
        old = member(run, file, name)
        if old is not None:
            run.state.set(file.scope.fields, name, run.join.values([looked_at(run, old), value]))


def _star_of_program(run: Run, module: str) -> Iterator[tuple[str, Value]]:
    names = run.frame.file.names
    imported = names.find(module)
    if imported is not None:
        for name in names_in(run, file_of(run, imported)):
            yield name, Imported(run.state, module, name, names)


def _star(run: Run, module: str) -> Iterator[tuple[str, Value]]:
    from gradls.autograd.ops import spellings

    prefix = f"{canonical(module)}."
    for spelling in spellings():
        name = spelling.removeprefix(prefix)
        if spelling.startswith(prefix) and "." not in name:
            yield name, run.lib(spelling)


def value_of_answer(run: Run, answer: Answer, question: Question) -> Value:
    """The value of a name of which the resolver knows what it is."""
    path = canonical(answer.name)
    if path == "torch" or path.startswith("torch."):
        if answer.kind != "instance":
            return run.lib(path)
        if path in SOME_SUBCLASS or path.rpartition(".")[2].startswith("_"):
            # The nearest common base of what it may be: some subclass of it.
            value = run.unknown("import", question.name, question)
            value.answer = answer
            return value
        if path in ("torch.Tensor", "torch.nn.Parameter"):
            tensor = run.leaf("import", None, requires_grad=None, dtype=None)
            tensor.fields["leaf"] = None
            return tensor
        return _instance(run, run.lib(path))
    value = run.unknown("import", question.name, question)
    value.answer = answer
    if answer.kind == "instance":
        for base in answer.bases:
            found = canonical(base)
            if found.startswith("torch.nn.") and found.endswith("Loss") and found != "torch.nn.Module":
                return _instance(run, run.lib(found))
    return value


def _instance(run: Run, cls: Lib) -> Instance:
    instance = Instance(run.state, cls)
    instance.open = True
    return instance


def builtin(run: Run, name: str) -> Value:
    """A name that no scope of the program binds."""
    path = _path_of_builtin(name)
    if path is not None:
        return run.lib(path)
    if name == "__name__":
        return host("__main__")
    if name in _BUILTINS or "*" in run.frame.file.source.index(_imports_all):
        return run.unknown("builtin", name)
    # Somebody has yet to write what gives it a value: in a notebook that may be any of what is seen.
    return run.unknown("unknown", name)


_BUILTINS = frozenset(dir(builtins))


def _imports_all(node: ast.AST) -> list[tuple[str, None]]:
    """Is it an import of all names of another module?"""
    return [("*", None)] if isinstance(node, ast.ImportFrom) and node.names[0].name == "*" else []


@lru_cache(4096)
def _path_of_builtin(name: str) -> str | None:
    path = f"builtins.{name}"
    return path if find_function(path) is not None else None
