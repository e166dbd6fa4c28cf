"""Messages to handlers: pygls does it, but for what has to be quick and for what the client gets wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

from lsprotocol import types
from pygls.exceptions import (
    JsonRpcException,
    JsonRpcInvalidParams,
    JsonRpcInvalidRequest,
    JsonRpcMethodNotFound,
    JsonRpcParseError,
    JsonRpcServerNotInitialized,
)
from pygls.protocol import LanguageServerProtocol, lsp_method

from gradls.server.transport import Unparseable

log = logging.getLogger(__name__)


class Protocol(LanguageServerProtocol):
    """`quick` maps the notifications that come with every keystroke to functions that take their bare parameters.

    `stop` is called with the exit status when the client says `exit`.
    """

    quick: dict[str, Callable[[dict[str, Any]], None]]
    stop: Callable[[int], None]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.quick = {}
        self.stop = lambda status: None
        self._initialized = False

    def receive(self, messages: list[Any]) -> None:
        """Handle messages in order."""
        for message in messages:
            try:
                self._receive(message)
            except JsonRpcException as error:
                self._refuse(message, error)
            except Exception as error:
                log.exception("a message of the client could not be handled")
                self._refuse(message, JsonRpcInvalidRequest(f"Invalid Request: {error}"))

    def publish(self, uri: str, version: int | None, diagnostics: list[dict[str, Any]]) -> None:
        """Send diagnostics."""
        params: dict[str, Any] = {"uri": uri, "diagnostics": diagnostics}
        if version is not None:
            params["version"] = version
        self._send_data({"jsonrpc": self.VERSION, "method": types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, "params": params})

    @lsp_method(types.EXIT)
    def lsp_exit(self, *arguments: Any) -> Generator[Any, Any, None]:
        """The client has no more to say."""
        self.stop(0 if self._shutdown else 1)
        yield from ()

    def _check_handler_result(self, future: Future[Any]) -> None:
        super()._check_handler_result(future)
        # pygls keeps the future of every notification for good. (It goes through them while it cancels them.)
        if future.cancelled():
            return
        for identifier in [key for key, kept in self._request_futures.items() if kept is future]:
            del self._request_futures[identifier]

    @property
    def is_shut_down(self) -> bool:
        return bool(self._shutdown)

    def _receive(self, message: Any) -> None:
        if isinstance(message, Unparseable):
            raise JsonRpcParseError(f"Parse Error: {message.reason}")
        if not isinstance(message, dict):
            raise JsonRpcInvalidRequest("Invalid Request: not an object")
        method = message.get("method")
        if method is None and ("result" in message or "error" in message):
            self.handle_message(self.structure_message({"jsonrpc": self.VERSION, **message}))
        elif not isinstance(method, str):
            raise JsonRpcInvalidRequest("Invalid Request: no method")
        elif "id" in message:
            self._receive_request(method, message)
        else:
            self._receive_notification(method, message)

    def _receive_request(self, method: str, message: dict[str, Any]) -> None:
        if not _is_identifier(message["id"]):
            raise JsonRpcInvalidRequest("Invalid Request: the id is neither a number nor a string")
        if self._shutdown:
            raise JsonRpcInvalidRequest("Invalid Request: the server is shutting down")
        if self._initialized == (method == types.INITIALIZE):
            if self._initialized:
                raise JsonRpcInvalidRequest("Invalid Request: the server is initialized already")
            raise JsonRpcServerNotInitialized("the first request must be `initialize`")
        if method not in self.fm.builtin_features and method not in self.fm.features:
            raise JsonRpcMethodNotFound.of(method)
        typed = self._typed(message)
        self._initialized = True
        self.handle_message(typed)

    def _receive_notification(self, method: str, message: dict[str, Any]) -> None:
        if method != types.EXIT and (self._shutdown or not self._initialized):
            return
        handle = self.quick.get(method)
        if handle is not None:
            params = message.get("params")
            if not isinstance(params, dict):
                raise JsonRpcInvalidParams(f"Invalid Params: {method} without an object")
            handle(params)
        elif method == types.CANCEL_REQUEST:
            request = (message.get("params") or {}).get("id")
            if _is_identifier(request) and request in self._request_futures:
                self._handle_cancel_notification(request)
        elif method in self.fm.builtin_features or method in self.fm.features:
            self.handle_message(self._typed(message))

    def _typed(self, message: dict[str, Any]) -> Any:
        try:
            return self.structure_message({**message, "jsonrpc": self.VERSION})
        except Exception as error:
            raise JsonRpcInvalidParams(f"Invalid Params: {message['method']}") from error

    def _refuse(self, message: Any, error: JsonRpcException) -> None:
        """Answer a request with an error; a notification or a response gets no answer, only a line in the log."""
        is_object = isinstance(message, dict)
        if is_object and "id" not in message:
            log.warning("%s", error)
        elif is_object and "method" not in message and ("result" in message or "error" in message):
            log.warning("a response could not be read: %s", error)
        else:
            identifier = message["id"] if is_object and _is_identifier(message["id"]) else None
            self._send_response_error(identifier, error)

    def _send_response_error(self, identifier: int | str | None, error: JsonRpcException) -> None:
        self._send_data(
            {"jsonrpc": self.VERSION, "id": identifier, "error": {"code": error.code, "message": error.message}}
        )


def _is_identifier(value: Any) -> bool:
    return isinstance(value, (int, str)) and not isinstance(value, bool)
