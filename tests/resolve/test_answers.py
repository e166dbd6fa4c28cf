"""What names are, without torch where the user's code lives: our stubs stand in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradls.flow.names import Answer, Question
from gradls.resolve.resolver import Resolver
from tests.resolve.conftest import MODULE, Project, bare_environment, write

LOSS = "torch.nn.modules.loss._Loss"

LOSSES = """
    from typing import Callable, Optional, Union
    import functools
    import torch
    from torch import nn

    LR = 0.1
    Criterion = nn.Module
    Either = Union[nn.MSELoss, nn.L1Loss]
    Callback = Callable[[int], int]
    registry = {"mse": nn.MSELoss, "l1": nn.L1Loss}
    later = None

    class Net(nn.Module):
        class Block(nn.Module): ...
        @classmethod
        def make(cls): return cls()
        def forward(self, x): return x

    def build_criterion(): return nn.CrossEntropyLoss()
    def annotated() -> nn.Module: ...
    def in_quotes() -> "torch.Tensor": ...
    def optional() -> Optional[nn.Module]: ...
    def relu(x): return nn.functional.relu(x)
    def on_gpu(): return Net().cuda()
    def chooses_class(): return nn.MSELoss
    def by_name(name):
        if name == "mse": return nn.MSELoss()
        if name == "ce": return nn.CrossEntropyLoss()
        raise ValueError
    def from_registry(name, **options): return registry[name](**options)
    def defaults(kind="mse"):
        if kind == "mse": return nn.MSELoss()
        return nn.ReLU()
    def default_class(cls=nn.MSELoss): return cls()
    def default_object(module=nn.ReLU()): return module
    def given(module=None):
        if module is None: return nn.ReLU()
        return module
    def looks_up(name): return getattr(nn, name)()
    def missing(x):
        if x: return nowhere.thing()
        return nn.ReLU()
    def nothing(x):
        if x: return None
        return nn.ReLU()
    def optimizer(model): return torch.optim.AdamW(model.parameters())
    @functools.lru_cache()
    def cached(): return nn.ReLU()
    @torch.no_grad()
    def decorated(): return nn.ReLU()

    criterion = build_criterion()
    if torch.cuda.is_available(): loss = nn.MSELoss()
    else: loss = nn.L1Loss()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Project]:
    root = tmp_path_factory.mktemp("project")
    bare_environment(root)
    write(root, "losses.py", LOSSES)
    write(root, "models.py", "from torch import nn\nclass Net(nn.Module): ...\n")
    write(root, "pkg/__init__.py", "from .models import Net\n")
    write(root, "pkg/models.py", "from torch import nn\nclass Base(nn.Module): ...\nclass Net(Base): ...\n")
    write(root, "pkg/deep/__init__.py")
    write(root, "pkg/deep/heads.py", "from ..models import Base\nclass Head(Base): ...\n")
    write(root, "scripts/helpers.py", "from torch import nn\ndef head(): return nn.Linear(1, 1)\n")
    write(root, "src/library/__init__.py", "from torch import nn\nclass Layer(nn.Module): ...\n")
    with Resolver(root, timeout=600, cache=shared_cache) as resolver:
        yield Project(root, resolver)


def instance(name: str, *bases: str) -> Answer:
    return Answer("instance", name, bases)


CROSS_ENTROPY = instance("torch.nn.modules.loss.CrossEntropyLoss", "torch.nn.modules.loss._WeightedLoss", LOSS, MODULE)
RELU = instance("torch.nn.modules.activation.ReLU", MODULE)
ADAMW = instance("torch.optim.adamw.AdamW", "torch.optim.adam.Adam", "torch.optim.optimizer.Optimizer")
TENSOR = instance("torch._tensor.Tensor", "torch._C.TensorBase")


@pytest.mark.parametrize(
    ("name", "called", "expected"),
    [
        ("build_criterion", True, CROSS_ENTROPY),
        ("build_criterion", False, Answer("function", "losses.build_criterion")),
        ("criterion", False, CROSS_ENTROPY),
        ("Net", False, Answer("class", "losses.Net", (MODULE,))),
        ("Net", True, instance("losses.Net", MODULE)),
        ("Net.Block", False, Answer("class", "losses.Net.Block", (MODULE,))),
        ("Net.make", True, instance("losses.Net", MODULE)),
        ("Criterion", False, Answer("class", MODULE)),
        ("annotated", True, instance(MODULE)),
        ("in_quotes", True, TENSOR),
        ("relu", True, TENSOR),
        ("on_gpu", True, instance("losses.Net", MODULE)),
        ("chooses_class", True, Answer("class", "torch.nn.modules.loss.MSELoss", (LOSS, MODULE))),
        (
            "optimizer",
            True,
            instance("torch.optim.adamw.AdamW", "torch.optim.adam.Adam", "torch.optim.optimizer.Optimizer"),
        ),
        ("cached", True, RELU),
        ("decorated", True, RELU),
        ("LR", False, instance("builtins.float")),
        # One of several: what they have in common.
        ("by_name", True, instance(LOSS, MODULE)),
        ("from_registry", True, instance(LOSS, MODULE)),
        ("defaults", True, instance(MODULE)),
        ("loss", False, instance(LOSS, MODULE)),
    ],
)
def test_known(project: Project, name: str, called: bool, expected: Answer) -> None:
    assert project.ask("losses", name, called) == expected


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("default_class", True),
        ("default_object", True),
        ("given", True),
        ("looks_up", True),
        ("missing", True),
        ("nothing", True),
        ("optional", True),
        ("Either", False),
        ("Callback", False),
        ("later", False),
        ("absent", False),
        ("Net.absent", False),
        ("LR", True),
    ],
)
def test_unknown_rather_than_perhaps(project: Project, name: str, called: bool) -> None:
    assert project.ask("losses", name, called) is None


@pytest.mark.parametrize(
    ("near", "module", "name", "expected"),
    [
        ("train.py", "models", "Net", "models.Net"),
        ("train.py", "pkg", "Net", "pkg.models.Net"),
        ("train.py", "pkg.models", "Net", "pkg.models.Net"),
        ("pkg/train.py", ".models", "Net", "pkg.models.Net"),
        ("pkg/train.py", ".", "models.Net", "pkg.models.Net"),
        ("pkg/train.py", "models", "Net", "models.Net"),
        ("pkg/deep/train.py", "..models", "Net", "pkg.models.Net"),
        ("pkg/deep/train.py", ".heads", "Head", "pkg.deep.heads.Head"),
        ("scripts/train.py", "pkg.deep.heads", "Head", "pkg.deep.heads.Head"),
        ("scripts/train.py", "library", "Layer", "library.Layer"),
        ("scripts/nb.ipynb", "models", "Net", "models.Net"),
    ],
)
def test_imports_lead_from_the_folder_of_the_file(
    project: Project, near: str, module: str, name: str, expected: str
) -> None:
    found = project.ask(module, name, near=near)
    assert found is not None
    assert (found.kind, found.name, found.bases[-1]) == ("class", expected, MODULE)


def test_siblings_of_a_script(project: Project) -> None:
    assert project.ask("helpers", "head", True, near="scripts/train.py") == instance(
        "torch.nn.modules.linear.Linear", MODULE
    )
    assert project.ask("helpers", "head", True, near="train.py") is None


def test_modules(project: Project) -> None:
    assert project.ask("losses", "") == Answer("module", "losses")
    assert project.ask("pkg.models", "") == Answer("module", "pkg.models")
    assert project.ask("torch.nn", "") == Answer("module", "torch.nn")
    assert project.ask("torch", "nn.functional") == Answer("module", "torch.nn.functional")
    assert project.ask(".deep", "", near="pkg/x.py") == Answer("module", "pkg.deep")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("", ""),
        (".", ""),
        ("a b", "c"),
        ("losses", "import"),
        ("losses", "*"),
        ("losses\nimport os", "x"),
        ("..", "."),
        ("losses", "a..b"),
        ("12", "x"),
    ],
)
def test_what_python_could_not_say(project: Project, module: str, name: str) -> None:
    assert project.ask(module, name) is None


def test_many_questions_at_once(project: Project) -> None:
    """One jedi Script would be tired after some of these."""
    names = [f"f{number}" for number in range(120)]
    body = "".join(f"def {name}(): return nn.ReLU()\n" for name in names)
    project.write("many.py", "from torch import nn\n" + body)
    near = str(project.root / "train.py")
    assert project.resolver.resolve_now([Question("many", name, True) for name in names], near)
    assert {project.resolver.ask(Question("many", name, True), near) for name in names} == {RELU}


async def test_resolve_says_whether_anything_is_new(project: Project) -> None:
    near = str(project.root / "elsewhere/train.py")
    question, other = Question("losses", "Net", True), Question("nowhere", "x", False)
    names = project.resolver.names_for(near)
    assert names.ask(question) is None
    assert await project.resolver.resolve({question, other}, near) is True
    assert names.ask(question) == instance("losses.Net", MODULE)
    assert names.ask(other) is None
    assert await project.resolver.resolve({question, other}, near) is False
    assert await project.resolver.resolve(set(), near) is False


def test_a_buffer_without_a_file_asks_from_the_root(project: Project) -> None:
    project.resolver.resolve_now({Question("losses", "Net", False)}, "untitled:Untitled-1")
    found = project.resolver.names_for("untitled:Untitled-1").ask(Question("losses", "Net", False))
    assert found == Answer("class", "losses.Net", (MODULE,))


def test_without_a_root(project: Project, shared_cache: Path) -> None:
    with Resolver(None, python=str(project.root / ".venv"), timeout=600, cache=shared_cache) as resolver:
        near = str(project.root / "pkg/train.py")
        resolver.resolve_now({Question(".models", "Net", False), Question("losses", "Net", False)}, near)
        found = resolver.ask(Question(".models", "Net", False), near)
        assert found is not None
        assert found.name == "pkg.models.Net"
        resolver.resolve_now({Question("torch.nn", "ReLU", True)}, "untitled:Untitled-1")
        assert resolver.ask(Question("torch.nn", "ReLU", True), "untitled:Untitled-1") == RELU


def test_packages_of_the_environment_are_read(projects: Callable[..., Project]) -> None:
    project = projects()
    packages = next((project.root / ".venv/lib").iterdir()) / "site-packages"
    write(packages, "zoo/__init__.py", "from torch import nn\nclass Net(nn.Module): ...\ndef net() -> Net: ...\n")
    project.write("editable/tool.py", "from torch import nn\nclass Tool(nn.Module): ...\n")
    (packages / "tool.pth").write_text(f"{project.root / 'editable'}\nimport os; os.abort()\n")
    assert project.ask("zoo", "net", True) == instance("zoo.Net", MODULE)
    assert project.ask("tool", "Tool") == Answer("class", "tool.Tool", (MODULE,))
