"""`gradls.showPicture`: the gradient picture for a place in a document."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradls.picture.choose import NothingToDraw
from gradls.picture.draw import picture
from gradls.picture.model import Box, Picture
from gradls.picture.render import render
from gradls.server.positions import Encoding, to_range
from gradls.workspace.session import Session

MOST_FILES = 20
"""So many pictures are kept for the browser; older ones are overwritten."""


class Asked(NamedTuple):
    """What the arguments of the command say: a document and a line, from 0, and whether the server is to show the
    picture, if it can."""

    uri: str
    line: int
    show: bool = True

    @classmethod
    def of(cls, arguments: Sequence[Any]) -> Asked:
        """From `uri, position` or `uri, position, {"show": false}`, or from one object that has these. ValueError if
        they are nothing of the kind."""
        given = [_plain(argument) for argument in arguments]
        if len(given) == 1 and isinstance(given[0], Mapping):
            document = given[0].get("textDocument")
            uri = given[0].get("uri") or (document.get("uri") if isinstance(document, Mapping) else None)
            given = [uri, given[0].get("position"), given[0]]
        if len(given) >= 2 and isinstance(given[0], str) and isinstance(given[1], Mapping):
            line = given[1].get("line")
            if isinstance(line, int) and line >= 0:
                options = given[2] if len(given) > 2 and isinstance(given[2], Mapping) else {}
                return cls(given[0], line, options.get("show") is not False)
        raise ValueError("gradls.showPicture wants the URI of a document and a position in it")


def _plain(value: Any) -> Any:
    """An argument as JSON has it: pygls makes objects of some."""
    if isinstance(value, (str, int, Mapping)) or value is None:
        return value
    fields = value._asdict() if hasattr(value, "_asdict") else getattr(value, "__dict__", {})
    return {key: _plain(part) for key, part in fields.items()}


class Drawn(NamedTuple):
    """A picture, or why there is none; for each box its place as the protocol has it."""

    picture: Picture | None
    places: Sequence[dict[str, Any] | None] = ()
    reason: str = ""


def draw(session: Session, label: str, line: int, encoding: Encoding, uri_of: Callable[[str], str]) -> Drawn:
    """The picture for a line, from 0, of a document. Runs on the worker's thread; what it gives is plain data."""
    try:
        found = picture(session, label, line + 1)
    except NothingToDraw as reason:
        return Drawn(None, (), str(reason))
    texts = {source.path: source.lines for source in (session.facts(label).source, *session.facts(label).others)}

    def place(box: Box) -> dict[str, Any] | None:
        if not box.spots or box.spots[0].path not in texts:
            return None
        spot = box.spots[0]
        return {"uri": uri_of(spot.path), "range": to_range(spot.span, texts[spot.path], encoding)}

    return Drawn(found, [place(box) for box in found.boxes])


def answer(drawn: Drawn, uri_of: Callable[[str], str]) -> dict[str, Any]:
    """What the command answers. May take a tenth of a second, so not on a thread that others wait for."""
    if drawn.picture is None:
        return {"message": drawn.reason}
    boxes = [
        {"id": box.id, "kind": box.kind, "state": box.state, "label": box.label, "note": box.note, "location": place}
        for box, place in zip(drawn.picture.boxes, drawn.places, strict=True)
    ]
    return {
        "title": drawn.picture.title,
        "summary": list(drawn.picture.summary),
        "html": render(drawn.picture, "html", uri_of),
        "svg": render(drawn.picture, "svg", uri_of),
        "boxes": boxes,
    }


class Files:
    """Files for a browser or an editor, in a folder that nobody else can look into, and that goes with this process."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._count = 0

    def write(self, text: str, name: str | None = None) -> str:
        """The URI of a file with this text, and this name if it is to have a certain one."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="gradls-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        if name is None:
            self._count = self._count % MOST_FILES + 1
            name = f"picture-{self._count}.html"
        path = self._folder / name
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return path.as_uri()
