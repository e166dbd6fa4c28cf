"""`workspace/diagnostic`: the files that nobody has open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import to_fs_path

from tests.lsp.clients import SECONDS, Client
from tests.lsp.programs import DETACHED, STACKED
from tests.lsp.raw import Raw, started
from tests.lsp.test_names import uri_of
from tests.lsp.test_notebooks import BACKWARD as CELL_BACKWARD
from tests.lsp.test_notebooks import IMPORTS as CELL_IMPORTS
from tests.lsp.test_notebooks import LOST as CELL_LOST
from tests.lsp.test_notebooks import Notebook
from tests.lsp.test_project import LOST, NET, TRAIN

SERVER_CANCELLED, REQUEST_CANCELLED, INVALID_PARAMS = -32802, -32800, -32602
PULLING = {
    "textDocument": {"diagnostic": {}},
    "workspace": {"diagnostics": {"refreshSupport": True}},
    "window": {"workDoneProgress": True},
}
FILES = {
    "good.py": "import torch\n",
    "lost.py": DETACHED,
    "package/stacked.py": STACKED,
    "package/näme +1.py": DETACHED,
    ".venv/lib/library.py": DETACHED,
    "ignored/by_git.py": DETACHED,
    "excluded/by_us.py": DETACHED,
    "broken.py": "def (:\n",
    "notes.txt": DETACHED,
}
FOUND = {"lost.py": "GRD101", "package/stacked.py": "GRD102", "package/näme +1.py": "GRD101"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "latin.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("ignored/\n")
    (tmp_path / "pyproject.toml").write_text('[tool.gradls]\nexclude = ["excluded/"]\n')
    return tmp_path


class Puller:
    """What a client knows that asks about the workspace again and again."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.ids: dict[str, str] = {}
        self.found: dict[str, list[str | int | None]] = {}

    async def ask(self, **options: Any) -> types.WorkspaceDiagnosticReport:
        """Ask; the answer, which is counted in."""
        known = [types.PreviousResultId(uri, value) for uri, value in self.ids.items()]
        answer = await asyncio.wait_for(
            self.client.workspace_diagnostic_async(types.WorkspaceDiagnosticParams(known, "gradls", **options)), SECONDS
        )
        self.count(answer.items)
        return answer

    def count(self, items: Any) -> None:
        for item in items:
            name = Path(to_fs_path(item.uri) or "").relative_to(self.folder).as_posix()
            if item.kind == types.DocumentDiagnosticReportKind.Full:
                self.found[name] = [found.code for found in item.items]
                self.ids.pop(item.uri, None)
                if item.result_id:
                    self.ids[item.uri] = item.result_id

    @property
    def codes(self) -> dict[str, str]:
        """The one code of each file that has any."""
        return {name: str(code) for name, codes in self.found.items() for code in codes}


async def begun(client: Client, project: Path, **options: Any) -> Puller:
    await client.begin("vscode", folder=project, **options)
    return Puller(client, project)


async def held(puller: Puller) -> asyncio.Task[types.WorkspaceDiagnosticReport]:
    """A question that is not answered: the client knows all."""
    task = asyncio.ensure_future(puller.ask())
    done, _ = await asyncio.wait([task], timeout=1.5)
    assert not done
    return task


def tell(client: Client, *paths: Path, kind: types.FileChangeType = types.FileChangeType.Changed) -> None:
    changes = [types.FileEvent(uri_of(path), kind) for path in paths]
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams(changes))


async def test_all_files_that_the_command_line_would_check(client: Client, project: Path):
    puller = await begun(client, project)
    answer = await puller.ask()
    assert puller.codes == FOUND
    assert {item.version for item in answer.items} == {None}
    # The story, too.
    assert all(item.items[0].related_information for item in answer.items)
    assert client.published == []


async def test_who_knows_all_waits_until_something_changes(client: Client, project: Path):
    puller = await begun(client, project)
    await puller.ask()
    task = await held(puller)
    (project / "lost.py").write_text(STACKED)
    tell(client, project / "lost.py")
    await task
    assert puller.codes == {**FOUND, "lost.py": "GRD102"}
    task = await held(puller)
    (project / "lost.py").unlink()
    (project / "new.py").write_text(DETACHED)
    tell(client, project / "lost.py", kind=types.FileChangeType.Deleted)
    tell(client, project / "new.py", kind=types.FileChangeType.Created)
    while puller.codes != {**{name: FOUND[name] for name in FOUND if name != "lost.py"}, "new.py": "GRD101"}:
        await task
        task = asyncio.ensure_future(puller.ask())
    task.cancel()


async def test_a_folder_that_is_renamed(client: Client, project: Path):
    puller = await begun(client, project)
    await puller.ask()
    task = await held(puller)
    (project / "package").rename(project / "renamed")
    tell(client, project / "package", kind=types.FileChangeType.Deleted)
    tell(client, project / "renamed", kind=types.FileChangeType.Created)
    await task
    assert puller.codes == {name.replace("package/", "renamed/"): code for name, code in FOUND.items()}


async def test_files_that_rest_on_others(client: Client, tmp_path: Path):
    """On what is on disk, and on what is typed and not saved."""
    net, train = tmp_path / "net.py", tmp_path / "train.py"
    net.write_text(NET)
    train.write_text(TRAIN)
    puller = await begun(client, tmp_path)
    await puller.ask()
    assert puller.codes == {}
    task = await held(puller)
    net.write_text(LOST)
    tell(client, net)
    await task
    assert puller.codes == {"train.py": "GRD101"}
    task = await held(puller)
    client.open(uri_of(net), LOST)
    client.edit(uri_of(net), ".detach()", "")
    await task
    assert puller.codes == {}
    task = await held(puller)
    # What was not saved is gone.
    client.shut(uri_of(net))
    await task
    assert puller.codes == {"train.py": "GRD101"}


async def test_open_files_are_taken_at_their_version(client: Client, project: Path):
    puller = await begun(client, project)
    uri = uri_of(project / "lost.py")
    client.open(uri, STACKED, version=7)
    await client.diagnostics_of(uri)
    answer = await puller.ask()
    assert puller.codes == {**FOUND, "lost.py": "GRD102"}
    assert {item.version for item in answer.items if item.uri == uri} == {7}
    # Its result ids are those of the file when it is asked about alone.
    assert (await client.pull(uri, puller.ids[uri])).kind == types.DocumentDiagnosticReportKind.Unchanged
    task = await held(puller)
    client.shut(uri)
    await task
    assert puller.codes == FOUND
    # An editor may ask once more about a file that it has closed.
    assert [found.code for found in (await client.pull(uri)).items] == ["GRD101"]
    for name in ("ignored/by_git.py", "excluded/by_us.py", "nowhere.py", "notes.txt"):
        assert not (await client.pull(uri_of(project / name))).items


async def test_settings_that_change(client: Client, project: Path):
    puller = await begun(client, project)
    await puller.ask()
    task = await held(puller)
    change = types.DidChangeConfigurationParams({"gradls": {"config": {"ignore": ["GRD102"]}}})
    client.workspace_did_change_configuration(change)
    await task
    left = {name: code for name, code in FOUND.items() if code != "GRD102"}
    assert puller.codes == left
    task = await held(puller)
    (project / "pyproject.toml").write_text("")
    tell(client, project / "pyproject.toml")
    await task
    assert puller.codes == {**left, "excluded/by_us.py": "GRD101"}


async def test_folders_that_come_and_go(client: Client, project: Path, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    (other / "extra.py").write_text(DETACHED)
    puller = await begun(client, project)
    await puller.ask()
    task = await held(puller)
    folders = [types.WorkspaceFolder(uri_of(folder), folder.name) for folder in (project, other)]
    puller.folder = Path("/")
    puller.found = {(project / name).relative_to("/").as_posix(): codes for name, codes in puller.found.items()}
    event = types.WorkspaceFoldersChangeEvent(added=[folders[1]], removed=[folders[0]])
    client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event))
    await task
    assert puller.codes == {(other / "extra.py").relative_to("/").as_posix(): "GRD101"}


async def test_a_client_that_has_started_anew(client: Client, project: Path):
    """It is told what it does not have, with what it knew from an earlier server."""
    first = Client()
    known = await begun(first, project)
    await known.ask()
    await first.shutdown_session()
    await first.stop()
    (project / "lost.py").write_text("import torch\n")
    puller = await begun(client, project)
    puller.ids, puller.found = dict(known.ids), dict(known.found)
    answer = await puller.ask()
    assert [(Path(item.uri).name, list(item.items)) for item in answer.items] == [("lost.py", [])]


async def test_open_notebooks_are_their_cells(client: Client, tmp_path: Path):
    (tmp_path / "closed.ipynb").write_text("{}")
    await client.begin("vscode", folder=tmp_path)
    notebook = Notebook(client, uri_of(tmp_path / "open.ipynb"))
    notebook.open(CELL_IMPORTS, CELL_LOST, CELL_BACKWARD)
    await notebook.found(1, 1)
    answer = await client.workspace_diagnostic_async(types.WorkspaceDiagnosticParams([]))
    (item,) = answer.items
    assert (item.uri, item.version) == (notebook.order[1], 1)
    assert client.marked(item.uri, item.items[0].range).endswith(".detach()")
    known = [types.PreviousResultId(item.uri, item.result_id)]
    waiting = asyncio.ensure_future(client.workspace_diagnostic_async(types.WorkspaceDiagnosticParams(known)))
    _, pending = await asyncio.wait([waiting], timeout=1)
    assert pending


async def test_a_user_who_wants_none_of_it(client: Client, project: Path):
    result = await client.begin("vscode", folder=project, options={"workspaceDiagnostics": False})
    assert result.capabilities.diagnostic_provider.workspace_diagnostics is False
    client.open(uri_of(project / "lost.py"), DETACHED)
    assert len(await client.diagnostics_of(uri_of(project / "lost.py"))) == 1
    assert client.messages == []


# -- streams, progress, cancelling


def pulling(raw: Raw, project: Path) -> None:
    raw.begin(capabilities=PULLING, rootUri=project.as_uri())


def many(project: Path) -> Path:
    for number in range(120):
        (project / f"many_{number}.py").write_text(DETACHED)
    return project


def progress(raw: Raw, token: str) -> list[dict[str, Any]]:
    messages = [message["params"] for message in raw.seen if message.get("method") == "$/progress"]
    return [params["value"] for params in messages if params["token"] == token]


def test_results_come_as_they_are_found_with_progress(project: Path):
    with started() as (raw, _):
        pulling(raw, many(project))
        params = {"previousResultIds": [], "partialResultToken": "part", "workDoneToken": "work"}
        assert raw.request(1, "workspace/diagnostic", params)["result"] == {"items": []}
        parts = [value["items"] for value in progress(raw, "part")]
        assert len(parts) > 1
        assert len({item["uri"] for items in parts for item in items}) == 120 + len(FOUND)
        work = progress(raw, "work")
        assert (work[0]["kind"], work[-1]["kind"]) == ("begin", "end")
        assert work[0]["cancellable"]
        assert all(0 <= value["percentage"] <= 100 for value in work[1:-1])


def test_progress_that_the_client_did_not_ask_for_can_be_cancelled(project: Path):
    with started() as (raw, _):
        pulling(raw, many(project))
        params = {"previousResultIds": []}
        raw.send({"jsonrpc": "2.0", "id": 1, "method": "workspace/diagnostic", "params": params})
        create = raw.wait_for(lambda m: m.get("method") == "window/workDoneProgress/create")
        token = create["params"]["token"]
        raw.send({"jsonrpc": "2.0", "id": create["id"], "result": None})
        raw.wait_for(lambda m: m.get("method") == "$/progress" and m["params"]["token"] == token)
        raw.notify("window/workDoneProgress/cancel", {"token": token})
        error = raw.answer(1)["error"]
        assert (error["code"], error["data"]) == (SERVER_CANCELLED, {"retriggerRequest": False})
        assert progress(raw, token)[-1]["kind"] == "end"
        # Everything else goes on.
        raw.open("file:///t/train.py", DETACHED)
        answer = raw.request(2, "textDocument/diagnostic", {"textDocument": {"uri": "file:///t/train.py"}})
        assert len(answer["result"]["items"]) == 1


def test_a_cancelled_question(project: Path):
    with started() as (raw, _):
        pulling(raw, many(project))
        cancel = {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 1}}
        question = {"jsonrpc": "2.0", "id": 1, "method": "workspace/diagnostic", "params": {"previousResultIds": []}}
        raw.send(question, cancel)
        assert raw.answer(1)["error"]["code"] == REQUEST_CANCELLED
        answer = raw.request(2, "workspace/diagnostic", {"previousResultIds": []})
        assert len(answer["result"]["items"]) == 120 + len(FOUND)


def test_questions_that_make_no_sense(project: Path):
    with started() as (raw, _):
        pulling(raw, project)
        for number, params in enumerate((None, [], {"previousResultIds": [1]}, {"previousResultIds": [{"uri": 1}]})):
            assert raw.request(number, "workspace/diagnostic", params)["error"]["code"] == INVALID_PARAMS
        assert len(raw.request("fine", "workspace/diagnostic", {})["result"]["items"]) == len(FOUND)


def test_a_question_that_waits_does_not_keep_the_server(project: Path):
    with started() as (raw, process):
        pulling(raw, project)
        ids = [
            {"uri": item["uri"], "value": item["resultId"]}
            for item in raw.request(1, "workspace/diagnostic", {"previousResultIds": []})["result"]["items"]
        ]
        params = {"previousResultIds": ids}
        raw.send({"jsonrpc": "2.0", "id": 2, "method": "workspace/diagnostic", "params": params})
        assert raw.request(3, "shutdown")["result"] is None
        assert raw.answer(2)["error"]["code"] == REQUEST_CANCELLED
        raw.notify("exit", None)
        assert process.wait(SECONDS) == 0


async def test_without_folders_there_is_nothing_to_look_at(client: Client):
    await client.begin("vscode")
    answer = await client.workspace_diagnostic_async(types.WorkspaceDiagnosticParams([]))
    assert not answer.items


async def test_clients_that_do_not_pull_are_told_so(client: Client, project: Path):
    await client.begin("plain", folder=project)
    with pytest.raises(JsonRpcException):
        await client.protocol.send_request_async("workspace/diagnostic", types.WorkspaceDiagnosticParams([]))
