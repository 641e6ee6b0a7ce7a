"""Whatever servers, Patronis and resolvers answer, it is read or refused, and nothing else."""

import asyncio
import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from forebay.config.addresses import parse_address
from forebay.protocol.errors import PgError
from forebay.protocol.messages import MalformedMessageError, Message
from forebay.topology.control import said_unasked
from forebay.topology.failures import MAX_TEXT, failure
from forebay.topology.questions import EACH_TIME, ONCE, Form, Lag, report
from forebay.topology.sources.http_get import HttpError, _read
from forebay.topology.sources.patroni import members
from forebay.topology.sources.rds import AURORA, domain_of, instances
from forebay.topology.sources.source import MAX_SERVERS

HOST = parse_address("shop.cluster-c1.eu-west-1.rds.amazonaws.com:5433", wildcard=False)
TEXTS = st.none() | st.sampled_from(["t", "f", "0", "12", "00000002", "nan", "-1.5"]) | st.text()
ROWS = st.lists(st.lists(TEXTS, max_size=3), max_size=5)
HTTP = st.lists(
    st.sampled_from(
        (
            *(b"HTTP/1.1 200 OK", b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"5", b"hello"),
            *(b"Transfer-Encoding: chunked", b"ffffffffff", b":", b";", b" ", b"0"),
        )
    )
    | st.binary(max_size=8)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
MEMBERS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={"host": JSON | st.just("10.0.0.1"), "port": JSON | st.just(5432), "role": JSON},
    )
    | JSON
)


@given(
    st.fixed_dictionaries(dict.fromkeys(EACH_TIME, TEXTS)),
    st.fixed_dictionaries(dict.fromkeys(ONCE, TEXTS)),
)
def test_reports(each: dict[str, str | None], once: dict[str, str | None]) -> None:
    try:
        found = report(once, each, Lag(), 0.0)
    except MalformedMessageError:
        return
    assert found.timeline >= 0
    assert found.lag_s is None or 0.0 <= found.lag_s < 1e12
    assert min(found.max_connections, found.reserved_connections) >= 0


@given(ROWS)
def test_rows(rows: list[list[str | None]]) -> None:
    with contextlib.suppress(MalformedMessageError):
        assert Form(EACH_TIME).read(rows).keys() == EACH_TIME.keys()
    try:
        found = instances(rows, [HOST])
    except ValueError:
        return
    assert 0 < len(found) <= MAX_SERVERS
    for each in found:
        assert domain_of(each.host) == domain_of(HOST.host)
        assert parse_address(str(each), wildcard=False) == each


@given(st.binary() | MEMBERS.map(lambda found: json.dumps({"members": found}).encode()))
def test_members(body: bytes) -> None:
    try:
        found = members(body)
    except ValueError:
        return
    assert 0 < len(found) <= MAX_SERVERS
    for each in found:
        assert parse_address(str(each), wildcard=False) == each
        assert not each.is_unix


@given(HTTP)
def test_http(pieces: list[bytes]) -> None:
    async def read() -> bytes:
        reader = asyncio.StreamReader(limit=16_384)
        reader.feed_data(b"".join(pieces))
        reader.feed_eof()
        return await _read(reader)

    with contextlib.suppress(HttpError, asyncio.IncompleteReadError):
        asyncio.run(read())


FIELDS = st.lists(st.builds(bytes.__add__, st.sampled_from([b"S", b"C", b"M"]), st.binary()))


@given(st.integers(0, 255), st.binary() | FIELDS.map(b"\0".join))
def test_what_is_said_unasked(kind: int, body: bytes) -> None:
    said_unasked(Message(kind, body))
    found = failure(PgError.parse(body))
    assert found.text.isprintable()
    assert len(found.text) < MAX_TEXT + 100


def test_queries_are_plain() -> None:
    """They are sent as they stand, in one simple Query each."""
    for sql in (Form(EACH_TIME).sql, Form(ONCE).sql, AURORA.sql):
        assert ";" not in sql
        assert sql.isascii()
