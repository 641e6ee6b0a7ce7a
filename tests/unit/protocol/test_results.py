import struct
from decimal import Decimal

import pytest

from forebay.protocol import results
from forebay.protocol.messages import parse_data_row
from forebay.protocol.results import Column, binary, data_row, formats_of, row_description

COLUMNS: list[Column] = [("a", "text"), ("b", "int4")]


def number(sent: bytes) -> Decimal:
    """What numeric_recv makes of it."""
    count, weight, sign, scale = struct.unpack_from("!hhHh", sent)
    digits = struct.unpack_from(f"!{count}h", sent, 8)
    assert len(sent) == 8 + 2 * count
    value = sum(Decimal(each) * Decimal(10000) ** (weight - at) for at, each in enumerate(digits))
    return round((-value if sign else value) + Decimal(0), scale)


@pytest.mark.parametrize(
    "text", ["0", "1", "9999", "10000", "123456789012", "20000", "-42", "0.05", "12.3400", "-0.5"]
)
def test_numeric(text: str) -> None:
    assert number(binary(text, "numeric")) == Decimal(text)


def test_other_types() -> None:
    assert binary("-1", "int4") == b"\xff" * 4
    assert binary("258", "int8") == b"\0" * 6 + b"\1\2"
    assert (binary("t", "bool"), binary("f", "bool")) == (b"\1", b"\0")
    assert binary("é", "text") == "é".encode()
    for kind in ("int4", "int8", "numeric"):
        with pytest.raises(ValueError):
            binary("x", kind)


def test_rows() -> None:
    row = data_row(["x\0", None], COLUMNS, [0, 0])
    assert row[:1] == b"D"
    assert parse_data_row(row[5:]) == ["x?", None]
    assert data_row(["x", "1"], COLUMNS, [0, 1]).endswith(b"\0\0\0\4\0\0\0\1")
    described = row_description(COLUMNS, [0, 1])
    assert described[5:7] == b"\0\2"
    assert described.endswith(b"b\0" + struct.pack("!IhIhih", 0, 0, 23, 4, -1, 1))


def test_formats() -> None:
    assert formats_of(COLUMNS, []) == [0, 0]
    assert formats_of(COLUMNS, [1]) == [1, 1]
    assert formats_of(COLUMNS, [1, 0]) == [1, 0]
    assert formats_of([], [1]) == []
    for codes in ([1, 1, 1], [2]):
        with pytest.raises(ValueError):
            formats_of(COLUMNS, codes)


def test_what_has_no_rows() -> None:
    assert results.command_complete("SHOW") == b"C\0\0\0\x09SHOW\0"
    assert results.no_parameters() == b"t\0\0\0\6\0\0"
    ones = (
        (results.parse_complete, b"1"),
        (results.bind_complete, b"2"),
        (results.close_complete, b"3"),
        (results.no_data, b"n"),
        (results.portal_suspended, b"s"),
        (results.empty_query_response, b"I"),
    )
    for build, kind in ones:
        assert build() == kind + b"\0\0\0\4"
    told = results.notice("usage", "\n\tSHOW")
    assert told[:1] == b"N"
    assert b"Musage\0" in told
    assert told.endswith(b"D\n\tSHOW\0\0")
    assert b"\0D" not in results.notice("x")
