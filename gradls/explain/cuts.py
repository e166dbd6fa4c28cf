"""What cut a gradient off, in words."""

from __future__ import annotations

from gradls.explain.places import text, where
from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.reach import frontier

_WORDS = {
    "detach": "{text} on {line} cuts it off",
    "data": "{text} on {line} reads the values only, without their gradient",
    "number": "{text} on {line} makes a Python number of it",
    "numpy": "{text} on {line} goes through NumPy, which records nothing",
    "copy": "{text} on {line} copies the values only",
    "rewrap": "{text} on {line} makes a new tensor of the values only",
    "no_grad": "{text} on {line} switches gradients off",
    "integer": "{text} on {line} gives integers or booleans, which have no gradient",
    "no_derivative": "{text} on {line} has no derivative",
    "sample": "{text} on {line} draws a sample, through which no gradient flows",
    "state_dict": "{text} on {line} gives detached values",
    "parameter": "{text} on {line} makes a new parameter of the values only",
    "grad": "the gradient of {line} was computed without `create_graph=True`",
    "constant": "{text} on {line} is a constant",
    "checkpoint": "{text} on {line} needs an input that requires grad",
}
_SHORT = {
    "data": ".data",
    "number": "Python number",
    "numpy": "NumPy",
    "copy": "copied values",
    "rewrap": "copied values",
    "integer": "integers",
    "sample": "sample",
    "state_dict": "state_dict",
    "parameter": "new parameter",
    "grad": "no create_graph",
    "constant": "constant",
    "checkpoint": "checkpoint",
}
_MODES = ("inference_mode", "no_grad", "set_grad_enabled")


def phrase(facts: Facts, node: Node) -> str:
    """ "`x.detach()` on line 7 cuts it off": what the cut at this node of the graph does, and where."""
    cut = node.cut
    assert cut is not None
    words = _WORDS.get(cut.kind, "{text} on {line} cuts it off")
    return words.format(text=text(facts, cut.at.node), line=where(facts, cut.at))


def short(facts: Facts, node: Node) -> str:
    """The same in a word or two."""
    cut = node.cut
    assert cut is not None
    if cut.kind == "no_grad":
        written = text(facts, cut.at.node)
        return next((mode for mode in _MODES if mode in written), "gradients are off")
    if cut.kind == "no_derivative":
        return f"{node.op} has no derivative"
    return _SHORT.get(cut.kind, cut.kind)


def losses(root: Node) -> list[Node]:
    """The cuts met first on the way back from `root` that surely cost it gradient."""
    return [node for node in frontier(root) if node.cut is not None and node.cut.certain]
