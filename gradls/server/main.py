"""`gradls server`: the language server, over stdio or a socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import BinaryIO

from gradls.server.server import Server
from gradls.server.transport import Inbox, Writer

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS_AT_THE_CLIENT = 2.0


def serve(tcp: tuple[str, int] | None = None) -> int:
    """Serve one client, on stdio or listening at the host and port `tcp`; return the exit status when it has gone."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # It logs refusals like failures; these are logged here.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    if tcp is None:
        incoming, outgoing = _take_stdio()
        return asyncio.run(_serve(incoming, outgoing))
    return _serve_tcp(*tcp)


def _take_stdio() -> tuple[BinaryIO, BinaryIO]:
    """The two streams to the client. What anybody else prints goes to stderr from now on."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return incoming, outgoing


def _serve_tcp(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        # For whoever asked for port 0.
        print(f"listening on {host}:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        return asyncio.run(_serve(connection.makefile("rb"), connection.makefile("wb")))


async def _serve(incoming: BinaryIO, outgoing: BinaryIO) -> int:
    """Serve until the client says `exit` or vanishes. 0 if it has said `shutdown` before."""
    loop = asyncio.get_running_loop()
    server = Server()
    done: asyncio.Future[int] = loop.create_future()

    def stop(status: int | None = None) -> None:
        if not done.done():
            done.set_result((0 if server.protocol.is_shut_down else 1) if status is None else status)

    server.protocol.set_writer(Writer(outgoing, lost=stop))
    server.protocol.stop = stop
    inbox = Inbox(loop, server.protocol.receive, stop)
    # A daemon: it cannot be interrupted while it waits for the client.
    threading.Thread(target=inbox.read, args=(incoming,), name="reader", daemon=True).start()
    watch = asyncio.create_task(_watch(server, stop))
    try:
        return await done
    finally:
        watch.cancel()
        server.close()


async def _watch(server: Server, stop: Callable[[], None]) -> None:
    """Stop when the process that the client named is gone: its end of our stdin may live on in another process."""
    seen = False
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS_AT_THE_CLIENT)
        # A client in another container names a process that is not here: only one that was can be missed.
        alive = server.process_id is not None and _is_alive(server.process_id)
        if seen and not alive:
            log.warning("the client is gone")
            stop()
        seen = alive


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
