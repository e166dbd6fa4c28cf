"""What the server can do: the answer to `initialize`.

pygls would say the same of `features.py`, as a test sees to it, but takes long to import.
"""

from __future__ import annotations

from typing import Any

from gradls import __version__
from gradls.server.positions import Encoding
from gradls.server.settings import SOURCE, Abilities

INCREMENTAL = 2
QUICK_FIX, FIX_ALL = "quickfix", "source.fixAll.gradls"
FIX_NOTEBOOK = f"notebook.{FIX_ALL}"
"""What VS Code asks for when a notebook is saved."""
# Nothing but `cells` cannot be read back by clients that use lsprotocol.
NOTEBOOKS: dict[str, Any] = {"notebook": "jupyter-notebook", "cells": [{"language": "python"}]}
COMMAND, PICTURE, EXPLAIN = "gradls.applyEdit", "gradls.showPicture", "gradls.explain"
DOCUMENTATION, WHY = "gradls.openDocumentation", "gradls.why"
PULLED = {"identifier": SOURCE, "interFileDependencies": True}


def action_kinds(abilities: Abilities) -> list[str]:
    """The kinds of the actions that are offered to a client with these abilities."""
    return [QUICK_FIX, FIX_ALL, *([FIX_NOTEBOOK] if abilities.notebooks else [])]


def initialize_result(abilities: Abilities, encoding: Encoding, whole_workspace: bool = True) -> dict[str, Any]:
    """For a client with these abilities, which may ask about the `whole_workspace` or only about open files."""
    capabilities: dict[str, Any] = {
        "positionEncoding": encoding,
        "textDocumentSync": {"openClose": True, "change": INCREMENTAL, "save": True},
        "hoverProvider": True,
        "inlayHintProvider": {"resolveProvider": False},
        "codeLensProvider": {"resolveProvider": False},
        "documentHighlightProvider": True,
        "executeCommandProvider": {"commands": [COMMAND, DOCUMENTATION, WHY, PICTURE, EXPLAIN]},
        "workspace": {"workspaceFolders": {"supported": True, "changeNotifications": True}},
    }
    if abilities.pulls_diagnostics:
        capabilities["diagnosticProvider"] = {**PULLED, "workspaceDiagnostics": whole_workspace}
    if abilities.notebooks:
        capabilities["notebookDocumentSync"] = {"notebookSelector": [NOTEBOOKS], "save": True}
    # The options may only be given to a client that knows action literals.
    if abilities.code_action_literals:
        capabilities["codeActionProvider"] = {
            "codeActionKinds": action_kinds(abilities),
            "resolveProvider": abilities.resolves_edits,
        }
    elif abilities.applies_edits:
        capabilities["codeActionProvider"] = True
    return {"capabilities": capabilities, "serverInfo": {"name": "gradls", "version": __version__}}
