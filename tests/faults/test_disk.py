"""Disks that are full, damaged, shared, gone or not ours: never a wrong finding, and one line in the log at most."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import parso
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parso import cache as parso_cache

from gradls.flow.names import Answer
from gradls.resolve.trees import Trees
from tests.cli.command import FINE, LOST, gradls
from tests.faults.disk import TEXT, Answers, Reports, Tree, damaged
from tests.faults.wire import SERVER, end, served
from tests.lsp.programs import DETACHED
from tests.lsp.test_project import LOST as LOST_NET
from tests.lsp.test_project import NET, TRAIN
from tests.resolve.conftest import MODULE, Project, bare_environment, write

needs_limits = pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits or files")


# -- what is kept, damaged


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return Answers(tmp_path_factory.mktemp("damaged"))


@given(chance=st.randoms(use_true_random=False))
def test_damaged_answers_are_none(answers: Answers, chance: random.Random):
    answers.survive(damaged(answers.data, chance))


def test_an_answer_that_somebody_has_altered_is_none(answers: Answers):
    """A disk that gives another text, or an answer under another question."""
    import sqlite3

    answers.file.write_bytes(answers.data)
    with sqlite3.connect(answers.file) as connection:
        connection.execute("update answers set answer = replace(answer, 'Name1.', 'Name2.')")
        connection.execute("update answers set answer = replace(answer, 'class', 'clasp') where name > 'Name2'")
        connection.execute("update answers set called = 1 - called where name < 'Name2'")
    connection.close()
    opened = answers.open()
    found = opened.load(answers.kept)
    assert all(found[key][0] == answers.kept[key] for key in found)
    assert len(found) < len(answers.kept)
    opened.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Reports:
    return Reports(tmp_path_factory.mktemp("damaged"))


@given(chance=st.randoms(use_true_random=False))
def test_damaged_reports_are_none(reports: Reports, chance: random.Random):
    reports.survive(damaged(reports.data, chance))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


@given(chance=st.randoms(use_true_random=False))
def test_damaged_trees_are_none(tree: Tree, chance: random.Random):
    tree.survive(damaged(tree.data, chance))


def test_a_tree_does_not_rest_on_clocks(tree: Tree):
    """The file was edited when the clock said that it is earlier than it was."""
    tree.file.write_bytes(tree.data)
    first = tree.trees.last_modified(tree.path)
    assert tree.load() == TEXT
    tree.path.write_text(TEXT.replace("forward", "forwerd"), encoding="utf-8")
    os.utime(tree.path, (5e8, 5e8))
    assert (tree.trees.last_modified(tree.path) or 0) > (first or 0)
    assert tree.load() is None


def test_a_text_that_changes_while_it_is_read_is_not_kept(tmp_path: Path):
    path = tmp_path / "net.py"
    path.write_text(TEXT, encoding="utf-8")
    trees, item = Trees(tmp_path / "trees"), parso_cache._NodeCacheItem(parso.parse(TEXT), [], 1.0)
    trees.last_modified(path)
    path.write_text("x = 1\n", encoding="utf-8")
    trees.save("grammar", path, item)
    assert not list(tmp_path.rglob("*.pkl"))
    assert item.change_time < (trees.last_modified(path) or 0)


# -- folders in which nothing can be kept


def full(command: list[str]) -> list[str]:
    """`command`, run where no byte can be written to a file."""
    code = "import os, resource as r, sys; r.setrlimit(r.RLIMIT_FSIZE, (0, 0)); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", code, *command]


@pytest.fixture(params=["a file", "a link to itself", "below a device", "full"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The path of a folder that is none. `full`: of one in which nothing fits."""
    path = tmp_path / "full" if request.param == "full" else tmp_path / "cache"
    if request.param == "a file":
        path.write_text("mine", encoding="utf-8")
    elif request.param == "a link to itself":
        path.symlink_to(path)
    elif request.param == "below a device":
        path = Path(os.devnull, "cache")
    return path


@needs_limits
def test_check_finds_the_same_without_a_disk(cache: Path, tmp_path: Path):
    (tmp_path / "lost.py").write_text(LOST, encoding="utf-8")
    (tmp_path / "fine.py").write_text(FINE, encoding="utf-8")
    command = [sys.executable, "-m", "gradls", "check", "--format", "json", "lost.py", "fine.py"]
    environment = {**os.environ, "GRADLS_CACHE_DIR": str(cache)}
    expected = json.loads(gradls(*command[3:], cwd=tmp_path).stdout)["findings"]
    assert len(expected) == 1
    limited = full(command) if cache.name == "full" else command
    run = subprocess.run(limited, cwd=tmp_path, env=environment, capture_output=True)
    assert run.returncode == 1, run.stderr
    assert json.loads(run.stdout)["findings"] == expected
    assert len(run.stderr.splitlines()) <= 1


@needs_limits
def test_the_server_finds_the_same_without_a_disk(cache: Path, tmp_path: Path):
    """Also what needs to know a name that only jedi knows."""
    root = tmp_path / "project"
    (bare_environment(root) / "common.py").write_text("from torch import nn as nn\n", encoding="utf-8")
    uri = (root / "train.py").as_uri()
    text = "import torch\nfrom common import nn\n\nm = nn.Linear(3, 1)\n"
    text += "loss = torch.tensor([m(torch.randn(3)).sum()]).sum()\nloss.backward()\n"
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "GRADLS_CACHE_DIR": str(cache)}
    with served(full(SERVER) if cache.name == "full" else SERVER, env=environment) as (wire, process):
        wire.begin(rootUri=root.as_uri())
        wire.open(uri, text)
        codes = lambda: [each["code"] for each in wire.published.get(uri, (0, []))[1]]  # noqa: E731
        wire.wait(lambda: codes() == ["GRD102"], "the finding")
        assert not wire.mistakes
        assert not wire.shown
        of_disk = [line for line in wire.logged if str(cache) in line or "kept on disk" in line]
        assert len(of_disk) <= 2, of_disk
        end(wire, process)


def test_a_folder_that_goes_while_it_is_used(projects: Callable[..., Project], tmp_path: Path):
    project = projects(cache=tmp_path / "cache")
    for name in ("first", "second", "third"):
        project.write(f"{name}.py", "from torch import nn\nclass Net(nn.Module): ...\n")
    assert project.ask("first", "Net") == Answer("class", "first.Net", (MODULE,))
    shutil.rmtree(tmp_path / "cache")
    assert project.ask("second", "Net") == Answer("class", "second.Net", (MODULE,))
    project.resolver._worker.stop()
    assert project.ask("third", "Net") == Answer("class", "third.Net", (MODULE,))


SHARING = """\
import os, random, sys
from pathlib import Path
from gradls.flow.names import Answer, Question
from gradls.resolve.cache import Cache
from gradls.resolve.known import Key
from gradls.workspace.looked import Disk
from gradls.workspace.results import Result, Results

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
answers, results = Cache(folder, folder, "owner", "version"), Results(folder)
for step in range(40):
    number = chance.randrange(20)
    key = Key(str(folder), Question("m", f"n{number}", False))
    content, answer = {"is": [number] * number}, Answer("class", f"m.n{number}", ())
    results.keep([Result(f"key{number}", {}, content)])
    answers.store([(key, answer, ())])
    number = chance.randrange(20)
    key = Key(str(folder), Question("m", f"n{number}", False))
    assert results.find(f"key{number}", str(folder), Disk()) in (None, {"is": [number] * number})
    assert answers.load([key]).get(key, (None,))[0] in (None, Answer("class", f"m.n{number}", ()))
    if seed % 3 == 0 and step == 20:
        os._exit(0)
    if seed % 5 == 0 and step == 10:
        for file in folder.glob("*.sqlite"):
            file.unlink(missing_ok=True)
"""


@needs_limits
def test_ten_processes_share_a_folder(tmp_path: Path):
    """Of which some are killed, and some remove the files."""
    running = [
        subprocess.Popen([sys.executable, "-c", SHARING, str(tmp_path), str(seed)], stderr=subprocess.PIPE)
        for seed in range(10)
    ]
    for process in running:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()


# -- the user's files


FAULTY = """\
import builtins, errno, io, os, random, sys
root, healed, chance = sys.argv.pop(1), sys.argv.pop(1), random.Random(int(sys.argv.pop(1)))

def may_fail(function):
    def called(path, *rest, **options):
        if str(path).startswith(root) and not stat(healed) and chance.random() < 0.3:
            code = chance.choice([errno.EIO, errno.EACCES, errno.ENOENT, errno.ELOOP, errno.ESTALE])
            raise OSError(code, os.strerror(code), str(path))
        return function(path, *rest, **options)
    return called

def stat(path, known=os.stat):
    try:
        return known(path)
    except OSError:
        return None

builtins.open = io.open = may_fail(open)
os.stat, os.scandir, os.listdir = may_fail(os.stat), may_fail(os.scandir), may_fail(os.listdir)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write(root, "pyproject.toml", "[tool.gradls]\n")
    write(root, "net.py", NET)
    write(root, "other/net.py", NET)
    return root


@pytest.mark.parametrize("seed", range(3))
def test_files_that_cannot_be_read_now_and_then(project: Path, tmp_path: Path, seed: int):
    """The user is told nothing wrong, and all is as it should be when they can."""
    healed = tmp_path / "healed"
    command = [sys.executable, "-c", FAULTY + SERVER[2], str(project), str(healed), str(seed)]
    with served(command) as (wire, process):
        wire.begin(rootUri=project.as_uri(), capabilities={"workspace": {"didChangeWatchedFiles": {}}})
        uris = [(project / folder / "train.py").as_uri() for folder in (".", "other")]
        changed = {"changes": [{"uri": path.as_uri(), "type": 2} for path in [*project.rglob("*.*")]]}
        for uri in uris:
            wire.open(uri, TRAIN)
            wire.known(uri, 1)
        for version in range(2, 12):
            for uri in uris:
                wire.change(uri, version, {"text": TRAIN + f"# {version}\n"})
                assert wire.known(uri, version) == []
            wire.notify("workspace/didChangeWatchedFiles", changed)
            wire.notify("textDocument/didSave", {"textDocument": {"uri": uris[0]}})
        for path in project.rglob("net.py"):
            path.write_text(LOST_NET, encoding="utf-8")
        healed.touch()
        wire.notify("workspace/didChangeWatchedFiles", changed)
        for uri in uris:
            wire.wait(lambda uri=uri: wire.published[uri][1], f"the finding in {uri}")
        assert not wire.mistakes
        end(wire, process)


@needs_limits
def test_folders_with_what_cannot_be_read(tmp_path: Path):
    """Links to nowhere and to themselves, folders called like files, files that are not there any more."""
    (tmp_path / "lost.py").write_text(DETACHED, encoding="utf-8")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "nowhere.py").symlink_to(tmp_path / "nothing")
    (tmp_path / "itself.py").symlink_to(tmp_path / "itself.py")
    (tmp_path / "around").symlink_to(tmp_path)
    (tmp_path / os.fsdecode(b"\xff\xfe.py")).write_text(DETACHED, encoding="utf-8")
    (tmp_path / "pyproject.toml").symlink_to(tmp_path / "nothing")
    run = gradls("check", "--format", "json", ".", cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    assert len(json.loads(run.stdout)["findings"]) == 2
    with served() as (wire, process):
        wire.begin(rootUri=tmp_path.as_uri(), capabilities={"textDocument": {"diagnostic": {}}})
        found = wire.ask(1, "workspace/diagnostic", {"previousResultIds": []})["result"]["items"]
        assert len(found) == 2
        (tmp_path / "lost.py").unlink()
        for number in range(20):
            (tmp_path / f"gone{number}.py").write_text(DETACHED, encoding="utf-8")
        changed = {"changes": [{"uri": path.as_uri(), "type": 1} for path in tmp_path.glob("gone*.py")]}
        for number in range(20):
            (tmp_path / f"gone{number}.py").unlink()
        wire.notify("workspace/didChangeWatchedFiles", changed)
        known = [{"uri": item["uri"], "value": item["resultId"]} for item in found]
        wire.send({"jsonrpc": "2.0", "id": 2, "method": "workspace/diagnostic", "params": {"previousResultIds": known}})
        wire.open((tmp_path / "lost.py").as_uri(), DETACHED)
        uri = (tmp_path / "lost.py").as_uri()
        assert len(wire.ask(3, "textDocument/diagnostic", {"textDocument": {"uri": uri}})["result"]["items"]) == 1
        assert not wire.mistakes
        end(wire, process)
