import struct

import pytest

from forebay.protocol.extended import (
    Bind,
    Execute,
    Named,
    Parse,
    parse_bind,
    parse_execute,
    parse_named,
    parse_parse,
    parse_query,
)
from forebay.protocol.messages import (
    MalformedMessageError,
    bind_unnamed,
    execute_unnamed,
    parse_unnamed,
    query,
)

BIND = b"p\0s\0" + struct.pack("!HHHi3siHHH", 1, 1, 2, 3, b"abc", -1, 2, 0, 1)


def test_what_clients_send() -> None:
    assert parse_query(query("SHOW é")[5:]) == "SHOW é"
    assert parse_parse(parse_unnamed("SHOW POOLS")[5:]) == Parse("", "SHOW POOLS", 0)
    assert parse_parse(b"a\0b\0" + struct.pack("!HII", 2, 23, 25)) == Parse("a", "b", 2)
    assert parse_bind(bind_unnamed([])[5:]) == Bind("", "", 0, [])
    assert parse_bind(BIND) == Bind("p", "s", 2, [0, 1])
    assert parse_named(b"Sx\0") == Named(True, "x")
    assert parse_named(b"P\0") == Named(False, "")
    assert parse_execute(execute_unnamed()[5:]) == Execute("", 0)
    assert parse_execute(b"p\0" + struct.pack("!i", 7)) == Execute("p", 7)
    assert parse_execute(b"p\0" + struct.pack("!i", -7)) == Execute("p", 0)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse_query(b"SHOW \xff\0") == "SHOW \ufffd"


@pytest.mark.parametrize(
    "parse", [parse_query, parse_parse, parse_bind, parse_named, parse_execute]
)
@pytest.mark.parametrize("body", [b"", b"x", b"x\0y", b"\0\0\xff", b"Qx\0y", b"\0" * 40, BIND[:-1]])
def test_what_is_nothing_of_the_kind(parse: object, body: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse(body)


def test_only_statements_and_portals_are_named() -> None:
    with pytest.raises(MalformedMessageError):
        parse_named(b"Qx\0")
