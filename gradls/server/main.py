"""`gradls server`: the language server, over stdio or a socket."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from io import BufferedReader
from typing import BinaryIO

from gradls.server.loop import Loop
from gradls.server.server import Server
from gradls.server.telling import Once
from gradls.server.transport import Writer, read_messages
from gradls.syntax.text import visible

log = logging.getLogger(__name__)

CANNOT_LISTEN = 2
"""An exit status."""
SECONDS_BETWEEN_LOOKS_AT_THE_CLIENT = 2.0
SECONDS_TO_END = 10.0
"""So long after the client has gone whatever still waits for it is given up."""
MOST_ERRORS = 1 << 15
"""So many bytes are written to stderr. A pipe takes twice as many; who writes more to one that nobody reads waits for
ever."""
MOST_UNANSWERED = 1 << 25
"""So many bytes are read from a client that does not read what it is sent. One that writes all before it reads may need
some; without an end they would fill the memory."""


def serve(tcp: tuple[str, int] | None = None) -> int:
    """Serve one client, on stdio or listening at the host and port `tcp`; return the exit status when it has gone."""
    gc.disable()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    shape = _Harmless("%(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        # Clients take what comes on stderr for errors; they are told of the rest as the protocol has it.
        handler.setLevel(logging.WARNING)
        handler.addFilter(Once())
        handler.setFormatter(shape)
        handler.addFilter(_while_it_fits(MOST_ERRORS, shape))
    # It logs refusals like failures; these are logged here.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    if tcp is None:
        return _serve(*_take_stdio())
    return _serve_tcp(*tcp)


def _while_it_fits(most: int, shape: logging.Formatter) -> Callable[[logging.LogRecord], bool]:
    """Lets records through, the first `most` bytes of them as `shape` has them."""
    left = most

    def fits(record: logging.LogRecord) -> bool:
        nonlocal left
        left -= len(shape.format(record).encode(errors="replace")) + 1
        return left >= 0

    return fits


class _Harmless(logging.Formatter):
    """Names of files, say, do nothing to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _take_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The two streams to the client. What anybody else prints goes to stderr from now on."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def _serve_tcp(host: str, port: int) -> int:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4][0]
    except OSError as error:
        print(f"gradls: {host}: {error.strerror or error}", file=sys.stderr)
        return CANNOT_LISTEN
    if not _is_loopback(str(address)):
        print(f"gradls: {host} can be reached from other machines; 127.0.0.1 and ::1 cannot", file=sys.stderr)
        return CANNOT_LISTEN
    with socket.create_server((address, port), family=family) as listener:
        # For whoever asked for port 0.
        where = f"{host}:{listener.getsockname()[1]}"
        warning = "whoever on this machine connects first is served, and can read what you can read"
        print(f"listening on {where}; {warning}", file=sys.stderr, flush=True)
        while True:
            connection, _ = listener.accept()
            incoming = connection.makefile("rb")
            if _is_client(incoming):
                break
            log.warning("somebody who is no editor has connected, and was sent away")
            incoming.close()
            connection.close()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        return _serve(incoming, connection.makefile("wb"))


def _is_loopback(address: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(address).is_loopback


def _is_client(incoming: BufferedReader) -> bool:
    """Whether it begins as a client does, with the header Content-Length or Content-Type. A page in a browser can send
    anything to a port of this machine, but only behind the name of a method of HTTP."""
    try:
        return incoming.peek(1)[:1] in (b"C", b"c")
    except OSError:
        return False


def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> int:
    """Serve until the client says `exit` or vanishes. 0 if it has said `shutdown` before."""
    loop = Loop()

    def lost() -> None:
        loop.call(lambda: loop.stop(server.status))
        # What the loop does now may be to wait until somebody reads.
        threading.Thread(target=_end, args=(server,), name="end", daemon=True).start()

    server = Server(loop, Writer(outgoing, lost))
    server.scheduler.prepare(_get_ready)
    # Daemons: the one cannot be interrupted while it waits for the client.
    threading.Thread(target=_read, args=(incoming, server, lost), name="reader", daemon=True).start()
    threading.Thread(target=_watch, args=(server, lost), name="watch", daemon=True).start()
    try:
        return loop.run(server.scheduler.proceed, server.idle)
    finally:
        server.close()


def _get_ready() -> None:
    from gradls.server.analysis import get_ready

    get_ready()


def _read(incoming: BinaryIO, server: Server, ended: Callable[[], None]) -> None:
    """Give the loop what the client says until it says no more."""
    unanswered = 0
    try:
        for messages, size in read_messages(incoming):
            server.loop.call(partial(server.connection.receive, messages))
            unanswered = unanswered + size if server.writer.is_writing else 0
            if unanswered > MOST_UNANSWERED:
                server.writer.wait()
                unanswered = 0
    except (OSError, ValueError) as error:
        log.error("reading from the client failed: %s", error)
    except MemoryError:
        log.error("a message of the client is too long")
    finally:
        ended()


def _watch(server: Server, gone: Callable[[], None]) -> None:
    """Call `gone` when the process that the client named is no more: its end of our stdin may live on in another."""
    seen = False
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS_AT_THE_CLIENT)
        process = server.process_id
        # A client in another container names a process that is not here: only one that was can be missed.
        alive = process is not None and _is_alive(process)
        if seen and not alive:
            gone()
            return
        seen = alive


def _end(server: Server) -> None:
    """End the process, unless it does by itself. What it has started ends when nobody is there any more."""
    time.sleep(SECONDS_TO_END)
    os._exit(server.status)


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        return True  # os.kill would end it; there the client's end of stdin is closed with it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
