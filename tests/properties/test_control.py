"""What arrives on the control socket ends in requests or in an error, and in nothing else."""

import asyncio

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from forebay.channel import Channel, ChannelError, encode
from forebay.control.messages import (
    MAX_REQUEST_BYTES,
    Answer,
    ReloadRequest,
    Request,
    StatusRequest,
    StopRequest,
    WhoRequest,
)

REQUESTS = st.one_of(
    st.builds(WhoRequest, id=st.integers(0, 2**63)),
    st.builds(StatusRequest, id=st.integers(0, 2**63)),
    st.builds(ReloadRequest, id=st.integers(0, 2**63)),
    st.builds(StopRequest, id=st.integers(0, 2**63), now=st.booleans()),
)
NEARLY = st.dictionaries(
    st.sampled_from(["type", "id", "now"]),
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["stop?", "who?", ""])),
).map(encode)


async def received(data: bytes, kind: object) -> list[object] | None:
    """The messages in ``data``; None if it can't be read."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    channel: Channel[None, object] = Channel(
        reader,
        None,  # type: ignore[arg-type] - nothing is sent
        kind,
        MAX_REQUEST_BYTES,
    )
    found = []
    try:
        while (message := await channel.receive()) is not None:
            found.append(message)
    except ChannelError:
        return None
    return found


@given(st.lists(REQUESTS, max_size=5))
def test_requests_arrive_as_they_were_sent(requests: list[Request]) -> None:
    data = b"".join(map(encode, requests))
    assert asyncio.run(received(data, Request)) == requests


@given(st.one_of(st.binary(max_size=200), NEARLY))
def test_anything_else_is_an_error_or_nothing(data: bytes) -> None:
    for kind in (Request, Answer):
        found = asyncio.run(received(data, kind))
        assert found is None or all(isinstance(each, msgspec.Struct) for each in found)
