"""What the messages leave behind."""

import asyncio

from gradls.server.server import Server

SAVE = {"jsonrpc": "2.0", "method": "textDocument/didSave", "params": {"textDocument": {"uri": "file:///a.py"}}}
TRACE = {"jsonrpc": "2.0", "method": "$/setTrace", "params": {"value": "off"}}
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}}}


async def test_notifications_leave_nothing():
    server = Server()
    server.protocol.receive([INITIALIZE, *[SAVE, TRACE] * 50])
    for _ in range(1000):
        if not server.protocol._request_futures:
            break
        await asyncio.sleep(0.01)
    assert not server.protocol._request_futures
    server.close()
