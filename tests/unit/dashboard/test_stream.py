import asyncio

import msgspec
import pytest

from forebay.dashboard import live
from tests.unit.dashboard.fakes import FakeNode, head, site, soon


async def test_messages_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    async with site(FakeNode()) as here:
        reader, writer = await here.connect()
        writer.write(head("/api/live?proxy=app"))
        top = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in top
        assert b"content-type: text/event-stream" in top
        told = []
        while len(told) < 3:
            line = await asyncio.wait_for(reader.readline(), 30)
            if line.startswith(b"data: "):
                told.append(msgspec.json.decode(line.removeprefix(b"data: ")))
        assert {each["proxy"]["status"]["name"] for each in told} == {"app"}
        assert len({each["at"] for each in told}) == 3
        writer.close()
        await soon(lambda: here.server._live.viewers == 0)


async def test_one_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_VIEWERS", 1)
    async with site(FakeNode()) as here:
        reader, writer = await here.connect()
        writer.write(head("/api/live"))
        await reader.readuntil(b"data: ")
        answer = await here.ask("/api/live")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "10"
        assert "too many pages" in answer.json["problem"]
        assert (await here.ask("/api/now")).status == 200
        writer.close()


async def test_a_head_request_is_no_viewer() -> None:
    async with site(FakeNode()) as here:
        answer = await here.ask("/api/live", "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert here.server._live.viewers == 0


async def test_a_proxy_that_is_not_there() -> None:
    async with site(FakeNode()) as here:
        assert (await here.ask("/api/live?proxy=x")).status == 404


async def test_streams_end_with_the_node() -> None:
    async with site(FakeNode()) as here:
        reader, writer = await here.connect()
        writer.write(head("/api/live"))
        await reader.readuntil(b"data: ")
    rest = await asyncio.wait_for(reader.read(), 30)
    assert rest.endswith(b"0\r\n\r\n")
    writer.close()
