import pytest_asyncio

from tests.lsp.clients import Client


@pytest_asyncio.fixture
async def client():
    """An editor whose server still has to be started with `begin`; ended properly after the test."""
    client = Client()
    yield client
    await client.shutdown_session()
    await client.stop()
