"""pygls's half of the connection: requests to typed handlers, and what the client gets wrong in them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInternalError, JsonRpcInvalidParams, JsonRpcMethodNotFound
from pygls.protocol import LanguageServerProtocol

from gradls.server.connection import is_identifier

log = logging.getLogger(__name__)


class Protocol(LanguageServerProtocol):
    """Handles messages that `Connection` has looked at: it starts and ends the conversation."""

    outward: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Has the last word on what is sent, where that is more than nothing."""

    def _send_data(self, data: Any) -> None:
        if data and self.outward is not None:
            data = self.outward(json.loads(json.dumps(data, default=self._serialize_message)))
        super()._send_data(data)

    def receive(self, message: dict[str, Any]) -> None:
        """Handle a message; a request that cannot be handled is answered with an error."""
        try:
            self._receive(message)
        except Exception as error:
            if not isinstance(error, JsonRpcException):
                log.exception("a message of the client could not be handled")
                error = JsonRpcInternalError(f"Internal Error: {error}")
            if "id" in message and "method" in message:
                answer = {"code": error.code, "message": error.message}
                self._send_data({"jsonrpc": self.VERSION, "id": message["id"], "error": answer})
            else:
                log.warning("%s", error)

    def _receive(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method == types.CANCEL_REQUEST:
            params = message.get("params")
            request = params.get("id") if isinstance(params, dict) else None
            if is_identifier(request) and request in self._request_futures:
                self._handle_cancel_notification(request)
        elif method is None or method in self.fm.builtin_features or method in self.fm.features:
            self.handle_message(self._typed(message))
        else:
            raise JsonRpcMethodNotFound.of(method)

    def _typed(self, message: dict[str, Any]) -> Any:
        try:
            return self.structure_message({**message, "jsonrpc": self.VERSION})
        except Exception as error:
            raise JsonRpcInvalidParams(f"Invalid Params: {message.get('method', 'a response')}") from error

    def _check_handler_result(self, future: Future[Any]) -> None:
        super()._check_handler_result(future)
        # pygls keeps the future of every notification for good. (It goes through them while it cancels them.)
        if future.cancelled():
            return
        for identifier in [key for key, kept in self._request_futures.items() if kept is future]:
            del self._request_futures[identifier]
