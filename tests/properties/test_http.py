"""Whatever is sent to the page's address is answered or closed, and is no news for the log."""

import asyncio
import contextlib
import logging

from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.dashboard.gate import Gate, cookie_in, is_this_machine
from forebay.dashboard.token import Token
from tests.unit.dashboard.fakes import FakeNode, site

TOKEN = "0123456789abcdef"
TEXT = st.text(max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(["host", "cookie", "authorization", "sec-fetch-site"]),
    TEXT | st.sampled_from(["localhost", "Bearer x", "forebay_6480=1.a", "cross-site"]),
)
PATHS = TEXT | st.sampled_from(["/", "/login", "/logout", "/metrics", "/api/live", "/page.css"])
PARTS = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /login HTTP/1.1\r\n", b"HEAD /metrics HTTP/1.0\r\n"),
        *(b"GET /api/now?proxy=%00&proxy=\xff HTTP/1.1\r\n", b"GET /%2e%2e/%00 HTTP/1.1\r\n"),
        *(b"Host: localhost\r\n", b"Host: evil\r\n", b"Content-Length: 5\r\n", b"token=\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Cookie: \xff=;\r\n", b"Content-Length: -1\r\n"),
        *(b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n", b"Expect: 100-continue\r\n"),
        *(b"\r\n", b"\n", b"\0", b"ffffffffff\r\n"),
    ]
)


@given(method=TEXT, path=PATHS, headers=HEADERS, has_token=st.booleans())
def test_the_gate_decides_on_anything(
    method: str, path: str, headers: dict[str, str], has_token: bool
) -> None:
    gate = Gate(Token("env:T", {"T": TOKEN}) if has_token else None, 6480)
    refusal = gate.refusal(method, path, headers, "192.0.2.1", now=1e9, now_s=0.0)
    if refusal is not None:
        assert 400 <= refusal.status < 500
        assert 0 <= refusal.delay_s <= 5
    elif has_token:
        is_open = path in ("/healthz", "/readyz", "/login", "/logout")
        assert is_open or path.endswith((".css", ".js", ".svg", ".txt"))
    else:
        assert path in ("/healthz", "/readyz") or is_this_machine(headers.get("host", ""))


@given(TEXT)
def test_cookies_of_any_form(text: str) -> None:
    token = Token("env:T", {"T": TOKEN})
    assert not token.fits_cookie(cookie_in(f"forebay_1={text}", "forebay_1"), 1e9, 0.0)
    assert not token.fits_cookie(text, 1e9, 0.0)


@settings(max_examples=50)
@given(st.lists(st.lists(PARTS | st.binary(max_size=40), max_size=12), max_size=6))
def test_any_bytes(conversations: list[list[bytes]]) -> None:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        asyncio.run(send_all(conversations))
    finally:
        logging.getLogger().removeHandler(handler)
    assert [each.getMessage() for each in seen if each.levelno >= logging.WARNING] == []


async def send_all(conversations: list[list[bytes]]) -> None:
    async with site(FakeNode(), Token("env:T", {"T": TOKEN})) as here:
        for parts in conversations:
            reader, writer = await here.connect()
            with contextlib.suppress(ConnectionError):
                writer.write(b"".join(parts))
                writer.write_eof()
                await asyncio.wait_for(reader.read(65_536), 30)
            writer.close()
        assert (await here.ask("/healthz")).status == 200
