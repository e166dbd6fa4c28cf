"""`gradls.why`: what an error means that the user has pasted, and where in the code it comes from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from pygls.exceptions import JsonRpcInvalidParams

from gradls.server.capabilities import WHY
from gradls.server.positions import to_range
from gradls.workspace.notebook import is_notebook

if TYPE_CHECKING:
    from gradls.errors.rank import Cause
    from gradls.rules.finding import Place
    from gradls.server.analysis import Analyst
    from gradls.server.features import Features
    from gradls.server.server import Server
    from gradls.server.settings import Client
    from gradls.workspace.reasons import Reasons

MOST_CAUSES = 3


def register(features: Features, server: Server, plain: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Have `features` answer the command; `plain` wraps handlers."""

    async def why(*arguments: Any) -> dict[str, Any]:
        """Markdown and locations for the text of an error, the only argument."""
        if len(arguments) != 1 or not isinstance(arguments[0], str) or not arguments[0].strip():
            raise JsonRpcInvalidParams("gradls.why wants the text of an error")
        answer: Future[dict[str, Any]] = Future()

        def explain(analyst: Analyst) -> None:
            try:
                answer.set_result(explained(arguments[0], analyst, features.client))
            except Exception as error:
                answer.set_exception(error)

        def begin() -> None:
            server.scheduler.do(explain)
            server.scheduler.proceed()

        server.loop.call(begin)
        return await asyncio.wrap_future(answer)

    features.command(WHY)(plain(why))


def explained(text: str, analyst: Analyst, client: Client) -> dict[str, Any]:
    """What is known about an error, as plain data. Runs on the worker's thread, which has the open texts."""
    from gradls.workspace.reasons import reasons

    opened = analyst.opened_texts()
    folders = [str(folder) for folder in analyst.folders] or [os.curdir]
    found = reasons(text, folders[0], opened)
    for folder in folders[1:]:
        if found.place is None:
            found = reasons(text, folder, opened)
    causes = found.causes[:MOST_CAUSES]
    return {
        "known": found.message is not None,
        "message": found.message.name if found.message is not None else None,
        "markdown": _markdown(found, causes),
        "locations": [_location(found, cause, client) for cause in causes if not is_notebook(cause.finding.path)],
    }


def _markdown(found: Reasons, causes: Sequence[Cause]) -> str:
    from gradls.errors.details import details
    from gradls.workspace.reasons import diff_of

    parts = [f"```text\n{(found.raised.said or 'an error').replace('```', '')}\n```"]
    message = found.message
    means = message.means if message else "gradls does not know this message; autograd may have no part in it."
    parts.append(f"{means} {details(found.raised.message)}".strip())
    for cause in causes:
        finding = cause.finding
        kind = "Cause" if cause.is_likely else "Possible cause"
        where = f"{finding.path}:{finding.span.line}"
        parts.append(f"**{kind}**, {where}: {finding.message} ({finding.code} {finding.name})")
        diff = next((diff for fix in finding.fixes if (diff := diff_of(found, fix))), "")
        if diff:
            parts.append(f"```diff\n{diff}```")
    if message is not None:
        if not causes:
            parts.append(f"**Usual cause.** {message.cause}")
        parts.append(f"**What to do.** {message.fix}")
    place = found.place
    if not causes and place is not None:
        parts.append(f"gradls finds nothing in the code that explains it. It was raised at {place.path}:{place.line}.")
    return "\n\n".join(parts) + "\n"


def _location(found: Reasons, cause: Cause, client: Client) -> dict[str, Any]:
    finding = cause.finding
    story = [(finding.place, finding.message), *((step.place, step.message) for step in finding.story)]
    first, *related = [_place(place, message, client) for place, message in story]
    return first | {"code": finding.code, "name": finding.name, "likely": cause.is_likely, "related": related}


def _place(place: Place, message: str, client: Client) -> dict[str, Any]:
    area: Mapping[str, Any] = to_range(place.span, place.source.lines, client.encoding)
    return {"uri": client.uri_of(os.path.abspath(place.source.path)), "range": area, "message": message}
