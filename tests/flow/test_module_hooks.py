"""Hooks of modules run when, and as long as, they are there."""

from __future__ import annotations

import pytest

from tests.rules.reported import reported

NET = """
net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
"""


@pytest.mark.parametrize(
    ("hook", "found"),
    [
        ("handle = net.register_forward_hook(lambda m, i, o: o.detach())", 1),
        ("handle = net.register_forward_hook(lambda m, i, o: print(o.shape))", 0),
        ("handle = net.register_forward_hook(lambda m, i, o: o.detach())\nhandle.remove()", 0),
        ("handle = net[2].register_forward_pre_hook(lambda m, i: (i[0].detach(),))", 1),
        ("handle = net[2].register_forward_pre_hook(lambda m, i: i[0].detach())", 1),
        ("handle = net[2].register_forward_hook(lambda m, a, k, o: o.detach(), with_kwargs=True)", 1),
    ],
)
def test_what_a_forward_hook_returns_takes_the_place_of_the_output(hook: str, found: int) -> None:
    program = f"{NET}{hook}\nloss = net(torch.randn(8, 3)).mean()\nloss.backward()\nopt.step()\n"
    assert len(reported("GRD101", program)) == found


def test_features_from_a_hook_have_their_gradient() -> None:
    program = """
    kept = {}
    def keep(name):
        def hook(module, inputs, output):
            kept[name] = output
        return hook
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    opt = torch.optim.SGD(net[0].parameters(), lr=0.1)
    for name, module in net.named_modules():
        module.register_forward_hook(keep(name))
    with torch.no_grad():
        net(torch.randn(8, 3))
    loss = kept["0"].mean()
    loss.backward()
    opt.step()
    """
    assert [severity for severity, _ in reported("GRD106", program)] == ["error"]
    assert not reported("GRD106", program.replace("torch.no_grad()", "torch.enable_grad()"))
