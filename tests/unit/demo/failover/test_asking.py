"""What an answer tells, message by message."""

import struct

import pytest

from forebay.demo.failover.asking import Answer, statement
from forebay.net.conversation import Receive, Send
from forebay.protocol.errors import PgError, Severity
from forebay.protocol.messages import MalformedMessageError, Message

FATAL = PgError(Severity.FATAL, "57P01", "terminating connection")
ERROR = PgError(Severity.ERROR, "08007", "transaction resolution unknown")


def body(error: PgError) -> bytes:
    return error.encode()[5:]


def answered(*messages: tuple[str, bytes]) -> Answer:
    """What comes of these messages."""
    conversation = statement("COMMIT")
    sent = next(conversation)
    assert isinstance(sent, Send)
    assert sent.data == b"Q" + struct.pack("!I", 11) + b"COMMIT\0"
    assert isinstance(next(conversation), Receive)
    try:
        for kind, content in messages:
            conversation.send(Message(ord(kind), content))
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("it waits for more")


def test_the_tag_and_the_status() -> None:
    passed_over = [(kind, b"") for kind in "TDNSA"]
    answer = answered(*passed_over, ("C", b"COMMIT\0"), ("Z", b"I"))
    assert (answer.tag, answer.status, answer.error) == ("COMMIT", "I", None)
    assert answered(("C", b"ROLLBACK\0"), ("Z", b"I")).tag == "ROLLBACK"
    assert answered(("I", b""), ("Z", b"T")).status == "T"


def test_a_completed_command_is_not_acknowledged_yet() -> None:
    with pytest.raises(AssertionError, match="waits for more"):
        answered(("C", b"INSERT 0 1\0"))


def test_an_error_is_told_when_the_server_is_ready_again() -> None:
    answer = answered(("E", body(ERROR)), ("Z", b"E"))
    assert answer.error is not None
    assert (answer.error.sqlstate, answer.status) == ("08007", "E")
    with pytest.raises(AssertionError, match="waits for more"):
        answered(("E", body(ERROR)))


def test_a_fatal_one_ends_it() -> None:
    with pytest.raises(PgError) as raised:
        answered(("C", b"INSERT 0 1\0"), ("E", body(FATAL)))
    assert raised.value.sqlstate == "57P01"


def test_nonsense() -> None:
    with pytest.raises(MalformedMessageError):
        answered(("G", b""))
