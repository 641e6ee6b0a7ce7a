"""A thousand open pages, and some that read nothing, while transactions go on."""

import contextlib
import resource
import socket
from collections.abc import Callable, Iterator

import psycopg

from forebay.dashboard.connections import MAX_CONNECTIONS
from forebay.dashboard.live import MAX_VIEWERS
from forebay.embedded.postgres import Postgres
from tests.harness import Forebay, TestDatabase
from tests.harness.load import Load, statements
from tests.harness.memory import resident_bytes
from tests.harness.waiting import eventually

PAGES = 1000
CLIENTS = 8
STALLED = 50
# Each has an answer and less than 64 KiB of requests here.
MEMORY_LIMIT_BYTES = STALLED * 512 * 1024


@contextlib.contextmanager
def connected(address: tuple[str, int], number: int) -> Iterator[list[socket.socket]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * number)), hard))
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(address, timeout=60))
            for _ in range(number)
        ]


def is_refused(page: socket.socket) -> bool:
    """Whether it was closed without a word."""
    try:
        page.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return not page.recv(1)
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_a_thousand_pages(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database)
    host, _, port = forebay.page.removeprefix("http://").partition(":")
    load = statements(CLIENTS, lambda _: psycopg.connect(forebay.dsn(), autocommit=True))
    try:
        load.go_on()
        with connected((host, int(port)), PAGES) as pages:
            answered = [page for page in pages if not is_refused(page)]
            assert len(answered) <= MAX_CONNECTIONS
            tops = [page.recv(15) for page in answered]
            assert sum(top.startswith(b"TTP/1.1 200") for top in tops) == MAX_VIEWERS
            load.go_on()
            with psycopg.connect(forebay.dsn()) as client:
                client.execute("SELECT 1")
        eventually(lambda: is_healthy((host, int(port))), "there is room again")
    finally:
        load.end()
    assert load.failures == []


def test_who_reads_nothing(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    forebay = start_forebay(postgres.port, database)
    host, _, port = forebay.page.removeprefix("http://").partition(":")
    load: Load = statements(CLIENTS, lambda _: psycopg.connect(forebay.dsn(), autocommit=True))
    request = b"GET /uplot.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    try:
        load.go_on()
        assert is_healthy((host, int(port)))
        before = resident_bytes(forebay.pid)
        with connected((host, int(port)), STALLED) as stalled:
            for each in stalled:
                each.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    each.sendall(request * 1000)
            load.go_on(turns=20)
            assert is_healthy((host, int(port)))
            assert resident_bytes(forebay.pid) - before < MEMORY_LIMIT_BYTES
    finally:
        load.end()
    assert load.failures == []


def is_healthy(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=30) as asked:
        asked.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return asked.recv(64).startswith(b"HTTP/1.1 200")
    return False
