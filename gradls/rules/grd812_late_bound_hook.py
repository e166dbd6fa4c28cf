"""GRD812."""

import ast
from collections.abc import Iterable, Iterator

from gradls.flow.facts import Facts
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity, Step
from gradls.rules.rule import Rule
from gradls.rules.training_order import rounds_of
from gradls.syntax.walk import walk

_REGISTERING = (
    "register_hook",
    "register_post_accumulate_grad_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
)
_TRAINING = ("backward", "grad", "train", "fit", "learn", "step")


class LateBoundHook(Rule):
    """A hook for gradients that takes the variable of the loop in which it is registered.

    ## What it finds
    A lambda or a function that is made in a loop or a comprehension and registered as a hook for gradients, and that
    reads what the loop gives another value in each round, where no backward runs in that loop.

    ## Why it matters
    Python looks a variable up when the hook is called, and it is called when `backward()` runs: then the loop is over.
    All hooks use what the last round left, the mask or the scale of the last parameter, for every gradient.

    ## What PyTorch does
    Nothing, if the shapes fit.

    ## Example
    ```python
    import torch

    layers = {"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)}
    masks = {"a": torch.zeros(2, 2), "b": torch.ones(2, 2)}
    for name, layer in layers.items():
        layer.weight.register_hook(lambda gradient: gradient * masks[name])
    layers["b"](layers["a"](torch.ones(1, 2))).sum().backward()
    assert layers["a"].weight.grad.any()
    ```

    ## Use instead
    A default value, which is computed when the function is made.

    ```python
    import torch

    layers = {"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)}
    masks = {"a": torch.zeros(2, 2), "b": torch.ones(2, 2)}
    for name, layer in layers.items():
        layer.weight.register_hook(lambda gradient, name=name: gradient * masks[name])
    layers["b"](layers["a"](torch.ones(1, 2))).sum().backward()
    assert not layers["a"].weight.grad.any()
    ```

    ## When it is silent
    Where the loop itself runs the backward, or something that may.

    ## Fix safety
    Safe for a lambda: it is given the variable as a default value.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
    - https://docs.python.org/3/faq/programming.html#why-do-lambdas-defined-in-a-loop-with-different-values-all-return-the-same-result
    """

    code, name, severity = "GRD812", "late-bound-hook", Severity.WARNING
    whole_file = True

    def check(self, facts: Facts) -> Iterable[Finding]:
        seen: set[ast.AST] = set()
        for call, _ in facts.called(*_REGISTERING):
            if call in seen or not call.args:
                continue
            seen.add(call)
            for loop, inside in _loops_around(facts, call):
                hook = _function(call.args[0], inside)
                read = _late(hook, facts.source_of(call).once(_changing, loop)) if hook is not None else []
                names = [facts.segment(part) for part in read]
                if hook is not None and names and not _trains(facts, loop, call):
                    yield self._report(facts, call, hook, names, loop)
                    break

    def _report(
        self, facts: Facts, call: ast.Call, hook: ast.Lambda | ast.FunctionDef, names: list[str], loop: ast.AST
    ) -> Finding:
        written = " and ".join(f"`{name}`" for name in names)
        message = (
            f"this hook looks {written} up when `backward()` calls it, and finds what the last round of the loop left: "
            "all hooks use the same. Give it the value as a default, "
            f"`{', '.join(f'{name}={name}' for name in names)}`"
        )
        source = facts.source_of(call)
        fixes = []
        if isinstance(hook, ast.Lambda) and _is_plain(hook.args):
            given = [facts.segment(one) for one in hook.args.args]
            new = f"lambda {', '.join([*given, *(f'{name}={name}' for name in names)])}: {facts.segment(hook.body)}"
            fixes.append(Fix("Bind the value now", Safety.SAFE, edits.replace_expression(Place(source, hook), new)))
        story = (
            [Step(Place(source, loop.target), "it changes here")] if isinstance(loop, (ast.For, ast.AsyncFor)) else []
        )
        return self.finding(Place(source, hook if isinstance(hook, ast.Lambda) else call), message, story, fixes)


def _loops_around(facts: Facts, call: ast.Call) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    """The loops and comprehensions around a call in its function, with all that is written in each round."""
    for outer in facts.parents(call):
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            return
        if isinstance(outer, (ast.For, ast.AsyncFor)):
            yield outer, facts.source_of(call).once(_within, outer)
        elif isinstance(outer, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            yield outer, walk(outer.elt)


def _within(loop: ast.For | ast.AsyncFor) -> list[ast.AST]:
    return [part for statement in loop.body for part in walk(statement)]


def _function(given: ast.expr, inside: list[ast.AST]) -> ast.Lambda | ast.FunctionDef | None:
    """The function that is made in the loop and given as the hook."""
    if isinstance(given, ast.Lambda):
        return given
    if not isinstance(given, ast.Name):
        return None
    made = [part for part in inside if isinstance(part, ast.FunctionDef) and part.name == given.id]
    return made[0] if len(made) == 1 else None


def _changing(loop: ast.AST) -> set[str]:
    """The names that have another value in each round: the targets, and what is computed from them at once."""
    targets = [loop.target] if isinstance(loop, (ast.For, ast.AsyncFor)) else []
    if isinstance(loop, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
        targets = [generator.target for generator in loop.generators]
    names = {part.id for target in targets for part in walk(target) if isinstance(part, ast.Name)}
    for statement in loop.body if isinstance(loop, (ast.For, ast.AsyncFor)) else []:
        if isinstance(statement, ast.Assign) and _names_in(statement.value) & names:
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return names


def _names_in(node: ast.AST) -> set[str]:
    return {part.id for part in walk(node) if isinstance(part, ast.Name)}


def _is_plain(arguments: ast.arguments) -> bool:
    """Are there none but plain ones, without defaults?"""
    others = (arguments.posonlyargs, arguments.kwonlyargs, arguments.defaults, arguments.vararg, arguments.kwarg)
    return not any(others)


def _late(hook: ast.Lambda | ast.FunctionDef, changing: set[str]) -> list[ast.Name]:
    """Where a function first reads each of these names when it is called."""
    arguments = hook.args
    own = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    own |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None}
    body: list[ast.AST] = [hook.body] if isinstance(hook, ast.Lambda) else list(hook.body)
    nodes = [part for statement in body for part in walk(statement)]
    parts = [part for part in nodes if isinstance(part, ast.Name)]
    own |= {part.id for part in parts if not isinstance(part.ctx, ast.Load)}
    # An attribute of an object may be the same for all of them, unless the gradient is computed with it.
    returned = body if isinstance(hook, ast.Lambda) else [part for part in nodes if isinstance(part, ast.Return)]
    told = {part for one in returned for part in walk(one)}
    owners = {part.value for part in nodes if isinstance(part, ast.Attribute)}
    found = [part for part in parts if part.id in changing - own and (part in told or part not in owners)]
    return list({part.id: part for part in reversed(found)}.values())[::-1]


def _trains(facts: Facts, loop: ast.AST, call: ast.Call) -> bool:
    """May a backward run in the loop, so that the hook is called in the round that registers it?"""
    for event in facts.of("backward", "grad-call", "unknown-step"):
        if any(getattr(one.loop, "statement", None) is loop for one in rounds_of(event.path)):
            return True
    for part in walk(loop):
        if isinstance(part, ast.Call) and part is not call:
            name = getattr(part.func, "attr", getattr(part.func, "id", ""))
            if name not in _REGISTERING and any(word in name for word in _TRAINING):
                return True
    return False
