"""Mistakes that were missed when gradls first saw programs like these, and their right twins."""

from __future__ import annotations

from gradls.testing import programs
from tests.rules.applying import apply
from tests.rules.reported import IMPORTS, check_right, reported
from tests.rules.test_fixes_on_programs import told


def runs(code: str, program: str) -> list[tuple[str, str]]:
    """What the rule `code` says of a program that PyTorch runs as it states."""
    assert programs.check(IMPORTS + program).error is None
    return reported(code, program)


SCALED = """
encoder, decoder = nn.Linear(4, 4), nn.Linear(4, 4)
first, second = (torch.optim.SGD(part.parameters(), lr=0.1) for part in (encoder, decoder))
scaler, before = torch.amp.GradScaler("cpu"), decoder.weight.detach().clone()
for _ in range(3):
    first.zero_grad()
    second.zero_grad()
    loss = decoder(encoder(torch.randn(4, 4))).pow(2).mean()
    scaler.scale(loss).backward()
    scaler.step(first)
    scaler.{step}
    scaler.update()
assert torch.equal(before, decoder.weight) is {kept}
"""


def test_a_scaler_that_steps_one_optimizer_steps_no_other() -> None:
    program = SCALED.format(step="get_scale()", kept=True)
    assert runs("GRD603", program) == [("warning", "scaler.scale(loss).backward()")]
    check_right(IMPORTS + SCALED.format(step="step(second)", kept=False))


POINTS = """
import numpy as np

model = nn.Linear(4, 3)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
cloud = model(torch.randn(9, 4))
points = cloud{way}
near = torch.from_numpy(np.sqrt(points ** 2)).mean()
assert not near.requires_grad
(near + 0.1 * cloud.pow(2).mean()).backward()
opt.step()
"""


def test_what_was_detached_to_become_an_array_may_be_moved_first() -> None:
    for way in (".detach().cpu().numpy()", ".data.cpu().numpy()", '.detach().squeeze().to("cpu").numpy()'):
        assert runs("GRD105", POINTS.format(way=way)) == [("warning", "cloud" + way)]


FORCES = """
net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.1)
place = torch.randn(5, 3).requires_grad_(True)
energy = net(place).sum()
forces = -torch.autograd.grad(energy, place, {how}=True)[0]
force_loss = (forces - 1.0).pow(2).mean()
assert force_loss.requires_grad is {trains}
loss = (energy - 2.0).pow(2) + 10.0 * force_loss
opt.zero_grad()
loss.backward()
opt.step()
"""


def test_forces_that_have_no_graph_are_a_constant_term() -> None:
    [found] = runs("GRD115", FORCES.format(how="retain_graph", trains=False))
    assert found == ("warning", "torch.autograd.grad(energy, place, retain_graph=True)")
    check_right(IMPORTS + FORCES.format(how="create_graph", trains=True))


def test_a_derivative_that_weighs_a_term_is_a_constant_on_purpose() -> None:
    program = FORCES.format(how="retain_graph", trains=False).replace("10.0 * force_loss", "energy * force_loss")
    assert runs("GRD115", program) == []


NORMAL = """
encoder, spread, decoder = nn.Linear(5, 2), nn.Linear(5, 2), nn.Linear(2, 5)
opt = torch.optim.SGD([*encoder.parameters(), *spread.parameters(), *decoder.parameters()], lr=0.1)
x = torch.randn(8, 5)
mean, std = encoder(x), spread(x).exp()
code = torch.normal(mean, std)
mended = torch.autograd.grad(code.sum(), mean, retain_graph=True)[0].abs().sum() > 0
loss = F.mse_loss(decoder(code), x) + 0.1 * (mean.pow(2) + std.pow(2) - 2 * std.log()).mean()
opt.zero_grad()
loss.backward()
opt.step()
"""


def test_a_draw_whose_gradient_is_zero_beside_a_divergence() -> None:
    text = IMPORTS + NORMAL
    assert runs("GRD112", NORMAL + "assert not mended\n") == [("information", "torch.normal(mean, std)")]
    source, [found] = told("GRD112", text)
    new = apply(text, found.fixes[0].build(), source.lines)
    assert "code = mean + std * torch.randn_like(std)" in new
    check_right(new + "assert mended\n")


def test_a_draw_whose_probability_is_what_is_trained() -> None:
    program = """
    policy = nn.Linear(3, 1)
    mean = policy(torch.randn(8, 3))
    action = torch.normal(mean, torch.ones(8, 1))
    score = torch.distributions.Normal(mean, 1.0).log_prob(action)
    (-score * torch.randn(8, 1)).mean().backward()
    """
    assert reported("GRD112", program) == []


SORTED = """
model = nn.Linear(2, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
out = model(torch.randn(6, 2))
far = (torch.tensor(sorted(out.flatten().tolist())) - torch.rand(6).sort().values).abs().mean()
assert not far.requires_grad
(far + 0.1 * model.weight.pow(2).sum()).backward()
opt.step()
"""
TAPS = """
import numpy as np

cutoff, gain = nn.Parameter(torch.tensor(0.2)), nn.Parameter(torch.ones(1))
opt = torch.optim.SGD([cutoff, gain], lr=0.1)


def design(cutoff):
    return np.sinc(2 * cutoff * np.arange(5)) * np.hamming(5)


taps = torch.as_tensor(design(float(cutoff)), dtype=torch.float32)
(gain * taps).sum().backward()
assert cutoff.grad is None
opt.step()
"""


def test_no_fix_keeps_tensors_where_others_take_numbers() -> None:
    for program in (SORTED, TAPS):
        _, [found] = told("GRD104", IMPORTS + program)
        assert runs("GRD104", program)
        assert not found.fixes


def test_the_name_of_a_layer_in_a_class_is_none_behind_the_class() -> None:
    program = """
class Tagger(nn.Module):
    embed = nn.Embedding(9, 4)

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, ids):
        return self.fc(self.embed(ids))


tagger = Tagger()
opt = torch.optim.SGD(tagger.parameters(), lr=0.1)
for _ in range(2):
    opt.zero_grad()
    tagger(torch.tensor([1, 2])).sum().backward()
    opt.step()
assert len([*tagger.parameters()]) == 2
"""
    assert runs("GRD607", program)
    assert not any(found.fixes for found in told("GRD607", IMPORTS + program)[1])
