"""What clients of the admin database may send: any bytes, and no more than errors come of them."""

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forebay.control.console.commands import COMMANDS, entry_for
from forebay.control.console.grammar import CommandError, parse
from forebay.protocol import extended
from forebay.protocol.messages import MalformedMessageError, parse_data_row
from forebay.protocol.results import Column, data_row, row_description
from forebay.worker.console import statements_in

PARSERS = (
    extended.parse_query,
    extended.parse_parse,
    extended.parse_bind,
    extended.parse_named,
    extended.parse_execute,
)
WORDS = st.sampled_from(
    [
        *COMMANDS,
        "SET",
        "TO",
        "=",
        ";",
        '"',
        "''",
        "x",
        "\0",
        "é",
        "--",
        "/*",
        "$1",
        "TIME ZONE",
        "(",
    ]
)


@pytest.mark.parametrize("parser", PARSERS)
@given(body=st.binary(max_size=200))
def test_messages(parser: Callable[[bytes], object], body: bytes) -> None:
    with contextlib.suppress(MalformedMessageError):
        parser(body)


@given(st.one_of(st.text(max_size=100), st.lists(WORDS, max_size=8).map(" ".join)))
@example("SET " + " " * 5000)
@example("BEGIN" + " read only," * 2000)
@example("BEGIN" + " " * 900 + "x")
@example("BEGIN" + " " * 16_000 + "x")
def test_commands(text: str) -> None:
    for each in (text, *statements_in(text)):
        with contextlib.suppress(CommandError):
            command = parse(each)
            assert entry_for(command, "admin", each) is COMMANDS[command.name]


@given(st.lists(st.one_of(st.none(), st.text(max_size=20)), max_size=5), st.booleans())
def test_rows(values: list[str | None], binary: bool) -> None:
    columns: list[Column] = [("x", "text")] * len(values)
    formats = [int(binary)] * len(values)
    assert row_description(columns, formats)
    sent = parse_data_row(data_row(values, columns, formats)[5:])
    assert sent == [None if each is None else each.replace("\0", "?") for each in values]
