"""What the load adds to the small client."""

import pytest

from bench.wire import WrongAnswerError, copy_in, told
from forebay.protocol import messages
from forebay.protocol.errors import PgError, Severity
from tests.unit.net.servers import READY, Script

COPYING = messages.message(b"G", b"\0\0\0")
CHUNKS = [messages.message(b"d", b"1\n"), messages.message(b"d", b"2\n")]
FAILED = PgError(Severity.ERROR, "22P02", "invalid input").encode()


def test_copying_in() -> None:
    script = Script(COPYING, messages.message(b"C", b"COPY 2\0"), READY)
    assert script.play(copy_in("COPY t FROM STDIN", CHUNKS)) == "COPY 2"
    copy_done = messages.message(b"c")
    assert script.sent == [messages.query("COPY t FROM STDIN"), *CHUNKS, copy_done]


def test_a_copy_that_is_not_begun() -> None:
    with pytest.raises(PgError, match="invalid input"):
        Script(FAILED, READY).play(copy_in("COPY t FROM STDIN", CHUNKS))
    with pytest.raises(WrongAnswerError, match="not started"):
        Script(messages.message(b"C", b"SELECT 1\0"), READY).play(copy_in("SELECT 1", CHUNKS))


def test_a_copy_that_fails_at_its_end() -> None:
    script = Script(COPYING, FAILED, READY)
    with pytest.raises(PgError, match="invalid input"):
        script.play(copy_in("COPY t FROM STDIN", CHUNKS))
    assert script.is_over


def test_failures_are_told_with_their_sqlstate() -> None:
    assert told(PgError.parse(b"SFATAL\0C28P01\0Mno entry\0\0")) == "28P01: no entry"
    assert told(EOFError("the connection was closed")) == "the connection was closed"
