"""The client: its messages to those who handle them, and messages to it, as JSON-RPC has them.

Only what the start and the texts need is handled here; pygls does the rest (`requests.py`). Everything here runs on the
loop's thread.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from gradls.server.transport import Unparseable, Writer, frame

log = logging.getLogger(__name__)

PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS, INTERNAL_ERROR, NOT_INITIALIZED = -32700, -32600, -32602, -32603, -32002

Params = dict[str, Any]


class Refused(Exception):
    """A message that cannot be handled, with the code of JSON-RPC for it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """The other end of the streams.

    `requests` maps methods to functions that take the parameters and return the result, `notifications` to such that
    take the parameters, which are an object. Other requests, answers to other requests than those that were made here,
    and the notifications in `others` go to `forward`.
    """

    def __init__(self, writer: Writer, forward: Callable[[dict[str, Any]], None], others: Collection[str]) -> None:
        self.requests: dict[str, Callable[[Any], Any]] = {}
        self.notifications: dict[str, Callable[[Params], None]] = {}
        self.is_initialized = False
        self.is_shut_down = False
        self._writer = writer
        self._forward = forward
        self._others = others
        self._asked: dict[str, Callable[[Any], None]] = {}
        self._count = 0

    def receive(self, messages: list[Any]) -> None:
        """Handle messages in order."""
        for message in messages:
            try:
                self._receive(message)
            except Refused as error:
                self._refuse(message, error)
            except Exception as error:
                log.exception("a message of the client could not be handled")
                self._refuse(message, Refused(INTERNAL_ERROR, f"Internal Error: {error}"))

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.write(json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode())

    def write(self, body: bytes) -> None:
        """Send a message that is encoded already."""
        self._writer.write(frame(body))

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self.send({"method": method, "params": params})

    def ask(self, method: str, params: Any, then: Callable[[Any], None] | None = None) -> None:
        """Send a request; `then` gets its result, if it has one."""
        self._count += 1
        identifier = f"gradls-{self._count}"
        self._asked[identifier] = then or _nothing
        self.send({"id": identifier, "method": method, "params": params})

    def _receive(self, message: Any) -> None:
        if isinstance(message, Unparseable):
            raise Refused(PARSE_ERROR, f"Parse Error: {message.reason}")
        if not isinstance(message, dict):
            raise Refused(INVALID_REQUEST, "Invalid Request: not an object")
        method = message.get("method")
        if method is None and _is_response(message):
            self._receive_response(message)
        elif not isinstance(method, str):
            raise Refused(INVALID_REQUEST, "Invalid Request: no method")
        elif "id" in message:
            self._receive_request(method, message)
        else:
            self._receive_notification(method, message)

    def _receive_response(self, message: dict[str, Any]) -> None:
        identifier = message.get("id")
        then = self._asked.pop(identifier, None) if isinstance(identifier, str) else None
        if then is None:
            self._forward(message)
        elif "result" in message:
            then(message["result"])
        else:
            log.warning("the client refuses what it says it can do: %s", message["error"])

    def _receive_request(self, method: str, message: dict[str, Any]) -> None:
        if not is_identifier(message["id"]):
            raise Refused(INVALID_REQUEST, "Invalid Request: the id is neither a number nor a string")
        if self.is_shut_down:
            raise Refused(INVALID_REQUEST, "Invalid Request: the server is shutting down")
        if self.is_initialized == (method == "initialize"):
            if self.is_initialized:
                raise Refused(INVALID_REQUEST, "Invalid Request: the server is initialized already")
            raise Refused(NOT_INITIALIZED, "the first request must be `initialize`")
        handle = self.requests.get(method)
        if handle is None:
            self._forward(message)
        else:
            self.send({"id": message["id"], "result": handle(message.get("params"))})

    def _receive_notification(self, method: str, message: dict[str, Any]) -> None:
        if method != "exit" and (self.is_shut_down or not self.is_initialized):
            return
        handle = self.notifications.get(method)
        if handle is None:
            if method in self._others:
                self._forward(message)
            return
        params = message.get("params")
        if method != "exit" and not isinstance(params, dict):
            raise Refused(INVALID_PARAMS, f"Invalid Params: {method} without an object")
        handle(params)  # type: ignore[arg-type]

    def _refuse(self, message: Any, error: Refused) -> None:
        """Answer a request with an error; a notification or a response gets no answer, only a line in the log."""
        is_object = isinstance(message, dict)
        if is_object and "id" not in message:
            log.warning("%s", error)
        elif is_object and "method" not in message and _is_response(message):
            log.warning("a response could not be read: %s", error)
        else:
            identifier = message["id"] if is_object and is_identifier(message["id"]) else None
            self.send({"id": identifier, "error": {"code": error.code, "message": str(error)}})


def is_identifier(value: Any) -> bool:
    """Whether `value` may be the id of a request."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_response(message: dict[str, Any]) -> bool:
    return "result" in message or "error" in message


def _nothing(result: Any) -> None:
    pass
