"""What imports bind."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gradls.autograd.spelling import canonical
from gradls.flow.names import Answer, Question
from gradls.flow.values import Instance, Lib, Value

if TYPE_CHECKING:
    from gradls.flow.run import Run

MODELLED = {
    "torch", "numpy", "math", "copy", "itertools", "functools", "collections", "contextlib", "typing", "dataclasses",
    "operator", "random", "pytorch_lightning", "lightning", "enum", "abc", "typing_extensions",
}  # fmt: skip
"""Top-level packages whose names have models, or of which it is enough to know the name."""
SOME_SUBCLASS = frozenset(("torch.nn.Module", "torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler"))


def plain(run: Run, alias: ast.alias) -> tuple[str, Value]:
    """`import a.b as c`: the name bound, and its value."""
    root = alias.name.partition(".")[0]
    path = alias.name if alias.asname else root
    name = alias.asname or root
    if path == "torch":
        run.facts.torch_name = name
    if root in MODELLED or root in sys.stdlib_module_names:
        return name, run.lib(canonical(path))
    return name, run.unknown("import", name, Question(path, "", False))


def names_from(run: Run, statement: ast.ImportFrom, alias: ast.alias) -> Iterator[tuple[str, Value]]:
    """`from a import b as c`: the names bound, and their values."""
    module = "." * statement.level + (statement.module or "")
    name = alias.asname or alias.name
    if alias.name == "*":
        if module == "torch" or module.startswith("torch."):
            yield from _star(run, module)
        return
    root = module.partition(".")[0]
    if root in MODELLED or root in sys.stdlib_module_names:
        yield name, run.lib(canonical(f"{module}.{alias.name}"))
        return
    question = Question(module, alias.name, False)
    answer = run.ask(question)
    value = value_of_answer(run, answer, question) if answer is not None else run.unknown("import", name, question)
    yield name, value


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
