"""Which files are collected, and how their bytes become text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradls.workspace.config import Config
from gradls.workspace.files import Unreadable, collect, decode, read


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")


def names(root: Path, *arguments: str, config: Config | None = None) -> list[str]:
    found = collect([str(root / argument) for argument in arguments] or [str(root)], config or Config())
    return [Path(os.path.relpath(path, root)).as_posix() for path in found]


def test_python_files_in_order_and_nothing_else(tmp_path: Path):
    touch(tmp_path, "b.py", "a.py", "sub/c.py", "sub/d.pyi", "notes.txt", "tool")
    assert names(tmp_path) == ["a.py", "b.py", "sub/c.py"]


@pytest.mark.parametrize("folder", [".git", ".venv", "venv", "node_modules", "build", "dist", "__pycache__"])
def test_usual_folders_are_left_out(tmp_path: Path, folder: str):
    touch(tmp_path, f"{folder}/a.py", f"src/{folder}/b.py", "src/kept.py")
    assert names(tmp_path) == ["src/kept.py"]


def test_site_packages_and_environments_of_any_name(tmp_path: Path):
    touch(tmp_path, "lib/site-packages/a.py", "myenv/pyvenv.cfg", "myenv/b.py", "kept.py")
    assert names(tmp_path) == ["kept.py"]


def test_a_named_file_is_always_read(tmp_path: Path):
    touch(tmp_path, "build/a.py", "script", ".gitignore", "old/b.py")
    (tmp_path / ".gitignore").write_text("script\n", encoding="utf-8")
    config = Config(exclude=("old/",), root=tmp_path)
    assert names(tmp_path, "build/a.py", "script", "old/b.py", config=config) == ["build/a.py", "script", "old/b.py"]


def test_a_named_folder_is_read_though_its_name_is_a_usual_one(tmp_path: Path):
    touch(tmp_path, "build/a.py", ".git/HEAD")
    (tmp_path / ".gitignore").write_text("build/\n", encoding="utf-8")
    assert names(tmp_path, "build") == ["build/a.py"]


def test_each_file_once(tmp_path: Path):
    touch(tmp_path, "a.py", "sub/b.py")
    assert names(tmp_path, "sub", ".", "a.py") == ["sub/b.py", "a.py"]


def test_gitignore_with_negation_and_nesting(tmp_path: Path):
    touch(tmp_path, ".git/HEAD", "a.py", "gen/b.py", "x_pb2.py", "keep_pb2.py", "sub/c.py", "sub/d.py", "sub/e_pb2.py")
    (tmp_path / ".gitignore").write_text("gen/\n*_pb2.py\n!keep_pb2.py\n", encoding="utf-8")
    (tmp_path / "sub" / ".gitignore").write_text("/c.py\n!e_pb2.py\n", encoding="utf-8")
    assert names(tmp_path) == ["a.py", "keep_pb2.py", "sub/d.py", "sub/e_pb2.py"]


def test_what_is_ignored_in_a_clone_only_counts_last(tmp_path: Path):
    touch(tmp_path, ".git/HEAD", "mine.py", "scratch/a.py", "sub/keep.py", "sub/mine.py")
    (tmp_path / ".git" / "info").mkdir()
    (tmp_path / ".git" / "info" / "exclude").write_text("mine.py\nscratch/\n/sub/keep.py\n", encoding="utf-8")
    (tmp_path / "sub" / ".gitignore").write_text("!keep.py\n", encoding="utf-8")
    assert names(tmp_path) == ["sub/keep.py"]
    assert names(tmp_path, "sub") == ["sub/keep.py"]


def test_gitignore_above_the_folder_in_its_repository(tmp_path: Path):
    touch(tmp_path, ".git/HEAD", "src/pkg/a.py", "src/pkg/b_gen.py")
    (tmp_path / ".gitignore").write_text("*_gen.py\n", encoding="utf-8")
    assert names(tmp_path, "src/pkg") == ["src/pkg/a.py"]


def test_exclude_is_relative_to_the_configuration(tmp_path: Path):
    touch(tmp_path, "a.py", "legacy/b.py", "src/legacy/c.py", "src/x_test.py")
    config = Config(exclude=("/legacy/", "*_test.py"), root=tmp_path)
    assert names(tmp_path, config=config) == ["a.py", "src/legacy/c.py"]
    assert names(tmp_path, "src", config=config) == ["src/legacy/c.py"]


def test_a_link_that_leads_in_a_circle(tmp_path: Path):
    touch(tmp_path, "sub/a.py")
    try:
        (tmp_path / "sub" / "loop").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert names(tmp_path) == ["sub/a.py"]


def test_the_current_folder_has_short_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "a.py", "sub/b.py")
    monkeypatch.chdir(tmp_path)
    assert list(collect(["."], Config())) == ["a.py", os.path.join("sub", "b.py")]


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("x = 'ü'\r\n".encode(), "x = 'ü'\r\n", "utf-8"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n", "utf-8-sig"),
        (b"# -*- coding: latin-1 -*-\nx = '\xfc'\n", "# -*- coding: latin-1 -*-\nx = 'ü'\n", "iso-8859-1"),
        (b"#!/bin/python\n# vim: set fileencoding=cp1252 :\n'\x80'", None, "cp1252"),
        (b"", "", "utf-8"),
    ],
)
def test_encodings(data: bytes, text: str | None, encoding: str):
    decoded = decode(data, "a.py")
    assert decoded.encoding == encoding
    assert decoded.data == data
    assert text is None or decoded.text == text


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [(b"x = 1\ny = '\xff'\n", 2, "0xff"), (b"# coding: klingon\n", 1, "klingon"), (b"a\n\n\n\xfc", 4, "0xfc")],
)
def test_bytes_that_are_no_text(data: bytes, line: int, reason: str):
    with pytest.raises(Unreadable, match="could not be read") as caught:
        decode(data, "a.py")
    assert caught.value.line == line
    assert reason in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(Unreadable, match="No such file"):
        read(str(tmp_path / "a.py"))
