"""What is edited in a text changes nothing else of it: `text_safety.py` in short, on the command line, by versions.

The long form takes all programs in all variants: `python -m tests.faults.text_safety`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pygls.uris import from_fs_path

from gradls.workspace.config_edits import ignoring
from tests.cli.command import gradls
from tests.cli.test_fix import COPIED, FIXED
from tests.faults import text_safety
from tests.faults.text_safety import VARIANTS, differences, editor, keeps_ends, programs, variants
from tests.lsp.programs import DETACHED

FEW = 6
"""So many programs go by until the same variants come again."""


def chosen(index: int) -> tuple[str, ...]:
    """Some of the variants, others for the next program."""
    return VARIANTS[index % FEW :: FEW]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8"])
def test_what_an_editor_is_offered(tmp_path: Path, encoding: str):
    shift = ["utf-16", "utf-8"].index(encoding)
    count = 0
    with editor(tmp_path, encoding) as client:
        for index, (name, program) in enumerate(programs().items()):
            compared, different = differences(client, name, program, chosen(index + shift))
            assert not different, "\n".join(different)
            count += compared
    assert count > 300


def test_fixes_on_the_command_line(tmp_path: Path):
    """The same, with the bytes of the files, also in another encoding than UTF-8."""
    changed: dict[Path, tuple[str, str, Callable[[str], str]]] = {}
    for index, (name, program) in enumerate(programs().items()):
        (tmp_path / f"{name}.py").write_bytes(program.encode())
        for variant in chosen(index):
            changed[tmp_path / variant / f"{name}.py"] = name, "utf-8", variants(program)[variant]
        latin = tmp_path / "latin-1" / f"{name}.py"
        changed[latin] = name, "latin-1", lambda text: f"# coding: latin-1 \xe9\x85\xa0\n{text}".replace("\n", "\r\n")
    before: dict[Path, str] = {}
    for path, (name, encoding, change) in changed.items():
        path.parent.mkdir(exist_ok=True)
        before[path] = change((tmp_path / f"{name}.py").read_text(encoding="utf-8"))
        path.write_bytes(before[path].encode(encoding))
    run = gradls("check", ".", "--fix", "--unsafe-fixes", "--select", "ALL", "--exit-zero", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    mended = 0
    for path, (name, encoding, change) in changed.items():
        after = path.read_bytes().decode(encoding)
        expected = (tmp_path / f"{name}.py").read_bytes().decode()
        mended += after != before[path]
        if path.parent.name == "mixed":
            assert keeps_ends(before[path], after), path
            after = text_safety.with_plain_ends(after)
        else:
            expected = change(expected)
        assert after == expected, path
    assert mended > 100


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gradls.toml", '# e\u0301 \U0001d4b3 \u2028\n\tignore = ["GRD4"]  # \U0001f600\nexclude = ["\x85"]\n'),
        ("gradls.toml", 'hints = "all"\n[severity]\n\tGRD1 = "hint"\n'),
        (
            "pyproject.toml",
            '[project]\nname = "\U0001d4b3"\n\n[tool.gradls]\nignore = [\n\t"GRD1", # e\u0301\n]\n[tool.x]\n',
        ),
        ("pyproject.toml", '[project]\nname = "\U0001d4b3"'),
    ],
)
def test_edits_of_configuration_files(name: str, text: str):
    plain = ignoring(text, Path(name), "clip-order")
    windows = text.replace("\n", "\r\n")
    made = ignoring(windows, Path(name), "clip-order")
    assert made == plain
    lines = text_safety.split_lines(text)
    assert all(plain.span.line <= len(lines) + 1 for _ in lines)


def outdated(client: text_safety.Editor, uri: str, fits: bool) -> list[object]:
    """The answers to the actions of a text that has changed since, and of one that has not if it `fits`."""
    item = {"uri": uri, "languageId": "python", "version": 1, "text": DETACHED}
    client.raw.notify("textDocument/didOpen", {"textDocument": item})
    document = {"textDocument": {"uri": uri}}
    found = client.ask("textDocument/diagnostic", document)["items"]
    context = {"diagnostics": found, "triggerKind": 1}
    actions = client.ask("textDocument/codeAction", {**document, "range": found[0]["range"], "context": context})
    kinds = {action["data"]["does"] for action in actions if "data" in action}
    assert {"mend", "ignore", "disable"} <= kinds
    if not fits:
        start = {"line": 0, "character": 0}
        changes = [{"range": {"start": start, "end": start}, "text": "# a line above\n"}]
        identifier = {"uri": uri, "version": 2}
        client.raw.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": changes})
    answers = []
    for action in actions:
        if "data" in action:
            number = next(client.numbers)
            answers.append(client.raw.request(number, "codeAction/resolve", action))
            number = next(client.numbers)
            # As clients do that know no literals.
            command = {"command": "gradls.applyEdit", "arguments": [action["data"]]}
            if not fits:
                answers.append(client.raw.request(number, "workspace/executeCommand", command))
    return answers


@pytest.mark.parametrize("fits", [True, False])
def test_an_action_of_an_older_text_is_refused(tmp_path: Path, fits: bool):
    (tmp_path / "gradls.toml").write_text("")
    with editor(tmp_path, "utf-16") as client:
        answers = outdated(client, str(from_fs_path(str(tmp_path / "train.py"))), fits)
    assert answers
    codes = [answer.get("error", {}).get("code") for answer in answers]
    assert set(codes) == ({None} if fits else {-32801})
    versions = [
        change["textDocument"]["version"]
        for answer in answers
        if fits
        for change in answer["result"]["edit"]["documentChanges"]
        if change["textDocument"]["uri"].endswith("train.py")
    ]
    assert set(versions) <= {1}
    assert bool(versions) is fits


def test_a_file_that_changes_meanwhile_is_not_written(tmp_path: Path):
    """Another program saves it between our reading and our writing."""
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    script = (
        "import sys, pathlib, gradls.cli.fixing as fixing\n"
        "made = fixing._mend_file\n"
        "def late(*given):\n"
        "    result = made(*given)\n"
        "    pathlib.Path('a.py').write_text('saved = 1\\n')\n"
        "    return result\n"
        "fixing._mend_file = late\n"
        "from gradls.cli.main import main\n"
        "sys.exit(main(['check', '--fix', 'a.py']))\n"
    )
    run = run_script(script, tmp_path)
    assert (tmp_path / "a.py").read_text() == "saved = 1\n"
    assert "has changed meanwhile" in run


def test_a_disk_that_fills_up_costs_no_text(tmp_path: Path):
    (tmp_path / "a.py").write_text(COPIED, encoding="utf-8")
    script = (
        "import os, sys\n"
        "def full(*given):\n"
        "    raise OSError(28, 'No space left on device')\n"
        "os.fsync = full\n"
        "from gradls.cli.main import main\n"
        "sys.exit(main(['check', '--fix', '--no-cache', 'a.py']))\n"
    )
    said = run_script(script, tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == COPIED
    assert "No space left" in said
    assert os.listdir(tmp_path) == ["a.py"]


def run_script(script: str, folder: Path) -> str:
    import subprocess

    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=120)
    return run.stdout + run.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links, modes")
def test_what_a_file_is_besides_its_text_stays(tmp_path: Path):
    """Its mode, its other names, and that it is a link."""
    folder, outside = tmp_path / "inside", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    for path in (folder / "a.py", folder / "b.py", outside / "far.py"):
        path.write_text(COPIED, encoding="utf-8")
    (folder / "a.py").chmod(0o751)
    os.link(folder / "b.py", outside / "b.py")
    (folder / "near.py").symlink_to("a.py")
    (folder / "far.py").symlink_to(outside / "far.py")
    run = gradls("check", ".", "--fix", cwd=folder)
    assert (folder / "a.py").read_text(encoding="utf-8") == FIXED
    assert (folder / "a.py").stat().st_mode & 0o777 == 0o751
    assert (outside / "b.py").read_text(encoding="utf-8") == FIXED
    assert (folder / "near.py").is_symlink()
    assert (outside / "far.py").read_text(encoding="utf-8") == COPIED
    assert "link out of" in run.stdout + run.stderr
    gradls("check", "far.py", "--fix", cwd=folder)
    assert (outside / "far.py").read_text(encoding="utf-8") == FIXED, "the user has named it"
    assert (folder / "far.py").is_symlink()
