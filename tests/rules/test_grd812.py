"""Hooks that look up a variable of the loop that registers them."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

LAYERS = """
layers = {"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)}
masks = {"a": torch.zeros(2, 2), "b": torch.ones(2, 2)}
"""


@pytest.mark.parametrize(
    ("loop", "found"),
    [
        ("for n, m in layers.items():\n    m.weight.register_hook(lambda g: g * masks[n])", True),
        ("for n, m in layers.items():\n    m.weight.register_hook(lambda g, n=n: g * masks[n])", False),
        ("for n, m in layers.items():\n    m.weight.register_hook(lambda g: g * 0.5)", False),
        ("for n, m in layers.items():\n    s = masks[n]\n    m.weight.register_hook(lambda g: g * s)", True),
        ("for n, m in layers.items():\n    s = 0.5\n    m.weight.register_hook(lambda g: g * s)", False),
        ("[m.weight.register_hook(lambda g: g * masks[n]) for n, m in layers.items()]", True),
        (
            "for n, m in layers.items():\n    def hook(g):\n        return g * masks[n]\n"
            "    m.weight.register_hook(hook)",
            True,
        ),
        (
            "for n, m in layers.items():\n    def hook(g):\n        n = 'a'\n        return g * masks[n]\n"
            "    m.weight.register_hook(hook)",
            False,
        ),
        (
            "for n, m in layers.items():\n    h = m.weight.register_hook(lambda g: g * masks[n])\n"
            "    m(torch.ones(1, 2)).sum().backward()\n    h.remove()",
            False,
        ),
        (
            "for n, m in layers.items():\n    def hook(g):\n        return g * m.bias\n"
            "    m.weight.register_hook(hook)",
            True,
        ),
        (
            "for n, m in layers.items():\n    def hook(g):\n        m.weight.shape\n    m.weight.register_hook(hook)",
            False,
        ),
        ("for n, m in layers.items():\n    m.weight.register_hook((lambda s: lambda g: g * s)(masks[n]))", False),
    ],
)
def test_hooks_in_a_loop(loop: str, found: bool) -> None:
    program = f"{LAYERS}{loop}\n"
    check = (
        "\nlayers['b'](layers['a'](torch.ones(1, 2))).sum().backward()\nlate = bool(layers['a'].weight.grad.any())\n"
    )
    assert (len(reported("GRD812", program)) == 1) is found
    names: dict[str, object] = {}
    exec("import torch\nfrom torch import nn\n" + program + check, names)
    assert names["late"] or not found


def test_hooks_of_an_unknown_model() -> None:
    snippet = """
    def freeze(model, masks):
        for name, parameter in model.named_parameters():
            parameter.register_hook(lambda gradient: gradient * masks[{key}])
    """
    assert [severity for severity, _ in reported("GRD812", snippet.format(key="name"))] == ["warning"]
    assert reported("GRD812", snippet.format(key="0")) == []
