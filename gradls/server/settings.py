"""What the client can do, and what its user has set. Clients send anything: what makes no sense says nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradls.server.documents import label_of
from gradls.server.positions import Encoding

if TYPE_CHECKING:
    from gradls.workspace.config import Config

SOURCE = "gradls"
"""What diagnostics come from, and the section of the settings."""
ORIGIN = "editor settings"
HINTS = ("off", "cuts", "all")
ENCODINGS: Sequence[Encoding] = ("utf-8", "utf-16", "utf-32")


@dataclass(frozen=True)
class Abilities:
    """The client capabilities that change what the server sends."""

    related_information: bool = False
    code_description: bool = False
    diagnostic_data: bool = False
    code_action_literals: bool = False
    resolves_edits: bool = False
    document_changes: bool = False
    applies_edits: bool = False
    markdown: bool = False
    configuration: bool = False
    registers_configuration: bool = False
    registers_watchers: bool = False
    refreshes_hints: bool = False
    refreshes_lenses: bool = False
    shows_documents: bool = False
    notebooks: bool = False

    @classmethod
    def of(cls, capabilities: object) -> Abilities:
        """What `ClientCapabilities` say."""
        text, workspace = _at(capabilities, "textDocument"), _at(capabilities, "workspace")
        publish, action = _at(text, "publishDiagnostics"), _at(text, "codeAction")
        return cls(
            related_information=_at(publish, "relatedInformation") is True,
            code_description=_at(publish, "codeDescriptionSupport") is True,
            diagnostic_data=_at(publish, "dataSupport") is True,
            code_action_literals=_at(action, "codeActionLiteralSupport") is not None,
            resolves_edits="edit" in _list(action, "resolveSupport", "properties")
            and _at(action, "dataSupport") is True,
            document_changes=_at(workspace, "workspaceEdit", "documentChanges") is True,
            applies_edits=_at(workspace, "applyEdit") is True,
            markdown="markdown" in _list(text, "hover", "contentFormat"),
            configuration=_at(workspace, "configuration") is True,
            registers_configuration=_at(workspace, "didChangeConfiguration", "dynamicRegistration") is True,
            shows_documents=_at(capabilities, "window", "showDocument", "support") is True,
            notebooks=_at(capabilities, "notebookDocument") is not None,
            registers_watchers=_at(workspace, "didChangeWatchedFiles", "dynamicRegistration") is True,
            refreshes_hints=_at(workspace, "inlayHint", "refreshSupport") is True,
            refreshes_lenses=_at(workspace, "codeLens", "refreshSupport") is True,
        )


def encoding_of(capabilities: object) -> Encoding:
    """How positions are counted: the first in the client's list that there is."""
    offered = _list(capabilities, "general", "positionEncodings")
    return next((encoding for one in offered for encoding in ENCODINGS if encoding == one), "utf-16")


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _list(value: Any, *keys: str) -> list[Any]:
    found = _at(value, *keys)
    return found if isinstance(found, list) else []


@dataclass(frozen=True)
class Client:
    """How the client wants to be told; `uri_of` gives a path's URI. `rule_pages` is the address of a rule's page where
    the client has a place of its own for these, with `{code}` and `{name}` in it."""

    encoding: Encoding
    abilities: Abilities
    uri_of: Callable[[str], str]
    rule_pages: str = ""

    def address_of(self, code: str, name: str) -> str | None:
        """Where the page of a rule can be read."""
        from gradls.workspace.addresses import rule_address

        if self.rule_pages:
            return self.rule_pages.replace("{code}", code).replace("{name}", name)
        return rule_address(name)


@dataclass(frozen=True)
class Settings:
    """What the user has set in the editor.

    `trusted` says that code of the workspace may be run, such as the interpreter in its environment. Only the options
    of `initialize` can say so: later settings may come from a file in the very workspace. `config` has the keys of
    `[tool.gradls]`; what it sets wins over the project's configuration. `hints` says which hints stand in the code
    (see `gradls.explain.hints`), `commands` are those that the client itself can run, `rule_pages` is as in `Client`.
    """

    trusted: bool = False
    python: str | None = None
    hints: str = "cuts"
    commands: frozenset[str] = frozenset()
    rule_pages: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_initialize(cls, options: object) -> Settings:
        """The settings in `initializationOptions`."""
        commands = frozenset(name for name in _list(options, "commands") if isinstance(name, str))
        pages = _at(options, "rulePages")
        pages = pages if isinstance(pages, str) else ""
        return cls(trusted=_at(options, "trusted") is True, commands=commands, rule_pages=pages).updated(options)

    def updated(self, settings: object) -> Settings:
        """With what a later `settings` says: the section `gradls`, or an object that holds it."""
        if not isinstance(settings, Mapping):
            return self
        section = settings.get(SOURCE, settings)
        if not isinstance(section, Mapping):
            return self
        python, config = section.get("python", self.python), section.get("config", self.config)
        which = section.get("hints", self.hints)
        return dataclasses.replace(
            self,
            python=python if isinstance(python, str) and python else None,
            config=config if isinstance(config, Mapping) else {},
            hints=which if which in HINTS else self.hints,
        )

    def config_for(self, folder: Path | None) -> Config:
        """The configuration for files in `folder`: the project's, with the user's settings over it. Reads files."""
        from gradls.workspace.config import Config, config_from, load_config
        from gradls.workspace.selection import unknown_selectors

        project = load_config(folder) if folder else Config()
        own = config_from(self.config, ORIGIN)
        given = {
            key: value
            for key in ("select", "ignore", "per_file_ignores", "exclude", "severity", "target_torch")
            if (value := getattr(own, key))
        }
        unknown = [
            f"{origin}: no rule is called `{selector}`"
            for origin, config in ((str(project.file), project), (ORIGIN, own))
            for selector in unknown_selectors([*config.select, *config.ignore, *config.severity])
        ]
        return dataclasses.replace(project, **given, problems=(*project.problems, *own.problems, *unknown))


def folders_of(params: object) -> list[Path]:
    """The workspace's folders, as `initialize` has them; none if only single files are open."""
    uris = [_at(folder, "uri") for folder in _list(params, "workspaceFolders")]
    folders = paths_of(uris or [_at(params, "rootUri")])
    path = _at(params, "rootPath")
    return folders or ([Path(path)] if isinstance(path, str) and path else [])


def paths_of(uris: Sequence[Any]) -> list[Path]:
    """The folders that are on this machine."""
    return [Path(label_of(uri)) for uri in uris if isinstance(uri, str) and uri.startswith("file:")]
