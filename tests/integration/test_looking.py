"""``forebay clients``, ``pools`` and ``pins`` as users run them, of a proxy that is in trouble."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import psycopg2
import pytest
from psycopg.rows import dict_row

from forebay.protocol.errors import PgError
from tests.harness import Forebay, Postgres, TestDatabase, eventually
from tests.harness.limits import connections
from tests.harness.raw import RawClient
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
        postgres.port,
        database,
        users={"ops": "o"},
        proxy={"require_tls": False, "stats_users": ["ops"]},
        pool=connections(40),
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

    pools = asked(crowded, "pools")["proxies"]["app"]["pools"]
    pool = next(each for each in pools if each["database"] == crowded.database.name)
    assert (pool["clients"], pool["waiting"], pool["borrowed"]) == (100, 60, 40)
    told = crowded.command("pools").ok().out
    assert "100 clients, 60 of them waiting; 40 connections of at most 40" in told


def test_a_look_at_the_crowd(crowded: Forebay) -> None:
    told = crowded.command("top").ok().out
    assert "100 clients ─▶ 60 waiting, " in told
    assert "40 of 40 connections used (≤ 40)" in told
    assert told.count("idle in transaction") == 40
    look = asked(crowded, "top")["view"]
    assert (look["holders_count"], look["waiters_count"]) == (40, 60)
    held = [each["held_s"] for each in look["holders"]]
    assert held == sorted(held, reverse=True)


def test_the_crowd_in_the_admin_database(crowded: Forebay) -> None:
    with psycopg.connect(
        crowded.dsn("ops", database="forebay"), autocommit=True, row_factory=dict_row
    ) as console:
        holders = console.execute("SHOW HOLDERS").fetchall()
        assert {each["state"] for each in holders} == {"idle in transaction"}
        assert {each["application_name"] for each in holders} == {f"audit-{n}" for n in range(40)}
        since = [each["held_since"] for each in holders]
        assert since == sorted(since)
        states = Counter(each["state"] for each in console.execute("SHOW CLIENTS"))
        assert states == {"active": 40, "waiting": 60}


def test_names_that_are_no_text(
    start_forebay: type[Forebay], postgres: Postgres, database: TestDatabase
) -> None:
    """As of a client with another encoding: bytes that are no UTF-8."""
    forebay = start_forebay(postgres.port, database, proxy={"require_tls": False})
    client = RawClient(forebay.port, database, {"application_name": "caf\udce9 \x1b[2J"})
    try:
        (row,) = asked(forebay, "clients")["clients"]
        assert row["application"].startswith("caf")
        assert "\x1b" not in forebay.command("clients").ok().out
        forebay.command("top").ok()
    finally:
        client.close()
    with pytest.raises(PgError):  # there is no such database
        RawClient(forebay.port, replace(database, name="caf\udce9"))
    assert "caf" in forebay.command("pools").ok().out


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
