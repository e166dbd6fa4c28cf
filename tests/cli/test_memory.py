"""What was found before is used again, if and only if it would be found again."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gradls.cli import memory
from gradls.cli.analysis import check_file
from gradls.cli.inputs import Task
from gradls.cli.memory import Memory
from gradls.cli.records import Report
from gradls.flow.names import Answer, Question
from gradls.rules.finding import Severity
from gradls.workspace import results
from gradls.workspace.config import Config
from gradls.workspace.files import collect
from gradls.workspace.session import Session
from tests.cli.command import LOST, gradls

TOOLS = """\
import torch


def mask(h):
    h.mul_(2)
    return h


def scale(h):
    return h * 2
"""
USE = """\
import torch
from {package}.tools import {name} as change

w = torch.ones(3, requires_grad=True)
h = torch.sigmoid(w)
change(h)
h.sum().backward()
"""


def project(root: Path, files: int = 40) -> Path:
    """Files with mistakes, of which half are in another file."""
    for folder in ("one", "two"):
        package = root / folder
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("", encoding="utf-8")
        (package / "tools.py").write_text(TOOLS, encoding="utf-8")
    for number in range(files):
        folder = ("one", "two")[number % 2]
        text = LOST if number % 5 == 4 else USE.format(package=folder, name=("mask", "scale")[number % 4 < 2])
        (root / folder / f"use{number}.py").write_text(text, encoding="utf-8")
    (root / "pyproject.toml").write_text("", encoding="utf-8")
    return root


def tasks(root: Path, config: Config | None = None) -> list[Task]:
    config = config or Config()
    return [Task(path, config) for path in collect([str(root)], config)]


class Checked:
    """The reports of one run over a folder, and how many of them were made anew."""

    def __init__(self, cache: Path, given: list[Task], monkeypatch: pytest.MonkeyPatch, edits: bool = False) -> None:
        analysed: list[str] = []

        def check(edits: bool, task: Task) -> Report:
            analysed.append(task.path)
            return check_file(edits, task)

        with monkeypatch.context() as patch:
            patch.setattr(memory, "check_file", check)
            remembering = Memory(edits, 1, cache)
            self.reports = list(map(said, remembering.reports(given)))
            remembering.close()
        self.analysed = [os.path.basename(path) for path in analysed]


def said(report: Report) -> str:
    """All that a report tells."""
    questions = sorted(report.questions)
    content = [report.path, report.findings, report.errors, sorted(report.excerpts.items()), questions, report.failed]
    return json.dumps(content)


Run = Callable[..., Checked]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Checks with what is kept in one folder."""
    cache = tmp_path / "cache"
    cache.mkdir()
    return lambda given, **options: Checked(cache, given, monkeypatch, **options)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache" / results.FILE


def fresh(given: list[Task], edits: bool = False) -> list[str]:
    return [said(check_file(edits, task)) for task in given]


def test_a_second_run_analyses_nothing(tmp_path: Path, run: Run):
    root = project(tmp_path / "project")
    given = tasks(root)
    first, second = run(given), run(given)
    assert len(first.analysed) == len(given)
    assert second.analysed == []
    assert first.reports == second.reports == fresh(given)
    assert any("GRD201" in report for report in second.reports)
    edits = run(given, edits=True)
    assert len(edits.analysed) == len(given)
    assert run(given, edits=True).reports == edits.reports == fresh(given, edits=True)


def test_the_same_files_elsewhere_are_as_good(tmp_path: Path, run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch):
    root = project(tmp_path / "project")
    run(tasks(root))
    assert os.fsencode(tmp_path) not in kept.read_bytes()
    elsewhere = tmp_path / "else" / "where"
    shutil.copytree(root, elsewhere)
    there = run(tasks(elsewhere))
    assert there.analysed == []
    assert there.reports == fresh(tasks(elsewhere))
    # And by other names.
    monkeypatch.chdir(elsewhere)
    relative = [Task(path, Config()) for path in collect(["one", "./two"], Config())]
    here = run(relative)
    assert here.analysed == []
    assert here.reports == fresh(relative)


def hide(module: Path) -> None:
    """Put a package in front of a module."""
    module.mkdir()
    (module / "__init__.py").write_text(TOOLS)


@pytest.mark.parametrize(
    ("change", "analysed"),
    [
        (lambda root: (root / "one" / "use0.py").write_text(LOST), {"use0.py"}),
        (lambda root: (root / "one" / "use0.py").write_text("def broken(:\n"), {"use0.py"}),
        (lambda root: (root / "one" / "new.py").write_text(LOST), {"new.py"}),
        (lambda root: (root / "one" / "tools.py").write_text(TOOLS.replace("mul_", "add_")), "one"),
        (lambda root: (root / "one" / "tools.py").unlink(), "one"),
        (lambda root: (root / "one" / "tools").mkdir(), set()),
        (lambda root: hide(root / "one" / "tools"), "one"),
        (lambda root: (root / "two" / "__init__.py").unlink(), "two"),
        (lambda root: (root / "two.py").write_text(""), {"two.py"}),
        (lambda root: os.utime(root / "one" / "tools.py"), set()),
        (lambda root: (root / "setup.py").write_text(""), {"setup.py"}),
    ],
)
def test_what_has_changed_is_analysed_again(
    tmp_path: Path, run: Run, change: Callable[[Path], object], analysed: set[str] | str
):
    root = project(tmp_path / "project")
    run(tasks(root))
    change(root)
    given = tasks(root)
    after = run(given)
    assert after.reports == fresh(given)
    if isinstance(analysed, str):
        users = {path.name for path in (root / analysed).glob("use*.py") if "tools" in path.read_text()}
        assert users <= set(after.analysed)
        assert {name for name in after.analysed if name.startswith("use")} == users
    else:
        assert set(after.analysed) == analysed
    assert run(given).analysed == []


def test_going_back_finds_what_was_there_before(tmp_path: Path, run: Run):
    root = project(tmp_path / "project")
    tools = root / "one" / "tools.py"
    run(tasks(root))
    tools.write_text(TOOLS.replace("mul_", "mul"))
    assert run(tasks(root)).analysed
    tools.write_text(TOOLS)
    assert run(tasks(root)).analysed == []
    assert run(tasks(root)).reports == fresh(tasks(root))


TEXTS = [
    TOOLS,
    TOOLS.replace("mul_", "mul"),
    LOST,
    "from . import a\nfrom .a import *\n__all__ = ['mask']\n",
    "from b import mask, scale\n",
    "def mask(h): ...\n",
    "from one.a import mask\nfrom two import scale\n",
    "",
    "def broken(:\n",
    *(USE.format(package=package, name="mask").replace(".tools", "") for package in ("a", "one", "one.a", "two.b")),
]
PLACES = [
    *("a.py", "b.py", "one/a.py", "one/__init__.py", "two/b.py", "two/__init__.py", "src/a.py", "one.py", "a/one.py"),
    *("a.pyi", "one/a.pyi", "one/two/a.py", "two/gradls.toml", "one/setup.py"),
]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_to_the_files_it_says_what_it_would_say_anew(tmp_path: Path, run: Run, seed: int):
    """With one memory for all states of the project, which is moved about, too."""
    chance = random.Random(seed)
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("")
    saved = 0
    for step in range(40):
        path = root / chance.choice(PLACES)
        if path.exists() and chance.random() < 0.3:
            path.unlink()
        elif path.suffix == ".toml":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(chance.choice(["", 'ignore = ["GRD2"]\n', '[per-file-ignores]\n"b.py" = ["ALL"]\n']))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(chance.choice(TEXTS))
        if step % 8 == 7:
            root = root.rename(tmp_path / f"project{step}")
        given = tasks(root)
        checked = run(given)
        assert checked.reports == fresh(given)
        saved += len(given) - len(checked.analysed)
    assert saved > 40


def test_the_configuration_counts(tmp_path: Path, run: Run):
    root = project(tmp_path / "project", 10)
    configs = [
        Config(),
        Config(select=("GRD201",)),
        Config(ignore=("GRD201",)),
        Config(severity={"ALL": Severity.HINT}),
        Config(target_torch=(1, 13)),
        Config(per_file_ignores={"one/*": ("ALL",)}, root=root),
        Config(per_file_ignores={"project/one/*": ("ALL",)}, root=tmp_path),
        Config(per_file_ignores={"two/*": ("ALL",)}, root=root),
    ]
    for _ in range(2):
        for config in configs:
            given = tasks(root, config)
            assert run(given).reports == fresh(given)
    for config in configs:
        assert run(tasks(root, config)).analysed == []


def test_patterns_for_paths_that_are_not_kept_are_not_trusted(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
):
    root = project(tmp_path / "project", 10)
    config = Config(per_file_ignores={"one/*": ("ALL",)}, root=tmp_path / "elsewhere")
    monkeypatch.chdir(root)
    here = [Task(path, config) for path in collect(["."], config)]
    for _ in range(2):
        assert run(here).reports == fresh(here)
        assert run(tasks(root, config)).reports == fresh(tasks(root, config))


def test_what_is_known_of_names_counts(tmp_path: Path, run: Run):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "a.py").write_text("import torch\nfrom lib import m\nm.zero_grad\nloss = m(torch.ones(3))\n")
    question = Question("lib", "m", False)
    plain = Task(str(tmp_path / "a.py"), Config())
    told = Task(plain.path, Config(), answers={question: Answer("instance", "torch.nn.modules.linear.Linear", ())})
    for _ in range(2):
        for task in (plain, told):
            assert run([task]).reports == fresh([task])
    assert run([told]).reports != run([plain]).reports
    assert run([plain]).analysed == []


def test_another_gradls_begins_anew(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    given = tasks(project(tmp_path / "project", 10))
    run(given)
    monkeypatch.setattr(memory, "fingerprint", lambda *packages: "another")
    assert len(run(given).analysed) == len(given)
    assert run(given).analysed == []


def test_what_failed_is_tried_again(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch):
    given = tasks(project(tmp_path / "project", 10))
    with monkeypatch.context() as broken:
        broken.setattr(Session, "findings", lambda *arguments: 1 / 0)
        assert all("ZeroDivisionError" in report for report in run(given).reports)
    assert run(given).reports == fresh(given)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"no database",
        lambda data: data[: len(data) // 2],
        lambda data: data[:5000],
        lambda data: data[:100] + bytes(len(data) - 100),
        lambda data: b"SQLite format 3\x00" + b"\xff" * 5000,
        lambda data: bytes(byte ^ (0x55 if i % 97 == 0 and i > 8192 else 0) for i, byte in enumerate(data)),
        lambda data: data.replace(b"GRD201", b"GRD202"),
    ],
)
def test_a_damaged_file_does_no_harm(tmp_path: Path, run: Run, kept: Path, damage: Callable[[bytes], bytes]):
    given = tasks(project(tmp_path / "project"))
    before = run(given).reports
    kept.write_bytes(damage(kept.read_bytes()))
    assert run(given).reports == before
    assert run(given).reports == before
    assert run(given).analysed == [], "and then it is in order again"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"[[], {}]", b'[{}, {"findings": 3}]', b'[{"../../x": 3}, []]', b"\xff"]
)
def test_an_entry_that_makes_no_sense_does_no_harm(tmp_path: Path, run: Run, kept: Path, content: bytes):
    """Though its seal is right."""
    import zlib

    given = tasks(project(tmp_path / "project", 10))
    before = run(given).reports
    with sqlite3.connect(kept) as connection:
        for row, key in connection.execute("select rowid, key from results").fetchall():
            packed = zlib.compress(content)
            blob = results._seal(key, packed) + packed
            connection.execute("update results set content=? where rowid=?", (blob, row))
    connection.close()
    assert run(given).reports == before


def test_what_was_kept_for_another_file_does_no_harm(tmp_path: Path, run: Run, kept: Path):
    given = tasks(project(tmp_path / "project", 10))
    before = run(given).reports
    with sqlite3.connect(kept) as connection:
        contents = [content for (content,) in connection.execute("select content from results order by rowid")]
        for row, content in enumerate([*contents[1:], contents[0]], 1):
            connection.execute("update results set content=? where rowid=?", (content, row))
    connection.close()
    assert run(given).reports == before


def test_a_file_that_goes_or_is_damaged_meanwhile_does_no_harm(tmp_path: Path, kept: Path):
    given = tasks(project(tmp_path / "project"))
    expected = fresh(given)
    kept.parent.mkdir()
    remembering = Memory(False, 1, kept.parent)
    for harm in (lambda: None, kept.unlink, lambda: kept.write_bytes(b"x" * 9000), lambda: shutil.rmtree(kept.parent)):
        assert list(map(said, remembering.reports(given))) == expected
        harm()
    assert list(map(said, remembering.reports(given))) == expected
    remembering.close()


def test_a_file_that_somebody_keeps_locked_is_left_alone(tmp_path: Path, run: Run, kept: Path):
    given = tasks(project(tmp_path / "project"))
    before = run(given).reports
    with sqlite3.connect(kept, isolation_level=None) as connection:
        connection.execute("begin exclusive")
        assert run(given).reports == before
    connection.close()
    assert run(given).analysed == []


SPY = """
import json, os, sys
root = os.path.realpath(sys.argv[1])
touched = set()

def note(path):
    if isinstance(path, (str, os.PathLike)):
        path = os.path.abspath(os.fspath(path))
        if path.startswith(root + os.sep):
            touched.add(path)

def spy(event, arguments):
    if event in ("open", "os.scandir", "os.listdir"):
        note(arguments[0])

from gradls.cli.analysis import check_file
from gradls.cli.inputs import Task
from gradls.workspace.config import Config
from gradls.workspace.project import project_root

stat = os.stat
def spied(path, *arguments, **options):
    note(path)
    return stat(path, *arguments, **options)

found = {}
for path in sys.argv[2:]:
    check_file(True, Task(path, Config()))  # imports what it takes
    project_root(os.path.dirname(path), None)
sys.addaudithook(spy)
os.stat = spied
for path in sys.argv[2:]:
    from gradls.workspace import project
    project._read_last = project._LastRead()
    touched.clear()
    report = check_file(True, Task(path, Config()))
    found[path] = [sorted(touched), sorted(report.looked)]
print(json.dumps(found))
"""


def test_all_that_is_looked_at_is_known(tmp_path: Path):
    """Every file that is opened or asked for while a file is analysed is among what its result rests on."""
    root = project(tmp_path / "project", 10)
    (root / "one" / "more.py").write_text("from . import tools, nothing\nimport two.use1, a.b.c\nfrom .. import *\n")
    paths = [task.path for task in tasks(root)]
    run = subprocess.run([sys.executable, "-c", SPY, str(root), *paths], capture_output=True, text=True, check=True)
    for path, (touched, looked) in json.loads(run.stdout).items():
        assert set(touched) - {path} <= set(looked), path
        if path.endswith(("use0.py", "more.py")):
            assert len(set(touched) & set(looked)) >= 4


# -- the command


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("checkout"), 60)


def outputs(root: Path, *arguments: str, **environment: str) -> str:
    run = gradls("check", ".", *arguments, cwd=root, **environment)
    assert run.returncode == 1
    assert run.stderr == ""
    return run.stdout


def test_the_output_does_not_depend_on_workers_or_memory(checkout: Path, tmp_path: Path):
    expected = outputs(checkout, "--format", "json", "--jobs", "1", "--no-cache")
    assert "GRD201" in expected
    for jobs in ("1", "2", "4"):
        place = str(tmp_path / jobs)
        for _ in range(2):
            assert outputs(checkout, "--format", "json", "--jobs", jobs, "--cache-dir", place) == expected
    assert outputs(checkout, "--format", "json", GRADLS_CACHE_DIR=str(tmp_path / "1")) == expected
    text = outputs(checkout, "--jobs", "2", "--cache-dir", str(tmp_path / "text"))
    assert text == outputs(checkout, "--no-cache") == outputs(checkout, "--cache-dir", str(tmp_path / "text"))


def test_several_at_once_share_what_is_kept(checkout: Path, tmp_path: Path):
    place = str(tmp_path / "cache")
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: outputs(checkout, "--format", "json", "--cache-dir", place), range(3)))
    assert found == [outputs(checkout, "--format", "json", "--no-cache")] * 3
    assert found[0] == outputs(checkout, "--format", "json", "--cache-dir", place)


@pytest.fixture
def unusable(tmp_path: Path) -> Iterator[list[Path]]:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / results.FILE).mkdir(parents=True)
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)
    yield [tmp_path / "file", tmp_path / "folder", closed, Path("/proc/nothing")]
    closed.chmod(0o700)


def test_a_folder_that_is_of_no_use_does_no_harm(checkout: Path, unusable: list[Path]):
    expected = outputs(checkout, "--format", "json", "--no-cache")
    for place in unusable:
        assert outputs(checkout, "--format", "json", "--cache-dir", str(place)) == expected


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything can be written")
def test_what_can_only_be_read_is_read(checkout: Path, tmp_path: Path):
    place = tmp_path / "cache"
    expected = outputs(checkout, "--format", "json", "--cache-dir", str(place))
    (place / results.FILE).chmod(0o400)
    before = (place / results.FILE).read_bytes()
    assert outputs(checkout, "--format", "json", "--cache-dir", str(place)) == expected
    assert (place / results.FILE).read_bytes() == before


def test_nothing_is_kept_unasked(checkout: Path, tmp_path: Path):
    environment = dict.fromkeys(("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"), str(tmp_path))
    environment["GRADLS_CACHE_DIR"] = ""
    outputs(checkout, "--no-cache", **environment)
    assert list(tmp_path.iterdir()) == []
    outputs(checkout, **environment)
    assert len(list(tmp_path.rglob(results.FILE))) == 1


def test_what_is_kept_can_be_seen_and_removed(checkout: Path, tmp_path: Path):
    place, other = tmp_path / "cache", {"XDG_CACHE_HOME": str(tmp_path / "own"), "LOCALAPPDATA": str(tmp_path / "own")}
    outputs(checkout, "--cache-dir", str(place), **other)
    shown = gradls("cache", "--cache-dir", str(place), cwd=tmp_path, **other)
    assert shown.returncode == 0
    assert f"{place}: 0." in shown.stdout
    assert f"{place}: 0.0" not in shown.stdout
    (place / "mine.txt").write_text("")
    assert gradls("cache", "clear", cwd=tmp_path, GRADLS_CACHE_DIR=str(place), **other).returncode == 0
    assert sorted(path.name for path in place.iterdir()) == [".gitignore", "mine.txt"]
    assert gradls("cache", "clear", cwd=tmp_path, **other, GRADLS_CACHE_DIR="").returncode == 0


def test_what_fixes_change_counts_for_all_files(tmp_path: Path):
    """Whoever is analysed first: fixes are worked out before the first is written, and what is left is told of all."""
    text = """\
import torch
from other{other} import w{other} as other

w{own} = torch.ones(3, requires_grad=True)
first = [(w{own} * k).sum() for k in range(3)]
loss = torch.tensor(first).mean()
loss.backward()
"""
    for jobs in ("1", "2"):
        root = tmp_path / jobs
        root.mkdir()
        for number in range(24):
            (root / f"other{number}.py").write_text(text.format(own=number, other=(number + 1) % 24))
        run = gradls("check", ".", "--fix", "--jobs", jobs, cwd=root)
        assert run.stdout == "Fixed 24 findings: 24 GRD102 tensor-of-tensors.\nNothing found in 24 files.\n"
        assert all("torch.stack(first)" in file.read_text() for file in root.glob("*.py"))
        assert gradls("check", ".", cwd=root).returncode == 0
