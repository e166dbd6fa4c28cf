"""Ways through the history of a value, whether gradient flows there or not."""

from __future__ import annotations

import ast

from gradls.flow.graph import Node
from gradls.flow.reach import walk


def history_between(root: Node, to: Node) -> list[Node]:
    """The nodes on a shortest way from `root` back to another node, both included; empty if there is none."""
    before: dict[Node, Node | None] = {root: None}
    todo = [root]
    for node in todo:
        if node is to:
            break
        for edge in node.edges:
            if edge.node not in before:
                before[edge.node] = node
                todo.append(edge.node)
    found: list[Node] = []
    step: Node | None = to if to in before else None
    while step is not None:
        found.append(step)
        step = before[step]
    return found[::-1]


def all_between(root: Node, to: Node) -> set[Node]:
    """The nodes on all ways from `root` back to another node, without that one."""
    users: dict[Node, list[Node]] = {}
    for node in walk(root):
        for edge in node.edges:
            users.setdefault(edge.node, []).append(node)
    found: set[Node] = set()
    todo = [to]
    while todo:
        for user in users.get(todo.pop(), ()):
            if user not in found:
                found.add(user)
                todo.append(user)
    return found


def holder_in(node: ast.AST) -> ast.expr | None:
    """`kept` of `kept.append(x)`, `kept[i] = x` and `kept.x = y`."""
    target = node.func if isinstance(node, ast.Call) else node
    return target.value if isinstance(target, (ast.Attribute, ast.Subscript)) else None


def comes_from_holder(root: Node, kept: set[Node], keeping: ast.AST) -> bool:
    """Does `root` get what `keeping` puts somewhere, such as `kept.append(x)`, from there, as by `torch.stack(kept)`?
    It can get it in no other way if what is kept has no name of its own."""
    holder = holder_in(keeping)
    given = keeping.args[0] if isinstance(keeping, ast.Call) and keeping.args else None
    if holder is None:
        return False
    if isinstance(given, (ast.Call, ast.BinOp)) and any(node in kept for node in walk(root)):
        return True
    written = ast.dump(holder)
    users = (user for user in walk(root) if user.at is not None and any(edge.node in kept for edge in user.edges))
    return any(ast.dump(part) == written for user in users if user.at for part in ast.walk(user.at.node))
