"""What is said beside the code, against what PyTorch does: the numbers of the lenses, and the words of the hover."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from gradls.explain.lenses import lenses
from gradls.explain.names import instances
from gradls.explain.objects import about_object
from gradls.explain.tensors import about_tensor
from gradls.flow.analyze import analyze
from gradls.rules.beliefs import all_beliefs
from gradls.rules.page import page
from gradls.rules.registry import all_rules
from gradls.syntax.source import Source, Span
from gradls.testing import programs
from tests.truth import recorder

_REACHES = re.compile(r"gradient reaches (?:(\d+) of )?(\d+) parameters?")
_LEAST = re.compile(r"gradient reaches at least (\d+) parameters?")
_STEPS = re.compile(r"steps (?:(\d+) of )?(\d+) parameters?")


def _programs() -> Iterator[tuple[str, str]]:
    for rule in all_rules():
        found = page(type(rule))
        for number, program in enumerate([*found.examples, *found.uses, *found.silent], 1):
            yield f"{rule.code}-{number}", program
    for number, belief in enumerate(all_beliefs(), 1):
        yield f"belief-{number}", belief.program
    for path in sorted(Path(__file__).with_name("training").glob("*.py")):
        yield path.stem, path.read_text(encoding="utf-8")


HEADER = "import torch\nfrom torch import nn\n"
WHOLE = {
    "a network with a part cut off": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
                self.blocks = nn.ModuleList([nn.Linear(4, 4, bias=False) for _ in range(3)])
                self.scale = nn.Parameter(torch.ones(1))
                self.unused = nn.Linear(2, 2)

            def forward(self, x):
                h = self.encoder(x).detach()
                for block in self.blocks:
                    h = block(h) * self.scale
                return h

        model = Net()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.randn(8, 4)).pow(2).mean()
            loss.backward()
            optimizer.step()
    """,
    "fine-tuning in a function": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Conv2d(1, 2, 3)
                self.norm = nn.LayerNorm(6)
                self.head = nn.Linear(6, 1)

            def forward(self, x):
                return self.head(self.norm(self.body(x)))

        def train():
            model = Net()
            for p in model.body.parameters():
                p.requires_grad = False
            optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.1)
            for _ in range(2):
                optimizer.zero_grad()
                loss = model(torch.randn(2, 1, 8, 8)).mean()
                loss.backward()
                optimizer.step()

        train()
    """,
    "two networks against each other": """
        generator = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
        critic = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
        first = torch.optim.Adam(generator.parameters())
        second = torch.optim.Adam(critic.parameters())
        real = torch.randn(5, 3)
        for _ in range(2):
            fake = generator(torch.randn(5, 2))
            second.zero_grad()
            (critic(fake.detach()).mean() - critic(real).mean()).backward()
            second.step()
            first.zero_grad()
            (-critic(fake).mean()).backward()
            first.step()
    """,
    "shared and tied layers": """
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed = nn.Embedding(10, 4)
                self.out = nn.Linear(4, 10, bias=False)
                self.out.weight = self.embed.weight

            def forward(self, x):
                return self.out(self.embed(x))

        model = Tied()
        model(torch.randint(0, 10, (3,))).sum().backward()
    """,
    "recurrent and attention": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.rnn = nn.LSTM(3, 4, num_layers=2, batch_first=True)
                self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
                self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
                self.stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2)

            def forward(self, x):
                h, _ = self.rnn(x)
                h, _ = self.attention(h, h, h)
                return self.stack(self.layer(h))

        model = Net()
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.randn(2, 5, 3)).mean().backward()
        optimizer.step()
    """,
    "groups, and a leaf that is no parameter": """
        model = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
        prompt = torch.zeros(2, requires_grad=True)
        optimizer = torch.optim.SGD([{"params": model["a"].parameters(), "lr": 0.1}, {"params": [prompt]}], lr=0.01)
        loss = model["b"](model["a"](prompt)).sum()
        loss.backward()
        optimizer.step()
    """,
    "one call, two models": """
        def train(model, x):
            model(x).sum().backward()

        train(nn.Linear(2, 2), torch.randn(1, 2))
        train(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), torch.randn(1, 2))
    """,
    "a branch that the data decides": """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.both, self.left, self.right = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

            def forward(self, x):
                h = self.both(x)
                if x.sum() > 0:
                    h = self.left(h)
                else:
                    h = self.right(h)
                return h

        model = Net()
        model(torch.randn(3, 2)).sum().backward()
    """,
    "what is not known adds to it": """
        import json
        model = nn.Linear(2, 2)
        other = eval("nn.Linear(2, 2)")
        (model(torch.ones(1, 2)) + other(torch.ones(1, 2))).sum().backward()
    """,
    "modules set as attributes of containers": """
        net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        net.middle = nn.Linear(3, 4)
        net.bad = nn.Linear(1, 1)
        net.bad = nn.Identity()
        net.add_module("last", nn.Linear(4, 2))
        net.gone = nn.Linear(7, 7)
        del net.gone
        for p in net.middle.parameters():
            p.requires_grad = False
        optimizer = torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=0.1)
        net(torch.randn(2, 3)).sum().backward()
        optimizer.step()
    """,
    "mixed precision, if there is a graphics card": """
        from contextlib import nullcontext
        model = nn.Linear(2, 2)
        cuda = torch.cuda.is_available()
        context = torch.amp.autocast("cuda") if cuda else nullcontext()
        with context:
            loss = model(torch.ones(1, 2)).sum()
        with nullcontext(loss) as same:
            same.backward()
    """,
    "numbers of NumPy": """
        import numpy as np
        model = nn.Linear(2, 2)
        eps = np.finfo(np.float32).eps.item()
        returns = torch.ones(3)
        (model(torch.ones(2)).sum() * (returns.mean() / (returns.std() + eps))).backward()
    """,
    "a deep copy as a teacher": """
        import copy
        student = nn.Linear(2, 2)
        teacher = copy.deepcopy(student)
        teacher.requires_grad_(False)
        x = torch.randn(3, 2)
        loss = (student(x) - teacher(x)).pow(2).mean()
        loss.backward()
    """,
}
PROGRAMS = {
    **dict(_programs()),
    **{name: HEADER + textwrap.dedent(text) for name, text in WHOLE.items()},
}


RECURRENT = [
    f"nn.{kind}(3, 4, num_layers={layers}, bidirectional={both}, bias={bias}{projection})"
    for kind in ("RNN", "GRU", "LSTM")
    for layers in (1, 3)
    for both in (False, True)
    for bias in (False, True)
    for projection in (("", ", proj_size=2") if kind == "LSTM" else ("",))
]


class Watch:
    """Runs a program and notes, by line, how many parameters each `backward()` fills, and how many each step moves."""

    def __init__(self, program: str) -> None:
        self.backward: dict[int, set[int]] = {}
        self.stepped: dict[int, set[int]] = {}
        patch = pytest.MonkeyPatch()
        real, made = torch.Tensor.backward, torch.nn.Parameter.__new__
        parameters: list[torch.nn.Parameter] = []

        def make(cls: type, *args: object, **kwargs: object) -> torch.nn.Parameter:
            parameters.append(made(cls, *args, **kwargs))
            return parameters[-1]

        def backward(tensor: torch.Tensor, *args: object, **kwargs: object) -> None:
            line = _line()
            before = [(parameter, parameter.grad) for parameter in parameters]
            for parameter, _ in before:
                parameter.grad = None
            try:
                real(tensor, *args, **kwargs)  # type: ignore[arg-type]
                self.backward.setdefault(line, set()).add(sum(p.grad is not None for p, _ in before))
            finally:
                for parameter, grad in before:
                    if grad is not None:
                        parameter.grad = grad if parameter.grad is None else grad + parameter.grad

        def before_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
            line = _line()
            if line:
                moved = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
                self.stepped.setdefault(line, set()).add(sum(p.is_leaf for p in moved))

        patch.setattr(torch.Tensor, "backward", backward)
        patch.setattr(torch.nn.Parameter, "__new__", make)
        handle = register_optimizer_step_pre_hook(before_step)
        try:
            programs.run_code(compile(program, "<program>", "exec"), {})
        finally:
            handle.remove()
            patch.undo()


def _line() -> int:
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename != "<program>":
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_lineno if frame is not None else 0


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_the_numbers_of_the_lenses_are_those_of_a_run(program: str) -> None:
    said = list(lenses(analyze(Source.read(program, "program.py")))) if "Lazy" not in program else []
    if not any(_LEAST.search(lens.title) or _REACHES.search(lens.title) or _STEPS.search(lens.title) for lens in said):
        return
    watch = Watch(program)
    for lens in said:
        pattern, seen = (_REACHES, watch.backward) if lens.kind == "backward" else (_STEPS, watch.stepped)
        counts = {int(found[1] or found[2]) for found in pattern.finditer(lens.title)}
        real = seen.get(lens.span.end_line, seen.get(lens.span.line))
        least = _LEAST.search(lens.title)
        if least and real:
            assert min(real) >= int(least[1]), f"line {lens.span.line}: {lens.title}, but a run says {sorted(real)}"
        if counts and real:
            assert real <= counts, f"line {lens.span.line}: {lens.title}, but a run says {sorted(real)}"


@pytest.mark.parametrize("made", RECURRENT)
@pytest.mark.filterwarnings("ignore")
def test_parameters_of_recurrent_layers_are_counted(made: str) -> None:
    program = (
        f"{HEADER}rnn = {made}\noptimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)\n"
        "rnn(torch.randn(5, 2, 3))[0].sum().backward()\noptimizer.step()\n"
    )
    watch = Watch(program)
    ((filled,),) = watch.backward.values()
    said = [lens.title for lens in lenses(analyze(Source.read(program)))]
    assert said == [f"gradient reaches {filled} of {filled} parameters", f"steps {filled} parameters"]


SAID = {
    "a network with a part cut off": ["gradient reaches 4 of 10 parameters", "steps 4 of 10 parameters"],
    "fine-tuning in a function": ["gradient reaches 4 of 6 parameters (2 frozen)", "steps 4 parameters"],
    "modules set as attributes of containers": [
        "gradient reaches 4 of 6 parameters (2 frozen)",
        "steps 4 parameters",
    ],
    "numbers of NumPy": ["gradient reaches 2 of 2 parameters"],
    "mixed precision, if there is a graphics card": ["gradient reaches 2 of 2 parameters"],
    "a branch that the data decides": ["gradient reaches at least 2 parameters"],
    "what is not known adds to it": ["gradient reaches at least 2 parameters"],
}


@pytest.mark.parametrize("name", SAID)
def test_lenses_say_numbers(name: str) -> None:
    assert [lens.title for lens in lenses(analyze(Source.read(PROGRAMS[name])))] == SAID[name]


def reached(tensor: torch.Tensor) -> int:
    """How many leaves a gradient of this tensor would reach."""
    found: set[object] = set()
    seen = set()
    todo = [tensor.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            found |= {id(node.variable)} if hasattr(node, "variable") else set()
            todo += [following for following, _ in node.next_functions]
    return len(found)


class Held:
    """What tensors reached when their expressions were evaluated, and what modules and optimizers hold in the end."""

    def __init__(self) -> None:
        self.reached: dict[Span, set[int]] = {}
        self.objects: dict[Span, list[object]] = {}

    def note(self, span: Span, value: object) -> None:
        if isinstance(value, torch.Tensor) and value.requires_grad:
            self.reached.setdefault(span, set()).add(reached(value))
        elif isinstance(value, (torch.nn.Module, torch.optim.Optimizer)):
            self.objects.setdefault(span, []).append(value)

    def counts(self, span: Span) -> set[tuple[int, int]]:
        """How many parameters each of the objects trains and has frozen."""
        found = set()
        for held in self.objects.get(span, ()):
            if isinstance(held, torch.nn.Module):
                parameters = list(held.parameters()) if "_parameters" in held.__dict__ else []
            else:
                parameters = [parameter for group in held.param_groups for parameter in group["params"]]  # type: ignore[attr-defined]
            flags = [parameter.requires_grad for parameter in {id(each): each for each in parameters}.values()]
            found.add((flags.count(True), flags.count(False)))
        return found


_TO = re.compile(r"Its gradient reaches (?:the (?:parameter|leaf)|(\d+) (?:parameters|leaves)):")
_WITH = re.compile(r"with (\d+) parameters?(, all of them trained|: (\d+) trained, (\d+) frozen)")
_GIVEN = re.compile(r"that steps (\d+) parameters?\.")


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_the_words_of_the_hover_are_true(program: str) -> None:
    source = Source.read(program, "program.py")
    facts = analyze(source)
    held = Held()
    seen = recorder.record(program, held.note)
    for state in facts.states:
        span = source.span(state.node)
        was = seen.get(span)
        if was is None or not was.leaf:
            continue
        words = about_tensor(facts, state)
        where = f"{span}: {words}, was {was}, reached {held.reached.get(span)}"
        if words[0].startswith("**`") and words[0].endswith("` requires grad.**"):
            assert was.requires_grad == {True}, where
        elif words[0].endswith("does not require grad.**"):
            assert was.requires_grad == {False}, where
        if "; a leaf." in words[-1] or any(line.endswith("; a leaf.") for line in words):
            assert was.leaf == {True}, where
        elif any(line.endswith("not a leaf.") for line in words):
            assert was.leaf == {False}, where
        to = next(filter(None, map(_TO.match, words)), None)
        if to is not None and span in held.reached:
            count = int(to[1] or 1)
            if any(line.startswith("It may reach ") for line in words):
                assert max(held.reached[span]) >= count, where
            else:
                assert count in held.reached[span], where
    if "# raises" in program:
        return  # what was to become of the objects did not
    for node, value in instances(facts).items():
        counts = held.counts(source.span(node)) if hasattr(node, "lineno") else set()
        words = about_object(facts, source.segment(node), value) if counts else []
        where = f"{words}, was {counts}"
        known = _WITH.search(words[0]) if words else None
        if known is not None:
            trained, frozen = (int(known[3]), int(known[4])) if known[3] else (int(known[1]), 0)
            assert (trained, frozen) in counts, where
        stepped = _GIVEN.search(words[0]) if words else None
        if stepped is not None:
            assert int(stepped[1]) in {sum(count) for count in counts}, where
        if words and words[0].endswith("without parameters.**"):
            assert (0, 0) in counts, where
