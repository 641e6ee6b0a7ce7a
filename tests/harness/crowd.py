"""Very many clients in one process, plain and light: for tests that hold them idle."""

import asyncio
import sys

from forebay.net.connector import DatabaseConnection, Target, connect, simple_query
from forebay.net.tls import ClientContexts
from tests.harness.raw import HOST, TIMEOUT_S

LOGINS_AT_ONCE = 64


async def hold(port: int, name: str, user: str, password: str, count: int) -> None:
    """Log ``count`` clients in and say so; then, at every line of standard input, let each of them
    ask something; end with the input."""
    gate, contexts = asyncio.Semaphore(LOGINS_AT_ONCE), ClientContexts()

    async def log_in() -> DatabaseConnection:
        async with gate:
            return await connect(
                Target(HOST, port, "disable"),
                user=user,
                password=password,
                database=name,
                parameters={},
                connect_timeout_s=TIMEOUT_S,
                tls_contexts=contexts,
            )

    clients = await asyncio.gather(*(log_in() for _ in range(count)))
    print(f"{len(clients)} logged in", flush=True)
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        answered = 0
        for start in range(0, count, LOGINS_AT_ONCE):
            some = clients[start : start + LOGINS_AT_ONCE]
            answered += sum(await asyncio.gather(*map(_ask, some)))
        print(f"{answered} answered", flush=True)
    for client in clients:
        client.stream.close()


async def _ask(client: DatabaseConnection) -> bool:
    return await simple_query(client.stream, "SELECT 7") == [["7"]]
