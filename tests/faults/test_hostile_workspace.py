"""Opening a stranger's workspace runs nothing of it, and reading it comes to an end.

Everything that is planted tells when it is run, and each program that is started is written down.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pygls.uris import from_fs_path

from tests.faults import planted, trace
from tests.lsp.clients import SECONDS, VSCODE
from tests.lsp.raw import Raw, started
from tests.resolve.conftest import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pipes, devices, /proc")

SCRIPT = "import sys\nfrom gradls.__main__ import main\nsys.exit(main())\n"
"""What pip makes of the entry point."""
PYTHON = os.path.realpath(sys.executable)


class World(NamedTuple):
    """The workspace, what is run in it, and where that is written down."""

    root: Path
    marker: Path
    record: Path
    environment: dict[str, str]
    command: list[str]

    def traced(self, *arguments: str) -> list[str]:
        return [sys.executable, "-I", trace.__file__, str(self.record), *self.command, *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.traced(*arguments),
            cwd=self.root,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def programs(self) -> list[list[str]]:
        """The arguments of each program that was begun, after `exe`. Nothing of the workspace may be among them, or in
        anybody's memory."""
        assert not self.marker.exists(), self.marker.read_text()
        lines = [json.loads(line) for line in self.record.read_text(encoding="utf-8").splitlines()]
        inside = str(self.root) + os.sep
        assert not [path for line in lines for path in line.get("mapped", ()) if path.startswith(inside)]
        begun = [line for line in lines if "exe" in line]
        assert begun
        assert not [line for line in begun if line["exe"].startswith(inside)]
        return [[line["exe"], *line["argv"][1:]] for line in begun]


@pytest.fixture(scope="session")
def traceable(tmp_path_factory: pytest.TempPathFactory) -> None:
    record = tmp_path_factory.mktemp("trace") / "record"
    run = subprocess.run([sys.executable, trace.__file__, record, sys.executable, "-c", ""], check=False)
    if run.returncode == trace.CANNOT:
        pytest.skip("processes cannot be traced here")


@pytest.fixture
def empty(tmp_path: Path, traceable: None) -> World:
    """A workspace in which nothing is yet."""
    root = tmp_path / "a project"
    root.mkdir()
    script = tmp_path / "installed" / "gradls"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONSAFEPATH", "GRADLS_CACHE_DIR")},
        "XDG_CACHE_HOME": str(tmp_path / "user-cache"),
    }
    return World(root, tmp_path / "marker", tmp_path / "record", environment, [sys.executable, str(script)])


@pytest.fixture
def world(empty: World) -> World:
    planted.plant(empty.root, empty.marker)
    environment = {
        **empty.environment,
        "PATH": planted.search_path(empty.root),
        "VIRTUAL_ENV": str(empty.root / "venv"),
        "CONDA_PREFIX": str(empty.root / "interpreter"),
        "PYTHONSTARTUP": str(empty.root / "json.py"),
        "PYTHONBREAKPOINT": "helpers.scaled",
    }
    return empty._replace(environment=environment)


def kinds(world: World) -> list[str]:
    """What was started, in words."""
    return [_kind(world, program) for program in world.programs()]


def _kind(world: World, program: list[str]) -> str:
    exe, *arguments = (word for word in program if word != "-B")
    if os.path.basename(exe) == os.path.basename(os.path.realpath(shutil.which("dot") or "dot")) != "":
        return "dot"
    assert exe == PYTHON, program
    if arguments[:1] == world.command[1:2] or arguments[:2] == ["-m", "gradls"]:
        return "gradls"
    if arguments[:2] == ["-I", "-c"]:
        return "names" if "spec_from_file_location" in arguments[2] else "closed files"
    if arguments[0].endswith(os.path.join("jedi", "inference", "compiled", "subprocess", "__main__.py")):
        return "jedi"
    if arguments[0] == "-c" and arguments[1].startswith("from multiprocessing."):
        return "multiprocessing"
    return f"unexpected: {program}"


def test_the_traps_are_live(world: World):
    """Each kind does tell when it is run."""
    root, marker = world.root, world.marker
    subprocess.run([root / "tools/python"], check=True)
    subprocess.run([root / ".venv/bin/python"], check=True)
    code = (
        "import sys, pickle; sys.path.insert(0, ''); import compiled, helpers; pickle.load(open('.jedi/0.pkl', 'rb'))"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=root, check=True)
    said = marker.read_text()
    for name in ("tools/python", ".venv/bin/python", "compiled.py", "helpers.py", "a pickle"):
        assert name in said
    marker.unlink()
    code = "import sys; sys.path.insert(0, ''); import extension"
    run = subprocess.run(world._replace(command=[sys.executable, "-I", "-c", code]).traced(), cwd=root, check=False)
    assert run.returncode == 1
    with pytest.raises(AssertionError):
        world.programs()


COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "check": (["check"], ["gradls"]),
    "check with names": (["check", "--resolve", "--no-cache", "train.py"], ["gradls", "names", "jedi"]),
    "check in processes": (["check", "--jobs", "2", "--format", "sarif"], ["gradls"]),
    "fix": (["check", "--fix", "--no-resolve", "train.py"], ["gradls"]),
    "diff": (["check", "--diff", "--no-resolve", "train.py"], ["gradls"]),
    "graph": (["graph", "train.py:10", "--no-resolve", "-o", "../picture.html"], ["gradls", "dot"]),
    "why": (["why", "RuntimeError: element 0 of tensors does not require grad", "--in", "."], ["gradls"]),
    "inspect": (["inspect", "--no-resolve", "train.py"], ["gradls"]),
    "explain": (["explain", "GRD101"], ["gradls"]),
    "rules": (["rules"], ["gradls"]),
    "schema": (["schema"], ["gradls"]),
    "cache": (["cache"], ["gradls"]),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_nothing_of_the_workspace(world: World, command: str):
    arguments, expected = COMMANDS[command]
    before = (world.root / "train.py").read_text()
    run = world.run(*arguments)
    assert run.returncode in (0, 1), run.stderr
    if arguments[0] == "check":
        found = before != (world.root / "train.py").read_text() if command == "fix" else "torch" in run.stdout
        assert found, run
    assert kinds(world) == [kind for kind in expected if kind != "dot" or shutil.which("dot")]


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_processes_that_are_no_forks(world: World, start: str, tmp_path: Path):
    """As they are on other systems and from Python 3.14 on."""
    script = tmp_path / "installed" / "gradls"
    guarded = SCRIPT.replace("sys.exit(main())", "if __name__ == '__main__':\n    sys.exit(main())")
    script.write_text(f"import multiprocessing\nmultiprocessing.set_start_method({start!r}, force=True)\n{guarded}")
    run = world.run("check", "--jobs", "2", "--no-cache")
    assert run.returncode == 1, run.stderr
    assert "detach" in run.stdout
    assert set(kinds(world)) == {"gradls", "multiprocessing"}


def spare_python(world: World) -> None:
    """Take away what hides modules that Python itself imports before it runs anybody's."""
    folder = world.root.parent / "own"
    folder.mkdir()
    (folder / "own.py").write_text("import sys\nprint(*sys.modules)\n")
    run = subprocess.run(
        [sys.executable, "-m", "own"], cwd=folder, env=world.environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    for name in {name.partition(".")[0] for name in run.stdout.split()} | {"sitecustomize", "usercustomize"}:
        (world.root / f"{name}.py").unlink(missing_ok=True)
        shutil.rmtree(world.root / name, ignore_errors=True)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python itself imports from the folder before gradls runs")
@pytest.mark.parametrize("safely", [False, True])
def test_python_m(world: World, safely: bool):
    """Python looks into the current folder then; what it imports itself before gradls runs, nobody can help but the
    variable that the extension for VS Code sets."""
    if not safely:
        spare_python(world)
    environment = {**world.environment, **({"PYTHONSAFEPATH": "1"} if safely else {})}
    world = world._replace(command=[sys.executable, "-m", "gradls"], environment=environment)
    run = world.run("check", "--resolve", "--no-cache", "train.py", "other/train.py")
    assert run.returncode == 1, run.stderr
    assert run.stdout.count("GRD101") == 2, run.stderr
    assert set(kinds(world)) == {"gradls", "names", "jedi"}


@pytest.mark.parametrize("inside", [False, True])
def test_the_server_runs_nothing_of_the_workspace(world: World, inside: bool):
    """Wherever the editor starts it. A client that says nothing of trust has none."""
    folder = world.root if inside else world.root.parent
    with started(world.traced("server"), cwd=folder, env=world.environment) as (raw, process):
        session = Session(raw, world.root)
        session.begin(**({} if inside else {"trusted": False}))
        session.open("train.py")
        session.look_at_everything()
        # Names are looked up when nothing else is to be done.
        assert wait_until(lambda: "subprocess/__main__.py" in world.record.read_text(), 120)
        session.end(process)
    assert sorted(kind for kind in kinds(world) if kind != "dot") == ["closed files", "gradls", "jedi", "names"]


BLOCKED = """\
import torch
from fifo_module import made
from fifo_package import made as other
from zero_module import made as third
import fifo_stub, zero, socket_module, unreadable

w = torch.ones(3, requires_grad=True)
x = made(other(), third(), fifo_stub.made(), zero.made(), socket_module.made())
loss = w.sum().detach()
loss.backward()
"""


@pytest.fixture
def blocked(empty: World) -> World:
    """What never ends when it is read, in the way of everything that gradls reads."""
    for name, path in planted.blocking(empty.root):
        assert not path.is_file(), name
    for folder in ("", "a", "b", "c", "d", "e"):
        (empty.root / folder / "train.py").write_text(BLOCKED)
    return empty._replace(environment={**empty.environment, "VIRTUAL_ENV": str(empty.root / ".venv")})


@pytest.mark.parametrize("arguments", [[], ["--no-cache", "--resolve"], ["--python", ".venv", "--resolve"]])
def test_pipes_and_devices_are_not_read(blocked: World, arguments: list[str]):
    run = blocked.run("check", "--format", "concise", *arguments)
    assert run.returncode == 1, run.stderr
    # A folder with a pyvenv.cfg of any kind is an environment.
    assert [line.partition(":")[0] for line in run.stdout.splitlines() if "GRD101" in line] == [
        "train.py",
        *(os.path.join(folder, "train.py") for folder in "abce"),
    ]


@pytest.mark.parametrize("path", ["fifo", "/dev/zero", "../outside.json", "link.json"])
def test_a_baseline_that_the_configuration_names(empty: World, path: str):
    """Is read if it is a file, and written in its folder only."""
    (empty.root / "train.py").write_text(BLOCKED)
    (empty.root / "gradls.toml").write_text(f"baseline = {path!r}\n")
    os.mkfifo(empty.root / "fifo")
    outside = empty.root.parent / "outside.json"
    (empty.root / "link.json").symlink_to(outside)
    for arguments in ([], ["--write-baseline"], ["--prune-baseline"]):
        run = empty.run("check", "--no-cache", "--no-resolve", "train.py", *arguments)
        assert run.returncode == 2, run.stdout
        assert "baseline" in run.stderr or path in run.stderr
    assert not outside.exists()


def test_the_server_does_not_read_pipes_and_devices(blocked: World):
    with started(blocked.traced("server"), cwd=blocked.root, env=blocked.environment) as (raw, process):
        session = Session(raw, blocked.root)
        session.begin()
        session.open("train.py")
        session.open("a/train.py")
        changes = [{"uri": session.uri(name), "type": kind} for name in planted.BLOCKING for kind in (1, 2)]
        raw.notify("workspace/didChangeWatchedFiles", {"changes": changes})
        for name in ("a/train.py", "train.py"):
            found = session.ask("textDocument/diagnostic", textDocument={"uri": session.uri(name)})["items"]
            assert [one["code"] for one in found] == ["GRD101"]
        area = {"start": {"line": 8, "character": 0}, "end": {"line": 8, "character": 20}}
        actions = session.ask(
            "textDocument/codeAction",
            textDocument={"uri": session.uri("a/train.py")},
            range=area,
            context={"diagnostics": found},
        )
        for action in actions:
            if "edit" not in action and "command" not in action:
                session.ask("codeAction/resolve", **action)
        listed = session.ask("workspace/diagnostic", previousResultIds=[])["items"]
        assert {item["uri"] for item in listed if item["items"]} >= {session.uri(f"{name}/train.py") for name in "bce"}
        session.end(process)


def test_an_empty_part_of_pythonpath(world: World):
    """Is the current folder for Python."""
    spare_python(world)
    ours = os.environ.get("PYTHONPATH", "")
    environment = {**world.environment, "PYTHONPATH": os.pathsep.join([*filter(None, [ours]), "", "."])}
    world = world._replace(environment=environment)
    run = world.run("check", "--resolve", "--no-cache", "train.py")
    assert "GRD101" in run.stdout, run.stderr
    assert kinds(world) == ["gradls", "names", "jedi"]


def test_a_cache_folder_in_the_workspace_is_not_used(world: World):
    """Trees that jedi has parsed are pickles: those that came with the workspace are left alone."""
    kept = world.root / ".cache" / "gradls" / "jedi"
    before = sorted(kept.rglob("*"))
    assert before
    world = world._replace(environment={**world.environment, "XDG_CACHE_HOME": str(world.root / ".cache")})
    run = world.run("check", "--resolve", "--no-cache", "train.py")
    assert "GRD101" in run.stdout, run.stderr
    assert kinds(world) == ["gradls", "names", "jedi"]
    assert sorted(kept.rglob("*")) == before


class Session:
    """What an editor does in a folder."""

    def __init__(self, raw: Raw, root: Path) -> None:
        self.raw, self.root = raw, root
        self.numbers = itertools.count(1)

    def uri(self, name: str) -> str:
        return str(from_fs_path(str(self.root / name)))

    def ask(self, method: str, **params: Any) -> Any:
        answer = self.raw.request(next(self.numbers), method, params)
        assert "error" not in answer, answer
        return answer["result"]

    def begin(self, **options: Any) -> None:
        uri = str(from_fs_path(str(self.root)))
        self.raw.request(
            "begin",
            "initialize",
            {
                "processId": None,
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": "it"}],
                "capabilities": VSCODE,
                "initializationOptions": {"workspaceDiagnostics": True, **options},
            },
        )
        self.raw.notify("initialized", {})

    def open(self, name: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        item = {"uri": self.uri(name), "languageId": "python", "version": 1, "text": text}
        self.raw.notify("textDocument/didOpen", {"textDocument": item})

    def look_at_everything(self) -> None:
        """All that an editor asks for by itself or when the user clicks, in the file train.py."""
        document = {"textDocument": {"uri": self.uri("train.py")}}
        cut = {"line": 8, "character": 42}
        area = {"start": cut, "end": cut}
        found = self.ask("textDocument/diagnostic", **document)["items"]
        assert [one["code"] for one in found] == ["GRD101", "GRD102"]
        assert self.ask("textDocument/hover", **document, position=cut)
        assert self.ask("textDocument/codeLens", **document)
        self.ask("textDocument/inlayHint", **document, range={"start": {"line": 0, "character": 0}, "end": cut})
        actions = self.ask("textDocument/codeAction", **document, range=area, context={"diagnostics": found})
        for action in actions:
            if "edit" not in action and "command" not in action:
                self.ask("codeAction/resolve", **action)
        picture = self.ask(
            "workspace/executeCommand",
            command="gradls.showPicture",
            arguments=[self.uri("train.py"), {"line": 9, "character": 0}, {"show": False}],
        )
        assert picture["svg"].startswith("<svg ")
        report = self.ask("workspace/diagnostic", previousResultIds=[])
        assert report["items"] is not None

    def end(self, process: subprocess.Popen[bytes]) -> None:
        self.ask("shutdown")
        self.raw.notify("exit", None)
        assert process.wait(SECONDS * 3) == 0
