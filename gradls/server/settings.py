"""What the client can do, and what its user has set. Clients send anything: what makes no sense says nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
    tags: frozenset[int] = frozenset()
    code_action_literals: bool = False
    resolves_edits: bool = False
    disabled_actions: bool = False
    document_changes: bool = False
    creates_files: bool = False
    applies_edits: bool = False
    markdown: bool = False
    configuration: bool = False
    registers_configuration: bool = False
    registers_watchers: bool = False
    refreshes_hints: bool = False
    refreshes_lenses: bool = False
    shows_documents: bool = False
    notebooks: bool = False
    pulls_diagnostics: bool = False
    refreshes_diagnostics: bool = False
    shows_progress: bool = False

    @classmethod
    def of(cls, capabilities: object) -> Abilities:
        """What `ClientCapabilities` say."""
        text, workspace = _at(capabilities, "textDocument"), _at(capabilities, "workspace")
        publish, action = _at(text, "publishDiagnostics"), _at(text, "codeAction")
        return cls(
            related_information=_at(publish, "relatedInformation") is True,
            code_description=_at(publish, "codeDescriptionSupport") is True,
            diagnostic_data=_at(publish, "dataSupport") is True,
            tags=frozenset(tag for tag in _list(publish, "tagSupport", "valueSet") if isinstance(tag, int)),
            code_action_literals=_at(action, "codeActionLiteralSupport") is not None,
            resolves_edits="edit" in _list(action, "resolveSupport", "properties")
            and _at(action, "dataSupport") is True,
            # Neovim does not say that it takes them, but names what can only stand in them.
            document_changes=_at(workspace, "workspaceEdit", "documentChanges") is True
            or bool(_list(workspace, "workspaceEdit", "resourceOperations")),
            disabled_actions=_at(action, "disabledSupport") is True,
            creates_files="create" in _list(workspace, "workspaceEdit", "resourceOperations"),
            applies_edits=_at(workspace, "applyEdit") is True,
            markdown="markdown" in _list(text, "hover", "contentFormat"),
            configuration=_at(workspace, "configuration") is True,
            registers_configuration=_at(workspace, "didChangeConfiguration", "dynamicRegistration") is True,
            shows_documents=_at(capabilities, "window", "showDocument", "support") is True,
            notebooks=_at(capabilities, "notebookDocument") is not None,
            registers_watchers=_at(workspace, "didChangeWatchedFiles", "dynamicRegistration") is True,
            refreshes_hints=_at(workspace, "inlayHint", "refreshSupport") is True,
            refreshes_lenses=_at(workspace, "codeLens", "refreshSupport") is True,
            shows_progress=_at(capabilities, "window", "workDoneProgress") is True,
            pulls_diagnostics=isinstance(_at(text, "diagnostic"), Mapping),
            # The specification says `diagnostics`; a much-used library of Rust clients says `diagnostic`.
            refreshes_diagnostics=any(
                _at(workspace, key, "refreshSupport") is True for key in ("diagnostics", "diagnostic")
            ),
        )


def encoding_of(capabilities: object, options: object = None) -> Encoding:
    """How positions are counted: the first in the client's list that there is. For one that has no list, and counts in
    another way than the protocol says, `positionEncoding` in its initialization options."""
    offered = _list(capabilities, "general", "positionEncodings") or [_at(options, "positionEncoding")]
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
    the client has a place of its own for these, with `{code}` and `{name}` in it. `shows_findings` says that it has
    diagnostics in its hovers by itself."""

    encoding: Encoding
    abilities: Abilities
    uri_of: Callable[[str], str]
    rule_pages: str = ""
    shows_findings: bool = False

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
    (see `gradls.explain.hints`), None if the project is to say that; `commands` are those that the client itself can
    run, `rule_pages` and `shows_findings` are as in `Client`. `whole_workspace`: clients may ask about files that are
    not open. `problems` are sentences about what makes no sense. `by_folder` are the settings of those folders of the
    workspace that have their own.
    """

    trusted: bool = False
    python: str | None = None
    hints: str | None = None
    commands: frozenset[str] = frozenset()
    rule_pages: str = ""
    shows_findings: bool = False
    whole_workspace: bool = True
    config: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    by_folder: Mapping[Path, Settings] = field(default_factory=dict)

    @classmethod
    def of_initialize(cls, options: object) -> Settings:
        """The settings in `initializationOptions`."""
        commands = frozenset(name for name in _list(options, "commands") if isinstance(name, str))
        pages = _at(options, "rulePages")
        settings = cls(
            trusted=_at(options, "trusted") is True,
            commands=commands,
            rule_pages=pages if isinstance(pages, str) else "",
            shows_findings=_at(options, "showsFindings") is True,
            whole_workspace=_at(options, "workspaceDiagnostics") is not False,
        )
        return settings.updated(options, is_ours=True)

    def updated(self, settings: object, is_ours: bool = False) -> Settings:
        """With what a later `settings` says: the section `gradls`, or an object that holds it.

        `is_ours`: there is nothing in it for others; some clients send all that is set.
        """
        if not isinstance(settings, Mapping):
            return self
        section = settings.get(SOURCE, settings)
        if not isinstance(section, Mapping):
            return self
        given = {key: section.get(key, getattr(self, key)) or None for key in _FITS}
        sound = {key: value if _FITS[key][0](value) else None for key, value in given.items()}
        return dataclasses.replace(
            self,
            python=sound["python"],
            hints=sound["hints"],
            config={key: value for key, value in (sound["config"] or {}).items() if value not in (None, "")},
            problems=tuple(_problems(section, is_ours or SOURCE in settings)),
        )

    def pulled(self, answer: object, folders: Sequence[Path]) -> Settings:
        """With the answer to `workspace/configuration`: the section `gradls` for nothing in particular, then for each
        of `folders`."""
        sections = [each if isinstance(each, Mapping) else None for each in answer] if isinstance(answer, list) else []
        if not sections:
            return self
        whole = dataclasses.replace(self, by_folder={})
        if sections[0] is not None:
            whole = whole.updated({SOURCE: sections[0]})
        own = {
            folder: whole.updated({SOURCE: section})
            for folder, section in zip(folders, sections[1:], strict=False)
            if section is not None and section != sections[0]
        }
        problems = dict.fromkeys([*whole.problems, *(each for settings in own.values() for each in settings.problems)])
        return dataclasses.replace(whole, by_folder=own, problems=tuple(problems))

    def of(self, root: Path | None) -> Settings:
        """The settings for what belongs to the workspace folder `root`."""
        return self.by_folder.get(root, self) if root is not None else self

    def config_for(self, folder: Path | None) -> Config:
        """The configuration for files in `folder`: the project's, with the user's settings over it. Reads files."""
        from gradls.workspace.config import Config, config_from, load_config

        project = load_config(folder) if folder else Config()
        if not self.config:
            return project
        own = config_from(self.config)
        given = {key: value for key in _OF_PROJECTS if (value := getattr(own, key))}
        return dataclasses.replace(project, **given, problems=(*project.problems, *own.problems))


_OF_PROJECTS = ("select", "ignore", "per_file_ignores", "exclude", "severity", "target_torch", "hints")
_FITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "python": (lambda value: value is None or isinstance(value, str), "the path of an interpreter"),
    "config": (lambda value: value is None or isinstance(value, Mapping), "an object with the keys of [tool.gradls]"),
    "hints": (lambda value: value is None or value in HINTS, f"one of {', '.join(HINTS)}"),
}
"""What settings must be if they say anything, and that in words."""
_OF_CLIENTS = (
    *("trusted", "commands", "rulePages", "showsFindings", "workspaceDiagnostics", "positionEncoding"),
    *("path", "trace"),
)


def _problems(section: Mapping[Any, Any], is_ours: bool) -> Iterator[str]:
    """Sentences about what makes no sense in the section `gradls`. Clients may keep keys of their own in it."""
    for key, value in section.items():
        if key in _FITS:
            fits, words = _FITS[key]
            if value and not fits(value) and (is_ours or key != "python"):
                near = _meant(value, HINTS) if key == "hints" else ""
                yield f"{ORIGIN}: `{key}` must be {words}, not `{value!r}`{near}"
        elif is_ours and key not in _OF_CLIENTS:
            yield from _unknown(str(key))


def _unknown(key: str) -> Iterator[str]:
    from gradls.workspace.options import OPTIONS

    if any(option.key == key for option in OPTIONS):
        yield f"{ORIGIN}: `{key}` belongs into `config`"
    elif near := _meant(key, [*_FITS, *_OF_CLIENTS]):
        yield f"{ORIGIN}: unknown key `{key}`{near}"


def _meant(word: object, known: Iterable[str]) -> str:
    from gradls.workspace.forms import meant, nearest

    return meant(nearest(str(word), known))


def folders_of(params: object) -> list[Path]:
    """The workspace's folders, as `initialize` has them; none if only single files are open."""
    uris = [_at(folder, "uri") for folder in _list(params, "workspaceFolders")]
    folders = paths_of(uris or [_at(params, "rootUri")])
    path = _at(params, "rootPath")
    return folders or ([Path(path)] if isinstance(path, str) and path else [])


def paths_of(uris: Sequence[Any]) -> list[Path]:
    """The folders that are on this machine."""
    return [Path(label_of(uri)) for uri in uris if isinstance(uri, str) and uri.startswith("file:")]
