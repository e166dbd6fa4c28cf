"""Whole training programs: correct ones are left alone and understood, broken twins of them are found out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from gradls.flow.analyze import analyze
from gradls.rules.finding import Finding, Severity
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.testing import programs
from tests.truth import recorder

FOLDER = Path(__file__).with_name("training")
FILES = sorted(FOLDER.glob("*.py"))
LEAST_KNOWN = 0.8

each_program = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@cache
def _score(path: Path) -> recorder.Score:
    return recorder.compare(path.read_text(encoding="utf-8"))


def _found(text: str) -> list[Finding]:
    return findings(analyze(Source.read(text, "program.py")))


@each_program
def test_runs_and_trains(path: Path) -> None:
    outcome = programs.run(path.read_text(encoding="utf-8"))
    assert outcome.error is None, f"line {outcome.line}: {outcome.error!r}"


@each_program
def test_is_left_alone(path: Path) -> None:
    found = _found(path.read_text(encoding="utf-8"))
    assert not [f"{item.span.line}: {item.name}: {item.message}" for item in found]


@each_program
def test_states_are_right_and_known(path: Path) -> None:
    score = _score(path)
    assert not score.wrong, "\n".join(score.wrong)
    assert score.stated >= LEAST_KNOWN * (score.expressions - score.varied)


def test_nearly_every_state_is_known() -> None:
    scores = [_score(path) for path in FILES]
    assert sum(score.stated for score in scores) >= 0.95 * sum(score.expressions - score.varied for score in scores)


class Broken(NamedTuple):
    """One change that breaks a program, the rule that should say so, and a line where it should if that is not one of
    those changed."""

    program: str
    old: str
    new: str
    rule: str
    line: str = ""


BROKEN = [
    Broken("actor_critic", "torch.stack(policy_losses)", "torch.tensor(policy_losses)", "tensor-of-tensors"),
    Broken(
        "amp_accumulation",
        "criterion(logits, labels) / accumulation",
        "criterion(logits, labels).item() / accumulation",
        "backward-of-no-tensor",
        "scaler.scale(loss).backward()",
    ),
    Broken("byol", "loss = learner(images)", "loss = learner(images).item()", "backward-of-no-tensor"),
    Broken(
        "checkpointed",
        "        return self.head(h)",
        "        h = torch.sigmoid(h)\n        h += 1\n        return self.head(h)",
        "written-before-backward",
    ),
    Broken("classifier_loader", "logits = model(inputs)", "logits = model(inputs).detach()", "detached-loss"),
    Broken("diffusion", "F.mse_loss(predicted, noise)", "F.mse_loss(predicted.long().float(), noise)", "no-derivative"),
    Broken("distillation", "guide.hidden.clone()", "guide.hidden", "inference-tensor-in-training"),
    Broken(
        "dqn",
        "policy_net(state_batch).gather(1, action_batch)",
        "policy_net(state_batch).argmax(1, keepdim=True).float()",
        "no-derivative",
    ),
    Broken(
        "fine_tuning",
        "criterion(outputs, labels)",
        "criterion(preds.float(), labels.float())",
        "no-derivative",
        "torch.max(outputs, 1)",
    ),
    Broken("functional_ensemble", "loss = members.mean()", "loss = members.mean().detach()", "detached-loss"),
    Broken("gan", "net_d(fake.detach())", "net_d(fake)", "graph-already-freed", "err_fake.backward()"),
    Broken(
        "gaussian_process",
        "        return self.variance * torch.exp(-0.5 * distance)",
        "        near = torch.exp(-0.5 * distance)\n        near += 0.1\n        return self.variance * near",
        "written-before-backward",
    ),
    Broken("graph_network", "F.nll_loss(out[train_mask]", "F.nll_loss(out.detach()[train_mask]", "detached-loss"),
    Broken("lbfgs", "self.target = target.detach()", "self.target = target", "graph-already-freed", "loss.backward()"),
    Broken(
        "lightning_style",
        "loss = reconstruction + 0.1 * classification",
        "loss = torch.tensor(reconstruction + 0.1 * classification)",
        "rewrapped-tensor",
    ),
    Broken("maml", "torch.stack(meta_losses).mean()", "torch.tensor(meta_losses).mean()", "tensor-of-tensors"),
    Broken(
        "manual_sgd",
        "        with torch.no_grad():\n            weights -=",
        "        if True:\n            weights -=",
        "leaf-written-in-place",
    ),
    Broken(
        "metric_learning",
        "F.cross_entropy(logits, labels)",
        "F.cross_entropy(labels, logits)",
        "swapped-loss-arguments",
    ),
    Broken("mixture_of_experts", "    aux = load", "    ce = ce.detach()\n    aux = load", "detached-loss"),
    Broken(
        "module_routing",
        "logits = model(inputs, route=route)",
        "logits = torch.from_numpy(model(inputs, route=route).detach().numpy())",
        "numpy-in-graph",
    ),
    Broken("multi_task", "precision * loss + ", "precision * loss.item() + ", "number-in-loss"),
    Broken("normalizing_flow", "nn.ModuleList([", "list([", "unregistered-parameters"),
    Broken("physics_informed", "ones_like(outputs), create_graph=True", "ones_like(outputs)", "graph-already-freed"),
    Broken("plumbing", "    loss.backward()\n", "    loss.item().backward()\n", "backward-of-no-tensor"),
    Broken(
        "ppo",
        "            loss.backward()\n",
        "            loss.detach_()\n            loss.backward()\n",
        "detached-loss",
    ),
    Broken(
        "registry",
        "        super().__init__(config)\n        layers = []",
        "        self.head = nn.Linear(4, 2)\n        super().__init__(config)\n        layers = []",
        "assigned-before-init",
    ),
    Broken("rnn_tbptt", "    hidden = repackage_hidden(hidden)\n", "", "graph-already-freed", "loss.backward()"),
    Broken(
        "sac",
        "        q1, q2 = self.critic(obs, action)\n",
        "        with torch.no_grad():\n            q1, q2 = self.critic(obs, action)\n",
        "forward-without-grad",
    ),
    Broken(
        "straight_through",
        "clamp_(-1.0, 1.0)",
        "clamp_(-1.0, 1.0)\n    loss.backward()",
        "graph-already-freed",
    ),
    Broken(
        "structured_outputs",
        "cross_entropy(logits,",
        "cross_entropy(torch.from_numpy(logits.numpy()),",
        "numpy-of-tensor-with-grad",
    ),
    Broken(
        "trainer_callbacks",
        "self.criterion(self.model(x), y)",
        "self.criterion(self.model(x).data, y)",
        "detached-loss",
    ),
    Broken(
        "transformer_lm",
        "att = F.softmax(att, dim=-1)\n",
        "att = F.softmax(att, dim=-1)\n        att *= 0.9\n",
        "written-before-backward",
    ),
    Broken(
        "vae",
        "            recon, mu, logvar = model(batch)",
        "            with torch.no_grad():\n                recon, mu, logvar = model(batch)",
        "forward-without-grad",
    ),
    Broken(
        "weight_tying", "    loss.backward()\n", "    loss.backward()\n    loss.backward()\n", "graph-already-freed"
    ),
    Broken("wgan_gp", "g_cost = -critic(fake).mean()", "g_cost = -critic(fake.detach()).mean()", "detached-loss"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.program}-{broken.rule}")
def test_broken_twin_is_found_out(broken: Broken) -> None:
    right = (FOLDER / f"{broken.program}.py").read_text(encoding="utf-8")
    assert broken.old in right
    wrong = right.replace(broken.old, broken.new, 1)
    assert programs.run(wrong).error is not None, "PyTorch has nothing against it"
    first = right[: right.index(broken.old)].count("\n") + 1
    lines = set(range(first, first + broken.new.rstrip("\n").count("\n") + 1))
    if broken.line:
        lines |= {number for number, line in enumerate(wrong.splitlines(), 1) if broken.line in line}
    found = _found(wrong)
    told = [f"{item.span.line}: {item.name}: {item.message}" for item in found]
    assert any(item.name == broken.rule and _lines_of(item) & lines for item in found), told
    assert any(item.severity in (Severity.ERROR, Severity.WARNING) for item in found), told


def _lines_of(found: Finding) -> set[int]:
    spans = [found.span, *(step.place.span for step in found.story)]
    return {line for span in spans for line in range(span.line, span.end_line + 1)}
