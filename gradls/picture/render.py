"""A picture in the formats that it can be had in."""

from __future__ import annotations

import json

from gradls.picture.model import Picture
from gradls.picture.svg import UriOf

FORMATS = ("svg", "html", "dot", "json")


def render(picture: Picture, form: str, uri_of: UriOf) -> str:
    """The text of a picture in one of `FORMATS`. `uri_of` gives the URI of a path. May run `dot` for a moment."""
    if form == "json":
        return json.dumps(picture.to_json(), ensure_ascii=False, indent=2) + "\n"
    if form == "dot":
        from gradls.picture.dot import dot

        return dot(picture)
    from gradls.picture.layout import lay_out

    layout = lay_out(picture)
    if form == "html":
        from gradls.picture.html import html

        return html(picture, layout, uri_of)
    from gradls.picture.svg import svg

    return svg(picture, layout, uri_of)
