"""What Accelerate and Fabric prepare is followed like what they were given. The programs are run with Accelerate."""

from __future__ import annotations

import textwrap

import pytest

from tests.rules.reported import IMPORTS, check_error, check_right, reported

SETUP = IMPORTS + textwrap.dedent("""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 3), torch.randn(8, 1)))
    model, optimizer, loader = accelerator.prepare(net, optimizer, loader)
""")
RIGHT = {
    "all that there is": """
        before = net[0].weight.clone()
        for x, y in loader:
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    loss = F.mse_loss(model(x), y)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        accelerator.print(accelerator.gather(loss.detach()))
        assert accelerator.unwrap_model(model) is net and not torch.equal(before, net[0].weight)
    """,
    "one thing": """
        teacher = accelerator.prepare(nn.Linear(3, 1).requires_grad_(False))
        for x, y in loader:
            optimizer.zero_grad()
            accelerator.backward(F.mse_loss(model(x), teacher(x)))
            optimizer.step()
    """,
    "a graph that is used twice": """
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            accelerator.backward(loss, retain_graph=True)
            accelerator.backward(loss)
            optimizer.step()
    """,
}
RAISES = {
    ("GRD101", "a detached loss"): "accelerator.backward(F.mse_loss(model(x).detach(), y))  # raises RuntimeError: ",
    ("GRD301", "a graph that is freed"): (
        "loss = F.mse_loss(model(x), y)\naccelerator.backward(loss)\n"
        "accelerator.backward(loss)  # raises RuntimeError: "
    ),
    ("GRD302", "a loss of several elements"): "accelerator.backward(model(x).expand(2, 1))  # raises RuntimeError: ",
    ("GRD303", "a number"): "accelerator.backward(F.mse_loss(model(x), y).item())  # raises AttributeError: ",
}


@pytest.mark.parametrize("title", RIGHT)
def test_right(title: str) -> None:
    check_right(SETUP + textwrap.dedent(RIGHT[title]))


@pytest.mark.parametrize(("code", "title"), RAISES)
def test_what_raises(code: str, title: str) -> None:
    lines = textwrap.indent(RAISES[code, title], "    ")
    check_error(code, f"{SETUP}for x, y in loader:\n{lines}\n")


def test_gradients_that_are_not_cleared() -> None:
    program = SETUP + textwrap.dedent("""
        for x, y in loader:
            accelerator.backward(F.mse_loss(model(x), y))
            optimizer.step()
    """)
    assert reported("GRD601", program) == [("warning", "optimizer.step()")]


def test_fabric() -> None:
    program = """
    from lightning import Fabric

    fabric = Fabric(accelerator="cpu")
    net = nn.Linear(3, 1)
    model, optimizer = fabric.setup(net, torch.optim.SGD(net.parameters(), lr=0.1))
    for x in fabric.setup_dataloaders(torch.utils.data.DataLoader(torch.randn(8, 3))):
        optimizer.zero_grad()
        fabric.backward(model(x){cut}.pow(2).mean())
        optimizer.step()
    """
    assert reported("GRD101", program.format(cut="")) == []
    assert reported("GRD101", program.format(cut=".detach()")) == [("error", "model(x).detach()")]


def test_apex() -> None:
    program = """
    from apex import amp

    net = nn.Linear(3, 1)
    model, optimizer = amp.initialize(net, torch.optim.SGD(net.parameters(), lr=0.1), opt_level="O1")
    for x in torch.randn(4, 8, 3):
        optimizer.zero_grad()
        loss = model(x){cut}.pow(2).mean()
        with amp.scale_loss(loss, optimizer) as scaled:
            scaled.backward()
        optimizer.step()
    """
    assert reported("GRD101", program.format(cut="")) == reported("GRD601", program.format(cut="")) == []
    assert reported("GRD101", program.format(cut=".detach()")) == [("error", "model(x).detach()")]
    assert reported("GRD601", program.format(cut="").replace("optimizer.zero_grad()", "pass")) != []


ACCUMULATED = IMPORTS + textwrap.dedent("""
    from accelerate import Accelerator

    accelerator = Accelerator(STEPS, cpu=True)
    net = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 3), torch.ones(4, 1)))
    model, optimizer, loader = accelerator.prepare(net, optimizer, loader)
    once = torch.autograd.grad(F.mse_loss(net(torch.ones(4, 3)), torch.ones(4, 1)), net.weight)[0]
    for x, y in loader:
        with accelerator.accumulate(model):
            loss = F.mse_loss(model(x), y)
            BACKWARD
            if accelerator.sync_gradients:
                summed = net.weight.grad.clone()
            optimizer.step()
            CLEAR
""")
FOUR, PLAIN, DIVIDING, OF_MODEL, OF_OPTIMIZER = (
    "gradient_accumulation_steps=4", "loss.backward()", "accelerator.backward(loss)", "model.zero_grad()",
    "optimizer.zero_grad()",
)  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "backward", "clear", "factor", "found"),
    [
        (FOUR, DIVIDING, OF_OPTIMIZER, 1, []),
        (FOUR, PLAIN, OF_OPTIMIZER, 4, [("GRD620", PLAIN)]),
        (FOUR, "(loss / 4).backward()", OF_OPTIMIZER, 1, []),
        (FOUR, DIVIDING, OF_MODEL, 0.25, [("GRD602", OF_MODEL)]),
        (FOUR, DIVIDING, "if accelerator.sync_gradients: model.zero_grad()", 1, []),
        ("gradient_accumulation_steps=1", PLAIN, OF_MODEL, None, []),
        ("mixed_precision='no'", PLAIN, OF_MODEL, None, []),
    ],
)
def test_rounds_that_are_one_step(
    steps: str, backward: str, clear: str, factor: float | None, found: list[tuple[str, str]]
) -> None:
    text = ACCUMULATED.replace("STEPS", steps).replace("BACKWARD", backward).replace("CLEAR", clear)
    told = [(code, blamed) for code in ("GRD602", "GRD620") for _, blamed in reported(code, text.removeprefix(IMPORTS))]
    assert told == found
    if factor is not None:
        check_right(f"{text}\nassert torch.allclose(summed, {factor} * once)\n")


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        ("loss = model(**batch).loss", ["loss.backward()"]),
        ("loss = model(**batch).loss / 4", []),
        ("loss = model(**batch).loss; loss = loss / args.steps", []),
        ("loss = model(**batch).loss; loss /= args.steps", []),
    ],
)
def test_losses_of_unknown_models_in_rounds_that_are_one_step(loss: str, found: list[str]) -> None:
    snippet = f"""
        from accelerate import Accelerator

        def main(args, model, optimizer, loader):
            accelerator = Accelerator(gradient_accumulation_steps=args.steps)
            model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
            for batch in loader:
                with accelerator.accumulate(model):
                    {loss}
                    loss.backward()
                    optimizer.step()
                    optimizer.zero_grad()
    """
    assert [blamed for _, blamed in reported("GRD620", snippet)] == found
