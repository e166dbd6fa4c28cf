"""The command itself: version, usage, imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gradls import __version__
from tests.cli.command import gradls


def test_version(tmp_path: Path):
    run = gradls("--version", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, f"gradls {__version__}\n")


def test_the_installed_script(tmp_path: Path):
    script = Path(sys.executable).parent / "gradls"
    run = subprocess.run([script, "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout == f"gradls {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["check", "--format", "xml"],
        ["check", "--no-such-option"],
        ["check", "--jobs", "0", "."],
        ["check", "--diff", "--format", "json", "."],
        ["check", "--config", "no-such-file.toml", "."],
        ["check", "--select", "no-such-rule", "."],
        ["check", "--ignore", "GRD1,GRDX", "."],
        ["inspect", "--format", "concise"],
        ["server", "--tcp", "localhost"],
        ["explain"],
    ],
)
def test_wrong_usage_is_status_2_and_a_message_on_stderr(tmp_path: Path, arguments: list[str]):
    run = gradls(*arguments, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "gradls" in run.stderr
    assert "Traceback" not in run.stderr


def test_version_and_usage_import_nothing_heavy(tmp_path: Path):
    program = (
        "import sys; from gradls.cli.main import main; main(['check', '--help']); "
        "heavy = ('rich', 'pygls', 'jedi', 'libcst', 'pathspec', 'torch', 'gradls.rules'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout.endswith("[]\n")


def test_a_reader_that_has_enough(tmp_path: Path):
    for number in range(30):
        (tmp_path / f"a{number}.py").write_text("x = (\n", encoding="utf-8")
    command = f"{sys.executable} -m gradls check --format json . | head -c 20"
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout == '{"version": 1, "tool'
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr


def test_analysing_imports_neither_torch_nor_the_code(tmp_path: Path):
    (tmp_path / "a.py").write_text("raise SystemExit('ran')\nimport torch\n", encoding="utf-8")
    program = (
        "import sys; from gradls.cli.main import main; status = main(['check', 'a.py']); "
        "print(status, [m for m in ('torch', 'pygls', 'jedi', 'a') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout.endswith("0 []\n"), run.stderr
