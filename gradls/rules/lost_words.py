"""What it costs that a gradient is cut off, in words."""

from __future__ import annotations

from gradls.flow.facts import Facts
from gradls.flow.lost import Lost
from gradls.rules.words import code, owners

_UNLESS = {
    "raises": "",
    "given": "unless the data that it is compared with require grad, ",
    "criterion": "unless what computes the loss has parameters of its own, ",
    "quiet": "unless what is called there switches them on again, ",
    "tensor": "if it is a tensor, ",
}
"""When backward raises."""

_COSTS = {
    "parameters": ": no gradient ever reaches {who}, which the optimizer is meant to train",
    "untrained": (": no gradient reaches {who}. If these are meant to be trained, the gradient must pass here"),
    "forward": (
        ": nothing that `forward` returns has a gradient to {who}. If these are meant to be trained, the gradient must "
        "pass here"
    ),
    "network": (
        ": nothing that is differentiated here has a gradient to the network that computed it, and there are more "
        "optimizers than networks that get one. If it is to be trained, the gradient must pass here"
    ),
    "beside": (
        ": the gradient of {who} does not pass this term, and is that of the other terms only. To freeze the layer, "
        "`requires_grad_(False)` is enough"
    ),
    "before": (", before the loop that trains {who}: there it keeps the value that it had then. Read it in each round"),
    "constant": (": this term of the loss is a constant. If it is to train anything, the gradient must pass here"),
}
"""What it costs where nothing raises."""

_OF_REST = (
    ": no gradient ever reaches {who}, which the optimizer is given with the rest of the model. If this part is to be "
    "trained too, the gradient must pass here"
)


def costs(facts: Facts, lost: Lost, what: str, *, of_rest: bool) -> str:
    """The message: `what` is done, and what that costs. `of_rest`: it may be meant for a part of a larger model."""
    who = owners(lost.leaves)
    if lost.why in _UNLESS:
        no_graph = "this loss has no graph"
        if lost.why == "raises":
            no_graph += " left"
            if lost.leaves:
                no_graph = f"no gradient can reach {who}, {no_graph}"
        return f"{what}: {_UNLESS[lost.why]}{no_graph}, and {code(facts, lost.backward.at.node)} raises"
    cost = _OF_REST if of_rest else _COSTS.get(lost.why, ": this term of the loss is a constant and trains nothing")
    return what + cost.format(who=who)
