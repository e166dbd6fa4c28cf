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
REQUEST_FAILED, SERVER_CANCELLED, REQUEST_CANCELLED = -32803, -32802, -32800

Params = dict[str, Any]


def notification(method: str, params: str) -> bytes:
    """A notification with these parameters, which are JSON."""
    return f'{{"jsonrpc":"2.0","method":"{method}","params":{params}}}'.encode()


def publication(uri: str, version: int | None, diagnostics: str) -> bytes:
    """The notification that `uri` has `diagnostics`, which are JSON, in this version if it has any."""
    spelled = f'"version":{version},' if version is not None else ""
    return notification(
        "textDocument/publishDiagnostics", f'{{"uri":{json.dumps(uri)},{spelled}"diagnostics":{diagnostics}}}'
    )


class Refused(Exception):
    """A message that cannot be handled, with the code of JSON-RPC for it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Call:
    """A request of the client that is answered later, once."""

    def __init__(self, identifier: Any, send: Callable[[bytes], None], ended: Callable[[Call], None]) -> None:
        self.identifier = identifier
        self.is_open = True
        self._send = send
        self._ended = ended

    def answer(self, result: str) -> None:
        """Give the result, which is JSON. Nothing happens if the call is no longer open."""
        self._end(f'"result":{result}')

    def refuse(self, code: int, message: str, data: object = None) -> None:
        """Give an error instead, with `data` if that is not None."""
        error = {"code": code, "message": message, **({"data": data} if data is not None else {})}
        self._end(f'"error":{json.dumps(error)}')

    def _end(self, outcome: str) -> None:
        if self.is_open:
            self.is_open = False
            self._ended(self)
            self._send(f'{{"jsonrpc":"2.0","id":{json.dumps(self.identifier)},{outcome}}}'.encode())


class Connection:
    """The other end of the streams.

    `requests` maps methods to functions that take the parameters and return the result, `calls` to such that take a
    Call and the parameters and return at once, `notifications` to such that take the parameters, which are an object.
    Other requests, answers to other requests than those that were made here, and the notifications in `others` go to
    `forward`. A call that the client cancels is refused, and its `is_open` says so.
    """

    def __init__(self, writer: Writer, forward: Callable[[dict[str, Any]], None], others: Collection[str]) -> None:
        self.requests: dict[str, Callable[[Any], Any]] = {}
        self.calls: dict[str, Callable[[Call, Any], None]] = {}
        self.notifications: dict[str, Callable[[Params], None]] = {}
        self.is_initialized = False
        self.is_shut_down = False
        self._writer = writer
        self._forward = forward
        self._others = others
        self._asked: dict[str, tuple[Callable[[Any], None], Callable[[], None]]] = {}
        self._count = 0
        self._calls: dict[Any, Call] = {}

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

    def ask(
        self,
        method: str,
        params: Any,
        then: Callable[[Any], None] | None = None,
        refused: Callable[[], None] | None = None,
    ) -> None:
        """Send a request; `then` gets its result, `refused` is called if it has none."""
        self._count += 1
        identifier = f"gradls-{self._count}"
        self._asked[identifier] = then or _nothing, refused or _nothing
        self.send({"id": identifier, "method": method, "params": params})

    def cancel_calls(self) -> None:
        """Refuse what has no answer yet: nobody waits for it any more."""
        for call in list(self._calls.values()):
            call.refuse(REQUEST_CANCELLED, "Request Cancelled")

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
        asked = self._asked.pop(identifier, None) if isinstance(identifier, str) else None
        if asked is None:
            self._forward(message)
        elif "result" in message:
            asked[0](message["result"])
        else:
            log.warning("the client refuses what it says it can do: %s", message["error"])
            asked[1]()

    def _receive_request(self, method: str, message: dict[str, Any]) -> None:
        if not is_identifier(message["id"]):
            raise Refused(INVALID_REQUEST, "Invalid Request: the id is neither a number nor a string")
        if self.is_shut_down:
            raise Refused(INVALID_REQUEST, "Invalid Request: the server is shutting down")
        if self.is_initialized == (method == "initialize"):
            if self.is_initialized:
                raise Refused(INVALID_REQUEST, "Invalid Request: the server is initialized already")
            raise Refused(NOT_INITIALIZED, "the first request must be `initialize`")
        if method in self.requests:
            self.send({"id": message["id"], "result": self.requests[method](message.get("params"))})
        elif method in self.calls:
            call = self._calls[message["id"]] = Call(message["id"], self.write, self._ended)
            try:
                self.calls[method](call, message.get("params"))
            except Refused as error:
                call.refuse(error.code, str(error))
            except Exception as error:
                log.exception("%s could not be handled", method)
                call.refuse(INTERNAL_ERROR, f"Internal Error: {error}")
        else:
            self._forward(message)

    def _ended(self, call: Call) -> None:
        if self._calls.get(call.identifier) is call:
            del self._calls[call.identifier]

    def _cancelled(self, params: object) -> bool:
        """Whether what the client cancels is a call."""
        identifier = params.get("id") if isinstance(params, dict) else None
        call = self._calls.get(identifier) if is_identifier(identifier) else None
        if call is not None:
            call.refuse(REQUEST_CANCELLED, "Request Cancelled")
        return call is not None

    def _receive_notification(self, method: str, message: dict[str, Any]) -> None:
        if method != "exit" and (self.is_shut_down or not self.is_initialized):
            return
        if method == "$/cancelRequest" and self._cancelled(message.get("params")):
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


def document_in(params: Params, key: str = "textDocument") -> Params:
    """The document that a notification is about; its `uri` is a string. Refused if there is none."""
    item = params.get(key)
    if not isinstance(item, dict) or not isinstance(item.get("uri"), str):
        raise Refused(INVALID_PARAMS, "Invalid Params: no document")
    return item


def uris_in(params: Params, key: str) -> list[str]:
    """The `uri` of each object in the list `key`, of those that have one."""
    items = params.get(key)
    uris = [item.get("uri") for item in (items if isinstance(items, list) else ()) if isinstance(item, dict)]
    return [uri for uri in uris if isinstance(uri, str)]


def is_identifier(value: Any) -> bool:
    """Whether `value` may be the id of a request."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _is_response(message: dict[str, Any]) -> bool:
    return "result" in message or "error" in message


def _nothing(result: Any = None) -> None:
    pass
