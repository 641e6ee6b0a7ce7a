"""Fixtures for every test; servers start only when a test asks for one."""

import ctypes
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from forebay.embedded.postgres import Postgres, SetupError
from tests.harness import Forebay, TestDatabase, descriptors, reaper
from tests.harness.moto import MotoServer

# A shell that starts the tests in the background lets them ignore SIGINT, and so would every
# program that they start, and that some of them interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# No test is judged by time.
hypothesis.settings.register_profile("forebay", deadline=None)
hypothesis.settings.load_profile("forebay")

QUICK = (
    "tests/unit/",
    "tests/properties/",
    "tests/playbooks/test_playbooks.py::TestPlaybooks::test_whole",
    # Whole logins and queries, through a Forebay as users start it:
    "tests/drivers/test_psql.py::test_queries",
    "tests/drivers/test_psql.py::test_wrong_password",
    "tests/drivers/test_psycopg2.py::test_a_transaction",
    "tests/drivers/test_asyncpg.py::test_statements_and_the_cache",
)
"""How the names of tests begin that are marked "quick", unless they are marked "slow"."""

PR_SET_PDEATHSIG = 1  # linux/prctl.h
REAPER = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    """In the process that was started first: has everything end with it that the run starts."""
    if hasattr(config, "workerinput") or not descriptors.available():
        return
    os.environ[reaper.VARIABLE] = mark = secrets.token_hex(8)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", reaper.__file__, mark],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    config.stash[REAPER] = process
    if "MAKELEVEL" in os.environ:  # `make test`: a make that is killed does not tell its children
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the quick ones."""
    for item in items:
        if item.nodeid.startswith(QUICK) and item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.quick)


@pytest.fixture(scope="session", autouse=True)
def runtime_directory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where this process's nodes have their control sockets, unless a test says otherwise."""
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("run"))
    for name in ("RUNTIME_DIRECTORY", "FOREBAY_CONTROL_SOCKET"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for this process's tests; it may lack TLS."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def tls_postgres() -> Iterator[Postgres]:
    """A PostgreSQL built with TLS, and using it; skips where there is none."""
    try:
        server = Postgres(tls=True)
    except SetupError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """A server with AWS's APIs for this process's tests; each test has secrets of its own names."""
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[TestDatabase]:
    """A database and a user of this test's own on ``postgres``."""
    yield from _database(postgres)


@pytest.fixture
def tls_database(tls_postgres: Postgres) -> Iterator[TestDatabase]:
    """A database and a user of this test's own on ``tls_postgres``."""
    yield from _database(tls_postgres)


@pytest.fixture
def start_forebay(tmp_path: Path) -> Iterator[Callable[..., Forebay]]:
    """Starts Forebays: ``start_forebay(target_port, database, pool={...})``; see ``Forebay``.

    All are checked (no traceback, no lost descriptor) and stopped at the end of the test.
    """
    running: list[Forebay] = []

    def start(target_port: int, database: TestDatabase, **settings: Any) -> Forebay:
        forebay = Forebay(tmp_path / f"forebay-{len(running)}", target_port, database, **settings)
        running.append(forebay)
        return forebay.__enter__()

    yield start
    try:
        for forebay in running:
            forebay.check()
    finally:
        for forebay in running:
            forebay.stop()


@pytest.fixture
def forebay(
    start_forebay: Callable[..., Forebay], postgres: Postgres, database: TestDatabase
) -> Forebay:
    """A Forebay with default settings in front of ``postgres``."""
    return start_forebay(postgres.port, database)


def _database(server: Postgres) -> Iterator[TestDatabase]:
    name = f"test_{secrets.token_hex(6)}"
    database = TestDatabase(name, name, secrets.token_urlsafe(9))
    server.create_user(name, database.password)
    server.create_database(name, owner=name)
    yield database
    server.sql(f'DROP DATABASE "{name}" WITH (FORCE); DROP OWNED BY "{name}"; DROP ROLE "{name}"')
