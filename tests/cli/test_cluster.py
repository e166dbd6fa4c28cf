"""`gradls check --dask` on a real cluster: a scheduler and two workers, on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

import gradls as package
from gradls.cli.cluster import ClusterError, Identity, _objection, cluster, identity
from gradls.cli.main import main
from gradls.cli.pool import work
from tests.cli.command import FINE, LOST, as_json, gradls

PATIENCE = 120


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler that gives up on a task at once when its worker dies."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=2, scheduler_port=0, dashboard_address=":0") as local,
    ):
        yield local.scheduler_address


@contextmanager
def worker(address: str, folder: Path, **environment: str) -> Iterator[None]:
    """One more worker, which works in `folder`."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
    with Client(address, set_as_default=False) as client:
        before = len(client.scheduler_info(n_workers=-1)["workers"])
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
        try:
            client.wait_for_workers(before + 1, timeout=PATIENCE)
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE)
        end = time.monotonic() + PATIENCE
        while len(client.scheduler_info(n_workers=-1)["workers"]) > before:
            assert time.monotonic() < end
            time.sleep(0.05)


def another_gradls(folder: Path, first: str, *parts: str) -> str:
    """The folder of another gradls: `first` is the text of its first module, `parts` are those that it has besides."""
    other = folder / "other" / "gradls"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text(first, encoding="utf-8")
    for name in parts:
        shutil.copytree(Path(package.__file__).with_name(name), other / name)
    if parts:
        (other / "rules" / "more.py").touch()
    return str(other.parent)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "nested").mkdir(parents=True)
    (folder / "helpers.py").write_text("def cut(x):\n    return x.detach()\n", encoding="utf-8")
    for number in range(20):
        (folder / f"lost{number}.py").write_text(LOST, encoding="utf-8")
        (folder / "nested" / f"fine{number}.py").write_text(FINE, encoding="utf-8")
    called = LOST.replace("import torch\n", "import torch\nfrom helpers import cut\n", 1)
    called = called.replace("model(torch.randn(4, 3)).mean().detach()", "cut(model(torch.randn(4, 3)).mean())")
    (folder / "calls.py").write_text(called, encoding="utf-8")
    (folder / "broken.py").write_text("import torch\n(", encoding="utf-8")
    return folder


def test_it_says_what_this_machine_says(scheduler: str, project: Path):
    here = gradls("check", "--format", "json", "--no-cache", cwd=project)
    assert len(as_json(here)["findings"]) == 21
    there = gradls("check", "--format", "json", "--no-cache", "--dask", scheduler, cwd=project)
    assert there.stderr == ""
    assert there.stdout == here.stdout
    assert there.returncode == here.returncode == 1
    # What was found there is kept here, and the other way round.
    kept = str(project.parent / "kept")
    for more in (["--dask", scheduler], []):
        run = gradls("check", "--format", "json", "--cache-dir", kept, *more, cwd=project)
        assert run.stdout == here.stdout
    (project / "gradls.toml").write_text('ignore = ["GRD101"]\n', encoding="utf-8")
    assert as_json(gradls("check", "--format", "json", "--dask", scheduler, cwd=project))["findings"] == []


def test_fixes_are_made(scheduler: str, tmp_path: Path):
    (tmp_path / "wrong.py").write_text("import torch\n\nwith torch.no_grad:\n    x = torch.ones(3)\n", encoding="utf-8")
    run = gradls("check", "--fix", "--dask", scheduler, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "with torch.no_grad():" in (tmp_path / "wrong.py").read_text(encoding="utf-8")


OTHERS = {
    "another version": ('__version__ = "0.0.9"\n', f"it has gradls 0.0.9, this one is {package.__version__}", True),
    "none": ("raise ImportError('nothing here')\n", f"it has no gradls like this one, {package.__version__}", False),
}


@pytest.mark.parametrize(("first", "message", "complete"), OTHERS.values(), ids=OTHERS)
def test_a_worker_with_another_gradls_is_refused(
    scheduler: str, project: Path, first: str, message: str, complete: bool
):
    parts = ["syntax", "autograd", "flow", "rules", "resolve", "workspace", "cli"] if complete else []
    other = another_gradls(project.parent, first, *parts)
    with worker(scheduler, project.parent, PYTHONPATH=other):
        run = gradls("check", "--format", "json", "--dask", scheduler, cwd=project)
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr
    assert len(run.stderr.splitlines()) == 1


def test_what_a_worker_may_not_differ_in():
    own = Identity("1.0", "3.11", ("a",))
    expected = (own, True, "digest")
    assert _objection(expected, expected, "train.py") is None
    assert "it has Python 3.12, this one is 3.11" in str(
        _objection((own._replace(python="3.12"), True, ""), expected, "")
    )
    other_build = own._replace(build=("b",)), True, ""
    assert "its gradls 1.0 has other code or plugins than this one" in str(_objection(other_build, expected, ""))
    assert "it sees no folder" in str(_objection((own, False, "absent"), expected, "train.py"))
    assert "it does not see train.py as it is here" in str(_objection((own, True, "absent"), expected, "train.py"))
    assert identity() == identity()


def test_a_cluster_that_is_not_there(project: Path):
    run = gradls("check", "--dask", "127.0.0.1:1", cwd=project)
    assert (run.returncode, run.stdout) == (2, "")
    assert "there is no Dask scheduler at 127.0.0.1:1" in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["nonsense", "tls://127.0.0.1:1", "tcp://", "", "strange://127.0.0.1:1"])
def test_an_address_that_is_none(address: str):
    with pytest.raises(ClusterError, match=f"there is no Dask scheduler at {address} "), cluster(address, None):
        pass


def test_a_cluster_without_workers():
    with (
        LocalCluster(n_workers=0, scheduler_port=0, dashboard_address=":0") as local,
        pytest.raises(ClusterError, match="has no workers"),
        cluster(local.scheduler_address, None),
    ):
        pass


def dies_at_7(task: int) -> int:
    if task == 7:
        os._exit(9)
    return task * 2


def lost(task: int) -> int:
    return -1


def test_a_task_that_kills_its_worker_costs_itself_only(scheduler: str):
    with cluster(scheduler, __file__) as pool:
        assert pool.count == 4
        assert work(dies_at_7, range(30), lost, pool) == [-1 if task == 7 else task * 2 for task in range(30)]


def kill(process: int) -> int:
    os.kill(process, signal.SIGKILL)
    return process


def _work_without_patience(address: str, processes: list[int]) -> None:
    with cluster(address, None) as pool:
        for client in Client._instances:
            client._timeout = 2  # so long it looks for the scheduler when that is gone, by default half a minute
        work(kill, processes, lost, pool)


def test_a_cluster_that_goes_meanwhile(tmp_path: Path):
    """A worker kills the scheduler, and then itself has nobody to answer."""
    place = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    process = subprocess.Popen([*command, "--scheduler-file", str(place)], stderr=subprocess.DEVNULL, cwd=tmp_path)
    try:
        end = time.monotonic() + PATIENCE
        while not place.exists() or not place.read_text(encoding="utf-8").endswith("}"):
            assert time.monotonic() < end
            time.sleep(0.05)
        address = json.loads(place.read_text(encoding="utf-8"))["address"]
        join = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
        here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        helper = subprocess.Popen(join, cwd=tmp_path, env=here, stderr=subprocess.DEVNULL)
        try:
            with Client(address, set_as_default=False) as client:
                client.wait_for_workers(1, timeout=PATIENCE)
            with pytest.raises(ClusterError, match="is lost"):
                _work_without_patience(address, [process.pid] * 50)
        finally:
            helper.kill()
            helper.wait(PATIENCE)
    finally:
        process.kill()
        process.wait(PATIENCE)


@pytest.mark.parametrize("more", [["--jobs", "2"], ["--watch"]])
def test_what_does_not_go_with_it(capsys: pytest.CaptureFixture[str], more: list[str]):
    assert main(["check", "--dask", "127.0.0.1:1", *more]) == 2
    printed = capsys.readouterr()
    assert "does not go with" in printed.err or "is for this machine" in printed.err
