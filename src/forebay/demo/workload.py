"""What the demo's clients do: a web application and two functions on one small database.

Web tasks hold their connections for long and use them now and then; functions come in bursts, all
instances at once, because one event starts them all. Times are those of real ones: a client thinks
far longer than it computes, and an order computes a little while its transaction is open.
"""

# The simple protocol has no parameters, and only numbers are put into SQL here.
# ruff: noqa: S608
from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from forebay.net.queries import Rows

Query = Callable[[str], Awaitable[Rows]]
Think = Callable[[float], Awaitable[None]]
Transaction = Callable[[Query, Think, random.Random], Awaitable[None]]

ACCOUNTS = 10_000
COMPUTING_S = 0.004  # what an application does between two statements of a transaction
PAGE_VIEWS_SHARE = 0.7  # of a web client's transactions; the others are orders
WEB_THINK_S = 0.2  # mean; exponential, as visitors come
BURST_INTERVAL_S = 1.0
BURST_SPREAD_S = 0.1  # how far the starts of one burst lie apart

SCHEMA = f"""
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO accounts SELECT id, 0 FROM generate_series(1, {ACCOUNTS}) AS id;
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id int NOT NULL REFERENCES accounts, amount bigint NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload jsonb NOT NULL, consumed_at timestamptz);
CREATE INDEX ON events (id) WHERE consumed_at IS NULL;
CREATE TABLE audit_log (event_id bigint PRIMARY KEY, payload jsonb NOT NULL);
ANALYZE accounts;
"""
# Every order changes one balance in the same transaction, every event is audited once.
BOOKS_BALANCE = """
SELECT (SELECT coalesce(sum(balance), 0) FROM accounts)
     = (SELECT coalesce(sum(amount), 0) FROM orders)
   AND (SELECT count(*) FROM audit_log)
     = (SELECT count(*) FROM events WHERE consumed_at IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Group:
    """Clients of one kind: how many, when each starts a transaction, and what it does."""

    name: str
    label: str
    clients: int
    transaction: Transaction
    is_bursty: bool


async def web_request(query: Query, think: Think, choice: random.Random) -> None:
    """A page view, or an order: a transaction of four statements with some computing in it."""
    account = choice.randint(1, ACCOUNTS)
    if choice.random() < PAGE_VIEWS_SHARE:
        await query(f"SELECT balance FROM accounts WHERE id = {account}")
        return
    amount = choice.randint(1, 500)
    await query("BEGIN")
    await query(f"SELECT balance FROM accounts WHERE id = {account}")
    await think(COMPUTING_S)
    await query(f"UPDATE accounts SET balance = balance + {amount} WHERE id = {account}")
    await query(f"INSERT INTO orders (account_id, amount) VALUES ({account}, {amount})")
    await query("COMMIT")


async def publish_event(query: Query, think: Think, choice: random.Random) -> None:
    """A function that stores one event."""
    payload = json.dumps({"kind": "order_placed", "order": choice.randint(1, 1 << 31)})
    await query(f"INSERT INTO events (payload) VALUES ('{payload}')")


async def audit_events(query: Query, think: Think, choice: random.Random) -> None:
    """A function that takes some events nobody else is at, and writes the audit log."""
    await query("BEGIN")
    rows = await query(
        "SELECT id FROM events WHERE consumed_at IS NULL ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED"
    )
    if rows:
        ids = ",".join(str(row[0]) for row in rows)
        await think(COMPUTING_S)
        await query(f"INSERT INTO audit_log SELECT id, payload FROM events WHERE id IN ({ids})")
        await query(f"UPDATE events SET consumed_at = now() WHERE id IN ({ids})")
    await query("COMMIT")


GROUPS = (
    Group("web", "web tasks", 100, web_request, is_bursty=False),
    Group("publisher", "event publisher", 100, publish_event, is_bursty=True),
    Group("audit", "audit consumer", 100, audit_events, is_bursty=True),
)
CLIENTS = sum(group.clients for group in GROUPS)


def pauses(group: Group, choice: random.Random) -> Iterator[tuple[float, bool]]:
    """When to start the next transaction, for ever: (seconds, whether after the one before).

    A web client's pause counts from its last answer; a function's instant from the start of work.
    """
    if not group.is_bursty:
        while True:
            yield min(choice.expovariate(1 / WEB_THINK_S), 5 * WEB_THINK_S), True
    burst = 0
    while True:
        yield burst * BURST_INTERVAL_S + choice.uniform(0, BURST_SPREAD_S), False
        burst += 1
