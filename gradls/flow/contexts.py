"""Grad mode: context managers, decorators and statements that change it, and other context managers."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gradls.autograd.versions import BARE_MODE_DECORATES, since
from gradls.flow import truth
from gradls.flow.arguments import Call
from gradls.flow.graph import At
from gradls.flow.hierarchy import find_in_class
from gradls.flow.values import Bound, Choice, Function, Instance, Lib, Sequence, Unknown, Value
from gradls.syntax.walk import walk

if TYPE_CHECKING:
    from gradls.flow.run import Run

MODES: dict[str, tuple[bool | None, bool | None]] = {
    "torch.no_grad": (False, None),
    "torch.enable_grad": (True, None),
    "torch.inference_mode": (False, True),
}


def set_mode(run: Run, grad: bool | None, inference: bool | None, at: At | None) -> Callable[[], None]:
    """Set the grad mode, and inference mode unless that is None; what is returned sets them back. Where gradients are
    turned on inside a custom Function, what follows is recorded as anywhere else; in inference mode nothing is."""
    before = dict(run.mode)
    if inference is None:
        inference = run.mode["inference"]
        grad = False if inference else grad
    run.state.set(run.mode, "grad", grad)
    run.state.set(run.mode, "inference", inference)
    run.state.set(run.mode, "at", at)
    restore = partial(_restore, run, before, run.isolated)
    if grad is True:
        run.isolated = 0
    return restore


def _restore(run: Run, before: dict[str, object], isolated: int) -> None:
    for key, value in before.items():
        run.state.set(run.mode, key, value)
    run.isolated = isolated


class Leak:
    """The grad mode that a generator which yields inside a `with` block leaves to its consumer, or with which a thread
    begins. `uses` are the places where it decides whether something has a graph."""

    __slots__ = ("at", "grad", "inference", "node", "uses")

    def __init__(self, grad: bool | None, inference: bool, at: At | None, node: At) -> None:
        self.grad = grad
        self.inference = inference
        self.at = at
        self.node = node
        """The `yield`, or what starts the thread."""
        self.uses: list[At] = []


def left_open(run: Run, node: ast.expr) -> Leak | None:
    """What a `yield` leaves to the consumer: the mode of the `with` blocks that are open around it."""
    at = run.mode["at"]
    if not run.frame.modes or at is None or run.mode["grad"] == run.frame.modes[0]["grad"]:
        return None
    return Leak(run.mode["grad"], run.mode["inference"], at, run.at(node))


def take_over(run: Run, iterated: Value) -> Callable[[], None] | None:
    """Work under the grad mode that a generator leaves open; what is returned sets it back. None if it leaves none."""
    leak = iterated.fields.get("left") if isinstance(iterated, Sequence) else None
    if leak is None or run.mode["grad"] == leak.grad:
        return None
    before = dict(run.mode)
    restore = set_mode(run, leak.grad, leak.inference, leak.at)
    run.state.set(run.mode, "leak", leak)
    run.frame.modes.append(before)

    return partial(_give_back, run, before, restore)


def _give_back(run: Run, before: dict[str, object], restore: Callable[[], None]) -> None:
    run.frame.modes.remove(before)
    restore()


def leave_blocks(run: Run, kept: int, entered: int) -> None:
    """Leave all open `with` blocks of this function but the outermost, where `return` and `break` go: all context
    managers but `entered`, and the grad mode of all blocks that change it but `kept`."""
    frame = run.frame
    if len(frame.leaving) > entered:
        # Other branches are still inside.
        counts = _counts(run)
        for leave in frame.leaving[entered:][::-1]:
            leave()
        _set_counts(run, counts)
    for key, value in frame.modes[kept].items() if len(frame.modes) > kept else ():
        run.state.set(run.mode, key, value)


def _counts(run: Run) -> tuple[int, int, int, int, int]:
    return run.expected, run.casting, run.autocast, run.isolated, run.copying


def _set_counts(run: Run, counts: tuple[int, int, int, int, int]) -> None:
    run.expected, run.casting, run.autocast, run.isolated, run.copying = counts


class Entered:
    """A `with` statement that was entered: the constructor enters it."""

    __slots__ = ("before", "counts", "frame", "leaving", "modes", "run", "since")

    def __init__(self, run: Run, statement: ast.With | ast.AsyncWith) -> None:
        from gradls.flow.expressions import eval_expr
        from gradls.flow.statements import assign

        self.run = run
        self.frame = frame = run.frame
        self.since, self.modes = len(frame.leaving), len(frame.modes)
        self.before = dict(run.mode)
        self.counts = _counts(run)
        self.leaving: list[Callable[[], None]] = []
        casts = autocast = copies = False
        for item in statement.items:
            before = dict(run.mode)
            manager = eval_expr(run, item.context_expr)
            casts = casts or may_cast(manager)
            autocast = autocast or casts_for_certain(manager)
            copies = copies or may_be_autocast(run, manager, item.context_expr)
            value, leave = enter(run, manager, item.context_expr, statement)
            self.leaving.append(leave)
            frame.leaving.append(leave)
            if dict(run.mode) != before:
                frame.modes.append(before)
            if item.optional_vars is not None:
                assign(run, item.optional_vars, value)
        run.expected += expects_error(statement)
        run.casting += casts
        run.autocast += autocast
        run.copying += copies

    def leave(self, completes: bool) -> bool:
        """Leave it, behind its last statement if the block `completes`. True, for that is where it goes on."""
        run, frame = self.run, self.frame
        for leave in self.leaving[::-1] if completes else ():
            leave()
        if not completes:
            # Each way out has left it for itself.
            for key, value in self.before.items():
                run.state.set(run.mode, key, value)
        del frame.modes[self.modes :], frame.leaving[self.since :]
        _set_counts(run, self.counts)
        return True


def wanted_mode(run: Run, path: str, call: Call | None) -> tuple[bool | None, bool | None]:
    """The grad mode that a call of `torch.no_grad`, `set_grad_enabled` and so on asks for, and the inference mode: None
    leaves that as it is."""
    if path == "torch.set_grad_enabled":
        value = call.get(0, "mode") if call is not None else None
        return (None if value is None else truth.truth(run, value)), None
    grad, inference = MODES[path]
    if path == "torch.inference_mode" and call is not None:
        value = call.get(0, "mode")
        enabled = True if value is None else truth.truth(run, value)
        if enabled is not True:
            return (True if enabled is False else None), bool(enabled)
    return grad, inference


def enter(run: Run, manager: Value, node: ast.expr, statement: ast.AST) -> tuple[Value, Callable[[], None]]:
    """Enter a context manager: the value that `as` binds, and what leaves it."""
    from gradls.flow import managers
    from gradls.flow.calls import call_value
    from gradls.flow.escapes import escape
    from gradls.flow.iterators import shown
    from gradls.flow.models.registry import find_method
    from gradls.flow.values import Class

    if isinstance(manager, Instance):
        if "generator" in manager.data:
            return managers.enter(run, manager, node)
        wanted = manager.data.get("mode")
        if wanted is not None:
            before = manager.data.get("before")
            grad, inference = wanted
            restore = set_mode(run, grad, inference, run.at(node))
            return manager, restore if before is None else partial(_set_back, run, before)
        if "enters" in manager.data:
            return manager.data["enters"], _nothing
        if isinstance(manager.cls, Class):
            function, _ = find_in_class(manager.cls, "__enter__")
            if isinstance(function, Function):
                value = call_value(run, _bound(manager, function), Call(node, []))
                return value, lambda: _leave(run, manager, node)
        entering, leaving = find_method(manager, "__enter__"), find_method(manager, "__exit__")
        if entering is not None and leaving is not None:
            call = Call(node, [])
            entering(run, manager, call)
            return manager, lambda: leaving(run, manager, call)
        return manager, _nothing
    for option in manager.options if isinstance(manager, Choice) else ():
        if isinstance(option, Instance) and "generator" in option.data:
            escape(run, option)
    if isinstance(manager, Lib) and manager.path in MODES:
        run.event("context-not-called", node, manager, entered=True)
        return manager, _nothing
    if isinstance(manager, Unknown) and shown(manager) is not manager:
        return manager, _nothing
    if isinstance(manager, (Choice, Unknown)) and _may_change_mode(run, manager, node):
        return run.unknown("context"), set_mode(run, None, False, run.at(node))
    return run.unknown("context"), _nothing


def may_cast(manager: Value) -> bool:
    """May operations in a block under this context manager compute with other dtypes, as under autocast?"""
    return not (isinstance(manager, Instance) and "mode" in manager.data)


def casts_for_certain(manager: Value) -> bool:
    """Is this autocast, and switched on?"""
    return isinstance(manager, Instance) and manager.data.get("enabled") is True


def may_be_autocast(run: Run, manager: Value, node: ast.expr) -> bool:
    """Is this autocast, unless it is switched off, or may it be? What a known library makes, such as an open file, is
    nothing of the kind."""
    if isinstance(manager, Choice):
        return any(may_be_autocast(run, option, node) for option in manager.options)
    if isinstance(manager, Instance):
        return manager.path == "torch.autocast" and manager.data.get("enabled") is not False
    first: ast.expr = node
    while isinstance(first, (ast.Call, ast.Attribute)):
        first = first.func if isinstance(first, ast.Call) else first.value
    fields = run.frame.scope.find(first.id) if isinstance(first, ast.Name) else None
    of_library = fields is not None and isinstance(fields.get(first.id), Lib)  # type: ignore[attr-defined]
    return isinstance(manager, Unknown) and not of_library and not _is_builtin(first)


def _is_builtin(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "open"


def _set_back(run: Run, before: tuple[bool | None, bool, At | None, int]) -> None:
    set_mode(run, *before[:3])
    run.isolated = before[3]


def _leave(run: Run, manager: Instance, node: ast.expr) -> None:
    from gradls.flow.calls import call_value
    from gradls.flow.values import NONE, Class

    if isinstance(manager.cls, Class):
        function, _ = find_in_class(manager.cls, "__exit__")
        if isinstance(function, Function):
            call_value(run, _bound(manager, function), Call(node, [NONE, NONE, NONE]))


def _bound(manager: Instance, function: Function) -> Value:
    return Bound(manager, function, function.name)


def _may_change_mode(run: Run, manager: Value, node: ast.expr) -> bool:
    """An unknown context manager may switch gradients off; `open(...)` and the like do not."""
    if isinstance(manager, Choice):
        return any(isinstance(option, Instance) and "mode" in option.data for option in manager.options)
    names = [str(getattr(part, "id", getattr(part, "attr", ""))).lower() for part in walk(node)]
    # `torch.autograd.detect_anomaly()` and what else stands in that module leaves the mode alone.
    names = [name for name in names if name != "autograd"]
    return any(word in name for name in names for word in ("grad", "inference", "context", "ctx", "maybe"))


_EXPECTING = ("raises", "assertRaises", "assertRaisesRegex", "suppress")


def expects_error(statement: ast.With | ast.AsyncWith) -> bool:
    """Is an error meant to be raised in this block? `with pytest.raises(RuntimeError):` and the like."""
    calls = [item.context_expr for item in statement.items if isinstance(item.context_expr, ast.Call)]
    return any(_last_name(call.func) in _EXPECTING for call in calls)


_CATCHING = ("RuntimeError", "Exception", "BaseException", "TypeError", "AttributeError", "NotImplementedError")


def catches_errors(statement: ast.Try) -> bool:
    """Does the program go on after any error in this block?"""
    for clause in statement.handlers:
        types = clause.type.elts if isinstance(clause.type, ast.Tuple) else [clause.type]
        wide = any(kind is None or _last_name(kind) in _CATCHING for kind in types)
        if wide and not any(isinstance(node, ast.Raise) for inner in clause.body for node in walk(inner)):
            return True
    return False


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _nothing() -> None:
    return None


def check_bare(run: Run, path: str, node: ast.expr) -> None:
    """Give a function to the class itself, which is an error in older versions."""
    if path in ("torch.no_grad", "torch.enable_grad") and not since(run.target, BARE_MODE_DECORATES):
        run.event("context-not-called", node, run.lib(path), entered=False)


def decorate(run: Run, function: Function, decorator: Value, node: ast.expr) -> Function:
    """Apply a decorator to a function: what stands in its place then, which is itself for those that have a model."""
    if isinstance(decorator, (Function, Bound)) and not _is_transparent(node):
        return _replaced(run, function, decorator, node)
    if isinstance(decorator, Instance) and "mode" in decorator.data:
        grad, inference = decorator.data["mode"]
        function.mode = (grad, inference, run.at(node))
        if "before" in decorator.data:
            # `set_grad_enabled` works at once; given a function, it sets back what was before.
            _set_back(run, decorator.data["before"])
    elif isinstance(decorator, Lib):
        path = decorator.path
        function.casts = function.casts or "amp" in path or "autocast" in path
        if path == "torch.autograd.function.once_differentiable":
            function.fields["once"] = True
        elif path in ("contextlib.contextmanager", "contextlib.asynccontextmanager"):
            function.fields["manager"] = True
        elif path in MODES:
            check_bare(run, path, node)
            function.mode = (*MODES[path], run.at(node))
        elif path in ("builtins.staticmethod", "builtins.classmethod", "builtins.property"):
            function.kind = path.removeprefix("builtins.").removesuffix("method")
        elif path == "functools.cached_property":
            function.kind = "property"
        elif not path.startswith(_TRANSPARENT):
            function.decorated = True
    elif isinstance(decorator, Instance) and decorator.path.startswith(_TRANSPARENT):
        function.casts = True
    elif isinstance(node, ast.Attribute) and node.attr in ("setter", "deleter", "getter"):
        from gradls.flow import expressions, properties

        return properties.decorate(run, function, node, expressions.eval_expr(run, node.value))
    elif _is_compiled(run, node):
        function.decorated = True
        function.fields["compiled"] = True
    elif not _is_transparent(node):
        function.decorated = True
        if _last_name(node.func if isinstance(node, ast.Call) else node) in _BELOW_AUTOGRAD:
            function.mode = (False, False, run.at(node))
        elif _may_change_mode(run, decorator, node):
            function.mode = (None, False, run.at(node))
    return function


_COMPILERS = frozenset(("cupy", "jax", "numba", "taichi", "tilelang", "triton", "warp"))
"""Packages whose decorators translate a function, which then works on the memory of its arguments."""


def _is_compiled(run: Run, node: ast.expr) -> bool:
    from gradls.flow import expressions

    while isinstance(node, (ast.Call, ast.Attribute)):
        node = node.func if isinstance(node, ast.Call) else node.value
    question = getattr(expressions.eval_expr(run, node), "question", None) if isinstance(node, ast.Name) else None
    return question is not None and question.module.partition(".")[0] in _COMPILERS


_BELOW_AUTOGRAD = frozenset(("custom_op", "triton_op", "register_fake", "register_kernel"))
"""The decorators of `torch.library`: what they register is called where nothing is recorded any more."""


def _replaced(run: Run, function: Function, decorator: Function | Bound, node: ast.expr) -> Function:
    """What a decorator of the program makes of a function."""
    from gradls.flow.calls import call_value

    called = decorator.function if isinstance(decorator, Bound) else decorator
    result = call_value(run, decorator, Call(node, [function])) if called is not None else decorator
    if not isinstance(result, Function):
        function.decorated = True
    elif result is not function and result.wrapped is None:
        result.wrapped = function
        result.kind = function.kind
        return result
    return function


_TRANSPARENT = (
    "torch.jit",
    "torch.compile",
    "torch.amp",
    "torch.cuda.amp",
    "torch.autocast",
    "torch._dynamo",
    "torch.compiler",
    "functools.wraps",
    "functools.lru_cache",
    "functools.cache",
    "abc.",
    "typing.",
    "typing_extensions.",
    "contextlib.contextmanager",
    "contextlib.asynccontextmanager",
)
_TRANSPARENT_NAMES = ("abstractmethod", "overload", "override", "jit", "custom_fwd", "custom_bwd", "register_to_config")


def _is_transparent(node: ast.expr) -> bool:
    """Decorators that leave what a function computes alone, known by their name only."""
    while isinstance(node, ast.Call):
        node = node.func
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in _TRANSPARENT_NAMES
