"""Imports from one file of a project to another: which file is meant, and what follows from its text."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from gradls.flow.analyze import analyze
from gradls.flow.facts import Facts
from gradls.workspace import looked, project
from gradls.workspace import session as sessions
from gradls.workspace.project import one_look
from gradls.workspace.session import Session

NET = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(3, 1)

        def forward(self, x):
            return self.out(x)
"""
USE = """
    import torch
    model = Net()
    y = model(torch.randn(2, 3))
"""


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def session(root: Path, path: str, text: str) -> Session:
    opened = Session(root)
    opened.open(str(root / path), textwrap.dedent(text))
    return opened


def facts(root: Path, text: str, path: str = "train.py") -> Facts:
    return session(root, path, text).facts(str(root / path))


def requires_grad(root: Path, text: str, path: str = "train.py") -> bool | None:
    """What is known of the last name `y` that a statement of the text binds."""
    found = facts(root, text, path)
    states = [s for s in found.states if isinstance(s.node, ast.Name) and s.node.id == "y"]
    return states[-1].requires_grad if states else None


def found(root: Path, text: str, path: str = "train.py") -> list[tuple[str, int, str]]:
    opened = session(root, path, text)
    return [(f.code, f.span.line, f.message) for f in opened.findings(str(root / path))]


@pytest.mark.parametrize(
    ("files", "statement"),
    [
        ({"net.py": NET}, "from net import Net"),
        ({"net.py": NET}, "import net; Net = net.Net"),
        ({"net.py": NET}, "import net as n; Net = n.Net"),
        ({"net.py": NET}, "from net import *"),
        ({"pkg/net.py": NET}, "from pkg.net import Net"),
        ({"pkg/net.py": NET}, "import pkg.net; Net = pkg.net.Net"),
        ({"pkg/net.py": NET}, "from pkg import net; Net = net.Net"),
        ({"pkg/__init__.py": "from .net import Net", "pkg/net.py": NET}, "from pkg import Net"),
        ({"pkg/__init__.py": "from .net import *", "pkg/net.py": NET}, "from pkg import Net"),
        ({"pkg/__init__.py": "from .net import *", "pkg/net.py": NET}, "from pkg import *"),
        ({"pkg/__init__.py": "from . import net", "pkg/net.py": NET}, "import pkg; Net = pkg.net.Net"),
        ({"pkg/__init__.py": "from pkg.net import Net as Model", "pkg/net.py": NET}, "from pkg import Model as Net"),
        ({"src/pkg/__init__.py": "", "src/pkg/net.py": NET}, "from pkg.net import Net"),
        ({"net.py": NET}, "try:\n    from net import Net\nexcept ImportError:\n    Net = None"),
        ({"net.py": NET}, "def make():\n    from net import Net\n    return Net()\nNet = make"),
        ({"net.py": f"if True:\n{NET}"}, "from net import Net"),
        ({"net.py": "import train\n" + textwrap.dedent(NET)}, "from net import Net"),
        ({"a.py": "from b import Net", "b.py": "from a import *\n" + textwrap.dedent(NET)}, "from a import Net"),
    ],
)
def test_a_class_of_another_file(tmp_path: Path, files: Mapping[str, str], statement: str):
    write(tmp_path, files)
    assert requires_grad(tmp_path, f"{statement}\n{textwrap.dedent(USE)}") is True


def test_files_inside_of_a_package(tmp_path: Path):
    write(tmp_path, {"pkg/__init__.py": "", "pkg/models/__init__.py": "", "pkg/models/net.py": NET})
    use = textwrap.dedent(USE)
    assert requires_grad(tmp_path, f"from .models.net import Net\n{use}", "pkg/train.py") is True
    assert requires_grad(tmp_path, f"from ..models import net\nNet = net.Net\n{use}", "pkg/train/loop.py") is True
    assert requires_grad(tmp_path, f"from pkg.models.net import Net\n{use}", "pkg/train/loop.py") is True
    # Inside of a package the file next door is no module of that name.
    write(tmp_path, {"pkg/net.py": NET})
    assert requires_grad(tmp_path, f"from net import Net\n{use}", "pkg/train.py") is None


@pytest.mark.parametrize(
    "statement", ["from nowhere import Net", "from net import Other as Net", "import net.Net as Net"]
)
def test_what_is_not_there_is_unknown(tmp_path: Path, statement: str):
    write(tmp_path, {"net.py": NET})
    assert requires_grad(tmp_path, f"{statement}\n{textwrap.dedent(USE)}") is None


@pytest.mark.parametrize("statement", ["from a import Net", "from a import *", "import a; Net = a.Net"])
def test_files_that_import_each_other(tmp_path: Path, statement: str):
    write(tmp_path, {"a.py": "from b import Net", "b.py": "from a import Net"})
    assert requires_grad(tmp_path, f"{statement}\n{textwrap.dedent(USE)}") is None


def test_objects_made_in_another_file(tmp_path: Path):
    setup = "from net import Net\nmodel = Net()\nfor p in model.parameters():\n    p.requires_grad_(False)\n"
    write(tmp_path, {"net.py": NET, "setup.py": setup})
    assert requires_grad(tmp_path, "import torch\nfrom setup import model\ny = model(torch.randn(2, 3))") is False


def test_what_another_file_does_when_it_is_run_itself(tmp_path: Path):
    write(tmp_path, {"net.py": textwrap.dedent(NET) + "if __name__ == '__main__':\n    Net = None\n"})
    assert requires_grad(tmp_path, f"from net import Net\n{textwrap.dedent(USE)}") is True


def test_names_are_found_out_inside_of_a_branch_for_good(tmp_path: Path):
    text = """
        import sys
        import torch
        import net
        if len(sys.argv) > 1:
            a = net.Net()
        else:
            a = net.Net()
        y = net.Net()(torch.randn(2, 3))
    """
    write(tmp_path, {"net.py": NET})
    assert requires_grad(tmp_path, text) is True


def test_a_function_of_another_file_runs_in_the_mode_of_its_caller(tmp_path: Path):
    write(tmp_path, {"tools.py": "def twice(x):\n    return x * 2\n"})
    text = "import torch\nfrom tools import twice\nw = torch.ones(3, requires_grad=True)\n"
    assert requires_grad(tmp_path, f"{text}y = twice(w)") is True
    assert requires_grad(tmp_path, f"{text}with torch.no_grad():\n    y = twice(w)") is False


def test_a_decorator_of_another_file_that_gives_a_class_another_constructor(tmp_path: Path):
    write(
        tmp_path,
        {
            "tools.py": """
            import functools
            import inspect
            import warnings

            def reviewed():
                def decorator(it, name=None):
                    if inspect.isclass(it):
                        it.__init__ = decorator(it.__init__, it.__qualname__)
                        return it

                    @functools.wraps(it)
                    def wrapper(*args, **kwargs):
                        for number in range(len(args)):
                            warnings.warn(name)
                            LONG
                        return it(*args, **kwargs)

                    return wrapper

                return decorator
            """.replace("LONG", "; ".join(["name = str(name)"] * 3000)),
            "net.py": """
            import torch
            from torch import nn
            from tools import reviewed

            @reviewed()
            class Net(nn.Module):
                def __init__(self, size):
                    super().__init__()
                    self.layer = nn.Linear(size, 1)

                def forward(self, x):
                    return self.layer(x)
            """,
        },
    )
    text = """
        import torch
        from net import Net

        for _ in range(6):
            net = Net(3)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            optimizer.zero_grad()
            net(torch.randn(8, 3)).sum().backward()
            optimizer.step()
    """
    assert found(tmp_path, text) == []


def test_of_several_calls_that_one_is_told_of_which_has_the_rest_of_the_story(tmp_path: Path):
    write(tmp_path, {"tools.py": "def mask(h):\n    h.mul_(2)\n    return h\n"})
    text = """
        import torch
        from tools import mask

        def show(x):
            print(mask(x.clone()))

        def train(w):
            h = torch.sigmoid(w)
            mask(h)
            h.sum().backward()

        w = torch.ones(3, requires_grad=True)
        show(w)
        train(w)
    """
    ((code, line, _),) = found(tmp_path, text)
    assert (code, line) == ("GRD201", 10)


def test_a_mistake_in_a_called_file_is_told_at_the_call(tmp_path: Path):
    write(tmp_path, {"tools.py": "def mask(h):\n    h.mul_(2)\n    return h\n"})
    text = """
        import torch
        from tools import mask
        w = torch.ones(3, requires_grad=True)
        h = torch.sigmoid(w)
        mask(h)
        h.sum().backward()
    """
    ((code, line, message),) = found(tmp_path, text)
    assert (code, line) == ("GRD201", 6)
    assert message.endswith("(in tools.py, line 2)")
    opened = session(tmp_path, "train.py", text)
    (finding,) = opened.findings(str(tmp_path / "train.py"))
    assert finding.story[0].place.source.path == str(tmp_path / "tools.py")
    write(tmp_path, {"tools.py": "def mask(h):\n    h.mul_(2)  # gradls: ignore\n    return h\n"})
    assert found(tmp_path, text) == []


def test_classes_of_one_name_on_two_branches_of_a_called_function(tmp_path: Path):
    cls = """
            class Net(torch.nn.Module):
                def __init__(self):
                    super(Net, self).__init__()
                    self.layer = torch.nn.Linear(3, 1)
    """
    tools = f"""
    import torch
    def make(wide):
        if wide:
            {cls.strip()}
        else:
            {cls.strip()}
        return Net()
    """
    write(tmp_path, {"tools.py": tools})
    assert found(tmp_path, "import sys\nfrom tools import make\nmake(len(sys.argv) > 1)\n") == []


def test_information_about_a_called_file_is_told_there_only(tmp_path: Path):
    write(tmp_path, {"tools.py": "def number(x):\n    return float(x)\n"})
    text = "import torch\nfrom tools import number\nw = torch.ones(3, requires_grad=True)\n"
    assert [code for code, _, _ in found(tmp_path, f"{text}float(w.sum())")] == ["GRD319"]
    assert found(tmp_path, f"{text}number(w.sum())") == []


def test_a_file_that_is_wrong_by_itself_is_told_there_only(tmp_path: Path):
    loop = """
        import torch
        def train():
            w = torch.ones(3, requires_grad=True)
            loss = torch.tensor(w.sum().item())
            loss.backward()
    """
    write(tmp_path, {"loop.py": loop})
    assert found(tmp_path, "from loop import train\ntrain()") == []
    assert [code for code, _, _ in found(tmp_path, loop, "loop.py")] == ["GRD104"]


def test_a_file_that_is_wrong_by_itself_is_found_to_be_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tools = """
        import torch
        def train():
            w = torch.ones(3, requires_grad=True)
            torch.tensor(w.sum().item()).backward()
    """
    write(tmp_path, {"tools.py": tools})
    use, alone = "from tools import train\ntrain()", []
    monkeypatch.setattr(sessions, "analyze", lambda source, *rest: alone.append(source.path) or analyze(source, *rest))

    def look_twice() -> int:
        alone.clear()
        for name in ("a.py", "b.py"):
            first = session(tmp_path, name, use)
            assert first.findings(str(tmp_path / name)) == []
            first.end()
        return len(alone)

    with one_look():
        assert look_twice() == 1
    assert look_twice() == 2
    with one_look():
        # What an editor has of a file is for this session only.
        write(tmp_path, {"a.py": use, "tools.py": f"import a\na.train()\n{textwrap.dedent(tools)}"})
        assert look_twice() == 2


def test_an_open_file_counts_as_it_is_typed(tmp_path: Path):
    write(tmp_path, {"net.py": NET})
    train, net = str(tmp_path / "train.py"), str(tmp_path / "net.py")
    opened = session(tmp_path, "train.py", f"from net import Net\n{textwrap.dedent(USE)}")
    assert opened.facts(train).others[0].path == net
    assert opened.open(net, textwrap.dedent(NET)) == [train]
    opened.facts(train)
    assert opened.change(net, textwrap.dedent(NET).replace("self.out(x)", "self.out(x).detach()")) == [train]
    states = [s for s in opened.facts(train).states if isinstance(s.node, ast.Name) and s.node.id == "y"]
    assert states[-1].requires_grad is False
    assert opened.change(train, "x = 1") == []
    assert opened.facts(train).others == []


def test_a_file_is_read_again_when_it_is_another_one(tmp_path: Path):
    write(tmp_path, {"net.py": NET})
    use = f"from net import Net\n{textwrap.dedent(USE)}"
    assert requires_grad(tmp_path, use) is True
    write(tmp_path, {"net.py": NET.replace("self.out(x)", "self.out(x).detach()")})
    assert requires_grad(tmp_path, use) is False


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"def broken(:\n", b"", b"\x00"])
def test_a_file_that_cannot_be_read_is_unknown(tmp_path: Path, content: bytes):
    (tmp_path / "net.py").write_bytes(content)
    assert requires_grad(tmp_path, f"from net import Net\n{textwrap.dedent(USE)}") is None


def test_huge_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(looked, "MOST_BYTES", 10)
    write(tmp_path, {"net.py": NET})
    assert requires_grad(tmp_path, f"from net import Net\n{textwrap.dedent(USE)}") is None


@pytest.mark.parametrize(
    "imports",
    [
        "from .net import Net\nfrom .big import Big",
        "if TYPE_CHECKING:\n    from .net import Net\n    from .big import Big",
        "try:\n    from .net import Net\n    from .big import Big\nexcept ImportError:\n    Net = Big = None",
        "if flag():\n    from .net import Net\n    from .big import Big",
        "if flag():\n    from .net import Net\n    from .big import Big\nelse:\n    from .dummy import Big",
        "try:\n    if flag():\n        raise ImportError\nexcept ImportError:\n    from .dummy import *\n"
        "else:\n    from .net import Net\n    from .big import Big",
    ],
)
@pytest.mark.parametrize("of", ["from pkg import Net", "from pkg import *", "import pkg; Net = pkg.Net"])
def test_only_names_that_somebody_uses_are_found_out(tmp_path: Path, imports: str, of: str):
    flag = "import os\n\ndef flag():\n    return os.environ.get('FLAG')"
    write(
        tmp_path,
        {
            "pkg/__init__.py": f"from typing import TYPE_CHECKING\nfrom .flags import flag\n{imports}",
            "pkg/flags.py": flag,
            "pkg/net.py": NET,
            "pkg/big.py": "class Big: pass",
            "pkg/dummy.py": "class Big: pass",
        },
    )
    found = facts(tmp_path, f"import torch\n{of}\ny = Net()(torch.randn(2, 3))")
    assert [s.requires_grad for s in found.states if isinstance(s.node, ast.Name) and s.node.id == "y"] == [True]
    assert "big.py" not in [Path(source.path).name for source in found.others]


def test_a_function_of_another_file_that_takes_too_long_is_left_alone(tmp_path: Path):
    deep = "".join(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x) + f{n + 1}(x)\n" for n in range(12))
    write(tmp_path, {"deep.py": f"{deep}def f12(x):\n    return x\n"})
    text = """
        import torch
        from deep import f0
        w = torch.ones(3, requires_grad=True)
        with torch.no_grad():
            f0(w)
        y = w * 2
        y.detach().sum().backward()
    """
    assert requires_grad(tmp_path, text) is True
    assert [code for code, _, _ in found(tmp_path, text)] == ["GRD101"]


def test_a_function_that_was_followed_in_vain_is_not_followed_any_more(tmp_path: Path):
    deep = "".join(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x) + f{n + 1}(x)\n" for n in range(12))
    write(tmp_path, {"deep.py": f"import torch\n{deep}def f12(x):\n    return x\n"})
    callers = "".join(f"\n\ndef g{n}(x):\n    return f0(x)\n" for n in range(5))
    text = f"from deep import f0{callers}"

    def steps(opened: Session) -> list[bool]:
        """Which of the chapters tried to follow it?"""
        return [chapter.steps > 1000 for chapter in opened.facts(path).chapters]

    path = str(tmp_path / "train.py")
    opened = session(tmp_path, "train.py", text)
    assert steps(opened) == [False, True, False, False, False, False]
    for old, new, tried in (
        ("g0(x):\n    return f0(x)", "g0(x):\n    return x", [False, False, True, False, False, False]),
        ("g0(x):\n    return x", "g0(x):\n    return f0(x)", [False, True, False, False, False, False]),
        ("g4(x):\n    return f0(x)", "g4(x):\n    return f0(x) + 1", [False, True, False, False, False, False]),
    ):
        text = text.replace(old, new)
        opened.change(path, text)
        assert steps(opened) == tried == steps(session(tmp_path, "train.py", text))
    write(tmp_path, {"deep.py": "def f0(x):\n    return x\n"})
    opened.changed_on_disk(str(tmp_path / "deep.py"))
    assert not any(steps(opened))


def test_the_root_of_a_project(tmp_path: Path):
    write(tmp_path, {"repo/pyproject.toml": "", "repo/pkg/__init__.py": "", "loose/pkg/__init__.py": ""})
    assert project.project_root(str(tmp_path / "repo" / "pkg")) == tmp_path / "repo"
    assert project.project_root(str(tmp_path / "loose" / "pkg")) == tmp_path / "loose"


@pytest.mark.parametrize(
    ("among", "root"),
    [(".", "."), ("loose", "loose"), ("loose/pkg", "loose"), ("repo", "loose/pkg/sub"), ("/", "loose/pkg/sub")],
)
def test_what_is_looked_at_together_is_a_project_where_nothing_else_says(tmp_path: Path, among: str, root: str):
    write(tmp_path, {"repo/pyproject.toml": "", "loose/pkg/__init__.py": "", "loose/pkg/sub/a.py": ""})
    folder = str(tmp_path / "loose" / "pkg" / "sub")
    assert project.project_root(folder, str((tmp_path / among).resolve())) == (tmp_path / root).resolve()
    inner = str(tmp_path / "repo" / "a" / "b")
    assert project.project_root(inner, str(tmp_path / "repo" / "a")) == tmp_path / "repo"


@pytest.mark.parametrize("harness", ["f()", "try:\n        f()\n    except Exception as error:\n        print(error)"])
def test_a_function_that_another_file_calls_back(tmp_path: Path, harness: str):
    write(tmp_path, {"harness.py": f"def run(f):\n    {harness}\n"})
    text = """
        import torch
        from harness import run
        def main():
            w = torch.ones(3, requires_grad=True)
            w.detach().sum().backward()
        run(main)
    """
    assert [(code, line) for code, line, _ in found(tmp_path, text)] == [("GRD101", 6)]


def test_a_function_that_is_called_back_too_often_is_looked_at_by_itself(tmp_path: Path):
    deep = "".join(f"def f{n}(f):\n    f{n + 1}(f) + f{n + 1}(f) + f{n + 1}(f)\n" for n in range(12))
    write(tmp_path, {"deep.py": f"{deep}def f12(f):\n    f()\n"})
    text = """
        import torch
        from deep import f0
        def main():
            w = torch.ones(3, requires_grad=True)
            w.detach().sum().backward()
        f0(main)
    """
    assert [(code, line) for code, line, _ in found(tmp_path, text)] == [("GRD101", 6)]


def test_errors_are_told_though_a_caller_catches_them(tmp_path: Path):
    text = """
        import torch
        def main():
            w = torch.ones(3, requires_grad=True)
            w.detach().sum().backward()
        try:
            main()
        except Exception as error:
            print(error)
    """
    assert [(code, line) for code, line, _ in found(tmp_path, text)] == [("GRD101", 5)]


@pytest.mark.parametrize("called", ["main()", ""])
def test_a_decorator_of_another_file(tmp_path: Path, called: str):
    wrapper = """
        import functools
        def timed(f):
            @functools.wraps(f)
            def inner(*args, **kwargs):
                return f(*args, **kwargs)
            return inner
    """
    write(tmp_path, {"tools.py": wrapper})
    text = f"""
        import torch
        from tools import timed
        @timed
        def main(n=3):
            w = torch.ones(n, requires_grad=True)
            w.detach().sum().backward()
        {called}
    """
    assert [(code, line) for code, line, _ in found(tmp_path, text)] == [("GRD101", 7)]


def test_one_name_is_asked_for_in_the_middle_of_a_class_of_another_file(tmp_path: Path):
    table = """
        import torch
        from torch import nn
        class Table(nn.Module):
            def __init__(self):
                super().__init__()
                self.values = nn.Parameter(torch.ones(3))
                self.reset()
            @torch.no_grad()
            def reset(self):
                self.values.zero_()
    """
    write(tmp_path, {"table.py": table})
    assert found(tmp_path, "from table import Table\ntable = Table()\ny = table.values * 2") == []
    assert requires_grad(tmp_path, "from table import Table\ntable = Table()\ny = table.values * 2") is True


def test_a_class_that_is_a_layer_and_something_else(tmp_path: Path):
    layer = """
        from torch import nn
        class Adapter:
            def __init__(self, base):
                self.base = base
        class Layer(nn.Linear, Adapter):
            def __init__(self, base):
                super(nn.Linear, self).__init__()
                Adapter.__init__(self, base)
    """
    write(tmp_path, {"layer.py": layer})
    assert found(tmp_path, "from torch import nn\nfrom layer import Layer\nlayer = Layer(nn.Linear(3, 3))") == []


def news(root: Path, text: str, after: Mapping[str, str | None], *, path: str = "train.py") -> bool:
    """Whether a change on disk is news for the open file `path`; None removes a file."""
    opened = session(root, path, text)
    opened.findings(str(root / path))
    for name, content in after.items():
        (root / name).unlink() if content is None else write(root, {name: content})
    told = opened.changed_on_disk(*(str(root / name) for name in after))
    assert told in ([], [str(root / path)])
    return bool(told)


@pytest.mark.parametrize(
    ("after", "is_news"),
    [
        ({"net.py": NET + "\n# more\n"}, True),
        ({"net.py": NET}, False),
        ({"net.py": None}, True),
        ({"parts.py": "width = 4\n"}, True),
        ({"parts.py": None}, True),
        ({"unused.py": "x = 2\n"}, False),
        ({"other.py": "x = 2\n"}, False),
        ({"unused.py": None}, True),
        ({"later.py": "def f(): ...\n"}, True),
        ({"later/__init__.py": ""}, True),
        ({"src/later.py": "def f(): ...\n"}, True),
        ({"elsewhere/later.py": "def f(): ...\n"}, False),
        ({"net/__init__.py": NET}, True),
        ({f"many/m{n}.py": "x = 1\n" for n in range(300)}, False),
        ({**{f"many/m{n}.py": "x = 1\n" for n in range(300)}, "parts.py": "width = 4\n"}, True),
    ],
)
def test_which_changes_on_disk_are_news(tmp_path: Path, after: Mapping[str, str | None], is_news: bool):
    """Those of what the analysis looked at, also through other files, and of what it looked for and did not find."""
    net = "from parts import width\n" + textwrap.dedent(NET).replace("nn.Linear(3, 1)", "nn.Linear(width, 1)")
    write(tmp_path, {"net.py": net, "parts.py": "width = 3\n", "unused.py": "x = 1\n", "other.py": "x = 1\n"})
    if after.get("net.py") == NET:
        after = {"net.py": net}
    text = f"from net import Net\nfrom later import f\nimport unused\n{textwrap.dedent(USE)}"
    assert news(tmp_path, text, after) is is_news


def test_a_folder_that_is_moved_away_is_news(tmp_path: Path):
    write(tmp_path, {"pkg/sub/net.py": NET})
    opened = session(tmp_path, "train.py", f"from pkg.sub.net import Net\n{textwrap.dedent(USE)}")
    train = str(tmp_path / "train.py")
    opened.findings(train)
    (tmp_path / "pkg").rename(tmp_path / "old")
    assert opened.changed_on_disk(str(tmp_path / "old")) == []
    assert opened.changed_on_disk(str(tmp_path / "pkg")) == [train]


def test_a_file_that_is_saved_as_it_was_typed_is_no_news(tmp_path: Path):
    write(tmp_path, {"net.py": NET})
    train, net = str(tmp_path / "train.py"), str(tmp_path / "net.py")
    opened = session(tmp_path, "train.py", f"from net import Net\n{textwrap.dedent(USE)}")
    opened.open(net, textwrap.dedent(NET) + "# typed\n")
    opened.findings(train)
    write(tmp_path, {"net.py": textwrap.dedent(NET) + "# typed\n"})
    assert opened.changed_on_disk(net) == []
    assert opened.close(net) == [train]


def test_what_another_file_is_by_itself_may_change_through_a_third_one(tmp_path: Path):
    """A mistake in tools.py is told at the call here only while tools.py is not wrong by itself."""
    make = "import torch\ndef make():\n    return torch.ones(3, requires_grad=True)\n"
    tools = """
        import torch
        from make import make
        def double(h):
            h.mul_(2)
            return h
        if __name__ == "__main__":
            h = torch.sigmoid(make())
            double(h)
            h.sum().backward()
    """
    write(tmp_path, {"make.py": make, "tools.py": tools})
    text = """
        import torch
        from tools import double
        h = torch.sigmoid(torch.ones(3, requires_grad=True))
        double(h)
        h.sum().backward()
    """
    train = str(tmp_path / "train.py")
    opened = session(tmp_path, "train.py", text)
    assert opened.findings(train) == []
    write(tmp_path, {"make.py": make.replace("True", "False")})
    assert opened.changed_on_disk(str(tmp_path / "make.py")) == [train]
    assert [f.code for f in opened.findings(train)] == ["GRD201"]


STUB = """
    from torch import Tensor, nn

    class Net(nn.Module):
        out: nn.Linear
        def forward(self, x: Tensor) -> Tensor: ...

    class Frozen(nn.Module):
        def __init__(self, size: int) -> None: ...
        def __call__(self, x: Tensor) -> Tensor: ...

    def twice(x: Tensor) -> Tensor: ...
"""


def test_a_stub_stands_for_a_module_that_has_no_text(tmp_path: Path):
    """What is in it is known to be there; what it does is not."""
    write(tmp_path, {"native.pyi": STUB})
    (tmp_path / "native.cpython-311-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
    text = """
        import torch
        from native import Frozen, Net, twice
        model, other = Net(), Frozen(3)
        optimizer = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.1)
        w = torch.ones(3, requires_grad=True)
        optimizer.zero_grad()
        loss = (model(w) + other(w) + twice(w)).sum()
        loss.backward()
        model.out.weight.grad
        optimizer.step()
        y = twice(w)
    """
    assert found(tmp_path, text) == []
    assert requires_grad(tmp_path, text) is None
    assert {Path(s.path).name for s in facts(tmp_path, text).others} == {"native.pyi"}
    # That it is a module is known.
    mistake = "from native import Net\nmodel = Net()\nmodel.zero_grad\n"
    assert [code for code, _, _ in found(tmp_path, mistake)] == ["GRD604"]


@pytest.mark.parametrize(
    ("files", "result"),
    [
        ({"net.pyi": STUB, "net.py": NET}, True),
        ({"net/__init__.pyi": STUB, "net/__init__.py": NET}, True),
        ({"net.pyi": STUB, "net/__init__.py": NET}, True),
        ({"net.py": "Net = None", "net/__init__.py": NET}, True),
        ({"net.pyi": STUB, "src/net.py": NET}, None),
        ({"net/__init__.pyi": STUB}, None),
    ],
)
def test_code_counts_before_a_stub_and_a_package_before_a_module(
    tmp_path: Path, files: Mapping[str, str], result: bool | None
):
    write(tmp_path, files)
    assert requires_grad(tmp_path, f"from net import Net\n{textwrap.dedent(USE)}") is result


def test_a_module_is_not_its_own_stub(tmp_path: Path):
    write(tmp_path, {"net.pyi": STUB})
    assert facts(tmp_path, "from net import Net", "net.py").others == []


def test_an_edit_elsewhere_is_news_only_for_those_who_looked_there(tmp_path: Path):
    both = """
        def used(x):
            return x.detach()

        def unused(x):
            return x * 2

        LIMIT = 3
    """
    write(tmp_path, {"tools.py": both})
    train, tools = str(tmp_path / "train.py"), str(tmp_path / "tools.py")
    text = textwrap.dedent(both)
    opened = session(tmp_path, "train.py", "from tools import used\n\ndef run(x):\n    return used(x)\n")
    opened.open(tools, text)
    opened.findings(train)
    facts = opened.facts(train)

    def after(old: str, new: str) -> bool:
        """Is the edit news for the file that imports?"""
        nonlocal text
        assert old in text
        text = text.replace(old, new)
        concerned = opened.change(tools, text) == [train]
        opened.findings(train)
        return concerned

    assert not after("x * 2", "x * 3")
    assert not after("LIMIT = 3", "LIMIT = 4\nMORE = 5")
    assert not after("def unused", "# nobody uses it\ndef unused")
    assert not after("def unused(x)", "def not_used(x, y)")
    assert opened.facts(train) is facts
    assert after("x.detach()", "x.clone()")
    assert opened.facts(train) is not facts
    assert after("def used(x)", "def used(x, y=1)")
    assert after("LIMIT = 4", "used = print")


def test_where_all_names_come_from_is_news_for_those_who_use_one_of_them(tmp_path: Path):
    cut = NET.replace("self.out(x)", "self.out(x).detach()")
    write(tmp_path, {"one.py": NET, "two.py": cut, "both.py": "from one import *\n"})
    train, both = str(tmp_path / "train.py"), str(tmp_path / "both.py")
    opened = session(tmp_path, "train.py", f"from both import Net\n{textwrap.dedent(USE)}")
    opened.open(both, "from one import *\n")
    opened.facts(train)
    assert opened.change(both, "from two import *\n") == [train]
    states = [s for s in opened.facts(train).states if isinstance(s.node, ast.Name) and s.node.id == "y"]
    assert states[-1].requires_grad is False
    assert opened.change(both, "from two import *\n\nother = 1\n") == []


def test_another_text_on_disk_is_news_only_for_those_who_looked_there(tmp_path: Path):
    tools = "def used(x):\n    return x.detach()\n\n\ndef unused(x):\n    return x * 2\n"
    write(tmp_path, {"tools.py": tools})
    train, path = str(tmp_path / "train.py"), str(tmp_path / "tools.py")
    opened = session(tmp_path, "train.py", "from tools import used\n\ndef run(x):\n    return used(x)\n")
    opened.findings(train)
    facts = opened.facts(train)
    write(tmp_path, {"tools.py": tools.replace("x * 2", "x * 3")})
    assert opened.changed_on_disk(path) == []
    assert opened.facts(train) is facts
    write(tmp_path, {"tools.py": tools.replace("x.detach()", "x.clone()")})
    assert opened.changed_on_disk(path) == [train]
    assert opened.facts(train) is not facts
    assert opened.changed_on_disk(path) == []
    (tmp_path / "tools.py").unlink()
    assert opened.changed_on_disk(path) == [train]


def test_what_was_read_is_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of large projects would fill the memory of each process."""
    monkeypatch.setattr("gradls.workspace.project.MOST_BYTES", 3000)
    kept = project._LastRead()
    for number in range(10):
        kept.use(f"{number}.py", project._Read(None, "", None, 1000))
    assert [number for number in range(10) if kept.get(f"{number}.py") is not None] == [7, 8, 9]
    kept.use("7.py", project._Read(None, "", None, 2000))
    assert [number for number in range(10) if kept.get(f"{number}.py") is not None] == [7, 9]
    kept.use("large.py", project._Read(None, "", None, 9000))
    assert kept.get("large.py") is not None


def test_a_class_that_is_replaced_in_its_file(tmp_path: Path):
    more = """
        class Frozen(Net):
            def __init__(self):
                super().__init__()
                self.requires_grad_(False)

        def make():
            return Net()
    """
    write(tmp_path, {"net.py": textwrap.dedent(NET) + textwrap.dedent(more)})
    text = "import torch\nimport net\n{}y = net.make()(torch.randn(2, 3))\n"
    assert requires_grad(tmp_path, text.format("")) is True
    assert requires_grad(tmp_path, text.format("net.Net = net.Frozen\n")) is None


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ("if __name__ == '__main__':\n    pass\n", True),
        ("", None),
    ],
)
def test_a_script_in_a_package_finds_what_lies_beside_it(tmp_path: Path, end: str, found: bool | None) -> None:
    """Python puts its folder first. Other files of a package are imported, and import through the package."""
    write(tmp_path, {"vae/__init__.py": "", "vae/net.py": NET, "pyproject.toml": ""})
    text = "from net import Net\n" + textwrap.dedent(USE) + end
    assert requires_grad(tmp_path, text, "vae/train.py") is found
