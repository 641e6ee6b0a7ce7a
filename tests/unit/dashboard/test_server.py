import asyncio
import socket
import subprocess
import sys

import pytest

from forebay.config.addresses import Address
from forebay.dashboard.server import address_of
from tests.unit.dashboard.fakes import FakeNode, head, site


def test_nothing_that_serves_is_loaded_before_somebody_comes() -> None:
    code = (
        "import sys, forebay.dashboard, forebay.cli.serve;"
        "print([name for name in ('uvicorn', 'starlette', 'h11', 'anyio') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout == "[]\n"


async def test_who_came_first_is_answered_too() -> None:
    async with site(FakeNode()) as here:
        answers = await asyncio.gather(*(here.ask("/healthz") for _ in range(20)))
        assert {(each.status, each.body) for each in answers} == {(200, b"ok\n")}


async def test_it_ends_without_ever_having_been_asked() -> None:
    async with site(FakeNode()) as here:
        port = here.port
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


async def test_it_ends_while_somebody_is_there() -> None:
    async with site(FakeNode()) as here:
        await here.ask("/healthz")
        reader, writer = await here.connect()
        writer.write(head("/healthz", connection="keep-alive"))
        assert await reader.readuntil(b"ok\n")
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (Address("127.0.0.1", 6480), "http://127.0.0.1:6480/"),
        (Address("", 6480), "http://127.0.0.1:6480/"),
        (Address("0.0.0.0", 1), "http://127.0.0.1:1/"),
        (Address("::1", 6480), "http://[::1]:6480/"),
        (Address("db.example", 6480), "http://db.example:6480/"),
    ],
)
def test_addresses_for_people(address: Address, shown: str) -> None:
    assert address_of(address) == shown
