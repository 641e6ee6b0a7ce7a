"""``forebay clients``, ``pools`` and ``pins`` as users run them, of a proxy that is in trouble."""

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.work import in_threads

pytestmark = pytest.mark.usefixtures("runtime")


def asked(forebay: Forebay, *arguments: str) -> Any:
    """What a command answers."""
    return json.loads(forebay.command(*arguments, "--json").ok().out)


@pytest.fixture
def crowded(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> Iterator[Forebay]:
    """A hundred functions before 40 connections, which begin a transaction with their SELECT and
    never end it."""
    forebay = start_forebay(
        postgres.port, database, proxy={"require_tls": False}, pool=connections(40)
    )
    kept: list[Any] = []

    def connect(number: int) -> Any:
        connection = psycopg2.connect(forebay.dsn(application_name=f"audit-{number}"))
        kept.append(connection)
        return connection

    in_threads(40, lambda number: connect(number).cursor().execute("SELECT 1"))
    late = [connect(40 + number) for number in range(60)]

    def wait(connection: Any) -> None:
        with contextlib.suppress(psycopg2.Error):  # it is ended with the test
            connection.cursor().execute("SELECT 1")

    threads = [threading.Thread(target=wait, args=(each,)) for each in late]
    for thread in threads:
        thread.start()
    try:
        eventually(
            lambda: asked(forebay, "pools")["proxies"]["app"]["clients_waiting"] == 60, "60 wait"
        )
        yield forebay
    finally:
        forebay.command("kill").ok()
        for thread in threads:
            thread.join()
        for connection in kept:
            connection.close()


def test_who_holds_and_since_when(crowded: Forebay) -> None:
    found = asked(crowded, "clients", "--limit", "0")
    assert found["count"] == 100
    holders, waiters = found["clients"][:40], found["clients"][40:]
    assert {each["state"] for each in holders} == {"idle in transaction"}
    assert {each["state"] for each in waiters} == {"waiting"}
    assert {each["application"] for each in holders} == {f"audit-{n}" for n in range(40)}
    assert all(each["connection"] and each["state_s"] > 0 for each in holders)
    held = [each["state_s"] for each in holders]
    assert held == sorted(held, reverse=True)
    told = crowded.command("clients", "--state", "idle in", "--limit", "3").ok().out
    assert told.count("idle in transaction") == 3
    assert "… and 37 more" in told

    (pool,) = asked(crowded, "pools")["proxies"]["app"]["pools"]
    assert (pool["clients"], pool["waiting"], pool["borrowed"]) == (100, 60, 40)
    told = crowded.command("pools").ok().out
    assert "100 clients, 60 of them waiting; 40 connections of at most 40" in told


def test_who_is_pinned_and_what_helps(forebay: Forebay) -> None:
    client = psycopg2.connect(forebay.dsn(application_name="jobs\x1b[2J"))
    client.autocommit = True
    client.cursor().execute("LISTEN orders")
    found = asked(forebay, "pins")["proxies"]["app"]
    (row,) = found["clients"]
    assert (row["state"], row["pins"]) == ("idle, pinned", ["LISTEN"])
    (kind,) = found["kinds"]
    assert (kind["reason"], kind["now"], kind["count"]) == ("LISTEN", 1, 1)
    told = forebay.command("pins").ok().out
    assert "1 client is pinned now:" in told
    assert f"LISTEN: {kind['hint']}" in told
    assert "\x1b" not in told
    client.close()
    eventually(lambda: not asked(forebay, "pins")["proxies"]["app"]["clients"], "it is over")
