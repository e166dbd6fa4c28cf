"""Mistakes that were missed when gradls first saw programs like these, and their right twins."""

from __future__ import annotations

from gradls.testing import programs
from tests.rules.applying import apply
from tests.rules.reported import IMPORTS, check_error, check_right, reported
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


def test_a_draw_whose_gradient_is_zero_and_that_is_all() -> None:
    program = NORMAL.replace(
        "loss = F.mse_loss(decoder(code), x) + 0.1 * (", "loss = F.mse_loss(decoder(code), x)  # ("
    )
    assert runs("GRD112", program) == []
    assert runs("GRD108", program) == [("warning", "torch.normal(mean, std)")]


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


RATES = """
model = nn.Linear(3, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.1)


def adjust(optimizer, epoch):
    optimizer.defaults["lr"] = 0.1 ** (epoch + 2)
    {more}


for epoch in range(3):
    adjust(opt, epoch)
    opt.zero_grad()
    model(torch.randn(4, 3)).pow(2).mean().backward()
    opt.step()
assert opt.param_groups[0]["lr"] == 0.1
"""


def test_the_defaults_of_an_optimizer_are_for_other_groups() -> None:
    assert runs("GRD503", RATES.format(more="pass")) == [("warning", 'optimizer.defaults["lr"]')]
    added = RATES.format(more="").replace("opt.zero_grad()", "opt.add_param_group({'params': [torch.ones(1)]})", 1)
    assert runs("GRD503", added) == []
    assert runs("GRD503", RATES.format(more='print(optimizer.defaults["lr"])')) == []


SUMS = """
class Trainer:
    def __init__(self):
        self.model, self.gain = nn.Linear(3, 3), nn.Parameter(torch.ones(3))
        self.opt = torch.optim.SGD([*self.model.parameters(), self.gain], lr=0.1)
        self.logged = []

    def loss_of(self, x):
        out = self.model(x)
        main = F.mse_loss(out, x)
        other = (out.detach() * self.gain - x).pow(2).mean()
        total = main + 0.1 * other
        self.logged.append(total.item())
        return {given}

    def step(self, x):
        loss = self.loss_of(x)
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()


trainer = Trainer()
trainer.step(torch.randn(8, 3))
assert (trainer.gain.grad is None) is {lost}
"""


def test_a_sum_that_is_logged_while_a_term_of_it_is_propagated() -> None:
    assert runs("GRD614", SUMS.format(given="main", lost=True)) == [("information", "total")]
    check_right(IMPORTS + SUMS.format(given="total", lost=False))
    assert runs("GRD614", SUMS.format(given="total", lost=False)) == []


def test_a_sum_of_what_is_propagated_term_by_term_may_be_logged() -> None:
    program = """
one, two = nn.Linear(3, 1), nn.Linear(3, 1)
real, fake = one(torch.randn(8, 3)).mean(), two(torch.randn(8, 3)).mean()
both = real + fake
real.backward()
fake.backward()
print(both.item())
assert two.weight.grad is not None
"""
    assert runs("GRD614", program) == []


GATE = """
class Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        Gate.mask = (x > 0).float()
        return x * Gate.mask

    @staticmethod
    def backward(ctx, gradient):
        return gradient * Gate.mask


x = torch.tensor([1.0, -1.0], requires_grad=True)
"""


def test_what_a_function_keeps_on_its_class_is_overwritten() -> None:
    twice = GATE + "y = Gate.apply(x) + 0 * Gate.apply(-x)\ny.sum().backward()\nassert x.grad.tolist() == [0, 1]\n"
    assert runs("GRD804", twice) == [("warning", "Gate.mask")]
    in_function = GATE + "\n\ndef run(x):\n    (Gate.apply(x) + Gate.apply(-x)).sum().backward()\n"
    assert runs("GRD804", in_function) == [("warning", "Gate.mask")]
    once = GATE + "for _ in range(2):\n    Gate.apply(x).sum().backward()\nassert x.grad.tolist() == [2, 0]\n"
    assert runs("GRD804", once) == []


ROWS = """
from torch.func import grad, vmap


def loss(weight, x, y):
    error = (weight * x - y).abs().sum()
    {read}
    return error


weight, xs, ys = torch.ones(2), torch.randn(5, 2), torch.randn(5, 2)
vmap(grad(loss), in_dims=(None, 0, 0))(weight, xs, ys)
"""


def test_vmap_along_some_arguments_reads_no_number_of_these() -> None:
    check_error("GRD315", IMPORTS + ROWS.format(read="print(error.item())").rstrip() + "  # raises RuntimeError")
    assert reported("GRD315", ROWS.format(read="print(error.item())")) == [("error", "error.item()")]
    right = ROWS.replace("vmap(grad(loss), in", "vmap(lambda w, x, y: w.sum().item() * x, in").format(read="pass")
    assert runs("GRD315", right) == []
    last = ROWS.replace("(None, 0, 0)", "(None, -1, 0)").replace("(5, 2), torch", "(2, 5), torch").format(read="pass")
    assert runs("GRD315", last) == []


BEST = """
import copy

model = nn.Linear(3, 1)
opt, best, lowest = torch.optim.SGD(model.parameters(), lr=0.1), copy.deepcopy(model), 1e9
for x in torch.randn(6, 8, 3):
    loss = model(x).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if loss.item() < lowest:
        lowest, best = loss.item(), copy.deepcopy(model)
    else:
        model.load_state_dict(best.state_dict())
"""


def test_the_best_model_so_far_is_what_a_bad_round_goes_back_to() -> None:
    assert runs("GRD714", BEST) == []


PHASES = """
model = nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
before = model.weight.detach().clone()
for phase in ("{first}", "val"):
    for x in torch.randn(3, 8, 4):
        opt.zero_grad()
        with torch.set_grad_enabled(phase == "train"):
            loss = model(x).pow(2).mean()
            if phase == "train":
                loss.backward()
                opt.step()
assert torch.equal(before, model.weight) is {kept}
"""


def test_a_step_that_no_test_leads_to() -> None:
    assert runs("GRD603", PHASES.format(first="training", kept=True)) == [("information", "opt.zero_grad()")]
    assert runs("GRD603", PHASES.format(first="train", kept=False)) == []


def test_gradients_that_are_cleared_and_never_computed() -> None:
    program = """
model = nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for number, x in enumerate(torch.randn(5, 8, 4)):
    opt.zero_grad()
    loss = model(x).pow(2).mean()
    {more}
"""
    assert runs("GRD603", program.format(more="print(loss.item())")) == [("information", "opt.zero_grad()")]
    for more in ("loss.backward(), number > 3 and opt.step()", "torch.autograd.backward(loss), opt.step()"):
        assert runs("GRD603", program.format(more=more)) == []
    assert reported("GRD603", program.format(more="engine.train(loss, opt)")) == []


IMPORTANCE = """
model = nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
omega = [torch.zeros_like(p) for p in model.parameters()]


def note(x):
    model(x).norm(dim=1).sum().backward()
    for kept, p in zip(omega, model.parameters()):
        kept += p.grad.abs()
    {after}


for x in torch.randn(3, 8, 4):
    opt.zero_grad()
    loss = model(x).pow(2).mean()
    (alone,) = torch.autograd.grad(loss, model.weight, retain_graph=True)
    note(x)
    loss.backward()
    assert torch.allclose(alone, model.weight.grad) is {right}
    opt.step()
"""


def test_gradients_that_were_only_to_be_read_are_applied_too() -> None:
    [found] = runs("GRD617", IMPORTANCE.format(after="pass", right=False))
    assert found == ("information", "model(x).norm(dim=1).sum().backward()")
    assert runs("GRD617", IMPORTANCE.format(after="model.zero_grad()", right=True)) == []


def test_losses_of_one_function_add_up_on_purpose() -> None:
    program = """
model = nn.Linear(4, 2)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for x in torch.randn(3, 8, 4):
    opt.zero_grad()
    model(x).pow(2).mean().backward()
    print(sum(p.grad.norm() for p in model.parameters()))
    model(-x).abs().mean().backward()
    opt.step()
"""
    assert runs("GRD617", program) == []
