"""Stock drivers with their defaults share few connections among many clients: nothing pins but what
must. As RDS Proxy does it (``pinning = "rds"``), the same work pins as it is known to.

With FOREBAY_TEST_FULL=1: 200 clients over 20 connections.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest

from tests.drivers.workloads import DJANGO_WAYS, WORKLOADS, assert_done, in_django
from tests.harness import Forebay, Postgres, TestDatabase
from tests.harness.limits import connections
from tests.harness.observer import Observer
from tests.harness.pins import pin_reasons
from tests.harness.work import make_book

FULL = os.environ.get("FOREBAY_TEST_FULL") == "1"
CLIENTS, LIMIT = (200, 20) if FULL else (40, 8)
# A pinned client holds its connection: in rds mode there must be one for each.
RDS_CLIENTS = LIMIT - 1

pytestmark = pytest.mark.timeout(600)


Start = Callable[..., Forebay]


@pytest.fixture
def start(start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase) -> Start:
    """Starts a Forebay with few connections, in front of a database in RDS's time zone or another,
    and makes the account book."""

    def start(pinning: str, time_zone: str = "UTC") -> Forebay:
        postgres.sql(f"ALTER DATABASE {database.name} SET TimeZone = '{time_zone}'")
        forebay = start_forebay(
            postgres.port, database, proxy={"pinning": pinning}, pool=connections(LIMIT)
        )
        make_book(forebay)
        return forebay

    return start


def pins(forebay: Forebay) -> Counter[str]:
    """How often clients were pinned, by reason."""
    return Counter(pin_reasons(forebay))


@pytest.mark.parametrize("name", WORKLOADS)
def test_nothing_pins(start: Start, seen: Observer, name: str) -> None:
    forebay = start("minimal")
    WORKLOADS[name](forebay, CLIENTS)
    assert_done(forebay, CLIENTS, name)
    report(name, "minimal", CLIENTS, seen, pins(forebay))
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == {}


@pytest.mark.parametrize("way", DJANGO_WAYS)
def test_what_must_pin_does_while_it_lasts(start: Start, way: str) -> None:
    forebay = start("minimal")
    in_django(forebay, 1, way, "migrate")
    assert pins(forebay) == {}
    in_django(forebay, 1, way, "iterate")
    assert set(pins(forebay)) == {"CURSOR"}
    assert len(forebay.logged("no longer pinned")) == pins(forebay)["CURSOR"]


# What users of RDS Proxy report of each driver; None: it shares connections there, too.
KNOWN = {
    "psycopg2": "SETTING",
    "psycopg": "PREPARED_STATEMENT",
    "asyncpg": "PREPARED_STATEMENT",
    "asyncpg without its cache": "SETTING",  # the query with which its pool resets a session
    "SQLAlchemy on psycopg2": None,
    "SQLAlchemy on psycopg": "PREPARED_STATEMENT",
    "SQLAlchemy on asyncpg": "PREPARED_STATEMENT",
    "pgbench simple": None,
    "pgbench extended": None,
    "pgbench prepared": "PREPARED_STATEMENT",
    "Django, persistent": None,
    "Django, server-side binding": None,
    "Django, pool": None,
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_as_rds_proxy(start: Start, seen: Observer, name: str) -> None:
    forebay = start("rds")
    reason = KNOWN[name]
    count = RDS_CLIENTS if reason else CLIENTS
    WORKLOADS[name](forebay, count)
    assert_done(forebay, count, name)
    report(name, "rds", count, seen, pins(forebay))
    assert len(seen.backends()) <= LIMIT
    assert pins(forebay) == ({reason: count} if reason else {})
    assert not forebay.logged("no longer pinned")


@pytest.mark.parametrize("way", DJANGO_WAYS)
def test_djangos_iterators_as_rds_proxy(start: Start, way: str) -> None:
    """A cursor pins, once, also within a transaction."""
    forebay = start("rds")
    in_django(forebay, 1, way, "migrate")
    before = pins(forebay)
    assert set(before) <= {"SETTING"}  # SET CONSTRAINTS
    in_django(forebay, 1, way, "iterate")
    assert pins(forebay) - before == {"CURSOR": 1}


def test_djangos_time_zone_as_rds_proxy(start: Start) -> None:
    """Django sets its time zone when it connects, unless the database has it already."""
    forebay = start("rds", time_zone="Asia/Tokyo")
    in_django(forebay, RDS_CLIENTS, "persistent")
    assert pins(forebay) == {"SETTING": RDS_CLIENTS}


def report(name: str, mode: str, count: int, seen: Observer, found: Counter[str]) -> None:
    """Print the figures of one run; all connections that were opened are still there."""
    at_most = len(seen.backends())
    print(f"FIGURES {name} ({mode}): {count} clients, {at_most} connections, {dict(found)}")
