"""Queries against servers that are scripts."""

import pytest

from forebay.net.conversation import Conversation
from forebay.net.queries import parameterized_query, simple_query
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError
from tests.unit.net.servers import READY, Script, data_row

ERROR = PgError(Severity.ERROR, "22012", "division by zero").encode()
FATAL = PgError(Severity.FATAL, "57P01", "terminating connection").encode()


def test_the_rows_of_all_results() -> None:
    parameters: dict[str, str] = {}
    script = Script(
        messages.message(b"T", b"\0\0"),
        data_row("1", None, ""),
        messages.message(b"C", b"SELECT 1\0"),
        messages.parameter_status("TimeZone", "UTC"),
        data_row("ä"),
        READY,
        data_row("not read"),
    )
    assert script.play(simple_query("SELECT", parameters)) == [["1", None, ""], ["ä"]]
    assert script.sent == [messages.query("SELECT")]
    assert parameters == {"TimeZone": "UTC"}
    assert not script.is_over


def test_an_error_is_raised_once_the_session_is_ready() -> None:
    script = Script(data_row("1"), ERROR, messages.ready_for_query(b"E"))
    with pytest.raises(PgError, match="division by zero"):
        script.play(simple_query("SELECT 1/0"))
    assert script.is_over


def test_after_a_fatal_error_nothing_is_waited_for() -> None:
    with pytest.raises(PgError, match="terminating"):
        Script(FATAL).play(simple_query("SELECT 1"))


def test_copy_is_ended() -> None:
    script = Script(messages.message(b"G", b"\0\0\0"), ERROR, READY)
    with pytest.raises(PgError):
        script.play(simple_query("COPY t FROM STDIN"))
    assert script.sent[1][:1] == b"f"


@pytest.mark.parametrize("limit_bytes", [10, 100])
def test_an_answer_is_bounded(limit_bytes: int) -> None:
    script = Script(*[data_row("x" * 20)] * 10, READY)
    with pytest.raises(MalformedMessageError, match=r"invalid message length|longer than"):
        script.play(simple_query("SELECT", limit_bytes=limit_bytes))


@pytest.mark.parametrize("kind", [b"R", b"1", b"Q", b"\x80"])
def test_what_is_no_answer(kind: bytes) -> None:
    with pytest.raises(MalformedMessageError, match="unexpected message of type"):
        Script(messages.message(kind), READY).play(simple_query("SELECT"))


# ---- With parameters -----------------------------------------------------------------------------

PARSED = messages.message(b"1")
BOUND = messages.message(b"2")


def ask(*values: str | None) -> Conversation[list[list[str | None]]]:
    return parameterized_query("SELECT $1, $2", values)


def test_values_are_bound() -> None:
    done = messages.message(b"C", b"SELECT 1\0")
    notice = messages.message(b"N", b"SNOTICE\0\0")
    script = Script(PARSED, notice, BOUND, data_row("x", None), done, READY, data_row("not read"))
    assert script.play(ask("x'; DROP TABLE t", None)) == [["x", None]]
    assert script.sent == [
        messages.message(b"P", b"\0SELECT $1, $2\0\0\0")
        + messages.message(b"B", b"\0\0\0\0\0\2\0\0\0\x10x'; DROP TABLE t\xff\xff\xff\xff\0\0")
        + messages.message(b"E", b"\0\0\0\0\0")
        + messages.sync()
    ]
    assert not script.is_over


@pytest.mark.parametrize("before", [[], [PARSED], [PARSED, BOUND, data_row("1")]])
def test_an_error_of_a_statement(before: list[bytes]) -> None:
    script = Script(*before, ERROR, READY)
    with pytest.raises(PgError, match="division by zero"):
        script.play(ask())
    assert script.is_over


def test_copy_ends_with_a_sync_of_its_own() -> None:
    script = Script(PARSED, BOUND, messages.message(b"G", b"\0\0\0"), ERROR, READY)
    with pytest.raises(PgError):
        script.play(ask())
    assert script.sent[1].endswith(messages.sync())


@pytest.mark.parametrize("values", [["a\0b"], ["x"] * 65_536])
def test_values_that_cannot_be_bound(values: list[str]) -> None:
    with pytest.raises(ValueError):
        Script().play(parameterized_query("SELECT $1", values))


@pytest.mark.parametrize("kind", [b"T", b"s", b"3", b"R"])
def test_what_is_no_answer_to_a_statement(kind: bytes) -> None:
    with pytest.raises(MalformedMessageError, match="unexpected message of type"):
        Script(PARSED, BOUND, messages.message(kind), READY).play(ask())
