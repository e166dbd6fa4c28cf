"""What the client can do, and what its user has set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsprotocol import types

from gradls.server.documents import label_of
from gradls.workspace.config import Config, config_from, load_config
from gradls.workspace.selection import unknown_selectors

ORIGIN = "editor settings"


@dataclass(frozen=True, slots=True)
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

    @classmethod
    def of(cls, capabilities: types.ClientCapabilities) -> Abilities:
        text = capabilities.text_document or types.TextDocumentClientCapabilities()
        workspace = capabilities.workspace or types.WorkspaceClientCapabilities()
        publish = text.publish_diagnostics or types.PublishDiagnosticsClientCapabilities()
        action = text.code_action or types.CodeActionClientCapabilities()
        hover = text.hover or types.HoverClientCapabilities()
        edit = workspace.workspace_edit or types.WorkspaceEditClientCapabilities()
        watched = workspace.did_change_watched_files
        changed = workspace.did_change_configuration
        resolves = action.resolve_support is not None and "edit" in action.resolve_support.properties
        return cls(
            related_information=bool(publish.related_information),
            code_description=bool(publish.code_description_support),
            diagnostic_data=bool(publish.data_support),
            code_action_literals=action.code_action_literal_support is not None,
            resolves_edits=resolves and bool(action.data_support),
            document_changes=bool(edit.document_changes),
            applies_edits=bool(workspace.apply_edit),
            markdown=types.MarkupKind.Markdown in (hover.content_format or ()),
            configuration=bool(workspace.configuration),
            registers_configuration=bool(changed and changed.dynamic_registration),
            registers_watchers=bool(watched and watched.dynamic_registration),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user has set in the editor.

    `trusted` says that code of the workspace may be run, such as the interpreter in its environment. Only the options
    of `initialize` can say so: later settings may come from a file in the very workspace. `config` has the keys of
    `[tool.gradls]`; what it sets wins over the project's configuration.
    """

    trusted: bool = False
    python: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_initialize(cls, options: object) -> Settings:
        """The settings in `initializationOptions`, which may be anything."""
        trusted = isinstance(options, Mapping) and options.get("trusted") is True
        return cls(trusted=trusted).updated(options)

    def updated(self, settings: object) -> Settings:
        """With what a later `settings` says: the section `gradls`, or an object that holds it."""
        if not isinstance(settings, Mapping):
            return self
        section = settings.get("gradls", settings)
        if not isinstance(section, Mapping):
            return self
        python, config = section.get("python", self.python), section.get("config", self.config)
        return dataclasses.replace(
            self,
            python=python if isinstance(python, str) and python else None,
            config=config if isinstance(config, Mapping) else {},
        )

    def config_for(self, folder: Path | None) -> Config:
        """The configuration for files in `folder`: the project's, with the user's settings over it."""
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


def folders_of(params: types.InitializeParams) -> list[Path]:
    """The workspace's folders; none if only single files are open."""
    uris = [folder.uri for folder in params.workspace_folders or ()]
    if not uris and params.root_uri:
        uris = [params.root_uri]
    if uris:
        return paths_of(uris)
    return [Path(params.root_path)] if params.root_path else []


def paths_of(uris: list[str]) -> list[Path]:
    """The folders that are on this machine."""
    return [Path(label_of(uri)) for uri in uris if uri.startswith("file:")]
