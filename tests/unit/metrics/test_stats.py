"""The log's line of figures."""

import logging
import re

from forebay.logs import HumanFormatter
from forebay.metrics.stats import fields, line, stats
from tests.unit.metrics.made import proxy_figures

WAS = {"queries": 100, "transactions": 10, "transaction_us": 1_000.0, "borrows": 1}
IS = {
    "queries": 700,
    "transactions": 130,
    "transaction_us": 61_000.0,
    "query_us": 6_000.0,
    "borrows": 11,
    "wait_us": 70.0,
    "received_bytes": 6_000,
    "sent_bytes": 66_000,
    "client_parses": 60,
    "server_parses": 30,
    "binds": 120,
    "client_connections": 9,
    "clients_waiting": 2,
    "database_connections": 4,
}
TEXT = (
    "stats: 2 xacts/s, 10 queries/s, 1 client parses/s, 0 server parses/s, 2 binds/s,"
    " in 100 B/s, out 1100 B/s, xact 500 us, query 10 us, wait 7 us;"
    " 9 clients, 2 waiting, 4 connections"
)
# PgBouncer 1.25's own (src/stats.c); %s are numbers.
PGBOUNCERS = (
    "stats: %s xacts/s, %s queries/s, %s client parses/s, %s server parses/s, %s binds/s,"
    " in %s B/s, out %s B/s, xact %s us, query %s us, wait %s us"
)


def test_a_line_has_rates_means_and_what_is_so_now() -> None:
    found = stats(proxy_figures(numbers=WAS), proxy_figures(numbers=IS), 60.0)
    assert line(found) == TEXT


def test_a_line_begins_as_pgbouncers() -> None:
    found = line(stats(None, proxy_figures(numbers={}), 60.0))
    assert re.sub(r"\d+", "%s", found).startswith(PGBOUNCERS)


def test_a_proxy_that_is_new_has_counted_from_0() -> None:
    assert stats(None, proxy_figures(numbers=IS), 70.0)["queries_s"] == 10
    assert stats(proxy_figures(numbers=IS), proxy_figures(numbers=WAS), 10.0)["queries_s"] == 10


def test_no_time_has_no_rates() -> None:
    assert stats(None, proxy_figures(numbers=IS), 0.0)["queries_s"] == 0


def test_programs_get_fields_and_people_a_sentence() -> None:
    found = stats(proxy_figures(numbers=WAS), proxy_figures(numbers=IS), 60.0)
    told = fields("app", found, 60.02)
    assert told == {"proxy": "app", "stats": {"period_s": 60.0, **found}}
    assert {"transactions_s": 2, "xact_us": 500, "clients_waiting": 2}.items() <= found.items()
    record = logging.LogRecord("forebay.stats", logging.INFO, "", 0, line(found), (), None)
    record.fields = told
    assert HumanFormatter().format(record).endswith(f"stats: {TEXT} proxy=app")
