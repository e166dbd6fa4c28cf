import pytest_asyncio

from tests.lsp.clients import Client


@pytest_asyncio.fixture
async def client():
    """An editor whose server still has to be started with `begin`; ended properly after the test."""
    client = Client()
    yield client
    try:
        await client.shutdown_session()
    finally:
        await client.kill()
        await client.stop()
