"""What trainers do with the methods that they are given is followed. The Lightning programs are run with Lightning."""

from __future__ import annotations

import textwrap

import pytest

from gradls.testing import programs
from tests.rules.reported import IMPORTS, check_error, check_right, reported

BEGIN = IMPORTS + textwrap.dedent("""
    import logging
    import warnings

    import lightning

    warnings.filterwarnings("ignore")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


    def fit(model):
        before = {name: parameter.clone() for name, parameter in model.named_parameters()}
        data = torch.utils.data.TensorDataset(torch.randn(6, 3), torch.randn(6, 1))
        loader = torch.utils.data.DataLoader(data, batch_size=2)
        quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        lightning.Trainer(max_epochs=2, accelerator="cpu", **quiet).fit(model, loader)
        return [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]


    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 1)
            self.cell = nn.RNNCell(3, 1)
            self.state = torch.zeros(2, 1)
            self.kept = []
            self.automatic_optimization = MANUAL

        def configure_optimizers(self):
            OPTIMIZERS

        def loss(self, batch):
            x, y = batch
            return F.mse_loss(self.net(x), y)

        def training_step(self, batch, index):
""")
ALL = "return torch.optim.SGD(self.parameters(), lr=0.1)"
TWO = "return torch.optim.SGD(self.net.parameters(), lr=0.1), torch.optim.SGD(self.cell.parameters(), lr=0.1)"
SCHEDULED = """
optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
return {}
"""
STEP = "self.log('loss', self.loss(batch))\nreturn self.loss(batch)"


def program(body: str, *, optimizers: str = ALL, manual: bool = False, end: str = "fit(Model())") -> str:
    begin = BEGIN.replace("MANUAL", str(not manual))
    begin = begin.replace("OPTIMIZERS", textwrap.indent(optimizers.strip(), " " * 8).strip())
    return f"{begin}{textwrap.indent(textwrap.dedent(body).strip(), ' ' * 8)}\n\n\n{end}\n"


RIGHT = {
    "the loss": program(STEP),
    "a dictionary": program("loss = self.loss(batch)\nreturn {'loss': loss, 'seen': loss.detach()}"),
    "a batch that is left out": program("if index == 1:\n    return None\nreturn self.loss(batch)"),
    "no loss where there is nothing to train": program("pass", optimizers="return None"),
    "a list, and one of schedulers": program(STEP, optimizers=SCHEDULED.format("[optimizer], [scheduler]")),
    "a dictionary of both": program(
        STEP, optimizers=SCHEDULED.format("{'optimizer': optimizer, 'lr_scheduler': {'scheduler': scheduler}}")
    ),
    "what is carried over is cut off": program(
        "self.state = self.cell(batch[0], self.state.detach())\nreturn F.mse_loss(self.state, batch[1])"
    ),
    "numbers are kept": program("loss = self.loss(batch)\nself.kept.append(loss.detach())\nreturn loss"),
    "manual": program(
        """
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
        optimizer.step()
        """,
        manual=True,
    ),
    "manual, one scheduler": program(
        """
        optimizer, scheduler = self.optimizers(), self.lr_schedulers()
        self.manual_backward(self.loss(batch))
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        """,
        optimizers=SCHEDULED.format("[optimizer], [scheduler]"),
        manual=True,
    ),
    "two optimizers in turn": program(
        """
        one, other = self.optimizers()
        self.toggle_optimizer(one)
        one.zero_grad()
        self.manual_backward(F.mse_loss(self.cell(self.net(batch[0]).expand(2, 3)), batch[1]))
        one.step()
        self.untoggle_optimizer(one)
        other.zero_grad()
        self.manual_backward(F.mse_loss(self.cell(batch[0]), batch[1]))
        other.step()
        """,
        optimizers=TWO,
        manual=True,
    ),
}
FAILS = "fit(Model())  # raises RuntimeError: "
RAISES = {
    ("GRD101", "a detached loss"): program("return self.loss(batch).detach()", end=FAILS),
    ("GRD101", "a dictionary with one"): program("return {'loss': self.loss(batch).data}", end=FAILS),
    ("GRD301", "a state that is carried over"): program(
        "self.state = self.cell(batch[0], self.state)\nreturn F.mse_loss(self.state, batch[1])", end=FAILS
    ),
    ("GRD301", "backward before the trainer's"): program(
        "loss = self.loss(batch)\nloss.backward()\nreturn loss", end=FAILS
    ),
    ("GRD302", "a loss of several elements"): program("return self.net(torch.zeros(2, 3))", end=FAILS),
    ("GRD201", "what backward needs is overwritten"): program(
        "hidden = torch.exp(self.net(batch[0]))\nloss = hidden.mean()\nhidden.mul_(2)\nreturn loss", end=FAILS
    ),
    ("GRD110", "all is frozen"): program(
        STEP,
        end="model = Model()\nmodel.freeze()\nbatch = torch.ones(2, 3), torch.ones(2, 1)\n"
        "model.loss(batch).backward()  # raises RuntimeError: ",
    ),
    ("GRD301", "one graph for two manual steps"): program(
        """
        one, other = self.optimizers()
        hidden = self.net(batch[0]).exp()
        one.zero_grad()
        self.manual_backward(hidden.mean())
        one.step()
        other.zero_grad()
        self.manual_backward(self.cell(hidden.expand(2, 3)).mean())
        other.step()
        """,
        optimizers=TWO,
        manual=True,
        end=FAILS,
    ),
}


@pytest.mark.parametrize("title", RIGHT)
def test_right(title: str) -> None:
    check_right(RIGHT[title])


@pytest.mark.parametrize(("code", "title"), RAISES)
def test_what_raises(code: str, title: str) -> None:
    check_error(code, RAISES[code, title])


def test_a_step_that_returns_no_loss() -> None:
    """Lightning trains nothing then."""
    silent = program(
        "self.log('loss', self.loss(batch))", end="assert fit(Model()) == ['net.weight', 'net.bias'] + 4 * [0]"
    )
    silent = silent.replace(" + 4 * [0]", " + [f'cell.{name}' for name in Model().cell.state_dict()]")
    assert programs.check(silent).error is None
    assert _found("GRD615", silent) == [("warning", "self.log('loss', self.loss(batch))")]
    assert _found("GRD615", program("self.log('loss', 0.5)\nreturn None")) == []


def test_what_comes_from_the_loader_carries_no_gradient() -> None:
    frozen = "self.net.requires_grad_(False)\nreturn self.loss(batch)"
    check_error("GRD110", program(frozen, end=FAILS))


def test_gradients_that_are_not_cleared() -> None:
    body = "optimizer = self.optimizers()\nself.manual_backward(self.loss(batch))\noptimizer.step()"
    assert _found("GRD601", program(body, manual=True)) == [("warning", "optimizer.step()")]
    assert _found("GRD601", program(f"{body}\noptimizer.zero_grad()", manual=True)) == []


def test_a_manual_step_that_only_computes() -> None:
    silent = program(STEP, manual=True, end="assert 'net.weight' in fit(Model())")
    assert programs.check(silent).error is None
    assert _found("GRD603", silent) == [("warning", "return self.loss(batch)")]
    assert _found("GRD603", program(STEP)) == []


def test_parameters_that_no_optimizer_has() -> None:
    body = "hidden = self.cell(batch[0]).expand(2, 3)\nreturn F.mse_loss(self.net(hidden), batch[1])"
    forgotten = "return torch.optim.SGD(self.net.parameters(), lr=0.1)"
    assert _found("GRD617", program(body, optimizers=forgotten)) == [
        ("information", "self.cell(batch[0]).expand(2, 3)")
    ]
    assert _found("GRD617", program(body)) == []


def test_a_scheduler_that_the_trainer_does_not_get() -> None:
    assert _found("GRD613", program(STEP, optimizers=SCHEDULED.format("optimizer"))) != []
    assert _found("GRD613", program(STEP, optimizers=SCHEDULED.format("[optimizer], [scheduler]"))) == []


def test_graphs_that_are_kept() -> None:
    assert _found("GRD701", program("loss = self.loss(batch)\nself.kept.append(loss)\nreturn loss")) != []


def _found(code: str, text: str) -> list[tuple[str, str]]:
    return reported(code, text.removeprefix(IMPORTS))


TRANSFORMERS = """
from transformers import Trainer


class Own(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = {loss}
        return (loss, outputs) if return_outputs else loss
"""


@pytest.mark.parametrize(
    ("code", "loss", "found"),
    [
        ("GRD101", "F.cross_entropy(outputs.logits, labels)", []),
        ("GRD101", "outputs.loss.detach()", ["error"]),
        ("GRD103", "torch.tensor(F.cross_entropy(outputs.logits, labels))", ["error"]),
        ("GRD303", "F.cross_entropy(outputs.logits, labels).item()", ["error"]),
        ("GRD303", "outputs.loss", []),
    ],
)
def test_transformers(code: str, loss: str, found: list[str]) -> None:
    assert [severity for severity, _ in reported(code, TRANSFORMERS.format(loss=loss))] == found


def test_deepspeed() -> None:
    snippet = """
    import deepspeed

    net = nn.Linear(3, 1)
    engine, optimizer, _, _ = deepspeed.initialize(model=net, model_parameters=net.parameters(), config={{}})
    for x in torch.randn(4, 8, 3):
        loss = engine(x){cut}.pow(2).mean()
        engine.backward(loss)
        engine.step()
    """
    assert reported("GRD101", snippet.format(cut="")) == reported("GRD601", snippet.format(cut="")) == []
    assert reported("GRD101", snippet.format(cut=".detach()")) == [("error", "engine(x).detach()")]


def test_ignite() -> None:
    snippet = """
    from ignite.engine import Engine

    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def train(engine, batch):
        {clear}
        loss = net(batch).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    trainer = Engine(train)
    trainer.run(torch.randn(4, 8, 3), max_epochs=2)
    """
    assert reported("GRD601", snippet.format(clear="optimizer.zero_grad()")) == []
    assert reported("GRD601", snippet.format(clear="pass")) == [("warning", "optimizer.step()")]


HANDLERS = """
from ignite.engine import Engine, Events
from ignite.handlers import LRScheduler

net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)

def train(engine, batch):
    optimizer.zero_grad()
    net(batch).pow(2).mean().backward()
    optimizer.step()

trainer = Engine(train)
trainer.add_event_handler(Events.EPOCH_COMPLETED, {handler})
trainer.run(torch.randn(4, 8, 3), max_epochs=2)
"""


@pytest.mark.parametrize(
    ("handler", "found"), [("lambda engine: scheduler.step()", 0), ("LRScheduler(scheduler)", 0), ("print", 1)]
)
def test_what_handlers_have(handler: str, found: int) -> None:
    assert len(reported("GRD613", HANDLERS.format(handler=handler))) == found


STEPPED = IMPORTS + textwrap.dedent("""
    import lightning

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 1)
            self.seen = 0

        def training_step(self, batch, index):
            self.seen += 1
            return self.net(batch[0]).sum()

        def validation_step(self, batch, index):
            VALIDATE
            return self.net(batch[0]).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def optimizer_step(self, epoch, index, optimizer, closure=None):
            STEP


    model = Model()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(2, 3)), batch_size=2)
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", num_sanity_val_steps=0, **quiet)
    trainer.fit(model, loader, loader)
""")


@pytest.mark.parametrize(
    ("step", "validate", "seen", "frozen", "found"),
    [
        ("optimizer.step(closure=closure)", "pass", 1, False, []),
        ("optimizer.step()", "pass", None, False, [("error", "optimizer.step()")]),
        ("super().optimizer_step(epoch, index, optimizer, closure)", "pass", 1, False, []),
        ("closure(); optimizer.step()", "pass", 1, False, []),
        ("optimizer.step(closure)", "self.freeze()", 1, True, [("warning", "self.freeze()")]),
        ("optimizer.step(closure)", "self.freeze(); self.unfreeze()", 1, False, []),
        ("optimizer.step(closure)", "self.eval()", 1, False, []),
    ],
)
def test_steps_and_validation_of_a_lightning_module(
    step: str, validate: str, seen: int | None, frozen: bool, found: list[tuple[str, str]]
) -> None:
    text = STEPPED.replace("STEP", step).replace("VALIDATE", validate)
    assert [one for code in ("GRD611", "GRD704") for one in reported(code, text.removeprefix(IMPORTS))] == found
    asserted = f"\nassert model.seen == {seen} and model.net.weight.requires_grad is {not frozen}\n"
    raises = "  # raises MisconfigurationException: The closure hasn't been executed"
    outcome = programs.check(text.rstrip() + (raises if seen is None else asserted))
    assert (outcome.error is None) is (seen is not None)
