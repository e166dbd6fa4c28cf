"""After an edit only what it concerns is run again, and what is known is what a fresh analysis finds."""

from __future__ import annotations

import ast
import gc
import random
import textwrap
from pathlib import Path

import pytest
import torch

from gradls.flow.analyze import Analysis, Interrupted, analyze
from gradls.flow.chapters import Chapter
from gradls.flow.facts import Facts
from gradls.flow.graph import Node
from gradls.flow.names import Answer, ImportedFile, Names, Question
from gradls.flow.state import Fields
from gradls.flow.values import Value
from gradls.rules.run import findings
from gradls.syntax.source import Source
from gradls.syntax.text import split_lines

PROGRAM = """
import torch
from torch import nn


def scale(x):
    \"\"\"Twice.\"\"\"
    return x * 2


class Block(nn.Module):
    \"\"\"A layer.\"\"\"

    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(size, size)

    def forward(self, x):
        return scale(self.layer(x)).relu()

    def export(self):
        return [parameter.numpy() for parameter in self.parameters()]


class Wide(Block):
    def forward(self, x):
        return super().forward(x) + self.bias(x)

    def bias(self, x):
        return x.mean()


def lost(model, x):
    loss = model(x).sum().detach()
    loss.backward()


def kept(x):
    weight = torch.randn(3, requires_grad=True)
    (weight * x).sum().backward()
    return weight.grad
"""


class Edited:
    """A program under edit, and which of its chapters were run again by the last one."""

    def __init__(self, text: str) -> None:
        self.source = Source.read(text)
        self.analysis = Analysis(self.source)
        self.chapters: list[Chapter] = list(self.analysis.facts.chapters)

    def replace(self, old: str, new: str) -> set[str]:
        """Edit the text; the names of what was run again, `module` for the module's own statements."""
        assert self.source.text.count(old) == 1
        edit = self.source.edit(split_lines(self.source.text.replace(old, new)))
        self.analysis.edited(edit.blocks, edit.reworded)
        before, self.chapters = self.chapters, list(self.analysis.facts.chapters)
        assert_as_fresh(self.analysis.facts)
        return {_name(chapter.node) for chapter in self.chapters if all(chapter is not known for known in before)}


def _name(node: ast.AST) -> str:
    return getattr(node, "name", "module")


def said(facts: Facts) -> tuple[list[object], list[object]]:
    """All that comes out of an analysis."""
    found = [
        (one.code, one.severity, one.span, one.message, [(step.message, step.place.span) for step in one.story])
        for one in findings(facts)
    ]
    states = [
        (facts.source.span(one.node), one.requires_grad, one.dtype, one.leaf, one.called, one.off, one.torn)
        for one in facts.states
    ]
    return found, sorted(states, key=str)


def assert_as_fresh(facts: Facts, names: Names | None = None) -> None:
    assert said(facts) == said(analyze(Source.read(facts.source.text, facts.source.path), names))


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("loss = model(x).sum().detach()", "loss = model(x).sum()", {"lost"}),
        ("return x * 2", "return x.detach() * 2", {"scale", "forward"}),
        ("def lost(", "# a comment\n\n\ndef lost(", set()),
        ("    loss.backward()", "    loss.backward()  # now", set()),
        ("return weight.grad", "return weight . grad", set()),
        ('"""Twice."""', '"""Two times."""', set()),
        ('"""A layer."""', '"""A layer that scales."""', set()),
        ("parameter.numpy()", "parameter.detach().numpy()", {"export"}),
        ("nn.Linear(size, size)", "nn.Linear(size, 3)", {"Block", "forward", "export", "Wide"}),
        ("def bias(self, x):\n        return x.mean()\n", "", {"module", "forward"}),
        ("def kept(x):", "def added(x):\n    return x\n\n\ndef kept(x):", {"module", "added"}),
        ("def kept(x):", "def kept(x, y):", {"module", "kept"}),
        ("def scale(x):", "def scale(x, by=2):", {"module", "scale", "forward"}),
        ("import torch\n", "import torch\nimport math\n", {"module"}),
        ("\n\ndef kept", "\n\ntorch.set_grad_enabled(False)\n\n\ndef kept", None),
    ],
)  # fmt: skip
def test_what_is_run_again(old: str, new: str, again: set[str] | None) -> None:
    edited = Edited(PROGRAM)
    found = edited.replace(old, new)
    assert found == ({_name(chapter.node) for chapter in edited.chapters} if again is None else again)


def test_what_the_module_runs_is_run_again_with_it() -> None:
    edited = Edited(PROGRAM + "\n\nkept(torch.ones(3))\n")
    assert edited.replace("(weight * x)", "(weight * x * x)") == {"module"}
    assert edited.replace("kept(torch.ones(3))", "kept(torch.ones(3, 3))") == {"module"}
    assert edited.replace("kept(torch.ones(3, 3))", "pass") == {"module", "kept"}


def test_a_function_that_another_one_calls_no_more_is_run_by_itself() -> None:
    edited = Edited("import torch\n\n\ndef outer(x):\n    return inner(x)\n\n\ndef inner(x):\n    return x.detach()\n")
    assert [_name(chapter.node) for chapter in edited.chapters] == ["module", "outer"]
    assert edited.replace("return inner(x)", "return x") == {"outer", "inner"}
    assert edited.replace("return x\n", "return inner(x)\n") == {"outer"}


def test_what_is_said_of_a_text_is_said_in_its_words() -> None:
    edited = Edited(PROGRAM)
    assert edited.replace("loss = model(x).sum().detach()", "loss = model( x ).sum( ).detach()") == set()
    assert any("`model( x ).sum( ).detach()`" in finding.message for finding in findings(edited.analysis.facts))
    # While a line is being typed the older form of it stands in, in a text that is not its own.
    text = edited.source.text
    for typed in (text.replace("loss.backward()", "loss.back('ward()"), text):
        edit = edited.source.edit(split_lines(typed))
        edited.analysis.edited(edit.blocks, edit.reworded)
    assert_as_fresh(edited.analysis.facts)


def test_while_something_is_typed_the_rest_keeps_its_findings() -> None:
    edited = Edited(PROGRAM)
    told = [finding.code for finding in findings(edited.analysis.facts)]
    assert told
    for typed in ("    y = x.sum(", "    y = x.sum()", "    y = '", "    for i in", "    y = x.sum()."):
        edited.source.edit(split_lines(PROGRAM.replace("    return x * 2", f"{typed}\n    return x * 2")))
        assert [finding.code for finding in findings(edited.analysis.facts)] == told


WORDS = (
    ".detach()", ".data", ".item()", "[0]", ".sum()", ".backward()", " + 1", ".requires_grad_()", "x", "1", "(", ":",
)  # fmt: skip
LINES = (
    "loss = loss.detach()", "x = x.detach()", "loss.backward()", "return x", "pass", "x += 1", "# said", "",
    "@torch.no_grad()", "self.step()", "del x", "global x",
)  # fmt: skip


def mutated(rng: random.Random, text: str) -> str:
    """The text after one of the things that people do to texts."""
    lines = text.splitlines(keepends=True) or ["\n"]
    at = rng.randrange(len(lines))
    line = lines[at]
    margin = line[: len(line) - len(line.lstrip())]
    column = rng.randrange(len(line))
    what = rng.randrange(6)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(at, rng.choice(lines))
    elif what == 2:
        lines.insert(at, f"{margin}{rng.choice(LINES)}\n")
    elif what == 3:
        lines[at] = f"{line.rstrip()}{rng.choice(WORDS)}\n"
    elif what == 4:
        lines[at] = line[:column] + line[column + 1 :]
    else:
        block = lines[at : at + rng.randrange(1, 8)]
        del lines[at : at + len(block)]
        where = rng.randrange(len(lines) + 1)
        lines[where:where] = block
    return "".join(lines)


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


REAL = [
    Path(torch.__file__).parent / name
    for name in ("nn/modules/dropout.py", "nn/modules/linear.py", "nn/utils/weight_norm.py", "optim/sgd.py")
]


@pytest.mark.parametrize("seed", range(8))
def test_edits_of_all_kinds(seed: int) -> None:
    """Whenever the text parses, the findings and states are those of a fresh analysis."""
    rng = random.Random(seed)
    texts = [PROGRAM, *(path.read_text(encoding="utf-8") for path in REAL)]
    source = Source.read(texts[seed % len(texts)])
    analysis = Analysis(source)
    history = [source.text]
    for _ in range(25):
        text = mutated(rng, source.text) if rng.random() < 0.8 else rng.choice(history)
        if not parses(text) and rng.random() < 0.8:
            continue
        history.append(text)
        edit = source.edit(split_lines(text))
        analysis.edited(edit.blocks, edit.reworded)
        if parses(text):
            assert_as_fresh(analysis.facts)
        else:
            said(analysis.facts)


@pytest.mark.parametrize("seed", range(8))
def test_edits_that_interrupt(seed: int) -> None:
    """Whatever was found out before an analysis was interrupted, the next one that is not is as a fresh one."""
    rng = random.Random(seed)
    texts = [PROGRAM, *(path.read_text(encoding="utf-8") for path in REAL)]
    source = Source.read(texts[seed % len(texts)])
    chance = 0.0

    def pause() -> None:
        if rng.random() < chance:
            raise Interrupted

    analysis = Analysis(source, pause=pause)
    for _ in range(40):
        text = mutated(rng, source.text)
        if not parses(text):
            continue
        analysis.edited(source.edit(split_lines(text)).blocks)
        chance = rng.choice([0.0, 0.2, 0.6])
        try:
            facts = analysis.facts
        except Interrupted:
            continue
        assert_as_fresh(facts)


def test_an_interrupted_analysis_goes_on_where_it_was() -> None:
    """It comes to its end though there is never time for more than one chapter."""

    def pause() -> None:
        raise Interrupted

    analysis = Analysis(Source.read(PROGRAM), pause=pause)
    interrupted = 0
    while interrupted < 100:
        try:
            facts = analysis.facts
            break
        except Interrupted:
            interrupted += 1
    assert_as_fresh(facts)
    assert interrupted == len(facts.chapters) - 1


def test_the_statements_of_the_module_are_interrupted() -> None:
    deep = "".join(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x) + f{n + 1}(x)\n\n\n" for n in range(6))
    source = Source.read(f"{PROGRAM}\n\n{deep}def f6(x):\n    return x\n\n\nf0(torch.ones(3))\n")
    left = 0

    def pause() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Interrupted

    analysis = Analysis(source, pause=pause)
    for count in (1, 3, 5):
        left = count
        with pytest.raises(Interrupted):
            _ = analysis.facts
        # The chapters come after that.
        assert analysis._run is None
    assert_as_fresh(analysis.facts)
    for old, new, count in (("x", "x.detach()", 2), ("x.detach()", "x", 4)):
        left = count
        old, new = f"return {old}\n\n\nf0", f"return {new}\n\n\nf0"
        analysis.edited(source.edit(split_lines(source.text.replace(old, new))).blocks)
        with pytest.raises(Interrupted):
            _ = analysis.facts
        assert_as_fresh(analysis.facts)


IMPORTING = """
import torch
from torch import nn
import layers
from heads import Head, Made, projected
from layers.losses import criterion as judge

scale = layers.scale(2)
shared = Head(3)


class Net(nn.Module):
    head: Head

    def __init__(self):
        super().__init__()
        self.linear = layers.Linear(3, 3)

    def forward(self, x):
        return self.linear(x).detach() + scale

    def judged(self, x, y):
        loss = judge(y, self(x))
        loss.backward()


class Named:
    def __init__(self):
        self.made = Made()

    def lost(self, x):
        self.made(x).sum().detach().backward()


def declared(net: Net, named: Named, x):
    net(x).sum().backward()
    named.made(x).sum().detach().backward()


def lost(x):
    loss = shared(x).sum().item()
    torch.tensor([loss]).backward()


def projection(x):
    made = projected(x)
    made.sum().detach().backward()


def alone(x):
    weight = torch.randn(3, requires_grad=True)
    (weight * x).sum().detach().backward()
"""
MEANINGS = [
    Answer("class", "torch.nn.modules.linear.Linear"),
    Answer("instance", "torch.nn.modules.linear.Linear", ("torch.nn.modules.module.Module",)),
    Answer("instance", "torch.nn.modules.loss.MSELoss", ("torch.nn.modules.loss._Loss",)),
    Answer("instance", "torch.Tensor"),
    Answer("function", "torch.nn.functional.mse_loss"),
    Answer("module", "torch.nn"),
    Answer("class", "heads.Head", ("torch.nn.modules.module.Module",)),
    Answer("instance", "heads.Head", ("builtins.object",)),
]


class SomeNames:
    """Knows what it has been told."""

    def __init__(self) -> None:
        self.known: dict[Question, Answer] = {}

    def ask(self, question: Question) -> Answer | None:
        return self.known.get(question)

    def find(self, module: str) -> ImportedFile | None:
        return None


@pytest.mark.parametrize("seed", range(12))
def test_names_that_become_known(seed: int) -> None:
    """Whatever is known of names, and since when, the facts are those of a fresh analysis that knows as much."""
    rng = random.Random(seed)
    names, source = SomeNames(), Source.read(IMPORTING)
    chance = 0.0

    def pause() -> None:
        if rng.random() < chance:
            raise Interrupted

    analysis = Analysis(source, names, pause=pause)
    for _ in range(25):
        chance = rng.choice([0.0, 0.3])
        try:
            facts = analysis.facts
        except Interrupted:
            continue
        assert_as_fresh(facts, names)
        if rng.random() < 0.6 and facts.questions:
            names.known[rng.choice(sorted(facts.questions))] = rng.choice(MEANINGS)
            assert analysis.learned()
        else:
            text = mutated(rng, source.text)
            if parses(text):
                analysis.edited(source.edit(split_lines(text)).blocks)


def test_an_import_is_the_same_after_an_edit_of_what_uses_it() -> None:
    text = (
        'import torch\nimport log\n\nlog.start("one")\n\n\n'
        "def told(x):\n    log.write(x)\n    return torch.randn(3, requires_grad=True) * x\n"
    )
    assert Edited(text).replace('"one"', '"two"') == {"module"}


def test_what_a_chapter_found_out_about_a_value_of_the_module_is_forgotten_behind_it() -> None:
    text = (
        "import torch\nfrom data import ids\n\n\ndef embedded():\n    return torch.nn.Embedding(9, 3)(ids)\n\n\n"
        "def added():\n    kept = ids\n    return kept + 1\n"
    )
    edited = Edited(text)
    edited.replace("nn.Embedding(9, 3)(ids)", "zeros(3)")
    edited.replace("torch.zeros(3)", "torch.nn.Embedding(9, 3)(ids)")
    edited.replace("kept + 1", "kept + 2")


def test_names_that_become_known_cost_those_who_asked() -> None:
    names = SomeNames()
    text = "from heads import make, head\n\n\ndef one(x):\n    return make(x)\n\n\ndef other(x):\n    return head(x)\n"
    analysis = Analysis(Source.read(text), names)
    before = analysis.facts.chapters
    assert not analysis.learned()
    assert analysis.facts.chapters is before
    names.known[Question("heads", "make", True)] = Answer("instance", "torch.Tensor")
    assert analysis.learned()
    again = [_name(chapter.node) for chapter in analysis.facts.chapters if chapter not in before]
    assert again == ["module", "one"]
    assert sorted(analysis.facts.questions) == [
        Question("heads", "head", False), Question("heads", "head", True), Question("heads", "make", False)
    ]  # fmt: skip


def test_memory_of_earlier_texts_is_given_back() -> None:
    """What an edit replaced is not kept."""
    edited = Edited(textwrap.dedent(PROGRAM))
    for number in range(30):
        edited.replace("return x * 2" if number == 0 else f"return x * {number + 1}", f"return x * {number + 2}")
        edited.replace("def kept(" if number == 0 else f"def kept{number - 1}(", f"def kept{number}(")
    assert len(edited.chapters) == len(Analysis(Source.read(edited.source.text)).facts.chapters)
    assert len(edited.analysis._mentions) < 40
    assert len(edited.analysis._made) <= 2


def test_a_chapter_that_is_kept_does_not_hold_the_run_that_it_was_made_in() -> None:
    """Each function is run again in another run of the module's statements, which makes all definitions anew."""
    count = 20
    tested = "".join(f"def used{number}(x):\n    return Block(0)(x).detach()\n\n\n" for number in range(count))
    others = "".join(f"class Other{number}:\n    size = {number}\n\n\n" for number in range(200))
    edited = Edited(textwrap.dedent(PROGRAM) + "\n\n" + tested + others + "setting = 0\n")
    first = _objects()
    for number in range(count):
        edited.replace(f"used{number}(x):\n    return Block(0)", f"used{number}(x):\n    return Block(1)")
        edited.replace(f"setting = {number}\n", f"setting = {number + 1}\n")
    assert _objects() < first * 2


def _objects() -> int:
    gc.collect()
    return sum(issubclass(type(each), (Fields, Value, Node)) for each in gc.get_objects())


DECLARED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(x)


class First:
    net: Net

    def __init__(self):
        self.count = 1

    def one(self, x):
        return self.net(x)

    def two(self, x):
        return self.net(x) * 2


class Second(nn.Module):
    def __init__(self, net: Net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


def third(net: Net, first: First):
    return net(torch.ones(3)) + first.net(torch.ones(3))
"""


def test_what_is_declared_to_be_of_a_class_is_made_anew_when_that_is_made_otherwise() -> None:
    edited = Edited(DECLARED)
    for old, new in (
        ("nn.Linear(3, 3)", "nn.Linear(3, 3).requires_grad_(False)"),
        ("self.count = 1", "self.count = 2"),
        ("nn.Linear(3, 3).requires_grad_(False)", "nn.Identity()"),
        ("nn.Identity()", "nn.Linear(3, 3)"),
    ):
        edited.replace(old, new)


EDITED_FUNCTION = """
import torch


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(x, factor):
        return x * factor

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = inputs[1]

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor


def scaled(x):
    return Scale.apply(x, 2.0), Scale.forward(x)
"""


@pytest.mark.parametrize("new", ["    name = 'scale'\n", "    def more(self):\n        pass\n\n"])
def test_methods_of_a_function_are_those_of_the_class_whose_body_is_edited(new: str) -> None:
    file = Edited(EDITED_FUNCTION)
    assert "GRD801" in {finding.code for finding in findings(file.analysis.facts)}
    file.replace("    @staticmethod\n    def forward", f"{new}    @staticmethod\n    def forward")
