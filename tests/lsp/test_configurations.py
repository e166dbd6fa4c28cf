"""Mistakes in configuration files: told where they stand, gone when they are mended."""

from pathlib import Path

import pytest
from lsprotocol import types
from pygls.uris import from_fs_path

from tests.lsp.clients import Client
from tests.lsp.programs import DETACHED, STACKED

WRONG = """\
[project]
name = "x"

[tool.gradls]
ignor = ["GRD1"]  # 😀
select = ["😀", "detached-los"]
"""
MENDED = WRONG.replace("ignor ", "ignore ").replace('"😀", "detached-los"', '"ALL"')


def uri_of(path: Path) -> str:
    uri = from_fs_path(str(path))
    assert uri is not None
    return uri


def changed(path: Path) -> types.DidChangeWatchedFilesParams:
    return types.DidChangeWatchedFilesParams([types.FileEvent(uri_of(path), types.FileChangeType.Changed)])


def marked(text: str, diagnostic: types.Diagnostic, encoding: str) -> str:
    """What a diagnostic within one line covers."""
    codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]
    line = text.split("\n")[diagnostic.range.start.line].encode(codec)
    return line[diagnostic.range.start.character * size : diagnostic.range.end.character * size].decode(codec)


@pytest.mark.parametrize("preset", ["vscode", "neovim", "emacs", "plain"])
async def test_mistakes_are_told_at_their_place(client: Client, tmp_path: Path, preset: str):
    folder = tmp_path / "a b+ü"
    folder.mkdir()
    project = folder / "pyproject.toml"
    project.write_text(WRONG, encoding="utf-8")
    await client.begin(preset, folder=folder)
    client.open(uri_of(folder / "train.py"), DETACHED)
    found = await client.told_of(uri_of(project), 3)
    assert [marked(WRONG, each, client.encoding) for each in found] == ["ignor", '"😀"', '"detached-los"']
    assert [each.severity for each in found] == [types.DiagnosticSeverity.Warning] * 3
    assert "did you mean `ignore`" in found[0].message
    assert {each.code for each in found} == {"configuration"}
    assert client.messages == []


async def test_mended_mistakes_are_gone(client: Client, tmp_path: Path):
    project, own = tmp_path / "pyproject.toml", tmp_path / "inner" / "gradls.toml"
    own.parent.mkdir()
    project.write_text(WRONG, encoding="utf-8")
    own.write_text("select = [\n")
    await client.begin(folder=tmp_path)
    for path in (tmp_path / "train.py", own.parent / "train.py"):
        client.open(uri_of(path), DETACHED)
    await client.told_of(uri_of(project), 3)
    (broken,) = await client.told_of(uri_of(own), 1)
    assert broken.severity == types.DiagnosticSeverity.Error
    project.write_text(MENDED)
    client.workspace_did_change_watched_files(changed(project))
    await client.told_of(uri_of(project), 0)
    assert [len(each.diagnostics) for each in client.published if each.uri == uri_of(own)][-1] == 1
    own.unlink()
    client.workspace_did_change_watched_files(changed(own))
    await client.told_of(uri_of(own), 0)


async def test_without_a_watcher_mended_mistakes_are_gone_after_the_next_save(client: Client, tmp_path: Path):
    project, uri = tmp_path / "pyproject.toml", uri_of(tmp_path / "train.py")
    project.write_text(WRONG, encoding="utf-8")
    await client.begin("neovim", folder=tmp_path)
    client.open(uri, DETACHED)
    await client.told_of(uri_of(project), 3)
    project.write_text(MENDED)
    client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))
    await client.told_of(uri_of(project), 0)


async def test_a_file_above_the_workspace(client: Client, tmp_path: Path):
    """Which no editor watches."""
    folder = tmp_path / "repository" / "training"
    folder.mkdir(parents=True)
    project, uri = folder.parent / "pyproject.toml", uri_of(folder / "train.py")
    project.write_text('[tool.gradls]\nignor = ["GRD1"]\n')
    await client.begin("vscode", folder=folder)
    client.open(uri, DETACHED)
    await client.told_of(uri_of(project), 1)
    assert len(await client.diagnostics_of(uri, 1)) == 1
    project.write_text('[tool.gradls]\nignore = ["GRD1"]\n')
    client.text_document_did_save(types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri)))
    await client.told_of(uri_of(project), 0)
    assert await client.diagnostics_of(uri, 0) == []


async def test_a_client_that_spells_the_file_otherwise(client: Client, tmp_path: Path):
    """Each of its mistakes is told under one URI: that of the client while it is open there."""
    folder = tmp_path / "a+b"
    folder.mkdir()
    own, program = folder / "gradls.toml", uri_of(folder / "train.py")
    own.write_text("ignor = []\n")
    ours = uri_of(own)
    theirs = ours.replace("%2B", "+") if "%2B" in ours else ours.replace("+", "%2B")
    await client.begin(folder=folder)
    client.open(program, DETACHED)
    await client.told_of(ours, 1)
    client.open(theirs, "ignor = []\n", language="toml")
    await client.told_of(theirs, 1)
    await client.told_of(ours, 0)
    client.shut(theirs)
    await client.told_of(ours, 1)
    await client.told_of(theirs, 0)


@pytest.mark.parametrize("preset", ["vscode", "emacs"])
async def test_a_file_that_is_typed_in(client: Client, tmp_path: Path, preset: str):
    """What is typed is checked; what is saved counts."""
    project = tmp_path / "pyproject.toml"
    project.write_text(MENDED)
    await client.begin(preset, folder=tmp_path)
    program, uri = uri_of(tmp_path / "train.py"), uri_of(project)
    client.open(uri, MENDED, language="toml")
    client.open(program, DETACHED + STACKED)
    assert await client.diagnostics_of(program) == []
    client.edit(uri, "ignore", "ignor")
    (found,) = await client.diagnostics_of(uri, 1)
    assert client.marked(uri, found.range) == "ignor"
    client.edit(program, "x = torch.randn(8, 3)", "x = torch.randn(7, 3)")
    assert await client.diagnostics_of(program) == []
    client.edit(uri, "ignor ", "ignore ")
    assert await client.diagnostics_of(uri, 0) == []
    client.edit(uri, "[tool.gradls]", "[tool.gradls")
    assert len(await client.diagnostics_of(uri, 1)) == 1
    client.shut(uri)
    assert await client.told_of(uri, 0) == []


async def test_other_tables_are_no_programs_and_none_of_our_business(client: Client, tmp_path: Path):
    await client.begin(folder=tmp_path)
    uri, program = uri_of(tmp_path / "Cargo.toml"), uri_of(tmp_path / "train.py")
    client.open(uri, "ignor = [", language="toml")
    client.edit(uri, "ignor", "loss.backward()\nignor")
    client.open(program, DETACHED)
    assert len(await client.diagnostics_of(program)) == 1
    assert {each.uri for each in client.published} <= {program}


async def test_severity_and_hints_of_the_project(client: Client, tmp_path: Path):
    project = tmp_path / "gradls.toml"
    project.write_text('hints = "off"\nseverity = { GRD1 = "warning", detached-loss = "hint" }\n')
    await client.begin(folder=tmp_path)
    uri = uri_of(tmp_path / "train.py")
    client.open(uri, DETACHED + STACKED)
    found = await client.diagnostics_of(uri)
    assert {each.code: each.severity.name for each in found} == {"GRD101": "Hint", "GRD102": "Warning"}
    everything = types.InlayHintParams(
        types.TextDocumentIdentifier(uri), types.Range(types.Position(0, 0), types.Position(99, 0))
    )
    assert not await client.text_document_inlay_hint_async(everything)
    client.refreshed.clear()
    project.unlink()
    client.workspace_did_change_watched_files(changed(project))
    while types.WORKSPACE_INLAY_HINT_REFRESH not in client.refreshed:
        await client.news()
    assert await client.text_document_inlay_hint_async(everything)
    assert {each.severity.name for each in await client.diagnostics_of(uri, 2)} != {"Hint", "Warning"}


async def test_the_hints_of_the_editor_win(client: Client, tmp_path: Path):
    (tmp_path / "gradls.toml").write_text('hints = "off"\n')
    await client.begin(folder=tmp_path, options={"hints": "cuts"})
    uri = uri_of(tmp_path / "train.py")
    client.open(uri, DETACHED)
    everything = types.Range(types.Position(0, 0), types.Position(99, 0))
    assert await client.text_document_inlay_hint_async(
        types.InlayHintParams(types.TextDocumentIdentifier(uri), everything)
    )


async def test_clients_that_ask_for_diagnostics_hear_nothing_of_programs_in_it(client: Client, tmp_path: Path):
    """Mistakes in it are published; a client that attaches the server to TOML files asks all the same."""
    project = tmp_path / "pyproject.toml"
    project.write_text(WRONG, encoding="utf-8")
    await client.begin("vscode", folder=tmp_path)
    uri = uri_of(project)
    ask = types.DocumentDiagnosticParams(types.TextDocumentIdentifier(uri))
    assert not (await client.text_document_diagnostic_async(ask)).items
    client.open(uri, WRONG, language="toml")
    assert len(await client.told_of(uri, 3)) == 3
    assert not (await client.text_document_diagnostic_async(ask)).items
    at = types.Position(4, 2)
    assert await client.text_document_hover_async(types.HoverParams(types.TextDocumentIdentifier(uri), at)) is None
    asked = types.CodeLensParams(types.TextDocumentIdentifier(uri))
    assert not await client.text_document_code_lens_async(asked)


async def test_a_table_that_does_not_count(client: Client, tmp_path: Path):
    project, own = tmp_path / "pyproject.toml", tmp_path / "gradls.toml"
    project.write_text("[tool.gradls]\nignore = []\n")
    own.write_text("")
    await client.begin(folder=tmp_path)
    client.open(uri_of(tmp_path / "train.py"), DETACHED)
    (found,) = await client.told_of(uri_of(project), 1)
    assert "not used" in found.message
    own.unlink()
    client.workspace_did_change_watched_files(changed(own))
    await client.told_of(uri_of(project), 0)
