"""GRD106."""

import ast
from collections.abc import Iterable, Iterator, Sequence

from gradls.flow.contents import tensors_in
from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.lost import Lost
from gradls.flow.reach import walk as nodes_behind
from gradls.flow.values import Tensor, Value
from gradls.rules import edits
from gradls.rules.finding import Finding, Fix, Place, Safety, Severity
from gradls.rules.lost_gradient import LostGradientRule
from gradls.rules.updates import is_cleared, update_of
from gradls.rules.words import code, place
from gradls.syntax.walk import walk


class ForwardWithoutGrad(LostGradientRule):
    """A loss, or a part of the model that trains, computed with gradients switched off.

    ## What it finds
    A computation under `torch.no_grad()`, `torch.inference_mode()` or `torch.set_grad_enabled(False)`, as a block, a
    decorator or a statement that stays in force, on which `backward()` is called later. As information, the same
    between a part of a module and what its `forward` returns, in a file that does not train it; a term of a loss; and
    a frozen layer in a sum whose other terms pass gradient to the same input.

    ## Why it matters
    With grad mode off PyTorch records nothing. The result is a constant: a loss made of it has no graph, and
    parameters that are used only there never train.

    ## What PyTorch does
    If nothing of the loss was recorded, `backward()` raises

        RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn

    If another part was, nothing is said.

    ## Example
    ```python
    import torch

    model = torch.nn.Linear(3, 1)


    @torch.no_grad()
    def step(x):
        loss = model(x).pow(2).mean()
        loss.backward()  # raises RuntimeError: element 0 of tensors does not require grad


    step(torch.randn(8, 3))
    ```

    ```python
    import torch

    encoder, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    with torch.no_grad():
        features = encoder(torch.randn(8, 3))
    head(features).pow(2).mean().backward()
    optimizer.step()
    assert encoder.weight.grad is None
    ```

    ## Use instead
    The forward pass outside of the block.

    ```python
    import torch

    model = torch.nn.Linear(3, 1)


    def step(x):
        loss = model(x).pow(2).mean()
        loss.backward()


    step(torch.randn(8, 3))
    assert model.weight.grad is not None
    ```

    ## When it is silent
    For evaluation, targets, moving averages and frozen parts: whatever no optimizer is meant to train, or what another
    backward trains. Calling `backward()` inside of a block is fine if the graph was made outside.

    ```python
    import torch

    backbone, head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    with torch.no_grad():
        features = backbone(torch.randn(8, 3))
    loss = head(features).pow(2).mean()
    with torch.no_grad():
        loss.backward()
    optimizer.step()
    assert head.weight.grad is not None
    ```

    ## Fix safety
    Suggested: the block, or the decorator, may be meant for something else in it. None for what is computed
    among statements that write to parameters.

    ## References
    - https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html
    - https://docs.pytorch.org/docs/stable/notes/autograd.html
    """

    code, name, severity = "GRD106", "forward-without-grad", Severity.ERROR
    whole_file = True
    kinds = ("no_grad",)
    does = "switches gradients off while this is computed"

    def check(self, facts: Facts) -> Iterable[Finding]:
        # A generator that leaves its mode to its consumer is another rule's.
        left = {event.leak.at for event in facts.of("generator-leak") if event.leak.uses}
        for lost in self.losses(facts):
            if lost.cut.cut is not None and lost.cut.cut.at not in left:
                yield self.report(facts, lost)

    def fixes(self, facts: Facts, lost: Lost) -> Sequence[Fix]:
        cut, at = lost.cut.cut, lost.cut.at
        assert cut is not None
        block = facts.statement(cut.at.node)
        statement = facts.statement(at.node) if at is not None else None
        if statement is not None and update_of(statement):
            where = Place(facts.source_of(statement), statement)
            clear = not is_cleared(facts, statement)
            build = edits.update_in_place(where, facts.torch_name, clear)
            return [Fix("Update it in place", Safety.SUGGESTED, build)]
        if isinstance(block, ast.With) and len(block.items) == 1:
            return self._out_of_block(facts, block, lost, statement)
        if isinstance(block, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._of_decorator(facts, lost, block)
        if isinstance(block, ast.Expr):
            return self._of_statement(facts, lost, block)
        return []

    def _out_of_block(self, facts: Facts, block: ast.With, lost: Lost, statement: ast.stmt | None) -> Sequence[Fix]:
        """Move what is computed out of the block, at its beginning or its end, or all of it."""
        context = code(facts, block.items[0].context_expr)
        where = Place(facts.source_of(block), block)
        if statement is not None and statement in (block.body[0], block.body[-1]) and _are_apart([statement], block):
            build = edits.move_statement_out_of_with(Place(where.source, statement), where)
            return [Fix(f"Move it out of {context}", Safety.SUGGESTED, build)]
        losing = _losing(facts, block, lost)
        if losing != block.body and _can_move(losing, block):
            first, last = Place(where.source, losing[0]), Place(where.source, losing[-1])
            what = "it" if first == last else f"{len(losing)} statements from {code(facts, losing[0])} on"
            build = edits.move_statement_out_of_with(first, where, last)
            return [Fix(f"Move {what} out of {context}", Safety.SUGGESTED, build)]
        if any(map(_needs_no_grad, walk(block))):
            return []
        build = edits.move_statement_out_of_with(where, where)
        return [Fix(f"Move all of the block out of {context}", Safety.SUGGESTED, build)]

    def _of_decorator(
        self, facts: Facts, lost: Lost, function: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> Sequence[Fix]:
        """Take the decorator away. Of a function that calls what it is given, as an optimizer calls its closure, only
        that call has gradients."""
        cut = lost.cut.cut
        assert cut is not None
        source = facts.source_of(function)
        given = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
        for at, _ in lost.backward.callers():
            called = at.node.func if isinstance(at.node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in given and facts.function(at.node) is function:
                build = edits.wrap_in_no_grad(place(at), facts.torch_name, "enable_grad")
                return [Fix("Switch gradients on for this call", Safety.SUGGESTED, build)]
        if any(map(_needs_no_grad, walk(function))) or cut.at.node not in function.decorator_list:
            return []
        build = edits.remove_decorator(Place(source, cut.at.node))
        return [Fix(f"Remove `@{facts.segment(cut.at.node)}`", Safety.SUGGESTED, build)]

    def _of_statement(self, facts: Facts, lost: Lost, statement: ast.Expr) -> Sequence[Fix]:
        """A function that switches gradients off for itself, and leaves them off for all that comes later."""
        function = facts.function(statement)
        at = lost.cut.at
        if function is None or statement not in function.body or at is None or function in facts.parents(at.node):
            return []
        inside = [called.node for called, _ in lost.backward.callers()]
        if function in facts.parents(lost.backward.at.node) or any(function in facts.parents(call) for call in inside):
            return []
        if len(function.body) < 2 or "set_grad_enabled" in facts.segment(function).replace(
            facts.segment(statement), "", 1
        ):
            return []
        source = facts.source_of(function)
        build = edits.together(
            edits.add_decorator(Place(source, function), f"{facts.torch_name}.no_grad()"),
            edits.delete_statement(Place(source, statement)),
        )
        return [Fix(f"Switch gradients off within `{function.name}` only", Safety.SUGGESTED, build)]


def _losing(facts: Facts, block: ast.With, lost: Lost) -> list[ast.stmt]:
    """The statements of a block in which functions are called that compute what has lost its gradient there."""
    assert lost.cut.cut is not None
    cuts = {node for node in (lost.cut, *lost.others) if node.cut is not None and node.cut.at == lost.cut.cut.at}
    calls = {item: [part for part in walk(item) if isinstance(part, ast.Call)] for item in block.body}
    return [
        item
        for item in block.body
        if any(cuts.intersection(_histories(value)) for call in calls[item] for _, _, value in facts.evaluations(call))
    ]


def _can_move(statements: list[ast.stmt], block: ast.With) -> bool:
    """Do these begin or end a block, need nothing of it, and compute nothing that its other statements use?"""
    many = len(statements)
    at_an_end = many > 0 and statements in (block.body[:many], block.body[-many:])
    needing = any(_needs_no_grad(part) for statement in statements for part in walk(statement))
    return at_an_end and not needing and _are_apart(statements, block)


def _histories(value: Value) -> Iterator[Node]:
    """What the tensors in the result of a call are computed from."""
    for part in tensors_in(value):
        if isinstance(part, Tensor):
            yield from nodes_behind(part.node)


def _are_apart(statements: list[ast.stmt], block: ast.With) -> bool:
    """Do the other statements of the block compute nothing from what these bind?"""
    parts = [part for statement in statements for part in walk(statement)]
    names = {part.id for part in parts if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)}
    others = [part for item in block.body if item not in statements for part in walk(item)]
    return not any(isinstance(part, ast.Name) and part.id in names for part in others)


def _needs_no_grad(node: ast.AST) -> bool:
    """May this write to a leaf, which only works without gradients?"""
    if isinstance(node, ast.AugAssign):
        return True
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr.endswith("_")
        and not node.func.attr.endswith("__")
    )
