import msgspec
import pytest

from forebay.control.messages import (
    MAX_ANSWER_BYTES,
    Answer,
    Request,
    Stopped,
    StopRequest,
    WhoRequest,
)
from forebay.node.status import ProxyStatus, Status

encode = msgspec.msgpack.encode


def test_each_message_has_a_tag_of_its_own() -> None:
    for union in (Request, Answer):
        kinds = union.__args__
        assert len({each.__struct_config__.tag for each in kinds}) == len(kinds)


def test_what_another_version_says_besides_is_skipped() -> None:
    said = encode({"type": "stop?", "id": 4, "now": True, "reason": "of a later version"})
    assert msgspec.msgpack.decode(said, type=Request) == StopRequest(id=4, now=True)
    assert msgspec.msgpack.decode(encode(WhoRequest(id=2)), type=Request) == WhoRequest(id=2)


def test_an_answer_without_its_fields_is_none() -> None:
    with pytest.raises(msgspec.ValidationError, match="ok"):
        msgspec.msgpack.decode(encode({"type": "stopped", "id": 1}), type=Answer)
    assert msgspec.msgpack.decode(encode(Stopped(id=1, ok=True)), type=Answer)


def test_a_thousand_proxies_fit() -> None:
    proxy = ProxyStatus(
        name="x" * 63,
        listen=["255.255.255.255:65535"] * 4,
        target=["y" * 253 + ":5432"] * 4,
        max_client_connections=1_000_000,
        limit="z" * 200,
    )
    status = Status(
        ok=True,
        problems=[],
        state="serving",
        version="1",
        pid=1,
        started_at=0,
        configuration="",
        worker=None,
        worker_restarts=0,
        reload=None,
        proxies=[proxy] * 1000,
    )
    assert len(encode(status)) < MAX_ANSWER_BYTES
